//! Multiplication and division: MUL, IMUL, DIV, IDIV.
//!
//! SDM Vol. 1, "Binary Arithmetic Instructions". Flags that the manual leaves undefined are as AMD's Zen processors
//! leave them: a multiplication keeps SF, ZF, AF and PF; a division keeps CF and OF, sets AF and clears SF, ZF
//! and PF.

use super::form::{InMemory, InRegister, Place, by_size_16_32, by_size_to_32, in_memory, operand_size};
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::{Fault, Outcome};
use crate::state::gpr::{self, Gpr, Word};
use iced_x86::{Instruction, Mnemonic, OpKind};

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    let size = operand_size(i, 0);
    Some(match (i.mnemonic(), in_memory(i)) {
        (Mnemonic::Mul, false) => by_size_to_32!(size, widening, Unsigned, InRegister<0>),
        (Mnemonic::Mul, true) => by_size_to_32!(size, widening, Unsigned, InMemory),
        (Mnemonic::Div, false) => by_size_to_32!(size, divide, Unsigned, InRegister<0>),
        (Mnemonic::Div, true) => by_size_to_32!(size, divide, Unsigned, InMemory),
        (Mnemonic::Idiv, false) => by_size_to_32!(size, divide, Signed, InRegister<0>),
        (Mnemonic::Idiv, true) => by_size_to_32!(size, divide, Signed, InMemory),
        (Mnemonic::Imul, memory) => match (i.op_count(), memory) {
            (1, false) => by_size_to_32!(size, widening, Signed, InRegister<0>),
            (1, true) => by_size_to_32!(size, widening, Signed, InMemory),
            (2, _) if i.op1_kind() == OpKind::Memory => by_size_16_32!(size, truncating, InMemory),
            (2, _) => by_size_16_32!(size, truncating, InRegister<1>),
            _ if i.op1_kind() == OpKind::Memory => by_size_16_32!(size, truncating_imm, InMemory),
            _ => by_size_16_32!(size, truncating_imm, InRegister<1>),
        },
        _ => return None,
    })
}

/// Signed or unsigned arithmetic.
pub trait Signedness {
    /// The product of two operands of up to 32 bits.
    fn multiply<T: Word>(a: T, b: T) -> u64;
    /// Whether `product` is more than its low half extended.
    fn overflows<T: Word>(product: u64) -> bool;
    /// Quotient and remainder of a dividend of twice `T`'s width; `None` if the divisor is zero or the quotient
    /// does not fit.
    fn divide<T: Word>(dividend: u64, divisor: T) -> Option<(T, T)>;
}

/// MUL and DIV.
#[derive(Clone, Copy, Debug)]
pub struct Unsigned;
impl Signedness for Unsigned {
    #[inline(always)]
    fn multiply<T: Word>(a: T, b: T) -> u64 {
        a.zx().wrapping_mul(b.zx())
    }
    #[inline(always)]
    fn overflows<T: Word>(product: u64) -> bool {
        product != T::from_u64(product).zx()
    }
    #[inline(always)]
    fn divide<T: Word>(dividend: u64, divisor: T) -> Option<(T, T)> {
        let q = dividend.checked_div(divisor.zx())?;
        let quotient = T::from_u64(q);
        (quotient.zx() == q).then(|| (quotient, T::from_u64(dividend % divisor.zx())))
    }
}

/// IMUL and IDIV.
#[derive(Clone, Copy, Debug)]
pub struct Signed;
impl Signedness for Signed {
    #[inline(always)]
    fn multiply<T: Word>(a: T, b: T) -> u64 {
        a.sx().wrapping_mul(b.sx())
    }
    #[inline(always)]
    fn overflows<T: Word>(product: u64) -> bool {
        product != T::from_u64(product).sx()
    }
    #[inline(always)]
    fn divide<T: Word>(dividend: u64, divisor: T) -> Option<(T, T)> {
        // The dividend's own sign is at the top of twice the width.
        let shift = 64 - 2 * T::BITS;
        let (a, b) = ((dividend << shift) as i64 >> shift, divisor.sx() as i64);
        let q = a.checked_div(b)?;
        let quotient = T::from_u64(q as u64);
        (quotient.sx() == q as u64).then(|| (quotient, T::from_u64((a % b) as u64)))
    }
}

/// The accumulator of twice the width of `T`: AX, DX:AX or EDX:EAX.
#[inline(always)]
fn double_accumulator<T: Word>(gpr: &Gpr) -> u64 {
    if T::BITS == 8 {
        gpr.get::<u16>(gpr::AX) as u64
    } else {
        gpr.get::<T>(gpr::DX).zx() << T::BITS | gpr.get::<T>(gpr::AX).zx()
    }
}

/// Writes the halves of the accumulator: AL and AH, AX and DX, or EAX and EDX.
#[inline(always)]
fn set_accumulator<T: Word>(gpr: &mut Gpr, low: T, high: T) {
    gpr.set(gpr::AX, low);
    gpr.set(if T::BITS == 8 { gpr::HIGH_BYTE + gpr::AX } else { gpr::DX }, high);
}

fn widening<S: Signedness, P: Place, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let b = P::read::<T>(cpu, biu, insn)?;
    let product = S::multiply(cpu.gpr.get::<T>(gpr::AX), b);
    set_accumulator(&mut cpu.gpr, T::from_u64(product), T::from_u64(product >> T::BITS));
    let overflow = S::overflows::<T>(product);
    cpu.eflags.set_cf_of(overflow, overflow);
    Ok(())
}

fn truncating<P: Place, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let b = P::read::<T>(cpu, biu, insn)?;
    let a = cpu.gpr.get::<T>(insn.op[0]);
    multiply_to_register(cpu, insn, a, b)
}

fn truncating_imm<P: Place, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let a = P::read::<T>(cpu, biu, insn)?;
    multiply_to_register(cpu, insn, a, T::from_u64(insn.imm))
}

#[inline(always)]
fn multiply_to_register<T: Word>(cpu: &mut Cpu, insn: &Insn, a: T, b: T) -> Outcome {
    let product = Signed::multiply(a, b);
    cpu.gpr.set(insn.op[0], T::from_u64(product));
    let overflow = Signed::overflows::<T>(product);
    cpu.eflags.set_cf_of(overflow, overflow);
    Ok(())
}

fn divide<S: Signedness, P: Place, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let divisor = P::read::<T>(cpu, biu, insn)?;
    let dividend = double_accumulator::<T>(&cpu.gpr);
    let (quotient, remainder) = S::divide(dividend, divisor).ok_or(Fault::DE)?;
    set_accumulator(&mut cpu.gpr, quotient, remainder);
    let (cf, of) = (cpu.eflags.cf(), cpu.eflags.of());
    // Any positive result of odd parity stands for SF, ZF and PF clear.
    cpu.eflags.set_result(1u8, cf, of, true);
    Ok(())
}
