//! Nanobenchmarks of transfers between privilege levels, and of exceptions.

use super::Emitted;
use super::address::Slot;
use iced_x86::code_asm::*;

/// The number in EAX is getpid's for a Linux host that runs the same bytes; our handler does not look at it.
pub fn int_80(a: &mut CodeAssembler, _: u32) -> Emitted {
    const GETPID: u32 = 20;
    a.mov(eax, GETPID)?;
    a.int(0x80)
}

/// Through a function, as C libraries do: the kernel returns to a place that is known.
pub fn sysenter(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.call(u64::from(Slot::Enter.address()))
}

pub fn zero_divisor(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.xor(ecx, ecx)
}

pub fn divide_error(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.div(ecx)
}

pub fn invalid_opcode(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.ud2()
}
