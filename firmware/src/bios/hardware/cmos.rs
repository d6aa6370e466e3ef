//! CMOS memory and the registers of the real-time clock. IBM PC/AT Technical Reference, "Real-Time Clock/CMOS RAM
//! Information".

use crate::platform::Platform;

/// Addresses. What is behind 32h is a convention of the Bochs and SeaBIOS firmware, which the machine follows.
pub(crate) mod address {
    pub const SECONDS: u8 = 0x00;
    pub const SECONDS_ALARM: u8 = 0x01;
    pub const MINUTES: u8 = 0x02;
    pub const MINUTES_ALARM: u8 = 0x03;
    pub const HOURS: u8 = 0x04;
    pub const HOURS_ALARM: u8 = 0x05;
    pub const DAY: u8 = 0x07;
    pub const MONTH: u8 = 0x08;
    pub const YEAR: u8 = 0x09;
    pub const STATUS_A: u8 = 0x0A;
    pub const STATUS_B: u8 = 0x0B;
    pub const STATUS_C: u8 = 0x0C;
    /// Why the processor was reset.
    pub const SHUTDOWN: u8 = 0x0F;
    /// Types of drives A (high half) and B.
    pub const FLOPPY_TYPES: u8 = 0x10;
    pub const EXTENDED_MEMORY: u8 = 0x30;
    pub const CENTURY: u8 = 0x32;
    /// Memory above 16 MiB in units of 64 KiB.
    pub const HIGH_MEMORY: u8 = 0x34;
    /// Third boot device in the high half; bit 0: floppies need no signature.
    pub const BOOT_THIRD: u8 = 0x38;
    /// First boot device in the low half, second in the high.
    pub const BOOT_FIRST_SECOND: u8 = 0x3D;
}

/// Status register A: an update is about to begin, or in progress.
pub(crate) const UPDATE_IN_PROGRESS: u8 = 0x80;
/// Status register B.
pub(crate) const SET: u8 = 0x80;
/// Status registers B (enable) and C (pending).
pub(crate) const PERIODIC: u8 = 0x40;
pub(crate) const ALARM: u8 = 0x20;

pub(crate) fn read(io: &mut dyn Platform, address: u8) -> u8 {
    io.out8(0x70, address);
    io.in8(0x71)
}

pub(crate) fn read_word(io: &mut dyn Platform, address: u8) -> u16 {
    u16::from_le_bytes([read(io, address), read(io, address + 1)])
}

pub(crate) fn write(io: &mut dyn Platform, address: u8, value: u8) {
    io.out8(0x70, address);
    io.out8(0x71, value);
}

/// Bytes of memory.
pub(crate) fn memory_size(io: &mut dyn Platform) -> u32 {
    let high = u32::from(read_word(io, address::HIGH_MEMORY));
    if high != 0 {
        // At most 16 MiB and 65535 times 64 KiB: four bytes hold it up to the 3 GiB that a board can have.
        return (16u32 << 20).saturating_add(high.saturating_mul(64 << 10));
    }
    (1 << 20) + (u32::from(read_word(io, address::EXTENDED_MEMORY)) << 10)
}

/// Type of floppy drive `drive` (0 or 1), 0 if there is none.
pub(crate) fn floppy_type(io: &mut dyn Platform, drive: u8) -> u8 {
    let types = read(io, address::FLOPPY_TYPES);
    match drive {
        0 => types >> 4,
        1 => types & 0xF,
        _ => 0,
    }
}
