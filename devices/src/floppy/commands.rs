//! What each command does: the parameters it sets, the seeks it starts, the registers it shows.
//!
//! Intel 82077AA data sheet, "Control Commands".

use super::Floppy;
use super::spec::*;
use super::state::{Seek, configuration};
use super::transfer::{Condition, Kind, Transfer};
use crate::time::GuestDuration;

/// The shortest time that a seek takes.
const SHORTEST_SEEK: GuestDuration = GuestDuration::from_micros(20);

impl Floppy {
    /// Executes a command; `bytes` are all of it.
    pub(super) fn execute(&mut self, command: Command, bytes: &[u8]) {
        let parameter = |at: usize| bytes.get(at).copied().unwrap_or(0);
        let (first, unit) = (parameter(0), parameter(1) & 3);
        match command {
            Command::ReadData => self.start(Transfer::new(Kind::Read { deleted: false }, bytes)),
            Command::ReadDeletedData => self.start(Transfer::new(Kind::Read { deleted: true }, bytes)),
            Command::WriteData => self.start(Transfer::new(Kind::Write { deleted: false }, bytes)),
            Command::WriteDeletedData => self.start(Transfer::new(Kind::Write { deleted: true }, bytes)),
            Command::ReadTrack => self.start(Transfer::new(Kind::ReadTrack, bytes)),
            Command::Verify => {
                // "Verify": the enable count bit is where others have a zero.
                let counted = parameter(1) & 1 << 7 != 0;
                self.start(Transfer::new(Kind::Verify { counted }, bytes));
            }
            Command::ScanEqual => self.start(Transfer::new(Kind::Scan(Condition::Equal), bytes)),
            Command::ScanLowOrEqual => self.start(Transfer::new(Kind::Scan(Condition::LowOrEqual), bytes)),
            Command::ScanHighOrEqual => self.start(Transfer::new(Kind::Scan(Condition::HighOrEqual), bytes)),
            Command::ReadId => self.start(Transfer::new(Kind::ReadId, bytes)),
            Command::FormatTrack => self.start(Transfer::new(Kind::FormatTrack, bytes)),
            Command::Seek => {
                let seek = self.plan_seek(unit, parameter(2));
                self.begin_seek(unit, parameter(1), seek);
            }
            Command::RelativeSeek => {
                let present = self.state.cylinders[usize::from(unit)];
                let count = parameter(2);
                let (steps, cylinder) = if first & modifier::INWARD != 0 {
                    (i16::from(count), present.wrapping_add(count))
                } else {
                    (-i16::from(count), present.wrapping_sub(count))
                };
                let seek = self.plan_steps(unit, steps, cylinder);
                self.begin_seek(unit, parameter(1), seek);
            }
            Command::Recalibrate => {
                let seek = self.plan_recalibration(unit);
                self.begin_seek(unit, unit, seek);
            }
            Command::SenseInterrupt => self.sense_interrupt(),
            Command::SenseDrive => {
                let status = self.drive_status(unit) | parameter(1) & 7;
                self.answer(&[status]);
            }
            Command::Specify => self.state.specify = [parameter(1), parameter(2)],
            Command::Version => self.answer(&[VERSION_82077]),
            Command::Configure => {
                self.state.configuration = parameter(2) & configuration::ALL;
                self.state.precompensation_track = parameter(3);
            }
            Command::Perpendicular => {
                // The drives' own bits are written only with the overwrite bit.
                let written = if parameter(1) & 1 << 7 != 0 { 0x3F } else { 0x03 };
                self.state.perpendicular = self.state.perpendicular & !written | parameter(1) & written;
            }
            Command::Lock => {
                self.state.locked = first & modifier::LOCK != 0;
                self.answer(&[u8::from(self.state.locked) << 4]);
            }
            Command::DumpRegisters => {
                let s = &self.state;
                let [srt_hut, hlt_nd] = s.specify;
                let [pcn0, pcn1, pcn2, pcn3] = s.cylinders;
                let lock_perpendicular = u8::from(s.locked) << 7 | s.perpendicular;
                let registers = [
                    pcn0,
                    pcn1,
                    pcn2,
                    pcn3,
                    srt_hut,
                    hlt_nd,
                    s.last_eot,
                    lock_perpendicular,
                    s.configuration,
                    s.precompensation_track,
                ];
                self.answer(&registers);
            }
        }
    }

    fn begin_seek(&mut self, drive: u8, unit_and_head: u8, mut seek: Seek) {
        seek.st0 |= unit_and_head & 1 << 2;
        self.state.seek_ends[usize::from(drive)] = None;
        self.state.seeks[usize::from(drive)] = Some(seek);
    }

    fn sense_interrupt(&mut self) {
        let s = &mut self.state;
        let ended = s.seek_ends.iter_mut().zip(s.cylinders).find(|(end, _)| end.is_some());
        let answer = if s.reset_senses > 0 {
            let drive = 4 - s.reset_senses;
            s.reset_senses -= 1;
            s.reset_interrupt = false;
            Some((st0::POLLING | drive, s.cylinders[usize::from(drive)]))
        } else {
            ended.and_then(|(end, cylinder)| end.take().map(|st0| (st0, cylinder)))
        };
        match answer {
            Some((st0, cylinder)) => self.answer(&[st0, cylinder]),
            None => self.answer(&[st0::INVALID]),
        }
        self.drop_irq();
    }

    /// Status register 3 without the drive and head.
    fn drive_status(&self, drive: u8) -> u8 {
        let place = usize::from(drive);
        let at_track_0 = self.drives[place].is_some() && self.state.drives[place].track == 0;
        st3::ALWAYS
            | if self.is_write_protected(drive) { st3::WRITE_PROTECTED } else { 0 }
            | if at_track_0 { st3::TRACK_0 } else { 0 }
    }

    /// "Specify": the step rate is given in 16ths less a count, of a time that goes with the data rate.
    fn step_time(&self) -> GuestDuration {
        let steps = 16 - u64::from(self.state.specify[0] >> 4);
        // One unit is 500 µs at 1 Mbit/s.
        let unit = 500_000_000 / u64::from(data_rate(self.state.rate));
        self.paced(GuestDuration::from_nanos(steps * unit))
    }

    /// Plans `steps` step pulses that take the head of `drive` to `track`.
    fn plan(&self, steps: u8, track: u8, cylinder: u8, st0: u8) -> Seek {
        let time = GuestDuration::from_nanos(self.step_time().as_nanos() * u64::from(steps));
        let end = self.state.clock + time.max(SHORTEST_SEEK);
        Seek { end, track, cylinder, st0: st0 | st0::SEEK_END }
    }

    /// Plans a seek by the difference between where the controller thinks that the head is and `cylinder`.
    pub(super) fn plan_seek(&self, drive: u8, cylinder: u8) -> Seek {
        let present = self.state.cylinders[usize::from(drive)];
        self.plan_steps(drive, i16::from(cylinder) - i16::from(present), cylinder)
    }

    fn plan_steps(&self, drive: u8, steps: i16, cylinder: u8) -> Seek {
        let last = i16::from(self.last_tracks()[usize::from(drive)]);
        let track = (i16::from(self.track(drive)) + steps).clamp(0, last);
        self.plan(steps.unsigned_abs() as u8, track as u8, cylinder, 0)
    }

    fn plan_recalibration(&self, drive: u8) -> Seek {
        let exists = self.drives[usize::from(drive)].is_some();
        let track = self.track(drive);
        let steps = if exists { track.min(RECALIBRATE_STEPS) } else { RECALIBRATE_STEPS };
        let found = exists && track <= RECALIBRATE_STEPS;
        let status = if found { 0 } else { st0::ABNORMAL | st0::EQUIPMENT_CHECK };
        self.plan(steps, track.saturating_sub(steps), 0, status)
    }

    /// The head of `drive` has arrived. Step pulses with a diskette in the drive end a disk change.
    pub(super) fn finish_seek(&mut self, drive: u8, seek: Seek) {
        let place = usize::from(drive);
        let has_diskette = self.format(drive).is_some();
        let state = &mut self.state.drives[place];
        if has_diskette && state.track != seek.track {
            state.changed = false;
        }
        state.track = seek.track;
        self.state.cylinders[place] = seek.cylinder;
    }
}
