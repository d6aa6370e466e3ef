//! How a PC/AT reports coprocessor errors: a latch between FERR# and IRQ 13, cleared through port F0h. IBM PC/AT
//! Technical Reference, "Coprocessor"; SDM Vol. 1, "MS-DOS Compatibility Sub-mode".

use crate::access::{AccessSize, IoError, PortIo, PortRange};
use crate::irq::IrqLine;
use crate::reset::Reset;
use crate::state::{RestoreError, Snapshot};
use crate::time::GuestTime;
use serde::{Deserialize, Serialize};

/// The latch, with the processor's FERR# as its input and IGNNE# and IRQ 13 as its outputs.
///
/// Register offset: 0, write only.
#[derive(Debug)]
pub struct CoprocessorLatch {
    irq: IrqLine,
    state: CoprocessorState,
}

/// Saved state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoprocessorState {
    /// FERR# is asserted.
    ferr: bool,
    /// The guest has acknowledged the error, and FERR# is still asserted: IGNNE#.
    ignne: bool,
}

impl CoprocessorLatch {
    /// Port F0h.
    pub const PORTS: &[PortRange] = &[PortRange::new(0xF0, 1, 0)];

    /// A latch without an error, whose output drives `irq`.
    pub fn new(irq: IrqLine) -> Self {
        CoprocessorLatch { irq, state: CoprocessorState::default() }
    }

    /// Drives FERR#. Its assertion raises the interrupt; its release lets IGNNE# go.
    pub fn set_ferr(&mut self, asserted: bool) {
        if asserted && !self.state.ferr {
            self.irq.set(true);
        }
        self.state.ferr = asserted;
        self.state.ignne &= asserted;
    }

    /// Whether IGNNE# is asserted: the processor may execute floating-point instructions despite the error.
    pub fn ignne(&self) -> bool {
        self.state.ignne
    }
}

impl PortIo for CoprocessorLatch {
    fn read_port(&mut self, _: u16, _: AccessSize, _: GuestTime) -> Result<u32, IoError> {
        Err(IoError::NoSuchRegister)
    }

    /// Any write acknowledges the error, whatever the value.
    fn write_port(&mut self, offset: u16, size: AccessSize, _: u32, _: GuestTime) -> Result<(), IoError> {
        size.only_byte()?;
        if offset != 0 {
            return Err(IoError::NoSuchRegister);
        }
        self.irq.set(false);
        self.state.ignne = self.state.ferr;
        Ok(())
    }
}

impl Reset for CoprocessorLatch {
    fn reset(&mut self) {
        self.irq.set(false);
        self.state = CoprocessorState::default();
    }
}

impl Snapshot for CoprocessorLatch {
    type State = CoprocessorState;

    fn save(&self) -> CoprocessorState {
        let CoprocessorLatch { irq: _, state } = self;
        *state
    }

    fn restore(&mut self, state: CoprocessorState) -> Result<(), RestoreError> {
        if state.ignne && !state.ferr {
            return Err(RestoreError::new("coprocessor latch", "IGNNE# without FERR#"));
        }
        self.state = state;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::irq::IrqBank;

    #[test]
    fn port_f0_clears_the_interrupt_and_asserts_ignne_until_ferr_is_released() {
        let bank = IrqBank::new();
        let mut latch = CoprocessorLatch::new(bank.line(13));
        latch.set_ferr(true);
        assert_eq!((bank.inputs(0).levels(), latch.ignne()), (1 << 13, false));
        latch.write_port(0, AccessSize::Byte, 0, GuestTime::ZERO).unwrap();
        assert_eq!((bank.inputs(0).levels(), latch.ignne()), (0, true));
        latch.set_ferr(false);
        assert!(!latch.ignne());
    }

    #[test]
    fn a_state_that_cannot_be_is_refused() {
        let mut latch = CoprocessorLatch::new(IrqLine::unconnected());
        latch.set_ferr(true);
        let saved = latch.save();
        assert_ne!(saved, CoprocessorState::default());
        assert!(latch.restore(CoprocessorState { ferr: false, ignne: true }).is_err());
        assert_eq!(latch.save(), saved);
    }
}
