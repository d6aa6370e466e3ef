//! Comparison.

use std::cmp::Ordering;

use super::env::{Env, Flags};
use super::format::{Class, Operand};
use super::round::denormal_as_zero;

/// How a comparison treats quiet NaNs; both kinds take exception to signaling NaNs and unsupported encodings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quiet {
    /// FUCOM, FUCOMI, UCOMISS and the CMPSS predicates that "signal no": a quiet NaN raises nothing.
    Accepted,
    /// FCOM, FCOMI, FTST, COMISS and the CMPSS predicates that "signal": a quiet NaN is invalid.
    Invalid,
}

/// Compares `a` with `b`; `None` is unordered.
#[inline]
pub fn compare(
    a: impl Into<Operand>,
    b: impl Into<Operand>,
    quiet: Quiet,
    env: &mut Env,
) -> Option<Ordering> {
    let (x, y) = (a.into(), b.into());
    if x.class == Class::Normal && y.class == Class::Normal {
        return Some(order(&x, &y));
    }
    compare_special(denormal_as_zero(x, env), denormal_as_zero(y, env), quiet, env)
}

#[cold]
fn compare_special(x: Operand, y: Operand, quiet: Quiet, env: &mut Env) -> Option<Ordering> {
    let any = |class| x.class == class || y.class == class;
    let invalid = any(Class::Unsupported) || any(Class::SignalingNan);
    if invalid || any(Class::QuietNan) {
        if invalid || quiet == Quiet::Invalid {
            env.raise(Flags::INVALID);
        }
        return None;
    }
    if any(Class::Denormal) {
        env.raise(Flags::DENORMAL);
    }
    if x.class == Class::Zero && y.class == Class::Zero {
        return Some(Ordering::Equal);
    }
    let with_rank = |x: Operand| match x.class {
        Class::Zero => Operand { exponent: i32::MIN, ..x },
        Class::Infinity => Operand { exponent: i32::MAX, ..x },
        _ => x,
    };
    Some(order(&with_rank(x), &with_rank(y)))
}

/// The order of two numbers whose magnitudes compare by exponent and significand.
#[inline]
fn order(x: &Operand, y: &Operand) -> Ordering {
    let magnitudes = (x.exponent, x.significand).cmp(&(y.exponent, y.significand));
    match (x.sign, y.sign) {
        (false, false) => magnitudes,
        (true, true) => magnitudes.reverse(),
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
    }
}
