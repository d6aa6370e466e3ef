//! A float of 128 significant bits: every result before its rounding, and what the transcendental functions
//! compute in.

use super::format::Operand;

/// The number `significand / 2^127 * 2^exponent` with the given sign. Bit 127 is set, except in zero, which has
/// a significand of zero.
///
/// Bit 0 may stand for everything below it (a sticky bit), which rounding to at most 64 bits cannot tell from the
/// whole. Sums, products and quotients are truncated: each has a relative error below 2^-126.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Wide {
    pub sign: bool,
    pub exponent: i32,
    pub significand: u128,
}

impl Wide {
    pub const ZERO: Wide = Wide { sign: false, exponent: 0, significand: 0 };
    pub const ONE: Wide = Wide { sign: false, exponent: 0, significand: 1 << 127 };

    /// `significand / 2^127 * 2^exponent`, wherever the leading bit of `significand` may be.
    #[inline]
    pub fn normalized(sign: bool, exponent: i32, significand: u128) -> Wide {
        if significand == 0 {
            return Wide::ZERO;
        }
        let shift = significand.leading_zeros();
        Wide { sign, exponent: exponent - shift as i32, significand: significand << shift }
    }

    /// A finite operand that is not zero, exactly.
    #[inline]
    pub fn of(operand: Operand) -> Wide {
        let significand = u128::from(operand.significand) << 64;
        Wide { sign: operand.sign, exponent: operand.exponent, significand }
    }

    /// An integer, exactly.
    pub fn integer(value: i32) -> Wide {
        Wide::normalized(value < 0, 127, value.unsigned_abs().into())
    }

    /// A positive number below one, given as a fraction of 2^128.
    pub fn fraction(fraction: u128) -> Wide {
        Wide::normalized(false, -1, fraction)
    }

    /// One plus a fraction of 2^128.
    pub fn one_and_fraction(fraction: u128) -> Wide {
        Wide { sign: false, exponent: 0, significand: 1 << 127 | fraction >> 1 }
    }

    pub fn is_zero(self) -> bool {
        self.significand == 0
    }

    pub fn negate(self) -> Wide {
        Wide { sign: !self.sign, ..self }
    }

    /// Negated if `negative`.
    pub fn negate_if(self, negative: bool) -> Wide {
        Wide { sign: self.sign ^ negative, ..self }
    }

    /// Marked as not exact, the discarded part being of the same sign.
    pub fn inexact(self) -> Wide {
        Wide { significand: self.significand | 1, ..self }
    }

    pub fn add(self, other: Wide) -> Wide {
        if self.is_zero() || other.is_zero() {
            return if self.is_zero() { other } else { self };
        }
        let ordered = (self.exponent, self.significand) >= (other.exponent, other.significand);
        let (large, small) = if ordered { (self, other) } else { (other, self) };
        // One bit above makes room for the carry.
        let addend = shift_right_sticky(small.significand, large.exponent.abs_diff(small.exponent) + 1);
        let augend = shift_right_sticky(large.significand, 1);
        let sum = if large.sign == small.sign { augend + addend } else { augend - addend };
        Wide::normalized(large.sign, large.exponent + 1, sum)
    }

    pub fn mul(self, other: Wide) -> Wide {
        let product = high_product(self.significand, other.significand);
        Wide::normalized(self.sign ^ other.sign, self.exponent + other.exponent + 1, product)
    }

    /// `self / other`; `other` must not be zero.
    pub fn div(self, other: Wide) -> Wide {
        let (sign, exponent) = (self.sign ^ other.sign, self.exponent - other.exponent);
        let (n, d) = (self.significand, other.significand);
        if n >= d {
            let quotient = 1 << 127 | fraction_quotient(n - d, d) >> 1;
            Wide { sign, exponent, significand: quotient }
        } else {
            Wide::normalized(sign, exponent - 1, fraction_quotient(n, d))
        }
    }

    /// The magnitude as a fraction of 2^128, truncated; it must be below one.
    pub fn to_fraction(self) -> u128 {
        debug_assert!(self.exponent < 0 || self.is_zero());
        self.significand.checked_shr(self.exponent.unsigned_abs().wrapping_sub(1)).unwrap_or(0)
    }
}

/// `value >> by`, with bit 0 set if any bit was lost.
#[inline]
pub(super) fn shift_right_sticky(value: u128, by: u32) -> u128 {
    match by {
        0 => value,
        1..128 => value >> by | u128::from(value << (128 - by) != 0),
        _ => u128::from(value != 0),
    }
}

/// The upper 128 bits of the product `a * b`.
#[inline]
pub(super) fn high_product(a: u128, b: u128) -> u128 {
    let (a1, a0) = (a >> 64, a & u128::from(u64::MAX));
    let (b1, b0) = (b >> 64, b & u128::from(u64::MAX));
    let cross = a1 * b0 + ((a0 * b0) >> 64);
    let (middle, carry) = cross.overflowing_add(a0 * b1);
    a1 * b1 + (middle >> 64) + (u128::from(carry) << 64)
}

/// `n * 2^128 / d`, truncated, for `n < d` and a `d` with bit 127 set.
fn fraction_quotient(n: u128, d: u128) -> u128 {
    let (upper, rest) = quotient_digit(n, d);
    let (lower, _) = quotient_digit(rest, d);
    u128::from(upper) << 64 | u128::from(lower)
}

/// Quotient and remainder of `n * 2^64 / d`, for `n < d` and a `d` with bit 127 set: a step of long division,
/// whose estimate from the upper half of the divisor is at most two too large.
fn quotient_digit(n: u128, d: u128) -> (u64, u128) {
    let (d1, d0) = (d >> 64, d & u128::from(u64::MAX));
    let mut digit = (n / d1).min(u64::MAX.into());
    let mut rest = n - digit * d1;
    while rest >> 64 == 0 && digit * d0 > rest << 64 {
        digit -= 1;
        rest += d1;
    }
    (digit as u64, (rest << 64).wrapping_sub(digit * d0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_division_inverts_multiplication() {
        for (i, d) in
            [1 << 127, u128::MAX, (1 << 127) + 1, 0xfedc_ba98_7654_3210 << 64, !0 << 64].iter().enumerate()
        {
            for n in [0, 1, d - 1, d / 3, d / 2 + i as u128, u128::from(u64::MAX), *d >> 1] {
                let q = fraction_quotient(n, *d);
                // n * 2^128 - q * d lies in [0, d): its upper half must vanish but for a borrow.
                let (high, low) = (high_product(q, *d), q.wrapping_mul(*d));
                let (rest_high, borrow) = (n.wrapping_sub(high), low != 0);
                assert_eq!(rest_high, u128::from(borrow), "{n:x} / {d:x}");
                assert!(low == 0 || low.wrapping_neg() < *d, "{n:x} / {d:x}");
            }
        }
    }
}
