//! Guest memory on hosts that do not translate.

use memmap2::MmapMut;
use std::io;
use std::ops::{Deref, DerefMut};

/// Zeroed memory of a fixed size that never moves.
#[derive(Debug)]
pub struct Ram(MmapMut);

impl Ram {
    /// `size` bytes. The host gives them when they are first touched.
    pub fn new(size: usize) -> io::Result<Self> {
        MmapMut::map_anon(size).map(Ram)
    }
}

impl Deref for Ram {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Ram {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
