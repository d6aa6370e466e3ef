//! A machine with a desk, run by the test's thread while peers work with it.

use idem86::devices::time::GuestDuration;
use idem86::machine::engine::{Engine, EngineKind};
use idem86::machine::machine::Machine;
use idem86::machine::remote::{Desk, Turn};
use std::time::{Duration, Instant};

/// Longer than any peer needs on a host that has other things to do: it ends tests that hang.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// The engines that this host can run.
pub fn engines() -> Vec<EngineKind> {
    EngineKind::all().into_iter().filter(|kind| Engine::new(*kind).is_ok()).collect()
}

/// Waits until `happened`, which the thread that runs the machine brings about.
///
/// # Panics
/// If it does not happen.
pub fn wait(mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < PATIENCE, "it does not happen");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs the machine until `done`, which is asked after every turn. Gives the last turn.
///
/// # Panics
/// If that takes longer than any peer needs.
pub fn run(machine: &mut Machine, desk: &mut Desk, mut done: impl FnMut(&mut Machine) -> bool) -> Turn {
    let start = Instant::now();
    loop {
        let turn = desk.turn(machine, GuestDuration::from_millis(1));
        if done(machine) || !matches!(turn, Turn::Ran | Turn::Stood) {
            return turn;
        }
        assert!(start.elapsed() < PATIENCE, "the peer does not come to an end");
    }
}
