//! Rounding an exact or sticky-tailed result to a format, with overflow and underflow.
//!
//! SDM Vol. 1, "Numeric Overflow Exception", "Numeric Underflow Exception", "Inexact-Result (Precision)
//! Exception": tininess is detected after rounding, and the response depends on the mask.

use super::env::{Env, Flags, Rounding};
use super::format::{Class, Format, INTEGER_BIT, NanRule, Operand, Unmasked};
use super::wide::{Wide, shift_right_sticky};

/// A significand rounded to some width: left-aligned in 64 bits, or carried out to the next exponent.
struct Rounded {
    significand: u64,
    carry: bool,
    up: bool,
    inexact: bool,
}

/// Rounds `high:low / 2^64` to the upper `precision` bits of `high`. `high` need not be normalized.
#[inline]
fn round_significand(rounding: Rounding, sign: bool, high: u64, low: u64, precision: u32) -> Rounded {
    let (unit, kept, rest) = if precision == 64 {
        (1, high, low)
    } else {
        let unit = 1u64 << (64 - precision);
        (unit, high & unit.wrapping_neg(), high << precision | u64::from(low != 0))
    };
    let up = rounding.increments(sign, kept & unit != 0, rest);
    let (sum, carry) = kept.overflowing_add(if up { unit } else { 0 });
    Rounded { significand: if carry { INTEGER_BIT } else { sum }, carry, up, inexact: rest != 0 }
}

/// Rounds the result of arithmetic, for x87 as precision control says.
#[inline]
pub(super) fn round<F: Format>(exact: Wide, env: &mut Env) -> F {
    round_to(exact, F::precision(env), F::UNMASKED, env)
}

/// Rounds to `precision` bits and to the exponent range of `F`.
///
/// Where an unmasked overflow or underflow withholds the result, the value returned has no meaning.
#[inline]
pub(super) fn round_to<F: Format>(exact: Wide, precision: u32, unmasked: Unmasked, env: &mut Env) -> F {
    let Wide { sign, exponent, significand } = exact;
    let (high, low) = ((significand >> 64) as u64, significand as u64);
    let rounded = round_significand(env.rounding, sign, high, low, precision);
    let exponent = exponent + i32::from(rounded.carry);
    if exponent < F::EMIN || exponent > F::EMAX {
        return out_of_range(exact, rounded, exponent, precision, unmasked, env);
    }
    deliver(sign, exponent + F::BIAS, &rounded, env)
}

#[inline]
fn deliver<F: Format>(sign: bool, biased: i32, rounded: &Rounded, env: &mut Env) -> F {
    if rounded.inexact {
        env.raise(if rounded.up { Flags::PRECISION | Flags::ROUNDED_UP } else { Flags::PRECISION });
    }
    F::encode(sign, biased, rounded.significand)
}

#[cold]
fn out_of_range<F: Format>(
    exact: Wide,
    rounded: Rounded,
    exponent: i32,
    precision: u32,
    unmasked: Unmasked,
    env: &mut Env,
) -> F {
    let sign = exact.sign;
    let overflow = exponent > F::EMAX;
    let exception = if overflow { Flags::OVERFLOW } else { Flags::UNDERFLOW };
    if !env.masks(exception) {
        env.raise(exception);
        match unmasked {
            Unmasked::Adjusted(by) => {
                let adjusted = if overflow { exponent - by } else { exponent + by };
                return if (F::EMIN..=F::EMAX).contains(&adjusted) {
                    deliver(sign, adjusted + F::BIAS, &rounded, env)
                } else {
                    beyond_adjustment(sign, overflow, env)
                };
            }
            Unmasked::Withheld => return deliver(sign, 0, &rounded, env),
            Unmasked::Unrounded => return F::zero(sign),
        }
    }
    if overflow { overflowed(sign, precision, env) } else { denormalized(exact, precision, env) }
}

/// The unmasked response where not even the adjusted exponent is in range, as only FSCALE brings it about:
/// infinity or zero (SDM Vol. 2A, "FSCALE"), in every rounding mode.
fn beyond_adjustment<F: Format>(sign: bool, overflow: bool, env: &mut Env) -> F {
    if overflow {
        env.raise(Flags::PRECISION | Flags::ROUNDED_UP);
        F::infinity(sign)
    } else {
        env.raise(Flags::PRECISION);
        F::zero(sign)
    }
}

/// The masked response to overflow, by rounding mode.
fn overflowed<F: Format>(sign: bool, precision: u32, env: &mut Env) -> F {
    env.raise(Flags::OVERFLOW | Flags::PRECISION);
    let to_infinity = match env.rounding {
        Rounding::NearestEven => true,
        Rounding::Down => sign,
        Rounding::Up => !sign,
        Rounding::Zero => false,
    };
    if to_infinity {
        env.raise(Flags::ROUNDED_UP);
        F::infinity(sign)
    } else {
        F::encode(sign, F::EMAX + F::BIAS, (1u64 << (64 - precision)).wrapping_neg())
    }
}

/// The masked response to underflow: a denormal, rounded where its format (or precision control) ends, or zero.
fn denormalized<F: Format>(exact: Wide, precision: u32, env: &mut Env) -> F {
    if env.flush_to_zero {
        env.raise(Flags::UNDERFLOW | Flags::PRECISION);
        return F::zero(exact.sign);
    }
    let shifted = shift_right_sticky(exact.significand, F::EMIN.wrapping_sub(exact.exponent) as u32);
    let (high, low) = ((shifted >> 64) as u64, shifted as u64);
    let rounded = round_significand(env.rounding, exact.sign, high, low, precision);
    if rounded.inexact {
        env.raise(Flags::UNDERFLOW);
    }
    let biased = i32::from(rounded.significand & INTEGER_BIT != 0);
    deliver(exact.sign, biased, &rounded, env)
}

/// The result of an operation that nothing defines: INVALID, and the indefinite.
pub(super) fn invalid<F: Format>(env: &mut Env) -> F {
    env.raise(Flags::INVALID);
    F::indefinite()
}

/// The result for the first of `operands` that is a NaN or no number at all, if one is.
///
/// SDM Vol. 1, "Rules for Handling NaNs" (table). Signs of operands are those of the encodings.
#[cold]
pub(super) fn nan_result<F: Format>(x: Operand, y: Operand, env: &mut Env) -> Option<F> {
    if x.class == Class::Unsupported || y.class == Class::Unsupported {
        return Some(invalid(env));
    }
    if x.class == Class::SignalingNan || y.class == Class::SignalingNan {
        env.raise(Flags::INVALID);
    }
    let chosen = match (x.is_nan(), y.is_nan()) {
        (false, false) => return None,
        (true, false) => x,
        (false, true) => y,
        (true, true) => match F::NAN_RULE {
            NanRule::First => x,
            NanRule::LargerSignificand => {
                let rank = |nan: &Operand| (nan.class == Class::QuietNan, nan.significand, !nan.sign);
                if rank(&y) > rank(&x) { y } else { x }
            }
        },
    };
    Some(F::nan(chosen))
}

/// Sorts out the operands that are not ordinary numbers: NaNs and unsupported encodings give a result at once;
/// denormals become zeros under DAZ, else raise DE, which while unmasked ends the operation.
///
/// `settled` is asked about what remains before denormals are looked at, since an invalid operation or a division
/// by zero precedes them (SDM Vol. 1, "Floating-Point Exception Priority").
#[cold]
pub(super) fn specials<F: Format>(
    mut x: Operand,
    mut y: Operand,
    env: &mut Env,
    settled: impl FnOnce(&Operand, &Operand, &mut Env) -> Option<F>,
) -> Result<(Operand, Operand), F> {
    if let Some(result) = nan_result(x, y, env) {
        return Err(result);
    }
    x = denormal_as_zero(x, env);
    y = denormal_as_zero(y, env);
    if let Some(result) = settled(&x, &y, env) {
        return Err(result);
    }
    if (x.class == Class::Denormal || y.class == Class::Denormal) && env.denormal_stops() {
        return Err(F::zero(false));
    }
    Ok((x, y))
}

/// `x`, or under DAZ the zero that a denormal counts as.
pub(super) fn denormal_as_zero(x: Operand, env: &Env) -> Operand {
    if x.class == Class::Denormal && env.denormals_are_zero {
        Operand::new(Class::Zero, x.sign, 0, 0)
    } else {
        x
    }
}
