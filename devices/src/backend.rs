//! What lies behind a drive: a medium of bytes, whose failures are values.
//!
//! A controller addresses its medium in bytes and in whatever pieces its guest asks for; a back end that has
//! sectors of its own deals with them behind this trait. A failure is an ordinary value that the controller
//! reports in its status registers: the guest meets the error that a bad disk would give it.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Why a medium did not do what was asked. Nothing, or only a part, was transferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediumError {
    /// The range is not wholly inside the medium.
    #[error("outside the medium")]
    OutOfRange,
    /// The medium cannot be written.
    #[error("the medium is read-only")]
    ReadOnly,
    /// The medium, or the host below it, failed on this range. Other ranges may still work.
    #[error("the medium failed")]
    Failed,
}

/// Takes a piece of a medium's content: its offset, and its bytes.
pub type EachChange<'a> = dyn FnMut(u64, &[u8]) -> Result<(), MediumError> + 'a;

/// What is in a drive: a medium, or nothing.
pub type Content = Option<Box<dyn Medium>>;

/// A medium in a drive: a fixed number of bytes that can be read and, mostly, written.
///
/// Calls block until they are done and touch no guest-visible state. How long a transfer takes in guest time
/// is the controller's business. `Send`, so that a machine can move between host threads.
pub trait Medium: std::fmt::Debug + Send {
    /// Size in bytes; does not change while the medium is in a drive.
    fn size(&self) -> u64;

    /// Whether every write is refused with [`MediumError::ReadOnly`].
    fn is_read_only(&self) -> bool;

    /// Fills `buffer` from byte `offset` on. After an error the buffer's content is unspecified.
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), MediumError>;

    /// Stores `bytes` from byte `offset` on. A later read sees them whether or not they were flushed.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), MediumError>;

    /// Makes everything written so far durable, as far as the medium can.
    fn flush(&mut self) -> Result<(), MediumError>;

    /// Another medium with the same content: what is written to one of them is not seen in the other. `None`: there
    /// cannot be two, as of a file that is written in place; then a machine with it cannot be forked.
    fn fork(&self) -> Option<Box<dyn Medium>> {
        None
    }

    /// The file with the content that [`Medium::changes`] does not give, if there is one.
    fn base(&self) -> Option<&Path> {
        None
    }

    /// The name of the format of [`Medium::base`], if its bytes are not simply those of the medium.
    fn base_format(&self) -> Option<&'static str> {
        None
    }

    /// Fills `buffer` with what [`Medium::base`] holds from byte `offset` on, whatever was written since.
    fn read_base(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), MediumError> {
        self.read(offset, buffer)
    }

    /// Calls `each` with what differs from the content of [`Medium::base`], or, without one, from zeros: offsets and
    /// bytes, where later ones hold. Fails as soon as `each` does.
    fn changes(&mut self, each: &mut EachChange<'_>) -> Result<(), MediumError> {
        if self.base().is_some() {
            return Ok(());
        }
        let mut piece = vec![0; 1 << 16];
        for offset in (0..self.size()).step_by(piece.len()) {
            let length = (self.size() - offset).min(piece.len() as u64) as usize;
            let piece = &mut piece[..length];
            self.read(offset, piece)?;
            if piece.iter().any(|byte| *byte != 0) {
                each(offset, piece)?;
            }
        }
        Ok(())
    }
}

/// A medium in host memory: for tests, and for disks that need not outlive the machine. Ranges of it can be
/// declared bad, to see what a guest makes of them.
///
/// ```
/// use idem86_devices::backend::{EachChange, Medium, MediumError, MemoryMedium};
/// let mut disk = MemoryMedium::new(vec![0; 1024]).with_bad_range(512..600);
/// disk.write(0, b"abc").unwrap();
/// let mut bytes = [0; 3];
/// disk.read(0, &mut bytes).unwrap();
/// assert_eq!(&bytes, b"abc");
/// assert_eq!(disk.read(511, &mut bytes), Err(MediumError::Failed));
/// assert_eq!(disk.read(1022, &mut bytes), Err(MediumError::OutOfRange));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryMedium {
    /// Shared by forks until one of them is written.
    bytes: Arc<Vec<u8>>,
    read_only: bool,
    bad: Vec<Range<u64>>,
}

impl MemoryMedium {
    /// A writable medium that holds `bytes`.
    pub fn new(bytes: Vec<u8>) -> Self {
        MemoryMedium { bytes: Arc::new(bytes), read_only: false, bad: Vec::new() }
    }

    /// The same medium, write-protected.
    pub fn write_protected(self) -> Self {
        MemoryMedium { read_only: true, ..self }
    }

    /// The same medium; every access that touches `range` (byte offsets) fails.
    pub fn with_bad_range(mut self, range: Range<u64>) -> Self {
        self.bad.push(range);
        self
    }

    /// The content.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes of an access as indices, if it may be done.
    fn locate(&self, offset: u64, length: usize) -> Result<Range<usize>, MediumError> {
        let start = usize::try_from(offset).map_err(|_| MediumError::OutOfRange)?;
        let end = start.checked_add(length).ok_or(MediumError::OutOfRange)?;
        if end > self.bytes.len() {
            return Err(MediumError::OutOfRange);
        }
        if self.bad.iter().any(|bad| bad.start < end as u64 && offset < bad.end) {
            return Err(MediumError::Failed);
        }
        Ok(start..end)
    }
}

impl Medium for MemoryMedium {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), MediumError> {
        let at = self.locate(offset, buffer.len())?;
        buffer.copy_from_slice(&self.bytes[at]);
        Ok(())
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), MediumError> {
        if self.read_only {
            return Err(MediumError::ReadOnly);
        }
        let at = self.locate(offset, bytes.len())?;
        Arc::make_mut(&mut self.bytes)[at].copy_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), MediumError> {
        Ok(())
    }

    fn fork(&self) -> Option<Box<dyn Medium>> {
        Some(Box::new(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_beyond_the_end_are_refused_without_overflow() {
        let mut m = MemoryMedium::new(vec![7; 16]);
        let mut b = [0; 2];
        for offset in [15, 16, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            assert_eq!(m.read(offset, &mut b), Err(MediumError::OutOfRange), "{offset}");
            assert_eq!(m.write(offset, &b), Err(MediumError::OutOfRange), "{offset}");
        }
        assert_eq!(m.read(14, &mut b), Ok(()));
        assert_eq!(m.bytes(), [7; 16]);
    }

    #[test]
    fn forks_are_independent() {
        let mut first = MemoryMedium::new(vec![7; 16]);
        let mut second = first.fork().expect("memory can be had twice");
        first.write(0, &[1]).expect("in range");
        second.write(1, &[2]).expect("in range");
        let mut bytes = [0; 2];
        second.read(0, &mut bytes).expect("in range");
        assert_eq!((&first.bytes()[..2], bytes), (&[1, 7][..], [7, 2]));
    }

    #[test]
    fn a_write_protected_medium_refuses_writes_and_keeps_its_content() {
        let mut m = MemoryMedium::new(vec![7; 16]).write_protected();
        assert!(m.is_read_only());
        assert_eq!(m.write(0, &[1]), Err(MediumError::ReadOnly));
        assert_eq!(m.bytes(), [7; 16]);
    }
}
