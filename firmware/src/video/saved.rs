//! INT 10h AH=1Ch: saving and restoring the state of the display. IBM PS/2 and PC BIOS Interface Technical Reference,
//! "Save/restore video state".

use super::crtc_port;
use super::registers::{
    self, DAC_MASK, GRAPHICS, MISCELLANEOUS_READ, MISCELLANEOUS_WRITE, SEQUENCER, read_attribute, read_dac,
    write_attribute, write_dac,
};
use crate::bios::Call;
use crate::bios::bda;
use crate::platform::Platform;

/// What is saved, in the bits of CX.
const HARDWARE: u16 = 1;
const DATA_AREA: u16 = 2;
const COLOURS: u16 = 4;

/// Bytes of each part.
const HARDWARE_SIZE: usize = 5 + 25 + 21 + 9 + 2;
const DATA_AREA_SIZE: usize = 0x1E + 7 + 4 + 4 * 4;
const COLOURS_SIZE: usize = 1 + 256 * 3;

/// The unit in which sizes are told.
const BLOCK: usize = 64;

/// Bytes of the parts of `what`.
pub(super) fn size(what: u16) -> usize {
    [(HARDWARE, HARDWARE_SIZE), (DATA_AREA, DATA_AREA_SIZE), (COLOURS, COLOURS_SIZE)]
        .into_iter()
        .filter(|(bit, _)| what & bit != 0)
        .map(|(_, size)| size)
        .sum()
}

/// AH=1Ch.
pub(super) fn service(call: &mut Call) {
    let what = call.regs.cx();
    let at = call.es_at(call.regs.bx());
    match call.regs.al() {
        0x00 => call.regs.set_bx(size(what).div_ceil(BLOCK) as u16),
        0x01 => {
            let bytes = save(call.io, what);
            call.io.write(at, &bytes);
        }
        0x02 => {
            let bytes = call.io.bytes(at, size(what));
            restore(call.io, what, &bytes);
        }
        _ => return,
    }
    call.regs.set_al(0x1C);
}

/// The data area's parts: mode to palette, rows to display combination, the save pointer.
const FIELDS: [(u32, usize); 3] = [(0x49, 0x1E), (0x84, 7), (0xA8, 4)];
/// The vectors that the display's BIOS uses.
const VECTORS: [u32; 4] = [0x05, 0x1D, 0x1F, 0x43];

/// The state of the parts of `what`.
pub(super) fn save(io: &mut dyn Platform, what: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    if what & HARDWARE != 0 {
        let crtc = crtc_port(io);
        bytes.extend((0..5).map(|index| registers::read(io, SEQUENCER, index)).collect::<Vec<_>>());
        bytes.extend((0..25).map(|index| registers::read(io, crtc, index)).collect::<Vec<_>>());
        bytes.extend((0..21).map(|index| read_attribute(io, index)).collect::<Vec<_>>());
        bytes.extend((0..9).map(|index| registers::read(io, GRAPHICS, index)).collect::<Vec<_>>());
        bytes.push(io.in8(MISCELLANEOUS_READ));
        bytes.push((crtc == registers::MONO_CRTC).into());
    }
    if what & DATA_AREA != 0 {
        for (offset, length) in FIELDS {
            bytes.extend(io.bytes(bda::BASE + offset, length));
        }
        for vector in VECTORS {
            bytes.extend(io.bytes(vector * 4, 4));
        }
    }
    if what & COLOURS != 0 {
        bytes.push(io.in8(DAC_MASK));
        for index in 0..=255 {
            bytes.extend(read_dac(io, index));
        }
    }
    bytes
}

/// Restores what [`save`] gave. Whatever the bytes are, they are no more than register values.
pub(super) fn restore(io: &mut dyn Platform, what: u16, bytes: &[u8]) {
    let mut rest = bytes;
    let mut take = |count: usize| {
        let (part, tail) = rest.split_at(count.min(rest.len()));
        rest = tail;
        part
    };
    if what & HARDWARE != 0 {
        let (sequencer, crtc_values) = (take(5), take(25));
        let (attribute, graphics, others) = (take(21), take(9), take(2));
        let crtc = if others.last() == Some(&1) { registers::MONO_CRTC } else { registers::COLOUR_CRTC };
        bda::CRTC_PORT.set(io, crtc);
        if let Some(miscellaneous) = others.first() {
            io.out8(MISCELLANEOUS_WRITE, *miscellaneous);
        }
        for (index, value) in (0..).zip(sequencer) {
            registers::write(io, SEQUENCER, index, *value);
        }
        registers::change(io, crtc, 0x11, 0x80, 0);
        for (index, value) in (0..).zip(crtc_values) {
            registers::write(io, crtc, index, *value);
        }
        for (index, value) in (0..).zip(graphics) {
            registers::write(io, GRAPHICS, index, *value);
        }
        for (index, value) in (0..).zip(attribute) {
            write_attribute(io, index, *value);
        }
        registers::show(io);
    }
    if what & DATA_AREA != 0 {
        for (offset, length) in FIELDS {
            io.write(bda::BASE + offset, take(length));
        }
        for vector in VECTORS {
            io.write(vector * 4, take(4));
        }
    }
    if what & COLOURS != 0 {
        let (mask, colours) = (take(1), take(256 * 3));
        if let Some(mask) = mask.first() {
            io.out8(DAC_MASK, *mask);
        }
        for (index, colour) in (0..=255u8).zip(colours.as_chunks::<3>().0) {
            write_dac(io, index, *colour);
        }
    }
}
