//! Conversions between the formats, to and from integers, and rounding to an integer.

use super::env::{Env, Flags, Rounding};
use super::format::{Class, F80, Format, Operand, Unmasked};
use super::round::{denormal_as_zero, invalid, nan_result, round_to};
use super::wide::Wide;

/// Converts between formats as an arithmetic instruction does (CVTSS2SD, CVTSD2SS, CVTSI2SS ...): a denormal
/// operand raises DE.
pub fn convert<F: Format>(a: impl Into<Operand>, env: &mut Env) -> F {
    let x = denormal_as_zero(a.into(), env);
    if x.class == Class::Denormal && env.denormal_stops() {
        return F::zero(false);
    }
    narrow(x, F::UNMASKED, env)
}

/// FLD m32/m64: widens exactly, whatever precision control says. A signaling NaN is invalid and becomes quiet.
///
/// A denormal raises DE but is loaded even if that is unmasked.
pub fn load(a: impl Into<Operand>, env: &mut Env) -> F80 {
    let x = a.into();
    if x.class == Class::Denormal {
        env.raise(Flags::DENORMAL);
    }
    narrow(x, F80::UNMASKED, env)
}

/// FST m32/m64: rounds to `F`, whatever precision control says. A denormal operand raises nothing of itself.
///
/// With an unmasked overflow or underflow the value returned must not be stored.
pub fn store<F: Format>(a: F80, env: &mut Env) -> F {
    narrow(a.into(), Unmasked::Unrounded, env)
}

fn narrow<F: Format>(x: Operand, unmasked: Unmasked, env: &mut Env) -> F {
    if let Some(nan) = nan_result(x, Operand::from(0), env) {
        return nan;
    }
    match x.class {
        Class::Zero => F::zero(x.sign),
        Class::Infinity => F::infinity(x.sign),
        _ => round_to(Wide::of(x), F::PRECISION, unmasked, env),
    }
}

/// A signed integer format of FIST, FISTTP and the SSE conversions.
pub trait Integer: Copy {
    /// The integer indefinite: the most negative value.
    const INDEFINITE: Self;
    /// `value` if this format has it.
    fn exactly(value: i128) -> Option<Self>;
}

macro_rules! integer {
    ($($format:ty),*) => {$(
        impl Integer for $format {
            const INDEFINITE: Self = Self::MIN;
            fn exactly(value: i128) -> Option<Self> {
                value.try_into().ok()
            }
        }
    )*};
}
integer!(i16, i32, i64);

/// Converts to an integer, rounding by `rounding` (which for the truncating instructions is not that of `env`).
/// NaNs, infinities and whatever the format cannot hold are invalid and give the integer indefinite.
pub fn to_integer<I: Integer>(a: impl Into<Operand>, rounding: Rounding, env: &mut Env) -> I {
    let x = denormal_as_zero(a.into(), env);
    let converted = integral(&x, rounding);
    match converted.and_then(|parts| I::exactly(parts.value(x.sign)).map(|value| (parts, value))) {
        Some((parts, value)) => {
            parts.raise_inexact(env);
            value
        }
        None => {
            env.raise(Flags::INVALID);
            I::INDEFINITE
        }
    }
}

/// FRNDINT. Unlike the other roundings it takes notice of a denormal operand.
pub fn frndint(a: F80, env: &mut Env) -> F80 {
    let denormal = Operand::from(a).class == Class::Denormal;
    if denormal && env.denormal_stops() { a } else { round_to_integral(a, env.rounding, env) }
}

/// Rounds to an integer in the same format (ROUNDSS, ROUNDSD). A result of zero keeps the sign.
pub fn round_to_integral<F: Format>(a: F, rounding: Rounding, env: &mut Env) -> F {
    let x = denormal_as_zero(a.into(), env);
    if let Some(nan) = nan_result(x, Operand::from(0), env) {
        return nan;
    }
    match x.class {
        Class::Zero => F::zero(x.sign),
        Class::Infinity => F::infinity(x.sign),
        _ if x.exponent >= 63 => F::encode(x.sign, x.exponent + F::BIAS, x.significand),
        _ => match integral(&x, rounding) {
            Some(parts) => {
                parts.raise_inexact(env);
                integer_valued(x.sign, parts.magnitude)
            }
            None => invalid(env),
        },
    }
}

/// FILD: exactly, whatever precision control says.
pub fn from_integer(value: i64) -> F80 {
    integer_valued(value < 0, value.unsigned_abs())
}

/// The number `magnitude`, which must have no more bits than the significand of `F`.
fn integer_valued<F: Format>(sign: bool, magnitude: u64) -> F {
    if magnitude == 0 {
        return F::zero(sign);
    }
    let shift = magnitude.leading_zeros();
    F::encode(sign, 63 - shift as i32 + F::BIAS, magnitude << shift)
}

/// A magnitude rounded to an integer.
pub(super) struct Integral {
    pub magnitude: u64,
    inexact: bool,
    up: bool,
}

impl Integral {
    fn value(&self, sign: bool) -> i128 {
        let magnitude = i128::from(self.magnitude);
        if sign { -magnitude } else { magnitude }
    }

    pub fn raise_inexact(&self, env: &mut Env) {
        if self.inexact {
            env.raise(if self.up { Flags::PRECISION | Flags::ROUNDED_UP } else { Flags::PRECISION });
        }
    }
}

/// The magnitude of `x` as an integer; none if `x` has no finite value or is 2^64 or more.
pub(super) fn integral(x: &Operand, rounding: Rounding) -> Option<Integral> {
    let exact = |magnitude| Some(Integral { magnitude, inexact: false, up: false });
    let (floor, rest) = match x.class {
        Class::Zero => return exact(0),
        Class::Normal | Class::Denormal => match x.exponent {
            64.. => return None,
            63 => return exact(x.significand),
            0..63 => (x.significand >> (63 - x.exponent), x.significand << (x.exponent + 1)),
            // Below 1/2 only the fact that something is there matters.
            -1 => (0, x.significand),
            _ => (0, 1),
        },
        Class::Infinity | Class::QuietNan | Class::SignalingNan | Class::Unsupported => return None,
    };
    let up = rounding.increments(x.sign, floor & 1 != 0, rest);
    Some(Integral { magnitude: floor + u64::from(up), inexact: rest != 0, up })
}

/// The packed BCD indefinite (SDM Vol. 1, "Packed BCD Integer Encodings").
pub const BCD_INDEFINITE: [u8; 10] = [0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff];

/// FBLD: eighteen packed decimal digits and a sign, least significant first; always exact.
///
/// The encoding is not checked: a digit of 10 to 15 counts with its value.
pub fn from_bcd(bytes: [u8; 10]) -> F80 {
    let [digits @ .., sign] = bytes;
    let magnitude = digits.iter().rev().fold(0u64, |n, &pair| {
        n.wrapping_mul(100).wrapping_add(u64::from(pair >> 4) * 10 + u64::from(pair & 15))
    });
    integer_valued(sign & 0x80 != 0, magnitude)
}

/// FBSTP: rounds to an integer of at most eighteen digits; anything else is invalid and gives the packed BCD
/// indefinite.
pub fn to_bcd(a: F80, env: &mut Env) -> [u8; 10] {
    let x = Operand::from(a);
    let Some(parts) = integral(&x, env.rounding).filter(|i| i.magnitude < 10u64.pow(18)) else {
        env.raise(Flags::INVALID);
        return BCD_INDEFINITE;
    };
    parts.raise_inexact(env);
    let mut bytes = [0; 10];
    let (digits, sign) = bytes.split_at_mut(9);
    let mut rest = parts.magnitude;
    for pair in digits {
        let two = (rest % 100) as u8;
        *pair = ((two / 10) << 4) | (two % 10);
        rest /= 100;
    }
    sign[0] = u8::from(x.sign) << 7;
    bytes
}
