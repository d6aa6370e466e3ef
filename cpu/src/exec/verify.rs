//! Questions about selectors, asked without faulting: LAR, LSL, VERR, VERW; and ARPL.
//!
//! SDM Vol. 2, the instructions; Vol. 3A, "Pointer Validation".

use super::form::in_memory;
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::{Fault, Outcome};
use crate::state::descriptor::{Descriptor, Kind, Selector};
use crate::state::gpr::Word;
use iced_x86::{Instruction, Mnemonic, OpKind};

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    use Mnemonic::*;
    let wide = i.op0_kind() == OpKind::Register && i.op0_register().size() == 4;
    let from_memory = i.op_count() == 2 && i.op1_kind() == OpKind::Memory;
    Some(match (i.mnemonic(), wide, from_memory) {
        (Lar, false, false) => ask_reg::<u16, ACCESS_RIGHTS>,
        (Lar, false, true) => ask_mem::<u16, ACCESS_RIGHTS>,
        (Lar, true, false) => ask_reg::<u32, ACCESS_RIGHTS>,
        (Lar, true, true) => ask_mem::<u32, ACCESS_RIGHTS>,
        (Lsl, false, false) => ask_reg::<u16, LIMIT>,
        (Lsl, false, true) => ask_mem::<u16, LIMIT>,
        (Lsl, true, false) => ask_reg::<u32, LIMIT>,
        (Lsl, true, true) => ask_mem::<u32, LIMIT>,
        (Verr, ..) if in_memory(i) => verify_mem::<READ>,
        (Verr, ..) => verify_reg::<READ>,
        (Verw, ..) if in_memory(i) => verify_mem::<WRITE>,
        (Verw, ..) => verify_reg::<WRITE>,
        (Arpl, ..) if in_memory(i) => arpl_mem,
        (Arpl, ..) => arpl_reg,
        _ => return None,
    })
}

const ACCESS_RIGHTS: bool = false;
const LIMIT: bool = true;
const READ: bool = false;
const WRITE: bool = true;

/// These are not recognized in real-address and virtual-8086 mode.
fn check_mode(cpu: &Cpu) -> Outcome {
    if cpu.protected() { Ok(()) } else { Err(Fault::UD) }
}

/// The descriptor of `selector`, unless the selector is null or outside its table.
fn visible(cpu: &mut Cpu, biu: &mut Biu, selector: Selector) -> Outcome<Option<Descriptor>> {
    if selector.is_null() {
        return Ok(None);
    }
    Ok(cpu.find_descriptor(biu, selector)?.map(|e| e.descriptor))
}

/// Whether the current code and the selector's RPL are privileged enough for the descriptor.
fn privileged(cpu: &Cpu, selector: Selector, d: Descriptor) -> bool {
    let a = d.access();
    a.is_conforming_code() || cpu.cpl.max(selector.rpl()) <= a.dpl()
}

fn ask_reg<T: Word, const WHAT: bool>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    check_mode(cpu)?;
    let selector = cpu.gpr.get(insn.op[1]);
    ask::<T, WHAT>(cpu, biu, insn, selector)
}

fn ask_mem<T: Word, const WHAT: bool>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    check_mode(cpu)?;
    let selector = cpu.read(biu, insn.segment, insn.ea(&cpu.gpr))?;
    ask::<T, WHAT>(cpu, biu, insn, selector)
}

/// What LAR shows of a descriptor's upper half. Bits 16 to 19, part of the limit, are undefined by the manual;
/// processors show them.
const RIGHTS: u64 = 0xFF_FF00;

/// LAR and LSL.
fn ask<T: Word, const WHAT: bool>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, selector: u16) -> Outcome {
    let selector = Selector(selector);
    let answer = visible(cpu, biu, selector)?.filter(|d| {
        let known = match d.access().describes() {
            Kind::Memory | Kind::Tss { .. } | Kind::Ldt => true,
            Kind::CallGate { .. } | Kind::TaskGate => WHAT == ACCESS_RIGHTS,
            _ => false,
        };
        known && privileged(cpu, selector, *d)
    });
    if let Some(d) = answer {
        let value = if WHAT == LIMIT { d.limit() as u64 } else { d.0 >> 32 & RIGHTS };
        cpu.gpr.set(insn.op[0], T::from_u64(value));
    }
    cpu.eflags.set_zf(answer.is_some());
    Ok(())
}

fn verify_reg<const WHAT: bool>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    check_mode(cpu)?;
    let selector = cpu.gpr.get(insn.op[0]);
    verify::<WHAT>(cpu, biu, selector)
}

fn verify_mem<const WHAT: bool>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    check_mode(cpu)?;
    let selector = cpu.read(biu, insn.segment, insn.ea(&cpu.gpr))?;
    verify::<WHAT>(cpu, biu, selector)
}

fn verify<const WHAT: bool>(cpu: &mut Cpu, biu: &mut Biu, selector: u16) -> Outcome {
    let selector = Selector(selector);
    let allowed = visible(cpu, biu, selector)?.is_some_and(|d| {
        let a = d.access();
        let fits = if WHAT == WRITE { a.is_writable_data() } else { a.is_readable() };
        fits && privileged(cpu, selector, d)
    });
    cpu.eflags.set_zf(allowed);
    Ok(())
}

/// The destination with its RPL raised to that of the source, if it is below.
fn raised(destination: u16, source: u16) -> Option<u16> {
    let (d, s) = (Selector(destination), Selector(source));
    (d.rpl() < s.rpl()).then(|| d.with_rpl(s.rpl()))
}

fn arpl_reg(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    check_mode(cpu)?;
    let new = raised(cpu.gpr.get(insn.op[0]), cpu.gpr.get(insn.op[1]));
    if let Some(new) = new {
        cpu.gpr.set(insn.op[0], new);
    }
    cpu.eflags.set_zf(new.is_some());
    Ok(())
}

fn arpl_mem(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    check_mode(cpu)?;
    let (at, source) = (insn.ea(&cpu.gpr), cpu.gpr.get(insn.op[1]));
    let new = raised(cpu.read(biu, insn.segment, at)?, source);
    // Where nothing changes nothing is written, and the destination need not be writable.
    if let Some(new) = new {
        cpu.write(biu, insn.segment, at, new)?;
    }
    cpu.eflags.set_zf(new.is_some());
    Ok(())
}
