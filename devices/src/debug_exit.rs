//! The exit port of emulated PCs, which test kernels write their verdict to: value `v` ends the emulator with
//! status `2v + 1`.

use crate::access::{AccessSize, IoError, PortIo, PortRange};
use crate::reset::Reset;
use crate::state::{RestoreError, Snapshot};
use crate::time::GuestTime;

/// The exit port.
#[derive(Debug, Default)]
pub struct DebugExit {
    status: Option<u32>,
}

impl DebugExit {
    /// Ports F4h to F7h, where test kernels expect it. The device takes accesses of any width at its first
    /// port.
    pub const PORTS: &[PortRange] = &[PortRange::new(0xF4, 4, 0)];

    /// A port that nobody has written to.
    pub fn new() -> Self {
        Self::default()
    }

    /// The status that the guest asked the emulator to end with, if it did: always odd, so that success of
    /// the emulator itself cannot be mistaken for a verdict. Operating systems may pass on the low 8 bits
    /// only.
    pub fn exit_status(&self) -> Option<u32> {
        self.status
    }
}

impl PortIo for DebugExit {
    fn read_port(&mut self, offset: u16, _: AccessSize, _now: GuestTime) -> Result<u32, IoError> {
        if offset == 0 { Ok(0) } else { Err(IoError::NoSuchRegister) }
    }

    fn write_port(&mut self, offset: u16, _: AccessSize, value: u32, _now: GuestTime) -> Result<(), IoError> {
        if offset != 0 {
            return Err(IoError::NoSuchRegister);
        }
        // The first verdict counts: a guest cannot take it back while it still runs.
        self.status.get_or_insert(value << 1 | 1);
        Ok(())
    }
}

impl Reset for DebugExit {
    fn reset(&mut self) {
        self.status = None;
    }
}

impl Snapshot for DebugExit {
    type State = Option<u32>;

    fn save(&self) -> Option<u32> {
        let DebugExit { status } = self;
        *status
    }

    fn restore(&mut self, status: Option<u32>) -> Result<(), RestoreError> {
        if status.is_some_and(|status| status & 1 == 0) {
            return Err(RestoreError::new("exit port", "an even status"));
        }
        *self = DebugExit { status };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AccessSize::{Byte, Dword};

    #[test]
    fn the_status_is_twice_the_value_plus_one() {
        for (size, value, status) in [(Byte, 0, 1), (Byte, 0x10, 0x21), (Dword, 0xFFFF_FFFF, 0xFFFF_FFFF)] {
            let mut port = DebugExit::new();
            assert_eq!(port.exit_status(), None);
            port.write_port(0, size, value, GuestTime::ZERO).expect("the exit port");
            assert_eq!(port.exit_status(), Some(status));
        }
    }

    #[test]
    fn the_first_verdict_counts() {
        let mut port = DebugExit::new();
        for value in [3, 0] {
            port.write_port(0, Byte, value, GuestTime::ZERO).expect("the exit port");
        }
        assert_eq!(port.exit_status(), Some(7));
        assert!(port.restore(Some(2)).is_err());
    }

    crate::conformance::suite!(Subject::new(|_| DebugExit::new()).ports(4));
}
