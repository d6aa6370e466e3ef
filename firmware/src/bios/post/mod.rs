//! Power-on: from the reset vector to the first boot device. IBM PC/AT Technical Reference, "Power-On Self-Test".

pub(crate) mod pci;
mod resume;
pub(super) mod roms;
mod shadow;
mod tables;
mod text;

use super::bda::{self, ebda};
use super::call::Call;
use super::hardware::cmos::{self, address};
use super::hardware::{apic, keyboard_controller as controller, pic};
use super::int13::{self, el_torito, floppy};
use super::int15::{self, mouse};
use super::memory_map::CONVENTIONAL_END;
use super::{keyboard, rom, serial, time};
use crate::platform::{Platform, Segment};

/// The stack of the power-on code, below where boot sectors go.
const STACK: u32 = 0x7C00;

/// The first part: what option ROMs may count on. Or no power-on at all, but a program's way back from protected
/// mode.
pub(super) fn start(call: &mut Call) {
    let reason = cmos::read(call.io, address::SHUTDOWN);
    cmos::write(call.io, address::SHUTDOWN, 0);
    if resume::resume(call, reason) {
        return;
    }
    let io = &mut *call.io;
    int15::set_a20(io, true);
    // The keyboard controller's gate suffices: the other can then be used by itself.
    let port_a = io.in8(0x92) & !0b11;
    io.out8(0x92, port_a);
    shadow::open(io);
    pic::initialise(io);
    initialise_dma(io);
    time::initialise_timer(io);
    // 1024 Hz, 24 hours, BCD, no interrupts; an old one is dropped.
    cmos::write(io, address::STATUS_A, 0x26);
    cmos::write(io, address::STATUS_B, 0x02);
    cmos::read(io, address::STATUS_C);
    initialise_data(io);
    pci::assign(io);
    roms::shadow(io);
    let has_keyboard = controller::initialise(io);
    // An enhanced keyboard.
    bda::KEYBOARD_FLAGS_3.set(io, if has_keyboard { 0x10 } else { 0 });
    let ports = serial::initialise(io);
    let has_mouse = mouse::is_present(io);
    let equipment = equipment(floppy::count(io), ports, has_mouse);
    bda::EQUIPMENT.set(io, equipment);
    let ticks = time::ticks_of_clock(io);
    bda::TICKS.set(io, ticks);
    call.regs.ss = Segment::real(0);
    call.regs.esp = STACK;
}

/// The last part: drives, tables, and what is to be seen of it. EAX and EDX are what CPUID function 1 gives.
pub(super) fn ready(call: &mut Call) {
    let (signature, features) = (call.regs.eax, call.regs.edx);
    let io = &mut *call.io;
    floppy::initialise(io);
    int13::initialise(io);
    int13::install(io);
    roms::seal(io);
    if features & apic::FEATURE != 0 {
        apic::initialise(io);
    }
    tables::install(io, signature, features);
    shadow::close(io);
    for line in [0, 1, 14, 15] {
        pic::unmask(io, line);
    }
    bda::RESET_FLAG.set(io, 0);
    text::prepare(io);
}

/// INT 11h: a coprocessor, a display in mode 3, and what was found.
fn equipment(floppies: u8, serial_ports: u16, has_mouse: bool) -> u16 {
    const COPROCESSOR: u16 = 1 << 1;
    const MOUSE: u16 = 1 << 2;
    const COLOUR_80_COLUMNS: u16 = 2 << 4;
    let drives = match floppies {
        0 => 0,
        n => 1 | (u16::from(n) - 1) << 6,
    };
    let mouse = if has_mouse { MOUSE } else { 0 };
    COPROCESSOR | COLOUR_80_COLUMNS | mouse | drives | serial_ports << 9
}

/// Interrupt vectors and data areas.
fn initialise_data(io: &mut dyn Platform) {
    for (vector, offset) in (0u32..).zip(rom::vectors()) {
        let pointer = offset.map_or(0, |offset| u32::from(rom::SEGMENT) << 16 | u32::from(offset));
        io.put(vector * 4, pointer);
    }
    for vector in 0x78..0x100u32 {
        io.put(vector * 4, 0u32);
    }
    // Diskette parameters.
    io.put(0x1E * 4, u32::from(rom::SEGMENT) << 16 | u32::from(rom::offset::DISKETTE_PARAMETERS));
    let warm = bda::RESET_FLAG.get(io);
    io.fill(bda::BASE, bda::SIZE, 0);
    bda::RESET_FLAG.set(io, warm);
    io.fill(CONVENTIONAL_END, ebda::SIZE, 0);
    bda::EBDA_SEGMENT.set(io, (CONVENTIONAL_END >> 4) as u16);
    ebda::SIZE_KIB.set(io, (ebda::SIZE >> 10) as u8);
    bda::MEMORY_SIZE.set(io, (CONVENTIONAL_END >> 10) as u16);
    keyboard::initialise(io);
    el_torito::forget(io);
    for printer in 0..3 {
        bda::PRINTER_TIMEOUTS.nth(printer).set(io, 20);
    }
}

/// Clears the DMA controllers and cascades them.
fn initialise_dma(io: &mut dyn Platform) {
    const MASTER_CLEAR: [u16; 2] = [0x0D, 0xDA];
    const MODE_2: u16 = 0xD6;
    const MASK_2: u16 = 0xD4;
    const CASCADE: u8 = 0xC0;
    for port in MASTER_CLEAR {
        io.out8(port, 0);
    }
    io.out8(MODE_2, CASCADE);
    io.out8(MASK_2, 0);
}
