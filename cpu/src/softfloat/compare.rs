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
pub fn compare(
    a: impl Into<Operand>,
    b: impl Into<Operand>,
    quiet: Quiet,
    env: &mut Env,
) -> Option<Ordering> {
    let (x, y) = (denormal_as_zero(a.into(), env), denormal_as_zero(b.into(), env));
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
    Some(signed_rank(&x).cmp(&signed_rank(&y)))
}

/// A number that orders operands which are no NaNs as their values are ordered.
fn signed_rank(x: &Operand) -> i128 {
    let magnitude = match x.class {
        Class::Zero => 0,
        Class::Infinity => i128::MAX,
        // Every exponent lies within 2^16 of zero.
        _ => i128::from(x.exponent + (1 << 16)) << 64 | i128::from(x.significand),
    };
    if x.sign { -magnitude } else { magnitude }
}
