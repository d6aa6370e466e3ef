//! The processor's window A0000h-BFFFFh: which bytes an access reaches, latches, read and write modes.
//!
//! Most accesses need none of the graphics controller's arithmetic. Which do not is decided once for each
//! register change, as a [`Route`].

use super::Vga;
use super::graphics::Function;
use super::vram::VRAM_SIZE;
use crate::access::{AccessSize, IoError, Mmio};
use crate::time::GuestTime;

/// Length of the window in bytes.
pub const WINDOW_SIZE: u32 = 0x20000;
/// The part of the window through which a VBE mode shows a bank.
const BANK_SIZE: u32 = 0x10000;

/// The registers' effect on accesses, worked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Routes {
    /// Where the window answers: first offset from A0000h, and length.
    aperture: (u32, u32),
    read: Route,
    write: Route,
    /// What is added to map addresses: the banks of a four-bit VBE mode.
    read_bank: u32,
    write_bank: u32,
}

/// How one direction of access reaches memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    /// Nothing answers.
    Closed,
    /// The window is video memory from this byte on, as a frame buffer.
    Banked(usize),
    /// The window is video memory from byte 0 on: chain-4.
    Chained,
    /// Characters are in map 0, attributes in map 1, and nothing else is touched.
    Text,
    /// All of the graphics controller.
    Planes,
}

/// Where one byte of the window lies.
#[derive(Clone, Copy)]
struct Place {
    /// Map address.
    address: u32,
    /// The maps that odd/even or chain-4 addressing selects, map 0 in bit 0.
    maps: u8,
}

/// A piece of the window that is plain memory in both directions, so that it can be mapped as such.
///
/// Whoever writes past the device reports it through [`Vga::vram_mut`]. Reads past the device do not load the
/// latches: a guest that reads in chain-4, then chooses write mode 1 and writes without another read, would see
/// older latches than on the hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectWindow {
    /// First byte, counted from A0000h. A multiple of 32 KiB.
    pub offset: u32,
    /// Bytes. A multiple of 32 KiB.
    pub length: u32,
    /// Where the piece starts in video memory. A multiple of 32 KiB.
    pub vram: usize,
}

/// Each of the four low bits as a byte of zeros or ones, bit 0 lowest.
const fn spread(bits: u8) -> u32 {
    ((bits as u32 & 0x0F).wrapping_mul(0x0020_4081) & 0x0101_0101) * 0xFF
}

const fn replicate(byte: u8) -> u32 {
    byte as u32 * 0x0101_0101
}

impl Routes {
    /// Nothing answers.
    pub const CLOSED: Routes =
        Routes { aperture: (0, 0), read: Route::Closed, write: Route::Closed, read_bank: 0, write_bank: 0 };

    pub fn new(vga: &Vga) -> Routes {
        let mut routes = Routes::CLOSED;
        if !vga.subsystem_enabled() {
            return routes;
        }
        let (read_bank, write_bank) = vga.dispi.bank_offsets();
        if vga.dispi.is_linear() {
            // With banks of 32 KiB the last one has only half a window of memory left.
            routes.aperture = (0, BANK_SIZE.min(VRAM_SIZE as u32 - read_bank.max(write_bank)));
            routes.read = Route::Banked(read_bank as usize);
            routes.write = Route::Banked(write_bank as usize);
            return routes;
        }
        if !vga.memory_enabled() {
            return routes;
        }
        let (sequencer, graphics) = (&vga.sequencer, &vga.graphics);
        routes.aperture = graphics.aperture();
        (routes.read_bank, routes.write_bank) = (read_bank / 4, write_bank / 4);
        let unbanked = (read_bank, write_bank) == (0, 0) && routes.aperture.1 <= BANK_SIZE;
        let chained = unbanked && sequencer.chain_4();
        let text = unbanked && !sequencer.chain_4() && graphics.chain_odd_even();
        routes.read = if graphics.compares_on_read() {
            Route::Planes
        } else if chained {
            Route::Chained
        } else if text && graphics.odd_even_reads() && graphics.read_map() & 2 == 0 {
            Route::Text
        } else {
            Route::Planes
        };
        routes.write = if !graphics.writes_plainly() {
            Route::Planes
        } else if chained && sequencer.map_mask() == 0x0F {
            Route::Chained
        } else if text && sequencer.odd_even() && sequencer.map_mask() == 0x03 {
            Route::Text
        } else {
            Route::Planes
        };
        routes
    }

    pub fn direct(&self) -> Option<DirectWindow> {
        let (offset, length) = self.aperture;
        match (self.read, self.write) {
            (Route::Banked(vram), Route::Banked(write)) if vram == write => {
                Some(DirectWindow { offset, length, vram })
            }
            (Route::Chained, Route::Chained) => Some(DirectWindow { offset, length, vram: 0 }),
            _ => None,
        }
    }
}

impl Vga {
    /// The piece of the window that is plain memory at present, for whoever wants to map it. Any register
    /// write may change or end it.
    pub fn direct_window(&self) -> Option<DirectWindow> {
        self.routes.direct()
    }

    /// The byte that a read at `offset` in the window would give, without changing the latches: for debuggers.
    pub fn peek(&mut self, offset: u64) -> Option<u8> {
        let latches = self.latches;
        let byte = self.read_memory(offset, AccessSize::Byte, GuestTime::ZERO);
        self.latches = latches;
        byte.ok().map(|byte| byte as u8)
    }

    /// The map address and the maps of the byte at `at` in the aperture, before banks and map mask.
    fn place(&self, at: u32, odd_even: bool) -> Place {
        let address = if self.sequencer.chain_4() {
            at & 0xFFFC
        } else if self.graphics.chain_odd_even() {
            // A 128 KiB aperture has an address bit left to take the place of bit 0; smaller ones take the
            // page bit, which is set for the lower page.
            let page = if self.routes.aperture.1 > BANK_SIZE { at >> 16 & 1 } else { self.odd_even_page() };
            at & 0xFFFE | page
        } else {
            at & 0xFFFF
        };
        let maps = if self.sequencer.chain_4() {
            1 << (at & 3)
        } else if odd_even {
            0b0101 << (at & 1)
        } else {
            0b1111
        };
        Place { address, maps }
    }

    fn read_byte(&mut self, at: u32) -> u8 {
        let place = self.place(at, self.graphics.odd_even_reads());
        self.latches = self.vram.cell(place.address + self.routes.read_bank);
        if self.graphics.compares_on_read() {
            let differing = (self.latches ^ spread(self.graphics.color_compare()))
                & spread(self.graphics.color_dont_care());
            let [a, b, c, d] = differing.to_le_bytes();
            return !(a | b | c | d);
        }
        let map = match place.maps {
            0b1111 => self.graphics.read_map(),
            // Odd/even: read map select chooses between the two odd or the two even maps.
            0b0101 | 0b1010 => self.graphics.read_map() & 2 | place.maps >> 3,
            one => one.trailing_zeros() as u8,
        };
        self.latch_byte(map)
    }

    /// The latch of one map.
    pub(super) fn latch_byte(&self, map: u8) -> u8 {
        self.latches.to_le_bytes()[usize::from(map & 3)]
    }

    fn write_byte(&mut self, at: u32, value: u8) {
        let place = self.place(at, self.sequencer.odd_even());
        let address = place.address + self.routes.write_bank;
        let maps = spread(place.maps & self.sequencer.map_mask());
        let cell = self.vram.cell(address);
        self.vram.set_cell(address, cell & !maps | self.written(value) & maps);
    }

    /// What the graphics controller makes of a written byte for the four maps.
    /// IBM Personal System/2 Hardware Interface Technical Reference, "Graphics Mode Register".
    fn written(&self, value: u8) -> u32 {
        let graphics = &self.graphics;
        let set_reset = spread(graphics.set_reset());
        let rotated = value.rotate_right(graphics.rotate_count());
        let (data, mask) = match graphics.write_mode() {
            0 => {
                let enabled = spread(graphics.enable_set_reset());
                (replicate(rotated) & !enabled | set_reset & enabled, graphics.bit_mask())
            }
            1 => return self.latches,
            2 => (spread(value), graphics.bit_mask()),
            _ => (set_reset, graphics.bit_mask() & rotated),
        };
        let combined = match graphics.function() {
            Function::Replace => data,
            Function::And => data & self.latches,
            Function::Or => data | self.latches,
            Function::Xor => data ^ self.latches,
        };
        let mask = replicate(mask);
        combined & mask | self.latches & !mask
    }

    /// The offset in the aperture of an offset in the window.
    fn in_aperture(&self, offset: u64) -> Result<u32, IoError> {
        let (first, length) = self.routes.aperture;
        u32::try_from(offset)
            .ok()
            .and_then(|offset| offset.checked_sub(first))
            .filter(|&at| at < length)
            .ok_or(IoError::NoSuchRegister)
    }

    /// The `size` bytes of video memory at `start`.
    fn read_linear(&self, start: usize, size: AccessSize) -> u32 {
        match size {
            AccessSize::Byte => self.vram.bytes()[start].into(),
            AccessSize::Word => u16::from_le_bytes(self.vram.read(start)).into(),
            AccessSize::Dword => u32::from_le_bytes(self.vram.read(start)),
        }
    }

    fn write_linear(&mut self, start: usize, size: AccessSize, value: u32) {
        let length = usize::from(size.bytes());
        self.vram.bytes_mut(start, length).copy_from_slice(&value.to_le_bytes()[..length]);
    }
}

/// Registers in the window A0000h-BFFFFh. `offset` counts from A0000h, 0 to 1FFFFh.
impl Mmio for Vga {
    fn read_memory(&mut self, offset: u64, size: AccessSize, _now: GuestTime) -> Result<u32, IoError> {
        let at = self.in_aperture(offset)?;
        let bytes = u32::from(size.bytes());
        if at + bytes > self.routes.aperture.1 {
            return Err(IoError::WrongSize);
        }
        match (self.routes.read, size) {
            (Route::Closed, _) => Err(IoError::NoSuchRegister),
            (Route::Banked(start), _) => Ok(self.read_linear(start + at as usize, size)),
            (Route::Chained, _) => {
                let start = at as usize;
                // As if byte by byte: the cell of the last byte stays in the latches.
                let last = (start + usize::from(size.bytes()) - 1) & !3;
                self.latches = u32::from_le_bytes(self.vram.read(last));
                Ok(self.read_linear(start, size))
            }
            (Route::Text, AccessSize::Word | AccessSize::Dword) if at & 1 == 0 => {
                let page = self.odd_even_page();
                Ok((0..bytes).step_by(2).fold(0, |value, i| {
                    self.latches = self.vram.cell((at + i) | page);
                    value | (self.latches & 0xFFFF) << (8 * i)
                }))
            }
            (Route::Text | Route::Planes, _) => {
                Ok((0..bytes).fold(0, |value, i| value | u32::from(self.read_byte(at + i)) << (8 * i)))
            }
        }
    }

    fn write_memory(
        &mut self,
        offset: u64,
        size: AccessSize,
        value: u32,
        _now: GuestTime,
    ) -> Result<(), IoError> {
        let at = self.in_aperture(offset)?;
        let bytes = u32::from(size.bytes());
        if at + bytes > self.routes.aperture.1 {
            return Err(IoError::WrongSize);
        }
        match (self.routes.write, size) {
            (Route::Closed, _) => return Err(IoError::NoSuchRegister),
            (Route::Banked(start), _) => self.write_linear(start + at as usize, size, value),
            (Route::Chained, _) => self.write_linear(at as usize, size, value),
            (Route::Text, AccessSize::Word | AccessSize::Dword) if at & 1 == 0 => {
                let page = self.odd_even_page();
                for i in (0..bytes).step_by(2) {
                    self.vram.set_text((at + i) | page, (value >> (8 * i)) as u16);
                }
            }
            (Route::Text, AccessSize::Byte) => {
                let address = at & !1 | self.odd_even_page();
                self.vram.set_map_byte(address, (at & 1) as u8, value as u8);
            }
            (Route::Text | Route::Planes, _) => {
                for (i, byte) in (0..bytes).zip(value.to_le_bytes()) {
                    self.write_byte(at + i, byte);
                }
            }
        }
        Ok(())
    }
}

/// The linear frame buffer: video memory as one piece, wherever the bus puts it. `offset` counts from its
/// start, 0 to 16 MiB.
pub struct LinearFrameBuffer<'a>(pub(super) &'a mut Vga);

impl LinearFrameBuffer<'_> {
    fn start(offset: u64, size: AccessSize) -> Result<usize, IoError> {
        let start = usize::try_from(offset).ok().filter(|&start| start < VRAM_SIZE);
        let start = start.ok_or(IoError::NoSuchRegister)?;
        if start + usize::from(size.bytes()) > VRAM_SIZE { Err(IoError::WrongSize) } else { Ok(start) }
    }
}

impl Mmio for LinearFrameBuffer<'_> {
    fn read_memory(&mut self, offset: u64, size: AccessSize, _now: GuestTime) -> Result<u32, IoError> {
        Ok(self.0.read_linear(Self::start(offset, size)?, size))
    }

    fn write_memory(
        &mut self,
        offset: u64,
        size: AccessSize,
        value: u32,
        _now: GuestTime,
    ) -> Result<(), IoError> {
        self.0.write_linear(Self::start(offset, size)?, size, value);
        Ok(())
    }
}
