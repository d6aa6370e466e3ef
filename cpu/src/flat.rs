//! The smallest outside world: RAM from address 0, one port that prints and one that ends the run.

use crate::bus::{Bus, PageKind, Pins, Work};
use std::cell::Cell;

/// RAM for a [`FlatBus`], all zero; the length is rounded up to whole pages.
pub fn ram(bytes: usize) -> Vec<Cell<u8>> {
    vec![Cell::new(0); bytes.next_multiple_of(4096)]
}

/// Copies `bytes` to `at` in `ram`.
///
/// # Panics
/// If they do not fit.
pub fn load(ram: &[Cell<u8>], at: usize, bytes: &[u8]) {
    for (cell, b) in ram[at..at + bytes.len()].iter().zip(bytes) {
        cell.set(*b);
    }
}

/// A bus with RAM from address 0 and next to no devices: COM1's data register collects what is written to it
/// (its line status register always says ready), and a write to the exit port stops the run. Ports that nobody
/// knows read as ones.
///
/// ```
/// use idem86_cpu::{cpu::Cpu, flat::{self, FlatBus}, run::Stop, state::segment::SegReg};
/// let ram = flat::ram(1 << 20);
/// flat::load(&ram, 0x7C00, &[0xB0, b'!', 0xBA, 0xF8, 0x03, 0xEE, 0xF4]); // mov al,'!'; mov dx,3F8h; out dx,al; hlt
/// let mut cpu = Cpu::new();
/// cpu.seg[SegReg::Cs as usize].selector = 0;
/// cpu.seg[SegReg::Cs as usize].base = 0;
/// cpu.rip = 0x7C00;
/// cpu.state_changed();
/// let mut bus = FlatBus::new(1 << 20);
/// assert_eq!(cpu.run(&ram, &mut bus, 100), Stop::Halted);
/// assert_eq!(bus.output, b"!");
/// ```
#[derive(Debug)]
pub struct FlatBus {
    ram_bytes: u64,
    /// What was written to COM1.
    pub output: Vec<u8>,
    /// What was written to the exit port, if anything.
    pub exit: Option<u32>,
    /// The port that ends the run.
    pub exit_port: u16,
    /// The level of INTR.
    pub intr: bool,
    /// The vector that the interrupt acknowledge cycle gives; INTR falls with it.
    pub vector: u8,
    /// An NMI to be seen at the next sample.
    pub nmi: bool,
    /// A20M# (true: all address bits count).
    pub a20: bool,
}

/// COM1's data register.
const COM1: u16 = 0x3F8;
/// COM1's line status register; 60h says that the transmitter is empty.
const COM1_LSR: u16 = COM1 + 5;

impl FlatBus {
    /// A bus over `ram_bytes` of RAM.
    pub fn new(ram_bytes: usize) -> Self {
        FlatBus {
            ram_bytes: ram_bytes as u64 & !0xFFF,
            output: Vec::new(),
            exit: None,
            exit_port: 0xF4,
            intr: false,
            vector: 0x20,
            nmi: false,
            a20: true,
        }
    }
}

impl Bus for FlatBus {
    fn page(&mut self, page: u64) -> PageKind {
        if page < self.ram_bytes { PageKind::Ram(page) } else { PageKind::Device }
    }

    fn read(&mut self, _address: u64, _size: usize, _now: Work) -> u64 {
        u64::MAX
    }

    fn write(&mut self, _address: u64, _size: usize, _value: u64, _now: Work) {}

    fn port_in(&mut self, port: u16, size: usize, _now: Work) -> u32 {
        match port {
            COM1_LSR => 0x60,
            _ => u32::MAX >> (32 - 8 * size),
        }
    }

    fn port_out(&mut self, port: u16, _size: usize, value: u32, _now: Work) {
        if port == COM1 {
            self.output.push(value as u8);
        } else if port == self.exit_port {
            self.exit = Some(value);
        }
    }

    fn acknowledge_interrupt(&mut self, _now: Work) -> u8 {
        self.intr = false;
        self.vector
    }

    fn time_stamp_rate(&self) -> Option<u64> {
        Some(1)
    }

    fn pins(&mut self) -> Pins {
        Pins {
            intr: self.intr,
            nmi: std::mem::take(&mut self.nmi),
            a20: self.a20,
            pause: self.exit.is_some(),
            ..Pins::default()
        }
    }
}
