//! VGA attribute controller, ports 3C0h/3C1h: palette, mode control, overscan, panning.

use serde::{Deserialize, Serialize};

/// The bits that exist in AR0 to AR14h.
const IMPLEMENTED: [u8; 21] = {
    let mut bits = [0x3F; 21];
    bits[MODE_CONTROL] = 0xEF;
    bits[OVERSCAN] = 0xFF;
    bits[PEL_PANNING] = 0x0F;
    bits[COLOR_SELECT] = 0x0F;
    bits
};

const MODE_CONTROL: usize = 0x10;
const OVERSCAN: usize = 0x11;
const COLOR_PLANE_ENABLE: usize = 0x12;
const PEL_PANNING: usize = 0x13;
const COLOR_SELECT: usize = 0x14;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AttributeController {
    /// Bits 4-0 the index, bit 5 palette address source: the display, not the processor, reads the palette.
    pub(super) index: u8,
    /// The next write to 3C0h goes to the register, not to the index.
    pub(super) data_next: bool,
    pub(super) registers: [u8; 21],
}

impl AttributeController {
    pub fn is_valid(&self) -> bool {
        self.index & !0x3F == 0 && self.registers.iter().zip(IMPLEMENTED).all(|(r, bits)| r & !bits == 0)
    }

    pub fn index(&self) -> u8 {
        self.index
    }

    /// CR24h bit 7 of the IBM VGA and most others: set while the next write goes to a register.
    pub fn data_next(&self) -> bool {
        self.data_next
    }

    /// What a read of input status 1 does.
    pub fn expect_index(&mut self) {
        self.data_next = false;
    }

    pub fn read(&self) -> u8 {
        self.registers.get(usize::from(self.index & 0x1F)).copied().unwrap_or(0)
    }

    /// A write to 3C0h: index and data in turn.
    pub fn write(&mut self, value: u8) {
        if !self.data_next {
            self.index = value & 0x3F;
        } else {
            let i = usize::from(self.index & 0x1F);
            // The palette has one address port: while the display drives it, the processor cannot.
            let reachable = i >= MODE_CONTROL || !self.display_enabled();
            if let Some(register) = self.registers.get_mut(i).filter(|_| reachable) {
                *register = value & IMPLEMENTED[i];
            }
        }
        self.data_next = !self.data_next;
    }

    /// Palette address source: clear, the screen shows the overscan colour.
    pub fn display_enabled(&self) -> bool {
        self.index & 0x20 != 0
    }

    /// Mode control bit 2: dot nine of C0h to DFh repeats dot eight.
    pub fn line_graphics(&self) -> bool {
        self.registers[MODE_CONTROL] & 0x04 != 0
    }

    /// Mode control bit 3: attribute bit 7 blinks instead of selecting a bright background.
    pub fn blink(&self) -> bool {
        self.registers[MODE_CONTROL] & 0x08 != 0
    }

    /// Mode control bit 5: what follows a line compare is not panned.
    pub fn line_compare_stops_panning(&self) -> bool {
        self.registers[MODE_CONTROL] & 0x20 != 0
    }

    /// Mode control bit 6: two dots make one eight-bit PEL.
    pub fn eight_bit(&self) -> bool {
        self.registers[MODE_CONTROL] & 0x40 != 0
    }

    pub fn overscan(&self) -> u8 {
        self.registers[OVERSCAN]
    }

    pub fn color_plane_enable(&self) -> u8 {
        self.registers[COLOR_PLANE_ENABLE] & 0x0F
    }

    pub fn pel_panning(&self) -> u8 {
        self.registers[PEL_PANNING]
    }

    /// The eight-bit DAC address of a four-bit colour.
    pub fn dac_address(&self, color: u8) -> u8 {
        let palette = self.registers[usize::from(color & self.color_plane_enable())];
        let select = self.registers[COLOR_SELECT];
        if self.registers[MODE_CONTROL] & 0x80 != 0 {
            palette & 0x0F | select << 4
        } else {
            palette & 0x3F | select << 4 & 0xC0
        }
    }
}
