//! FSCALE and FXTRACT: arithmetic on exponents.

use super::convert::integral;
use super::env::{Env, Flags, Rounding};
use super::format::{Class, F80, Format, Operand};
use super::round::{invalid, nan_result, round_to, specials};
use super::wide::Wide;

/// FSCALE: `a` times two to the power of `b` truncated to an integer (SDM Vol. 2A, "FSCALE", "FSCALE Results").
pub fn scale(a: F80, b: F80, env: &mut Env) -> F80 {
    let undefined = |x: &Operand, y: &Operand, env: &mut Env| match (x.class, y.class) {
        (Class::Infinity, Class::Infinity) if y.sign => Some(invalid(env)),
        (Class::Zero, Class::Infinity) if !y.sign => Some(invalid(env)),
        _ => None,
    };
    let (x, y) = match specials(a.into(), b.into(), env, undefined) {
        Ok(operands) => operands,
        Err(result) => return result,
    };
    match (x.class, y.class) {
        (Class::Infinity, _) | (Class::Zero, _) => a,
        (_, Class::Infinity) if y.sign => F80::zero(x.sign),
        (_, Class::Infinity) => F80::infinity(x.sign),
        _ => {
            // Far beyond what exponents can make up for.
            const LIMIT: u64 = 1 << 17;
            let steps = integral(&y, Rounding::Zero).map_or(LIMIT, |i| i.magnitude.min(LIMIT)) as i32;
            let exponent = x.exponent + if y.sign { -steps } else { steps };
            round_to(Wide { exponent, ..Wide::of(x) }, F80::PRECISION, F80::UNMASKED, env)
        }
    }
}

/// What FXTRACT makes of one number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extracted {
    /// The sign and significand with an exponent of zero: the new top of the stack.
    pub significand: F80,
    /// The exponent as a number: what the operand is replaced by.
    pub exponent: F80,
}

/// FXTRACT (SDM Vol. 2A, "FXTRACT").
pub fn extract(a: F80, env: &mut Env) -> Extracted {
    let x = Operand::from(a);
    if let Some(nan) = nan_result(x, Operand::from(0), env) {
        return Extracted { significand: nan, exponent: nan };
    }
    match x.class {
        Class::Infinity => Extracted { significand: a, exponent: F80::infinity(false) },
        Class::Zero => {
            env.raise(Flags::ZERO_DIVIDE);
            Extracted { significand: a, exponent: F80::infinity(true) }
        }
        _ => {
            if x.class == Class::Denormal {
                env.raise(Flags::DENORMAL);
            }
            let significand = F80::encode(x.sign, F80::BIAS, x.significand);
            Extracted { significand, exponent: super::convert::from_integer(x.exponent.into()) }
        }
    }
}
