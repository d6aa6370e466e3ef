//! System control port A (port 92h): the fast A20 gate and the fast processor reset. IBM PS/2 Hardware Interface
//! Technical Reference, "System Control Port A"; Intel 82371SB (PIIX3) data sheet, "Port 92 Register".

use crate::access::{AccessSize, IoError, PortIo, PortRange};
use crate::reset::Reset;
use crate::state::{RestoreError, Snapshot};
use crate::time::GuestTime;

/// Bit 0: its rise resets the processor.
const FAST_RESET: u8 = 0x01;
/// Bit 1: lets A20 through, whatever the keyboard controller says.
const A20: u8 = 0x02;

/// Port 92h.
#[derive(Debug, Default)]
pub struct Port92 {
    value: u8,
    reset_requested: bool,
}

impl Port92 {
    /// Port 92h, at register offset 0.
    pub const PORTS: &[PortRange] = &[PortRange::new(0x92, 1, 0)];

    /// The port after power-on: zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether this port lets A20 through. The board ORs it with the keyboard controller's output.
    pub fn a20_enabled(&self) -> bool {
        self.value & A20 != 0
    }

    /// Whether software asked for a processor reset (INIT, not a reset of the board) since the last call.
    pub fn take_reset_request(&mut self) -> bool {
        std::mem::take(&mut self.reset_requested)
    }
}

impl PortIo for Port92 {
    fn read_port(&mut self, offset: u16, size: AccessSize, _now: GuestTime) -> Result<u32, IoError> {
        size.only_byte()?;
        if offset == 0 { Ok(u32::from(self.value)) } else { Err(IoError::NoSuchRegister) }
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
        let value = value as u8;
        self.reset_requested |= value & !self.value & FAST_RESET != 0;
        self.value = value;
        Ok(())
    }
}

impl Reset for Port92 {
    /// RESET of the board. The INIT that this port itself asks for reaches the processor only.
    fn reset(&mut self) {
        *self = Port92::default();
    }
}

impl Snapshot for Port92 {
    type State = (u8, bool);

    fn save(&self) -> (u8, bool) {
        let Port92 { value, reset_requested } = self;
        (*value, *reset_requested)
    }

    fn restore(&mut self, (value, reset_requested): (u8, bool)) -> Result<(), RestoreError> {
        *self = Port92 { value, reset_requested };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AccessSize::Byte;

    fn write(port: &mut Port92, value: u32) {
        port.write_port(0, Byte, value, GuestTime::ZERO).expect("port 92h");
    }

    #[test]
    fn bit_1_gates_a20() {
        let mut port = Port92::new();
        assert!(!port.a20_enabled());
        write(&mut port, 0x02);
        assert!(port.a20_enabled() && !port.take_reset_request());
        assert_eq!(port.read_port(0, Byte, GuestTime::ZERO), Ok(0x02));
        port.reset();
        assert!(!port.a20_enabled());
    }

    #[test]
    fn a_rise_of_bit_0_resets_once() {
        let mut port = Port92::new();
        write(&mut port, 0x01);
        assert_eq!([port.take_reset_request(), port.take_reset_request()], [true, false]);
        write(&mut port, 0x03);
        assert!(!port.take_reset_request(), "the bit was already set");
        write(&mut port, 0x02);
        write(&mut port, 0x03);
        assert!(port.take_reset_request());
    }

    crate::conformance::suite!(
        Subject::new(|_| Port92::new()).ports(1).action(|port, _, _| u64::from(port.take_reset_request()))
    );
}
