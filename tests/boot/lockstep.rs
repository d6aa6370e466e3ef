//! Real guests on the translator beside the interpreter: registers compared every few instructions, and memory.

use crate::support::{BIOSES, builtin, guest, guest_bytes, say, snapshot};
use idem86::devices::time::{GuestDuration, GuestTime};
use idem86::firmware::loader::linux;
use idem86::machine::config::Config;
use idem86::machine::engine::{EngineKind, Options, Sensitive, Windows};
use idem86::machine::image::detect::ImageKind;
use idem86::machine::lockstep::{Ended, Grain, Lockstep};
use idem86::machine::machine::Machine;
use idem86::machine::script::Script;

/// As it is used; eager, without links, with windows at once; with an arena that is always full; callouts only; and
/// traps.
fn ways() -> [EngineKind; 5] {
    let used = Options::default();
    let translator = EngineKind::Translator;
    [
        translator(used),
        translator(Options { threshold: 0, chaining: false, windows: Windows::AtOnce, ..used }),
        translator(Options { threshold: 0, arena: 0, unit: 7, windows: Windows::Never, ..used }),
        translator(Options { sensitive: Sensitive::Callout, ..used }),
        EngineKind::Trap(Options::TRAP),
    ]
}

/// Does `steps` within `seconds` of guest time on both engines, or runs that long, and gives the work that was done.
fn compare(test: &str, engine: EngineKind, config: impl Fn() -> Config, steps: &[&str], seconds: u64) -> u64 {
    let mut lockstep = Lockstep::new(engine, Grain::default(), |engine| {
        let machine = Machine::new(Config { engine, ..config() })?;
        Ok::<_, Box<dyn std::error::Error>>((
            machine,
            Script::new(steps.iter().map(|s| s.parse().expect("a step")).collect()),
        ))
    });
    let until = GuestTime::ZERO + GuestDuration::from_millis(seconds * 1000);
    let report = lockstep.run(until).unwrap_or_else(|e| panic!("{test}, {engine:?}: {e}"));
    say(&test, &format_args!("{} units of work, compared {} times", report.work, report.compared));
    assert!(steps.is_empty() || report.ended == Ended::ScriptDone, "{test}: {:?}", report.ended);
    report.work
}

fn freedos(engine: EngineKind) {
    for (bios, machine) in BIOSES {
        let test = format!("FreeDOS in lockstep, {bios}");
        let Some(path) = guest(&test, "freedos722.img") else { return };
        if machine(&test, 16).is_none() {
            continue;
        }
        let config = || {
            let mut config = machine(&test, 16).expect("it was there before");
            config.floppies[0] = Some(snapshot(&path, ImageKind::Floppy));
            config
        };
        let steps = ["wait-screen ^A:.>$", "type dir\\n", "wait-screen bytes free"];
        assert!(compare(&test, engine, config, &steps, 60) > 3_000_000);
    }
}

#[test]
fn freedos_in_lockstep() {
    freedos(ways()[0]);
}

#[test]
#[ignore = "takes more than a minute"]
fn freedos_in_lockstep_in_other_ways() {
    ways()[1..].iter().for_each(|engine| freedos(*engine));
}

#[test]
#[ignore = "takes minutes"]
fn linux_in_lockstep() {
    let test = "Linux in lockstep";
    let (Some(kernel), Some(initrd)) =
        (guest_bytes(test, "installer/linux"), guest_bytes(test, "installer/initrd.gz"))
    else {
        return;
    };
    let config = || {
        let mut config = builtin(256);
        let line = "console=ttyS0 rdinit=/bin/sh";
        config.kernel =
            Some(linux::load(&kernel, Some(&initrd), line, config.memory).expect("it is a kernel"));
        config
    };
    for engine in ways() {
        assert!(compare(test, engine, config, &[], 6) > 300_000_000);
    }
}
