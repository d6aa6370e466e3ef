//! 8042 keyboard controller and PS/2 device definitions. IBM PS/2 Hardware Interface Technical Reference,
//! "Keyboard and Auxiliary Device Controller", "Keyboards (101- and 102-Key)" and "Auxiliary Device".

use crate::time::GuestDuration;

/// Register offset of the data port.
pub const DATA: u16 = 0;
/// Register offset of the status (read) and command (write) port.
pub const COMMAND: u16 = 1;

/// How long a byte is on the wire between a device and the controller: 11 bits at 16.7 kHz, the fastest clock
/// that devices are allowed. Guests need it not to be zero: an interrupt handler that looks at the data port
/// and passes the interrupt on expects the next handler to read the same byte.
pub const BYTE_TIME: GuestDuration = GuestDuration::from_micros(660);

/// How long a device tests itself after power-on or a reset command. Real ones take 300 to 750 ms, for which
/// no guest asks.
pub const SELF_TEST_TIME: GuestDuration = GuestDuration::from_millis(5);

/// Bits of the status register.
pub mod status {
    /// The output buffer holds a byte for the guest.
    pub const OUTPUT_FULL: u8 = 1 << 0;
    /// The self test has passed; the system flag of the command byte.
    pub const SYSTEM: u8 = 1 << 2;
    /// The last byte written was a command.
    pub const COMMAND: u8 = 1 << 3;
    /// The keyboard is not locked.
    pub const NOT_INHIBITED: u8 = 1 << 4;
    /// The byte in the output buffer is the auxiliary device's.
    pub const AUX_OUTPUT_FULL: u8 = 1 << 5;
}

/// Bits of the controller command byte.
pub mod command_byte {
    /// Interrupt when a byte from the keyboard or the controller is in the output buffer.
    pub const KEYBOARD_INTERRUPT: u8 = 1 << 0;
    /// Interrupt when a byte from the auxiliary device is in the output buffer.
    pub const AUX_INTERRUPT: u8 = 1 << 1;
    /// Shows in the status register.
    pub const SYSTEM_FLAG: u8 = 1 << 2;
    /// Holds the keyboard's clock low: it cannot send.
    pub const DISABLE_KEYBOARD: u8 = 1 << 4;
    /// Holds the auxiliary device's clock low.
    pub const DISABLE_AUX: u8 = 1 << 5;
    /// Translates scan code set 2 to set 1.
    pub const TRANSLATE: u8 = 1 << 6;
}

/// Commands to the controller.
pub mod controller {
    /// Reads internal RAM; its first byte is the command byte.
    pub const READ_RAM: u8 = 0x20;
    /// Last of the commands that read RAM.
    pub const READ_RAM_LAST: u8 = 0x3F;
    /// Writes internal RAM.
    pub const WRITE_RAM: u8 = 0x60;
    /// Last of the commands that write RAM.
    pub const WRITE_RAM_LAST: u8 = 0x7F;
    /// Asks whether a password is installed.
    pub const TEST_PASSWORD: u8 = 0xA4;
    /// Disables the auxiliary device.
    pub const DISABLE_AUX: u8 = 0xA7;
    /// Enables the auxiliary device.
    pub const ENABLE_AUX: u8 = 0xA8;
    /// Tests the auxiliary device's lines.
    pub const TEST_AUX_INTERFACE: u8 = 0xA9;
    /// Tests the controller.
    pub const SELF_TEST: u8 = 0xAA;
    /// Tests the keyboard's lines.
    pub const TEST_KEYBOARD_INTERFACE: u8 = 0xAB;
    /// Disables the keyboard.
    pub const DISABLE_KEYBOARD: u8 = 0xAD;
    /// Enables the keyboard.
    pub const ENABLE_KEYBOARD: u8 = 0xAE;
    /// Reads the input port.
    pub const READ_INPUT_PORT: u8 = 0xC0;
    /// Reads the output port.
    pub const READ_OUTPUT_PORT: u8 = 0xD0;
    /// Writes the output port.
    pub const WRITE_OUTPUT_PORT: u8 = 0xD1;
    /// Puts a byte into the output buffer as if the keyboard had sent it.
    pub const WRITE_KEYBOARD_OUTPUT: u8 = 0xD2;
    /// Puts a byte into the output buffer as if the auxiliary device had sent it.
    pub const WRITE_AUX_OUTPUT: u8 = 0xD3;
    /// Sends a byte to the auxiliary device.
    pub const WRITE_AUX: u8 = 0xD4;
    /// Closes the A20 gate; later chip sets only.
    pub const CLOSE_A20: u8 = 0xDD;
    /// Opens the A20 gate; later chip sets only.
    pub const OPEN_A20: u8 = 0xDF;
    /// Reads the test inputs: the clock lines.
    pub const READ_TEST_INPUTS: u8 = 0xE0;
    /// First of the commands that pulse those of the output port's low four bits that are 0 in the command.
    pub const PULSE: u8 = 0xF0;

    /// Answer of the self test.
    pub const SELF_TEST_PASSED: u8 = 0x55;
    /// Answer of the interface tests.
    pub const INTERFACE_GOOD: u8 = 0x00;
    /// Answer to [`TEST_PASSWORD`].
    pub const NO_PASSWORD: u8 = 0xF1;
}

/// Bits of the output port.
pub mod output_port {
    /// Low resets the processor.
    pub const NOT_RESET: u8 = 1 << 0;
    /// The gate of address line 20.
    pub const A20: u8 = 1 << 1;
    /// The auxiliary device's interrupt request.
    pub const AUX_INTERRUPT: u8 = 1 << 5;
    /// The keyboard's interrupt request.
    pub const KEYBOARD_INTERRUPT: u8 = 1 << 4;
    /// The bits that show what drives them and not what was written.
    pub const INTERRUPTS: u8 = KEYBOARD_INTERRUPT | AUX_INTERRUPT;
}

/// What the input port reads: keyboard not locked, colour display, no manufacturing jumper, all RAM enabled.
pub const INPUT_PORT: u8 = 0xB0;

/// What devices answer.
pub mod answer {
    /// The self test passed.
    pub const SELF_TEST_PASSED: u8 = 0xAA;
    /// Acknowledge.
    pub const ACK: u8 = 0xFA;
    /// Say that again.
    pub const RESEND: u8 = 0xFE;
    /// The same, for the second time.
    pub const ERROR: u8 = 0xFC;
}

/// Commands to the keyboard.
pub mod keyboard {
    /// Sets the indicators. Lower bytes are no commands.
    pub const SET_INDICATORS: u8 = 0xED;
    /// Answers itself.
    pub const ECHO: u8 = 0xEE;
    /// Selects or asks for the scan code set.
    pub const SCAN_CODE_SET: u8 = 0xF0;
    /// Asks for the identity.
    pub const READ_ID: u8 = 0xF2;
    /// Sets typematic rate and delay.
    pub const SET_TYPEMATIC: u8 = 0xF3;
    /// Starts scanning.
    pub const ENABLE: u8 = 0xF4;
    /// Restores the defaults and stops scanning.
    pub const DISABLE: u8 = 0xF5;
    /// Restores the defaults.
    pub const SET_DEFAULT: u8 = 0xF6;
    /// Sets all keys to typematic.
    pub const ALL_TYPEMATIC: u8 = 0xF7;
    /// Sets all keys to make and break.
    pub const ALL_MAKE_BREAK: u8 = 0xF8;
    /// Sets all keys to make only.
    pub const ALL_MAKE_ONLY: u8 = 0xF9;
    /// Sets all keys to typematic, make and break.
    pub const ALL_TYPEMATIC_MAKE_BREAK: u8 = 0xFA;
    /// Sets some keys to typematic.
    pub const KEY_TYPEMATIC: u8 = 0xFB;
    /// Sets some keys to make and break.
    pub const KEY_MAKE_BREAK: u8 = 0xFC;
    /// Sets some keys to make only.
    pub const KEY_MAKE_ONLY: u8 = 0xFD;
    /// Repeats the last byte.
    pub const RESEND: u8 = 0xFE;
    /// Resets the keyboard.
    pub const RESET: u8 = 0xFF;

    /// What [`READ_ID`] answers.
    pub const ID: [u8; 2] = [0xAB, 0x83];
    /// Typematic rate and delay at power-on: 10.9 characters per second after 500 ms.
    pub const DEFAULT_TYPEMATIC: u8 = 0x2B;
}

/// Commands to the mouse.
pub mod mouse {
    /// Scaling 1:1.
    pub const RESET_SCALING: u8 = 0xE6;
    /// Scaling 2:1.
    pub const SET_SCALING: u8 = 0xE7;
    /// Sets the resolution.
    pub const SET_RESOLUTION: u8 = 0xE8;
    /// Asks for the status.
    pub const STATUS_REQUEST: u8 = 0xE9;
    /// Reports by itself.
    pub const SET_STREAM_MODE: u8 = 0xEA;
    /// Asks for a report.
    pub const READ_DATA: u8 = 0xEB;
    /// Leaves wrap mode.
    pub const RESET_WRAP_MODE: u8 = 0xEC;
    /// Echoes every byte.
    pub const SET_WRAP_MODE: u8 = 0xEE;
    /// Reports when asked.
    pub const SET_REMOTE_MODE: u8 = 0xF0;
    /// Asks for the identity.
    pub const READ_ID: u8 = 0xF2;
    /// Sets the sampling rate.
    pub const SET_SAMPLING_RATE: u8 = 0xF3;
    /// Starts reporting in stream mode.
    pub const ENABLE: u8 = 0xF4;
    /// Stops reporting in stream mode.
    pub const DISABLE: u8 = 0xF5;
    /// Restores the defaults.
    pub const SET_DEFAULT: u8 = 0xF6;
    /// Repeats the last answer or report.
    pub const RESEND: u8 = 0xFE;
    /// Resets the mouse.
    pub const RESET: u8 = 0xFF;

    /// The sampling rates that exist, in reports per second.
    pub const RATES: [u8; 7] = [10, 20, 40, 60, 80, 100, 200];
    /// Setting these rates one after the other turns a wheel mouse's wheel on.
    pub const WHEEL_KNOCK: [u8; 3] = [200, 100, 80];
    /// Identity of a mouse.
    pub const ID: u8 = 0x00;
    /// Identity of a mouse whose wheel is on.
    pub const WHEEL_ID: u8 = 0x03;
}

/// Scan code set 2 to set 1, as the controller's ROM has it. It is applied to every byte from the keyboard;
/// F0h is taken out and sets bit 7 of the next.
pub const fn translate(byte: u8) -> u8 {
    const LOW: [u8; 0x80] = [
        0xFF, 0x43, 0x41, 0x3F, 0x3D, 0x3B, 0x3C, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3E, 0x0F, 0x29,
        0x59, //
        0x65, 0x38, 0x2A, 0x70, 0x1D, 0x10, 0x02, 0x5A, 0x66, 0x71, 0x2C, 0x1F, 0x1E, 0x11, 0x03,
        0x5B, //
        0x67, 0x2E, 0x2D, 0x20, 0x12, 0x05, 0x04, 0x5C, 0x68, 0x39, 0x2F, 0x21, 0x14, 0x13, 0x06,
        0x5D, //
        0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5E, 0x6A, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09,
        0x5F, //
        0x6B, 0x33, 0x25, 0x17, 0x18, 0x0B, 0x0A, 0x60, 0x6C, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0C,
        0x61, //
        0x6D, 0x73, 0x28, 0x74, 0x1A, 0x0D, 0x62, 0x6E, 0x3A, 0x36, 0x1C, 0x1B, 0x75, 0x2B, 0x63,
        0x76, //
        0x55, 0x56, 0x77, 0x78, 0x79, 0x7A, 0x0E, 0x7B, 0x7C, 0x4F, 0x7D, 0x4B, 0x47, 0x7E, 0x7F,
        0x6F, //
        0x52, 0x53, 0x50, 0x4C, 0x4D, 0x48, 0x01, 0x45, 0x57, 0x4E, 0x51, 0x4A, 0x37, 0x49, 0x46, 0x54,
    ];
    match byte {
        0x83 => 0x41,
        0x84 => 0x54,
        0x80.. => byte,
        _ => LOW[byte as usize],
    }
}

/// The prefix of a break code in sets 2 and 3.
pub const BREAK_PREFIX: u8 = 0xF0;
/// The prefix of keys that the 84-key keyboard did not have.
pub const EXTENDED_PREFIX: u8 = 0xE0;
/// The prefix of the Pause key.
pub const PAUSE_PREFIX: u8 = 0xE1;
