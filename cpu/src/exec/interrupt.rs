//! Software interrupts: INT n, INT3, INTO, INT1.
//!
//! SDM Vol. 2A, "INT n/INTO/INT3/INT1". How they reach their handlers is in [`crate::event::deliver`].

use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::{Outcome, vector};
use iced_x86::{Instruction, Mnemonic};

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    Some(match i.mnemonic() {
        Mnemonic::Int => int,
        Mnemonic::Int3 => int3,
        Mnemonic::Into => into,
        Mnemonic::Int1 => int1,
        _ => return None,
    })
}

fn int(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    cpu.software_interrupt(biu, insn.imm as u8)
}

fn int3(cpu: &mut Cpu, biu: &mut Biu, _: &Insn) -> Outcome {
    cpu.software_exception(biu, vector::BP)
}

fn into(cpu: &mut Cpu, biu: &mut Biu, _: &Insn) -> Outcome {
    if cpu.eflags.of() { cpu.software_exception(biu, vector::OF) } else { Ok(()) }
}

fn int1(cpu: &mut Cpu, biu: &mut Biu, _: &Insn) -> Outcome {
    cpu.hardware_breakpoint(biu)
}
