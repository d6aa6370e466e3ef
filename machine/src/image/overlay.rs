//! `snapshot=on`: writes go to a temporary file beside the image's own bytes, which nobody changes.
//!
//! Forks share the temporary file. A cluster in it belongs to all overlays that name it; whoever writes to one that
//! others have too takes a new one.

use super::{ImageError, positional};
use idem86_devices::backend::{EachChange, Medium, MediumError};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is copied at once when a part of the image is first written.
const CLUSTER: u64 = 64 * 1024;

/// An image under a temporary overlay that vanishes with the last of its forks.
#[derive(Debug)]
pub struct Overlay {
    base: Arc<Base>,
    store: Arc<Store>,
    /// By their numbers in the image. Shared by forks until one of them is written.
    clusters: Arc<BTreeMap<u64, Arc<Cluster>>>,
}

/// The image.
#[derive(Debug)]
struct Base {
    medium: Mutex<Box<dyn Medium>>,
    size: u64,
    path: Option<PathBuf>,
    format: Option<&'static str>,
}

impl Base {
    fn medium(&self) -> MutexGuard<'_, Box<dyn Medium>> {
        self.medium.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The temporary file of an overlay and its forks.
#[derive(Debug)]
struct Store {
    file: File,
    places: Mutex<Places>,
}

/// Which places of the file can be taken; they are numbers of clusters.
#[derive(Debug, Default)]
struct Places {
    free: Vec<u64>,
    end: u64,
}

/// A cluster in the temporary file; its place is free again when nobody names it any longer.
#[derive(Debug)]
struct Cluster {
    store: Arc<Store>,
    place: u64,
}

impl Cluster {
    fn new(store: &Arc<Store>) -> Self {
        let mut places = store.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.free.pop().unwrap_or_else(|| {
            places.end += 1;
            places.end - 1
        });
        Cluster { store: store.clone(), place }
    }

    fn read(&self, within: u64, buffer: &mut [u8]) -> Result<(), MediumError> {
        let at = self.place * CLUSTER + within;
        positional::read_exact_at(&self.store.file, buffer, at).map_err(|_| MediumError::Failed)
    }

    fn write(&self, within: u64, bytes: &[u8]) -> Result<(), MediumError> {
        let at = self.place * CLUSTER + within;
        positional::write_all_at(&self.store.file, bytes, at).map_err(|_| MediumError::Failed)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.store.places.lock().unwrap_or_else(PoisonError::into_inner).free.push(self.place);
    }
}

impl Overlay {
    /// An overlay in which nothing is changed yet.
    pub fn new(base: Box<dyn Medium>, path: &Path) -> Result<Self, ImageError> {
        let file = tempfile::tempfile().map_err(|e| ImageError::io(path, e))?;
        let store = Arc::new(Store { file, places: Mutex::default() });
        let base = Base {
            size: base.size(),
            path: base.base().map(Path::to_path_buf),
            format: base.base_format(),
            medium: Mutex::new(base),
        };
        Ok(Overlay { base: Arc::new(base), store, clusters: Arc::default() })
    }

    /// Splits `[offset, offset + len)` at cluster boundaries into (cluster, offset within it, length).
    fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, u64, usize)> {
        let end = offset + len as u64;
        let mut at = offset;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let (cluster, within) = (at / CLUSTER, at % CLUSTER);
            let piece = (CLUSTER - within).min(end - at);
            at += piece;
            Some((cluster, within, piece as usize))
        })
    }

    fn check(&self, offset: u64, len: usize) -> Result<(), MediumError> {
        match offset.checked_add(len as u64) {
            Some(end) if end <= self.base.size => Ok(()),
            _ => Err(MediumError::OutOfRange),
        }
    }

    /// Bytes of cluster `number`: all but the last are whole.
    fn size_of(&self, number: u64) -> usize {
        CLUSTER.min(self.base.size - number * CLUSTER) as usize
    }

    /// Cluster `number`, to be written: a copy if it is the image's or also another overlay's.
    fn own(&mut self, number: u64) -> Result<&Cluster, MediumError> {
        let mut copy = Vec::new();
        match self.clusters.get(&number) {
            // Once as a value of this map, and the map is nobody else's.
            Some(cluster) if Arc::strong_count(&self.clusters) == 1 && Arc::strong_count(cluster) == 1 => {}
            Some(cluster) => {
                copy.resize(self.size_of(number), 0);
                cluster.read(0, &mut copy)?;
            }
            None => {
                copy.resize(self.size_of(number), 0);
                self.base.medium().read(number * CLUSTER, &mut copy)?;
            }
        }
        let clusters = Arc::make_mut(&mut self.clusters);
        if !copy.is_empty() {
            let cluster = Cluster::new(&self.store);
            cluster.write(0, &copy)?;
            clusters.insert(number, Arc::new(cluster));
        }
        Ok(&clusters[&number])
    }
}

impl Medium for Overlay {
    fn size(&self) -> u64 {
        self.base.size
    }

    fn is_read_only(&self) -> bool {
        false
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), MediumError> {
        self.check(offset, buffer.len())?;
        let mut rest = buffer;
        for (number, within, len) in Self::pieces(offset, rest.len()) {
            let (part, tail) = rest.split_at_mut(len);
            match self.clusters.get(&number) {
                Some(cluster) => cluster.read(within, part)?,
                None => self.base.medium().read(number * CLUSTER + within, part)?,
            }
            rest = tail;
        }
        Ok(())
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), MediumError> {
        self.check(offset, bytes.len())?;
        let mut rest = bytes;
        for (number, within, len) in Self::pieces(offset, bytes.len()) {
            let (part, tail) = rest.split_at(len);
            self.own(number)?.write(within, part)?;
            rest = tail;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), MediumError> {
        Ok(())
    }

    fn fork(&self) -> Option<Box<dyn Medium>> {
        let Overlay { base, store, clusters } = self;
        Some(Box::new(Overlay { base: base.clone(), store: store.clone(), clusters: clusters.clone() }))
    }

    fn base(&self) -> Option<&Path> {
        self.base.path.as_deref()
    }

    fn base_format(&self) -> Option<&'static str> {
        self.base.format
    }

    fn read_base(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), MediumError> {
        self.base.medium().read_base(offset, buffer)
    }

    fn changes(&mut self, each: &mut EachChange<'_>) -> Result<(), MediumError> {
        if self.base.path.is_none() {
            self.base.medium().changes(each)?;
        }
        let mut bytes = vec![0; CLUSTER as usize];
        for (number, cluster) in self.clusters.iter() {
            let bytes = &mut bytes[..self.size_of(*number)];
            cluster.read(0, bytes)?;
            each(number * CLUSTER, bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::file::FileMedium;
    use crate::image::{ImageOptions, detect::ImageKind, open};

    #[test]
    fn writes_are_seen_and_the_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.img");
        let content: Vec<u8> = (0..200_704u32).map(|i| (i / 512) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let options = ImageOptions { snapshot: true, ..ImageOptions::new(&path) };
        let mut disk = open(&options, ImageKind::Disk).unwrap();
        let mut expected = content.clone();
        // Across a cluster boundary, and up to the last byte of an image that is no multiple of a cluster.
        for (at, len) in [(65_000u64, 2_000usize), (200_000, 704), (0, 1)] {
            let data = vec![0xAB; len];
            disk.write(at, &data).unwrap();
            expected[at as usize..][..len].copy_from_slice(&data);
        }
        let mut seen = vec![0; content.len()];
        disk.read(0, &mut seen).unwrap();
        assert!(seen == expected);
        assert_eq!(disk.write(200_703, &[0; 2]), Err(MediumError::OutOfRange));
        drop(disk);
        assert!(std::fs::read(&path).unwrap() == content);
    }

    #[test]
    fn forks_share_what_neither_writes_and_give_back_what_nobody_has() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.img");
        std::fs::write(&path, vec![0; 5 * CLUSTER as usize]).unwrap();
        let base = Box::new(FileMedium::open(&path, true).unwrap());
        let mut first = Overlay::new(base, &path).unwrap();
        let store = first.store.clone();
        let used = || {
            let places = store.places.lock().unwrap();
            places.end - places.free.len() as u64
        };
        first.write(0, &[1; 512]).unwrap();
        first.write(CLUSTER, &[1; 512]).unwrap();
        let mut second = first.fork().unwrap();
        assert_eq!(used(), 2);
        second.write(512, &[2; 512]).unwrap();
        first.write(1024, &[3; 512]).unwrap();
        let content = |disk: &mut dyn Medium| {
            let mut bytes = [0; 1536];
            disk.read(0, &mut bytes).unwrap();
            [bytes[0], bytes[512], bytes[1024]]
        };
        assert_eq!((content(&mut first), content(second.as_mut())), ([1, 0, 3], [1, 2, 0]));
        assert_eq!(used(), 3, "cluster 1 is still that of both");
        let mut changed = Vec::new();
        second
            .changes(&mut |at, bytes| {
                changed.push((at, bytes.len()));
                Ok(())
            })
            .unwrap();
        assert_eq!(changed, [(0, CLUSTER as usize), (CLUSTER, CLUSTER as usize)]);
        drop(second);
        assert_eq!(used(), 2);
        first.write(0, &[4; 512]).unwrap();
        first.write(CLUSTER, &[4; 512]).unwrap();
        assert_eq!(used(), 2, "alone again, it writes in place");
    }

    #[test]
    fn a_second_writer_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.img");
        std::fs::write(&path, [0; 1024]).unwrap();
        let options = ImageOptions::new(&path);
        let _first = open(&options, ImageKind::Disk).unwrap();
        assert!(matches!(open(&options, ImageKind::Disk), Err(ImageError::InUse { .. })));
        let shared = ImageOptions { snapshot: true, ..options };
        assert!(matches!(open(&shared, ImageKind::Disk), Err(ImageError::InUse { .. })));
    }
}
