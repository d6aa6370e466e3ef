//! Where the bytes of an image are: a file, or memory.

use crate::image::positional;
use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The bytes of an image. They grow when they are written behind their end.
pub trait Storage: Debug + Send + Sync {
    /// How many there are.
    fn size(&self) -> io::Result<u64>;

    /// Fills `buffer` from byte `offset` on; zeros follow the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Stores `bytes` from byte `offset` on. What lies between the end and `offset` becomes zeros.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything written so far durable.
    fn sync(&self) -> io::Result<()>;
}

impl Storage for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        positional::read_padded_at(self, buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        positional::write_all_at(self, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// An image in memory.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    bytes: Mutex<Vec<u8>>,
    limit: usize,
}

impl MemoryStorage {
    /// `bytes`, which grow up to `limit` bytes and no further.
    pub fn new(bytes: Vec<u8>, limit: usize) -> Self {
        MemoryStorage { bytes: Mutex::new(bytes), limit }
    }

    /// The bytes as they are now.
    pub fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for MemoryStorage {
    fn size(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let bytes = self.bytes();
        let start = usize::try_from(offset).map_or(bytes.len(), |offset| offset.min(bytes.len()));
        let there = &bytes[start..];
        let count = there.len().min(buffer.len());
        buffer[..count].copy_from_slice(&there[..count]);
        buffer[count..].fill(0);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = usize::try_from(offset).ok().and_then(|start| start.checked_add(bytes.len()));
        let end = end.filter(|end| *end <= self.limit).ok_or(io::ErrorKind::StorageFull)?;
        let mut all = self.bytes();
        if all.len() < end {
            all.resize(end, 0);
        }
        all[end - bytes.len()..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
