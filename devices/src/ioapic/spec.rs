//! I/O APIC registers. Intel 82093AA data sheet, "Register Description".

use crate::apic::{DeliveryMode, Destination, InterruptMessage};
use serde::{Deserialize, Serialize};

/// Memory-mapped registers.
pub mod offset {
    /// I/O register select.
    pub const SELECT: u64 = 0x00;
    /// I/O window: the register selected.
    pub const WINDOW: u64 = 0x10;
    /// Beyond the last register.
    pub const END: u64 = 0x20;
}

/// Registers behind the window.
pub mod register {
    /// I/O APIC ID, bits 27 to 24.
    pub const ID: u8 = 0x00;
    /// Version, read only.
    pub const VERSION: u8 = 0x01;
    /// Arbitration ID, read only.
    pub const ARBITRATION: u8 = 0x02;
    /// The redirection table, two registers per entry.
    pub const REDIRECTION: u8 = 0x10;
}

/// Interrupt inputs.
pub const PINS: usize = 24;

/// Version 11h, and the number of the last redirection entry.
pub const VERSION: u32 = 0x11 | (PINS as u32 - 1) << 16;

/// One entry of the redirection table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Redirection(pub u64);

impl Redirection {
    /// After a reset: masked.
    pub const RESET: Redirection = Redirection(Self::MASKED);
    /// Delivery status, read only: the interrupt waits to be accepted.
    pub const SEND_PENDING: u64 = 1 << 12;
    /// Remote IRR, read only: a level triggered interrupt was accepted and has not ended.
    pub const REMOTE_IRR: u64 = 1 << 14;
    /// Level triggered.
    const LEVEL: u64 = 1 << 15;
    /// Masked.
    const MASKED: u64 = 1 << 16;
    /// Logical destination mode.
    const LOGICAL: u64 = 1 << 11;
    /// Vector, modes, polarity, trigger, mask and destination.
    const WRITABLE: u64 = 0xFF00_0000_0001_AFFF;

    /// Whether no bit is set that cannot be.
    pub const fn is_valid(self) -> bool {
        self.0 & !(Self::WRITABLE | Self::REMOTE_IRR) == 0
    }

    /// Replaces one half. Remote IRR stays, unless the entry becomes edge triggered.
    pub fn write(&mut self, high: bool, value: u32) {
        let (shift, kept) = if high { (32, 0xFFFF_FFFF) } else { (0, 0xFFFF_FFFF << 32) };
        let written = (self.0 & kept | u64::from(value) << shift) & Self::WRITABLE;
        self.0 = written | self.0 & Self::REMOTE_IRR;
        if !self.level_triggered() {
            self.0 &= !Self::REMOTE_IRR;
        }
    }

    /// The mask bit.
    pub const fn masked(self) -> bool {
        self.0 & Self::MASKED != 0
    }

    /// The vector.
    pub const fn vector(self) -> u8 {
        self.0 as u8
    }

    /// Delivery mode, except start-up, which no I/O APIC sends.
    pub fn delivery(self) -> Option<DeliveryMode> {
        DeliveryMode::from_bits((self.0 >> 8) as u32).filter(|mode| *mode != DeliveryMode::StartUp)
    }

    /// Whether the entry reacts to the level of its input. SMI, NMI, INIT and ExtINT are edges whatever the
    /// trigger mode says.
    pub fn level_triggered(self) -> bool {
        let by_vector = matches!(self.delivery(), Some(DeliveryMode::Fixed | DeliveryMode::LowestPriority));
        by_vector && self.0 & Self::LEVEL != 0
    }

    /// Remote IRR.
    pub const fn awaits_end(self) -> bool {
        self.0 & Self::REMOTE_IRR != 0
    }

    /// What the entry sends.
    pub fn message(self) -> Option<InterruptMessage> {
        let to = (self.0 >> 56) as u8;
        let destination =
            if self.0 & Self::LOGICAL != 0 { Destination::Logical(to) } else { Destination::Physical(to) };
        let (vector, level_triggered) = (self.vector(), self.level_triggered());
        Some(InterruptMessage { destination, delivery: self.delivery()?, vector, level_triggered })
    }
}
