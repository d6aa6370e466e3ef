//! The execution phase: finding sectors, moving their bytes, and how it ends.
//!
//! Intel 82077AA data sheet, "Data Transfer Commands".

use super::Floppy;
use super::drive::{Listening, NotFound, SectorId, sector_end, sector_under_head};
use super::format::SECTOR;
use super::spec::{modifier, st0, st1, st2};
use super::state::configuration;
use crate::backend::MediumError;
use crate::time::{GuestDuration, GuestTime};
use serde::{Deserialize, Serialize};

/// After the last byte of a sector, how long the controller waits for TC before it goes on.
const TURNAROUND: GuestDuration = GuestDuration::from_micros(10);

/// What a command does with each sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    Read {
        deleted: bool,
    },
    Write {
        deleted: bool,
    },
    /// `counted` ends after `count` sectors.
    Verify {
        counted: bool,
    },
    ReadTrack,
    Scan(Condition),
    ReadId,
    FormatTrack,
}

/// What a scan looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Condition {
    Equal,
    LowOrEqual,
    HighOrEqual,
}

/// Where bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    ToHost,
    FromHost,
    Nowhere,
}

impl Kind {
    pub fn direction(self) -> Direction {
        match self {
            Kind::Read { .. } | Kind::ReadTrack => Direction::ToHost,
            Kind::Write { .. } | Kind::Scan(_) | Kind::FormatTrack => Direction::FromHost,
            Kind::Verify { .. } | Kind::ReadId => Direction::Nowhere,
        }
    }
}

/// What the execution phase waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Wait {
    /// A diskette that turns: without its index pulses nothing ever ends, as on the real drive.
    Medium,
    /// A sector, or the second index pulse without it.
    Sector(GuestTime),
    /// The host, until then.
    Host(GuestTime),
    /// TC, until then.
    Turnaround(GuestTime),
}

/// A command in its execution phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Transfer {
    pub kind: Kind,
    pub drive: u8,
    pub head: u8,
    multitrack: bool,
    mfm: bool,
    skip: bool,
    implied_seek: bool,
    id: SectorId,
    /// EOT: the last sector of the track.
    last: u8,
    /// Sectors that are left (Verify, Format Track) or done (Read Track).
    count: u8,
    /// The step of a scan, the filler of a format.
    extra: u8,
    /// This sector had the other data address mark: it is the last.
    marked: bool,
    st1: u8,
    st2: u8,
    pub buffer: Vec<u8>,
    pub position: usize,
    pub wait: Wait,
}

impl Transfer {
    /// The command of `kind` whose bytes are `command`.
    pub fn new(kind: Kind, command: &[u8]) -> Self {
        let parameter = |at: usize| command.get(at).copied().unwrap_or(0);
        let has = |bit| parameter(0) & bit != 0;
        let id = SectorId { c: parameter(2), h: parameter(3), r: parameter(4), n: parameter(5) };
        let mut transfer = Transfer {
            kind,
            drive: parameter(1) & 3,
            head: parameter(1) >> 2 & 1,
            multitrack: has(modifier::MULTITRACK),
            mfm: has(modifier::MFM),
            skip: has(modifier::SKIP),
            implied_seek: false,
            id,
            last: parameter(6),
            count: 0,
            extra: parameter(8),
            marked: false,
            st1: 0,
            st2: 0,
            buffer: Vec::new(),
            position: 0,
            wait: Wait::Medium,
        };
        match kind {
            Kind::Verify { .. } => transfer.count = parameter(8),
            // The track number is not a parameter; every sector brings its own.
            Kind::FormatTrack => {
                transfer.count = parameter(3);
                transfer.extra = parameter(5);
            }
            _ => {}
        }
        transfer
    }

    /// The cylinder that an implied seek goes to.
    pub fn cylinder(&self) -> Option<u8> {
        match self.kind {
            Kind::ReadId | Kind::FormatTrack => None,
            _ => Some(self.id.c),
        }
    }

    /// The host must move a byte.
    pub fn wants_host(&self) -> bool {
        matches!(self.wait, Wait::Host(_))
    }

    /// When the controller acts by itself.
    pub fn due(&self) -> Option<GuestTime> {
        match self.wait {
            Wait::Medium => None,
            Wait::Sector(due) | Wait::Host(due) | Wait::Turnaround(due) => Some(due),
        }
    }

    /// "Result phase table": what comes after the last sector that was done.
    fn advance_id(&mut self) {
        if self.id.r != self.last {
            self.id.r = self.id.r.wrapping_add(1);
            return;
        }
        self.id.r = 1;
        if !self.multitrack || self.head == 1 {
            self.id.c = self.id.c.wrapping_add(1);
        }
        if self.multitrack {
            self.id.h ^= 1;
        }
    }
}

/// The sector satisfies the condition byte by byte; a byte FFh on either side is equal to everything.
fn scan(condition: Condition, disk: &[u8], host: &[u8]) -> u8 {
    let pairs = || disk.iter().zip(host).filter(|(disk, host)| **disk != 0xFF && **host != 0xFF);
    if pairs().all(|(disk, host)| disk == host) {
        return st2::SCAN_EQUAL;
    }
    let satisfied = match condition {
        Condition::Equal => false,
        Condition::LowOrEqual => pairs().all(|(disk, host)| disk <= host),
        Condition::HighOrEqual => pairs().all(|(disk, host)| disk >= host),
    };
    if satisfied { 0 } else { st2::SCAN_NOT_SATISFIED }
}

impl Floppy {
    /// Enters the execution phase.
    pub(super) fn start(&mut self, mut transfer: Transfer) {
        let mut start = self.state.clock;
        if self.state.configuration & configuration::IMPLIED_SEEK != 0
            && let Some(cylinder) = transfer.cylinder()
        {
            let seek = self.plan_seek(transfer.drive, cylinder);
            start = seek.end;
            self.finish_seek(transfer.drive, seek);
            transfer.implied_seek = true;
        }
        if transfer.cylinder().is_some() {
            self.state.last_eot = transfer.last;
        } else if transfer.kind == Kind::FormatTrack {
            self.state.last_eot = transfer.count;
        }
        self.state.transfer = Some(transfer);
        self.await_sector(start);
    }

    /// A motor has started or a diskette has come: goes on where there was none.
    pub(super) fn resume(&mut self) {
        if self.state.transfer.as_ref().is_some_and(|transfer| transfer.wait == Wait::Medium) {
            self.await_sector(self.state.clock);
        }
    }

    fn listening(&self, transfer: &Transfer) -> Listening {
        Listening { head: transfer.head, mfm: transfer.mfm, rate: super::spec::data_rate(self.state.rate) }
    }

    fn find(&self, transfer: &Transfer) -> Result<u16, NotFound> {
        let nothing = NotFound { st1: st1::MISSING_ADDRESS_MARK, st2: 0 };
        let drive = self.drives[usize::from(transfer.drive)].as_ref().ok_or(nothing)?;
        drive.find(self.track(transfer.drive), self.listening(transfer), transfer.id)
    }

    fn id_on_track(&self, transfer: &Transfer, r: u8) -> Option<SectorId> {
        let drive = self.drives[usize::from(transfer.drive)].as_ref()?;
        drive.id_on_track(self.track(transfer.drive), self.listening(transfer), r)
    }

    fn sectors_on_track(&self, transfer: &Transfer) -> u8 {
        self.drives[usize::from(transfer.drive)].as_ref().map_or(0, |drive| drive.sectors_on_track())
    }

    /// Waits from `from` on for the sector that is next.
    fn await_sector(&mut self, from: GuestTime) {
        let Some(transfer) = &self.state.transfer else { return };
        let wait = match self.revolution(transfer.drive) {
            None => Wait::Medium,
            Some(revolution) => {
                let sectors = self.sectors_on_track(transfer);
                let r = match transfer.kind {
                    // The last sector ends at the index hole.
                    Kind::FormatTrack if transfer.buffer.is_empty() => Some(sectors),
                    Kind::FormatTrack => Some(sector_under_head(from, revolution, sectors)),
                    Kind::ReadTrack => {
                        self.id_on_track(transfer, transfer.count.wrapping_add(1)).map(|id| id.r)
                    }
                    Kind::ReadId => {
                        let r = sector_under_head(from, revolution, sectors);
                        self.id_on_track(transfer, r).map(|id| id.r)
                    }
                    _ => self.find(transfer).ok().map(|_| transfer.id.r),
                };
                Wait::Sector(match r {
                    Some(r) => sector_end(from, revolution, r, sectors),
                    None => from + revolution + revolution,
                })
            }
        };
        if let Some(transfer) = &mut self.state.transfer {
            transfer.wait = wait;
        }
    }

    /// What the transfer waited for has come, or will not.
    pub(super) fn transfer_due(&mut self, at: GuestTime) {
        let Some(mut transfer) = self.state.transfer.take() else { return };
        match transfer.wait {
            Wait::Medium => self.state.transfer = Some(transfer),
            Wait::Sector(_) if self.revolution(transfer.drive).is_none() => {
                transfer.wait = Wait::Medium;
                self.state.transfer = Some(transfer);
            }
            Wait::Sector(_) => self.sector_arrived(transfer, at),
            Wait::Host(_) => {
                transfer.st1 |= st1::OVERRUN;
                self.finish(transfer, st0::ABNORMAL);
            }
            Wait::Turnaround(_) => self.sector_done(transfer, false, at),
        }
    }

    fn sector_arrived(&mut self, mut transfer: Transfer, at: GuestTime) {
        match transfer.kind {
            Kind::ReadId => self.finish_read_id(transfer, at),
            Kind::FormatTrack => self.format_next(transfer, at),
            Kind::ReadTrack => self.read_track_sector(transfer, at),
            _ => match self.find(&transfer) {
                Ok(sector) => self.sector_found(transfer, sector, at),
                Err(NotFound { st1, st2 }) => {
                    transfer.st1 |= st1;
                    transfer.st2 |= st2;
                    self.finish(transfer, st0::ABNORMAL);
                }
            },
        }
    }

    fn sector_found(&mut self, mut transfer: Transfer, sector: u16, at: GuestTime) {
        if let Kind::Write { .. } = transfer.kind {
            if self.is_write_protected(transfer.drive) {
                transfer.st1 |= st1::NOT_WRITABLE;
                return self.finish(transfer, st0::ABNORMAL);
            }
            return self.await_host(transfer, vec![0; SECTOR], at);
        }
        let is_deleted = self.state.drives[usize::from(transfer.drive)].deleted.contains(&sector);
        let wanted = transfer.kind == Kind::Read { deleted: true };
        if is_deleted != wanted {
            transfer.st2 |= st2::CONTROL_MARK;
            if transfer.skip {
                return self.next_sector(transfer, false, at);
            }
            transfer.marked = true;
        }
        match transfer.kind {
            Kind::Scan(_) => self.await_host(transfer, vec![0; SECTOR], at),
            _ => match self.read_sector(transfer.drive, sector) {
                Err(_) => self.finish_data_error(transfer),
                Ok(_) if matches!(transfer.kind, Kind::Verify { .. }) => {
                    self.sector_done(transfer, false, at)
                }
                Ok(bytes) => self.await_host(transfer, bytes, at),
            },
        }
    }

    /// Offers `buffer` to the host, or has it filled, in the time in which the sector of a drive at true speed
    /// would pass.
    fn await_host(&mut self, mut transfer: Transfer, buffer: Vec<u8>, at: GuestTime) {
        let sectors = u64::from(self.sectors_on_track(&transfer).max(1));
        let turn = self.true_revolution(transfer.drive).as_nanos();
        transfer.buffer = buffer;
        transfer.position = 0;
        transfer.wait = Wait::Host(at + GuestDuration::from_nanos(turn / sectors));
        self.state.transfer = Some(transfer);
    }

    /// The host has moved a byte.
    pub(super) fn byte_moved(&mut self) {
        let Some(transfer) = &mut self.state.transfer else { return };
        transfer.position += 1;
        if transfer.position >= transfer.buffer.len() {
            transfer.wait = Wait::Turnaround(self.state.clock + TURNAROUND);
        }
    }

    /// TC: the host wants no more. What is left of a sector that it writes is filled with zeros.
    pub(super) fn terminal_count(&mut self) {
        let moving = |transfer: &mut Transfer| matches!(transfer.wait, Wait::Host(_) | Wait::Turnaround(_));
        let at = self.state.clock;
        if let Some(transfer) = self.state.transfer.take_if(moving) {
            self.sector_done(transfer, true, at);
        }
    }

    /// The bytes of a sector have been moved; `ending` if TC came with the last.
    fn sector_done(&mut self, mut transfer: Transfer, ending: bool, at: GuestTime) {
        match transfer.kind {
            Kind::FormatTrack => return self.format_sector(transfer, ending, at),
            Kind::ReadTrack => {
                transfer.count = transfer.count.wrapping_add(1);
                return if ending || transfer.count == transfer.last {
                    let code = if transfer.st1 == 0 { 0 } else { st0::ABNORMAL };
                    transfer.advance_id();
                    self.finish(transfer, code)
                } else {
                    transfer.id.r = transfer.id.r.wrapping_add(1);
                    self.state.transfer = Some(transfer);
                    self.await_sector(at)
                };
            }
            Kind::Write { deleted } => {
                if let Err(error) = self.write_sector(&transfer, deleted) {
                    return self.finish_write_error(transfer, error);
                }
            }
            Kind::Scan(condition) => {
                let Ok(sector) = self.find(&transfer) else { return self.finish_data_error(transfer) };
                let Ok(bytes) = self.read_sector(transfer.drive, sector) else {
                    return self.finish_data_error(transfer);
                };
                let outcome = scan(condition, &bytes[..transfer.position], &transfer.buffer);
                transfer.st2 = transfer.st2 & !(st2::SCAN_EQUAL | st2::SCAN_NOT_SATISFIED) | outcome;
                if outcome != st2::SCAN_NOT_SATISFIED {
                    return self.finish(transfer, 0);
                }
            }
            Kind::Verify { counted: true } => {
                transfer.count = transfer.count.wrapping_sub(1);
                let last = transfer.count == 0;
                return self.next_sector(transfer, last, at);
            }
            Kind::Read { .. } | Kind::Verify { counted: false } | Kind::ReadId => {}
        }
        self.next_sector(transfer, ending, at);
    }

    /// Goes on to the sector after this one, or ends: as wanted if `ending`, else because there is none.
    fn next_sector(&mut self, mut transfer: Transfer, ending: bool, at: GuestTime) {
        if transfer.marked {
            return self.finish(transfer, 0);
        }
        let is_last = transfer.id.r == transfer.last;
        let second_side_follows = is_last && transfer.multitrack && transfer.head == 0;
        if ending || is_last && !second_side_follows {
            transfer.advance_id();
            let by_itself = matches!(transfer.kind, Kind::Verify { counted: false } | Kind::Scan(_));
            if ending || by_itself {
                return self.finish(transfer, 0);
            }
            transfer.st1 |= st1::END_OF_CYLINDER;
            return self.finish(transfer, st0::ABNORMAL);
        }
        if second_side_follows {
            transfer.head = 1;
            transfer.id.h ^= 1;
            transfer.id.r = 1;
        } else {
            let step = if matches!(transfer.kind, Kind::Scan(_)) { transfer.extra.clamp(1, 2) } else { 1 };
            transfer.id.r = transfer.id.r.wrapping_add(step);
        }
        self.state.transfer = Some(transfer);
        self.await_sector(at);
    }

    fn write_sector(&mut self, transfer: &Transfer, deleted: bool) -> Result<(), MediumError> {
        let sector = self.find(transfer).map_err(|_| MediumError::OutOfRange)?;
        self.write_medium(transfer.drive, sector, &transfer.buffer)?;
        let marks = &mut self.state.drives[usize::from(transfer.drive)].deleted;
        if deleted {
            marks.insert(sector);
        } else {
            marks.remove(&sector);
        }
        Ok(())
    }

    /// "Read Track": the sectors as they follow the index hole, whatever they are called.
    fn read_track_sector(&mut self, mut transfer: Transfer, at: GuestTime) {
        let Some(id) = self.id_on_track(&transfer, transfer.count.wrapping_add(1)) else {
            transfer.st1 |= st1::MISSING_ADDRESS_MARK;
            return self.finish(transfer, st0::ABNORMAL);
        };
        if id != transfer.id {
            transfer.st1 |= st1::NO_DATA;
        }
        let physical = Transfer { id, ..transfer.clone() };
        let bytes = self.find(&physical).map(|sector| self.read_sector(transfer.drive, sector));
        match bytes {
            Ok(Ok(bytes)) => self.await_host(transfer, bytes, at),
            // The track has fewer sectors than the host wants.
            Err(NotFound { st1, .. }) => {
                transfer.st1 |= st1;
                self.finish(transfer, st0::ABNORMAL);
            }
            Ok(Err(_)) => self.finish_data_error(transfer),
        }
    }

    fn finish_read_id(&mut self, mut transfer: Transfer, at: GuestTime) {
        let sectors = self.sectors_on_track(&transfer);
        let revolution = self.true_revolution(transfer.drive);
        // The sector whose end has come is the one before the next.
        let before = GuestTime::from_nanos(at.as_nanos().saturating_sub(1));
        let r = sector_under_head(before, self.revolution(transfer.drive).unwrap_or(revolution), sectors);
        match self.id_on_track(&transfer, r) {
            Some(id) => {
                transfer.id = id;
                self.finish(transfer, 0);
            }
            None => {
                transfer.st1 |= st1::MISSING_ADDRESS_MARK;
                self.finish(transfer, st0::ABNORMAL);
            }
        }
    }

    /// The index hole, or the end of a sector just formatted, is under the head.
    fn format_next(&mut self, mut transfer: Transfer, at: GuestTime) {
        if self.is_write_protected(transfer.drive) {
            transfer.st1 |= st1::NOT_WRITABLE;
            return self.finish(transfer, st0::ABNORMAL);
        }
        if transfer.count == 0 {
            return self.finish(transfer, 0);
        }
        self.await_host(transfer, vec![0; 4], at);
    }

    /// The host has named a sector. An image holds those of its format only; naming another is answered as a
    /// failure of the drive.
    fn format_sector(&mut self, mut transfer: Transfer, ending: bool, at: GuestTime) {
        if let [c, h, r, n] = transfer.buffer[..] {
            transfer.id = SectorId { c, h, r, n };
        }
        let filled = Transfer { buffer: vec![transfer.extra; SECTOR], ..transfer.clone() };
        if let Err(error) = self.write_sector(&filled, false) {
            return self.finish_write_error(transfer, error);
        }
        transfer.count = transfer.count.wrapping_sub(1);
        if ending || transfer.count == 0 {
            return self.finish(transfer, 0);
        }
        self.state.transfer = Some(transfer);
        self.await_sector(at);
    }

    fn finish_data_error(&mut self, mut transfer: Transfer) {
        transfer.st1 |= st1::DATA_ERROR;
        transfer.st2 |= st2::DATA_ERROR_IN_DATA;
        self.finish(transfer, st0::ABNORMAL);
    }

    fn finish_write_error(&mut self, mut transfer: Transfer, error: MediumError) {
        match error {
            MediumError::ReadOnly => {
                transfer.st1 |= st1::NOT_WRITABLE;
                self.finish(transfer, st0::ABNORMAL);
            }
            MediumError::OutOfRange | MediumError::Failed => {
                self.finish(transfer, st0::ABNORMAL | st0::EQUIPMENT_CHECK);
            }
        }
    }

    /// Enters the result phase.
    fn finish(&mut self, transfer: Transfer, code: u8) {
        let Transfer { drive, head, implied_seek, id, st1, st2, .. } = transfer;
        let seek_end = if implied_seek { st0::SEEK_END } else { 0 };
        let st0 = code | seek_end | head << 2 | drive;
        self.state.result = [st0, st1, st2, id.c, id.h, id.r, id.n].into();
        self.state.result_interrupt = true;
    }
}
