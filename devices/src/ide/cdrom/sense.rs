//! Sense data: why a packet command failed. SPC-2, "Sense data"; codes as MMC-3 assigns them.

use serde::{Deserialize, Serialize};

/// Sense key, additional sense code and qualifier, and the sector concerned if there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ide) struct Sense {
    key: u8,
    code: u8,
    qualifier: u8,
    sector: Option<u32>,
}

/// Sense key: the command was wrong.
const ILLEGAL_REQUEST: u8 = 5;

impl Sense {
    pub const NONE: Sense = Sense::new(0x0, 0x00, 0x00);
    pub const NO_MEDIUM: Sense = Sense::new(0x2, 0x3A, 0x01);
    pub const TRAY_OPEN: Sense = Sense::new(0x2, 0x3A, 0x02);
    pub const INVALID_COMMAND: Sense = Sense::new(ILLEGAL_REQUEST, 0x20, 0x00);
    pub const OUT_OF_RANGE: Sense = Sense::new(ILLEGAL_REQUEST, 0x21, 0x00);
    pub const INVALID_FIELD: Sense = Sense::new(ILLEGAL_REQUEST, 0x24, 0x00);
    pub const SAVING_NOT_SUPPORTED: Sense = Sense::new(ILLEGAL_REQUEST, 0x39, 0x00);
    pub const REMOVAL_PREVENTED: Sense = Sense::new(ILLEGAL_REQUEST, 0x53, 0x02);
    pub const ILLEGAL_MODE_FOR_TRACK: Sense = Sense::new(ILLEGAL_REQUEST, 0x64, 0x00);
    pub const MEDIUM_CHANGED: Sense = Sense::new(0x6, 0x28, 0x00);
    pub const RESET_OCCURRED: Sense = Sense::new(0x6, 0x29, 0x00);

    const fn new(key: u8, code: u8, qualifier: u8) -> Self {
        Sense { key, code, qualifier, sector: None }
    }

    /// Unrecovered read error at `sector`.
    pub const fn unreadable(sector: u32) -> Self {
        Sense { sector: Some(sector), ..Sense::new(0x3, 0x11, 0x00) }
    }

    /// The sense key as the Error register shows it, with ABRT for commands that were refused.
    pub fn error_register(self) -> u8 {
        self.key << 4 | if self.key == ILLEGAL_REQUEST { super::error::ABRT } else { 0 }
    }

    /// Whether the numbers fit their fields.
    pub fn is_valid(self) -> bool {
        self.key < 16
    }

    /// Fixed format sense data, as REQUEST SENSE returns it.
    pub fn data(self) -> [u8; 18] {
        let mut data = [0; 18];
        data[0] = 0x70;
        if let Some(sector) = self.sector {
            data[0] |= 0x80;
            data[3..7].copy_from_slice(&sector.to_be_bytes());
        }
        data[2] = self.key;
        data[7] = 10;
        data[12] = self.code;
        data[13] = self.qualifier;
        data
    }
}
