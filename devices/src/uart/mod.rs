//! 16550A UART: the PC's serial port. National Semiconductor PC16550D data sheet.
//!
//! Time is kept in periods of the 1.8432 MHz crystal, so that characters follow each other at exactly the
//! programmed rate. What the guest does not look at is not simulated step by step: a full transmitter FIFO
//! costs one event, at the moment when it runs empty.
//!
//! The host takes what was transmitted with [`Uart::take_output`] and offers what is to be received with
//! [`Uart::receive`], one character whenever [`Uart::can_receive`] says so. It never overruns the guest.

mod spec;
mod state;
#[cfg(test)]
mod tests;

pub use state::{ModemInputs, UartState};

use crate::access::{AccessSize, IoError, PortIo, PortRange};
use crate::irq::IrqLine;
use crate::reset::Reset;
use crate::time::{Frequency, GuestTime, Timed};
use spec::*;
use state::Received;

/// How many transmitted characters wait for the host at most. The transmitter stands still while so many
/// do, as if the other end had stopped it.
pub const OUTPUT_CAPACITY: usize = 4096;

const CRYSTAL: Frequency = Frequency::ratio(CRYSTAL_HZ, 1);

/// How long a character is on the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// As long as the divisor latch and the line control register say.
    #[default]
    Baud,
    /// No time at all, in both directions: for boot logs that need not take seconds of guest time. Status
    /// bits, interrupts and loopback work as ever. The character timeout keeps its programmed length.
    Immediate,
}

/// The modem control outputs. True is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModemOutputs {
    /// Data terminal ready.
    pub dtr: bool,
    /// Request to send.
    pub rts: bool,
    /// Auxiliary output 1.
    pub out1: bool,
    /// Auxiliary output 2, the interrupt driver's enable on a PC.
    pub out2: bool,
}

/// A 16550A with eight registers. At power-on the divisor is 1 (115,200 baud), which real chips leave
/// undefined, and the modem inputs are those of a terminal that is present.
///
/// ```
/// use idem86_devices::{access::{AccessSize, PortIo}, irq::IrqLine, time::{GuestTime, Timed}};
/// use idem86_devices::uart::{Pace, Uart};
/// let mut uart = Uart::new(IrqLine::unconnected(), Pace::Baud);
/// uart.write_port(3, AccessSize::Byte, 0x03, GuestTime::ZERO).unwrap(); // 8 data bits, no parity
/// uart.write_port(0, AccessSize::Byte, b'A'.into(), GuestTime::ZERO).unwrap();
/// assert!(uart.take_output().is_empty());
/// let sent = uart.next_event().unwrap();
/// uart.advance(sent);
/// assert_eq!(uart.take_output(), b"A");
/// ```
#[derive(Debug)]
pub struct Uart {
    irq: IrqLine,
    pace: Pace,
    state: UartState,
}

impl Uart {
    /// Where the PC has its four serial ports, COM1 to COM4. The odd ones interrupt on IRQ 4, the even ones on
    /// IRQ 3.
    pub const COM_PORTS: [PortRange; 4] = [
        PortRange::new(0x3F8, 8, 0),
        PortRange::new(0x2F8, 8, 0),
        PortRange::new(0x3E8, 8, 0),
        PortRange::new(0x2E8, 8, 0),
    ];

    /// A UART just switched on, whose interrupt output drives `irq`.
    pub fn new(irq: IrqLine, pace: Pace) -> Self {
        Uart { irq, pace, state: UartState::power_on() }
    }

    /// Takes the characters transmitted so far. To be called often enough, in a deterministic place: at the
    /// latest after each [`Timed::advance`].
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.state.output)
    }

    /// How many characters wait for [`Uart::take_output`]. The transmitter stops at 64 Ki.
    pub fn output_len(&self) -> usize {
        self.state.output.len()
    }

    /// Whether the line is free and the receiver has room, so that [`Uart::receive`] will take a character.
    pub fn can_receive(&self) -> bool {
        let s = &self.state;
        s.arriving.is_none() && !self.is_looped() && s.received.len() < s.capacity()
    }

    /// Puts `byte` on the line towards the guest, where it arrives one character time later. Returns false,
    /// having done nothing, if [`Uart::can_receive`] is false.
    pub fn receive(&mut self, byte: u8, now: GuestTime) -> bool {
        let byte = byte & self.state.line_control.data_mask();
        self.put_on_line(Received { byte, errors: 0 }, now)
    }

    /// Sends the guest a break: a zero character without a stop bit. As [`Uart::receive`].
    pub fn receive_break(&mut self, now: GuestTime) -> bool {
        self.put_on_line(Received { byte: 0, errors: lsr::BREAK | lsr::FRAMING }, now)
    }

    fn put_on_line(&mut self, character: Received, now: GuestTime) -> bool {
        self.advance(now);
        if !self.can_receive() {
            return false;
        }
        self.state.arriving = Some(character);
        self.state.arrival = self.state.clock.saturating_add(self.character());
        self.run();
        true
    }

    /// Whether the guest holds the line at spacing.
    pub fn is_sending_break(&self) -> bool {
        self.state.line_control.set_break() && !self.is_looped()
    }

    /// The modem control outputs, which are inactive in loopback.
    pub fn modem_outputs(&self) -> ModemOutputs {
        let active = |bit| self.state.modem_control & (bit | mcr::LOOP) == bit;
        ModemOutputs {
            dtr: active(mcr::DTR),
            rts: active(mcr::RTS),
            out1: active(mcr::OUT1),
            out2: active(mcr::OUT2),
        }
    }

    /// Drives the modem status inputs.
    pub fn set_modem_inputs(&mut self, inputs: ModemInputs) {
        self.change_modem_lines(|state| state.modem_inputs = inputs);
        self.update_irq();
    }

    /// Whether the output leads to the input and the pins are disconnected.
    fn is_looped(&self) -> bool {
        self.state.modem_control & mcr::LOOP != 0
    }

    /// Crystal periods in one bit. The divisor latch is loaded into a counter of 16 bits: 0 counts 65,536.
    fn programmed_bit(&self) -> u64 {
        let divisor = if self.state.divisor == 0 { 1 << 16 } else { u64::from(self.state.divisor) };
        CLOCKS_PER_BIT * divisor
    }

    fn programmed_character(&self) -> u64 {
        self.programmed_bit() * self.state.line_control.half_bits() / 2
    }

    fn bit(&self) -> u64 {
        if self.pace == Pace::Immediate { 0 } else { self.programmed_bit() }
    }

    fn character(&self) -> u64 {
        if self.pace == Pace::Immediate { 0 } else { self.programmed_character() }
    }

    /// Lets happen what is due.
    fn run(&mut self) {
        self.run_transmitter();
        if self.state.arrival <= self.state.clock
            && !self.is_looped()
            && let Some(character) = self.state.arriving.take()
        {
            self.accept(character, self.state.arrival);
        }
        if self.state.thr_empty_due.is_some_and(|due| due <= self.state.clock) {
            self.state.thr_empty_due = None;
            self.state.thr_empty_pending = true;
        }
        self.update_irq();
    }

    fn run_transmitter(&mut self) {
        while self.state.shift_due <= self.state.clock && !self.transmitter_stalled() {
            let at = self.state.shift_due;
            if let Some(byte) = self.state.shifting.take() {
                self.send(byte, at);
            }
            let Some(next) = self.state.transmit.pop_front() else { break };
            self.state.shifting = Some(next);
            self.state.shift_due = at.saturating_add(self.character());
            if self.state.transmit.is_empty() {
                self.thr_emptied(at);
            }
        }
    }

    fn transmitter_stalled(&self) -> bool {
        self.state.shifting.is_some() && self.state.output.len() >= OUTPUT_CAPACITY
    }

    /// A character has left the shift register.
    fn send(&mut self, byte: u8, at: u64) {
        let byte = byte & self.state.line_control.data_mask();
        if self.is_looped() {
            self.accept(Received { byte, errors: 0 }, at);
        } else if !self.state.line_control.set_break() {
            self.state.output.push(byte);
        }
    }

    /// "FIFO Interrupt Mode Operation": the interrupt waits a character less its stop bit unless two
    /// characters were in the FIFO since it last was empty, so that a lone character causes one interrupt.
    fn thr_emptied(&mut self, at: u64) {
        let prompt = std::mem::take(&mut self.state.thr_empty_prompt) || !self.state.fifos_enabled();
        let delay = if prompt { 0 } else { self.character().saturating_sub(self.bit()) };
        self.state.thr_empty_due = Some(at.saturating_add(delay));
    }

    /// A character is complete in the receiver's shift register.
    fn accept(&mut self, character: Received, at: u64) {
        let timeout = at.saturating_add(4 * self.programmed_character());
        let s = &mut self.state;
        if s.timeout.is_none_or(|expiry| expiry > at) {
            s.timeout = Some(timeout);
        }
        if s.received.len() >= s.capacity() {
            s.line_errors |= lsr::OVERRUN;
            if s.fifos_enabled() {
                return;
            }
            s.received.clear();
        }
        s.received.push_back(character);
        self.show_errors();
    }

    /// The errors of the character that the guest will read next show in the line status register.
    fn show_errors(&mut self) {
        if let Some(front) = self.state.received.front_mut() {
            self.state.line_errors |= std::mem::take(&mut front.errors);
        }
    }

    fn line_status(&self) -> u8 {
        let s = &self.state;
        let mut status = s.line_errors;
        if !s.received.is_empty() {
            status |= lsr::DATA_READY;
        }
        if s.transmit.is_empty() {
            status |= lsr::THR_EMPTY;
            if s.shifting.is_none() {
                status |= lsr::TRANSMITTER_EMPTY;
            }
        }
        let erroneous =
            s.line_errors & lsr::CHARACTER_ERRORS != 0 || s.received.iter().any(|c| c.errors != 0);
        if s.fifos_enabled() && erroneous {
            status |= lsr::FIFO_ERROR;
        }
        status
    }

    /// The modem status lines, bits 4 to 7: the modem's, or in loopback our own outputs.
    fn modem_lines(&self) -> u8 {
        if !self.is_looped() {
            return self.state.modem_inputs.bits();
        }
        [(mcr::RTS, msr::CTS), (mcr::DTR, msr::DSR), (mcr::OUT1, msr::RI), (mcr::OUT2, msr::DCD)]
            .into_iter()
            .filter(|(output, _)| self.state.modem_control & output != 0)
            .fold(0, |lines, (_, input)| lines | input)
    }

    /// Does what may change the modem status lines, and notes which changed.
    fn change_modem_lines(&mut self, change: impl FnOnce(&mut UartState)) {
        let before = self.modem_lines();
        change(&mut self.state);
        let after = self.modem_lines();
        self.state.modem_deltas |= (before ^ after) >> 4 & msr::DELTAS;
        if before & !after & msr::RI != 0 {
            self.state.modem_deltas |= msr::TRAILING_EDGE_RI;
        }
    }

    fn trigger_level(&self) -> usize {
        if self.state.fifos_enabled() { fcr::trigger_level(self.state.fifo_control) } else { 1 }
    }

    /// The pending and enabled interrupt of the highest priority.
    fn interrupt(&self) -> Option<InterruptSource> {
        let s = &self.state;
        let enabled = |bit| s.interrupt_enable & bit != 0;
        if enabled(ier::LINE_STATUS) && s.line_errors != 0 {
            Some(InterruptSource::LineStatus)
        } else if enabled(ier::RECEIVED_DATA) && s.received.len() >= self.trigger_level() {
            Some(InterruptSource::ReceivedData)
        } else if enabled(ier::RECEIVED_DATA) && s.timeout.is_some_and(|expiry| expiry <= s.clock) {
            Some(InterruptSource::CharacterTimeout)
        } else if enabled(ier::THR_EMPTY) && s.thr_empty_pending {
            Some(InterruptSource::ThrEmpty)
        } else if enabled(ier::MODEM_STATUS) && s.modem_deltas != 0 {
            Some(InterruptSource::ModemStatus)
        } else {
            None
        }
    }

    /// OUT2 enables the driver between the interrupt output and the bus; in loopback the pin is inactive.
    fn update_irq(&self) {
        self.irq.set(self.modem_outputs().out2 && self.interrupt().is_some());
    }

    fn read_receiver_buffer(&mut self) -> u8 {
        if let Some(character) = self.state.received.pop_front() {
            self.state.last_read = character.byte;
            self.show_errors();
        }
        let timeout = self.state.clock.saturating_add(4 * self.programmed_character());
        self.state.timeout = (!self.state.received.is_empty()).then_some(timeout);
        self.state.last_read
    }

    /// Writing to a full transmitter replaces what was written last.
    fn write_transmitter_holding(&mut self, byte: u8) {
        if self.state.shifting.is_none() && self.state.transmit.is_empty() {
            // The start bit waits for the running bit clock: 8 to 24 of its 16ths.
            self.state.shift_due = self.state.clock.saturating_add(self.bit());
        }
        let s = &mut self.state;
        if s.transmit.len() >= s.capacity() {
            s.transmit.pop_back();
        }
        s.transmit.push_back(byte);
        s.thr_empty_prompt |= s.transmit.len() >= 2;
        s.thr_empty_pending = false;
        s.thr_empty_due = None;
        // The interrupt line drops even if the character is gone at once.
        self.update_irq();
    }

    fn write_interrupt_enable(&mut self, value: u8) {
        let s = &mut self.state;
        let rising = value & !s.interrupt_enable;
        if rising & ier::THR_EMPTY != 0 && s.transmit.is_empty() {
            s.thr_empty_pending = true;
            s.thr_empty_due = None;
        }
        s.interrupt_enable = value & ier::ALL;
    }

    fn read_interrupt_identification(&mut self) -> u8 {
        let source = self.interrupt();
        if source == Some(InterruptSource::ThrEmpty) {
            self.state.thr_empty_pending = false;
        }
        let fifos = if self.state.fifos_enabled() { IIR_FIFOS_ENABLED } else { 0 };
        fifos | source.map_or(IIR_NONE, |source| source as u8)
    }

    fn write_fifo_control(&mut self, value: u8) {
        let switched = (value ^ self.state.fifo_control) & fcr::ENABLE != 0;
        let enabled = value & fcr::ENABLE != 0;
        if switched || enabled && value & fcr::CLEAR_RECEIVER != 0 {
            self.state.received.clear();
            self.state.timeout = None;
        }
        self.state.thr_empty_prompt |= switched;
        if (switched || enabled && value & fcr::CLEAR_TRANSMITTER != 0) && !self.state.transmit.is_empty() {
            self.state.transmit.clear();
            self.thr_emptied(self.state.clock);
        }
        if enabled {
            self.state.fifo_control = value & fcr::KEPT;
        } else {
            self.state.fifo_control &= !fcr::ENABLE;
        }
    }
}

impl PortIo for Uart {
    fn read_port(&mut self, offset: u16, size: AccessSize, now: GuestTime) -> Result<u32, IoError> {
        size.only_byte()?;
        self.advance(now);
        let divisor_access = self.state.line_control.divisor_access();
        let [divisor_low, divisor_high] = self.state.divisor.to_le_bytes();
        let value = match offset {
            RBR_THR_DLL if divisor_access => divisor_low,
            RBR_THR_DLL => self.read_receiver_buffer(),
            IER_DLM if divisor_access => divisor_high,
            IER_DLM => self.state.interrupt_enable,
            IIR_FCR => self.read_interrupt_identification(),
            LCR => self.state.line_control.0,
            MCR => self.state.modem_control,
            LSR => {
                let status = self.line_status();
                self.state.line_errors = 0;
                status
            }
            MSR => self.modem_lines() | std::mem::take(&mut self.state.modem_deltas),
            SCR => self.state.scratch,
            _ => return Err(IoError::NoSuchRegister),
        };
        self.update_irq();
        Ok(value.into())
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
        let divisor_access = self.state.line_control.divisor_access();
        let [divisor_low, divisor_high] = self.state.divisor.to_le_bytes();
        let value = value as u8;
        match offset {
            RBR_THR_DLL if divisor_access => self.state.divisor = u16::from_le_bytes([value, divisor_high]),
            RBR_THR_DLL => self.write_transmitter_holding(value),
            IER_DLM if divisor_access => self.state.divisor = u16::from_le_bytes([divisor_low, value]),
            IER_DLM => self.write_interrupt_enable(value),
            IIR_FCR => self.write_fifo_control(value),
            LCR => self.state.line_control = LineControl(value),
            MCR => self.change_modem_lines(|state| state.modem_control = value & mcr::ALL),
            LSR | MSR => {}
            SCR => self.state.scratch = value,
            _ => return Err(IoError::NoSuchRegister),
        }
        self.run();
        Ok(())
    }
}

impl Timed for Uart {
    fn next_event(&self) -> Option<GuestTime> {
        let s = &self.state;
        let enabled = |bit| s.interrupt_enable & bit != 0;
        let waiting = s.transmit.len() as u64;
        let transmitter = ((s.shifting.is_some() || waiting > 0) && !self.transmitter_stalled()).then(|| {
            // In loopback every character counts; otherwise the one with which the transmitter runs
            // empty, or, if nobody wants to know that, the end of the last.
            let characters = if self.is_looped() {
                0
            } else if enabled(ier::THR_EMPTY) && waiting > 0 {
                waiting - 1
            } else {
                waiting
            };
            s.shift_due.saturating_add(characters * self.character())
        });
        let receiver = s.arriving.filter(|_| !self.is_looped()).map(|_| s.arrival);
        let timeout = s.timeout.filter(|&expiry| {
            expiry > s.clock && enabled(ier::RECEIVED_DATA) && s.received.len() < self.trigger_level()
        });
        let thr_empty = s.thr_empty_due.filter(|_| enabled(ier::THR_EMPTY));
        [transmitter, receiver, timeout, thr_empty]
            .into_iter()
            .flatten()
            .min()
            .map(|tick| CRYSTAL.time_of(tick))
    }

    fn advance(&mut self, now: GuestTime) {
        self.state.clock = self.state.clock.max(CRYSTAL.ticks_at(now));
        self.run();
    }
}

impl Reset for Uart {
    /// "Reset Functions": the FIFOs, IER, FCR, LCR, MCR and the error and delta bits are cleared; the divisor
    /// latch, the scratch register and the modem's lines are not. A character on its way
    /// out is cut off, one on its way in is not.
    fn reset(&mut self) {
        let before = std::mem::replace(&mut self.state, UartState::power_on());
        let s = &mut self.state;
        (s.clock, s.scratch, s.divisor, s.last_read) =
            (before.clock, before.scratch, before.divisor, before.last_read);
        (s.modem_inputs, s.output) = (before.modem_inputs, before.output);
        (s.arriving, s.arrival) = (before.arriving, before.arrival);
        self.update_irq();
    }
}
