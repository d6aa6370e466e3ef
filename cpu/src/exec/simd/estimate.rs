//! RCPPS, RCPSS, RSQRTPS, RSQRTSS: reciprocals and reciprocal square roots to about 12 bits, without exceptions.
//!
//! SDM Vol. 2B, "RCPPS", "RSQRTPS". The exact result is rounded to 12 significant bits, to the nearest: division
//! and square root of doubles, which are the same on every host, are more than exact enough to round from. MXCSR
//! matters for nothing: denormal operands count as zeros, and results below the normal range become zeros.

use super::float::{Numeric, packed, scalar_single};
use super::lanes::{map, zip_all};
use crate::decode::insn::Handler;
use crate::softfloat::sse::{HostFormat, Mxcsr};
use crate::softfloat::{Class, Env, F32, Format, Operand};
use iced_x86::{Instruction, Mnemonic};
use std::marker::PhantomData;

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    Some(match i.mnemonic() {
        Mnemonic::Rcpps => packed::<Estimate<Reciprocal>, F32>(i),
        Mnemonic::Rcpss => scalar_single::<Estimate<Reciprocal>>(i),
        Mnemonic::Rsqrtps => packed::<Estimate<ReciprocalSquareRoot>, F32>(i),
        Mnemonic::Rsqrtss => scalar_single::<Estimate<ReciprocalSquareRoot>>(i),
        _ => return None,
    })
}

/// What is estimated.
trait Function {
    /// Whether it has a value below zero.
    const ODD: bool;
    /// Its value for a positive number.
    fn value(x: f64) -> f64;
}

struct Reciprocal;
impl Function for Reciprocal {
    const ODD: bool = true;
    fn value(x: f64) -> f64 {
        1.0 / x
    }
}

struct ReciprocalSquareRoot;
impl Function for ReciprocalSquareRoot {
    const ODD: bool = false;
    fn value(x: f64) -> f64 {
        1.0 / x.sqrt()
    }
}

struct Estimate<O>(PhantomData<O>);

impl<O: Function> Numeric<F32> for Estimate<O> {
    #[inline(always)]
    fn attempt<const N: usize>(a: [u8; N], b: [u8; N], _: u8, _: Mxcsr) -> ([u8; N], bool) {
        zip_all(a, b, |_, x| attempt::<O>(x))
    }

    fn exact<const N: usize>(_: [u8; N], b: [u8; N], _: u8, _: &mut Env) -> [u8; N] {
        map(b, estimate::<O>)
    }
}

/// The estimate for a number that has an ordinary one; whether it does.
#[inline(always)]
fn attempt<O: Function>(x: F32) -> (F32, bool) {
    let magnitude = f64::from(x.to_host().abs());
    let rounded = to_12_bits(O::value(magnitude)) as f32;
    let result = F32::from_host(if O::ODD { rounded.copysign(x.to_host()) } else { rounded });
    let has_value = O::ODD | x.to_host().is_sign_positive();
    (result, x.is_zero_or_normal() & !x.is_zero() & has_value & (rounded >= f32::MIN_POSITIVE))
}

fn estimate<O: Function>(x: F32) -> F32 {
    let operand = Operand::from(x);
    let sign = operand.sign();
    match operand.class() {
        Class::QuietNan | Class::SignalingNan | Class::Unsupported => F32::nan(operand),
        Class::Zero | Class::Denormal => F32::infinity(sign),
        Class::Normal | Class::Infinity if sign && !O::ODD => F32::indefinite(),
        Class::Infinity => F32::zero(sign),
        Class::Normal => match attempt::<O>(x) {
            (result, true) => result,
            _ => F32::zero(sign),
        },
    }
}

/// The nearest positive number of 12 significant bits.
#[inline(always)]
fn to_12_bits(x: f64) -> f64 {
    const DROPPED: u32 = f64::MANTISSA_DIGITS - 12;
    let half = 1u64 << (DROPPED - 1);
    f64::from_bits(x.to_bits().wrapping_add(half) & !0 << DROPPED)
}
