//! INT 13h: disks by cylinder, head and sector, and by sector number; the three ways to boot a disc.
//!
//! EDD: Phoenix "Enhanced Disk Drive Specification" 3.0. El Torito: Phoenix and IBM "Bootable CD-ROM Format
//! Specification" 1.0.

use super::harness::{
    Answers, BUFFER, BUFFER_2, DATA, DISK_SECTOR, Registers, Request, bioses, boot, bootable, disk, numbered,
};
use idem86::devices::backend::MemoryMedium;
use idem86::machine::cmos::BootDevice;
use idem86::machine::config::IdeDrive;
use idem86::machine::image::detect::ImageKind;
use idem86::machine::image::{self, ImageOptions};
use std::io::{Read, Seek, SeekFrom, Write};

/// Bytes of a sector of a disc.
const CD_SECTOR: usize = 2048;

/// INT 13h by cylinder, head and sector.
fn chs(eax: u32, drive: u8, (cylinder, head, sector): (u16, u8, u8), buffer: u16) -> Request {
    let place = cylinder << 8 | cylinder >> 2 & 0xC0 | u16::from(sector);
    let edx = u32::from(head) << 8 | u32::from(drive);
    (0x13, Registers { eax, ebx: buffer.into(), ecx: place.into(), edx, ..Registers::default() })
}

/// INT 13h with DS:SI.
fn with_packet(eax: u32, drive: u8, packet: u16) -> Request {
    (0x13, Registers { eax, edx: drive.into(), esi: packet.into(), ..Registers::default() })
}

/// INT 13h with nothing but a drive number, and what installation checks have in BX.
fn plain(eax: u32, drive: u8) -> Request {
    (0x13, Registers { eax, ebx: 0x55AA, edx: drive.into(), ..Registers::default() })
}

/// Asserts that `count` sectors lie at `at` and bear the numbers from `first` on.
fn assert_numbered(answers: &mut Answers, at: u16, first: u32, count: u32) {
    let found = answers.bytes(at, count as usize * DISK_SECTOR);
    assert!(found == numbered(first, first + count), "sectors from {first} on are not at {at:#x}");
}

/// A disk address packet. EDD, "Disk address packet".
fn packet(count: u16, buffer: u16, lba: u64) -> Vec<u8> {
    let mut bytes = vec![16, 0];
    bytes.extend(count.to_le_bytes());
    bytes.extend(buffer.to_le_bytes());
    bytes.extend([0, 0]);
    bytes.extend(lba.to_le_bytes());
    bytes
}

/// How an El Torito image is booted: the media types of a boot catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Media {
    NoEmulation = 0,
    Floppy = 2,
    Disk = 4,
}

/// Where on the disc the image begins.
const IMAGE_AT: u32 = 20;

/// A disc that boots `image`. El Torito, "Booting catalog".
fn disc(media: Media, image: &[u8]) -> Option<IdeDrive> {
    const CATALOG: u32 = 19;
    /// Sectors that are loaded without emulation: all that have requests.
    const LOADED: u16 = 9;
    let mut disc = vec![0; IMAGE_AT as usize * CD_SECTOR];
    let mut put = |sector: u32, at: usize, bytes: &[u8]| {
        disc[sector as usize * CD_SECTOR + at..][..bytes.len()].copy_from_slice(bytes);
    };
    put(16, 0, b"\x01CD001\x01");
    put(17, 0, b"\x00CD001\x01EL TORITO SPECIFICATION");
    put(17, 0x47, &CATALOG.to_le_bytes());
    put(18, 0, b"\xFFCD001\x01");
    put(CATALOG, 0, &[1]);
    // The words of the entry sum up to zero.
    put(CATALOG, 28, &0u16.wrapping_sub(0xAA55 + 1).to_le_bytes());
    put(CATALOG, 30, &[0x55, 0xAA]);
    put(CATALOG, 32, &[0x88, media as u8]);
    put(CATALOG, 38, &if media == Media::NoEmulation { LOADED } else { 1 }.to_le_bytes());
    put(CATALOG, 40, &IMAGE_AT.to_le_bytes());
    disc.extend(image);
    disc.resize(disc.len().next_multiple_of(CD_SECTOR), 0);
    Some(IdeDrive::Cdrom(Some(Box::new(MemoryMedium::new(disc).write_protected()))))
}

/// The geometry of the test disk: all that a drive of this size can have.
const SECTORS: u32 = 20 * 16 * 63;

#[test]
fn disks_by_cylinder_head_and_sector() {
    for bios in bioses("disks by CHS") {
        let requests = [
            plain(0x0800, 0x80),
            plain(0x1500, 0x80),
            chs(0x0202, 0x80, (3, 5, 62), BUFFER),
            // Sectors of the second disk, which is a master of its own channel.
            chs(0x0201, 0x81, (0, 1, 1), BUFFER + 0x400),
            // What was read first is written elsewhere, read back, and verified.
            chs(0x0302, 0x80, (19, 15, 62), BUFFER),
            chs(0x0202, 0x80, (19, 15, 62), BUFFER_2),
            chs(0x0403, 0x80, (0, 0, 1), 0),
            // Behind the last head; status of the last operation; a drive that is not there.
            chs(0x0201, 0x80, (0, 16, 1), BUFFER),
            plain(0x0100, 0x80),
            chs(0x0201, 0x82, (0, 0, 1), BUFFER),
            plain(0x0D00, 0x80),
        ];
        let image = bootable(&requests, &[], SECTORS);
        let second = numbered(0, SECTORS / 2);
        let mut a = boot(&bios, BootDevice::Disk, [disk(image), None, disk(second), None]);
        assert_eq!(a.drive, 0x80);
        let parameters = a.get(0);
        assert!(!parameters.carry && parameters.ah() == 0, "{}: {parameters:x?}", bios.name);
        // At least as many cylinders as all BIOSes show: some keep one for themselves.
        assert_eq!((parameters.cx() & 0xFF, parameters.dx()), (63, 0x0F02), "{}", bios.name);
        assert!((18..=19).contains(&(parameters.cx() >> 8)), "{}", bios.name);
        let kind = a.get(1);
        assert!(!kind.carry && kind.ah() == 3, "{}", bios.name);
        let total = u32::from(kind.cx()) << 16 | u32::from(kind.dx());
        assert!((SECTORS - 16 * 63..=SECTORS).contains(&total), "{}", bios.name);
        let first = (3 * 16 + 5) * 63 + 61;
        assert_numbered(&mut a, BUFFER, first, 2);
        assert_numbered(&mut a, BUFFER + 0x400, 63, 1);
        assert_numbered(&mut a, BUFFER_2, first, 2);
        for n in 2..=6 {
            let answer = a.get(n);
            assert!(!answer.carry && answer.ah() == 0, "{}, request {n}: {answer:x?}", bios.name);
        }
        assert_eq!(a.get(2).ax(), 2, "{}: the count", bios.name);
        assert!(a.get(7).carry && a.get(7).ah() != 0, "{}: there is no head 16", bios.name);
        assert!(a.get(8).carry && a.get(8).ah() == a.get(7).ah(), "{}: {:x?}", bios.name, a.get(8));
        assert!(a.get(9).carry, "{}: there is no third disk", bios.name);
        assert!(!a.get(10).carry, "{}", bios.name);
    }
}

#[test]
fn disks_by_sector_number() {
    for bios in bioses("disks by sector number") {
        const BEYOND: u64 = SECTORS as u64 - 1;
        let mut data: Vec<u8> = [
            packet(2, BUFFER, 5000),
            packet(2, BUFFER, 70),
            packet(2, BUFFER_2, 70),
            // The second of these is behind the end.
            packet(2, BUFFER_2 + 0x400, BEYOND),
        ]
        .concat();
        let parameters_at = DATA + data.len() as u16;
        data.extend([0x1A, 0]);
        let at = |n: u16| DATA + 16 * n;
        let requests = [
            plain(0x4100, 0x80),
            with_packet(0x4200, 0x80, at(0)),
            with_packet(0x4300, 0x80, at(1)),
            with_packet(0x4200, 0x80, at(2)),
            with_packet(0x4400, 0x80, at(2)),
            with_packet(0x4200, 0x80, at(3)),
            with_packet(0x4800, 0x80, parameters_at),
            with_packet(0x4700, 0x80, at(0)),
            plain(0x4100, 0x81),
        ];
        let image = bootable(&requests, &data, SECTORS);
        let mut a = boot(&bios, BootDevice::Disk, [disk(image), None, None, None]);
        let present = a.get(0);
        assert!(!present.carry && present.bx() == 0xAA55, "{}: {present:x?}", bios.name);
        // Access by packets; version 2.1 or 3.0.
        assert!(present.cx() & 1 != 0 && matches!(present.ah(), 0x21 | 0x30), "{}: {present:x?}", bios.name);
        for n in [1, 2, 3, 4, 7] {
            let answer = a.get(n);
            assert!(!answer.carry && answer.ah() == 0, "{}, request {n}: {answer:x?}", bios.name);
        }
        assert_numbered(&mut a, BUFFER, 5000, 2);
        assert_numbered(&mut a, BUFFER_2, 5000, 2);
        assert!(a.get(5).carry && a.get(5).ah() != 0, "{}: behind the end", bios.name);
        assert!(!a.get(6).carry, "{}", bios.name);
        let parameters = a.bytes(parameters_at, 0x1A);
        assert_eq!(parameters[..2], [0x1A, 0], "{}", bios.name);
        assert_eq!(parameters[16..24], u64::from(SECTORS).to_le_bytes(), "{}", bios.name);
        assert_eq!(parameters[24..26], 512u16.to_le_bytes(), "{}", bios.name);
        assert!(a.get(8).carry, "{}: there is no second disk", bios.name);
    }
}

/// INT 13h sees 8 GB by cylinder, head and sector; numbers of sectors outgrow 28 bits at 128 GiB. EDD, "LBA assisted
/// translation"; ATA/ATAPI-6, "48-bit Address feature set".
#[test]
fn disks_that_are_larger_than_addresses_used_to_be() {
    const SIZE: u64 = 150 << 30;
    /// The last sector that 28 bits reach.
    const LAST_OF_28: u64 = (1 << 28) - 1;
    for bios in bioses("large disks") {
        let mut data =
            [packet(2, BUFFER, 50), packet(2, BUFFER, LAST_OF_28), packet(2, BUFFER_2, LAST_OF_28)].concat();
        let parameters_at = DATA + data.len() as u16;
        data.extend([0x1A, 0]);
        let requests = [
            plain(0x0800, 0x80),
            with_packet(0x4800, 0x80, parameters_at),
            with_packet(0x4200, 0x80, DATA),
            with_packet(0x4300, 0x80, DATA + 16),
            with_packet(0x4200, 0x80, DATA + 32),
            // The first head of cylinder 1 in the geometry of AH=08h.
            chs(0x0301, 0x80, (1, 0, 1), BUFFER),
        ];
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(&bootable(&requests, &data, 100)).expect("room for the beginning");
        if let Err(error) = file.as_file().set_len(SIZE) {
            println!("large disks: skipped, no sparse file of {SIZE} bytes: {error}");
            return;
        }
        let medium = image::open(&ImageOptions::new(file.path()), ImageKind::Disk).expect("a disk");
        let drives = [Some(IdeDrive::Disk(medium)), None, None, None];
        let mut a = boot(&bios, BootDevice::Disk, drives);
        for n in 0..6 {
            assert!(!a.get(n).carry, "{}, request {n}: {:x?}", bios.name, a.get(n));
        }
        // 1024 cylinders, 255 heads, 63 sectors; some BIOSes keep the last cylinder for themselves.
        let geometry = (a.get(0).cx(), a.get(0).dx() >> 8);
        assert!(matches!(geometry, (0xFFFF | 0xFEFF, 254)), "{}: {geometry:x?}", bios.name);
        assert_eq!(a.bytes(parameters_at + 16, 8), (SIZE / 512).to_le_bytes(), "{}", bios.name);
        assert_numbered(&mut a, BUFFER_2, 50, 2);
        drop(a);
        for (sector, expected) in [(LAST_OF_28, 50..52), (255 * 63, 50..51)] {
            file.seek(SeekFrom::Start(sector * 512)).expect("inside the file");
            let mut found = vec![0; expected.len() * DISK_SECTOR];
            file.read_exact(&mut found).expect("inside the file");
            assert!(found == numbered(expected.start, expected.end), "{}: sector {sector}", bios.name);
        }
    }
}

#[test]
fn discs_without_emulation() {
    for bios in bioses("discs without emulation") {
        let mut data = packet(1, BUFFER, u64::from(IMAGE_AT) + 3);
        let parameters_at = DATA + data.len() as u16;
        data.extend([0x1A, 0]);
        // INT 13h is asked with the number that the disc was booted with: E0h is what both BIOSes give.
        let requests = [
            with_packet(0x4200, 0xE0, DATA),
            with_packet(0x4B01, 0xE0, BUFFER_2),
            with_packet(0x4800, 0xE0, parameters_at),
            plain(0x4100, 0xE0),
            with_packet(0x4300, 0xE0, DATA),
            // The disk beside it keeps its number.
            chs(0x0201, 0x80, (0, 1, 1), BUFFER + 0x800),
        ];
        let image = bootable(&requests, &data, 40);
        let drives = [disk(numbered(0, SECTORS)), None, disc(Media::NoEmulation, &image), None];
        let mut a = boot(&bios, BootDevice::Cdrom, drives);
        assert_eq!(a.drive, 0xE0, "{}", bios.name);
        for n in [0, 1, 2, 3, 5] {
            assert!(!a.get(n).carry, "{}, request {n}: {:x?}", bios.name, a.get(n));
        }
        assert_numbered(&mut a, BUFFER, 12, 4);
        assert_numbered(&mut a, BUFFER + 0x800, 63, 1);
        let specification = a.bytes(BUFFER_2, 0x13);
        assert_eq!(specification[..3], [0x13, 0, 0xE0], "{}", bios.name);
        assert_eq!(specification[4..8], IMAGE_AT.to_le_bytes(), "{}", bios.name);
        assert_eq!(a.bytes(parameters_at + 24, 2), 2048u16.to_le_bytes(), "{}", bios.name);
        assert!(a.get(4).carry, "{}: a CD cannot be written", bios.name);
    }
}

#[test]
fn discs_that_stand_for_a_floppy() {
    for bios in bioses("discs as floppies") {
        let requests = [
            // Over the end of a track.
            chs(0x0202, 0x00, (79, 1, 17), BUFFER),
            plain(0x0800, 0x00),
            chs(0x0301, 0x00, (0, 0, 2), BUFFER),
            with_packet(0x4B01, 0x00, BUFFER_2),
            chs(0x0201, 0x80, (0, 1, 1), BUFFER + 0x800),
            chs(0x0201, 0x00, (0, 0, 19), BUFFER),
        ];
        let image = bootable(&requests, &[], 2880);
        let drives = [disk(numbered(0, SECTORS)), None, disc(Media::Floppy, &image), None];
        let mut a = boot(&bios, BootDevice::Cdrom, drives);
        assert_eq!(a.drive, 0x00, "{}", bios.name);
        for n in [0, 1, 3, 4] {
            assert!(!a.get(n).carry, "{}, request {n}: {:x?}", bios.name, a.get(n));
        }
        assert_numbered(&mut a, BUFFER, (79 * 2 + 1) * 18 + 16, 2);
        assert_numbered(&mut a, BUFFER + 0x800, 63, 1);
        // 80 cylinders, 2 heads, 18 sectors.
        let parameters = a.get(1);
        assert_eq!((parameters.cx(), parameters.dx() >> 8), (0x4F12, 1), "{}", bios.name);
        assert_eq!(a.get(2).ah(), 0x03, "{}: a CD is write-protected", bios.name);
        assert!(a.get(2).carry && a.get(5).carry, "{}", bios.name);
        assert_eq!(a.bytes(BUFFER_2, 3), [0x13, Media::Floppy as u8, 0], "{}", bios.name);
    }
}

#[test]
fn discs_that_stand_for_a_disk() {
    for bios in bioses("discs as disks") {
        let requests = [
            plain(0x0800, 0x80),
            chs(0x0202, 0x80, (1, 15, 62), BUFFER),
            // The disk has become the second.
            chs(0x0202, 0x81, (0, 2, 1), BUFFER_2),
            chs(0x0301, 0x80, (0, 0, 2), BUFFER),
            with_packet(0x4B01, 0x80, BUFFER + 0x800),
        ];
        let image = bootable(&requests, &[], 2 * 16 * 63);
        let drives = [disk(numbered(0, SECTORS)), None, disc(Media::Disk, &image), None];
        let mut a = boot(&bios, BootDevice::Cdrom, drives);
        assert_eq!(a.drive, 0x80, "{}", bios.name);
        for n in [0, 1, 2, 4] {
            assert!(!a.get(n).carry, "{}, request {n}: {:x?}", bios.name, a.get(n));
        }
        let parameters = a.get(0);
        assert_eq!((parameters.cx() & 0xFF, parameters.dx() >> 8), (63, 15), "{}", bios.name);
        // SeaBIOS counts the image twice.
        assert!(matches!((parameters.dx() & 0xFF, bios.name), (2, _) | (3, "SeaBIOS")), "{parameters:x?}");
        assert_numbered(&mut a, BUFFER, 31 * 63 + 61, 2);
        assert_numbered(&mut a, BUFFER_2, 2 * 63, 2);
        assert!(a.get(3).carry && a.get(3).ah() == 0x03, "{}: {:x?}", bios.name, a.get(3));
    }
}
