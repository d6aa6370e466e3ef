//! Huge tables of which little is ever used.
//!
//! A table is reserved as zeros that the host backs with memory only where it is used. Translated code
//! indexes tables without bounds checks, so a table covers every index that its code can form.

use super::Zeros;
use std::io;

/// `len` entries of `size_of::<T>()` bytes, all zero at first.
#[derive(Debug)]
pub struct SparseTable<T> {
    memory: Zeros,
    entry: std::marker::PhantomData<T>,
}

/// What a table can hold: plain integers.
pub trait Entry: Copy + Eq + Default {
    /// From the bytes of one entry.
    fn load(bytes: &[u8]) -> Self;
    /// To the bytes of one entry.
    fn store(self, bytes: &mut [u8]);
}

macro_rules! entry {
    ($($t:ty),*) => {$(
        impl Entry for $t {
            fn load(bytes: &[u8]) -> Self {
                bytes.first_chunk().map_or(0, |b| <$t>::from_ne_bytes(*b))
            }
            fn store(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_ne_bytes());
            }
        }
    )*};
}
entry!(u32, u64);

impl<T: Entry> SparseTable<T> {
    /// Reserves `len` entries.
    pub fn new(len: usize) -> io::Result<Self> {
        Ok(SparseTable { memory: Zeros::new(len * size_of::<T>())?, entry: std::marker::PhantomData })
    }

    /// The address of entry 0.
    pub fn address(&self) -> u64 {
        self.memory.as_ptr() as u64
    }

    /// Bytes that the host has set aside, be it for what was only read; none where that takes nothing.
    pub fn committed(&self) -> usize {
        self.memory.committed()
    }

    /// Entry `index`.
    pub fn get(&self, index: usize) -> T {
        T::load(&self.memory[index * size_of::<T>()..][..size_of::<T>()])
    }

    /// Changes entry `index`.
    pub fn set(&mut self, index: usize, value: T) {
        value.store(&mut self.memory[index * size_of::<T>()..][..size_of::<T>()]);
    }
}
