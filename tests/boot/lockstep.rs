//! Real guests on the translator beside the interpreter: registers compared behind each translation unit or, with units
//! linked as they are in use, every few instructions; and memory.

use crate::support::{BIOSES, Maker, builtin, guest, guest_bytes, say, seabios, snapshot};
use idem86::devices::time::{GuestDuration, GuestTime};
use idem86::firmware::loader::linux;
use idem86::machine::config::Config;
use idem86::machine::engine::{Chaining, EngineKind, Options, Sensitive, Windows};
use idem86::machine::image::detect::ImageKind;
use idem86::machine::lockstep::{Ended, Grain, Lockstep, Report};
use idem86::machine::machine::Machine;
use idem86::machine::script::Script;

/// From the first instruction on.
const AT_EACH_UNIT: Grain = Grain::Unit(GuestTime::ZERO);

/// As it is used; eager, without links, with windows at once; with an arena that is always full; callouts only; and
/// traps.
fn ways() -> [EngineKind; 5] {
    let used = Options::default();
    let translator = EngineKind::Translator;
    [
        translator(used),
        translator(Options { threshold: 0, chaining: Chaining::Unlinked, windows: Windows::AtOnce, ..used }),
        translator(Options { threshold: 0, arena: 0, unit: 7, windows: Windows::Never, ..used }),
        translator(Options { sensitive: Sensitive::Callout, ..used }),
        EngineKind::Trap(Options::TRAP),
    ]
}

/// Does `steps` within `millis` of guest time on both engines, or runs that long, and gives the work that was done.
fn compare(
    test: &str,
    (engine, grain): (EngineKind, Grain),
    config: impl Fn() -> Config,
    steps: &[&str],
    millis: u64,
) -> Report {
    let mut lockstep = Lockstep::new(engine, grain, |engine| {
        let machine = Machine::new(Config { engine, ..config() })?;
        Ok::<_, Box<dyn std::error::Error>>((
            machine,
            Script::new(steps.iter().map(|s| s.parse().expect("a step")).collect()),
        ))
    });
    let until = GuestTime::ZERO + GuestDuration::from_millis(millis);
    let report = lockstep.run(until).unwrap_or_else(|e| panic!("{test}, {engine:?}: {e}"));
    say(&test, &format_args!("{} units of work, compared {} times", report.work, report.compared));
    assert!(steps.is_empty() || report.ended == Ended::ScriptDone, "{test}: {:?}", report.ended);
    // A unit takes 64 instructions at most.
    assert!(grain != AT_EACH_UNIT || report.compared > report.work / 64, "{test}: {report:?}");
    report
}

fn freedos(how: (EngineKind, Grain), bioses: &[(&str, Maker)]) {
    for (bios, machine) in bioses {
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
        assert!(compare(&test, how, config, &steps, 60_000).work > 3_000_000);
    }
}

#[test]
fn freedos_in_lockstep() {
    freedos((ways()[0], Grain::Work), &BIOSES);
}

#[test]
fn freedos_in_lockstep_at_each_unit() {
    // SeaBIOS does 190 million units of work until the prompt.
    freedos((ways()[0], AT_EACH_UNIT), &BIOSES[..1]);
}

#[test]
#[ignore = "takes more than a minute"]
fn freedos_in_lockstep_in_other_ways() {
    for engine in &ways()[1..] {
        freedos((*engine, Grain::Work), &BIOSES);
        freedos((*engine, AT_EACH_UNIT), &BIOSES[..1]);
    }
    freedos((ways()[0], AT_EACH_UNIT), &BIOSES[1..]);
}

#[test]
#[ignore = "takes minutes"]
fn linux_in_lockstep() {
    linux_boots("Linux in lockstep", &ways().map(|engine| (engine, Grain::Work)), 6000);
}

#[test]
fn seabios_in_lockstep_at_each_unit() {
    let test = "SeaBIOS in lockstep at each unit";
    let Some(_) = seabios(test, 16) else { return };
    let config = || seabios(test, 16).expect("it was there before");
    assert!(compare(test, (ways()[0], AT_EACH_UNIT), config, &[], 50).work > 3_000_000);
}

#[test]
#[ignore = "takes minutes"]
fn linux_in_lockstep_at_each_unit() {
    // The first is the kernel that unpacks itself, the second the one that runs.
    for from in [0, 9500] {
        let grain = Grain::Unit(GuestTime::ZERO + GuestDuration::from_millis(from));
        linux_boots("Linux in lockstep at each unit", &[(ways()[0], grain)], from + 1500);
    }
}

/// Runs Linux for so many milliseconds of guest time.
fn linux_boots(test: &str, ways: &[(EngineKind, Grain)], millis: u64) {
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
    for (engine, grain) in ways {
        assert!(compare(test, (*engine, *grain), config, &[], millis).work > 300_000_000);
    }
}
