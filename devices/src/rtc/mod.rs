//! Real-time clock and CMOS memory of the PC/AT: an MC146818A with 128 bytes. Motorola MC146818A data sheet; IBM PC/AT
//! Technical Reference.
//!
//! The divider chain counts ticks of a 32.768 kHz crystal. When it wraps, once a second, an update cycle
//! begins; 1984 us later the time registers change, UIP falls, and the update-ended flag rises. Any number of
//! seconds passes at once.

mod calendar;
mod civil;
mod spec;
mod state;

#[cfg(test)]
mod tests;

use crate::access::{AccessSize, IoError, PortIo, PortRange};
use crate::irq::IrqLine;
use crate::reset::Reset;
use crate::time::{Frequency, GuestTime, Timed};
use calendar::Calendar;
use spec::{
    TICKS_BEFORE_UPDATE, TICKS_PER_SECOND, UPDATE_TICKS, VALID_RAM_AND_TIME, interrupt, periodic_ticks,
    reg_a, reg_b, register,
};

pub use civil::CivilDateTime;
pub use state::RtcState;

/// The size of the memory, registers included.
const SIZE: usize = 128;

/// Bit 7 of port 70h, beside the address.
const NMI_MASK: u8 = 0x80;

/// The MC146818A behind ports 70h and 71h, and the NMI mask that shares port 70h.
///
/// Register offsets: 0 address (port 70h, write only), 1 data (port 71h).
#[derive(Debug)]
pub struct Rtc {
    irq: IrqLine,
    /// Time, alarm, registers A (without UIP) and B, and memory. Register C lives in `flags`; D is constant.
    registers: [u8; SIZE],
    /// The interrupt flags of register C.
    flags: u8,
    /// The byte last written to port 70h.
    address: u8,
    /// Crystal ticks passed since power-on.
    tick: u64,
    /// What the divider chain is ahead of `tick`, modulo a second.
    phase: u64,
    /// An update cycle is in progress.
    updating: bool,
}

impl Rtc {
    /// The ports of the PC/AT.
    pub const PORTS: &[PortRange] = &[PortRange::new(0x70, 2, 0)];

    /// A clock that shows `start` at power-on, in BCD and 24-hour mode; its interrupt output drives `irq`. The
    /// memory is zero.
    pub fn new(irq: IrqLine, start: CivilDateTime) -> Self {
        let mut registers = [0; SIZE];
        registers[register::A] = reg_a::DIVIDER_32_KHZ | 6;
        registers[register::B] = reg_b::HOURS_24;
        let century = (start.year() / 100) as u8;
        let year = (start.year() % 100) as u8;
        for (register, value) in [
            (register::SECONDS, start.second()),
            (register::MINUTES, start.minute()),
            (register::HOURS, start.hour()),
            (register::DAY_OF_WEEK, start.weekday() + 1),
            (register::DAY, start.day()),
            (register::MONTH, start.month()),
            (register::YEAR, year),
            (register::CENTURY, century),
        ] {
            registers[register] = Calendar { registers: &mut registers }.encode(value);
        }
        Rtc { irq, registers, flags: 0, address: 0, tick: 0, phase: 0, updating: false }
    }

    /// The memory byte at `address`, 0Eh to 7Fh.
    ///
    /// # Panics
    /// If `address` is that of a time or control register, or beyond the memory.
    pub fn memory(&self, address: u8) -> u8 {
        self.registers[memory_index(address)]
    }

    /// Sets the memory byte at `address`, 0Eh to 7Fh: how the board's setup program left it.
    ///
    /// # Panics
    /// If `address` is that of a time or control register, or beyond the memory.
    pub fn set_memory(&mut self, address: u8, value: u8) {
        self.registers[memory_index(address)] = value;
    }

    /// Makes the checksum at 2Eh and 2Fh fit the bytes 10h to 2Dh, as a BIOS expects it.
    pub fn update_checksum(&mut self) {
        let checked = &self.registers[register::FIRST_CHECKED..register::CHECKSUM];
        let sum: u16 = checked.iter().map(|byte| u16::from(*byte)).sum();
        self.registers[register::CHECKSUM..register::CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
    }

    /// Whether port 70h keeps non-maskable interrupts from the processor.
    pub fn nmi_masked(&self) -> bool {
        self.address & NMI_MASK != 0
    }

    fn register_b(&self) -> u8 {
        self.registers[register::B]
    }

    /// Whether the divider chain runs. "Divider Control": the other codes hold it in reset, test it, or are
    /// for crystals of a frequency that this board does not have.
    fn divider_runs(&self) -> bool {
        self.registers[register::A] & reg_a::DIVIDER == reg_a::DIVIDER_32_KHZ
    }

    fn updates_run(&self) -> bool {
        self.divider_runs() && self.register_b() & reg_b::SET == 0
    }

    /// What the divider chain has counted by `tick`, whole seconds included.
    fn chain(&self, tick: u64) -> u64 {
        tick.saturating_add(self.phase)
    }

    fn enabled(&self, which: u8) -> bool {
        self.register_b() & which != 0
    }

    fn flag(&self, which: u8) -> bool {
        self.flags & which != 0
    }

    fn interrupt_requested(&self) -> bool {
        self.flags & self.register_b() & interrupt::ALL != 0
    }

    fn update_irq(&self) {
        self.irq.set(self.interrupt_requested());
    }

    /// "Update Cycle": UIP rises 244 us before the cycle and falls at its end.
    fn update_in_progress(&self) -> bool {
        let to_start = TICKS_PER_SECOND - self.chain(self.tick) % TICKS_PER_SECOND;
        self.updating || (self.updates_run() && to_start <= TICKS_BEFORE_UPDATE)
    }

    fn read(&mut self, index: usize) -> u8 {
        match index {
            register::A => {
                let uip = if self.update_in_progress() { reg_a::UPDATE_IN_PROGRESS } else { 0 };
                self.registers[register::A] | uip
            }
            register::C => {
                let request = if self.interrupt_requested() { interrupt::REQUEST } else { 0 };
                request | std::mem::take(&mut self.flags)
            }
            register::D => VALID_RAM_AND_TIME,
            _ => self.registers[index],
        }
    }

    fn write(&mut self, index: usize, value: u8) {
        match index {
            register::A => self.write_a(value & !reg_a::UPDATE_IN_PROGRESS),
            register::B if value & reg_b::SET != 0 => {
                // "SET": aborts an update cycle in progress and clears the update-ended enable.
                self.registers[register::B] = value & !interrupt::UPDATE_ENDED;
                self.updating = false;
            }
            register::C | register::D => {}
            _ => self.registers[index] = value,
        }
    }

    /// "Divider Control": the first update cycle begins half a second after the reset of the divider ends.
    fn write_a(&mut self, value: u8) {
        let ran = self.divider_runs();
        self.registers[register::A] = value;
        if !self.divider_runs() {
            self.updating = false;
        } else if !ran {
            let elapsed = self.tick % TICKS_PER_SECOND;
            self.phase = (TICKS_PER_SECOND + TICKS_PER_SECOND / 2 - elapsed) % TICKS_PER_SECOND;
        }
    }

    /// The update cycles that ended between `from` and `to`, both as the chain counts; leaves `updating` as
    /// it is at `to`.
    fn pass_update_cycles(&mut self, from: u64, to: u64) -> u64 {
        // Cycle number n begins at n seconds and ends UPDATE_TICKS later; counted from one second earlier,
        // so that the number of cycles ended is never negative.
        let begun = |chain: u64| chain / TICKS_PER_SECOND + 1;
        let ended = |chain: u64| chain.saturating_add(TICKS_PER_SECOND - UPDATE_TICKS) / TICKS_PER_SECOND;
        let first = begun(from) + u64::from(!self.updating);
        let passed = (ended(to) + 1).saturating_sub(first);
        self.updating = begun(to) > ended(to) && begun(to) >= first;
        passed
    }

    /// The chain count at which the next update cycle ends.
    fn next_update_end(&self) -> u64 {
        let chain = self.chain(self.tick);
        let begun = chain / TICKS_PER_SECOND * TICKS_PER_SECOND;
        let begins = if self.updating { begun } else { begun.saturating_add(TICKS_PER_SECOND) };
        begins.saturating_add(UPDATE_TICKS)
    }
}

fn memory_index(address: u8) -> usize {
    let index = usize::from(address);
    assert!((register::FIRST_MEMORY..SIZE).contains(&index), "{address:#x} is not an address of CMOS memory");
    index
}

impl PortIo for Rtc {
    fn read_port(&mut self, offset: u16, size: AccessSize, now: GuestTime) -> Result<u32, IoError> {
        size.only_byte()?;
        self.advance(now);
        if offset != 1 {
            return Err(IoError::NoSuchRegister);
        }
        let value = self.read(usize::from(self.address & !NMI_MASK));
        self.update_irq();
        Ok(u32::from(value))
    }

    fn write_port(
        &mut self,
        offset: u16,
        size: AccessSize,
        value: u32,
        now: GuestTime,
    ) -> Result<(), IoError> {
        size.only_byte()?;
        self.advance(now);
        match offset {
            0 => self.address = value as u8,
            1 => self.write(usize::from(self.address & !NMI_MASK), value as u8),
            _ => return Err(IoError::NoSuchRegister),
        }
        self.update_irq();
        Ok(())
    }
}

impl Timed for Rtc {
    /// The next moment at which an enabled interrupt would be requested; the time registers need no events.
    fn next_event(&self) -> Option<GuestTime> {
        let awaited = |which| self.enabled(which) && !self.flag(which);
        let periodic = || {
            let period = periodic_ticks(self.registers[register::A])?;
            let wanted = awaited(interrupt::PERIODIC) && self.divider_runs();
            wanted.then(|| (self.chain(self.tick) / period + 1).saturating_mul(period))
        };
        let update = || awaited(interrupt::UPDATE_ENDED).then(|| self.next_update_end());
        let alarm = || {
            let mut registers = self.registers;
            let calendar = Calendar { registers: &mut registers };
            let cycles = awaited(interrupt::ALARM).then(|| calendar.seconds_to_alarm()).flatten()?;
            Some(self.next_update_end().saturating_add(u64::from(cycles - 1) * TICKS_PER_SECOND))
        };
        let of_update = if self.updates_run() { update().into_iter().chain(alarm()).min() } else { None };
        let chain = periodic().into_iter().chain(of_update).min()?;
        Some(Frequency::RTC.time_of(chain.saturating_sub(self.phase)))
    }

    fn advance(&mut self, now: GuestTime) {
        let tick = Frequency::RTC.ticks_at(now);
        if tick <= self.tick {
            return;
        }
        let (from, to) = (self.chain(self.tick), self.chain(tick));
        self.tick = tick;
        if !self.divider_runs() {
            return;
        }
        if periodic_ticks(self.registers[register::A]).is_some_and(|period| from / period != to / period) {
            self.flags |= interrupt::PERIODIC;
        }
        if self.updates_run() {
            let updates = self.pass_update_cycles(from, to);
            if updates > 0 {
                self.flags |= interrupt::UPDATE_ENDED;
                if (Calendar { registers: &mut self.registers }).pass_seconds(updates) {
                    self.flags |= interrupt::ALARM;
                }
            }
        }
        self.update_irq();
    }
}

impl Reset for Rtc {
    /// "RESET": clears enables, flags and the square wave; the battery keeps time, formats and memory.
    fn reset(&mut self) {
        self.registers[register::B] &= !(interrupt::ALL | reg_b::SQUARE_WAVE_ENABLE);
        self.flags = 0;
        self.address = 0;
        self.update_irq();
    }
}
