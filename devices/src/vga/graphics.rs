//! VGA graphics controller registers, ports 3CEh/3CFh. What they do to an access is in `window`.

use serde::{Deserialize, Serialize};

/// The bits that exist in GR0 to GR8.
const IMPLEMENTED: [u8; 9] = [0x0F, 0x0F, 0x0F, 0x1F, 0x03, 0x7B, 0x0F, 0x0F, 0xFF];

pub(super) const GRAPHICS_MODE: u8 = 5;
pub(super) const MISCELLANEOUS: u8 = 6;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GraphicsController {
    pub(super) index: u8,
    pub(super) registers: [u8; 9],
}

/// GR3 bits 4-3: how written data meets the latches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Replace,
    And,
    Or,
    Xor,
}

/// GR5 bits 6-5: how the four maps become dots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShiftMode {
    /// One bit of each map is one dot.
    Planar,
    /// Pairs of bits, first from maps 0 and 2, then from 1 and 3: the CGA's four colours.
    Interleaved,
    /// One byte of each map in turn, high nibble first: 256 colours.
    Packed,
}

impl GraphicsController {
    pub fn is_valid(&self) -> bool {
        self.index & !0x0F == 0 && self.registers.iter().zip(IMPLEMENTED).all(|(r, bits)| r & !bits == 0)
    }

    pub fn index(&self) -> u8 {
        self.index
    }

    pub fn set_index(&mut self, value: u8) {
        self.index = value & 0x0F;
    }

    pub fn read(&self) -> u8 {
        self.registers.get(usize::from(self.index)).copied().unwrap_or(0)
    }

    pub fn write(&mut self, value: u8) {
        let i = usize::from(self.index);
        if let Some(register) = self.registers.get_mut(i) {
            *register = value & IMPLEMENTED[i];
        }
    }

    pub fn set_reset(&self) -> u8 {
        self.registers[0]
    }

    pub fn enable_set_reset(&self) -> u8 {
        self.registers[1]
    }

    pub fn color_compare(&self) -> u8 {
        self.registers[2]
    }

    pub fn rotate_count(&self) -> u32 {
        u32::from(self.registers[3] & 7)
    }

    pub fn function(&self) -> Function {
        match self.registers[3] >> 3 & 3 {
            0 => Function::Replace,
            1 => Function::And,
            2 => Function::Or,
            _ => Function::Xor,
        }
    }

    pub fn read_map(&self) -> u8 {
        self.registers[4]
    }

    pub fn write_mode(&self) -> u8 {
        self.registers[5] & 3
    }

    /// GR5 bit 3: read mode 1, colour compare.
    pub fn compares_on_read(&self) -> bool {
        self.registers[5] & 0x08 != 0
    }

    /// GR5 bit 4: address bit 0 takes the place of read map select bit 0.
    pub fn odd_even_reads(&self) -> bool {
        self.registers[5] & 0x10 != 0
    }

    pub fn shift_mode(&self) -> ShiftMode {
        match self.registers[5] >> 5 & 3 {
            0 => ShiftMode::Planar,
            1 => ShiftMode::Interleaved,
            _ => ShiftMode::Packed,
        }
    }

    /// GR6 bit 0: graphics; clear means that map 2 holds fonts and maps 0 and 1 text.
    pub fn graphics(&self) -> bool {
        self.registers[6] & 0x01 != 0
    }

    /// GR6 bit 1: address bit 0 selects odd or even maps and a higher bit takes its place.
    pub fn chain_odd_even(&self) -> bool {
        self.registers[6] & 0x02 != 0
    }

    /// GR6 bits 3-2: where the window lies, as offset from A0000h and length.
    pub fn aperture(&self) -> (u32, u32) {
        match self.registers[6] >> 2 & 3 {
            0 => (0x00000, 0x20000),
            1 => (0x00000, 0x10000),
            2 => (0x10000, 0x08000),
            _ => (0x18000, 0x08000),
        }
    }

    pub fn color_dont_care(&self) -> u8 {
        self.registers[7]
    }

    pub fn bit_mask(&self) -> u8 {
        self.registers[8]
    }

    /// Writes of mode 0 pass through unchanged: nothing rotates, combines, masks or replaces the data.
    pub fn writes_plainly(&self) -> bool {
        self.registers[1] == 0
            && self.registers[3] == 0
            && self.write_mode() == 0
            && self.registers[8] == 0xFF
    }
}
