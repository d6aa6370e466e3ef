//! Guest memory as bus masters see it.

use crate::memmap::MemoryMap;
use idem86_cpu::bus::PageKind;
use idem86_cpu::cpu::Cpu;
use idem86_devices::access::DmaMemory;

/// RAM and ROM for direct memory access. Decoded code that is overwritten is forgotten.
pub struct GuestMemory<'a> {
    /// RAM and ROMs.
    pub slab: &'a mut [u8],
    /// What stands where in it.
    pub map: &'a MemoryMap,
    /// Told of what is written.
    pub cpu: &'a mut Cpu,
}

/// Splits `[at, at + len)` at page boundaries into (address, length).
fn pages(at: u64, len: usize) -> impl Iterator<Item = (u64, usize)> {
    let mut next = at;
    let mut left = len as u64;
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let piece = (next, left.min(0x1000 - next % 0x1000));
        next = next.wrapping_add(piece.1);
        left -= piece.1;
        Some((piece.0, piece.1 as usize))
    })
}

impl DmaMemory for GuestMemory<'_> {
    fn read(&mut self, from: u64, buffer: &mut [u8]) {
        let mut rest = buffer;
        for (address, len) in pages(from, rest.len()) {
            let (part, tail) = rest.split_at_mut(len);
            match self.map.page(address & !0xFFF) {
                PageKind::Ram(at) | PageKind::Rom(at) => {
                    let at = (at + address % 0x1000) as usize;
                    part.copy_from_slice(&self.slab[at..at + len]);
                }
                PageKind::Device => part.fill(0xFF),
            }
            rest = tail;
        }
    }

    fn write(&mut self, to: u64, bytes: &[u8]) {
        let mut rest = bytes;
        for (address, len) in pages(to, bytes.len()) {
            let (part, tail) = rest.split_at(len);
            if let PageKind::Ram(at) = self.map.page(address & !0xFFF) {
                let at = at + address % 0x1000;
                self.slab[at as usize..at as usize + len].copy_from_slice(part);
                self.cpu.ram_written(at, len as u64);
            }
            rest = tail;
        }
    }
}
