//! Runs that repeat exactly: with the same inputs at the same guest times, on every engine, however the machine is run,
//! and from snapshots on the way.

use crate::support::{Session, builtin, engines, guest, guest_bytes, say, snapshot};
use idem86::devices::backend::MemoryMedium;
use idem86::firmware::loader::linux;
use idem86::machine::config::{Config, IdeDrive};
use idem86::machine::image::detect::ImageKind;
use idem86::machine::machine::Machine;
use idem86::{InputError, Recording, Snapshot, Until};
use std::path::Path;
use std::process::Command;

/// A generator of chance (xorshift64): snapshots are taken at moments that nobody chose.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Records what `steps` do with a machine, and repeats it: from the beginning on every engine, and
/// from snapshots that were taken after some of the steps and at random moments between.
fn repeats(test: &str, config: impl Fn() -> Option<Config>, steps: &[&str], seconds: u64) {
    let (Some(first), mut chance) = (config(), Chance(0x1DE8_6000 + seconds)) else { return };
    let recorder = *engines().last().expect("one engine runs everywhere");
    let mut session = Session::new(test, recorder, first);
    session.machine.record().expect("the clock is virtual");
    let mut snapshots = Vec::new();
    for step in steps {
        session.steps(&[step], seconds);
        let work = chance.below(2_000_000);
        session.machine.run_until(Until::work(work)).expect("it has no sinks");
        snapshots.push(session.machine.snapshot().expect("its media can be copied"));
    }
    let recording = session.machine.recorded().expect("it was begun");
    let recording = Recording::from_bytes(&recording.to_bytes()).expect("it was not touched");
    let end = session.machine.state_hash();
    drop(session);

    let no_media = |_: &str| -> Result<idem86::Disk, InputError> { unreachable!("none was put in") };
    for engine in engines() {
        let mut machine = Machine::new(Config { engine, ..config().expect("as before") }).expect("as before");
        machine.replay(&recording, no_media).unwrap_or_else(|e| panic!("{test} on {}: {e}", engine.name()));
        assert_eq!(machine.state_hash(), end);
        let chosen: [&Snapshot; 2] =
            std::array::from_fn(|_| &snapshots[chance.below(snapshots.len() as u64) as usize]);
        for snapshot in chosen {
            let mut machine = snapshot.spawn_on(engine).expect("as before");
            machine
                .replay(&recording, no_media)
                .unwrap_or_else(|e| panic!("{test} on {} from {:?}: {e}", engine.name(), snapshot.now()));
            assert_eq!(machine.state_hash(), end);
        }
        say(&test, &format_args!("repeated on {}, {} inputs, state {end}", engine.name(), recording.len()));
    }
}

#[test]
fn freedos_repeats_exactly() {
    let test = "FreeDOS repeats";
    let Some(path) = guest(test, "freedos722.img") else { return };
    let config = || {
        let mut config = builtin(16);
        config.floppies[0] = Some(snapshot(&path, ImageKind::Floppy));
        Some(config)
    };
    let steps =
        ["wait-screen ^A:.>$", "type ver\\ndir *.com\\n", "wait-screen bytes free", "type echo a>b.txt\\n"];
    repeats(test, config, &steps, 30);
}

/// `idem86 run` of the FreeDOS diskette on `engine`. Gives what it says of the recording: the state's hash.
fn command(image: &Path, engine: &str, rest: &[&str]) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_idem86"));
    program.arg("run").arg(image).args(["--memory", "16M", "--display", "none", "--timeout", "600"]);
    let out = program.args(["--engine", engine]).args(rest).output().expect("the program starts");
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{text}");
    let line = text.lines().find(|line| line.contains("inputs were")).unwrap_or_else(|| panic!("{text}"));
    line.rsplit(' ').next().expect("a hash").to_owned()
}

#[test]
fn a_session_is_recorded_and_repeated_by_the_command() {
    let test = "FreeDOS recorded by the command";
    let Some(image) = guest(test, "freedos722.img") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("session.rec");
    let file = path.to_str().expect("a name");
    let image_before = std::fs::read(&image).expect("the image");
    let steps = [
        "--record",
        file,
        "--do",
        "wait-screen ^A:.>$",
        "--do",
        "type echo recorded>x.txt\\ntype x.txt\\n",
        "--do",
        "wait-screen ^recorded$",
        "--do",
        "key shift-z",
        "--do",
        "sleep 0.05",
    ];
    let recorder = engines().last().expect("one engine runs everywhere").name();
    let recorded = command(&image, recorder, &steps);
    assert_eq!(std::fs::read(&image).expect("the image"), image_before, "it is left alone");
    for engine in engines() {
        let shown = folder.path().join("screen.txt");
        let show = format!("screen-text {}", shown.display());
        let repeated = command(&image, engine.name(), &["--replay", file, "--do", &show]);
        assert_eq!(repeated, recorded, "on {}", engine.name());
        let screen = std::fs::read_to_string(&shown).expect("the step was done");
        assert!(screen.lines().any(|line| line.trim_end() == "recorded"), "{screen}");
    }
    say(&test, &format_args!("state {recorded}"));
    // Another machine is refused.
    let mut program = Command::new(env!("CARGO_BIN_EXE_idem86"));
    let out = program.arg("run").arg(&image).args(["--memory", "32M", "--display", "none", "--replay", file]);
    let out = out.output().expect("the program starts");
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!((out.status.code(), text.lines().count()), (Some(1), 1), "{text}");
    assert!(text.contains("the machine is not the one that was recorded"), "{text}");
}

#[test]
#[ignore = "takes minutes"]
fn linux_repeats_exactly() {
    let test = "Linux repeats";
    let (Some(kernel), Some(initrd)) =
        (guest_bytes(test, "installer/linux"), guest_bytes(test, "installer/initrd.gz"))
    else {
        return;
    };
    let config = || {
        let mut config = builtin(512);
        config.ide[0] = Some(IdeDrive::Disk(Box::new(MemoryMedium::new(vec![0; 8 << 20]))));
        let command_line = "console=ttyS0 rdinit=/bin/sh";
        config.kernel =
            Some(linux::load(&kernel, Some(&initrd), command_line, config.memory).expect("it is one"));
        Some(config)
    };
    let steps = [
        "wait-serial ~ # ",
        "send-serial mount -t proc proc /proc; cat /proc/interrupts\\n",
        "wait-serial (?s)timer.*~ # ",
        "send-serial sleep 1; uname -a\\n",
        "wait-serial i686.*\\n",
    ];
    repeats(test, config, &steps, 120);
}
