//! The controller's whole state with what the guest sees of its drives, and what a saved one must satisfy.

use super::Floppy;
use super::drive::DriveState;
use super::format::SECTOR;
use super::spec::*;
use super::transfer::{Kind, Transfer, Wait};
use crate::state::{RestoreError, Snapshot};
use crate::time::GuestTime;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// A seek or recalibration that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seek {
    pub end: GuestTime,
    /// Where the head will be.
    pub track: u8,
    /// What the controller will take for it.
    pub cylinder: u8,
    pub st0: u8,
}

/// The state of a [`Floppy`]. Which diskettes are in the drives is not part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FloppyState {
    /// The moment up to which everything has happened.
    pub(super) clock: GuestTime,
    pub(super) dor: u8,
    pub(super) tdr: u8,
    pub(super) rate: u8,

    /// The parameters of Specify: step rate and head unload time; head load time and non-DMA mode.
    pub(super) specify: [u8; 2],
    /// The second parameter of Configure: implied seek, FIFO, polling, threshold.
    pub(super) configuration: u8,
    pub(super) precompensation_track: u8,
    pub(super) perpendicular: u8,
    pub(super) locked: bool,
    /// The last track length or last sector that a command gave.
    pub(super) last_eot: u8,
    /// The present cylinder of each drive, as the controller counts it.
    pub(super) cylinders: [u8; 4],

    /// The bytes of a command that is not complete.
    pub(super) command: Vec<u8>,
    pub(super) transfer: Option<Transfer>,
    /// The bytes of a result that the host has not read.
    pub(super) result: VecDeque<u8>,
    pub(super) result_interrupt: bool,
    pub(super) seeks: [Option<Seek>; 4],
    /// Status register 0 of seeks that the host has not sensed.
    pub(super) seek_ends: [Option<u8>; 4],
    pub(super) reset_interrupt: bool,
    /// How many drives the host has still to sense after a reset.
    pub(super) reset_senses: u8,

    pub(super) drives: [DriveState; 4],
}

/// Bits of the configuration byte.
pub(super) mod configuration {
    /// Commands with a cylinder seek it first.
    pub const IMPLIED_SEEK: u8 = 1 << 6;
    /// The FIFO is off.
    pub const FIFO_OFF: u8 = 1 << 5;
    /// The FIFO threshold, less one.
    pub const THRESHOLD: u8 = 0x0F;
    /// The bits that exist.
    pub const ALL: u8 = 0x7F;
}

impl FloppyState {
    /// After a hardware reset at `clock`; what no reset touches is taken from `cylinders` and `drives`.
    pub(super) fn after_reset(clock: GuestTime, cylinders: [u8; 4], drives: [DriveState; 4]) -> Self {
        FloppyState {
            clock,
            dor: 0,
            tdr: 0,
            rate: RATE_AT_RESET,
            specify: [0; 2],
            configuration: configuration::FIFO_OFF,
            precompensation_track: 0,
            perpendicular: 0,
            locked: false,
            last_eot: 0,
            cylinders,
            command: Vec::new(),
            transfer: None,
            result: VecDeque::new(),
            result_interrupt: false,
            seeks: [None; 4],
            seek_ends: [None; 4],
            reset_interrupt: false,
            reset_senses: 0,
            drives,
        }
    }

    fn validate(&self, last_tracks: [u8; 4]) -> Result<(), RestoreError> {
        let refuse = |what| Err(RestoreError::new("floppy controller", what));
        let undefined = self.configuration & !configuration::ALL
            | self.perpendicular & !0x3F
            | (self.tdr | self.rate) & !RATE
            | self.reset_senses & !7;
        if undefined != 0 || self.reset_senses > 4 {
            return refuse("a register has bits that do not exist");
        }
        let command_fits = match self.command.first() {
            None => true,
            Some(&first) => Command::decode(first).is_some_and(|(_, more)| self.command.len() <= more),
        };
        if !command_fits {
            return refuse("an incomplete command that is complete");
        }
        if self.result.len() > RESULT_CAPACITY {
            return refuse("a result longer than any");
        }
        if let Some(transfer) = &self.transfer
            && !transfer.is_valid()
        {
            return refuse("an impossible transfer");
        }
        if self.drives.iter().zip(last_tracks).any(|(drive, last)| drive.track > last) {
            return refuse("a head beyond the last track");
        }
        if self.seeks.iter().zip(last_tracks).any(|(seek, last)| seek.is_some_and(|seek| seek.track > last)) {
            return refuse("a seek beyond the last track");
        }
        Ok(())
    }
}

impl Transfer {
    fn is_valid(&self) -> bool {
        let unit = match self.kind {
            Kind::FormatTrack => 4,
            _ => SECTOR,
        };
        let buffer_fits = match self.wait {
            Wait::Medium | Wait::Sector(_) => self.buffer.len() <= SECTOR,
            Wait::Host(_) => self.buffer.len() == unit && self.position < unit,
            Wait::Turnaround(_) => self.buffer.len() == unit,
        };
        buffer_fits && self.drive < 4 && self.head < 2 && self.position <= self.buffer.len()
    }
}

impl Snapshot for Floppy {
    type State = FloppyState;

    fn save(&self) -> FloppyState {
        let Floppy { irq: _, pace: _, drives: _, failures: _, state } = self;
        state.clone()
    }

    fn restore(&mut self, state: FloppyState) -> Result<(), RestoreError> {
        state.validate(self.last_tracks())?;
        self.state = state;
        Ok(())
    }
}
