//! Input status 1, vertical retrace and its interrupt, against the frequencies that IBM specifies.

use super::*;
use crate::irq::IrqBank;

const DISPLAY_OFF: u8 = 0x01;
const RETRACE: u8 = 0x08;

impl Guest {
    fn status(&mut self) -> u8 {
        self.input(self.status_port())
    }

    /// Lets time pass in steps until the status bits are as given; the time that passed.
    fn wait(&mut self, bits: u8, value: u8, step: u64) -> u64 {
        let start = self.now;
        while self.status() & bits != value {
            self.pass(step);
            assert!(self.now.since(start).as_nanos() < 100_000_000, "the status never came");
        }
        self.now.since(start).as_nanos()
    }

    /// Nanoseconds from one start of vertical retrace to the next.
    fn frame_time(&mut self) -> u64 {
        self.wait(RETRACE, 0, 1_000);
        self.wait(RETRACE, RETRACE, 100);
        self.wait(RETRACE, 0, 1_000) + self.wait(RETRACE, RETRACE, 100)
    }
}

#[test]
fn vertical_retrace_comes_at_the_frame_rate_of_each_mode() {
    for mode in MODES {
        let mut guest = Guest::in_mode(mode.number);
        let expected = 100_000_000_000 / u64::from(mode.frame_rate);
        let measured = guest.frame_time();
        assert!(measured.abs_diff(expected) < 4_000, "mode {:02X}h: {measured} ns", mode.number);
    }
}

#[test]
fn retrace_lasts_two_lines() {
    // 64 us a frame: 31.469 kHz and lines 19Ch to 19Dh, or 1EAh and 1EBh.
    for mode in [0x03, 0x12, 0x13] {
        let mut guest = Guest::in_mode(mode);
        guest.wait(RETRACE, RETRACE, 100);
        let length = guest.wait(RETRACE, 0, 100);
        assert!(length.abs_diff(63_556) < 300, "{length} ns");
    }
}

#[test]
fn display_enable_falls_once_a_line() {
    // 25.175 MHz, 800 dots a line of which 640 are shown: 31.778 us, 6.355 us of it blank.
    let mut guest = Guest::in_mode(0x12);
    guest.wait(RETRACE, RETRACE, 1_000);
    guest.wait(DISPLAY_OFF, 0, 10);
    guest.wait(DISPLAY_OFF, DISPLAY_OFF, 10);
    let blank = guest.wait(DISPLAY_OFF, 0, 10);
    let shown = guest.wait(DISPLAY_OFF, DISPLAY_OFF, 10);
    assert!(blank.abs_diff(6_355) < 30 && shown.abs_diff(25_422) < 30, "{blank} + {shown} ns");
}

#[test]
fn nothing_is_displayed_during_retrace() {
    let mut guest = Guest::in_mode(0x03);
    for _ in 0..20_000 {
        guest.pass(1_777);
        assert_ne!(guest.status() & (RETRACE | DISPLAY_OFF), RETRACE);
    }
}

#[test]
fn vertical_values_have_ten_bits() {
    // 600 lines of 628, retrace at 601: the VESA timing of 800 by 600 at 60 Hz, in bits 9 without bits 8.
    let mut guest = Guest::in_mode(0x12);
    guest.set(0x3D4, 0x11, 0x00);
    for (index, value) in [(0x06, 0x72), (0x07, 0xF0), (0x10, 0x59), (0x12, 0x57), (0x11, 0x8D)] {
        guest.set(0x3D4, index, value);
    }
    assert_eq!(guest.vga.resolution(), (640, 600));
    let lines = |count: u64| count * 800 * 1_000_000_000 / 25_175_000;
    assert!(guest.frame_time().abs_diff(lines(628)) < 1_000);
    assert!(guest.wait(RETRACE, 0, 100).abs_diff(lines(4)) < 300);
    guest.wait(DISPLAY_OFF, 0, 100);
    assert!(guest.wait(RETRACE, RETRACE, 100).abs_diff(lines(601)) < 300);
}

#[test]
fn a_frame_has_as_many_blank_moments_as_the_timing_says() {
    // 640 of 800 dots on 480 of 525 lines: 73.14 % of a frame.
    let mut guest = Guest::in_mode(0x12);
    let mut displaying = 0;
    for _ in 0..100_000 {
        guest.pass(16_683_217 / 1_000 + 7);
        displaying += u32::from(guest.status() & DISPLAY_OFF == 0);
    }
    assert!((72_900..73_400).contains(&displaying), "{displaying}");
}

#[test]
fn the_beam_is_exact_after_days() {
    // 25.175 MHz / (800 * 525): in 16,800 s there are exactly 1,007,000 frames.
    let mut guest = Guest::in_mode(0x12);
    let start = guest.vga.raster_start;
    let frames =
        |guest: &Guest, now: u64| guest.vga.raster.beam(GuestTime::from_nanos(now).since(start)).frame;
    for cycles in [1, 2, 50] {
        let end = cycles * 16_800_000_000_000;
        assert_eq!(frames(&guest, end), cycles * 1_007_000);
        assert_eq!(frames(&guest, end - 1), cycles * 1_007_000 - 1);
    }
    guest.now = GuestTime::MAX;
    guest.status();
}

#[test]
fn start_address_and_split_screen_do_not_disturb_the_beam() {
    let mut guest = Guest::in_mode(0x0D);
    guest.pass(5_000_000);
    let start = guest.vga.raster_start;
    for (index, value) in [(0x0C, 0x10), (0x0D, 0x00), (0x18, 0x40), (0x13, 0x28), (0x08, 0x03)] {
        guest.set(0x3D4, index, value);
    }
    assert_eq!(guest.vga.raster_start, start);
    guest.set(0x3D4, 0x06, 0x0B);
    assert_eq!(guest.vga.raster_start, start, "CR6 is write protected");
}

#[test]
fn vbe_modes_have_a_retrace_too() {
    let mut guest = Guest::in_mode(0x03);
    guest.set_vbe_mode(1024, 768, 16);
    let measured = guest.frame_time();
    assert!(measured.abs_diff(16_666_667) < 5_000, "{measured} ns");
}

#[test]
fn hostile_timing_does_not_stop_the_beam_from_being_asked() {
    for (registers, retrace_end) in [([0x00; 7], 0x0F), ([0xFF; 7], 0x00), ([0x00; 7], 0x00)] {
        let mut guest = Guest::new();
        guest.out(0x3C2, 0x0F);
        for (index, value) in (0..).zip(registers) {
            guest.set(0x3D4, index, value);
        }
        guest.set(0x3D4, 0x17, 0xEF);
        guest.set(0x3D4, 0x10, 0xFF);
        guest.set(0x3D4, 0x11, 0x10 | retrace_end);
        for _ in 0..1_000 {
            guest.pass(12_345);
            guest.status();
            guest.input(0x3C2);
            guest.vga.next_event();
        }
    }
}

#[test]
fn the_vertical_interrupt_is_latched_until_cr11_bit_4_clears_it() {
    let bank = IrqBank::new();
    let mut guest = Guest::with_irq(bank.line(2));
    let raised = || bank.inputs(0).levels() == 1 << 2;
    guest.set_mode(0x12);
    assert_eq!(guest.vga.next_event(), None, "the BIOS leaves the latch held clear");
    guest.set(0x3D4, 0x11, 0x1C);
    for _ in 0..3 {
        let due = guest.vga.next_event().expect("a retrace is to come");
        guest.vga.advance(due - GuestDuration::from_nanos(1));
        assert!(!raised());
        guest.vga.advance(due);
        assert!(raised());
        guest.now = due;
        assert_eq!(guest.input(0x3C2) & 0x80, 0x80);
        assert_eq!(guest.status() & RETRACE, RETRACE);
        assert_eq!(guest.vga.next_event(), None);
        guest.set(0x3D4, 0x11, 0x0C);
        assert!(!raised());
        guest.set(0x3D4, 0x11, 0x1C);
        assert!(!raised(), "the same retrace does not interrupt again");
    }
}

#[test]
fn a_look_into_the_past_does_not_repeat_an_interrupt() {
    let bank = IrqBank::new();
    let mut guest = Guest::with_irq(bank.line(2));
    guest.set_mode(0x12);
    guest.set(0x3D4, 0x11, 0x1C);
    let due = guest.vga.next_event().expect("a retrace is to come");
    guest.now = due;
    guest.vga.advance(due);
    guest.set(0x3D4, 0x11, 0x0C);
    guest.set(0x3D4, 0x11, 0x1C);
    guest.vga.advance(due - GuestDuration::from_nanos(1_000));
    guest.vga.advance(due);
    assert_eq!(bank.inputs(0).levels(), 0);
    assert!(guest.vga.next_event().is_some_and(|next| next > due));
}

#[test]
fn cr11_bit_5_keeps_the_latch_from_the_interrupt_line() {
    let bank = IrqBank::new();
    let mut guest = Guest::with_irq(bank.line(2));
    guest.set_mode(0x12);
    guest.set(0x3D4, 0x11, 0x3C);
    assert_eq!(guest.vga.next_event(), None);
    guest.pass(50_000_000);
    assert_eq!(guest.input(0x3C2) & 0x80, 0x80);
    assert_eq!(bank.inputs(0).levels(), 0);
    guest.set(0x3D4, 0x11, 0x1C);
    assert_eq!(bank.inputs(0).levels(), 1 << 2);
}
