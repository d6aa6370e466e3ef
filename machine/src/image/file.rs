//! A raw image: the file's bytes are the medium's.

use super::qcow2::header::MAGIC;
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
    /// The user has not said that the image is raw: a guest must not make it look like another, which would name files
    /// to be opened when it is looked at again.
    recognised: bool,
}

/// Opens `path` and locks it: shared if `read_only`, else exclusively. It is not empty.
pub(super) fn open_locked(path: &Path, read_only: bool) -> Result<File, ImageError> {
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
    match file.metadata().map_err(io)?.len() {
        0 => Err(ImageError::Empty { path: path.into() }),
        _ => Ok(file),
    }
}

impl FileMedium {
    /// Opens `path`, whatever is in it, and locks it: shared if `read_only`, else exclusively.
    pub fn open(path: &Path, read_only: bool) -> Result<Self, ImageError> {
        FileMedium::of_file(open_locked(path, read_only)?, path, read_only, false)
    }

    /// The image in `file`, which is locked. If it was `recognised` as raw, it remains so.
    pub(super) fn of_file(
        file: File,
        path: &Path,
        read_only: bool,
        recognised: bool,
    ) -> Result<Self, ImageError> {
        let size = file.metadata().map_err(|e| ImageError::io(path, e))?.len();
        Ok(FileMedium { file: Arc::new(file), path: path.into(), size, read_only, recognised })
    }

    /// Whether the image would begin as a qcow2 one with `bytes` at `offset`.
    fn would_look_like_another(&self, offset: u64, bytes: &[u8]) -> Result<bool, MediumError> {
        let mut start = [0; MAGIC.len()];
        if offset >= start.len() as u64 || self.size < start.len() as u64 {
            return Ok(false);
        }
        self.read_at(0, &mut start)?;
        start[offset as usize..].iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Ok(start == MAGIC)
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
        if self.recognised && self.would_look_like_another(offset, bytes)? {
            return Err(MediumError::Failed);
        }
        positional::write_all_at(&self.file, bytes, offset).map_err(|_| MediumError::Failed)
    }

    fn flush(&mut self) -> Result<(), MediumError> {
        if self.read_only {
            return Ok(());
        }
        self.file.sync_data().map_err(|_| MediumError::Failed)
    }

    fn fork(&self) -> Option<Box<dyn Medium>> {
        let FileMedium { file, path, size, read_only, recognised } = self;
        read_only.then(|| {
            let (file, path, size, recognised) = (file.clone(), path.clone(), *size, *recognised);
            Box::new(FileMedium { file, path, size, read_only: true, recognised }) as Box<dyn Medium>
        })
    }

    fn base(&self) -> Option<&Path> {
        Some(&self.path)
    }
}
