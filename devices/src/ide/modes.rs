//! Transfer and power modes, which disks and packet devices have in common.

use serde::{Deserialize, Serialize};

/// The DMA mode that the host has chosen with SET FEATURES. Nothing here depends on it but what the drive
/// says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum DmaMode {
    /// Multiword DMA 0 to 2.
    Multiword(u8),
    /// Ultra DMA 0 to 5.
    Ultra(u8),
}

impl DmaMode {
    pub const MULTIWORD_MODES: u8 = 3;
    pub const ULTRA_MODES: u8 = 6;
    /// The fastest mode that the controller knows.
    pub const POWER_ON: DmaMode = DmaMode::Multiword(2);

    /// SET FEATURES, "Set transfer mode"; whether there is such a mode.
    pub fn set_transfer_mode(&mut self, mode: u8) -> bool {
        match mode {
            // PIO default, with and without IORDY, and PIO flow control 0 to 4: data moves alike in all.
            0x00 | 0x01 | 0x08..=0x0C => {}
            0x20..=0x22 => *self = DmaMode::Multiword(mode & 7),
            0x40..=0x45 => *self = DmaMode::Ultra(mode & 7),
            _ => return false,
        }
        true
    }

    /// Whether there is such a mode.
    pub fn is_valid(self) -> bool {
        match self {
            DmaMode::Multiword(mode) => mode < Self::MULTIWORD_MODES,
            DmaMode::Ultra(mode) => mode < Self::ULTRA_MODES,
        }
    }
}

/// Power mode (ATA/ATAPI-6, "Power management feature set").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Power {
    Active,
    Idle,
    Standby,
    /// Only a reset ends it.
    Sleep,
}

impl Power {
    /// What CHECK POWER MODE says in the Sector Count register.
    pub fn code(self) -> u8 {
        match self {
            Power::Active => 0xFF,
            Power::Idle => 0x80,
            Power::Standby | Power::Sleep => 0x00,
        }
    }
}
