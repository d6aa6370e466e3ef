//! What reaches a machine from outside is recorded and repeats, on every engine and from snapshots.

use crate::support::{engines, floppy, machine, open_serial};
use iced_x86::code_asm::*;
use idem86::devices::ps2::MouseButtons;
use idem86::machine::registers::RegisterError;
use idem86::machine::snapshot::state::StateError;
use idem86::{
    ClockKind, DriveName, Ended, EngineKind, Input, InputError, Machine, Recording, Register, ReplayError,
    SnapshotError, Until,
};
use std::ops::ControlFlow;

/// A guest that copies what arrives at the keyboard and at COM1 to COM1, and stirs memory all the time, so that it is
/// never twice the same.
fn stirring() -> Vec<u8> {
    floppy(|a| {
        let (mut again, mut no_key, mut no_character) =
            (a.create_label(), a.create_label(), a.create_label());
        open_serial(a);
        a.set_label(&mut again).unwrap();
        // Time and chance: the timer's count goes into memory.
        a.in_(al, 0x40).unwrap();
        a.add(bl, al).unwrap();
        a.mov(byte_ptr(bx + 0x8000), bl).unwrap();
        a.inc(bh).unwrap();
        a.and(bh, 0x3F).unwrap();
        a.mov(ah, 1).unwrap();
        a.int(0x16).unwrap();
        a.jz(no_key).unwrap();
        a.xor(ah, ah).unwrap();
        a.int(0x16).unwrap();
        a.mov(dx, 0x3F8).unwrap();
        a.out(dx, al).unwrap();
        a.set_label(&mut no_key).unwrap();
        a.mov(dx, 0x3FD).unwrap();
        a.in_(al, dx).unwrap();
        a.test(al, 1).unwrap();
        a.jz(no_character).unwrap();
        a.mov(dx, 0x3F8).unwrap();
        a.in_(al, dx).unwrap();
        a.out(dx, al).unwrap();
        a.set_label(&mut no_character).unwrap();
        a.jmp(again).unwrap();
    })
}

fn fresh(engine: EngineKind) -> Machine {
    machine(engine, stirring()).build().unwrap()
}

/// Uses a machine in slices of about `slice` units of work, differently long.
fn run(machine: &mut Machine, millis: u64, slice: u64) {
    let end = machine.now() + idem86::GuestDuration::from_millis(millis);
    let mut n = 0;
    while machine.now() < end {
        n += 1;
        let left = end.since(machine.now());
        let until = Until::work(slice + n % 7).or(Until::time(left));
        assert!(matches!(machine.run_until(until).unwrap(), Ended::Work | Ended::Time));
    }
}

fn use_it(machine: &mut Machine, slice: u64, mut at_pause: impl FnMut(&mut Machine)) {
    run(machine, 700, slice);
    machine.type_text("abc").unwrap();
    machine.send_serial(0, b"0123456789012345678901234567890123456789").unwrap();
    run(machine, 45, slice);
    at_pause(machine);
    machine.input(Input::MoveMouse { right: 3, down: -2, wheel: 1 }).unwrap();
    machine.input(Input::Buttons(MouseButtons { left: true, ..MouseButtons::default() })).unwrap();
    machine.input(Input::Buttons(MouseButtons::default())).unwrap();
    machine.press("shift-x").unwrap();
    run(machine, 13, slice);
    at_pause(machine);
    machine.eject(DriveName::A).unwrap();
    machine.insert(DriveName::A, "the other one", stirring()).unwrap();
    machine.input(Input::Reset).unwrap();
    run(machine, 300, slice);
    at_pause(machine);
    machine.type_text("z").unwrap();
    run(machine, 400, slice);
}

fn medium(name: &str) -> Result<idem86::Disk, InputError> {
    assert_eq!(name, "the other one");
    Ok(stirring().into())
}

#[test]
fn the_state_does_not_depend_on_engine_or_slices() {
    let mut seen = Vec::new();
    for engine in engines() {
        for slice in [1_000_003, 77_777, 999] {
            let mut machine = fresh(engine);
            use_it(&mut machine, slice, |_| ());
            seen.push((machine.state_hash(), machine.counters().work, machine.serial_output(0)));
        }
    }
    assert!(seen.iter().all(|s| *s == seen[0]), "{seen:?}");
    let printed = &seen[0].2;
    for part in [b"abc".as_slice(), b"X", b"z"] {
        let found = printed.iter().filter(|c| part.contains(c)).count();
        assert_eq!(found, part.len(), "{}", printed.escape_ascii());
    }
}

#[test]
fn a_recording_repeats_on_every_engine_and_from_snapshots_on_the_way() {
    let mut original = fresh(engines()[0]);
    original.record().unwrap();
    let mut snapshots = Vec::new();
    use_it(&mut original, 31_337, |machine| snapshots.push(machine.snapshot().unwrap()));
    let recording = Recording::from_bytes(&original.recorded().unwrap().to_bytes()).unwrap();
    assert_eq!((recording.len(), snapshots.len()), (12, 3));
    for engine in engines() {
        let mut machine = fresh(engine);
        machine.replay(&recording, medium).unwrap();
        assert_eq!(machine.state_hash(), original.state_hash());
        for snapshot in &snapshots {
            let mut machine = snapshot.spawn_on(engine).unwrap();
            machine.replay(&recording, medium).unwrap();
        }
    }
}

#[test]
fn what_cannot_be_repeated_is_refused() {
    let mut original = fresh(engines()[0]);
    assert!(matches!(original.recorded(), Err(ReplayError::NotRecording)));
    original.record().unwrap();
    run(&mut original, 700, 100_000);
    original.type_text("a").unwrap();
    run(&mut original, 50, 100_000);
    let recording = original.recorded().unwrap();
    assert!(matches!(original.input(Input::Serial { port: 4, bytes: vec![] }), Err(InputError::NoPort(4))));

    let mut other = machine(engines()[0], vec![0; 1_474_560]).build().unwrap();
    other.run_until(Until::millis(1)).unwrap();
    assert!(other.replay(&recording, medium).is_err(), "another disk leads elsewhere");
    let mut larger = Machine::builder().memory(8 << 20).floppy(stirring()).build().unwrap();
    assert!(matches!(larger.replay(&recording, medium), Err(ReplayError::Differs { .. })));
    run(&mut original, 1, 100_000);
    assert!(matches!(original.replay(&recording, medium), Err(ReplayError::Behind)));
    let mut host = machine(engines()[0], stirring()).clock(ClockKind::Host).build().unwrap();
    assert!(matches!(host.record(), Err(ReplayError::Clock)));

    let bytes = recording.to_bytes();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert!(Recording::from_bytes(&damaged).is_err(), "byte {at}");
        assert!(Recording::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
    }
    assert_eq!(Recording::from_bytes(&bytes).unwrap(), recording);
}

#[test]
fn what_the_program_writes_is_recorded_too() {
    let mut original = fresh(engines()[0]);
    run(&mut original, 700, 50_000);
    let before = original.snapshot().unwrap();
    original.record().unwrap();
    assert!(original.is_recording());
    run(&mut original, 20, 50_000);
    original.write_physical(0x9000, b"by address");
    original.write_linear(0x20_0FFE, b"over pages").unwrap();
    run(&mut original, 20, 50_000);
    // From within a run: the hook is not needed to repeat it.
    let here = original.cpu.linear_ip() as u32;
    let mut calls = 0u8;
    let hook = original.hook_execution(here, move |machine| {
        calls += 1;
        machine.write_physical(0x9100, &[calls; 3]);
        machine.set_register(Register::Edi, u64::from(calls)).unwrap();
        ControlFlow::Continue(())
    });
    run(&mut original, 2, 50_000);
    assert!(original.unhook(hook));
    let mut state = original.cpu.save();
    state.simd.xmm[3] = [7; 16];
    original.set_processor(state.clone()).unwrap();
    state.retired += 1;
    assert!(matches!(original.set_processor(state), Err(RegisterError::Work { .. })));
    assert!(original.set_register(Register::Cr0, 1 << 31).is_err(), "what is refused is not recorded");
    run(&mut original, 20, 50_000);
    original.reset();
    run(&mut original, 300, 50_000);
    assert!(matches!(original.restore(&before), Err(SnapshotError::State(StateError::Recording))));
    let state = original.save_state();
    assert!(matches!(original.restore_state(&state), Err(StateError::Recording)));

    let recording = Recording::from_bytes(&original.recorded().unwrap().to_bytes()).unwrap();
    assert!(!original.is_recording() && recording.len() > 6, "{}", recording.len());
    for engine in engines() {
        let mut machine = before.spawn_on(engine).unwrap();
        let mut asked = 0;
        machine
            .replay_while(&recording, medium, |_| {
                asked += 1;
                true
            })
            .unwrap();
        assert_eq!(machine.state_hash(), original.state_hash());
        assert!(asked >= 30, "every ten milliseconds of 362: {asked}");
        let mut bytes = [0; 10];
        machine.read_physical(0x20_0FFE, &mut bytes);
        assert_eq!(&bytes, b"over pages");
    }
    let mut machine = before.spawn().unwrap();
    assert!(matches!(machine.replay_while(&recording, medium, |_| false), Err(ReplayError::Interrupted)));
    original.restore(&before).unwrap();
}

#[test]
fn what_is_written_past_the_machine_is_noticed() {
    let mut original = fresh(engines()[0]);
    original.record().unwrap();
    run(&mut original, 700, 50_000);
    let state = original.cpu.gpr.get::<u32>(idem86::cpu::state::gpr::DI);
    original.cpu.gpr.set(idem86::cpu::state::gpr::DI, state ^ 0x5555_0000);
    run(&mut original, 10, 50_000);
    let recording = original.recorded().unwrap();
    assert!(matches!(fresh(engines()[0]).replay(&recording, medium), Err(ReplayError::Differs { .. })));
}
