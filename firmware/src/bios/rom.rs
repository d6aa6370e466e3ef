//! The BIOS ROM: 64 KiB with entry points at the addresses that programs know from IBM's, and little behind them.
//!
//! IBM PC/AT Technical Reference, "ROM BIOS"; what programs rely on is collected in Ralf Brown's Interrupt List.

use super::traps::{Trap, call};
use crate::video::font;
use iced_x86::code_asm::*;
use iced_x86::{BlockEncoderOptions, IcedError};
use std::sync::OnceLock;

/// The segment of the ROM.
pub(crate) const SEGMENT: u16 = 0xF000;
/// Where the segment begins.
pub(crate) const BASE: u32 = 0xF_0000;
/// Bytes of the ROM.
pub(crate) const SIZE: usize = 0x1_0000;

/// Offset of the code that has no place of its own. What lies before it is for tables that POST writes.
pub(crate) const CODE: u16 = 0x8000;

/// Offsets that programs know.
pub(crate) mod offset {
    pub const POST: u16 = 0xE05B;
    pub const CONFIGURATION: u16 = 0xE6F5;
    pub const BAUD_RATES: u16 = 0xE729;
    pub const DISKETTE_PARAMETERS: u16 = 0xEFC7;
    pub const FONT: u16 = 0xFA6E;
    pub const IRET: u16 = 0xFF53;
    pub const RESET: u16 = 0xFFF0;
    pub const DATE: u16 = 0xFFF5;
    pub const MODEL: u16 = 0xFFFE;
    /// Signature of the BIOS32 service directory, on a 16-byte boundary; one of ours.
    pub const BIOS32: u16 = 0xE000;
    /// Entry points of ours, each a near jump.
    pub const OWN: u16 = 0xE100;
}

/// The model byte of a PC/AT.
pub(crate) const MODEL: u8 = 0xFC;
/// The date of the ROM, of this version of it.
const DATE: &[u8; 8] = b"01/15/26";

/// An entry point and the interrupt vector that POST points at it.
struct Entry {
    vector: Option<u8>,
    offset: u16,
    body: fn(&mut Code) -> Result<(), IcedError>,
}

const fn entry(vector: u8, offset: u16, body: fn(&mut Code) -> Result<(), IcedError>) -> Entry {
    Entry { vector: Some(vector), offset, body }
}

/// Place `n` of our own entry points.
const fn own(n: u16) -> u16 {
    offset::OWN + 4 * n
}

/// All entry points. Two vectors may lead to one.
const ENTRIES: &[Entry] = &[
    Entry { vector: None, offset: offset::POST, body: post },
    entry(0x02, 0xE2C3, |c| c.asm.iret()),
    entry(0x05, 0xFF54, print_screen),
    entry(0x08, 0xFEA5, timer),
    entry(0x09, 0xE987, keyboard),
    entry(0x0E, 0xEF57, |c| c.irq(Trap::Int0e, false)),
    entry(0x10, 0xF065, |c| c.asm.iret()),
    entry(0x11, 0xF84D, |c| c.service(Trap::Int11)),
    entry(0x12, 0xF841, |c| c.service(Trap::Int12)),
    entry(0x13, 0xE3FE, |c| c.waiting_service(Trap::Int13, Trap::Int13Continue)),
    entry(0x14, 0xE739, |c| c.service(Trap::Int14)),
    entry(0x15, 0xF859, system_services),
    entry(0x16, 0xE82E, keyboard_services),
    entry(0x17, 0xEFD2, |c| c.service(Trap::Int17)),
    entry(0x18, BOOT_FAILED, boot_failed),
    entry(0x19, 0xE6F2, bootstrap),
    entry(0x1A, 0xFE6E, |c| c.service(Trap::Int1a)),
    entry(0x40, 0xEC59, |c| c.waiting_service(Trap::Int13, Trap::Int13Continue)),
    entry(0x70, own(1), clock),
    entry(0x71, own(2), redirected_irq2),
    entry(0x74, own(3), mouse),
    entry(0x75, own(4), coprocessor),
    entry(0x76, own(5), |c| c.irq(Trap::Int76, true)),
    entry(0x77, own(6), |c| c.irq(Trap::Int77, true)),
    Entry { vector: None, offset: UNEXPECTED_IRQ, body: |c| c.service(Trap::UnexpectedIrq) },
    Entry { vector: None, offset: APM_16, body: |c| c.far_service(Trap::ApmEntry) },
];

/// INT 18h.
pub(crate) const BOOT_FAILED: u16 = own(0);
/// Where vectors of interrupt lines without a device lead.
const UNEXPECTED_IRQ: u16 = own(7);
/// APM's entry point for 16-bit protected mode.
pub(crate) const APM_16: u16 = own(8);
/// Entry points for 32-bit protected mode, on which no real-mode code enters. Their bodies fit their places.
pub(crate) const BIOS32_ENTRY: u16 = 0xE200;
pub(crate) const PCI32_ENTRY: u16 = 0xE210;
pub(crate) const APM_32: u16 = 0xE220;

/// The interrupt vectors as POST sets them, as offsets in [`SEGMENT`], beginning with vector 0. What nobody
/// serves returns at once; vectors 60h to 67h belong to programs and are zero.
pub(crate) fn vectors() -> [Option<u16>; 0x78] {
    let mut vectors = [Some(offset::IRET); 0x78];
    vectors[0x60..0x68].fill(None);
    for irq in (0x0A..0x10).chain(0x72..0x74) {
        vectors[irq] = Some(UNEXPECTED_IRQ);
    }
    for entry in ENTRIES {
        if let Some(vector) = entry.vector {
            vectors[usize::from(vector)] = Some(entry.offset);
        }
    }
    vectors
}

/// The ROM.
pub fn image() -> &'static [u8] {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    IMAGE.get_or_init(|| build().expect("the ROM's code is the same in every run, and its test assembles it"))
}

fn build() -> Result<Vec<u8>, IcedError> {
    let mut code = Code::new()?;
    let mut labels = Vec::new();
    for entry in ENTRIES {
        let mut label = code.asm.create_label();
        code.asm.set_label(&mut label)?;
        // The body may begin with a label of its own, and no instruction has two.
        code.asm.zero_bytes()?;
        (entry.body)(&mut code)?;
        labels.push((entry.offset, label));
    }
    code.print_routine()?;
    let options = BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS;
    let assembled = code.asm.assemble_options(CODE.into(), options)?;
    let mut rom = Image(vec![0xFF; SIZE]);
    rom.0[..CODE.into()].fill(0);
    rom.put(CODE, &assembled.inner.code_buffer);
    for (at, label) in labels {
        let target = assembled.label_ip(&label)? as u16;
        let displacement = target.wrapping_sub(at + 3).to_le_bytes();
        rom.put(at, &[0xE9, displacement[0], displacement[1]]);
    }
    for (at, trap) in [(BIOS32_ENTRY, Trap::Bios32), (PCI32_ENTRY, Trap::Pci32), (APM_32, Trap::ApmEntry)] {
        let mut asm = CodeAssembler::new(32)?;
        call(&mut asm, trap)?;
        asm.retf()?;
        rom.put(at, &asm.assemble(at.into())?);
    }
    rom.put(offset::BIOS32, &bios32_directory());
    rom.put(offset::CONFIGURATION, &configuration());
    // Divisors of 110 to 9600 baud.
    let divisors = [1047u16, 768, 384, 192, 96, 48, 24, 12].map(u16::to_le_bytes);
    rom.put(offset::BAUD_RATES, divisors.as_flattened());
    rom.put(offset::DISKETTE_PARAMETERS, &super::int13::floppy::PARAMETERS);
    rom.put(offset::FONT, &font::small()[..128 * 8]);
    rom.put(offset::IRET, &[0xCF]);
    // JMP F000:E05B.
    let [low, high] = offset::POST.to_le_bytes();
    rom.put(offset::RESET, &[0xEA, low, high, 0x00, 0xF0]);
    rom.put(offset::DATE, DATE);
    rom.put(offset::MODEL, &[MODEL]);
    Ok(rom.0)
}

/// A ROM in the making.
struct Image(Vec<u8>);

impl Image {
    fn put(&mut self, at: u16, bytes: &[u8]) {
        let at = usize::from(at);
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

/// The BIOS32 service directory's header. Standard BIOS 32-bit Service Directory Proposal 0.4.
fn bios32_directory() -> [u8; 16] {
    let mut header = [0; 16];
    header[..4].copy_from_slice(b"_32_");
    header[4..8].copy_from_slice(&(BASE + u32::from(BIOS32_ENTRY)).to_le_bytes());
    // Revision 0, one paragraph.
    header[9] = 1;
    header[10] = 0u8.wrapping_sub(header.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)));
    header
}

/// What INT 15h AH=C0h points at: length, model, submodel, revision, features.
fn configuration() -> [u8; 10] {
    /// Two interrupt controllers, a real-time clock, INT 15h AH=4Fh, an extended BIOS data area.
    const FEATURES: u8 = 0b0111_0100;
    /// INT 16h AH=09h is there.
    const FEATURES_2: u8 = 0b0100_0000;
    [8, 0, MODEL, 1, 0, FEATURES, FEATURES_2, 0, 0, 0]
}

/// The code in the making, and routines that it calls.
struct Code {
    asm: CodeAssembler,
    /// Prints the text that a service has prepared, by INT 10h. All registers stay.
    print: CodeLabel,
    post: CodeLabel,
    boot_next: CodeLabel,
}

impl Code {
    fn new() -> Result<Self, IcedError> {
        let mut asm = CodeAssembler::new(16)?;
        let [print, post, boot_next] = std::array::from_fn(|_| asm.create_label());
        Ok(Code { asm, print, post, boot_next })
    }

    fn trap(&mut self, trap: Trap) -> Result<(), IcedError> {
        call(&mut self.asm, trap)
    }

    /// An interrupt service without more.
    fn service(&mut self, trap: Trap) -> Result<(), IcedError> {
        self.trap(trap)?;
        self.asm.iret()
    }

    fn far_service(&mut self, trap: Trap) -> Result<(), IcedError> {
        self.trap(trap)?;
        self.asm.retf()
    }

    /// A service whose caller may have to wait: interrupts come through until `again` says that it is done.
    fn waiting_service(&mut self, trap: Trap, again: Trap) -> Result<(), IcedError> {
        let (mut wait, mut done) = (self.asm.create_label(), self.asm.create_label());
        self.trap(trap)?;
        self.asm.jnc(done)?;
        self.asm.set_label(&mut wait)?;
        self.asm.sti()?;
        // Behind this, interrupts come through.
        self.asm.nop()?;
        self.trap(again)?;
        self.asm.jc(wait)?;
        self.asm.set_label(&mut done)?;
        self.asm.iret()
    }

    /// A hardware interrupt that is served by a call and ends.
    fn irq(&mut self, trap: Trap, slave: bool) -> Result<(), IcedError> {
        self.trap(trap)?;
        self.asm.push(ax)?;
        self.end_of_interrupt(slave)?;
        self.asm.pop(ax)?;
        self.asm.iret()
    }

    /// Acknowledges the interrupt to its controllers. Changes AL.
    fn end_of_interrupt(&mut self, slave: bool) -> Result<(), IcedError> {
        let a = &mut self.asm;
        a.mov(al, 0x20)?;
        if slave {
            a.out(0xA0, al)?;
        }
        a.out(0x20, al)
    }

    fn print_routine(&mut self) -> Result<(), IcedError> {
        let mut done = self.asm.create_label();
        let mut again = self.asm.create_label();
        let mut label = self.print;
        self.asm.set_label(&mut label)?;
        self.asm.push(ax)?;
        self.asm.push(bx)?;
        self.asm.set_label(&mut again)?;
        self.trap(Trap::NextCharacter)?;
        let a = &mut self.asm;
        a.jc(done)?;
        // Some display ROMs change BP when they scroll.
        a.push(bp)?;
        a.int(0x10)?;
        a.pop(bp)?;
        a.jmp(again)?;
        a.set_label(&mut done)?;
        a.pop(bx)?;
        a.pop(ax)?;
        a.ret()
    }
}

fn post(c: &mut Code) -> Result<(), IcedError> {
    let mut label = c.post;
    c.asm.set_label(&mut label)?;
    c.asm.cli()?;
    c.asm.cld()?;
    prepare_processor(&mut c.asm)?;
    c.trap(Trap::Post)?;
    let (mut next, mut go, mut ready) = (c.asm.create_label(), c.asm.create_label(), c.asm.create_label());
    c.asm.set_label(&mut next)?;
    c.trap(Trap::NextRom)?;
    let a = &mut c.asm;
    a.jc(ready)?;
    // A far call of CX:DX.
    a.push(cs)?;
    a.call(go)?;
    a.cld()?;
    a.jmp(next)?;
    a.set_label(&mut go)?;
    a.push(cx)?;
    a.push(dx)?;
    a.retf()?;
    a.set_label(&mut ready)?;
    a.mov(eax, 1)?;
    a.cpuid()?;
    c.trap(Trap::Ready)?;
    c.asm.call(c.print)?;
    c.asm.int(0x19)
}

/// Memory types and caches. SDM Vol. 3A, "Memory Type Range Registers (MTRRs)" and "Cache Control".
fn prepare_processor(a: &mut CodeAssembler) -> Result<(), IcedError> {
    const DEFAULT_TYPE: u32 = 0x2FF;
    const VARIABLE_BASE_0: u32 = 0x200;
    const VARIABLE_MASK_0: u32 = 0x201;
    /// MTRRs and the fixed ones among them are on; memory is write-back.
    const ENABLED: u32 = 0xC06;
    const UNCACHED: u32 = 0;
    const VALID: u32 = 1 << 11;
    /// The upper half of a mask for 36-bit addresses.
    const MASK_HIGH: u32 = 0xF;
    const MTRR_FEATURE: i32 = 1 << 12;
    const CACHE_DISABLE_AND_NOT_WRITE_THROUGH: i32 = 0b11 << 29;
    // 640 KiB of RAM, the display, ROMs.
    let fixed = [(0x250, 0x0606_0606), (0x258, 0x0606_0606), (0x259, 0)];
    let roms = (0x268u32..=0x26F).map(|register| (register, 0x0505_0505));
    let mut done = a.create_label();
    a.mov(eax, 1)?;
    a.cpuid()?;
    a.test(edx, MTRR_FEATURE)?;
    a.je(done)?;
    let mut write = |register: u32, high: u32, low: u32| {
        a.mov(ecx, register)?;
        a.mov(edx, high)?;
        a.mov(eax, low)?;
        a.wrmsr()
    };
    write(DEFAULT_TYPE, 0, 0)?;
    for (register, types) in fixed.into_iter().chain(roms) {
        write(register, types, types)?;
    }
    // What devices have on PCI, which begins at a multiple of what lies above.
    write(VARIABLE_BASE_0, 0, super::post::pci::MEMORY_START | UNCACHED)?;
    write(VARIABLE_MASK_0, MASK_HIGH, super::post::pci::MEMORY_START | VALID)?;
    write(DEFAULT_TYPE, 0, ENABLED)?;
    a.set_label(&mut done)?;
    a.mov(eax, cr0)?;
    a.and(eax, !CACHE_DISABLE_AND_NOT_WRITE_THROUGH)?;
    a.mov(cr0, eax)
}

/// INT 05h, the PrtSc key: there is no printer, and the status byte says so.
fn print_screen(c: &mut Code) -> Result<(), IcedError> {
    let a = &mut c.asm;
    a.push(ds)?;
    a.push(ax)?;
    a.mov(ax, 0x50)?;
    a.mov(ds, ax)?;
    a.mov(byte_ptr(0), 0xFF)?;
    a.pop(ax)?;
    a.pop(ds)?;
    a.iret()
}

/// INT 08h, IRQ 0.
fn timer(c: &mut Code) -> Result<(), IcedError> {
    c.trap(Trap::Int08)?;
    c.asm.int(0x1C)?;
    c.asm.push(ax)?;
    c.end_of_interrupt(false)?;
    c.asm.pop(ax)?;
    c.asm.iret()
}

/// What follows when a key was understood: the answer of [`Trap::KeyboardKey`] in AL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum KeyAction {
    None = 0,
    /// Ctrl-Break: INT 1Bh.
    Break = 1,
    /// PrtSc: INT 05h.
    PrintScreen = 2,
    /// SysRq is pressed: INT 15h AX=8500h.
    SysRqDown = 3,
    /// SysRq is released: INT 15h AX=8501h.
    SysRqUp = 4,
    /// Ctrl-Alt-Del: POST.
    Restart = 5,
    /// Pause: everything stands still until another key ends it.
    Pause = 6,
}

/// INT 09h, IRQ 1.
fn keyboard(c: &mut Code) -> Result<(), IcedError> {
    let [mut quiet, mut end] = [c.asm.create_label(), c.asm.create_label()];
    c.asm.push(ax)?;
    c.trap(Trap::KeyboardByte)?;
    c.asm.jc(quiet)?;
    // The interceptor may change AL, or clear the carry so that the byte is dropped.
    c.asm.mov(ah, 0x4F)?;
    c.asm.stc()?;
    c.asm.int(0x15)?;
    c.asm.jnc(quiet)?;
    c.trap(Trap::KeyboardKey)?;
    c.asm.cmp(al, KeyAction::None as i32)?;
    c.asm.je(quiet)?;
    c.asm.mov(ah, al)?;
    c.end_of_interrupt(false)?;
    let (post, cases) = (c.post, [KeyAction::Break, KeyAction::PrintScreen]);
    for action in cases {
        let mut other = c.asm.create_label();
        c.asm.cmp(ah, action as i32)?;
        c.asm.jne(other)?;
        c.asm.int(if action == KeyAction::Break { 0x1B } else { 0x05 })?;
        c.asm.jmp(end)?;
        c.asm.set_label(&mut other)?;
    }
    let [mut no_restart, mut pause, mut still] = std::array::from_fn(|_| c.asm.create_label());
    let a = &mut c.asm;
    a.cmp(ah, KeyAction::Restart as i32)?;
    a.jne(no_restart)?;
    a.jmp(post)?;
    a.set_label(&mut no_restart)?;
    a.cmp(ah, KeyAction::Pause as i32)?;
    a.je(pause)?;
    a.mov(al, ah)?;
    a.sub(al, KeyAction::SysRqDown as i32)?;
    a.mov(ah, 0x85)?;
    a.int(0x15)?;
    a.jmp(end)?;
    a.set_label(&mut pause)?;
    a.push(ds)?;
    a.mov(ax, 0x40)?;
    a.mov(ds, ax)?;
    a.set_label(&mut still)?;
    a.sti()?;
    a.hlt()?;
    a.test(byte_ptr(super::bda::KEYBOARD_FLAGS_2.offset()), super::bda::PAUSED as i32)?;
    a.jnz(still)?;
    a.pop(ds)?;
    a.jmp(end)?;
    a.set_label(&mut quiet)?;
    c.end_of_interrupt(false)?;
    c.asm.set_label(&mut end)?;
    c.asm.pop(ax)?;
    c.asm.iret()
}

/// INT 16h: who waits for a key halts until there was an interrupt, and asks again.
fn keyboard_services(c: &mut Code) -> Result<(), IcedError> {
    let [mut again, mut done] = [c.asm.create_label(), c.asm.create_label()];
    c.asm.set_label(&mut again)?;
    c.trap(Trap::Int16)?;
    c.asm.jnc(done)?;
    c.asm.sti()?;
    c.asm.hlt()?;
    c.asm.jmp(again)?;
    c.asm.set_label(&mut done)?;
    c.asm.iret()
}

/// INT 15h.
fn system_services(c: &mut Code) -> Result<(), IcedError> {
    let mut other = c.asm.create_label();
    c.asm.cmp(ah, 0x89)?;
    c.asm.jne(other)?;
    switch_to_protected_mode(c)?;
    c.asm.set_label(&mut other)?;
    c.waiting_service(Trap::Int15, Trap::Int15Continue)
}

/// INT 15h AH=89h: the caller's tables at ES:SI, interrupt controllers at the vectors BH and BL. IBM PC/AT
/// Technical Reference, "Switch to virtual (protected) mode".
fn switch_to_protected_mode(c: &mut Code) -> Result<(), IcedError> {
    let a = &mut c.asm;
    a.cli()?;
    // A20, and the interrupt controllers.
    a.in_(al, 0x92)?;
    a.or(al, 2)?;
    a.out(0x92, al)?;
    for (command, data, vector, wiring) in [(0x20, 0x21, bh, 4), (0xA0, 0xA1, bl, 2)] {
        a.mov(al, 0x11)?;
        a.out(command, al)?;
        a.mov(al, vector)?;
        a.out(data, al)?;
        a.mov(al, wiring)?;
        a.out(data, al)?;
        a.mov(al, 1)?;
        a.out(data, al)?;
        a.mov(al, 0xFF)?;
        a.out(data, al)?;
    }
    // Behind the null descriptor: GDT, IDT, DS, ES, SS, CS, and a place for the BIOS's own CS.
    a.mov(bp, sp)?;
    a.mov(bx, word_ptr(bp))?;
    a.mov(word_ptr(si + 0x38).es(), 0xFFFF)?;
    a.mov(word_ptr(si + 0x3A).es(), 0)?;
    a.mov(word_ptr(si + 0x3C).es(), 0x9A0F)?;
    a.mov(word_ptr(si + 0x3E).es(), 0)?;
    a.lgdt(fword_ptr(si + 8).es())?;
    a.lidt(fword_ptr(si + 0x10).es())?;
    a.mov(eax, cr0)?;
    a.or(al, 1)?;
    a.mov(cr0, eax)?;
    let [mut protected, mut go] = [a.create_label(), a.create_label()];
    a.push(0x38)?;
    a.call(go)?;
    a.jmp(protected)?;
    a.set_label(&mut go)?;
    // To the JMP above, with a code segment that the tables describe.
    a.retf()?;
    a.set_label(&mut protected)?;
    for (selector, register) in [(0x18, ds), (0x20, es), (0x28, ss)] {
        a.mov(ax, selector)?;
        a.mov(register, ax)?;
    }
    // Back to the caller, behind his INT, on his stack as the new SS describes it.
    a.add(sp, 6)?;
    a.push(0x30)?;
    a.push(bx)?;
    a.xor(ax, ax)?;
    a.retf()
}

/// INT 70h, IRQ 8.
fn clock(c: &mut Code) -> Result<(), IcedError> {
    let mut done = c.asm.create_label();
    c.trap(Trap::Int70)?;
    c.asm.jnc(done)?;
    c.asm.int(0x4A)?;
    c.asm.set_label(&mut done)?;
    c.asm.push(ax)?;
    c.end_of_interrupt(true)?;
    c.asm.pop(ax)?;
    c.asm.iret()
}

/// INT 71h, IRQ 9: what used to be IRQ 2.
fn redirected_irq2(c: &mut Code) -> Result<(), IcedError> {
    let a = &mut c.asm;
    a.push(ax)?;
    a.mov(al, 0x20)?;
    a.out(0xA0, al)?;
    a.pop(ax)?;
    a.int(0x0A)?;
    a.iret()
}

/// INT 74h, IRQ 12: calls the handler that INT 15h AX=C207h installed.
fn mouse(c: &mut Code) -> Result<(), IcedError> {
    let mut done = c.asm.create_label();
    c.asm.pusha()?;
    c.asm.push(ds)?;
    c.asm.push(es)?;
    c.trap(Trap::Int74)?;
    let a = &mut c.asm;
    a.jc(done)?;
    for register in [ax, bx, cx, dx] {
        a.push(register)?;
    }
    a.call(dword_ptr(super::bda::ebda::MOUSE_HANDLER.offset()))?;
    a.add(sp, 8)?;
    a.set_label(&mut done)?;
    a.cli()?;
    c.end_of_interrupt(true)?;
    c.asm.pop(es)?;
    c.asm.pop(ds)?;
    c.asm.popa()?;
    c.asm.iret()
}

/// INT 75h, IRQ 13: the coprocessor's error goes on as the NMI that it was on a PC.
fn coprocessor(c: &mut Code) -> Result<(), IcedError> {
    c.asm.push(ax)?;
    c.asm.xor(al, al)?;
    c.asm.out(0xF0, al)?;
    c.end_of_interrupt(true)?;
    c.asm.pop(ax)?;
    c.asm.int(0x02)?;
    c.asm.iret()
}

/// INT 19h: asks for one device after the other.
fn bootstrap(c: &mut Code) -> Result<(), IcedError> {
    let [mut again, mut none, mut halt] = std::array::from_fn(|_| c.asm.create_label());
    let mut next = c.boot_next;
    c.trap(Trap::BootFirst)?;
    c.asm.set_label(&mut next)?;
    c.asm.sti()?;
    c.trap(Trap::BootNext)?;
    c.asm.call(c.print)?;
    c.asm.set_label(&mut again)?;
    c.trap(Trap::BootDevice)?;
    c.asm.jc(none)?;
    c.asm.jz(next)?;
    c.asm.int(0x13)?;
    // Does not return if the sector can be started.
    c.trap(Trap::BootRead)?;
    c.asm.jc(again)?;
    c.asm.jmp(next)?;
    // Keys and Ctrl-Alt-Del work on.
    c.asm.set_label(&mut none)?;
    c.asm.call(c.print)?;
    c.asm.set_label(&mut halt)?;
    c.asm.sti()?;
    c.asm.hlt()?;
    c.asm.jmp(halt)
}

/// INT 18h: what was started does not want to go on; the next device follows. BIOS Boot Specification 1.01, "INT 18h".
fn boot_failed(c: &mut Code) -> Result<(), IcedError> {
    c.asm.jmp(c.boot_next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_points_lead_into_the_code() {
        let rom = image();
        assert_eq!(rom.len(), SIZE);
        assert_eq!(rom[usize::from(offset::RESET)..][..5], [0xEA, 0x5B, 0xE0, 0x00, 0xF0]);
        assert_eq!(rom[usize::from(offset::MODEL)], MODEL);
        for entry in ENTRIES {
            let at = usize::from(entry.offset);
            assert_eq!(rom[at], 0xE9, "{at:04X}h");
            let displacement = u16::from_le_bytes([rom[at + 1], rom[at + 2]]);
            let target = entry.offset.wrapping_add(3).wrapping_add(displacement);
            assert!((CODE..offset::BIOS32).contains(&target), "{at:04X}h leads to {target:04X}h");
        }
    }

    #[test]
    fn entry_points_and_tables_do_not_overlap() {
        let tables = [
            (offset::BIOS32, 16),
            (BIOS32_ENTRY, 16),
            (PCI32_ENTRY, 16),
            (APM_32, 16),
            (offset::CONFIGURATION, 10),
            (offset::BAUD_RATES, 16),
            (offset::DISKETTE_PARAMETERS, 11),
            (offset::FONT, 1024),
            (offset::IRET, 1),
            (offset::RESET, 5),
            (offset::DATE, 8),
            (offset::MODEL, 1),
        ];
        let mut places: Vec<(u16, u16)> = ENTRIES.iter().map(|e| (e.offset, 3)).chain(tables).collect();
        places.sort_unstable();
        for pair in places.windows(2) {
            assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{:04X}h and {:04X}h", pair[0].0, pair[1].0);
        }
    }

    #[test]
    fn vectors_are_where_programs_look_for_them() {
        let vectors = vectors();
        assert_eq!(vectors[0x13], Some(0xE3FE));
        assert_eq!(vectors[0x08], Some(0xFEA5));
        assert_eq!(vectors[0x1C], Some(offset::IRET));
        assert_eq!(vectors[0x67], None, "the vector of expanded memory tells that there is none");
    }
}
