//! The PS/2 mouse, with the wheel of an IntelliMouse once its driver has knocked.
//!
//! IBM PS/2 Hardware Interface Technical Reference, "Auxiliary Device"; the wheel by Microsoft's "Input: Mouse"
//! hardware notes: setting the sampling rates 200, 100 and 80 turns it on.

use super::spec::{SELF_TEST_TIME, answer, mouse as command};
use crate::state::RestoreError;
use crate::time::{GuestDuration, GuestTime};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The longest message: an acknowledgement and a report with a wheel.
const MESSAGE_CAPACITY: usize = 5;

/// The buttons of the mouse. True is pressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MouseButtons {
    /// The left button.
    pub left: bool,
    /// The right button.
    pub right: bool,
    /// The middle button, or the wheel as a button.
    pub middle: bool,
}

/// When the mouse reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Mode {
    /// By itself.
    Stream,
    /// When asked.
    Remote,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Parameter {
    Resolution,
    SamplingRate,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mouse {
    mode: Mode,
    /// Wrap mode: every byte comes back.
    wrapping: bool,
    /// Reporting in stream mode.
    enabled: bool,
    sampling_rate: u8,
    resolution: u8,
    scaled: bool,
    has_wheel: bool,
    /// The last sampling rates, the latest last.
    knock: [u8; 3],
    expects: Option<Parameter>,
    /// The last byte from the host was not understood.
    failed: bool,

    buttons: MouseButtons,
    /// What moved since the last report: to the right, away from the user, and the wheel towards the user.
    moved: [i32; 3],
    /// The buttons changed, or a report was cut off.
    unreported: bool,
    /// The next report in stream mode is not earlier.
    next_report: GuestTime,

    /// The message that is being sent, and what is left of it.
    message: Vec<u8>,
    outgoing: VecDeque<u8>,
    self_test: Option<GuestTime>,
}

impl Mouse {
    /// A mouse that got power a while before `now`. Nobody has heard the result of its self test: firmware like the
    /// Bochs BIOS, which enables both interfaces and resets the keyboard, takes what comes then for the keyboard's.
    pub fn power_on(now: GuestTime) -> Self {
        let mut mouse = Mouse {
            mode: Mode::Stream,
            wrapping: false,
            enabled: false,
            sampling_rate: 0,
            resolution: 0,
            scaled: false,
            has_wheel: false,
            knock: [0; 3],
            expects: None,
            failed: false,
            buttons: MouseButtons::default(),
            moved: [0; 3],
            unreported: false,
            next_report: now,
            message: Vec::new(),
            outgoing: VecDeque::new(),
            self_test: None,
        };
        mouse.set_defaults();
        mouse
    }

    pub fn validate(&self) -> Result<(), RestoreError> {
        let refuse = |what| Err(RestoreError::new("mouse", what));
        if !command::RATES.contains(&self.sampling_rate) || self.resolution > 3 {
            return refuse("no such sampling rate or resolution");
        }
        if self.message.len() > MESSAGE_CAPACITY || self.outgoing.len() > MESSAGE_CAPACITY {
            return refuse("a message longer than any");
        }
        Ok(())
    }

    /// A byte for the host is waiting.
    pub fn has_byte(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Gives the host its next byte.
    pub fn take_byte(&mut self) -> Option<u8> {
        self.outgoing.pop_front()
    }

    /// The mouse moves by so many counts; positive is right, away from the user, and for the wheel, whose
    /// counts are notches, towards the user. What a report cannot hold goes into the next.
    pub fn move_by(&mut self, right: i32, away: i32, wheel: i32) {
        for (moved, by) in self.moved.iter_mut().zip([right, away, wheel]) {
            *moved = moved.saturating_add(by);
        }
    }

    /// The user holds down `buttons`. Returns false, having done nothing, if a change before this one must be
    /// reported first.
    pub fn press(&mut self, buttons: MouseButtons) -> bool {
        if buttons == self.buttons {
            return true;
        }
        if self.reports_by_itself() && self.unreported {
            return false;
        }
        self.buttons = buttons;
        self.unreported = true;
        true
    }

    fn reports_by_itself(&self) -> bool {
        self.enabled && self.mode == Mode::Stream && !self.wrapping && self.self_test.is_none()
    }

    fn has_report(&self) -> bool {
        let wheel_moved = self.has_wheel && self.moved[2] != 0;
        self.unreported || self.moved[0] != 0 || self.moved[1] != 0 || wheel_moved
    }

    /// When [`Mouse::advance`] has something to do, though not earlier than `now`. A report that waits for the
    /// host to take the one before is due when it has been taken.
    pub fn next_event(&self) -> Option<GuestTime> {
        let reports = self.reports_by_itself() && self.has_report() && self.outgoing.is_empty();
        [self.self_test, reports.then_some(self.next_report)].into_iter().flatten().min()
    }

    /// Does what is due at `now`.
    pub fn advance(&mut self, now: GuestTime) {
        if self.self_test.is_some_and(|over| over <= now) {
            self.self_test = None;
            if self.outgoing.is_empty() {
                self.send(&[answer::SELF_TEST_PASSED, command::ID]);
            } else {
                // The acknowledgement has not been taken yet.
                self.outgoing.truncate(MESSAGE_CAPACITY - 2);
                self.outgoing.extend([answer::SELF_TEST_PASSED, command::ID]);
            }
        }
        if self.reports_by_itself()
            && self.has_report()
            && self.outgoing.is_empty()
            && self.next_report <= now
        {
            let report = self.take_report();
            self.send(&report);
            self.next_report = now + GuestDuration::from_nanos(1_000_000_000 / u64::from(self.sampling_rate));
        }
    }

    fn send(&mut self, message: &[u8]) {
        self.message = message.to_vec();
        self.outgoing = message.iter().copied().collect();
    }

    /// "Data Report": buttons and signs, then what moved.
    fn take_report(&mut self) -> Vec<u8> {
        self.unreported = false;
        let mut report = vec![1 << 3 | self.button_bits(1 << 0, 1 << 1, 1 << 2)];
        for (axis, sign) in [(0, 1 << 4), (1, 1 << 5)] {
            let counts = self.take_counts(axis);
            if counts < 0 {
                report[0] |= sign;
            }
            report.push(counts as u8);
        }
        let notches = self.moved[2].clamp(-8, 7);
        self.moved[2] = if self.has_wheel { self.moved[2] - notches } else { 0 };
        if self.has_wheel {
            report.push(notches as u8);
        }
        report
    }

    /// As much of what moved as nine bits hold. "Set Scaling 2:1" applies to stream mode: small movements are
    /// as they were, larger ones count twice.
    fn take_counts(&mut self, axis: usize) -> i32 {
        let scaled = self.scaled && self.mode == Mode::Stream;
        let limit = if scaled { 127 } else { 255 };
        let counts = self.moved[axis].clamp(-limit, limit);
        self.moved[axis] -= counts;
        if !scaled {
            return counts;
        }
        let size = match counts.abs() {
            small @ 0..=1 => small,
            2 => 1,
            3 => 3,
            4 => 6,
            5 => 9,
            large => 2 * large,
        };
        size * counts.signum()
    }

    fn button_bits(&self, left: u8, right: u8, middle: u8) -> u8 {
        let bit = |pressed, mask| if pressed { mask } else { 0 };
        bit(self.buttons.left, left) | bit(self.buttons.right, right) | bit(self.buttons.middle, middle)
    }

    fn set_defaults(&mut self) {
        self.mode = Mode::Stream;
        self.wrapping = false;
        self.enabled = false;
        self.sampling_rate = 100;
        self.resolution = 2;
        self.scaled = false;
        self.forget_movement();
    }

    fn forget_movement(&mut self) {
        self.moved = [0; 3];
    }

    /// The host has sent `byte`, which arrived at `now`. What was being sent is cut off.
    pub fn receive(&mut self, byte: u8, now: GuestTime) {
        self.unreported |= !self.outgoing.is_empty() && self.enabled;
        self.outgoing.clear();
        if self.wrapping && byte != command::RESET_WRAP_MODE && byte != command::RESET {
            self.send(&[byte]);
            return;
        }
        let understood = match self.expects.take() {
            Some(parameter) if byte < command::RESET_SCALING => self.take_parameter(parameter, byte),
            _ => self.command(byte, now),
        };
        if !understood {
            self.send(&[if self.failed { answer::ERROR } else { answer::RESEND }]);
        }
        self.failed = !understood && !self.failed;
    }

    fn take_parameter(&mut self, parameter: Parameter, byte: u8) -> bool {
        match parameter {
            Parameter::Resolution if byte <= 3 => self.resolution = byte,
            Parameter::SamplingRate if command::RATES.contains(&byte) => {
                self.sampling_rate = byte;
                self.knock = [self.knock[1], self.knock[2], byte];
                self.has_wheel |= self.knock == command::WHEEL_KNOCK;
            }
            _ => {
                self.expects = Some(parameter);
                return false;
            }
        }
        self.send(&[answer::ACK]);
        true
    }

    fn command(&mut self, byte: u8, now: GuestTime) -> bool {
        let mut message = vec![answer::ACK];
        match byte {
            command::RESET => {
                let self_test = Some(now + SELF_TEST_TIME);
                *self = Mouse { buttons: self.buttons, self_test, ..Mouse::power_on(now) };
            }
            command::RESEND => message.clone_from(&self.message),
            command::SET_DEFAULT => self.set_defaults(),
            command::DISABLE => self.enabled = false,
            command::ENABLE => {
                self.enabled = true;
                self.unreported = false;
                self.forget_movement();
            }
            command::SET_SAMPLING_RATE => self.expects = Some(Parameter::SamplingRate),
            command::READ_ID => message.push(if self.has_wheel { command::WHEEL_ID } else { command::ID }),
            command::SET_REMOTE_MODE => {
                self.mode = Mode::Remote;
                self.forget_movement();
            }
            command::SET_WRAP_MODE => self.wrapping = true,
            command::RESET_WRAP_MODE => self.wrapping = false,
            command::READ_DATA => message.extend(self.take_report()),
            command::SET_STREAM_MODE => {
                self.mode = Mode::Stream;
                self.forget_movement();
            }
            command::STATUS_REQUEST => {
                let bit = |set, mask| if set { mask } else { 0 };
                let status = self.button_bits(1 << 2, 1 << 0, 1 << 1)
                    | bit(self.scaled, 1 << 4)
                    | bit(self.enabled, 1 << 5)
                    | bit(self.mode == Mode::Remote, 1 << 6);
                message.extend([status, self.resolution, self.sampling_rate]);
            }
            command::SET_RESOLUTION => self.expects = Some(Parameter::Resolution),
            command::SET_SCALING => self.scaled = true,
            command::RESET_SCALING => self.scaled = false,
            _ => return false,
        }
        self.send(&message);
        true
    }
}
