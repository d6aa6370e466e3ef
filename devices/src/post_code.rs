//! The diagnostic port 80h: what a POST card shows. On the PC/AT the byte lands in a page register that no
//! DMA channel uses, which is why it reads back.

use crate::access::{AccessSize, IoError, PortIo, PortRange};
use crate::reset::Reset;
use crate::state::{RestoreError, Snapshot};
use crate::time::GuestTime;

/// The latch behind port 80h.
#[derive(Debug, Default)]
pub struct PostCode {
    code: u8,
}

impl PostCode {
    /// Port 80h, at register offset 0.
    pub const PORTS: &[PortRange] = &[PortRange::new(0x80, 1, 0)];

    /// A latch that holds zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// The last code written.
    pub fn code(&self) -> u8 {
        self.code
    }
}

impl PortIo for PostCode {
    fn read_port(&mut self, offset: u16, size: AccessSize, _now: GuestTime) -> Result<u32, IoError> {
        size.only_byte()?;
        if offset == 0 { Ok(u32::from(self.code)) } else { Err(IoError::NoSuchRegister) }
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
        self.code = value as u8;
        Ok(())
    }
}

impl Reset for PostCode {
    /// A latch without RESET input: the last code of a crashed POST stays readable.
    fn reset(&mut self) {}
}

impl Snapshot for PostCode {
    type State = u8;

    fn save(&self) -> u8 {
        let PostCode { code } = self;
        *code
    }

    fn restore(&mut self, code: u8) -> Result<(), RestoreError> {
        *self = PostCode { code };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AccessSize::{Byte, Dword};

    #[test]
    fn the_last_code_reads_back_and_survives_reset() {
        let mut post = PostCode::new();
        post.write_port(0, Byte, 0x3A, GuestTime::ZERO).expect("port 80h");
        post.reset();
        assert_eq!((post.code(), post.read_port(0, Byte, GuestTime::ZERO)), (0x3A, Ok(0x3A)));
    }

    #[test]
    fn it_is_one_byte_wide() {
        let mut post = PostCode::new();
        assert_eq!(post.write_port(0, Dword, 1, GuestTime::ZERO), Err(IoError::WrongSize));
        assert_eq!(post.read_port(1, Byte, GuestTime::ZERO), Err(IoError::NoSuchRegister));
    }

    crate::conformance::suite!(Subject::new(|_| PostCode::new()).ports(1));
}
