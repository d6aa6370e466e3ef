//! The code arena: host code that is written through one mapping and executed through another.
//!
//! One shared memory object is mapped twice. No address is ever writable and executable, and code can be patched
//! while other code of the arena is live without asking the operating system.

use super::DualMapping;
use std::io;

/// Executable memory of a fixed size.
#[derive(Debug)]
pub struct CodeArena(DualMapping);

impl CodeArena {
    /// An arena of `size` bytes (a multiple of the page size), at most 1 GiB, filled with breakpoints where nothing
    /// was written. Fails where the host gives no executable memory.
    pub fn new(size: usize) -> io::Result<Self> {
        DualMapping::new(size).map(CodeArena)
    }

    /// Bytes of the arena.
    pub fn size(&self) -> usize {
        self.0.execute().len()
    }

    /// The address at which the byte at offset 0 is executed.
    pub fn base(&self) -> u64 {
        self.0.execute().as_ptr().expose_provenance() as u64
    }

    /// Writes `code` at `offset`.
    ///
    /// # Panics
    /// If it does not fit: the caller allocates.
    pub fn write(&mut self, offset: u32, code: &[u8]) {
        self.0.write()[offset as usize..][..code.len()].copy_from_slice(code);
    }

    /// Reads `len` bytes at `offset`, for listings.
    pub fn read(&self, offset: u32, len: usize) -> &[u8] {
        &self.0.execute()[offset as usize..][..len]
    }
}
