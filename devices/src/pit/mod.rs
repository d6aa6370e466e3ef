//! Timer of the PC/AT: an 8254 and port 61h, which gates its counter 2 and leads it to the loudspeaker. Intel
//! 8254 data sheet; IBM PC/AT Technical Reference.
//!
//! The counters run on the exact 105/88 MHz of [`Frequency::PIT`]. Nothing happens per clock: a counter is
//! brought forward by any number of clocks at once. OUT of counter 0 drives an interrupt line; if it rose
//! several times between two looks, the line shows one rising edge, so that interrupts coalesce as they do in
//! the edge latch of an 8259A.

mod counter;
mod spec;
mod state;

#[cfg(test)]
mod tests;

use crate::access::{AccessSize, IoError, PortIo, PortRange};
use crate::irq::IrqLine;
use crate::reset::Reset;
use crate::time::{Frequency, GuestTime, Timed};
use counter::Counter;
use spec::{ControlWord, REFRESH_CLOCKS, offset, port_b};

pub use state::PitState;

/// The 8254 and port 61h.
///
/// Register offsets: 0 to 2 counters, 3 control word, 4 port 61h.
#[derive(Debug)]
pub struct Pit {
    irq: IrqLine,
    counters: [Counter; 3],
    /// The writable bits of port 61h.
    port_b: u8,
    /// Clocks passed since power-on.
    clock: u64,
}

impl Pit {
    /// The ports of the PC/AT.
    pub const PORTS: &[PortRange] = &[PortRange::new(0x40, 4, 0), PortRange::new(0x61, 1, offset::PORT_B)];

    /// A timer just switched on, whose OUT 0 drives `irq`.
    pub fn new(irq: IrqLine) -> Self {
        let counters = [true, true, false].map(Counter::power_on);
        Pit { irq, counters, port_b: 0, clock: 0 }
    }

    /// The level at the loudspeaker: OUT 2 where port 61h lets it through.
    pub fn speaker_level(&self) -> bool {
        self.port_b & port_b::SPEAKER_DATA != 0 && self.counters[2].out
    }

    /// The period of the tone at the loudspeaker, in ticks of [`Frequency::PIT`] (2 to 65,536 for an audible
    /// square wave), if counter 2 oscillates and port 61h lets it through.
    pub fn speaker_period(&self) -> Option<u32> {
        let open = self.port_b & port_b::SPEAKER_DATA != 0;
        if open { self.counters[2].period() } else { None }
    }

    fn write_control(&mut self, word: ControlWord) {
        match word {
            ControlWord::Program(counter, control) => self.counters[counter].program(control),
            ControlWord::LatchCount(counter) => self.counters[counter].latch_count(),
            ControlWord::ReadBack { counters, count, status } => {
                for (number, counter) in self.counters.iter_mut().enumerate() {
                    let addressed = counters & (1 << number) != 0;
                    if addressed && count {
                        counter.latch_count();
                    }
                    if addressed && status {
                        counter.latch_status();
                    }
                }
            }
        }
    }

    fn write_port_b(&mut self, value: u8) {
        self.port_b = value & port_b::WRITABLE;
        self.counters[2].set_gate(value & port_b::TIMER_2_GATE != 0);
    }

    fn read_port_b(&self) -> u8 {
        let refresh = if (self.clock / REFRESH_CLOCKS) & 1 != 0 { port_b::REFRESH } else { 0 };
        let out = if self.counters[2].out { port_b::TIMER_2_OUT } else { 0 };
        self.port_b | refresh | out
    }
}

impl PortIo for Pit {
    fn read_port(&mut self, offset: u16, size: AccessSize, now: GuestTime) -> Result<u32, IoError> {
        size.only_byte()?;
        self.advance(now);
        match offset {
            0..=2 => Ok(u32::from(self.counters[usize::from(offset)].read())),
            offset::PORT_B => Ok(u32::from(self.read_port_b())),
            _ => Err(IoError::NoSuchRegister),
        }
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
        let value = value as u8;
        match offset {
            0..=2 => self.counters[usize::from(offset)].write(value),
            offset::CONTROL => self.write_control(value.into()),
            offset::PORT_B => self.write_port_b(value),
            _ => return Err(IoError::NoSuchRegister),
        }
        self.irq.set(self.counters[0].out);
        Ok(())
    }
}

impl Timed for Pit {
    /// The next change of OUT 0, rise or fall.
    fn next_event(&self) -> Option<GuestTime> {
        let clocks = self.counters[0].clocks_to_change()?;
        Some(Frequency::PIT.time_of(self.clock.saturating_add(clocks)))
    }

    fn advance(&mut self, now: GuestTime) {
        let clock = Frequency::PIT.ticks_at(now);
        let Some(passed @ 1..) = clock.checked_sub(self.clock) else { return };
        self.clock = clock;
        let [rose, ..] = self.counters.each_mut().map(|counter| counter.clock(passed));
        if rose {
            self.irq.set(false);
            self.irq.set(true);
        }
        self.irq.set(self.counters[0].out);
    }
}

impl Reset for Pit {
    /// The 8254 has no RESET input: its counters go on. Port 61h is cleared.
    fn reset(&mut self) {
        self.write_port_b(0);
    }
}
