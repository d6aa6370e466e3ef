//! The world around the processor in a scenario: RAM, ROM, device memory and ports that answer anything, and pins
//! that move when they are accessed.

use super::entropy::Random;
use crate::engine::Memory;
use idem86_cpu::bus::{Bus, PageKind, Pins, Work};

/// RAM from address 0: 256 KiB, and behind 1 MiB another 64 KiB, so that A20M# matters.
pub const LOW_RAM: u64 = 0x4_0000;
const HIGH: u64 = 0x10_0000;
const HIGH_RAM: u64 = 0x1_0000;
/// All of it.
pub const RAM_BYTES: usize = (LOW_RAM + HIGH_RAM) as usize;
/// ROM: it shows the same memory as the first 64 KiB of RAM.
const ROM: std::ops::Range<u64> = 0xF_0000..0x10_0000;
/// What is here depends on the memory map: RAM or device.
const SWITCHED: std::ops::Range<u64> = 0xC_0000..0xC_4000;

/// See the module's description. It can be cloned, so that two processors may live through the same.
#[derive(Clone)]
pub struct World {
    random: Random,
    pins: Pins,
    switched_in: bool,
    /// How many accesses may change a pin, out of 256.
    restless: u8,
    /// Accesses so far.
    pub accesses: u64,
}

impl World {
    pub fn new(seed: u64, restless: u8) -> Self {
        World {
            random: Random::new(seed),
            pins: Pins { a20: true, ..Pins::default() },
            switched_in: false,
            restless,
            accesses: 0,
        }
    }

    /// The answer to an access; it may move a pin.
    fn answer(&mut self) -> u64 {
        self.accesses += 1;
        let v = self.random.next();
        if (v >> 56) as u8 >= self.restless {
            return v;
        }
        match v >> 48 & 15 {
            0..6 => self.pins.intr = true,
            6..8 => self.pins.nmi = true,
            8..10 => self.pins.a20 = !self.pins.a20,
            10..12 => self.pins.pause = true,
            12 => self.pins.reset = true,
            13 => {
                self.switched_in = !self.switched_in;
                self.pins.remapped = true;
            }
            _ => {}
        }
        v
    }
}

impl Bus for World {
    fn page(&mut self, page: u64) -> PageKind {
        match page {
            _ if page < LOW_RAM => PageKind::Ram(page),
            _ if ROM.contains(&page) => PageKind::Rom(page - ROM.start),
            _ if SWITCHED.contains(&page) && self.switched_in => PageKind::Ram(page - SWITCHED.start),
            _ if (HIGH..HIGH + HIGH_RAM).contains(&page) => PageKind::Ram(page - HIGH + LOW_RAM),
            // More RAM than was lent.
            0x20_0000 => PageKind::Ram(RAM_BYTES as u64 & !0xFFF),
            _ => PageKind::Device,
        }
    }
    fn read(&mut self, address: u64, _: usize, _: Work) -> u64 {
        // Always the same and without effect: how often code is fetched from here is not defined.
        self.accesses += 1;
        Random::new(address).next()
    }
    fn write(&mut self, _: u64, _: usize, _: u64, _: Work) {
        self.answer();
    }
    fn port_in(&mut self, _: u16, _: usize, _: Work) -> u32 {
        self.answer() as u32
    }
    fn port_out(&mut self, _: u16, _: usize, _: u32, _: Work) {
        self.answer();
    }
    fn port_in_block(&mut self, port: u16, size: usize, out: &mut [u8], now: Work) -> usize {
        let mut done = 0;
        for item in out.chunks_exact_mut(size) {
            let before = self.pins;
            item.copy_from_slice(&self.port_in(port, size, now).to_le_bytes()[..size]);
            done += 1;
            if self.pins != before {
                break;
            }
        }
        done
    }
    fn port_out_block(&mut self, port: u16, size: usize, data: &[u8], now: Work) -> usize {
        let mut done = 0;
        for _ in data.chunks_exact(size) {
            let before = self.pins;
            self.port_out(port, size, 0, now);
            done += 1;
            if self.pins != before {
                break;
            }
        }
        done
    }
    fn acknowledge_interrupt(&mut self, _: Work) -> u8 {
        self.pins.intr = false;
        self.answer() as u8
    }
    fn pins(&mut self) -> Pins {
        let now = self.pins;
        self.pins = Pins { nmi: false, reset: false, remapped: false, pause: false, ..now };
        now
    }
    fn ferr(&mut self, asserted: bool) {
        self.pins.intr |= asserted;
    }
    fn ignne(&mut self) -> bool {
        // A pin, not an access: nothing else moves.
        self.random.next() & 1 != 0
    }
    fn write_apic_base(&mut self, _: u64) -> bool {
        self.answer() & 1 != 0
    }
}

/// RAM, all zero.
pub fn ram() -> Memory {
    Memory::new(RAM_BYTES)
}
