//! Binary arithmetic and logic: ADD, ADC, SUB, SBB, CMP, AND, OR, XOR, TEST, INC, DEC, NEG, NOT.
//!
//! SDM Vol. 1, "Binary Arithmetic Instructions", "Logical Instructions".

use super::form::{Form, by_size, form, in_memory, operand_size};
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::Outcome;
use crate::state::eflags::Eflags;
use crate::state::gpr::Word;
use iced_x86::{Instruction, Mnemonic};

/// An operation of two operands.
pub trait Binary {
    /// Whether the result is written to the first operand.
    const STORES: bool = true;
    /// The result; sets the flags.
    fn apply<T: Word>(flags: &mut Eflags, a: T, b: T) -> T;
}

/// An operation of one operand.
pub trait Unary {
    /// The result; sets the flags.
    fn apply<T: Word>(flags: &mut Eflags, a: T) -> T;
}

macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident, $stores:expr, |$f:ident, $a:ident, $b:ident| $body:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;
        impl Binary for $name {
            const STORES: bool = $stores;
            #[inline(always)]
            fn apply<T: Word>($f: &mut Eflags, $a: T, $b: T) -> T {
                $body
            }
        }
    )*};
}

binary! {
    /// ADD.
    Add, true, |f, a, b| add(f, a, b, false);
    /// ADC.
    Adc, true, |f, a, b| { let carry = f.cf(); add(f, a, b, carry) };
    /// SUB.
    Sub, true, |f, a, b| sub(f, a, b, false);
    /// SBB.
    Sbb, true, |f, a, b| { let borrow = f.cf(); sub(f, a, b, borrow) };
    /// CMP.
    Cmp, false, |f, a, b| sub(f, a, b, false);
    /// AND.
    And, true, |f, a, b| logic(f, a.zx() & b.zx());
    /// OR.
    Or, true, |f, a, b| logic(f, a.zx() | b.zx());
    /// XOR.
    Xor, true, |f, a, b| logic(f, a.zx() ^ b.zx());
    /// TEST.
    Test, false, |f, a, b| logic(f, a.zx() & b.zx());
}

#[inline(always)]
fn add<T: Word>(f: &mut Eflags, a: T, b: T, carry: bool) -> T {
    let r = T::from_u64(a.zx().wrapping_add(b.zx()).wrapping_add(carry as u64));
    f.set_add(a, b, r);
    r
}

#[inline(always)]
fn sub<T: Word>(f: &mut Eflags, a: T, b: T, borrow: bool) -> T {
    let r = T::from_u64(a.zx().wrapping_sub(b.zx()).wrapping_sub(borrow as u64));
    f.set_sub(a, b, r);
    r
}

#[inline(always)]
fn logic<T: Word>(f: &mut Eflags, result: u64) -> T {
    let r = T::from_u64(result);
    f.set_logic(r);
    r
}

/// INC.
#[derive(Clone, Copy, Debug)]
pub struct Inc;
impl Unary for Inc {
    #[inline(always)]
    fn apply<T: Word>(f: &mut Eflags, a: T) -> T {
        let r = T::from_u64(a.zx().wrapping_add(1));
        f.preserving_cf(|f| f.set_add(a, T::from_u64(1), r));
        r
    }
}

/// DEC.
#[derive(Clone, Copy, Debug)]
pub struct Dec;
impl Unary for Dec {
    #[inline(always)]
    fn apply<T: Word>(f: &mut Eflags, a: T) -> T {
        let r = T::from_u64(a.zx().wrapping_sub(1));
        f.preserving_cf(|f| f.set_sub(a, T::from_u64(1), r));
        r
    }
}

/// NEG.
#[derive(Clone, Copy, Debug)]
pub struct Neg;
impl Unary for Neg {
    #[inline(always)]
    fn apply<T: Word>(f: &mut Eflags, a: T) -> T {
        sub(f, T::from_u64(0), a, false)
    }
}

/// NOT.
#[derive(Clone, Copy, Debug)]
pub struct Not;
impl Unary for Not {
    #[inline(always)]
    fn apply<T: Word>(_: &mut Eflags, a: T) -> T {
        T::from_u64(!a.zx())
    }
}

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    Some(match i.mnemonic() {
        Mnemonic::Add => binary::<Add>(i)?,
        Mnemonic::Adc => binary::<Adc>(i)?,
        Mnemonic::Sub => binary::<Sub>(i)?,
        Mnemonic::Sbb => binary::<Sbb>(i)?,
        Mnemonic::Cmp => binary::<Cmp>(i)?,
        Mnemonic::And => binary::<And>(i)?,
        Mnemonic::Or => binary::<Or>(i)?,
        Mnemonic::Xor => binary::<Xor>(i)?,
        Mnemonic::Test => binary::<Test>(i)?,
        Mnemonic::Inc => unary::<Inc>(i),
        Mnemonic::Dec => unary::<Dec>(i),
        Mnemonic::Neg => unary::<Neg>(i),
        Mnemonic::Not => unary::<Not>(i),
        _ => return None,
    })
}

fn binary<O: Binary>(i: &Instruction) -> Option<Handler> {
    let size = operand_size(i, 0);
    Some(match form(i)? {
        Form::RegReg => by_size!(size, reg_reg, O),
        Form::RegMem => by_size!(size, reg_mem, O),
        Form::MemReg => by_size!(size, mem_reg, O),
        Form::RegImm => by_size!(size, reg_imm, O),
        Form::MemImm => by_size!(size, mem_imm, O),
    })
}

fn unary<O: Unary>(i: &Instruction) -> Handler {
    let size = operand_size(i, 0);
    if in_memory(i) { by_size!(size, unary_mem, O) } else { by_size!(size, unary_reg, O) }
}

fn reg_reg<O: Binary, T: Word>(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    let b = cpu.gpr.get::<T>(insn.op[1]);
    to_reg::<O, T>(cpu, insn, b)
}

fn reg_mem<O: Binary, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let b = cpu.read::<T>(biu, insn.segment, insn.ea(&cpu.gpr))?;
    to_reg::<O, T>(cpu, insn, b)
}

fn reg_imm<O: Binary, T: Word>(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    to_reg::<O, T>(cpu, insn, T::from_u64(insn.imm))
}

fn mem_reg<O: Binary, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let b = cpu.gpr.get::<T>(insn.op[1]);
    to_mem::<O, T>(cpu, biu, insn, b)
}

fn mem_imm<O: Binary, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    to_mem::<O, T>(cpu, biu, insn, T::from_u64(insn.imm))
}

#[inline(always)]
fn to_reg<O: Binary, T: Word>(cpu: &mut Cpu, insn: &Insn, b: T) -> Outcome {
    let a = cpu.gpr.get::<T>(insn.op[0]);
    let r = O::apply(&mut cpu.eflags, a, b);
    if O::STORES {
        cpu.gpr.set(insn.op[0], r);
    }
    Ok(())
}

#[inline(always)]
fn to_mem<O: Binary, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, b: T) -> Outcome {
    let ea = insn.ea(&cpu.gpr);
    if O::STORES {
        return cpu.modify::<T>(biu, insn.segment, ea, |f, a| O::apply(f, a, b));
    }
    let a = cpu.read::<T>(biu, insn.segment, ea)?;
    O::apply(&mut cpu.eflags, a, b);
    Ok(())
}

fn unary_reg<O: Unary, T: Word>(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    let a = cpu.gpr.get::<T>(insn.op[0]);
    let r = O::apply(&mut cpu.eflags, a);
    cpu.gpr.set(insn.op[0], r);
    Ok(())
}

fn unary_mem<O: Unary, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    cpu.modify::<T>(biu, insn.segment, insn.ea(&cpu.gpr), |f, a| O::apply(f, a))
}
