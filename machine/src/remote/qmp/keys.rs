//! Keys by the names of the protocol (`QKeyCode`), and by the numbers of scan code set 1.
//!
//! QEMU QMP Reference Manual, "QKeyCode".

use idem86_devices::ps2::KeyCode;
use idem86_devices::ps2::KeyCode::*;

/// Names that cannot be told from the key's own.
const NAMES: &[(&str, KeyCode)] = &[
    ("shift", ShiftLeft),
    ("shift_r", ShiftRight),
    ("alt", AltLeft),
    ("alt_r", AltRight),
    ("ctrl", ControlLeft),
    ("ctrl_r", ControlRight),
    ("menu", ContextMenu),
    ("compose", ContextMenu),
    ("esc", Escape),
    ("minus", Minus),
    ("equal", Equal),
    ("backspace", Backspace),
    ("tab", Tab),
    ("bracket_left", BracketLeft),
    ("bracket_right", BracketRight),
    ("ret", Enter),
    ("semicolon", Semicolon),
    ("apostrophe", Quote),
    ("grave_accent", Backquote),
    ("backslash", Backslash),
    ("comma", Comma),
    ("dot", Period),
    ("slash", Slash),
    ("asterisk", NumpadMultiply),
    ("spc", Space),
    ("caps_lock", CapsLock),
    ("num_lock", NumLock),
    ("scroll_lock", ScrollLock),
    ("kp_divide", NumpadDivide),
    ("kp_multiply", NumpadMultiply),
    ("kp_subtract", NumpadSubtract),
    ("kp_add", NumpadAdd),
    ("kp_enter", NumpadEnter),
    ("kp_decimal", NumpadDecimal),
    ("sysrq", PrintScreen),
    ("print", PrintScreen),
    ("kp_0", Numpad0),
    ("kp_1", Numpad1),
    ("kp_2", Numpad2),
    ("kp_3", Numpad3),
    ("kp_4", Numpad4),
    ("kp_5", Numpad5),
    ("kp_6", Numpad6),
    ("kp_7", Numpad7),
    ("kp_8", Numpad8),
    ("kp_9", Numpad9),
    ("less", IntlBackslash),
    ("home", Home),
    ("pgup", PageUp),
    ("pgdn", PageDown),
    ("end", End),
    ("left", ArrowLeft),
    ("up", ArrowUp),
    ("down", ArrowDown),
    ("right", ArrowRight),
    ("insert", Insert),
    ("delete", Delete),
    ("pause", Pause),
    ("meta_l", MetaLeft),
    ("meta_r", MetaRight),
];

/// The key that the protocol calls `name`.
pub(super) fn named(name: &str) -> Option<KeyCode> {
    let special = NAMES.iter().find(|(n, _)| *n == name).map(|(_, key)| *key);
    special.or_else(|| match name.as_bytes() {
        [b'a'..=b'z'] => KeyCode::from_name(&format!("Key{name}")),
        [b'0'..=b'9'] => KeyCode::from_name(&format!("Digit{name}")),
        [b'f', b'1'..=b'9', ..] => KeyCode::from_name(name),
        _ => None,
    })
}

/// The key with this code in scan code set 1; extended ones have bit 7 set.
pub(super) fn numbered(number: u64) -> Option<KeyCode> {
    KeyCode::ALL.iter().copied().find(|key| {
        let (code, extended) = key.scan_code_1();
        u64::from(code) | if extended { 0x80 } else { 0 } == number
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_of_keys() {
        for (name, key) in
            [("a", KeyA), ("7", Digit7), ("f1", F1), ("f12", F12), ("ret", Enter), ("spc", Space)]
        {
            assert_eq!(named(name), Some(key), "{name}");
        }
        for name in ["", "f0", "f13", "A", "é", "unmapped", "ctrl-alt", "f1x"] {
            assert_eq!(named(name), None, "{name}");
        }
        for (number, key) in [(1, Escape), (0x1E, KeyA), (0x1C, Enter), (0x9C, NumpadEnter), (0xC8, ArrowUp)]
        {
            assert_eq!(numbered(number), Some(key), "{number:#x}");
        }
        assert_eq!(numbered(0x1000), None);
    }
}
