//! IDE drives by programmed input and output. ATA/ATAPI-6, "Command descriptions" and "PACKET".

use super::drives::Slot;
use super::status;
use crate::bios::hardware::{MICROSECOND, MILLISECOND};
use crate::platform::Platform;

/// Offsets of registers from the first port of a channel.
mod register {
    pub const DATA: u16 = 0;
    /// Error when read, features when written.
    pub const ERROR: u16 = 1;
    pub const COUNT: u16 = 2;
    pub const LBA_LOW: u16 = 3;
    pub const LBA_MID: u16 = 4;
    pub const LBA_HIGH: u16 = 5;
    pub const DEVICE: u16 = 6;
    /// Status when read, command when written.
    pub const STATUS: u16 = 7;
}

/// Bits of the status register.
mod bit {
    pub const ERROR: u8 = 0x01;
    pub const DATA_REQUEST: u8 = 0x08;
    pub const DEVICE_FAULT: u8 = 0x20;
    pub const READY: u8 = 0x40;
    pub const BUSY: u8 = 0x80;
}

mod command {
    pub const READ: u8 = 0x20;
    pub const READ_EXTENDED: u8 = 0x24;
    pub const WRITE: u8 = 0x30;
    pub const WRITE_EXTENDED: u8 = 0x34;
    pub const VERIFY: u8 = 0x40;
    pub const VERIFY_EXTENDED: u8 = 0x42;
    pub const PACKET: u8 = 0xA0;
    pub const IDENTIFY_PACKET: u8 = 0xA1;
    pub const FLUSH_CACHE: u8 = 0xE7;
    pub const IDENTIFY: u8 = 0xEC;
}

/// Device control: interrupts are off; a reset of both drives. Bit 3 has always been one.
const NO_INTERRUPT: u8 = 0x0A;
const INTERRUPT: u8 = 0x08;
const RESET: u8 = 0x0E;

/// Device register: bits that have always been ones; an address is an LBA.
const OBSOLETE: u8 = 0xA0;
const LBA: u8 = 0x40;

/// Longer than a drive takes to do anything: one that spins up takes seconds.
const TIMEOUT: u64 = 5000 * MILLISECOND;
const POLL: u64 = 2 * MICROSECOND;

/// Bytes of a sector of a disk.
pub(super) const SECTOR: usize = 512;
/// The most sectors in one command.
pub(super) const MOST_SECTORS: u32 = 128;

/// Where sectors are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Address {
    /// By number, with 28 or 48 bits.
    Lba(u64),
    /// As the drive itself counts: cylinder, head, sector.
    Chs(u16, u8, u8),
}

/// A command in progress, during which the drive does not interrupt.
struct Session<'a> {
    io: &'a mut dyn Platform,
    slot: Slot,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // Reading the status takes an interrupt back that the end of the command has raised.
        self.read(register::STATUS);
        self.io.out8(self.slot.control_port(), INTERRUPT);
    }
}

impl<'a> Session<'a> {
    /// Selects the drive in `slot`, with `device` in the other bits of the device register.
    fn begin(io: &'a mut dyn Platform, slot: Slot, device: u8) -> Result<Self, u8> {
        io.out8(slot.control_port(), NO_INTERRUPT);
        let mut session = Session { io, slot };
        session.write(register::DEVICE, OBSOLETE | slot.device_bit() | device);
        session.wait_until_idle()?;
        Ok(session)
    }

    fn read(&mut self, register: u16) -> u8 {
        self.io.in8(self.slot.port() + register)
    }

    fn write(&mut self, register: u16, value: u8) {
        self.io.out8(self.slot.port() + register, value);
    }

    /// Waits until the drive is not busy; gives its status.
    fn wait_until_idle(&mut self) -> Result<u8, u8> {
        let port = self.slot.port() + register::STATUS;
        let mut status = 0;
        let idle = self.io.wait_until(TIMEOUT, POLL, |io| {
            status = io.in8(port);
            status & bit::BUSY == 0
        });
        if idle { Ok(status) } else { Err(status::TIMEOUT) }
    }

    fn command(&mut self, command: u8) {
        self.write(register::STATUS, command);
        // The status is valid after 400 ns.
        self.io.wait(MICROSECOND);
    }

    /// Waits for the end of a command, or for its next data.
    fn settle(&mut self, wants_data: bool) -> Result<(), u8> {
        let status = self.wait_until_idle()?;
        if status & bit::DEVICE_FAULT != 0 {
            return Err(status::WRITE_FAULT);
        }
        if status & bit::ERROR != 0 {
            return Err(error_status(self.read(register::ERROR)));
        }
        if wants_data == (status & bit::DATA_REQUEST != 0) { Ok(()) } else { Err(status::CONTROLLER_FAILED) }
    }

    /// Writes the address and number of sectors; gives whether 48 bits were needed.
    fn address(&mut self, address: Address, count: u32) -> bool {
        let bytes = match address {
            Address::Lba(lba) => lba.to_le_bytes(),
            Address::Chs(cylinder, _, sector) => {
                let [low, high] = cylinder.to_le_bytes();
                [sector, low, high, 0, 0, 0, 0, 0]
            }
        };
        let extended = needs_48_bits(address, count);
        if extended {
            self.write(register::COUNT, (count >> 8) as u8);
            for (register, byte) in (register::LBA_LOW..).zip(&bytes[3..6]) {
                self.write(register, *byte);
            }
        }
        self.write(register::COUNT, count as u8);
        for (register, byte) in (register::LBA_LOW..).zip(&bytes[..3]) {
            self.write(register, *byte);
        }
        extended
    }
}

fn needs_48_bits(address: Address, count: u32) -> bool {
    const LBA_28_END: u64 = 1 << 28;
    matches!(address, Address::Lba(lba) if lba.saturating_add(count.into()) > LBA_28_END)
}

/// The device register's bits for an address.
fn device_bits(address: Address, count: u32) -> u8 {
    match address {
        Address::Lba(_) if needs_48_bits(address, count) => LBA,
        Address::Lba(lba) => LBA | (lba >> 24) as u8 & 0xF,
        Address::Chs(_, head, _) => head & 0xF,
    }
}

/// What the error register means.
fn error_status(error: u8) -> u8 {
    let meanings = [
        (0x40, status::BAD_CRC),
        (0x10, status::SECTOR_NOT_FOUND),
        (0x01, status::NO_ADDRESS_MARK),
        (0x04, status::BAD_COMMAND),
    ];
    meanings.into_iter().find(|(bit, _)| error & bit != 0).map_or(status::CONTROLLER_FAILED, |(_, s)| s)
}

/// Reads as many sectors as `buffer` holds, at most [`MOST_SECTORS`].
pub(super) fn read(io: &mut dyn Platform, slot: Slot, address: Address, buffer: &mut [u8]) -> Result<(), u8> {
    let count = (buffer.len() / SECTOR) as u32;
    let mut session = Session::begin(io, slot, device_bits(address, count))?;
    let extended = session.address(address, count);
    session.command(if extended { command::READ_EXTENDED } else { command::READ });
    for sector in buffer.chunks_exact_mut(SECTOR) {
        session.settle(true)?;
        session.io.port_in_words(slot.port() + register::DATA, sector);
    }
    session.settle(false)
}

/// Writes the sectors in `bytes`, at most [`MOST_SECTORS`].
pub(super) fn write(io: &mut dyn Platform, slot: Slot, address: Address, bytes: &[u8]) -> Result<(), u8> {
    let count = (bytes.len() / SECTOR) as u32;
    let mut session = Session::begin(io, slot, device_bits(address, count))?;
    let extended = session.address(address, count);
    session.command(if extended { command::WRITE_EXTENDED } else { command::WRITE });
    for sector in bytes.chunks_exact(SECTOR) {
        session.settle(true)?;
        session.io.port_out_words(slot.port() + register::DATA, sector);
    }
    session.settle(false)
}

/// Reads `count` sectors, at most [`MOST_SECTORS`], to nowhere.
pub(super) fn verify(io: &mut dyn Platform, slot: Slot, address: Address, count: u32) -> Result<(), u8> {
    let mut session = Session::begin(io, slot, device_bits(address, count))?;
    let extended = session.address(address, count);
    session.command(if extended { command::VERIFY_EXTENDED } else { command::VERIFY });
    session.settle(false)
}

/// Makes what was written durable.
pub(super) fn flush(io: &mut dyn Platform, slot: Slot) -> Result<(), u8> {
    let mut session = Session::begin(io, slot, 0)?;
    session.command(command::FLUSH_CACHE);
    session.settle(false)
}

/// Resets both drives of the channel that `slot` is on.
pub(super) fn reset_channel(io: &mut dyn Platform, slot: Slot) {
    io.out8(slot.control_port(), RESET);
    io.wait(10 * MICROSECOND);
    io.out8(slot.control_port(), INTERRUPT);
    io.wait(2 * MILLISECOND);
    let port = slot.port() + register::STATUS;
    io.wait_until(TIMEOUT, 100 * MICROSECOND, |io| io.in8(port) & bit::BUSY == 0);
}

/// What a drive says of itself, and whether it is a packet device; `None` if there is none.
pub(super) fn identify(io: &mut dyn Platform, slot: Slot) -> Option<(bool, [u16; 256])> {
    let status_port = slot.port() + register::STATUS;
    io.out8(slot.port() + register::DEVICE, OBSOLETE | slot.device_bit());
    io.wait(MICROSECOND);
    // A cable without a drive reads FFh or, with the pull-down of the standard, 7Fh.
    if matches!(io.in8(status_port), 0x7F | 0xFF) {
        return None;
    }
    for (packet, command) in [(false, command::IDENTIFY), (true, command::IDENTIFY_PACKET)] {
        let mut session = Session::begin(io, slot, 0).ok()?;
        // A drive that is not there lets another answer for it with zero.
        if !packet && session.read(register::STATUS) & (bit::READY | bit::BUSY | bit::ERROR) == 0 {
            let signature = [session.read(register::LBA_MID), session.read(register::LBA_HIGH)];
            if signature != [0x14, 0xEB] {
                return None;
            }
        }
        session.command(command);
        if session.settle(true).is_ok() {
            let mut bytes = [0; SECTOR];
            session.io.port_in_words(slot.port() + register::DATA, &mut bytes);
            let word = |n: usize| u16::from_le_bytes([bytes[2 * n], bytes[2 * n + 1]]);
            return Some((packet, std::array::from_fn(word)));
        }
    }
    None
}

/// Why a packet command failed: the sense key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SenseKey(pub u8);

/// Sends a packet command and reads what it answers into `buffer`; gives how many bytes came.
pub(super) fn packet(
    io: &mut dyn Platform,
    slot: Slot,
    packet: &[u8; 12],
    buffer: &mut [u8],
) -> Result<usize, SenseKey> {
    /// The sense key of hardware that does not work.
    const HARDWARE_ERROR: SenseKey = SenseKey(4);
    /// The most bytes that a drive offers at a time.
    const CHUNK: u16 = 0xFFFE;
    let dead = |_| HARDWARE_ERROR;
    let mut session = Session::begin(io, slot, 0).map_err(dead)?;
    let [low, high] = CHUNK.to_le_bytes();
    // By programmed input and output.
    for (register, value) in [(register::ERROR, 0), (register::LBA_MID, low), (register::LBA_HIGH, high)] {
        session.write(register, value);
    }
    session.command(command::PACKET);
    session.settle(true).map_err(dead)?;
    session.io.port_out_words(slot.port() + register::DATA, packet);
    session.io.wait(MICROSECOND);
    let mut filled = 0;
    loop {
        let status = session.wait_until_idle().map_err(dead)?;
        if status & bit::ERROR != 0 {
            return Err(SenseKey(session.read(register::ERROR) >> 4));
        }
        if status & bit::DATA_REQUEST == 0 {
            return Ok(filled);
        }
        let [low, high] = [session.read(register::LBA_MID), session.read(register::LBA_HIGH)];
        let offered = usize::from(u16::from_le_bytes([low, high])).next_multiple_of(2);
        let mut bytes = vec![0; offered.max(2)];
        session.io.port_in_words(slot.port() + register::DATA, &mut bytes);
        let room = buffer.len() - filled;
        let taken = bytes.len().min(room);
        buffer[filled..filled + taken].copy_from_slice(&bytes[..taken]);
        filled += taken;
    }
}
