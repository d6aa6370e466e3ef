//! One floppy drive: the diskette, the head, and where both are.

use super::format::{DriveType, Format, SECTOR};
use super::spec::{st1, st2};
use crate::backend::{Medium, MediumError};
use crate::time::{GuestDuration, GuestTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What identifies a sector on a track, as the commands name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SectorId {
    pub c: u8,
    pub h: u8,
    pub r: u8,
    pub n: u8,
}

/// The size code of sectors of 512 bytes.
const N_512: u8 = 2;

/// What the guest can see of a drive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DriveState {
    /// Where the head is.
    pub track: u8,
    /// The disk change line is active.
    pub changed: bool,
    /// The sectors, counted from the first, that have a deleted data address mark. An image has no place for
    /// these marks: they last until the diskette is taken out.
    pub deleted: BTreeSet<u16>,
}

/// A diskette in a drive.
#[derive(Debug)]
pub(super) struct Diskette {
    pub medium: Box<dyn Medium>,
    pub format: Format,
}

#[derive(Debug)]
pub(super) struct Drive {
    pub kind: DriveType,
    pub diskette: Option<Diskette>,
}

/// How the controller listens to a drive: what must fit the diskette.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listening {
    pub head: u8,
    pub mfm: bool,
    /// In kbit/s.
    pub rate: u16,
}

/// Why a sector cannot be found: bits of status registers 1 and 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotFound {
    pub st1: u8,
    pub st2: u8,
}

impl Drive {
    /// The cylinder whose marks the head can read, if any.
    fn readable_cylinder(&self, track: u8, listening: Listening) -> Option<u8> {
        let format = self.diskette.as_ref()?.format;
        let fits = listening.mfm
            && listening.rate == self.kind.data_rate(format.density)
            && listening.head < format.heads;
        if fits { self.kind.cylinder_at(track, format) } else { None }
    }

    /// Finds the sector `id` on the track under the head; gives its number counted from the first.
    pub fn find(&self, track: u8, listening: Listening, id: SectorId) -> Result<u16, NotFound> {
        let cylinder = self
            .readable_cylinder(track, listening)
            .ok_or(NotFound { st1: st1::MISSING_ADDRESS_MARK, st2: 0 })?;
        if id.c != cylinder {
            return Err(NotFound { st1: st1::NO_DATA, st2: st2::WRONG_CYLINDER });
        }
        let sectors = self.sectors_on_track();
        if id.h != listening.head || id.n != N_512 || !(1..=sectors).contains(&id.r) {
            return Err(NotFound { st1: st1::NO_DATA, st2: 0 });
        }
        let heads = self.diskette.as_ref().map_or(1, |diskette| diskette.format.heads);
        let track_number = u16::from(cylinder) * u16::from(heads) + u16::from(id.h);
        Ok(track_number * u16::from(sectors) + u16::from(id.r - 1))
    }

    /// The identity of the `r`th sector of the track under the head.
    pub fn id_on_track(&self, track: u8, listening: Listening, r: u8) -> Option<SectorId> {
        let c = self.readable_cylinder(track, listening)?;
        Some(SectorId { c, h: listening.head, r, n: N_512 })
    }

    /// Sectors on each track of the diskette; 0 without one.
    pub fn sectors_on_track(&self) -> u8 {
        self.diskette.as_ref().map_or(0, |diskette| diskette.format.sectors)
    }

    pub fn is_write_protected(&self) -> bool {
        self.diskette.as_ref().is_some_and(|diskette| diskette.medium.is_read_only())
    }

    pub fn read(&mut self, sector: u16) -> Result<Vec<u8>, MediumError> {
        let diskette = self.diskette.as_mut().ok_or(MediumError::OutOfRange)?;
        let mut buffer = vec![0; SECTOR];
        diskette.medium.read(offset(sector), &mut buffer)?;
        Ok(buffer)
    }

    pub fn write(&mut self, sector: u16, bytes: &[u8]) -> Result<(), MediumError> {
        let diskette = self.diskette.as_mut().ok_or(MediumError::OutOfRange)?;
        diskette.medium.write(offset(sector), bytes)
    }
}

fn offset(sector: u16) -> u64 {
    u64::from(sector) * SECTOR as u64
}

/// The first moment after `after` at which the end of the `r`th of `sectors` sectors passes under the head. The
/// index hole passes at every whole multiple of a revolution.
pub(super) fn sector_end(after: GuestTime, revolution: GuestDuration, r: u8, sectors: u8) -> GuestTime {
    let period = revolution.as_nanos();
    let now = after.as_nanos();
    let end = (period * u64::from(r)).div_ceil(u64::from(sectors.max(1)));
    let turn = now - now % period;
    let this_turn = turn.saturating_add(end % period);
    GuestTime::from_nanos(if this_turn > now { this_turn } else { this_turn.saturating_add(period) })
}

/// The sector, counted from 1, that passes under the head at `now`.
pub(super) fn sector_under_head(now: GuestTime, revolution: GuestDuration, sectors: u8) -> u8 {
    let period = revolution.as_nanos();
    let passed = now.as_nanos() % period * u64::from(sectors) / period;
    // Less than `sectors`, because the remainder is less than the period.
    passed as u8 + 1
}
