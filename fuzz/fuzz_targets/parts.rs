//! The parts of a saved machine, whose checksums a fuzzer would never guess.

#![allow(dead_code, reason = "each target uses a part")]

use xxhash_rust::xxh3::xxh3_128;

/// Magic and version.
const HEADER: usize = 12;
/// Tag and length of a part.
const HEAD: usize = 12;
/// The checksum of a part.
const SUM: usize = 16;

/// Where the content of the part ends that `rest` begins with, if it is whole.
fn end_of_part(rest: &[u8]) -> Option<usize> {
    let length = rest.get(4..HEAD)?.first_chunk::<8>()?;
    let end = usize::try_from(u64::from_le_bytes(*length)).ok()?.checked_add(HEAD)?;
    (end.checked_add(SUM)? <= rest.len()).then_some(end)
}

/// Writes the checksum that each part should have, as far as there are whole parts.
pub fn mend(bytes: &mut [u8]) {
    let mut rest = bytes.get_mut(HEADER..).unwrap_or_default();
    while let Some(end) = end_of_part(rest) {
        let sum = xxh3_128(&rest[..end]).to_le_bytes();
        rest[end..end + SUM].copy_from_slice(&sum);
        rest = &mut rest[end + SUM..];
    }
}

/// `sound` with `content` in its first part.
pub fn with_first(sound: &[u8], content: &[u8]) -> Vec<u8> {
    let (header, rest) = sound.split_at(HEADER);
    let end = end_of_part(rest).expect("a sound file");
    let length = (content.len() as u64).to_le_bytes();
    let mut bytes = [header, &rest[..4], &length, content, &[0; SUM], &rest[end + SUM..]].concat();
    mend(&mut bytes);
    bytes
}
