//! Images from nothing, what the format says of one, and random numbers.

use crate::image::qcow2::Qcow2;
use crate::image::qcow2::header::{MAGIC, Problem};
use crate::image::qcow2::storage::{MemoryStorage, Storage};
use idem86_devices::backend::{Medium, MediumError};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Xorshift64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let start = self.next();
        (0..length as u64).map(|n| (start.wrapping_mul(n + 1) >> 24) as u8).collect()
    }

    /// A range of at most `most` bytes in `size`, which often crosses clusters.
    pub fn range(&mut self, size: u64, most: u64) -> (u64, usize) {
        let offset = self.below(size);
        let offset = if self.below(2) == 0 { offset & !511 } else { offset };
        (offset, (1 + self.below(most)).min(size - offset) as usize)
    }
}

/// What an image is made with.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub version: u32,
    pub cluster_bits: u32,
    pub order: u32,
    pub size: u64,
}

pub fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// An image of zeros: header, refcount table, refcount block, L1 table.
pub fn blank(shape: Shape) -> Vec<u8> {
    let Shape { version, cluster_bits, order, size } = shape;
    let cluster = 1usize << cluster_bits;
    let l1_entries = size.div_ceil(1 << (2 * cluster_bits - 3)) as usize;
    let used = 3 + (l1_entries * 8).div_ceil(cluster);
    let mut image = vec![0; used * cluster];
    put(&mut image, 0, &MAGIC);
    put(&mut image, 4, &version.to_be_bytes());
    put(&mut image, 20, &cluster_bits.to_be_bytes());
    put(&mut image, 24, &size.to_be_bytes());
    put(&mut image, 36, &(l1_entries as u32).to_be_bytes());
    put(&mut image, 40, &(3 * cluster as u64).to_be_bytes());
    put(&mut image, 48, &(cluster as u64).to_be_bytes());
    put(&mut image, 56, &1u32.to_be_bytes());
    if version == 3 {
        put(&mut image, 96, &order.to_be_bytes());
        put(&mut image, 100, &104u32.to_be_bytes());
    }
    put(&mut image, cluster, &(2 * cluster as u64).to_be_bytes());
    for n in 0..used {
        let bit = n << order;
        match order {
            0..3 => image[2 * cluster + bit / 8] |= 1 << (bit % 8),
            _ => image[2 * cluster + (bit + (1 << order)) / 8 - 1] = 1,
        }
    }
    image
}

pub fn memory(bytes: Vec<u8>) -> Arc<MemoryStorage> {
    Arc::new(MemoryStorage::new(bytes, 64 << 20))
}

pub fn open(storage: Arc<dyn Storage>, read_only: bool) -> Result<Qcow2, Problem> {
    Qcow2::open(storage, Path::new("test.qcow2"), read_only)
}

/// Everything on the disk.
pub fn content(medium: &mut dyn Medium) -> Result<Vec<u8>, MediumError> {
    let mut bytes = vec![0; medium.size() as usize];
    medium.read(0, &mut bytes)?;
    Ok(bytes)
}

/// What is wrong with the refcounts of an image without snapshots, by counting everything that it names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Clusters that are used more often than counted, or whose entries say otherwise.
    pub errors: Vec<String>,
    /// Clusters that are counted more often than used.
    pub leaks: usize,
}

pub fn check(image: &[u8]) -> Verdict {
    let be = |at: u64, length: u64| {
        let bytes = (at..at + length).map(|at| image.get(at as usize).copied().unwrap_or(0));
        bytes.fold(0u64, |value, byte| value << 8 | u64::from(byte))
    };
    let (version, bits) = (be(4, 4), be(20, 4));
    let cluster = 1u64 << bits;
    let order = if version == 2 { 4 } else { be(96, 4) };
    let mut used: BTreeMap<u64, u64> = BTreeMap::new();
    let mut uses = |offset: u64, length: u64| {
        for n in offset >> bits..(offset + length).div_ceil(cluster) {
            *used.entry(n).or_default() += 1;
        }
    };
    // Clusters whose entries say that they have one user.
    let mut copied = Vec::new();
    uses(0, 1);
    let (l1, l1_entries) = (be(40, 8), be(36, 4));
    uses(l1, l1_entries * 8);
    let (table, clusters) = (be(48, 8), be(56, 4));
    uses(table, clusters << bits);
    let mut blocks = Vec::new();
    for n in 0..(clusters << bits) / 8 {
        let block = be(table + n * 8, 8);
        if block != 0 {
            uses(block, cluster);
            blocks.push((n, block));
        }
    }
    let offset = 0x00FF_FFFF_FFFF_FE00;
    for n in 0..l1_entries {
        let entry = be(l1 + n * 8, 8);
        if entry & offset == 0 {
            continue;
        }
        uses(entry & offset, cluster);
        copied.push((entry & offset, entry >> 63 != 0));
        for m in 0..cluster / 8 {
            let entry = be((entry & offset) + m * 8, 8);
            if entry & 1 << 62 != 0 {
                let bits = 62 - (bits - 8);
                let start = entry & ((1 << bits) - 1);
                let sectors = (entry & !(3 << 62)) >> bits;
                uses(start, (sectors + 1) * 512 - start % 512);
            } else if entry & offset != 0 {
                uses(entry & offset, cluster);
                copied.push((entry & offset, entry >> 63 != 0));
            }
        }
    }
    let per_block = (cluster * 8) >> order;
    let mut counted = BTreeMap::new();
    for (n, block) in blocks {
        for m in 0..per_block {
            let (bit, width) = (m << order, 1u64 << order);
            let count = match order {
                0..3 => be(block + bit / 8, 1) >> (bit % 8) & ((1 << width) - 1),
                _ => be(block + bit / 8, width / 8),
            };
            if count != 0 {
                counted.insert(n * per_block + m, count);
            }
        }
    }
    let mut verdict = Verdict::default();
    for (n, count) in &used {
        let counted = counted.get(n).copied().unwrap_or(0);
        if counted < *count {
            verdict.errors.push(format!("cluster {n} is used {count} times and counted {counted} times"));
        }
        if (n + 1) * cluster > image.len() as u64 + cluster {
            verdict.errors.push(format!("cluster {n} is behind the end"));
        }
    }
    verdict.leaks =
        counted.iter().filter(|(n, counted)| used.get(n).copied().unwrap_or(0) < **counted).count();
    for (offset, copied) in copied {
        let count = counted.get(&(offset >> bits)).copied().unwrap_or(0);
        if copied != (count == 1) {
            verdict.errors.push(format!("an entry for {offset:#x} says {copied} of {count}"));
        }
    }
    verdict
}
