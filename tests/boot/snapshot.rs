//! Guests that are saved and restored while they run: what becomes of them must be what becomes of those that are left
//! alone.

use crate::support::{builtin, engines, guest, guest_bytes, say, snapshot};
use idem86::devices::ps2::Keystroke;
use idem86::devices::time::GuestTime;
use idem86::firmware::loader::linux;
use idem86::machine::config::Config;
use idem86::machine::engine::EngineKind;
use idem86::machine::image::detect::ImageKind;
use idem86::machine::machine::{Machine, Outcome};
use idem86::machine::snapshot::{Bases, Snapshot};

/// What a user types, and at which millisecond of guest time.
type Typing = [(u64, &'static str)];

/// Numbers that look random; a seed gives the same ones again.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn new(engine: EngineKind, config: Config) -> Machine {
    Machine::new(Config { engine, ..config }).expect("the configuration is sound")
}

fn type_text(machine: &mut Machine, text: &str) {
    text.chars().filter_map(Keystroke::typing).for_each(|stroke| machine.keyboard.stroke(stroke));
}

/// Runs to each of the moments `stops`, in nanoseconds, and types on the way; `at_stop` may exchange the machine.
fn run(
    mut machine: Machine,
    typing: &Typing,
    stops: impl IntoIterator<Item = u64>,
    mut at_stop: impl FnMut(Machine) -> Machine,
) -> Machine {
    let mut typing = typing.iter().peekable();
    for stop in stops {
        while let Some((at, text)) = typing.next_if(|(at, _)| at * 1_000_000 <= stop) {
            assert_eq!(machine.run_to(GuestTime::from_nanos(at * 1_000_000)), Outcome::Ran);
            type_text(&mut machine, text);
        }
        assert_eq!(machine.run_to(GuestTime::from_nanos(stop)), Outcome::Ran);
        machine = at_stop(machine);
    }
    machine
}

/// Runs a machine undisturbed to millisecond `end`, and then again with snapshots at random moments, each of which goes
/// on in another way.
fn goes_on_the_same(
    test: &str,
    config: impl Fn() -> Option<Config>,
    typing: &Typing,
    end: u64,
    snapshots: u64,
) {
    let engines = engines();
    let end = end * 1_000_000;
    let mut hashes = Vec::new();
    for engine in &engines {
        let Some(config) = config() else { return };
        let mut machine = run(new(*engine, config), typing, [end], |machine| machine);
        hashes.push(machine.state_hash());
    }
    let expected = hashes[0];
    for (engine, hash) in engines.iter().zip(&hashes) {
        assert_eq!(*hash, expected, "{}", engine.name());
    }
    let seed = std::env::var("IDEM86_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    let mut random = Random(seed);
    let mut stops: Vec<u64> = (0..snapshots).map(|_| random.below(end)).collect();
    stops.sort_unstable();
    stops.push(end);
    say(&test, &format_args!("IDEM86_SEED={seed}"));
    let mut directories = Vec::new();
    let machine = new(engines[0], config().expect("it was there before"));
    let mut machine = run(machine, typing, stops, |mut machine| {
        let mut snapshot = machine.snapshot().expect("media with overlays");
        let engine = engines[random.below(engines.len() as u64) as usize];
        match random.below(4) {
            // On another engine.
            0 => snapshot.spawn_on(engine).expect("memory"),
            // The same machine, after it went astray.
            1 => {
                type_text(&mut machine, "x");
                let astray = machine.now().as_nanos() + 1 + random.below(30_000_000);
                machine.run_to(GuestTime::from_nanos(astray));
                machine.restore(&snapshot).expect("its own snapshot");
                machine
            }
            // By way of bytes.
            2 => {
                let mut bytes = Vec::new();
                snapshot.write_to(&mut bytes).expect("a vector takes everything");
                let snapshot = Snapshot::read_from(&bytes[..], Bases::Anywhere).expect("what was written");
                snapshot.spawn_on(engine).expect("memory")
            }
            // By way of a directory.
            _ => {
                let directory = tempfile::tempdir().expect("a directory");
                machine.save(directory.path(), &mut |_, _| {}).expect("room");
                let snapshot = Snapshot::load(directory.path()).expect("what was saved");
                // Streams name the images in it.
                directories.push(directory);
                snapshot.spawn_on(engine).expect("memory")
            }
        }
    });
    assert_eq!(machine.state_hash(), expected, "IDEM86_SEED={seed}");
}

#[test]
fn freedos_goes_on_the_same_after_snapshots_at_random_points() {
    let test = "FreeDOS and snapshots";
    let config = || {
        let path = guest(test, "freedos722.img")?;
        let mut config = builtin(16);
        config.floppies[0] = Some(snapshot(&path, ImageKind::Floppy));
        Some(config)
    };
    let typing = [(3_000, "dir\n"), (3_500, "echo Hello There>x.txt\n"), (4_500, "type x.txt\n")];
    goes_on_the_same(test, config, &typing, 6_000, 12);
}

#[test]
#[ignore = "takes minutes"]
fn linux_goes_on_the_same_after_snapshots_at_random_points() {
    let test = "Linux and snapshots";
    let config = || {
        let (kernel, initrd) =
            (guest_bytes(test, "installer/linux")?, guest_bytes(test, "installer/initrd.gz")?);
        let mut config = builtin(256);
        let line = "console=ttyS0 rdinit=/bin/sh";
        let loaded = linux::load(&kernel, Some(&initrd), line, config.memory).expect("it is a kernel");
        config.kernel = Some(loaded);
        Some(config)
    };
    goes_on_the_same(test, config, &[], 20_000, 6);
}
