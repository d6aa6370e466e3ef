//! The IDE function of the PIIX3: two channels of two drives each. Intel 82371SB; disks: ATA/ATAPI-6; CD-ROM
//! drives: MMC-3.
//!
//! Commands take guest time: a drive shows BSY until its moment has come, then asks for data or ends the
//! command. Media are asked at those moments and answer at once.
//!
//! # Ports
//!
//! [`PortIo`] offsets are those of this table; which of them a bus decodes, and where, the PCI function of
//! the controller says.
//!
//! | offset | registers | usual ports |
//! |---|---|---|
//! | 00h-07h | primary command block | 1F0h-1F7h |
//! | 08h | primary Device Control and Alternate Status | 3F6h |
//! | 10h-17h | secondary command block | 170h-177h |
//! | 18h | secondary Device Control and Alternate Status | 376h |
//! | 20h-2Fh | bus master: primary, then secondary channel | at a base address register |
//!
//! String instructions on the Data register move whole blocks by [`Ide::read_data_block`] and
//! [`Ide::write_data_block`]. DMA needs memory, which the machine lends in [`Ide::run_bus_master`].

mod bus_master;
mod cdrom;
mod channel;
mod disk;
mod drive;
mod identify;
mod modes;
mod report;
mod spec;
mod state;
mod taskfile;
#[cfg(test)]
mod tests;

pub use disk::Geometry;
pub use report::{MediumOperation, MediumReport};
pub use state::IdeState;

use crate::access::{AccessSize, DmaMemory, IoError, PortIo, PortRange};
use crate::backend::{Content, Medium};
use crate::irq::IrqLine;
use crate::reset::Reset;
use crate::time::{GuestTime, Timed};
use cdrom::{Cdrom, Tray};
use channel::Channel;
use disk::Disk;
use drive::{AnyUnit, Direction, Drive};
use identify::Position;
use report::Failure;
use spec::SECTOR;
use std::fmt;
use std::ops::Range;

/// The distance between the register offsets of the two channels.
const CHANNEL_STRIDE: u16 = 0x10;
/// The offset of a channel's Device Control behind its command block.
const CONTROL: u16 = 0x08;

/// Register offsets of bus master IDE.
const BUS_MASTER: u16 = 0x20;
const END: u16 = BUS_MASTER + Ide::BUS_MASTER_PORTS;

/// A channel of the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelId {
    /// The channel of IRQ 14.
    Primary,
    /// The channel of IRQ 15.
    Secondary,
}

/// A place for a drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    /// The cable.
    pub channel: ChannelId,
    /// Whether it is device 1 ("slave") on that cable, not device 0.
    pub is_device_1: bool,
}

impl Slot {
    /// All places, in the order in which a BIOS numbers its drives.
    pub const ALL: [Slot; 4] = [
        Slot { channel: ChannelId::Primary, is_device_1: false },
        Slot { channel: ChannelId::Primary, is_device_1: true },
        Slot { channel: ChannelId::Secondary, is_device_1: false },
        Slot { channel: ChannelId::Secondary, is_device_1: true },
    ];
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channel = match self.channel {
            ChannelId::Primary => "primary",
            ChannelId::Secondary => "secondary",
        };
        write!(f, "{channel} IDE device {}", u8::from(self.is_device_1))
    }
}

/// What a drive calls itself. Characters outside printable ASCII appear as `?`; longer texts are cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Serial number, 20 characters.
    pub serial: String,
    /// Firmware revision, 8 characters.
    pub firmware: String,
    /// Model number, 40 characters.
    pub model: String,
}

/// Why a drive cannot be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// Another drive has the place.
    #[error("there is already a drive in this place")]
    Occupied,
    /// The medium does not hold one sector.
    #[error("the medium is smaller than a sector")]
    TooSmall,
    /// A number of the geometry is out of range, or it has more sectors than the medium.
    #[error("the geometry does not fit the medium")]
    Geometry,
}

/// Why a disc cannot be inserted. The medium comes back.
#[derive(Debug, thiserror::Error)]
pub enum InsertError {
    /// There is no CD-ROM drive in this place.
    #[error("no CD-ROM drive in this place")]
    NotCdrom(Box<dyn Medium>),
    /// There is already a disc in the drive.
    #[error("there is already a disc in the drive")]
    Full(Box<dyn Medium>),
    /// The medium does not hold one sector of 2048 bytes.
    #[error("the medium is smaller than a sector")]
    TooSmall(Box<dyn Medium>),
}

/// Why a disc cannot be ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EjectError {
    /// There is no CD-ROM drive in this place.
    #[error("no CD-ROM drive in this place")]
    NotCdrom,
    /// The guest has locked the tray.
    #[error("the guest has locked the tray")]
    Locked,
}

/// What there is in a [`Slot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriveStatus {
    /// No drive.
    Absent,
    /// A disk.
    Disk,
    /// A CD-ROM drive.
    Cdrom {
        /// A disc is in the tray.
        has_disc: bool,
        /// The guest has opened the tray; a disc in it cannot be read.
        is_open: bool,
        /// The guest has locked the tray.
        is_locked: bool,
    },
}

/// The two channels and their drives.
#[derive(Debug)]
pub struct Ide {
    channels: [Channel; 2],
}

impl Ide {
    /// The ports at which the controller answers for the primary channel, while it is enabled there.
    pub const PRIMARY_PORTS: &[PortRange] = &[PortRange::new(0x1F0, 8, 0), PortRange::new(0x3F6, 1, CONTROL)];
    /// The ports of the secondary channel.
    pub const SECONDARY_PORTS: &[PortRange] =
        &[PortRange::new(0x170, 8, CHANNEL_STRIDE), PortRange::new(0x376, 1, CHANNEL_STRIDE + CONTROL)];

    /// How many ports bus master IDE has. They are at [`Ide::bus_master_ports`].
    pub const BUS_MASTER_PORTS: u16 = 2 * bus_master::register::COUNT as u16;

    /// Bus master IDE at `base`, where the PCI function has it (see
    /// [`Pci::ide_bus_master_base`](crate::pci::Pci::ide_bus_master_base)). Panics if it does not fit there.
    pub const fn bus_master_ports(base: u16) -> PortRange {
        PortRange::new(base, Self::BUS_MASTER_PORTS, BUS_MASTER)
    }

    /// Two empty channels; `lines` are IRQ 14 and IRQ 15.
    pub fn new(lines: [IrqLine; 2]) -> Self {
        Ide { channels: lines.map(Channel::new) }
    }

    /// Puts a disk into `slot`. Without a `geometry` it presents the one that
    /// [`Geometry::for_capacity`] finds.
    pub fn attach_disk(
        &mut self,
        slot: Slot,
        medium: Box<dyn Medium>,
        identity: Identity,
        geometry: Option<Geometry>,
    ) -> Result<(), AttachError> {
        let capacity = medium.size() / SECTOR as u64;
        if capacity == 0 {
            return Err(AttachError::TooSmall);
        }
        let geometry = geometry.unwrap_or_else(|| Geometry::for_capacity(capacity));
        if !geometry.is_addressable() || u64::from(geometry.capacity()) > capacity {
            return Err(AttachError::Geometry);
        }
        self.attach(slot, AnyUnit::Disk(Disk::new(medium, identity, geometry)))
    }

    /// Puts a CD-ROM drive into `slot`, with or without a disc in it. A disc has sectors of 2048 bytes and is
    /// never written.
    pub fn attach_cdrom(
        &mut self,
        slot: Slot,
        medium: Option<Box<dyn Medium>>,
        identity: Identity,
    ) -> Result<(), AttachError> {
        if medium.as_ref().is_some_and(|medium| medium.size() < cdrom::SECTOR as u64) {
            return Err(AttachError::TooSmall);
        }
        self.attach(slot, AnyUnit::Cdrom(Cdrom::new(Tray::new(medium), identity)))
    }

    /// Puts a disc into the CD-ROM drive in `slot` and closes its tray, as a user does. An error returns the
    /// medium.
    pub fn insert_disc(&mut self, slot: Slot, medium: Box<dyn Medium>) -> Result<(), InsertError> {
        match self.cdrom(slot) {
            Some(_) if medium.size() < cdrom::SECTOR as u64 => Err(InsertError::TooSmall(medium)),
            Some(cdrom) if cdrom.tray.medium.is_some() => Err(InsertError::Full(medium)),
            Some(cdrom) => {
                cdrom.tray.insert(medium);
                Ok(())
            }
            None => Err(InsertError::NotCdrom(medium)),
        }
    }

    /// Presses the eject button of the CD-ROM drive in `slot` and takes the disc out. A drive that the guest
    /// has locked keeps it, and tells the guest of the wish; `force` takes it nevertheless, as the pin behind
    /// the emergency hole does.
    pub fn eject_disc(&mut self, slot: Slot, force: bool) -> Result<Option<Box<dyn Medium>>, EjectError> {
        let cdrom = self.cdrom(slot).ok_or(EjectError::NotCdrom)?;
        if cdrom.tray.state.locked && !force {
            cdrom.tray.request_eject();
            return Err(EjectError::Locked);
        }
        Ok(cdrom.tray.remove())
    }

    /// What there is in `slot`, as a host may want to show it.
    pub fn drive_status(&self, slot: Slot) -> DriveStatus {
        match &self.channels[slot.channel as usize].drives[usize::from(slot.is_device_1)] {
            None => DriveStatus::Absent,
            Some(Drive { unit: AnyUnit::Disk(_), .. }) => DriveStatus::Disk,
            Some(Drive { unit: AnyUnit::Cdrom(cdrom), .. }) => DriveStatus::Cdrom {
                has_disc: cdrom.tray.medium.is_some(),
                is_open: cdrom.tray.state.open,
                is_locked: cdrom.tray.state.locked,
            },
        }
    }

    fn cdrom(&mut self, slot: Slot) -> Option<&mut Cdrom> {
        match &mut self.channel(slot.channel).drives[usize::from(slot.is_device_1)] {
            Some(Drive { unit: AnyUnit::Cdrom(cdrom), .. }) => Some(cdrom),
            _ => None,
        }
    }

    fn attach(&mut self, slot: Slot, unit: AnyUnit) -> Result<(), AttachError> {
        let drives = &mut self.channel(slot.channel).drives;
        let place = &mut drives[usize::from(slot.is_device_1)];
        if place.is_some() {
            return Err(AttachError::Occupied);
        }
        *place = Some(Drive::new(unit));
        let has_neighbour = drives.iter().all(Option::is_some);
        for (number, drive) in drives.iter_mut().enumerate() {
            let position = Position { is_device_1: number == 1, has_neighbour };
            match drive {
                Some(Drive { unit: AnyUnit::Disk(disk), .. }) => disk.position = position,
                Some(Drive { unit: AnyUnit::Cdrom(cdrom), .. }) => cdrom.position = position,
                None => {}
            }
        }
        Ok(())
    }

    /// What lies in the drive in `slot`.
    pub fn medium(&mut self, slot: Slot) -> Option<&mut Box<dyn Medium>> {
        match &mut self.channel(slot.channel).drives[usize::from(slot.is_device_1)].as_mut()?.unit {
            AnyUnit::Disk(disk) => Some(&mut disk.medium),
            AnyUnit::Cdrom(cdrom) => cdrom.tray.medium.as_mut(),
        }
    }

    /// Exchanges what lies in the drive in `slot` without the guest's noticing, as when a machine is restored; gives
    /// what was there. A disk stays a disk: `medium` comes back as an error if it is missing or too small, or if there
    /// is no drive for it.
    pub fn replace_medium(&mut self, slot: Slot, medium: Content) -> Result<Content, Content> {
        let drive = &mut self.channel(slot.channel).drives[usize::from(slot.is_device_1)];
        match (drive.as_mut().map(|drive| &mut drive.unit), medium) {
            (None, None) => Ok(None),
            (Some(AnyUnit::Disk(disk)), Some(medium)) if medium.size() / SECTOR as u64 == disk.capacity() => {
                Ok(Some(std::mem::replace(&mut disk.medium, medium)))
            }
            (Some(AnyUnit::Cdrom(cdrom)), medium)
                if medium.as_ref().is_none_or(|medium| medium.size() >= cdrom::SECTOR as u64) =>
            {
                Ok(std::mem::replace(&mut cdrom.tray.medium, medium))
            }
            (_, medium) => Err(medium),
        }
    }

    /// Makes everything that disks were given durable, as at the end of a run. [`Ide::take_reports`] tells of
    /// what failed.
    pub fn flush(&mut self) {
        for drive in self.channels.iter_mut().flat_map(|channel| &mut channel.drives).flatten() {
            if let AnyUnit::Disk(disk) = &mut drive.unit
                && let Err(error) = disk.medium.flush()
            {
                Failure { operation: MediumOperation::Flush, sector: 0, error }.note(&mut drive.io.failures);
            }
        }
    }

    /// The failures of media since the last call, at most 16 for each drive.
    pub fn take_reports(&mut self) -> Vec<MediumReport> {
        let mut reports = Vec::new();
        for slot in Slot::ALL {
            let drive = &mut self.channel(slot.channel).drives[usize::from(slot.is_device_1)];
            let failures = drive.as_mut().map(|drive| std::mem::take(&mut drive.io.failures));
            reports.extend(failures.into_iter().flatten().map(|failure| failure.at(slot)));
        }
        reports
    }

    /// Reads from the Data register of `channel` for as long as the present data block lasts: what a string
    /// input with items of `size` does, all at once. Returns how many bytes of `buffer` were filled: whole
    /// items. What is left of a block that ends within an item is for [`PortIo::read_port`], and so are
    /// bytes, each of which costs a word.
    pub fn read_data_block(
        &mut self,
        channel: ChannelId,
        size: AccessSize,
        buffer: &mut [u8],
        now: GuestTime,
    ) -> usize {
        let channel = self.channel(channel);
        channel.advance(now);
        let count = whole_items(size, channel.data_left(Direction::In).min(buffer.len()));
        channel.read_data(&mut buffer[..count], now)
    }

    /// Writes to the Data register of `channel` for as long as the present data block lasts; returns how
    /// many of `bytes` were taken, in whole items of `size`.
    pub fn write_data_block(
        &mut self,
        channel: ChannelId,
        size: AccessSize,
        bytes: &[u8],
        now: GuestTime,
    ) -> usize {
        let channel = self.channel(channel);
        channel.advance(now);
        let count = whole_items(size, channel.data_left(Direction::Out).min(bytes.len()));
        channel.write_data(&bytes[..count], now)
    }

    /// Whether [`Ide::run_bus_master`] has something to do.
    pub fn wants_bus_master(&self) -> bool {
        self.channels.iter().any(Channel::wants_bus_master)
    }

    /// Moves the data that DMA commands have ready now, or ask for. To be called after every access to the
    /// device and after every event, while the PCI function is allowed to master the bus. A call moves at most
    /// 64 KiB for each channel; a longer command goes on by itself, and has its next event.
    pub fn run_bus_master(&mut self, memory: &mut dyn DmaMemory, now: GuestTime) {
        for channel in &mut self.channels {
            channel.run_bus_master(memory, now);
        }
    }

    fn channel(&mut self, id: ChannelId) -> &mut Channel {
        &mut self.channels[id as usize]
    }
}

/// The bytes of whole items of `size`, if there are `bytes`; none for items of a byte.
fn whole_items(size: AccessSize, bytes: usize) -> usize {
    match size {
        AccessSize::Byte => 0,
        AccessSize::Word => bytes & !1,
        AccessSize::Dword => bytes & !3,
    }
}

/// The bytes of an access that begins at a bus master register; an error if it goes beyond them.
fn bus_master_offsets(offset: u16, size: AccessSize) -> Option<Result<Range<u16>, IoError>> {
    let end = (BUS_MASTER..END).contains(&offset).then(|| offset + u16::from(size.bytes()))?;
    Some(if end <= END { Ok(offset..end) } else { Err(IoError::WrongSize) })
}

/// Where an access goes.
enum Target<'a> {
    Data(&'a mut Channel),
    Register(&'a mut Channel, u8),
    Control(&'a mut Channel),
}

impl Ide {
    /// The channel and register of one byte of bus master IDE.
    fn bus_master(&mut self, offset: u16) -> (&mut Channel, u8) {
        const COUNT: u16 = bus_master::register::COUNT as u16;
        let offset = offset - BUS_MASTER;
        (&mut self.channels[usize::from(offset / COUNT)], (offset % COUNT) as u8)
    }

    fn decode(&mut self, offset: u16, size: AccessSize, now: GuestTime) -> Result<Target<'_>, IoError> {
        let channel =
            self.channels.get_mut(usize::from(offset / CHANNEL_STRIDE)).ok_or(IoError::NoSuchRegister)?;
        channel.advance(now);
        let target = match offset % CHANNEL_STRIDE {
            0 => return Ok(Target::Data(channel)),
            register @ 1..=7 => Target::Register(channel, register as u8),
            CONTROL => Target::Control(channel),
            _ => return Err(IoError::NoSuchRegister),
        };
        if size == AccessSize::Byte { Ok(target) } else { Err(IoError::WrongSize) }
    }
}

impl PortIo for Ide {
    fn read_port(&mut self, offset: u16, size: AccessSize, now: GuestTime) -> Result<u32, IoError> {
        if let Some(offsets) = bus_master_offsets(offset, size) {
            self.advance(now);
            return offsets?.rev().try_fold(0, |value, offset| {
                let (channel, register) = self.bus_master(offset);
                Ok(value << 8 | u32::from(channel.bus_master.read(register)))
            });
        }
        Ok(match self.decode(offset, size, now)? {
            Target::Data(channel) => {
                // The Data register moves a word at a time; a byte access loses the upper half, a
                // doubleword is two accesses. Where there is no data, nobody drives the cable.
                let words = if size == AccessSize::Dword { 2 } else { 1 };
                (0..words).fold(0, |value, i| {
                    let mut word = [0; 2];
                    let count = channel.read_data(&mut word, now);
                    let word = if count == 0 { u16::MAX } else { u16::from_le_bytes(word) };
                    value | u32::from(word) << (16 * i)
                }) & size.ones()
            }
            Target::Register(channel, register) => u32::from(channel.read_register(register)),
            Target::Control(channel) => u32::from(channel.read_alternate_status()),
        })
    }

    fn write_port(
        &mut self,
        offset: u16,
        size: AccessSize,
        value: u32,
        now: GuestTime,
    ) -> Result<(), IoError> {
        if let Some(offsets) = bus_master_offsets(offset, size) {
            self.advance(now);
            for (offset, byte) in offsets?.zip(value.to_le_bytes()) {
                let (channel, register) = self.bus_master(offset);
                channel.bus_master.write(register, byte);
            }
            return Ok(());
        }
        match self.decode(offset, size, now)? {
            Target::Data(channel) => {
                let bytes = (value & size.ones()).to_le_bytes();
                let words = if size == AccessSize::Dword { 2 } else { 1 };
                for word in bytes.chunks_exact(2).take(words) {
                    channel.write_data(word, now);
                }
            }
            Target::Register(channel, register) => channel.write_register(register, value as u8, now),
            Target::Control(channel) => channel.write_control(value as u8, now),
        }
        Ok(())
    }
}

impl Timed for Ide {
    fn next_event(&self) -> Option<GuestTime> {
        self.channels.iter().filter_map(Channel::next_event).min()
    }

    fn advance(&mut self, now: GuestTime) {
        for channel in &mut self.channels {
            channel.advance(now);
        }
    }
}

impl Reset for Ide {
    fn reset(&mut self) {
        for channel in &mut self.channels {
            channel.reset();
        }
    }
}
