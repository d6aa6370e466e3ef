//! A VGA as a guest sees it, and the standard modes' register values.

mod dispi;
mod graphics;
mod registers;
mod state;
mod text;
mod timing;
mod window;

use super::*;
use crate::access::Mmio;

/// A VGA with the ports and the window that a guest reaches it by.
struct Guest {
    vga: Vga,
    now: GuestTime,
    frame: Frame,
}

/// The register offset of a port.
fn offset(port: u16) -> u16 {
    Vga::PORTS.iter().find_map(|range| range.offset_of(port)).expect("a port of the VGA")
}

impl Guest {
    fn new() -> Self {
        Self::with_irq(IrqLine::unconnected())
    }

    fn with_irq(irq: IrqLine) -> Self {
        Guest { vga: Vga::new(irq), now: GuestTime::ZERO, frame: Frame::new() }
    }

    fn in_mode(number: u8) -> Self {
        let mut guest = Self::new();
        guest.set_mode(number);
        guest
    }

    fn out(&mut self, port: u16, value: u8) {
        self.vga.write_port(offset(port), AccessSize::Byte, value.into(), self.now).expect("a VGA port");
    }

    fn try_in(&mut self, port: u16) -> Result<u8, IoError> {
        self.vga.read_port(offset(port), AccessSize::Byte, self.now).map(|value| value as u8)
    }

    fn input(&mut self, port: u16) -> u8 {
        self.try_in(port).expect("a VGA port")
    }

    /// Writes a register behind an index port with one word access, as `out dx, ax` does.
    fn set(&mut self, index_port: u16, index: u8, value: u8) {
        let word = u32::from(u16::from_le_bytes([index, value]));
        self.vga.write_port(offset(index_port), AccessSize::Word, word, self.now).expect("a VGA port");
    }

    fn get(&mut self, index_port: u16, index: u8) -> u8 {
        self.out(index_port, index);
        self.input(index_port + 1)
    }

    /// Writes an attribute register and switches the display on.
    fn set_attribute(&mut self, index: u8, value: u8) {
        self.input(self.status_port());
        self.out(0x3C0, index);
        self.out(0x3C0, value);
        self.out(0x3C0, 0x20);
    }

    fn set_color(&mut self, index: u8, rgb: [u8; 3]) {
        self.out(0x3C8, index);
        rgb.into_iter().for_each(|gun| self.out(0x3C9, gun));
    }

    fn status_port(&self) -> u16 {
        if self.vga.misc_output & 1 != 0 { 0x3DA } else { 0x3BA }
    }

    fn write(&mut self, address: u32, size: AccessSize, value: u32) {
        self.vga.write_memory((address - 0xA0000).into(), size, value, self.now).expect("the window");
    }

    fn poke(&mut self, address: u32, value: u8) {
        self.write(address, AccessSize::Byte, value.into());
    }

    fn read(&mut self, address: u32, size: AccessSize) -> u32 {
        self.vga.read_memory((address - 0xA0000).into(), size, self.now).expect("the window")
    }

    fn peek(&mut self, address: u32) -> u8 {
        self.read(address, AccessSize::Byte) as u8
    }

    /// The bytes of the four maps at a map address.
    fn maps(&self, address: u32) -> [u8; 4] {
        self.vga.vram.cell(address).to_le_bytes()
    }

    fn set_maps(&mut self, address: u32, maps: [u8; 4]) {
        self.vga.vram.set_cell(address, u32::from_le_bytes(maps));
    }

    fn dispi(&mut self, register: u16, value: u16) {
        for (port, word) in [(0x1CE, register), (0x1CF, value)] {
            self.vga.write_port(offset(port), AccessSize::Word, word.into(), self.now).expect("a DISPI port");
        }
    }

    fn dispi_value(&mut self, register: u16) -> u16 {
        self.vga
            .write_port(offset(0x1CE), AccessSize::Word, register.into(), self.now)
            .expect("a DISPI port");
        self.vga.read_port(offset(0x1CF), AccessSize::Word, self.now).expect("a DISPI port") as u16
    }

    /// Switches a VBE mode on, and the display.
    fn set_vbe_mode(&mut self, width: u16, height: u16, bits: u16) {
        self.dispi(4, 0);
        self.dispi(1, width);
        self.dispi(2, height);
        self.dispi(3, bits);
        self.dispi(4, 0x41);
        self.input(self.status_port());
        self.out(0x3C0, 0x20);
    }

    fn pass(&mut self, nanos: u64) {
        self.now = self.now + GuestDuration::from_nanos(nanos);
    }

    /// The picture now, PELs line by line.
    fn picture(&mut self) -> &Frame {
        self.vga.render(self.now, &mut self.frame);
        &self.frame
    }

    fn pel(&mut self, x: u32, y: u32) -> [u8; 3] {
        self.picture().rgb(x, y).expect("inside the picture")
    }

    /// The PELs of the picture from `x` on line `y`, as numbers of DAC colours: needs `number_colors`.
    fn pels<const N: usize>(&mut self, x: u32, y: u32) -> [u8; N] {
        let picture = self.picture();
        std::array::from_fn(|i| {
            let [r, g, _] = picture.rgb(x + i as u32, y).expect("inside the picture");
            (r >> 2 & 0x0F) << 4 | g >> 2 & 0x0F
        })
    }

    /// Gives every DAC colour its own number: the high nibble in red, the low one in green.
    fn number_colors(&mut self) {
        (0..=255).for_each(|i| self.set_color(i, [i >> 4, i & 0x0F, 0]));
    }

    /// Loads the registers of a BIOS mode in the order in which a BIOS does.
    fn set_mode(&mut self, number: u8) {
        let mode = MODES.iter().find(|mode| mode.number == number).expect("a standard mode");
        self.out(0x3C2, mode.misc_output);
        let crtc = if mode.misc_output & 1 != 0 { 0x3D4 } else { 0x3B4 };
        self.set(0x3C4, 0, 0x01);
        for (value, index) in mode.sequencer.into_iter().zip(1..) {
            self.set(0x3C4, index, value);
        }
        self.set(0x3C4, 0, 0x03);
        self.set(crtc, 0x11, 0x00);
        for (value, index) in mode.crtc.into_iter().zip(0..) {
            self.set(crtc, index, value);
        }
        for (value, index) in mode.graphics.into_iter().zip(0..) {
            self.set(0x3CE, index, value);
        }
        self.input(self.status_port());
        self.out(0x3C0, 0);
        self.out(0x3C0, 0);
        for (value, index) in mode.attribute.into_iter().zip(0..) {
            self.out(0x3C0, index);
            self.out(0x3C0, value);
        }
        self.out(0x3C0, 0x20);
    }
}

/// The registers of a mode as the IBM VGA BIOS sets them (its video parameter table), and what they make.
struct Mode {
    number: u8,
    misc_output: u8,
    sequencer: [u8; 4],
    crtc: [u8; 25],
    graphics: [u8; 9],
    attribute: [u8; 20],
    resolution: (u32, u32),
    /// Columns and rows, of text modes.
    text: Option<(usize, usize)>,
    /// Frames a second, in hundredths, as IBM specifies the mode.
    frame_rate: u32,
}

const EGA_PALETTE: [u8; 16] =
    [0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3A, 0x3B, 0x3C, 0x3D, 0x3E, 0x3F];
const RGBI_PALETTE: [u8; 16] =
    [0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17];
const CGA_PALETTE: [u8; 16] =
    [0x00, 0x13, 0x15, 0x17, 0x02, 0x04, 0x06, 0x07, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17];
const MONO_PALETTE: [u8; 16] =
    [0x00, 0x08, 0x08, 0x08, 0x08, 0x08, 0x08, 0x08, 0x10, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18];
const STRAIGHT_PALETTE: [u8; 16] =
    [0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F];

const fn attribute(palette: [u8; 16], rest: [u8; 4]) -> [u8; 20] {
    let mut registers = [0; 20];
    let mut i = 0;
    while i < 16 {
        registers[i] = palette[i];
        i += 1;
    }
    while i < 20 {
        registers[i] = rest[i - 16];
        i += 1;
    }
    registers
}

const MODES: &[Mode] = &[
    Mode {
        number: 0x01,
        misc_output: 0x67,
        sequencer: [0x08, 0x03, 0x00, 0x02],
        crtc: [
            0x2D, 0x27, 0x28, 0x90, 0x2B, 0xA0, 0xBF, 0x1F, 0x00, 0x4F, 0x0D, 0x0E, 0x00, 0x00, 0x00, 0x00,
            0x9C, 0x8E, 0x8F, 0x14, 0x1F, 0x96, 0xB9, 0xA3, 0xFF,
        ],
        graphics: [0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0E, 0x00, 0xFF],
        attribute: attribute(EGA_PALETTE, [0x0C, 0x00, 0x0F, 0x08]),
        resolution: (360, 400),
        text: Some((40, 25)),
        frame_rate: 7008,
    },
    Mode {
        number: 0x03,
        misc_output: 0x67,
        sequencer: [0x00, 0x03, 0x00, 0x02],
        crtc: [
            0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81, 0xBF, 0x1F, 0x00, 0x4F, 0x0D, 0x0E, 0x00, 0x00, 0x00, 0x00,
            0x9C, 0x8E, 0x8F, 0x28, 0x1F, 0x96, 0xB9, 0xA3, 0xFF,
        ],
        graphics: [0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0E, 0x00, 0xFF],
        attribute: attribute(EGA_PALETTE, [0x0C, 0x00, 0x0F, 0x08]),
        resolution: (720, 400),
        text: Some((80, 25)),
        frame_rate: 7008,
    },
    Mode {
        number: 0x04,
        misc_output: 0x63,
        sequencer: [0x09, 0x03, 0x00, 0x02],
        crtc: [
            0x2D, 0x27, 0x28, 0x90, 0x2B, 0x80, 0xBF, 0x1F, 0x00, 0xC1, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
            0x9C, 0x8E, 0x8F, 0x14, 0x00, 0x96, 0xB9, 0xA2, 0xFF,
        ],
        graphics: [0x00, 0x00, 0x00, 0x00, 0x00, 0x30, 0x0F, 0x00, 0xFF],
        attribute: attribute(CGA_PALETTE, [0x01, 0x00, 0x03, 0x00]),
        resolution: (320, 200),
        text: None,
        frame_rate: 7008,
    },
    Mode {
        number: 0x06,
        misc_output: 0x63,
        sequencer: [0x01, 0x01, 0x00, 0x06],
        crtc: [
            0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0xBF, 0x1F, 0x00, 0xC1, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
            0x9C, 0x8E, 0x8F, 0x28, 0x00, 0x96, 0xB9, 0xC2, 0xFF,
        ],
        graphics: [0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0D, 0x00, 0xFF],
        attribute: attribute([0x17; 16], [0x01, 0x00, 0x01, 0x00]),
        resolution: (640, 200),
        text: None,
        frame_rate: 7008,
    },
    Mode {
        number: 0x07,
        misc_output: 0x66,
        sequencer: [0x00, 0x03, 0x00, 0x02],
        crtc: [
            0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81, 0xBF, 0x1F, 0x00, 0x4F, 0x0D, 0x0E, 0x00, 0x00, 0x00, 0x00,
            0x9C, 0x8E, 0x8F, 0x28, 0x0F, 0x96, 0xB9, 0xA3, 0xFF,
        ],
        graphics: [0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0A, 0x00, 0xFF],
        attribute: attribute(MONO_PALETTE, [0x0E, 0x00, 0x0F, 0x08]),
        resolution: (720, 400),
        text: Some((80, 25)),
        frame_rate: 7008,
    },
    Mode {
        number: 0x0D,
        misc_output: 0x63,
        sequencer: [0x09, 0x0F, 0x00, 0x06],
        crtc: [
            0x2D, 0x27, 0x28, 0x90, 0x2B, 0x80, 0xBF, 0x1F, 0x00, 0xC0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
            0x9C, 0x8E, 0x8F, 0x14, 0x00, 0x96, 0xB9, 0xE3, 0xFF,
        ],
        graphics: [0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x0F, 0xFF],
        attribute: attribute(RGBI_PALETTE, [0x01, 0x00, 0x0F, 0x00]),
        resolution: (320, 200),
        text: None,
        frame_rate: 7008,
    },
    Mode {
        number: 0x0E,
        misc_output: 0x63,
        sequencer: [0x01, 0x0F, 0x00, 0x06],
        crtc: [
            0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0xBF, 0x1F, 0x00, 0xC0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
            0x9C, 0x8E, 0x8F, 0x28, 0x00, 0x96, 0xB9, 0xE3, 0xFF,
        ],
        graphics: [0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x0F, 0xFF],
        attribute: attribute(RGBI_PALETTE, [0x01, 0x00, 0x0F, 0x00]),
        resolution: (640, 200),
        text: None,
        frame_rate: 7008,
    },
    Mode {
        number: 0x10,
        misc_output: 0xA3,
        sequencer: [0x01, 0x0F, 0x00, 0x06],
        crtc: [
            0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0xBF, 0x1F, 0x00, 0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
            0x83, 0x85, 0x5D, 0x28, 0x0F, 0x63, 0xBA, 0xE3, 0xFF,
        ],
        graphics: [0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x0F, 0xFF],
        attribute: attribute(EGA_PALETTE, [0x01, 0x00, 0x0F, 0x00]),
        resolution: (640, 350),
        text: None,
        frame_rate: 7008,
    },
    Mode {
        number: 0x11,
        misc_output: 0xE3,
        sequencer: [0x01, 0x0F, 0x00, 0x06],
        crtc: [
            0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0x0B, 0x3E, 0x00, 0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
            0xEA, 0x8C, 0xDF, 0x28, 0x00, 0xE7, 0x04, 0xC3, 0xFF,
        ],
        graphics: [0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x01, 0xFF],
        attribute: attribute([0x3F; 16], [0x01, 0x00, 0x0F, 0x00]),
        resolution: (640, 480),
        text: None,
        frame_rate: 5994,
    },
    Mode {
        number: 0x12,
        misc_output: 0xE3,
        sequencer: [0x01, 0x0F, 0x00, 0x06],
        crtc: [
            0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0x0B, 0x3E, 0x00, 0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
            0xEA, 0x8C, 0xDF, 0x28, 0x00, 0xE7, 0x04, 0xE3, 0xFF,
        ],
        graphics: [0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x0F, 0xFF],
        attribute: attribute(EGA_PALETTE, [0x01, 0x00, 0x0F, 0x00]),
        resolution: (640, 480),
        text: None,
        frame_rate: 5994,
    },
    Mode {
        number: 0x13,
        misc_output: 0x63,
        sequencer: [0x01, 0x0F, 0x00, 0x0E],
        crtc: [
            0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0xBF, 0x1F, 0x00, 0x41, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
            0x9C, 0x8E, 0x8F, 0x28, 0x40, 0x96, 0xB9, 0xA3, 0xFF,
        ],
        graphics: [0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x05, 0x0F, 0xFF],
        attribute: attribute(STRAIGHT_PALETTE, [0x41, 0x00, 0x0F, 0x00]),
        resolution: (320, 200),
        text: None,
        frame_rate: 7008,
    },
];

#[test]
fn standard_modes_have_their_resolutions() {
    for mode in MODES {
        let mut guest = Guest::in_mode(mode.number);
        assert_eq!(guest.vga.resolution(), mode.resolution, "mode {:02X}h", mode.number);
        let picture = guest.picture();
        assert_eq!((picture.width(), picture.height()), mode.resolution, "mode {:02X}h", mode.number);
        let text = guest.vga.text_screen().map(|screen| (screen.columns(), screen.rows()));
        assert_eq!(text, mode.text, "mode {:02X}h", mode.number);
    }
}

#[test]
fn a_mode_change_from_any_mode_to_any_other_leaves_nothing_behind() {
    for before in MODES {
        for after in MODES {
            let mut guest = Guest::in_mode(before.number);
            guest.set_mode(after.number);
            assert_eq!(guest.vga.resolution(), after.resolution);
        }
    }
}

#[test]
fn nothing_is_shown_before_the_sequencer_runs() {
    let mut guest = Guest::new();
    assert_eq!(guest.vga.resolution(), (640, 480));
    assert!(guest.picture().pixels().iter().all(|&pel| pel == 0));
    assert_eq!(guest.vga.text_screen(), None);
}
