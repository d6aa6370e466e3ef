//! What the entry points of the ROM do beside calling their services: the code that a processor has to execute itself.

use super::code::Code;
use crate::bios::traps::Trap;
use iced_x86::IcedError;
use iced_x86::code_asm::*;

pub(super) fn post(c: &mut Code) -> Result<(), IcedError> {
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
    write(VARIABLE_BASE_0, 0, crate::bios::post::pci::MEMORY_START | UNCACHED)?;
    write(VARIABLE_MASK_0, MASK_HIGH, crate::bios::post::pci::MEMORY_START | VALID)?;
    write(DEFAULT_TYPE, 0, ENABLED)?;
    a.set_label(&mut done)?;
    a.mov(eax, cr0)?;
    a.and(eax, !CACHE_DISABLE_AND_NOT_WRITE_THROUGH)?;
    a.mov(cr0, eax)
}

/// INT 05h, the PrtSc key: there is no printer, and the status byte says so.
pub(super) fn print_screen(c: &mut Code) -> Result<(), IcedError> {
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
pub(super) fn timer(c: &mut Code) -> Result<(), IcedError> {
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
pub(super) fn keyboard(c: &mut Code) -> Result<(), IcedError> {
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
    a.test(byte_ptr(crate::bios::bda::KEYBOARD_FLAGS_2.offset()), crate::bios::bda::PAUSED as i32)?;
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
pub(super) fn keyboard_services(c: &mut Code) -> Result<(), IcedError> {
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
pub(super) fn system_services(c: &mut Code) -> Result<(), IcedError> {
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
pub(super) fn clock(c: &mut Code) -> Result<(), IcedError> {
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
pub(super) fn redirected_irq2(c: &mut Code) -> Result<(), IcedError> {
    let a = &mut c.asm;
    a.push(ax)?;
    a.mov(al, 0x20)?;
    a.out(0xA0, al)?;
    a.pop(ax)?;
    a.int(0x0A)?;
    a.iret()
}

/// INT 74h, IRQ 12: calls the handler that INT 15h AX=C207h installed.
pub(super) fn mouse(c: &mut Code) -> Result<(), IcedError> {
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
    a.call(dword_ptr(crate::bios::bda::ebda::MOUSE_HANDLER.offset()))?;
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
pub(super) fn coprocessor(c: &mut Code) -> Result<(), IcedError> {
    c.asm.push(ax)?;
    c.asm.xor(al, al)?;
    c.asm.out(0xF0, al)?;
    c.end_of_interrupt(true)?;
    c.asm.pop(ax)?;
    c.asm.int(0x02)?;
    c.asm.iret()
}

/// INT 19h: asks for one device after the other.
pub(super) fn bootstrap(c: &mut Code) -> Result<(), IcedError> {
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
pub(super) fn boot_failed(c: &mut Code) -> Result<(), IcedError> {
    c.asm.jmp(c.boot_next)
}
