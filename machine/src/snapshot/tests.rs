//! Snapshots of the built-in BIOS at work: it uses every device of the board within its first tenths of a second.

use super::SnapshotError;
use super::state::StateError;
use crate::config::{Config, Firmware, IdeDrive};
use crate::engine::{Engine, EngineKind, Options, Windows};
use crate::image::{ImageOptions, detect::ImageKind, open};
use crate::machine::Machine;
use idem86_devices::access::DmaMemory;
use idem86_devices::backend::{Medium, MemoryMedium};
use idem86_devices::ide::Slot;
use idem86_devices::ps2::Keystroke;
use idem86_devices::time::{GuestDuration, GuestTime};
use std::collections::BTreeSet;

/// The engines of this host.
pub(super) fn engines() -> impl Iterator<Item = EngineKind> {
    let in_windows = Options { windows: Windows::AtOnce, ..Options::default() };
    let translators = [Options::default(), in_windows].map(EngineKind::Translator);
    let all = [EngineKind::Interpreter].into_iter().chain(translators);
    all.filter(|kind| Engine::new(*kind).is_ok())
}

pub(super) fn machine(engine: EngineKind) -> Machine {
    let config = Config { engine, ..Config::new(8 << 20, Firmware::Builtin) };
    let mut machine = Machine::new(config).expect("the configuration is sound");
    "Hello".chars().filter_map(Keystroke::typing).for_each(|stroke| machine.keyboard.stroke(stroke));
    machine
}

pub(super) fn run(machine: &mut Machine, milliseconds: u64) {
    let until = machine.now() + GuestDuration::from_millis(milliseconds);
    machine.run_to(until);
}

#[test]
fn a_state_goes_on_the_same_on_every_engine() {
    let mut whole = machine(EngineKind::Interpreter);
    run(&mut whole, 83);
    let (middle, state) = (whole.state_hash(), whole.save_state());
    let memory = whole.slab.to_vec();
    run(&mut whole, 60);
    let end = whole.state_hash();
    assert_ne!(middle, end);
    for engine in engines() {
        let mut part = machine(engine);
        run(&mut part, 20);
        part.slab.copy_from_slice(&memory);
        part.restore_state(&state).expect("a machine of the same parts");
        assert_eq!(part.save_state(), state);
        assert_eq!(part.state_hash(), middle);
        run(&mut part, 60);
        assert_eq!(part.state_hash(), end, "{}", engine.name());
    }
}

#[test]
fn a_refused_state_changes_nothing() {
    let mut other = machine(EngineKind::Interpreter);
    run(&mut other, 50);
    let good = other.save_state();
    let mut machine = machine(EngineKind::Interpreter);
    run(&mut machine, 90);
    let before = machine.state_hash();
    type Damage = fn(&mut super::state::MachineState);
    type Kind = fn(&StateError) -> bool;
    let damages: [(Damage, Kind); 5] = [
        (|s| s.parts[0] *= 2, |e| matches!(e, StateError::Parts { .. })),
        (|s| s.cpu.eflags = 0, |e| matches!(e, StateError::Cpu(_))),
        (|s| s.now = GuestTime::MAX, |e| matches!(e, StateError::Time(_))),
        // Of the last ones to be restored.
        (|s| s.board.debug_console = vec![0; 1 << 20], |e| matches!(e, StateError::Device(_))),
        (|s| s.board.write_only.push((1 << 40, 0)), |e| matches!(e, StateError::WriteOnly(_))),
    ];
    for (damage, kind) in damages {
        let mut state = good.clone();
        damage(&mut state);
        let error = machine.restore_state(&state).expect_err("it is damaged");
        assert!(kind(&error), "{error}");
        assert_eq!(machine.state_hash(), before);
    }
    run(&mut machine, 10);
    let mut undisturbed = self::machine(EngineKind::Interpreter);
    run(&mut undisturbed, 90);
    run(&mut undisturbed, 10);
    assert_eq!(machine.state_hash(), undisturbed.state_hash());
}

#[test]
fn restored_in_place_a_machine_does_the_same_again() {
    for engine in engines() {
        let mut machine = machine(engine);
        run(&mut machine, 47);
        let snapshot = machine.snapshot().expect("nothing in the drives");
        let start = machine.state_hash();
        run(&mut machine, 60);
        let end = machine.state_hash();
        assert_ne!(start, end);
        for time in [60, 1, 25, 60, 140] {
            machine.restore(&snapshot).expect("its own snapshot");
            assert_eq!(machine.state_hash(), start);
            run(&mut machine, time);
            if time == 60 {
                assert_eq!(machine.state_hash(), end, "{}", engine.name());
            }
        }
    }
}

#[test]
fn snapshots_of_one_machine_are_restored_in_any_order() {
    for engine in engines() {
        let mut machine = machine(engine);
        let mut kept = Vec::new();
        for _ in 0..3 {
            run(&mut machine, 31);
            kept.push((machine.snapshot().expect("nothing in the drives"), machine.state_hash()));
        }
        for n in [0, 2, 1, 1, 0, 2] {
            run(&mut machine, 9);
            let (snapshot, hash) = &kept[n];
            machine.restore(snapshot).expect("its own snapshot");
            assert_eq!(machine.state_hash(), *hash, "{}, snapshot {n}", engine.name());
        }
        // Those of a fork have another origin as soon as its memory had to be copied.
        let mut fork = kept[1].0.spawn().expect("memory");
        assert_eq!(fork.state_hash(), kept[1].1);
        fork.restore(&kept[2].0).expect("a snapshot of its parent");
        assert_eq!(fork.state_hash(), kept[2].1);
    }
}

#[test]
fn forks_are_independent_of_each_other() {
    let kinds: Vec<EngineKind> = engines().collect();
    let mut parent = machine(kinds[kinds.len() - 1]);
    run(&mut parent, 45);
    let snapshot = parent.snapshot().expect("nothing in the drives");
    let start = parent.state_hash();
    let mut forks: Vec<Machine> =
        kinds.iter().map(|engine| snapshot.spawn_on(*engine).expect("memory")).collect();
    drop(snapshot);
    forks.push(parent.fork().expect("nothing in the drives"));
    for fork in &mut forks {
        assert_eq!(fork.state_hash(), start);
        run(fork, 70);
    }
    assert_eq!(parent.state_hash(), start);
    run(&mut parent, 70);
    let end = parent.state_hash();
    drop(parent);
    for fork in &mut forks {
        assert_eq!(fork.state_hash(), end);
    }
}

#[test]
fn a_snapshot_is_restored_in_place_only_where_the_hardware_is_the_same() {
    let mut first = machine(EngineKind::Interpreter);
    run(&mut first, 45);
    let snapshot = first.snapshot().expect("nothing in the drives");
    let mut other = Machine::new(Config::new(16 << 20, Firmware::Builtin)).expect("a sound configuration");
    let before = other.state_hash();
    assert!(matches!(other.restore(&snapshot), Err(SnapshotError::OtherMachine)));
    assert_eq!(other.state_hash(), before);
    let mut same = machine(EngineKind::Interpreter);
    same.restore(&snapshot).expect("the same hardware");
    run(&mut first, 70);
    run(&mut same, 70);
    assert_eq!(same.state_hash(), first.state_hash());
}

#[test]
fn media_go_back_and_part_with_the_machine() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("disk.img");
    std::fs::write(&path, vec![0; 1 << 20]).expect("a file");
    let options = ImageOptions { snapshot: true, ..ImageOptions::new(&path) };
    let mut config = Config::new(8 << 20, Firmware::Builtin);
    config.floppies[0] = Some(Box::new(MemoryMedium::new(vec![0; 1_474_560])));
    config.ide[0] = Some(IdeDrive::Disk(open(&options, ImageKind::Disk).expect("the image")));
    let mut machine = Machine::new(config).expect("the configuration is sound");
    type Access = fn(&mut Machine) -> &mut Box<dyn Medium>;
    let media: [Access; 2] = [
        |m| m.board.floppy.medium(0).expect("a diskette"),
        |m| m.board.ide.medium(Slot::ALL[0]).expect("a disk"),
    ];
    let write = |machine: &mut Machine, value: u8| {
        media.iter().for_each(|medium| medium(machine).write(512, &[value; 512]).expect("in range"));
    };
    let read = |machine: &mut Machine| {
        media.map(|medium| {
            let mut byte = [0];
            medium(machine).read(700, &mut byte).expect("in range");
            byte[0]
        })
    };
    write(&mut machine, 1);
    let snapshot = machine.snapshot().expect("media that can be forked");
    let hash = machine.state_hash();
    write(&mut machine, 2);
    assert_ne!(machine.state_hash(), hash);
    let mut fork = snapshot.spawn().expect("memory");
    assert_eq!(read(&mut fork), [1, 1]);
    assert_eq!(fork.state_hash(), hash);
    write(&mut fork, 3);
    machine.restore(&snapshot).expect("its own snapshot");
    assert_eq!((read(&mut machine), read(&mut fork)), ([1, 1], [3, 3]));
    assert_eq!(machine.state_hash(), hash);
    // A diskette that was taken out is there again.
    machine.board.floppy.eject(0);
    machine.restore(&snapshot).expect("its own snapshot");
    assert_eq!(machine.state_hash(), hash);
}

#[test]
fn an_image_that_is_written_in_place_cannot_be_in_a_snapshot() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("disk.img");
    std::fs::write(&path, vec![0; 1 << 20]).expect("a file");
    let with = |options: ImageOptions| {
        let mut config = Config::new(8 << 20, Firmware::Builtin);
        config.ide[1] = Some(IdeDrive::Disk(open(&options, ImageKind::Disk).expect("the image")));
        Machine::new(config).expect("the configuration is sound")
    };
    let error = with(ImageOptions::new(&path)).snapshot().expect_err("it can be had only once");
    assert_eq!(
        error.to_string(),
        "hdb: an image that is written in place cannot be in a snapshot; use snapshot=on or readonly=on"
    );
    with(ImageOptions { read_only: true, ..ImageOptions::new(&path) }).snapshot().expect("a read-only image");
}

#[test]
fn whatever_changes_in_memory_is_in_the_log_of_writes() {
    for engine in engines() {
        let mut machine = machine(engine);
        let mut floppy = vec![0; 1_474_560];
        // JMP to itself.
        floppy[..2].copy_from_slice(&[0xEB, 0xFE]);
        floppy[510..512].copy_from_slice(&[0x55, 0xAA]);
        machine.board.floppy.insert(0, Box::new(MemoryMedium::new(floppy))).expect("the drive is empty");
        machine.cpu.track_writes(machine.slab.len());
        let mut pages = 0;
        for round in 0..40u64 {
            let before = machine.slab.to_vec();
            // Shadow RAM that reads as ROM, and a bus master.
            machine.board.write_only.push((0xC_8000 + 0x1000 * (round % 8), round as u8 + 1));
            machine.memory().write(0x30_0FFF + 0x2000 * round, &[1, 2]);
            run(&mut machine, 4);
            let written: BTreeSet<usize> =
                machine.cpu.written_pages().iter().map(|page| *page as usize).collect();
            for (page, (old, new)) in before.chunks(4096).zip(machine.slab.chunks(4096)).enumerate() {
                assert!(old == new || written.contains(&page), "{}: page {page:#x}", engine.name());
            }
            pages += written.len();
            machine.cpu.forget_writes();
        }
        assert!(pages > 40 * 3, "the guest wrote itself too");
    }
}
