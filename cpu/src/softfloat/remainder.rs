//! FPREM and FPREM1: the partial remainder.
//!
//! SDM Vol. 2A, "FPREM" and "FPREM1". The remainder is exact. One step reduces exponents that are less than 64
//! apart completely, others by N = 32 + D mod 32, the value that AMD's Zen 5 was seen to use (the SDM leaves it
//! implementation-dependent, between 32 and 63).

use super::env::Env;
use super::format::{Class, F80, Format, Operand};
use super::round::{invalid, round_to, specials};
use super::wide::Wide;

/// How the quotient whose remainder is taken is rounded to an integer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quotient {
    /// FPREM: toward zero.
    Truncated,
    /// FPREM1: to the nearest, ties to the even one, as IEEE 754 wants it.
    Nearest,
}

/// The outcome of one step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Remainder {
    /// The remainder, or the partly reduced dividend.
    pub value: F80,
    /// The quotient's three least significant bits, for C0, C3 and C1 from bit 2 down; zero while incomplete, none
    /// if there is no quotient.
    pub quotient: Option<u8>,
    /// C2: the reduction is incomplete.
    pub incomplete: bool,
}

/// One step of reducing `a` modulo `b`.
pub fn remainder(a: F80, b: F80, rule: Quotient, env: &mut Env) -> Remainder {
    let unreduced = |value| Remainder { value, quotient: Some(0), incomplete: false };
    let undefined = |x: &Operand, y: &Operand, env: &mut Env| {
        (x.class == Class::Infinity || y.class == Class::Zero).then(|| invalid(env))
    };
    let (x, y) = match specials(a.into(), b.into(), env, undefined) {
        Ok(operands) => operands,
        Err(value) => return Remainder { value, quotient: None, incomplete: false },
    };
    if x.class == Class::Zero {
        return unreduced(a);
    }
    let deliver = |w: Wide, env: &mut Env| {
        if w.is_zero() { F80::zero(x.sign) } else { round_to(w, F80::PRECISION, F80::UNMASKED, env) }
    };
    let difference = x.exponent - y.exponent;
    // Below half the divisor the dividend is its own remainder.
    if y.class == Class::Infinity || difference < -1 {
        return unreduced(deliver(Wide::of(x), env));
    }
    if difference >= 64 {
        let step = 32 + difference % 32;
        let rest = (u128::from(x.significand) << step) % u128::from(y.significand);
        let value = deliver(Wide::normalized(x.sign, x.exponent - step + 64, rest), env);
        return Remainder { value, quotient: Some(0), incomplete: true };
    }
    // Both as multiples of the lesser unit, that of the divisor unless its exponent is larger by one.
    let unit = x.exponent.min(y.exponent);
    let dividend = u128::from(x.significand) << (x.exponent - unit);
    let divisor = u128::from(y.significand) << (y.exponent - unit);
    let (mut quotient, mut rest, mut sign) = (dividend / divisor, dividend % divisor, x.sign);
    if rule == Quotient::Nearest && (rest * 2 > divisor || (rest * 2 == divisor && quotient & 1 != 0)) {
        (quotient, rest, sign) = (quotient + 1, divisor - rest, !sign);
    }
    let value = deliver(Wide::normalized(sign, unit + 64, rest), env);
    Remainder { value, quotient: Some(quotient as u8 & 7), incomplete: false }
}
