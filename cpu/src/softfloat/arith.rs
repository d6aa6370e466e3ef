//! Addition, subtraction, multiplication, division and square root: exact, then rounded once.

use super::env::{Env, Flags, Rounding};
use super::format::{Class, Format, Operand};
use super::round::{invalid, round, specials};
use super::wide::{Wide, shift_right_sticky};

/// `a + b`.
#[inline]
pub fn add<F: Format>(a: impl Into<Operand>, b: impl Into<Operand>, env: &mut Env) -> F {
    sum(a.into(), b.into(), false, env)
}

/// `a - b`.
#[inline]
pub fn sub<F: Format>(a: impl Into<Operand>, b: impl Into<Operand>, env: &mut Env) -> F {
    sum(a.into(), b.into(), true, env)
}

/// `a * b`.
#[inline]
pub fn mul<F: Format>(a: impl Into<Operand>, b: impl Into<Operand>, env: &mut Env) -> F {
    let (mut x, mut y) = (a.into(), b.into());
    if x.class != Class::Normal || y.class != Class::Normal {
        let undefined = |x: &Operand, y: &Operand, env: &mut Env| match (x.class, y.class) {
            (Class::Zero, Class::Infinity) | (Class::Infinity, Class::Zero) => Some(invalid(env)),
            _ => None,
        };
        (x, y) = match specials(x, y, env, undefined) {
            Ok(operands) => operands,
            Err(result) => return result,
        };
        let sign = x.sign ^ y.sign;
        if x.class == Class::Infinity || y.class == Class::Infinity {
            return F::infinity(sign);
        }
        if x.class == Class::Zero || y.class == Class::Zero {
            return F::zero(sign);
        }
    }
    let product = u128::from(x.significand) * u128::from(y.significand);
    round(Wide::normalized(x.sign ^ y.sign, x.exponent + y.exponent + 1, product), env)
}

/// `a / b`.
#[inline]
pub fn div<F: Format>(a: impl Into<Operand>, b: impl Into<Operand>, env: &mut Env) -> F {
    let (mut x, mut y) = (a.into(), b.into());
    if x.class != Class::Normal || y.class != Class::Normal {
        let settled = |x: &Operand, y: &Operand, env: &mut Env| match (x.class, y.class) {
            (Class::Zero, Class::Zero) | (Class::Infinity, Class::Infinity) => Some(invalid(env)),
            (Class::Infinity, _) => None,
            (_, Class::Zero) => {
                env.raise(Flags::ZERO_DIVIDE);
                Some(F::infinity(x.sign ^ y.sign))
            }
            _ => None,
        };
        (x, y) = match specials(x, y, env, settled) {
            Ok(operands) => operands,
            Err(result) => return result,
        };
        let sign = x.sign ^ y.sign;
        if x.class == Class::Infinity {
            return F::infinity(sign);
        }
        if x.class == Class::Zero || y.class == Class::Infinity {
            return F::zero(sign);
        }
    }
    round(quotient(x, y), env)
}

/// The square root of `a`.
pub fn sqrt<F: Format>(a: impl Into<Operand>, env: &mut Env) -> F {
    let mut x = a.into();
    if x.class != Class::Normal || x.sign {
        let negative = |x: &Operand, _: &Operand, env: &mut Env| {
            (x.sign && x.class != Class::Zero).then(|| invalid(env))
        };
        (x, _) = match specials(x, Operand::from(0), env, negative) {
            Ok(operands) => operands,
            Err(result) => return result,
        };
        match x.class {
            Class::Zero => return F::zero(x.sign),
            Class::Infinity => return F::infinity(false),
            _ => {}
        }
    }
    // The radicand is scaled to [2^126, 2^128) by an even power of two, so that its root has 64 bits.
    let odd = x.exponent & 1;
    let radicand = u128::from(x.significand) << (63 + odd);
    let root = radicand.isqrt();
    let remainder = radicand - root * root;
    let tail = if remainder == 0 { 0 } else { tail(remainder > root, false) };
    let significand = root << 64 | u128::from(tail);
    round(Wide { sign: false, exponent: (x.exponent - odd) / 2, significand }, env)
}

/// 64 bits that stand for a discarded part which is not zero: above half a unit, exactly half, or below.
fn tail(above_half: bool, half: bool) -> u64 {
    match (above_half, half) {
        (true, _) => 1 << 63 | 1,
        (_, true) => 1 << 63,
        _ => 1,
    }
}

/// The quotient of two finite operands that are not zero.
#[inline]
fn quotient(x: Operand, y: Operand) -> Wide {
    let small = x.significand < y.significand;
    let numerator = u128::from(x.significand) << (63 + u32::from(small));
    let divisor = u128::from(y.significand);
    let (quotient, remainder) = (numerator / divisor, numerator % divisor);
    let twice = remainder << 1;
    let tail = if remainder == 0 { 0 } else { tail(twice > divisor, twice == divisor) };
    let exponent = x.exponent - y.exponent - i32::from(small);
    Wide { sign: x.sign ^ y.sign, exponent, significand: quotient << 64 | u128::from(tail) }
}

/// `x + y`, or `x - y` if `subtract`. A NaN operand keeps its sign in either.
#[inline]
fn sum<F: Format>(mut x: Operand, mut y: Operand, subtract: bool, env: &mut Env) -> F {
    if x.class != Class::Normal || y.class != Class::Normal {
        let undefined = |x: &Operand, y: &Operand, env: &mut Env| {
            let infinities = x.class == Class::Infinity && y.class == Class::Infinity;
            (infinities && x.sign != (y.sign ^ subtract)).then(|| invalid(env))
        };
        (x, y) = match specials(x, y, env, undefined) {
            Ok(operands) => operands,
            Err(result) => return result,
        };
        let y_sign = y.sign ^ subtract;
        match (x.class, y.class) {
            (Class::Infinity, _) => return F::infinity(x.sign),
            (_, Class::Infinity) => return F::infinity(y_sign),
            (Class::Zero, Class::Zero) if x.sign == y_sign => return F::zero(x.sign),
            (Class::Zero, Class::Zero) => return exact_zero(env),
            (Class::Zero, _) => return round(Wide::of(y.with_sign(y_sign)), env),
            (_, Class::Zero) => return round(Wide::of(x), env),
            _ => {}
        }
    }
    y.sign ^= subtract;
    if (x.exponent, x.significand) < (y.exponent, y.significand) {
        (x, y) = (y, x);
    }
    // One bit above for a carry, 63 below: the sticky bit stays under every rounding position.
    let larger = u128::from(x.significand) << 63;
    let distance = (x.exponent - y.exponent) as u32;
    let smaller = shift_right_sticky(u128::from(y.significand) << 63, distance);
    let significand = if x.sign == y.sign { larger + smaller } else { larger - smaller };
    if significand == 0 {
        return exact_zero(env);
    }
    round(Wide::normalized(x.sign, x.exponent + 1, significand), env)
}

/// The zero that is the sum of opposite numbers: negative only when rounding down.
fn exact_zero<F: Format>(env: &Env) -> F {
    F::zero(env.rounding == Rounding::Down)
}
