//! The PS/2 keyboard: scan code sets 1 to 3, typematic repetition, and the commands of its host.
//!
//! IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101- and 102-Key)".

use super::keys::{KeyCode, KeyMode, KeySet};
use super::spec::{
    BREAK_PREFIX, EXTENDED_PREFIX, PAUSE_PREFIX, SELF_TEST_TIME, answer, keyboard as command, translate,
};
use crate::state::RestoreError;
use crate::time::{GuestDuration, GuestTime};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Scan codes that the keyboard holds back while its host does not listen.
const CODE_CAPACITY: usize = 16;

/// The longest answer: an acknowledgement and two bytes.
const ANSWER_CAPACITY: usize = 3;

const SHIFTS: [KeyCode; 2] = [KeyCode::ShiftLeft, KeyCode::ShiftRight];
const CONTROLS: [KeyCode; 2] = [KeyCode::ControlLeft, KeyCode::ControlRight];
const ALTS: [KeyCode; 2] = [KeyCode::AltLeft, KeyCode::AltRight];

/// What the next byte from the host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Parameter {
    Indicators,
    ScanCodeSet,
    Typematic,
    /// Any number of set 3 codes of keys that get this mode.
    KeysOfMode(KeyMode),
}

/// The indicators of the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indicators {
    /// Scroll Lock.
    pub scroll_lock: bool,
    /// Num Lock.
    pub num_lock: bool,
    /// Caps Lock.
    pub caps_lock: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Keyboard {
    scan_code_set: u8,
    scanning: bool,
    indicators: u8,
    typematic: u8,
    expects: Option<Parameter>,
    /// The keys that the user holds down.
    held: KeySet,
    /// The key that repeats, and when it does so next.
    repeating: Option<(KeyCode, GuestTime)>,
    /// In set 3, the keys that repeat and those that say when they are released.
    typematic_keys: KeySet,
    break_keys: KeySet,
    answers: VecDeque<u8>,
    codes: VecDeque<u8>,
    last_sent: u8,
    /// When the self test that is running will be over.
    self_test: Option<GuestTime>,
}

impl Keyboard {
    /// A keyboard that has got power at `now` and tests itself.
    pub fn power_on(now: GuestTime) -> Self {
        let mut keyboard = Keyboard {
            scan_code_set: 2,
            scanning: false,
            indicators: 0,
            typematic: 0,
            expects: None,
            held: KeySet::default(),
            repeating: None,
            typematic_keys: KeySet::default(),
            break_keys: KeySet::default(),
            answers: VecDeque::new(),
            codes: VecDeque::new(),
            last_sent: 0,
            self_test: Some(now + SELF_TEST_TIME),
        };
        keyboard.set_defaults();
        keyboard
    }

    pub fn validate(&self) -> Result<(), RestoreError> {
        let refuse = |what| Err(RestoreError::new("keyboard", what));
        if !(1..=3).contains(&self.scan_code_set) {
            return refuse("no such scan code set");
        }
        if self.indicators > 7 || self.typematic > 0x7F {
            return refuse("a parameter has bits that do not exist");
        }
        if self.answers.len() > ANSWER_CAPACITY || self.codes.len() > CODE_CAPACITY {
            return refuse("a queue holds more than fits");
        }
        Ok(())
    }

    pub fn indicators(&self) -> Indicators {
        let on = |mask| self.indicators & mask != 0;
        Indicators { scroll_lock: on(1 << 0), num_lock: on(1 << 1), caps_lock: on(1 << 2) }
    }

    /// A byte for the host is waiting. Scan codes wait for the parameter that the host owes.
    pub fn has_byte(&self) -> bool {
        !self.answers.is_empty() || self.expects.is_none() && !self.codes.is_empty()
    }

    /// Nothing is under way between user and host: a key pressed now would be the first to be heard.
    pub fn is_idle(&self) -> bool {
        self.scanning && self.self_test.is_none() && self.answers.is_empty() && self.codes.is_empty()
    }

    /// Gives the host its next byte.
    pub fn take_byte(&mut self, now: GuestTime) -> Option<u8> {
        let byte = match self.answers.pop_front() {
            Some(byte) => byte,
            None if self.expects.is_some() => return None,
            None => self.codes.pop_front()?,
        };
        self.last_sent = byte;
        // Repetitions for which there was no room did not happen.
        let period = self.repeat_period().as_nanos();
        if let Some((_, due)) = &mut self.repeating
            && *due <= now
        {
            let missed = now.since(*due).as_nanos() / period + 1;
            *due = *due + GuestDuration::from_nanos(missed.saturating_mul(period));
        }
        Some(byte)
    }

    /// The user presses or releases `key`. Returns false if the keyboard does not take it now: it is not
    /// scanning, or its buffer has no room. Repeating what is already so is taken and has no effect.
    pub fn key(&mut self, key: KeyCode, pressed: bool, now: GuestTime) -> bool {
        if self.held.contains(key) == pressed {
            return true;
        }
        if !self.scanning {
            return false;
        }
        let codes = self.encode(key, pressed, false);
        if self.codes.len() + codes.len() > CODE_CAPACITY {
            return false;
        }
        self.codes.extend(codes);
        self.held.set(key, pressed);
        if pressed {
            self.repeating = self.repeats(key).then(|| (key, now + self.repeat_delay()));
        } else if self.repeating.is_some_and(|(repeating, _)| repeating == key) {
            self.repeating = None;
        }
        true
    }

    fn repeats(&self, key: KeyCode) -> bool {
        key != KeyCode::Pause && (self.scan_code_set != 3 || self.typematic_keys.contains(key))
    }

    /// "Set Typematic Rate/Delay": bits 6 and 5 plus 1, times 250 ms.
    fn repeat_delay(&self) -> GuestDuration {
        GuestDuration::from_millis(250 * (u64::from(self.typematic >> 5) + 1))
    }

    /// "Set Typematic Rate/Delay": (8 + bits 2 to 0) times 2 to the power of bits 4 and 3, in 240ths of a
    /// second.
    fn repeat_period(&self) -> GuestDuration {
        let steps = (8 + u64::from(self.typematic & 7)) << (self.typematic >> 3 & 3);
        GuestDuration::from_nanos(steps * 1_000_000_000 / 240)
    }

    /// The scan codes of an event, or of a repetition.
    fn encode(&self, key: KeyCode, pressed: bool, repetition: bool) -> Codes {
        let mut codes = Codes { set1: self.scan_code_set == 1, bytes: Vec::new() };
        let info = key.info();
        if self.scan_code_set == 3 {
            if pressed || self.break_keys.contains(key) {
                codes.code(info.set3, pressed);
            }
            return codes;
        }
        let shifted = self.held.contains_any(&SHIFTS);
        let controlled = self.held.contains_any(&CONTROLS);
        match key {
            KeyCode::Pause if !pressed => {}
            KeyCode::Pause if controlled => {
                codes.extended(BREAK_CODE, true);
                codes.extended(BREAK_CODE, false);
            }
            KeyCode::Pause => {
                for down in [true, false] {
                    codes.bytes.push(PAUSE_PREFIX);
                    codes.code(KeyCode::ControlLeft.info().set2, down);
                    codes.code(info.set2, down);
                }
            }
            KeyCode::PrintScreen if self.held.contains_any(&ALTS) => codes.code(SYSTEM_REQUEST_CODE, pressed),
            KeyCode::PrintScreen if shifted || controlled => codes.extended(info.set2, pressed),
            KeyCode::PrintScreen => codes.within_shift(info.set2, pressed, repetition),
            KeyCode::NumpadDivide if shifted => {
                self.outside_shift(&mut codes, info.set2, pressed, repetition)
            }
            _ if is_cursor_key(key) => match (shifted, self.indicators().num_lock) {
                (true, false) => self.outside_shift(&mut codes, info.set2, pressed, repetition),
                (false, true) => codes.within_shift(info.set2, pressed, repetition),
                _ => codes.extended(info.set2, pressed),
            },
            _ if info.extended => codes.extended(info.set2, pressed),
            _ => codes.code(info.set2, pressed),
        }
        codes
    }

    /// The key pretends that the Shift keys are up while it is down: on the 84-key keyboard its code with Shift
    /// was a digit.
    fn outside_shift(&self, codes: &mut Codes, code: u8, pressed: bool, repetition: bool) {
        let shifts = SHIFTS.into_iter().filter(|&shift| self.held.contains(shift));
        if pressed && !repetition {
            shifts.clone().for_each(|shift| codes.extended(shift.info().set2, false));
        }
        codes.extended(code, pressed);
        if !pressed {
            shifts.for_each(|shift| codes.extended(shift.info().set2, true));
        }
    }

    fn set_defaults(&mut self) {
        self.scan_code_set = 2;
        self.typematic = command::DEFAULT_TYPEMATIC;
        self.codes.clear();
        self.repeating = None;
        for &key in KeyCode::ALL {
            self.set_mode(key, key.info().mode);
        }
    }

    fn set_mode(&mut self, key: KeyCode, mode: KeyMode) {
        self.typematic_keys.set(key, matches!(mode, KeyMode::Typematic | KeyMode::TypematicMakeBreak));
        self.break_keys.set(key, matches!(mode, KeyMode::MakeBreak | KeyMode::TypematicMakeBreak));
    }

    fn set_all_modes(&mut self, mode: KeyMode) {
        KeyCode::ALL.iter().for_each(|&key| self.set_mode(key, mode));
    }

    /// The host has sent `byte`, which arrived at `now`.
    pub fn receive(&mut self, byte: u8, now: GuestTime) {
        self.answers.clear();
        match self.expects.take() {
            Some(parameter) if byte < command::SET_INDICATORS => self.take_parameter(parameter, byte),
            _ => self.command(byte, now),
        }
    }

    fn take_parameter(&mut self, parameter: Parameter, byte: u8) {
        match parameter {
            Parameter::Indicators => self.indicators = byte & 7,
            Parameter::Typematic => self.typematic = byte & 0x7F,
            Parameter::ScanCodeSet if byte == 0 => {
                self.answers.extend([answer::ACK, self.scan_code_set]);
                return;
            }
            Parameter::ScanCodeSet if byte <= 3 => {
                self.scan_code_set = byte;
                self.codes.clear();
                self.repeating = None;
            }
            Parameter::ScanCodeSet => {
                self.answers.push_back(answer::RESEND);
                return;
            }
            Parameter::KeysOfMode(mode) => {
                self.expects = Some(parameter);
                match KeyCode::from_set3(byte) {
                    Some(key) => self.set_mode(key, mode),
                    None => {
                        self.answers.push_back(answer::RESEND);
                        return;
                    }
                }
            }
        }
        self.answers.push_back(answer::ACK);
    }

    fn command(&mut self, byte: u8, now: GuestTime) {
        match byte {
            command::ECHO => {
                self.answers.push_back(command::ECHO);
                return;
            }
            command::RESEND => {
                self.answers.push_back(self.last_sent);
                return;
            }
            command::RESET => {
                self.set_defaults();
                self.indicators = 0;
                self.scanning = false;
                self.self_test = Some(now + SELF_TEST_TIME);
            }
            command::SET_INDICATORS => self.expects = Some(Parameter::Indicators),
            command::SCAN_CODE_SET => self.expects = Some(Parameter::ScanCodeSet),
            command::SET_TYPEMATIC => self.expects = Some(Parameter::Typematic),
            command::READ_ID => {
                self.answers.push_back(answer::ACK);
                self.answers.extend(command::ID);
                return;
            }
            command::ENABLE => {
                self.codes.clear();
                self.repeating = None;
                self.scanning = true;
            }
            command::DISABLE => {
                self.set_defaults();
                self.scanning = false;
            }
            command::SET_DEFAULT => self.set_defaults(),
            command::ALL_TYPEMATIC => self.set_all_modes(KeyMode::Typematic),
            command::ALL_MAKE_BREAK => self.set_all_modes(KeyMode::MakeBreak),
            command::ALL_MAKE_ONLY => self.set_all_modes(KeyMode::MakeOnly),
            command::ALL_TYPEMATIC_MAKE_BREAK => self.set_all_modes(KeyMode::TypematicMakeBreak),
            command::KEY_TYPEMATIC => self.expects = Some(Parameter::KeysOfMode(KeyMode::Typematic)),
            command::KEY_MAKE_BREAK => self.expects = Some(Parameter::KeysOfMode(KeyMode::MakeBreak)),
            command::KEY_MAKE_ONLY => self.expects = Some(Parameter::KeysOfMode(KeyMode::MakeOnly)),
            _ => {
                self.answers.push_back(answer::RESEND);
                return;
            }
        }
        self.answers.push_back(answer::ACK);
    }

    /// When [`Keyboard::advance`] has something to do. A repetition without room waits for
    /// [`Keyboard::take_byte`].
    pub fn next_event(&self) -> Option<GuestTime> {
        let repetition = self.repeating.filter(|&(key, _)| self.has_room_to_repeat(key)).map(|(_, due)| due);
        [self.self_test, repetition].into_iter().flatten().min()
    }

    fn has_room_to_repeat(&self, key: KeyCode) -> bool {
        self.codes.len() + self.encode(key, true, true).len() <= CODE_CAPACITY
    }

    /// Does what is due at `now`.
    pub fn advance(&mut self, now: GuestTime) {
        if self.self_test.is_some_and(|over| over <= now) {
            self.self_test = None;
            self.scanning = true;
            self.answers.truncate(ANSWER_CAPACITY - 1);
            self.answers.push_back(answer::SELF_TEST_PASSED);
        }
        if let Some((key, due)) = self.repeating
            && due <= now
            && self.has_room_to_repeat(key)
        {
            self.codes.extend(self.encode(key, true, true));
            self.repeating = Some((key, due + self.repeat_period()));
        }
    }
}

/// The code of Pause with Ctrl, in set 2.
const BREAK_CODE: u8 = 0x7E;
/// The code of Print Screen with Alt, in set 2.
const SYSTEM_REQUEST_CODE: u8 = 0x84;

/// The keys that the 84-key keyboard had on its numeric keypad only.
fn is_cursor_key(key: KeyCode) -> bool {
    use KeyCode::*;
    matches!(
        key,
        Insert | Delete | Home | End | PageUp | PageDown | ArrowUp | ArrowLeft | ArrowDown | ArrowRight
    )
}

/// The bytes of one key event.
struct Codes {
    /// In set 1; otherwise as in sets 2 and 3, which differ only in the codes.
    set1: bool,
    bytes: Vec<u8>,
}

impl Codes {
    /// `code` of set 2 or 3.
    fn code(&mut self, code: u8, make: bool) {
        match (self.set1, make) {
            (true, _) => self.bytes.push(translate(code) | if make { 0 } else { 0x80 }),
            (false, true) => self.bytes.push(code),
            (false, false) => self.bytes.extend([BREAK_PREFIX, code]),
        }
    }

    fn extended(&mut self, code: u8, make: bool) {
        self.bytes.push(EXTENDED_PREFIX);
        self.code(code, make);
    }

    /// The key pretends that a Shift key is down while it is.
    fn within_shift(&mut self, code: u8, pressed: bool, repetition: bool) {
        let shift = KeyCode::ShiftLeft.info().set2;
        if pressed && !repetition {
            self.extended(shift, true);
        }
        self.extended(code, pressed);
        if !pressed {
            self.extended(shift, false);
        }
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl IntoIterator for Codes {
    type Item = u8;
    type IntoIter = std::vec::IntoIter<u8>;

    fn into_iter(self) -> Self::IntoIter {
        self.bytes.into_iter()
    }
}
