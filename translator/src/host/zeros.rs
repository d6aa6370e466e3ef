//! Huge tables on hosts that give memory where it is written, and none where it is read.

use memmap2::{MmapMut, MmapOptions};
use std::io;
use std::ops::{Deref, DerefMut};

/// Zeroed memory of a fixed size of which little is used.
#[derive(Debug)]
pub struct Zeros(MmapMut);

impl Zeros {
    /// Reserves `size` bytes.
    pub fn new(size: usize) -> io::Result<Self> {
        MmapOptions::new().len(size).no_reserve_swap().map_anon().map(Zeros)
    }

    /// Bytes that the host has set aside, be it for what was only read: that takes nothing here.
    pub fn committed(&self) -> usize {
        0
    }
}

impl Deref for Zeros {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Zeros {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
