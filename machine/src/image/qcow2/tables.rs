//! Clusters of metadata in memory: L2 tables and refcount blocks, written through.

use super::storage::Storage;
use std::collections::HashMap;
use std::io;

/// Bytes of clusters that are kept, as far as they are not too few or too many.
const KEPT: usize = 4 << 20;

/// Some clusters of an image, by their offsets.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    cluster_size: usize,
    kept: HashMap<u64, Table>,
    /// Counts uses.
    now: u64,
}

#[derive(Clone, Debug)]
struct Table {
    bytes: Box<[u8]>,
    used: u64,
}

impl Tables {
    /// Nothing of an image with these clusters.
    pub fn new(cluster_bits: u32) -> Self {
        Tables { cluster_size: 1 << cluster_bits, kept: HashMap::new(), now: 0 }
    }

    /// The cluster at `offset`.
    pub fn get(&mut self, storage: &dyn Storage, offset: u64) -> io::Result<&[u8]> {
        self.now += 1;
        if !self.kept.contains_key(&offset) {
            let mut bytes = vec![0; self.cluster_size];
            storage.read_at(offset, &mut bytes)?;
            self.keep(offset, bytes);
        }
        let table = self.kept.get_mut(&offset).expect("it was put there");
        table.used = self.now;
        Ok(&table.bytes)
    }

    /// Writes a whole cluster.
    pub fn set(&mut self, storage: &dyn Storage, offset: u64, bytes: Vec<u8>) -> io::Result<()> {
        self.kept.remove(&offset);
        storage.write_at(offset, &bytes)?;
        self.keep(offset, bytes);
        Ok(())
    }

    /// Writes `bytes` at `within` the cluster at `offset`.
    pub fn patch(
        &mut self,
        storage: &dyn Storage,
        offset: u64,
        within: usize,
        bytes: &[u8],
    ) -> io::Result<()> {
        // What is in the file after a failure is not known.
        let table = self.kept.remove(&offset);
        storage.write_at(offset + within as u64, bytes)?;
        if let Some(mut table) = table {
            table.bytes[within..within + bytes.len()].copy_from_slice(bytes);
            self.kept.insert(offset, table);
        }
        Ok(())
    }

    /// Forgets the cluster at `offset`.
    pub fn forget(&mut self, offset: u64) {
        self.kept.remove(&offset);
    }

    fn keep(&mut self, offset: u64, bytes: Vec<u8>) {
        if self.kept.len() >= (KEPT / self.cluster_size).clamp(4, 256)
            && let Some(oldest) =
                self.kept.iter().min_by_key(|(_, table)| table.used).map(|(offset, _)| *offset)
        {
            self.kept.remove(&oldest);
        }
        self.kept.insert(offset, Table { bytes: bytes.into(), used: self.now });
    }
}
