//! SSE arithmetic: the exact path, and the host's own arithmetic where nobody can tell them apart.
//!
//! Rust's `f32` and `f64` operators are IEEE 754 operations rounded to nearest even, on every host. If MXCSR
//! rounds so too, masks everything and already shows PE, then on normal (or zero) operands a normal result is
//! all there is to an operation: the host computes it.

use std::ops::{Add, Div, Mul, Sub};

use super::arith;
use super::env::Env;
use super::format::{F32, F64, Format};

/// A format that the host computes in.
pub trait HostFormat: Format {
    /// The host's type with the same encoding.
    type Host: Add<Output = Self::Host>
        + Sub<Output = Self::Host>
        + Mul<Output = Self::Host>
        + Div<Output = Self::Host>;

    /// The host's number with this encoding.
    fn to_host(self) -> Self::Host;

    /// The encoding of a host number.
    fn from_host(host: Self::Host) -> Self;

    /// The host's square root.
    fn host_sqrt(host: Self::Host) -> Self::Host;

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
            fn is_zero_or_normal(self) -> bool {
                let biased = self.0 << 1 >> ($fraction_bits + 1);
                biased.wrapping_sub(1) < (2 * Self::BIAS) as $bits || self.0 << 1 == 0
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

/// `a + b`: ADDSS, ADDSD and each element of the packed forms.
#[inline]
pub fn add<F: HostFormat>(a: F, b: F, env: &mut Env) -> F {
    binary(a, b, env, |x, y| x + y, arith::add)
}

/// `a - b`.
#[inline]
pub fn sub<F: HostFormat>(a: F, b: F, env: &mut Env) -> F {
    binary(a, b, env, |x, y| x - y, arith::sub)
}

/// `a * b`.
#[inline]
pub fn mul<F: HostFormat>(a: F, b: F, env: &mut Env) -> F {
    binary(a, b, env, |x, y| x * y, arith::mul)
}

/// `a / b`.
#[inline]
pub fn div<F: HostFormat>(a: F, b: F, env: &mut Env) -> F {
    binary(a, b, env, |x, y| x / y, arith::div)
}

/// The square root of `a`.
#[inline]
pub fn sqrt<F: HostFormat>(a: F, env: &mut Env) -> F {
    binary(a, a, env, |x, _| F::host_sqrt(x), |x, _, env| arith::sqrt(x, env))
}

#[inline]
fn binary<F: HostFormat>(
    a: F,
    b: F,
    env: &mut Env,
    host: impl FnOnce(F::Host, F::Host) -> F::Host,
    exact: impl FnOnce(F, F, &mut Env) -> F,
) -> F {
    if env.host_arithmetic && a.is_zero_or_normal() && b.is_zero_or_normal() {
        let result = F::from_host(host(a.to_host(), b.to_host()));
        if result.is_clearly_normal() {
            return result;
        }
    }
    exact(a, b, env)
}
