//! EFLAGS: the system bits as stored, the arithmetic bits as the last result and its carries.
//!
//! Most instructions write all six arithmetic flags and most of those writes are never read. So an ALU
//! instruction stores its result and the vector of carries out of each bit, and a flag is computed when
//! somebody asks. Every combination of the six flags has a representation, so nothing is ever inexact.
//!
//! SDM Vol. 1, "EFLAGS Register".

use super::gpr::Word;
use serde::{Deserialize, Serialize};

/// Bits of EFLAGS.
pub mod bit {
    /// Carry.
    pub const CF: u32 = 1 << 0;
    /// Always set.
    pub const ONE: u32 = 1 << 1;
    /// Even parity of the low byte.
    pub const PF: u32 = 1 << 2;
    /// Carry out of bit 3.
    pub const AF: u32 = 1 << 4;
    /// Zero.
    pub const ZF: u32 = 1 << 6;
    /// Sign.
    pub const SF: u32 = 1 << 7;
    /// Single-step trap.
    pub const TF: u32 = 1 << 8;
    /// Maskable interrupts enabled.
    pub const IF: u32 = 1 << 9;
    /// String instructions count down.
    pub const DF: u32 = 1 << 10;
    /// Signed overflow.
    pub const OF: u32 = 1 << 11;
    /// I/O privilege level, two bits.
    pub const IOPL: u32 = 3 << 12;
    /// Nested task.
    pub const NT: u32 = 1 << 14;
    /// Resume: instruction breakpoints are ignored once.
    pub const RF: u32 = 1 << 16;
    /// Virtual-8086 mode.
    pub const VM: u32 = 1 << 17;
    /// Alignment check (with CR0.AM, at CPL 3).
    pub const AC: u32 = 1 << 18;
    /// Virtual interrupt flag.
    pub const VIF: u32 = 1 << 19;
    /// Virtual interrupt pending.
    pub const VIP: u32 = 1 << 20;
    /// CPUID is there: software can toggle it.
    pub const ID: u32 = 1 << 21;
    /// The six flags that arithmetic writes.
    pub const ARITHMETIC: u32 = CF | PF | AF | ZF | SF | OF;
    /// All bits that exist.
    pub const DEFINED: u32 = 0x3F_7FD5;
}

/// Carry out of the top bit.
const CARRY: u32 = 1 << 31;
/// Carry out of the bit below the top; OF is this XOR [`CARRY`].
const CARRY_BELOW: u32 = 1 << 30;
/// Carry out of bit 3.
const HALF: u32 = 1 << 3;
/// SF is the sign of the result XOR this.
const SIGN_DELTA: u32 = 1;

/// EFLAGS; see the module's description.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[repr(C)]
pub struct Eflags {
    /// Sign-extended. ZF: it is zero. SF: its top bit XOR the sign delta. PF: parity of its low byte XOR the
    /// parity delta.
    result: u64,
    /// CARRY, CARRY_BELOW, HALF, SIGN_DELTA, and in bits 8..=15 the parity delta.
    aux: u32,
    /// The bits that are not arithmetic.
    system: u32,
}

impl PartialEq for Eflags {
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
    }
}
impl Eq for Eflags {}

impl Default for Eflags {
    fn default() -> Self {
        Eflags::from_bits(0)
    }
}

impl Eflags {
    /// From an image; bits that do not exist are dropped.
    pub fn from_bits(bits: u32) -> Self {
        let mut f = Eflags { result: 0, aux: 0, system: 0 };
        f.set_bits(bits);
        f
    }

    /// The image, as PUSHFD would store it in the absence of virtual-8086 rules.
    #[inline]
    pub fn bits(&self) -> u32 {
        self.system | bit::ONE | self.arithmetic()
    }

    /// Replaces all bits.
    pub fn set_bits(&mut self, bits: u32) {
        self.system = bits & bit::DEFINED & !bit::ARITHMETIC;
        self.set_arithmetic(bits);
    }

    /// The six arithmetic flags, at their places.
    #[inline]
    pub fn arithmetic(&self) -> u32 {
        self.cf() as u32
            | (self.pf() as u32) << 2
            | (self.af() as u32) << 4
            | (self.zf() as u32) << 6
            | (self.sf() as u32) << 7
            | (self.of() as u32) << 11
    }

    /// Replaces the six arithmetic flags by those of `bits`.
    #[inline]
    pub fn set_arithmetic(&mut self, bits: u32) {
        let carry = bits & bit::CF != 0;
        let overflow = bits & bit::OF != 0;
        // Zero has even parity and no sign; one has odd parity and no sign. The deltas make up the difference.
        self.result = (bits & bit::ZF == 0) as u64;
        let even = self.result == 0;
        let parity_delta = (even != (bits & bit::PF != 0)) as u32;
        self.aux = (carry as u32) << 31
            | ((carry != overflow) as u32) << 30
            | ((bits & bit::AF != 0) as u32 * HALF)
            | parity_delta << 8
            | ((bits & bit::SF != 0) as u32 * SIGN_DELTA);
    }

    /// Carry flag.
    #[inline(always)]
    pub fn cf(&self) -> bool {
        self.aux & CARRY != 0
    }
    /// Parity flag.
    #[inline(always)]
    pub fn pf(&self) -> bool {
        (self.result as u8 ^ (self.aux >> 8) as u8).count_ones() & 1 == 0
    }
    /// Auxiliary carry flag.
    #[inline(always)]
    pub fn af(&self) -> bool {
        self.aux & HALF != 0
    }
    /// Zero flag.
    #[inline(always)]
    pub fn zf(&self) -> bool {
        self.result == 0
    }
    /// Sign flag.
    #[inline(always)]
    pub fn sf(&self) -> bool {
        (self.result >> 63) as u32 ^ (self.aux & SIGN_DELTA) != 0
    }
    /// Overflow flag.
    #[inline(always)]
    pub fn of(&self) -> bool {
        (self.aux ^ self.aux << 1) & CARRY != 0
    }

    /// Sets CF alone.
    #[inline(always)]
    pub fn set_cf(&mut self, on: bool) {
        if self.cf() != on {
            self.aux ^= CARRY | CARRY_BELOW;
        }
    }
    /// Sets OF alone.
    #[inline(always)]
    pub fn set_of(&mut self, on: bool) {
        if self.of() != on {
            self.aux ^= CARRY_BELOW;
        }
    }
    /// Sets CF and OF alone.
    #[inline(always)]
    pub fn set_cf_of(&mut self, cf: bool, of: bool) {
        self.aux = self.aux & !(CARRY | CARRY_BELOW) | (cf as u32) << 31 | ((cf != of) as u32) << 30;
    }
    /// Sets AF alone.
    #[inline(always)]
    pub fn set_af(&mut self, on: bool) {
        self.aux = self.aux & !HALF | (on as u32 * HALF);
    }
    /// Sets ZF alone.
    pub fn set_zf(&mut self, on: bool) {
        self.set_arithmetic(self.arithmetic() & !bit::ZF | (on as u32 * bit::ZF));
    }

    /// The flags of `result = a + b` or `a + b + carry`.
    #[inline(always)]
    pub fn set_add<T: Word>(&mut self, a: T, b: T, result: T) {
        let (a, b, r) = (a.zx(), b.zx(), result.zx());
        self.set_carries(result, a & b | (a | b) & !r);
    }

    /// The flags of `result = a - b` or `a - b - borrow`.
    #[inline(always)]
    pub fn set_sub<T: Word>(&mut self, a: T, b: T, result: T) {
        let (a, b, r) = (a.zx(), b.zx(), result.zx());
        self.set_carries(result, !a & b | (!a | b) & r);
    }

    /// The flags of a logical operation: CF, OF and AF clear.
    ///
    /// AF is undefined by the manual; processors clear it.
    #[inline(always)]
    pub fn set_logic<T: Word>(&mut self, result: T) {
        self.result = result.sx();
        self.aux = 0;
    }

    /// The flags of an operation that sets SF, ZF and PF by its result, with CF, OF and AF given.
    #[inline(always)]
    pub fn set_result<T: Word>(&mut self, result: T, cf: bool, of: bool, af: bool) {
        self.result = result.sx();
        self.aux = (cf as u32) << 31 | ((cf != of) as u32) << 30 | (af as u32 * HALF);
    }

    /// Runs `set`, then puts CF back: INC and DEC.
    #[inline(always)]
    pub fn preserving_cf(&mut self, set: impl FnOnce(&mut Self)) {
        let cf = self.cf();
        set(self);
        self.set_cf(cf);
    }

    /// SF, ZF and PF of `result`; CF, OF and AF by the carries out of each bit: CF is the one out of the top bit,
    /// OF its difference from the one below, AF the one out of bit 3.
    #[inline(always)]
    pub fn set_carries<T: Word>(&mut self, result: T, carries: u64) {
        self.result = result.sx();
        let top = if T::BITS == 64 { (carries >> 32) as u32 } else { (carries as u32) << (32 - T::BITS) };
        self.aux = top & (CARRY | CARRY_BELOW) | carries as u32 & HALF;
    }

    /// Whether all the system bits of `mask` are set.
    #[inline(always)]
    pub fn has(&self, mask: u32) -> bool {
        self.system & mask == mask
    }

    /// The system bits (everything that is not arithmetic).
    #[inline(always)]
    pub fn system(&self) -> u32 {
        self.system
    }

    /// Replaces the system bits by those of `bits`.
    #[inline(always)]
    pub fn replace_system(&mut self, bits: u32) {
        self.system = bits & bit::DEFINED & !bit::ARITHMETIC;
    }

    /// Sets or clears the system bits of `mask`.
    #[inline(always)]
    pub fn set_system(&mut self, mask: u32, on: bool) {
        let mask = mask & !bit::ARITHMETIC;
        self.system = self.system & !mask | if on { mask } else { 0 };
    }

    /// I/O privilege level, 0 to 3.
    #[inline(always)]
    pub fn iopl(&self) -> u8 {
        (self.system >> 12) as u8 & 3
    }

    /// Condition code `cc` (0 to 15) as in Jcc, SETcc and CMOVcc. SDM Vol. 1, "EFLAGS Condition Codes".
    #[inline(always)]
    pub fn condition(&self, cc: u8) -> bool {
        let base = match cc >> 1 {
            0 => self.of(),
            1 => self.cf(),
            2 => self.zf(),
            3 => self.cf() | self.zf(),
            4 => self.sf(),
            5 => self.pf(),
            6 => self.sf() != self.of(),
            _ => self.zf() | (self.sf() != self.of()),
        };
        base != (cc & 1 != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_round_trips() {
        for n in 0..64u32 {
            let bits = (n & 1) | (n & 2) << 1 | (n & 4) << 2 | (n & 8) << 3 | (n & 16) << 3 | (n & 32) << 6;
            assert_eq!(Eflags::from_bits(bits).arithmetic(), bits);
            let mut f = Eflags::from_bits(bits);
            f.set_cf(!f.cf());
            assert_eq!(f.arithmetic(), bits ^ bit::CF);
            f.set_of(!f.of());
            assert_eq!(f.arithmetic(), bits ^ bit::CF ^ bit::OF);
            f.set_zf(!f.zf());
            assert_eq!(f.arithmetic(), bits ^ bit::CF ^ bit::OF ^ bit::ZF);
        }
    }

    #[test]
    fn byte_addition_and_subtraction_by_the_definition() {
        for a in 0..=255u8 {
            for b in 0..=255u8 {
                let mut f = Eflags::default();
                let r = a.wrapping_add(b);
                f.set_add(a, b, r);
                assert_eq!(f.cf(), a.checked_add(b).is_none());
                assert_eq!(f.of(), (a as i8).checked_add(b as i8).is_none());
                assert_eq!(f.af(), (a & 15) + (b & 15) > 15);
                assert_eq!(f.zf(), r == 0);
                assert_eq!(f.sf(), r > 127);
                let r = a.wrapping_sub(b);
                f.set_sub(a, b, r);
                assert_eq!(f.cf(), a < b);
                assert_eq!(f.of(), (a as i8).checked_sub(b as i8).is_none());
                assert_eq!(f.af(), (a & 15) < (b & 15));
                assert_eq!(f.pf(), r.count_ones() % 2 == 0);
            }
        }
    }
}
