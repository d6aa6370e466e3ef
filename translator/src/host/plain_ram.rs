//! Guest memory on hosts that do not translate.

use memmap2::{Mmap, MmapMut};
use std::fs::File;
use std::io::{self, Read};
use std::ops::{Deref, DerefMut, Range};

/// Memory of a fixed size that never moves.
#[derive(Debug)]
pub struct Ram(MmapMut);

/// What memory once held. It does not change any longer.
#[derive(Debug)]
pub struct Base(Mmap);

impl Ram {
    /// `size` bytes, all zero. The host gives them when they are first touched.
    pub fn new(size: usize) -> io::Result<Self> {
        MmapMut::map_anon(size).map(Ram)
    }

    /// Memory that holds what `base` holds: a copy.
    pub fn of(base: &Base) -> io::Result<Self> {
        let mut map = MmapMut::map_anon(base.len())?;
        map.copy_from_slice(base);
        Ok(Ram(map))
    }

    /// What the memory holds: a copy.
    pub fn freeze(&mut self) -> io::Result<Base> {
        let mut map = MmapMut::map_anon(self.len())?;
        map.copy_from_slice(self);
        map.make_read_only().map(Base)
    }

    /// Where the memory may hold something else than zeros: anywhere.
    pub fn used(&self) -> Vec<Range<usize>> {
        std::iter::once(0..self.len()).collect()
    }
}

impl Base {
    /// What `file` holds, but at least `size` bytes.
    pub fn of_file(mut file: File, size: usize) -> io::Result<Self> {
        let mut map = MmapMut::map_anon(size)?;
        file.read_exact(&mut map)?;
        map.make_read_only().map(Base)
    }

    /// As [`Ram::used`].
    pub fn used(&self) -> Vec<Range<usize>> {
        std::iter::once(0..self.len()).collect()
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

impl Deref for Base {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}
