//! PC16550D register definitions. National Semiconductor PC16550D data sheet, "Registers".

use serde::{Deserialize, Serialize};

/// Frequency of the crystal on the PC's serial adapter, in hertz. The divisor latch divides it down to 16
/// times the baud rate.
pub const CRYSTAL_HZ: u64 = 1_843_200;

/// Crystal periods in one period of the divided clock, times this, make one bit.
pub const CLOCKS_PER_BIT: u64 = 16;

/// Depth of each FIFO.
pub const FIFO_DEPTH: usize = 16;

/// Receiver buffer (read), transmitter holding register (write), divisor latch low with DLAB.
pub const RBR_THR_DLL: u16 = 0;
/// Interrupt enable register, divisor latch high with DLAB.
pub const IER_DLM: u16 = 1;
/// Interrupt identification register (read), FIFO control register (write).
pub const IIR_FCR: u16 = 2;
/// Line control register.
pub const LCR: u16 = 3;
/// Modem control register.
pub const MCR: u16 = 4;
/// Line status register.
pub const LSR: u16 = 5;
/// Modem status register.
pub const MSR: u16 = 6;
/// Scratch register.
pub const SCR: u16 = 7;

/// Bits of the interrupt enable register.
pub mod ier {
    /// Received data available, and character timeout.
    pub const RECEIVED_DATA: u8 = 1 << 0;
    /// Transmitter holding register empty.
    pub const THR_EMPTY: u8 = 1 << 1;
    /// Receiver line status.
    pub const LINE_STATUS: u8 = 1 << 2;
    /// Modem status.
    pub const MODEM_STATUS: u8 = 1 << 3;
    /// The bits that exist.
    pub const ALL: u8 = 0x0F;
}

/// Bits of the FIFO control register.
pub mod fcr {
    /// Enables both FIFOs; the other bits are taken only together with it.
    pub const ENABLE: u8 = 1 << 0;
    /// Clears the receiver FIFO; resets itself.
    pub const CLEAR_RECEIVER: u8 = 1 << 1;
    /// Clears the transmitter FIFO; resets itself.
    pub const CLEAR_TRANSMITTER: u8 = 1 << 2;
    /// The bits that keep their value: enable, DMA mode, receiver trigger.
    pub const KEPT: u8 = ENABLE | 1 << 3 | 0b11 << 6;

    /// Characters in the receiver FIFO at which it interrupts.
    pub const fn trigger_level(fcr: u8) -> usize {
        [1, 4, 8, 14][(fcr >> 6) as usize]
    }
}

/// The interrupt sources by descending priority, with their code in the interrupt identification register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterruptSource {
    /// Overrun, parity or framing error, or break.
    LineStatus = 0x6,
    /// A character, or as many as the FIFO's trigger level.
    ReceivedData = 0x4,
    /// Characters have been waiting in the FIFO for four character times.
    CharacterTimeout = 0xC,
    /// The transmitter wants characters.
    ThrEmpty = 0x2,
    /// A modem input changed.
    ModemStatus = 0x0,
}

/// What the interrupt identification register shows when nothing is pending.
pub const IIR_NONE: u8 = 0x1;
/// Set in the interrupt identification register while the FIFOs are enabled.
pub const IIR_FIFOS_ENABLED: u8 = 0xC0;

/// The line control register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineControl(pub u8);

impl LineControl {
    /// Bits of data in a character: 5 to 8.
    pub const fn word_length(self) -> u32 {
        5 + (self.0 & 0b11) as u32
    }

    /// The data bits of a character.
    pub const fn data_mask(self) -> u8 {
        0xFF >> (8 - self.word_length())
    }

    /// Length of a character on the line in half bits: start, data, parity and stop bits. Two stop bits are
    /// one and a half with five data bits.
    pub const fn half_bits(self) -> u64 {
        let stop = match (self.0 & 1 << 2 != 0, self.word_length()) {
            (false, _) => 2,
            (true, 5) => 3,
            (true, _) => 4,
        };
        let parity = if self.0 & 1 << 3 != 0 { 2 } else { 0 };
        2 + 2 * self.word_length() as u64 + parity + stop
    }

    /// Whether the line is held at spacing.
    pub const fn set_break(self) -> bool {
        self.0 & 1 << 6 != 0
    }

    /// Divisor latch access bit: the first two registers are the divisor latch.
    pub const fn divisor_access(self) -> bool {
        self.0 & 1 << 7 != 0
    }
}

/// Bits of the modem control register.
pub mod mcr {
    /// Data terminal ready.
    pub const DTR: u8 = 1 << 0;
    /// Request to send.
    pub const RTS: u8 = 1 << 1;
    /// Auxiliary output, unconnected on a PC.
    pub const OUT1: u8 = 1 << 2;
    /// Auxiliary output; on a PC it enables the driver of the interrupt line.
    pub const OUT2: u8 = 1 << 3;
    /// Local loopback.
    pub const LOOP: u8 = 1 << 4;
    /// The bits that exist.
    pub const ALL: u8 = 0x1F;
}

/// Bits of the line status register.
pub mod lsr {
    /// A character can be read.
    pub const DATA_READY: u8 = 1 << 0;
    /// A character arrived and found no room.
    pub const OVERRUN: u8 = 1 << 1;
    /// Wrong parity.
    pub const PARITY: u8 = 1 << 2;
    /// No stop bit.
    pub const FRAMING: u8 = 1 << 3;
    /// The line was spacing for a whole character.
    pub const BREAK: u8 = 1 << 4;
    /// Transmitter holding register or FIFO empty.
    pub const THR_EMPTY: u8 = 1 << 5;
    /// Transmitter holding register or FIFO, and the shift register, empty.
    pub const TRANSMITTER_EMPTY: u8 = 1 << 6;
    /// Some character in the receiver FIFO has an error; with FIFOs enabled only.
    pub const FIFO_ERROR: u8 = 1 << 7;
    /// The errors that belong to one character.
    pub const CHARACTER_ERRORS: u8 = PARITY | FRAMING | BREAK;
    /// What raises the line status interrupt, and what reading the register clears.
    pub const ERRORS: u8 = OVERRUN | CHARACTER_ERRORS;
}

/// Bits of the modem status register.
pub mod msr {
    /// CTS, DSR and DCD changed: bits 0, 1 and 3, each four below its line.
    pub const DELTAS: u8 = 0b1011;
    /// RI became inactive.
    pub const TRAILING_EDGE_RI: u8 = 1 << 2;
    /// Clear to send.
    pub const CTS: u8 = 1 << 4;
    /// Data set ready.
    pub const DSR: u8 = 1 << 5;
    /// Ring indicator.
    pub const RI: u8 = 1 << 6;
    /// Data carrier detect.
    pub const DCD: u8 = 1 << 7;
}
