//! `snapshot=on`: writes go to a temporary file beside the image's own bytes, which nobody changes.

use super::ImageError;
use idem86_devices::backend::{Medium, MediumError};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// What is copied at once when a part of the image is first written.
const CLUSTER: u64 = 64 * 1024;

/// An image under a temporary overlay that vanishes with it.
#[derive(Debug)]
pub struct Overlay {
    base: Box<dyn Medium>,
    changed: File,
    /// Cluster number in the image to cluster number in `changed`.
    places: HashMap<u64, u64>,
}

impl Overlay {
    /// An overlay in which nothing is changed yet.
    pub fn new(base: Box<dyn Medium>, path: &Path) -> Result<Self, ImageError> {
        let changed = tempfile::tempfile().map_err(|e| ImageError::io(path, e))?;
        Ok(Overlay { base, changed, places: HashMap::new() })
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
            Some(end) if end <= self.base.size() => Ok(()),
            _ => Err(MediumError::OutOfRange),
        }
    }

    /// The cluster's place in the temporary file; copies it there if it is not.
    fn place(&mut self, cluster: u64) -> Result<u64, MediumError> {
        if let Some(place) = self.places.get(&cluster) {
            return Ok(*place);
        }
        let place = self.places.len() as u64;
        let start = cluster * CLUSTER;
        let mut copy = vec![0; CLUSTER.min(self.base.size() - start) as usize];
        self.base.read(start, &mut copy)?;
        self.changed.seek(SeekFrom::Start(place * CLUSTER)).map_err(|_| MediumError::Failed)?;
        self.changed.write_all(&copy).map_err(|_| MediumError::Failed)?;
        self.places.insert(cluster, place);
        Ok(place)
    }
}

impl Medium for Overlay {
    fn size(&self) -> u64 {
        self.base.size()
    }

    fn is_read_only(&self) -> bool {
        false
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), MediumError> {
        self.check(offset, buffer.len())?;
        let mut done = 0;
        for (cluster, within, len) in Self::pieces(offset, buffer.len()) {
            let part = &mut buffer[done..done + len];
            match self.places.get(&cluster) {
                Some(place) => {
                    let at = SeekFrom::Start(place * CLUSTER + within);
                    self.changed.seek(at).map_err(|_| MediumError::Failed)?;
                    self.changed.read_exact(part).map_err(|_| MediumError::Failed)?;
                }
                None => self.base.read(cluster * CLUSTER + within, part)?,
            }
            done += len;
        }
        Ok(())
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), MediumError> {
        self.check(offset, bytes.len())?;
        let mut done = 0;
        for (cluster, within, len) in Self::pieces(offset, bytes.len()) {
            let place = self.place(cluster)?;
            self.changed.seek(SeekFrom::Start(place * CLUSTER + within)).map_err(|_| MediumError::Failed)?;
            self.changed.write_all(&bytes[done..done + len]).map_err(|_| MediumError::Failed)?;
            done += len;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), MediumError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
