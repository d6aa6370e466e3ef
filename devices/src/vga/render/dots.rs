//! Graphics modes of the VGA: the maps become PELs by the shift registers, PELs colours.

use super::super::Vga;
use super::super::frame::Frame;
use super::super::graphics::ShiftMode;
use super::super::scanout::{Line, Scanout};
use super::Look;
use std::ops::Range;

/// PELs of the longest line and of one more character, of which panning shows a part.
const LONGEST_LINE: usize = 257 * 8;

/// The bits of a byte, bit 7 first, as eight bytes of 0 or 1.
const BITS: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            table[byte] |= ((byte as u64 >> (7 - bit)) & 1) << (8 * bit);
            bit += 1;
        }
        byte += 1;
    }
    table
};

/// Eight PELs, one bit of each map, leftmost first.
pub(super) fn planar_pels(cell: u32) -> [u8; 8] {
    let [a, b, c, d] = cell.to_le_bytes().map(|map| BITS[usize::from(map)]);
    (a | b << 1 | c << 2 | d << 3).to_le_bytes()
}

/// Eight PELs: four bit pairs of maps 0 and 2, then four of 1 and 3; the higher map gives the higher bits.
fn interleaved_pels(cell: u32) -> [u8; 8] {
    let [a, b, c, d] = cell.to_le_bytes();
    std::array::from_fn(|i| {
        let (low, high) = if i < 4 { (a, c) } else { (b, d) };
        let shift = 6 - 2 * (i % 4);
        low >> shift & 3 | (high >> shift & 3) << 2
    })
}

/// Eight PELs: the nibbles of the maps in turn.
fn packed_pels(cell: u32) -> [u8; 8] {
    let maps = cell.to_le_bytes();
    std::array::from_fn(|i| if i % 2 == 0 { maps[i / 2] >> 4 } else { maps[i / 2] & 0x0F })
}

impl Vga {
    pub(super) fn render_graphics(
        &self,
        scanout: &Scanout<'_>,
        look: Look,
        frame: &mut Frame,
        lines: Range<u32>,
    ) {
        let mut pels = [0; LONGEST_LINE];
        let (shift_mode, eight_bit) = self.pel_format();
        let four_bit_pels = match shift_mode {
            ShiftMode::Planar => planar_pels,
            ShiftMode::Interleaved => interleaved_pels,
            ShiftMode::Packed => packed_pels,
        };
        if eight_bit {
            let colors = self.colors_8();
            for y in lines {
                let line = scanout.line(y);
                for (column, pels) in (0..=scanout.columns).zip(pels.chunks_exact_mut(4)) {
                    let cell = self.vram.cell(scanout.address(line, column));
                    if shift_mode == ShiftMode::Packed {
                        pels.copy_from_slice(&cell.to_le_bytes());
                    } else {
                        for (pel, nibbles) in pels.iter_mut().zip(four_bit_pels(cell).chunks_exact(2)) {
                            *pel = nibbles[0] << 4 | nibbles[1];
                        }
                    }
                }
                paint(frame.line_mut(y), &pels, line, |pel| colors[usize::from(pel)]);
            }
        } else {
            let colors = self.colors_4();
            // Blinking PELs lose bit 3 for half of the time.
            let kept = if self.attribute.blink() && !look.attribute_shown { 0x07 } else { 0x0F };
            for y in lines {
                let line = scanout.line(y);
                for (column, pels) in (0..=scanout.columns).zip(pels.chunks_exact_mut(8)) {
                    pels.copy_from_slice(&four_bit_pels(self.vram.cell(scanout.address(line, column))));
                }
                paint(frame.line_mut(y), &pels, line, |pel| colors[usize::from(pel & kept)]);
            }
        }
    }
}

/// Colours a line, from the first PEL that panning leaves.
fn paint(target: &mut [u32], pels: &[u8], line: Line, color: impl Fn(u8) -> u32) {
    let shown = &pels[line.panning as usize..];
    for (target, pel) in target.iter_mut().zip(shown) {
        *target = color(*pel);
    }
}
