//! The numbers of the ATA interface: registers, bits, command codes and their meaning. ATA/ATAPI-6.

use crate::time::GuestDuration;

/// Offsets in the command block (ATA/ATAPI-6, "I/O register descriptions"). The Data register is at 0.
pub(super) mod register {
    /// Error when read, Features when written.
    pub const ERROR: u8 = 1;
    /// Sector Count; Interrupt Reason for packet commands.
    pub const COUNT: u8 = 2;
    pub const LBA_LOW: u8 = 3;
    pub const LBA_MID: u8 = 4;
    pub const LBA_HIGH: u8 = 5;
    pub const DEVICE: u8 = 6;
    /// Status when read, Command when written.
    pub const STATUS: u8 = 7;
}

/// Bits of the Status register.
pub(super) mod status {
    /// The command ended in an error; the packet feature set calls it CHK.
    pub const ERR: u8 = 0x01;
    /// Data is to be moved through the Data register or by DMA.
    pub const DRQ: u8 = 0x08;
    /// Seek complete; obsolete, but what drives have always shown.
    pub const DSC: u8 = 0x10;
    /// Device fault.
    pub const DF: u8 = 0x20;
    pub const DRDY: u8 = 0x40;
    pub const BSY: u8 = 0x80;
}

/// Bits of the Error register.
pub(super) mod error {
    pub const ABRT: u8 = 0x04;
    /// The address was not found: it lies outside the disk.
    pub const IDNF: u8 = 0x10;
    /// Uncorrectable data.
    pub const UNC: u8 = 0x40;
}

/// Bits of the Device register.
pub(super) mod device {
    /// Selects device 1.
    pub const DEV: u8 = 0x10;
    /// The address is an LBA, not cylinder, head and sector.
    pub const LBA: u8 = 0x40;
    /// Head number, or bits 27:24 of an LBA.
    pub const HEAD: u8 = 0x0F;
}

/// Bits of the Device Control register.
pub(super) mod control {
    /// The device does not drive INTRQ.
    pub const NIEN: u8 = 0x02;
    /// Software reset of both devices, for as long as it is set.
    pub const SRST: u8 = 0x04;
    /// Reads return the previous content of the 48-bit registers.
    pub const HOB: u8 = 0x80;
}

/// Error register after a reset or EXECUTE DEVICE DIAGNOSTIC: device 0 passed, and so did device 1 or it is
/// not there (ATA/ATAPI-6, "EXECUTE DEVICE DIAGNOSTIC").
pub(super) const DIAGNOSTIC_PASSED: u8 = 0x01;

/// What a cable without a driving device reads: pull-ups, and the pull-down that the standard requires of
/// hosts on DD7 so that an absent device does not look busy (ATA/ATAPI-6, "Pull-up and pull-down resistors").
pub(super) const FLOATING: u8 = 0x7F;

/// The last sector that 28-bit addresses reach, and the most sectors that they can count.
pub(super) const MAX_LBA28: u32 = 0x0FFF_FFFF;

/// Bytes in a sector of a disk.
pub(super) const SECTOR: usize = 512;
/// The most sectors in one data block of READ MULTIPLE and WRITE MULTIPLE.
pub(super) const MAX_MULTIPLE: u8 = 16;
/// Sectors that a DMA transfer moves at a time, before guest time passes again.
pub(super) const DMA_SLICE: u32 = 128;

/// Guest time that a command without data takes.
pub(super) const COMMAND_TIME: GuestDuration = GuestDuration::from_micros(10);
/// Guest time until a drive asks for the data of a write, or for a command packet.
pub(super) const READY_TIME: GuestDuration = GuestDuration::from_micros(2);
/// Guest time from a command to the medium being in position.
pub(super) const ACCESS_TIME: GuestDuration = GuestDuration::from_micros(40);
/// Guest time to move one sector of a disk between medium and buffer, in microseconds.
const SECTOR_MICROS: u64 = 4;
/// Guest time that a reset or the diagnostic takes.
pub(super) const RESET_TIME: GuestDuration = GuestDuration::from_micros(200);

/// Guest time to move `sectors` of a disk between medium and buffer.
pub(super) const fn media_time(sectors: u32) -> GuestDuration {
    GuestDuration::from_micros(SECTOR_MICROS * sectors as u64)
}

/// Guest time to read one sector of a CD, in microseconds.
const CD_SECTOR_MICROS: u64 = 10;

/// Guest time to read `sectors` of a CD.
pub(super) const fn cd_time(sectors: u32) -> GuestDuration {
    GuestDuration::from_micros(CD_SECTOR_MICROS * sectors as u64)
}

/// What a command does with sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Access {
    Read,
    Write,
    Verify,
}

/// How many sectors a command moves per interrupt, and by which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocking {
    Single,
    Multiple,
    Dma,
}

/// A disk command, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Nop,
    Sectors { access: Access, blocking: Blocking, extended: bool },
    Recalibrate,
    Seek,
    InitializeDeviceParameters,
    SetMultipleMode,
    SetFeatures,
    IdentifyDevice,
    FlushCache,
    ReadNativeMaxAddress { extended: bool },
    StandbyImmediate,
    IdleImmediate,
    Standby,
    Idle,
    CheckPowerMode,
    Sleep,
}

/// EXECUTE DEVICE DIAGNOSTIC: the one command that both devices obey, whichever is selected.
pub(super) const EXECUTE_DEVICE_DIAGNOSTIC: u8 = 0x90;

impl Command {
    /// The command with this code; `None` for one that a disk aborts. Codes that older standards gave to the
    /// same commands (without retries, power management at 94h to 99h) are understood.
    pub fn decode(code: u8) -> Option<Command> {
        use Access::{Read, Verify, Write};
        use Blocking::{Dma, Multiple, Single};
        let sectors = |access, blocking, extended| Command::Sectors { access, blocking, extended };
        Some(match code {
            0x00 => Command::Nop,
            0x10..=0x1F => Command::Recalibrate,
            0x20 | 0x21 => sectors(Read, Single, false),
            0x24 => sectors(Read, Single, true),
            0x25 => sectors(Read, Dma, true),
            0x27 => Command::ReadNativeMaxAddress { extended: true },
            0x29 => sectors(Read, Multiple, true),
            0x30 | 0x31 => sectors(Write, Single, false),
            0x34 => sectors(Write, Single, true),
            0x35 => sectors(Write, Dma, true),
            0x39 => sectors(Write, Multiple, true),
            0x40 | 0x41 => sectors(Verify, Dma, false),
            0x42 => sectors(Verify, Dma, true),
            0x70..=0x7F => Command::Seek,
            0x91 => Command::InitializeDeviceParameters,
            0x94 | 0xE0 => Command::StandbyImmediate,
            0x95 | 0xE1 => Command::IdleImmediate,
            0x96 | 0xE2 => Command::Standby,
            0x97 | 0xE3 => Command::Idle,
            0x98 | 0xE5 => Command::CheckPowerMode,
            0x99 | 0xE6 => Command::Sleep,
            0xC4 => sectors(Read, Multiple, false),
            0xC5 => sectors(Write, Multiple, false),
            0xC6 => Command::SetMultipleMode,
            0xC8 | 0xC9 => sectors(Read, Dma, false),
            0xCA | 0xCB => sectors(Write, Dma, false),
            0xE7 | 0xEA => Command::FlushCache,
            0xEC => Command::IdentifyDevice,
            0xEF => Command::SetFeatures,
            0xF8 => Command::ReadNativeMaxAddress { extended: false },
            _ => return None,
        })
    }
}
