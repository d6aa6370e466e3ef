//! The 8259A pair. Intel 8259A data sheet, "Initialization Command Words".

use crate::platform::Platform;

const MASTER: u16 = 0x20;
const SLAVE: u16 = 0xA0;
const END_OF_INTERRUPT: u8 = 0x20;
const READ_IN_SERVICE: u8 = 0x0B;
/// Edge/level control of lines 0 to 7; those of 8 to 15 follow.
const TRIGGER: u16 = 0x4D0;

/// Initialises both for vectors 08h and 70h, with all lines masked but the cascade.
pub(crate) fn initialise(io: &mut dyn Platform) {
    for (port, vector, wiring, mask) in [(MASTER, 0x08, 1 << 2, 0xFB), (SLAVE, 0x70, 2, 0xFF)] {
        // Edge-triggered, cascaded, 8086 mode.
        io.out8(port, 0x11);
        for word in [vector, wiring, 0x01, mask] {
            io.out8(port + 1, word);
        }
    }
}

/// Lets interrupt `line` through.
pub(crate) fn unmask(io: &mut dyn Platform, line: u8) {
    let port = if line < 8 { MASTER } else { SLAVE } + 1;
    let mask = io.in8(port) & !(1 << (line & 7));
    io.out8(port, mask);
}

/// Makes the lines of `levels` (bit n is line n) level-triggered, the others edge-triggered.
pub(crate) fn set_level_triggered(io: &mut dyn Platform, levels: u16) {
    let [low, high] = levels.to_le_bytes();
    io.out8(TRIGGER, low);
    io.out8(TRIGGER + 1, high);
}

/// Ends the interrupt that is in service at the slave, or only at the master.
pub(crate) fn end(io: &mut dyn Platform, slave: bool) {
    if slave {
        io.out8(SLAVE, END_OF_INTERRUPT);
    }
    io.out8(MASTER, END_OF_INTERRUPT);
}

/// An interrupt that nobody serves: ends and masks it, and gives its line (as a mask bit, as IBM's BIOS notes
/// it) or FFh if none is in service.
pub(crate) fn dismiss(io: &mut dyn Platform) -> u8 {
    io.out8(MASTER, READ_IN_SERVICE);
    let master = io.in8(MASTER);
    io.out8(SLAVE, READ_IN_SERVICE);
    let slave = io.in8(SLAVE);
    if master == 0 {
        return 0xFF;
    }
    let (port, bits) = if slave != 0 { (SLAVE, slave) } else { (MASTER, master & !(1 << 2)) };
    let bit = bits & bits.wrapping_neg();
    let mask = io.in8(port + 1) | bit;
    io.out8(port + 1, mask);
    end(io, slave != 0);
    bit
}
