//! The documented behaviour of the mouse.

use super::*;

#[test]
fn mouse_commands_answer_as_documented() {
    let mut b = Bench::new();
    assert_eq!(b.mouse_command(&[0xFF]), [0xFA, 0xAA, 0x00]);
    assert_eq!(b.mouse_command(&[0xF2]), [0xFA, 0x00]);
    assert_eq!(b.mouse_command(&[0xE9]), [0xFA, 0x00, 2, 100], "the defaults");
    assert_eq!(b.mouse_command(&[0xE8, 3, 0xF3, 200, 0xE7, 0xF4]), [0xFA; 6]);
    let buttons = MouseButtons { left: true, right: true, middle: false };
    assert_eq!(b.mouse_command(&[0xE9]), [0xFA, 0x30, 3, 200]);
    assert_eq!(b.mouse_command(&[0xFE]), [0xFA, 0x30, 3, 200], "the last message again");
    assert_eq!(b.mouse_command(&[0xF0]), [0xFA]);
    assert!(b.ps2.press_buttons(buttons, b.now));
    assert_eq!(b.mouse_command(&[0xE9]), [0xFA, 0x75, 3, 200]);
    assert_eq!(b.mouse_command(&[0xF6, 0xE9]), [0xFA, 0xFA, 0x05, 2, 100]);
    assert_eq!(b.mouse_command(&[0xE1]), [0xFE], "no such command");
    assert_eq!(b.mouse_command(&[0xE1]), [0xFC], "still none");
    assert_eq!(b.mouse_command(&[0xE8, 4]), [0xFA, 0xFE], "no such resolution");
    assert_eq!(b.mouse_command(&[0]), [0xFA]);
}

#[test]
fn mouse_bytes_are_told_apart_and_interrupt_on_their_own_line() {
    let mut b = Bench::new();
    b.command(controller::WRITE_AUX);
    b.write(0xF4);
    b.pass_ms(2);
    assert_eq!((b.status() & 0x21, b.irqs()), (0x21, 1 << 12));
    assert_eq!(b.read(), 0xFA);
    assert_eq!(b.irqs(), 0);
}

#[test]
fn stream_mode_reports_movement_at_the_sampling_rate() {
    let mut b = Bench::new();
    assert_eq!(b.mouse_command(&[0xF4]), [0xFA]);
    b.ps2.move_mouse(5, -3, 0, b.now);
    assert_eq!(b.drain(), [0x28, 5, 0xFD]);
    let first = b.now;
    b.pass_ms(100);
    // One is reported at once, the next 10 ms later, with all that moved meanwhile.
    let start = b.now;
    b.ps2.move_mouse(1, 0, 0, b.now);
    b.ps2.move_mouse(2, 1, 0, b.now);
    b.ps2.move_mouse(3, 1, 0, b.now);
    let report = |b: &mut Bench| -> Vec<u8> {
        (0..3)
            .map(|_| {
                while b.status() & 1 == 0 {
                    b.now = b.ps2.next_event().unwrap();
                }
                b.read()
            })
            .collect()
    };
    assert_eq!(report(&mut b), [0x08, 1, 0]);
    assert_eq!(report(&mut b), [0x08, 5, 2]);
    assert_eq!(b.now.since(start).as_nanos(), 10_000_000 + 3 * 660_000);
    assert!(first < start);
    b.ps2.move_mouse(600, -300, 0, b.now);
    assert_eq!(b.drain(), [0x28, 255, 1, 0x28, 255, 0xD3, 0x08, 90, 0], "nine bits, and the rest later");
}

#[test]
fn scaling_2_to_1_doubles_large_movements() {
    let mut b = Bench::new();
    assert_eq!(b.mouse_command(&[0xE7, 0xF4]), [0xFA; 2]);
    for (counts, reported) in [(1, 1), (2, 1), (3, 3), (4, 6), (5, 9), (6, 12), (100, 200)] {
        b.ps2.move_mouse(counts, 0, 0, b.now);
        assert_eq!(b.drain(), [0x08, reported, 0]);
        b.pass_ms(10);
    }
    b.ps2.move_mouse(-4, 0, 0, b.now);
    assert_eq!(b.drain(), [0x18, 0xFA, 0]);
}

#[test]
fn no_click_is_lost() {
    let mut b = Bench::new();
    assert_eq!(b.mouse_command(&[0xF4]), [0xFA]);
    let left = MouseButtons { left: true, ..MouseButtons::default() };
    assert!(b.ps2.press_buttons(left, b.now));
    assert!(b.ps2.press_buttons(MouseButtons::default(), b.now), "the report is on its way");
    assert!(!b.ps2.press_buttons(left, b.now), "one change is waiting");
    assert_eq!(b.drain(), [0x09, 0, 0, 0x08, 0, 0]);
    assert!(b.ps2.press_buttons(left, b.now));
}

#[test]
fn remote_mode_reports_when_asked() {
    let mut b = Bench::new();
    assert_eq!(b.mouse_command(&[0xF0, 0xF4]), [0xFA; 2]);
    b.ps2.move_mouse(7, 0, 0, b.now);
    assert!(b.drain().is_empty());
    assert_eq!(b.mouse_command(&[0xEB]), [0xFA, 0x08, 7, 0]);
    assert_eq!(b.mouse_command(&[0xEB]), [0xFA, 0x08, 0, 0]);
    assert_eq!(b.mouse_command(&[0xEA]), [0xFA]);
    b.ps2.move_mouse(1, 0, 0, b.now);
    assert_eq!(b.drain(), [0x08, 1, 0]);
}

#[test]
fn wrap_mode_echoes_all_but_two_commands() {
    let mut b = Bench::new();
    assert_eq!(b.mouse_command(&[0xEE, 0xF4, 0x12, 0xEC, 0xEC]), [0xFA, 0xF4, 0x12, 0xFA, 0xFA]);
    assert_eq!(b.mouse_command(&[0xEE, 0xFF]), [0xFA, 0xFA, 0xAA, 0x00]);
    assert_eq!(b.mouse_command(&[0xF2]), [0xFA, 0x00]);
}

#[test]
fn knocking_turns_the_wheel_on() {
    let mut b = Bench::new();
    assert_eq!(b.mouse_command(&[0xF3, 200, 0xF3, 100, 0xF3, 80, 0xF2]), [vec![0xFA; 7], vec![3]].concat());
    assert_eq!(b.mouse_command(&[0xF4]), [0xFA]);
    b.ps2.move_mouse(0, 0, -2, b.now);
    assert_eq!(b.drain(), [0x08, 0, 0, 0xFE]);
    b.ps2.move_mouse(1, 0, 9, b.now);
    assert_eq!(b.drain(), [0x08, 1, 0, 7, 0x08, 0, 0, 2]);
    assert_eq!(b.mouse_command(&[0xFF, 0xF2]), [0xFA, 0xAA, 0x00, 0xFA, 0x00], "a reset turns it off");
}
