//! SSE arithmetic: the exact path, and the host's own arithmetic where nobody can tell them apart.
//!
//! Rust's `f32` and `f64` operators are IEEE 754 operations rounded to nearest even, on every host. If MXCSR
//! rounds so too, masks everything and already shows PE, then on normal (or zero) operands a normal result is
//! all there is to an operation: the host computes it. Whether a conversion was exact the host can even tell.

use std::cmp::Ordering;
use std::ops;

use super::arith;
use super::compare::{Quiet, compare};
use super::convert;
use super::env::{Env, Flags, Rounding};
use super::format::{Class, F32, F64, Format, Operand};

/// A format that the host computes in.
pub trait HostFormat: Format {
    /// The host's type with the same encoding.
    type Host: Copy
        + PartialOrd
        + Into<f64>
        + ops::Add<Output = Self::Host>
        + ops::Sub<Output = Self::Host>
        + ops::Mul<Output = Self::Host>
        + ops::Div<Output = Self::Host>;

    /// The host's number with this encoding.
    fn to_host(self) -> Self::Host;

    /// The encoding of a host number.
    fn from_host(host: Self::Host) -> Self;

    /// The host's square root.
    fn host_sqrt(host: Self::Host) -> Self::Host;

    /// Whether it is a zero.
    fn is_zero(self) -> bool;

    /// Whether it is a zero or a normal number.
    fn is_zero_or_normal(self) -> bool;

    /// Whether it is a normal number above the least exponent, which a tiny result may have been rounded to.
    fn is_clearly_normal(self) -> bool;
}

macro_rules! host_format {
    ($format:ident, $host:ty, $bits:ty, $fraction_bits:literal) => {
        impl HostFormat for $format {
            type Host = $host;

            #[inline]
            fn to_host(self) -> $host {
                <$host>::from_bits(self.0)
            }

            #[inline]
            fn from_host(host: $host) -> $format {
                $format(host.to_bits())
            }

            #[inline]
            fn host_sqrt(host: $host) -> $host {
                host.sqrt()
            }

            #[inline]
            fn is_zero(self) -> bool {
                self.0 << 1 == 0
            }

            #[inline]
            fn is_zero_or_normal(self) -> bool {
                let biased = self.0 << 1 >> ($fraction_bits + 1);
                (biased.wrapping_sub(1) < (2 * Self::BIAS) as $bits) | self.is_zero()
            }

            #[inline]
            fn is_clearly_normal(self) -> bool {
                let biased = self.0 << 1 >> ($fraction_bits + 1);
                biased.wrapping_sub(2) < (2 * Self::BIAS - 1) as $bits
            }
        }
    };
}
host_format!(F32, f32, u32, 23);
host_format!(F64, f64, u64, 52);

/// An operation of two numbers.
pub trait Operation {
    /// Whether only the second operand counts.
    const UNARY: bool = false;
    /// Whether a result of zero is exact even if no operand is zero: nothing is too small for it.
    const ZERO_IS_EXACT: bool = false;

    /// What the host makes of it.
    fn host<F: HostFormat>(a: F::Host, b: F::Host) -> F::Host;

    /// The result under any conditions.
    fn exact<F: Format>(a: F, b: F, env: &mut Env) -> F;
}

/// `a + b`: ADDSS, ADDSD and each element of the packed forms.
pub struct Add;
/// `a - b`.
pub struct Sub;
/// `a * b`.
pub struct Mul;
/// `a / b`.
pub struct Div;
/// The square root of `b`.
pub struct Sqrt;

impl Operation for Add {
    const ZERO_IS_EXACT: bool = true;
    #[inline(always)]
    fn host<F: HostFormat>(a: F::Host, b: F::Host) -> F::Host {
        a + b
    }
    fn exact<F: Format>(a: F, b: F, env: &mut Env) -> F {
        arith::add(a, b, env)
    }
}

impl Operation for Sub {
    const ZERO_IS_EXACT: bool = true;
    #[inline(always)]
    fn host<F: HostFormat>(a: F::Host, b: F::Host) -> F::Host {
        a - b
    }
    fn exact<F: Format>(a: F, b: F, env: &mut Env) -> F {
        arith::sub(a, b, env)
    }
}

impl Operation for Mul {
    #[inline(always)]
    fn host<F: HostFormat>(a: F::Host, b: F::Host) -> F::Host {
        a * b
    }
    fn exact<F: Format>(a: F, b: F, env: &mut Env) -> F {
        arith::mul(a, b, env)
    }
}

impl Operation for Div {
    #[inline(always)]
    fn host<F: HostFormat>(a: F::Host, b: F::Host) -> F::Host {
        a / b
    }
    fn exact<F: Format>(a: F, b: F, env: &mut Env) -> F {
        arith::div(a, b, env)
    }
}

impl Operation for Sqrt {
    const UNARY: bool = true;
    #[inline(always)]
    fn host<F: HostFormat>(_: F::Host, b: F::Host) -> F::Host {
        F::host_sqrt(b)
    }
    fn exact<F: Format>(_: F, b: F, env: &mut Env) -> F {
        arith::sqrt(b, env)
    }
}

/// The host's result, and whether it is that of `O` where the host may compute at all; see
/// [`Env::allows_host_arithmetic`].
#[inline(always)]
pub fn attempt<O: Operation, F: HostFormat>(a: F, b: F) -> (F, bool) {
    let a = if O::UNARY { b } else { a };
    let result = F::from_host(O::host::<F>(a.to_host(), b.to_host()));
    let exact_zero = result.is_zero() & (O::ZERO_IS_EXACT | a.is_zero() | b.is_zero());
    (result, a.is_zero_or_normal() & b.is_zero_or_normal() & (result.is_clearly_normal() | exact_zero))
}

/// The result of `O`.
#[inline(always)]
pub fn apply<O: Operation, F: HostFormat>(a: F, b: F, env: &mut Env) -> F {
    if env.allows_host_arithmetic()
        && let (result, true) = attempt::<O, F>(a, b)
    {
        return result;
    }
    O::exact(a, b, env)
}

/// MINSS and its kin: `a` if it is less than `b`, else `b`, which includes zeros of either sign and NaNs.
#[inline(always)]
pub fn min<F: HostFormat>(a: F, b: F, env: &mut Env) -> F {
    if relation(a, b, Quiet::Invalid, env) == Some(Ordering::Less) {
        denormal_flushed(a, env)
    } else {
        denormal_flushed(b, env)
    }
}

/// MAXSS and its kin: `a` if it is greater than `b`, else `b`.
#[inline(always)]
pub fn max<F: HostFormat>(a: F, b: F, env: &mut Env) -> F {
    if relation(a, b, Quiet::Invalid, env) == Some(Ordering::Greater) {
        denormal_flushed(a, env)
    } else {
        denormal_flushed(b, env)
    }
}

/// Compares; `None` is unordered.
#[inline(always)]
pub fn relation<F: HostFormat>(a: F, b: F, quiet: Quiet, env: &mut Env) -> Option<Ordering> {
    if a.is_zero_or_normal() && b.is_zero_or_normal() {
        a.to_host().partial_cmp(&b.to_host())
    } else {
        compare(a, b, quiet, env)
    }
}

#[inline(always)]
fn denormal_flushed<F: HostFormat>(a: F, env: &Env) -> F {
    if env.denormals_are_zero {
        let operand: Operand = a.into();
        if operand.class() == Class::Denormal {
            return F::zero(operand.sign());
        }
    }
    a
}

/// CVTSS2SI, CVTSD2SI and their kin, which round by `rounding`.
#[inline]
pub fn to_i32<F: HostFormat>(a: F, rounding: Rounding, env: &mut Env) -> i32 {
    /// Added and subtracted, it leaves no room for a fraction.
    const INTEGERS_ONLY: f64 = 1.5 * (1u64 << 52) as f64;
    let x: f64 = a.to_host().into();
    // Not quite the range of an i32: rounding must not leave it.
    if !a.is_zero_or_normal() || x.abs() >= f64::from(i32::MAX) {
        return convert::to_integer(a, rounding, env);
    }
    let truncated = x as i32;
    let rounded = match rounding {
        Rounding::NearestEven => ((x + INTEGERS_ONLY) - INTEGERS_ONLY) as i32,
        Rounding::Down => truncated - i32::from(f64::from(truncated) > x),
        Rounding::Up => truncated + i32::from(f64::from(truncated) < x),
        Rounding::Zero => truncated,
    };
    raise_inexact(f64::from(rounded) != x, env);
    rounded
}

/// CVTSI2SS, CVTDQ2PS and CVTPI2PS.
#[inline]
pub fn i32_to_single(value: i32, env: &mut Env) -> F32 {
    if env.rounding != Rounding::NearestEven {
        return convert::convert(value, env);
    }
    let result = value as f32;
    raise_inexact(f64::from(result) != f64::from(value), env);
    F32(result.to_bits())
}

/// CVTSI2SD, CVTDQ2PD and CVTPI2PD: always exact.
#[inline]
pub fn i32_to_double(value: i32) -> F64 {
    F64(f64::from(value).to_bits())
}

/// CVTSS2SD and CVTPS2PD.
#[inline]
pub fn single_to_double(a: F32, env: &mut Env) -> F64 {
    if a.is_zero_or_normal() { F64(f64::from(a.to_host()).to_bits()) } else { convert::convert(a, env) }
}

/// CVTSD2SS and CVTPD2PS.
#[inline]
pub fn double_to_single(a: F64, env: &mut Env) -> F32 {
    let result = F32((a.to_host() as f32).to_bits());
    let settled = result.is_clearly_normal() | a.is_zero();
    if env.rounding != Rounding::NearestEven || !settled {
        return convert::convert(a, env);
    }
    raise_inexact(f64::from(result.to_host()) != a.to_host(), env);
    result
}

#[inline(always)]
fn raise_inexact(inexact: bool, env: &mut Env) {
    if inexact {
        env.raise(Flags::PRECISION);
    }
}
