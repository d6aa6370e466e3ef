//! Images that no honest program makes: refused in one line, or used without harm.

use super::support::{Random, Shape, blank, check, content, memory, open, put};
use idem86_devices::backend::{Medium, MediumError};

const SHAPE: Shape = Shape { version: 3, cluster_bits: 12, order: 4, size: 4 << 20 };
const CLUSTER: usize = 1 << 12;
const L1: usize = 3 * CLUSTER;

fn refusal(image: Vec<u8>) -> String {
    let refused = open(memory(image), false).expect_err("it is refused").to_string();
    assert_eq!(refused.lines().count(), 1, "{refused}");
    refused
}

#[test]
fn each_damage_and_each_unknown_feature_is_refused_by_name() {
    let rows: &[(&str, usize, &[u8])] = &[
        ("not a qcow2 image", 0, b"QED\0"),
        ("qcow2 version 1", 4, &[0, 0, 0, 1]),
        ("qcow2 version 4", 4, &[0, 0, 0, 4]),
        ("clusters of 2^8 bytes", 20, &[0, 0, 0, 8]),
        ("clusters of 2^22 bytes", 20, &[0, 0, 0, 22]),
        ("clusters of 2^4294967295 bytes", 20, &[255; 4]),
        ("encrypted", 32, &[0, 0, 0, 1]),
        ("encrypted", 32, &[0, 0, 0, 2]),
        ("an L1 table of 2 entries for 18446744073709551615 bytes", 24, &[255; 8]),
        ("an L1 table of 1 entries for 4194304 bytes", 36, &[0, 0, 0, 1]),
        ("the L1 table is at 0x0", 40, &[0; 8]),
        ("the L1 table is at 0x3008", 40, &0x3008u64.to_be_bytes()),
        ("the L1 table is behind the end", 40, &0x0FFF_FFFF_FFFF_F000u64.to_be_bytes()),
        ("the L1 table is behind the end", 40, &0xFFFF_FFFF_FFFF_F000u64.to_be_bytes()),
        ("the refcount table at 0x1000 lies on another", 40, &0x1000u64.to_be_bytes()),
        ("the refcount table is at 0x1001", 48, &0x1001u64.to_be_bytes()),
        ("the refcount table is behind the end", 48, &0x10_0000u64.to_be_bytes()),
        ("a refcount table of 4294967295 clusters", 56, &[255; 4]),
        ("its header has refcount 0", 56, &[0; 4]),
        ("was not closed properly", 79, &[1]),
        ("marked as corrupt", 79, &[2]),
        ("external data file", 79, &[4]),
        ("extended L2 entries", 79, &[16]),
        ("incompatible bit 5", 79, &[32]),
        ("incompatible bit 63", 72, &[128]),
        ("refcounts of 2^7 bits", 96, &[0, 0, 0, 7]),
        ("a header of 96 bytes", 100, &[0, 0, 0, 96]),
        ("a header of 105 bytes", 100, &[0, 0, 0, 105]),
        ("the header is cut off", 100, &[255; 4]),
        ("a header of 8192 bytes", 100, &[0, 0, 32, 0]),
        ("a header extension is cut off", 104, &[0, 0, 0, 1, 255, 255, 255, 255]),
        ("the name of the backing file is not in the first cluster", 8, &[255; 12]),
        (
            "the name of the backing file is not in the first cluster",
            8,
            &[0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 4, 0],
        ),
        ("refcount block 0 is at 0x2200", CLUSTER, &0x2200u64.to_be_bytes()),
        ("refcount block 1 is at 0x10000000", CLUSTER + 8, &0x1000_0000u64.to_be_bytes()),
        ("a refcount block at 0x2000 lies on another table", CLUSTER + 8, &0x2000u64.to_be_bytes()),
        ("its L1 table has refcount 0", 2 * CLUSTER + 6, &[0; 2]),
        ("L2 table 0 is at 0x3200", L1, &(1 << 63 | 0x3200u64).to_be_bytes()),
        ("L2 table 1 is at 0xfffffffffff000", L1 + 8, &[255, 255, 255, 255, 255, 255, 240, 0]),
        ("an L2 table at 0x3000 lies on another table", L1, &(1 << 63 | 0x3000u64).to_be_bytes()),
    ];
    for (message, at, bytes) in rows {
        let mut image = blank(SHAPE);
        // Room for tables elsewhere.
        image.resize(64 * CLUSTER, 0);
        put(&mut image, *at, bytes);
        let refused = refusal(image);
        assert!(refused.contains(message), "{message}: {refused}");
    }
    assert!(refusal(blank(SHAPE)[..50].into()).contains("cut off"));
    assert!(refusal(blank(SHAPE)[..2 * CLUSTER].into()).contains("behind the end"));
}

#[test]
fn unknown_features_and_compression_methods_are_named() {
    let mut image = blank(SHAPE);
    put(&mut image, 72, &(1u64 << 40).to_be_bytes());
    put(&mut image, 104, &[0x68, 0x03, 0xF8, 0x57, 0, 0, 0, 48, 0, 40]);
    put(&mut image, 114, b"quantum\nleaps");
    assert!(refusal(image).contains("\"quantum?leaps\" (incompatible bit 40)"));
    let mut image = blank(SHAPE);
    put(&mut image, 72, &8u64.to_be_bytes());
    put(&mut image, 100, &112u32.to_be_bytes());
    image[104] = 1;
    assert!(refusal(image).contains("zstd"));
}

#[test]
fn an_image_with_unwritten_refcounts_can_be_read() {
    let mut image = blank(SHAPE);
    image[79] = 1;
    let mut disk = open(memory(image), true).expect("refcounts do not matter");
    assert!(content(&mut disk) == Ok(vec![0; SHAPE.size as usize]));
}

/// An image whose first cluster has `entry` in an L2 table at cluster 4.
fn with_entry(entry: u64) -> Vec<u8> {
    let mut image = blank(SHAPE);
    image.resize(6 * CLUSTER, 0);
    put(&mut image, L1, &((1 << 63) | (4 * CLUSTER as u64)).to_be_bytes());
    put(&mut image, 4 * CLUSTER, &entry.to_be_bytes());
    put(&mut image, 2 * CLUSTER, &[0, 1].repeat(5));
    image
}

#[test]
fn a_guest_cannot_write_to_the_tables_of_its_image() {
    for cluster in 0..5 {
        for flags in [1 << 63, 1 << 63 | 1] {
            let image = with_entry(flags | (cluster * CLUSTER) as u64);
            // Offset 0 is none.
            let harmless = cluster == 0;
            let storage = memory(image.clone());
            let mut disk = open(storage.clone(), false).expect("the tables are where they may be");
            let written = disk.write(0, &[0xEE; 512]);
            assert_eq!(written.is_ok(), harmless, "cluster {cluster}");
            let bytes = storage.bytes();
            assert!(harmless || bytes[..] == image[..], "cluster {cluster}");
            assert!(bytes[..4] == image[..4] && !bytes[..3 * CLUSTER].contains(&0xEE));
        }
    }
}

#[test]
fn a_table_that_counts_as_free_is_not_given_away() {
    let mut image = with_entry(0);
    put(&mut image, 2 * CLUSTER + 8, &[0; 2]);
    let mut disk = open(memory(image), false).expect("the tables are where they may be");
    assert_eq!(disk.write(0, &[0xEE; 512]), Err(MediumError::Failed));
}

#[test]
fn entries_that_name_no_place_fail_and_allocate_nothing() {
    let far = [
        1 << 63 | 0x00FF_FFFF_FFFF_F000,
        1 << 63 | 0x200,
        1 << 62,
        1 << 62 | 0x3FFF_FFFF_FFFF_FFFF,
        u64::MAX,
    ];
    for entry in far {
        let storage = memory(with_entry(entry));
        let mut disk = open(storage.clone(), false).expect("the tables are where they may be");
        let _ = disk.read(0, &mut [0; 512]);
        assert_eq!(disk.write(0, &[0xEE; 512]), Err(MediumError::Failed), "{entry:#x}");
        assert!(storage.bytes().len() <= 7 * CLUSTER, "{entry:#x}");
    }
}

#[test]
fn outdated_features_are_cleared_before_the_first_write_and_only_then() {
    let mut image = blank(SHAPE);
    image[95] = 3;
    let storage = memory(image);
    drop(open(storage.clone(), false).expect("others may know more"));
    assert_eq!(storage.bytes()[95], 3);
    open(storage.clone(), false).expect("others may know more").write(0, &[1]).expect("there is room");
    assert_eq!(storage.bytes()[88..96], [0; 8]);
}

#[test]
fn random_damage_harms_nobody() {
    let mut random = Random(11);
    let mut opened = 0;
    for round in 0..4_000u32 {
        let shape = [
            Shape { version: 3, cluster_bits: 9, order: round % 7, size: 200 << 10 },
            Shape { version: 2, cluster_bits: 12, order: 4, size: 1 << 20 },
        ][round as usize % 2];
        let storage = memory(blank(shape));
        let mut disk = open(storage.clone(), false).expect("the image is sound");
        for _ in 0..4 {
            let (offset, length) = random.range(shape.size, 3000);
            disk.write(offset, &random.bytes(length)).expect("there is room");
        }
        drop(disk);
        let mut image = storage.bytes().clone();
        for _ in 0..1 + random.below(6) {
            // Mostly in the tables, whose first bytes are what counts.
            let cluster = random.below(image.len() as u64 >> shape.cluster_bits) << shape.cluster_bits;
            let at = (cluster + random.below(112)) as usize;
            image[at] = match random.below(3) {
                0 => 0xFF,
                1 => image[at] ^ 1 << random.below(8),
                _ => random.next() as u8,
            };
        }
        for read_only in [true, false] {
            let storage = memory(image.clone());
            let mut disk = match open(storage.clone(), read_only) {
                Ok(disk) if disk.size() > 1 << 40 => continue,
                Ok(disk) => disk,
                Err(refused) => {
                    assert_eq!(refused.to_string().lines().count(), 1);
                    continue;
                }
            };
            opened += 1;
            let size = disk.size();
            for _ in 0..8 {
                let (offset, length) = random.range(size.max(1), 3000);
                let _ = disk.read(offset, &mut vec![0; length.min(size as usize)]);
                let _ = disk.write(offset, &random.bytes(length));
            }
            let bytes = storage.bytes();
            assert!(!read_only || bytes[..] == image[..], "who only reads changes nothing");
        }
    }
    assert!(opened > 2_000, "{opened} of 8,000 could be opened");
    // The checker itself sees what is wrong.
    let mut image = blank(SHAPE);
    put(&mut image, 2 * CLUSTER, &[0, 0]);
    assert_eq!(check(&image).errors.len(), 1);
}
