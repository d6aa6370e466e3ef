//! One counter of the 8254: six modes, advanced by any number of clocks at once.

use super::spec::{ByteAccess, CounterControl, Mode};
use serde::{Deserialize, Serialize};

/// What the counter does with the next clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Nothing: no count was written since the control word.
    Unprogrammed,
    /// Nothing: it waits for a trigger, or for the second byte of a count in mode 0.
    Waiting,
    /// Loads the counting element from the count register.
    Loading,
    /// Counts.
    Counting,
}

/// One counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// Access, mode and BCD.
    pub control: CounterControl,
    /// The count register, as written.
    pub count_register: u16,
    /// The counting element as a number below the modulus; the modulus itself reads as 0.
    pub element: u32,
    /// OUT.
    pub out: bool,
    /// GATE.
    pub gate: bool,
    /// The count register has not reached the counting element.
    pub null_count: bool,
    /// What the next clock does.
    pub stage: Stage,
    /// Mode 3: the count loaded last was odd, and one less was loaded.
    pub odd: bool,
    /// Modes 4 and 5: the strobe is still to come.
    pub armed: bool,
    /// The first of two bytes of a count.
    pub first_byte: Option<u8>,
    /// The next byte read is the second of two.
    pub second_read: bool,
    /// Count latched by command, until read.
    pub latched_count: Option<u16>,
    /// Status latched by command, until read.
    pub latched_status: Option<u8>,
}

impl Counter {
    /// A counter whose mode, count and output the data sheet leaves undefined at power-on: mode 0, no count.
    pub(super) fn power_on(gate: bool) -> Self {
        Counter {
            control: CounterControl(0x30),
            count_register: 0,
            element: 0,
            out: false,
            gate,
            null_count: true,
            stage: Stage::Unprogrammed,
            odd: false,
            armed: false,
            first_byte: None,
            second_read: false,
            latched_count: None,
            latched_status: None,
        }
    }

    pub(super) fn is_valid(&self) -> bool {
        self.control.is_valid() && self.element < self.modulus()
    }

    fn modulus(&self) -> u32 {
        if self.control.bcd() { 10_000 } else { 0x1_0000 }
    }

    /// A value of the counting element as the number of clocks from it to 0.
    fn clocks(&self, element: u32) -> u32 {
        if element == 0 { self.modulus() } else { element }
    }

    /// The initial count, 1 to the modulus. Digits above 9 in a BCD count are undefined; here they carry.
    pub(super) fn initial_count(&self) -> u32 {
        let raw = u32::from(self.count_register);
        let value = if self.control.bcd() {
            (0..4).rev().fold(0, |value, digit| value * 10 + (raw >> (4 * digit) & 0xF)) % 10_000
        } else {
            raw
        };
        self.clocks(value)
    }

    /// The counting element as it reads.
    fn current_count(&self) -> u16 {
        let element = if self.control.bcd() {
            (0..4).rev().fold(0, |bcd, digit| bcd * 16 + self.element / 10_u32.pow(digit) % 10)
        } else {
            self.element
        };
        element as u16
    }

    pub(super) fn program(&mut self, control: CounterControl) {
        let out = control.mode() != Mode::InterruptOnTerminalCount;
        *self = Counter { control, out, element: self.element, ..Counter::power_on(self.gate) };
        self.element %= self.modulus();
    }

    pub(super) fn latch_count(&mut self) {
        self.latched_count.get_or_insert(self.current_count());
    }

    pub(super) fn latch_status(&mut self) {
        let status = u8::from(self.out) << 7 | u8::from(self.null_count) << 6 | self.control.0;
        self.latched_status.get_or_insert(status);
    }

    /// "Read-Back Command": if both are latched, the first read gives the status.
    pub(super) fn read(&mut self) -> u8 {
        if let Some(status) = self.latched_status.take() {
            return status;
        }
        let [low, high] = self.latched_count.unwrap_or(self.current_count()).to_le_bytes();
        let second = match self.control.access() {
            ByteAccess::Low => false,
            ByteAccess::High => true,
            ByteAccess::LowThenHigh => {
                self.second_read = !self.second_read;
                if self.second_read {
                    return low;
                }
                true
            }
        };
        self.latched_count = None;
        if second { high } else { low }
    }

    pub(super) fn write(&mut self, value: u8) {
        self.count_register = match (self.control.access(), self.first_byte.take()) {
            (ByteAccess::Low, _) => u16::from(value),
            (ByteAccess::High, _) => u16::from(value) << 8,
            (ByteAccess::LowThenHigh, Some(low)) => u16::from_le_bytes([low, value]),
            (ByteAccess::LowThenHigh, None) => {
                self.first_byte = Some(value);
                if self.control.mode() == Mode::InterruptOnTerminalCount {
                    // "Mode 0": the first byte disables counting and sets OUT low at once.
                    self.out = false;
                    if self.stage != Stage::Unprogrammed {
                        self.stage = Stage::Waiting;
                    }
                }
                return;
            }
        };
        self.null_count = true;
        match (self.control.mode(), self.stage) {
            (Mode::InterruptOnTerminalCount, _) => {
                self.out = false;
                self.stage = Stage::Loading;
            }
            (Mode::SoftwareTriggeredStrobe, _) => self.stage = Stage::Loading,
            (Mode::RateGenerator | Mode::SquareWave, Stage::Unprogrammed) => self.stage = Stage::Loading,
            (_, Stage::Unprogrammed) => self.stage = Stage::Waiting,
            // A running one-shot, period or half-period ends with the old count.
            _ => {}
        }
    }

    pub(super) fn set_gate(&mut self, gate: bool) {
        let rises = gate && !self.gate;
        self.gate = gate;
        let mode = self.control.mode();
        let periodic = matches!(mode, Mode::RateGenerator | Mode::SquareWave);
        let triggered = matches!(mode, Mode::HardwareRetriggerableOneShot | Mode::HardwareTriggeredStrobe);
        if rises && (periodic || triggered) && self.stage != Stage::Unprogrammed {
            self.stage = Stage::Loading;
        }
        if !gate && periodic {
            self.out = true;
        }
    }

    /// Passes `n` clocks; true if OUT rose at least once among them.
    pub(super) fn clock(&mut self, mut n: u64) -> bool {
        let mut rose = false;
        if self.stage == Stage::Loading && n > 0 {
            rose = self.load();
            n -= 1;
        }
        if self.stage == Stage::Counting && n > 0 {
            rose |= match self.control.mode() {
                Mode::InterruptOnTerminalCount => self.gate && self.count_to_terminal(n),
                Mode::HardwareRetriggerableOneShot => self.count_to_terminal(n),
                Mode::RateGenerator => self.gate && self.count_periods(n),
                Mode::SquareWave => self.gate && self.count_half_periods(n),
                Mode::SoftwareTriggeredStrobe => self.count_to_strobe(n, self.gate),
                Mode::HardwareTriggeredStrobe => self.count_to_strobe(n, true),
            };
        }
        rose
    }

    /// The clock that loads the counting element; true if OUT rises.
    fn load(&mut self) -> bool {
        let count = self.initial_count();
        let was = self.out;
        self.null_count = false;
        self.stage = Stage::Counting;
        self.element = count % self.modulus();
        match self.control.mode() {
            Mode::InterruptOnTerminalCount => {}
            Mode::HardwareRetriggerableOneShot => self.out = false,
            Mode::RateGenerator => self.out = count != 1 || !self.gate,
            Mode::SquareWave => self.begin_half_period(true),
            Mode::SoftwareTriggeredStrobe | Mode::HardwareTriggeredStrobe => {
                self.out = true;
                self.armed = true;
            }
        }
        self.out && !was
    }

    /// Decrements the counting element, which wraps at 0 and goes on.
    fn decrement(&mut self, by: u64) {
        let modulus = u64::from(self.modulus());
        self.element = ((u64::from(self.element) + modulus - by % modulus) % modulus) as u32;
    }

    fn count_to_terminal(&mut self, n: u64) -> bool {
        let rises = !self.out && n >= u64::from(self.clocks(self.element));
        self.out |= rises;
        self.decrement(n);
        rises
    }

    fn count_to_strobe(&mut self, n: u64, enabled: bool) -> bool {
        let mut rose = !self.out;
        self.out = true;
        if enabled {
            let strobe = u64::from(self.clocks(self.element));
            if self.armed && n >= strobe {
                self.armed = false;
                self.out = n > strobe;
                rose |= self.out;
            }
            self.decrement(n);
        }
        rose
    }

    fn count_periods(&mut self, n: u64) -> bool {
        let to_reload = u64::from(self.clocks(self.element));
        if n < to_reload {
            self.decrement(n);
            self.out = self.element != 1;
            return false;
        }
        let period = self.initial_count();
        let left = period - ((n - to_reload) % u64::from(period)) as u32;
        self.null_count = false;
        self.element = left % self.modulus();
        self.out = left != 1;
        // A count of 1, illegal in this mode, holds OUT low.
        period != 1
    }

    /// Mode 3: loads an even count and counts it down by twos.
    fn begin_half_period(&mut self, out: bool) {
        let count = self.initial_count();
        self.null_count = false;
        self.out = out;
        self.odd = count & 1 != 0;
        self.element = (count & !1) % self.modulus();
    }

    /// Mode 3: clocks to the end of the half-period. An odd count keeps OUT high for one clock more than low.
    fn to_half_period_end(&self) -> u64 {
        let clocks = if self.odd && self.out { self.element / 2 + 1 } else { self.clocks(self.element) / 2 };
        u64::from(clocks)
    }

    fn count_half_periods(&mut self, n: u64) -> bool {
        let mut rose = false;
        let mut left = n;
        let mut whole_periods_skipped = false;
        loop {
            let to_end = self.to_half_period_end();
            if left < to_end {
                self.decrement(2 * left);
                return rose;
            }
            left -= to_end;
            self.begin_half_period(!self.out);
            rose |= self.out;
            if !whole_periods_skipped {
                whole_periods_skipped = true;
                let period = self.period_in_mode_3();
                rose |= left >= period;
                left %= period;
            }
        }
    }

    /// A count of 1, illegal in this mode, loads 0 for its low half, which then lasts half the modulus.
    fn period_in_mode_3(&self) -> u64 {
        let count = self.initial_count();
        u64::from(if count == 1 { 1 + self.modulus() / 2 } else { count })
    }

    /// Clocks until OUT may change, if nobody touches the counter; at least 1.
    pub(super) fn clocks_to_change(&self) -> Option<u64> {
        match self.stage {
            Stage::Unprogrammed | Stage::Waiting => return None,
            Stage::Loading => return Some(1),
            Stage::Counting => {}
        }
        let clocks = u64::from(self.clocks(self.element));
        match self.control.mode() {
            Mode::InterruptOnTerminalCount => (!self.out && self.gate).then_some(clocks),
            Mode::HardwareRetriggerableOneShot => (!self.out).then_some(clocks),
            Mode::RateGenerator if !self.gate || (!self.out && self.initial_count() == 1) => None,
            Mode::RateGenerator => Some(if self.out { clocks - 1 } else { clocks }.max(1)),
            Mode::SquareWave => self.gate.then(|| self.to_half_period_end().max(1)),
            Mode::SoftwareTriggeredStrobe | Mode::HardwareTriggeredStrobe if !self.out => Some(1),
            Mode::SoftwareTriggeredStrobe => (self.armed && self.gate).then_some(clocks),
            Mode::HardwareTriggeredStrobe => self.armed.then_some(clocks),
        }
    }

    /// The period of OUT in clocks while it oscillates.
    pub(super) fn period(&self) -> Option<u32> {
        let periodic = matches!(self.control.mode(), Mode::RateGenerator | Mode::SquareWave);
        let running = matches!(self.stage, Stage::Loading | Stage::Counting);
        (periodic && running && self.gate).then(|| self.initial_count())
    }
}
