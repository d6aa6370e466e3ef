//! The characters of code page 437 in 8 by 16, 8 by 14 and 8 by 8 dots, all drawn for this project.
//!
//! Letters, digits and symbols are drawings in text files. Letters with accents are put together from a letter and an
//! accent, lines and blocks are computed. The characters of 14 rows are those of 16 with rows left out, and so are
//! those of 8 for which there is no drawing.

mod accents;
mod lines;

use accents::Places;
use std::sync::OnceLock;

/// Rows of a character cell.
type Cell = [u8; 16];

const TALL_DRAWINGS: &str = include_str!("tall.txt");
const SMALL_DRAWINGS: &str = include_str!("small.txt");

/// The first row that drawings of 16 rows have.
const FIRST_DRAWN_ROW: usize = 2;

/// Characters of 8 by 16: 256 of 16 bytes, a byte for each row, the leftmost dot in bit 7.
pub(crate) fn tall() -> &'static [u8; 4096] {
    static FONT: OnceLock<[u8; 4096]> = OnceLock::new();
    FONT.get_or_init(|| flatten(&tall_cells()))
}

/// Characters of 8 by 14.
pub(crate) fn medium() -> &'static [u8; 3584] {
    static FONT: OnceLock<[u8; 3584]> = OnceLock::new();
    FONT.get_or_init(|| {
        let tall = tall_cells();
        let mut cells = std::array::from_fn(|code| match code as u8 {
            code if lines::includes(code) => lines::cell::<14>(code),
            _ => medium_cell(&tall[code]),
        });
        accents::compose(&mut cells, Places { capital: 0, small: 1, below: 11 });
        flatten(&cells)
    })
}

/// Characters of 8 by 8.
pub(crate) fn small() -> &'static [u8; 2048] {
    static FONT: OnceLock<[u8; 2048]> = OnceLock::new();
    FONT.get_or_init(|| {
        let tall = tall_cells();
        let mut cells: [[u8; 8]; 256] = std::array::from_fn(|code| match code as u8 {
            code if lines::includes(code) => lines::cell::<8>(code),
            _ => small_cell(&tall[code]),
        });
        draw(SMALL_DRAWINGS, |code, row, dots| cells[code][row] = dots);
        accents::compose_small(&mut cells);
        inverse(&mut cells);
        flatten(&cells)
    })
}

fn flatten<const ROWS: usize, const BYTES: usize>(cells: &[[u8; ROWS]; 256]) -> [u8; BYTES] {
    let bytes = cells.as_flattened();
    std::array::from_fn(|n| bytes[n])
}

fn tall_cells() -> [Cell; 256] {
    let mut cells = [[0; 16]; 256];
    draw(TALL_DRAWINGS, |code, row, dots| cells[code][FIRST_DRAWN_ROW + row] = dots);
    for code in (0..=255).filter(|code| lines::includes(*code)) {
        cells[usize::from(code)] = lines::cell(code);
    }
    accents::compose(&mut cells, Places { capital: 0, small: 2, below: 12 });
    inverse(&mut cells);
    cells
}

/// The two characters that are others turned inside out.
fn inverse<const ROWS: usize>(cells: &mut [[u8; ROWS]; 256]) {
    for (code, of) in [(0x08, 0x07), (0x0A, 0x09)] {
        cells[code] = cells[of].map(|row| !row);
    }
}

/// Calls `put` for each row of each character in `drawings` with the code, the row's number and its dots.
fn draw(drawings: &str, mut put: impl FnMut(usize, usize, u8)) {
    for band in drawings.split('@').skip(1) {
        let mut lines = band.lines();
        let codes: Vec<usize> = lines
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .map(|code| usize::from_str_radix(code, 16).expect("a band begins with hexadecimal codes"))
            .collect();
        for (row, line) in lines.filter(|line| !line.is_empty()).enumerate() {
            for (code, columns) in codes.iter().zip(line.split_whitespace()) {
                let dots = columns.bytes().rev().fold(0, |dots, dot| dots >> 1 | u8::from(dot == b'#') << 7);
                put(*code, row, dots);
            }
        }
    }
}

/// How much two rows differ, in dots.
fn distance(a: u8, b: u8) -> u32 {
    (a ^ b).count_ones()
}

/// Leaves rows out until `rows` remain, of those that resemble their neighbours most.
fn shorten(rows: &mut Vec<u8>, to: usize) {
    while rows.len() > to {
        let middle = rows.len() / 2;
        let alike = |at: &usize| (distance(rows[at - 1], rows[*at]), at.abs_diff(middle));
        let most_alike = (1..rows.len()).min_by_key(alike);
        rows.remove(most_alike.unwrap_or(0));
    }
}

/// Rows of a cell by what is in them: above capitals; above small letters; small letters; below the line.
const ZONES: [std::ops::Range<usize>; 4] = [0..2, 2..5, 5..12, 12..16];

/// A cell whose zones were shortened to `heights`.
fn zoned<const ROWS: usize>(cell: &Cell, heights: [usize; 4]) -> [u8; ROWS] {
    let mut rows = Vec::new();
    for (zone, height) in ZONES.into_iter().zip(heights) {
        let mut part = cell[zone].to_vec();
        shorten(&mut part, height);
        rows.extend(part);
    }
    std::array::from_fn(|row| rows.get(row).copied().unwrap_or(0))
}

fn medium_cell(cell: &Cell) -> [u8; 14] {
    zoned(cell, [2, 2, 7, 3])
}

fn small_cell(cell: &Cell) -> [u8; 8] {
    zoned(cell, [0, 2, 5, 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Code points that have no dots: NUL, space and the no-break space.
    const BLANK: [usize; 3] = [0x00, 0x20, 0xFF];

    #[test]
    fn every_character_is_there_and_another() {
        fn check<const ROWS: usize>(font: &[u8]) {
            let cells: Vec<&[u8]> = font.chunks_exact(ROWS).collect();
            assert_eq!(cells.len(), 256);
            for (code, cell) in cells.iter().enumerate() {
                assert_eq!(
                    cell.iter().all(|row| *row == 0),
                    BLANK.contains(&code),
                    "{ROWS} rows, {code:02X}h"
                );
                let twin = cells[..code].iter().position(|other| other == cell);
                let same = twin.filter(|twin| !BLANK.contains(twin) && !same_by_nature(*twin, code));
                assert_eq!(same, None, "{ROWS} rows, {code:02X}h looks like another");
            }
        }
        check::<16>(tall());
        check::<14>(medium());
        check::<8>(small());
    }

    /// Characters that are hard to tell apart in so few dots.
    fn same_by_nature(a: usize, b: usize) -> bool {
        // The middle dot and the bullet operator; beta and sharp s are one character already.
        matches!((a, b), (0xF9, 0xFA) | (0x07, 0xF9))
    }

    #[test]
    fn columns_are_as_drawn() {
        // "1" begins with two dots in columns 2 and 3.
        assert_eq!(tall()[0x31 * 16 + 2], 0b0011_0000);
        assert_eq!(small()[0x4C * 8], 0b1100_0000);
    }

    #[test]
    fn capitals_stand_on_one_line() {
        for (font, rows, base) in [(&tall()[..], 16, 11), (&medium()[..], 14, 10), (&small()[..], 8, 6)] {
            for code in (b'A'..=b'Z').filter(|c| *c != b'Q') {
                let cell = &font[usize::from(code) * rows..][..rows];
                assert_ne!(cell[base], 0, "{}", char::from(code));
                assert!(cell[base + 1..].iter().all(|row| *row == 0), "{}", char::from(code));
            }
        }
    }
}
