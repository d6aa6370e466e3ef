//! A CD-ROM drive: the PACKET command and the few others of a packet device. ATA/ATAPI-6; SFF-8020i.

mod capabilities;
mod disc;
mod packet;
mod sense;
mod tray;

pub(super) use packet::Packet;
pub(super) use sense::Sense;
pub(super) use tray::{CD_SECTOR as SECTOR, Tray, TrayState};

use super::Identity;
use super::drive::{Direction, Interface, Next, Protocol, Unit};
use super::identify::Position;
use super::modes::{DmaMode, Power};
use super::report::{Failure, MediumOperation};
use super::spec::{ACCESS_TIME, COMMAND_TIME, Command, READY_TIME, cd_time, device, error, status};
use super::taskfile::{Buffer, Signature, TaskFile};
use crate::backend::MediumError;
use packet::{Outcome, is_seeking};
use serde::{Deserialize, Serialize};
use tray::CD_SECTOR;

/// Commands that only packet devices have.
const DEVICE_RESET: u8 = 0x08;
const PACKET: u8 = 0xA0;
const IDENTIFY_PACKET_DEVICE: u8 = 0xA1;

/// Bits of the Features register of PACKET.
const FEATURE_DMA: u8 = 0x01;
const FEATURE_OVERLAP: u8 = 0x02;

/// Bits of the Interrupt Reason register: command or data, and in which direction.
const REASON_COMMAND: u8 = 0x01;
const REASON_TO_HOST: u8 = 0x02;

/// The most sectors that are in the buffer at a time.
const MAX_CHUNK: u32 = (Buffer::CAPACITY / CD_SECTOR) as u32;

/// How the data of a packet command travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Route {
    protocol: Protocol,
    /// The most bytes in one data block. For PIO the Byte Count that the host set.
    limit: usize,
}

impl Route {
    fn of(registers: &TaskFile) -> Self {
        if registers.features.current & FEATURE_DMA != 0 {
            return Route { protocol: Protocol::Dma, limit: Buffer::CAPACITY };
        }
        let limit = u16::from_be_bytes([registers.lba_high.current, registers.lba_mid.current]);
        Route { protocol: Protocol::Pio, limit: usize::from(limit).min(0xFFFE) }
    }

    /// Whether `length` bytes can travel: a block that is not the last has an even number of bytes.
    fn carries(self, length: usize) -> bool {
        length <= self.limit || self.limit >= 2
    }

    /// The length of the next block when `length` bytes are left.
    fn block(self, length: usize) -> usize {
        if length <= self.limit { length } else { (self.limit & !1).max(1) }
    }

    /// How many sectors to have in the buffer: whole blocks, where a block holds whole sectors.
    fn chunk(self, left: u32) -> u32 {
        left.min((self.limit / CD_SECTOR) as u32).clamp(1, MAX_CHUNK)
    }

    fn is_valid(self) -> bool {
        match self.protocol {
            Protocol::Pio => self.limit <= 0xFFFE,
            Protocol::Dma => self.limit == Buffer::CAPACITY,
        }
    }
}

/// What the drive is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Operation {
    None,
    /// The command with this code was accepted.
    Command(u8),
    /// A command packet is awaited.
    AwaitPacket(Route),
    /// The packet is being executed.
    Packet(Packet, Route),
    /// Data is on its way: what is in the buffer, then `left` sectors from `next` on.
    Data {
        route: Route,
        next: u32,
        left: u32,
    },
}

impl Operation {
    /// Whether commands could have led here.
    pub fn is_valid(&self) -> bool {
        match *self {
            Operation::None | Operation::Command(_) => true,
            Operation::AwaitPacket(route) | Operation::Packet(_, route) => route.is_valid(),
            Operation::Data { route, .. } => route.is_valid() && route.limit > 0,
        }
    }
}

/// A CD-ROM drive, without the registers that every drive has.
#[derive(Debug)]
pub(super) struct Cdrom {
    pub identity: Identity,
    pub position: Position,
    pub tray: Tray,
    pub sense: Sense,
    /// A reset occurred: a unit attention is due.
    pub was_reset: bool,
    /// A command was accepted since the last reset, which is when a packet device first shows DRDY.
    pub ready: bool,
    pub dma: DmaMode,
    pub power: Power,
    pub operation: Operation,
}

impl Cdrom {
    pub fn new(tray: Tray, identity: Identity) -> Self {
        Cdrom {
            identity,
            position: Position::default(),
            tray,
            sense: Sense::NONE,
            was_reset: true,
            ready: false,
            dma: DmaMode::POWER_ON,
            power: Power::Active,
            operation: Operation::None,
        }
    }

    /// The unit attention that is due, if any; each is reported once.
    fn take_attention(&mut self) -> Option<Sense> {
        if std::mem::take(&mut self.was_reset) {
            return Some(Sense::RESET_OCCURRED);
        }
        std::mem::take(&mut self.tray.state.changed).then_some(Sense::MEDIUM_CHANGED)
    }

    /// A command of the Command register, PACKET excepted.
    fn run(&mut self, code: u8, io: &mut Interface) -> Next {
        if self.power == Power::Sleep {
            return io.abort();
        }
        if code == IDENTIFY_PACKET_DEVICE {
            let data = self.identify();
            io.buffer.start(data.len()).copy_from_slice(&data);
            return Next::Transfer { direction: Direction::In, protocol: Protocol::Pio, interrupt: true };
        }
        const SET_TRANSFER_MODE: u8 = 0x03;
        match Command::decode(code) {
            // ATA/ATAPI-6, "PACKET Command feature set": these tell the host that this is no disk.
            Some(Command::IdentifyDevice | Command::Sectors { .. }) => {
                io.registers.show_signature(Signature::PACKET);
                return io.abort();
            }
            Some(Command::SetFeatures) => {
                let (subcommand, mode) = (io.registers.features.current, io.registers.count.current);
                if subcommand != SET_TRANSFER_MODE || !self.dma.set_transfer_mode(mode) {
                    return io.abort();
                }
            }
            Some(Command::CheckPowerMode) => io.registers.count.current = self.power.code(),
            Some(Command::IdleImmediate) => self.power = Power::Idle,
            Some(Command::StandbyImmediate) => self.power = Power::Standby,
            Some(Command::Sleep) => self.power = Power::Sleep,
            _ => return io.abort(),
        }
        Next::End { interrupt: true }
    }

    fn run_packet(&mut self, packet: Packet, route: Route, io: &mut Interface) -> Next {
        const REQUEST_SENSE: u8 = 0x03;
        self.power = Power::Active;
        if packet.byte(0) != REQUEST_SENSE {
            self.sense = Sense::NONE;
        }
        let (length, operation) = match self.packet(packet) {
            Err(sense) => return self.check_condition(sense, io),
            Ok(Outcome::Done) => return self.end_packet(io),
            Ok(Outcome::Reply(reply)) => {
                io.buffer.start(reply.len()).copy_from_slice(&reply);
                (reply.len(), Operation::Data { route, next: 0, left: 0 })
            }
            Ok(Outcome::Sectors { first, count }) => {
                io.buffer.clear();
                (CD_SECTOR, Operation::Data { route, next: first, left: count })
            }
        };
        // ATA/ATAPI-6, "PACKET": a byte count limit that lets no data through is an error of the host.
        if !route.carries(length) {
            return io.abort();
        }
        self.operation = operation;
        match self.operation {
            Operation::Data { route, left, .. } if left > 0 => Next::Busy(cd_time(route.chunk(left))),
            _ => self.offer_block(route, length, io),
        }
    }

    /// Offers the next block of the `length` bytes that are left in the buffer.
    fn offer_block(&self, route: Route, length: usize, io: &mut Interface) -> Next {
        let block = route.block(length);
        io.buffer.limit_block(block);
        let is_pio = route.protocol == Protocol::Pio;
        if is_pio {
            let [high, low] = (block as u16).to_be_bytes();
            io.registers.lba_high.current = high;
            io.registers.lba_mid.current = low;
        }
        io.registers.count.current = REASON_TO_HOST;
        Next::Transfer { direction: Direction::In, protocol: route.protocol, interrupt: is_pio }
    }

    /// The next block of a command with data, or its end.
    fn continue_data(&mut self, route: Route, next: u32, left: u32, io: &mut Interface) -> Next {
        let mut length = io.buffer.left();
        let (mut next, mut left) = (next, left);
        if length == 0 {
            if left == 0 {
                return self.end_packet(io);
            }
            if let Err(sense) = self.tray.sectors() {
                return self.check_condition(sense, io);
            }
            let count = route.chunk(left);
            length = count as usize * CD_SECTOR;
            if let Err(reason) = self.tray.read(next, io.buffer.start(length)) {
                return self.medium_failed(next, count, reason, io);
            }
            next = next.saturating_add(count);
            left -= count;
        }
        self.operation = Operation::Data { route, next, left };
        self.offer_block(route, length, io)
    }

    /// Ends the command with the sense of the sector that cannot be read.
    fn medium_failed(&mut self, next: u32, count: u32, reason: MediumError, io: &mut Interface) -> Next {
        let mut data = [0; CD_SECTOR];
        let sectors = next..next.saturating_add(count);
        let bad = sectors.into_iter().find(|sector| self.tray.read(*sector, &mut data).is_err());
        let sector = bad.unwrap_or(next);
        Failure { operation: MediumOperation::Read, sector: sector.into(), error: reason }
            .note(&mut io.failures);
        let sense = match reason {
            MediumError::OutOfRange => Sense::OUT_OF_RANGE,
            MediumError::ReadOnly | MediumError::Failed => Sense::unreadable(sector),
        };
        self.check_condition(sense, io)
    }

    fn check_condition(&mut self, sense: Sense, io: &mut Interface) -> Next {
        self.sense = sense;
        io.registers.count.current = REASON_COMMAND | REASON_TO_HOST;
        io.fail(sense.error_register(), status::ERR)
    }

    fn end_packet(&mut self, io: &mut Interface) -> Next {
        io.registers.count.current = REASON_COMMAND | REASON_TO_HOST;
        Next::End { interrupt: true }
    }
}

impl Unit for Cdrom {
    fn interrupts_busy(&self, code: u8) -> bool {
        code == DEVICE_RESET
    }

    fn execute(&mut self, code: u8, io: &mut Interface) -> Next {
        if code == DEVICE_RESET {
            self.reset(false);
            let selection = io.registers.device & device::DEV;
            io.registers.reset(Signature::PACKET);
            io.registers.device = selection;
            return Next::End { interrupt: false };
        }
        self.ready = true;
        self.operation = Operation::Command(code);
        if code == PACKET && self.power != Power::Sleep {
            if io.registers.features.current & FEATURE_OVERLAP != 0 {
                self.operation = Operation::None;
                return io.abort();
            }
            self.operation = Operation::AwaitPacket(Route::of(&io.registers));
            return Next::Busy(READY_TIME);
        }
        Next::Busy(COMMAND_TIME)
    }

    fn resume(&mut self, io: &mut Interface) -> Next {
        match std::mem::replace(&mut self.operation, Operation::None) {
            Operation::None => Next::End { interrupt: false },
            Operation::Command(code) => self.run(code, io),
            Operation::AwaitPacket(route) => {
                self.operation = Operation::AwaitPacket(route);
                io.buffer.start(Packet::LENGTH);
                io.registers.count.current = REASON_COMMAND;
                Next::Transfer { direction: Direction::Out, protocol: Protocol::Pio, interrupt: false }
            }
            Operation::Packet(packet, route) => self.run_packet(packet, route, io),
            Operation::Data { route, next, left } => self.continue_data(route, next, left, io),
        }
    }

    fn moved(&mut self, io: &mut Interface) -> Next {
        match std::mem::replace(&mut self.operation, Operation::None) {
            Operation::AwaitPacket(route) => {
                let Ok(packet) = io.buffer.taken().try_into().map(Packet) else {
                    return io.abort();
                };
                self.operation = Operation::Packet(packet, route);
                Next::Busy(if is_seeking(packet) { ACCESS_TIME } else { COMMAND_TIME })
            }
            Operation::Data { route, next, left } => {
                self.operation = Operation::Data { route, next, left };
                let needs_medium = io.buffer.left() == 0 && left > 0;
                Next::Busy(if needs_medium { cd_time(route.chunk(left)) } else { READY_TIME })
            }
            Operation::None | Operation::Command(_) | Operation::Packet(..) => Next::End { interrupt: false },
        }
    }

    fn reset(&mut self, hardware: bool) {
        self.operation = Operation::None;
        self.sense = Sense::NONE;
        self.ready = false;
        self.power = Power::Active;
        if hardware {
            self.dma = DmaMode::POWER_ON;
            self.was_reset = true;
            self.tray.state.locked = false;
        }
    }

    fn signature(&self) -> Signature {
        Signature::PACKET
    }

    fn ready(&self) -> u8 {
        if self.ready { status::DRDY | status::DSC } else { 0 }
    }
}
