//! 8254 control words and port 61h. Intel 8254 data sheet, "Programming the 8254" and "Operation Common to All
//! Modes"; IBM PC/AT Technical Reference, "Port B".

use serde::{Deserialize, Serialize};

/// How a counter counts. Modes 2 and 3 have two codes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Mode 0: OUT rises at terminal count.
    InterruptOnTerminalCount,
    /// Mode 1: a trigger starts one low pulse.
    HardwareRetriggerableOneShot,
    /// Mode 2: OUT is low for one clock of every period.
    RateGenerator,
    /// Mode 3: OUT is high for half of every period.
    SquareWave,
    /// Mode 4: one low clock after the count.
    SoftwareTriggeredStrobe,
    /// Mode 5: one low clock after a trigger and the count.
    HardwareTriggeredStrobe,
}

/// Which bytes of a count are read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteAccess {
    /// The least significant byte only.
    Low,
    /// The most significant byte only.
    High,
    /// The least significant byte, then the most significant.
    LowThenHigh,
}

/// The six bits of a control word that a counter keeps and its status shows: access, mode, BCD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CounterControl(pub u8);

impl CounterControl {
    /// Bits 5 and 4, RW1 and RW0. Code 0 is the counter latch command and never kept.
    pub const fn access(self) -> ByteAccess {
        match self.0 >> 4 & 3 {
            1 => ByteAccess::Low,
            2 => ByteAccess::High,
            _ => ByteAccess::LowThenHigh,
        }
    }
    /// Bits 3 to 1.
    pub const fn mode(self) -> Mode {
        match self.0 >> 1 & 7 {
            0 => Mode::InterruptOnTerminalCount,
            1 => Mode::HardwareRetriggerableOneShot,
            2 | 6 => Mode::RateGenerator,
            3 | 7 => Mode::SquareWave,
            4 => Mode::SoftwareTriggeredStrobe,
            _ => Mode::HardwareTriggeredStrobe,
        }
    }
    /// Bit 0: counts in four decimal digits instead of sixteen bits.
    pub const fn bcd(self) -> bool {
        self.0 & 1 != 0
    }
    /// Whether a counter can hold this.
    pub const fn is_valid(self) -> bool {
        self.0 < 0x40 && self.0 & 0x30 != 0
    }
}

/// What a write to the control word register commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlWord {
    /// Programs a counter.
    Program(usize, CounterControl),
    /// Latches the count of a counter.
    LatchCount(usize),
    /// Latches count or status or both of the counters in a set (bit `n` is counter `n`).
    ReadBack {
        /// The counters.
        counters: u8,
        /// Whether to latch their counts.
        count: bool,
        /// Whether to latch their status.
        status: bool,
    },
}

impl From<u8> for ControlWord {
    fn from(value: u8) -> Self {
        match (value >> 6, value & 0x30) {
            (3, _) => ControlWord::ReadBack {
                counters: value >> 1 & 7,
                count: value & 0x20 == 0,
                status: value & 0x10 == 0,
            },
            (counter, 0) => ControlWord::LatchCount(usize::from(counter)),
            (counter, _) => ControlWord::Program(usize::from(counter), CounterControl(value & 0x3F)),
        }
    }
}

/// Bits of port 61h.
pub mod port_b {
    /// Gate of counter 2.
    pub const TIMER_2_GATE: u8 = 0x01;
    /// Lets OUT of counter 2 through to the loudspeaker.
    pub const SPEAKER_DATA: u8 = 0x02;
    /// What software can write; bits 2 and 3 disable error checks that never fail here.
    pub const WRITABLE: u8 = 0x0F;
    /// Toggles with every memory refresh. Read only.
    pub const REFRESH: u8 = 0x10;
    /// OUT of counter 2. Read only.
    pub const TIMER_2_OUT: u8 = 0x20;
}

/// Clocks between two memory refreshes, 15.1 us: counter 1 as the BIOS programs it. The toggle keeps this
/// pace whatever counter 1 does, as on chipsets with a refresh timer of their own.
pub const REFRESH_CLOCKS: u64 = 18;

/// Register offsets.
pub mod offset {
    /// Control word register (port 43h); the counters lie below.
    pub const CONTROL: u16 = 3;
    /// Port 61h.
    pub const PORT_B: u16 = 4;
}
