//! The window A0000h-BFFFFh against the IBM manual's description of each mode of access.

use super::*;
use AccessSize::{Byte, Dword, Word};

/// A guest in a planar mode whose latches hold `latches`.
fn planar(latches: [u8; 4]) -> Guest {
    let mut guest = Guest::in_mode(0x12);
    guest.set_maps(0, latches);
    guest.peek(0xA0000);
    guest
}

/// What a write of `value` leaves in the maps at an address that held `before`.
fn written(guest: &mut Guest, before: [u8; 4], value: u8) -> [u8; 4] {
    guest.set_maps(0x100, before);
    guest.poke(0xA0100, value);
    guest.maps(0x100)
}

#[test]
fn map_mask_selects_the_maps_that_a_write_reaches() {
    for mask in 0..16 {
        let mut guest = planar([0; 4]);
        guest.set(0x3C4, 2, mask);
        let expected = std::array::from_fn(|map| if mask >> map & 1 != 0 { 0xC3 } else { 0x3C });
        assert_eq!(written(&mut guest, [0x3C; 4], 0xC3), expected);
    }
}

#[test]
fn write_mode_0_rotates_then_replaces_by_set_reset_where_enabled() {
    let mut guest = planar([0; 4]);
    guest.set(0x3CE, 3, 3);
    assert_eq!(written(&mut guest, [0; 4], 0b0000_1111), [0b1110_0001; 4]);
    guest.set(0x3CE, 0, 0b0101);
    guest.set(0x3CE, 1, 0b0011);
    assert_eq!(written(&mut guest, [0; 4], 0b0000_1111), [0xFF, 0x00, 0b1110_0001, 0b1110_0001]);
}

#[test]
fn every_function_combines_data_and_latches_bit_by_bit() {
    // All four pairs of data bit and latch bit.
    let (data, latch) = (0b0011_0011, 0b0101_0101);
    for (function, expected) in [(0, 0b0011_0011), (1, 0b0001_0001), (2, 0b0111_0111), (3, 0b0110_0110)] {
        let mut guest = planar([latch; 4]);
        guest.set(0x3CE, 3, function << 3);
        assert_eq!(written(&mut guest, [0; 4], data), [expected; 4]);
    }
}

#[test]
fn bits_masked_off_come_from_the_latches_not_from_memory() {
    let mut guest = planar([0xAA, 0x55, 0xFF, 0x00]);
    guest.set(0x3CE, 8, 0x0F);
    assert_eq!(written(&mut guest, [0x77; 4], 0x3C), [0xAC, 0x5C, 0xFC, 0x0C]);
}

#[test]
fn write_mode_1_copies_the_latches_whatever_is_written() {
    let mut guest = planar([0x12, 0x34, 0x56, 0x78]);
    guest.set(0x3CE, 5, 1);
    guest.set(0x3CE, 8, 0xF0);
    guest.set(0x3CE, 3, 0x18);
    guest.set(0x3C4, 2, 0b1011);
    assert_eq!(written(&mut guest, [0xEE; 4], 0x99), [0x12, 0x34, 0xEE, 0x78]);
}

#[test]
fn write_mode_2_takes_one_bit_for_each_map() {
    for color in 0..16 {
        let mut guest = planar([0b1010_1010; 4]);
        guest.set(0x3CE, 5, 2);
        // Neither rotation nor set/reset has a part in mode 2.
        guest.set(0x3CE, 3, 1);
        guest.set(0x3CE, 8, 0b1111_0000);
        guest.set(0x3CE, 0, !color);
        guest.set(0x3CE, 1, 0x0F);
        let expected =
            std::array::from_fn(|map| if color >> map & 1 != 0 { 0b1111_1010 } else { 0b0000_1010 });
        assert_eq!(written(&mut guest, [0; 4], 0xF0 | color), expected);
    }
}

#[test]
fn write_mode_3_masks_set_reset_with_rotated_data() {
    let mut guest = planar([0b1010_1010; 4]);
    guest.set(0x3CE, 5, 3);
    guest.set(0x3CE, 0, 0b0110);
    guest.set(0x3CE, 1, 0b0000);
    guest.set(0x3CE, 3, 1);
    guest.set(0x3CE, 8, 0b0111_1110);
    // 0b1110_0001 rotated right by one is 0b1111_0000; with the bit mask 0b0111_0000.
    let (zeros, ones) = (0b1000_1010, 0b1111_1010);
    assert_eq!(written(&mut guest, [0; 4], 0b1110_0001), [zeros, ones, ones, zeros]);
}

#[test]
fn read_mode_0_reads_the_selected_map_and_loads_all_latches() {
    let mut guest = Guest::in_mode(0x12);
    guest.set_maps(0x1234, [0x11, 0x22, 0x33, 0x44]);
    for (map, byte) in [(0, 0x11), (1, 0x22), (2, 0x33), (3, 0x44)] {
        guest.set(0x3CE, 4, map);
        assert_eq!(guest.peek(0xA1234), byte);
    }
    guest.set(0x3CE, 5, 1);
    guest.poke(0xA0000, 0);
    assert_eq!(guest.maps(0), [0x11, 0x22, 0x33, 0x44]);
}

#[test]
fn read_mode_1_marks_the_pels_of_the_compared_colour() {
    // Eight PELs with colours 0 to 7, leftmost 0.
    let maps = [0b0101_0101, 0b0011_0011, 0b0000_1111, 0b0000_0000];
    for dont_care in 0..16 {
        for compare in 0..16 {
            let mut guest = Guest::in_mode(0x12);
            guest.set_maps(0, maps);
            guest.set(0x3CE, 5, 0x08);
            guest.set(0x3CE, 2, compare);
            guest.set(0x3CE, 7, dont_care);
            let expected =
                (0..8).fold(0, |bits, color: u8| bits << 1 | u8::from((color ^ compare) & dont_care == 0));
            assert_eq!(guest.peek(0xA0000), expected);
        }
    }
}

#[test]
fn chain_4_selects_the_map_by_the_low_address_bits() {
    let mut guest = Guest::in_mode(0x13);
    for at in 0..8 {
        guest.poke(0xA0000 + at, 0x10 + at as u8);
    }
    // IBM: the map address has the two low bits clear, not shifted out.
    assert_eq!(guest.maps(0), [0x10, 0x11, 0x12, 0x13]);
    assert_eq!(guest.maps(4), [0x14, 0x15, 0x16, 0x17]);
    assert_eq!(guest.maps(1), [0; 4]);
    assert_eq!(guest.read(0xA0001, Dword), 0x1413_1211);
}

#[test]
fn chain_4_still_obeys_map_mask_and_bit_mask() {
    let mut guest = Guest::in_mode(0x13);
    guest.set(0x3C4, 2, 0b0101);
    guest.write(0xA0000, Dword, 0x4433_2211);
    assert_eq!(guest.maps(0), [0x11, 0, 0x33, 0]);
    guest.set(0x3C4, 2, 0x0F);
    guest.set(0x3CE, 8, 0xF0);
    guest.peek(0xA0000);
    guest.write(0xA0000, Word, 0xFFFF);
    assert_eq!(guest.maps(0), [0xF1, 0xF0, 0x33, 0]);
}

#[test]
fn odd_even_puts_characters_in_map_0_and_attributes_in_map_1() {
    let mut guest = Guest::in_mode(0x03);
    guest.write(0xB8000, Word, 0x1F41);
    guest.poke(0xB8002, 0x42);
    guest.poke(0xB8003, 0x2F);
    guest.write(0xB8004, Dword, 0x4F44_3F43);
    for (address, maps) in [(0, [0x41, 0x1F]), (2, [0x42, 0x2F]), (4, [0x43, 0x3F]), (6, [0x44, 0x4F])] {
        assert_eq!(guest.maps(address)[..2], maps);
        assert_eq!(guest.maps(address)[2..], [0, 0], "the font is untouched");
    }
    assert_eq!(guest.read(0xB8000, Dword), 0x2F42_1F41);
    assert_eq!(guest.read(0xB8001, Word), 0x421F);
}

#[test]
fn read_map_select_bit_1_leads_text_reads_to_maps_2_and_3() {
    let mut guest = Guest::in_mode(0x03);
    guest.set_maps(0, [0x11, 0x22, 0x33, 0x44]);
    assert_eq!(guest.read(0xB8000, Word), 0x2211);
    guest.set(0x3CE, 4, 2);
    assert_eq!(guest.read(0xB8000, Word), 0x4433);
    guest.set(0x3CE, 4, 1);
    assert_eq!(guest.read(0xB8000, Word), 0x2211, "bit 0 has no part in it");
}

#[test]
fn text_beyond_the_first_page_stays_in_even_map_addresses() {
    let mut guest = Guest::in_mode(0x03);
    guest.write(0xBFFFE, Word, 0x0741);
    assert_eq!(guest.maps(0x7FFE)[..2], [0x41, 0x07]);
}

#[test]
fn the_page_bit_clear_selects_odd_map_addresses() {
    let mut guest = Guest::in_mode(0x03);
    guest.out(0x3C2, 0x47);
    guest.write(0xB8000, Word, 0x0741);
    assert_eq!((guest.maps(0)[0], guest.maps(1)[0]), (0, 0x41));
    assert_eq!(guest.read(0xB8000, Word), 0x0741);
}

#[test]
fn a_128_kib_aperture_replaces_address_bit_0_by_bit_16() {
    let mut guest = Guest::in_mode(0x03);
    guest.set(0x3CE, 6, 0x02);
    guest.poke(0xA0000, 0x41);
    guest.poke(0xB0000, 0x42);
    assert_eq!((guest.maps(0)[0], guest.maps(1)[0]), (0x41, 0x42));
    assert_eq!((guest.peek(0xA0000), guest.peek(0xB0000)), (0x41, 0x42));
}

#[test]
fn odd_even_without_chaining_keeps_address_bit_0() {
    let mut guest = Guest::in_mode(0x03);
    guest.set(0x3C4, 2, 0x0F);
    guest.set(0x3CE, 6, 0x04);
    guest.poke(0xA0010, 0xAA);
    guest.poke(0xA0011, 0xBB);
    assert_eq!(guest.maps(0x10), [0xAA, 0, 0xAA, 0]);
    assert_eq!(guest.maps(0x11), [0, 0xBB, 0, 0xBB]);
    guest.set(0x3CE, 4, 2);
    guest.set_maps(0x20, [1, 2, 3, 4]);
    guest.set_maps(0x21, [5, 6, 7, 8]);
    assert_eq!((guest.peek(0xA0020), guest.peek(0xA0021)), (3, 8));
}

#[test]
fn fonts_are_loaded_into_map_2_as_a_bios_does() {
    let mut guest = Guest::in_mode(0x03);
    for (port, index, value) in
        [(0x3C4, 2, 0x04), (0x3C4, 4, 0x07), (0x3CE, 4, 0x02), (0x3CE, 5, 0x00), (0x3CE, 6, 0x04)]
    {
        guest.set(port, index, value);
    }
    guest.write(0xA0020, Dword, 0x4433_2211);
    for (at, byte) in (0x20..).zip([0x11, 0x22, 0x33, 0x44]) {
        assert_eq!(guest.maps(at), [0, 0, byte, 0]);
        assert_eq!(guest.peek(0xA0000 + at), byte);
    }
}

#[test]
fn memory_map_select_places_the_aperture() {
    for (select, first, last) in
        [(0, 0xA0000, 0xBFFFF), (1, 0xA0000, 0xAFFFF), (2, 0xB0000, 0xB7FFF), (3, 0xB8000, 0xBFFFF)]
    {
        let mut guest = Guest::in_mode(0x12);
        guest.set(0x3CE, 6, 0x01 | select << 2);
        for address in [0xA0000, 0xAFFFF, 0xB0000, 0xB7FFF, 0xB8000, 0xBFFFF] {
            let inside = (first..=last).contains(&address);
            let offset = u64::from(address - 0xA0000_u32);
            assert_eq!(guest.vga.read_memory(offset, Byte, guest.now).is_ok(), inside, "{address:X}h");
            assert_eq!(guest.vga.write_memory(offset, Byte, 0, guest.now).is_ok(), inside, "{address:X}h");
        }
    }
}

#[test]
fn the_aperture_wraps_nowhere_and_splits_what_leaves_it() {
    let mut guest = Guest::in_mode(0x03);
    let now = guest.now;
    assert_eq!(guest.vga.read_memory(0x1FFFF, Word, now), Err(IoError::WrongSize));
    assert_eq!(guest.vga.write_memory(0x1FFFE, Dword, 0, now), Err(IoError::WrongSize));
    for offset in [0x20000, u64::MAX, 1 << 32, 0x17FFF] {
        assert_eq!(guest.vga.read_memory(offset, Byte, now), Err(IoError::NoSuchRegister));
    }
}

#[test]
fn memory_does_not_answer_before_it_is_enabled() {
    let mut guest = Guest::in_mode(0x03);
    guest.out(0x3C2, 0x65);
    assert_eq!(guest.vga.read_memory(0x18000, Byte, guest.now), Err(IoError::NoSuchRegister));
}

/// Wide accesses and the shortcuts must do what the same bytes do one by one.
#[test]
fn wide_accesses_equal_their_bytes_in_every_mode() {
    let mut seed = 0x1234_5678_u32;
    let mut random = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed >> 8
    };
    for mode in MODES {
        let (mut wide, mut narrow) = (Guest::in_mode(mode.number), Guest::in_mode(mode.number));
        let (first, length) = wide.vga.graphics.aperture();
        for _ in 0..2_000 {
            let size = [Byte, Word, Dword][random() as usize % 3];
            let bytes = u32::from(size.bytes());
            let at = 0xA0000 + first + random() % (length - 4);
            if random() % 2 == 0 {
                let value = random() & size.ones();
                wide.write(at, size, value);
                (0..bytes).for_each(|i| narrow.poke(at + i, (value >> (8 * i)) as u8));
            } else {
                let value = (0..bytes).fold(0, |v, i| v | u32::from(narrow.peek(at + i)) << (8 * i));
                assert_eq!(wide.read(at, size), value, "mode {:02X}h", mode.number);
            }
            assert_eq!(wide.vga.latches, narrow.vga.latches, "mode {:02X}h", mode.number);
        }
        assert!(wide.vga.vram() == narrow.vga.vram(), "mode {:02X}h", mode.number);
    }
}

#[test]
fn only_chain_4_and_banks_are_direct() {
    for mode in MODES {
        let guest = Guest::in_mode(mode.number);
        let expected = (mode.number == 0x13).then_some(DirectWindow { offset: 0, length: 0x10000, vram: 0 });
        assert_eq!(guest.vga.direct_window(), expected, "mode {:02X}h", mode.number);
    }
}

#[test]
fn a_direct_window_is_the_video_memory_it_says() {
    let mut guest = Guest::in_mode(0x13);
    for at in (0..0x10000).step_by(97) {
        guest.poke(0xA0000 + at, at as u8 ^ 0x5A);
        assert_eq!(guest.vga.vram()[at as usize], at as u8 ^ 0x5A);
    }
    guest.vga.vram_mut(0x4321, 1)[0] = 0x99;
    assert_eq!(guest.peek(0xA4321), 0x99);
}

#[test]
fn whatever_changes_chain_4_writes_ends_the_direct_window() {
    for (port, index, value) in [
        (0x3C4, 2, 0x07),
        (0x3C4, 4, 0x06),
        (0x3CE, 1, 0x01),
        (0x3CE, 3, 0x08),
        (0x3CE, 5, 0x41),
        (0x3CE, 5, 0x48),
        (0x3CE, 6, 0x01),
        (0x3CE, 8, 0x7F),
    ] {
        let mut guest = Guest::in_mode(0x13);
        guest.set(port, index, value);
        assert_eq!(guest.vga.direct_window(), None, "{port:X}h index {index} value {value:X}h");
    }
    let mut guest = Guest::in_mode(0x13);
    guest.out(0x3C2, 0x61);
    assert_eq!(guest.vga.direct_window(), None);
}
