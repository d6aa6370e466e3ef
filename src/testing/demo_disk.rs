//! The demonstration's boot disk: a program that goes from real mode to protected mode with paging, looks at the
//! machine, and switches it off.
//!
//! The boot sector loads the rest by INT 13h and asks for the memory map by INT 15h; everything else happens in 32-bit
//! code that writes to text memory itself.

use super::paging::enable_paging;
use iced_x86::IcedError;
use iced_x86::code_asm::*;

/// Size of the disk: 1.44 MB.
const DISK: usize = 1_474_560;
/// Where the boot sector is loaded.
const SECTOR: u64 = 0x7C00;
/// Where it loads the rest, within the first track.
const REST: u64 = 0x8000;
const REST_SECTORS: u32 = 16;
/// The descriptor table behind the 16-bit part.
const GDT: u64 = REST + 0x160;
/// The handler of the timer interrupt.
const TIMER: u64 = REST + 0x180;
/// Where the 32-bit part begins.
const WIDE: u64 = REST + 0x200;
/// Where its texts begin.
const TEXTS: u64 = REST + 0x1800;
/// The memory map: a count, then entries of 20 bytes.
const MAP_COUNT: u32 = 0x5000;
const MAP: u32 = 0x5004;
/// Count of timer interrupts.
const TICKS: u32 = 0x4FF0;
/// Page directory, with the page table behind it, and the interrupt descriptor table.
const DIRECTORY: u32 = 0x10_0000;
const IDT: u32 = 0x10_2000;
/// Text memory.
const SCREEN: u32 = 0xB_8000;
const ROW: u32 = 160;
/// Interrupt vector of IRQ 0 in protected mode.
const TIMER_VECTOR: u32 = 0x20;

/// The disk image.
pub fn image() -> Result<Vec<u8>, IcedError> {
    let mut disk = boot_sector()?;
    assert!(disk.len() <= 510, "the boot sector has {} bytes", disk.len());
    disk.resize(510, 0);
    disk.extend([0x55, 0xAA]);
    let (wide, texts) = wide_part()?;
    for (at, part) in [
        (REST, narrow_part()?),
        (GDT, descriptor_table()),
        (TIMER, timer_handler()?),
        (WIDE, wide),
        (TEXTS, texts),
    ] {
        let place = 512 + (at - REST) as usize;
        assert!(disk.len() <= place, "what lies before {at:#x} is too long");
        disk.resize(place, 0);
        disk.extend(part);
    }
    assert!(disk.len() <= (1 + REST_SECTORS as usize) * 512, "the program has {} bytes", disk.len());
    disk.resize(DISK, 0);
    Ok(disk)
}

fn boot_sector() -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(16)?;
    a.xor(ax, ax)?;
    a.mov(ds, ax)?;
    a.mov(es, ax)?;
    a.mov(ss, ax)?;
    a.mov(sp, SECTOR as u32)?;
    // 80 by 25 characters, then the rest of the program from the drive we came from.
    a.push(dx)?;
    a.mov(ax, 3)?;
    a.int(0x10)?;
    a.pop(dx)?;
    a.mov(bx, REST as u32)?;
    a.mov(cx, 2)?;
    a.mov(dh, 0)?;
    a.mov(ax, 0x0200 | REST_SECTORS)?;
    a.int(0x13)?;
    let mut loaded = a.create_label();
    a.jae(loaded)?;
    // It cannot be read: an E says so.
    a.mov(ax, 0x0E45)?;
    a.int(0x10)?;
    let mut stop = a.create_label();
    a.set_label(&mut stop)?;
    a.hlt()?;
    a.jmp(stop)?;
    a.set_label(&mut loaded)?;
    a.mov(ax, REST as u32)?;
    a.jmp(ax)?;
    a.assemble(SECTOR)
}

/// The 16-bit part: memory map, A20, protected mode.
fn narrow_part() -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(16)?;
    a.mov(dword_ptr(MAP_COUNT), 0)?;
    a.mov(di, MAP)?;
    a.xor(ebx, ebx)?;
    let (mut next, mut done) = (a.create_label(), a.create_label());
    a.set_label(&mut next)?;
    a.mov(eax, 0xE820)?;
    a.mov(edx, 0x534D_4150)?;
    a.mov(ecx, 20)?;
    a.int(0x15)?;
    a.jb(done)?;
    a.inc(dword_ptr(MAP_COUNT))?;
    a.add(di, 20)?;
    a.cmp(dword_ptr(MAP_COUNT), 12)?;
    a.jae(done)?;
    a.test(ebx, ebx)?;
    a.jne(next)?;
    a.set_label(&mut done)?;
    a.cli()?;
    a.in_(al, 0x92)?;
    a.or(al, 2)?;
    a.out(0x92, al)?;
    a.lgdt(dword_ptr(GDT))?;
    a.mov(eax, cr0)?;
    a.or(al, 1)?;
    a.mov(cr0, eax)?;
    // JMP FAR 8:WIDE.
    a.db(&[0xEA])?;
    a.dw(&[WIDE as u16, 8])?;
    a.assemble(REST)
}

/// Flat segments for code and data; the null descriptor's place holds what LGDT reads.
fn descriptor_table() -> Vec<u8> {
    let mut table = 23u16.to_le_bytes().to_vec();
    table.extend((GDT as u32).to_le_bytes());
    table.extend([0, 0]);
    table.extend(0x00CF_9B00_0000_FFFFu64.to_le_bytes());
    table.extend(0x00CF_9300_0000_FFFFu64.to_le_bytes());
    table
}

/// Counts a timer interrupt.
fn timer_handler() -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(32)?;
    a.push(eax)?;
    a.inc(dword_ptr(TICKS))?;
    a.mov(al, 0x20)?;
    a.out(0x20, al)?;
    a.pop(eax)?;
    a.iretd()?;
    a.assemble(TIMER)
}

/// Texts and subroutines of the 32-bit part.
struct Wide {
    a: CodeAssembler,
    print: CodeLabel,
    hex: CodeLabel,
    texts: Vec<u8>,
}

impl Wide {
    /// Prints `text`; a line feed begins a new row.
    fn say(&mut self, text: &str) -> Result<(), IcedError> {
        self.a.mov(esi, TEXTS as u32 + self.texts.len() as u32)?;
        self.texts.extend(text.as_bytes());
        self.texts.push(0);
        self.a.call(self.print)
    }

    /// Prints EAX in hexadecimal: its low `digits` digits.
    fn say_hex(&mut self, digits: u32) -> Result<(), IcedError> {
        self.a.mov(ecx, digits)?;
        self.a.call(self.hex)
    }

    /// Waits for ECX timer interrupts.
    fn wait_ticks(&mut self, ticks: u32) -> Result<(), IcedError> {
        let a = &mut self.a;
        let mut again = a.create_label();
        a.mov(edx, dword_ptr(TICKS))?;
        a.add(edx, ticks)?;
        a.set_label(&mut again)?;
        a.hlt()?;
        a.cmp(dword_ptr(TICKS), edx)?;
        a.jb(again)
    }
}

/// The 32-bit part and its texts. EDI is where the next character goes.
fn wide_part() -> Result<(Vec<u8>, Vec<u8>), IcedError> {
    let mut a = CodeAssembler::new(32)?;
    let (print, hex) = (a.create_label(), a.create_label());
    let mut w = Wide { a, print, hex, texts: Vec::new() };
    set_up(&mut w.a)?;
    w.say("idem86 demonstration\n\nFrom real mode to protected mode, with paging: CR0 ")?;
    w.a.mov(eax, cr0)?;
    w.say_hex(8)?;
    w.say(", CR3 ")?;
    w.a.mov(eax, cr3)?;
    w.say_hex(8)?;
    show_processor(&mut w)?;
    show_memory(&mut w)?;
    show_pci(&mut w)?;
    w.say("\n\nTimer interrupts ")?;
    for _ in 0..20 {
        w.wait_ticks(5)?;
        w.say(".")?;
    }
    w.say(" a hundred in a second.\nPower off.")?;
    w.wait_ticks(50)?;
    power_off(&mut w.a)?;
    subroutines(w)
}

fn set_up(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.mov(eax, 0x10)?;
    a.mov(ds, eax)?;
    a.mov(es, eax)?;
    a.mov(ss, eax)?;
    a.mov(esp, SECTOR as u32)?;
    // The first 4 MiB, present and writable.
    enable_paging(a, DIRECTORY, 1, 3)?;
    // One interrupt gate, for the timer.
    a.mov(eax, TIMER as u32)?;
    a.mov(word_ptr(IDT + 8 * TIMER_VECTOR), ax)?;
    a.mov(dword_ptr(IDT + 8 * TIMER_VECTOR + 2), 8)?;
    a.mov(byte_ptr(IDT + 8 * TIMER_VECTOR + 5), 0x8E)?;
    a.shr(eax, 16)?;
    a.mov(word_ptr(IDT + 8 * TIMER_VECTOR + 6), ax)?;
    a.mov(word_ptr(TICKS - 8), 8 * TIMER_VECTOR + 7)?;
    a.mov(dword_ptr(TICKS - 6), IDT)?;
    a.lidt(fword_ptr(TICKS - 8))?;
    a.mov(dword_ptr(TICKS), 0)?;
    // 8259A: vectors from 20h, only IRQ 0 unmasked. 8254: mode 2, 100 Hz.
    for (port, value) in [
        (0x20u32, 0x11u32),
        (0x21, TIMER_VECTOR),
        (0x21, 4),
        (0x21, 1),
        (0x21, 0xFE),
        (0xA1, 0xFF),
        (0x43, 0x34),
        (0x40, 11_932 & 0xFF),
        (0x40, 11_932 >> 8),
    ] {
        a.mov(al, value)?;
        a.out(port, al)?;
    }
    a.sti()?;
    a.mov(edi, SCREEN)
}

fn show_processor(w: &mut Wide) -> Result<(), IcedError> {
    w.say("\nProcessor   ")?;
    for leaf in 0x8000_0002u32..=0x8000_0004 {
        let a = &mut w.a;
        a.mov(eax, leaf)?;
        a.cpuid()?;
        for (n, register) in [eax, ebx, ecx, edx].into_iter().enumerate() {
            a.mov(dword_ptr(0x4F00 + 16 * (leaf - 0x8000_0002) + 4 * n as u32), register)?;
        }
    }
    w.a.mov(byte_ptr(0x4F00 + 48), 0)?;
    w.a.mov(esi, 0x4F00)?;
    w.a.call(w.print)?;
    w.say(", signature ")?;
    w.a.mov(eax, 1)?;
    w.a.cpuid()?;
    w.say_hex(8)
}

fn show_memory(w: &mut Wide) -> Result<(), IcedError> {
    w.say("\nMemory map")?;
    let (mut next, mut done) = (w.a.create_label(), w.a.create_label());
    w.a.mov(ebp, MAP)?;
    w.a.set_label(&mut next)?;
    w.a.cmp(dword_ptr(MAP_COUNT), 0)?;
    w.a.je(done)?;
    w.say("\n  ")?;
    w.a.mov(eax, dword_ptr(ebp))?;
    w.say_hex(8)?;
    w.say(" length ")?;
    w.a.mov(eax, dword_ptr(ebp + 8))?;
    w.say_hex(8)?;
    let (mut reserved, mut end) = (w.a.create_label(), w.a.create_label());
    w.a.cmp(dword_ptr(ebp + 16), 1)?;
    w.a.jne(reserved)?;
    w.say(" memory")?;
    w.a.jmp(end)?;
    w.a.set_label(&mut reserved)?;
    w.say(" type ")?;
    w.a.mov(eax, dword_ptr(ebp + 16))?;
    w.say_hex(1)?;
    w.a.set_label(&mut end)?;
    w.a.add(ebp, 20)?;
    w.a.dec(dword_ptr(MAP_COUNT))?;
    w.a.jmp(next)?;
    w.a.set_label(&mut done)?;
    w.a.nop()
}

/// Reads a configuration doubleword of the function in EBP (a configuration address) plus `register` into EAX.
fn configuration(a: &mut CodeAssembler, register: u32) -> Result<(), IcedError> {
    a.lea(eax, ptr(ebp + register))?;
    a.mov(edx, 0xCF8)?;
    a.out(dx, eax)?;
    a.mov(edx, 0xCFC)?;
    a.in_(eax, dx)
}

fn show_pci(w: &mut Wide) -> Result<(), IcedError> {
    w.say("\nPCI")?;
    let (mut next, mut absent) = (w.a.create_label(), w.a.create_label());
    w.a.mov(ebp, 0x8000_0000u32)?;
    w.a.set_label(&mut next)?;
    configuration(&mut w.a, 0)?;
    w.a.cmp(ax, -1)?;
    w.a.je(absent)?;
    w.a.mov(ebx, eax)?;
    w.say("\n  device ")?;
    w.a.mov(eax, ebx)?;
    w.a.and(eax, 0xFFFF)?;
    w.say_hex(4)?;
    w.say(":")?;
    w.a.mov(eax, ebx)?;
    w.a.shr(eax, 16)?;
    w.say_hex(4)?;
    w.say(" class ")?;
    configuration(&mut w.a, 8)?;
    w.a.shr(eax, 8)?;
    w.say_hex(6)?;
    w.a.set_label(&mut absent)?;
    w.a.add(ebp, 0x100)?;
    // Device 3 is the first that the board leaves empty.
    w.a.cmp(ebp, 0x8000_0000u32 as i32 + (3 << 11))?;
    w.a.jb(next)?;
    w.a.nop()
}

/// Soft-off through the power management function: its base is in register 40h of function 3 of device 1.
fn power_off(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.mov(ebp, 0x8000_0000u32 | 1 << 11 | 3 << 8)?;
    configuration(a, 0x40)?;
    a.and(eax, 0xFFC0)?;
    a.lea(edx, ptr(eax + 4))?;
    a.mov(eax, 0x2000)?;
    a.out(dx, ax)?;
    let mut stop = a.create_label();
    a.set_label(&mut stop)?;
    a.hlt()?;
    a.jmp(stop)
}

fn subroutines(w: Wide) -> Result<(Vec<u8>, Vec<u8>), IcedError> {
    let Wide { mut a, mut print, mut hex, texts } = w;
    // The text at ESI, light grey on black.
    let (mut plain, mut end) = (a.create_label(), a.create_label());
    a.set_label(&mut print)?;
    a.lodsb()?;
    a.test(al, al)?;
    a.je(end)?;
    a.cmp(al, 10)?;
    a.jne(plain)?;
    a.lea(eax, ptr(edi + (ROW as i32 - SCREEN as i32)))?;
    a.xor(edx, edx)?;
    a.mov(ecx, ROW)?;
    a.div(ecx)?;
    a.mul(ecx)?;
    a.lea(edi, ptr(eax + SCREEN))?;
    a.jmp(print)?;
    a.set_label(&mut plain)?;
    a.mov(ah, 7)?;
    a.stosw()?;
    a.jmp(print)?;
    a.set_label(&mut end)?;
    a.ret()?;

    // The low ECX digits of EAX.
    let mut digit = a.create_label();
    let mut decimal = a.create_label();
    a.set_label(&mut hex)?;
    a.push(ebx)?;
    a.mov(ebx, eax)?;
    a.mov(edx, ecx)?;
    a.mov(ecx, 8)?;
    a.sub(ecx, edx)?;
    a.shl(ecx, 2)?;
    a.shl(ebx, cl)?;
    a.mov(ecx, edx)?;
    a.set_label(&mut digit)?;
    a.rol(ebx, 4)?;
    a.mov(eax, ebx)?;
    a.and(eax, 15)?;
    a.add(al, b'0' as u32)?;
    a.cmp(al, b'9' as i32)?;
    a.jbe(decimal)?;
    a.add(al, (b'A' - b'9' - 1) as u32)?;
    a.set_label(&mut decimal)?;
    a.mov(ah, 15)?;
    a.stosw()?;
    a.loop_(digit)?;
    a.pop(ebx)?;
    a.ret()?;

    Ok((a.assemble(WIDE)?, texts))
}
