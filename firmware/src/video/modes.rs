//! INT 10h AH=00h: the modes of the VGA, as register values. IBM PS/2 Hardware Interface Technical Reference, "Video
//! Subsystem", "Register values for BIOS modes".

use super::registers::{
    self, COLOUR_CRTC, DAC_MASK, GRAPHICS, MISCELLANEOUS_WRITE, MONO_CRTC, SEQUENCER, dispi, write,
};
use super::{cursor, fonts, palette, rom};
use crate::bios::bda;
use crate::platform::Platform;

/// How the picture lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// Characters and attributes.
    Text,
    /// As on the CGA: even and odd lines apart, this many bits for a pixel (1 or 2).
    Cga(u8),
    /// Four planes with a bit of each pixel.
    Planar,
    /// A byte for each pixel.
    Linear,
}

/// Which colours the DAC gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    /// The 64 of the EGA.
    Ega,
    /// The 16 of the CGA.
    Cga,
    /// Three shades of one colour.
    Mono,
    /// The 256 of mode 13h.
    All,
}

/// How many lines the display draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lines {
    /// 200, each drawn twice.
    Doubled,
    L350,
    L400,
    L480,
}

/// A mode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mode {
    pub number: u8,
    pub memory: Memory,
    pub colours: Colours,
    pub columns: u8,
    pub rows: u8,
    pub character_height: u8,
    /// Segment of the display memory.
    pub segment: u16,
    /// Bytes of a page.
    pub page_size: u16,
    lines: Lines,
    attributes: Attributes,
}

/// Which palette the attribute controller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attributes {
    /// The 16 colours, out of the EGA's 64.
    Ega,
    /// The 16 colours, as the CGA numbers them.
    Cga,
    /// White on black, for text.
    MonoText,
    /// Four colours of the CGA.
    Cga4,
    /// Two colours of the CGA.
    Cga2,
    /// Four shades.
    MonoGraphics,
    /// Two colours.
    TwoColours,
    /// The palette does nothing.
    Straight,
}

const fn text(number: u8, columns: u8, page_size: u16) -> Mode {
    Mode {
        number,
        memory: Memory::Text,
        colours: Colours::Ega,
        columns,
        rows: 25,
        character_height: 16,
        segment: 0xB800,
        page_size,
        lines: Lines::L400,
        attributes: Attributes::Ega,
    }
}

const fn planar(number: u8, columns: u8, rows: u8, height: u8, page_size: u16, lines: Lines) -> Mode {
    Mode {
        number,
        memory: Memory::Planar,
        colours: Colours::Ega,
        columns,
        rows,
        character_height: height,
        segment: 0xA000,
        page_size,
        lines,
        attributes: Attributes::Ega,
    }
}

const fn cga(number: u8, columns: u8, bits: u8, attributes: Attributes) -> Mode {
    Mode {
        memory: Memory::Cga(bits),
        colours: Colours::Cga,
        attributes,
        segment: 0xB800,
        ..planar(number, columns, 25, 8, 0x4000, Lines::Doubled)
    }
}

/// All modes.
const MODES: [Mode; 15] = [
    text(0x00, 40, 0x0800),
    text(0x01, 40, 0x0800),
    text(0x02, 80, 0x1000),
    text(0x03, 80, 0x1000),
    cga(0x04, 40, 2, Attributes::Cga4),
    cga(0x05, 40, 2, Attributes::Cga4),
    cga(0x06, 80, 1, Attributes::Cga2),
    Mode {
        colours: Colours::Mono,
        attributes: Attributes::MonoText,
        segment: 0xB000,
        ..text(0x07, 80, 0x1000)
    },
    Mode {
        colours: Colours::Cga,
        attributes: Attributes::Cga,
        ..planar(0x0D, 40, 25, 8, 0x2000, Lines::Doubled)
    },
    Mode {
        colours: Colours::Cga,
        attributes: Attributes::Cga,
        ..planar(0x0E, 80, 25, 8, 0x4000, Lines::Doubled)
    },
    Mode {
        colours: Colours::Mono,
        attributes: Attributes::MonoGraphics,
        ..planar(0x0F, 80, 25, 14, 0x8000, Lines::L350)
    },
    planar(0x10, 80, 25, 14, 0x8000, Lines::L350),
    Mode { attributes: Attributes::TwoColours, ..planar(0x11, 80, 30, 16, 0xA000, Lines::L480) },
    planar(0x12, 80, 30, 16, 0xA000, Lines::L480),
    Mode {
        memory: Memory::Linear,
        colours: Colours::All,
        attributes: Attributes::Straight,
        ..planar(0x13, 40, 25, 8, 0x2000, Lines::Doubled)
    },
];

/// The mode with this number.
pub(super) fn find(number: u8) -> Option<Mode> {
    MODES.into_iter().find(|mode| mode.number == number)
}

/// The mode that the data area names.
pub(super) fn current(io: &mut dyn Platform) -> Option<Mode> {
    let number = bda::VIDEO_MODE.get(io);
    find(number)
}

/// The contents of all registers but the DAC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Values {
    pub miscellaneous: u8,
    pub sequencer: [u8; 5],
    pub crtc: [u8; 25],
    pub attribute: [u8; 21],
    pub graphics: [u8; 9],
}

impl Mode {
    /// An entry of the video parameter table: columns, rows less one, height, page size, and the registers.
    pub fn parameters(&self) -> [u8; 64] {
        let values = self.values();
        let mut entry = [0; 64];
        entry[..3].copy_from_slice(&[self.columns, self.rows - 1, self.character_height]);
        entry[3..5].copy_from_slice(&self.page_size.to_le_bytes());
        entry[5..9].copy_from_slice(&values.sequencer[1..]);
        entry[9] = values.miscellaneous;
        entry[10..35].copy_from_slice(&values.crtc);
        entry[35..55].copy_from_slice(&values.attribute[..20]);
        entry[55..].copy_from_slice(&values.graphics);
        entry
    }

    /// Whether this is one of the modes of a monochrome display.
    pub fn is_mono(&self) -> bool {
        self.colours == Colours::Mono
    }

    /// The same text mode with characters for other lines: what INT 10h AH=12h BL=30h has selected.
    fn with_text_lines(self, io: &mut dyn Platform) -> Mode {
        let control = bda::VIDEO_MODE_CONTROL.get(io);
        if self.memory != Memory::Text || self.is_mono() {
            return self;
        }
        let (lines, character_height) = match (control & 0x80 != 0, control & 0x10 != 0) {
            (true, _) => (Lines::Doubled, 8),
            (false, false) => (Lines::L350, 14),
            (false, true) => return self,
        };
        Mode { lines, character_height, ..self }
    }

    pub fn values(&self) -> Values {
        Values {
            miscellaneous: self.miscellaneous(),
            sequencer: self.sequencer(),
            crtc: self.crtc(),
            attribute: self.attribute(),
            graphics: self.graphics(),
        }
    }

    fn is_text(&self) -> bool {
        self.memory == Memory::Text
    }

    /// Nine-dot characters need the faster clock.
    fn nine_dots(&self) -> bool {
        self.is_text() && self.lines == Lines::L400
    }

    /// Half the dot clock: 320 dots, or 40 characters.
    fn is_narrow(&self) -> bool {
        self.columns == 40 && self.memory != Memory::Linear
    }

    fn miscellaneous(&self) -> u8 {
        let sync = match self.lines {
            Lines::L480 => 0xE2,
            Lines::L350 => 0xA2,
            Lines::L400 | Lines::Doubled => 0x62,
        };
        let clock = if self.nine_dots() { 0x04 } else { 0 };
        sync | clock | u8::from(!self.is_mono())
    }

    fn sequencer(&self) -> [u8; 5] {
        let clocking = u8::from(!self.nine_dots()) | if self.is_narrow() { 0x08 } else { 0 };
        let (planes, memory) = match self.memory {
            Memory::Text | Memory::Cga(2) => (0x03, 0x02),
            Memory::Cga(_) => (0x01, 0x06),
            Memory::Planar => (0x0F, 0x06),
            Memory::Linear => (0x0F, 0x0E),
        };
        [0x03, clocking, planes, 0x00, memory]
    }

    fn graphics(&self) -> [u8; 9] {
        // Mode, memory map, colours that do not care.
        let (mode, map, care) = match self.memory {
            Memory::Text if self.is_mono() => (0x10, 0x0A, 0x00),
            Memory::Text => (0x10, 0x0E, 0x00),
            Memory::Cga(2) => (0x30, 0x0F, 0x00),
            Memory::Cga(_) => (0x00, 0x0D, 0x00),
            Memory::Planar if self.attributes == Attributes::TwoColours => (0x00, 0x05, 0x01),
            Memory::Planar if self.is_mono() => (0x00, 0x05, 0x05),
            Memory::Planar => (0x00, 0x05, 0x0F),
            Memory::Linear => (0x40, 0x05, 0x0F),
        };
        [0, 0, 0, 0, 0, mode, map, care, 0xFF]
    }

    fn crtc(&self) -> [u8; 25] {
        let horizontal = match (self.is_narrow(), self.is_text()) {
            (false, true) => [0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81],
            (false, false) => [0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80],
            (true, true) => [0x2D, 0x27, 0x28, 0x90, 0x2B, 0xA0],
            (true, false) => [0x2D, 0x27, 0x28, 0x90, 0x2B, 0x80],
        };
        // Total, overflow, retrace start and end, display end, blanking start and end.
        let vertical = match self.lines {
            Lines::L350 => [0xBF, 0x1F, 0x83, 0x85, 0x5D, 0x63, 0xBA],
            Lines::L400 | Lines::Doubled => [0xBF, 0x1F, 0x9C, 0x8E, 0x8F, 0x96, 0xB9],
            Lines::L480 => [0x0B, 0x3E, 0xEA, 0x8C, 0xDF, 0xE7, 0x04],
        };
        /// Bit 9 of the line compare register.
        const NO_SPLIT: u8 = 0x40;
        const SCAN_TWICE: u8 = 0x80;
        let doubled = if self.lines == Lines::Doubled { SCAN_TWICE } else { 0 };
        let scan_lines = NO_SPLIT
            | match self.memory {
                Memory::Text => doubled | (self.character_height - 1),
                // The second line of each pair comes from the other half of memory.
                Memory::Cga(_) => doubled | 1,
                Memory::Planar => doubled,
                // Every line twice, as rows of two lines.
                Memory::Linear => 1,
            };
        let cursor = match self.memory {
            Memory::Text => [self.character_height - 3, self.character_height - 2],
            _ => [0, 0],
        };
        let cursor = if self.is_text() && self.character_height == 8 { [6, 7] } else { cursor };
        let offset = if self.is_narrow() { 0x14 } else { 0x28 };
        let underline = match self.memory {
            Memory::Text if self.is_mono() => self.character_height - 1,
            Memory::Text => 0x1F,
            // Counts by four.
            Memory::Linear => 0x40,
            Memory::Planar if self.lines == Lines::L350 => 0x0F,
            _ => 0x00,
        };
        let control = match self.memory {
            Memory::Text => 0xA3,
            Memory::Cga(2) => 0xA2,
            Memory::Cga(_) => 0xC2,
            Memory::Planar => 0xE3,
            Memory::Linear => 0xA3,
        };
        let mut crtc = [0; 25];
        crtc[..6].copy_from_slice(&horizontal);
        crtc[0x06..0x08].copy_from_slice(&vertical[..2]);
        crtc[0x09] = scan_lines;
        crtc[0x0A..0x0C].copy_from_slice(&cursor);
        crtc[0x10..0x13].copy_from_slice(&vertical[2..5]);
        crtc[0x13] = offset;
        crtc[0x14] = underline;
        crtc[0x15..0x17].copy_from_slice(&vertical[5..]);
        crtc[0x17] = control;
        crtc[0x18] = 0xFF;
        crtc
    }

    fn attribute(&self) -> [u8; 21] {
        /// The CGA's colours among the EGA's: bright ones have all low bits set, brown is not dark yellow.
        const EGA: [u8; 16] = [0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3A, 0x3B, 0x3C, 0x3D, 0x3E, 0x3F];
        const CGA: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17];
        let one = |first, others| std::array::from_fn(|n| if n == 0 { first } else { others });
        let palette: [u8; 16] = match self.attributes {
            Attributes::Ega => EGA,
            Attributes::Cga => CGA,
            Attributes::MonoText => std::array::from_fn(|n| match n {
                0 => 0x00,
                8 => 0x10,
                9.. => 0x18,
                _ => 0x08,
            }),
            // Black, light cyan, light magenta, white; then as the CGA's.
            Attributes::Cga4 => {
                [0, 0x13, 0x15, 0x17, 2, 4, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17]
            }
            Attributes::Cga2 => one(0, 0x17),
            Attributes::MonoGraphics => [0, 8, 0, 0, 0x18, 0x18, 0, 0, 0, 8, 0, 0, 0, 0x18, 0, 0],
            Attributes::TwoColours => one(0, 0x3F),
            Attributes::Straight => std::array::from_fn(|n| n as u8),
        };
        let mode = match self.memory {
            Memory::Text if self.is_mono() => 0x0E,
            Memory::Text if self.nine_dots() => 0x0C,
            Memory::Text => 0x08,
            Memory::Planar if self.is_mono() => 0x0B,
            Memory::Linear => 0x41,
            _ => 0x01,
        };
        let planes = match self.attributes {
            Attributes::Cga4 => 0x03,
            Attributes::Cga2 => 0x01,
            Attributes::MonoGraphics => 0x05,
            _ => 0x0F,
        };
        let panning = if self.nine_dots() { 0x08 } else { 0 };
        let mut attribute = [0; 21];
        attribute[..16].copy_from_slice(&palette);
        attribute[0x10] = mode;
        attribute[0x12] = planes;
        attribute[0x13] = panning;
        attribute
    }
}

/// Sets mode `number`; bit 7 keeps the display memory. Unknown modes are not heeded.
pub(super) fn set(io: &mut dyn Platform, number: u8) {
    const KEEP_MEMORY: u8 = 0x80;
    let Some(mode) = find(number & !KEEP_MEMORY) else { return };
    let mode = mode.with_text_lines(io);
    registers::write_dispi(io, dispi::ENABLE, 0);
    program(io, &mode);
    if bda::VIDEO_MODE_CONTROL.get(io) & palette::DEFAULT_LOADING_OFF == 0 {
        palette::load_defaults(io, mode.colours);
    }
    if number & KEEP_MEMORY == 0 {
        clear(io, &mode);
    }
    set_data(io, &mode, number & KEEP_MEMORY);
    if mode.memory == Memory::Text {
        fonts::load_rom_font(io, mode.character_height, 0);
    }
    registers::show(io);
    registers::change(io, SEQUENCER, 1, SCREEN_OFF, 0);
}

/// Sequencer register 1: the display shows nothing, and memory is faster.
const SCREEN_OFF: u8 = 0x20;

/// Writes all registers. The screen stays off.
fn program(io: &mut dyn Platform, mode: &Mode) {
    let values = mode.values();
    let crtc = if mode.is_mono() { MONO_CRTC } else { COLOUR_CRTC };
    bda::CRTC_PORT.set(io, crtc);
    // The sequencer is reset while its clock changes.
    write(io, SEQUENCER, 0, 0x01);
    write(io, SEQUENCER, 1, values.sequencer[1] | SCREEN_OFF);
    io.out8(MISCELLANEOUS_WRITE, values.miscellaneous);
    for (index, value) in (2..).zip(&values.sequencer[2..]) {
        write(io, SEQUENCER, index, *value);
    }
    write(io, SEQUENCER, 0, 0x03);
    // Registers 0 to 7 are protected by bit 7 of register 11h.
    write(io, crtc, 0x11, values.crtc[0x11] & 0x7F);
    for (index, value) in (0..).zip(values.crtc) {
        write(io, crtc, index, value);
    }
    for (index, value) in (0..).zip(values.graphics) {
        write(io, GRAPHICS, index, value);
    }
    for (index, value) in (0..).zip(values.attribute) {
        registers::write_attribute(io, index, value);
    }
    io.out8(DAC_MASK, 0xFF);
}

fn clear(io: &mut dyn Platform, mode: &Mode) {
    let start = u32::from(mode.segment) << 4;
    match mode.memory {
        Memory::Text => {
            let blanks = [0x20, 0x07].repeat(0x4000);
            io.write(start, &blanks);
        }
        Memory::Cga(_) => io.fill(start, 0x8000, 0),
        Memory::Planar | Memory::Linear => io.fill(start, 0x1_0000, 0),
    }
}

/// What the data area has to say about the mode.
fn set_data(io: &mut dyn Platform, mode: &Mode, keep_memory: u8) {
    /// What the CGA's mode register would hold in modes 0 to 7.
    const CGA_MODES: [u8; 8] = [0x2C, 0x28, 0x2D, 0x29, 0x2A, 0x2E, 0x1E, 0x29];
    bda::VIDEO_MODE.set(io, mode.number);
    bda::VIDEO_COLUMNS.set(io, mode.columns.into());
    bda::VIDEO_PAGE_SIZE.set(io, mode.page_size);
    bda::VIDEO_PAGE_OFFSET.set(io, 0);
    bda::VIDEO_PAGE.set(io, 0);
    for page in 0..8 {
        bda::CURSOR_POSITIONS.nth(page).set(io, 0);
    }
    let rows = match mode.memory {
        Memory::Text => mode.lines.count() / mode.character_height_u16(),
        _ => mode.rows.into(),
    };
    bda::VIDEO_ROWS.set(io, (rows - 1) as u8);
    bda::CHARACTER_HEIGHT.set(io, mode.character_height.into());
    bda::VIDEO_CONTROL.change(io, 0x80, keep_memory);
    if let Some(value) = CGA_MODES.get(usize::from(mode.number)) {
        bda::CGA_MODE.set(io, *value);
    }
    bda::CGA_PALETTE.set(io, if mode.number == 0x06 { 0x3F } else { 0x30 });
    let display = if mode.is_mono() { 0x30 } else { 0x20 };
    let equipment = bda::EQUIPMENT.get(io) & !0x30 | display;
    bda::EQUIPMENT.set(io, equipment);
    bda::CURSOR_SHAPE.set(io, 0x0607);
    if mode.memory == Memory::Text {
        cursor::set_shape(io, 0x0607);
    }
    let font = match mode.character_height {
        8 => rom::offset::FONT_8,
        14 => rom::offset::FONT_14,
        _ => rom::offset::FONT_16,
    };
    io.put(0x43 * 4, u32::from(rom::SEGMENT) << 16 | u32::from(font));
}

impl Lines {
    fn count(self) -> u16 {
        match self {
            Lines::Doubled => 200,
            Lines::L350 => 350,
            Lines::L400 => 400,
            Lines::L480 => 480,
        }
    }
}

impl Mode {
    fn character_height_u16(&self) -> u16 {
        self.character_height.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(number: u8) -> Values {
        find(number).unwrap().values()
    }

    /// Register values of the standard modes, as the VGA's documentation and any VGA have them.
    #[test]
    fn registers_of_mode_3() {
        let v = values(0x03);
        assert_eq!(v.miscellaneous, 0x67);
        assert_eq!(v.sequencer, [0x03, 0x00, 0x03, 0x00, 0x02]);
        assert_eq!(
            v.crtc,
            [
                0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81, 0xBF, 0x1F, 0x00, 0x4F, 0x0D, 0x0E, 0x00, 0x00, 0x00,
                0x00, 0x9C, 0x8E, 0x8F, 0x28, 0x1F, 0x96, 0xB9, 0xA3, 0xFF
            ]
        );
        assert_eq!(v.graphics, [0, 0, 0, 0, 0, 0x10, 0x0E, 0x00, 0xFF]);
        assert_eq!(v.attribute[0x10..], [0x0C, 0x00, 0x0F, 0x08, 0x00]);
    }

    #[test]
    fn registers_of_graphics_modes() {
        let v = values(0x13);
        assert_eq!((v.miscellaneous, v.sequencer[1], v.sequencer[4]), (0x63, 0x01, 0x0E));
        assert_eq!((v.crtc[0x00], v.crtc[0x09], v.crtc[0x14], v.crtc[0x17]), (0x5F, 0x41, 0x40, 0xA3));
        assert_eq!((v.graphics[5], v.attribute[0x10]), (0x40, 0x41));
        let v = values(0x12);
        assert_eq!((v.miscellaneous, v.sequencer[1]), (0xE3, 0x01));
        assert_eq!((v.crtc[0x06], v.crtc[0x09], v.crtc[0x12]), (0x0B, 0x40, 0xDF));
        let v = values(0x0D);
        assert_eq!((v.miscellaneous, v.sequencer[1], v.crtc[0x09], v.crtc[0x17]), (0x63, 0x09, 0xC0, 0xE3));
        let v = values(0x10);
        assert_eq!((v.miscellaneous, v.crtc[0x09], v.crtc[0x12], v.crtc[0x14]), (0xA3, 0x40, 0x5D, 0x0F));
        let v = values(0x04);
        assert_eq!((v.sequencer[1], v.sequencer[4], v.crtc[0x09], v.crtc[0x17]), (0x09, 0x02, 0xC1, 0xA2));
        let v = values(0x06);
        assert_eq!((v.sequencer, v.crtc[0x09], v.crtc[0x17]), ([3, 1, 1, 0, 6], 0xC1, 0xC2));
        let v = values(0x07);
        assert_eq!((v.miscellaneous, v.crtc[0x14], v.attribute[0x10]), (0x66, 0x0F, 0x0E));
    }
}
