//! Snapshots of the built-in BIOS at work: it uses every device of the board within its first tenths of a second.

use super::state::StateError;
use crate::config::{Config, Firmware};
use crate::engine::{Engine, EngineKind, Options};
use crate::machine::Machine;
use idem86_devices::ps2::Keystroke;
use idem86_devices::time::{GuestDuration, GuestTime};

/// The engines of this host.
fn engines() -> impl Iterator<Item = EngineKind> {
    let all = [EngineKind::Interpreter, EngineKind::Translator(Options::default())];
    all.into_iter().filter(|kind| Engine::new(*kind).is_ok())
}

fn machine(engine: EngineKind) -> Machine {
    let config = Config { engine, ..Config::new(8 << 20, Firmware::Builtin) };
    let mut machine = Machine::new(config).expect("the configuration is sound");
    "Hello".chars().filter_map(Keystroke::typing).for_each(|stroke| machine.keyboard.stroke(stroke));
    machine
}

fn run(machine: &mut Machine, milliseconds: u64) {
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
    let damages: [(Damage, fn(&StateError) -> bool); 5] = [
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
