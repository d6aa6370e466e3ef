//! Guest memory: a shared object where the host has such, so that it can be mapped again in windows.

use memmap2::MmapMut;
use std::fs::File;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// Zeroed memory of a fixed size that never moves.
#[derive(Debug)]
pub struct Ram {
    map: MmapMut,
    object: Option<Arc<File>>,
}

impl Ram {
    /// `size` bytes. The host gives them when they are first touched.
    pub fn new(size: usize) -> io::Result<Self> {
        if let Ok(file) = super::shared_memory(c"idem86-ram", size as u64) {
            // SAFETY: the object is anonymous and its length never changes. Windows map it too, but only translated
            // code uses them, and it runs only while the memory is lent as cells.
            let map = unsafe { memmap2::MmapOptions::new().len(size).map_mut(&file)? };
            return Ok(Ram { map, object: Some(Arc::new(file)) });
        }
        Ok(Ram { map: MmapMut::map_anon(size)?, object: None })
    }

    /// The object behind the memory, if it can be mapped again.
    pub fn object(&self) -> Option<Arc<File>> {
        self.object.clone()
    }
}

impl Deref for Ram {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.map
    }
}

impl DerefMut for Ram {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.map
    }
}
