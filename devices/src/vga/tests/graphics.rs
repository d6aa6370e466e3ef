//! Graphics modes, pixel by pixel: CGA, planar, 256 colours, mode X; panning, split screen, damage.

use super::*;
use AccessSize::Dword;

/// A graphics mode with numbered colours and, where colours have four bits, a palette that leaves them alone.
fn graphics(mode: u8) -> Guest {
    let mut guest = Guest::in_mode(mode);
    guest.number_colors();
    for color in 0..16 {
        guest.set_attribute(color, color);
    }
    guest
}

/// Sets a PEL of a planar mode as software does: bit mask, latch, set/reset.
fn set_planar_pel(guest: &mut Guest, line_bytes: u32, x: u32, y: u32, color: u8) {
    let address = 0xA0000 + y * line_bytes + x / 8;
    guest.set(0x3CE, 0, color);
    guest.set(0x3CE, 1, 0x0F);
    guest.set(0x3CE, 8, 0x80 >> (x % 8));
    guest.peek(address);
    guest.poke(address, 0);
}

#[test]
fn planar_modes_show_single_pels_at_the_corners() {
    for (mode, line_bytes, width, height) in
        [(0x0D, 40, 320, 200), (0x0E, 80, 640, 200), (0x10, 80, 640, 350), (0x12, 80, 640, 480)]
    {
        let mut guest = graphics(mode);
        let corners =
            [(0, 0, 1), (width - 1, 0, 2), (0, height - 1, 4), (width - 1, height - 1, 8), (13, 57, 15)];
        for (x, y, color) in corners {
            set_planar_pel(&mut guest, line_bytes, x, y, color);
        }
        for (x, y, color) in corners {
            assert_eq!(guest.pels(x, y), [color], "mode {mode:02X}h at {x}, {y}");
        }
        let lit = guest.picture().pixels().iter().filter(|&&pel| pel != 0).count();
        assert_eq!(lit, corners.len(), "and no others");
    }
}

#[test]
fn mode_11h_is_two_coloured() {
    let mut guest = Guest::in_mode(0x11);
    guest.set_attribute(0, 0);
    guest.set_color(0x3F, [63, 63, 63]);
    guest.set(0x3C4, 2, 0x01);
    guest.poke(0xA0000, 0b1000_0001);
    assert_eq!(guest.pel(0, 0), [255; 3]);
    assert_eq!(guest.pel(1, 0), [0; 3]);
    assert_eq!(guest.pel(7, 0), [255; 3]);
}

#[test]
fn mode_13h_shows_a_byte_as_a_pel() {
    let mut guest = graphics(0x13);
    for (x, y, color) in [(0, 0, 0x12), (1, 0, 0x34), (319, 0, 0x56), (0, 199, 0x78), (319, 199, 0xFF)] {
        guest.poke(0xA0000 + y * 320 + x, color);
        assert_eq!(guest.pels(x, y), [color]);
    }
    let lit = guest.picture().pixels().iter().filter(|&&pel| pel != 0).count();
    assert_eq!(lit, 5);
}

/// Mode X: 320 by 240 unchained, as Abrash sets it up in "Graphics Programming Black Book", chapter 47.
fn mode_x() -> Guest {
    let mut guest = graphics(0x13);
    guest.set(0x3C4, 4, 0x06);
    guest.set(0x3C4, 0, 0x01);
    guest.out(0x3C2, 0xE3);
    guest.set(0x3C4, 0, 0x03);
    guest.set(0x3D4, 0x11, 0x0C);
    for (index, value) in [
        (0x06, 0x0D),
        (0x07, 0x3E),
        (0x09, 0x41),
        (0x10, 0xEA),
        (0x11, 0xAC),
        (0x12, 0xDF),
        (0x14, 0x00),
        (0x15, 0xE7),
        (0x16, 0x06),
        (0x17, 0xE3),
    ] {
        guest.set(0x3D4, index, value);
    }
    guest
}

fn set_mode_x_pel(guest: &mut Guest, x: u32, y: u32, color: u8) {
    guest.set(0x3C4, 2, 1 << (x % 4));
    guest.poke(0xA0000 + y * 80 + x / 4, color);
}

#[test]
fn mode_x_has_square_pels_and_four_pages() {
    let mut guest = mode_x();
    assert_eq!(guest.vga.resolution(), (320, 240));
    for (x, y, color) in
        [(0, 0, 0x12), (1, 0, 0x34), (2, 0, 0x56), (3, 0, 0x78), (319, 239, 0xFF), (5, 100, 0x9A)]
    {
        set_mode_x_pel(&mut guest, x, y, color);
        assert_eq!(guest.pels(x, y), [color]);
    }
    // The second page follows after 240 lines of 80 bytes.
    guest.set(0x3C4, 2, 0x0F);
    let second = 240 * 80_u16;
    guest.poke(0xA0000 + u32::from(second), 0x42);
    let [high, low] = second.to_be_bytes();
    guest.set(0x3D4, 0x0C, high);
    guest.set(0x3D4, 0x0D, low);
    assert_eq!(guest.pels(0, 0), [0x42; 4]);
}

#[test]
fn mode_x_pans_by_pels_with_even_values() {
    let mut guest = mode_x();
    (0..8).for_each(|x| set_mode_x_pel(&mut guest, x, 0, 0x10 + x as u8));
    for (panning, first) in [(0, 0x10), (2, 0x11), (4, 0x12), (6, 0x13)] {
        guest.set_attribute(0x13, panning);
        assert_eq!(guest.pels(0, 0), [first, first + 1, first + 2, first + 3]);
    }
}

#[test]
fn what_chain_4_writes_is_where_an_ibm_vga_has_it_after_unchaining() {
    // Byte 4n of the window is in map 0 at address 4n, so that byte mode shows one byte, then three others.
    let mut guest = graphics(0x13);
    (0..16).for_each(|at| guest.poke(0xA0000 + at, 0x20 + at as u8));
    guest.set(0x3C4, 4, 0x06);
    guest.set(0x3D4, 0x14, 0x00);
    guest.set(0x3D4, 0x17, 0xE3);
    assert_eq!(guest.pels(0, 0), [0x20, 0x21, 0x22, 0x23, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x24, 0x25]);
}

#[test]
fn mode_4_shows_two_bits_a_pel_from_two_banks() {
    let mut guest = graphics(0x04);
    guest.poke(0xB8000, 0b00_01_10_11);
    guest.poke(0xB8001, 0b11_10_01_00);
    guest.poke(0xBA000, 0b01_01_01_01);
    guest.poke(0xB8000 + 80, 0b10_10_10_10);
    guest.poke(0xBA000 + 99 * 80 + 79, 0b11);
    assert_eq!(guest.pels(0, 0), [0, 1, 2, 3, 3, 2, 1, 0, 0]);
    assert_eq!(guest.pels(0, 1), [1, 1, 1, 1, 0]);
    assert_eq!(guest.pels(0, 2), [2, 2, 2, 2, 0]);
    assert_eq!(guest.pels(318, 199), [0, 3]);
}

#[test]
fn mode_4_palettes_are_those_of_the_cga() {
    let mut guest = Guest::in_mode(0x04);
    guest.number_colors();
    guest.poke(0xB8000, 0b00_01_10_11);
    assert_eq!(guest.pels(0, 0), [0x00, 0x13, 0x15, 0x17]);
}

#[test]
fn mode_6_shows_one_bit_a_pel_from_two_banks() {
    let mut guest = Guest::in_mode(0x06);
    guest.number_colors();
    guest.set_attribute(0, 0);
    guest.poke(0xB8000, 0b1000_0001);
    guest.poke(0xBA000 + 79, 0b0000_0001);
    assert_eq!(guest.pels(0, 0), [0x17, 0, 0, 0, 0, 0, 0, 0x17, 0]);
    assert_eq!(guest.pels(638, 1), [0, 0x17]);
}

#[test]
fn a_line_compare_starts_again_at_address_0() {
    let mut guest = graphics(0x12);
    guest.set(0x3CE, 5, 2);
    guest.poke(0xA0000, 0x05);
    guest.poke(0xA0000 + 0x4000, 0x0A);
    guest.set(0x3D4, 0x0C, 0x40);
    // Line compare 300 = 12Ch: bit 8 is in CR7, bit 9 in CR9.
    guest.set(0x3D4, 0x18, 0x2C);
    guest.set(0x3D4, 0x07, 0x3E);
    guest.set(0x3D4, 0x09, 0x00);
    assert_eq!(guest.pels(0, 0), [0x0A]);
    assert_eq!(guest.pels(0, 300), [0x00]);
    assert_eq!(guest.pels(0, 301), [0x05]);
    assert_eq!(guest.pels(0, 302), [0x00]);
}

#[test]
fn line_compare_has_ten_bits_in_three_registers() {
    // Line compare 0 splits after the first line, unless one of the two high bits puts it off the screen.
    for (overflow, maximum_scan_line, split) in [(0x2E, 0x00, true), (0x3E, 0x40, false), (0x2E, 0x40, false)]
    {
        let mut guest = graphics(0x12);
        guest.set(0x3CE, 5, 2);
        guest.poke(0xA0000, 0x0F);
        guest.set(0x3D4, 0x18, 0);
        guest.set(0x3D4, 0x07, overflow);
        guest.set(0x3D4, 0x09, maximum_scan_line);
        assert_eq!(guest.pels(0, 1), [if split { 0x0F } else { 0 }]);
    }
}

#[test]
fn the_display_end_alone_changes_the_height() {
    let mut guest = graphics(0x12);
    guest.set(0x3D4, 0x12, 0x8F);
    assert_eq!(guest.vga.resolution(), (640, 400));
}

#[test]
fn row_scan_bits_select_four_banks_where_cr17_says_so() {
    // The Hercules card's arrangement: lines of a row of four lie 8 KiB apart.
    let mut guest = graphics(0x12);
    guest.set(0x3CE, 5, 2);
    guest.set(0x3D4, 0x09, 0x43);
    guest.set(0x3D4, 0x17, 0xE0);
    for (bank, color) in (0..4).zip([1, 2, 4, 8]) {
        guest.poke(0xA0000 + bank * 0x2000, color);
        guest.poke(0xA0000 + bank * 0x2000 + 80, color | 3);
    }
    for (y, color) in [1, 2, 4, 8, 3, 3, 7, 11].into_iter().enumerate() {
        assert_eq!(guest.pels(0, y as u32), [color], "line {y}");
    }
}

#[test]
fn doubleword_addressing_rotates_the_counter_by_two() {
    let mut guest = graphics(0x13);
    for (counter, address) in [(0x1234, 0x48D0), (0x4000, 1), (0x8000, 2), (0xC001, 7)] {
        guest.set(0x3D4, 0x0C, (counter >> 8) as u8);
        guest.set(0x3D4, 0x0D, counter as u8);
        guest.set_maps(address, [0x11, 0x22, 0x33, 0x44]);
        assert_eq!(guest.pels(0, 0), [0x11, 0x22, 0x33, 0x44], "counter {counter:X}h");
        guest.set_maps(address, [0; 4]);
    }
}

#[test]
fn word_addressing_takes_bit_0_from_counter_bit_13_or_15() {
    for (mode_control, counter, address) in
        [(0xA3, 0x2000, 0x4000), (0xA3, 0x8000, 0x0001), (0x83, 0x2000, 0x4001), (0x83, 0x8000, 0x0000)]
    {
        let mut guest = graphics(0x12);
        guest.set(0x3D4, 0x17, mode_control);
        guest.set(0x3D4, 0x0C, (counter >> 8) as u8);
        guest.set_maps(address, [0xFF, 0, 0xFF, 0]);
        assert_eq!(guest.pels(0, 0), [5; 8], "CR17h {mode_control:X}h, counter {counter:X}h");
    }
}

#[test]
fn counting_by_two_or_four_shows_addresses_repeatedly() {
    for (underline_location, mode_control, times) in [(0x00, 0xE3, 1), (0x00, 0xEB, 2), (0x20, 0xE3, 4)] {
        let mut guest = graphics(0x12);
        guest.set(0x3D4, 0x14, underline_location);
        guest.set(0x3D4, 0x17, mode_control);
        guest.set_maps(1, [0xFF; 4]);
        let lit = guest.pels::<80>(0, 0).iter().filter(|&&pel| pel == 15).count();
        assert_eq!(lit, 8 * times);
        assert_eq!(guest.pels(8 * times as u32, 0), [15]);
    }
}

#[test]
fn a_split_screen_pans_along_unless_mode_control_bit_5_says_no() {
    let mut guest = graphics(0x12);
    guest.set(0x3CE, 5, 2);
    guest.set(0x3CE, 8, 0b0001_0000);
    guest.poke(0xA0000, 0x0F);
    guest.set(0x3D4, 0x0C, 0x40);
    guest.set(0x3D4, 0x18, 99);
    guest.set(0x3D4, 0x07, 0x2E);
    guest.set(0x3D4, 0x09, 0x00);
    guest.set_attribute(0x13, 3);
    guest.set_attribute(0x10, 0x01);
    assert_eq!(guest.pels(0, 100), [0xF, 0, 0, 0]);
    guest.set(0x3D4, 0x08, 1 << 5);
    guest.poke(0xA0001, 0x0F);
    assert_eq!(guest.pels(0, 100), [0xF, 0, 0, 0]);
    guest.poke(0xA0001, 0x00);
    assert_eq!(guest.pels(0, 100), [0; 4], "byte panning has passed the first character");
    guest.set_attribute(0x10, 0x21);
    assert_eq!(guest.pels(0, 100), [0, 0, 0, 0xF]);
}

#[test]
fn a_wider_offset_makes_a_virtual_screen() {
    let mut guest = graphics(0x0D);
    guest.set(0x3D4, 0x13, 0x28);
    guest.set(0x3CE, 5, 2);
    guest.poke(0xA0000 + 80, 0x07);
    assert_eq!(guest.pels(0, 1), [7; 8]);
}

#[test]
fn addresses_wrap_at_64_k() {
    let mut guest = graphics(0x12);
    guest.set(0x3CE, 5, 2);
    guest.poke(0xA0000, 0x0C);
    guest.set(0x3D4, 0x0C, 0xFF);
    guest.set(0x3D4, 0x0D, 0xB0);
    assert_eq!(guest.pels(0, 1), [0xC; 8]);
}

#[test]
fn color_plane_enable_and_color_select_form_the_dac_address() {
    let mut guest = graphics(0x12);
    guest.set(0x3CE, 5, 2);
    guest.poke(0xA0000, 0x0F);
    guest.set_attribute(0x12, 0x0B);
    assert_eq!(guest.pels(0, 0), [0x0B]);
    guest.set_attribute(0x0B, 0x3B);
    guest.set_attribute(0x14, 0x0E);
    assert_eq!(guest.pels(0, 0), [0xFB], "bits 7-6 from colour select");
    guest.set_attribute(0x10, 0x81);
    assert_eq!(guest.pels(0, 0), [0xEB], "bits 7-4 from colour select");
}

#[test]
fn six_bit_colours_span_black_to_white() {
    let mut guest = graphics(0x13);
    guest.set_color(1, [0, 32, 63]);
    guest.poke(0xA0000, 1);
    assert_eq!(guest.pel(0, 0), [0, 130, 255]);
}

#[test]
fn an_unused_palette_shows_overscan_and_screen_off_shows_black() {
    let mut guest = graphics(0x13);
    guest.set_attribute(0x11, 0x21);
    guest.input(0x3DA);
    guest.out(0x3C0, 0x00);
    assert_eq!(guest.pels(100, 100), [0x21]);
    assert_eq!(guest.vga.resolution(), (320, 200));
    guest.out(0x3C0, 0x00);
    guest.set(0x3C4, 1, 0x21);
    assert_eq!(guest.pel(100, 100), [0; 3]);
}

#[test]
fn rendering_some_lines_leaves_the_others() {
    let mut guest = graphics(0x13);
    guest.picture();
    (0..200).for_each(|y| guest.poke(0xA0000 + y * 320, 0xFF));
    guest.vga.render_lines(guest.now, &mut guest.frame, 10..20);
    let lit: Vec<u32> = (0..200).filter(|&y| guest.frame.rgb(0, y) != Some([0; 3])).collect();
    assert_eq!(lit, (10..20).collect::<Vec<_>>());
    guest.vga.render_lines(guest.now, &mut guest.frame, 190..u32::MAX);
    assert_ne!(guest.frame.rgb(0, 199), Some([0; 3]));
}

#[test]
fn damage_is_reported_once_and_only_for_what_shows() {
    let mut guest = graphics(0x13);
    assert_eq!(guest.vga.take_damage(guest.now), Damage::Frame);
    assert_eq!(guest.vga.take_damage(guest.now), Damage::None);
    guest.write(0xA1000, Dword, 0x0102_0304);
    assert_eq!(guest.vga.take_damage(guest.now), Damage::Frame);
    guest.peek(0xA1000);
    guest.set(0x3C4, 2, 0x0F);
    guest.set(0x3CE, 8, 0xFF);
    assert_eq!(guest.vga.take_damage(guest.now), Damage::None);
    guest.set_color(7, [1, 2, 3]);
    assert_eq!(guest.vga.take_damage(guest.now), Damage::Frame);
    guest.vga.vram_mut(0x50_0000, 1)[0] = 1;
    assert_eq!(guest.vga.take_damage(guest.now), Damage::None, "far outside the VGA's memory");
}

#[test]
fn blinking_damages_text_but_not_graphics() {
    let mut guest = Guest::in_mode(0x03);
    guest.vga.take_damage(guest.now);
    guest.pass(8 * 14_300_000);
    assert_eq!(guest.vga.take_damage(guest.now), Damage::Frame);
    guest.set_mode(0x13);
    guest.vga.take_damage(guest.now);
    guest.pass(8 * 14_300_000);
    assert_eq!(guest.vga.take_damage(guest.now), Damage::None);
}
