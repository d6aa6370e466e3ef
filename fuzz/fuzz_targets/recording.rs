//! Any bytes as a recording of inputs: `cargo fuzz run recording`. They stand behind the moment at which the recording
//! begins, which is that of a real machine, and before a checksum that is right; what can be read is repeated.
#![no_main]

use idem86_devices::time::GuestDuration;
use idem86_machine::input::recording::Recording;
use idem86_machine::input::{DriveName, InputError};
use idem86_machine::machine::Machine;
use idem86_machine::snapshot::Snapshot;
use std::cell::RefCell;
use xxhash_rust::xxh3::xxh3_64;

/// Magic and version.
const HEADER: usize = 12;
/// How long a repeated run may be.
const LONGEST: GuestDuration = GuestDuration::from_millis(2);

struct Host {
    machine: Machine,
    fresh: Snapshot,
    /// What each recording of it begins with.
    head: Vec<u8>,
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::new({
        let builder = Machine::builder().memory(1 << 20).empty_cdrom_at('c');
        let mut machine = builder.build().expect("a machine");
        let fresh = machine.snapshot().expect("nothing is in its drives");
        machine.record().expect("the virtual clock");
        let recorded = machine.recorded().expect("it was begun");
        let start = postcard::to_stdvec(&recorded.start()).expect("plain data").len();
        Host { machine, fresh, head: recorded.to_bytes()[..HEADER + start].to_vec() }
    });
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Recording::from_bytes(bytes);
    HOST.with_borrow_mut(|Host { machine, fresh, head }| {
        let mut file = [head, bytes].concat();
        file.extend(xxh3_64(&file).to_le_bytes());
        let Ok(recording) = Recording::from_bytes(&file) else { return };
        assert_eq!(Recording::from_bytes(&recording.to_bytes()).expect("what was written"), recording);
        machine.restore(fresh).expect("its own snapshot");
        if recording.end().now <= machine.now() + LONGEST {
            let _ = machine.replay(&recording, |name| {
                let drive = if name.len() % 2 == 0 { DriveName::A } else { DriveName::Cdrom(2) };
                match name.is_empty() {
                    true => Err(InputError::Drive(drive, "no such medium".into())),
                    false => Ok(vec![0; name.len() << 11].into()),
                }
            });
        }
    });
});
