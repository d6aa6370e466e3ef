//! Fast system calls: SYSENTER and SYSEXIT.
//!
//! SDM Vol. 2B, the instructions; Vol. 3A, "Performing Fast Calls to System Procedures with the SYSENTER and SYSEXIT
//! Instructions".

use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::{Fault, Outcome};
use crate::state::descriptor::Selector;
use crate::state::eflags::bit;
use crate::state::gpr;
use crate::state::segment::{AccessRights, SegReg, Segment};
use iced_x86::{Instruction, Mnemonic};

/// Flat 32-bit code, accessed, at DPL 0.
const CODE: u16 = 0xC09B;
/// Flat 32-bit writable data, accessed, at DPL 0.
const DATA: u16 = 0xC093;

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    Some(match i.mnemonic() {
        Mnemonic::Sysenter => sysenter,
        Mnemonic::Sysexit => sysexit,
        _ => return None,
    })
}

/// IA32_SYSENTER_CS as a selector; #GP(0) where it is null or real mode rules.
fn base_selector(cpu: &Cpu) -> Outcome<Selector> {
    let selector = Selector(cpu.msr.sysenter[0] as u16);
    if cpu.real_mode() || selector.is_null() { Err(Fault::GP0) } else { Ok(selector) }
}

/// Loads CS and SS with flat segments; no descriptor is read.
fn load_flat(cpu: &mut Cpu, base: Selector, code: u16, stack: u16, cpl: u8) {
    let flat = |offset: u16, rights: u16| {
        let selector = Selector(base.0.wrapping_add(offset)).with_rpl(cpl);
        Segment::new(selector, 0, u32::MAX, AccessRights(rights | (cpl as u16) << 5))
    };
    cpu.seg[SegReg::Cs as usize] = flat(code, CODE);
    cpu.seg[SegReg::Ss as usize] = flat(stack, DATA);
    cpu.cpl = cpl;
}

fn sysenter(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    let base = base_selector(cpu)?;
    let left_v86 = cpu.v8086();
    load_flat(cpu, base, 0, 8, 0);
    let [_, sp, ip] = cpu.msr.sysenter;
    cpu.gpr.set(gpr::SP, sp as u32);
    cpu.rip = ip;
    cpu.set_eflags(cpu.eflags.bits() & !(bit::VM | bit::IF | bit::RF));
    if left_v86 {
        cpu.derive_segment_bounds();
    }
    Ok(())
}

fn sysexit(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    let base = base_selector(cpu)?;
    cpu.require_cpl0()?;
    load_flat(cpu, base, 16, 24, 3);
    cpu.gpr.set(gpr::SP, cpu.gpr.get::<u32>(gpr::CX));
    cpu.rip = cpu.gpr.get::<u32>(gpr::DX) as u64;
    cpu.set_cpl(3);
    cpu.attend();
    Ok(())
}
