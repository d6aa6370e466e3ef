//! Flag control: CLC, STC, CMC, CLD, STD, SALC.
//!
//! SDM Vol. 1, "Flag Control (EFLAG) Instructions". SALC (AL becomes FFh if CF is set, else 0) is in no manual
//! of Intel's before its opcode map; all its processors have it.

use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::Outcome;
use crate::state::eflags::bit;
use crate::state::gpr;
use iced_x86::{Instruction, Mnemonic};

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    Some(match i.mnemonic() {
        Mnemonic::Clc => clc,
        Mnemonic::Stc => stc,
        Mnemonic::Cmc => cmc,
        Mnemonic::Cld => cld,
        Mnemonic::Std => std,
        Mnemonic::Salc => salc,
        _ => return None,
    })
}

fn clc(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    cpu.eflags.set_cf(false);
    Ok(())
}

fn stc(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    cpu.eflags.set_cf(true);
    Ok(())
}

fn cmc(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    cpu.eflags.set_cf(!cpu.eflags.cf());
    Ok(())
}

fn cld(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    cpu.eflags.set_system(bit::DF, false);
    Ok(())
}

fn std(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    cpu.eflags.set_system(bit::DF, true);
    Ok(())
}

fn salc(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    cpu.gpr.set(gpr::AX, if cpu.eflags.cf() { 0xFFu8 } else { 0 });
    Ok(())
}
