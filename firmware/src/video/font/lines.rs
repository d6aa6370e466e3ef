//! Shades, lines, blocks and the halves of the integral sign, which must join with their neighbours and are therefore
//! computed.

/// Whether a character is one of these.
pub(super) const fn includes(code: u8) -> bool {
    matches!(code, 0xB0..=0xDF | 0xF4 | 0xF5)
}

/// How a line leaves the middle of a cell in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arm {
    None,
    Single,
    Double,
}

/// The arms of characters B3h to DAh: up, right, down, left, as 0 (none), 1 (single) or 2 (double).
const ARMS: [[u8; 4]; 0xDA - 0xB3 + 1] = [
    [1, 0, 1, 0],
    [1, 0, 1, 1],
    [1, 0, 1, 2],
    [2, 0, 2, 1],
    [0, 0, 2, 1],
    [0, 0, 1, 2],
    [2, 0, 2, 2],
    [2, 0, 2, 0],
    [0, 0, 2, 2],
    [2, 0, 0, 2],
    [2, 0, 0, 1],
    [1, 0, 0, 2],
    [0, 0, 1, 1],
    [1, 1, 0, 0],
    [1, 1, 0, 1],
    [0, 1, 1, 1],
    [1, 1, 1, 0],
    [0, 1, 0, 1],
    [1, 1, 1, 1],
    [1, 2, 1, 0],
    [2, 1, 2, 0],
    [2, 2, 0, 0],
    [0, 2, 2, 0],
    [2, 2, 0, 2],
    [0, 2, 2, 2],
    [2, 2, 2, 0],
    [0, 2, 0, 2],
    [2, 2, 2, 2],
    [1, 2, 0, 2],
    [2, 1, 0, 1],
    [0, 2, 1, 2],
    [0, 1, 2, 1],
    [2, 1, 0, 0],
    [1, 2, 0, 0],
    [0, 2, 1, 0],
    [0, 1, 2, 0],
    [2, 1, 2, 1],
    [1, 2, 1, 2],
    [1, 0, 0, 1],
    [0, 1, 1, 0],
];

/// The cell of such a character, in `ROWS` rows.
pub(super) fn cell<const ROWS: usize>(code: u8) -> [u8; ROWS] {
    match code {
        0xB0 => std::array::from_fn(|row| if row % 2 == 0 { 0b0010_0010 } else { 0b1000_1000 }),
        0xB1 => std::array::from_fn(|row| if row % 2 == 0 { 0b0101_0101 } else { 0b1010_1010 }),
        0xB2 => std::array::from_fn(|row| if row % 2 == 0 { 0b1101_1101 } else { 0b0111_0111 }),
        0xB3..=0xDA => box_drawing(ARMS[usize::from(code - 0xB3)].map(|arm| match arm {
            0 => Arm::None,
            1 => Arm::Single,
            _ => Arm::Double,
        })),
        0xDB => [0xFF; ROWS],
        0xDC => std::array::from_fn(|row| if row >= ROWS / 2 { 0xFF } else { 0 }),
        0xDD => [0xF0; ROWS],
        0xDE => [0x0F; ROWS],
        0xF4 => integral(|row| row),
        0xF5 => integral(|row| ROWS - 1 - row).map(u8::reverse_bits),
        _ => std::array::from_fn(|row| if row < ROWS / 2 { 0xFF } else { 0 }),
    }
}

/// The upper half of the integral sign; `from_top` turns it upside down.
fn integral<const ROWS: usize>(from_top: impl Fn(usize) -> usize) -> [u8; ROWS] {
    let hook = ROWS / 8;
    std::array::from_fn(|row| match from_top(row) {
        row if row < hook => 0,
        row if row == hook => 0b0000_1110,
        row if row == hook + 1 => 0b0001_1011,
        _ => 0b0001_1000,
    })
}

/// Which of the lines of an arm: the only one, or that on the left or upper, or right or lower side of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Track {
    Centre,
    Low,
    High,
}

impl Arm {
    fn tracks(self) -> &'static [Track] {
        match self {
            Arm::None => &[],
            Arm::Single => &[Track::Centre],
            Arm::Double => &[Track::Low, Track::High],
        }
    }
}

/// Where an arm's line ends, at the lines of an arm across: the first that it meets, or the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Near(Arm),
    Far(Arm),
}

impl End {
    /// The coordinate, where two lines across are at `first` and `last` as seen along the arm, a single one at
    /// `middle`.
    fn at(self, first: usize, middle: usize, last: usize) -> usize {
        match self {
            End::Near(Arm::Double) => first,
            End::Far(Arm::Double) => last,
            _ => middle,
        }
    }
}

/// Where a line ends whose arm has an arm `opposite`, and `low` and `high` across on the sides of its tracks.
fn end(track: Track, opposite: Arm, low: Arm, high: Arm) -> End {
    let (beside, other) = match track {
        Track::Low => (low, high),
        Track::High => (high, low),
        Track::Centre if opposite != Arm::None => return End::Near(Arm::None),
        Track::Centre if low != Arm::None && high != Arm::None => return End::Near(low),
        Track::Centre => return End::Far(if low == Arm::None { high } else { low }),
    };
    if beside != Arm::None {
        End::Near(beside)
    } else if opposite != Arm::None {
        End::Near(Arm::None)
    } else {
        End::Far(other)
    }
}

/// Horizontal lines are one row high, single vertical ones two columns wide.
fn box_drawing<const ROWS: usize>([up, right, down, left]: [Arm; 4]) -> [u8; ROWS] {
    const FIRST_COLUMN: usize = 2;
    const LAST_COLUMN: usize = 5;
    const CENTRE: std::ops::RangeInclusive<usize> = 3..=4;
    let middle = ROWS / 2 - 1;
    let (first_row, last_row) = (middle - 1, middle + 1);
    let columns = |track| match track {
        Track::Low => FIRST_COLUMN..=FIRST_COLUMN,
        Track::High => LAST_COLUMN..=LAST_COLUMN,
        Track::Centre => CENTRE,
    };
    let row_of = |track| match track {
        Track::Low => first_row,
        Track::High => last_row,
        Track::Centre => middle,
    };
    let mut cell = [0; ROWS];
    let mut fill = |rows: std::ops::RangeInclusive<usize>, columns: std::ops::RangeInclusive<usize>| {
        let dots = columns.fold(0, |dots, column| dots | 0x80 >> column);
        cell[rows].iter_mut().for_each(|row| *row |= dots);
    };
    for track in up.tracks() {
        fill(0..=end(*track, down, left, right).at(first_row, middle, last_row), columns(*track));
    }
    for track in down.tracks() {
        fill(end(*track, up, left, right).at(last_row, middle, first_row)..=ROWS - 1, columns(*track));
    }
    for track in left.tracks() {
        let to = end(*track, right, up, down).at(FIRST_COLUMN, *CENTRE.end(), LAST_COLUMN);
        fill(row_of(*track)..=row_of(*track), 0..=to);
    }
    for track in right.tracks() {
        let from = end(*track, left, up, down).at(LAST_COLUMN, *CENTRE.start(), FIRST_COLUMN);
        fill(row_of(*track)..=row_of(*track), from..=7);
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture<const ROWS: usize>(code: u8) -> Vec<String> {
        let row = |dots: &u8| (0..8).map(|n| if dots & 0x80 >> n != 0 { '#' } else { '.' }).collect();
        cell::<ROWS>(code).iter().map(row).collect()
    }

    #[test]
    fn corners_and_crossings() {
        let expected: [(u8, [&str; 8]); 6] = [
            // Single: upper left corner.
            (
                0xDA,
                [
                    "........", "........", "........", "...#####", "...##...", "...##...", "...##...",
                    "...##...",
                ],
            ),
            // Double: upper left corner.
            (
                0xC9,
                [
                    "........", "........", "..######", "..#.....", "..#..###", "..#..#..", "..#..#..",
                    "..#..#..",
                ],
            ),
            // Double: lower right corner.
            (
                0xBC,
                [
                    "..#..#..", "..#..#..", "###..#..", ".....#..", "######..", "........", "........",
                    "........",
                ],
            ),
            // Double crossing.
            (
                0xCE,
                [
                    "..#..#..", "..#..#..", "###..###", "........", "###..###", "..#..#..", "..#..#..",
                    "..#..#..",
                ],
            ),
            // Double line with a double branch to the right.
            (
                0xCC,
                [
                    "..#..#..", "..#..#..", "..#..###", "..#.....", "..#..###", "..#..#..", "..#..#..",
                    "..#..#..",
                ],
            ),
            // Single line down from a double horizontal one.
            (
                0xD1,
                [
                    "........", "........", "########", "........", "########", "...##...", "...##...",
                    "...##...",
                ],
            ),
        ];
        for (code, rows) in expected {
            assert_eq!(picture::<8>(code), rows, "{code:02X}h");
        }
    }

    #[test]
    fn arms_reach_the_edges_of_the_cell() {
        for code in 0xB3..=0xDAu8 {
            let [up, right, down, left] = ARMS[usize::from(code - 0xB3)].map(|arm| arm != 0);
            let rows = cell::<16>(code);
            assert_eq!(rows[0] != 0, up, "{code:02X}h up");
            assert_eq!(rows[15] != 0, down, "{code:02X}h down");
            assert_eq!(rows.iter().any(|row| row & 0x80 != 0), left, "{code:02X}h left");
            assert_eq!(rows.iter().any(|row| row & 0x01 != 0), right, "{code:02X}h right");
        }
    }
}
