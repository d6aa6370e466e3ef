//! INT 10h AH=4Fh: VESA BIOS Extension Core Functions Standard 3.0, over the Bochs display interface.

mod list;
mod protected;

pub(super) use list::mode_numbers;
pub(super) use protected::interface as protected_interface;

use super::registers::{dispi, read_dac, read_dispi, write_dac, write_dispi};
use super::{modes, rom, saved};
use crate::bios::Call;
use crate::bios::bda;
use crate::bios::pci_functions;
use crate::platform::{Platform, Segment};
use list::Mode;

/// Answers in AX: done, failed, not in this mode.
const DONE: u16 = 0x004F;
const FAILED: u16 = 0x014F;
const NOT_NOW: u16 = 0x034F;

/// In a mode number: the linear frame buffer is used; memory is kept.
const LINEAR: u16 = 1 << 14;
const KEEP_MEMORY: u16 = 1 << 15;
/// In [`bda::VIDEO_CONTROL`]: memory was kept.
const MEMORY_KEPT: u8 = 0x80;

/// Bytes of the window at A0000h, which is also its granularity.
const WINDOW: u32 = 0x1_0000;

/// INT 10h AH=4Fh.
pub(super) fn service(call: &mut Call) {
    let result = match call.regs.al() {
        0x00 => information(call),
        0x01 => mode_information(call),
        0x02 => set_mode(call.io, call.regs.bx()),
        0x03 => {
            let mode = current_number(call.io);
            call.regs.set_bx(mode);
            Ok(())
        }
        0x04 => save_restore(call),
        0x05 => window(call),
        0x06 => line_length(call),
        0x07 => display_start(call),
        0x08 => dac_width(call),
        0x09 => palette(call),
        0x0A => protected_mode(call),
        _ => Err(FAILED),
    };
    call.regs.set_ax(result.err().unwrap_or(DONE));
}

/// The mode that the display interface shows.
fn current(io: &mut dyn Platform) -> Option<Mode> {
    if read_dispi(io, dispi::ENABLE) & dispi::ENABLED == 0 {
        return None;
    }
    let [width, height, bits] =
        [dispi::X_RESOLUTION, dispi::Y_RESOLUTION, dispi::BITS_PER_PIXEL].map(|r| read_dispi(io, r));
    list::find_by_size(width, height, bits as u8)
}

/// As function 02h took it.
fn current_number(io: &mut dyn Platform) -> u16 {
    let kept = if bda::VIDEO_CONTROL.get(io) & MEMORY_KEPT != 0 { KEEP_MEMORY } else { 0 };
    match current(io) {
        Some(mode) => {
            let linear = read_dispi(io, dispi::ENABLE) & dispi::LINEAR != 0;
            mode.number | kept | if linear { LINEAR } else { 0 }
        }
        None => kept | u16::from(bda::VIDEO_MODE.get(io)),
    }
}

/// Bytes of video memory.
fn memory_size(io: &mut dyn Platform) -> u32 {
    u32::from(read_dispi(io, dispi::MEMORY_64K)) << 16
}

/// Where the linear frame buffer is: the first base address register of the display.
fn frame_buffer(io: &mut dyn Platform) -> u32 {
    const DISPLAY: u32 = 0x03_0000;
    const BAR_0: u8 = 0x10;
    let display = pci_functions(io).into_iter().find(|function| function.class(io) == DISPLAY);
    display.map_or(0, |function| function.read32(io, BAR_0) & !0xF)
}

/// Function 00h: the controller, 256 bytes at ES:DI, or 512 for who asks for version 2.
fn information(call: &mut Call) -> Result<(), u16> {
    let at = call.es_at(call.regs.di());
    let asks_for_2 = call.get::<u32>(at).to_le_bytes() == *b"VBE2";
    let far = |offset: u16| (u32::from(rom::SEGMENT) << 16 | u32::from(offset)).to_le_bytes();
    let mut block = [0; 256];
    block[..4].copy_from_slice(b"VESA");
    block[4..6].copy_from_slice(&0x0300u16.to_le_bytes());
    block[6..10].copy_from_slice(&far(rom::offset::OEM));
    // The DAC can have 8 bits for a part of a colour.
    block[10] = 0x01;
    block[14..18].copy_from_slice(&far(rom::offset::VBE_MODES));
    let units = read_dispi(call.io, dispi::MEMORY_64K);
    block[18..20].copy_from_slice(&units.to_le_bytes());
    if asks_for_2 {
        block[20..22].copy_from_slice(&0x0100u16.to_le_bytes());
        for pointer in [22, 26, 30] {
            block[pointer..pointer + 4].copy_from_slice(&far(rom::offset::OEM));
        }
    }
    call.io.write(at, &block);
    Ok(())
}

/// Function 01h: a mode, 256 bytes at ES:DI.
fn mode_information(call: &mut Call) -> Result<(), u16> {
    let mode = list::find(call.regs.cx() & 0x1FF).ok_or(FAILED)?;
    let frame_buffer = frame_buffer(call.io);
    let memory = memory_size(call.io);
    let at = call.es_at(call.regs.di());
    call.io.write(at, &mode.information(frame_buffer, memory, WINDOW));
    Ok(())
}

/// Function 02h.
fn set_mode(io: &mut dyn Platform, request: u16) -> Result<(), u16> {
    let number = request & 0x1FF;
    if number < 0x100 {
        modes::find(number as u8).ok_or(FAILED)?;
        let keep = if request & KEEP_MEMORY != 0 { MEMORY_KEPT } else { 0 };
        modes::set(io, number as u8 | keep);
        return Ok(());
    }
    let mode = list::find(number).ok_or(FAILED)?;
    if mode.bytes() > memory_size(io) {
        return Err(FAILED);
    }
    // The VGA beneath, so that its registers fit and the DAC has colours; what it would clear is not shown.
    modes::set(io, 0x13 | 0x80);
    for (register, value) in [
        (dispi::X_RESOLUTION, mode.width),
        (dispi::Y_RESOLUTION, mode.height),
        (dispi::BITS_PER_PIXEL, mode.bits.into()),
    ] {
        write_dispi(io, register, value);
    }
    let linear = if request & LINEAR != 0 { dispi::LINEAR } else { 0 };
    let keep = if request & KEEP_MEMORY != 0 { dispi::KEEP_MEMORY } else { 0 };
    write_dispi(io, dispi::ENABLE, dispi::ENABLED | linear | keep);
    set_data(io, mode, request & KEEP_MEMORY != 0);
    Ok(())
}

/// What the data area says of a mode that the VGA does not have: so many characters would fit, but none are drawn.
fn set_data(io: &mut dyn Platform, mode: Mode, kept: bool) {
    const NO_VGA_MODE: u8 = 0x7F;
    const CHARACTER: (u16, u16) = (8, 16);
    bda::VIDEO_MODE.set(io, NO_VGA_MODE);
    bda::VIDEO_COLUMNS.set(io, mode.width / CHARACTER.0);
    bda::VIDEO_ROWS.set(io, (mode.height / CHARACTER.1).saturating_sub(1) as u8);
    bda::CHARACTER_HEIGHT.set(io, CHARACTER.1);
    bda::VIDEO_CONTROL.change(io, MEMORY_KEPT, if kept { MEMORY_KEPT } else { 0 });
}

/// The registers of the display interface that are saved.
const SAVED_REGISTERS: [u16; 8] = [
    dispi::X_RESOLUTION,
    dispi::Y_RESOLUTION,
    dispi::BITS_PER_PIXEL,
    dispi::ENABLE,
    dispi::BANK,
    dispi::VIRTUAL_WIDTH,
    dispi::X_OFFSET,
    dispi::Y_OFFSET,
];

/// Function 04h: the VGA's state, and in bit 3 of CX the display interface's.
fn save_restore(call: &mut Call) -> Result<(), u16> {
    const REGISTERS: u16 = 8;
    let what = call.regs.cx();
    let own = if what & REGISTERS != 0 { SAVED_REGISTERS.len() * 2 } else { 0 };
    let at = call.es_at(call.regs.bx());
    match call.regs.dl() {
        0 => call.regs.set_bx((saved::size(what) + own).div_ceil(64) as u16),
        1 => {
            let mut bytes = saved::save(call.io, what);
            if own != 0 {
                let values = SAVED_REGISTERS.map(|register| read_dispi(call.io, register).to_le_bytes());
                bytes.extend(values.as_flattened());
            }
            call.io.write(at, &bytes);
        }
        2 => {
            let bytes = call.io.bytes(at, saved::size(what) + own);
            let (vga, registers) = bytes.split_at(saved::size(what));
            // A mode of the display interface hides the VGA's.
            write_dispi(call.io, dispi::ENABLE, 0);
            saved::restore(call.io, what, vga);
            for (register, value) in SAVED_REGISTERS.into_iter().zip(registers.as_chunks::<2>().0) {
                let keep = if register == dispi::ENABLE { dispi::KEEP_MEMORY } else { 0 };
                write_dispi(call.io, register, u16::from_le_bytes(*value) | keep);
            }
        }
        _ => return Err(FAILED),
    }
    Ok(())
}

/// Function 05h: the window's place, in units of its size.
fn window(call: &mut Call) -> Result<(), u16> {
    const READ: u8 = 1;
    current(call.io).ok_or(NOT_NOW)?;
    let [function, window] = call.regs.bx().to_be_bytes();
    if window != 0 || function > READ {
        return Err(FAILED);
    }
    if function == READ {
        let bank = read_dispi(call.io, dispi::BANK);
        call.regs.set_dx(bank);
        return Ok(());
    }
    let bank = call.regs.dx();
    write_dispi(call.io, dispi::BANK, bank);
    if read_dispi(call.io, dispi::BANK) == bank { Ok(()) } else { Err(FAILED) }
}

/// Function 06h: the length of a line, in pixels or bytes.
fn line_length(call: &mut Call) -> Result<(), u16> {
    let mode = current(call.io).ok_or(NOT_NOW)?;
    let pixel = mode.bytes_per_pixel();
    let memory = memory_size(call.io);
    match call.regs.bl() {
        0 | 2 => {
            let wanted = u32::from(call.regs.cx());
            let pixels = if call.regs.bl() == 0 { wanted } else { wanted.div_ceil(pixel) };
            let pixels = u16::try_from(pixels).map_err(|_| FAILED)?;
            if pixels < mode.width {
                return Err(FAILED);
            }
            write_dispi(call.io, dispi::VIRTUAL_WIDTH, pixels);
            if read_dispi(call.io, dispi::VIRTUAL_WIDTH) != pixels {
                return Err(FAILED);
            }
        }
        1 => {}
        3 => {
            let longest = (memory / u32::from(mode.height) / pixel).min(0xFFFF);
            call.regs.set_bx((longest * pixel).min(0xFFFF) as u16);
            call.regs.set_cx(longest as u16);
            call.regs.set_dx(mode.height);
            return Ok(());
        }
        _ => return Err(FAILED),
    }
    let pixels = read_dispi(call.io, dispi::VIRTUAL_WIDTH);
    let lines = read_dispi(call.io, dispi::VIRTUAL_HEIGHT);
    call.regs.set_bx((u32::from(pixels) * pixel).min(0xFFFF) as u16);
    call.regs.set_cx(pixels);
    call.regs.set_dx(lines);
    Ok(())
}

/// Function 07h: the first pixel that is shown.
fn display_start(call: &mut Call) -> Result<(), u16> {
    current(call.io).ok_or(NOT_NOW)?;
    match call.regs.bl() {
        // At once, or during vertical retrace.
        0x00 | 0x80 => {
            let (x, y) = (call.regs.cx(), call.regs.dx());
            write_dispi(call.io, dispi::X_OFFSET, x);
            write_dispi(call.io, dispi::Y_OFFSET, y);
            let set = read_dispi(call.io, dispi::X_OFFSET) == x && read_dispi(call.io, dispi::Y_OFFSET) == y;
            if set { Ok(()) } else { Err(FAILED) }
        }
        0x01 => {
            let x = read_dispi(call.io, dispi::X_OFFSET);
            let y = read_dispi(call.io, dispi::Y_OFFSET);
            call.regs.set_bh(0);
            call.regs.set_cx(x);
            call.regs.set_dx(y);
            Ok(())
        }
        _ => Err(FAILED),
    }
}

/// Function 08h: bits of a part of a colour in the DAC, 6 or 8.
fn dac_width(call: &mut Call) -> Result<(), u16> {
    let mode = current(call.io).ok_or(NOT_NOW)?;
    if mode.bits > 8 {
        return Err(NOT_NOW);
    }
    let enable = read_dispi(call.io, dispi::ENABLE) | dispi::KEEP_MEMORY;
    match call.regs.bl() {
        0 => {
            let wide = call.regs.bh() >= 8;
            let width = if wide { dispi::EIGHT_BIT_DAC } else { 0 };
            write_dispi(call.io, dispi::ENABLE, enable & !dispi::EIGHT_BIT_DAC | width);
            call.regs.set_bh(if wide { 8 } else { 6 });
        }
        1 => call.regs.set_bh(if enable & dispi::EIGHT_BIT_DAC != 0 { 8 } else { 6 }),
        _ => return Err(FAILED),
    }
    Ok(())
}

/// Function 09h: colours as blue, green, red and a byte that does not count, at ES:DI.
fn palette(call: &mut Call) -> Result<(), u16> {
    let regs = call.regs;
    let (count, first) = (regs.cx(), regs.dx());
    if count > 256 || first > 255 {
        return Err(FAILED);
    }
    let at = call.es_at(regs.di());
    for n in 0..count {
        let index = first.wrapping_add(n) as u8;
        let place = at.wrapping_add(u32::from(n) * 4);
        match regs.bl() {
            // At once, or during vertical retrace.
            0x00 | 0x80 => {
                let [blue, green, red, _] = call.get::<u32>(place).to_le_bytes();
                write_dac(call.io, index, [red, green, blue]);
            }
            0x01 => {
                let [red, green, blue] = read_dac(call.io, index);
                call.put(place, u32::from_le_bytes([blue, green, red, 0]));
            }
            _ => return Err(FAILED),
        }
    }
    Ok(())
}

/// Function 0Ah: where the protected-mode interface is.
fn protected_mode(call: &mut Call) -> Result<(), u16> {
    if call.regs.bl() != 0 {
        return Err(FAILED);
    }
    let length = protected::interface().map_err(|_| FAILED)?.len();
    call.regs.es = Segment::real(rom::SEGMENT);
    call.regs.set_di(rom::offset::VBE_PROTECTED);
    call.regs.set_cx(length as u16);
    Ok(())
}
