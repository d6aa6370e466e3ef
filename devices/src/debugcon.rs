//! The debug console of emulated PCs: ports E9h (as in Bochs) and 402h (as SeaBIOS writes to). What the guest writes
//! goes to the host; a read of E9h tells software that the port is there.

use crate::access::{AccessSize, IoError, PortIo, PortRange};
use crate::reset::Reset;
use crate::state::{RestoreError, Snapshot};
use crate::time::GuestTime;

const PRESENT: u32 = 0xE9;

/// How many bytes wait for [`DebugConsole::take_output`]; what exceeds that is lost.
const CAPACITY: usize = 0x1_0000;

/// The debug console.
#[derive(Debug, Default)]
pub struct DebugConsole {
    output: Vec<u8>,
}

impl DebugConsole {
    /// Both ports, which do the same, at register offset 0.
    pub const PORTS: &[PortRange] = &[PortRange::new(0xE9, 1, 0), PortRange::new(0x402, 1, 0)];

    /// A console that nobody has written to.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the bytes written since the last call, at most 64 KiB.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Whether there is anything to take.
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }
}

impl PortIo for DebugConsole {
    fn read_port(&mut self, offset: u16, size: AccessSize, _now: GuestTime) -> Result<u32, IoError> {
        size.only_byte()?;
        if offset == 0 { Ok(PRESENT) } else { Err(IoError::NoSuchRegister) }
    }

    fn write_port(
        &mut self,
        offset: u16,
        size: AccessSize,
        value: u32,
        _now: GuestTime,
    ) -> Result<(), IoError> {
        size.only_byte()?;
        if offset != 0 {
            return Err(IoError::NoSuchRegister);
        }
        if self.output.len() < CAPACITY {
            self.output.push(value as u8);
        }
        Ok(())
    }
}

impl Reset for DebugConsole {
    /// What was written before a reset is still to be seen.
    fn reset(&mut self) {}
}

impl Snapshot for DebugConsole {
    type State = Vec<u8>;

    fn save(&self) -> Vec<u8> {
        let DebugConsole { output } = self;
        output.clone()
    }

    fn restore(&mut self, output: Vec<u8>) -> Result<(), RestoreError> {
        if output.len() > CAPACITY {
            return Err(RestoreError::new("debug console", "more output than it can hold"));
        }
        *self = DebugConsole { output };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AccessSize::Byte;

    fn print(console: &mut DebugConsole, text: &[u8]) {
        for byte in text {
            console.write_port(0, Byte, u32::from(*byte), GuestTime::ZERO).expect("the console");
        }
    }

    #[test]
    fn reads_e9_and_passes_bytes_on_in_order() {
        let mut console = DebugConsole::new();
        assert_eq!(console.read_port(0, Byte, GuestTime::ZERO), Ok(0xE9));
        print(&mut console, b"Hello");
        assert!(console.has_output());
        assert_eq!(console.take_output(), b"Hello");
        assert_eq!(console.take_output(), b"");
    }

    #[test]
    fn a_flood_is_bounded_and_keeps_what_came_first() {
        let mut console = DebugConsole::new();
        print(&mut console, b"first");
        print(&mut console, &[b'x'; CAPACITY]);
        let output = console.take_output();
        assert_eq!((output.len(), &output[..5]), (CAPACITY, &b"first"[..]));
    }

    #[test]
    fn restore_refuses_more_than_it_can_hold() {
        assert!(DebugConsole::new().restore(vec![0; CAPACITY + 1]).is_err());
    }

    crate::conformance::suite!(
        Subject::new(|_| DebugConsole::new())
            .ports(1)
            .action(|console, _, _| console.take_output().iter().fold(0, |sum, byte| sum + u64::from(*byte)))
    );
}
