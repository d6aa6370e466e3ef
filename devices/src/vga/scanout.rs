//! What the CRTC shows where: the address counter and row scan of every line of the picture.

use super::Vga;
use super::crtc::Crtc;
use super::graphics::ShiftMode;

/// The layout of a VGA picture (not of a VBE one).
pub(super) struct Scanout<'a> {
    pub crtc: &'a Crtc,
    /// Characters in a line. 1 to 256.
    pub columns: u32,
    /// PELs of a character: 4, 8 or 9.
    pub cell_width: u32,
    /// Lines of the picture: scan lines that only repeat the one before are left out. 1 to 2048.
    pub height: u32,
    /// Scan lines to a line of the picture.
    repeat: u32,
    /// The first scan line after a line compare.
    split: u32,
    /// PELs by which the picture is shifted left.
    panning: u32,
    /// After a line compare, too.
    panning_after_split: bool,
}

/// One line of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The address counter at its left end.
    pub counter: u32,
    pub row_scan: u32,
    /// PELs of the first character that are not shown.
    pub panning: u32,
}

impl<'a> Scanout<'a> {
    pub fn new(vga: &'a Vga) -> Self {
        let crtc = &vga.crtc;
        let text = !vga.graphics.graphics();
        let eight_bit = !text && vga.attribute.eight_bit();
        let cell_width = match (text, eight_bit) {
            (true, _) if vga.sequencer.nine_dots() => 9,
            (_, true) => 4,
            _ => 8,
        };
        let scan_lines = vga.raster.displayed_lines();
        let double = if crtc.double_scan() { 2 } else { 1 };
        // In graphics a row's lines are all alike, unless the row scan is part of the address.
        let alike = if !text && crtc.rows_share_addresses() { crtc.row_height() } else { 1 };
        let repeat = double * alike;
        let panning = match (cell_width, u32::from(vga.attribute.pel_panning())) {
            (4, dots) => dots / 2 % 4,
            (9, dots @ 0..8) => dots + 1,
            (8, dots @ 0..8) => dots,
            _ => 0,
        };
        Scanout {
            crtc,
            columns: crtc.horizontal_display().min(crtc.horizontal_total()),
            cell_width,
            height: (scan_lines / repeat).max(1),
            repeat,
            split: (crtc.line_compare() + 1) * crtc.line_step(),
            panning,
            panning_after_split: !vga.attribute.line_compare_stops_panning(),
        }
    }

    pub fn width(&self) -> u32 {
        self.columns * self.cell_width
    }

    /// Line `y` of the picture.
    pub fn line(&self, y: u32) -> Line {
        let scan_line = y * self.repeat;
        let before_split = scan_line < self.split;
        let panned = before_split || self.panning_after_split;
        let (since_start, start, preset) = if before_split {
            (scan_line, self.crtc.start_address(), self.crtc.preset_row_scan())
        } else {
            (scan_line - self.split, 0, 0)
        };
        let since_start = if self.crtc.double_scan() { since_start / 2 } else { since_start };
        let height = self.crtc.row_height();
        let (row, row_scan) = if preset < height {
            ((since_start + preset) / height, (since_start + preset) % height)
        } else {
            // The row scan counter starts beyond its maximum: it runs to 31 and around before it meets it.
            let lead = 32 - preset;
            if since_start < lead {
                (0, preset + since_start)
            } else {
                ((since_start - lead) / height, (since_start - lead) % height)
            }
        };
        let byte_panning = if panned { self.crtc.byte_panning() } else { 0 };
        Line {
            counter: start + byte_panning + row * self.crtc.row_offset(),
            row_scan,
            panning: if panned { self.panning } else { 0 },
        }
    }

    /// The memory address of a character of `line`.
    pub fn address(&self, line: Line, column: u32) -> u32 {
        self.crtc.memory_address(self.counter(line, column), line.row_scan)
    }

    /// The address counter at a character of `line`.
    pub fn counter(&self, line: Line, column: u32) -> u32 {
        (line.counter + (column >> self.crtc.count_shift())) & 0xFFFF
    }
}

impl Vga {
    /// The picture is made of characters.
    pub(super) fn shows_text(&self) -> bool {
        !self.dispi.enabled() && !self.graphics.graphics()
    }

    /// How the maps become PELs, and whether two dots make one.
    pub(super) fn pel_format(&self) -> (ShiftMode, bool) {
        (self.graphics.shift_mode(), self.attribute.eight_bit())
    }
}
