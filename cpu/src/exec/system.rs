//! System instructions.

use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::{Fault, Outcome};
use iced_x86::{Instruction, Mnemonic};

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    let handler: Handler = match i.mnemonic() {
        Mnemonic::Hlt => hlt,
        _ => return None,
    };
    Some(handler)
}

fn hlt(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    if cpu.cpl != 0 {
        return Err(Fault::GP0);
    }
    cpu.halted = true;
    cpu.attention = true;
    Ok(())
}
