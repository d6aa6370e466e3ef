//! What the setup program of a PC leaves in CMOS memory: sizes, drives, boot order.

use idem86_devices::floppy::DriveType;
use idem86_devices::rtc::Rtc;

/// Addresses in CMOS memory. IBM PC/AT Technical Reference, "CMOS RAM Information"; what lies from 34h on is that
/// of the Bochs and SeaBIOS firmware.
mod address {
    pub const FLOPPY_TYPES: u8 = 0x10;
    pub const DISK_TYPES: u8 = 0x12;
    pub const EQUIPMENT: u8 = 0x14;
    pub const BASE_MEMORY: u8 = 0x15;
    pub const EXTENDED_MEMORY: u8 = 0x17;
    pub const EXTENDED_MEMORY_COPY: u8 = 0x30;
    /// Memory above 16 MiB in units of 64 KiB.
    pub const HIGH_MEMORY: u8 = 0x34;
    /// Third boot device in the high half; bit 0 turns the check of floppy signatures off.
    pub const BOOT_THIRD: u8 = 0x38;
    /// How cylinders are translated, two bits for each place of an IDE drive.
    pub const TRANSLATION: u8 = 0x39;
    /// First boot device in the low half, second in the high.
    pub const BOOT_FIRST_SECOND: u8 = 0x3D;
}

/// A device to boot from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootDevice {
    /// The first floppy drive.
    Floppy,
    /// The first hard disk.
    Disk,
    /// The first CD-ROM drive.
    Cdrom,
}

/// What the board is made of, as far as CMOS memory says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// RAM in bytes.
    pub memory: u64,
    /// Drives A and B.
    pub floppies: [Option<DriveType>; 2],
    /// Sectors of the disks: primary master and slave, secondary master and slave.
    pub disks: [Option<u64>; 4],
    /// Up to three devices, in the order in which they are tried.
    pub boot: Vec<BootDevice>,
}

/// How a BIOS is to see a disk: as it is, or by more heads than it has, because INT 13h counts 1024 cylinders only.
fn translation(sectors: Option<u64>) -> u8 {
    const NONE: u8 = 0;
    const LBA_ASSISTED: u8 = 1;
    const MOST: u64 = 1024 * 16 * 63;
    if sectors.is_some_and(|sectors| sectors > MOST) { LBA_ASSISTED } else { NONE }
}

/// Writes `setup` to CMOS memory.
pub fn write(rtc: &mut Rtc, setup: &Setup) {
    let mut word = |at: u8, value: u64| {
        let value = u16::try_from(value).unwrap_or(u16::MAX).to_le_bytes();
        rtc.set_memory(at, value[0]);
        rtc.set_memory(at + 1, value[1]);
    };
    let extended_kib = setup.memory.saturating_sub(1 << 20) >> 10;
    word(address::BASE_MEMORY, 640);
    word(address::EXTENDED_MEMORY, extended_kib);
    word(address::EXTENDED_MEMORY_COPY, extended_kib);
    word(address::HIGH_MEMORY, setup.memory.saturating_sub(16 << 20) >> 16);
    let [a, b] = setup.floppies.map(|drive| drive.map_or(0, DriveType::cmos_type));
    rtc.set_memory(address::FLOPPY_TYPES, a << 4 | b);
    // Type 15 refers to the extended types, which the BIOS finds out from the disks themselves.
    let disk = |n: usize| if setup.disks[n].is_some() { 0xF } else { 0 };
    rtc.set_memory(address::DISK_TYPES, disk(0) << 4 | disk(1));
    let translations = (0..).zip(setup.disks).map(|(place, sectors)| translation(sectors) << (2 * place));
    rtc.set_memory(address::TRANSLATION, translations.fold(0, |all, bits| all | bits));
    let count = [a, b].iter().filter(|t| **t != 0).count() as u8;
    let floppies = if count == 0 { 0 } else { (count - 1) << 6 | 1 };
    // A coprocessor, a PS/2 mouse; the display has a BIOS of its own.
    rtc.set_memory(address::EQUIPMENT, floppies | 0x06);
    let code = |n: usize| match setup.boot.get(n) {
        None => 0,
        Some(BootDevice::Floppy) => 1,
        Some(BootDevice::Disk) => 2,
        Some(BootDevice::Cdrom) => 3,
    };
    rtc.set_memory(address::BOOT_FIRST_SECOND, code(1) << 4 | code(0));
    // Floppies without the signature boot as well, as they do on every PC.
    rtc.set_memory(address::BOOT_THIRD, code(2) << 4 | 1);
    rtc.update_checksum();
}
