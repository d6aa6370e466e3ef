//! Drives and the formats of diskettes.

use crate::time::GuestDuration;

/// Bytes in a sector of every PC format.
pub const SECTOR: usize = 512;

/// The kinds of drives that PCs have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DriveType {
    /// 5¼ inch, double density, 40 cylinders. Has no disk change line.
    Dd525,
    /// 5¼ inch, high density, 80 cylinders, 360 rpm.
    Hd525,
    /// 3½ inch, double density.
    Dd35,
    /// 3½ inch, high density.
    Hd35,
    /// 3½ inch, extra density.
    Ed35,
}

/// How densely a diskette is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Density {
    Double,
    High,
    Extra,
}

/// How a diskette is laid out: sectors of 512 bytes, numbered from 1 on each track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    /// Cylinders.
    pub cylinders: u8,
    /// Sides, 1 or 2.
    pub heads: u8,
    /// Sectors on a track.
    pub sectors: u8,
    pub(super) density: Density,
    /// The drive that the format was made for; others may take it too.
    drive: DriveType,
}

impl Format {
    /// The formats of PC diskettes, each of another size.
    pub const ALL: &[Format] = {
        use Density::*;
        use DriveType::*;
        const fn format(cylinders: u8, heads: u8, sectors: u8, density: Density, drive: DriveType) -> Format {
            Format { cylinders, heads, sectors, density, drive }
        }
        &[
            format(40, 1, 8, Double, Dd525),
            format(40, 1, 9, Double, Dd525),
            format(40, 2, 8, Double, Dd525),
            format(40, 2, 9, Double, Dd525),
            format(80, 2, 8, Double, Dd35),
            format(80, 2, 9, Double, Dd35),
            format(80, 2, 15, High, Hd525),
            format(80, 2, 18, High, Hd35),
            format(80, 2, 21, High, Hd35),
            format(82, 2, 21, High, Hd35),
            format(80, 2, 36, Extra, Ed35),
        ]
    };

    /// The format of a diskette of `size` bytes: 160, 180, 320, 360, 640 or 720 KiB, 1.2, 1.44, 1.68 (DMF), 1.72
    /// or 2.88 MB as they are called.
    pub fn of_size(size: u64) -> Option<Format> {
        Self::ALL.iter().copied().find(|format| format.size() == size)
    }

    /// Size in bytes.
    pub const fn size(self) -> u64 {
        self.cylinders as u64 * self.heads as u64 * self.sectors as u64 * SECTOR as u64
    }

    /// The drive that the format was made for.
    pub const fn drive_type(self) -> DriveType {
        self.drive
    }
}

impl DriveType {
    /// The number that stands for the drive in the CMOS RAM of an AT.
    pub const fn cmos_type(self) -> u8 {
        match self {
            DriveType::Dd525 => 1,
            DriveType::Hd525 => 2,
            DriveType::Dd35 => 3,
            DriveType::Hd35 => 4,
            DriveType::Ed35 => 5,
        }
    }

    /// Whether diskettes of `format` fit and can be read.
    pub fn accepts(self, format: Format) -> bool {
        let is_525 = |drive| matches!(drive, DriveType::Dd525 | DriveType::Hd525);
        let densest = match self {
            DriveType::Dd525 | DriveType::Dd35 => Density::Double,
            DriveType::Hd525 | DriveType::Hd35 => Density::High,
            DriveType::Ed35 => Density::Extra,
        };
        is_525(self) == is_525(format.drive) && format.density <= densest
    }

    /// The innermost track that the head reaches.
    pub(super) const fn last_track(self) -> u8 {
        match self {
            DriveType::Dd525 => 41,
            _ => 83,
        }
    }

    pub(super) const fn has_change_line(self) -> bool {
        !matches!(self, DriveType::Dd525)
    }

    /// The cylinder of a diskette of `format` over which the head at `track` is. In a drive of twice as many
    /// tracks, a head at an odd one is between two.
    pub(super) fn cylinder_at(self, track: u8, format: Format) -> Option<u8> {
        let double_step = self == DriveType::Hd525 && format.cylinders <= 40;
        let cylinder = match (double_step, track % 2) {
            (false, _) => track,
            (true, 0) => track / 2,
            (true, _) => return None,
        };
        (cylinder < format.cylinders).then_some(cylinder)
    }

    /// One revolution.
    pub(super) const fn revolution(self) -> GuestDuration {
        match self {
            DriveType::Hd525 => GuestDuration::from_nanos(60_000_000_000 / 360),
            _ => GuestDuration::from_nanos(60_000_000_000 / 300),
        }
    }

    /// The data rate, in kbit/s, at which diskettes of `density` pass under the head.
    pub(super) const fn data_rate(self, density: Density) -> u16 {
        match (density, self) {
            (Density::Double, DriveType::Hd525) => 300,
            (Density::Double, _) => 250,
            (Density::High, _) => 500,
            (Density::Extra, _) => 1000,
        }
    }
}
