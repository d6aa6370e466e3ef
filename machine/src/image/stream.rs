//! A raw image in whatever can be read, written and sought.

use idem86_devices::backend::{Medium, MediumError};
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// A raw image in a stream, whose size is that of the stream when it was made.
pub struct StreamMedium<S> {
    stream: S,
    size: u64,
}

impl<S: Read + Write + Seek + Send> StreamMedium<S> {
    /// The bytes of `stream` as a medium. Finds out how many they are.
    pub fn new(mut stream: S) -> io::Result<Self> {
        let size = stream.seek(SeekFrom::End(0))?;
        Ok(StreamMedium { stream, size })
    }

    fn seek(&mut self, offset: u64, len: usize) -> Result<(), MediumError> {
        if offset.checked_add(len as u64).is_none_or(|end| end > self.size) {
            return Err(MediumError::OutOfRange);
        }
        self.stream.seek(SeekFrom::Start(offset)).map_err(|_| MediumError::Failed)?;
        Ok(())
    }
}

impl<S> fmt::Debug for StreamMedium<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamMedium").field("size", &self.size).finish_non_exhaustive()
    }
}

impl<S: Read + Write + Seek + Send> Medium for StreamMedium<S> {
    fn size(&self) -> u64 {
        self.size
    }

    fn is_read_only(&self) -> bool {
        false
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), MediumError> {
        self.seek(offset, buffer.len())?;
        self.stream.read_exact(buffer).map_err(|_| MediumError::Failed)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), MediumError> {
        self.seek(offset, bytes.len())?;
        self.stream.write_all(bytes).map_err(|_| MediumError::Failed)
    }

    fn flush(&mut self) -> Result<(), MediumError> {
        self.stream.flush().map_err(|_| MediumError::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn a_stream_keeps_what_is_written_and_does_not_grow() {
        let mut medium = StreamMedium::new(Cursor::new(vec![7; 1024])).unwrap();
        assert_eq!((medium.size(), medium.is_read_only()), (1024, false));
        medium.write(1020, &[1, 2, 3, 4]).unwrap();
        let mut end = [0; 5];
        medium.read(1019, &mut end).unwrap();
        assert_eq!(end, [7, 1, 2, 3, 4]);
        for offset in [1020, 1024, u64::MAX] {
            assert_eq!(medium.write(offset, &[0; 5]), Err(MediumError::OutOfRange));
            assert_eq!(medium.read(offset, &mut end), Err(MediumError::OutOfRange));
        }
        assert_eq!(medium.size(), 1024);
    }
}
