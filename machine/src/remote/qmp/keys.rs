//! Keys by the names of the protocol (`QKeyCode`), and by the numbers of scan code set 1.
//!
//! QEMU QMP Reference Manual, "QKeyCode".

use super::introspection::Schema;
use super::types::Type;
use idem86_devices::ps2::KeyCode;
use idem86_devices::ps2::KeyCode::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

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

/// All names, with the keys' codes.
fn all() -> impl Iterator<Item = (String, KeyCode)> {
    let of_codes = |(name, code): (String, String)| Some((name, KeyCode::from_name(&code)?));
    let letters = ('a'..='z').map(|c| (c.to_string(), format!("Key{}", c.to_ascii_uppercase())));
    let digits = ('0'..='9').map(|c| (c.to_string(), format!("Digit{c}")));
    let functions = (1..=12).map(|n| (format!("f{n}"), format!("F{n}")));
    let named = NAMES.iter().map(|(name, code)| ((*name).into(), *code));
    letters.chain(digits).chain(functions).filter_map(of_codes).chain(named)
}

/// The key that the protocol calls `name`.
fn named(name: &str) -> Option<KeyCode> {
    all().find(|(n, _)| n == name).map(|(_, key)| key)
}

/// A key by its name (`QKeyCode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyName(pub(super) KeyCode);

impl<'de> Deserialize<'de> for KeyName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        named(&name).map(KeyName).ok_or_else(|| de::Error::custom(format_args!("no key is called {name:?}")))
    }
}

impl Serialize for KeyName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = all().find(|(_, key)| *key == self.0).map(|(name, _)| name);
        serializer.serialize_str(&name.ok_or_else(|| ser::Error::custom("a key without a name"))?)
    }
}

impl Type for KeyName {
    fn describe(schema: &mut Schema) -> String {
        schema.enumeration("KeyName", all().map(|(name, _)| name))
    }
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
        assert_eq!(all().count(), 26 + 10 + 12 + NAMES.len(), "each has a code");
        for (number, key) in [(1, Escape), (0x1E, KeyA), (0x1C, Enter), (0x9C, NumpadEnter), (0xC8, ArrowUp)]
        {
            assert_eq!(numbered(number), Some(key), "{number:#x}");
        }
        assert_eq!(numbered(0x1000), None);
    }
}
