//! FSIN, FCOS, FSINCOS and FPTAN. SDM Vol. 2A, "FSIN" ..., and Vol. 1, "Approximation of Pi".
//!
//! Arguments are reduced by the 66-bit pi that processors use, not by the true one: that is what software sees,
//! and a better pi would differ from every x87 near multiples of pi. With it the reduction is exact, because an
//! argument below 2^63 and not below 1/2 is a multiple of the last bit of half that pi.

use super::{alternating_series, deliver, inverse_factorials, operand};
use crate::softfloat::env::Env;
use crate::softfloat::format::{Class, F80, Operand};
use crate::softfloat::round::invalid;
use crate::softfloat::wide::{Wide, high_product};

/// Half of the 66-bit pi, in units of 2^-65.
const HALF_PI: u128 = 0x3_243f_6a88_85a3_08d3;

/// The coefficients of `1 - sin(r) / r` in `r^2`, enough for `r <= pi/4`.
const SIN: [u128; 16] = inverse_factorials(3, 2);
/// The coefficients of `1 - cos(r)` in `r^2`.
const COS: [u128; 16] = inverse_factorials(2, 2);

/// The sine of `a`, none (C2) if the magnitude of `a` is 2^63 or more.
pub fn fsin(a: F80, env: &mut Env) -> Option<F80> {
    match Argument::of(a, env) {
        Argument::Settled(result) => Some(result),
        Argument::Zero => Some(a),
        Argument::Reduced(r) => Some(deliver(r.sin(), env)),
        Argument::TooLarge => None,
    }
}

/// The cosine of `a`, none (C2) if the magnitude of `a` is 2^63 or more.
pub fn fcos(a: F80, env: &mut Env) -> Option<F80> {
    match Argument::of(a, env) {
        Argument::Settled(result) => Some(result),
        Argument::Zero => Some(F80::ONE),
        Argument::Reduced(r) => Some(deliver(r.cos(), env)),
        Argument::TooLarge => None,
    }
}

/// The sine and the cosine of `a`, none (C2) if the magnitude of `a` is 2^63 or more.
pub fn fsincos(a: F80, env: &mut Env) -> Option<(F80, F80)> {
    match Argument::of(a, env) {
        Argument::Settled(result) => Some((result, result)),
        Argument::Zero => Some((a, F80::ONE)),
        Argument::Reduced(r) => Some((deliver(r.sin(), env), deliver(r.cos(), env))),
        Argument::TooLarge => None,
    }
}

/// The tangent of `a`, and what FPTAN pushes on it: 1, or the same NaN again. None (C2) if the magnitude of `a`
/// is 2^63 or more.
pub fn fptan(a: F80, env: &mut Env) -> Option<(F80, F80)> {
    match Argument::of(a, env) {
        Argument::Settled(result) => Some((result, result)),
        Argument::Zero => Some((a, F80::ONE)),
        Argument::Reduced(r) => Some((deliver(r.tan(), env), F80::ONE)),
        Argument::TooLarge => None,
    }
}

/// What can be said of an argument before any series is summed.
enum Argument {
    /// A NaN or an exception decides the result.
    Settled(F80),
    Zero,
    Reduced(Reduced),
    TooLarge,
}

impl Argument {
    fn of(a: F80, env: &mut Env) -> Argument {
        let infinite = |x: &Operand, env: &mut Env| (x.class == Class::Infinity).then(|| invalid(env));
        match operand(a, env, infinite) {
            Err(result) => Argument::Settled(result),
            Ok(x) if x.class == Class::Zero => Argument::Zero,
            Ok(x) if x.exponent >= 63 => Argument::TooLarge,
            Ok(x) => Argument::Reduced(Reduced::of(x)),
        }
    }
}

/// An argument as `quadrant * pi/2 + r` with `|r| < pi/4`; r is never zero.
struct Reduced {
    quadrant: u32,
    r: Wide,
    /// The square of r, as a fraction of 2^128.
    square: u128,
}

impl Reduced {
    fn of(x: Operand) -> Reduced {
        let (mut quadrant, mut r) = (0, Wide::of(x));
        if x.exponent >= -1 {
            let units = u128::from(x.significand) << (x.exponent + 2);
            let (mut quotient, mut rest) = ((units / HALF_PI) as u32, units % HALF_PI);
            let beyond = rest * 2 > HALF_PI;
            if beyond {
                (quotient, rest) = (quotient.wrapping_add(1), HALF_PI - rest);
            }
            quadrant = if x.sign { quotient.wrapping_neg() } else { quotient };
            r = Wide::normalized(x.sign ^ beyond, 127 - 65, rest);
        }
        let fraction = r.to_fraction();
        Reduced { quadrant, r, square: high_product(fraction, fraction) }
    }

    fn sin(&self) -> Wide {
        self.quarter_wave(self.quadrant)
    }

    fn cos(&self) -> Wide {
        self.quarter_wave(self.quadrant.wrapping_add(1))
    }

    fn tan(&self) -> Wide {
        let (sine, cosine) = (self.sine_over_r(), self.cosine_of_r());
        if self.quadrant & 1 == 0 {
            self.r.mul(sine.div(cosine))
        } else {
            cosine.div(sine).div(self.r).negate()
        }
    }

    /// The sine of `quadrant * pi/2 + r`.
    fn quarter_wave(&self, quadrant: u32) -> Wide {
        let value = if quadrant & 1 == 0 { self.r.mul(self.sine_over_r()) } else { self.cosine_of_r() };
        value.negate_if(quadrant & 2 != 0)
    }

    fn sine_over_r(&self) -> Wide {
        Wide::fraction(!alternating_series(self.square, &SIN))
    }

    fn cosine_of_r(&self) -> Wide {
        Wide::fraction(!alternating_series(self.square, &COS))
    }
}
