//! The VGA's registers behind their index ports. IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem".

use crate::platform::Platform;

pub(super) const MONO_CRTC: u16 = 0x3B4;
pub(super) const COLOUR_CRTC: u16 = 0x3D4;
pub(super) const SEQUENCER: u16 = 0x3C4;
pub(super) const GRAPHICS: u16 = 0x3CE;
/// Index and data in turns; reading input status 1 makes the index come next.
const ATTRIBUTE: u16 = 0x3C0;
const ATTRIBUTE_READ: u16 = 0x3C1;
pub(super) const MISCELLANEOUS_WRITE: u16 = 0x3C2;
pub(super) const MISCELLANEOUS_READ: u16 = 0x3CC;
pub(super) const DAC_MASK: u16 = 0x3C6;
const DAC_READ_INDEX: u16 = 0x3C7;
const DAC_WRITE_INDEX: u16 = 0x3C8;
const DAC_DATA: u16 = 0x3C9;
/// Display interface of Bochs: index; data follows as another word port.
const DISPI: u16 = 0x1CE;

/// Writes an indexed register.
pub(super) fn write(io: &mut dyn Platform, port: u16, index: u8, value: u8) {
    io.out8(port, index);
    io.out8(port + 1, value);
}

/// Reads an indexed register.
pub(super) fn read(io: &mut dyn Platform, port: u16, index: u8) -> u8 {
    io.out8(port, index);
    io.in8(port + 1)
}

/// Changes the bits of `mask` in an indexed register.
pub(super) fn change(io: &mut dyn Platform, port: u16, index: u8, mask: u8, value: u8) {
    let before = read(io, port, index);
    write(io, port, index, before & !mask | value & mask);
}

fn input_status(io: &mut dyn Platform) -> u8 {
    let crtc = super::crtc_port(io);
    io.in8(crtc + 6)
}

/// The palette is the display's while this bit of the index is set.
const PALETTE_ON: u8 = 0x20;

/// Writes a register of the attribute controller. The screen stays off if it is a palette register, until
/// [`show`].
pub(super) fn write_attribute(io: &mut dyn Platform, index: u8, value: u8) {
    input_status(io);
    io.out8(ATTRIBUTE, index);
    io.out8(ATTRIBUTE, value);
}

/// Reads a register of the attribute controller.
pub(super) fn read_attribute(io: &mut dyn Platform, index: u8) -> u8 {
    input_status(io);
    io.out8(ATTRIBUTE, index);
    let value = io.in8(ATTRIBUTE_READ);
    show(io);
    value
}

/// Gives the palette to the display.
pub(super) fn show(io: &mut dyn Platform) {
    input_status(io);
    io.out8(ATTRIBUTE, PALETTE_ON);
    input_status(io);
}

/// A colour of the DAC: red, green and blue.
pub(super) type Colour = [u8; 3];

pub(super) fn write_dac(io: &mut dyn Platform, index: u8, colour: Colour) {
    io.out8(DAC_WRITE_INDEX, index);
    for part in colour {
        io.out8(DAC_DATA, part);
    }
}

pub(super) fn read_dac(io: &mut dyn Platform, index: u8) -> Colour {
    io.out8(DAC_READ_INDEX, index);
    std::array::from_fn(|_| io.in8(DAC_DATA))
}

/// Registers of the display interface.
pub(super) mod dispi {
    pub const X_RESOLUTION: u16 = 1;
    pub const Y_RESOLUTION: u16 = 2;
    pub const BITS_PER_PIXEL: u16 = 3;
    pub const ENABLE: u16 = 4;
    pub const BANK: u16 = 5;
    pub const VIRTUAL_WIDTH: u16 = 6;
    pub const VIRTUAL_HEIGHT: u16 = 7;
    pub const X_OFFSET: u16 = 8;
    pub const Y_OFFSET: u16 = 9;
    pub const MEMORY_64K: u16 = 10;

    /// Bits of [`ENABLE`].
    pub const ENABLED: u16 = 0x01;
    pub const EIGHT_BIT_DAC: u16 = 0x20;
    pub const LINEAR: u16 = 0x40;
    pub const KEEP_MEMORY: u16 = 0x80;
}

pub(super) fn write_dispi(io: &mut dyn Platform, index: u16, value: u16) {
    io.out16(DISPI, index);
    io.out16(DISPI + 1, value);
}

pub(super) fn read_dispi(io: &mut dyn Platform, index: u16) -> u16 {
    io.out16(DISPI, index);
    io.in16(DISPI + 1)
}
