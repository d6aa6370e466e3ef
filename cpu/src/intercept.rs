//! Intercepts: ranges of physical memory where whoever has the bus may answer accesses in memory's place.
//!
//! What instructions read and write is intercepted, explicitly or not: operands, stacks, descriptors, task states. Page
//! walks and instruction fetches see memory as it is. Pages with intercepted bytes take the slow path of memory
//! accesses; there is no cost elsewhere.

use crate::bus::{Biu, PageKind};
use crate::cpu::Cpu;
use std::ops::RangeInclusive;

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Intercepts(Vec<RangeInclusive<u64>>);

impl Intercepts {
    /// Whether one of `size` bytes at `address` is intercepted.
    #[inline]
    pub(crate) fn meet(&self, address: u64, size: u64) -> bool {
        self.0.iter().any(|range| *range.start() < address + size && address <= *range.end())
    }
}

impl Cpu {
    /// Intercepts accesses to the physical addresses `range`, below 2^36: they are told to
    /// [`Bus::intercept_read`](crate::bus::Bus::intercept_read) and
    /// [`Bus::intercept_write`](crate::bus::Bus::intercept_write) first. Asked for several times, it must be removed as
    /// often. Translations are forgotten.
    pub fn add_intercept(&mut self, range: RangeInclusive<u64>) {
        self.intercepts.0.push(range);
        self.flush_tlb();
    }

    /// Takes one request for `range` back. Gives whether there was one.
    pub fn remove_intercept(&mut self, range: &RangeInclusive<u64>) -> bool {
        let Some(at) = self.intercepts.0.iter().position(|other| other == range) else { return false };
        self.intercepts.0.remove(at);
        self.flush_tlb();
        true
    }

    /// As [`Cpu::read_physical`], for data.
    pub(crate) fn read_data(&mut self, biu: &mut Biu, address: u64, size: usize) -> u64 {
        let at = address & self.a20_mask;
        if self.intercepts.meet(at, size as u64) {
            let memory = match biu.bus.page(at & !0xFFF) {
                PageKind::Ram(_) | PageKind::Rom(_) => Some(self.read_physical(biu, address, size)),
                PageKind::Device => None,
            };
            let answer = biu.bus.intercept_read(at, size, memory, self.now());
            self.sample_pins(biu);
            if let Some(value) = answer {
                return value & (u64::MAX >> (64 - 8 * size));
            }
        }
        self.read_physical(biu, address, size)
    }

    /// As [`Cpu::write_physical`], for data.
    pub(crate) fn write_data(&mut self, biu: &mut Biu, address: u64, size: usize, value: u64) {
        let at = address & self.a20_mask;
        if !self.intercepts.meet(at, size as u64) {
            return self.write_physical(biu, address, size, value);
        }
        let passed = biu.bus.intercept_write(at, size, value, self.now());
        self.sample_pins(biu);
        if let Some(value) = passed {
            self.write_physical(biu, address, size, value & (u64::MAX >> (64 - 8 * size)));
        }
    }
}
