//! Saved machines in streams and directories, whole and damaged.

use super::format::{Reader, Writer};
use super::tests::{engines, run};
use super::{Bases, FormatError, LoadError, Snapshot, StorageError, VmDirectory};
use crate::config::{Config, Firmware, IdeDrive};
use crate::engine::EngineKind;
use crate::image::qcow2::tests::support::{Shape, blank};
use crate::image::{ImageOptions, detect::ImageKind, open};
use crate::machine::Machine;
use idem86_devices::backend::MemoryMedium;
use idem86_devices::ide::Slot;
use idem86_devices::ps2::Keystroke;
use std::fs;
use std::path::Path;

const SECTOR: [u8; 512] = [0xC3; 512];

/// A machine with every kind of medium that can be saved, amid its POST. Its disk's image is in `directory`.
fn machine(directory: &Path) -> Machine {
    let path = directory.join("disk.img");
    fs::write(&path, vec![0x11; 1 << 20]).expect("a file");
    let options = ImageOptions { snapshot: true, ..ImageOptions::new(&path) };
    let disc = ImageOptions { read_only: true, ..ImageOptions::new(&path) };
    let mut config = Config::new(8 << 20, Firmware::Builtin);
    config.floppies[0] = Some(Box::new(MemoryMedium::new(vec![0; 1_474_560])));
    config.floppies[1] = Some(Box::new(MemoryMedium::new(vec![7; 368_640]).write_protected()));
    config.ide[0] = Some(IdeDrive::Disk(open(&options, ImageKind::Disk).expect("the image")));
    config.ide[1] = Some(IdeDrive::Cdrom(None));
    config.ide[2] = Some(IdeDrive::Cdrom(Some(open(&disc, ImageKind::Disk).expect("the image"))));
    let mut machine = Machine::new(config).expect("the configuration is sound");
    machine.board.enable_debug_exit(0xF4);
    machine.board.floppy.medium(0).expect("a diskette").write(512, &SECTOR).expect("in range");
    machine.board.ide.medium(Slot::ALL[0]).expect("a disk").write(99 * 512, &SECTOR).expect("in range");
    run(&mut machine, 40);
    Keystroke::typing('x').into_iter().for_each(|stroke| machine.keyboard.stroke(stroke));
    run(&mut machine, 7);
    machine
}

fn stream(snapshot: &mut Snapshot) -> Vec<u8> {
    let mut bytes = Vec::new();
    snapshot.write_to(&mut bytes).expect("a vector takes everything");
    bytes
}

#[test]
fn a_machine_goes_on_from_a_stream_on_every_engine() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut machine = machine(dir.path());
    let bytes = stream(&mut machine.snapshot().expect("media that can be saved"));
    assert!(bytes.len() < 2 << 20, "zeros are left out: {} bytes", bytes.len());
    let start = machine.state_hash();
    run(&mut machine, 50);
    let end = machine.state_hash();
    let mut snapshot = Snapshot::read_from(&bytes[..], Bases::Anywhere).expect("what was written");
    assert_eq!(stream(&mut snapshot), bytes, "nothing was lost");
    for engine in engines() {
        let mut machine = snapshot.spawn_on(engine).expect("memory");
        assert_eq!(machine.state_hash(), start);
        run(&mut machine, 50);
        assert_eq!(machine.state_hash(), end, "{}", engine.name());
    }
    for bases in [Bases::Nowhere, Bases::Within(dir.path())] {
        let refused = Snapshot::read_from(&bytes[..], bases).expect_err("it names its image by a whole path");
        assert!(matches!(refused, LoadError::Outside(_)), "{refused}");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("the directory") {
        let (from, name) = entry.map(|e| (e.path(), e.file_name())).expect("an entry");
        match from.is_dir() {
            true => copy(&from, &to.join(name)),
            false => _ = fs::copy(&from, to.join(name)).expect("a file"),
        }
    }
}

#[test]
fn a_directory_is_all_that_a_machine_needs() {
    let dir = tempfile::tempdir().expect("a directory");
    let (here, there) = (dir.path().join("vm"), dir.path().join("elsewhere"));
    let mut machine = machine(dir.path());
    let mut directory = VmDirectory::create(&here).expect("a new directory");
    let mut steps = Vec::new();
    let mut snapshot = machine.snapshot().expect("media that can be saved");
    directory.save(&mut snapshot, &mut |done, all| steps.push((done, all))).expect("room");
    assert!(steps.last().is_some_and(|(done, all)| done == all && *all > 0));
    let start = machine.state_hash();
    assert!(matches!(VmDirectory::open(&here), Err(StorageError::InUse(_))));
    drop((machine, snapshot, directory));
    fs::remove_file(dir.path().join("disk.img")).expect("the image");
    copy(&here, &there);
    fs::remove_dir_all(&here).expect("the directory");
    let mut directory = VmDirectory::open(&there).expect("a copy of it");
    let mut machine = directory.load().and_then(|snapshot| Ok(snapshot.spawn()?)).expect("whole");
    assert_eq!(machine.state_hash(), start);
    run(&mut machine, 20);
    // Saved again over the one it runs from.
    let later = machine.state_hash();
    directory.save(&mut machine.snapshot().expect("its media"), &mut |_, _| {}).expect("room");
    run(&mut machine, 20);
    let mut again = directory.load().and_then(|snapshot| Ok(snapshot.spawn()?)).expect("whole");
    assert_eq!(again.state_hash(), later);
    run(&mut again, 20);
    assert_eq!(again.state_hash(), machine.state_hash());
    let images = fs::read_dir(there.join("images")).expect("images").count();
    assert_eq!(images, 1, "one image, whatever it is used for and however often it is saved");
    let toml = fs::read_to_string(there.join("machine.toml")).expect("for people to read");
    assert!(toml.contains("memory = 8388608") && toml.contains("debug_exit = 244"), "{toml}");
}

#[test]
fn a_qcow2_image_is_named_in_a_stream_and_its_content_copied_into_a_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("disk.qcow2");
    fs::write(&path, blank(Shape { version: 3, cluster_bits: 16, order: 4, size: 4 << 20 })).expect("a file");
    let mut image = open(&ImageOptions::new(&path), ImageKind::Disk).expect("the image");
    image.write(1 << 20, &SECTOR).expect("in range");
    drop(image);
    let options = ImageOptions { snapshot: true, ..ImageOptions::new(&path) };
    let mut config = Config::new(8 << 20, Firmware::Builtin);
    config.ide[0] = Some(IdeDrive::Disk(open(&options, ImageKind::Disk).expect("the image")));
    let mut machine = Machine::new(config).expect("the configuration is sound");
    machine.board.ide.medium(Slot::ALL[0]).expect("a disk").write(99 * 512, &SECTOR).expect("in range");
    let whole = |machine: &mut Machine| {
        let mut bytes = vec![0; 4 << 20];
        machine.board.ide.medium(Slot::ALL[0]).expect("a disk").read(0, &mut bytes).expect("in range");
        bytes
    };
    let expected = whole(&mut machine);
    assert_eq!(expected.iter().filter(|byte| **byte == SECTOR[0]).count(), 1024);
    let bytes = stream(&mut machine.snapshot().expect("media that can be saved"));
    let load = |bases| Snapshot::read_from(&bytes[..], bases);
    let mut again = load(Bases::Anywhere).expect("what was written").spawn().expect("memory");
    assert!(whole(&mut again) == expected);
    assert_eq!(stream(&mut again.snapshot().expect("its media")), bytes);
    assert!(matches!(load(Bases::Within(dir.path())), Err(LoadError::Outside(_))));
    // Even where the image is in the directory: what is saved there is raw.
    let here = dir.path().join("vm");
    let mut directory = VmDirectory::create(&here).expect("a new directory");
    fs::rename(&path, here.join("disk.qcow2")).expect("the same disk");
    directory.save(&mut again.snapshot().expect("its media"), &mut |_, _| {}).expect("room");
    drop((machine, again));
    fs::remove_file(here.join("disk.qcow2")).expect("the image");
    let mut loaded = directory.load().and_then(|snapshot| Ok(snapshot.spawn()?)).expect("whole");
    assert!(whole(&mut loaded) == expected);
    let copy = fs::read(here.join("images/disk.qcow2")).expect("the content");
    assert_eq!((copy.len(), copy[1 << 20]), (4 << 20, SECTOR[0]));
}

#[test]
fn the_former_snapshot_stays_whole_when_saving_fails_or_is_cut_short() {
    let dir = tempfile::tempdir().expect("a directory");
    let here = dir.path().join("vm");
    let mut machine = machine(dir.path());
    let mut directory = VmDirectory::create(&here).expect("a new directory");
    directory.save(&mut machine.snapshot().expect("its media"), &mut |_, _| {}).expect("room");
    let hash = machine.state_hash();
    let loads = |directory: &VmDirectory| {
        let mut machine = directory.load().and_then(|snapshot| Ok(snapshot.spawn()?)).expect("whole");
        assert_eq!(machine.state_hash(), hash);
    };
    run(&mut machine, 5);
    // What a save that was cut short amid its files leaves.
    fs::create_dir(here.join("snapshot.new")).expect("a directory");
    fs::write(here.join("snapshot.new/state"), b"half").expect("a file");
    loads(&directory);
    fs::remove_dir_all(here.join("snapshot.new")).expect("a directory");
    // Nothing can be written there.
    fs::write(here.join("snapshot.new"), b"in the way").expect("a file");
    let mut snapshot = machine.snapshot().expect("its media");
    assert!(matches!(directory.save(&mut snapshot, &mut |_, _| {}), Err(StorageError::Io { .. })));
    loads(&directory);
    fs::remove_file(here.join("snapshot.new")).expect("a file");
    // Between the two renamings.
    fs::rename(here.join("snapshot"), here.join("snapshot.old")).expect("a directory");
    loads(&directory);
    drop(directory);
    let mut directory = VmDirectory::open(&here).expect("a saved machine");
    directory.save(&mut snapshot, &mut |_, _| {}).expect("room");
    assert!(!here.join("snapshot.old").exists() && here.join("snapshot/ram").exists());
}

#[test]
fn damaged_memory_is_refused_even_after_it_was_found_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let here = dir.path().join("vm");
    let mut machine = machine(dir.path());
    let mut directory = VmDirectory::create(&here).expect("a new directory");
    directory.save(&mut machine.snapshot().expect("its media"), &mut |_, _| {}).expect("room");
    let ram = here.join("snapshot/ram");
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    let file = fs::File::options().write(true).open(&ram).expect("the file");
    file.set_modified(old).expect("a time");
    directory.load().expect("whole");
    assert!(here.join("checked").exists());
    let good = fs::read(&ram).expect("the file");
    let mut bad = good.clone();
    bad[0x500] ^= 4;
    fs::write(&ram, bad).expect("the file");
    let refused = directory.load().expect_err("it is damaged").to_string();
    assert!(refused.ends_with("damaged: the checksum of memory is wrong"), "{refused}");
    fs::write(&ram, &good[..good.len() - 1]).expect("the file");
    let refused = directory.load().expect_err("it is damaged").to_string();
    assert!(refused.ends_with("it ends too early") && !refused.contains('\n'), "{refused}");
    fs::write(&ram, &good).expect("the file");
    directory.load().expect("whole again");
    fs::write(here.join("snapshot/state"), b"#!/bin/sh\necho").expect("the file");
    let refused = directory.load().expect_err("it is something else").to_string();
    assert!(refused.ends_with("not a saved machine"), "{refused}");
    drop(directory);
    assert!(matches!(VmDirectory::open(dir.path().join("nothing")), Err(StorageError::Empty(_))));
}

/// Numbers that are different every time; the same in every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

#[test]
fn whatever_a_stream_holds_nothing_panics() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut machine = machine(dir.path());
    let good = stream(&mut machine.snapshot().expect("media that can be saved"));
    let mut parts = Vec::new();
    let mut reader = Reader::new(&good[..]).expect("what was written");
    while let Some(part) = reader.part().expect("what was written") {
        parts.push(part);
    }
    let rounds = std::env::var("IDEM86_FUZZ_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(1500);
    let mut noise = Noise(0x1DE86);
    let (mut loaded, mut ran) = (0, 0);
    for round in 0..rounds {
        // With checksums that are right, so that what is behind them is reached.
        let damaged = (!noise.next().is_multiple_of(4)).then(|| {
            loop {
                let n = noise.next() as usize % parts.len();
                // Memory may hold anything.
                if &parts[n].0 != b"PAGE" && !parts[n].1.is_empty() {
                    break n;
                }
            }
        });
        let mut writer = Writer::new(Vec::new()).expect("a vector");
        for (n, (tag, content)) in parts.iter().enumerate() {
            let mut content = content.clone();
            if damaged == Some(n) || damaged.is_none() && tag == b"STAT" {
                for _ in 0..=noise.next() % 3 {
                    let at = noise.next() as usize % content.len();
                    match noise.next() % 8 {
                        0 => content.truncate(at.max(1)),
                        1 => content[at] = 0xFF,
                        2 => content[at] = 0,
                        _ => content[at] ^= 1 << (noise.next() % 8),
                    }
                }
            }
            writer.part(*tag, &content).expect("a vector");
        }
        let bytes = writer.end().expect("a vector");
        let Ok(snapshot) = Snapshot::read_from(&bytes[..], Bases::Within(dir.path()))
            .or_else(|_| Snapshot::read_from(&bytes[..], Bases::Anywhere))
        else {
            continue;
        };
        loaded += 1;
        if let Ok(mut machine) = snapshot.spawn_on(EngineKind::Interpreter) {
            ran += 1;
            run(&mut machine, 1 + round % 3);
        }
    }
    assert!(loaded > rounds / 10 && ran > rounds / 20, "{loaded} loaded and {ran} ran of {rounds}");
    // Damage that nobody has signed.
    for _ in 0..rounds {
        let mut bytes = good.clone();
        match noise.next() % 4 {
            0 => bytes.truncate(noise.next() as usize % good.len()),
            _ => bytes[noise.next() as usize % good.len()] ^= 1 << (noise.next() % 8),
        }
        let refused = Snapshot::read_from(&bytes[..], Bases::Anywhere).expect_err("it is damaged");
        assert!(
            matches!(
                refused,
                LoadError::Format(
                    FormatError::Foreign
                        | FormatError::Version(_)
                        | FormatError::Truncated
                        | FormatError::Damaged(_)
                )
            ),
            "{refused}"
        );
    }
}
