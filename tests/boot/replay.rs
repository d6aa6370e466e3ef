//! Runs that repeat exactly: with the same inputs at the same guest times, on every engine, however the machine is run,
//! and from snapshots on the way.

use crate::support::{Session, builtin, engines, guest, guest_bytes, say, snapshot};
use idem86::devices::backend::MemoryMedium;
use idem86::firmware::loader::linux;
use idem86::machine::config::{Config, IdeDrive};
use idem86::machine::image::detect::ImageKind;
use idem86::machine::machine::Machine;
use idem86::{InputError, Recording, Snapshot, Until};

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
