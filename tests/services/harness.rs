//! A guest that calls services of the BIOS: a boot sector assembled here makes requests one after the other and leaves
//! what came back in memory.

use idem86::devices::access::DmaMemory;
use idem86::devices::backend::MemoryMedium;
use idem86::devices::time::GuestDuration;
use idem86::machine::cmos::BootDevice;
use idem86::machine::config::{Config, Firmware, IdeDrive};
use idem86::machine::machine::{Machine, Outcome};
use std::path::Path;

/// Where the boot sector is loaded, the sectors behind it with requests, and what belongs to those.
const SECTOR: u16 = 0x7C00;
const REQUESTS: u16 = 0x7E00;
pub const DATA: u16 = 0x8A00;
const END: u16 = 0x8E00;
/// Bytes of a request.
const REQUEST: usize = 32;
/// The stack, on which answers pile up.
const STACK: u16 = 0x7000;
/// Above the stack: where the service that is called begins, a far pointer.
const SERVICE: u32 = STACK as u32;
/// Bytes of an answer.
const ANSWER: u16 = 36;
/// Buffers for the requests.
pub const BUFFER: u16 = 0x9000;
pub const BUFFER_2: u16 = 0xA000;

/// Bytes of a sector of a disk.
pub const DISK_SECTOR: usize = 512;

/// Registers when a service is called, and after it. ES is zero unless said otherwise; DS is always zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    pub eax: u32,
    pub ebx: u32,
    pub ecx: u32,
    pub edx: u32,
    pub esi: u32,
    pub edi: u32,
    pub es: u16,
    /// Carry and zero flag: meaningless in a request.
    pub carry: bool,
    pub zero: bool,
}

impl Registers {
    pub fn ax(&self) -> u16 {
        self.eax as u16
    }

    pub fn bx(&self) -> u16 {
        self.ebx as u16
    }

    pub fn cx(&self) -> u16 {
        self.ecx as u16
    }

    pub fn dx(&self) -> u16 {
        self.edx as u16
    }

    pub fn ah(&self) -> u8 {
        (self.eax >> 8) as u8
    }
}

/// A call of an interrupt.
pub type Request = (u8, Registers);

/// A disk of `sectors` sectors, each but for the first nine filled with its own number. The first is a boot sector that
/// makes `requests` and then stands still; `data` will lie at [`DATA`].
pub fn bootable(requests: &[Request], data: &[u8], sectors: u32) -> Vec<u8> {
    let mut image = program().expect("the program can be assembled");
    assert!(image.len() <= 0x1BE, "the program has {} bytes", image.len());
    image.resize(0x1BE, 0);
    // One active partition of type 6 that ends with cylinder 1, head 15, sector 63.
    image.extend([0x80, 1, 1, 0, 6, 15, 63, 1, 63, 0, 0, 0, 0xA1, 7, 0, 0]);
    image.resize(DISK_SECTOR - 2, 0);
    image.extend([0x55, 0xAA]);
    for (interrupt, r) in requests {
        image.extend([r.eax, r.ebx, r.ecx, r.edx, r.esi, r.edi].iter().flat_map(|word| word.to_le_bytes()));
        image.extend(r.es.to_le_bytes());
        // Interrupt 0 ends them.
        image.extend([*interrupt, 0, 0, 0, 0, 0]);
    }
    let place = |address: u16| usize::from(address - SECTOR);
    assert!(image.len() + REQUEST <= place(DATA), "too many requests");
    image.resize(place(DATA), 0);
    image.extend(data);
    assert!(image.len() <= place(END), "too much data");
    image.resize(place(END), 0);
    let first = (image.len() / DISK_SECTOR) as u32;
    image.extend(numbered(first, sectors));
    image
}

/// The sectors from `first` to `end`, each filled with its own number.
pub fn numbered(first: u32, end: u32) -> Vec<u8> {
    (first..end).flat_map(|n| n.to_le_bytes().repeat(DISK_SECTOR / size_of::<u32>())).collect()
}

fn program() -> Result<Vec<u8>, iced_x86::IcedError> {
    use iced_x86::code_asm::*;
    /// The first drive number of CDs, from which everything has been loaded.
    const FIRST_CDROM: i32 = 0xE0;
    let mut a = CodeAssembler::new(16)?;
    let [mut loaded, mut next, mut end] = std::array::from_fn(|_| a.create_label());
    a.xor(ax, ax)?;
    a.mov(ds, ax)?;
    a.mov(es, ax)?;
    a.mov(ss, ax)?;
    a.mov(sp, u32::from(STACK))?;
    a.push(dx)?;
    a.cmp(dl, FIRST_CDROM)?;
    a.jae(loaded)?;
    a.mov(ax, 0x0200 | u32::from((END - REQUESTS) / DISK_SECTOR as u16))?;
    a.mov(bx, u32::from(REQUESTS))?;
    a.mov(cx, 2)?;
    a.mov(dh, 0)?;
    a.int(0x13)?;
    a.set_label(&mut loaded)?;
    a.mov(bp, u32::from(REQUESTS))?;
    a.set_label(&mut next)?;
    a.mov(al, byte_ptr(bp + 26))?;
    a.test(al, al)?;
    a.je(end)?;
    a.mov(es, word_ptr(bp + 24))?;
    // A call of what the vector points at, as INT does it.
    a.movzx(bx, al)?;
    a.shl(bx, 2)?;
    a.mov(eax, dword_ptr(bx))?;
    a.mov(dword_ptr(SERVICE), eax)?;
    for (register, at) in [(eax, 0), (ebx, 4), (ecx, 8), (edx, 12), (esi, 16), (edi, 20)] {
        a.mov(register, dword_ptr(bp + at))?;
    }
    // Some services of the display leave BP as they like.
    a.push(bp)?;
    a.pushf()?;
    a.cli()?;
    a.call(dword_ptr(SERVICE))?;
    a.pop(bp)?;
    a.pushf()?;
    a.push(es)?;
    a.pushad()?;
    a.lea(bp, word_ptr(bp + REQUEST as i32))?;
    a.jmp(next)?;
    a.set_label(&mut end)?;
    a.cli()?;
    a.hlt()?;
    a.assemble(SECTOR.into())
}

/// A disk with this content.
pub fn disk(image: Vec<u8>) -> Option<IdeDrive> {
    Some(IdeDrive::Disk(Box::new(MemoryMedium::new(image))))
}

/// What the boot sector has left behind.
pub struct Answers {
    pub machine: Machine,
    /// DL as the boot sector got it.
    pub drive: u8,
}

impl Answers {
    pub fn bytes(&mut self, at: u16, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.machine.memory().read(at.into(), &mut bytes);
        bytes
    }

    /// The answer to request `n`.
    pub fn get(&mut self, n: u16) -> Registers {
        // As PUSHAD leaves them: EDI, ESI, EBP, ESP, EBX, EDX, ECX, EAX; then ES and FLAGS.
        let bytes = self.bytes(STACK - 2 - ANSWER * (n + 1), ANSWER.into());
        let double = |n: usize| u32::from_le_bytes(bytes[4 * n..4 * n + 4].try_into().expect("four bytes"));
        let flags = double(8) >> 16;
        Registers {
            eax: double(7),
            ebx: double(4),
            ecx: double(6),
            edx: double(5),
            esi: double(1),
            edi: double(0),
            es: double(8) as u16,
            carry: flags & 1 != 0,
            zero: flags & 1 << 6 != 0,
        }
    }
}

/// Boots from `device` until the boot sector is done.
pub fn boot(firmware: &BiosUnderTest, device: BootDevice, ide: [Option<IdeDrive>; 4]) -> Answers {
    let (outcome, machine) = run(firmware, device, ide);
    let screen = machine.board.vga.text_screen().map(|screen| screen.to_string()).unwrap_or_default();
    assert_eq!(outcome, Outcome::Stuck, "{}: the screen shows\n{screen}", firmware.name);
    let mut answers = Answers { machine, drive: 0 };
    answers.drive = answers.bytes(STACK - 2, 1)[0];
    answers
}

/// Boots from `device` and gives how it ended.
pub fn run(firmware: &BiosUnderTest, device: BootDevice, ide: [Option<IdeDrive>; 4]) -> (Outcome, Machine) {
    let mut config = Config::new(8 << 20, firmware.bios.clone());
    config.vga_bios = firmware.vga_bios.clone();
    config.ide = ide;
    config.boot = vec![device];
    let mut machine = Machine::new(config).expect("the configuration is sound");
    let outcome = machine.run_to(machine.now() + GuestDuration::from_millis(20_000));
    (outcome, machine)
}

/// Boots a disk that makes `requests`.
pub fn ask(firmware: &BiosUnderTest, requests: &[Request], data: &[u8]) -> Answers {
    let image = bootable(requests, data, 20 * 16 * 63);
    boot(firmware, BootDevice::Disk, [disk(image), None, None, None])
}

/// What is asked.
pub struct BiosUnderTest {
    pub name: &'static str,
    pub bios: Firmware,
    pub vga_bios: Option<Vec<u8>>,
}

/// Our BIOS, and SeaBIOS from the folder that `IDEM86_FIRMWARE` names, from what `tests/guests/fetch` brought, or where
/// Debian's package puts it.
pub fn bioses(test: &str) -> Vec<BiosUnderTest> {
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
