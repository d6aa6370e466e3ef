//! Video memory: 16 MiB seen as bytes and as cells of four maps, and which of it changed.
//!
//! A *cell* is the byte of each of the four maps at one address, map 0 in the lowest byte. Cells do not lie in
//! the order of their addresses: within 64 K cells the address is rotated right by two bits, which is the
//! inverse of what doubleword addressing does. So a chain-4 window is plain linear memory, as the frame buffer
//! of a VBE mode is, while every map keeps the contents that the same accesses leave on an IBM VGA.

use serde::{Deserialize, Serialize};

/// Size of the video memory in bytes.
pub const VRAM_SIZE: usize = 16 << 20;
/// Changes are recorded for pieces of this many bytes.
pub const DIRTY_PAGE_SIZE: usize = 4096;

pub(super) const PAGES: usize = VRAM_SIZE / DIRTY_PAGE_SIZE;
/// The pages that the four 64 KiB maps of an IBM VGA occupy.
pub(super) const PLANAR_PAGES: usize = (256 << 10) / DIRTY_PAGE_SIZE;

/// Granularity of what is saved: pieces of zeros of this length are left out.
const SAVED_PIECE: usize = 32;

pub(super) struct Vram {
    bytes: Box<[u8]>,
    /// Written since the display last asked.
    dirty: Pages,
    /// Written before that: pages in neither set are zero.
    touched: Pages,
}

/// A set of pages.
pub(super) struct Pages([u64; PAGES / 64]);

impl Pages {
    const NONE: Pages = Pages([0; PAGES / 64]);

    fn insert(&mut self, page: usize) {
        self.0[page / 64] |= 1 << (page % 64);
    }

    fn insert_all(&mut self, other: &Pages) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine |= theirs);
    }

    /// The pages in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().filter(|(_, bits)| **bits != 0).flat_map(|(i, bits)| {
            (0..64).filter(move |bit| bits >> bit & 1 != 0).map(move |bit| i * 64 + bit)
        })
    }
}

/// A stretch of saved memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stretch {
    pub start: u32,
    pub bytes: Vec<u8>,
}

impl Stretch {
    fn end(&self) -> usize {
        self.start as usize + self.bytes.len()
    }

    /// Lies in the memory.
    pub fn is_valid(&self) -> bool {
        self.end() <= VRAM_SIZE
    }
}

/// Where in memory the cell at `address` starts.
fn position(address: u32) -> usize {
    let rotated = address & !0xFFFF | address >> 2 & 0x3FFF | (address & 3) << 14;
    (rotated as usize * 4) % VRAM_SIZE
}

impl Vram {
    pub fn new() -> Self {
        Vram { bytes: vec![0; VRAM_SIZE].into(), dirty: Pages::NONE, touched: Pages::NONE }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes from `start`, to be written: their pages count as changed. The range must lie in the memory.
    pub fn bytes_mut(&mut self, start: usize, length: usize) -> &mut [u8] {
        if let Some(last) = length.checked_sub(1) {
            for page in start / DIRTY_PAGE_SIZE..=(start + last) / DIRTY_PAGE_SIZE {
                self.dirty.insert(page);
            }
        }
        &mut self.bytes[start..start + length]
    }

    /// The `N` bytes at `start`.
    pub fn read<const N: usize>(&self, start: usize) -> [u8; N] {
        let mut value = [0; N];
        value.copy_from_slice(&self.bytes[start..start + N]);
        value
    }

    /// The cell at a map address; addresses wrap at the end of the memory.
    pub fn cell(&self, address: u32) -> u32 {
        u32::from_le_bytes(self.read(position(address)))
    }

    /// The byte of map 2 in the cell at `address`: where fonts are.
    pub fn font_byte(&self, address: u32) -> u8 {
        self.bytes[position(address) + 2]
    }

    pub fn set_cell(&mut self, address: u32, cell: u32) {
        self.bytes_mut(position(address), 4).copy_from_slice(&cell.to_le_bytes());
    }

    /// The bytes of maps 0 and 1 in the cell at `address`.
    pub fn set_text(&mut self, address: u32, character_and_attribute: u16) {
        self.bytes_mut(position(address), 2).copy_from_slice(&character_and_attribute.to_le_bytes());
    }

    /// The byte of one map (0 to 3) in the cell at `address`.
    pub fn set_map_byte(&mut self, address: u32, map: u8, value: u8) {
        self.bytes_mut(position(address) + usize::from(map), 1)[0] = value;
    }

    /// The pages written since the last call.
    pub fn take_dirty(&mut self) -> Pages {
        self.touched.insert_all(&self.dirty);
        std::mem::replace(&mut self.dirty, Pages::NONE)
    }

    /// Pages that may hold something else than zeros.
    fn used(&self) -> Pages {
        let mut used = Pages::NONE;
        used.insert_all(&self.dirty);
        used.insert_all(&self.touched);
        used
    }

    /// The contents, without long stretches of zeros.
    pub fn save(&self) -> Vec<Stretch> {
        let mut saved: Vec<Stretch> = Vec::new();
        for page in self.used().iter() {
            for start in (page * DIRTY_PAGE_SIZE..(page + 1) * DIRTY_PAGE_SIZE).step_by(SAVED_PIECE) {
                let piece = &self.bytes[start..start + SAVED_PIECE];
                if piece.iter().all(|&byte| byte == 0) {
                    continue;
                }
                match saved.last_mut() {
                    Some(last) if last.end() == start => last.bytes.extend_from_slice(piece),
                    _ => saved.push(Stretch { start: start as u32, bytes: piece.to_vec() }),
                }
            }
        }
        saved
    }

    /// Takes over what [`Vram::save`] gave. Every stretch must be valid.
    pub fn restore(&mut self, saved: &[Stretch]) {
        for page in self.used().iter() {
            self.bytes[page * DIRTY_PAGE_SIZE..(page + 1) * DIRTY_PAGE_SIZE].fill(0);
        }
        (self.dirty, self.touched) = (Pages::NONE, Pages::NONE);
        for stretch in saved {
            self.bytes_mut(stretch.start as usize, stretch.bytes.len()).copy_from_slice(&stretch.bytes);
        }
    }
}
