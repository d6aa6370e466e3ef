//! The whole state of the controller and its two devices, and what a saved one must satisfy.

use super::keyboard::Keyboard;
use super::mouse::Mouse;
use super::spec::{command_byte, output_port};
use super::{DataFor, Ps2Controller, Source};
use crate::state::{RestoreError, Snapshot};
use crate::time::GuestTime;
use serde::{Deserialize, Serialize};

/// The state of a [`Ps2Controller`] with its keyboard and mouse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ps2State {
    /// The moment up to which everything has happened.
    pub(super) clock: GuestTime,
    /// Internal RAM. The first byte is the command byte.
    pub(super) ram: [u8; 32],
    /// The output port without the bits that show interrupt requests.
    pub(super) output_port: u8,
    /// The guest has asked for a processor reset that nobody has taken yet.
    pub(super) reset_requested: bool,
    /// The output buffer, and whose byte in it the guest has not read.
    pub(super) output: u8,
    pub(super) output_from: Option<Source>,
    /// An answer of the controller's own that waits for the output buffer.
    pub(super) answer: Option<(Source, u8)>,
    /// What the next byte at the data port is.
    pub(super) expects: Option<DataFor>,
    /// The last byte written was a command.
    pub(super) command_last: bool,
    /// The translator has taken out a break prefix.
    pub(super) break_prefix: bool,
    /// The device whose byte is on the wire, and when it arrives.
    pub(super) transfer: Option<(Source, GuestTime)>,
    pub(super) keyboard: Keyboard,
    pub(super) mouse: Mouse,
}

impl Ps2State {
    pub(super) fn power_on(now: GuestTime) -> Self {
        let mut ram = [0; 32];
        ram[0] = command_byte::DISABLE_KEYBOARD | command_byte::DISABLE_AUX;
        Ps2State {
            clock: now,
            ram,
            output_port: !output_port::INTERRUPTS,
            reset_requested: false,
            output: 0,
            output_from: None,
            answer: None,
            expects: None,
            command_last: false,
            break_prefix: false,
            transfer: None,
            keyboard: Keyboard::power_on(now),
            mouse: Mouse::power_on(now),
        }
    }

    fn validate(&self) -> Result<(), RestoreError> {
        let refuse = |what| Err(RestoreError::new("8042", what));
        if self.output_port & output_port::INTERRUPTS != 0 {
            return refuse("interrupt requests are not written");
        }
        if matches!(self.expects, Some(DataFor::Ram(address)) if usize::from(address) >= self.ram.len()) {
            return refuse("an address outside the RAM");
        }
        if matches!(self.transfer, Some((Source::Controller, _))) {
            return refuse("the controller does not send to itself");
        }
        self.keyboard.validate()?;
        self.mouse.validate()
    }
}

impl Snapshot for Ps2Controller {
    type State = Ps2State;

    fn save(&self) -> Ps2State {
        let Ps2Controller { keyboard_irq: _, mouse_irq: _, state } = self;
        state.clone()
    }

    fn restore(&mut self, state: Ps2State) -> Result<(), RestoreError> {
        state.validate()?;
        self.state = state;
        Ok(())
    }
}
