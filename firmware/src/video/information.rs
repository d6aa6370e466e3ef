//! INT 10h AH=12h, 1Ah and 1Bh: what display there is, and how it behaves. IBM PS/2 and PC BIOS Interface Technical
//! Reference, "Alternate select", "Read/write display combination code", "Return functionality/state information".

use super::palette::{DEFAULT_LOADING_OFF, GREY_SUMMING};
use super::registers::{self, MISCELLANEOUS_READ, MISCELLANEOUS_WRITE, SEQUENCER};
use super::rom;
use crate::bios::Call;
use crate::bios::bda;

/// The display combination code of a VGA with a colour display.
pub(super) const VGA_WITH_COLOUR_DISPLAY: u8 = 0x08;

/// In AL: the function is there.
const DONE: u8 = 0x12;

/// AH=12h.
pub(super) fn alternate_select(call: &mut Call) {
    let value = call.regs.al();
    match call.regs.bl() {
        0x10 => {
            // Colour, 256 KiB, the switches.
            let switches = bda::VIDEO_SWITCHES.get(call.io) & 0x0F;
            call.regs.set_bx(0x0003);
            call.regs.set_cx(switches.into());
            return;
        }
        // Lines of text modes: 200, 350, 400.
        0x30 => {
            let bits = match value {
                0 => 0x80,
                1 => 0x00,
                2 => 0x10,
                _ => return,
            };
            bda::VIDEO_MODE_CONTROL.change(call.io, 0x90, bits);
        }
        0x31 => switch(call, value, DEFAULT_LOADING_OFF),
        // Whether the display answers.
        0x32 => {
            let enable = if value == 0 { 0x02 } else { 0 };
            let miscellaneous = call.io.in8(MISCELLANEOUS_READ) & !0x02 | enable;
            call.io.out8(MISCELLANEOUS_WRITE, miscellaneous);
        }
        0x33 => switch(call, if value == 0 { 1 } else { 0 }, GREY_SUMMING),
        // Cursor emulation: bit 0 turns it off.
        0x34 => bda::VIDEO_CONTROL.change(call.io, 0x01, value & 1),
        // Whether the screen shows anything.
        0x36 => registers::change(call.io, SEQUENCER, 1, 0x20, (value & 1) << 5),
        _ => return,
    }
    call.regs.set_al(DONE);
}

/// Sets or clears a bit by 1 or 0.
fn switch(call: &mut Call, on: u8, bit: u8) {
    bda::VIDEO_MODE_CONTROL.change(call.io, bit, if on != 0 { bit } else { 0 });
}

/// AH=1Ah.
pub(super) fn display_combination(call: &mut Call) {
    match call.regs.al() {
        0x00 => {
            let code = bda::DISPLAY_COMBINATION.get(call.io);
            call.regs.set_bx(code.into());
        }
        0x01 => bda::DISPLAY_COMBINATION.set(call.io, call.regs.bl()),
        _ => return,
    }
    call.regs.set_al(0x1A);
}

/// AH=1Bh: 64 bytes at ES:DI.
pub(super) fn functionality(call: &mut Call) {
    if call.regs.bx() != 0 {
        return;
    }
    let mut table = [0; 64];
    let statics = u32::from(rom::SEGMENT) << 16 | u32::from(rom::offset::FUNCTIONALITY);
    table[..4].copy_from_slice(&statics.to_le_bytes());
    // As in the data area: mode to palette, then rows less one, and the height of a character.
    call.io.read(bda::BASE + bda::VIDEO_MODE.offset(), &mut table[4..0x22]);
    let rows = bda::VIDEO_ROWS.get(call.io);
    table[0x22] = rows.saturating_add(1);
    let height = bda::CHARACTER_HEIGHT.get(call.io);
    table[0x23..0x25].copy_from_slice(&height.to_le_bytes());
    table[0x25] = bda::DISPLAY_COMBINATION.get(call.io);
    let mode = super::modes::current(call.io);
    let colours: u16 = match mode.map(|mode| mode.memory) {
        Some(super::modes::Memory::Linear) => 256,
        Some(super::modes::Memory::Cga(1)) => 2,
        Some(super::modes::Memory::Cga(_)) => 4,
        _ => 16,
    };
    table[0x27..0x29].copy_from_slice(&colours.to_le_bytes());
    let page_size = u32::from(bda::VIDEO_PAGE_SIZE.get(call.io)).max(1);
    table[0x29] = (0x8000 / page_size).clamp(1, 8) as u8;
    // Lines: 200, 350, 400, 480.
    table[0x2A] = match u16::from(rows).saturating_add(1).saturating_mul(height) {
        0..=200 => 0,
        201..=350 => 1,
        351..=400 => 2,
        _ => 3,
    };
    // All modes on all displays; 256 KiB.
    table[0x2D] = bda::VIDEO_MODE_CONTROL.get(call.io) & 0x0F | 0x01;
    table[0x31] = 3;
    let at = call.es_at(call.regs.di());
    call.io.write(at, &table);
    call.regs.set_al(0x1B);
}

/// What a VGA can do: the static functionality table.
pub(super) const STATIC_FUNCTIONALITY: [u8; 16] = [
    // Modes 0 to 7, Dh to 13h.
    0xFF, 0xE0, 0x0F, 0, 0, 0, 0,    // 200, 350 and 400 lines in text modes.
    0x07, // Blocks of characters, of which two are shown at a time.
    8, 2,
    // All modes on all displays, grey summing, character fonts, palettes, cursor emulation, EGA palette, colours.
    0xFF, 0x0E, 0, 0, 0, 0,
];
