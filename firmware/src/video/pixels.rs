//! INT 10h AH=0Ch and 0Dh, and characters in graphics modes. IBM PS/2 Hardware Interface Technical Reference, "Video
//! Subsystem", "Write Modes".

use super::modes::{self, Memory, Mode};
use super::registers::{self, GRAPHICS, SEQUENCER};
use crate::bios::Call;
use crate::bios::bda;
use crate::platform::Platform;

/// A rectangle of characters, its edges included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub top: u8,
    pub left: u8,
    pub bottom: u8,
    pub right: u8,
}

/// In a colour: it is combined with what is there by exclusive or.
const XOR: u8 = 0x80;

/// Registers of the graphics controller.
mod register {
    pub const FUNCTION: u8 = 3;
    pub const READ_MAP: u8 = 4;
    pub const MODE: u8 = 5;
    pub const BIT_MASK: u8 = 8;
}

/// Bytes from line to line.
fn pitch(mode: &Mode) -> u32 {
    match mode.memory {
        Memory::Linear => u32::from(mode.columns) * 8,
        // 80 bytes, whatever a pixel takes.
        Memory::Cga(_) => 80,
        _ => mode.columns.into(),
    }
}

fn start(io: &mut dyn Platform, mode: &Mode, page: u8) -> u32 {
    let base = u32::from(mode.segment) << 4;
    match mode.memory {
        Memory::Planar => base + u32::from(bda::VIDEO_PAGE_SIZE.get(io)) * u32::from(page & 7),
        // One page.
        _ => base,
    }
}

/// The address of a line's first byte.
fn line_start(mode: &Mode, page_start: u32, line: u32) -> u32 {
    match mode.memory {
        // Odd lines are 8 KiB further on.
        Memory::Cga(_) => page_start + (line / 2) * pitch(mode) + (line % 2) * 0x2000,
        _ => page_start + line * pitch(mode),
    }
}

/// Draws through write mode 2, with a colour for each plane, while `draw` runs.
fn with_planes(io: &mut dyn Platform, xor: bool, draw: impl FnOnce(&mut dyn Platform)) {
    const WRITE_MODE_2: u8 = 0x02;
    const FUNCTION_XOR: u8 = 0x18;
    registers::write(io, SEQUENCER, 2, 0x0F);
    registers::write(io, GRAPHICS, register::MODE, WRITE_MODE_2);
    registers::write(io, GRAPHICS, register::FUNCTION, if xor { FUNCTION_XOR } else { 0 });
    draw(io);
    registers::write(io, GRAPHICS, register::BIT_MASK, 0xFF);
    registers::write(io, GRAPHICS, register::FUNCTION, 0);
    registers::write(io, GRAPHICS, register::MODE, 0);
}

/// Gives the dots of `mask` in one byte of all planes a colour.
fn put_planes(io: &mut dyn Platform, at: u32, mask: u8, colour: u8) {
    registers::write(io, GRAPHICS, register::BIT_MASK, mask);
    // The read fills the latches with the dots that stay.
    io.get::<u8>(at);
    io.put(at, colour & 0x0F);
}

/// Changes the pixels of a byte in one of the CGA's modes: those of `mask` become `value`.
fn put_cga(io: &mut dyn Platform, at: u32, mask: u8, value: u8, xor: bool) {
    let before: u8 = io.get(at);
    let after = if xor { before ^ value & mask } else { before & !mask | value & mask };
    io.put(at, after);
}

/// A pixel's place.
struct Place {
    at: u32,
    /// How far its bits are from the lowest, and how many values it has.
    shift: u8,
    mask: u8,
}

fn place(mode: &Mode, page_start: u32, x: u32, y: u32) -> Option<Place> {
    let width = u32::from(mode.columns) * 8;
    let height = u32::from(mode.rows) * u32::from(mode.character_height);
    if x >= width || y >= height {
        return None;
    }
    let line = line_start(mode, page_start, y);
    Some(match mode.memory {
        Memory::Text => return None,
        Memory::Linear => Place { at: line + x, shift: 0, mask: 0xFF },
        Memory::Planar => Place { at: line + x / 8, shift: 7 - (x % 8) as u8, mask: 1 },
        Memory::Cga(bits) => {
            let per_byte = 8 / u32::from(bits);
            let shift = (per_byte - 1 - x % per_byte) as u8 * bits;
            Place { at: line + x / per_byte, shift, mask: (1 << bits) - 1 }
        }
    })
}

/// AH=0Ch.
pub(super) fn write(call: &mut Call) {
    let Some(mode) = modes::current(call.io) else { return };
    let regs = call.regs;
    let start = start(call.io, &mode, regs.bh());
    let Some(place) = place(&mode, start, regs.cx().into(), regs.dx().into()) else { return };
    let colour = regs.al();
    match mode.memory {
        Memory::Linear => call.io.put(place.at, colour),
        Memory::Planar => with_planes(call.io, colour & XOR != 0, |io| {
            put_planes(io, place.at, place.mask << place.shift, colour);
        }),
        _ => {
            let value = (colour & place.mask) << place.shift;
            put_cga(call.io, place.at, place.mask << place.shift, value, colour & XOR != 0);
        }
    }
}

/// AH=0Dh.
pub(super) fn read(call: &mut Call) {
    let Some(mode) = modes::current(call.io) else { return };
    let regs = call.regs;
    let start = start(call.io, &mode, regs.bh());
    let Some(place) = place(&mode, start, regs.cx().into(), regs.dx().into()) else { return };
    let colour = if mode.memory == Memory::Planar {
        (0..4).rev().fold(0, |colour, plane| {
            registers::write(call.io, GRAPHICS, register::READ_MAP, plane);
            colour << 1 | call.get::<u8>(place.at) >> place.shift & 1
        })
    } else {
        call.get::<u8>(place.at) >> place.shift & place.mask
    };
    call.regs.set_al(colour);
}

/// The rows of a character in the font that graphics modes use: INT 43h, and in the CGA's modes INT 1Fh for the
/// upper half.
fn glyph(io: &mut dyn Platform, mode: &Mode, character: u8) -> Vec<u8> {
    let height = usize::from(mode.character_height);
    let upper_half = character >= 0x80 && matches!(mode.memory, Memory::Cga(_));
    let (vector, index) = if upper_half { (0x1F, character - 0x80) } else { (0x43, character) };
    let font = far(io.get(vector * 4));
    io.bytes(font.wrapping_add(u32::from(index) * height as u32), height)
}

const fn far(pointer: u32) -> u32 {
    (pointer >> 16 << 4) + (pointer & 0xFFFF)
}

/// The dots of a row, each as `bits` bits of a value that has them all set.
fn spread(row: u8, bits: u8) -> u16 {
    (0..8).rev().fold(0, |spread, bit| {
        let dot = if row >> bit & 1 != 0 { (1u16 << bits) - 1 } else { 0 };
        spread << bits | dot
    })
}

/// Draws a character.
pub(super) fn draw_character(
    io: &mut dyn Platform,
    mode: &Mode,
    page: u8,
    row: u8,
    column: u8,
    character: u8,
    colour: u8,
) {
    if row >= mode.rows || column >= mode.columns {
        return;
    }
    let glyph = glyph(io, mode, character);
    let start = start(io, mode, page);
    let first = u32::from(row) * u32::from(mode.character_height);
    let xor = colour & XOR != 0;
    let lines = (first..).zip(glyph);
    match mode.memory {
        Memory::Text => {}
        Memory::Linear => {
            for (line, dots) in lines {
                let at = line_start(mode, start, line) + u32::from(column) * 8;
                let pixels: [u8; 8] = std::array::from_fn(|n| if dots & 0x80 >> n != 0 { colour } else { 0 });
                io.write(at, &pixels);
            }
        }
        Memory::Planar => with_planes(io, xor, |io| {
            for (line, dots) in lines {
                let at = line_start(mode, start, line) + u32::from(column);
                put_planes(io, at, dots, colour);
                if !xor {
                    put_planes(io, at, !dots, 0);
                }
            }
        }),
        Memory::Cga(bits) => {
            let value = (0..8 / bits).fold(0, |v: u8, _| v << bits | colour & ((1 << bits) - 1));
            for (line, dots) in lines {
                let at = line_start(mode, start, line) + u32::from(column) * u32::from(bits);
                let spread = spread(dots, bits);
                let bytes = spread.to_be_bytes();
                for (n, mask) in (0..).zip(&bytes[2 - usize::from(bits)..]) {
                    let value = value & mask;
                    put_cga(io, at + n, if xor { *mask } else { 0xFF }, value, xor);
                }
            }
        }
    }
}

/// The dots of the eight pixels of a character's line that are not black.
fn read_dots(io: &mut dyn Platform, mode: &Mode, at: u32) -> u8 {
    match mode.memory {
        Memory::Text => 0,
        Memory::Linear => {
            let pixels = io.bytes(at, 8);
            pixels.iter().fold(0, |dots, pixel| dots << 1 | u8::from(*pixel != 0))
        }
        Memory::Planar => (0..4).fold(0, |dots, plane| {
            registers::write(io, GRAPHICS, register::READ_MAP, plane);
            dots | io.get::<u8>(at)
        }),
        Memory::Cga(1) => io.get(at),
        Memory::Cga(_) => {
            let pixels = u16::from_be(io.get(at));
            (0..8).fold(0, |dots, n| dots << 1 | u8::from(pixels >> (14 - 2 * n) & 3 != 0))
        }
    }
}

/// The character whose picture is at a place, or zero.
pub(super) fn read_character(io: &mut dyn Platform, mode: &Mode, page: u8, row: u8, column: u8) -> u8 {
    if row >= mode.rows || column >= mode.columns {
        return 0;
    }
    let start = start(io, mode, page);
    let first = u32::from(row) * u32::from(mode.character_height);
    let bytes_in_line = match mode.memory {
        Memory::Linear => 8,
        Memory::Cga(bits) => bits.into(),
        _ => 1,
    };
    let picture: Vec<u8> = (first..first + u32::from(mode.character_height))
        .map(|line| read_dots(io, mode, line_start(mode, start, line) + u32::from(column) * bytes_in_line))
        .collect();
    // A blank looks like several characters; the space is meant.
    let candidates = [b' '].into_iter().chain(1..=255);
    candidates.into_iter().find(|character| glyph(io, mode, *character) == picture).unwrap_or(0)
}

/// Moves the lines of a region up or down by characters and fills what becomes free.
pub(super) fn scroll(
    io: &mut dyn Platform,
    mode: &Mode,
    page: u8,
    region: Region,
    rows: u8,
    down: bool,
    colour: u8,
) {
    if region.bottom >= mode.rows || region.right >= mode.columns {
        return;
    }
    let start = start(io, mode, page);
    let height = u32::from(mode.character_height);
    let (top, bottom) = (u32::from(region.top) * height, (u32::from(region.bottom) + 1) * height);
    let by = u32::from(rows) * height;
    let bytes_in_character = match mode.memory {
        Memory::Linear => 8,
        Memory::Cga(bits) => u32::from(bits),
        _ => 1,
    };
    let left = u32::from(region.left) * bytes_in_character;
    let width = u32::from(region.right - region.left + 1) * bytes_in_character;
    let lines = (bottom - top) as usize;
    let order: Vec<u32> = if down { (top..bottom).rev().collect() } else { (top..bottom).collect() };
    let moved = lines - by as usize;
    let address = |line: u32| line_start(mode, start, line) + left;
    if mode.memory == Memory::Planar {
        copy_through_latches(io, &order[..moved], down, by, width, address);
        with_planes(io, false, |io| {
            for line in &order[moved..] {
                for n in 0..width {
                    put_planes(io, address(*line) + n, 0xFF, colour);
                }
            }
        });
        return;
    }
    for line in &order[..moved] {
        let from = if down { line - by } else { line + by };
        let bytes = io.bytes(address(from), width as usize);
        io.write(address(*line), &bytes);
    }
    let fill = match mode.memory {
        Memory::Cga(bits) => (0..8 / bits).fold(0, |v: u8, _| v << bits | colour & ((1 << bits) - 1)),
        _ => colour,
    };
    for line in &order[moved..] {
        io.fill(address(*line), width, fill);
    }
}

/// Copies lines with all four planes at once: a read fills the latches, a write in write mode 1 empties them.
fn copy_through_latches(
    io: &mut dyn Platform,
    lines: &[u32],
    down: bool,
    by: u32,
    width: u32,
    address: impl Fn(u32) -> u32,
) {
    const WRITE_MODE_1: u8 = 0x01;
    registers::write(io, SEQUENCER, 2, 0x0F);
    registers::write(io, GRAPHICS, register::MODE, WRITE_MODE_1);
    for line in lines {
        let from = if down { line - by } else { line + by };
        for n in 0..width {
            io.get::<u8>(address(from) + n);
            io.put(address(*line) + n, 0u8);
        }
    }
    registers::write(io, GRAPHICS, register::MODE, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_dots_spread_to_pixels() {
        assert_eq!(spread(0b1010_0001, 1), 0b1010_0001);
        assert_eq!(spread(0b1010_0001, 2), 0b1100_1100_0000_0011);
    }

    #[test]
    fn places_of_pixels() {
        let cga = modes::find(0x04).unwrap();
        let p = place(&cga, 0xB_8000, 5, 3).unwrap();
        assert_eq!((p.at, p.shift, p.mask), (0xB_8000 + 0x2000 + 80 + 1, 4, 3));
        let vga = modes::find(0x12).unwrap();
        let p = place(&vga, 0xA_0000, 9, 2).unwrap();
        assert_eq!((p.at, p.shift, p.mask), (0xA_0000 + 161, 6, 1));
        assert!(place(&vga, 0xA_0000, 640, 0).is_none() && place(&vga, 0xA_0000, 0, 480).is_none());
    }
}
