//! Text modes of the VGA: the character generator.

use super::super::Vga;
use super::super::frame::Frame;
use super::super::scanout::Scanout;
use super::super::vram::Vram;
use super::Look;
use std::ops::{Range, RangeInclusive};

/// PELs of the longest line and of one more character, of which panning shows a part.
const LONGEST_LINE: usize = 257 * 9;

/// Four dots, bit 3 first, as masks of all ones or zeros: drawing needs no branch for each dot.
const LIT: [[u32; 4]; 16] = {
    let mut table = [[0; 4]; 16];
    let mut dots = 0;
    while dots < 16 {
        let mut i = 0;
        while i < 4 {
            table[dots][i] = if dots >> (3 - i) & 1 != 0 { u32::MAX } else { 0 };
            i += 1;
        }
        dots += 1;
    }
    table
};

/// What the registers say about characters.
struct CharacterGenerator<'a> {
    vram: &'a Vram,
    /// Where in map 2 the character maps start: for attribute bit 3 clear, and set.
    fonts: [u32; 2],
    colors: [u32; 16],
    /// The attribute bits of the background, after a shift by four.
    background: u8,
    /// The attribute bit that hides the foreground: bit 7 in one half of its blinking, else none.
    hiding: u8,
    /// The row scan of underlines.
    underline: u32,
    /// The ninth dot of C0h to DFh repeats the eighth.
    line_graphics: bool,
    /// Where the cursor is and which row scans it covers, while it is shown.
    cursor: Option<(u32, RangeInclusive<u32>)>,
}

/// One row scan of a character.
struct Dots {
    /// Leftmost in bit 7.
    eight: u8,
    ninth: bool,
}

impl Dots {
    const NONE: Dots = Dots { eight: 0, ninth: false };
    const ALL: Dots = Dots { eight: 0xFF, ninth: true };
}

impl<'a> CharacterGenerator<'a> {
    fn new(vga: &'a Vga, look: Look) -> Self {
        let blinks = vga.attribute.blink();
        let cursor_shown = vga.crtc.cursor_on() && look.cursor_shown;
        CharacterGenerator {
            vram: &vga.vram,
            fonts: [false, true].map(|bit_3| vga.sequencer.font(bit_3).into()),
            colors: vga.colors_4(),
            background: if blinks { 0x07 } else { 0x0F },
            hiding: if blinks && !look.attribute_shown { 0x80 } else { 0 },
            underline: vga.crtc.underline_location(),
            line_graphics: vga.attribute.line_graphics(),
            cursor: cursor_shown.then(|| (vga.crtc.cursor_location(), vga.crtc.cursor_rows())),
        }
    }

    fn dots(&self, character: u8, attribute: u8, row_scan: u32) -> Dots {
        if attribute & self.hiding != 0 {
            return Dots::NONE;
        }
        // IBM PS/2 Hardware Interface Technical Reference, "Underline Location Register": foreground 1 or 9
        // on background 0.
        if attribute & 0x77 == 0x01 && row_scan == self.underline {
            return Dots::ALL;
        }
        let font = self.fonts[usize::from(attribute >> 3 & 1)];
        let eight = self.vram.font_byte(font + u32::from(character) * 32 + row_scan);
        let repeats = self.line_graphics && character & 0xE0 == 0xC0;
        Dots { eight, ninth: repeats && eight & 1 != 0 }
    }

    /// Draws one row scan of a character into its eight or nine PELs.
    fn draw(&self, pels: &mut [u32], attribute: u8, dots: &Dots) {
        let foreground = self.colors[usize::from(attribute & 0x0F)];
        let background = self.colors[usize::from(attribute >> 4 & self.background)];
        let (eight, ninth) = pels.split_at_mut(8);
        let lit = [LIT[usize::from(dots.eight >> 4)], LIT[usize::from(dots.eight & 0x0F)]];
        for (pel, lit) in eight.iter_mut().zip(lit.as_flattened()) {
            *pel = background ^ (foreground ^ background) & lit;
        }
        if let [pel] = ninth {
            *pel = if dots.ninth { foreground } else { background };
        }
    }
}

impl Vga {
    pub(super) fn render_text(
        &self,
        scanout: &Scanout<'_>,
        look: Look,
        frame: &mut Frame,
        lines: Range<u32>,
    ) {
        let generator = CharacterGenerator::new(self, look);
        let mut pels = [0; LONGEST_LINE];
        let (cell_width, width) = (scanout.cell_width as usize, scanout.width() as usize);
        for y in lines {
            let line = scanout.line(y);
            let cursor = generator.cursor.as_ref().filter(|(_, rows)| rows.contains(&line.row_scan));
            let cursor = cursor.map(|(location, _)| *location);
            for (column, pels) in (0..=scanout.columns).zip(pels.chunks_exact_mut(cell_width)) {
                let [character, attribute, ..] = self.vram.cell(scanout.address(line, column)).to_le_bytes();
                let attribute = look.attribute.unwrap_or(attribute);
                let dots = if cursor == Some(scanout.counter(line, column)) {
                    Dots::ALL
                } else {
                    generator.dots(character, attribute, line.row_scan)
                };
                generator.draw(pels, attribute, &dots);
            }
            let first = line.panning as usize;
            frame.line_mut(y).copy_from_slice(&pels[first..first + width]);
        }
    }
}
