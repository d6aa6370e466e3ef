//! INT 10h AH=11h: fonts of text and graphics modes. IBM PS/2 and PC BIOS Interface Technical Reference, "Character
//! generator".

use super::modes::Memory;
use super::registers::{self, GRAPHICS, SEQUENCER};
use super::{crtc_port, cursor, font, modes, rom};
use crate::bios::Call;
use crate::bios::bda;
use crate::platform::{Platform, Segment};

/// Bytes that a character takes in font memory.
const SLOT: u32 = 32;

/// The rows of all characters of a font of ours.
fn rows_of(height: u8) -> &'static [u8] {
    match height {
        8 => font::small(),
        14 => font::medium(),
        _ => font::tall(),
    }
}

/// Loads our font of this height into `block` (0 to 7).
pub(super) fn load_rom_font(io: &mut dyn Platform, height: u8, block: u8) {
    load(io, height, 0, rows_of(height), block);
}

/// Loads characters of `height` rows, from number `first` on, into plane 2.
fn load(io: &mut dyn Platform, height: u8, first: u16, rows: &[u8], block: u8) {
    // While plane 2 alone can be reached, as plain memory at A0000h.
    const ACCESS: [(u16, u8, u8); 5] = [
        (SEQUENCER, 2, 0x04),
        (SEQUENCER, 4, 0x07),
        (GRAPHICS, 4, 0x02),
        (GRAPHICS, 5, 0x00),
        (GRAPHICS, 6, 0x04),
    ];
    let saved = ACCESS.map(|(port, index, _)| registers::read(io, port, index));
    for (port, index, value) in ACCESS {
        registers::write(io, port, index, value);
    }
    let base = 0xA_0000 + u32::from(block & 3) * 0x4000 + u32::from(block >> 2 & 1) * 0x2000;
    for (n, character) in (u32::from(first)..256).zip(rows.chunks(usize::from(height.max(1)))) {
        let mut slot = [0; SLOT as usize];
        let height = character.len().min(slot.len());
        slot[..height].copy_from_slice(&character[..height]);
        io.write(base + n * SLOT, &slot);
    }
    for ((port, index, _), value) in ACCESS.into_iter().zip(saved) {
        registers::write(io, port, index, value);
    }
}

/// Makes characters `height` lines high: as many rows as fit into the lines of the display.
fn set_height(io: &mut dyn Platform, height: u8) {
    let Some(mode) = modes::current(io).filter(|mode| mode.memory == Memory::Text) else { return };
    let height = height.clamp(1, 32);
    let crtc = crtc_port(io);
    registers::change(io, crtc, 0x09, 0x1F, height - 1);
    if mode.is_mono() {
        registers::write(io, crtc, 0x14, height - 1);
    }
    let lines = displayed_lines(io, crtc);
    let rows = (lines / u16::from(height)).clamp(1, 256);
    // Lines that no row fills are not displayed.
    let end = rows * u16::from(height) * lines_per_row(io, crtc) - 1;
    registers::write(io, crtc, 0x12, end as u8);
    registers::change(io, crtc, 0x07, 0x42, (end >> 7 & 0x02 | end >> 3 & 0x40) as u8);
    bda::VIDEO_ROWS.set(io, (rows - 1) as u8);
    bda::CHARACTER_HEIGHT.set(io, height.into());
    let columns = bda::VIDEO_COLUMNS.get(io);
    // Two bytes a character, and a page ends with 256 bytes to spare or not.
    let size = (rows * columns.min(255) * 2).next_multiple_of(256);
    bda::VIDEO_PAGE_SIZE.set(io, size);
    let shape = bda::CURSOR_SHAPE.get(io);
    cursor::set_shape(io, shape);
}

/// Display lines of one line of memory: 2 where each is drawn twice.
fn lines_per_row(io: &mut dyn Platform, crtc: u16) -> u16 {
    if registers::read(io, crtc, 0x09) & 0x80 != 0 { 2 } else { 1 }
}

/// The lines that the vertical timing leaves for the picture: 200, 350, 400 or 480.
fn displayed_lines(io: &mut dyn Platform, crtc: u16) -> u16 {
    let polarity = io.in8(registers::MISCELLANEOUS_READ) >> 6;
    let lines = match polarity {
        0b10 => 350,
        0b11 => 480,
        _ => 400,
    };
    lines / lines_per_row(io, crtc)
}

/// AH=11h.
pub(super) fn service(call: &mut Call) {
    let regs = call.regs;
    let height = match regs.al() & 0x0F {
        0x01 => 14,
        0x02 => 8,
        _ => 16,
    };
    match regs.al() {
        0x00 | 0x10 => {
            let length = usize::from(regs.cx().min(256)) * usize::from(regs.bh());
            let at = call.es_at(regs.bp());
            let rows = call.io.bytes(at, length);
            load(call.io, regs.bh(), regs.dx(), &rows, regs.bl());
            if regs.al() == 0x10 {
                set_height(call.io, regs.bh());
            }
        }
        0x01 | 0x02 | 0x04 => load_rom_font(call.io, height, regs.bl()),
        0x11 | 0x12 | 0x14 => {
            load_rom_font(call.io, height, regs.bl());
            set_height(call.io, height);
        }
        // Which two blocks are shown.
        0x03 => registers::write(call.io, SEQUENCER, 3, regs.bl()),
        0x20 => {
            let pointer = u32::from(regs.es.selector) << 16 | u32::from(regs.bp());
            call.put(0x1F * 4, pointer);
        }
        0x21 => {
            let pointer = u32::from(regs.es.selector) << 16 | u32::from(regs.bp());
            set_graphics_font(call, pointer, regs.cx());
        }
        0x22..=0x24 => {
            let (offset, height) = match regs.al() {
                0x22 => (rom::offset::FONT_14, 14),
                0x23 => (rom::offset::FONT_8, 8),
                _ => (rom::offset::FONT_16, 16),
            };
            set_graphics_font(call, u32::from(rom::SEGMENT) << 16 | u32::from(offset), height);
        }
        0x30 => information(call),
        _ => {}
    }
}

/// The font of graphics modes, and how many rows of it the screen has: BL says 14, 25 or 43, or DL how many.
fn set_graphics_font(call: &mut Call, pointer: u32, height: u16) {
    let rows = match call.regs.bl() {
        1 => 14,
        2 => 25,
        3 => 43,
        _ => call.regs.dl().max(1),
    };
    call.put(0x43 * 4, pointer);
    bda::CHARACTER_HEIGHT.set(call.io, height);
    bda::VIDEO_ROWS.set(call.io, rows - 1);
}

/// AL=30h: a font's address in ES:BP, its height in CX, rows on the screen less one in DL.
fn information(call: &mut Call) {
    let ours = |offset: u16| u32::from(rom::SEGMENT) << 16 | u32::from(offset);
    let pointer = match call.regs.bh() {
        0 => call.get(0x1F * 4),
        1 => call.get(0x43 * 4),
        2 | 5 => ours(rom::offset::FONT_14),
        3 => ours(rom::offset::FONT_8),
        4 => ours(rom::offset::FONT_8 + 128 * 8),
        6 | 7 => ours(rom::offset::FONT_16),
        _ => return,
    };
    let height = bda::CHARACTER_HEIGHT.get(call.io);
    let rows = bda::VIDEO_ROWS.get(call.io);
    call.regs.es = Segment::real((pointer >> 16) as u16);
    call.regs.set_bp(pointer as u16);
    call.regs.set_cx(height);
    call.regs.set_dl(rows);
}
