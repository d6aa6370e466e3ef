//! Saving and restoring the channels and drives. Media, identities and geometries are configuration; the
//! saved state must meet drives of the same kind and size.

use super::Ide;
use super::bus_master::BusMaster;
use super::cdrom::{self, Cdrom, Sense, Tray, TrayState};
use super::channel::Channel;
use super::disk::{self, Disk, Settings};
use super::drive::{AnyUnit, Drive, Interface, Phase};
use super::modes::{DmaMode, Power};
use super::taskfile::{Buffer, TaskFile};
use crate::state::{RestoreError, Snapshot};
use serde::{Deserialize, Serialize};

/// The saved state of [`Ide`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdeState {
    channels: [ChannelState; 2],
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ChannelState {
    drives: [Option<DriveState>; 2],
    device_1: bool,
    control: u8,
    intrq: bool,
    bus_master: BusMaster,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct DriveState {
    unit: UnitState,
    registers: TaskFile,
    buffer: Buffer,
    phase: Phase,
    interrupt: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum UnitState {
    Disk {
        capacity: u64,
        settings: Settings,
        operation: disk::Operation,
    },
    Cdrom {
        capacity: Option<u32>,
        tray: TrayState,
        sense: Sense,
        was_reset: bool,
        ready: bool,
        dma: DmaMode,
        power: Power,
        operation: cdrom::Operation,
    },
}

fn refuse(what: impl Into<String>) -> RestoreError {
    RestoreError::new("IDE", what)
}

impl Disk {
    fn save(&self) -> UnitState {
        let Disk { medium: _, identity: _, geometry: _, position: _, settings, operation } = self;
        UnitState::Disk {
            capacity: self.capacity(),
            settings: settings.clone(),
            operation: operation.clone(),
        }
    }
}

impl Cdrom {
    fn save(&self) -> UnitState {
        let Cdrom { identity: _, position: _, tray, sense, was_reset, ready, dma, power, operation } = self;
        let Tray { medium: _, state } = tray;
        UnitState::Cdrom {
            capacity: tray.capacity(),
            tray: state.clone(),
            sense: *sense,
            was_reset: *was_reset,
            ready: *ready,
            dma: *dma,
            power: *power,
            operation: operation.clone(),
        }
    }
}

impl Drive {
    fn save(&self) -> DriveState {
        let Drive { unit, io: Interface { registers, buffer, failures: _ }, phase, interrupt } = self;
        DriveState {
            unit: match unit {
                AnyUnit::Disk(disk) => disk.save(),
                AnyUnit::Cdrom(cdrom) => cdrom.save(),
            },
            registers: registers.clone(),
            buffer: buffer.clone(),
            phase: *phase,
            interrupt: *interrupt,
        }
    }

    /// Refuses what no drive like this one can be in.
    fn check(&self, state: &DriveState) -> Result<(), RestoreError> {
        match (&self.unit, &state.unit) {
            (AnyUnit::Disk(disk), UnitState::Disk { capacity, settings, operation }) => {
                if *capacity != disk.capacity() {
                    let present = disk.capacity();
                    return Err(refuse(format!("a disk of {capacity} sectors, but this one has {present}")));
                }
                if !settings.is_valid() {
                    return Err(refuse("disk settings that no command makes"));
                }
                if let disk::Operation::Sectors(transfer) = operation
                    && !transfer.is_valid()
                {
                    return Err(refuse("a transfer that no command asks for"));
                }
            }
            (AnyUnit::Cdrom(cdrom), UnitState::Cdrom { capacity, sense, dma, operation, .. }) => {
                if *capacity != cdrom.tray.capacity() {
                    return Err(refuse("another disc, or none where there was one"));
                }
                if !sense.is_valid() || !dma.is_valid() || !operation.is_valid() {
                    return Err(refuse("a CD-ROM drive in a state that no command leads to"));
                }
            }
            _ => return Err(refuse("a drive of another kind")),
        }
        if !state.buffer.is_valid() {
            return Err(refuse("a buffer whose bounds do not fit"));
        }
        Ok(())
    }

    fn take_over(&mut self, state: DriveState) {
        match (&mut self.unit, state.unit) {
            (AnyUnit::Disk(disk), UnitState::Disk { capacity: _, settings, operation }) => {
                disk.settings = settings;
                disk.operation = operation;
            }
            (
                AnyUnit::Cdrom(cdrom),
                UnitState::Cdrom { capacity: _, tray, sense, was_reset, ready, dma, power, operation },
            ) => {
                cdrom.tray.state = tray;
                cdrom.sense = sense;
                cdrom.was_reset = was_reset;
                cdrom.ready = ready;
                cdrom.dma = dma;
                cdrom.power = power;
                cdrom.operation = operation;
            }
            _ => unreachable!("check() has compared the kinds"),
        }
        self.io.registers = state.registers;
        self.io.buffer = state.buffer;
        self.phase = state.phase;
        self.interrupt = state.interrupt;
    }
}

impl Channel {
    fn save(&self) -> ChannelState {
        let Channel { drives, selected, control, intrq, bus_master, line: _ } = self;
        ChannelState {
            drives: drives.each_ref().map(|drive| drive.as_ref().map(Drive::save)),
            device_1: *selected != 0,
            control: *control,
            intrq: *intrq,
            bus_master: bus_master.clone(),
        }
    }

    fn check(&self, state: &ChannelState) -> Result<(), RestoreError> {
        if !state.bus_master.is_valid() {
            return Err(refuse("a bus master that software cannot lead to"));
        }
        for (drive, state) in self.drives.iter().zip(&state.drives) {
            match (drive, state) {
                (Some(drive), Some(state)) => drive.check(state)?,
                (None, None) => {}
                (Some(_), None) => return Err(refuse("no drive where there is one")),
                (None, Some(_)) => return Err(refuse("a drive where there is none")),
            }
        }
        Ok(())
    }

    fn take_over(&mut self, state: ChannelState) {
        for (drive, state) in self.drives.iter_mut().zip(state.drives) {
            if let (Some(drive), Some(state)) = (drive, state) {
                drive.take_over(state);
            }
        }
        self.selected = usize::from(state.device_1);
        self.control = state.control;
        self.intrq = state.intrq;
        self.bus_master = state.bus_master;
    }
}

impl Snapshot for Ide {
    type State = IdeState;

    fn save(&self) -> IdeState {
        let Ide { channels } = self;
        IdeState { channels: channels.each_ref().map(Channel::save) }
    }

    fn restore(&mut self, state: IdeState) -> Result<(), RestoreError> {
        for (channel, state) in self.channels.iter().zip(&state.channels) {
            channel.check(state)?;
        }
        for (channel, state) in self.channels.iter_mut().zip(state.channels) {
            channel.take_over(state);
        }
        Ok(())
    }
}
