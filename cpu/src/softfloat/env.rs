//! What surrounds an operation: rounding, precision, masks, flush modes, and the exceptions it raises.

use std::ops::{BitAnd, BitOr, BitOrAssign, Not};

/// A set of floating-point exceptions, each at its bit of the x87 status word and of MXCSR, and [`ROUNDED_UP`].
///
/// SDM Vol. 1, "x87 FPU Status Register" and "MXCSR Control and Status Register".
///
/// [`ROUNDED_UP`]: Flags::ROUNDED_UP
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Flags(u8);

impl Flags {
    /// No exception.
    pub const NONE: Flags = Flags(0);
    /// IE: an operand that the operation does not accept, a signaling NaN, or an undefined result.
    pub const INVALID: Flags = Flags(1 << 0);
    /// DE: an operand was denormal.
    pub const DENORMAL: Flags = Flags(1 << 1);
    /// ZE: a finite operand was divided by zero.
    pub const ZERO_DIVIDE: Flags = Flags(1 << 2);
    /// OE: the rounded result exceeds the largest finite number.
    pub const OVERFLOW: Flags = Flags(1 << 3);
    /// UE: the rounded result is tiny; while masked, only if it is inexact too.
    pub const UNDERFLOW: Flags = Flags(1 << 4);
    /// PE: the result is not exact.
    pub const PRECISION: Flags = Flags(1 << 5);
    /// SF: the invalid operation was an overflow or underflow of the x87 register stack. Raised by instructions,
    /// never by operations on numbers.
    pub const STACK_FAULT: Flags = Flags(1 << 6);
    /// Not an exception: the magnitude of an inexact result was rounded up, or the stack overflowed (C1 of the x87
    /// status word).
    pub const ROUNDED_UP: Flags = Flags(1 << 7);
    /// The six exceptions.
    pub const EXCEPTIONS: Flags = Flags(0x3f);
    /// The exceptions found before an operation computes: while unmasked they suppress its result.
    pub const BEFORE_RESULT: Flags = Flags(0x07);

    /// The set with the exceptions in bits 5:0 of `bits`, the layout of the status word and of MXCSR.
    pub const fn from_bits(bits: u8) -> Flags {
        Flags(bits & Self::EXCEPTIONS.0)
    }

    /// The exceptions in bits 5:0, without [`Flags::ROUNDED_UP`].
    pub const fn bits(self) -> u8 {
        self.0 & Self::EXCEPTIONS.0
    }

    /// The exceptions and SF in bits 6:0, their places in the x87 status word.
    pub const fn status(self) -> u16 {
        (self.0 & (Self::EXCEPTIONS.0 | Self::STACK_FAULT.0)) as u16
    }

    /// Whether any member of `other` is in this set.
    pub const fn intersects(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Flags {
    type Output = Flags;
    fn bitor(self, rhs: Flags) -> Flags {
        Flags(self.0 | rhs.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, rhs: Flags) {
        self.0 |= rhs.0;
    }
}

impl BitAnd for Flags {
    type Output = Flags;
    fn bitand(self, rhs: Flags) -> Flags {
        Flags(self.0 & rhs.0)
    }
}

impl Not for Flags {
    type Output = Flags;
    fn not(self) -> Flags {
        Flags(!self.0)
    }
}

/// The rounding-control field, encoded as in the x87 control word and MXCSR (SDM Vol. 1, "Rounding").
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Rounding {
    /// To the nearest representable number, ties to the even one.
    #[default]
    NearestEven,
    /// Toward minus infinity.
    Down,
    /// Toward plus infinity.
    Up,
    /// Toward zero.
    Zero,
}

impl Rounding {
    /// The mode encoded in bits 1:0 of `rc`.
    pub const fn from_bits(rc: u16) -> Rounding {
        match rc & 3 {
            0 => Rounding::NearestEven,
            1 => Rounding::Down,
            2 => Rounding::Up,
            _ => Rounding::Zero,
        }
    }

    /// Whether a magnitude of the given sign that lies above a representable one by the fraction `rest / 2^64`
    /// of their spacing goes to the next one; `odd` tells whether the lower one has its last bit set.
    #[inline]
    pub(super) fn increments(self, sign: bool, odd: bool, rest: u64) -> bool {
        const HALF: u64 = 1 << 63;
        match self {
            Rounding::NearestEven => rest > HALF || (rest == HALF && odd),
            Rounding::Down => sign && rest != 0,
            Rounding::Up => !sign && rest != 0,
            Rounding::Zero => false,
        }
    }
}

/// The conditions of an operation, and the exceptions that it raised.
///
/// A caller makes one from its control register, performs one operation (or the elements of a packed one) and
/// then looks at [`Env::raised`] and [`Env::unmasked`]. What an unmasked exception does to the destination
/// follows from the instruction:
///
/// - one of [`Flags::BEFORE_RESULT`]: nothing is written, the returned value has no meaning;
/// - x87 overflow or underflow with a register destination: the returned value, its exponent adjusted, is
///   written; with a memory destination nothing is (SDM Vol. 1, "x87 FPU Floating-Point Exception Conditions");
/// - any unmasked exception of SSE: nothing is written.
#[derive(Clone, Copy, Debug)]
pub struct Env {
    /// How results are rounded.
    pub(super) rounding: Rounding,
    /// The width in bits to which x87 arithmetic rounds significands: 24, 53 or 64.
    pub(super) precision: u32,
    /// The exceptions that are masked.
    pub(super) masked: Flags,
    /// FZ: a tiny SSE result becomes zero, provided that underflow is masked.
    pub(super) flush_to_zero: bool,
    /// DAZ: a denormal SSE operand counts as zero.
    pub(super) denormals_are_zero: bool,
    /// What operations have raised so far.
    pub raised: Flags,
}

impl Env {
    /// The conditions that an x87 control word sets. The reserved precision control 01B rounds to 64 bits.
    pub const fn from_control_word(control: u16) -> Env {
        Env {
            rounding: Rounding::from_bits(control >> 10),
            precision: match control >> 8 & 3 {
                0 => 24,
                2 => 53,
                _ => 64,
            },
            masked: Flags::from_bits(control as u8),
            flush_to_zero: false,
            denormals_are_zero: false,
            raised: Flags::NONE,
        }
    }

    /// The conditions that MXCSR sets.
    pub const fn from_mxcsr(mxcsr: u32) -> Env {
        let rounding = Rounding::from_bits((mxcsr >> 13) as u16);
        let masked = Flags::from_bits((mxcsr >> 7) as u8);
        Env {
            rounding,
            precision: 64,
            masked,
            flush_to_zero: mxcsr & 1 << 15 != 0 && masked.intersects(Flags::UNDERFLOW),
            denormals_are_zero: mxcsr & 1 << 6 != 0,
            raised: Flags::NONE,
        }
    }

    /// How results are rounded.
    pub fn rounding(&self) -> Rounding {
        self.rounding
    }

    /// The same conditions, but results are rounded by `rounding`.
    pub fn with_rounding(self, rounding: Rounding) -> Env {
        Env { rounding, ..self }
    }

    /// The raised exceptions that are not masked.
    pub fn unmasked(&self) -> Flags {
        self.raised & !self.masked & Flags::EXCEPTIONS
    }

    /// Whether the result goes to its destination if that is a register: see [`Env`].
    #[inline]
    pub fn delivers(&self) -> bool {
        !self.unmasked().intersects(Flags::BEFORE_RESULT)
    }

    /// Whether an x87 result goes to its destination if that is in memory: see [`Env`].
    #[inline]
    pub fn stores(&self) -> bool {
        (self.unmasked() & !Flags::PRECISION).is_empty()
    }

    /// Records `flags`.
    #[inline]
    pub(super) fn raise(&mut self, flags: Flags) {
        self.raised |= flags;
    }

    /// Whether `flag` is masked.
    #[inline]
    pub(super) fn masks(&self, flag: Flags) -> bool {
        self.masked.intersects(flag)
    }

    /// Records a denormal operand; whether the operation must stop because of it.
    pub(super) fn denormal_stops(&mut self) -> bool {
        self.raise(Flags::DENORMAL);
        !self.masks(Flags::DENORMAL)
    }
}
