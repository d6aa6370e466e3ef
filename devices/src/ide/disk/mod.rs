//! An ATA disk: the commands that need no sectors, and the settings. ATA/ATAPI-6.

mod geometry;
mod identify;
mod sectors;
mod settings;

pub use geometry::Geometry;
pub(super) use sectors::Transfer;
pub(super) use settings::Settings;

use super::Identity;
use super::drive::{Direction, Interface, Next, Protocol, Unit};
use super::identify::Position;
use super::modes::Power;
use super::report::{Failure, MediumOperation};
use super::spec::{
    ACCESS_TIME, Access, Blocking, COMMAND_TIME, Command, MAX_LBA28, READY_TIME, SECTOR, device, error,
    status,
};
use super::taskfile::Signature;
use crate::backend::Medium;
use serde::{Deserialize, Serialize};

/// What a disk is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Operation {
    None,
    /// The command with this code was accepted.
    Command(u8),
    Sectors(Transfer),
}

/// A disk, without the registers that every drive has.
#[derive(Debug)]
pub(super) struct Disk {
    pub medium: Box<dyn Medium>,
    pub identity: Identity,
    /// The geometry presented by default.
    pub geometry: Geometry,
    pub position: Position,
    pub settings: Settings,
    pub operation: Operation,
}

impl Disk {
    /// A disk on `medium`, which holds at least one sector, with a valid `geometry`.
    pub fn new(medium: Box<dyn Medium>, identity: Identity, geometry: Geometry) -> Self {
        Disk {
            medium,
            identity,
            geometry,
            position: Position::default(),
            settings: Settings::power_on(geometry),
            operation: Operation::None,
        }
    }

    /// Size in sectors. What does not fill a sector cannot be reached.
    pub fn capacity(&self) -> u64 {
        self.medium.size() / SECTOR as u64
    }

    fn run(&mut self, code: u8, io: &mut Interface) -> Next {
        let Some(command) = Command::decode(code).filter(|_| self.settings.power != Power::Sleep) else {
            return io.abort();
        };
        match command {
            Command::Nop => return io.abort(),
            Command::Sectors { access, blocking, extended } => {
                return self.begin_sectors(access, blocking, extended, io);
            }
            Command::Recalibrate => {}
            Command::Seek => {
                if self.first_sector(false, io).is_none_or(|lba| lba >= self.capacity()) {
                    return io.fail(error::IDNF, status::ERR);
                }
            }
            Command::InitializeDeviceParameters => {
                let heads = (io.registers.device & device::HEAD) + 1;
                let sectors = io.registers.count.current;
                match Geometry::translated(self.capacity(), heads, sectors) {
                    Some(geometry) => self.settings.geometry = geometry,
                    None => return io.abort(),
                }
            }
            Command::SetMultipleMode => {
                if !self.settings.set_multiple(io.registers.count.current) {
                    return io.abort();
                }
            }
            Command::SetFeatures => {
                let (subcommand, parameter) = (io.registers.features.current, io.registers.count.current);
                if !self.settings.set_feature(subcommand, parameter) {
                    return io.abort();
                }
                if !self.settings.write_cache {
                    return self.flush(io);
                }
            }
            Command::IdentifyDevice => {
                io.buffer.start(SECTOR).copy_from_slice(&self.identify());
                return Next::Transfer { direction: Direction::In, protocol: Protocol::Pio, interrupt: true };
            }
            Command::FlushCache => return self.flush(io),
            Command::ReadNativeMaxAddress { extended } => {
                let last = self.capacity() - 1;
                if extended {
                    io.registers.set_lba48(last);
                } else {
                    io.registers.set_lba28(last.min(u64::from(MAX_LBA28)) as u32);
                }
            }
            Command::StandbyImmediate | Command::Standby => self.settings.power = Power::Standby,
            Command::IdleImmediate | Command::Idle => self.settings.power = Power::Idle,
            Command::CheckPowerMode => {
                io.registers.count.current = self.settings.power.code();
            }
            Command::Sleep => self.settings.power = Power::Sleep,
        }
        Next::End { interrupt: true }
    }

    /// Makes what was written durable, and ends the command.
    pub(super) fn flush(&mut self, io: &mut Interface) -> Next {
        match self.medium.flush() {
            Ok(()) => Next::End { interrupt: true },
            Err(reason) => {
                Failure { operation: MediumOperation::Flush, sector: 0, error: reason }
                    .note(&mut io.failures);
                io.fail(error::ABRT, status::ERR | status::DF)
            }
        }
    }
}

impl Unit for Disk {
    fn execute(&mut self, code: u8, _io: &mut Interface) -> Next {
        self.operation = Operation::Command(code);
        Next::Busy(match Command::decode(code) {
            Some(Command::Sectors { access: Access::Write, .. }) => READY_TIME,
            Some(Command::Sectors { .. } | Command::Seek | Command::Recalibrate) => ACCESS_TIME,
            _ => COMMAND_TIME,
        })
    }

    fn resume(&mut self, io: &mut Interface) -> Next {
        match std::mem::replace(&mut self.operation, Operation::None) {
            Operation::None => Next::End { interrupt: false },
            Operation::Command(code) => self.run(code, io),
            Operation::Sectors(transfer) => self.resume_sectors(transfer, io),
        }
    }

    fn moved(&mut self, io: &mut Interface) -> Next {
        match std::mem::replace(&mut self.operation, Operation::None) {
            Operation::Sectors(transfer) => self.block_moved(transfer, io),
            Operation::None | Operation::Command(_) => Next::End { interrupt: false },
        }
    }

    fn reset(&mut self, hardware: bool) {
        self.operation = Operation::None;
        self.settings.reset(self.geometry, hardware);
    }

    fn signature(&self) -> Signature {
        Signature::DISK
    }

    fn ready(&self) -> u8 {
        status::DRDY | status::DSC
    }
}

/// Sectors in one data block.
fn block_of(blocking: Blocking, multiple: u8) -> u32 {
    match blocking {
        Blocking::Single => 1,
        Blocking::Multiple => u32::from(multiple),
        Blocking::Dma => super::spec::DMA_SLICE,
    }
}
