//! INT 10h AH=01h to 03h: the cursor.

use super::modes::Memory;
use super::{crtc_port, modes, registers};
use crate::bios::bda;
use crate::platform::Platform;

/// Pages that have a cursor.
const PAGES: u8 = 8;

/// Row and column of the cursor of `page`.
pub(super) fn position(io: &mut dyn Platform, page: u8) -> u16 {
    bda::CURSOR_POSITIONS.nth((page % PAGES).into()).get(io)
}

/// Puts the cursor of `page` at a row (upper half) and column.
pub(super) fn set_position(io: &mut dyn Platform, page: u8, position: u16) {
    let page = page % PAGES;
    bda::CURSOR_POSITIONS.nth(page.into()).set(io, position);
    if page == bda::VIDEO_PAGE.get(io) {
        show(io);
    }
}

/// Moves the cursor that is seen to where the active page's is.
pub(super) fn show(io: &mut dyn Platform) {
    if modes::current(io).is_none_or(|mode| mode.memory != Memory::Text) {
        return;
    }
    let page = bda::VIDEO_PAGE.get(io);
    let [row, column] = position(io, page).to_be_bytes();
    let columns = bda::VIDEO_COLUMNS.get(io);
    let start = bda::VIDEO_PAGE_OFFSET.get(io) / 2;
    let place = u16::from(row).wrapping_mul(columns).wrapping_add(column.into()).wrapping_add(start);
    let crtc = crtc_port(io);
    let [high, low] = place.to_be_bytes();
    registers::write(io, crtc, 0x0E, high);
    registers::write(io, crtc, 0x0F, low);
}

/// AH=01h: the first and the last line of the cursor, as a program for the CGA may say it.
pub(super) fn set_shape(io: &mut dyn Platform, shape: u16) {
    const NO_EMULATION: u8 = 0x01;
    bda::CURSOR_SHAPE.set(io, shape);
    let height = bda::CHARACTER_HEIGHT.get(io);
    let emulated = bda::VIDEO_CONTROL.get(io) & NO_EMULATION == 0;
    let [start, end] = if emulated { emulate(shape, height) } else { shape.to_be_bytes() };
    let crtc = crtc_port(io);
    registers::write(io, crtc, 0x0A, start & 0x3F);
    registers::write(io, crtc, 0x0B, end & 0x1F);
}

/// The same shape in a taller character: what was said of 8 lines.
fn emulate(shape: u16, height: u16) -> [u8; 2] {
    const OFF: u8 = 0x20;
    let [start, end] = shape.to_be_bytes();
    let (first, last) = (u16::from(start & 0x1F), u16::from(end & 0x1F));
    if start & OFF != 0 || height <= 8 || first > 7 || last > 7 || first > last {
        return [start, end];
    }
    if first + 2 > last && first >= 4 {
        // A line or two at the bottom stay so, one line above the end.
        let below = 7 - last;
        let last = height - 2 - below;
        return [(last - 1) as u8, last as u8];
    }
    let scaled_end = (last + 1) * height / 8 - 1;
    [(first * height / 8) as u8, scaled_end as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_of_the_cga() {
        assert_eq!(emulate(0x0607, 16), [0x0D, 0x0E], "the usual underline");
        assert_eq!(emulate(0x0607, 14), [0x0B, 0x0C]);
        assert_eq!(emulate(0x0007, 16), [0x00, 0x0F], "a block");
        assert_eq!(emulate(0x0407, 16), [0x08, 0x0F], "half a block");
        assert_eq!(emulate(0x2000, 16), [0x20, 0x00], "off");
        assert_eq!(emulate(0x0607, 8), [0x06, 0x07]);
        assert_eq!(emulate(0x0D0E, 16), [0x0D, 0x0E], "a program that knows the VGA");
    }
}
