//! 8237A registers. Intel 8237A data sheet, "Register Description", and IBM PC/AT Technical Reference,
//! "DMA Controller" and "Page Registers".

use serde::{Deserialize, Serialize};

/// Command register. Bits that only shape bus signals (timing, write strobes, DREQ and DACK sense) have no
/// counterpart here: the board wires the senses one way, and no other works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Command(pub u8);

impl Command {
    /// Channels 0 and 1 together copy memory to memory.
    pub const fn memory_to_memory(self) -> bool {
        self.0 & 0x01 != 0
    }
    /// Channel 0 keeps its address during a memory-to-memory copy, which fills a block.
    pub const fn channel_0_address_hold(self) -> bool {
        self.0 & 0x02 != 0
    }
    /// The controller serves nobody.
    pub const fn controller_disabled(self) -> bool {
        self.0 & 0x04 != 0
    }
}

/// What a channel does with each unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// Addresses and terminal count without data strobes; also what the illegal code 3 amounts to.
    Verify,
    /// From the peripheral to memory.
    Write,
    /// From memory to the peripheral.
    Read,
}

/// When a channel gives the bus back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// When DREQ drops.
    Demand,
    /// After each unit.
    Single,
    /// At terminal count.
    Block,
    /// The channel passes another controller through and transfers nothing itself.
    Cascade,
}

/// Mode register of one channel, without the channel select bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mode(pub u8);

impl Mode {
    /// Transfer type, bits 3 and 2.
    pub const fn transfer(self) -> Transfer {
        match self.0 >> 2 & 3 {
            1 => Transfer::Write,
            2 => Transfer::Read,
            _ => Transfer::Verify,
        }
    }
    /// At terminal count, address and count reload from their base registers.
    pub const fn autoinitialize(self) -> bool {
        self.0 & 0x10 != 0
    }
    /// The address counts down.
    pub const fn address_decrement(self) -> bool {
        self.0 & 0x20 != 0
    }
    /// Mode select, bits 7 and 6.
    pub const fn service(self) -> Service {
        match self.0 >> 6 {
            0 => Service::Demand,
            1 => Service::Single,
            2 => Service::Block,
            _ => Service::Cascade,
        }
    }
}

/// Register addresses of one controller, in units of its own address lines.
pub mod register {
    /// Status (read) and command (write). Address and count registers lie below, two per channel.
    pub const STATUS_COMMAND: u8 = 0x8;
    /// Request register, one channel at a time.
    pub const REQUEST: u8 = 0x9;
    /// Mask register, one channel at a time.
    pub const SINGLE_MASK: u8 = 0xA;
    /// Mode register of the channel named in bits 1 and 0.
    pub const MODE: u8 = 0xB;
    /// Clears the byte pointer flip-flop.
    pub const CLEAR_FLIP_FLOP: u8 = 0xC;
    /// Temporary register (read) and master clear (write).
    pub const TEMPORARY_MASTER_CLEAR: u8 = 0xD;
    /// Clears all mask bits.
    pub const CLEAR_MASK: u8 = 0xE;
    /// Writes all mask bits.
    pub const ALL_MASK: u8 = 0xF;
}

/// The page register of each channel, as its distance from port 80h. Channel 4 cascades and has none; its
/// place is that of the refresh page.
pub const PAGE_OF_CHANNEL: [usize; 8] = [0x7, 0x3, 0x1, 0x2, 0xF, 0xB, 0x9, 0xA];
