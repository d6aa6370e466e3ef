//! Bit instructions: BT, BTS, BTR, BTC, BSF, BSR.
//!
//! SDM Vol. 1, "Bit and Byte Instructions". BSF and BSR leave the destination alone when the source is zero, as
//! every processor does and AMD's manual promises. Of the flags that the manual leaves undefined, BT and kin
//! keep all; BSF and BSR set PF by the result and clear CF, OF, AF and SF, as AMD's Zen processors do.

use super::form::{InMemory, InRegister, Place, by_size_16_32, in_memory, operand_size};
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::Outcome;
use crate::state::eflags::{Eflags, bit};
use crate::state::gpr::Word;
use iced_x86::{Instruction, Mnemonic, OpKind};

/// What becomes of the tested bit.
pub trait Change {
    /// Whether the operand is written.
    const STORES: bool = true;
    /// The operand with the bit of `mask` changed.
    fn apply(operand: u64, mask: u64) -> u64;
}

macro_rules! change {
    ($($(#[$doc:meta])* $name:ident, $stores:expr, |$v:ident, $mask:ident| $body:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;
        impl Change for $name {
            const STORES: bool = $stores;
            #[inline(always)]
            fn apply($v: u64, $mask: u64) -> u64 {
                $body
            }
        }
    )*};
}

change! {
    /// BT.
    Test, false, |v, _mask| v;
    /// BTS.
    Set, true, |v, mask| v | mask;
    /// BTR.
    Reset, true, |v, mask| v & !mask;
    /// BTC.
    Complement, true, |v, mask| v ^ mask;
}

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    let from_memory = i.op1_kind() == OpKind::Memory;
    let size = operand_size(i, 0);
    Some(match i.mnemonic() {
        Mnemonic::Bt => test::<Test>(i),
        Mnemonic::Bts => test::<Set>(i),
        Mnemonic::Btr => test::<Reset>(i),
        Mnemonic::Btc => test::<Complement>(i),
        Mnemonic::Bsf if from_memory => by_size_16_32!(size, scan, Forward, InMemory),
        Mnemonic::Bsf => by_size_16_32!(size, scan, Forward, InRegister<1>),
        Mnemonic::Bsr if from_memory => by_size_16_32!(size, scan, Reverse, InMemory),
        Mnemonic::Bsr => by_size_16_32!(size, scan, Reverse, InRegister<1>),
        _ => return None,
    })
}

fn test<C: Change>(i: &Instruction) -> Handler {
    let size = operand_size(i, 0);
    match (in_memory(i), i.op1_kind() == OpKind::Register) {
        (false, true) => by_size_16_32!(size, bit_by_register, C),
        (false, false) => by_size_16_32!(size, bit_by_immediate, C, InRegister<0>),
        (true, true) => by_size_16_32!(size, bit_in_string, C),
        (true, false) => by_size_16_32!(size, bit_by_immediate, C, InMemory),
    }
}

/// CF becomes bit `offset` (modulo the width) of `v`; gives `v` changed.
#[inline(always)]
fn change<C: Change, T: Word>(f: &mut Eflags, v: T, offset: u64) -> T {
    let mask = 1 << (offset & (T::BITS as u64 - 1));
    f.set_cf(v.zx() & mask != 0);
    T::from_u64(C::apply(v.zx(), mask))
}

fn bit_by_register<C: Change, T: Word>(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    let offset = cpu.gpr.get::<T>(insn.op[1]).zx();
    let v = cpu.gpr.get::<T>(insn.op[0]);
    let new = change::<C, T>(&mut cpu.eflags, v, offset);
    if C::STORES {
        cpu.gpr.set(insn.op[0], new);
    }
    Ok(())
}

fn bit_by_immediate<C: Change, P: Place, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    if C::STORES {
        return P::modify::<T>(cpu, biu, insn, |f, v| change::<C, T>(f, v, insn.imm));
    }
    let v = P::read::<T>(cpu, biu, insn)?;
    change::<C, T>(&mut cpu.eflags, v, insn.imm);
    Ok(())
}

/// The offset counts, signed, from the operand's address and reaches beyond the operand. SDM Vol. 2A, "BT".
fn bit_in_string<C: Change, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let offset = cpu.gpr.get::<T>(insn.op[1]).sx();
    let words = offset as i64 >> T::BITS.trailing_zeros();
    let at = insn.ea(&cpu.gpr).wrapping_add((words * T::BYTES as i64) as u64) & insn.address_mask();
    if C::STORES {
        return cpu.modify::<T>(biu, insn.segment, at, |f, v| change::<C, T>(f, v, offset));
    }
    let v = cpu.read::<T>(biu, insn.segment, at)?;
    change::<C, T>(&mut cpu.eflags, v, offset);
    Ok(())
}

/// BSF or BSR.
pub trait Scan {
    /// The index of the bit that is found in `v`, which is not zero.
    fn find(v: u64) -> u32;
}

/// BSF.
#[derive(Clone, Copy, Debug)]
pub struct Forward;
impl Scan for Forward {
    #[inline(always)]
    fn find(v: u64) -> u32 {
        v.trailing_zeros()
    }
}

/// BSR.
#[derive(Clone, Copy, Debug)]
pub struct Reverse;
impl Scan for Reverse {
    #[inline(always)]
    fn find(v: u64) -> u32 {
        63 - v.leading_zeros()
    }
}

fn scan<S: Scan, P: Place, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let v = P::read::<T>(cpu, biu, insn)?.zx();
    if v == 0 {
        cpu.eflags.set_arithmetic(bit::ZF | bit::PF);
        return Ok(());
    }
    let index = S::find(v);
    cpu.gpr.set(insn.op[0], T::from_u64(index as u64));
    cpu.eflags.set_arithmetic(if index.count_ones() % 2 == 0 { bit::PF } else { 0 });
    Ok(())
}
