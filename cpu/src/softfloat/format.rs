//! The three binary formats, and a number taken apart.
//!
//! SDM Vol. 1, "Floating-Point Data Types", "Unsupported Double Extended-Precision Floating-Point Encodings and
//! Pseudo-Denormals".

use super::env::Env;

/// Single precision, 32 bits, as it lies in memory or in a register.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct F32(pub u32);

/// Double precision, 64 bits, as it lies in memory or in a register.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct F64(pub u64);

/// Double extended precision, 80 bits: the format of an x87 register.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct F80 {
    /// The 64-bit significand, whose bit 63 is the explicit integer bit.
    pub significand: u64,
    /// The sign in bit 15, the biased exponent in bits 14:0.
    pub sign_exponent: u16,
}

/// What kind of number an encoding stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Zero.
    Zero,
    /// A finite number that is neither zero nor denormal.
    Normal,
    /// A denormal, or (80 bits) a pseudo-denormal.
    Denormal,
    /// An infinity.
    Infinity,
    /// A quiet NaN.
    QuietNan,
    /// A signaling NaN.
    SignalingNan,
    /// An 80-bit unnormal, pseudo-NaN or pseudo-infinity, which the 387 and later take for invalid.
    Unsupported,
}

/// A number taken apart: an operand, which may come from another format than the result goes to.
///
/// A finite one that is not zero has the value `significand / 2^63 * 2^exponent`, with bit 63 of the significand
/// set even if its encoding was denormal. A NaN keeps its payload left-aligned below bit 63, which is how the
/// formats convert into each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operand {
    pub(super) significand: u64,
    pub(super) exponent: i32,
    pub(super) sign: bool,
    pub(super) class: Class,
}

pub(super) const INTEGER_BIT: u64 = 1 << 63;
pub(super) const QUIET_BIT: u64 = 1 << 62;

impl Operand {
    /// What kind of number it is.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Whether its sign is set.
    pub fn sign(&self) -> bool {
        self.sign
    }

    pub(super) const fn new(class: Class, sign: bool, exponent: i32, significand: u64) -> Operand {
        Operand { significand, exponent, sign, class }
    }

    /// The finite number `magnitude * 2^scale`; `class` unless it is zero.
    const fn scaled(class: Class, sign: bool, magnitude: u64, scale: i32) -> Operand {
        if magnitude == 0 {
            return Operand::new(Class::Zero, sign, 0, 0);
        }
        let shift = magnitude.leading_zeros();
        Operand::new(class, sign, scale + 63 - shift as i32, magnitude << shift)
    }

    const fn from_integer(value: i64) -> Operand {
        Operand::scaled(Class::Normal, value < 0, value.unsigned_abs(), 0)
    }

    /// An IEEE interchange encoding with `fraction` left-aligned below bit 63.
    #[inline]
    fn from_ieee<F: Format>(sign: bool, biased: i32, fraction: u64) -> Operand {
        let all_ones = F::EMAX + F::BIAS + 1;
        if biased != 0 && biased != all_ones {
            return Operand::new(Class::Normal, sign, biased - F::BIAS, INTEGER_BIT | fraction);
        }
        if biased == 0 {
            return Operand::scaled(Class::Denormal, sign, fraction, F::EMIN - 63);
        }
        let class = match fraction {
            0 => Class::Infinity,
            f if f & QUIET_BIT != 0 => Class::QuietNan,
            _ => Class::SignalingNan,
        };
        Operand::new(class, sign, 0, INTEGER_BIT | fraction)
    }

    #[inline]
    pub(super) fn is_nan(&self) -> bool {
        matches!(self.class, Class::QuietNan | Class::SignalingNan)
    }

    /// The same magnitude with the sign `sign`.
    pub(super) fn with_sign(self, sign: bool) -> Operand {
        Operand { sign, ..self }
    }
}

impl From<F32> for Operand {
    #[inline]
    fn from(F32(bits): F32) -> Operand {
        Operand::from_ieee::<F32>(
            bits >> 31 != 0,
            (bits >> 23 & 0xff) as i32,
            u64::from(bits & 0x7f_ffff) << 40,
        )
    }
}

impl From<F64> for Operand {
    #[inline]
    fn from(F64(bits): F64) -> Operand {
        Operand::from_ieee::<F64>(bits >> 63 != 0, (bits >> 52 & 0x7ff) as i32, bits << 12 >> 1)
    }
}

impl From<F80> for Operand {
    #[inline]
    fn from(F80 { significand, sign_exponent }: F80) -> Operand {
        let (sign, biased) = (sign_exponent >> 15 != 0, i32::from(sign_exponent & 0x7fff));
        let integer_bit = significand & INTEGER_BIT != 0;
        let class = match biased {
            1..0x7fff if integer_bit => {
                return Operand::new(Class::Normal, sign, biased - F80::BIAS, significand);
            }
            0 => return Operand::scaled(Class::Denormal, sign, significand, F80::EMIN - 63),
            _ if !integer_bit => Class::Unsupported,
            _ if significand == INTEGER_BIT => Class::Infinity,
            _ if significand & QUIET_BIT != 0 => Class::QuietNan,
            _ => Class::SignalingNan,
        };
        Operand::new(class, sign, 0, significand)
    }
}

impl From<i16> for Operand {
    fn from(value: i16) -> Operand {
        Operand::from_integer(value.into())
    }
}

impl From<i32> for Operand {
    fn from(value: i32) -> Operand {
        Operand::from_integer(value.into())
    }
}

impl From<i64> for Operand {
    fn from(value: i64) -> Operand {
        Operand::from_integer(value)
    }
}

/// Which of two NaN operands becomes the result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NanRule {
    /// SSE: the first operand if it is a NaN, else the second.
    First,
    /// x87: a quiet one before a signaling one, then the larger significand, then the positive one.
    LargerSignificand,
}

/// What becomes of a result whose overflow or underflow is not masked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unmasked {
    /// x87 arithmetic: delivered, with so much subtracted from its exponent (overflow) or added (underflow).
    Adjusted(i32),
    /// SSE: not delivered, but PE tells whether it was exact.
    Withheld,
    /// x87 stores: not delivered, not even rounded, so that PE is not raised.
    Unrounded,
}

/// A format that results are rounded to.
pub trait Format: Copy + Eq + Into<Operand> {
    /// Bits of the significand, with the integer bit.
    const PRECISION: u32;
    /// What the encoded exponent adds to the exponent.
    const BIAS: i32;
    /// The largest exponent of a finite number.
    const EMAX: i32 = Self::BIAS;
    /// The smallest exponent of a normal number.
    const EMIN: i32 = 1 - Self::BIAS;
    /// How arithmetic with results in this format treats two NaNs.
    const NAN_RULE: NanRule;
    /// What arithmetic does about an unmasked overflow or underflow.
    const UNMASKED: Unmasked;

    /// The width to which arithmetic rounds significands.
    fn precision(env: &Env) -> u32;

    /// The encoding with an exponent field of `biased` and the significand `significand`, left-aligned with its
    /// integer bit.
    fn encode(sign: bool, biased: i32, significand: u64) -> Self;

    /// A zero.
    #[inline]
    fn zero(sign: bool) -> Self {
        Self::encode(sign, 0, 0)
    }

    /// An infinity.
    fn infinity(sign: bool) -> Self {
        Self::encode(sign, Self::EMAX + Self::BIAS + 1, INTEGER_BIT)
    }

    /// The NaN `nan`, made quiet.
    fn nan(nan: Operand) -> Self {
        Self::encode(nan.sign, Self::EMAX + Self::BIAS + 1, nan.significand | INTEGER_BIT | QUIET_BIT)
    }

    /// The QNaN floating-point indefinite: the result of a masked invalid operation.
    fn indefinite() -> Self {
        Self::encode(true, Self::EMAX + Self::BIAS + 1, INTEGER_BIT | QUIET_BIT)
    }
}

impl Format for F32 {
    const PRECISION: u32 = 24;
    const BIAS: i32 = 127;
    const NAN_RULE: NanRule = NanRule::First;
    const UNMASKED: Unmasked = Unmasked::Withheld;

    #[inline]
    fn precision(_: &Env) -> u32 {
        Self::PRECISION
    }

    #[inline]
    fn encode(sign: bool, biased: i32, significand: u64) -> F32 {
        F32(u32::from(sign) << 31 | (biased as u32) << 23 | (significand << 1 >> 41) as u32)
    }
}

impl Format for F64 {
    const PRECISION: u32 = 53;
    const BIAS: i32 = 1023;
    const NAN_RULE: NanRule = NanRule::First;
    const UNMASKED: Unmasked = Unmasked::Withheld;

    #[inline]
    fn precision(_: &Env) -> u32 {
        Self::PRECISION
    }

    #[inline]
    fn encode(sign: bool, biased: i32, significand: u64) -> F64 {
        F64(u64::from(sign) << 63 | (biased as u64) << 52 | significand << 1 >> 12)
    }
}

impl Format for F80 {
    const PRECISION: u32 = 64;
    const BIAS: i32 = 16383;
    const NAN_RULE: NanRule = NanRule::LargerSignificand;
    const UNMASKED: Unmasked = Unmasked::Adjusted(24576);

    #[inline]
    fn precision(env: &Env) -> u32 {
        env.precision
    }

    #[inline]
    fn encode(sign: bool, biased: i32, significand: u64) -> F80 {
        F80 { significand, sign_exponent: u16::from(sign) << 15 | biased as u16 }
    }
}

impl F80 {
    /// The number one.
    pub const ONE: F80 = F80 { significand: INTEGER_BIT, sign_exponent: Self::BIAS as u16 };

    /// The ten bytes of the 80-bit memory format.
    pub const fn to_bytes(self) -> [u8; 10] {
        let [a, b, c, d, e, f, g, h] = self.significand.to_le_bytes();
        let [i, j] = self.sign_exponent.to_le_bytes();
        [a, b, c, d, e, f, g, h, i, j]
    }

    /// The number with the 80-bit memory format `bytes`; every encoding is a value of this type.
    pub const fn from_bytes([a, b, c, d, e, f, g, h, i, j]: [u8; 10]) -> F80 {
        F80 {
            significand: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            sign_exponent: u16::from_le_bytes([i, j]),
        }
    }

    /// FABS: the sign cleared, of any encoding.
    pub const fn abs(self) -> F80 {
        F80 { sign_exponent: self.sign_exponent & 0x7fff, ..self }
    }

    /// FCHS: the sign inverted, of any encoding.
    pub const fn negate(self) -> F80 {
        F80 { sign_exponent: self.sign_exponent ^ 0x8000, ..self }
    }
}
