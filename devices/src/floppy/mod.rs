//! 82077AA floppy disk controller with up to four drives. Intel 82077AA data sheet; for the scan commands the
//! 8272A data sheet.
//!
//! The controller is wired as in the PC/AT: registers at offsets 2 to 5 and 7, no status registers A and B.
//! Its execution phases take guest time: heads step at the rate that the guest specified, sectors come when
//! the diskette has turned so far, and a drive without a diskette or with its motor off never answers, which
//! guests notice by a timeout. [`Pace::Fast`] turns and steps sixteen times as fast.
//!
//! Bytes move by DMA ([`DmaPeripheral`], channel 2 on the PC) or through the data register, a whole sector
//! at a time: the controller has it ready, or wants it, when the sector is under the head, and waits for the
//! host as long as the sector of a drive at true speed would last.
//!
//! Quirks: a diskette is an image of 512-byte sectors. Formatting a track otherwise than the image is laid out
//! fails as if the drive did; deleted data address marks are kept until the diskette is taken out. Motors are
//! up to speed at once. Write precompensation, head load times and perpendicular recording are taken note of
//! and change nothing. In transfers without DMA there is no TC: they end with the last sector.

mod commands;
mod drive;
mod format;
mod spec;
mod state;
#[cfg(test)]
mod tests;
mod transfer;

pub use format::{DriveType, Format};
pub use state::FloppyState;

use crate::access::{AccessSize, IoError, PortIo, PortRange};
use crate::backend::{Content, Medium, MediumError};
use crate::dma::DmaPeripheral;
use crate::irq::IrqLine;
use crate::reset::Reset;
use crate::time::{GuestDuration, GuestTime, Timed};
use drive::{Diskette, Drive};
use spec::*;
use state::configuration;
use std::fmt;
use transfer::{Direction, Transfer};

/// How fast the drives are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// As real ones: a diskette of 1.44 MB takes half a minute.
    Real,
    /// Sixteen times as fast.
    #[default]
    Fast,
}

/// Why a diskette does not go into a drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InsertError {
    /// There is no such drive.
    #[error("there is no such drive")]
    NoDrive,
    /// Another diskette is in it.
    #[error("there is already a diskette in the drive")]
    Occupied,
    /// No diskette has this size.
    #[error("no diskette has this size")]
    UnknownSize,
    /// The drive takes no diskettes of this format.
    #[error("the drive does not take diskettes of this format")]
    WrongDrive,
}

/// A medium did not do what its drive asked. The guest sees its own side as a disk error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DisketteFailure {
    /// The drive, 0 to 3.
    pub drive: u8,
    /// The sector concerned, counted from the first; none for making writes durable.
    pub sector: Option<u16>,
    /// Why it was refused.
    pub error: MediumError,
}

impl fmt::Display for DisketteFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "diskette drive {}", char::from(b'A' + self.drive))?;
        if let Some(sector) = self.sector {
            write!(f, ", sector {sector}")?;
        }
        write!(f, ": {}", self.error)
    }
}

/// How many failures are kept for the user; a guest can cause any number.
const FAILURES_KEPT: usize = 16;

/// The controller and its drives.
///
/// ```
/// use idem86_devices::backend::MemoryMedium;
/// use idem86_devices::floppy::{DriveType, Floppy, Pace};
/// use idem86_devices::irq::IrqLine;
/// let drives = [Some(DriveType::Hd35), None, None, None];
/// let mut floppy = Floppy::new(IrqLine::unconnected(), drives, Pace::Fast);
/// let image = MemoryMedium::new(vec![0; 1_474_560]);
/// let format = floppy.insert(0, Box::new(image)).unwrap();
/// assert_eq!((format.cylinders, format.heads, format.sectors), (80, 2, 18));
/// ```
#[derive(Debug)]
pub struct Floppy {
    irq: IrqLine,
    pace: Pace,
    drives: [Option<Drive>; 4],
    failures: Vec<DisketteFailure>,
    state: FloppyState,
}

impl Floppy {
    /// Where the PC/AT has the controller. Port 3F6h between them belongs to the hard disk.
    pub const PORTS: &[PortRange] = &[PortRange::new(0x3F2, 4, DOR), PortRange::new(0x3F7, 1, DIR_CCR)];

    /// The DMA channel that the PC gives the controller.
    pub const DMA_CHANNEL: u8 = 2;

    /// A controller just switched on, with empty drives.
    pub fn new(irq: IrqLine, drives: [Option<DriveType>; 4], pace: Pace) -> Self {
        let state = FloppyState::after_reset(GuestTime::ZERO, [0; 4], Default::default());
        let drives = drives.map(|kind| kind.map(|kind| Drive { kind, diskette: None }));
        let mut floppy = Floppy { irq, pace, drives, failures: Vec::new(), state };
        for number in 0..4 {
            floppy.state.drives[number].changed = floppy.has_change_line(number);
        }
        floppy
    }

    /// Puts a diskette into drive `number` (0 to 3). Its size says how it is formatted.
    pub fn insert(&mut self, number: u8, medium: Box<dyn Medium>) -> Result<Format, InsertError> {
        let drive = self.drives.get_mut(usize::from(number)).and_then(Option::as_mut);
        let drive = drive.ok_or(InsertError::NoDrive)?;
        if drive.diskette.is_some() {
            return Err(InsertError::Occupied);
        }
        let format = Format::of_size(medium.size()).ok_or(InsertError::UnknownSize)?;
        if !drive.kind.accepts(format) {
            return Err(InsertError::WrongDrive);
        }
        drive.diskette = Some(Diskette { medium, format });
        self.resume();
        Ok(format)
    }

    /// Takes the diskette out of drive `number`, with everything written to it made durable.
    pub fn eject(&mut self, number: u8) -> Option<Box<dyn Medium>> {
        self.flush(number);
        let place = usize::from(number);
        let diskette = self.drives.get_mut(place)?.as_mut()?.diskette.take()?;
        self.state.drives[place].deleted.clear();
        self.state.drives[place].changed = self.has_change_line(place);
        Some(diskette.medium)
    }

    /// The diskette in drive `number`.
    pub fn medium(&mut self, number: u8) -> Option<&mut Box<dyn Medium>> {
        let drive = self.drives.get_mut(usize::from(number))?.as_mut()?;
        drive.diskette.as_mut().map(|diskette| &mut diskette.medium)
    }

    /// Exchanges the diskette in drive `number` without the guest's noticing, as when a machine is restored; gives what
    /// was there. What does not go into the drive comes back as an error.
    pub fn replace_medium(&mut self, number: u8, medium: Content) -> Result<Content, Content> {
        let drive = self.drives.get_mut(usize::from(number)).and_then(Option::as_mut);
        let format = medium.as_ref().and_then(|medium| Format::of_size(medium.size()));
        let diskette = match (drive, medium, format) {
            (None, None, _) => return Ok(None),
            (Some(drive), None, _) => drive.diskette.take(),
            (Some(drive), Some(medium), Some(format)) if drive.kind.accepts(format) => {
                drive.diskette.replace(Diskette { medium, format })
            }
            (_, medium, _) => return Err(medium),
        };
        Ok(diskette.map(|diskette| diskette.medium))
    }

    /// The type of drive `number`.
    pub fn drive_type(&self, number: u8) -> Option<DriveType> {
        self.drives.get(usize::from(number))?.as_ref().map(|drive| drive.kind)
    }

    /// The format of the diskette in drive `number`.
    pub fn format(&self, number: u8) -> Option<Format> {
        let drive = self.drives.get(usize::from(number))?.as_ref()?;
        drive.diskette.as_ref().map(|diskette| diskette.format)
    }

    /// Whether the motor of drive `number` (0 to 3) is on.
    pub fn motor_on(&self, number: u8) -> bool {
        number < 4 && self.state.dor & dor::MOTOR_0 << number != 0
    }

    /// The failures of media since the last call, the first 16 of them.
    pub fn take_failures(&mut self) -> Vec<DisketteFailure> {
        std::mem::take(&mut self.failures)
    }

    fn has_change_line(&self, drive: usize) -> bool {
        self.drives[drive].as_ref().is_some_and(|drive| drive.kind.has_change_line())
    }

    fn track(&self, drive: u8) -> u8 {
        self.state.drives[usize::from(drive)].track
    }

    fn last_tracks(&self) -> [u8; 4] {
        self.drives.each_ref().map(|drive| drive.as_ref().map_or(0, |drive| drive.kind.last_track()))
    }

    fn is_write_protected(&self, drive: u8) -> bool {
        self.drives[usize::from(drive)].as_ref().is_some_and(Drive::is_write_protected)
    }

    /// Divides a time of the mechanics.
    fn paced(&self, time: GuestDuration) -> GuestDuration {
        let speed = match self.pace {
            Pace::Real => 1,
            Pace::Fast => 16,
        };
        GuestDuration::from_nanos(time.as_nanos() / speed)
    }

    fn true_revolution(&self, drive: u8) -> GuestDuration {
        self.drives[usize::from(drive)].as_ref().map_or(DriveType::Hd35, |drive| drive.kind).revolution()
    }

    /// One revolution of the diskette in `drive`, if it turns.
    fn revolution(&self, drive: u8) -> Option<GuestDuration> {
        let turns = self.motor_on(drive) && self.format(drive).is_some();
        turns.then(|| self.paced(self.true_revolution(drive)))
    }

    fn note(&mut self, drive: u8, sector: Option<u16>, error: MediumError) {
        if self.failures.len() < FAILURES_KEPT {
            self.failures.push(DisketteFailure { drive, sector, error });
        }
    }

    fn read_sector(&mut self, drive: u8, sector: u16) -> Result<Vec<u8>, MediumError> {
        let unit = self.drives[usize::from(drive)].as_mut().ok_or(MediumError::OutOfRange)?;
        unit.read(sector).inspect_err(|&error| self.note(drive, Some(sector), error))
    }

    fn write_medium(&mut self, drive: u8, sector: u16, bytes: &[u8]) -> Result<(), MediumError> {
        let unit = self.drives[usize::from(drive)].as_mut().ok_or(MediumError::OutOfRange)?;
        unit.write(sector, bytes).inspect_err(|&error| self.note(drive, Some(sector), error))
    }

    /// Makes everything that diskettes were given durable, as at the end of a run. [`Floppy::take_failures`] tells
    /// of what failed.
    pub fn flush_all(&mut self) {
        (0..4).for_each(|drive| self.flush(drive));
    }

    fn flush(&mut self, drive: u8) {
        let unit = self.drives.get_mut(usize::from(drive)).and_then(Option::as_mut);
        let Some(diskette) = unit.and_then(|unit| unit.diskette.as_mut()) else { return };
        if let Err(error) = diskette.medium.flush() {
            self.note(drive, None, error);
        }
    }

    /// Lets happen what is due, in the order in which it is.
    fn run(&mut self, from: GuestTime) {
        let end = self.state.clock;
        let mut at = from;
        while let Some(due) = self.next_due().filter(|&due| due <= end) {
            at = at.max(due);
            self.state.clock = at;
            for drive in 0..4u8 {
                let place = usize::from(drive);
                if let Some(seek) = self.state.seeks[place].take_if(|seek| seek.end <= at) {
                    self.finish_seek(drive, seek);
                    self.state.seek_ends[place] = Some(seek.st0 | drive);
                }
            }
            if self.state.transfer.as_ref().and_then(Transfer::due).is_some_and(|due| due <= at) {
                self.transfer_due(at);
            }
        }
        self.state.clock = end;
        self.update_irq();
    }

    fn next_due(&self) -> Option<GuestTime> {
        let transfer = self.state.transfer.as_ref().and_then(Transfer::due);
        self.state.seeks.iter().flatten().map(|seek| seek.end).chain(transfer).min()
    }

    /// Registers and requests do not work while the controller is held in reset.
    fn is_reset(&self) -> bool {
        self.state.dor & dor::NOT_RESET == 0
    }

    fn uses_dma(&self) -> bool {
        self.state.specify[1] & 1 == 0
    }

    /// The direction of the byte that the host must move, if it must.
    fn host_request(&self) -> Option<Direction> {
        self.state.transfer.as_ref().filter(|transfer| transfer.wants_host()).map(|t| t.kind.direction())
    }

    fn update_irq(&self) {
        let s = &self.state;
        let wanted = s.result_interrupt
            || s.reset_interrupt
            || s.seek_ends.iter().any(Option::is_some)
            || !self.uses_dma() && self.host_request().is_some();
        self.irq.set(wanted && s.dor & dor::DMA_GATE != 0);
    }

    /// Lets the interrupt line drop before it follows what is pending, so that each interrupt is an edge.
    fn drop_irq(&self) {
        self.irq.set(false);
        self.update_irq();
    }

    fn main_status(&self) -> u8 {
        let s = &self.state;
        if self.is_reset() {
            return 0;
        }
        let seeking = s.seeks.iter().enumerate().filter(|(_, seek)| seek.is_some());
        let busy_drives = seeking.fold(0, |bits, (drive, _)| bits | 1 << drive);
        let phase = if s.transfer.is_some() {
            let by_host = if self.uses_dma() { 0 } else { msr::NON_DMA };
            msr::BUSY
                | by_host
                | match self.host_request().filter(|_| by_host != 0) {
                    Some(Direction::ToHost) => msr::REQUEST | msr::DATA_OUT,
                    Some(_) => msr::REQUEST,
                    None => 0,
                }
        } else if !s.result.is_empty() {
            msr::BUSY | msr::REQUEST | msr::DATA_OUT
        } else if !s.command.is_empty() {
            msr::BUSY | msr::REQUEST
        } else {
            msr::REQUEST
        };
        busy_drives | phase
    }

    /// The change line of the selected drive, which drives it while its motor is on. The other bits belong to
    /// the hard disk adapter and float.
    fn digital_input(&self) -> u8 {
        let selected = self.state.dor & dor::DRIVE;
        let changed = self.motor_on(selected) && self.state.drives[usize::from(selected)].changed;
        if changed { !0 } else { !DIR_CHANGED }
    }

    fn write_dor(&mut self, value: u8) {
        let before = std::mem::replace(&mut self.state.dor, value);
        if value & dor::NOT_RESET == 0 {
            self.reset_commands();
        } else if before & dor::NOT_RESET == 0 {
            self.end_reset();
        }
        for drive in 0..4 {
            if before & !value & dor::MOTOR_0 << drive != 0 {
                self.flush(drive);
            }
        }
        self.resume();
    }

    /// "Reset Pin, DOR and DSR Resets": what a reset by software does.
    fn reset_commands(&mut self) {
        let s = &mut self.state;
        s.command.clear();
        s.result.clear();
        s.transfer = None;
        s.result_interrupt = false;
        s.seeks = [None; 4];
        s.seek_ends = [None; 4];
        s.reset_interrupt = false;
        s.reset_senses = 0;
        s.perpendicular &= !0b11;
        if s.locked {
            s.configuration &= configuration::FIFO_OFF | configuration::THRESHOLD;
        } else {
            s.configuration = configuration::FIFO_OFF;
            s.precompensation_track = 0;
        }
    }

    /// Polling, which every reset turns on, finds that all drives have changed.
    fn end_reset(&mut self) {
        self.state.reset_interrupt = true;
        self.state.reset_senses = 4;
    }

    fn read_data(&mut self) -> u8 {
        if self.state.transfer.is_some() {
            return match self.host_request() {
                Some(Direction::ToHost) if !self.uses_dma() => {
                    let byte = self.take_byte();
                    self.moved_by_host();
                    byte
                }
                _ => 0,
            };
        }
        self.state.result_interrupt = false;
        self.state.result.pop_front().unwrap_or(0)
    }

    fn write_data(&mut self, byte: u8) {
        if self.is_reset() || !self.state.result.is_empty() {
            return;
        }
        if self.state.transfer.is_some() {
            if !self.uses_dma() && self.host_request() == Some(Direction::FromHost) {
                self.put_byte(byte);
                self.moved_by_host();
            }
            return;
        }
        self.state.command.push(byte);
        let first = self.state.command[0];
        match Command::decode(first) {
            None => {
                self.state.command.clear();
                self.answer(&[st0::INVALID]);
            }
            Some((command, parameters)) if self.state.command.len() > parameters => {
                let bytes = std::mem::take(&mut self.state.command);
                self.execute(command, &bytes);
            }
            Some(_) => {}
        }
    }

    /// Without DMA, every request is an interrupt: one for each byte, or for what the FIFO holds back.
    fn moved_by_host(&mut self) {
        let burst = if self.state.configuration & configuration::FIFO_OFF != 0 {
            1
        } else {
            usize::from(FIFO_DEPTH - (self.state.configuration & configuration::THRESHOLD))
        };
        if self.state.transfer.as_ref().is_some_and(|transfer| transfer.position % burst == 0) {
            self.drop_irq();
        }
    }

    fn take_byte(&mut self) -> u8 {
        let transfer = self.state.transfer.as_ref();
        let byte = transfer.and_then(|transfer| transfer.buffer.get(transfer.position)).copied();
        self.byte_moved();
        byte.unwrap_or(!0)
    }

    fn put_byte(&mut self, byte: u8) {
        if let Some(transfer) = &mut self.state.transfer
            && let Some(cell) = transfer.buffer.get_mut(transfer.position)
        {
            *cell = byte;
        }
        self.byte_moved();
    }

    fn answer(&mut self, bytes: &[u8]) {
        self.state.result = bytes.iter().copied().collect();
    }
}

impl PortIo for Floppy {
    fn read_port(&mut self, offset: u16, size: AccessSize, now: GuestTime) -> Result<u32, IoError> {
        size.only_byte()?;
        self.advance(now);
        let value = match offset {
            DOR => self.state.dor,
            TDR => self.state.tdr,
            MSR_DSR => self.main_status(),
            DATA => self.read_data(),
            DIR_CCR => self.digital_input(),
            _ => return Err(IoError::NoSuchRegister),
        };
        self.update_irq();
        Ok(value.into())
    }

    fn write_port(
        &mut self,
        offset: u16,
        size: AccessSize,
        value: u32,
        now: GuestTime,
    ) -> Result<(), IoError> {
        size.only_byte()?;
        self.advance(now);
        let value = value as u8;
        match offset {
            DOR => self.write_dor(value),
            TDR => self.state.tdr = value & 0b11,
            MSR_DSR => {
                self.state.rate = value & RATE;
                if value & DSR_RESET != 0 && !self.is_reset() {
                    self.reset_commands();
                    self.end_reset();
                }
            }
            DATA => self.write_data(value),
            DIR_CCR => self.state.rate = value & RATE,
            _ => return Err(IoError::NoSuchRegister),
        }
        self.update_irq();
        Ok(())
    }
}

impl DmaPeripheral for Floppy {
    fn dma_request(&self) -> bool {
        self.uses_dma() && self.state.dor & dor::DMA_GATE != 0 && self.host_request().is_some()
    }

    fn dma_read(&mut self, now: GuestTime) -> u16 {
        self.state.clock = self.state.clock.max(now);
        match self.host_request() {
            Some(Direction::ToHost) => self.take_byte().into(),
            _ => !0,
        }
    }

    fn dma_write(&mut self, unit: u16, now: GuestTime) {
        self.state.clock = self.state.clock.max(now);
        if self.host_request() == Some(Direction::FromHost) {
            self.put_byte(unit as u8);
        }
    }

    fn dma_verify(&mut self, now: GuestTime) {
        self.dma_read(now);
    }

    fn dma_terminal_count(&mut self, now: GuestTime) {
        self.state.clock = self.state.clock.max(now);
        self.terminal_count();
        self.update_irq();
    }
}

impl Timed for Floppy {
    fn next_event(&self) -> Option<GuestTime> {
        self.next_due()
    }

    fn advance(&mut self, now: GuestTime) {
        let from = self.state.clock;
        self.state.clock = from.max(now);
        self.run(from);
    }
}

impl Reset for Floppy {
    /// Heads, diskettes and the controller's idea of where the heads are stay.
    fn reset(&mut self) {
        for drive in 0..4 {
            self.flush(drive);
        }
        let FloppyState { clock, cylinders, drives, .. } = &mut self.state;
        self.state = FloppyState::after_reset(*clock, *cylinders, std::mem::take(drives));
        self.update_irq();
    }
}
