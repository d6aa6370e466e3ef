//! The 8042 and the devices behind it. IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary
//! Device Controller".

use super::{MICROSECOND, MILLISECOND};
use crate::platform::Platform;

pub(crate) const DATA: u16 = 0x60;
pub(crate) const STATUS: u16 = 0x64;

/// Status: a byte waits for the processor; a byte of the processor waits; the waiting byte is the mouse's.
pub(crate) const OUTPUT_FULL: u8 = 0x01;
const INPUT_FULL: u8 = 0x02;
pub(crate) const FROM_MOUSE: u8 = 0x20;

/// Commands to the controller.
pub(crate) mod command {
    pub const READ_COMMAND_BYTE: u8 = 0x20;
    pub const WRITE_COMMAND_BYTE: u8 = 0x60;
    pub const ENABLE_MOUSE: u8 = 0xA8;
    pub const SELF_TEST: u8 = 0xAA;
    pub const TEST_KEYBOARD: u8 = 0xAB;
    pub const WRITE_OUTPUT_PORT: u8 = 0xD1;
    pub const TO_MOUSE: u8 = 0xD4;
}

/// Bits of the command byte.
pub(crate) mod command_byte {
    pub const KEYBOARD_INTERRUPT: u8 = 0x01;
    pub const MOUSE_INTERRUPT: u8 = 0x02;
    pub const SYSTEM: u8 = 0x04;
    pub const DISABLE_MOUSE: u8 = 0x20;
    pub const TRANSLATE: u8 = 0x40;
}

/// A device acknowledges.
pub(crate) const ACK: u8 = 0xFA;
/// A device has tested itself.
pub(crate) const TESTED: u8 = 0xAA;

/// Longer than a byte takes to a device and its answer back.
const ANSWER_TIME: u64 = 20 * MILLISECOND;
const STEP: u64 = 50 * MICROSECOND;

fn wait_for_room(io: &mut dyn Platform) {
    io.wait_until(ANSWER_TIME, STEP, |io| io.in8(STATUS) & INPUT_FULL == 0);
}

/// Sends a command to the controller.
pub(crate) fn send_command(io: &mut dyn Platform, command: u8) {
    wait_for_room(io);
    io.out8(STATUS, command);
}

/// Sends a byte to the keyboard, or the parameter of a command.
pub(crate) fn send_data(io: &mut dyn Platform, byte: u8) {
    wait_for_room(io);
    io.out8(DATA, byte);
}

/// The next byte of the controller, the keyboard or the mouse, if it comes within `limit` nanoseconds.
pub(crate) fn receive(io: &mut dyn Platform, limit: u64) -> Option<u8> {
    let there = io.wait_until(limit, STEP, |io| io.in8(STATUS) & OUTPUT_FULL != 0);
    there.then(|| io.in8(DATA))
}

/// Takes and forgets what waits to be read.
pub(crate) fn flush(io: &mut dyn Platform) {
    for _ in 0..16 {
        if io.in8(STATUS) & OUTPUT_FULL == 0 {
            return;
        }
        io.in8(DATA);
    }
}

/// Sends a byte to the keyboard and waits for its acknowledgement.
pub(crate) fn command_keyboard(io: &mut dyn Platform, byte: u8) -> bool {
    send_data(io, byte);
    receive(io, ANSWER_TIME) == Some(ACK)
}

/// Sends a byte to the mouse and waits for its acknowledgement.
pub(crate) fn command_mouse(io: &mut dyn Platform, byte: u8) -> bool {
    send_command(io, command::TO_MOUSE);
    send_data(io, byte);
    receive(io, ANSWER_TIME) == Some(ACK)
}

pub(crate) fn read_command_byte(io: &mut dyn Platform) -> u8 {
    send_command(io, command::READ_COMMAND_BYTE);
    receive(io, ANSWER_TIME).unwrap_or(0)
}

pub(crate) fn write_command_byte(io: &mut dyn Platform, value: u8) {
    send_command(io, command::WRITE_COMMAND_BYTE);
    send_data(io, value);
}

/// Tests the controller and the keyboard and sets both going. Gives whether there is a keyboard.
pub(crate) fn initialise(io: &mut dyn Platform) -> bool {
    const RESET: u8 = 0xFF;
    const ENABLE: u8 = 0xF4;
    flush(io);
    send_command(io, command::SELF_TEST);
    if receive(io, ANSWER_TIME) != Some(0x55) {
        return false;
    }
    send_command(io, command::TEST_KEYBOARD);
    receive(io, ANSWER_TIME);
    // No interrupts while the keyboard is spoken to.
    write_command_byte(io, command_byte::TRANSLATE | command_byte::SYSTEM | command_byte::DISABLE_MOUSE);
    flush(io);
    let present = command_keyboard(io, RESET) && receive(io, 1000 * MILLISECOND) == Some(TESTED);
    if present {
        command_keyboard(io, ENABLE);
    }
    write_command_byte(
        io,
        command_byte::TRANSLATE
            | command_byte::SYSTEM
            | command_byte::DISABLE_MOUSE
            | command_byte::KEYBOARD_INTERRUPT,
    );
    present
}

/// Address line 20, as far as this controller holds it.
pub(crate) fn set_a20(io: &mut dyn Platform, on: bool) {
    // The output port: no reset, no data on the wires; what waits to be read stays.
    const CLOSED: u8 = 0xDD;
    const OPEN: u8 = 0xDF;
    send_command(io, command::WRITE_OUTPUT_PORT);
    send_data(io, if on { OPEN } else { CLOSED });
}
