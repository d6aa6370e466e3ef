//! INT 10h AH=0Bh and 10h: palette and DAC. IBM PS/2 and PC BIOS Interface Technical Reference, "Set color palette" and
//! "Set palette registers".

use super::modes::Colours;
use super::registers::{Colour, DAC_MASK, read_attribute, read_dac, show, write_attribute, write_dac};
use crate::bios::Call;
use crate::bios::bda;
use crate::platform::Platform;

/// In [`bda::VIDEO_MODE_CONTROL`]: a mode set leaves palettes alone; colours become grey.
pub(super) const DEFAULT_LOADING_OFF: u8 = 0x08;
pub(super) const GREY_SUMMING: u8 = 0x02;

/// Registers of the attribute controller.
const MODE: u8 = 0x10;
const OVERSCAN: u8 = 0x11;
const COLOUR_SELECT: u8 = 0x14;

/// The 64 colours of the EGA: two bits of each part, those worth a third above.
fn ega(index: u8) -> Colour {
    let part = |high: u8, low: u8| 42 * (index >> high & 1) + 21 * (index >> low & 1);
    [part(2, 5), part(1, 4), part(0, 3)]
}

/// The 16 colours of the CGA, where bit 4 is the intensity; brown is dark yellow with half its green.
fn cga(index: u8) -> Colour {
    let low = if index & 0x10 != 0 { 21 } else { 0 };
    let part = |bit: u8| 42 * (index >> bit & 1) + low;
    match index & 0x17 {
        6 => [42, 21, 0],
        _ => [part(2), part(1), part(0)],
    }
}

/// Black, normal and bright; the attribute's bits 3 and 4 choose.
fn mono(index: u8) -> Colour {
    let level = match index >> 3 & 3 {
        1 => 42,
        3 => 63,
        _ => 0,
    };
    [level; 3]
}

/// The 256 colours of mode 13h: the CGA's, 16 greys, and nine wheels of 24 hues: three brightnesses in three
/// saturations.
fn all(index: u8) -> Colour {
    const GREYS: [u8; 16] = [0, 5, 8, 11, 14, 17, 20, 24, 28, 32, 36, 40, 45, 50, 56, 63];
    /// The darkest and the brightest part of a colour in each wheel.
    const WHEELS: [(u8, u8); 9] =
        [(0, 63), (31, 63), (45, 63), (0, 28), (14, 28), (20, 28), (0, 16), (8, 16), (11, 16)];
    match index {
        0..16 => cga(index & 7 | (index & 8) << 1),
        16..32 => [GREYS[usize::from(index - 16)]; 3],
        32..248 => {
            let (low, high) = WHEELS[usize::from(index - 32) / 24];
            hue((index - 32) % 24, low, high)
        }
        _ => [0; 3],
    }
}

/// Hue `n` of 24, from blue by magenta, red, yellow, green and cyan: each step moves one part by a quarter.
fn hue(n: u8, low: u8, high: u8) -> Colour {
    // Quarters, with halves rounded down.
    let level = |quarter: u8| low + ((u16::from(high - low) * u16::from(quarter) * 2 + 3) / 8) as u8;
    let (up, down) = (level(n % 4), level(4 - n % 4));
    match n / 4 {
        0 => [up, low, high],
        1 => [high, low, down],
        2 => [high, up, low],
        3 => [down, high, low],
        4 => [low, high, up],
        _ => [low, down, high],
    }
}

/// The same brightness without colour.
fn grey([red, green, blue]: Colour) -> Colour {
    let sum = 77 * u16::from(red) + 151 * u16::from(green) + 28 * u16::from(blue);
    [((sum + 128) >> 8) as u8; 3]
}

/// Fills the DAC with a mode's colours.
pub(super) fn load_defaults(io: &mut dyn Platform, colours: Colours) {
    let sums = bda::VIDEO_MODE_CONTROL.get(io) & GREY_SUMMING != 0;
    for index in 0..=255u8 {
        let colour = match colours {
            Colours::All => all(index),
            // Nothing selects the others.
            _ if index >= 64 => [0; 3],
            Colours::Ega => ega(index),
            Colours::Cga => cga(index),
            Colours::Mono => mono(index),
        };
        write_dac(io, index, if sums { grey(colour) } else { colour });
    }
}

/// AH=0Bh: background and palette as on the CGA.
pub(super) fn cga_service(call: &mut Call) {
    let value = call.regs.bl();
    match call.regs.bh() {
        0x00 => {
            bda::CGA_PALETTE.change(call.io, 0x1F, value & 0x1F);
            let colour = value & 0x07 | (value & 0x08) << 1;
            write_attribute(call.io, 0, colour);
            write_attribute(call.io, OVERSCAN, colour);
            let intense = value & 0x10;
            for index in 1..=3 {
                let before = read_attribute(call.io, index);
                write_attribute(call.io, index, before & !0x10 | intense);
            }
        }
        0x01 => {
            bda::CGA_PALETTE.change(call.io, 0x20, (value & 1) << 5);
            // Cyan, magenta, white instead of green, red, brown.
            for index in 1..=3 {
                let before = read_attribute(call.io, index);
                write_attribute(call.io, index, before & !1 | value & 1);
            }
        }
        _ => {}
    }
    show(call.io);
}

/// AH=10h.
pub(super) fn service(call: &mut Call) {
    let regs = call.regs;
    match regs.al() {
        0x00 if regs.bl() <= COLOUR_SELECT => write_attribute(call.io, regs.bl(), regs.bh()),
        0x01 => write_attribute(call.io, OVERSCAN, regs.bh()),
        0x02 => {
            let at = call.es_at(regs.dx());
            let values = call.io.bytes(at, 17);
            for (index, value) in (0..).zip(&values[..16]) {
                write_attribute(call.io, index, *value);
            }
            write_attribute(call.io, OVERSCAN, values[16]);
        }
        0x03 => {
            let before = read_attribute(call.io, MODE);
            write_attribute(call.io, MODE, before & !0x08 | (regs.bl() & 1) << 3);
            bda::CGA_MODE.change(call.io, 0x20, (regs.bl() & 1) << 5);
        }
        0x07 if regs.bl() <= COLOUR_SELECT => {
            let value = read_attribute(call.io, regs.bl());
            call.regs.set_bh(value);
        }
        0x08 => {
            let value = read_attribute(call.io, OVERSCAN);
            call.regs.set_bh(value);
        }
        0x09 => {
            let mut values: Vec<u8> = (0..16).map(|index| read_attribute(call.io, index)).collect();
            values.push(read_attribute(call.io, OVERSCAN));
            let at = call.es_at(regs.dx());
            call.io.write(at, &values);
        }
        0x10 => {
            let colour = summed(call.io, [regs.dh(), regs.ch(), regs.cl()]);
            write_dac(call.io, regs.bl(), colour);
        }
        0x12 => {
            let at = call.es_at(regs.dx());
            for n in 0..regs.cx().min(256) {
                let colour = call.get::<u32>(at.wrapping_add(u32::from(n) * 3)).to_le_bytes();
                let colour = summed(call.io, [colour[0], colour[1], colour[2]]);
                write_dac(call.io, regs.bl().wrapping_add(n as u8), colour);
            }
        }
        0x13 => select_colour_page(call.io, regs.bl(), regs.bh()),
        0x15 => {
            let [red, green, blue] = read_dac(call.io, regs.bl());
            call.regs.set_dh(red);
            call.regs.set_cx(u16::from_be_bytes([green, blue]));
        }
        0x17 => {
            let at = call.es_at(regs.dx());
            for n in 0..regs.cx().min(256) {
                let colour = read_dac(call.io, regs.bl().wrapping_add(n as u8));
                call.io.write(at.wrapping_add(u32::from(n) * 3), &colour);
            }
        }
        0x18 => call.io.out8(DAC_MASK, regs.bl()),
        0x19 => {
            let mask = call.io.in8(DAC_MASK);
            call.regs.set_bl(mask);
        }
        0x1A => {
            let sixteen = read_attribute(call.io, MODE) & 0x80 != 0;
            let page = read_attribute(call.io, COLOUR_SELECT) & 0xF;
            let (mode, page) = if sixteen { (1, page) } else { (0, page >> 2) };
            call.regs.set_bx(u16::from_be_bytes([page, mode]));
        }
        0x1B => {
            for n in 0..regs.cx().min(256) {
                let index = regs.bl().wrapping_add(n as u8);
                let colour = read_dac(call.io, index);
                write_dac(call.io, index, grey(colour));
            }
        }
        _ => {}
    }
    show(call.io);
}

fn summed(io: &mut dyn Platform, colour: Colour) -> Colour {
    if bda::VIDEO_MODE_CONTROL.get(io) & GREY_SUMMING != 0 { grey(colour) } else { colour }
}

/// AL=13h: pages of 64 (mode 0) or 16 colours, and which of them.
fn select_colour_page(io: &mut dyn Platform, what: u8, value: u8) {
    let mode = read_attribute(io, MODE);
    match what {
        0 => write_attribute(io, MODE, mode & !0x80 | (value & 1) << 7),
        1 => {
            let page = if mode & 0x80 != 0 { value } else { value << 2 };
            write_attribute(io, COLOUR_SELECT, page & 0xF);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that every VGA's DAC has after setting the mode.
    #[test]
    fn well_known_colours() {
        assert_eq!(ega(0x14), [42, 21, 0], "brown");
        assert_eq!(ega(0x38), [21, 21, 21], "dark grey");
        assert_eq!(ega(0x3F), [63, 63, 63]);
        assert_eq!(cga(0x16), [63, 63, 21], "yellow");
        assert_eq!(all(6), [42, 21, 0]);
        assert_eq!(all(15), [63, 63, 63]);
        assert_eq!(all(32), [0, 0, 63]);
        assert_eq!([all(33), all(34), all(35)], [[16, 0, 63], [31, 0, 63], [47, 0, 63]]);
        assert_eq!([all(36), all(37)], [[63, 0, 63], [63, 0, 47]]);
        assert_eq!(all(55), [0, 16, 63]);
        assert_eq!(all(56), [31, 31, 63]);
        assert_eq!([all(57), all(58), all(59)], [[39, 31, 63], [47, 31, 63], [55, 31, 63]]);
        assert_eq!([all(81), all(82), all(83)], [[49, 45, 63], [54, 45, 63], [58, 45, 63]]);
        assert_eq!([all(153), all(154), all(155)], [[22, 20, 28], [24, 20, 28], [26, 20, 28]]);
        assert_eq!([all(225), all(226), all(227)], [[12, 11, 16], [13, 11, 16], [15, 11, 16]]);
        assert_eq!(all(248), [0, 0, 0]);
        assert_eq!(grey([63, 63, 63]), [63, 63, 63]);
    }
}
