//! Nanobenchmarks of innocuous code: calls, code that changes, computing.

use super::Emitted;
use super::address::{DATA, PATCHED, SLOT_BYTES, Slot};
use iced_x86::code_asm::*;

pub fn call_ret(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.call(u64::from(Slot::Return.address()))
}

/// Four functions, called in turn.
pub fn table(a: &mut CodeAssembler, _: u32) -> Emitted {
    for n in 0..4 {
        a.mov(dword_ptr(DATA + n * 4), Slot::Return.address() + n * SLOT_BYTES)?;
    }
    Ok(())
}

pub fn call_indirect(a: &mut CodeAssembler, n: u32) -> Emitted {
    a.lea(eax, dword_ptr(ebp + n))?;
    a.and(eax, 3)?;
    a.call(dword_ptr(DATA + eax * 4))
}

/// The immediate of a MOV is replaced, and the MOV executed.
pub fn patch_and_execute(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.mov(dword_ptr(PATCHED + 1), ebp)?;
    a.call(u64::from(PATCHED))
}

pub fn compute(a: &mut CodeAssembler, _: u32) -> Emitted {
    for _ in 0..4 {
        a.add(eax, ebp)?;
        a.xor(eax, 0x5A5A_5A5A)?;
        a.rol(eax, 5)?;
        a.sub(eax, 0x1234)?;
    }
    Ok(())
}

pub fn buffer(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.mov(esi, DATA)
}

pub fn memory(a: &mut CodeAssembler, n: u32) -> Emitted {
    for i in 0..8u32 {
        let at = n * 0x2000 + i * 68;
        a.mov(eax, dword_ptr(esi + at))?;
        a.mov(dword_ptr(esi + at + 0x1000), eax)?;
    }
    Ok(())
}
