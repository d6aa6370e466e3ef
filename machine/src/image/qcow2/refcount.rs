//! Which clusters are in use, and by how many. QEMU, "Qcow2 Image File Format", "Host cluster management".

use super::header::{Header, Problem, REFCOUNT_TABLE, REFCOUNT_TABLE_MAX, damaged};
use super::storage::Storage;
use super::tables::Tables;
use std::collections::HashSet;
use std::io;

/// "Refcount table entry": the offset of a block.
const BLOCK_OFFSET: u64 = !0x1FF;
/// Offsets have 56 bits.
const OFFSET_END: u64 = 1 << 56;

/// The refcounts of an image that is written.
#[derive(Debug)]
pub(super) struct Refcounts {
    cluster_bits: u32,
    /// The logarithm of the bits of a refcount.
    order: u32,
    /// Where the table is, and what is in it: offsets of blocks, or 0.
    offset: u64,
    table: Vec<u64>,
    blocks: Tables,
    /// No cluster before this one is free.
    first_free: u64,
    /// Clusters of the tables: they are neither given away nor written as data, whatever refcounts and L2 tables of a
    /// damaged image say.
    reserved: HashSet<u64>,
}

/// What an image says is not possible.
fn impossible() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

impl Refcounts {
    /// Reads the table.
    pub fn read(storage: &dyn Storage, header: &Header) -> Result<Self, Problem> {
        let Header { cluster_bits, refcount_order, refcount_offset, refcount_clusters, .. } = *header;
        let mut bytes = vec![0; (refcount_clusters << cluster_bits) as usize];
        storage.read_at(refcount_offset, &mut bytes)?;
        let table: Vec<u64> = bytes
            .chunks_exact(8)
            .map(|entry| u64::from_be_bytes(entry.try_into().expect("eight bytes")) & BLOCK_OFFSET)
            .collect();
        let mut refcounts = Refcounts {
            cluster_bits,
            order: refcount_order,
            offset: refcount_offset,
            table,
            blocks: Tables::new(cluster_bits),
            first_free: 0,
            reserved: HashSet::new(),
        };
        refcounts.reserve("the header", 0, 1)?;
        let l1 = (header.l1_entries as u64 * 8).div_ceil(1 << cluster_bits);
        refcounts.reserve("the L1 table", header.l1_offset, l1)?;
        refcounts.reserve("the refcount table", refcount_offset, refcount_clusters)?;
        let file = storage.size()?;
        for (n, offset) in refcounts.table.clone().into_iter().enumerate().filter(|(_, offset)| *offset != 0)
        {
            if offset % (1 << cluster_bits) != 0 || offset >= file {
                return damaged(format!("refcount block {n} is at {offset:#x}"));
            }
            refcounts.reserve("a refcount block", offset, 1)?;
        }
        for (what, offset) in
            [("header", 0), ("L1 table", header.l1_offset), ("refcount table", refcount_offset)]
        {
            if refcounts.get(storage, offset >> cluster_bits)? == 0 {
                return damaged(format!("its {what} has refcount 0 (qemu-img check -r all repairs it)"));
            }
        }
        Ok(refcounts)
    }

    /// Declares `clusters` from `offset` on to be tables.
    pub fn reserve(&mut self, what: &str, offset: u64, clusters: u64) -> Result<(), Problem> {
        let first = offset >> self.cluster_bits;
        for cluster in first..first + clusters {
            if !self.reserved.insert(cluster) {
                return damaged(format!("{what} at {offset:#x} lies on another table"));
            }
        }
        Ok(())
    }

    /// Makes a table of the cluster at `offset`, or no longer one.
    pub fn set_reserved(&mut self, offset: u64, reserved: bool) {
        let cluster = offset >> self.cluster_bits;
        if reserved {
            self.reserved.insert(cluster)
        } else {
            self.reserved.remove(&cluster)
        };
    }

    /// Whether the cluster at `offset` is a table's.
    pub fn is_reserved(&self, offset: u64) -> bool {
        self.reserved.contains(&(offset >> self.cluster_bits))
    }

    /// Refcounts in a block.
    fn per_block(&self) -> u64 {
        1 << (self.cluster_bits + 3 - self.order)
    }

    /// The block for `cluster`, if there is one, and the number of the refcount in it.
    fn locate(&self, cluster: u64) -> (Option<u64>, u64) {
        let block = usize::try_from(cluster / self.per_block()).ok().and_then(|n| self.table.get(n));
        (block.copied().filter(|offset| *offset != 0), cluster % self.per_block())
    }

    fn get(&mut self, storage: &dyn Storage, cluster: u64) -> io::Result<u64> {
        let order = self.order;
        match self.locate(cluster) {
            (None, _) => Ok(0),
            (Some(block), n) => Ok(refcount(self.blocks.get(storage, block)?, n as usize, order)),
        }
    }

    fn set(&mut self, storage: &dyn Storage, cluster: u64, value: u64) -> io::Result<()> {
        let (block, n) = self.locate(cluster);
        let block = block.ok_or_else(impossible)?;
        // The bytes that the refcount is in, and its number in them.
        let (at, length, n) = match self.order {
            order @ 0..3 => ((n as usize) << order >> 3, 1, n as usize % (8 >> order)),
            order => ((n as usize) << (order - 3), 1 << (order - 3), 0),
        };
        let mut bytes = self.blocks.get(storage, block)?[at..at + length].to_vec();
        put_refcount(&mut bytes, n, self.order, value);
        self.blocks.patch(storage, block, at, &bytes)
    }

    /// Takes a cluster that is free. Gives its offset. Its content is unspecified.
    pub fn allocate(&mut self, storage: &dyn Storage) -> io::Result<u64> {
        loop {
            let cluster = self.first_free;
            if cluster >= OFFSET_END >> self.cluster_bits {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let (block, n) = self.locate(cluster);
            let Some(block) = block else {
                self.add_block(storage, cluster)?;
                continue;
            };
            let (end, order) = (self.per_block(), self.order);
            let counts = self.blocks.get(storage, block)?;
            let Some(free) = (n..end).find(|n| refcount(counts, *n as usize, order) == 0) else {
                self.first_free = cluster - n + end;
                continue;
            };
            let cluster = cluster - n + free;
            if self.reserved.contains(&cluster) {
                return Err(impossible());
            }
            self.set(storage, cluster, 1)?;
            self.first_free = cluster + 1;
            return Ok(cluster << self.cluster_bits);
        }
    }

    /// Gives back a use of the cluster at `offset`.
    pub fn release(&mut self, storage: &dyn Storage, offset: u64) -> io::Result<()> {
        let cluster = offset >> self.cluster_bits;
        let count = self.get(storage, cluster)?;
        if count == 0 || count == 1 && self.reserved.contains(&cluster) {
            return Err(impossible());
        }
        self.set(storage, cluster, count - 1)?;
        if count == 1 {
            self.first_free = self.first_free.min(cluster);
        }
        Ok(())
    }

    /// Adds a block for `cluster`, for which there is none: the block is that cluster, and its own first user.
    fn add_block(&mut self, storage: &dyn Storage, cluster: u64) -> io::Result<()> {
        let index = cluster / self.per_block();
        if index >= self.table.len() as u64 {
            return self.grow(storage);
        }
        if !self.reserved.insert(cluster) {
            return Err(impossible());
        }
        let offset = cluster << self.cluster_bits;
        let mut block = vec![0; 1 << self.cluster_bits];
        put_refcount(&mut block, (cluster % self.per_block()) as usize, self.order, 1);
        self.blocks.set(storage, offset, block)?;
        storage.write_at(self.offset + index * 8, &offset.to_be_bytes())?;
        self.table[index as usize] = offset;
        self.first_free = cluster + 1;
        Ok(())
    }

    /// Moves the table to where it has room for more, behind all that it knows: there, blocks for the new place and
    /// the table itself.
    fn grow(&mut self, storage: &dyn Storage) -> io::Result<()> {
        let (per_block, cluster_size) = (self.per_block(), 1u64 << self.cluster_bits);
        let known = self.table.len() as u64;
        let start = known * per_block;
        // Half as many again, so that it rarely happens; blocks count themselves and the table.
        let clusters = ((known + known / 2) * 8).div_ceil(cluster_size) + 1;
        let mut blocks = 1;
        while (blocks + clusters).div_ceil(per_block) > blocks {
            blocks = (blocks + clusters).div_ceil(per_block);
        }
        let clusters = clusters.max(((known + blocks) * 8).div_ceil(cluster_size));
        if clusters << self.cluster_bits > REFCOUNT_TABLE_MAX
            || (blocks + clusters).div_ceil(per_block) > blocks
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let used = blocks + clusters;
        let place = |n: u64| (start + n) << self.cluster_bits;
        if (start + used) << self.cluster_bits > OFFSET_END {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut table = self.table.clone();
        table.resize((clusters * cluster_size / 8) as usize, 0);
        for n in 0..blocks {
            let mut block = vec![0; cluster_size as usize];
            let first = n * per_block;
            for cluster in 0..used.saturating_sub(first).min(per_block) {
                put_refcount(&mut block, cluster as usize, self.order, 1);
            }
            self.blocks.set(storage, place(n), block)?;
            table[(known + n) as usize] = place(n);
        }
        let bytes: Vec<u8> = table.iter().flat_map(|offset| offset.to_be_bytes()).collect();
        let (offset, old) = (place(blocks), self.offset);
        storage.write_at(offset, &bytes)?;
        // In one write, so that there is always one that is whole.
        let mut fields = [0; 12];
        fields[..8].copy_from_slice(&offset.to_be_bytes());
        fields[8..].copy_from_slice(&(clusters as u32).to_be_bytes());
        storage.sync()?;
        storage.write_at(REFCOUNT_TABLE, &fields)?;
        (self.offset, self.table) = (offset, table);
        self.reserved.extend(start..start + used);
        let old = old >> self.cluster_bits;
        for cluster in old..old + (known * 8) / cluster_size {
            self.reserved.remove(&cluster);
            self.release(storage, cluster << self.cluster_bits)?;
        }
        Ok(())
    }
}

/// Refcount `n` of a block. "Refcount block entry": below 8 bits, the first is in the lowest bits.
fn refcount(block: &[u8], n: usize, order: u32) -> u64 {
    let bit = n << order;
    if order < 3 {
        return u64::from(block[bit / 8] >> (bit % 8)) & ((1 << (1 << order)) - 1);
    }
    block[bit / 8..][..1 << (order - 3)].iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn put_refcount(block: &mut [u8], n: usize, order: u32, value: u64) {
    let bit = n << order;
    if order < 3 {
        let mask = ((1u8 << (1 << order)) - 1) << (bit % 8);
        block[bit / 8] = block[bit / 8] & !mask | (value as u8) << (bit % 8);
    } else {
        let width = 1 << (order - 3);
        block[bit / 8..][..width].copy_from_slice(&value.to_be_bytes()[8 - width..]);
    }
}
