//! Drives and what can be in them: data rates, formats, and what the BIOS data area knows of a diskette.

use crate::bios::bda;
use crate::platform::Platform;

/// Data rates as the controller numbers them, in kbit/s.
pub(super) const RATE_500: u8 = 0;
pub(super) const RATE_300: u8 = 1;
pub(super) const RATE_250: u8 = 2;
pub(super) const RATE_1000: u8 = 3;

/// In [`bda::FLOPPY_MEDIA`]: the rate is known.
const ESTABLISHED: u8 = 1 << 4;
/// Each cylinder of the diskette is two tracks of the drive.
const DOUBLE_STEP: u8 = 1 << 5;

/// The kinds of drives, numbered as in CMOS memory and by INT 13h AH=08h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum DriveType {
    /// 360K, 5.25 inch.
    K360 = 1,
    /// 1.2M, 5.25 inch.
    M1_2 = 2,
    /// 720K, 3.5 inch.
    K720 = 3,
    /// 1.44M, 3.5 inch.
    M1_44 = 4,
    /// 2.88M, 3.5 inch.
    M2_88 = 5,
}

impl DriveType {
    pub fn from_cmos(number: u8) -> Option<DriveType> {
        use DriveType::*;
        [K360, M1_2, K720, M1_44, M2_88].into_iter().find(|kind| *kind as u8 == number)
    }

    pub fn has_change_line(self) -> bool {
        self != DriveType::K360
    }

    /// Cylinders, and sectors on a track, of the largest format.
    pub fn largest_format(self) -> (u8, u8) {
        match self {
            DriveType::K360 => (40, 9),
            DriveType::M1_2 => (80, 15),
            DriveType::K720 => (80, 9),
            DriveType::M1_44 => (80, 18),
            DriveType::M2_88 => (80, 36),
        }
    }

    /// The rates at which diskettes of this drive can have been written, the likeliest first.
    pub fn rates(self) -> &'static [u8] {
        match self {
            DriveType::K360 | DriveType::K720 => &[RATE_250],
            DriveType::M1_2 => &[RATE_500, RATE_300],
            DriveType::M1_44 => &[RATE_500, RATE_250],
            DriveType::M2_88 => &[RATE_1000, RATE_500, RATE_250],
        }
    }

    /// The rate of a format of `cylinders` with `sectors` on a track.
    pub fn rate_for(self, cylinders: u8, sectors: u8) -> Option<u8> {
        let double = if self == DriveType::M1_2 { RATE_300 } else { RATE_250 };
        let rate = match (cylinders, sectors) {
            (40, 8 | 9) => double,
            (80, 8 | 9) => RATE_250,
            (80, 15 | 18 | 21) => RATE_500,
            (80, 36) => RATE_1000,
            _ => return None,
        };
        (self.rates().contains(&rate) && sectors <= self.largest_format().1.max(21)).then_some(rate)
    }

    fn double_steps_at(self, rate: u8) -> bool {
        self == DriveType::M1_2 && rate == RATE_300
    }
}

fn state(drive: u8) -> bda::Field<u8> {
    bda::FLOPPY_MEDIA.nth((drive & 1).into())
}

/// The rate of the diskette in `drive`, if it is known.
pub(super) fn known_rate(io: &mut dyn Platform, drive: u8) -> Option<u8> {
    let state = state(drive).get(io);
    (state & ESTABLISHED != 0).then_some(state >> 6)
}

/// Nothing is known of the diskette any longer.
pub(super) fn forget(io: &mut dyn Platform, drive: u8) {
    state(drive).change(io, ESTABLISHED, 0);
}

/// Notes that the diskette has `rate`, if the drive can read that.
pub(super) fn establish(io: &mut dyn Platform, drive: u8, kind: DriveType, rate: u8) -> bool {
    if !kind.rates().contains(&rate) {
        return false;
    }
    /// What IBM's BIOS writes for a diskette of its own kind in the drive, and for others.
    const OWN_360: u8 = 3;
    const OWN_360_IN_1_2: u8 = 4;
    const OWN_1_2: u8 = 5;
    const OTHER: u8 = 7;
    let number = match (kind, rate) {
        (DriveType::K360, _) => OWN_360,
        (DriveType::M1_2, RATE_300) => OWN_360_IN_1_2,
        (DriveType::M1_2, _) => OWN_1_2,
        _ => OTHER,
    };
    let double_step = if kind.double_steps_at(rate) { DOUBLE_STEP } else { 0 };
    state(drive).set(io, rate << 6 | double_step | ESTABLISHED | number);
    bda::FLOPPY_RATE.set(io, rate << 6);
    true
}

/// The track of the drive where cylinder `cylinder` of a diskette with `rate` is.
pub(super) fn track_of(kind: DriveType, rate: u8, cylinder: u8) -> u8 {
    if kind.double_steps_at(rate) { cylinder.saturating_mul(2) } else { cylinder }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_rates() {
        assert_eq!(DriveType::M1_44.rate_for(80, 18), Some(RATE_500));
        assert_eq!(DriveType::M1_44.rate_for(80, 9), Some(RATE_250));
        assert_eq!(DriveType::M1_44.rate_for(80, 36), None, "an extra-density format");
        assert_eq!(DriveType::M1_2.rate_for(40, 9), Some(RATE_300));
        assert_eq!(track_of(DriveType::M1_2, RATE_300, 20), 40);
        assert_eq!(track_of(DriveType::M1_2, RATE_500, 20), 20);
        assert_eq!(DriveType::K360.rate_for(80, 9), Some(RATE_250));
        assert_eq!(DriveType::from_cmos(0), None);
    }
}
