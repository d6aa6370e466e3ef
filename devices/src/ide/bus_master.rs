//! Bus master IDE: one channel's registers and its walk through the descriptor table. Intel 82371SB, "Bus
//! Master IDE Registers" and "Bus Master Function".

use super::drive::Direction;
use crate::access::DmaMemory;
use serde::{Deserialize, Serialize};

/// Offsets of a channel's registers.
pub(super) mod register {
    pub const COMMAND: u8 = 0;
    pub const STATUS: u8 = 2;
    pub const TABLE: u8 = 4;
    /// How many ports a channel has.
    pub const COUNT: u8 = 8;
}

/// Bits of the Command register.
mod command {
    pub const START: u8 = 0x01;
    /// Data goes from the drive to memory.
    pub const TO_MEMORY: u8 = 0x08;
}

/// Bits of the Status register.
mod status {
    pub const ACTIVE: u8 = 0x01;
    /// A transfer on PCI was aborted. Nothing aborts transfers here.
    pub const ERROR: u8 = 0x02;
    pub const INTERRUPT: u8 = 0x04;
    /// Software's note of which drives can do DMA.
    pub const CAPABLE: u8 = 0x60;
}

/// Bit 31 of a descriptor's second doubleword: it is the last one.
const END_OF_TABLE: u32 = 1 << 31;
/// Memory regions do not straddle such boundaries: the address counter is this wide.
const BOUNDARY: u32 = 1 << 16;

/// The rest of the memory region that the last fetched descriptor names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Region {
    at: u32,
    left: u32,
    last: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BusMaster {
    command: u8,
    status: u8,
    /// Descriptor Table Pointer.
    table: u32,
    /// The next descriptor to be fetched.
    next: u32,
    region: Region,
}

impl BusMaster {
    /// Reads the byte at `offset`; reserved ones are zero.
    pub fn read(&self, offset: u8) -> u8 {
        match offset {
            register::COMMAND => self.command,
            register::STATUS => self.status,
            register::TABLE..register::COUNT => self.table.to_le_bytes()[usize::from(offset & 3)],
            _ => 0,
        }
    }

    /// Writes the byte at `offset`.
    pub fn write(&mut self, offset: u8, value: u8) {
        match offset {
            register::COMMAND => self.write_command(value),
            register::STATUS => {
                let kept = self.status & !(value & (status::INTERRUPT | status::ERROR));
                self.status = kept & !status::CAPABLE | value & status::CAPABLE;
            }
            register::TABLE..register::COUNT => {
                let mut bytes = self.table.to_le_bytes();
                bytes[usize::from(offset & 3)] = value;
                self.table = u32::from_le_bytes(bytes) & !3;
            }
            _ => {}
        }
    }

    fn write_command(&mut self, value: u8) {
        let mut value = value & (command::START | command::TO_MEMORY);
        if self.is_active() {
            // The direction cannot be changed while a transfer is in progress.
            value = value & !command::TO_MEMORY | self.command & command::TO_MEMORY;
        }
        let was_started = self.command & command::START != 0;
        self.command = value;
        if value & command::START == 0 {
            // Stopping loses the place: there is no way to resume.
            self.status &= !status::ACTIVE;
        } else if !was_started {
            self.status |= status::ACTIVE;
            self.next = self.table;
            self.region = Region::default();
        }
    }

    fn is_active(&self) -> bool {
        self.status & status::ACTIVE != 0
    }

    /// The direction of the transfer in progress.
    pub fn direction(&self) -> Option<Direction> {
        let to_memory = self.command & command::TO_MEMORY != 0;
        self.is_active().then_some(if to_memory { Direction::In } else { Direction::Out })
    }

    /// INTRQ has risen.
    pub fn note_interrupt(&mut self) {
        self.status |= status::INTERRUPT;
    }

    /// Where up to `wanted` bytes go to or come from: an address, and how many bytes of them lie behind it.
    /// Fetches the next descriptor if need be.
    pub fn span(&mut self, wanted: usize, memory: &mut dyn DmaMemory) -> (u64, usize) {
        if self.region.left == 0 {
            let mut descriptor = [0; 8];
            memory.read(u64::from(self.next), &mut descriptor);
            self.next = self.next.wrapping_add(8);
            let [a, b, c, d, e, f, g, h] = descriptor;
            let (base, control) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
            // Addresses and counts are even; a count of zero is the largest.
            let count = control & (BOUNDARY - 1) & !1;
            self.region = Region {
                at: base & !1,
                left: if count == 0 { BOUNDARY } else { count },
                last: control & END_OF_TABLE != 0,
            };
        }
        let before_boundary = BOUNDARY - self.region.at % BOUNDARY;
        (u64::from(self.region.at), wanted.min(self.region.left.min(before_boundary) as usize))
    }

    /// Notes that `count` bytes of the last span were moved. The drive moves words: an odd byte takes one.
    pub fn moved(&mut self, count: usize) {
        let Region { at, left, last } = self.region;
        let count = count.next_multiple_of(2) as u32;
        self.region.at = at & !(BOUNDARY - 1) | (at.wrapping_add(count) & (BOUNDARY - 1));
        self.region.left = left.saturating_sub(count);
        if self.region.left == 0 && last {
            self.status &= !status::ACTIVE;
        }
    }

    /// Whether software could have led here.
    pub fn is_valid(&self) -> bool {
        let Region { at, left, last: _ } = self.region;
        self.command & !(command::START | command::TO_MEMORY) == 0
            && self.status & !(status::ACTIVE | status::ERROR | status::INTERRUPT | status::CAPABLE) == 0
            && self.table & 3 == 0
            && self.next & 3 == 0
            && at & 1 == 0
            && left & 1 == 0
            && left <= BOUNDARY
    }
}
