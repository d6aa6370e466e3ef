//! FYL2X and FYL2XP1: y times a binary logarithm. SDM Vol. 2A, "FYL2X", "FYL2XP1".

use super::{deliver, deliver_exact, inverse_odd_numbers, power_series};
use crate::softfloat::constants::LOG2_E;
use crate::softfloat::env::{Env, Flags};
use crate::softfloat::format::{Class, F80, Format, INTEGER_BIT, Operand};
use crate::softfloat::round::{invalid, specials};
use crate::softfloat::wide::Wide;

/// The coefficients of `artanh(s) / s - 1` in `s^2`, enough for `s <= (sqrt(2) - 1) / (sqrt(2) + 1)`.
const SERIES: [u128; 22] = inverse_odd_numbers();

/// The square root of two as a significand, truncated.
const SQRT_2: u128 = 0xb504f333f9de6484597d89b3754abe9f;

/// `y * log2(x)`.
pub fn fyl2x(y: F80, x: F80, env: &mut Env) -> F80 {
    let is_one = |x: &Operand| x.class == Class::Normal && x.exponent == 0 && x.significand == INTEGER_BIT;
    let settled = |x: &Operand, y: &Operand, env: &mut Env| match (x.class, y.class) {
        (Class::Zero, Class::Zero) | (Class::Infinity, Class::Zero) => Some(invalid(env)),
        (Class::Zero, Class::Infinity) => Some(F80::infinity(!y.sign)),
        (Class::Zero, _) => {
            env.raise(Flags::ZERO_DIVIDE);
            Some(F80::infinity(!y.sign))
        }
        _ if x.sign => Some(invalid(env)),
        (_, Class::Infinity) if is_one(x) => Some(invalid(env)),
        _ => None,
    };
    let (x, y) = match specials(x.into(), y.into(), env, settled) {
        Ok(operands) => operands,
        Err(result) => return result,
    };
    let below_one = x.class != Class::Infinity && x.exponent < 0;
    match (x.class, y.class) {
        (Class::Infinity, _) | (_, Class::Infinity) => F80::infinity(y.sign ^ below_one),
        (_, Class::Zero) => F80::zero(y.sign ^ below_one),
        _ if is_one(&x) => F80::zero(y.sign),
        _ => scaled_log2(Wide::of(y), Wide::of(x), env),
    }
}

/// `y * log2(x + 1)`.
///
/// The manuals define it for `|x| <= 1 - sqrt(1/2)`. It is computed for every x above -1; from there down the
/// result is x.
pub fn fyl2xp1(y: F80, x: F80, env: &mut Env) -> F80 {
    let undefined = |x: &Operand, y: &Operand, env: &mut Env| match (x.class, y.class) {
        (Class::Zero, Class::Infinity) | (Class::Infinity, Class::Zero) => Some(invalid(env)),
        (Class::Infinity, _) if x.sign => Some(invalid(env)),
        _ => None,
    };
    let original = x;
    let (x, y) = match specials(x.into(), y.into(), env, undefined) {
        Ok(operands) => operands,
        Err(result) => return result,
    };
    let sign = x.sign ^ y.sign;
    if x.class == Class::Infinity || y.class == Class::Infinity {
        return F80::infinity(sign);
    }
    if x.class == Class::Zero || y.class == Class::Zero {
        return F80::zero(sign);
    }
    if x.sign && x.exponent >= 0 {
        env.raise(Flags::PRECISION);
        return original;
    }
    let (w, factor) = (Wide::of(x), Wide::of(y));
    if x.exponent < -2 {
        let two = Wide::integer(2);
        return deliver(factor.mul(log2_of_ratio(w.div(two.add(w)))), env);
    }
    scaled_log2(factor, Wide::ONE.add(w), env)
}

/// `y * log2(x)` of finite numbers, rounded; x is positive and neither of y and the logarithm zero.
fn scaled_log2(y: Wide, x: Wide, env: &mut Env) -> F80 {
    let result = y.mul(log2(x));
    let power_of_two = x.significand == 1 << 127;
    if power_of_two { deliver_exact(result, env) } else { deliver(result, env) }
}

/// The binary logarithm of a positive number; exact for powers of two.
fn log2(x: Wide) -> Wide {
    let upper = x.significand > SQRT_2;
    let m = Wide { exponent: if upper { -1 } else { 0 }, ..x };
    let ratio = m.add(Wide::ONE.negate()).div(m.add(Wide::ONE));
    Wide::integer(x.exponent + i32::from(upper)).add(log2_of_ratio(ratio))
}

/// `log2((1 + s) / (1 - s))`, a series in `s = (m - 1) / (m + 1)`.
fn log2_of_ratio(s: Wide) -> Wide {
    let z = s.mul(s).to_fraction();
    let twice_log2_e = Wide { exponent: LOG2_E.exponent + 1, ..LOG2_E };
    s.mul(Wide::one_and_fraction(power_series(z, &SERIES))).mul(twice_log2_e)
}
