//! IDENTIFY DEVICE: what a disk says of itself. ATA/ATAPI-6, "IDENTIFY DEVICE".

use super::settings::{DmaMode, Settings};
use super::{Geometry, Identity};
use crate::ide::spec::{MAX_MULTIPLE, SECTOR};

/// The most sectors that 28-bit commands can count.
const MAX_LBA28_SECTORS: u64 = 0x0FFF_FFFF;

/// Word 0: an ATA device that is not removable.
const GENERAL: u16 = 0x0040;
/// Word 2: complete, and needs no SET FEATURES to spin up.
const COMPLETE: u16 = 0xC837;
/// Word 49: LBA, DMA, IORDY that can be disabled. Standby timer values are our own: there is no timer.
const CAPABILITIES: u16 = 1 << 11 | 1 << 10 | 1 << 9 | 1 << 8;
/// Word 82: NOP, look-ahead, write cache, power management.
const COMMANDS_82: u16 = 1 << 14 | 1 << 6 | 1 << 5 | 1 << 3;
const LOOK_AHEAD: u16 = 1 << 6;
const WRITE_CACHE: u16 = 1 << 5;
/// Words 83 and 86: FLUSH CACHE (EXT), 48-bit addresses.
const COMMANDS_83: u16 = 1 << 13 | 1 << 12 | 1 << 10;
/// Bit 14 of words 50, 83, 84, 87 and 93 says that the word means something.
const VALID: u16 = 1 << 14;
/// Word 93: an 80-conductor cable.
const CBLID: u16 = 1 << 13;
/// Either half of word 93: the number came from a jumper, diagnostics passed.
const DEVICE_0: u16 = 1 << 3 | 1 << 1 | 1;
const DEVICE_0_SAW_1: u16 = 1 << 5 | 1 << 4;
const DEVICE_1: u16 = 1 << 11 | 1 << 9 | 1 << 8;

/// Puts `text` into words as ATA wants it: first character in the high byte, padded with blanks, what is
/// not printable ASCII as `?`.
pub(in crate::ide) fn put_text(words: &mut [u16], text: &str) {
    let mut characters = text.chars().map(|c| if matches!(c, ' '..='~') { c as u8 } else { b'?' });
    for word in words {
        let mut next = || characters.next().unwrap_or(b' ');
        *word = u16::from_be_bytes([next(), next()]);
    }
}

fn put_dword(words: &mut [u16; 256], at: usize, value: u32) {
    words[at] = value as u16;
    words[at + 1] = (value >> 16) as u16;
}

/// The number of modes and the chosen one, as words 63 and 88 have them.
fn modes(count: u8, chosen: Option<u8>) -> u16 {
    let supported = (1u16 << count) - 1;
    supported | chosen.map_or(0, |mode| 1 << (8 + mode))
}

/// Who else is on the cable, as word 93 tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::ide) struct Position {
    pub is_device_1: bool,
    pub has_neighbour: bool,
}

/// The 512 bytes of IDENTIFY DEVICE for a disk of `capacity` sectors.
pub(super) fn identify(
    identity: &Identity,
    default: Geometry,
    settings: &Settings,
    capacity: u64,
    position: Position,
) -> [u8; SECTOR] {
    let mut w = [0u16; 256];
    w[0] = GENERAL;
    w[1] = default.cylinders;
    w[2] = COMPLETE;
    w[3] = u16::from(default.heads);
    w[6] = u16::from(default.sectors);
    put_text(&mut w[10..20], &identity.serial);
    put_text(&mut w[23..27], &identity.firmware);
    put_text(&mut w[27..47], &identity.model);
    w[47] = 0x8000 | u16::from(MAX_MULTIPLE);
    w[49] = CAPABILITIES;
    w[50] = VALID;
    w[51] = 2 << 8;
    // Words 54 to 58, 64 to 70 and 88 are valid.
    w[53] = 7;
    let current = settings.geometry;
    w[54] = current.cylinders;
    w[55] = u16::from(current.heads);
    w[56] = u16::from(current.sectors);
    put_dword(&mut w, 57, current.capacity());
    w[59] = if settings.multiple == 0 { 0 } else { 0x100 | u16::from(settings.multiple) };
    put_dword(&mut w, 60, capacity.min(MAX_LBA28_SECTORS) as u32);
    let (multiword, ultra) = match settings.dma {
        DmaMode::Multiword(mode) => (Some(mode), None),
        DmaMode::Ultra(mode) => (None, Some(mode)),
    };
    w[63] = modes(3, multiword);
    // PIO modes 3 and 4; all cycle times 120 ns.
    w[64] = 3;
    w[65..69].fill(120);
    // ATA-3 to ATA/ATAPI-6.
    w[80] = 0x78;
    w[82] = COMMANDS_82;
    w[83] = VALID | COMMANDS_83;
    w[84] = VALID;
    w[85] = COMMANDS_82 & !(LOOK_AHEAD | WRITE_CACHE);
    w[85] |= if settings.look_ahead { LOOK_AHEAD } else { 0 };
    w[85] |= if settings.write_cache { WRITE_CACHE } else { 0 };
    w[86] = COMMANDS_83;
    w[87] = VALID;
    w[88] = modes(6, ultra);
    w[93] = VALID | CBLID;
    w[93] |= match position {
        Position { is_device_1: true, .. } => DEVICE_1,
        Position { has_neighbour: true, .. } => DEVICE_0 | DEVICE_0_SAW_1,
        _ => DEVICE_0,
    };
    put_dword(&mut w, 100, capacity as u32);
    put_dword(&mut w, 102, (capacity >> 32) as u32);

    let mut bytes = [0; SECTOR];
    for (pair, word) in bytes.chunks_exact_mut(2).zip(w) {
        pair.copy_from_slice(&word.to_le_bytes());
    }
    // Word 255: a signature, and a checksum that makes all bytes add up to zero.
    bytes[510] = 0xA5;
    let sum = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    bytes[511] = sum.wrapping_neg();
    bytes
}
