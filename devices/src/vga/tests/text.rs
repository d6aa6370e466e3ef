//! Text modes: characters, fonts, cursor, blinking, and the screen as text.

use super::*;

/// Mode 3 with numbered colours and a palette that leaves colours as they are.
fn text() -> Guest {
    let mut guest = Guest::in_mode(0x03);
    guest.number_colors();
    for color in 0..16 {
        guest.set_attribute(color, color);
    }
    hide_cursor(&mut guest);
    guest
}

fn hide_cursor(guest: &mut Guest) {
    guest.set(0x3D4, 0x0A, 0x20);
}

fn put(guest: &mut Guest, column: u32, row: u32, character: u8, attribute: u8) {
    let word = u16::from_le_bytes([character, attribute]);
    guest.write(0xB8000 + (row * 80 + column) * 2, AccessSize::Word, word.into());
}

/// Gives `character` a glyph whose rows are all `bits`, in the font that starts at `font` in map 2.
fn define(guest: &mut Guest, font: u32, character: u8, bits: u8) {
    for row in 0..32 {
        let at = font + u32::from(character) * 32 + row;
        let [a, b, _, d] = guest.maps(at);
        guest.set_maps(at, [a, b, bits, d]);
    }
}

#[test]
fn a_character_shows_its_glyph_in_foreground_and_background() {
    let mut guest = text();
    define(&mut guest, 0, b'A', 0b1010_0110);
    put(&mut guest, 1, 1, b'A', 0x1E);
    for y in 16..32 {
        assert_eq!(guest.pels(9, y), [0xE, 1, 0xE, 1, 1, 0xE, 0xE, 1, 1]);
    }
    assert_eq!(guest.pels(9, 15), [0; 9]);
    assert_eq!(guest.pels(18, 16), [0; 9]);
}

#[test]
fn each_row_of_the_glyph_is_one_scan_line() {
    let mut guest = text();
    for row in 0..16 {
        guest.set_maps(u32::from(b'B') * 32 + row, [0, 0, row as u8 | 0xA0, 0]);
    }
    put(&mut guest, 0, 0, b'B', 0x0F);
    for row in 0..16_u8 {
        let expected: [u8; 8] =
            std::array::from_fn(|i| if (row | 0xA0) >> (7 - i) & 1 != 0 { 0xF } else { 0 });
        assert_eq!(guest.pels(0, row.into()), expected);
    }
}

#[test]
fn line_graphics_fill_the_ninth_dot_of_c0_to_df_only() {
    for (character, ninth) in [(0xBF, 0), (0xC0, 7), (0xC4, 7), (0xDF, 7), (0xE0, 0)] {
        let mut guest = text();
        define(&mut guest, 0, character, 0xFF);
        put(&mut guest, 0, 0, character, 0x07);
        assert_eq!(guest.pels(0, 0), [7, 7, 7, 7, 7, 7, 7, 7, ninth], "{character:X}h");
        guest.set_attribute(0x10, 0x08);
        assert_eq!(guest.pels(8, 0), [0], "without line graphics");
    }
}

#[test]
fn eight_dot_characters_make_640_pels() {
    let mut guest = text();
    guest.set(0x3C4, 1, 0x01);
    define(&mut guest, 0, 0xC4, 0x01);
    put(&mut guest, 79, 24, 0xC4, 0x07);
    assert_eq!(guest.vga.resolution(), (640, 400));
    assert_eq!(guest.pels(632, 399), [0, 0, 0, 0, 0, 0, 0, 7]);
}

#[test]
fn eight_line_characters_make_50_rows() {
    let mut guest = text();
    guest.set(0x3D4, 0x09, 0x47);
    put(&mut guest, 79, 49, b'Z', 0x07);
    let screen = guest.vga.text_screen().expect("a text mode");
    assert_eq!((screen.columns(), screen.rows()), (80, 50));
    assert_eq!(screen.cells()[80 * 50 - 1], TextCell { character: b'Z', attribute: 7 });
}

#[test]
fn attribute_bit_3_selects_between_two_character_maps() {
    // SR3: map A at 8 KiB (selection 4), map B at 16 KiB (selection 1).
    let mut guest = text();
    guest.set(0x3C4, 3, 0b0010_0001);
    define(&mut guest, 0x2000, b'A', 0xF0);
    define(&mut guest, 0x4000, b'A', 0x0F);
    put(&mut guest, 0, 0, b'A', 0x09);
    put(&mut guest, 1, 0, b'A', 0x01);
    assert_eq!(guest.pels(0, 0), [9, 9, 9, 9, 0, 0, 0, 0]);
    assert_eq!(guest.pels(9, 0), [0, 0, 0, 0, 1, 1, 1, 1]);
}

#[test]
fn character_map_selections_lie_where_ibm_puts_them() {
    // IBM PS/2 Hardware Interface Technical Reference, "Character Map Select Register".
    let selections = [0x0000, 0x4000, 0x8000, 0xC000, 0x2000, 0x6000, 0xA000, 0xE000];
    for (select, start) in (0..8).zip(selections) {
        let mut guest = text();
        guest.set(0x3C4, 3, (select & 3) << 2 | (select >> 2) << 5);
        assert_eq!((guest.vga.sequencer.font(true), guest.vga.sequencer.font(false)), (start, 0));
        guest.set(0x3C4, 3, select & 3 | (select >> 2) << 4);
        assert_eq!((guest.vga.sequencer.font(true), guest.vga.sequencer.font(false)), (0, start));
    }
}

#[test]
fn attribute_bit_7_blinks_every_16_frames_or_brightens_the_background() {
    let mut guest = text();
    define(&mut guest, 0, b'A', 0xFF);
    put(&mut guest, 0, 0, b'A', 0x9C);
    let frame = 1_000_000_000 * 900 * 449 / 28_322_000 + 1;
    for half in 0..4 {
        let expected = if half % 2 == 0 { 0xC } else { 1 };
        guest.now = guest.vga.raster_start + GuestDuration::from_nanos(half * 16 * frame);
        assert_eq!(guest.pels(0, 0), [expected], "at the start of 16 frames");
        guest.pass(15 * frame);
        assert_eq!(guest.pels(0, 0), [expected], "at their end");
    }
    guest.set_attribute(0x10, 0x04);
    for half in 0..4 {
        guest.now = guest.vga.raster_start + GuestDuration::from_nanos(half * 16 * frame);
        assert_eq!(guest.pels(0, 0), [0xC, 0xC, 0xC, 0xC, 0xC, 0xC, 0xC, 0xC, 9]);
    }
}

#[test]
fn the_cursor_covers_its_rows_and_blinks_every_8_frames() {
    let mut guest = text();
    put(&mut guest, 2, 1, b' ', 0x25);
    guest.set(0x3D4, 0x0A, 13);
    guest.set(0x3D4, 0x0B, 14);
    guest.set(0x3D4, 0x0E, 0);
    guest.set(0x3D4, 0x0F, 82);
    assert_eq!(guest.pels(18, 16 + 12), [2; 9]);
    assert_eq!(guest.pels(18, 16 + 13), [5; 9]);
    assert_eq!(guest.pels(18, 16 + 14), [5; 9]);
    assert_eq!(guest.pels(18, 16 + 15), [2; 9]);
    assert_eq!(guest.pels(27, 16 + 13), [0; 9]);
    guest.pass(8 * 14_268_062 + 1_000);
    assert_eq!(guest.pels(18, 16 + 13), [2; 9]);
    guest.pass(8 * 14_268_062 + 1_000);
    assert_eq!(guest.pels(18, 16 + 13), [5; 9]);
}

#[test]
fn the_cursor_can_be_off_or_inside_out() {
    let mut guest = text();
    put(&mut guest, 0, 0, b' ', 0x25);
    for (start, end, shown) in
        [(0x00, 0x0F, true), (0x20, 0x0F, false), (0x0E, 0x0D, false), (0x0D, 0x0D, true)]
    {
        guest.set(0x3D4, 0x0A, start);
        guest.set(0x3D4, 0x0B, end);
        let cursor = guest.vga.text_screen().and_then(|screen| screen.cursor());
        assert_eq!(cursor, shown.then_some((0, 0)));
        assert_eq!(guest.pels(0, 13), [if shown { 5 } else { 2 }]);
    }
}

#[test]
fn the_cursor_skew_moves_it_right() {
    let mut guest = text();
    guest.set(0x3D4, 0x0A, 0);
    guest.set(0x3D4, 0x0B, 0x0F | 2 << 5);
    assert_eq!(guest.vga.text_screen().and_then(|screen| screen.cursor()), Some((2, 0)));
}

#[test]
fn monochrome_text_underlines_attribute_1() {
    let mut guest = Guest::in_mode(0x07);
    guest.number_colors();
    guest.set(0x3B4, 0x0A, 0x20);
    guest.set(0x3B4, 0x14, 0x0D);
    for (at, attribute, line) in [(0, 0x01_u8, 0x08), (1, 0x07, 0x00), (2, 0x09, 0x18), (3, 0x71, 0x08)] {
        guest.write(0xB0000 + at * 2, AccessSize::Word, u32::from(attribute) << 8);
        assert_eq!(guest.pels(at * 9, 13), [line; 9], "attribute {attribute:X}h");
    }
    assert_eq!(guest.pels(0, 12), [0; 9]);
    assert_eq!(guest.pels(0, 14), [0; 9]);
}

#[test]
fn start_address_pages_the_screen_and_the_text() {
    let mut guest = text();
    guest.write(0xB8000 + 4096, AccessSize::Word, 0x0758);
    guest.set(0x3D4, 0x0C, 0x08);
    guest.set(0x3D4, 0x0D, 0x00);
    let screen = guest.vga.text_screen().expect("a text mode");
    assert_eq!(screen.cells()[0].character, b'X');
}

#[test]
fn smooth_scrolling_combines_row_scan_and_pel_panning() {
    let mut guest = text();
    for row in 0..16 {
        guest.set_maps(u32::from(b'D') * 32 + row, [0, 0, 1 << (row % 8), 0]);
    }
    for column in 0..80 {
        for row in 0..26 {
            put(&mut guest, column, row, b'D', 0x07);
        }
    }
    let still: Vec<[u8; 9]> = (0..16).map(|y| guest.pels(9, y)).collect();
    guest.set(0x3D4, 0x08, 5);
    for y in 0..400 {
        assert_eq!(guest.pels::<9>(9, y), still[(y as usize + 5) % 16]);
    }
    guest.set(0x3D4, 0x08, 0);
    // Nine-dot characters: 8 is no shift, 0 to 7 shift by one to eight dots.
    for (panning, shift) in [(8, 0), (0, 1), (3, 4), (7, 8)] {
        guest.set_attribute(0x13, panning);
        for (y, line) in (0..16).zip(&still) {
            let expected: [u8; 9] = std::array::from_fn(|i| line[(i + shift) % 9]);
            assert_eq!(guest.pels(0, y), expected, "panning {panning}");
            assert_eq!(guest.pels(711, y), expected, "panning {panning}, right edge");
        }
    }
}

#[test]
fn a_preset_beyond_the_row_runs_to_31_first() {
    let mut guest = text();
    for row in 0..32 {
        guest.set_maps(u32::from(b'E') * 32 + row, [0, 0, row as u8, 0]);
    }
    for column in 0..80 {
        (0..25).for_each(|row| put(&mut guest, column, row, b'E', 0x07));
    }
    guest.set(0x3D4, 0x08, 29);
    for (y, row_scan) in (0..).zip([29, 30, 31, 0, 1]) {
        let expected: [u8; 8] = std::array::from_fn(|i| if row_scan >> (7 - i) & 1 != 0 { 7 } else { 0 });
        assert_eq!(guest.pels(0, y), expected, "line {y}");
    }
}

#[test]
fn byte_panning_moves_by_characters() {
    let mut guest = text();
    put(&mut guest, 3, 0, b'Q', 0x07);
    guest.set(0x3D4, 0x08, 3 << 5);
    assert_eq!(guest.vga.text_screen().expect("a text mode").cells()[0].character, b'Q');
}

#[test]
fn the_screen_reads_as_unicode() {
    let mut guest = text();
    for (column, character) in (0..).zip([0xC9, 0xCD, 0xBB, b' ', 0x81, 0xE1, 0x01, 0x7F, 0x00, b'a']) {
        put(&mut guest, column, 0, character, 0x07);
    }
    put(&mut guest, 0, 24, b'$', 0x07);
    let screen = guest.vga.text_screen().expect("a text mode");
    let lines: Vec<String> = screen.lines().collect();
    assert_eq!(lines.len(), 25);
    assert_eq!(lines[0], "╔═╗ üß☺⌂ a");
    assert_eq!((lines[1].as_str(), lines[24].as_str()), ("", "$"));
    assert_eq!(screen.to_string().lines().count(), 25);
}

#[test]
fn code_page_437_maps_ascii_to_itself_and_distinguishes_all_but_the_empty_ones() {
    (0x20..0x7F).for_each(|code| assert_eq!(cp437_to_char(code), char::from(code)));
    let mut all: Vec<char> = (0..=255).map(cp437_to_char).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 254, "00h, 20h and FFh are one");
}
