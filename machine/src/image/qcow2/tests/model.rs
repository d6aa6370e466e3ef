//! Whatever is written is read again, also by who opens the image later, and refcounts are right at any time.

use super::support::{Random, Shape, Verdict, blank, check, content, memory, open};
use crate::image::qcow2::storage::{MemoryStorage, Storage};
use idem86_devices::backend::{Medium, MediumError};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Cluster sizes from the least to the greatest, widths of refcounts from the least to the greatest, sizes that are no
/// multiple of a cluster.
const SHAPES: [Shape; 8] = [
    Shape { version: 2, cluster_bits: 9, order: 4, size: 300 << 10 },
    Shape { version: 3, cluster_bits: 9, order: 6, size: 5 << 20 },
    Shape { version: 3, cluster_bits: 9, order: 0, size: 3 << 20 },
    Shape { version: 3, cluster_bits: 10, order: 1, size: 1_000_448 },
    Shape { version: 3, cluster_bits: 12, order: 2, size: 9 << 20 },
    Shape { version: 3, cluster_bits: 13, order: 3, size: 2 << 20 },
    Shape { version: 2, cluster_bits: 16, order: 4, size: (8 << 20) + 512 },
    Shape { version: 3, cluster_bits: 21, order: 5, size: 13 << 20 },
];

const SOUND: Verdict = Verdict { errors: Vec::new(), leaks: 0 };

#[test]
fn what_is_written_is_read_and_refcounts_are_right() {
    for (seed, shape) in (1..).zip(SHAPES) {
        let mut random = Random(seed);
        let storage = memory(blank(shape));
        assert_eq!(check(&storage.bytes()), SOUND, "{shape:?}");
        let mut expected = vec![0; shape.size as usize];
        for session in 0..4 {
            let mut disk = open(storage.clone(), false).expect("the image is sound");
            for _ in 0..60 {
                let most = [600, 5_000, 200_000][random.below(3) as usize];
                let (offset, length) = random.range(shape.size, most);
                let bytes = random.bytes(length);
                disk.write(offset, &bytes).expect("there is room");
                expected[offset as usize..][..length].copy_from_slice(&bytes);
                let (offset, length) = random.range(shape.size, most);
                let mut seen = vec![0; length];
                disk.read(offset, &mut seen).expect("in range");
                assert!(seen == expected[offset as usize..][..length], "{shape:?}");
            }
            disk.flush().expect("memory");
            drop(disk);
            assert_eq!(check(&storage.bytes()), SOUND, "{shape:?}, session {session}");
            let mut disk = open(storage.clone(), true).expect("the image is sound");
            assert!(content(&mut disk) == Ok(expected.clone()), "{shape:?}");
            assert_eq!(disk.write(0, &[0]), Err(MediumError::ReadOnly));
        }
    }
}

#[test]
fn the_refcount_table_grows_with_the_file() {
    let shape = Shape { version: 3, cluster_bits: 9, order: 6, size: 16 << 20 };
    let storage = memory(blank(shape));
    let mut disk = open(storage.clone(), false).expect("the image is sound");
    let bytes = Random(1).bytes(shape.size as usize);
    disk.write(0, &bytes).expect("there is room");
    drop(disk);
    let clusters = u32::from_be_bytes(storage.bytes()[56..60].try_into().expect("four bytes"));
    assert!(clusters > 4, "from 1 to {clusters}");
    assert_eq!(check(&storage.bytes()), SOUND);
    let mut disk = open(storage, true).expect("the image is sound");
    assert!(content(&mut disk) == Ok(bytes));
}

#[test]
fn accesses_beyond_the_disk_are_refused() {
    let shape = SHAPES[0];
    let mut disk = open(memory(blank(shape)), false).expect("the image is sound");
    for offset in [shape.size - 1, shape.size, u64::MAX] {
        assert_eq!(disk.write(offset, &[0; 2]), Err(MediumError::OutOfRange));
        assert_eq!(disk.read(offset, &mut [0; 2]), Err(MediumError::OutOfRange));
    }
}

#[test]
fn a_forked_image_reads_the_same_and_one_that_is_written_cannot_be_forked() {
    let shape = SHAPES[4];
    let storage = memory(blank(shape));
    let mut disk = open(storage.clone(), false).expect("the image is sound");
    disk.write(5000, &[7; 9000]).expect("there is room");
    assert!(disk.fork().is_none());
    drop(disk);
    let mut first = open(storage, true).expect("the image is sound");
    let mut second = first.fork().expect("nobody writes it");
    assert!(content(&mut first) == content(second.as_mut()));
}

/// Storage of a process that is killed amid a write: that one is done in part, those behind it are not.
#[derive(Debug)]
struct Mortal {
    storage: Arc<MemoryStorage>,
    left: AtomicI64,
}

impl Storage for Mortal {
    fn size(&self) -> io::Result<u64> {
        self.storage.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.storage.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match self.left.fetch_sub(1, Ordering::Relaxed) {
            1.. => self.storage.write_at(offset, bytes),
            left => {
                // An entry of a table is written in one piece.
                if left == 0 && bytes.len() > 16 {
                    self.storage.write_at(offset, &bytes[..bytes.len() / 2])?;
                }
                Err(io::ErrorKind::Other.into())
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_process_that_is_killed_leaves_clusters_unused_at_worst() {
    let shape = Shape { version: 3, cluster_bits: 9, order: 6, size: 4 << 20 };
    let mut leaked = 0;
    let mut start = blank(shape);
    let mut before = vec![0; shape.size as usize];
    let mut random = Random(7);
    for round in 0..600 {
        let storage = memory(start.clone());
        let left = random.below(700) as i64;
        let mortal = Arc::new(Mortal { storage: storage.clone(), left: AtomicI64::new(left) });
        let mut disk = open(mortal.clone(), false).expect("the image is sound");
        let mut expected = before.clone();
        // What the write that is not finished may have changed.
        let mut torn = (0, 0);
        while mortal.left.load(Ordering::Relaxed) > 0 {
            let (offset, length) = random.range(shape.size, 40_000);
            let bytes = random.bytes(length);
            match disk.write(offset, &bytes) {
                Ok(()) => expected[offset as usize..][..length].copy_from_slice(&bytes),
                Err(_) => torn = (offset as usize, length),
            }
        }
        drop(disk);
        let verdict = check(&storage.bytes());
        assert_eq!(verdict.errors, [""; 0], "round {round}");
        leaked += verdict.leaks;
        let mut disk = open(storage.clone(), false).expect("the image can be used");
        let seen = content(&mut disk).expect("and read");
        let same = |range: std::ops::Range<usize>| seen[range.clone()] == expected[range];
        assert!(same(0..torn.0) && same(torn.0 + torn.1..seen.len()), "round {round}");
        // Also what was there already is used again.
        if round % 8 == 0 && verdict.leaks == 0 {
            (start, before) = (storage.bytes().clone(), seen);
        }
    }
    assert!(leaked > 0, "some were killed at the right time");
}

#[test]
fn a_host_without_room_fails_writes_and_nothing_else() {
    let shape = Shape { version: 3, cluster_bits: 12, order: 4, size: 4 << 20 };
    let storage = Arc::new(MemoryStorage::new(blank(shape), 1 << 20));
    let mut disk = open(storage.clone(), false).expect("the image is sound");
    let mut expected = vec![0; shape.size as usize];
    let (mut done, mut refused) = (0, 0);
    for offset in (0..shape.size).step_by(4096) {
        match disk.write(offset, &[9; 4096]) {
            Ok(()) => {
                expected[offset as usize..][..4096].fill(9);
                done += 1;
            }
            Err(error) => {
                assert_eq!(error, MediumError::Failed);
                refused += 1;
            }
        }
    }
    assert!(done > 100 && refused > 100, "{done} and {refused}");
    assert!(content(&mut disk) == Ok(expected));
    assert_eq!(check(&storage.bytes()), SOUND);
}
