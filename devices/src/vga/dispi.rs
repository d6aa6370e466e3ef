//! Bochs display interface ("DISPI"), ports 1CEh/1CFh: the registers behind VBE modes.

use super::vram::VRAM_SIZE;
use serde::{Deserialize, Serialize};

/// The widest mode in PELs.
pub const MAX_WIDTH: u16 = 2560;
/// The highest mode in lines.
pub const MAX_HEIGHT: u16 = 1600;

/// The first interface version; the low nibble counts up to [`NEWEST_ID`].
const OLDEST_ID: u16 = 0xB0C0;
const NEWEST_ID: u16 = 0xB0C5;

const ENABLED: u16 = 0x01;
const GET_CAPABILITIES: u16 = 0x02;
const BANK_GRANULARITY_32K: u16 = 0x10;
const EIGHT_BIT_DAC: u16 = 0x20;
const LINEAR_FRAME_BUFFER: u16 = 0x40;
const KEEP_MEMORY: u16 = 0x80;
const ENABLE_BITS: u16 =
    ENABLED | GET_CAPABILITIES | BANK_GRANULARITY_32K | EIGHT_BIT_DAC | LINEAR_FRAME_BUFFER | KEEP_MEMORY;

const BANK_FOR_WRITES: u16 = 0x4000;
const BANK_FOR_READS: u16 = 0x8000;

/// Register numbers, as written to 1CEh.
mod register {
    pub const ID: u16 = 0;
    pub const X_RESOLUTION: u16 = 1;
    pub const Y_RESOLUTION: u16 = 2;
    pub const BITS_PER_PIXEL: u16 = 3;
    pub const ENABLE: u16 = 4;
    pub const BANK: u16 = 5;
    pub const VIRTUAL_WIDTH: u16 = 6;
    pub const VIRTUAL_HEIGHT: u16 = 7;
    pub const X_OFFSET: u16 = 8;
    pub const Y_OFFSET: u16 = 9;
    pub const VIDEO_MEMORY_64K: u16 = 10;
}

/// How PELs lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Depth {
    /// Four maps, one bit of each a PEL.
    Planar4,
    /// One byte, through the DAC.
    Indexed8,
    /// 1:5:5:5, red highest.
    Rgb15,
    /// 5:6:5, red highest.
    Rgb16,
    /// Blue, green, red.
    Rgb24,
    /// Blue, green, red, unused.
    Rgb32,
}

impl Depth {
    fn from_bits_per_pixel(bits: u16) -> Option<Depth> {
        Some(match bits {
            4 => Depth::Planar4,
            0 | 8 => Depth::Indexed8,
            15 => Depth::Rgb15,
            16 => Depth::Rgb16,
            24 => Depth::Rgb24,
            32 => Depth::Rgb32,
            _ => return None,
        })
    }

    fn bits_per_pixel(self) -> u16 {
        match self {
            Depth::Planar4 => 4,
            Depth::Indexed8 => 8,
            Depth::Rgb15 => 15,
            Depth::Rgb16 => 16,
            Depth::Rgb24 => 24,
            Depth::Rgb32 => 32,
        }
    }

    /// Bytes of video memory that `width` PELs of a line take; in all four maps together for planar modes.
    pub fn line_bytes(self, width: u32) -> u32 {
        match self {
            Depth::Planar4 => width.div_ceil(8) * 4,
            Depth::Indexed8 => width,
            Depth::Rgb15 | Depth::Rgb16 => width * 2,
            Depth::Rgb24 => width * 3,
            Depth::Rgb32 => width * 4,
        }
    }
}

/// What a VBE mode shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Surface {
    pub depth: Depth,
    pub width: u32,
    pub height: u32,
    /// Bytes from line to line.
    pub pitch: u32,
    /// Where the first line starts, in bytes; for planar modes of the byte that holds the first PEL.
    pub start: u32,
    /// PELs of that byte that lie left of the screen. 0 to 7; planar modes only.
    pub skip: u32,
}

/// What the device has to do after a register write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consequence {
    Nothing,
    Changed,
    /// The mode was switched on and its memory, the first bytes, is to be cleared.
    Clear(u32),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dispi {
    pub(super) index: u16,
    pub(super) id: u16,
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) depth: Depth,
    pub(super) enable: u16,
    pub(super) read_bank: u16,
    pub(super) write_bank: u16,
    pub(super) virtual_width: u16,
    pub(super) x_offset: u16,
    pub(super) y_offset: u16,
}

impl Default for Dispi {
    fn default() -> Self {
        Dispi {
            index: 0,
            id: NEWEST_ID,
            width: 640,
            height: 480,
            depth: Depth::Indexed8,
            enable: 0,
            read_bank: 0,
            write_bank: 0,
            virtual_width: 640,
            x_offset: 0,
            y_offset: 0,
        }
    }
}

impl Dispi {
    /// Whether the registers hold values that writes can give them; above all, the picture lies in memory.
    pub fn is_valid(&self) -> bool {
        (OLDEST_ID..=NEWEST_ID).contains(&self.id)
            && (1..=MAX_WIDTH).contains(&self.width)
            && (1..=MAX_HEIGHT).contains(&self.height)
            && self.enable & !ENABLE_BITS == 0
            && self.read_bank < self.banks()
            && self.write_bank < self.banks()
            && (!self.enabled() || self.virtual_width >= self.width && self.picture_end() <= VRAM_SIZE as u64)
    }

    pub fn enabled(&self) -> bool {
        self.enable & ENABLED != 0
    }

    pub fn eight_bit_dac(&self) -> bool {
        self.enable & EIGHT_BIT_DAC != 0
    }

    /// A mode is on in which the window shows memory as it is.
    pub fn is_linear(&self) -> bool {
        self.enabled() && self.depth != Depth::Planar4
    }

    fn bank_size(&self) -> u32 {
        let maps = if self.depth == Depth::Planar4 { 4 } else { 1 };
        maps * if self.enable & BANK_GRANULARITY_32K != 0 { 32 << 10 } else { 64 << 10 }
    }

    /// Banks that start in video memory.
    fn banks(&self) -> u16 {
        (VRAM_SIZE as u32 / self.bank_size()) as u16
    }

    /// Where in video memory the window starts, for reads and for writes, in bytes (in all maps together).
    pub fn bank_offsets(&self) -> (u32, u32) {
        if self.enabled() {
            (u32::from(self.read_bank) * self.bank_size(), u32::from(self.write_bank) * self.bank_size())
        } else {
            (0, 0)
        }
    }

    fn pitch(&self) -> u32 {
        self.depth.line_bytes(self.virtual_width.into())
    }

    /// Lines of the virtual width that video memory holds.
    fn virtual_height(&self) -> u16 {
        u16::try_from(VRAM_SIZE as u32 / self.pitch().max(1)).unwrap_or(u16::MAX)
    }

    fn picture_start(&self) -> u64 {
        let x = u32::from(self.x_offset);
        let in_line = match self.depth {
            Depth::Planar4 => x / 8 * 4,
            depth => depth.line_bytes(x),
        };
        u64::from(self.y_offset) * u64::from(self.pitch()) + u64::from(in_line)
    }

    /// The byte after the last one that is shown.
    fn picture_end(&self) -> u64 {
        let skip = if self.depth == Depth::Planar4 { u32::from(self.x_offset % 8) } else { 0 };
        self.picture_start()
            + u64::from(self.height - 1) * u64::from(self.pitch())
            + u64::from(self.depth.line_bytes(u32::from(self.width) + skip))
    }

    /// The first bytes of video memory, as many as hold the picture. Cells of planar modes are scattered over
    /// blocks of 256 KiB.
    fn picture_memory(&self) -> u32 {
        let end = self.picture_end() as u32;
        if self.depth == Depth::Planar4 { end.next_multiple_of(256 << 10) } else { end }
    }

    pub fn surface(&self) -> Option<Surface> {
        self.enabled().then(|| Surface {
            depth: self.depth,
            width: self.width.into(),
            height: self.height.into(),
            pitch: self.pitch(),
            start: self.picture_start() as u32,
            skip: if self.depth == Depth::Planar4 { u32::from(self.x_offset % 8) } else { 0 },
        })
    }

    pub fn index(&self) -> u16 {
        self.index
    }

    pub fn set_index(&mut self, index: u16) {
        self.index = index;
    }

    pub fn read(&self) -> u16 {
        let capabilities = self.enable & GET_CAPABILITIES != 0;
        match self.index {
            register::ID => self.id,
            register::X_RESOLUTION if capabilities => MAX_WIDTH,
            register::X_RESOLUTION => self.width,
            register::Y_RESOLUTION if capabilities => MAX_HEIGHT,
            register::Y_RESOLUTION => self.height,
            register::BITS_PER_PIXEL if capabilities => Depth::Rgb32.bits_per_pixel(),
            register::BITS_PER_PIXEL => self.depth.bits_per_pixel(),
            register::ENABLE => self.enable,
            register::BANK => self.read_bank,
            register::VIRTUAL_WIDTH => self.virtual_width,
            register::VIRTUAL_HEIGHT => self.virtual_height(),
            register::X_OFFSET => self.x_offset,
            register::Y_OFFSET => self.y_offset,
            register::VIDEO_MEMORY_64K => (VRAM_SIZE >> 16) as u16,
            _ => 0,
        }
    }

    /// Writes the selected register. What would make an impossible mode is not taken: the register keeps its
    /// value, which is how software finds out. The resolution is fixed while a mode is on.
    pub fn write(&mut self, value: u16) -> Consequence {
        let mut next = self.clone();
        let mut clear = false;
        match self.index {
            register::ID => next.id = value,
            register::X_RESOLUTION if !self.enabled() => next.width = value,
            register::Y_RESOLUTION if !self.enabled() => next.height = value,
            register::BITS_PER_PIXEL if !self.enabled() => {
                next.depth = Depth::from_bits_per_pixel(value).unwrap_or(self.depth);
                (next.read_bank, next.write_bank) = (0, 0);
            }
            register::ENABLE => {
                next.enable = value & ENABLE_BITS;
                if next.enable & BANK_GRANULARITY_32K != self.enable & BANK_GRANULARITY_32K {
                    (next.read_bank, next.write_bank) = (0, 0);
                }
                if next.enabled() && !self.enabled() {
                    next.virtual_width = next.width;
                    (next.x_offset, next.y_offset) = (0, 0);
                    (next.read_bank, next.write_bank) = (0, 0);
                    clear = value & KEEP_MEMORY == 0;
                }
            }
            register::BANK => {
                let bank = value & !(BANK_FOR_READS | BANK_FOR_WRITES);
                let both = value & (BANK_FOR_READS | BANK_FOR_WRITES) == 0;
                if both || value & BANK_FOR_READS != 0 {
                    next.read_bank = bank;
                }
                if both || value & BANK_FOR_WRITES != 0 {
                    next.write_bank = bank;
                }
            }
            register::VIRTUAL_WIDTH if self.enabled() => next.virtual_width = value,
            register::X_OFFSET if self.enabled() => next.x_offset = value,
            register::Y_OFFSET if self.enabled() => next.y_offset = value,
            _ => return Consequence::Nothing,
        }
        if !next.is_valid() || next == *self {
            return Consequence::Nothing;
        }
        *self = next;
        if clear { Consequence::Clear(self.picture_memory()) } else { Consequence::Changed }
    }
}
