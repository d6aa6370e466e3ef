//! Decimal arithmetic: AAA, AAS, AAM, AAD, DAA, DAS.
//!
//! SDM Vol. 1, "Decimal Arithmetic Instructions". Flags that the manual leaves undefined are as AMD's Zen
//! processors leave them: those of the addition or subtraction that the adjustment is.

use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::{Fault, Outcome};
use crate::state::gpr;
use iced_x86::{Instruction, Mnemonic};

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    Some(match i.mnemonic() {
        Mnemonic::Aaa => aaa,
        Mnemonic::Aas => aas,
        Mnemonic::Aam => aam,
        Mnemonic::Aad => aad,
        Mnemonic::Daa => daa,
        Mnemonic::Das => das,
        _ => return None,
    })
}

/// Whether the low digit needs an adjustment.
fn low_digit_overflowed(cpu: &Cpu) -> bool {
    cpu.gpr.get::<u8>(gpr::AX) & 15 > 9 || cpu.eflags.af()
}

/// The digit goes to AL, the carry to AH.
fn ascii_adjust(cpu: &mut Cpu, apply: impl FnOnce(&mut Cpu, u16, u16) -> u16) -> Outcome {
    let adjust = low_digit_overflowed(cpu);
    let ax = cpu.gpr.get::<u16>(gpr::AX);
    let adjusted = apply(cpu, ax, if adjust { 0x0106 } else { 0 });
    cpu.gpr.set(gpr::AX, adjusted & 0xFF0F);
    cpu.eflags.set_cf_of(adjust, cpu.eflags.of());
    cpu.eflags.set_af(adjust);
    Ok(())
}

fn aaa(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    ascii_adjust(cpu, |cpu, ax, adjustment| {
        let r = ax.wrapping_add(adjustment);
        cpu.eflags.set_add(ax, adjustment, r);
        r
    })
}

fn aas(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    ascii_adjust(cpu, |cpu, ax, adjustment| {
        let r = ax.wrapping_sub(adjustment);
        cpu.eflags.set_sub(ax, adjustment, r);
        r
    })
}

/// What makes AL two decimal digits, and the carry out of the upper one. SDM Vol. 2A, "DAA".
fn decimal_adjustment(cpu: &Cpu) -> (u8, bool, bool) {
    let low = low_digit_overflowed(cpu);
    let high = cpu.gpr.get::<u8>(gpr::AX) > 0x99 || cpu.eflags.cf();
    (low as u8 * 0x06 + high as u8 * 0x60, low, high)
}

fn daa(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    let al = cpu.gpr.get::<u8>(gpr::AX);
    let (adjustment, low, high) = decimal_adjustment(cpu);
    let r = al.wrapping_add(adjustment);
    cpu.gpr.set(gpr::AX, r);
    cpu.eflags.set_add(al, adjustment, r);
    cpu.eflags.set_cf_of(high, cpu.eflags.of());
    cpu.eflags.set_af(low);
    Ok(())
}

fn das(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    let al = cpu.gpr.get::<u8>(gpr::AX);
    let (adjustment, low, high) = decimal_adjustment(cpu);
    let r = al.wrapping_sub(adjustment);
    cpu.gpr.set(gpr::AX, r);
    cpu.eflags.set_sub(al, adjustment, r);
    // Unlike the addition of DAA, the subtraction of 6 can borrow by itself.
    cpu.eflags.set_cf_of(high || low && al < 6, cpu.eflags.of());
    cpu.eflags.set_af(low);
    Ok(())
}

fn aam(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    let base = insn.imm as u8;
    let al = cpu.gpr.get::<u8>(gpr::AX);
    let high = al.checked_div(base).ok_or(Fault::DE)?;
    let low = al % base;
    cpu.gpr.set(gpr::AX, u16::from_le_bytes([low, high]));
    cpu.eflags.set_logic(low);
    Ok(())
}

fn aad(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    let [al, ah] = cpu.gpr.get::<u16>(gpr::AX).to_le_bytes();
    let tens = ah.wrapping_mul(insn.imm as u8);
    let r = al.wrapping_add(tens);
    cpu.gpr.set(gpr::AX, r as u16);
    cpu.eflags.set_add(al, tens, r);
    Ok(())
}
