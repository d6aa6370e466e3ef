//! Booting from CDs, and the drive that a booted CD may stand for. Phoenix and IBM "El Torito" Bootable CD-ROM Format
//! Specification 1.0.

use super::chs::Sectors;
use super::drives::{self, Drive, Geometry, Kind};
use super::{FIRST_CDROM, FIRST_DISK, ata, cdrom, status};
use crate::bios::bda::ebda;
use crate::bios::call::Call;
use crate::platform::Platform;

/// The sector of the boot record volume descriptor.
const BOOT_RECORD: u32 = 17;
/// The segment that an entry without one is loaded to.
const DEFAULT_SEGMENT: u16 = 0x07C0;
/// Sectors of a disk in one of a CD.
const SECTORS_IN_CD_SECTOR: u64 = (cdrom::SECTOR / ata::SECTOR) as u64;

/// The media types of a boot catalog's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Media {
    NoEmulation = 0,
    M1_2 = 1,
    M1_44 = 2,
    M2_88 = 3,
    Disk = 4,
}

impl Media {
    fn of(number: u8) -> Option<Media> {
        use Media::*;
        [NoEmulation, M1_2, M1_44, M2_88, Disk].into_iter().find(|media| *media as u8 == number & 0xF)
    }

    fn floppy_geometry(self) -> Option<Geometry> {
        let sectors = match self {
            Media::M1_2 => 15,
            Media::M1_44 => 18,
            Media::M2_88 => 36,
            Media::NoEmulation | Media::Disk => return None,
        };
        Some(Geometry { cylinders: 80, heads: 2, sectors })
    }
}

/// Why a CD cannot be booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::bios) enum NotBootable {
    #[error("no disc")]
    NoDisc,
    #[error("the disc cannot be read")]
    Unreadable,
    #[error("not a bootable disc")]
    NoBootRecord,
    #[error("the boot catalog is damaged")]
    BadCatalog,
    #[error("the boot image has an unknown format")]
    UnknownMedia,
    #[error("the boot image does not fit into memory")]
    TooLarge,
}

/// The specification packet of INT 13h AX=4B01h, which also is what we remember: "Specification Packet".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Specification {
    media: Media,
    number: u8,
    /// Which of the CD-ROM drives.
    drive: u8,
    image: u32,
    segment: u16,
    count: u16,
    geometry: Geometry,
}

const LENGTH: usize = 0x13;

impl Specification {
    fn to_bytes(self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[0] = LENGTH as u8;
        bytes[1] = self.media as u8;
        bytes[2] = self.number;
        bytes[3] = self.drive;
        bytes[4..8].copy_from_slice(&self.image.to_le_bytes());
        bytes[0xC..0xE].copy_from_slice(&self.segment.to_le_bytes());
        bytes[0xE..0x10].copy_from_slice(&self.count.to_le_bytes());
        let cylinder = self.geometry.cylinders.saturating_sub(1);
        bytes[0x10] = cylinder as u8;
        bytes[0x11] = self.geometry.sectors & 0x3F | (cylinder >> 8) as u8 & 3;
        bytes[0x12] = self.geometry.heads.saturating_sub(1);
        bytes
    }

    fn from_bytes(bytes: &[u8], geometry: &[u8]) -> Option<Specification> {
        let word = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        if usize::from(*bytes.first()?) != LENGTH {
            return None;
        }
        Some(Specification {
            media: Media::of(bytes[1])?,
            number: bytes[2],
            drive: bytes[3],
            image: u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?),
            segment: word(0xC)?,
            count: word(0xE)?,
            geometry: Geometry {
                cylinders: u16::from_le_bytes(geometry.get(..2)?.try_into().ok()?),
                heads: *geometry.get(2)?,
                sectors: *geometry.get(3)?,
            },
        })
    }
}

/// Behind the packet: the geometry, in full.
const STORED: usize = LENGTH + 4;

fn stored(io: &mut dyn Platform) -> Option<Specification> {
    let at = ebda::EL_TORITO.address(io);
    let bytes = io.bytes(at, STORED);
    Specification::from_bytes(&bytes[..LENGTH], &bytes[LENGTH..])
}

fn store(io: &mut dyn Platform, specification: Option<Specification>) {
    let at = ebda::EL_TORITO.address(io);
    let mut bytes = [0; STORED];
    if let Some(specification) = specification {
        bytes[..LENGTH].copy_from_slice(&specification.to_bytes());
        let geometry = specification.geometry;
        bytes[LENGTH..LENGTH + 2].copy_from_slice(&geometry.cylinders.to_le_bytes());
        bytes[LENGTH + 2] = geometry.heads;
        bytes[LENGTH + 3] = geometry.sectors;
    }
    io.write(at, &bytes);
}

/// A drive that stands for an image on a CD.
#[derive(Clone, Copy, Debug)]
pub(in crate::bios) struct Emulation {
    /// The number that programs use.
    pub number: u8,
    pub(super) geometry: Geometry,
    media: Media,
    cdrom: Drive,
    image: u32,
}

impl Emulation {
    /// What INT 13h AH=08h calls such a floppy drive.
    pub(super) fn floppy_type(&self) -> u8 {
        match self.media {
            Media::M1_2 => 2,
            Media::M2_88 => 5,
            _ => 4,
        }
    }
}

/// The emulated drive, if there is one.
pub(in crate::bios) fn emulation(io: &mut dyn Platform) -> Option<Emulation> {
    let stored = stored(io).filter(|stored| stored.media != Media::NoEmulation)?;
    let cdrom = drives::nth(io, Kind::Cdrom, stored.drive)?;
    Some(Emulation {
        number: stored.number,
        geometry: stored.geometry,
        media: stored.media,
        cdrom,
        image: stored.image,
    })
}

impl Sectors for Emulation {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read(&self, io: &mut dyn Platform, lba: u64, buffer: &mut [u8]) -> Result<(), u8> {
        let skip = (lba % SECTORS_IN_CD_SECTOR) as usize * ata::SECTOR;
        let first = u64::from(self.image) + lba / SECTORS_IN_CD_SECTOR;
        let first = u32::try_from(first).map_err(|_| status::SECTOR_NOT_FOUND)?;
        let mut whole = vec![0; (skip + buffer.len()).next_multiple_of(cdrom::SECTOR)];
        cdrom::read(io, &self.cdrom, first, &mut whole)?;
        buffer.copy_from_slice(&whole[skip..skip + buffer.len()]);
        Ok(())
    }

    fn write(&self, _: &mut dyn Platform, _: u64, _: &[u8]) -> Result<(), u8> {
        Err(status::WRITE_PROTECTED)
    }

    fn verify(&self, io: &mut dyn Platform, lba: u64, count: u32) -> Result<(), u8> {
        self.read(io, lba, &mut vec![0; count as usize * ata::SECTOR])
    }
}

/// INT 13h AH=4Bh: what the CD was booted as. Gives whether the call was this one.
pub(super) fn service(call: &mut Call) -> bool {
    let (function, number) = (call.regs.ax(), call.regs.dl());
    if !matches!(function, 0x4B00 | 0x4B01) {
        return false;
    }
    let stored = stored(call.io);
    // 7Fh ends any emulation.
    let concerned = stored.filter(|s| s.number == number || number == 0x7F);
    if let Some(specification) = concerned {
        let to = call.ds_at(call.regs.si());
        call.io.write(to, &specification.to_bytes());
        if function == 0x4B00 {
            store(call.io, None);
        }
    }
    super::finish(call, concerned.map(|_| super::Done::Ok).ok_or(status::BAD_COMMAND));
    true
}

/// A CD was never booted.
pub(in crate::bios) fn forget(io: &mut dyn Platform) {
    store(io, None);
}

/// What is to be started: loaded at its place, with this drive number in DL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bios) struct Boot {
    pub segment: u16,
    pub number: u8,
}

/// Loads the boot image of the first CD-ROM drive that has one.
pub(in crate::bios) fn boot(io: &mut dyn Platform) -> Result<Boot, NotBootable> {
    let cdroms: Vec<Drive> = drives::all(io).into_iter().filter(|d| d.kind == Kind::Cdrom).collect();
    let mut why = NotBootable::NoDisc;
    for (index, drive) in (0..).zip(cdroms) {
        match boot_from(io, &drive, index) {
            Ok(boot) => return Ok(boot),
            Err(NotBootable::NoDisc) => {}
            Err(reason) => why = reason,
        }
    }
    Err(why)
}

fn boot_from(io: &mut dyn Platform, drive: &Drive, index: u8) -> Result<Boot, NotBootable> {
    if !cdrom::is_ready(io, drive) {
        return Err(NotBootable::NoDisc);
    }
    let mut sector = vec![0; cdrom::SECTOR];
    let read = |io: &mut dyn Platform, lba: u32, buffer: &mut [u8]| {
        cdrom::read(io, drive, lba, buffer).map_err(|_| NotBootable::Unreadable)
    };
    read(io, BOOT_RECORD, &mut sector)?;
    let catalog = catalog_of(&sector).ok_or(NotBootable::NoBootRecord)?;
    read(io, catalog, &mut sector)?;
    let entry = initial_entry(&sector).ok_or(NotBootable::BadCatalog)?;
    let media = Media::of(entry.media).ok_or(NotBootable::UnknownMedia)?;
    let segment = if entry.segment == 0 { DEFAULT_SEGMENT } else { entry.segment };
    let start = u32::from(segment) << 4;
    // Emulated drives have their first sector loaded.
    let count = if media == Media::NoEmulation { entry.count.max(1) } else { 1 };
    let length = usize::from(count) * ata::SECTOR;
    if start < 0x600 || start as usize + length > crate::bios::memory_map::CONVENTIONAL_END as usize {
        return Err(NotBootable::TooLarge);
    }
    let mut image = vec![0; length.next_multiple_of(cdrom::SECTOR)];
    read(io, entry.image, &mut image)?;
    io.write(start, &image[..length]);
    let number = match media {
        Media::NoEmulation => FIRST_CDROM + index,
        Media::Disk => FIRST_DISK,
        _ => 0,
    };
    let geometry = media.floppy_geometry().unwrap_or_else(|| disk_geometry(&image));
    store(
        io,
        Some(Specification { media, number, drive: index, image: entry.image, segment, count, geometry }),
    );
    Ok(Boot { segment, number })
}

/// The sector of the boot catalog, if the descriptor is a boot record of El Torito.
fn catalog_of(descriptor: &[u8]) -> Option<u32> {
    let is_boot_record = descriptor.first() == Some(&0) && descriptor.get(1..6) == Some(b"CD001");
    let is_el_torito = descriptor.get(7..30) == Some(b"EL TORITO SPECIFICATION");
    let pointer = descriptor.get(0x47..0x4B)?.try_into().ok()?;
    (is_boot_record && is_el_torito).then(|| u32::from_le_bytes(pointer))
}

/// The initial entry of a boot catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct InitialEntry {
    media: u8,
    segment: u16,
    /// Sectors of 512 bytes to load.
    count: u16,
    image: u32,
}

/// Checks the validation entry and gives the initial one.
fn initial_entry(catalog: &[u8]) -> Option<InitialEntry> {
    const BOOTABLE: u8 = 0x88;
    let validation = catalog.get(..32)?;
    let sum = validation
        .chunks_exact(2)
        .fold(0u16, |sum, pair| sum.wrapping_add(u16::from_le_bytes([pair[0], pair[1]])));
    if validation[0] != 1 || validation[30..] != [0x55, 0xAA] || sum != 0 {
        return None;
    }
    let entry = catalog.get(32..64)?;
    let word = |at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
    (entry[0] == BOOTABLE).then(|| InitialEntry {
        media: entry[1],
        segment: word(2),
        count: word(6),
        image: u32::from(word(8)) | u32::from(word(10)) << 16,
    })
}

/// The geometry of a disk image, from where its first partition ends: "Hard disk emulation".
fn disk_geometry(image: &[u8]) -> Geometry {
    match image.get(0x1BE..0x1CE) {
        Some([.., head, sector, cylinder, _, _, _, _, _, _, _, _]) if *sector & 0x3F != 0 => Geometry {
            cylinders: (u16::from(*cylinder) | u16::from(*sector & 0xC0) << 2) + 1,
            heads: head.saturating_add(1),
            sectors: *sector & 0x3F,
        },
        _ => Geometry { cylinders: 1024, heads: 255, sectors: 63 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Vec<u8> {
        let mut catalog = vec![0; 64];
        catalog[0] = 1;
        catalog[30..32].copy_from_slice(&[0x55, 0xAA]);
        // The words sum up to zero.
        catalog[28..30].copy_from_slice(&0u16.wrapping_sub(0xAA55 + 1).to_le_bytes());
        catalog[32] = 0x88;
        catalog[38] = 4;
        catalog[40..44].copy_from_slice(&0x1234u32.to_le_bytes());
        catalog
    }

    #[test]
    fn catalogs_are_checked() {
        let good = catalog();
        let entry = InitialEntry { media: 0, segment: 0, count: 4, image: 0x1234 };
        assert_eq!(initial_entry(&good), Some(entry));
        for (place, value) in [(0, 2), (30, 0), (5, 1), (32, 0)] {
            let mut bad = good.clone();
            bad[place] = value;
            assert_eq!(initial_entry(&bad), None, "byte {place}");
        }
        assert_eq!(initial_entry(&good[..50]), None);
    }

    #[test]
    fn geometry_of_a_disk_image() {
        let mut image = vec![0; 512];
        image[0x1BE..0x1CE].copy_from_slice(&[0x80, 1, 1, 0, 6, 15, 0x51, 0x02, 0, 0, 0, 0, 0, 0, 0, 0]);
        let expected = Geometry { cylinders: 0x103, heads: 16, sectors: 17 };
        assert_eq!(disk_geometry(&image), expected);
        assert_eq!(disk_geometry(&[0; 512]).sectors, 63);
    }

    #[test]
    fn the_packet_holds_what_is_remembered() {
        let specification = Specification {
            media: Media::M1_44,
            number: 0,
            drive: 1,
            image: 77,
            segment: 0x7C0,
            count: 1,
            geometry: Geometry { cylinders: 80, heads: 2, sectors: 18 },
        };
        let bytes = specification.to_bytes();
        assert_eq!(bytes[0x10..], [79, 18, 1]);
        let geometry = [80, 0, 2, 18];
        assert_eq!(Specification::from_bytes(&bytes, &geometry), Some(specification));
        assert_eq!(Specification::from_bytes(&[0; LENGTH], &geometry), None);
    }
}
