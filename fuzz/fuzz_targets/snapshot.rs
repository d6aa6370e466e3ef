//! Any bytes as a saved machine: `cargo fuzz run snapshot`. Checksums are put right first, so that what is behind them
//! is reached; a file that `Snapshot::write_to` wrote is a good first entry of the corpus.
#![no_main]

mod parts;

use idem86_devices::time::GuestDuration;
use idem86_machine::snapshot::{Bases, Snapshot};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    parts::mend(&mut bytes);
    if let Ok(snapshot) = Snapshot::read_from(&bytes[..], Bases::Nowhere)
        && let Ok(mut machine) = snapshot.spawn()
    {
        machine.run_to(machine.now() + GuestDuration::from_millis(1));
    }
});
