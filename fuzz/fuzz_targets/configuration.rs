//! Any text as the configuration of a saved machine: `cargo fuzz run configuration --
//! -dict=dictionaries/configuration`. It stands in place of `machine.toml` in an otherwise sound snapshot.
#![no_main]

mod parts;

use idem86_machine::machine::Machine;
use idem86_machine::snapshot::{Bases, Snapshot};
use std::sync::LazyLock;

/// A sound snapshot.
static SOUND: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut machine = Machine::builder().memory(1 << 20).empty_cdrom_at('c').build().expect("a machine");
    let mut bytes = Vec::new();
    machine.snapshot().expect("nothing is in its drives").write_to(&mut bytes).expect("room");
    bytes
});

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    let bytes = parts::with_first(&SOUND, text);
    if let Ok(snapshot) = Snapshot::read_from(&bytes[..], Bases::Nowhere) {
        let _ = snapshot.spawn();
    }
});
