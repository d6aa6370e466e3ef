//! The x87 unit: register stack, control, status and tag words, and the pointers of the last instruction.

use serde::{Deserialize, Serialize};

/// x87 state. SDM Vol. 1, "x87 FPU Execution Environment".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct X87 {
    /// Significands of the physical registers R0 to R7; these are MM0 to MM7.
    pub significand: [u64; 8],
    /// Sign (bit 15) and exponent of R0 to R7.
    pub sign_exponent: [u16; 8],
    /// Control word.
    pub control: u16,
    /// Status word without TOP.
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
            control: 0x40,
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
