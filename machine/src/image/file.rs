//! A raw image: the file's bytes are the medium's.

use super::{ImageError, positional};
use idem86_devices::backend::{Medium, MediumError};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A raw image in a file, locked while it is open.
#[derive(Debug)]
pub struct FileMedium {
    /// Shared by forks, which cannot write.
    file: Arc<File>,
    path: PathBuf,
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
        Ok(FileMedium { file: Arc::new(file), path: path.into(), size, read_only })
    }

    fn check(&self, offset: u64, len: usize) -> Result<(), MediumError> {
        if offset.checked_add(len as u64).is_none_or(|end| end > self.size) {
            return Err(MediumError::OutOfRange);
        }
        Ok(())
    }

    /// Reads without moving anything.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), MediumError> {
        self.check(offset, buffer.len())?;
        positional::read_exact_at(&self.file, buffer, offset).map_err(|_| MediumError::Failed)
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
        self.read_at(offset, buffer)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), MediumError> {
        if self.read_only {
            return Err(MediumError::ReadOnly);
        }
        self.check(offset, bytes.len())?;
        positional::write_all_at(&self.file, bytes, offset).map_err(|_| MediumError::Failed)
    }

    fn flush(&mut self) -> Result<(), MediumError> {
        if self.read_only {
            return Ok(());
        }
        self.file.sync_data().map_err(|_| MediumError::Failed)
    }

    fn fork(&self) -> Option<Box<dyn Medium>> {
        let FileMedium { file, path, size, read_only } = self;
        read_only.then(|| {
            let fork = FileMedium { file: file.clone(), path: path.clone(), size: *size, read_only: true };
            Box::new(fork) as Box<dyn Medium>
        })
    }

    fn base(&self) -> Option<&Path> {
        Some(&self.path)
    }
}
