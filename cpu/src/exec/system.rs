//! System instructions that stand alone: HLT, INVD, WBINVD, RDTSC, RDPMC, CPUID, RSM.
//!
//! SDM Vol. 2, the instructions.

use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::{Fault, Outcome};
use crate::state::control::cr4;
use crate::state::gpr;
use iced_x86::{Instruction, Mnemonic};

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    Some(match i.mnemonic() {
        Mnemonic::Hlt => hlt,
        Mnemonic::Invd | Mnemonic::Wbinvd => invalidate_caches,
        Mnemonic::Rdtsc => rdtsc,
        Mnemonic::Rdpmc => rdpmc,
        Mnemonic::Cpuid => cpuid,
        Mnemonic::Rsm => rsm,
        _ => return None,
    })
}

fn hlt(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    cpu.require_cpl0()?;
    cpu.halted = true;
    cpu.attention = true;
    Ok(())
}

/// Caches are not modelled: memory is always up to date.
fn invalidate_caches(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    cpu.require_cpl0()
}

fn rdtsc(cpu: &mut Cpu, biu: &mut Biu, _: &Insn) -> Outcome {
    if cpu.cr4 & cr4::TSD != 0 {
        cpu.require_cpl0()?;
    }
    let value = cpu.time_stamp(biu);
    cpu.gpr.set(gpr::AX, value as u32);
    cpu.gpr.set(gpr::DX, (value >> 32) as u32);
    Ok(())
}

/// #GP(0) always: without CR4.PCE outside CPL 0, and otherwise because no counter has the number that ECX holds.
/// No performance-monitoring counters exist, and CPUID announces none.
fn rdpmc(_: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    Err(Fault::GP0)
}

fn cpuid(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    let leaf = crate::cpuid::leaf(cpu, cpu.gpr.get(gpr::AX));
    for (r, v) in [gpr::AX, gpr::BX, gpr::CX, gpr::DX].into_iter().zip(leaf) {
        cpu.gpr.set(r, v);
    }
    Ok(())
}

/// There is no system-management mode to return from.
fn rsm(_: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    Err(Fault::UD)
}
