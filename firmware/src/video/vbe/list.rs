//! The modes of the VESA BIOS extensions, and how each describes itself. VBE 3.0, "Return VBE Mode Information".

/// A mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mode {
    pub number: u16,
    pub width: u16,
    pub height: u16,
    pub bits: u8,
}

const fn mode(number: u16, width: u16, height: u16, bits: u8) -> Mode {
    Mode { number, width, height, bits }
}

/// VESA's own numbers below 11Ch; behind them those that the BIOS for this display interface always had.
const MODES: [Mode; 40] = [
    mode(0x100, 640, 400, 8),
    mode(0x101, 640, 480, 8),
    mode(0x103, 800, 600, 8),
    mode(0x105, 1024, 768, 8),
    mode(0x107, 1280, 1024, 8),
    mode(0x10D, 320, 200, 15),
    mode(0x10E, 320, 200, 16),
    mode(0x10F, 320, 200, 24),
    mode(0x110, 640, 480, 15),
    mode(0x111, 640, 480, 16),
    mode(0x112, 640, 480, 24),
    mode(0x113, 800, 600, 15),
    mode(0x114, 800, 600, 16),
    mode(0x115, 800, 600, 24),
    mode(0x116, 1024, 768, 15),
    mode(0x117, 1024, 768, 16),
    mode(0x118, 1024, 768, 24),
    mode(0x119, 1280, 1024, 15),
    mode(0x11A, 1280, 1024, 16),
    mode(0x11B, 1280, 1024, 24),
    mode(0x11C, 1600, 1200, 8),
    mode(0x11D, 1600, 1200, 15),
    mode(0x11E, 1600, 1200, 16),
    mode(0x11F, 1600, 1200, 24),
    mode(0x140, 320, 200, 32),
    mode(0x141, 640, 400, 32),
    mode(0x142, 640, 480, 32),
    mode(0x143, 800, 600, 32),
    mode(0x144, 1024, 768, 32),
    mode(0x145, 1280, 1024, 32),
    mode(0x146, 320, 200, 8),
    mode(0x147, 1600, 1200, 32),
    mode(0x148, 1152, 864, 8),
    mode(0x149, 1152, 864, 15),
    mode(0x14A, 1152, 864, 16),
    mode(0x14B, 1152, 864, 24),
    mode(0x14C, 1152, 864, 32),
    mode(0x178, 1280, 800, 16),
    mode(0x179, 1280, 800, 24),
    mode(0x17A, 1280, 800, 32),
];

/// The mode with this number.
pub(super) fn find(number: u16) -> Option<Mode> {
    MODES.into_iter().find(|mode| mode.number == number)
}

/// The mode of this size.
pub(super) fn find_by_size(width: u16, height: u16, bits: u8) -> Option<Mode> {
    MODES.into_iter().find(|mode| (mode.width, mode.height, mode.bits) == (width, height, bits))
}

/// All numbers, and the end of the list.
pub(crate) fn mode_numbers() -> impl Iterator<Item = u16> {
    MODES.iter().map(|mode| mode.number).chain([0xFFFF])
}

impl Mode {
    pub fn bytes_per_pixel(&self) -> u32 {
        u32::from(self.bits.div_ceil(8))
    }

    fn line(&self) -> u32 {
        u32::from(self.width) * self.bytes_per_pixel()
    }

    /// Bytes of the picture.
    pub fn bytes(&self) -> u32 {
        self.line() * u32::from(self.height)
    }

    /// Sizes and positions of red, green, blue and what is left over, in bits.
    fn colour_fields(&self) -> [u8; 8] {
        match self.bits {
            15 => [5, 10, 5, 5, 5, 0, 1, 15],
            16 => [5, 11, 6, 5, 5, 0, 0, 0],
            24 => [8, 16, 8, 8, 8, 0, 0, 0],
            32 => [8, 16, 8, 8, 8, 0, 8, 24],
            _ => [0; 8],
        }
    }

    /// The mode information block, with a frame buffer and memory of `memory` bytes, and a window of `window`.
    pub fn information(&self, frame_buffer: u32, memory: u32, window: u32) -> [u8; 256] {
        /// Supported, more information, colour, graphics.
        const ATTRIBUTES: u16 = 0x01 | 0x02 | 0x08 | 0x10;
        const LINEAR: u16 = 0x80;
        /// The window exists, is read and written.
        const WINDOW: u8 = 0x07;
        const PACKED: u8 = 4;
        const DIRECT: u8 = 6;
        let pages = (memory / self.bytes().max(1)).clamp(1, 256) - 1;
        let mut block = [0; 256];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        let attributes = ATTRIBUTES | if frame_buffer != 0 { LINEAR } else { 0 };
        put(0x00, &attributes.to_le_bytes());
        put(0x02, &[WINDOW, 0]);
        let kilobytes = (window >> 10) as u16;
        put(0x04, &kilobytes.to_le_bytes());
        put(0x06, &kilobytes.to_le_bytes());
        put(0x08, &0xA000u16.to_le_bytes());
        put(0x10, &(self.line() as u16).to_le_bytes());
        put(0x12, &self.width.to_le_bytes());
        put(0x14, &self.height.to_le_bytes());
        // Characters of 8 by 16, one plane, one bank.
        put(0x16, &[8, 16, 1, self.bits, 1]);
        put(0x1B, &[if self.bits == 8 { PACKED } else { DIRECT }, 0, pages as u8, 1]);
        put(0x1F, &self.colour_fields());
        if frame_buffer != 0 {
            put(0x28, &frame_buffer.to_le_bytes());
        }
        // Version 3: the same for the linear frame buffer.
        put(0x32, &(self.line() as u16).to_le_bytes());
        put(0x34, &[pages as u8, pages as u8]);
        put(0x36, &self.colour_fields());
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sizes_are_unique() {
        for (n, mode) in MODES.iter().enumerate() {
            assert!(MODES[..n].iter().all(|other| other.number != mode.number));
            assert_eq!(find_by_size(mode.width, mode.height, mode.bits), Some(*mode));
        }
    }

    #[test]
    fn the_block_of_a_mode() {
        let block = find(0x114).unwrap().information(0xE000_0000, 16 << 20, 0x1_0000);
        assert_eq!(block[0x10..0x16], [0x40, 0x06, 0x20, 0x03, 0x58, 0x02], "1600 bytes, 800 by 600");
        assert_eq!(block[0x19], 16);
        assert_eq!(block[0x1B], 6, "direct colour");
        assert_eq!(block[0x1F..0x25], [5, 11, 6, 5, 5, 0]);
        assert_eq!(block[0x28..0x2C], [0, 0, 0, 0xE0]);
        let without = find(0x101).unwrap().information(0, 16 << 20, 0x1_0000);
        assert_eq!(without[0] & 0x80, 0, "no linear frame buffer without an address");
    }
}
