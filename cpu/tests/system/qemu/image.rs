//! A firmware image that runs cases on a bare machine: each in its own mode, until it faults or says that it is done;
//! what the handler finds is printed to COM1.

use crate::kit::{Kit, gate, place, rights, sel};
use iced_x86::IcedError;
use iced_x86::code_asm::*;
use idem86_cpu::state::eflags::bit;

/// Bytes of the image, which ends at 4 GiB.
pub const SIZE: usize = 256 << 10;
/// Where the image's payload is copied to.
const PAYLOAD: u32 = 0x2_0000;
/// Boot code, in the image's last 64 KiB.
const BOOT: u32 = 0xF000;
/// What of the kit's memory is put back before each case: the tables and task states.
pub const TABLES: std::ops::Range<u32> = 0x1000..0x8000;
/// The fresh copy of it.
const FRESH: u32 = PAYLOAD;
const HARNESS: u32 = PAYLOAD + 0x8000;
const PRINT: u32 = HARNESS;
const PREPARE: u32 = HARNESS + 0x100;
const COMMON: u32 = HARNESS + 0x200;
const STUBS: u32 = HARNESS + 0x800;
/// Builds page tables; see [`paged`].
pub const PAGE: u32 = HARNESS + 0x1000;
/// Supervisor code that brings a case about.
const CASES: u32 = PAYLOAD + 0x1_0000;
const CASE_BYTES: u32 = 0x200;
/// Cases that fit into an image.
pub const MOST: usize = ((CODE - CASES) / CASE_BYTES) as usize - 1;
/// The code that is run; it is at level 0, 3 or in virtual-8086 mode.
const CODE: u32 = PAYLOAD + 0x3_0000;
const CODE_BYTES: u32 = 0x60;
/// Where to go on after a case.
const RESUME: u32 = 0x500;
/// The stack of the harness between cases.
const STACK: u32 = 0x8800;
/// The vector that ends a case.
const DONE: u8 = 0x40;
/// The vectors that have handlers.
const VECTORS: u32 = 0x41;

/// Where the transfers of a case go to.
pub const LANDING: u32 = 0x6000;

/// The mode in which a case runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Protected mode at this level (0, 1 or 3), 32-bit.
    Level(u8),
    /// Virtual-8086 mode with this IOPL.
    V86(u8),
}

/// One case.
pub struct Case {
    pub name: String,
    pub mode: Mode,
    /// EFLAGS besides VM and the IOPL of virtual-8086 mode.
    pub flags: u32,
    /// EAX, ECX, EDX, EBX, ESI, EDI.
    pub registers: [u32; 6],
    /// What is done at level 0 before.
    pub setup: Vec<u8>,
    /// What is run; INT 40h is put behind.
    pub code: Vec<u8>,
}

impl Case {
    pub fn new(
        name: &str,
        mode: Mode,
        code: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
    ) -> Case {
        let bits = if matches!(mode, Mode::V86(_)) { 16 } else { 32 };
        Case {
            name: name.to_string(),
            mode,
            flags: 2,
            registers: [0x1111_1111, 0x2222_2222, 0x3333_3333, 0x4444_4444, 0x5555_5555, 0x6666_6666],
            setup: Vec::new(),
            code: crate::kit::asm(bits, code),
        }
    }
    pub fn flags(mut self, flags: u32) -> Case {
        self.flags = flags | 2;
        self
    }
    pub fn eax(mut self, v: u32) -> Case {
        self.registers[0] = v;
        self
    }
    pub fn ebx(mut self, v: u32) -> Case {
        self.registers[3] = v;
        self
    }
    pub fn edi(mut self, v: u32) -> Case {
        self.registers[5] = v;
        self
    }
    /// Puts code that ends the case where its transfers go to.
    pub fn landing(self) -> Case {
        self.put(LANDING, 0x40CD_9090)
    }
    pub fn setup(mut self, write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>) -> Case {
        self.setup.extend(crate::kit::asm(32, write));
        self
    }
    /// Writes a doubleword before.
    pub fn put(mut self, at: u32, v: u32) -> Case {
        let store = crate::kit::asm(32, |a| a.mov(dword_ptr(at), v));
        self.setup.extend(store);
        self
    }
    /// Fills a descriptor before.
    pub fn descriptor(self, selector: u16, d: u64) -> Case {
        let at = place::GDT + (selector & !7) as u32;
        self.put(at, d as u32).put(at + 4, (d >> 32) as u32)
    }
    /// Fills a gate before.
    pub fn gate(self, vector: u8, d: u64) -> Case {
        let at = place::IDT + vector as u32 * 8;
        self.put(at, d as u32).put(at + 4, (d >> 32) as u32)
    }
}

/// Address of the code of case `n`.
pub fn code_of(n: usize) -> u32 {
    CODE + n as u32 * CODE_BYTES
}

/// The entry of the handler of `vector`.
pub fn stub_of(vector: u32) -> u32 {
    STUBS + vector * 16
}

fn place_at(image: &mut [u8], address: u32, bytes: &[u8], most: u32) {
    assert!(bytes.len() <= most as usize, "{} bytes do not fit into {most}", bytes.len());
    let at = (address - PAYLOAD) as usize;
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

fn assemble(at: u32, write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>) -> Vec<u8> {
    let mut a = CodeAssembler::new(32).expect("bitness");
    write(&mut a).expect("operands");
    a.assemble(at as u64).expect("encodable")
}

/// The image that runs `cases`.
pub fn build(cases: &[Case]) -> Vec<u8> {
    let mut image = vec![0xF4; SIZE];
    let mut fresh: Vec<u8> = {
        let k = Kit::protected(0);
        TABLES.map(|at| k.get8(at)).collect()
    };
    for v in 0..VECTORS {
        let dpl = if v == DONE as u32 { rights::DPL3 } else { 0 };
        let d = gate(sel::CODE0, stub_of(v), rights::INTERRUPT32 | dpl, 0);
        let at = (place::IDT - TABLES.start + v * 8) as usize;
        fresh[at..at + 8].copy_from_slice(&d.to_le_bytes());
    }
    // The TSS descriptor is busy in the kit; LTR wants it available.
    fresh[(place::GDT - TABLES.start + sel::TSS as u32) as usize + 5] = rights::TSS32 as u8;
    place_at(&mut image, FRESH, &fresh, 0x8000);
    place_at(&mut image, PRINT, &print(), 0x100);
    place_at(&mut image, PREPARE, &prepare(), 0x100);
    place_at(&mut image, COMMON, &common(), 0x600);
    place_at(&mut image, PAGE, &build_tables(), 0x100);
    for v in 0..VECTORS {
        place_at(&mut image, stub_of(v), &stub(v), 16);
    }
    assert!(cases.len() <= MOST, "too many cases");
    for (n, case) in cases.iter().enumerate() {
        let at = CASES + n as u32 * CASE_BYTES;
        place_at(&mut image, at, &enter(n, case, at), CASE_BYTES);
        let mut code = case.code.clone();
        code.extend([0xCD, DONE]);
        place_at(&mut image, code_of(n), &code, CODE_BYTES);
    }
    let at = CASES + cases.len() as u32 * CASE_BYTES;
    place_at(&mut image, at, &assemble(at, finish), CASE_BYTES);
    let boot = SIZE - 0x1_0000 + BOOT as usize;
    let code = boot_code();
    image[boot..boot + code.len()].copy_from_slice(&code);
    // FFFFFFF0h: jmp BOOT, and at a multiple of 8 before it the GDT pointer and a flat GDT.
    let reset = SIZE - 16;
    let [low, high] = (BOOT as u16).wrapping_sub(0xFFF3).to_le_bytes();
    image[reset..reset + 3].copy_from_slice(&[0xE9, low, high]);
    let gdt = SIZE - 64;
    let flat = [0, crate::kit::segment(0, 0xF_FFFF, 0xC09B), crate::kit::segment(0, 0xF_FFFF, 0xC093)];
    for (n, d) in flat.iter().enumerate() {
        image[gdt + n * 8..][..8].copy_from_slice(&d.to_le_bytes());
    }
    image[gdt - 8..gdt - 6].copy_from_slice(&23u16.to_le_bytes());
    image[gdt - 6..gdt - 2].copy_from_slice(&(0xFFFF_FFFF - 63u32).to_le_bytes());
    image
}

/// Real mode at FFFF0000h: into protected mode, payload to RAM, to the first case.
fn boot_code() -> Vec<u8> {
    // The GDT pointer is at FFB8h of this segment.
    let mut code = crate::kit::asm(16, |a| {
        a.cli()?;
        a.cld()?;
        a.db(&[0x2E, 0x66, 0x0F, 0x01, 0x16, 0xB8, 0xFF])?;
        a.mov(eax, cr0)?;
        a.or(al, 1)?;
        a.mov(cr0, eax)
    });
    let entry = 0xFFFF_0000 + BOOT + code.len() as u32 + 8;
    code.extend([0x66, 0xEA]);
    code.extend(entry.to_le_bytes());
    code.extend([8, 0]);
    code.extend(assemble(entry, |a| {
        a.mov(eax, 0x10)?;
        a.mov(ds, eax)?;
        a.mov(es, eax)?;
        a.mov(ss, eax)?;
        a.mov(esp, STACK)?;
        a.mov(esi, (0x1_0000_0000u64 - SIZE as u64) as u32)?;
        a.mov(edi, PAYLOAD)?;
        a.mov(ecx, SIZE as u32 / 4)?;
        a.rep().movsd()?;
        a.mov(eax, CASES)?;
        a.jmp(eax)
    }));
    code
}

/// Prints EAX in hexadecimal and a space; keeps all registers.
fn print() -> Vec<u8> {
    assemble(PRINT, |a| {
        let (mut digit, mut wait) = (a.create_label(), a.create_label());
        a.pushad()?;
        a.mov(ebx, eax)?;
        a.mov(ecx, 9)?;
        a.set_label(&mut digit)?;
        a.mov(dx, 0x3FD)?;
        a.set_label(&mut wait)?;
        a.in_(al, dx)?;
        a.test(al, 0x20)?;
        a.jz(wait)?;
        a.rol(ebx, 4)?;
        a.mov(eax, ebx)?;
        a.and(eax, 15)?;
        a.cmp(al, 10)?;
        a.sbb(ah, ah)?;
        a.and(ah, 39)?;
        a.add(al, 87)?;
        a.sub(al, ah)?;
        let mut put = a.create_label();
        a.cmp(ecx, 1)?;
        a.jne(put)?;
        a.mov(al, 0x20)?;
        a.set_label(&mut put)?;
        a.mov(dx, 0x3F8)?;
        a.out(dx, al)?;
        a.dec(ecx)?;
        a.jnz(digit)?;
        a.popad()?;
        a.ret()
    })
}

/// Page tables that [`PAGE`] builds: the first 4 MiB map themselves, and what lies at 1 GiB is the case's to fill.
pub mod paged {
    /// 32-bit paging: the directory, and the table for 1 GiB.
    pub const DIRECTORY: u32 = 0x8_0000;
    /// The table for 1 GiB.
    pub const TABLE: u32 = 0x8_2000;
    /// PAE paging: the page-directory pointers.
    pub const POINTERS: u32 = 0x8_4000;
    /// The directory for 1 GiB.
    pub const PAE_DIRECTORY: u32 = 0x8_8000;
    /// The table for 1 GiB.
    pub const PAE_TABLE: u32 = 0x8_9000;
}

fn build_tables() -> Vec<u8> {
    use paged::*;
    assemble(PAGE, |a| {
        a.mov(edi, DIRECTORY)?;
        a.mov(ecx, 0xA000u32 / 4)?;
        a.xor(eax, eax)?;
        a.rep().stosd()?;
        a.mov(dword_ptr(DIRECTORY), (DIRECTORY + 0x1000) | 7)?;
        a.mov(dword_ptr(POINTERS), (POINTERS + 0x1000) | 1)?;
        a.mov(dword_ptr(POINTERS + 8), PAE_DIRECTORY | 1)?;
        a.mov(dword_ptr(POINTERS + 0x1000), (POINTERS + 0x2000) | 7)?;
        a.mov(dword_ptr(POINTERS + 0x1008), (POINTERS + 0x3000) | 7)?;
        let mut next = a.create_label();
        a.mov(eax, 7)?;
        a.set_label(&mut next)?;
        a.mov(edx, eax)?;
        a.shr(edx, 10)?;
        a.and(dl, 0xFCu32 as i32)?;
        a.mov(dword_ptr(edx + (DIRECTORY + 0x1000)), eax)?;
        a.mov(dword_ptr(edx * 2 + (POINTERS + 0x2000)), eax)?;
        a.add(eax, 0x1000)?;
        a.cmp(eax, 0x40_0000)?;
        a.jb(next)?;
        a.ret()
    })
}

/// Puts the tables back and loads everything that a case may have changed. Level 0, on the harness's stack; goes on
/// at EBX.
fn prepare() -> Vec<u8> {
    assemble(PREPARE, |a| {
        a.mov(eax, 0x11)?;
        a.mov(cr0, eax)?;
        a.xor(eax, eax)?;
        a.mov(cr4, eax)?;
        a.mov(cr3, eax)?;
        a.mov(iced_x86::code_asm::dr7, eax)?;
        a.mov(iced_x86::code_asm::dr6, eax)?;
        a.mov(cr2, eax)?;
        a.cld()?;
        a.mov(esi, FRESH)?;
        a.mov(edi, TABLES.start)?;
        a.mov(ecx, TABLES.len() as u32 / 4)?;
        a.rep().movsd()?;
        // The pointers are built on the stack.
        a.push(0)?;
        a.push(place::GDT)?;
        a.push(((sel::OUTSIDE - 1) as i32) << 16)?;
        a.lgdt(fword_ptr(esp + 2))?;
        a.push(place::IDT)?;
        a.push((VECTORS as i32 * 8 - 1) << 16)?;
        a.lidt(fword_ptr(esp + 2))?;
        a.add(esp, 20)?;
        a.mov(eax, sel::LDT as u32)?;
        a.lldt(ax)?;
        a.mov(eax, sel::TSS as u32)?;
        a.ltr(ax)?;
        a.jmp(ebx)
    })
}

fn stub(vector: u32) -> Vec<u8> {
    assemble(stub_of(vector), |a| {
        if !crate::kit::has_error_code(vector as u8) {
            a.push(0)?;
        }
        a.push(vector as i32)?;
        a.jmp(COMMON as u64)
    })
}

/// Prints vector, error code, the frame, registers, and sums over the tables; goes on with the next case.
fn common() -> Vec<u8> {
    assemble(COMMON, |a| {
        a.pushad()?;
        for s in [ds, es, fs, gs] {
            a.push(s)?;
        }
        a.mov(eax, sel::DATA0 as u32)?;
        a.mov(ds, eax)?;
        a.mov(es, eax)?;
        // On a 16-bit stack the upper half of ESP means nothing.
        a.mov(ebp, esp)?;
        a.mov(edi, esp)?;
        a.mov(eax, ss)?;
        a.lar(eax, eax)?;
        a.test(eax, 0x40_0000)?;
        let mut wide = a.create_label();
        a.jnz(wide)?;
        a.movzx(ebp, bp)?;
        a.set_label(&mut wide)?;
        a.mov(eax, sel::DATA0 as u32)?;
        a.mov(ss, eax)?;
        a.mov(esp, ebp)?;
        // QEMU never sets EXT in error codes.
        let mut no_selector = a.create_label();
        a.mov(eax, dword_ptr(ebp + 48))?;
        a.sub(eax, 10)?;
        a.cmp(eax, 4)?;
        a.jae(no_selector)?;
        a.and(dword_ptr(ebp + 52), !1)?;
        a.set_label(&mut no_selector)?;
        // And it leaves P clear where it sets RSVD, which the manual says comes with P.
        let mut no_reserved = a.create_label();
        a.cmp(eax, 4)?;
        a.jne(no_reserved)?;
        a.test(byte_ptr(ebp + 52), 8)?;
        a.jz(no_reserved)?;
        a.or(byte_ptr(ebp + 52), 1)?;
        a.set_label(&mut no_reserved)?;
        let show = |a: &mut CodeAssembler, at: AsmMemoryOperand| {
            a.mov(eax, at)?;
            a.call(PRINT as u64)
        };
        // From EBP: GS FS ES DS, EDI ESI EBP ESP EBX EDX ECX EAX, vector, error, EIP, CS, EFLAGS, ESP, SS.
        for n in [12, 13, 14, 15, 16, 11, 10, 9, 8, 5, 4, 0, 1, 2, 3] {
            // QEMU leaves RF clear in what faults push; the manual sets it.
            if n == 16 {
                a.and(dword_ptr(ebp + n * 4), !bit::RF)?;
            }
            show(a, dword_ptr(ebp + n * 4))?;
        }
        a.mov(eax, edi)?;
        a.call(PRINT as u64)?;
        // The outer stack is there for outer code and virtual-8086 mode.
        let mut same = a.create_label();
        let mut outer = a.create_label();
        a.test(dword_ptr(ebp + 64), bit::VM)?;
        a.jnz(outer)?;
        a.test(dword_ptr(ebp + 60), 3u32)?;
        a.jz(same)?;
        a.set_label(&mut outer)?;
        show(a, dword_ptr(ebp + 68))?;
        show(a, dword_ptr(ebp + 72))?;
        a.set_label(&mut same)?;
        a.mov(eax, cr0)?;
        a.call(PRINT as u64)?;
        a.mov(eax, cr2)?;
        a.call(PRINT as u64)?;
        a.mov(eax, iced_x86::code_asm::dr6)?;
        a.call(PRINT as u64)?;
        a.xor(eax, eax)?;
        a.str(eax)?;
        a.call(PRINT as u64)?;
        a.sldt(eax)?;
        a.call(PRINT as u64)?;
        for at in [paged::DIRECTORY + 0x400, paged::TABLE, paged::PAE_DIRECTORY, paged::PAE_TABLE] {
            show(a, dword_ptr(at))?;
        }
        // RF again, in the saved EFLAGS of the task.
        a.and(dword_ptr(place::TSS + 0x24), !bit::RF)?;
        for (from, len) in [
            (place::GDT, 0x100),
            (place::LDT, 0x40),
            (place::TSS, 0x68),
            (place::TSS32, 0x68),
            (place::TSS16, 0x2C),
        ] {
            let mut next = a.create_label();
            a.xor(eax, eax)?;
            a.mov(esi, from)?;
            a.mov(ecx, len / 4)?;
            a.set_label(&mut next)?;
            a.rol(eax, 5)?;
            a.add(eax, dword_ptr(esi))?;
            a.add(esi, 4)?;
            a.dec(ecx)?;
            a.jnz(next)?;
            a.call(PRINT as u64)?;
        }
        // A line feed, and on.
        a.mov(dx, 0x3F8)?;
        a.mov(al, 10)?;
        a.out(dx, al)?;
        a.push(2)?;
        a.popfd()?;
        a.mov(eax, sel::DATA0 as u32)?;
        a.mov(ss, eax)?;
        a.mov(esp, STACK)?;
        a.jmp(dword_ptr(RESUME))
    })
}

/// Sets a case up and enters its mode.
fn enter(n: usize, case: &Case, at: u32) -> Vec<u8> {
    const HEAD: usize = 20;
    let head = assemble(at, |a| {
        a.mov(dword_ptr(RESUME), at + CASE_BYTES)?;
        a.mov(ebx, at + HEAD as u32)?;
        a.jmp(PREPARE as u64)
    });
    assert_eq!(head.len(), HEAD);
    let mut code = head;
    code.extend(&case.setup);
    let here = at + code.len() as u32;
    code.extend(assemble(here, |a| {
        let (code_at, flags) = (code_of(n), case.flags);
        let (cs_selector, data, level) = match case.mode {
            Mode::Level(0) => (sel::CODE0, sel::DATA0, 0),
            Mode::Level(1) => (sel::CODE1, sel::DATA1, 1),
            _ => (sel::CODE3, sel::DATA3, 3),
        };
        match case.mode {
            Mode::V86(iopl) => {
                for s in [0x3000, 0x2000, 0x1000, 0] {
                    a.push(s)?;
                }
                a.push(0)?;
                a.push(place::STACKS[3] as i32)?;
                a.push((flags | bit::VM | (iopl as u32) << 12) as i32)?;
                a.push(code_at as i32 >> 4)?;
                a.push(0)?;
            }
            Mode::Level(0) => {
                a.mov(esp, place::STACKS[0])?;
                a.push(flags as i32)?;
                a.push(sel::CODE0 as i32)?;
                a.push(code_at as i32)?;
            }
            Mode::Level(_) => {
                a.push(data as i32)?;
                a.push(place::STACKS[level] as i32)?;
                a.push(flags as i32)?;
                a.push(cs_selector as i32)?;
                a.push(code_at as i32)?;
            }
        }
        a.mov(eax, data as u32)?;
        for s in [ds, es, fs, gs] {
            a.mov(s, eax)?;
        }
        let registers = [eax, ecx, edx, ebx, esi, edi];
        for (r, v) in registers.into_iter().zip(case.registers) {
            a.mov(r, v)?;
        }
        a.mov(ebp, 0x7777_7777u32)?;
        a.iretd()
    }));
    code
}

/// Ends the run: 0 to the exit port.
fn finish(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.xor(eax, eax)?;
    a.mov(dx, 0xF4)?;
    a.out(dx, al)?;
    a.hlt()
}
