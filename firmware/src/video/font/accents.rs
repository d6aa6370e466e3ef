//! Letters with accents, put together.

/// What is put on or under a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accent {
    Grave,
    Acute,
    Circumflex,
    Diaeresis,
    Tilde,
    Ring,
    Cedilla,
}

use Accent::*;

impl Accent {
    /// Two rows of dots, above a letter or below it.
    const fn rows(self) -> [u8; 2] {
        match self {
            Grave => [0b0110_0000, 0b0001_1000],
            Acute => [0b0000_1100, 0b0011_0000],
            Circumflex => [0b0011_1000, 0b0110_1100],
            Diaeresis => [0b0110_1100, 0b0000_0000],
            Tilde => [0b0111_0110, 0b1101_1100],
            Ring => [0b0011_1000, 0b0010_1000],
            Cedilla => [0b0001_1000, 0b0111_0000],
        }
    }

    /// One row, where there is no more room.
    const fn row(self) -> u8 {
        match self {
            Grave => 0b0110_0000,
            Acute => 0b0001_1000,
            Circumflex => 0b0011_1000,
            Ring => 0b0001_0000,
            Diaeresis => 0b0110_1100,
            Tilde => 0b0111_0110,
            Cedilla => 0b0011_0000,
        }
    }
}

/// Codes of the characters, their letters and accents. The letter i loses its dot.
const COMPOSED: [(u8, u8, Accent); 31] = [
    (0x80, b'C', Cedilla),
    (0x81, b'u', Diaeresis),
    (0x82, b'e', Acute),
    (0x83, b'a', Circumflex),
    (0x84, b'a', Diaeresis),
    (0x85, b'a', Grave),
    (0x86, b'a', Ring),
    (0x87, b'c', Cedilla),
    (0x88, b'e', Circumflex),
    (0x89, b'e', Diaeresis),
    (0x8A, b'e', Grave),
    (0x8B, b'i', Diaeresis),
    (0x8C, b'i', Circumflex),
    (0x8D, b'i', Grave),
    (0x8E, b'A', Diaeresis),
    (0x8F, b'A', Ring),
    (0x90, b'E', Acute),
    (0x93, b'o', Circumflex),
    (0x94, b'o', Diaeresis),
    (0x95, b'o', Grave),
    (0x96, b'u', Circumflex),
    (0x97, b'u', Grave),
    (0x98, b'y', Diaeresis),
    (0x99, b'O', Diaeresis),
    (0x9A, b'U', Diaeresis),
    (0xA0, b'a', Acute),
    (0xA1, b'i', Acute),
    (0xA2, b'o', Acute),
    (0xA3, b'u', Acute),
    (0xA4, b'n', Tilde),
    (0xA5, b'N', Tilde),
];

/// Where accents go: the first of two rows above capitals, above small letters, and below.
pub(super) struct Places {
    pub capital: usize,
    pub small: usize,
    pub below: usize,
}

/// Puts letters and accents together in characters with room for both.
pub(super) fn compose<const ROWS: usize>(cells: &mut [[u8; ROWS]; 256], places: Places) {
    for (code, letter, accent) in COMPOSED {
        let mut cell = cells[usize::from(letter)];
        let at = match accent {
            Cedilla => places.below,
            _ if letter.is_ascii_uppercase() => places.capital,
            _ => places.small,
        };
        if letter == b'i' {
            cell[..at + 2].fill(0);
        }
        cell[at..at + 2].copy_from_slice(&accent.rows());
        cells[usize::from(code)] = cell;
    }
}

/// The same in 8 rows: small letters begin in row 2; a capital loses a row to its accent.
pub(super) fn compose_small(cells: &mut [[u8; 8]; 256]) {
    for (code, letter, accent) in COMPOSED {
        let mut cell = cells[usize::from(letter)];
        if letter == b'i' {
            cell[0] = 0;
        }
        if accent == Cedilla {
            cell[7] = accent.row();
        } else if letter.is_ascii_uppercase() {
            let mut rows = cell[..7].to_vec();
            super::shorten(&mut rows, 6);
            cell[1..7].copy_from_slice(&rows);
            cell[0] = accent.row();
        } else {
            cell[0] = accent.row();
        }
        cells[usize::from(code)] = cell;
    }
}
