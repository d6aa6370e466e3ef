//! VBE modes through the Bochs display interface.

use super::*;
use AccessSize::{Byte, Dword, Word};

const ID: u16 = 0;
const X_RESOLUTION: u16 = 1;
const Y_RESOLUTION: u16 = 2;
const BITS_PER_PIXEL: u16 = 3;
const ENABLE: u16 = 4;
const BANK: u16 = 5;
const VIRTUAL_WIDTH: u16 = 6;
const VIRTUAL_HEIGHT: u16 = 7;
const X_OFFSET: u16 = 8;
const Y_OFFSET: u16 = 9;
const VIDEO_MEMORY_64K: u16 = 10;

#[test]
fn identification_takes_the_versions_it_speaks() {
    let mut guest = Guest::new();
    assert_eq!(guest.dispi_value(ID), 0xB0C5);
    for id in 0xB0C0..=0xB0C5 {
        guest.dispi(ID, id);
        assert_eq!(guest.dispi_value(ID), id);
    }
    for id in [0xB0C6, 0xB0BF, 0, 0xFFFF] {
        guest.dispi(ID, id);
        assert_eq!(guest.dispi_value(ID), 0xB0C5);
    }
    assert_eq!(guest.dispi_value(VIDEO_MEMORY_64K), 256);
}

#[test]
fn capabilities_are_read_in_place_of_the_mode() {
    let mut guest = Guest::new();
    guest.dispi(ENABLE, 0x02);
    assert_eq!([1, 2, 3].map(|register| guest.dispi_value(register)), [2560, 1600, 32]);
    guest.dispi(ENABLE, 0x00);
    assert_eq!([1, 2, 3].map(|register| guest.dispi_value(register)), [640, 480, 8]);
}

#[test]
fn the_resolution_is_fixed_while_a_mode_is_on() {
    let mut guest = Guest::new();
    guest.set_vbe_mode(800, 600, 32);
    guest.dispi(X_RESOLUTION, 1024);
    guest.dispi(Y_RESOLUTION, 768);
    guest.dispi(BITS_PER_PIXEL, 16);
    assert_eq!([1, 2, 3].map(|register| guest.dispi_value(register)), [800, 600, 32]);
    assert_eq!(guest.vga.resolution(), (800, 600));
    assert_eq!((guest.dispi_value(VIRTUAL_WIDTH), guest.dispi_value(VIRTUAL_HEIGHT)), (800, 5242));
}

#[test]
fn impossible_values_are_not_taken() {
    let mut guest = Guest::new();
    for (register, values) in [
        (X_RESOLUTION, [0, 2561, 0xFFFF]),
        (Y_RESOLUTION, [0, 1601, 0xFFFF]),
        (BITS_PER_PIXEL, [1, 12, 33]),
        (BANK, [256, 0x3FFF, 0xFFFF]),
    ] {
        let before = guest.dispi_value(register);
        for value in values {
            guest.dispi(register, value);
            assert_eq!(guest.dispi_value(register), before, "register {register} value {value:X}h");
        }
    }
}

#[test]
fn the_largest_mode_fits_and_its_picture_stays_in_memory() {
    let mut guest = Guest::new();
    guest.set_vbe_mode(2560, 1600, 32);
    assert_eq!(guest.vga.resolution(), (2560, 1600));
    guest.picture();
    for (register, value) in [(VIRTUAL_WIDTH, 2622), (Y_OFFSET, 39), (VIRTUAL_WIDTH, 2559)] {
        let before = guest.dispi_value(register);
        guest.dispi(register, value);
        assert_eq!(guest.dispi_value(register), before, "register {register} value {value}");
    }
    guest.dispi(Y_OFFSET, 38);
    assert_eq!(guest.dispi_value(Y_OFFSET), 38, "38 more lines of 10 KiB fit");
    guest.picture();
}

#[test]
fn every_depth_shows_its_colours() {
    for (bits, bytes, rgb) in [
        (15, &[0x1F, 0x7C][..], [255, 0, 255]),
        (15, &[0x10, 0x02], [0, 132, 132]),
        (16, &[0xE0, 0x07], [0, 255, 0]),
        (16, &[0x01, 0xF8], [255, 0, 8]),
        (24, &[0x11, 0x22, 0x33], [0x33, 0x22, 0x11]),
        (32, &[0x11, 0x22, 0x33, 0xFF], [0x33, 0x22, 0x11]),
    ] {
        let mut guest = Guest::new();
        guest.set_vbe_mode(640, 480, bits);
        let start = 479 * 640 * bytes.len() + 639 * bytes.len();
        guest.vga.vram_mut(start, bytes.len()).copy_from_slice(bytes);
        assert_eq!(guest.pel(639, 479), rgb, "{bits} bits");
        assert_eq!(guest.pel(638, 479), [0; 3]);
    }
}

#[test]
fn eight_bit_modes_go_through_the_dac_at_six_or_eight_bits_a_gun() {
    let mut guest = Guest::new();
    guest.set_vbe_mode(640, 480, 8);
    guest.vga.vram_mut(0, 1)[0] = 0x80;
    guest.set_color(0x80, [0xFF, 0x3F, 0x20]);
    assert_eq!(guest.pel(0, 0), [255, 255, 130]);
    guest.dispi(ENABLE, 0x61);
    guest.set_color(0x80, [0xFF, 0x3F, 0x20]);
    assert_eq!(guest.pel(0, 0), [0xFF, 0x3F, 0x20]);
    guest.out(0x3C7, 0x80);
    assert_eq!(guest.input(0x3C9), 0xFF);
}

#[test]
fn planar_modes_use_the_graphics_controller_and_the_palette() {
    let mut guest = Guest::in_mode(0x12);
    guest.number_colors();
    (0..16).for_each(|color| guest.set_attribute(color, color));
    guest.set_vbe_mode(1024, 768, 4);
    guest.set(0x3CE, 5, 2);
    guest.poke(0xA0000 + 128, 0x09);
    // Line 700 is beyond 64 KiB a map.
    guest.dispi(BANK, 1);
    guest.poke(0xA0000 + 700 * 128 + 127 - 0x10000, 0x06);
    assert_eq!(guest.pels(0, 1), [9; 8]);
    assert_eq!(guest.pels(1016, 700), [6; 8]);
    assert_eq!(guest.dispi_value(VIRTUAL_HEIGHT), 32768);
    guest.dispi(X_OFFSET, 3);
    assert_eq!(guest.pels(0, 1), [9, 9, 9, 9, 9, 0, 0, 0]);
}

#[test]
fn the_picture_can_be_panned_in_a_wider_one() {
    let mut guest = Guest::new();
    guest.set_vbe_mode(640, 480, 32);
    guest.dispi(VIRTUAL_WIDTH, 800);
    guest.dispi(X_OFFSET, 7);
    guest.dispi(Y_OFFSET, 5);
    assert_eq!(guest.dispi_value(VIRTUAL_HEIGHT), 5242);
    guest.vga.vram_mut((5 * 800 + 7) * 4, 4).copy_from_slice(&[1, 2, 3, 0]);
    assert_eq!(guest.pel(0, 0), [3, 2, 1]);
}

#[test]
fn enabling_clears_the_picture_unless_asked_not_to() {
    let mut guest = Guest::new();
    for (enable, kept) in [(0x41, 0), (0xC1, 0x55)] {
        guest.dispi(ENABLE, 0);
        guest.vga.vram_mut(0, VRAM_SIZE).fill(0x55);
        guest.dispi(ENABLE, enable);
        assert_eq!(guest.vga.vram()[640 * 480 - 1], kept);
        assert_eq!(guest.vga.vram()[640 * 480], 0x55);
        assert_eq!(guest.dispi_value(ENABLE), enable);
    }
}

#[test]
fn enabling_a_planar_mode_clears_all_of_its_picture() {
    let mut guest = Guest::in_mode(0x12);
    guest.vga.vram_mut(0, VRAM_SIZE).fill(0x55);
    guest.set_color(0, [0; 3]);
    guest.set_color(0x3F, [63; 3]);
    guest.set_vbe_mode(800, 600, 4);
    assert!(guest.picture().pixels().iter().all(|&pel| pel == 0));
}

#[test]
fn the_window_shows_banks_of_64_kib() {
    let mut guest = Guest::new();
    guest.set_vbe_mode(1024, 768, 32);
    for bank in [0, 1, 47, 255] {
        guest.dispi(BANK, bank);
        guest.write(0xAFFFC, Dword, 0x1234_5600 | u32::from(bank));
        let start = usize::from(bank) * 0x10000 + 0xFFFC;
        assert_eq!(guest.vga.vram()[start], bank as u8);
        assert_eq!(guest.vga.vram()[start + 3], 0x12);
        let vram = usize::from(bank) * 0x10000;
        assert_eq!(guest.vga.direct_window(), Some(DirectWindow { offset: 0, length: 0x10000, vram }));
    }
    assert_eq!(guest.vga.read_memory(0x10000, Byte, guest.now), Err(IoError::NoSuchRegister));
}

#[test]
fn read_and_write_banks_can_differ() {
    let mut guest = Guest::new();
    guest.set_vbe_mode(1024, 768, 32);
    guest.vga.vram_mut(0x20000, 1)[0] = 0x99;
    guest.dispi(BANK, 0x8000 | 2);
    guest.dispi(BANK, 0x4000 | 3);
    let value = guest.peek(0xA0000);
    guest.poke(0xA0000, value);
    assert_eq!(guest.vga.vram()[0x30000], 0x99);
    assert_eq!(guest.vga.direct_window(), None);
    guest.dispi(BANK, 0xC000 | 4);
    assert_eq!(guest.dispi_value(BANK), 4, "a VGA BIOS checks what it wrote without the flags");
}

#[test]
fn banks_can_be_32_kib_and_the_last_one_ends_with_memory() {
    let mut guest = Guest::new();
    guest.set_vbe_mode(1024, 768, 32);
    guest.dispi(ENABLE, 0x51);
    guest.dispi(BANK, 3);
    guest.poke(0xA0000, 0x77);
    assert_eq!(guest.vga.vram()[3 * 0x8000], 0x77);
    guest.dispi(BANK, 511);
    guest.poke(0xA7FFF, 0x66);
    assert_eq!(guest.vga.vram()[VRAM_SIZE - 1], 0x66);
    assert_eq!(guest.vga.write_memory(0x8000, Byte, 0, guest.now), Err(IoError::NoSuchRegister));
    assert_eq!(guest.vga.write_memory(0x7FFD, Dword, 0, guest.now), Err(IoError::WrongSize));
}

#[test]
fn the_linear_frame_buffer_is_all_of_video_memory() {
    let mut guest = Guest::new();
    let now = guest.now;
    let mut buffer = guest.vga.linear_frame_buffer();
    for (offset, size, value) in [(0, Byte, 0x11), (0x12345, Word, 0x2233), (0xFF_FFFC, Dword, 0x4455_6677)] {
        buffer.write_memory(offset, size, value, now).expect("inside");
        assert_eq!(buffer.read_memory(offset, size, now), Ok(value));
    }
    assert_eq!(buffer.write_memory(0xFF_FFFD, Dword, 0, now), Err(IoError::WrongSize));
    assert_eq!(buffer.read_memory(0x100_0000, Byte, now), Err(IoError::NoSuchRegister));
    assert_eq!(buffer.read_memory(u64::MAX, Byte, now), Err(IoError::NoSuchRegister));
    assert_eq!(guest.vga.vram()[0xFF_FFFF], 0x44);
}

#[test]
fn the_ports_are_words() {
    let mut guest = Guest::new();
    let (now, index, data) = (guest.now, offset(0x1CE), offset(0x1CF));
    let vga = &mut guest.vga;
    assert_eq!(vga.write_port(data, Byte, 0, now), Err(IoError::WrongSize));
    assert_eq!(vga.read_port(index, Dword, now), Err(IoError::WrongSize));
    vga.write_port(index, Word, 0xFFFF, now).expect("any index");
    assert_eq!(vga.read_port(index, Word, now), Ok(0xFFFF));
    assert_eq!(vga.read_port(data, Word, now), Ok(0));
}

#[test]
fn damage_names_the_lines_of_the_changed_pages() {
    let mut guest = Guest::new();
    guest.set_vbe_mode(1024, 768, 32);
    guest.vga.take_damage(guest.now);
    // One line is one page.
    guest.vga.vram_mut(100 * 4096 + 17, 1)[0] = 1;
    assert_eq!(guest.vga.take_damage(guest.now), Damage::Lines(100..101));
    guest.vga.vram_mut(5 * 4096 - 1, 2).fill(1);
    guest.vga.vram_mut(767 * 4096, 4096).fill(1);
    assert_eq!(guest.vga.take_damage(guest.now), Damage::Lines(4..768));
    guest.vga.vram_mut(768 * 4096, 4096).fill(1);
    assert_eq!(guest.vga.take_damage(guest.now), Damage::None);
    guest.dispi(Y_OFFSET, 10);
    assert_eq!(guest.vga.take_damage(guest.now), Damage::Frame);
    guest.vga.vram_mut(9 * 4096, 8192).fill(2);
    assert_eq!(guest.vga.take_damage(guest.now), Damage::Lines(0..1));
}

#[test]
fn leaving_a_vbe_mode_brings_the_vga_mode_back() {
    let mut guest = Guest::in_mode(0x03);
    guest.set_vbe_mode(800, 600, 16);
    assert_eq!(guest.vga.text_screen(), None);
    guest.dispi(ENABLE, 0);
    assert_eq!(guest.vga.resolution(), (720, 400));
    guest.write(0xB8000, Word, 0x0741);
    assert_eq!(guest.vga.text_screen().expect("a text mode").cells()[0].character, b'A');
}
