//! A medium of zeros: what lies below an overlay that has no image.

use idem86_devices::backend::{EachChange, Medium, MediumError};

/// A medium of zeros that cannot be written.
#[derive(Clone, Copy, Debug)]
pub struct Blank {
    size: u64,
}

impl Blank {
    /// `size` bytes.
    pub fn new(size: u64) -> Self {
        Blank { size }
    }
}

impl Medium for Blank {
    fn size(&self) -> u64 {
        self.size
    }

    fn is_read_only(&self) -> bool {
        true
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), MediumError> {
        match offset.checked_add(buffer.len() as u64) {
            Some(end) if end <= self.size => buffer.fill(0),
            _ => return Err(MediumError::OutOfRange),
        }
        Ok(())
    }

    fn write(&mut self, _offset: u64, _bytes: &[u8]) -> Result<(), MediumError> {
        Err(MediumError::ReadOnly)
    }

    fn flush(&mut self) -> Result<(), MediumError> {
        Ok(())
    }

    fn fork(&self) -> Option<Box<dyn Medium>> {
        Some(Box::new(*self))
    }

    fn changes(&mut self, _each: &mut EachChange<'_>) -> Result<(), MediumError> {
        Ok(())
    }
}
