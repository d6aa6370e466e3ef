//! IN and OUT.
//!
//! SDM Vol. 1, "I/O Instructions" and "Protected-Mode I/O".

use super::form::operand_size;
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::Outcome;
use crate::state::gpr::{self, Word};
use iced_x86::{Instruction, Mnemonic, OpKind};

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    let immediate = (0..2).any(|n| i.op_kind(n) == OpKind::Immediate8);
    let handler: Handler = match (i.mnemonic(), immediate) {
        (Mnemonic::In, true) => match operand_size(i, 0) {
            1 => in_port::<true, u8>,
            2 => in_port::<true, u16>,
            _ => in_port::<true, u32>,
        },
        (Mnemonic::In, false) => match operand_size(i, 0) {
            1 => in_port::<false, u8>,
            2 => in_port::<false, u16>,
            _ => in_port::<false, u32>,
        },
        (Mnemonic::Out, true) => match operand_size(i, 1) {
            1 => out_port::<true, u8>,
            2 => out_port::<true, u16>,
            _ => out_port::<true, u32>,
        },
        (Mnemonic::Out, false) => match operand_size(i, 1) {
            1 => out_port::<false, u8>,
            2 => out_port::<false, u16>,
            _ => out_port::<false, u32>,
        },
        _ => return None,
    };
    Some(handler)
}

#[inline(always)]
fn port<const IMMEDIATE: bool>(cpu: &Cpu, insn: &Insn) -> u16 {
    if IMMEDIATE { insn.imm as u8 as u16 } else { cpu.gpr.get(gpr::DX) }
}

fn in_port<const IMMEDIATE: bool, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let port = port::<IMMEDIATE>(cpu, insn);
    let value = biu.bus.port_in(port, T::BYTES, cpu.now());
    cpu.gpr.set(gpr::AX, T::from_u64(value as u64));
    cpu.sample_pins(biu);
    Ok(())
}

fn out_port<const IMMEDIATE: bool, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let port = port::<IMMEDIATE>(cpu, insn);
    biu.bus.port_out(port, T::BYTES, cpu.gpr.get::<T>(gpr::AX).zx() as u32, cpu.now());
    cpu.sample_pins(biu);
    Ok(())
}
