//! Reports: what hooks want to be told of while the guest runs, through the bus. The guest sees nothing of them.
//!
//! Nothing is reported unless it is asked for, and then it costs next to nothing: events are rare, and a block that is
//! to be reported is one that is never linked, so that only the slow way to a block looks whether it is.

use crate::cpu::Cpu;

/// Why an event is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// INT n.
    SoftwareInterrupt,
    /// INT3 and INTO.
    SoftwareException,
    /// A fault: the instruction will run again.
    Fault,
    /// A debug trap, or INT1.
    Trap,
    /// An external interrupt or NMI.
    Interrupt,
}

impl Cause {
    /// The program asked for it: the gate's DPL counts and error codes have EXT clear.
    pub(crate) fn is_software(self) -> bool {
        matches!(self, Cause::SoftwareInterrupt | Cause::SoftwareException)
    }
}

/// An exception or interrupt on its way to a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its vector.
    pub vector: u8,
    /// Its error code, if it has one.
    pub error: Option<u16>,
    /// Why it is delivered.
    pub cause: Cause,
}

/// What is reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reports {
    /// Events, to [`crate::bus::Bus::event`].
    pub events: bool,
    /// Blocks, to [`crate::bus::Bus::block`]. The interpreter's alone: an engine does not report those that it runs.
    pub blocks: bool,
}

impl Cpu {
    /// What is reported.
    pub fn reports(&self) -> Reports {
        self.reports
    }

    /// Reports these from now on.
    pub fn set_reports(&mut self, reports: Reports) {
        self.reports = reports;
        // Links that were made before lead past the report.
        self.epoch += 1;
    }
}
