//! The UART's whole state, and what a saved one must satisfy.

use super::{OUTPUT_CAPACITY, Uart, spec::*};
use crate::state::{RestoreError, Snapshot};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The lines that come from the modem, or from whoever sits at the other end of a null-modem cable. True is
/// active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModemInputs {
    /// Clear to send.
    pub cts: bool,
    /// Data set ready.
    pub dsr: bool,
    /// Ring indicator.
    pub ri: bool,
    /// Data carrier detect.
    pub dcd: bool,
}

impl ModemInputs {
    /// The lines as bits 4 to 7 of the modem status register.
    pub(super) fn bits(self) -> u8 {
        let bit = |on, mask| if on { mask } else { 0 };
        bit(self.cts, msr::CTS) | bit(self.dsr, msr::DSR) | bit(self.ri, msr::RI) | bit(self.dcd, msr::DCD)
    }
}

/// A received character and the line status bits that came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Received {
    pub byte: u8,
    pub errors: u8,
}

/// The state of a [`Uart`]. Moments are in periods of the 1.8432 MHz crystal since power-on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UartState {
    /// The moment up to which everything has happened.
    pub(super) clock: u64,

    pub(super) interrupt_enable: u8,
    pub(super) fifo_control: u8,
    pub(super) line_control: LineControl,
    pub(super) modem_control: u8,
    pub(super) scratch: u8,
    pub(super) divisor: u16,
    /// The error bits of the line status register, latched until it is read.
    pub(super) line_errors: u8,
    pub(super) modem_inputs: ModemInputs,
    pub(super) modem_deltas: u8,

    /// The receiver's buffer register or FIFO.
    pub(super) received: VecDeque<Received>,
    /// What the buffer register shows when it is empty.
    pub(super) last_read: u8,
    /// The character that is arriving, complete at `arrival`.
    pub(super) arriving: Option<Received>,
    pub(super) arrival: u64,
    /// When the characters in the FIFO will have waited too long, or since when they have.
    pub(super) timeout: Option<u64>,

    /// The transmitter's holding register or FIFO.
    pub(super) transmit: VecDeque<u8>,
    pub(super) shifting: Option<u8>,
    /// When the shift register is done with its character, or, if it has none, takes the first.
    pub(super) shift_due: u64,
    /// The THR empty interrupt is pending if enabled.
    pub(super) thr_empty_pending: bool,
    /// When it will become so.
    pub(super) thr_empty_due: Option<u64>,
    /// The next THR empty interrupt will not be delayed.
    pub(super) thr_empty_prompt: bool,
    /// Characters that have left and that the host has not taken.
    pub(super) output: Vec<u8>,
}

impl UartState {
    pub(super) fn power_on() -> Self {
        UartState {
            clock: 0,
            interrupt_enable: 0,
            fifo_control: 0,
            line_control: LineControl(0),
            modem_control: 0,
            scratch: 0,
            divisor: 1,
            line_errors: 0,
            modem_inputs: ModemInputs { cts: true, dsr: true, ri: false, dcd: true },
            modem_deltas: 0,
            received: VecDeque::new(),
            last_read: 0,
            arriving: None,
            arrival: 0,
            timeout: None,
            transmit: VecDeque::new(),
            shifting: None,
            shift_due: 0,
            thr_empty_pending: false,
            thr_empty_due: None,
            thr_empty_prompt: false,
            output: Vec::new(),
        }
    }

    /// Takes the characters that wait for the host: not the guest's business any longer.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    pub(super) fn fifos_enabled(&self) -> bool {
        self.fifo_control & fcr::ENABLE != 0
    }

    /// Characters that the receiver's buffer, and the transmitter's, can hold.
    pub(super) fn capacity(&self) -> usize {
        if self.fifos_enabled() { FIFO_DEPTH } else { 1 }
    }

    fn validate(&self) -> Result<(), RestoreError> {
        let refuse = |what| Err(RestoreError::new("UART", what));
        let undefined = self.interrupt_enable & !ier::ALL
            | self.fifo_control & !fcr::KEPT
            | self.modem_control & !mcr::ALL
            | self.line_errors & !lsr::ERRORS
            | self.modem_deltas & !(msr::DELTAS | msr::TRAILING_EDGE_RI);
        if undefined != 0 {
            return refuse("a register has bits that do not exist");
        }
        if self.received.len() > self.capacity() || self.transmit.len() > self.capacity() {
            return refuse("a FIFO holds more than fits");
        }
        if self.received.iter().chain(&self.arriving).any(|c| c.errors & !lsr::CHARACTER_ERRORS != 0) {
            return refuse("a character with an error that does not exist");
        }
        if self.output.len() > OUTPUT_CAPACITY {
            return refuse("too much output waiting");
        }
        Ok(())
    }
}

impl Snapshot for Uart {
    type State = UartState;

    fn save(&self) -> UartState {
        let Uart { irq: _, pace: _, state } = self;
        state.clone()
    }

    fn restore(&mut self, state: UartState) -> Result<(), RestoreError> {
        state.validate()?;
        self.state = state;
        Ok(())
    }
}
