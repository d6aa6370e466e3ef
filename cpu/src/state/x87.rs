//! The x87 unit: register stack, control, status and tag words, and the pointers of the last instruction.

use crate::softfloat::{Class, F80, Operand};
use serde::{Deserialize, Serialize};

/// Bits of the status word. SDM Vol. 1, "x87 FPU Status Register".
pub mod status {
    /// SF: the invalid operation was a stack fault.
    pub const SF: u16 = 1 << 6;
    /// ES: an unmasked exception is pending.
    pub const ES: u16 = 1 << 7;
    /// Condition code 0.
    pub const C0: u16 = 1 << 8;
    /// Condition code 1.
    pub const C1: u16 = 1 << 9;
    /// Condition code 2.
    pub const C2: u16 = 1 << 10;
    /// Condition code 3.
    pub const C3: u16 = 1 << 14;
    /// B: the same as ES, for compatibility with the 8087.
    pub const B: u16 = 1 << 15;
    /// The six exception flags.
    pub const EXCEPTIONS: u16 = 0x3F;
    /// What is kept in [`super::X87::status`]: TOP is a field of its own, ES and B follow from the rest.
    pub const KEPT: u16 = EXCEPTIONS | SF | C0 | C1 | C2 | C3;
}

/// Bits of the control word that can be written. SDM Vol. 1, "x87 FPU Control Word".
const CONTROL_WRITABLE: u16 = 0x1F3F;
/// The bit of the control word that reads as one always.
const CONTROL_FIXED: u16 = 0x40;

/// x87 state. SDM Vol. 1, "x87 FPU Execution Environment".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct X87 {
    /// Significands of the physical registers R0 to R7; these are MM0 to MM7.
    pub significand: [u64; 8],
    /// Sign (bit 15) and exponent of R0 to R7.
    pub sign_exponent: [u16; 8],
    /// Control word; written through [`X87::set_control`].
    pub control: u16,
    /// The bits of the status word that do not follow from anything else: [`status::KEPT`].
    pub status: u16,
    /// The physical register that is ST(0).
    pub top: u8,
    /// Bit n is clear where register Rn is empty (the abridged tag word of FXSAVE).
    pub valid: u8,
    /// Opcode of the last non-control instruction, 11 bits.
    pub last_opcode: u16,
    /// Its selector and offset.
    pub last_ip: (u16, u32),
    /// Selector and offset of its memory operand.
    pub last_data: (u16, u32),
}

impl Default for X87 {
    /// After RESET. SDM Vol. 3A, "Processor State After Reset".
    fn default() -> Self {
        X87 {
            significand: [0; 8],
            sign_exponent: [0; 8],
            control: CONTROL_FIXED,
            status: 0,
            top: 0,
            // Tag word 5555h: all registers hold zero.
            valid: 0xFF,
            last_opcode: 0,
            last_ip: (0, 0),
            last_data: (0, 0),
        }
    }
}

impl X87 {
    /// FNINIT: everything but the contents of the registers. SDM Vol. 2A, "FINIT/FNINIT".
    pub fn initialize(&mut self) {
        let X87 { significand, sign_exponent, .. } = *self;
        *self = X87 { significand, sign_exponent, control: 0x37F, valid: 0, ..X87::default() };
    }

    /// Writes the control word; reserved bits keep their values.
    pub fn set_control(&mut self, value: u16) {
        self.control = value & CONTROL_WRITABLE | CONTROL_FIXED;
    }

    /// Whether a processor can come to this state.
    pub fn is_possible(&self) -> bool {
        let reserved = self.control & !CONTROL_WRITABLE != CONTROL_FIXED;
        !reserved && self.status & !status::KEPT == 0 && self.top < 8 && self.last_opcode < 1 << 11
    }

    /// Whether an unmasked exception is pending: ES of the status word.
    #[inline(always)]
    pub fn error_pending(&self) -> bool {
        self.status & !self.control & status::EXCEPTIONS != 0
    }

    /// The status word.
    pub fn status_word(&self) -> u16 {
        let summary = if self.error_pending() { status::ES | status::B } else { 0 };
        self.status & status::KEPT | summary | u16::from(self.top & 7) << 11
    }

    /// Writes the status word. ES and B follow from the exception flags and the control word.
    pub fn set_status_word(&mut self, value: u16) {
        self.status = value & status::KEPT;
        self.top = (value >> 11) as u8 & 7;
    }

    /// The tag word, two bits for each physical register: valid, zero, special, empty.
    pub fn tag_word(&self) -> u16 {
        (0..8).fold(0, |tags, r| {
            let value = F80 { significand: self.significand[r], sign_exponent: self.sign_exponent[r] };
            let tag = match Operand::from(value).class() {
                _ if self.valid & 1 << r == 0 => 3,
                Class::Normal => 0,
                Class::Zero => 1,
                _ => 2,
            };
            tags | tag << (2 * r)
        })
    }

    /// Writes the tag word, of which only "empty" matters: the rest follows from the registers.
    pub fn set_tag_word(&mut self, tags: u16) {
        self.valid = (0..8).filter(|r| tags >> (2 * r) & 3 != 3).fold(0, |valid, r| valid | 1 << r);
    }

    /// The number of the physical register that is ST(`i`).
    #[inline(always)]
    pub fn physical(&self, i: u8) -> usize {
        (self.top.wrapping_add(i) & 7) as usize
    }

    /// Whether ST(`i`) is empty.
    #[inline(always)]
    pub fn is_empty(&self, i: u8) -> bool {
        self.valid & 1 << self.physical(i) == 0
    }

    /// ST(`i`), even if it is empty.
    #[inline(always)]
    pub fn st(&self, i: u8) -> F80 {
        let r = self.physical(i);
        F80 { significand: self.significand[r], sign_exponent: self.sign_exponent[r] }
    }

    /// Writes ST(`i`), which is no longer empty then.
    #[inline(always)]
    pub fn set_st(&mut self, i: u8, value: F80) {
        let r = self.physical(i);
        self.set_contents(i, value);
        self.valid |= 1 << r;
    }

    /// Writes ST(`i`) and leaves its tag alone.
    pub fn set_contents(&mut self, i: u8, value: F80) {
        let r = self.physical(i);
        self.significand[r] = value.significand;
        self.sign_exponent[r] = value.sign_exponent;
    }

    /// Makes ST(`i`) empty.
    #[inline(always)]
    pub fn free(&mut self, i: u8) {
        self.valid &= !(1 << self.physical(i));
    }

    /// Makes ST(0) empty and ST(1) the top.
    #[inline(always)]
    pub fn pop(&mut self) {
        self.free(0);
        self.top = self.top.wrapping_add(1) & 7;
    }

    /// Makes ST(7) the top and writes it.
    #[inline(always)]
    pub fn push(&mut self, value: F80) {
        self.top = self.top.wrapping_sub(1) & 7;
        self.set_st(0, value);
    }

    /// Writes the condition codes among `which` to those of `value`.
    #[inline(always)]
    pub fn set_conditions(&mut self, which: u16, value: u16) {
        self.status = self.status & !which | value & which;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_follow_from_the_registers() {
        let mut x87 = X87::default();
        assert_eq!(x87.tag_word(), 0x5555);
        x87.initialize();
        assert_eq!((x87.tag_word(), x87.status_word(), x87.control), (0xFFFF, 0, 0x37F));
        x87.push(F80::ONE);
        x87.push(F80 { significand: 1, sign_exponent: 0 });
        assert_eq!((x87.tag_word(), x87.top), (0b00_10_11_11_11_11_11_11, 6));
        x87.set_tag_word(0xFFFC);
        assert_eq!(x87.valid, 1);
    }

    #[test]
    fn error_summary_follows_from_flags_and_masks() {
        let mut x87 = X87::default();
        x87.set_control(0xFFFF);
        assert_eq!(x87.control, 0x1F7F);
        x87.set_status_word(0xFFFF);
        assert_eq!(x87.status_word(), 0x7F7F);
        x87.set_control(0x037E);
        assert_eq!(x87.status_word(), 0xFFFF);
    }
}
