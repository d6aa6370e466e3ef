//! 8042 keyboard controller with a PS/2 keyboard and a wheel mouse. IBM PS/2 Hardware Interface Technical
//! Reference, "Keyboard and Auxiliary Device Controller".
//!
//! The controller itself answers at once. A byte from a device is on the wire for 660 µs, and the next one
//! sets out only after the guest has read the one before; a command reaches its device as fast. The guest's
//! reading thus paces everything, and nothing that the host puts in is lost: [`Ps2Controller::key`] and
//! [`Ps2Controller::press_buttons`] say whether there was room, and their caller keeps what was not taken.
//! Who types text offers the next event when [`Ps2Controller::keyboard_idle`] says that the guest has read
//! everything before.

mod keyboard;
mod keys;
mod mouse;
mod spec;
mod state;
#[cfg(test)]
mod tests;

pub use keyboard::Indicators;
pub use keys::{KeyCode, Keystroke};
pub use mouse::MouseButtons;
pub use state::Ps2State;

use crate::access::{AccessSize, IoError, PortIo, PortRange};
use crate::irq::IrqLine;
use crate::reset::Reset;
use crate::time::{GuestTime, Timed};
use serde::{Deserialize, Serialize};
use spec::*;

/// Whose byte is in the output buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Source {
    Controller,
    Keyboard,
    Mouse,
}

/// What a byte written to the data port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum DataFor {
    Ram(u8),
    OutputPort,
    /// The output buffer, as if the device had sent it.
    OutputBuffer(Source),
    Mouse,
}

/// The controller, with its two devices plugged in.
///
/// ```
/// use idem86_devices::{access::{AccessSize::Byte, PortIo}, irq::IrqBank, time::{GuestTime, Timed}};
/// use idem86_devices::ps2::{KeyCode, Ps2Controller};
/// let bank = IrqBank::new();
/// let mut ps2 = Ps2Controller::new(bank.line(1), bank.line(12));
/// ps2.advance(GuestTime::from_nanos(10_000_000)); // the keyboard has tested itself
/// ps2.write_port(1, Byte, 0x60, GuestTime::from_nanos(10_000_000)).unwrap();
/// ps2.write_port(0, Byte, 0x61, GuestTime::from_nanos(10_000_000)).unwrap(); // translate, interrupt, no mouse
/// let tested = ps2.next_event().unwrap();
/// assert_eq!(ps2.read_port(0, Byte, tested), Ok(0xAA));
/// assert!(ps2.key(KeyCode::KeyA, true, tested));
/// let pressed = ps2.next_event().unwrap();
/// ps2.advance(pressed);
/// assert_eq!(bank.inputs(0).levels(), 1 << 1);
/// assert_eq!(ps2.read_port(0, Byte, pressed), Ok(0x1E));
/// ```
#[derive(Debug)]
pub struct Ps2Controller {
    keyboard_irq: IrqLine,
    mouse_irq: IrqLine,
    state: Ps2State,
}

impl Ps2Controller {
    /// Where the PC has the controller: offset 0 is the data port, 1 the status and command port.
    pub const PORTS: &[PortRange] = &[PortRange::new(0x60, 1, DATA), PortRange::new(0x64, 1, COMMAND)];

    /// A controller and devices just switched on, whose interrupts drive `keyboard_irq` and `mouse_irq`. The
    /// A20 gate is open, both interfaces are disabled, and both devices test themselves for 5 ms.
    pub fn new(keyboard_irq: IrqLine, mouse_irq: IrqLine) -> Self {
        Ps2Controller { keyboard_irq, mouse_irq, state: Ps2State::power_on(GuestTime::ZERO) }
    }

    /// Whether the A20 gate is open: address line 20 is as the processor drives it.
    pub fn a20_open(&self) -> bool {
        self.state.output_port & output_port::A20 != 0
    }

    /// Whether the guest has asked for a processor reset since the last call.
    pub fn take_reset_request(&mut self) -> bool {
        std::mem::take(&mut self.state.reset_requested)
    }

    /// The user presses or releases `key`. Returns false if the keyboard does not take it now, because the guest
    /// has not enabled it or has yet to read what was typed before; offer it again later. Pressing a key that
    /// is down has no effect: the keyboard repeats keys by itself.
    pub fn key(&mut self, key: KeyCode, pressed: bool, now: GuestTime) -> bool {
        self.advance(now);
        let taken = self.state.keyboard.key(key, pressed, self.state.clock);
        self.settle();
        taken
    }

    /// Whether the keyboard scans and the guest has read everything that was typed.
    pub fn keyboard_idle(&self) -> bool {
        self.state.keyboard.is_idle()
            && self.state.output_from != Some(Source::Keyboard)
            && !self.state.break_prefix
    }

    /// The indicators that the guest has lit.
    pub fn indicators(&self) -> Indicators {
        self.state.keyboard.indicators()
    }

    /// The user moves the mouse by counts to the right and away from himself, and the wheel by notches towards
    /// himself. Movement adds up until the guest takes it.
    pub fn move_mouse(&mut self, right: i32, away: i32, wheel: i32, now: GuestTime) {
        self.advance(now);
        self.state.mouse.move_by(right, away, wheel);
        self.run(self.state.clock);
    }

    /// The user holds down exactly `buttons`. Returns false, having done nothing, if the guest has not yet been
    /// told of the change before; offer it again later.
    pub fn press_buttons(&mut self, buttons: MouseButtons, now: GuestTime) -> bool {
        self.advance(now);
        let taken = self.state.mouse.press(buttons);
        self.run(self.state.clock);
        taken
    }

    fn enabled(&self, device: Source) -> bool {
        let disabling = match device {
            Source::Keyboard => command_byte::DISABLE_KEYBOARD,
            Source::Mouse => command_byte::DISABLE_AUX,
            Source::Controller => return true,
        };
        self.state.ram[0] & disabling == 0
    }

    fn wants_to_send(&self, device: Source) -> bool {
        self.enabled(device)
            && match device {
                Source::Keyboard => self.state.keyboard.has_byte(),
                Source::Mouse => self.state.mouse.has_byte(),
                Source::Controller => false,
            }
    }

    /// Lets happen what is due, in the order in which it is.
    /// Nothing of it was due before `from`.
    fn run(&mut self, from: GuestTime) {
        let mut at = from;
        while let Some(due) = self.next_due().filter(|&due| due <= self.state.clock) {
            at = at.max(due);
            self.state.keyboard.advance(at);
            self.state.mouse.advance(at);
            self.receive_if_due(at);
            self.start_transfer(at);
        }
        self.settle();
    }

    fn next_due(&self) -> Option<GuestTime> {
        let s = &self.state;
        let transfer = s.transfer.map(|(_, arrival)| arrival);
        [transfer, s.keyboard.next_event(), s.mouse.next_event()].into_iter().flatten().min()
    }

    /// The byte on the wire arrives.
    fn receive_if_due(&mut self, at: GuestTime) {
        let s = &mut self.state;
        let Some((source, _)) = s.transfer.take_if(|(_, arrival)| *arrival <= at) else { return };
        if source == Source::Mouse {
            s.output_from = s.mouse.take_byte().map(|byte| s.output = byte).map(|()| source);
            return;
        }
        let Some(mut byte) = s.keyboard.take_byte(at) else { return };
        if s.ram[0] & command_byte::TRANSLATE != 0 {
            if byte == BREAK_PREFIX {
                s.break_prefix = true;
                return;
            }
            byte = translate(byte) | if std::mem::take(&mut s.break_prefix) { 0x80 } else { 0 };
        }
        s.output = byte;
        s.output_from = Some(source);
    }

    /// Lets a device send, the keyboard first, if the output buffer is free.
    fn start_transfer(&mut self, at: GuestTime) {
        if self.state.transfer.is_some() || self.state.output_from.is_some() {
            return;
        }
        let sender = [Source::Keyboard, Source::Mouse].into_iter().find(|&device| self.wants_to_send(device));
        self.state.transfer = sender.map(|device| (device, at + BYTE_TIME));
    }

    /// Brings the output buffer, the wire and the interrupt lines in line with what has changed.
    fn settle(&mut self) {
        self.settle_from(self.state.clock);
    }

    /// As [`Self::settle`]; what now sets out does so at `start`.
    fn settle_from(&mut self, start: GuestTime) {
        let s = &mut self.state;
        if s.output_from.is_none()
            && let Some((source, byte)) = s.answer.take()
        {
            s.output = byte;
            s.output_from = Some(source);
        }
        if let Some((device, _)) = self.state.transfer
            && (self.state.output_from.is_some() || !self.wants_to_send(device))
        {
            // The controller pulls the clock low; the device will send the byte again.
            self.state.transfer = None;
        }
        self.start_transfer(start);
        self.update_irqs();
    }

    fn update_irqs(&self) {
        let s = &self.state;
        let enabled = |bit| s.ram[0] & bit != 0;
        let (keyboard, mouse) = match s.output_from {
            None => (false, false),
            Some(Source::Mouse) => (false, true),
            Some(_) => (true, false),
        };
        self.keyboard_irq.set(keyboard && enabled(command_byte::KEYBOARD_INTERRUPT));
        self.mouse_irq.set(mouse && enabled(command_byte::AUX_INTERRUPT));
    }

    fn status(&self) -> u8 {
        let s = &self.state;
        let mut status = status::NOT_INHIBITED;
        if s.output_from.is_some() {
            status |= status::OUTPUT_FULL;
        }
        if s.output_from == Some(Source::Mouse) {
            status |= status::AUX_OUTPUT_FULL;
        }
        if s.ram[0] & command_byte::SYSTEM_FLAG != 0 {
            status |= status::SYSTEM;
        }
        if s.command_last {
            status |= status::COMMAND;
        }
        status
    }

    fn read_output(&mut self) -> u8 {
        let byte = self.state.output;
        self.state.output_from = None;
        // The interrupt line drops even if an answer is waiting to follow.
        self.update_irqs();
        self.settle();
        byte
    }

    fn answer(&mut self, byte: u8) {
        self.state.answer = Some((Source::Controller, byte));
    }

    fn output_port(&self) -> u8 {
        let interrupt = match self.state.output_from {
            None => 0,
            Some(Source::Mouse) => output_port::AUX_INTERRUPT,
            Some(_) => output_port::KEYBOARD_INTERRUPT,
        };
        self.state.output_port | interrupt
    }

    fn write_output_port(&mut self, value: u8) {
        self.state.reset_requested |= value & output_port::NOT_RESET == 0;
        // The processor starts again with the line high, whatever was written.
        self.state.output_port = (value | output_port::NOT_RESET) & !output_port::INTERRUPTS;
    }

    fn command(&mut self, command: u8) {
        use controller::*;
        let s = &mut self.state;
        s.command_last = true;
        s.expects = None;
        match command {
            READ_RAM..=READ_RAM_LAST => {
                let byte = s.ram[usize::from(command - READ_RAM)];
                self.answer(byte);
            }
            WRITE_RAM..=WRITE_RAM_LAST => s.expects = Some(DataFor::Ram(command - WRITE_RAM)),
            TEST_PASSWORD => self.answer(NO_PASSWORD),
            DISABLE_AUX => s.ram[0] |= command_byte::DISABLE_AUX,
            ENABLE_AUX => s.ram[0] &= !command_byte::DISABLE_AUX,
            TEST_AUX_INTERFACE | TEST_KEYBOARD_INTERFACE => self.answer(INTERFACE_GOOD),
            SELF_TEST => {
                s.ram[0] |= command_byte::SYSTEM_FLAG;
                self.answer(SELF_TEST_PASSED);
            }
            DISABLE_KEYBOARD => s.ram[0] |= command_byte::DISABLE_KEYBOARD,
            ENABLE_KEYBOARD => s.ram[0] &= !command_byte::DISABLE_KEYBOARD,
            READ_INPUT_PORT => self.answer(INPUT_PORT),
            READ_OUTPUT_PORT => {
                let byte = self.output_port();
                self.answer(byte);
            }
            WRITE_OUTPUT_PORT => s.expects = Some(DataFor::OutputPort),
            WRITE_KEYBOARD_OUTPUT => s.expects = Some(DataFor::OutputBuffer(Source::Keyboard)),
            WRITE_AUX_OUTPUT => s.expects = Some(DataFor::OutputBuffer(Source::Mouse)),
            WRITE_AUX => s.expects = Some(DataFor::Mouse),
            CLOSE_A20 => s.output_port &= !output_port::A20,
            OPEN_A20 => s.output_port |= output_port::A20,
            READ_TEST_INPUTS => {
                let clocks =
                    u8::from(self.enabled(Source::Keyboard)) | u8::from(self.enabled(Source::Mouse)) << 1;
                self.answer(clocks);
            }
            PULSE.. => s.reset_requested |= command & output_port::NOT_RESET == 0,
            _ => {}
        }
        self.settle();
    }

    fn write_data(&mut self, byte: u8) {
        let s = &mut self.state;
        s.command_last = false;
        match s.expects.take() {
            Some(DataFor::Ram(address)) => s.ram[usize::from(address)] = byte,
            Some(DataFor::OutputPort) => self.write_output_port(byte),
            Some(DataFor::OutputBuffer(source)) => s.answer = Some((source, byte)),
            Some(DataFor::Mouse) => return self.send(Source::Mouse, byte),
            None => return self.send(Source::Keyboard, byte),
        }
        self.settle();
    }

    /// Sends a device `byte`, which enables its interface and cuts off what it is sending.
    fn send(&mut self, device: Source, byte: u8) {
        let s = &mut self.state;
        let arrival = s.clock + BYTE_TIME;
        if device == Source::Mouse {
            s.ram[0] &= !command_byte::DISABLE_AUX;
            s.mouse.receive(byte, arrival);
        } else {
            s.ram[0] &= !command_byte::DISABLE_KEYBOARD;
            s.break_prefix = false;
            s.keyboard.receive(byte, arrival);
        }
        s.transfer.take_if(|(sender, _)| *sender == device);
        self.settle_from(arrival);
    }
}

impl PortIo for Ps2Controller {
    fn read_port(&mut self, offset: u16, size: AccessSize, now: GuestTime) -> Result<u32, IoError> {
        size.only_byte()?;
        self.advance(now);
        match offset {
            DATA => Ok(self.read_output().into()),
            COMMAND => Ok(self.status().into()),
            _ => Err(IoError::NoSuchRegister),
        }
    }

    fn write_port(
        &mut self,
        offset: u16,
        size: AccessSize,
        value: u32,
        now: GuestTime,
    ) -> Result<(), IoError> {
        size.only_byte()?;
        self.advance(now);
        match offset {
            DATA => self.write_data(value as u8),
            COMMAND => self.command(value as u8),
            _ => return Err(IoError::NoSuchRegister),
        }
        Ok(())
    }
}

impl Timed for Ps2Controller {
    fn next_event(&self) -> Option<GuestTime> {
        self.next_due()
    }

    fn advance(&mut self, now: GuestTime) {
        let from = self.state.clock;
        self.state.clock = from.max(now);
        self.run(from);
    }
}

impl Reset for Ps2Controller {
    /// The whole subsystem starts as from power-on, at the moment up to which it was advanced.
    fn reset(&mut self) {
        self.state = Ps2State::power_on(self.state.clock);
        self.update_irqs();
    }
}
