//! The display's BIOS: INT 10h of an IBM VGA, and the VESA BIOS extensions over the Bochs display interface.
//!
//! IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 10h - Video"; VESA BIOS Extension Core Functions
//! Standard 3.0. It is an option ROM: any BIOS can use it.

mod cursor;
pub(crate) mod font;
mod fonts;
mod information;
mod modes;
mod palette;
mod pixels;
mod registers;
mod rom;
mod saved;
mod screen;
mod vbe;

pub use rom::image as rom;

use crate::bios::Call;
use crate::bios::bda;
use crate::platform::Platform;

/// The initialisation of the ROM: takes INT 10h over and sets mode 3.
pub(crate) fn initialise(call: &mut Call) {
    let io = &mut *call.io;
    let segment = u32::from(rom::SEGMENT) << 16;
    // The display service of the BIOS moves to INT 42h.
    let previous: u32 = io.get(0x10 * 4);
    io.put(0x42 * 4, previous);
    for (vector, offset) in [
        (0x10, rom::offset::INT_10),
        (0x6D, rom::offset::INT_10),
        (0x1D, rom::offset::PARAMETERS),
        (0x1F, rom::offset::FONT_8 + 128 * 8),
        (0x43, rom::offset::FONT_16),
    ] {
        io.put(vector * 4, segment | u32::from(offset));
    }
    bda::VIDEO_SAVE_POINTER.set(io, segment | u32::from(rom::offset::SAVE_POINTERS));
    // A colour display with 80 columns; text has 400 lines.
    bda::VIDEO_CONTROL.set(io, 0x60);
    bda::VIDEO_SWITCHES.set(io, 0xF9);
    bda::VIDEO_MODE_CONTROL.set(io, 0x11);
    bda::DISPLAY_COMBINATION.set(io, information::VGA_WITH_COLOUR_DISPLAY);
    modes::set(io, 0x03);
}

/// INT 10h.
pub(crate) fn service(call: &mut Call) {
    match call.regs.ah() {
        0x00 => {
            let number = call.regs.al();
            modes::set(call.io, number);
            // As later BIOSes answer.
            call.regs.set_al(match number & 0x7F {
                0x06 => 0x3F,
                0x00..=0x07 => 0x30,
                _ => 0x20,
            });
        }
        0x01 => cursor::set_shape(call.io, call.regs.cx()),
        0x02 => cursor::set_position(call.io, call.regs.bh(), call.regs.dx()),
        0x03 => {
            let position = cursor::position(call.io, call.regs.bh());
            let shape = bda::CURSOR_SHAPE.get(call.io);
            call.regs.set_cx(shape);
            call.regs.set_dx(position);
        }
        // There is no light pen.
        0x04 => call.regs.set_ah(0),
        0x05 => screen::select_page(call.io, call.regs.al()),
        0x06 | 0x07 => screen::scroll(call),
        0x08 => screen::read_character(call),
        0x09 | 0x0A => screen::write_characters(call),
        0x0B => palette::cga_service(call),
        0x0C => pixels::write(call),
        0x0D => pixels::read(call),
        0x0E => screen::teletype(call.io, call.regs.al(), call.regs.bl()),
        0x0F => {
            let kept = bda::VIDEO_CONTROL.get(call.io) & 0x80;
            let mode = bda::VIDEO_MODE.get(call.io) | kept;
            let columns = bda::VIDEO_COLUMNS.get(call.io) as u8;
            let page = bda::VIDEO_PAGE.get(call.io);
            call.regs.set_ax(u16::from_be_bytes([columns, mode]));
            call.regs.set_bh(page);
        }
        0x10 => palette::service(call),
        0x11 => fonts::service(call),
        0x12 => information::alternate_select(call),
        0x13 => screen::write_string(call),
        0x1A => information::display_combination(call),
        0x1B => information::functionality(call),
        0x1C => saved::service(call),
        0x4F => vbe::service(call),
        _ => {}
    }
}

/// The display's registers are the colour or the monochrome ones.
fn crtc_port(io: &mut dyn Platform) -> u16 {
    match bda::CRTC_PORT.get(io) {
        registers::MONO_CRTC => registers::MONO_CRTC,
        _ => registers::COLOUR_CRTC,
    }
}
