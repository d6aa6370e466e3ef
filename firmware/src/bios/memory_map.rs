//! What memory there is: sizes for the old services, and the map of INT 15h AX=E820h.
//!
//! ACPI Specification, "INT 15H, E820H - Query System Address Map".

use super::bda::ebda;
use super::hardware::cmos;
use crate::platform::Platform;

/// First address above what real-mode programs see.
pub(crate) const MEGABYTE: u32 = 1 << 20;
/// Conventional memory ends where the extended BIOS data area begins.
pub(crate) const CONVENTIONAL_END: u32 = 0xA_0000 - ebda::SIZE;
/// Bytes at the end of RAM that hold tables.
pub(crate) const RESERVED: u32 = 0x1_0000;
/// The last of them, which stay ACPI's.
pub(crate) const NVS: u32 = 0x1000;
/// With less RAM, none of it is set aside for tables.
const LEAST_FOR_TABLES: u32 = 2 << 20;

/// What a range of addresses is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    Memory = 1,
    Reserved = 2,
    /// Tables, free for use once they were read.
    AcpiTables = 3,
    /// What ACPI shares with the operating system.
    AcpiNvs = 4,
}

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub start: u64,
    pub length: u64,
    pub kind: Kind,
}

/// Where RAM ends, and where its part for tables begins, if there is one.
pub(crate) fn table_space(io: &mut dyn Platform) -> Option<u32> {
    let end = cmos::memory_size(io);
    (end >= LEAST_FOR_TABLES).then(|| end - RESERVED)
}

/// Where memory for programs ends.
pub(crate) fn usable_end(io: &mut dyn Platform) -> u32 {
    table_space(io).unwrap_or_else(|| cmos::memory_size(io))
}

/// The whole map, in ascending order.
pub(crate) fn map(io: &mut dyn Platform) -> Vec<Range> {
    let (end, usable) = (cmos::memory_size(io), usable_end(io));
    let range =
        |start: u32, end: u64, kind| Range { start: start.into(), length: end - u64::from(start), kind };
    let mut map = vec![
        range(0, CONVENTIONAL_END.into(), Kind::Memory),
        range(CONVENTIONAL_END, 0xA_0000, Kind::Reserved),
        range(0xF_0000, MEGABYTE.into(), Kind::Reserved),
    ];
    if usable > MEGABYTE {
        map.push(range(MEGABYTE, usable.into(), Kind::Memory));
    }
    if end > usable {
        map.push(range(usable, (end - NVS).into(), Kind::AcpiTables));
        map.push(range(end - NVS, end.into(), Kind::AcpiNvs));
    }
    // I/O APIC and local APIC, and the ROM below 4 GiB.
    map.push(range(0xFEC0_0000, 0xFEC0_1000, Kind::Reserved));
    map.push(range(0xFEE0_0000, 0xFEE0_1000, Kind::Reserved));
    map.push(range(0xFFFF_0000, 1 << 32, Kind::Reserved));
    map
}
