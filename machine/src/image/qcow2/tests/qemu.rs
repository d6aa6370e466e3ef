//! Images that qemu-img makes, in all variants that it has; and what it says of images that were written here.

use super::support::{Random, Shape, blank, content};
use crate::image::detect::ImageKind;
use crate::image::{ImageError, ImageOptions, open};
use idem86_devices::backend::Medium;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Whether qemu-img and qemu-io are there; `test` says what is not done without them.
fn there(test: &str) -> bool {
    let all = ["qemu-img", "qemu-io"].iter().all(|tool| Command::new(tool).arg("--version").output().is_ok());
    if !all {
        eprintln!("{test}: skipped, no qemu-img and qemu-io");
    }
    all
}

/// Runs a tool in `folder`; arguments have spaces between them, and `~` in them is one. Gives the exit code and what it prints.
fn tool(folder: &Path, line: &str) -> (Option<i32>, String) {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().expect("a tool"));
    let out = command.args(words.map(|w| w.replace('~', " "))).current_dir(folder).output().expect("it runs");
    (out.status.code(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
}

fn done(folder: &Path, line: &str) {
    let (code, text) = tool(folder, line);
    assert_eq!(code, Some(0), "{line}: {text}");
}

/// No error, no leak, and no entry that lies.
fn sound(folder: &Path, what: &str) {
    let (code, text) = tool(folder, "qemu-img check -f qcow2 a.qcow2");
    assert_eq!(code, Some(0), "{what}: {text}");
}

/// Something with zeros, repetitions and noise in it.
fn original(size: usize) -> Vec<u8> {
    let mut random = Random(5);
    let mut bytes = vec![0; size];
    for n in 0..size as u64 / 20_000 {
        let (offset, length) = random.range(size as u64, 30_000);
        match n % 3 {
            0 => bytes[offset as usize..][..length].fill(n as u8),
            _ => bytes[offset as usize..][..length].copy_from_slice(&random.bytes(length)),
        }
    }
    bytes
}

fn disk(folder: &Path, read_only: bool) -> Result<Box<dyn Medium>, ImageError> {
    open(&ImageOptions { read_only, ..ImageOptions::new(folder.join("a.qcow2")) }, ImageKind::Disk)
}

/// Writes at random in two sessions, and lets qemu-img judge each.
fn written(folder: &Path, expected: &mut [u8], what: &str) {
    let mut random = Random(expected.iter().fold(1, |seed, byte| seed * 31 % 0xFFFF_FFFB + u64::from(*byte)));
    for _ in 0..2 {
        let mut disk = disk(folder, false).expect(what);
        for _ in 0..40 {
            let (offset, length) = random.range(expected.len() as u64, 60_000);
            let bytes = random.bytes(length);
            disk.write(offset, &bytes).expect(what);
            expected[offset as usize..][..length].copy_from_slice(&bytes);
        }
        disk.flush().expect(what);
        assert!(content(disk.as_mut()) == Ok(expected.to_vec()), "{what}");
        drop(disk);
        sound(folder, what);
    }
    done(folder, "qemu-img convert -f qcow2 -O raw a.qcow2 b.raw");
    assert!(
        fs::read(folder.join("b.raw")).expect("a file") == expected,
        "{what}: qemu-img reads something else"
    );
}

#[test]
fn every_variant_that_qemu_img_makes_is_read_and_written() {
    if !there("variants of qcow2") {
        return;
    }
    for variant in [
        "",
        "-o compat=0.10",
        "-c",
        "-c -o compat=0.10,cluster_size=4k",
        "-c -o cluster_size=2M",
        "-c -o cluster_size=512",
        "-o cluster_size=512",
        "-o cluster_size=512,refcount_bits=64",
        "-o cluster_size=1k,refcount_bits=1",
        "-o cluster_size=2k,refcount_bits=2",
        "-o cluster_size=8k,refcount_bits=4",
        "-o cluster_size=2M,refcount_bits=8",
        "-o refcount_bits=32,lazy_refcounts=on",
        "-S 0",
        "-o preallocation=metadata",
        "-o preallocation=falloc,cluster_size=4k",
        "-o preallocation=full",
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut expected = original(5_000_192);
        fs::write(folder.path().join("a.raw"), &expected).expect("a file");
        let line = format!("qemu-img convert -f raw -O qcow2 {variant} a.raw a.qcow2").replace("  ", " ");
        done(folder.path(), &line);
        let mut medium = disk(folder.path(), true).expect(variant);
        assert!(content(medium.as_mut()) == Ok(expected.clone()), "{variant}");
        drop(medium);
        written(folder.path(), &mut expected, variant);
    }
}

#[test]
fn zero_clusters_of_all_kinds_are_read_and_written() {
    if !there("zero clusters of qcow2") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut expected = original(4 << 20);
    fs::write(folder.path().join("a.raw"), &expected).expect("a file");
    done(folder.path(), "qemu-img convert -f raw -O qcow2 a.raw a.qcow2");
    // With its cluster kept, with it given back, and discarded.
    done(
        folder.path(),
        "qemu-io -f qcow2 -c write~-z~1M~512k -c write~-zu~2M~512k -c discard~3M~256k -c write~-z~3M~64k a.qcow2",
    );
    for (megabytes, kilobytes) in [(1, 512), (2, 512), (3, 256)] {
        expected[megabytes << 20..][..kilobytes << 10].fill(0);
    }
    assert!(content(disk(folder.path(), true).expect("an image").as_mut()) == Ok(expected.clone()));
    written(folder.path(), &mut expected, "zero clusters");
}

#[test]
fn writes_leave_snapshots_inside_the_image_as_they_are() {
    if !there("snapshots inside qcow2") {
        return;
    }
    for variant in ["", "-c", "-o cluster_size=512", "-o cluster_size=4k,refcount_bits=8"] {
        let folder = tempfile::tempdir().expect("a folder");
        let first = original(3 << 20);
        fs::write(folder.path().join("a.raw"), &first).expect("a file");
        let line = format!("qemu-img convert -f raw -O qcow2 {variant} a.raw a.qcow2").replace("  ", " ");
        done(folder.path(), &line);
        done(folder.path(), "qemu-img snapshot -c one a.qcow2");
        let mut second = first.clone();
        written(folder.path(), &mut second, variant);
        done(folder.path(), "qemu-img snapshot -c two a.qcow2");
        let mut third = second.clone();
        written(folder.path(), &mut third, variant);
        assert!(third != second && second != first);
        for (name, content) in [("two", second), ("one", first)] {
            done(folder.path(), &format!("qemu-img convert -f qcow2 -O raw -l {name} a.qcow2 c.raw"));
            assert!(fs::read(folder.path().join("c.raw")).expect("a file") == content, "{variant}, {name}");
            done(folder.path(), &format!("qemu-img snapshot -d {name} a.qcow2"));
            sound(folder.path(), variant);
        }
        assert!(content(disk(folder.path(), true).expect("an image").as_mut()) == Ok(third));
    }
}

#[test]
fn a_chain_that_qemu_img_makes_reads_as_it_does_there() {
    if !there("chains of qcow2") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let lowest = original(2_000_384);
    fs::write(folder.path().join("a.raw"), &lowest).expect("a file");
    for line in [
        "qemu-img create -q -f qcow2 -b a.raw -F raw middle.qcow2",
        "qemu-io -f qcow2 -c write~-P~7~100k~300k -c write~-z~1M~128k middle.qcow2",
        "qemu-img create -q -f qcow2 -o cluster_size=4k -b middle.qcow2 -F qcow2 a.qcow2 3M",
        "qemu-io -f qcow2 -c write~-P~9~350k~100k -c write~-z~0~64k -c discard~500k~8k a.qcow2",
        "qemu-img convert -f qcow2 -O raw a.qcow2 expected.raw",
    ] {
        done(folder.path(), line);
    }
    let mut expected = fs::read(folder.path().join("expected.raw")).expect("a file");
    assert!(content(disk(folder.path(), true).expect("an image").as_mut()) == Ok(expected.clone()));
    written(folder.path(), &mut expected, "a chain");
    assert!(fs::read(folder.path().join("a.raw")).expect("a file") == lowest);
}

#[test]
fn what_qemu_img_marks_as_not_supported_is_refused_by_name() {
    if !there("refusals of qcow2") {
        return;
    }
    for (line, message) in [
        ("qemu-img create -q -f qcow2 -o extended_l2=on,cluster_size=128k a.qcow2 1M", "extended L2"),
        ("qemu-img create -q -f qcow2 -o data_file=data a.qcow2 1M", "external data file"),
        ("qemu-img create -q -f qcow2 -o compression_type=zstd a.qcow2 1M", "zstd"),
        (
            "qemu-img create -q -f qcow2 --object secret,id=s,data=x -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 a.qcow2 1M",
            "encrypted",
        ),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let (code, text) = tool(folder.path(), line);
        if code != Some(0) {
            // Not everybody's qemu-img can do all of it.
            eprintln!("{line}: {text}");
            continue;
        }
        let refused = disk(folder.path(), true).expect_err(message).to_string();
        assert!(refused.contains(message), "{refused}");
    }
}

#[test]
fn qemu_img_finds_our_own_blank_images_sound() {
    if !there("blank images of qcow2") {
        return;
    }
    for (version, cluster_bits, order) in
        [(2, 9, 4), (3, 9, 0), (3, 9, 6), (3, 12, 2), (3, 16, 5), (3, 21, 3)]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let mut expected = vec![0; 3 << 20];
        let shape = Shape { version, cluster_bits, order, size: expected.len() as u64 };
        fs::write(folder.path().join("a.qcow2"), blank(shape)).expect("a file");
        sound(folder.path(), "nothing written");
        written(folder.path(), &mut expected, &format!("{shape:?}"));
    }
}
