//! The IDE drives that there are, as POST found them and the extended BIOS data area remembers them.

use super::ata;
use crate::bios::bda::{self, ebda};
use crate::platform::Platform;

/// A place for a drive: primary master and slave, secondary master and slave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bios) struct Slot(u8);

impl Slot {
    const ALL: [Slot; 4] = [Slot(0), Slot(1), Slot(2), Slot(3)];

    /// The first port of the channel's command block.
    pub fn port(self) -> u16 {
        if self.0 < 2 { 0x1F0 } else { 0x170 }
    }

    /// The port of device control.
    pub fn control_port(self) -> u16 {
        self.port() + 0x206
    }

    /// The bit of the device register that selects the drive.
    pub fn device_bit(self) -> u8 {
        (self.0 & 1) << 4
    }

    /// Whether it is on the secondary channel.
    pub fn is_secondary(self) -> bool {
        self.0 >= 2
    }

    /// Whether it is the second drive of its channel.
    pub fn is_slave(self) -> bool {
        self.0 & 1 != 0
    }
}

/// What kind of drive it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::bios) enum Kind {
    Disk = 1,
    Cdrom = 2,
}

/// Cylinders, heads, and sectors on a track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::bios) struct Geometry {
    pub cylinders: u16,
    pub heads: u8,
    pub sectors: u8,
}

impl Geometry {
    /// The sector's number from the first, if the address exists. Sectors count from 1.
    pub fn lba(self, cylinder: u16, head: u8, sector: u8) -> Option<u64> {
        let exists = cylinder < self.cylinders && head < self.heads && (1..=self.sectors).contains(&sector);
        let track = u64::from(cylinder) * u64::from(self.heads) + u64::from(head);
        exists.then(|| track * u64::from(self.sectors) + u64::from(sector) - 1)
    }

    /// The address of sector `lba` in the drive's own geometry.
    fn address(self, lba: u64) -> Option<ata::Address> {
        let (heads, sectors) = (u64::from(self.heads), u64::from(self.sectors));
        if heads == 0 || sectors == 0 {
            return None;
        }
        let track = lba / sectors;
        let cylinder = u16::try_from(track / heads).ok().filter(|c| *c < self.cylinders)?;
        Some(ata::Address::Chs(cylinder, (track % heads) as u8, (lba % sectors) as u8 + 1))
    }
}

/// A drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bios) struct Drive {
    pub kind: Kind,
    pub slot: Slot,
    /// It takes sector numbers.
    has_lba: bool,
    /// As the drive itself has it.
    pub physical: Geometry,
    /// As programs see it: at most 1024 cylinders.
    pub logical: Geometry,
    /// Sectors of a disk.
    pub sectors: u64,
}

/// Bytes of a drive in [`ebda::DRIVES`].
const RECORD: u32 = 32;

/// The geometry that programs see for a disk of `sectors`: the drive's own if INT 13h can express it, else as many
/// heads as make the cylinders fit. Enhanced Disk Drive Specification, "LBA assisted translation".
fn translated(physical: Geometry, sectors: u64) -> Geometry {
    const MOST_CYLINDERS: u64 = 1024;
    if physical.heads != 0 && u64::from(physical.cylinders) <= MOST_CYLINDERS {
        return physical;
    }
    let heads = [16u8, 32, 64, 128, 255]
        .into_iter()
        .find(|heads| sectors <= MOST_CYLINDERS * u64::from(*heads) * 63)
        .unwrap_or(255);
    let cylinders = (sectors / (u64::from(heads) * 63)).clamp(1, MOST_CYLINDERS) as u16;
    Geometry { cylinders, heads, sectors: 63 }
}

impl Drive {
    fn find(io: &mut dyn Platform, slot: Slot) -> Option<Drive> {
        let (is_packet, words) = ata::identify(io, slot)?;
        if is_packet {
            // Command packet set 5 is that of CD-ROM drives.
            let is_cdrom = words[0] >> 8 & 0x1F == 5;
            let none = Geometry::default();
            return is_cdrom.then_some(Drive {
                kind: Kind::Cdrom,
                slot,
                has_lba: true,
                physical: none,
                logical: none,
                sectors: 0,
            });
        }
        let physical =
            Geometry { cylinders: words[1], heads: words[3].min(16) as u8, sectors: words[6].min(255) as u8 };
        let has_lba = words[49] & 1 << 9 != 0;
        let double = |n: usize| u64::from(words[n]) | u64::from(words[n + 1]) << 16;
        let has_48_bits = words[83] & 0xC400 == 0x4400;
        let sectors = match (has_48_bits, has_lba) {
            (true, _) => double(100) | double(102) << 32,
            (false, true) => double(60),
            _ => u64::from(words[1]) * u64::from(words[3]) * u64::from(words[6]),
        };
        let logical = translated(physical, sectors);
        Some(Drive { kind: Kind::Disk, slot, has_lba, physical, logical, sectors })
    }

    /// How the drive is told where sector `lba` is.
    pub(super) fn address(&self, lba: u64) -> Option<ata::Address> {
        if self.has_lba { Some(ata::Address::Lba(lba)) } else { self.physical.address(lba) }
    }

    /// What the drive calls itself.
    pub fn model(&self, io: &mut dyn Platform) -> String {
        let Some((_, words)) = ata::identify(io, self.slot) else { return String::new() };
        // Two characters in a word, the first in its upper half.
        let characters = words[27..47].iter().flat_map(|word| word.to_be_bytes());
        let printable = characters.map(|c| if (0x20..0x7F).contains(&c) { char::from(c) } else { '?' });
        printable.collect::<String>().trim_end().to_owned()
    }

    fn to_record(self) -> [u8; RECORD as usize] {
        let mut record = [0; RECORD as usize];
        record[0] = self.kind as u8;
        record[1] = self.has_lba.into();
        for (at, geometry) in [(4, self.physical), (8, self.logical)] {
            record[at..at + 2].copy_from_slice(&geometry.cylinders.to_le_bytes());
            record[at + 2] = geometry.heads;
            record[at + 3] = geometry.sectors;
        }
        record[16..24].copy_from_slice(&self.sectors.to_le_bytes());
        record
    }

    fn from_record(slot: Slot, record: &[u8]) -> Option<Drive> {
        let kind = [Kind::Disk, Kind::Cdrom].into_iter().find(|kind| *kind as u8 == record[0])?;
        let geometry = |at: usize| Geometry {
            cylinders: u16::from_le_bytes([record[at], record[at + 1]]),
            heads: record[at + 2],
            sectors: record[at + 3],
        };
        let sectors = u64::from_le_bytes(record[16..24].try_into().ok()?);
        Some(Drive {
            kind,
            slot,
            has_lba: record[1] != 0,
            physical: geometry(4),
            logical: geometry(8),
            sectors,
        })
    }
}

/// Looks for drives and remembers them.
pub(in crate::bios) fn initialise(io: &mut dyn Platform) {
    let table = ebda::DRIVES.address(io);
    for slot in Slot::ALL {
        if !slot.is_slave() {
            ata::reset_channel(io, slot);
        }
        let drive = Drive::find(io, slot);
        let record = drive.map_or([0; RECORD as usize], Drive::to_record);
        io.write(table + RECORD * u32::from(slot.0), &record);
    }
}

/// All drives, in the order of their places.
pub(in crate::bios) fn all(io: &mut dyn Platform) -> Vec<Drive> {
    let at = ebda::DRIVES.address(io);
    let records = io.bytes(at, RECORD as usize * Slot::ALL.len());
    let drives = Slot::ALL.into_iter().zip(records.chunks_exact(RECORD as usize));
    drives.filter_map(|(slot, record)| Drive::from_record(slot, record)).collect()
}

/// The `n`th drive of a kind.
pub(super) fn nth(io: &mut dyn Platform, kind: Kind, n: u8) -> Option<Drive> {
    all(io).into_iter().filter(|drive| drive.kind == kind).nth(n.into())
}

/// Sets the vectors 41h and 46h to the parameter tables of the first two disks, and their number. EDD, "Fixed Disk
/// Parameter Table".
pub(in crate::bios) fn install(io: &mut dyn Platform) {
    let disks: Vec<Drive> = all(io).into_iter().filter(|drive| drive.kind == Kind::Disk).collect();
    let segment = bda::EBDA_SEGMENT.get(io);
    for (n, vector) in [(0u32, 0x41u32), (1, 0x46)] {
        let offset = ebda::DISK_PARAMETERS.offset() + 16 * n;
        io.put(vector * 4, u32::from(segment) << 16 | offset);
        if let Some(drive) = disks.get(n as usize) {
            io.write((u32::from(segment) << 4) + offset, &parameter_table(drive));
        }
    }
    let count = super::disk_count(io);
    bda::DISK_COUNT.set(io, count);
}

fn parameter_table(drive: &Drive) -> [u8; 16] {
    /// The signature of a table that holds both geometries.
    const TRANSLATED: u8 = 0xA0;
    let (physical, logical) = (drive.physical, drive.logical);
    let mut table = [0; 16];
    table[0..2].copy_from_slice(&logical.cylinders.to_le_bytes());
    table[2] = logical.heads;
    // No write precompensation; more than 8 heads.
    table[5..7].copy_from_slice(&u16::MAX.to_le_bytes());
    table[8] = if physical.heads > 8 { 0xC8 } else { 0xC0 };
    table[14] = logical.sectors;
    if physical == logical {
        table[12..14].copy_from_slice(&physical.cylinders.to_le_bytes());
        return table;
    }
    table[3] = TRANSLATED;
    table[4] = physical.sectors;
    table[9..11].copy_from_slice(&physical.cylinders.to_le_bytes());
    table[11] = physical.heads;
    table[15] = 0u8.wrapping_sub(table.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)));
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn translation_keeps_within_1024_cylinders() {
        let small = Geometry { cylinders: 615, heads: 4, sectors: 17 };
        assert_eq!(translated(small, 615 * 4 * 17), small, "a small disk keeps its own geometry");
        let own = Geometry { cylinders: 16383, heads: 16, sectors: 63 };
        // The table of the EDD specification, "LBA assisted translation".
        for (megabytes, heads) in [(504u64, 16), (1008, 32), (2016, 64), (4032, 128), (8032, 255)] {
            let sectors = megabytes << 11;
            let translated = translated(own, sectors);
            assert_eq!(translated.heads, heads, "{megabytes} MB");
            assert!(translated.cylinders <= 1024);
            let capacity = u64::from(translated.cylinders) * u64::from(heads) * 63;
            assert!(capacity <= sectors, "no sector behind the end can be addressed");
        }
        assert_eq!(translated(own, 1 << 40).cylinders, 1024);
    }

    #[test]
    fn addresses() {
        let geometry = Geometry { cylinders: 10, heads: 4, sectors: 17 };
        assert_eq!(geometry.lba(0, 0, 1), Some(0));
        assert_eq!(geometry.lba(9, 3, 17), Some(10 * 4 * 17 - 1));
        assert_eq!(geometry.lba(0, 0, 0), None, "sectors count from 1");
        assert_eq!(geometry.lba(10, 0, 1), None);
        for lba in [0, 17, 679] {
            let Some(ata::Address::Chs(c, h, s)) = geometry.address(lba) else { panic!() };
            assert_eq!(geometry.lba(c, h, s), Some(lba));
        }
        assert!(geometry.address(680).is_none());
    }

    #[test]
    fn records_come_back() {
        let drive = Drive {
            kind: Kind::Disk,
            slot: Slot(2),
            has_lba: true,
            physical: Geometry { cylinders: 1234, heads: 16, sectors: 63 },
            logical: Geometry { cylinders: 617, heads: 32, sectors: 63 },
            sectors: 1 << 33,
        };
        assert_eq!(Drive::from_record(Slot(2), &drive.to_record()), Some(drive));
        assert_eq!(Drive::from_record(Slot(0), &[0; 32]), None);
    }
}
