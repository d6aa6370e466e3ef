//! Any bytes as a saved machine: `cargo fuzz run snapshot`. Checksums are put right first, so that what is behind them is
//! reached; a file that `Snapshot::write_to` wrote is a good first entry of the corpus.
#![no_main]

use idem86_devices::time::GuestDuration;
use idem86_machine::snapshot::{Bases, Snapshot};
use xxhash_rust::xxh3::xxh3_128;

/// Magic and version.
const HEADER: usize = 12;
/// Tag and length of a part.
const HEAD: usize = 12;
/// The checksum of a part.
const SUM: usize = 16;

/// Writes the checksum that each part should have, as far as there are whole parts.
fn mend(bytes: &mut [u8]) {
    let mut rest = bytes.get_mut(HEADER..).unwrap_or_default();
    while let Some(length) = rest.get(4..HEAD).and_then(|length| length.first_chunk::<8>()) {
        let Ok(length) = usize::try_from(u64::from_le_bytes(*length)) else { return };
        let Some(end) = length.checked_add(HEAD).filter(|end| end + SUM <= rest.len()) else { return };
        let sum = xxh3_128(&rest[..end]).to_le_bytes();
        rest[end..end + SUM].copy_from_slice(&sum);
        rest = &mut rest[end + SUM..];
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    mend(&mut bytes);
    if let Ok(snapshot) = Snapshot::read_from(&bytes[..], Bases::Nowhere)
        && let Ok(mut machine) = snapshot.spawn()
    {
        machine.run_to(machine.now() + GuestDuration::from_millis(1));
    }
});
