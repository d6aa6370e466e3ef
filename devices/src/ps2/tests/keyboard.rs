//! The documented behaviour of the keyboard.

use super::*;

/// Keys in the order of the original PC keyboard, whose scan code set 1 numbers them.
const SET1_ORDER: [KeyCode; 0x53] = {
    use KeyCode::*;
    [
        Escape,
        Digit1,
        Digit2,
        Digit3,
        Digit4,
        Digit5,
        Digit6,
        Digit7,
        Digit8,
        Digit9,
        Digit0,
        Minus,
        Equal,
        Backspace,
        Tab,
        KeyQ,
        KeyW,
        KeyE,
        KeyR,
        KeyT,
        KeyY,
        KeyU,
        KeyI,
        KeyO,
        KeyP,
        BracketLeft,
        BracketRight,
        Enter,
        ControlLeft,
        KeyA,
        KeyS,
        KeyD,
        KeyF,
        KeyG,
        KeyH,
        KeyJ,
        KeyK,
        KeyL,
        Semicolon,
        Quote,
        Backquote,
        ShiftLeft,
        Backslash,
        KeyZ,
        KeyX,
        KeyC,
        KeyV,
        KeyB,
        KeyN,
        KeyM,
        Comma,
        Period,
        Slash,
        ShiftRight,
        NumpadMultiply,
        AltLeft,
        Space,
        CapsLock,
        F1,
        F2,
        F3,
        F4,
        F5,
        F6,
        F7,
        F8,
        F9,
        F10,
        NumLock,
        ScrollLock,
        Numpad7,
        Numpad8,
        Numpad9,
        NumpadSubtract,
        Numpad4,
        Numpad5,
        Numpad6,
        NumpadAdd,
        Numpad1,
        Numpad2,
        Numpad3,
        Numpad0,
        NumpadDecimal,
    ]
};

#[test]
fn translated_codes_number_the_keys_of_the_original_keyboard() {
    let mut b = Bench::new();
    for (code, key) in (1..).zip(SET1_ORDER) {
        assert_eq!(b.press(key), [code], "{key:?}");
        assert_eq!(b.release(key), [code | 0x80], "{key:?}");
    }
    // The keys that came later. Microsoft "Keyboard Scan Code Specification".
    use KeyCode::*;
    for (key, code) in [(IntlBackslash, 0x56), (F11, 0x57), (F12, 0x58)] {
        assert_eq!((b.press(key), b.release(key)), (vec![code], vec![code | 0x80]), "{key:?}");
    }
    for (key, code) in [
        (NumpadEnter, 0x1C),
        (ControlRight, 0x1D),
        (NumpadDivide, 0x35),
        (AltRight, 0x38),
        (Home, 0x47),
        (ArrowUp, 0x48),
        (PageUp, 0x49),
        (ArrowLeft, 0x4B),
        (ArrowRight, 0x4D),
        (End, 0x4F),
        (ArrowDown, 0x50),
        (PageDown, 0x51),
        (Insert, 0x52),
        (Delete, 0x53),
        (MetaLeft, 0x5B),
        (MetaRight, 0x5C),
        (ContextMenu, 0x5D),
    ] {
        assert_eq!((b.press(key), b.release(key)), (vec![0xE0, code], vec![0xE0, code | 0x80]), "{key:?}");
    }
}

#[test]
fn scan_code_set_1_of_the_keyboard_is_set_2_translated() {
    let mut translated = Bench::new();
    let mut native = Bench::with_command_byte(0x03);
    assert_eq!(native.keyboard_command(&[0xF0, 1]), [0xFA, 0xFA]);
    for &key in KeyCode::ALL {
        assert_eq!(native.press(key), translated.press(key), "{key:?}");
        assert_eq!(native.release(key), translated.release(key), "{key:?}");
    }
}

#[test]
fn scan_code_set_2_marks_breaks_with_a_prefix() {
    let mut b = Bench::with_command_byte(0x03);
    assert_eq!((b.press(KeyCode::KeyA), b.release(KeyCode::KeyA)), (vec![0x1C], vec![0xF0, 0x1C]));
    assert_eq!((b.press(KeyCode::F7), b.release(KeyCode::F7)), (vec![0x83], vec![0xF0, 0x83]));
    assert_eq!(b.release(KeyCode::F7), [], "it is up");
    assert_eq!((b.press(KeyCode::End), b.release(KeyCode::End)), (vec![0xE0, 0x69], vec![0xE0, 0xF0, 0x69]));
}

#[test]
fn pause_and_print_screen_send_what_their_modifiers_make_of_them() {
    use KeyCode::*;
    let mut b = Bench::new();
    assert_eq!(b.press(Pause), [0xE1, 0x1D, 0x45, 0xE1, 0x9D, 0xC5]);
    assert_eq!(b.release(Pause), []);
    assert_eq!(b.press(PrintScreen), [0xE0, 0x2A, 0xE0, 0x37]);
    assert_eq!(b.release(PrintScreen), [0xE0, 0xB7, 0xE0, 0xAA]);
    b.press(ControlLeft);
    assert_eq!((b.press(Pause), b.release(Pause)), (vec![0xE0, 0x46, 0xE0, 0xC6], vec![]));
    assert_eq!((b.press(PrintScreen), b.release(PrintScreen)), (vec![0xE0, 0x37], vec![0xE0, 0xB7]));
    b.release(ControlLeft);
    b.press(AltLeft);
    assert_eq!((b.press(PrintScreen), b.release(PrintScreen)), (vec![0x54], vec![0xD4]));
}

#[test]
fn cursor_keys_pretend_to_be_those_of_the_numeric_keypad() {
    use KeyCode::*;
    let mut b = Bench::new();
    b.press(ShiftRight);
    assert_eq!(b.press(ArrowUp), [0xE0, 0xB6, 0xE0, 0x48]);
    assert_eq!(b.release(ArrowUp), [0xE0, 0xC8, 0xE0, 0x36]);
    assert_eq!(b.press(NumpadDivide), [0xE0, 0xB6, 0xE0, 0x35]);
    assert_eq!(b.release(NumpadDivide), [0xE0, 0xB5, 0xE0, 0x36]);
    assert_eq!(b.keyboard_command(&[0xED, 2]), [0xFA, 0xFA]);
    assert_eq!((b.press(ArrowUp), b.release(ArrowUp)), (vec![0xE0, 0x48], vec![0xE0, 0xC8]));
    b.release(ShiftRight);
    assert_eq!(b.press(ArrowUp), [0xE0, 0x2A, 0xE0, 0x48]);
    assert_eq!(b.release(ArrowUp), [0xE0, 0xC8, 0xE0, 0xAA]);
}

#[test]
fn scan_code_set_3_chooses_per_key_what_is_sent() {
    use KeyCode::*;
    let mut b = Bench::with_command_byte(0x03);
    assert_eq!(b.keyboard_command(&[0xF0, 3]), [0xFA, 0xFA]);
    assert_eq!(b.keyboard_command(&[0xF0, 0]), [0xFA, 0xFA, 3]);
    assert_eq!((b.press(KeyA), b.release(KeyA)), (vec![0x1C], vec![]), "typematic, no break");
    assert_eq!((b.press(ShiftLeft), b.release(ShiftLeft)), (vec![0x12], vec![0xF0, 0x12]), "make and break");
    assert_eq!((b.press(ArrowUp), b.release(ArrowUp)), (vec![0x63], vec![]), "no prefixes");
    assert_eq!(b.keyboard_command(&[0xFC, 0x1C]), [0xFA, 0xFA]);
    assert_eq!(b.keyboard_command(&[0xF4]), [0xFA], "a command ends the list of keys");
    assert_eq!((b.press(KeyA), b.release(KeyA)), (vec![0x1C], vec![0xF0, 0x1C]));
    assert_eq!(b.keyboard_command(&[0xF9]), [0xFA]);
    assert_eq!((b.press(ShiftLeft), b.release(ShiftLeft)), (vec![0x12], vec![]));
    assert_eq!(b.keyboard_command(&[0xF6]), [0xFA]);
    assert_eq!(b.keyboard_command(&[0xF0, 0]), [0xFA, 0xFA, 2], "the default");
}

#[test]
fn keyboard_commands_answer_as_documented() {
    let mut b = Bench::with_command_byte(0x03);
    assert_eq!(b.keyboard_command(&[0xF2]), [0xFA, 0xAB, 0x83]);
    assert_eq!(b.keyboard_command(&[0xFE]), [0x83], "the last byte again");
    assert_eq!(b.keyboard_command(&[0xEE]), [0xEE]);
    assert_eq!(b.keyboard_command(&[0xEF]), [0xFE], "no such command");
    assert_eq!(b.keyboard_command(&[0xED, 0x05]), [0xFA, 0xFA]);
    let lit = b.ps2.indicators();
    assert!(lit.scroll_lock && !lit.num_lock && lit.caps_lock);
    assert_eq!(b.keyboard_command(&[0xF0, 4]), [0xFA, 0xFE], "no such set");
    assert_eq!(b.keyboard_command(&[0xED, 0xF4]), [0xFA, 0xFA], "a command in place of the parameter");
    assert!(b.ps2.indicators().caps_lock);
    assert_eq!(b.keyboard_command(&[0xFF]), [0xFA, 0xAA]);
    assert!(!b.ps2.indicators().caps_lock);
}

#[test]
fn the_translator_translates_answers_too() {
    let mut b = Bench::new();
    assert_eq!(b.keyboard_command(&[0xF2]), [0xFA, 0xAB, 0x41]);
}

#[test]
fn a_keyboard_that_does_not_scan_takes_no_keys() {
    let mut b = Bench::new();
    assert_eq!(b.keyboard_command(&[0xF5]), [0xFA]);
    assert!(!b.ps2.key(KeyCode::KeyA, true, b.now));
    assert!(!b.ps2.keyboard_idle());
    assert_eq!(b.keyboard_command(&[0xF4]), [0xFA]);
    assert!(b.ps2.keyboard_idle());
    assert_eq!(b.press(KeyCode::KeyA), [0x1E]);
}

#[test]
fn scan_codes_wait_for_the_parameter_that_the_host_owes() {
    let mut b = Bench::new();
    b.write(0xED);
    assert_eq!(b.drain(), [0xFA]);
    assert!(b.ps2.key(KeyCode::KeyA, true, b.now));
    assert!(b.drain().is_empty());
    b.write(0);
    assert_eq!(b.drain(), [0xFA, 0x1E]);
}

#[test]
fn a_held_key_repeats_at_the_typematic_rate() {
    // Delay 500 ms, then 10.9 per second; delay 250 ms, then 30 per second. "Set Typematic Rate/Delay".
    for (parameter, delay_ms, per_ten_seconds) in [(0x2B, 500, 109), (0x00, 250, 300), (0x7F, 1000, 20)] {
        let mut b = Bench::new();
        assert_eq!(b.keyboard_command(&[0xF3, parameter]), [0xFA, 0xFA]);
        assert!(b.ps2.key(KeyCode::KeyA, true, b.now));
        let pressed = b.now;
        b.pass_ms(1);
        assert_eq!(b.read(), 0x1E);
        let mut arrivals = Vec::new();
        while b.now < pressed + GuestDuration::from_millis(delay_ms + 10_000) {
            b.now = b.ps2.next_event().unwrap();
            if b.status() & 1 != 0 {
                assert_eq!(b.read(), 0x1E);
                arrivals.push(b.now.since(pressed).as_nanos());
            }
        }
        assert_eq!(arrivals[0], (delay_ms * 1_000 + 660) * 1_000);
        assert!(arrivals.len().abs_diff(per_ten_seconds) <= 1, "{} of {per_ten_seconds}", arrivals.len());
        b.release(KeyCode::KeyA);
        assert_eq!(b.ps2.next_event(), None);
    }
}

#[test]
fn the_key_pressed_last_repeats_until_it_is_released() {
    let mut b = Bench::new();
    b.press(KeyCode::KeyA);
    b.press(KeyCode::End);
    b.now = b.ps2.next_event().unwrap();
    assert_eq!(b.drain(), [0xE0, 0x4F]);
    b.release(KeyCode::KeyA);
    assert!(b.ps2.next_event().is_some());
    b.release(KeyCode::End);
    assert_eq!(b.ps2.next_event(), None);
}

#[test]
fn nothing_typed_is_lost_and_no_repetition_piles_up() {
    let mut b = Bench::with_command_byte(0x03);
    let mut taken = 0;
    while b.ps2.key(SET1_ORDER[taken], true, b.now) {
        taken += 1;
    }
    assert_eq!(taken, 16, "a byte each");
    b.pass_ms(60_000);
    let expected: Vec<u8> = SET1_ORDER[..16].iter().map(|key| key.info().set2).collect();
    b.ps2.key(SET1_ORDER[15], false, b.now);
    assert_eq!(b.drain()[..16], expected);
    assert!(b.ps2.key(SET1_ORDER[16], true, b.now), "the rest finds room later");
}

#[test]
fn typed_text_arrives_however_slowly_the_guest_reads() {
    let text = "Hello, World! ~\t{x|y}\\\n";
    let events: Vec<_> = text.chars().flat_map(|c| Keystroke::typing(c).unwrap().events()).collect();
    let mut offered = events.iter();
    let mut b = Bench::new();
    let mut bytes = Vec::new();
    while bytes.len() < events.len() {
        if b.ps2.keyboard_idle()
            && let Some(&(key, pressed)) = offered.next()
        {
            assert!(b.ps2.key(key, pressed, b.now), "an idle keyboard has room");
        }
        b.pass_ms(7);
        if b.status() & 1 != 0 {
            bytes.push(b.read());
        }
    }
    let expected: Vec<u8> =
        events.iter().map(|(key, down)| translate(key.info().set2) | if *down { 0 } else { 0x80 }).collect();
    assert_eq!(bytes, expected);
}

#[test]
fn every_printable_character_is_typed_by_some_key() {
    assert!((' '..='~').all(|c| Keystroke::typing(c).is_some()));
    assert_eq!(Keystroke::typing('ä'), None);
    let interrupt = Keystroke::typing('\u{3}').unwrap();
    assert_eq!(interrupt, Keystroke { key: KeyCode::KeyC, shift: false, control: true });
    let distinct: std::collections::HashSet<_> =
        (' '..='~').map(|c| Keystroke::typing(c).map(|k| (k.key, k.shift))).collect();
    assert_eq!(distinct.len(), 94 + 1);
}
