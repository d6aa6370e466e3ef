//! A raw image: the file's bytes are the medium's.

use super::ImageError;
use idem86_devices::backend::{Medium, MediumError};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// A raw image in a file, locked while it is open.
#[derive(Debug)]
pub struct FileMedium {
    file: File,
    size: u64,
    read_only: bool,
}

impl FileMedium {
    /// Opens `path` and locks it: shared if `read_only`, else exclusively.
    pub fn open(path: &Path, read_only: bool) -> Result<Self, ImageError> {
        let io = |e| ImageError::io(path, e);
        // Asked before opening, because opening a pipe would wait for its other end.
        if !std::fs::metadata(path).map_err(io)?.is_file() {
            return Err(ImageError::NotAFile { path: path.into() });
        }
        let file = OpenOptions::new().read(true).write(!read_only).open(path).map_err(io)?;
        let locked = if read_only { file.try_lock_shared() } else { file.try_lock() };
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ImageError::InUse { path: path.into() }),
            // Some file systems cannot lock. An image there is as usable as with any other program.
            Err(TryLockError::Error(e)) if e.kind() == std::io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(e)) => return Err(io(e)),
        }
        let size = file.metadata().map_err(io)?.len();
        if size == 0 {
            return Err(ImageError::Empty { path: path.into() });
        }
        Ok(FileMedium { file, size, read_only })
    }

    fn seek(&mut self, offset: u64, len: usize) -> Result<(), MediumError> {
        if offset.checked_add(len as u64).is_none_or(|end| end > self.size) {
            return Err(MediumError::OutOfRange);
        }
        self.file.seek(SeekFrom::Start(offset)).map_err(|_| MediumError::Failed)?;
        Ok(())
    }
}

impl Medium for FileMedium {
    fn size(&self) -> u64 {
        self.size
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), MediumError> {
        self.seek(offset, buffer.len())?;
        self.file.read_exact(buffer).map_err(|_| MediumError::Failed)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), MediumError> {
        if self.read_only {
            return Err(MediumError::ReadOnly);
        }
        self.seek(offset, bytes.len())?;
        self.file.write_all(bytes).map_err(|_| MediumError::Failed)
    }

    fn flush(&mut self) -> Result<(), MediumError> {
        if self.read_only {
            return Ok(());
        }
        self.file.sync_data().map_err(|_| MediumError::Failed)
    }
}
