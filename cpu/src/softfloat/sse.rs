//! SSE operations on the host's own arithmetic, where nobody can tell it from the exact path.
//!
//! Rust's `f32` and `f64` operators are IEEE 754 operations rounded to nearest even, on every host. If MXCSR
//! rounds so too, and an inexact result changes nothing because PE is set and masked, then on normal (or zero)
//! operands a normal result is all there is to an operation: the host computes it. Whether a conversion is exact
//! the host can even tell.
//!
//! Every attempt gives a result, and whether it is the right one and there is nothing to report. Both are computed
//! without branches, so that the elements of a vector can be attempted all at once. Where an attempt fails, the
//! functions named `exact` have the last word.

use std::cmp::Ordering;
use std::ops;

use super::arith;
use super::compare::{Quiet, compare};
use super::env::{Env, Rounding};
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

/// MXCSR, as far as attempts depend on it. SDM Vol. 1, "MXCSR Control and Status Register".
#[derive(Clone, Copy, Debug)]
pub struct Mxcsr(pub u32);

impl Mxcsr {
    const PE: u32 = 1 << 5;
    const PM: u32 = 1 << 12;
    const RC: u32 = 3 << 13;

    /// Whether an inexact result changes nothing.
    #[inline(always)]
    fn ignores_inexact(self) -> bool {
        self.0 & (Self::PE | Self::PM) == Self::PE | Self::PM
    }

    /// Whether it rounds as the host does.
    #[inline(always)]
    fn rounds_to_nearest(self) -> bool {
        self.0 & Self::RC == 0
    }

    #[inline(always)]
    fn rounding(self) -> Rounding {
        Rounding::from_bits((self.0 >> 13) as u16)
    }

    /// Whether arithmetic may be attempted.
    #[inline(always)]
    pub fn allows_arithmetic(self) -> bool {
        self.0 & (Self::RC | Self::PE | Self::PM) == Self::PE | Self::PM
    }
}

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

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident $({ $($constant:tt)* })?, |$x:ident, $y:ident| $host:expr, $exact:expr;)*) => {$(
        $(#[$doc])*
        pub struct $name;
        impl Operation for $name {
            $($($constant)*)?
            #[inline(always)]
            fn host<F: HostFormat>($x: F::Host, $y: F::Host) -> F::Host {
                $host
            }
            fn exact<F: Format>(a: F, b: F, env: &mut Env) -> F {
                $exact(a, b, env)
            }
        }
    )*};
}
operations! {
    /// `a + b`: ADDSS, ADDSD and each element of the packed forms.
    Add { const ZERO_IS_EXACT: bool = true; }, |x, y| x + y, arith::add;
    /// `a - b`.
    Sub { const ZERO_IS_EXACT: bool = true; }, |x, y| x - y, arith::sub;
    /// `a * b`.
    Mul, |x, y| x * y, arith::mul;
    /// `a / b`.
    Div, |x, y| x / y, arith::div;
    /// The square root of `b`.
    Sqrt { const UNARY: bool = true; }, |_x, y| F::host_sqrt(y), |_, b, env| arith::sqrt(b, env);
}

/// Attempts `O`, which [`Mxcsr::allows_arithmetic`] must allow.
#[inline(always)]
pub fn attempt<O: Operation, F: HostFormat>(a: F, b: F) -> (F, bool) {
    let a = if O::UNARY { b } else { a };
    let result = F::from_host(O::host::<F>(a.to_host(), b.to_host()));
    let exact_zero = result.is_zero() & (O::ZERO_IS_EXACT | a.is_zero() | b.is_zero());
    (result, a.is_zero_or_normal() & b.is_zero_or_normal() & (result.is_clearly_normal() | exact_zero))
}

/// MINSS and its kin: `a` if it is less than `b`, else `b`, which includes zeros of either sign and NaNs.
pub fn exact_min<F: Format>(a: F, b: F, env: &mut Env) -> F {
    pick(a, b, Ordering::Less, env)
}

/// MAXSS and its kin: `a` if it is greater than `b`, else `b`.
pub fn exact_max<F: Format>(a: F, b: F, env: &mut Env) -> F {
    pick(a, b, Ordering::Greater, env)
}

/// `a` if its relation to `b` is `wanted`, else `b`. Under DAZ a denormal becomes the zero that it counts as.
fn pick<F: Format>(a: F, b: F, wanted: Ordering, env: &mut Env) -> F {
    let picked = if compare(a, b, Quiet::Invalid, env) == Some(wanted) { a } else { b };
    let operand: Operand = picked.into();
    if env.denormals_are_zero && operand.class() == Class::Denormal {
        F::zero(operand.sign())
    } else {
        picked
    }
}

/// CVTSS2SI, CVTSD2SI and their kin, which round by `rounding`; by MXCSR if it is `None`.
#[inline(always)]
pub fn attempt_to_i32<F: HostFormat>(a: F, rounding: Option<Rounding>, mxcsr: Mxcsr) -> (i32, bool) {
    /// Added and subtracted, it leaves no room for a fraction.
    const INTEGERS_ONLY: f64 = 1.5 * (1u64 << 52) as f64;
    let x: f64 = a.to_host().into();
    let truncated = x as i32;
    let rounded = match rounding.unwrap_or(mxcsr.rounding()) {
        Rounding::NearestEven => ((x + INTEGERS_ONLY) - INTEGERS_ONLY) as i32,
        Rounding::Down => truncated.wrapping_sub(i32::from(f64::from(truncated) > x)),
        Rounding::Up => truncated.wrapping_add(i32::from(f64::from(truncated) < x)),
        Rounding::Zero => truncated,
    };
    // Not quite the range of an i32: rounding must not leave it.
    let in_range = x.abs() < f64::from(i32::MAX);
    let quiet = mxcsr.ignores_inexact() | (f64::from(rounded) == x);
    (rounded, a.is_zero_or_normal() & in_range & quiet)
}

/// CVTSI2SS, CVTDQ2PS and CVTPI2PS.
#[inline(always)]
pub fn attempt_i32_to_single(value: i32, mxcsr: Mxcsr) -> (F32, bool) {
    let result = value as f32;
    let quiet = mxcsr.ignores_inexact() | (f64::from(result) == f64::from(value));
    (F32(result.to_bits()), mxcsr.rounds_to_nearest() & quiet)
}

/// CVTSI2SD, CVTDQ2PD and CVTPI2PD: always exact.
#[inline(always)]
pub fn i32_to_double(value: i32) -> F64 {
    F64(f64::from(value).to_bits())
}

/// CVTSS2SD and CVTPS2PD.
#[inline(always)]
pub fn attempt_single_to_double(a: F32) -> (F64, bool) {
    (F64(f64::from(a.to_host()).to_bits()), a.is_zero_or_normal())
}

/// CVTSD2SS and CVTPD2PS.
#[inline(always)]
pub fn attempt_double_to_single(a: F64, mxcsr: Mxcsr) -> (F32, bool) {
    let result = F32((a.to_host() as f32).to_bits());
    let quiet = mxcsr.ignores_inexact() | (f64::from(result.to_host()) == a.to_host());
    (result, mxcsr.rounds_to_nearest() & quiet & (result.is_clearly_normal() | a.is_zero()))
}
