//! Saving, restoring, and a hostile guest.

use super::*;
use crate::conformance::Random;
use crate::state::Snapshot;
use crate::vga::vram::Stretch;

/// One access of a guest that means no good.
fn misbehave(guest: &mut Guest, random: &mut Random) {
    let size = [AccessSize::Byte, AccessSize::Word, AccessSize::Dword][random.below(3) as usize];
    let value = random.next() as u32;
    let now = guest.now;
    match random.below(16) {
        0..=5 => {
            // Index and data registers.
            let port = 0x3C0 + random.below(0x1B) as u16;
            let _ = guest.vga.write_port(offset(port), size, value, now);
        }
        6 => {
            let _ = guest.vga.write_port(random.below(0x40) as u16, size, value, now);
        }
        7 => {
            let _ = guest.vga.read_port(random.below(0x40) as u16, size, now);
        }
        8..=9 => {
            let register = random.below(12) as u16;
            let value = if random.below(2) == 0 { value as u16 } else { value as u16 % 1700 };
            guest.dispi(register, value);
        }
        10..=11 => {
            let _ = guest.vga.write_memory(random.below(0x20010), size, value, now);
        }
        12..=13 => {
            let _ = guest.vga.read_memory(random.below(0x20010), size, now);
        }
        14 => guest.vga.advance(now),
        _ => {
            let magnitude = random.below(50);
            guest.pass(random.below(1 << magnitude));
        }
    }
}

#[test]
fn a_restored_vga_is_the_saved_one() {
    let mut guest = Guest::in_mode(0x03);
    let mut random = Random::new(1);
    for round in 0..30 {
        (0..500).for_each(|_| misbehave(&mut guest, &mut random));
        let saved = guest.vga.save();
        let mut other = Guest::in_mode([0x03, 0x13, 0x12][round % 3]);
        assert_ne!(other.vga.save(), saved, "or the comparison below shows nothing");
        other.vga.restore(saved.clone()).expect("what a device saved");
        assert_eq!(other.vga.save(), saved);
        other.now = guest.now;
        assert_eq!(other.vga.routes, guest.vga.routes);
        assert_eq!(other.vga.raster, guest.vga.raster);
        assert_eq!(other.vga.next_event(), guest.vga.next_event());
        assert_eq!(other.picture(), guest.picture());
        assert_eq!(other.vga.take_damage(other.now), Damage::Frame);
    }
}

#[test]
fn a_hostile_guest_gets_a_picture_within_bounds() {
    let mut random = Random::new(2);
    for start in [0x03, 0x04, 0x12, 0x13] {
        let mut guest = Guest::in_mode(start);
        for _ in 0..150 {
            (0..200).for_each(|_| misbehave(&mut guest, &mut random));
            let (width, height) = guest.vga.resolution();
            assert!((1..=2560).contains(&width) && (1..=2048).contains(&height), "{width} x {height}");
            let picture = guest.picture();
            assert_eq!(picture.pixels().len(), (width * height) as usize);
            if let Some(screen) = guest.vga.text_screen() {
                assert_eq!(screen.cells().len(), screen.columns() * screen.rows());
                assert!(screen.cursor().is_none_or(|(x, y)| x < screen.columns() && y < screen.rows()));
            }
            guest.vga.take_damage(guest.now);
            guest.vga.next_event();
        }
    }
}

#[test]
fn every_register_at_its_extremes_renders() {
    for value in [0x00, 0xFF] {
        for mode in [0x03, 0x04, 0x12, 0x13] {
            let mut guest = Guest::in_mode(mode);
            guest.set(0x3D4, 0x11, 0x00);
            for index in (0..=0x18).filter(|&index| index != 0x11) {
                guest.set(0x3D4, index, value);
            }
            guest.picture();
            guest.vga.text_screen();
        }
    }
}

#[test]
fn restored_memory_is_zero_where_nothing_was_saved() {
    let mut guest = Guest::in_mode(0x13);
    guest.poke(0xA0123, 1);
    guest.vga.vram_mut(VRAM_SIZE - 1, 1)[0] = 2;
    guest.vga.take_damage(guest.now);
    let saved = guest.vga.save();
    assert_eq!(saved.vram.iter().map(|stretch| stretch.bytes.len()).sum::<usize>(), 64);
    guest.vga.vram_mut(0x80_0000, 1)[0] = 3;
    guest.poke(0xA0124, 4);
    guest.vga.restore(saved).expect("what a device saved");
    assert_eq!([0x123, 0x124, 0x80_0000, VRAM_SIZE - 1].map(|at| guest.vga.vram()[at]), [1, 0, 0, 2]);
}

#[test]
fn impossible_states_are_refused_and_change_nothing() {
    let mut guest = Guest::in_mode(0x13);
    guest.set_vbe_mode(1024, 768, 32);
    let good = guest.vga.save();
    let spoilers: [fn(&mut VgaState); 16] = [
        |state| state.misc_output = 0x10,
        |state| state.feature_control = 4,
        |state| state.subsystem_enable = 2,
        |state| state.sequencer.registers[0] = 4,
        |state| state.crtc.index = 0x40,
        |state| state.crtc.registers[0x17] = 0x10,
        |state| state.graphics.registers[4] = 4,
        |state| state.attribute.registers[0] = 0x40,
        |state| state.dac.colors.truncate(255),
        |state| state.dac.access.component = 3,
        |state| state.dispi.width = 0,
        |state| state.dispi.y_offset = 3329,
        |state| state.dispi.virtual_width = 1023,
        |state| state.dispi.read_bank = 256,
        |state| state.dispi.enable = 0x100,
        |state| state.vram = vec![Stretch { start: VRAM_SIZE as u32 - 1, bytes: vec![1; 2] }],
    ];
    for (i, spoil) in spoilers.into_iter().enumerate() {
        let mut bad = good.clone();
        spoil(&mut bad);
        assert!(guest.vga.restore(bad).is_err(), "spoiler {i}");
        assert_eq!(guest.vga.save(), good, "spoiler {i}");
    }
}

crate::conformance::suite!(
    Subject::new(|bank| Vga::new(bank.line(9)))
        .ports(0x32)
        .memory(u64::from(WINDOW_SIZE))
        .timed()
        .action(|vga: &mut Vga, random, now| {
            // What a BIOS sets first, so that histories reach pictures.
            let value = [0x67, 0x63, 0xE3, 0xA6][random.below(4) as usize];
            let _ = vga.write_port(offset(0x3C2), AccessSize::Byte, value, now);
            u64::from(vga.resolution().0)
        })
        .action(|vga, random, now| {
            let offset = random.below(VRAM_SIZE as u64);
            let _ = vga.linear_frame_buffer().write_memory(offset, AccessSize::Byte, random.value(), now);
            vga.linear_frame_buffer().read_memory(offset, AccessSize::Dword, now).map_or(u64::MAX, u64::from)
        })
        .action(|vga, _, _| vga.text_screen().map_or(0, |screen| {
            screen.cells().iter().fold(1, |sum: u64, cell| {
                sum.wrapping_mul(31).wrapping_add(u64::from(cell.character) << 8 | u64::from(cell.attribute))
            })
        }))
);
