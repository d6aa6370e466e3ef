//! VGA sequencer, ports 3C4h/3C5h: dot clock, map mask, character maps, memory mode.

use serde::{Deserialize, Serialize};

/// The bits that exist in SR0 to SR4.
const IMPLEMENTED: [u8; 5] = [0x03, 0x3D, 0x0F, 0x3F, 0x0E];

pub(super) const CLOCKING_MODE: u8 = 1;
pub(super) const MAP_MASK: u8 = 2;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sequencer {
    pub(super) index: u8,
    pub(super) registers: [u8; 5],
}

impl Sequencer {
    pub fn is_valid(&self) -> bool {
        self.index & !0x07 == 0 && self.registers.iter().zip(IMPLEMENTED).all(|(r, bits)| r & !bits == 0)
    }

    pub fn index(&self) -> u8 {
        self.index
    }

    pub fn set_index(&mut self, value: u8) {
        self.index = value & 0x07;
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

    /// SR0: neither asynchronous nor synchronous reset holds the sequencer.
    pub fn running(&self) -> bool {
        self.registers[0] & 0x03 == 0x03
    }

    /// SR1 bit 0 clear: characters are nine dots wide.
    pub fn nine_dots(&self) -> bool {
        self.registers[1] & 0x01 == 0
    }

    /// SR1 bit 3: the dot clock is the master clock divided by two.
    pub fn half_clock(&self) -> bool {
        self.registers[1] & 0x08 != 0
    }

    /// SR1 bit 5: the screen is off and the processor has all memory cycles.
    pub fn screen_off(&self) -> bool {
        self.registers[1] & 0x20 != 0
    }

    /// SR2: the maps that writes reach, map 0 in bit 0.
    pub fn map_mask(&self) -> u8 {
        self.registers[2]
    }

    /// SR3: where in map 2 character map A (attribute bit 3 set) or B (clear) starts.
    pub fn font(&self, attribute_bit_3: bool) -> u16 {
        let select = self.registers[3];
        let (low, high) = if attribute_bit_3 { (select >> 2, select >> 5) } else { (select, select >> 4) };
        u16::from(low & 3) << 14 | u16::from(high & 1) << 13
    }

    /// SR4 bit 2 clear: even addresses write maps 0 and 2, odd addresses maps 1 and 3.
    pub fn odd_even(&self) -> bool {
        self.registers[4] & 0x04 == 0
    }

    /// SR4 bit 3: the two low address bits select the map.
    pub fn chain_4(&self) -> bool {
        self.registers[4] & 0x08 != 0
    }
}
