//! What every drive on the cable does alike: the phases of a command, its data blocks, its interrupt.
//!
//! A drive is this engine and a [`Unit`]. The unit decides what happens next and returns it as a [`Next`];
//! the engine carries it out: it keeps BSY and DRQ, moves data, raises INTRQ and knows the time.

use super::cdrom::Cdrom;
use super::disk::Disk;
use super::report::Failure;
use super::spec::{RESET_TIME, control, error, register, status};
use super::taskfile::{Buffer, Signature, TaskFile};
use crate::time::{GuestDuration, GuestTime};
use serde::{Deserialize, Serialize};

/// Which way data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Direction {
    /// From the drive to the host.
    In,
    /// From the host to the drive.
    Out,
}

/// Who moves data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Protocol {
    /// The host, through the Data register.
    Pio,
    /// The bus master.
    Dma,
}

/// What a unit wants to happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// BSY for this long, then [`Unit::resume`].
    Busy(GuestDuration),
    /// The buffer's present block is moved, then [`Unit::moved`].
    Transfer { direction: Direction, protocol: Protocol, interrupt: bool },
    /// The command has ended; its result is in the registers.
    End { interrupt: bool },
}

/// What a unit works on: the registers, the buffer, and where it leaves word of host failures.
#[derive(Clone, Debug, Default)]
pub(super) struct Interface {
    pub registers: TaskFile,
    pub buffer: Buffer,
    pub failures: Vec<Failure>,
}

impl Interface {
    /// Ends the command with `error` in the Error register and `outcome` (ERR, DF) in Status.
    pub fn fail(&mut self, error: u8, outcome: u8) -> Next {
        self.registers.error = error;
        self.registers.outcome = outcome;
        Next::End { interrupt: true }
    }

    /// Ends a command that the drive does not have, or not like this.
    pub fn abort(&mut self) -> Next {
        self.fail(error::ABRT, status::ERR)
    }
}

/// The part of a drive that knows commands.
pub(super) trait Unit {
    /// A command was written to the Command register of the idle drive.
    fn execute(&mut self, code: u8, io: &mut Interface) -> Next;
    /// Whether a drive that is busy obeys this command nevertheless.
    fn interrupts_busy(&self, _code: u8) -> bool {
        false
    }
    /// The time that [`Next::Busy`] named has passed.
    fn resume(&mut self, io: &mut Interface) -> Next;
    /// The block that [`Next::Transfer`] offered has been moved.
    fn moved(&mut self, io: &mut Interface) -> Next;
    /// Forgets the command in progress; `hardware` also restores all power-on defaults.
    fn reset(&mut self, hardware: bool);
    /// What identifies the unit after a reset.
    fn signature(&self) -> Signature;
    /// Status bits of the unit while no command is in progress: DRDY and DSC.
    fn ready(&self) -> u8;
}

/// A unit of either kind.
#[derive(Debug)]
pub(super) enum AnyUnit {
    Disk(Disk),
    Cdrom(Cdrom),
}

impl AnyUnit {
    fn get(&self) -> &dyn Unit {
        match self {
            AnyUnit::Disk(disk) => disk,
            AnyUnit::Cdrom(cdrom) => cdrom,
        }
    }

    fn get_mut(&mut self) -> &mut dyn Unit {
        match self {
            AnyUnit::Disk(disk) => disk,
            AnyUnit::Cdrom(cdrom) => cdrom,
        }
    }
}

/// What happens when BSY ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Then {
    Resume,
    /// A reset or the diagnostic is over.
    Idle {
        interrupt: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    Idle,
    /// SRST is set.
    Held,
    Busy {
        until: GuestTime,
        then: Then,
    },
    Transfer {
        direction: Direction,
        protocol: Protocol,
    },
}

/// A drive on the cable.
#[derive(Debug)]
pub(super) struct Drive {
    pub unit: AnyUnit,
    pub io: Interface,
    pub phase: Phase,
    /// The drive has an interrupt pending, which selection and nIEN may keep from the cable.
    pub interrupt: bool,
}

impl Drive {
    /// A drive that was just switched on.
    pub fn new(unit: AnyUnit) -> Self {
        let mut drive = Drive { unit, io: Interface::default(), phase: Phase::Idle, interrupt: false };
        drive.hardware_reset();
        drive
    }

    /// RESET-: everything returns to its power-on default.
    pub fn hardware_reset(&mut self) {
        self.begin_reset(true);
        self.phase = Phase::Idle;
    }

    fn begin_reset(&mut self, hardware: bool) {
        self.unit.get_mut().reset(hardware);
        self.io.registers.reset(self.unit.get().signature());
        self.io.buffer.clear();
        self.interrupt = false;
    }

    /// SRST was set.
    pub fn hold_reset(&mut self) {
        self.begin_reset(false);
        self.phase = Phase::Held;
    }

    /// SRST was cleared.
    pub fn release_reset(&mut self, now: GuestTime) {
        if self.phase == Phase::Held {
            self.phase = Phase::Busy { until: now + RESET_TIME, then: Then::Idle { interrupt: false } };
        }
    }

    /// EXECUTE DEVICE DIAGNOSTIC; `interrupt` if this drive is the one to report its end.
    pub fn diagnose(&mut self, now: GuestTime, interrupt: bool) {
        if self.is_busy() {
            return;
        }
        self.begin_reset(false);
        self.phase = Phase::Busy { until: now + RESET_TIME, then: Then::Idle { interrupt } };
    }

    pub fn is_busy(&self) -> bool {
        matches!(self.phase, Phase::Held | Phase::Busy { .. })
    }

    /// The Status register.
    pub fn status(&self) -> u8 {
        let ready = self.unit.get().ready();
        match self.phase {
            Phase::Idle => ready | self.io.registers.outcome,
            Phase::Held | Phase::Busy { .. } => status::BSY,
            Phase::Transfer { .. } => ready | status::DRQ,
        }
    }

    /// A read of the command block, Data apart.
    pub fn read(&mut self, offset: u8, device_control: u8) -> u8 {
        if offset == register::STATUS {
            self.interrupt = false;
            return self.status();
        }
        self.io.registers.read(offset, device_control & control::HOB != 0)
    }

    /// A write to the command block, Data and Command apart. A busy drive takes nothing but the selection.
    pub fn write(&mut self, offset: u8, value: u8) {
        if !self.is_busy() || offset == register::DEVICE {
            self.io.registers.write(offset, value);
        }
    }

    /// A write to the Command register. A drive that waits for data gives that command up.
    pub fn execute(&mut self, code: u8, now: GuestTime) {
        let obeys = match self.phase {
            Phase::Held => false,
            Phase::Busy { .. } => self.unit.get().interrupts_busy(code),
            Phase::Idle | Phase::Transfer { .. } => true,
        };
        if !obeys {
            return;
        }
        self.interrupt = false;
        self.io.buffer.clear();
        self.io.registers.outcome = 0;
        self.io.registers.error = 0;
        let next = self.unit.get_mut().execute(code, &mut self.io);
        self.enter(next, now);
    }

    fn enter(&mut self, next: Next, now: GuestTime) {
        let (phase, interrupt) = match next {
            Next::Busy(span) => (Phase::Busy { until: now + span, then: Then::Resume }, false),
            Next::Transfer { direction, protocol, interrupt } => {
                (Phase::Transfer { direction, protocol }, interrupt)
            }
            Next::End { interrupt } => (Phase::Idle, interrupt),
        };
        self.phase = phase;
        self.interrupt |= interrupt;
    }

    /// When BSY ends by itself.
    pub fn next_event(&self) -> Option<GuestTime> {
        match self.phase {
            Phase::Busy { until, .. } => Some(until),
            _ => None,
        }
    }

    /// Lets everything happen that is due by `now`, each at its own moment.
    pub fn advance(&mut self, now: GuestTime) {
        while let Phase::Busy { until, then } = self.phase
            && until <= now
        {
            let next = match then {
                Then::Resume => self.unit.get_mut().resume(&mut self.io),
                Then::Idle { interrupt } => Next::End { interrupt },
            };
            self.enter(next, until);
        }
    }

    /// Whether a block is waiting to be moved in this way.
    pub fn offers(&self, direction: Direction, protocol: Protocol) -> bool {
        self.phase == Phase::Transfer { direction, protocol }
    }

    /// The bytes of the present block that are still to be moved.
    pub fn window(&mut self) -> &mut [u8] {
        self.io.buffer.window()
    }

    /// Notes that `count` bytes of the window were moved.
    pub fn moved(&mut self, count: usize, now: GuestTime) {
        if self.io.buffer.moved(count) {
            let next = self.unit.get_mut().moved(&mut self.io);
            self.enter(next, now);
        }
    }
}
