//! Guest memory: a shared object where the host has such, so that it can be mapped again in windows, or frozen.
//!
//! Freezing makes what memory holds immutable without copying it: the object becomes a [`Base`], and the memory a
//! private view of it, of which the host copies a page when it is first written. Any number of memories can be views of
//! one base. Such memory cannot be shown in windows, because nobody else sees its private pages.

use memmap2::{Mmap, MmapMut, MmapOptions};
use std::fs::File;
use std::io::{self, Read};
use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;

/// Memory of a fixed size that never moves.
#[derive(Debug)]
pub struct Ram {
    map: MmapMut,
    object: Option<Arc<File>>,
}

/// What memory once held. It does not change any longer.
#[derive(Debug)]
pub struct Base {
    map: Mmap,
    /// What memory can be a view of.
    object: Option<File>,
}

impl Ram {
    /// `size` bytes, all zero. The host gives them when they are first touched.
    pub fn new(size: usize) -> io::Result<Self> {
        if let Ok(file) = super::shared_memory(c"idem86-ram", size as u64) {
            // SAFETY: the object is anonymous and its length never changes. Windows map it too, but only translated
            // code uses them, and it runs only while the memory is lent as cells.
            let map = unsafe { MmapOptions::new().len(size).map_mut(&file)? };
            return Ok(Ram { map, object: Some(Arc::new(file)) });
        }
        Ok(Ram { map: MmapMut::map_anon(size)?, object: None })
    }

    /// Memory that holds what `base` holds, and becomes different when it is written.
    pub fn of(base: &Base) -> io::Result<Self> {
        let size = base.len();
        if let Some(file) = &base.object {
            // SAFETY: nobody writes to the object of a base; see there.
            let map = unsafe { MmapOptions::new().len(size).no_reserve_swap().map_copy(file)? };
            return Ok(Ram { map, object: None });
        }
        let mut map = MmapMut::map_anon(size)?;
        map.copy_from_slice(base);
        Ok(Ram { map, object: None })
    }

    /// Makes what the memory holds a base. The memory stays where it is and can be written as before; if it was a
    /// shared object, it is none any longer, and windows to it must not be used: they would show the base.
    pub fn freeze(&mut self) -> io::Result<Base> {
        if let Some(object) = self.object.take_if(|object| Arc::strong_count(object) == 1)
            && let Some(object) = Arc::into_inner(object)
        {
            let base = Base::of_object(object, self.map.len())?;
            let object = base.object.as_ref().expect("hosts with shared objects map files");
            super::map_privately(&mut self.map, object)?;
            return Ok(base);
        }
        let mut copy = MmapMut::map_anon(self.map.len())?;
        for range in self.used() {
            copy[range.clone()].copy_from_slice(&self.map[range]);
        }
        Ok(Base { map: copy.make_read_only()?, object: None })
    }

    /// The object behind the memory, if it can be mapped again.
    pub fn object(&self) -> Option<Arc<File>> {
        self.object.clone()
    }

    /// Where the memory may hold something else than zeros: in order, and in whole pages but for the end.
    pub fn used(&self) -> Vec<Range<usize>> {
        used(self.object.as_deref(), self.map.len())
    }
}

impl Base {
    /// What `file` holds, but at least `size` bytes.
    ///
    /// On Unix the file is mapped, not read. Whoever changes it afterwards changes the guest's memory, and whoever
    /// makes it shorter ends the process; those who keep such files replace them as a whole and lock what they use.
    /// Elsewhere a file that is mapped cannot be replaced, so it is read.
    pub fn of_file(mut file: File, size: usize) -> io::Result<Self> {
        if file.metadata()?.len() < size as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if cfg!(unix) {
            return Base::of_object(file, size);
        }
        let mut map = MmapMut::map_anon(size)?;
        file.read_exact(&mut map)?;
        Ok(Base { map: map.make_read_only()?, object: None })
    }

    fn of_object(file: File, size: usize) -> io::Result<Self> {
        // SAFETY: of an anonymous object nobody else has a handle, and a file is not changed by agreement; see
        // `of_file`.
        let map = unsafe { MmapOptions::new().len(size).map(&file)? };
        Ok(Base { map, object: Some(file) })
    }

    /// As [`Ram::used`].
    pub fn used(&self) -> Vec<Range<usize>> {
        used(self.object.as_ref(), self.map.len())
    }
}

/// Where `object` has data; everything if there is none, or it does not tell.
fn used(object: Option<&File>, size: usize) -> Vec<Range<usize>> {
    let ranges = object.and_then(|object| super::data_ranges(object, size as u64).ok());
    let Some(ranges) = ranges else { return std::iter::once(0..size).collect() };
    ranges.into_iter().map(|range| range.start as usize..range.end as usize).collect()
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

impl Deref for Base {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4096;

    #[test]
    fn views_of_a_base_are_independent() {
        let mut first = Ram::new(64 * PAGE).expect("memory");
        first[5 * PAGE] = 1;
        let address = first.as_ptr();
        let base = first.freeze().expect("memory");
        assert_eq!((first.as_ptr(), first[5 * PAGE]), (address, 1));
        let (mut second, third) = (Ram::of(&base).expect("memory"), Ram::of(&base).expect("memory"));
        first[5 * PAGE] = 2;
        second[5 * PAGE + 1] = 3;
        second[6 * PAGE] = 4;
        let bytes = |ram: &[u8]| [ram[5 * PAGE], ram[5 * PAGE + 1], ram[6 * PAGE]];
        assert_eq!(bytes(&first), [2, 0, 0]);
        assert_eq!(bytes(&second), [1, 3, 4]);
        assert_eq!(bytes(&third), [1, 0, 0]);
        assert_eq!(bytes(&base), [1, 0, 0]);
        // Frozen once more, by a copy.
        let again = second.freeze().expect("memory");
        second[6 * PAGE] = 5;
        drop(base);
        assert_eq!((bytes(&again), bytes(&third)), ([1, 3, 4], [1, 0, 0]));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_that_was_never_touched_is_not_used() {
        let mut ram = Ram::new(1000 * PAGE).expect("memory");
        ram[700 * PAGE + 3] = 1;
        let used = ram.used();
        assert!(used.iter().any(|range| range.contains(&(700 * PAGE))));
        assert!(used.iter().map(Range::len).sum::<usize>() < 600 * PAGE, "{used:?}");
        assert_eq!(ram.freeze().expect("memory").used(), used);
    }

    #[test]
    fn a_file_is_not_changed_by_its_views() {
        let dir = std::env::temp_dir().join(format!("idem86-base-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let path = dir.join("ram");
        std::fs::write(&path, vec![7; 8 * PAGE]).expect("a file");
        let open = || File::open(&path).expect("the file");
        assert!(Base::of_file(open(), 9 * PAGE).is_err());
        let base = Base::of_file(open(), 8 * PAGE).expect("the file");
        let mut ram = Ram::of(&base).expect("memory");
        ram[PAGE] = 8;
        assert_eq!((ram[PAGE], ram[0], base[PAGE]), (8, 7, 7));
        assert!(std::fs::read(&path).expect("the file").iter().all(|byte| *byte == 7));
        std::fs::remove_dir_all(&dir).expect("the directory");
    }
}
