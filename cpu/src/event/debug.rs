//! The debug registers: breakpoints on instructions, data and ports.
//!
//! SDM Vol. 3B, "Debug Registers" and "Debug Exceptions". Breakpoints on instructions are looked for by the run loop
//! before each instruction, those on data by the slow path of memory accesses: a page with a watched byte is never
//! accessed on the fast path.

use crate::cpu::Cpu;
use crate::state::control::{cr4, dr6, dr7};

/// What a breakpoint waits for: the R/W field of DR7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Execution,
    Write,
    /// With CR4.DE; undefined otherwise, and met by nothing.
    Port,
    Access,
}

/// An enabled breakpoint.
#[derive(Clone, Copy, Debug)]
struct Breakpoint {
    /// Its bit in DR6.
    bit: u32,
    condition: Condition,
    /// First byte or port.
    start: u64,
    /// Number of bytes or ports.
    size: u64,
}

impl Breakpoint {
    /// Whether one of `size` bytes from `at` on is watched. Addresses wrap within `mask`.
    fn meets(&self, at: u64, size: usize, mask: u64) -> bool {
        (0..size as u64).any(|n| (at.wrapping_add(n) & mask).wrapping_sub(self.start) < self.size)
    }
}

impl Cpu {
    /// The breakpoints that DR7 enables.
    fn breakpoints(&self) -> impl Iterator<Item = Breakpoint> + use<> {
        let (dr, control) = (self.dr, self.dr7);
        (0..4).filter(move |n| control >> (2 * n) & 3 != 0).map(move |n| {
            let condition = match control >> (16 + 4 * n) & 3 {
                0 => Condition::Execution,
                1 => Condition::Write,
                2 => Condition::Port,
                _ => Condition::Access,
            };
            // LEN 2 is undefined for processors without 64-bit mode; it means 8 on those with it.
            let size = [1, 2, 8, 4][(control >> (18 + 4 * n) & 3) as usize];
            Breakpoint { bit: 1 << n, condition, start: dr[n as usize] & !(size - 1), size }
        })
    }

    /// Whether an enabled instruction breakpoint is at CS:EIP; sets DR6 if so.
    pub fn instruction_breakpoint(&mut self) -> bool {
        let linear = self.linear_ip();
        let met = self
            .breakpoints()
            .filter(|b| b.condition == Condition::Execution && self.dr[b.index()] == linear)
            .fold(0, |bits, b| bits | b.bit);
        self.dr6 |= met;
        met != 0
    }

    /// Whether a data breakpoint or a watch lies on the page at linear address `page`.
    pub(crate) fn watches(&self, page: u64) -> bool {
        self.stops.watch_page(page)
            || self.dr7 & dr7::ANY_ENABLED != 0
                && self.breakpoints().any(|b| {
                    matches!(b.condition, Condition::Write | Condition::Access) && b.start & !0xFFF == page
                })
    }

    /// An access to `size` bytes at `linear` was done: notes the data breakpoints and watches that it met.
    #[inline]
    pub(crate) fn watch(&mut self, linear: u64, size: usize, write: bool) {
        self.note_watch(linear, size, write);
        if self.dr7 & dr7::ANY_ENABLED != 0 {
            let mask = self.linear_mask;
            self.note(|b| match b.condition {
                Condition::Write => write && b.meets(linear, size, mask),
                Condition::Access => b.meets(linear, size, mask),
                _ => false,
            });
        }
    }

    /// An access to `size` ports from `port` on is about to be done: notes the I/O breakpoints that it meets.
    #[cold]
    pub(crate) fn watch_io(&mut self, port: u16, size: usize) {
        if self.cr4 & cr4::DE != 0 {
            self.note(|b| b.condition == Condition::Port && b.meets(port as u64, size, 0xFFFF));
        }
    }

    fn note(&mut self, meets: impl Fn(&Breakpoint) -> bool) {
        let met = self.breakpoints().filter(|b| meets(b)).fold(0, |bits, b| bits | b.bit);
        if met != 0 {
            self.pending_debug |= met;
            self.attend();
        }
    }

    /// Writes a debug register (4 and 5 stand for 6 and 7). Translations are forgotten: which pages may be accessed
    /// on the fast path depends on the breakpoints.
    pub(crate) fn set_debug_register(&mut self, n: u8, value: u32) {
        match n {
            0..=3 => self.dr[n as usize] = value as u64,
            4 | 6 => self.dr6 = value & dr6::WRITABLE | dr6::FIXED,
            _ => self.dr7 = value & dr7::WRITABLE | dr7::FIXED,
        }
        if self.dr7 & dr7::ANY_ENABLED != 0 || n == 5 || n == 7 {
            self.flush_tlb();
            self.attend();
        }
    }

    /// Reads a debug register.
    pub(crate) fn debug_register(&self, n: u8) -> u32 {
        match n {
            0..=3 => self.dr[n as usize] as u32,
            4 | 6 => self.dr6,
            _ => self.dr7,
        }
    }
}

impl Breakpoint {
    /// Its number, 0 to 3.
    fn index(&self) -> usize {
        self.bit.trailing_zeros() as usize
    }
}
