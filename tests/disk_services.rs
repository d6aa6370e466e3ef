//! INT 13h as programs meet it: boot sectors assembled here call it, and what they find in registers and memory is
//! compared with the specifications. SeaBIOS, where it is there, must answer the same.
//!
//! EDD: Phoenix "Enhanced Disk Drive Specification" 3.0. El Torito: Phoenix and IBM "Bootable CD-ROM Format
//! Specification" 1.0.

use idem86::devices::access::DmaMemory;
use idem86::devices::backend::MemoryMedium;
use idem86::devices::time::GuestDuration;
use idem86::machine::cmos::BootDevice;
use idem86::machine::config::{Config, Firmware, IdeDrive};
use idem86::machine::machine::{Machine, Outcome};
use std::path::Path;

/// Where boot sectors are loaded, and where in them their requests and what belongs to those begin.
const SECTOR: u16 = 0x7C00;
const REQUESTS: u16 = SECTOR + 0x60;
const REQUEST: usize = 14;
const DATA: u16 = SECTOR + 0x150;
/// The stack, on which answers pile up.
const STACK: u16 = 0x7000;
const ANSWER: u16 = 20;
/// Buffers for the requests.
const BUFFER: u16 = 0x8000;
const BUFFER_2: u16 = 0x9000;

const DISK_SECTOR: usize = 512;
const CD_SECTOR: usize = 2048;

/// Registers at INT 13h, and after it. ES is zero unless said otherwise; DS is always zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Registers {
    ax: u16,
    bx: u16,
    cx: u16,
    dx: u16,
    si: u16,
    di: u16,
    es: u16,
    /// Meaningless in a request.
    carry: bool,
}

impl Registers {
    fn ah(&self) -> u8 {
        (self.ax >> 8) as u8
    }

    /// A request by cylinder, head and sector.
    fn chs(ax: u16, drive: u8, (cylinder, head, sector): (u16, u8, u8), buffer: u16) -> Self {
        let cx = cylinder << 8 | cylinder >> 2 & 0xC0 | u16::from(sector);
        let dx = u16::from(head) << 8 | u16::from(drive);
        Registers { ax, bx: buffer, cx, dx, ..Registers::default() }
    }

    /// A request with DS:SI.
    fn with_packet(ax: u16, drive: u8, packet: u16) -> Self {
        Registers { ax, dx: drive.into(), si: packet, ..Registers::default() }
    }
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

/// A boot sector that makes `requests` one after the other and then stands still. `data` lies at [`DATA`].
fn boot_sector(requests: &[Registers], data: &[u8]) -> Vec<u8> {
    let code = program().expect("the program can be assembled");
    assert!(code.len() <= usize::from(REQUESTS - SECTOR), "the program has {} bytes", code.len());
    let mut sector = code;
    sector.resize((REQUESTS - SECTOR).into(), 0);
    for r in requests {
        sector.extend([r.ax, r.bx, r.cx, r.dx, r.si, r.di, r.es].iter().flat_map(|word| word.to_le_bytes()));
    }
    // AX=0 ends them: the reset of floppies is no request here.
    assert!(sector.len() + 2 <= usize::from(DATA - SECTOR), "too many requests");
    sector.resize((DATA - SECTOR).into(), 0);
    sector.extend(data);
    assert!(sector.len() <= 0x1BE, "too much data");
    sector.resize(0x1BE, 0);
    // One active partition of type 6 that ends with cylinder 1, head 15, sector 63.
    sector.extend([0x80, 1, 1, 0, 6, 15, 63, 1, 63, 0, 0, 0, 0xA1, 7, 0, 0]);
    sector.resize(DISK_SECTOR - 2, 0);
    sector.extend([0x55, 0xAA]);
    sector
}

fn program() -> Result<Vec<u8>, iced_x86::IcedError> {
    use iced_x86::code_asm::*;
    let mut a = CodeAssembler::new(16)?;
    let [mut next, mut end] = std::array::from_fn(|_| a.create_label());
    a.xor(ax, ax)?;
    a.mov(ds, ax)?;
    a.mov(ss, ax)?;
    a.mov(sp, u32::from(STACK))?;
    a.push(dx)?;
    a.mov(bp, u32::from(REQUESTS))?;
    a.set_label(&mut next)?;
    a.mov(ax, word_ptr(bp))?;
    a.test(ax, ax)?;
    a.je(end)?;
    a.mov(es, word_ptr(bp + 12))?;
    for (register, at) in [(bx, 2), (cx, 4), (dx, 6), (si, 8), (di, 10)] {
        a.mov(register, word_ptr(bp + at))?;
    }
    a.int(0x13)?;
    a.pushf()?;
    a.push(es)?;
    a.pusha()?;
    a.add(bp, REQUEST as u32)?;
    a.jmp(next)?;
    a.set_label(&mut end)?;
    a.cli()?;
    a.hlt()?;
    a.assemble(SECTOR.into())
}

/// `sectors` sectors, each filled with its own number; the first is `boot`.
fn numbered(boot: &[u8], sectors: u32) -> Vec<u8> {
    let mut disk: Vec<u8> =
        (0..sectors).flat_map(|n| n.to_le_bytes().repeat(DISK_SECTOR / size_of::<u32>())).collect();
    disk[..boot.len()].copy_from_slice(boot);
    disk
}

fn disk(image: Vec<u8>) -> Option<IdeDrive> {
    Some(IdeDrive::Disk(Box::new(MemoryMedium::new(image))))
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
    put(CATALOG, 38, &if media == Media::NoEmulation { 4u16 } else { 1 }.to_le_bytes());
    put(CATALOG, 40, &IMAGE_AT.to_le_bytes());
    disc.extend(image);
    disc.resize(disc.len().next_multiple_of(CD_SECTOR), 0);
    Some(IdeDrive::Cdrom(Some(Box::new(MemoryMedium::new(disc).write_protected()))))
}

/// What a boot sector has left behind.
struct Answers {
    machine: Machine,
    /// DL as the boot sector got it.
    drive: u8,
}

impl Answers {
    fn bytes(&mut self, at: u16, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.machine.memory().read(at.into(), &mut bytes);
        bytes
    }

    fn word(&mut self, at: u16) -> u16 {
        let bytes = self.bytes(at, 2);
        u16::from_le_bytes([bytes[0], bytes[1]])
    }

    /// The answer to request `n`.
    fn get(&mut self, n: u16) -> Registers {
        let at = STACK - 2 - ANSWER * (n + 1);
        // As PUSHA leaves them: DI, SI, BP, SP, BX, DX, CX, AX; then ES and FLAGS.
        let word: Vec<u16> = (0..10).map(|n| self.word(at + 2 * n)).collect();
        Registers {
            ax: word[7],
            bx: word[4],
            cx: word[6],
            dx: word[5],
            si: word[1],
            di: word[0],
            es: word[8],
            carry: word[9] & 1 != 0,
        }
    }

    /// Asserts that `count` sectors lie at `at` and bear the numbers from `first` on.
    fn assert_numbered(&mut self, at: u16, first: u32, count: u32) {
        for (place, number) in (0u16..).zip(first..first + count) {
            let sector = self.bytes(at + place * DISK_SECTOR as u16, DISK_SECTOR);
            assert!(sector == number.to_le_bytes().repeat(128), "sector {number} is not at {at:#x}");
        }
    }
}

/// Boots from `device` until the boot sector is done.
fn boot(firmware: &BiosUnderTest, device: BootDevice, ide: [Option<IdeDrive>; 4]) -> Answers {
    let mut config = Config::new(8 << 20, firmware.bios.clone());
    config.vga_bios = firmware.vga_bios.clone();
    config.ide = ide;
    config.boot = vec![device];
    let mut machine = Machine::new(config).expect("the configuration is sound");
    let outcome = machine.run_until(machine.now() + GuestDuration::from_millis(20_000));
    let screen = machine.board.vga.text_screen().map(|screen| screen.to_string()).unwrap_or_default();
    assert_eq!(outcome, Outcome::Stuck, "{}: the screen shows\n{screen}", firmware.name);
    let mut answers = Answers { machine, drive: 0 };
    answers.drive = answers.word(STACK - 2) as u8;
    answers
}

struct BiosUnderTest {
    name: &'static str,
    bios: Firmware,
    vga_bios: Option<Vec<u8>>,
}

/// Our BIOS, and SeaBIOS from the folder that `IDEM86_FIRMWARE` names, from what `tests/guests/fetch` brought, or where
/// Debian's package puts it.
fn bioses(test: &str) -> Vec<BiosUnderTest> {
    let builtin = BiosUnderTest { name: "built-in BIOS", bios: Firmware::Builtin, vga_bios: None };
    let given = std::env::var_os("IDEM86_FIRMWARE").map(Into::into);
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/guests/seabios");
    let folder =
        given.into_iter().chain([fetched, "/usr/share/seabios".into()]).find(|folder| folder.is_dir());
    let read = |name: &str| std::fs::read(folder.as_ref()?.join(name)).ok();
    let (Some(bios), Some(vga_bios)) = (read("bios-256k.bin"), read("vgabios-stdvga.bin")) else {
        println!("{test}: no SeaBIOS to compare with (Debian package seabios, or IDEM86_FIRMWARE)");
        return vec![builtin];
    };
    vec![builtin, BiosUnderTest { name: "SeaBIOS", bios: Firmware::Image(bios), vga_bios: Some(vga_bios) }]
}

/// The geometry of the test disk: all that a drive of this size can have.
const SECTORS: u32 = 20 * 16 * 63;

#[test]
fn disks_by_cylinder_head_and_sector() {
    for bios in bioses("disks by CHS") {
        let requests = [
            Registers { ax: 0x0800, dx: 0x80, ..Registers::default() },
            Registers { ax: 0x1500, dx: 0x80, ..Registers::default() },
            Registers::chs(0x0202, 0x80, (3, 5, 62), BUFFER),
            // Sectors of the second disk, which is a master of its own channel.
            Registers::chs(0x0201, 0x81, (0, 1, 1), BUFFER + 0x400),
            // What was read first is written elsewhere, read back, and verified.
            Registers::chs(0x0302, 0x80, (19, 15, 62), BUFFER),
            Registers::chs(0x0202, 0x80, (19, 15, 62), BUFFER_2),
            Registers::chs(0x0403, 0x80, (0, 0, 1), 0),
            // Behind the last head; status of the last operation; a drive that is not there.
            Registers::chs(0x0201, 0x80, (0, 16, 1), BUFFER),
            Registers { ax: 0x0100, dx: 0x80, ..Registers::default() },
            Registers::chs(0x0201, 0x82, (0, 0, 1), BUFFER),
            Registers { ax: 0x0D00, dx: 0x80, ..Registers::default() },
        ];
        let image = numbered(&boot_sector(&requests, &[]), SECTORS);
        let second = numbered(&[], SECTORS / 2);
        let mut a = boot(&bios, BootDevice::Disk, [disk(image), None, disk(second), None]);
        assert_eq!(a.drive, 0x80);
        let parameters = a.get(0);
        assert!(!parameters.carry && parameters.ah() == 0, "{}: {parameters:x?}", bios.name);
        // At least as many cylinders as all BIOSes show: some keep one for themselves.
        assert_eq!((parameters.cx & 0xFF, parameters.dx), (63, 0x0F02), "{}", bios.name);
        assert!((18..=19).contains(&(parameters.cx >> 8)), "{}", bios.name);
        let kind = a.get(1);
        assert!(!kind.carry && kind.ah() == 3, "{}", bios.name);
        let total = u32::from(kind.cx) << 16 | u32::from(kind.dx);
        assert!((SECTORS - 16 * 63..=SECTORS).contains(&total), "{}", bios.name);
        let first = (3 * 16 + 5) * 63 + 61;
        a.assert_numbered(BUFFER, first, 2);
        a.assert_numbered(BUFFER + 0x400, 63, 1);
        a.assert_numbered(BUFFER_2, first, 2);
        for n in 2..=6 {
            let answer = a.get(n);
            assert!(!answer.carry && answer.ah() == 0, "{}, request {n}: {answer:x?}", bios.name);
        }
        assert_eq!(a.get(2).ax, 2, "{}: the count", bios.name);
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
            Registers { ax: 0x4100, bx: 0x55AA, dx: 0x80, ..Registers::default() },
            Registers::with_packet(0x4200, 0x80, at(0)),
            Registers::with_packet(0x4300, 0x80, at(1)),
            Registers::with_packet(0x4200, 0x80, at(2)),
            Registers::with_packet(0x4400, 0x80, at(2)),
            Registers::with_packet(0x4200, 0x80, at(3)),
            Registers::with_packet(0x4800, 0x80, parameters_at),
            Registers::with_packet(0x4700, 0x80, at(0)),
            Registers { ax: 0x4100, bx: 0x55AA, dx: 0x81, ..Registers::default() },
        ];
        let image = numbered(&boot_sector(&requests, &data), SECTORS);
        let mut a = boot(&bios, BootDevice::Disk, [disk(image), None, None, None]);
        let present = a.get(0);
        assert!(!present.carry && present.bx == 0xAA55, "{}: {present:x?}", bios.name);
        // Access by packets; version 2.1 or 3.0.
        assert!(present.cx & 1 != 0 && matches!(present.ah(), 0x21 | 0x30), "{}: {present:x?}", bios.name);
        for n in [1, 2, 3, 4, 7] {
            let answer = a.get(n);
            assert!(!answer.carry && answer.ah() == 0, "{}, request {n}: {answer:x?}", bios.name);
        }
        a.assert_numbered(BUFFER, 5000, 2);
        a.assert_numbered(BUFFER_2, 5000, 2);
        assert!(a.get(5).carry && a.get(5).ah() != 0, "{}: behind the end", bios.name);
        assert!(!a.get(6).carry, "{}", bios.name);
        let parameters = a.bytes(parameters_at, 0x1A);
        assert_eq!(parameters[..2], [0x1A, 0], "{}", bios.name);
        assert_eq!(parameters[16..24], u64::from(SECTORS).to_le_bytes(), "{}", bios.name);
        assert_eq!(parameters[24..26], 512u16.to_le_bytes(), "{}", bios.name);
        assert!(a.get(8).carry, "{}: there is no second disk", bios.name);
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
            Registers::with_packet(0x4200, 0xE0, DATA),
            Registers::with_packet(0x4B01, 0xE0, BUFFER_2),
            Registers::with_packet(0x4800, 0xE0, parameters_at),
            Registers { ax: 0x4100, bx: 0x55AA, dx: 0xE0, ..Registers::default() },
            Registers::with_packet(0x4300, 0xE0, DATA),
            // The disk beside it keeps its number.
            Registers::chs(0x0201, 0x80, (0, 1, 1), BUFFER + 0x800),
        ];
        let image = numbered(&boot_sector(&requests, &data), 40);
        let drives = [disk(numbered(&[], SECTORS)), None, disc(Media::NoEmulation, &image), None];
        let mut a = boot(&bios, BootDevice::Cdrom, drives);
        assert_eq!(a.drive, 0xE0, "{}", bios.name);
        for n in [0, 1, 2, 3, 5] {
            assert!(!a.get(n).carry, "{}, request {n}: {:x?}", bios.name, a.get(n));
        }
        a.assert_numbered(BUFFER, 12, 4);
        a.assert_numbered(BUFFER + 0x800, 63, 1);
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
            Registers::chs(0x0202, 0x00, (79, 1, 17), BUFFER),
            Registers { ax: 0x0800, dx: 0x00, ..Registers::default() },
            Registers::chs(0x0301, 0x00, (0, 0, 2), BUFFER),
            Registers::with_packet(0x4B01, 0x00, BUFFER_2),
            Registers::chs(0x0201, 0x80, (0, 1, 1), BUFFER + 0x800),
            Registers::chs(0x0201, 0x00, (0, 0, 19), BUFFER),
        ];
        let image = numbered(&boot_sector(&requests, &[]), 2880);
        let drives = [disk(numbered(&[], SECTORS)), None, disc(Media::Floppy, &image), None];
        let mut a = boot(&bios, BootDevice::Cdrom, drives);
        assert_eq!(a.drive, 0x00, "{}", bios.name);
        for n in [0, 1, 3, 4] {
            assert!(!a.get(n).carry, "{}, request {n}: {:x?}", bios.name, a.get(n));
        }
        a.assert_numbered(BUFFER, (79 * 2 + 1) * 18 + 16, 2);
        a.assert_numbered(BUFFER + 0x800, 63, 1);
        // 80 cylinders, 2 heads, 18 sectors.
        let parameters = a.get(1);
        assert_eq!((parameters.cx, parameters.dx >> 8), (0x4F12, 1), "{}", bios.name);
        assert_eq!(a.get(2).ah(), 0x03, "{}: a CD is write-protected", bios.name);
        assert!(a.get(2).carry && a.get(5).carry, "{}", bios.name);
        assert_eq!(a.bytes(BUFFER_2, 3), [0x13, Media::Floppy as u8, 0], "{}", bios.name);
    }
}

#[test]
fn discs_that_stand_for_a_disk() {
    for bios in bioses("discs as disks") {
        let requests = [
            Registers { ax: 0x0800, dx: 0x80, ..Registers::default() },
            Registers::chs(0x0202, 0x80, (1, 15, 62), BUFFER),
            // The disk has become the second.
            Registers::chs(0x0202, 0x81, (0, 2, 1), BUFFER_2),
            Registers::chs(0x0301, 0x80, (0, 0, 2), BUFFER),
            Registers::with_packet(0x4B01, 0x80, BUFFER + 0x800),
        ];
        let image = numbered(&boot_sector(&requests, &[]), 2 * 16 * 63);
        let drives = [disk(numbered(&[], SECTORS)), None, disc(Media::Disk, &image), None];
        let mut a = boot(&bios, BootDevice::Cdrom, drives);
        assert_eq!(a.drive, 0x80, "{}", bios.name);
        for n in [0, 1, 2, 4] {
            assert!(!a.get(n).carry, "{}, request {n}: {:x?}", bios.name, a.get(n));
        }
        let parameters = a.get(0);
        assert_eq!((parameters.cx & 0xFF, parameters.dx >> 8), (63, 15), "{}", bios.name);
        // SeaBIOS counts the image twice.
        assert!(matches!((parameters.dx & 0xFF, bios.name), (2, _) | (3, "SeaBIOS")), "{parameters:x?}");
        a.assert_numbered(BUFFER, 31 * 63 + 61, 2);
        a.assert_numbered(BUFFER_2, 2 * 63, 2);
        assert!(a.get(3).carry && a.get(3).ah() == 0x03, "{}: {:x?}", bios.name, a.get(3));
    }
}
