//! The screen as characters, for terminals and for whoever waits for a text to appear.

use super::Vga;
use super::cp437::cp437_to_char;
use super::scanout::Scanout;
use std::fmt;

/// A character on the screen and how it looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextCell {
    /// Number in the font; in code page 437 unless the guest has loaded another one.
    pub character: u8,
    /// Bits 3-0 foreground, bits 6-4 background, bit 7 blinking or bright background.
    pub attribute: u8,
}

/// The screen of a text mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextScreen {
    columns: usize,
    cells: Vec<TextCell>,
    cursor: Option<(usize, usize)>,
}

impl TextScreen {
    /// Characters in a row. 1 to 256.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Rows. At least 1.
    pub fn rows(&self) -> usize {
        self.cells.len() / self.columns
    }

    /// All characters, row by row from the top left.
    pub fn cells(&self) -> &[TextCell] {
        &self.cells
    }

    /// Column and row of the cursor, from 0; `None` where it is off or outside the screen. Blinking does not
    /// count as off.
    pub fn cursor(&self) -> Option<(usize, usize)> {
        self.cursor
    }

    /// The rows as text, from code page 437, without the blanks at their ends.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.cells.chunks_exact(self.columns).map(|row| {
            let text: String = row.iter().map(|cell| cp437_to_char(cell.character)).collect();
            text.trim_end().to_owned()
        })
    }
}

/// The rows as [`TextScreen::lines`] gives them, each with a line feed.
impl fmt::Display for TextScreen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl Vga {
    /// The screen as characters; `None` in graphics modes and before the first mode is set. A screen that is
    /// switched off still has its characters.
    pub fn text_screen(&self) -> Option<TextScreen> {
        if !self.shows_text() || !self.sequencer.running() {
            return None;
        }
        let scanout = Scanout::new(self);
        let height = self.crtc.row_height();
        let cursor_location = self.crtc.cursor_on().then(|| self.crtc.cursor_location());
        let mut screen = TextScreen { columns: scanout.columns as usize, cells: Vec::new(), cursor: None };
        for row in 0..(scanout.height / height).max(1) {
            let line = scanout.line(row * height);
            for column in 0..scanout.columns {
                if cursor_location == Some(scanout.counter(line, column)) && screen.cursor.is_none() {
                    screen.cursor = Some((column as usize, row as usize));
                }
                let [character, attribute, ..] = self.vram.cell(scanout.address(line, column)).to_le_bytes();
                screen.cells.push(TextCell { character, attribute });
            }
        }
        Some(screen)
    }
}
