//! What a host can set on a disk, and what a reset makes of it.

use super::Geometry;
use crate::ide::modes::{DmaMode, Power};
use crate::ide::spec::MAX_MULTIPLE;
use serde::{Deserialize, Serialize};

/// Everything that commands set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ide) struct Settings {
    /// The translation that CHS addresses go through.
    pub geometry: Geometry,
    /// Sectors in a block of READ and WRITE MULTIPLE; 0 while they are disabled.
    pub multiple: u8,
    pub dma: DmaMode,
    pub write_cache: bool,
    pub look_ahead: bool,
    /// Whether a software reset returns all this to the defaults.
    pub revert: bool,
    pub power: Power,
}

impl Settings {
    /// The power-on defaults of a disk that presents `geometry`.
    pub fn power_on(geometry: Geometry) -> Self {
        Settings {
            geometry,
            multiple: 0,
            dma: DmaMode::POWER_ON,
            write_cache: true,
            look_ahead: true,
            revert: false,
            power: Power::Active,
        }
    }

    /// A reset of a disk that presents `geometry`.
    pub fn reset(&mut self, geometry: Geometry, hardware: bool) {
        if hardware || self.revert {
            *self = Self::power_on(geometry);
        }
        self.power = Power::Active;
    }

    /// SET MULTIPLE MODE; whether `sectors` per block is supported.
    pub fn set_multiple(&mut self, sectors: u8) -> bool {
        let supported = Self::is_multiple(sectors);
        self.multiple = if supported { sectors } else { 0 };
        supported
    }

    fn is_multiple(sectors: u8) -> bool {
        sectors == 0 || sectors.is_power_of_two() && sectors <= MAX_MULTIPLE
    }

    /// SET FEATURES (ATA/ATAPI-6, "SET FEATURES"); whether the subcommand is supported.
    pub fn set_feature(&mut self, subcommand: u8, parameter: u8) -> bool {
        match subcommand {
            0x02 => self.write_cache = true,
            0x03 => return self.dma.set_transfer_mode(parameter),
            0x55 => self.look_ahead = false,
            0x66 => self.revert = false,
            0x82 => self.write_cache = false,
            0xAA => self.look_ahead = true,
            0xCC => self.revert = true,
            _ => return false,
        }
        true
    }

    /// Whether commands could have led here.
    pub fn is_valid(&self) -> bool {
        self.dma.is_valid() && self.geometry.is_addressable() && Self::is_multiple(self.multiple)
    }
}
