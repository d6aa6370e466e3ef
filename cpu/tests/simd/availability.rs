//! SDM Vol. 2, "Exceptions" of every instruction: what the system must have enabled, and what else is looked at first.

use super::every_instruction;
use crate::kit::{Kit, Led, UD, place};
use iced_x86::{Instruction, Mnemonic};
use idem86_cpu::state::control::{cr0, cr4};
use idem86_cpu::state::gpr;

const NM: Led = Led::To(7, None);
const MF: Led = Led::To(16, None);

/// Executes `bytes` with other control registers.
fn run(bytes: &[u8], prepare: impl FnOnce(&mut Kit)) -> (Led, Kit) {
    let mut k = Kit::protected(0);
    k.cpu.cr0 |= cr0::NE;
    k.cpu.cr4 |= cr4::OSFXSR | cr4::OSXMMEXCPT;
    k.cpu.gpr.set(gpr::DI, place::DATA);
    prepare(&mut k);
    k.cpu.state_changed();
    k.bytes(bytes);
    (k.step(), k)
}

fn uses(i: &Instruction, register: fn(iced_x86::Register) -> bool) -> bool {
    (0..i.op_count()).any(|n| register(i.op_register(n)))
}

fn uses_mmx(i: &Instruction) -> bool {
    uses(i, |r| r.is_mm()) || i.mnemonic() == Mnemonic::Emms
}

/// Whether it touches what FXSAVE saves beyond the x87 state.
fn uses_sse(i: &Instruction) -> bool {
    uses(i, |r| r.is_xmm()) || matches!(i.mnemonic(), Mnemonic::Ldmxcsr | Mnemonic::Stmxcsr)
}

#[test]
fn without_hindrance_every_instruction_is_executed() {
    for (i, bytes) in every_instruction() {
        assert_eq!(run(&bytes, |_| ()).0, Led::Through, "{:?}", i.code());
    }
}

#[test]
fn emulation_raises_ud() {
    for (i, bytes) in every_instruction() {
        let expected = if uses_mmx(&i) || uses_sse(&i) { UD } else { Led::Through };
        assert_eq!(run(&bytes, |k| k.cpu.cr0 |= cr0::EM | cr0::TS).0, expected, "{:?}", i.code());
    }
}

#[test]
fn a_switched_task_raises_nm() {
    for (i, bytes) in every_instruction() {
        let expected = if uses_mmx(&i) || uses_sse(&i) { NM } else { Led::Through };
        assert_eq!(run(&bytes, |k| k.cpu.cr0 |= cr0::TS).0, expected, "{:?}", i.code());
    }
}

#[test]
fn xmm_registers_and_mxcsr_need_osfxsr() {
    let without = |k: &mut Kit| {
        k.cpu.cr4 &= !cr4::OSFXSR;
        k.cpu.cr0 |= cr0::TS;
    };
    for (i, bytes) in every_instruction() {
        let expected = match () {
            _ if uses_sse(&i) => UD,
            _ if uses_mmx(&i) => NM,
            _ => Led::Through,
        };
        assert_eq!(run(&bytes, without).0, expected, "{:?}", i.code());
    }
}

#[test]
fn a_pending_x87_error_precedes_instructions_with_mm_registers() {
    let pending = |k: &mut Kit| {
        k.cpu.x87.set_control(0x37E);
        k.cpu.x87.set_status_word(1);
    };
    for (i, bytes) in every_instruction() {
        let expected = if uses_mmx(&i) { MF } else { Led::Through };
        assert_eq!(run(&bytes, pending).0, expected, "{:?}", i.code());
    }
}

/// SDM Vol. 3A, "Effects of MMX Instructions on x87 FPU State" (table).
#[test]
fn mm_registers_turn_the_x87_stack_into_a_file() {
    let in_use = |k: &mut Kit| {
        k.cpu.x87.set_status_word(5 << 11);
        k.cpu.x87.valid = 0x24;
        k.cpu.x87.sign_exponent = [0x1234; 8];
    };
    for (i, bytes) in every_instruction() {
        let (_, k) = run(&bytes, in_use);
        let (top, valid) = match () {
            _ if i.mnemonic() == Mnemonic::Emms => (0, 0),
            _ if uses_mmx(&i) => (0, 0xFF),
            _ => (5, 0x24),
        };
        assert_eq!((k.cpu.x87.top, k.cpu.x87.valid), (top, valid), "{:?}", i.code());
        // Of the registers, only the one that is written changes its sign and exponent.
        let written = i.op0_register().is_mm() && i.mnemonic() != Mnemonic::Maskmovq;
        for (n, sign_exponent) in k.cpu.x87.sign_exponent.into_iter().enumerate() {
            let target = written && i.op0_register().number() == n;
            assert_eq!(sign_exponent, if target { 0xFFFF } else { 0x1234 }, "{:?}: MM{n}", i.code());
        }
    }
}

#[test]
fn lock_is_undefined() {
    for (i, bytes) in every_instruction() {
        let locked = [&[0xF0], &bytes[..]].concat();
        assert_eq!(run(&locked, |_| ()).0, UD, "{:?}", i.code());
    }
}
