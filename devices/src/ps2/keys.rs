//! The keys of a 105-key keyboard: their places, their codes in each scan code set, and what types a character.
//!
//! IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101- and 102-Key)".

use serde::{Deserialize, Serialize};

/// What a key does in scan code set 3, where it can be chosen for each key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum KeyMode {
    /// Repeats, and says when it is released.
    TypematicMakeBreak,
    /// Repeats.
    Typematic,
    /// Says when it is released.
    MakeBreak,
    /// Neither.
    MakeOnly,
}

/// The codes of a key. Scan code set 1 follows from set 2.
pub(super) struct KeyInfo {
    /// In sets 1 and 2 the codes follow a prefix E0h.
    pub extended: bool,
    pub set2: u8,
    pub set3: u8,
    /// The mode at power-on in set 3.
    pub mode: KeyMode,
}

macro_rules! keys {
    ($($name:ident $legend:literal $prefix:ident $set2:literal $set3:literal $mode:ident;)*) => {
        /// A key, named by its place: what the key there says on a US keyboard.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum KeyCode { $(#[doc = $legend] $name,)* }

        impl KeyCode {
            /// All keys.
            pub const ALL: &[KeyCode] = &[$(KeyCode::$name),*];

            /// The name of the key, as it is spelt here.
            pub const fn name(self) -> &'static str {
                match self { $(KeyCode::$name => stringify!($name)),* }
            }
        }

        const KEYS: &[KeyInfo] = &[$(KeyInfo {
            extended: keys!(@ $prefix), set2: $set2, set3: $set3, mode: KeyMode::$mode
        }),*];
    };
    (@ single) => { false };
    (@ extended) => { true };
}

keys! {
    Escape         "Esc"              single   0x76 0x08 MakeOnly;
    F1             "F1"               single   0x05 0x07 MakeOnly;
    F2             "F2"               single   0x06 0x0F MakeOnly;
    F3             "F3"               single   0x04 0x17 MakeOnly;
    F4             "F4"               single   0x0C 0x1F MakeOnly;
    F5             "F5"               single   0x03 0x27 MakeOnly;
    F6             "F6"               single   0x0B 0x2F MakeOnly;
    F7             "F7"               single   0x83 0x37 MakeOnly;
    F8             "F8"               single   0x0A 0x3F MakeOnly;
    F9             "F9"               single   0x01 0x47 MakeOnly;
    F10            "F10"              single   0x09 0x4F MakeOnly;
    F11            "F11"              single   0x78 0x56 MakeOnly;
    F12            "F12"              single   0x07 0x5E MakeOnly;
    PrintScreen    "Print Screen"     extended 0x7C 0x57 MakeOnly;
    ScrollLock     "Scroll Lock"      single   0x7E 0x5F MakeOnly;
    Pause          "Pause"            single   0x77 0x62 MakeOnly;
    Backquote      "`"                single   0x0E 0x0E Typematic;
    Digit1         "1"                single   0x16 0x16 Typematic;
    Digit2         "2"                single   0x1E 0x1E Typematic;
    Digit3         "3"                single   0x26 0x26 Typematic;
    Digit4         "4"                single   0x25 0x25 Typematic;
    Digit5         "5"                single   0x2E 0x2E Typematic;
    Digit6         "6"                single   0x36 0x36 Typematic;
    Digit7         "7"                single   0x3D 0x3D Typematic;
    Digit8         "8"                single   0x3E 0x3E Typematic;
    Digit9         "9"                single   0x46 0x46 Typematic;
    Digit0         "0"                single   0x45 0x45 Typematic;
    Minus          "-"                single   0x4E 0x4E Typematic;
    Equal          "="                single   0x55 0x55 Typematic;
    Backspace      "Backspace"        single   0x66 0x66 Typematic;
    Tab            "Tab"              single   0x0D 0x0D Typematic;
    KeyQ           "Q"                single   0x15 0x15 Typematic;
    KeyW           "W"                single   0x1D 0x1D Typematic;
    KeyE           "E"                single   0x24 0x24 Typematic;
    KeyR           "R"                single   0x2D 0x2D Typematic;
    KeyT           "T"                single   0x2C 0x2C Typematic;
    KeyY           "Y"                single   0x35 0x35 Typematic;
    KeyU           "U"                single   0x3C 0x3C Typematic;
    KeyI           "I"                single   0x43 0x43 Typematic;
    KeyO           "O"                single   0x44 0x44 Typematic;
    KeyP           "P"                single   0x4D 0x4D Typematic;
    BracketLeft    "["                single   0x54 0x54 Typematic;
    BracketRight   "]"                single   0x5B 0x5B Typematic;
    Backslash      "\\"               single   0x5D 0x5C Typematic;
    CapsLock       "Caps Lock"        single   0x58 0x14 MakeBreak;
    KeyA           "A"                single   0x1C 0x1C Typematic;
    KeyS           "S"                single   0x1B 0x1B Typematic;
    KeyD           "D"                single   0x23 0x23 Typematic;
    KeyF           "F"                single   0x2B 0x2B Typematic;
    KeyG           "G"                single   0x34 0x34 Typematic;
    KeyH           "H"                single   0x33 0x33 Typematic;
    KeyJ           "J"                single   0x3B 0x3B Typematic;
    KeyK           "K"                single   0x42 0x42 Typematic;
    KeyL           "L"                single   0x4B 0x4B Typematic;
    Semicolon      ";"                single   0x4C 0x4C Typematic;
    Quote          "'"                single   0x52 0x52 Typematic;
    Enter          "Enter"            single   0x5A 0x5A Typematic;
    ShiftLeft      "left Shift"       single   0x12 0x12 MakeBreak;
    IntlBackslash  "the key right of the left Shift, absent on US keyboards" single 0x61 0x13 Typematic;
    KeyZ           "Z"                single   0x1A 0x1A Typematic;
    KeyX           "X"                single   0x22 0x22 Typematic;
    KeyC           "C"                single   0x21 0x21 Typematic;
    KeyV           "V"                single   0x2A 0x2A Typematic;
    KeyB           "B"                single   0x32 0x32 Typematic;
    KeyN           "N"                single   0x31 0x31 Typematic;
    KeyM           "M"                single   0x3A 0x3A Typematic;
    Comma          ","                single   0x41 0x41 Typematic;
    Period         "."                single   0x49 0x49 Typematic;
    Slash          "/"                single   0x4A 0x4A Typematic;
    ShiftRight     "right Shift"      single   0x59 0x59 MakeBreak;
    ControlLeft    "left Ctrl"        single   0x14 0x11 MakeBreak;
    MetaLeft       "left logo key"    extended 0x1F 0x8B MakeOnly;
    AltLeft        "left Alt"         single   0x11 0x19 MakeBreak;
    Space          "the space bar"    single   0x29 0x29 Typematic;
    AltRight       "right Alt"        extended 0x11 0x39 MakeOnly;
    MetaRight      "right logo key"   extended 0x27 0x8C MakeOnly;
    ContextMenu    "the menu key"     extended 0x2F 0x8D MakeOnly;
    ControlRight   "right Ctrl"       extended 0x14 0x58 MakeOnly;
    Insert         "Insert"           extended 0x70 0x67 MakeOnly;
    Delete         "Delete"           extended 0x71 0x64 Typematic;
    Home           "Home"             extended 0x6C 0x6E MakeOnly;
    End            "End"              extended 0x69 0x65 MakeOnly;
    PageUp         "Page Up"          extended 0x7D 0x6F MakeOnly;
    PageDown       "Page Down"        extended 0x7A 0x6D MakeOnly;
    ArrowUp        "cursor up"        extended 0x75 0x63 Typematic;
    ArrowLeft      "cursor left"      extended 0x6B 0x61 Typematic;
    ArrowDown      "cursor down"      extended 0x72 0x60 Typematic;
    ArrowRight     "cursor right"     extended 0x74 0x6A Typematic;
    NumLock        "Num Lock"         single   0x77 0x76 MakeOnly;
    NumpadDivide   "keypad /"         extended 0x4A 0x77 MakeOnly;
    NumpadMultiply "keypad *"         single   0x7C 0x7E MakeOnly;
    NumpadSubtract "keypad -"         single   0x7B 0x84 MakeOnly;
    NumpadAdd      "keypad +"         single   0x79 0x7C Typematic;
    NumpadEnter    "keypad Enter"     extended 0x5A 0x79 MakeOnly;
    NumpadDecimal  "keypad ."         single   0x71 0x71 MakeOnly;
    Numpad0        "keypad 0"         single   0x70 0x70 MakeOnly;
    Numpad1        "keypad 1"         single   0x69 0x69 MakeOnly;
    Numpad2        "keypad 2"         single   0x72 0x72 MakeOnly;
    Numpad3        "keypad 3"         single   0x7A 0x7A MakeOnly;
    Numpad4        "keypad 4"         single   0x6B 0x6B MakeOnly;
    Numpad5        "keypad 5"         single   0x73 0x73 MakeOnly;
    Numpad6        "keypad 6"         single   0x74 0x74 MakeOnly;
    Numpad7        "keypad 7"         single   0x6C 0x6C MakeOnly;
    Numpad8        "keypad 8"         single   0x75 0x75 MakeOnly;
    Numpad9        "keypad 9"         single   0x7D 0x7D MakeOnly;
}

impl KeyCode {
    /// The key called `name`, as [`KeyCode::name`] spells it; upper and lower case do not matter.
    ///
    /// ```
    /// use idem86_devices::ps2::KeyCode;
    /// assert_eq!(KeyCode::from_name("controlleft"), Some(KeyCode::ControlLeft));
    /// ```
    pub fn from_name(name: &str) -> Option<KeyCode> {
        Self::ALL.iter().copied().find(|key| key.name().eq_ignore_ascii_case(name))
    }

    /// Its make code in scan code set 1, and whether a prefix E0h comes before it.
    pub fn scan_code_1(self) -> (u8, bool) {
        (super::spec::translate(self.info().set2), self.info().extended)
    }

    pub(super) fn info(self) -> &'static KeyInfo {
        &KEYS[self as usize]
    }

    /// The key with this code in set 3.
    pub(super) fn from_set3(code: u8) -> Option<KeyCode> {
        Self::ALL.iter().copied().find(|key| key.info().set3 == code)
    }
}

/// A set of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeySet(u128);

const _: () = assert!(KEYS.len() <= u128::BITS as usize);

impl KeySet {
    pub fn contains(self, key: KeyCode) -> bool {
        self.0 & 1 << key as u32 != 0
    }

    pub fn contains_any(self, keys: &[KeyCode]) -> bool {
        keys.iter().any(|&key| self.contains(key))
    }

    pub fn set(&mut self, key: KeyCode, member: bool) {
        self.0 = self.0 & !(1 << key as u32) | u128::from(member) << key as u32;
    }
}

/// A key, with the modifiers to hold while it is pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keystroke {
    /// The key.
    pub key: KeyCode,
    /// Hold the left Shift.
    pub shift: bool,
    /// Hold the left Ctrl.
    pub control: bool,
}

impl Keystroke {
    /// What types `c` on a US keyboard with Caps Lock off: printable ASCII, the keys that have a control code
    /// of their own, and Ctrl with a letter for the other control codes up to 1Ah. Line feed is Enter.
    ///
    /// ```
    /// use idem86_devices::ps2::{KeyCode, Keystroke};
    /// let events: Vec<_> = Keystroke::typing('A').unwrap().events().collect();
    /// assert_eq!(events, [
    ///     (KeyCode::ShiftLeft, true), (KeyCode::KeyA, true), (KeyCode::KeyA, false), (KeyCode::ShiftLeft, false),
    /// ]);
    /// ```
    pub fn typing(c: char) -> Option<Keystroke> {
        use KeyCode::*;
        const PLAIN: &str = "`1234567890-=qwertyuiop[]\\asdfghjkl;'zxcvbnm,./ ";
        const SHIFTED: &str = "~!@#$%^&*()_+QWERTYUIOP{}|ASDFGHJKL:\"ZXCVBNM<>? ";
        const PLACES: [KeyCode; 48] = [
            Backquote,
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
            Backslash,
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
            Space,
        ];
        let stroke = |key, shift| Some(Keystroke { key, shift, control: false });
        match c {
            '\n' | '\r' => stroke(Enter, false),
            '\t' => stroke(Tab, false),
            '\u{8}' | '\u{7F}' => stroke(Backspace, false),
            '\u{1B}' => stroke(Escape, false),
            '\u{1}'..='\u{1A}' => {
                let letter = char::from(c as u8 | 0x60);
                Some(Keystroke { control: true, ..Self::typing(letter)? })
            }
            _ => match (PLAIN.find(c), SHIFTED.find(c)) {
                (Some(place), _) => stroke(PLACES[place], false),
                (None, Some(place)) => stroke(PLACES[place], true),
                (None, None) => None,
            },
        }
    }

    /// The keys to press (true) and release (false), in order.
    pub fn events(self) -> impl Iterator<Item = (KeyCode, bool)> {
        let press = [
            self.shift.then_some(KeyCode::ShiftLeft),
            self.control.then_some(KeyCode::ControlLeft),
            Some(self.key),
        ];
        let down = press.into_iter().flatten().map(|key| (key, true));
        let up = press.into_iter().rev().flatten().map(|key| (key, false));
        down.chain(up)
    }
}
