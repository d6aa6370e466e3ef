//! Where the clusters of the disk are. QEMU, "Qcow2 Image File Format", "Cluster mapping".

use super::header::{Header, Problem, damaged};
use super::storage::Storage;
use super::tables::Tables;
use std::io;
use std::sync::Arc;

/// Of an L1 entry and of an L2 entry: the refcount of what it names is exactly 1.
const COPIED: u64 = 1 << 63;
/// Of an L2 entry: the cluster is compressed.
const COMPRESSED: u64 = 1 << 62;
/// Of an L2 entry in version 3: the cluster reads as zeros.
const ZERO: u64 = 1 << 0;
/// The offset in both.
const OFFSET: u64 = 0x00FF_FFFF_FFFF_FE00;

/// Where a cluster's content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the backing file; without one, it is zeros.
    Below,
    /// Nowhere: it is zeros. A cluster of the file may be kept for it.
    Zero(Option<Cluster>),
    /// In a cluster of the file.
    Data(Cluster),
    /// In the file, deflated.
    Compressed {
        /// Where that begins, at any byte.
        offset: u64,
        /// How long it is at most.
        length: usize,
    },
}

/// A cluster of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cluster {
    /// Its offset.
    pub offset: u64,
    /// Whether nobody else uses it, so that it can be written in place.
    pub own: bool,
}

/// The L1 table and some of the L2 tables.
#[derive(Clone, Debug)]
pub(super) struct Map {
    version: u32,
    cluster_bits: u32,
    l1_offset: u64,
    l1: Arc<Vec<u64>>,
    l2: Tables,
}

impl Map {
    /// Reads the L1 table.
    pub fn read(storage: &dyn Storage, header: &Header) -> Result<Self, Problem> {
        let Header { version, cluster_bits, l1_offset, l1_entries, .. } = *header;
        let mut bytes = vec![0; l1_entries * 8];
        storage.read_at(l1_offset, &mut bytes)?;
        let entries = bytes.chunks_exact(8).map(|e| u64::from_be_bytes(e.try_into().expect("eight bytes")));
        let l1: Vec<u64> = entries.collect();
        let file = storage.size()?;
        for (n, offset) in l1.iter().map(|entry| entry & OFFSET).enumerate() {
            if !offset.is_multiple_of(1 << cluster_bits) || offset >= file {
                return damaged(format!("L2 table {n} is at {offset:#x}"));
            }
        }
        Ok(Map { version, cluster_bits, l1_offset, l1: Arc::new(l1), l2: Tables::new(cluster_bits) })
    }

    /// The offsets of the L2 tables.
    pub fn tables(&self) -> impl Iterator<Item = u64> {
        self.l1.iter().map(|entry| entry & OFFSET).filter(|offset| *offset != 0)
    }

    /// The numbers of a cluster's entries in the L1 table and in its L2 table.
    fn split(&self, cluster: u64) -> (usize, usize) {
        let bits = self.cluster_bits - 3;
        ((cluster >> bits) as usize, (cluster & ((1 << bits) - 1)) as usize)
    }

    /// Where cluster `cluster` of the disk is.
    pub fn find(&mut self, storage: &dyn Storage, cluster: u64) -> io::Result<Place> {
        let (n, within) = self.split(cluster);
        let table = self.l1[n] & OFFSET;
        if table == 0 {
            return Ok(Place::Below);
        }
        let bytes = &self.l2.get(storage, table)?[within * 8..][..8];
        let entry = u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
        if entry & COMPRESSED != 0 {
            // "Compressed Clusters Descriptor": offset, then the number of further sectors.
            let bits = 62 - (self.cluster_bits - 8);
            let offset = entry & ((1 << bits) - 1);
            let sectors = (entry & !(COMPRESSED | COPIED)) >> bits;
            return Ok(Place::Compressed {
                offset,
                length: (sectors as usize + 1) * 512 - (offset % 512) as usize,
            });
        }
        let offset = entry & OFFSET;
        if !offset.is_multiple_of(1 << self.cluster_bits) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let place = (offset != 0).then_some(Cluster { offset, own: entry & COPIED != 0 });
        Ok(match place {
            place if self.version >= 3 && entry & ZERO != 0 => Place::Zero(place),
            Some(cluster) => Place::Data(cluster),
            None => Place::Below,
        })
    }

    /// The L2 table for `cluster`, if there is one, and whether nobody else uses it.
    pub fn table(&self, cluster: u64) -> Option<Cluster> {
        let entry = self.l1[self.split(cluster).0];
        (entry & OFFSET != 0).then_some(Cluster { offset: entry & OFFSET, own: entry & COPIED != 0 })
    }

    /// Writes the entries of the L2 table for `cluster` to the cluster at `offset`.
    pub fn write_table(&mut self, storage: &dyn Storage, cluster: u64, offset: u64) -> io::Result<()> {
        let bytes = match self.table(cluster) {
            None => vec![0; 1 << self.cluster_bits],
            Some(old) => self.l2.get(storage, old.offset)?.to_vec(),
        };
        self.l2.set(storage, offset, bytes)
    }

    /// Makes the cluster at `offset` the L2 table for `cluster`.
    pub fn set_table(&mut self, storage: &dyn Storage, cluster: u64, offset: u64) -> io::Result<()> {
        let (n, _) = self.split(cluster);
        let entry = offset | COPIED;
        storage.write_at(self.l1_offset + n as u64 * 8, &entry.to_be_bytes())?;
        let old = std::mem::replace(&mut Arc::make_mut(&mut self.l1)[n], entry) & OFFSET;
        self.l2.forget(old);
        Ok(())
    }

    /// Says that the content of `cluster` is in the cluster at `offset`, which nobody else uses. Its L2 table must be
    /// there and nobody else's.
    pub fn set_data(&mut self, storage: &dyn Storage, cluster: u64, offset: u64) -> io::Result<()> {
        let (n, within) = self.split(cluster);
        self.l2.patch(storage, self.l1[n] & OFFSET, within * 8, &(offset | COPIED).to_be_bytes())
    }
}
