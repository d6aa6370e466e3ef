//! IDENTIFY data: the words that disks and packet devices fill alike. ATA/ATAPI-6, "IDENTIFY DEVICE" and
//! "IDENTIFY PACKET DEVICE".

use super::Identity;
use super::modes::DmaMode;
use super::spec::SECTOR;
use std::ops::Range;

/// Bit 14 of words 50, 83, 84, 87 and 93 says that the word means something.
pub(super) const VALID: u16 = 1 << 14;
/// Word 93: an 80-conductor cable.
const CBLID: u16 = 1 << 13;
/// Either half of word 93: the number came from a jumper, diagnostics passed.
const DEVICE_0: u16 = 1 << 3 | 1 << 1 | 1;
const DEVICE_0_SAW_1: u16 = 1 << 5 | 1 << 4;
const DEVICE_1: u16 = 1 << 11 | 1 << 9 | 1 << 8;

/// Where a drive sits on its cable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    pub is_device_1: bool,
    pub has_neighbour: bool,
}

/// The 256 words.
pub(super) struct Words(pub [u16; 256]);

impl Words {
    /// What every drive of ours says: who it is, where it sits, and how it moves data.
    pub fn new(identity: &Identity, position: Position, dma: DmaMode) -> Self {
        let mut words = Words([0; 256]);
        words.text(10..20, &identity.serial);
        words.text(23..27, &identity.firmware);
        words.text(27..47, &identity.model);
        let (multiword, ultra) = match dma {
            DmaMode::Multiword(mode) => (Some(mode), None),
            DmaMode::Ultra(mode) => (None, Some(mode)),
        };
        words.0[63] = modes(DmaMode::MULTIWORD_MODES, multiword);
        // PIO modes 3 and 4; all cycle times 120 ns.
        words.0[64] = 3;
        words.0[65..69].fill(120);
        words.0[88] = modes(DmaMode::ULTRA_MODES, ultra);
        words.0[93] = VALID | CBLID;
        words.0[93] |= match position {
            Position { is_device_1: true, .. } => DEVICE_1,
            Position { has_neighbour: true, .. } => DEVICE_0 | DEVICE_0_SAW_1,
            _ => DEVICE_0,
        };
        words
    }

    /// Puts a text as ATA wants it: the first character in the high byte, padded with blanks.
    fn text(&mut self, at: Range<usize>, text: &str) {
        let mut bytes = printable(text);
        for word in &mut self.0[at] {
            let mut next = || bytes.next().unwrap_or(b' ');
            *word = u16::from_be_bytes([next(), next()]);
        }
    }

    /// Puts a number of two words, the low one first.
    pub fn dword(&mut self, at: usize, value: u32) {
        self.0[at] = value as u16;
        self.0[at + 1] = (value >> 16) as u16;
    }

    /// The words as bytes, with the signature and checksum of word 255: all bytes add up to zero.
    pub fn into_bytes(self) -> [u8; SECTOR] {
        let mut bytes = [0; SECTOR];
        for (pair, word) in bytes.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&word.to_le_bytes());
        }
        bytes[510] = 0xA5;
        bytes[511] = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte));
        bytes
    }
}

/// The characters of `text`; what is not printable ASCII becomes `?`.
pub(super) fn printable(text: &str) -> impl Iterator<Item = u8> {
    text.chars().map(|c| if matches!(c, ' '..='~') { c as u8 } else { b'?' })
}

/// The number of modes and the chosen one, as words 63 and 88 have them.
fn modes(count: u8, chosen: Option<u8>) -> u16 {
    let supported = (1u16 << count) - 1;
    supported | chosen.map_or(0, |mode| 1 << (8 + mode))
}
