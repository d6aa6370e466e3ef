//! Ports, indexed registers, write protection, flip-flop, DAC.

use super::*;

/// Index port, register count and the bits that exist in each.
const INDEXED: [(u16, &[u8]); 3] = [
    (0x3C4, &[0x03, 0x3D, 0x0F, 0x3F, 0x0E]),
    (0x3CE, &[0x0F, 0x0F, 0x0F, 0x1F, 0x03, 0x7B, 0x0F, 0x0F, 0xFF]),
    (
        0x3D4,
        &[
            0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0x3F, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF,
            0xFF, 0x7F, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xEF, 0xFF,
        ],
    ),
];

#[test]
fn every_indexed_register_reads_back_the_bits_that_exist() {
    let mut guest = Guest::new();
    guest.out(0x3C2, 0x01);
    for (port, registers) in INDEXED {
        for (index, &bits) in (0..).zip(registers) {
            // Not bit 7 of CR11h, which would protect the others.
            for value in [0x00, 0x55, 0x2A, 0x7F & bits, !(u8::from(index == 0x11) << 7)] {
                guest.set(port, index, value);
                assert_eq!(guest.get(port, index), value & bits, "{port:X}h index {index:X}h");
                assert_eq!(guest.input(port), index);
            }
        }
    }
}

#[test]
fn every_attribute_register_reads_back_the_bits_that_exist() {
    let mut guest = Guest::in_mode(0x03);
    for index in 0..=0x14 {
        let bits = match index {
            0x10 => 0xEF,
            0x11 => 0xFF,
            0x13 | 0x14 => 0x0F,
            _ => 0x3F,
        };
        guest.set_attribute(index, 0xFF);
        guest.input(0x3DA);
        guest.out(0x3C0, index);
        assert_eq!(guest.input(0x3C1), bits, "index {index:X}h");
        guest.input(0x3DA);
    }
}

#[test]
fn registers_that_do_not_exist_read_zero_and_ignore_writes() {
    let mut guest = Guest::new();
    guest.out(0x3C2, 0x01);
    for (port, index) in [(0x3C4, 5), (0x3C4, 7), (0x3CE, 9), (0x3CE, 15), (0x3D4, 0x19), (0x3D4, 0x3F)] {
        guest.set(port, index, 0xFF);
        assert_eq!(guest.get(port, index), 0);
    }
    guest.set_attribute(0x1F, 0xFF);
    guest.out(0x3C0, 0x1F);
    assert_eq!(guest.input(0x3C1), 0);
}

#[test]
fn miscellaneous_output_moves_the_crtc_and_status_ports() {
    let mut guest = Guest::new();
    for (misc, here, there) in [(0x00, 0x3B0, 0x3D0), (0x01, 0x3D0, 0x3B0)] {
        guest.out(0x3C2, misc);
        for low in [4, 5, 0xA] {
            assert!(guest.try_in(here + low).is_ok());
            assert_eq!(guest.try_in(there + low), Err(IoError::NoSuchRegister));
        }
    }
}

#[test]
fn miscellaneous_output_and_feature_control_read_back_elsewhere() {
    let mut guest = Guest::new();
    guest.out(0x3C2, 0xFF);
    assert_eq!(guest.input(0x3CC), 0xEF);
    guest.out(0x3DA, 0xFF);
    assert_eq!(guest.input(0x3CA), 0x03);
}

#[test]
fn ports_of_neighbours_are_not_taken() {
    let mut guest = Guest::new();
    // Registers of MDA and CGA that a VGA does not have.
    for port in [0x3B0, 0x3B8, 0x3CB, 0x3CD, 0x3D8, 0x3D9, 0x3DC] {
        assert_eq!(guest.try_in(port), Err(IoError::NoSuchRegister), "{port:X}h");
    }
    // The printer port of the monochrome adapter.
    for port in 0x3BC..=0x3BF {
        assert!(Vga::PORTS.iter().all(|range| range.offset_of(port).is_none()));
    }
    for offset in [0x32, 0x100, 0xFFFF] {
        let value = guest.vga.read_port(offset, AccessSize::Byte, guest.now);
        assert_eq!(value, Err(IoError::NoSuchRegister));
    }
}

#[test]
fn video_subsystem_enable_switches_everything_but_itself_off() {
    let mut guest = Guest::in_mode(0x03);
    guest.out(0x3C3, 0);
    assert_eq!(guest.try_in(0x3CC), Err(IoError::NoSuchRegister));
    assert_eq!(guest.vga.read_memory(0x18000, AccessSize::Byte, guest.now), Err(IoError::NoSuchRegister));
    assert_eq!(guest.input(0x3C3), 0);
    guest.out(0x3C3, 1);
    assert_eq!(guest.input(0x3CC), 0x67);
    guest.peek(0xB8000);
}

#[test]
fn a_word_write_is_index_and_data_and_word_reads_are_split() {
    let mut guest = Guest::new();
    guest.set(0x3C4, 2, 0x0A);
    assert_eq!(guest.get(0x3C4, 2), 0x0A);
    assert_eq!(guest.vga.read_port(offset(0x3C4), AccessSize::Word, guest.now), Err(IoError::WrongSize));
    assert_eq!(guest.vga.write_port(offset(0x3C4), AccessSize::Dword, 0, guest.now), Err(IoError::WrongSize));
}

#[test]
fn cr11_bit_7_protects_cr0_to_cr7_except_line_compare_bit_8() {
    let mut guest = Guest::new();
    guest.out(0x3C2, 0x01);
    for index in 0..=7 {
        guest.set(0x3D4, index, 0x22);
    }
    guest.set(0x3D4, 0x11, 0x80);
    for index in 0..=8 {
        guest.set(0x3D4, index, 0x5D);
    }
    for index in 0..=6 {
        assert_eq!(guest.get(0x3D4, index), 0x22);
    }
    assert_eq!(guest.get(0x3D4, 7), 0x32);
    assert_eq!(guest.get(0x3D4, 8), 0x5D);
    guest.set(0x3D4, 0x11, 0x00);
    guest.set(0x3D4, 0, 0x5F);
    assert_eq!(guest.get(0x3D4, 0), 0x5F);
}

#[test]
fn attribute_writes_alternate_and_reading_status_1_starts_with_the_index() {
    let mut guest = Guest::in_mode(0x03);
    guest.input(0x3DA);
    guest.out(0x3C0, 0x31);
    assert_eq!(guest.get(0x3D4, 0x24) & 0x80, 0x80, "CR24h shows that data is next");
    guest.out(0x3C0, 0x07);
    assert_eq!(guest.get(0x3D4, 0x24) & 0x80, 0);
    assert_eq!((guest.input(0x3C0), guest.input(0x3C1)), (0x31, 0x07));
    guest.out(0x3C0, 0x32);
    guest.input(0x3DA);
    guest.out(0x3C0, 0x33);
    assert_eq!(guest.input(0x3C0), 0x33, "the second byte was an index again");
}

#[test]
fn palette_registers_are_out_of_reach_while_the_display_uses_them() {
    let mut guest = Guest::in_mode(0x03);
    guest.input(0x3DA);
    guest.out(0x3C0, 0x25);
    guest.out(0x3C0, 0x3F);
    assert_eq!(guest.input(0x3C1), 0x05);
    guest.out(0x3C0, 0x05);
    guest.out(0x3C0, 0x3F);
    assert_eq!(guest.input(0x3C1), 0x3F);
}

#[test]
fn the_latch_of_the_selected_map_reads_as_cr22() {
    let mut guest = Guest::in_mode(0x12);
    guest.set_maps(0x77, [0x11, 0x22, 0x33, 0x44]);
    guest.peek(0xA0077);
    for (map, byte) in [(0, 0x11), (1, 0x22), (2, 0x33), (3, 0x44)] {
        guest.set(0x3CE, 4, map);
        assert_eq!(guest.get(0x3D4, 0x22), byte);
    }
}

#[test]
fn the_switch_sense_bit_finds_a_display() {
    assert_eq!(Guest::in_mode(0x03).input(0x3C2) & 0x10, 0x10);
}

#[test]
fn dac_writes_take_three_bytes_of_six_bits_and_move_on() {
    let mut guest = Guest::new();
    guest.out(0x3C8, 0xFF);
    for value in [0xFF, 0x40, 0x3F, 0x01, 0x02, 0x03] {
        guest.out(0x3C9, value);
    }
    assert_eq!(guest.input(0x3C8), 0x01, "255 is followed by 0");
    guest.out(0x3C7, 0xFF);
    let read: [u8; 6] = std::array::from_fn(|_| guest.input(0x3C9));
    assert_eq!(read, [0x3F, 0x00, 0x3F, 0x01, 0x02, 0x03]);
}

#[test]
fn the_dac_state_tells_which_address_was_written() {
    let mut guest = Guest::new();
    guest.out(0x3C7, 0x10);
    assert_eq!(guest.input(0x3C7) & 3, 3);
    guest.out(0x3C8, 0x10);
    assert_eq!(guest.input(0x3C7) & 3, 0);
}

#[test]
fn a_dac_read_address_fetches_the_colour_and_stands_one_further() {
    // IMS G171, "Microprocessor interface": writing the read address loads the colour value register and
    // increments the address.
    let mut guest = Guest::new();
    guest.out(0x3C7, 0x10);
    assert_eq!(guest.input(0x3C8), 0x11);
}

#[test]
fn a_new_dac_address_starts_with_red() {
    let mut guest = Guest::new();
    guest.out(0x3C8, 5);
    guest.out(0x3C9, 1);
    guest.set_color(5, [10, 20, 30]);
    guest.out(0x3C7, 5);
    guest.input(0x3C9);
    guest.out(0x3C7, 5);
    assert_eq!([guest.input(0x3C9), guest.input(0x3C9), guest.input(0x3C9)], [10, 20, 30]);
}

#[test]
fn the_pel_mask_reads_back_and_masks_what_is_shown() {
    let mut guest = Guest::in_mode(0x13);
    guest.number_colors();
    guest.poke(0xA0000, 0xA5);
    assert_eq!(guest.pels(0, 0), [0xA5]);
    guest.out(0x3C6, 0x0F);
    assert_eq!(guest.input(0x3C6), 0x0F);
    assert_eq!(guest.pels(0, 0), [0x05]);
}

#[test]
fn reset_forgets_registers_but_not_memory() {
    let mut guest = Guest::in_mode(0x03);
    guest.poke(0xB8000, 0x41);
    guest.vga.reset();
    assert_eq!(guest.input(0x3CC), 0);
    assert_eq!(guest.vga.text_screen(), None);
    guest.set_mode(0x03);
    assert_eq!(guest.peek(0xB8000), 0x41);
}
