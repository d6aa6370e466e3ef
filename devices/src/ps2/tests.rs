//! The documented behaviour of the controller; that of its devices is in the modules below.

mod keyboard;
mod mouse;

use super::*;
use crate::irq::{IrqBank, IrqInputs};
use crate::state::Snapshot;
use crate::time::GuestDuration;

/// A controller on lines 1 and 12, and the time.
struct Bench {
    ps2: Ps2Controller,
    lines: IrqInputs,
    now: GuestTime,
}

impl Bench {
    /// As it is at power-on.
    fn cold() -> Self {
        let bank = IrqBank::new();
        Bench {
            ps2: Ps2Controller::new(bank.line(1), bank.line(12)),
            lines: bank.inputs(0),
            now: GuestTime::ZERO,
        }
    }

    /// As firmware leaves it: the keyboard's self test done and its answer read, `command_byte` set.
    fn with_command_byte(command_byte: u8) -> Self {
        let mut bench = Bench::cold();
        bench.pass_ms(10);
        bench.command(controller::WRITE_RAM);
        bench.write(0);
        assert_eq!(bench.drain(), [0xAA]);
        bench.command(controller::WRITE_RAM);
        bench.write(command_byte);
        bench
    }

    /// Interrupts and translation on.
    fn new() -> Self {
        Self::with_command_byte(0x43)
    }

    fn pass_ms(&mut self, ms: u64) {
        self.now = self.now + GuestDuration::from_millis(ms);
        self.ps2.advance(self.now);
    }

    fn command(&mut self, byte: u8) {
        self.ps2.write_port(COMMAND, AccessSize::Byte, byte.into(), self.now).unwrap();
    }

    fn write(&mut self, byte: u8) {
        self.ps2.write_port(DATA, AccessSize::Byte, byte.into(), self.now).unwrap();
    }

    fn read(&mut self) -> u8 {
        self.ps2.read_port(DATA, AccessSize::Byte, self.now).unwrap() as u8
    }

    fn status(&mut self) -> u8 {
        self.ps2.read_port(COMMAND, AccessSize::Byte, self.now).unwrap() as u8
    }

    fn ask(&mut self, command: u8) -> u8 {
        self.command(command);
        assert_ne!(self.status() & status::OUTPUT_FULL, 0, "no answer to {command:#x}");
        self.read()
    }

    fn irqs(&self) -> u32 {
        self.lines.levels()
    }

    /// Reads bytes as they come until none has come for 20 ms.
    fn drain(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let patience = self.now + GuestDuration::from_millis(20);
            while self.status() & status::OUTPUT_FULL == 0 {
                match self.ps2.next_event().filter(|&event| event <= patience) {
                    Some(event) => {
                        assert!(event > self.now, "an event that is not ahead");
                        self.now = event;
                        self.ps2.advance(event);
                    }
                    None => return bytes,
                }
            }
            bytes.push(self.read());
            assert!(bytes.len() < 100, "bytes without end");
        }
    }

    fn keyboard_command(&mut self, bytes: &[u8]) -> Vec<u8> {
        bytes
            .iter()
            .flat_map(|&byte| {
                self.write(byte);
                self.drain()
            })
            .collect()
    }

    fn mouse_command(&mut self, bytes: &[u8]) -> Vec<u8> {
        bytes
            .iter()
            .flat_map(|&byte| {
                self.command(controller::WRITE_AUX);
                self.write(byte);
                self.drain()
            })
            .collect()
    }

    fn press(&mut self, key: KeyCode) -> Vec<u8> {
        assert!(self.ps2.key(key, true, self.now), "{key:?}");
        self.drain()
    }

    fn release(&mut self, key: KeyCode) -> Vec<u8> {
        assert!(self.ps2.key(key, false, self.now), "{key:?}");
        self.drain()
    }
}

#[test]
fn controller_commands_answer_as_documented() {
    let mut b = Bench::cold();
    assert_eq!(b.status(), status::NOT_INHIBITED, "the system flag is 0 after power-on");
    assert_eq!(b.ask(controller::SELF_TEST), 0x55);
    assert_eq!(b.status(), status::NOT_INHIBITED | status::SYSTEM | status::COMMAND);
    assert_eq!(b.ask(controller::TEST_KEYBOARD_INTERFACE), 0);
    assert_eq!(b.ask(controller::TEST_AUX_INTERFACE), 0);
    assert_eq!(b.ask(controller::TEST_PASSWORD), 0xF1);
    assert_eq!(b.ask(controller::READ_INPUT_PORT) & 0x80, 0x80, "not locked");
    b.command(controller::WRITE_RAM);
    b.write(0x47);
    assert_eq!(b.status() & status::COMMAND, 0);
    for (command, command_byte) in [(0xA7, 0x67), (0xAD, 0x77), (0xA8, 0x57), (0xAE, 0x47)] {
        b.command(command);
        assert_eq!(b.ask(controller::READ_RAM), command_byte, "{command:#x}");
    }
    b.command(controller::WRITE_RAM + 0x1F);
    b.write(0x99);
    assert_eq!(b.ask(controller::READ_RAM + 0x1F), 0x99);
}

#[test]
fn output_port_has_the_a20_gate_and_the_reset_line() {
    let mut b = Bench::cold();
    assert!(b.ps2.a20_open());
    b.command(controller::WRITE_OUTPUT_PORT);
    b.write(0xDD);
    assert!(!b.ps2.a20_open());
    assert_eq!(b.ask(controller::READ_OUTPUT_PORT), 0xCD, "no interrupt is pending");
    b.command(controller::OPEN_A20);
    assert!(b.ps2.a20_open());
    b.command(controller::CLOSE_A20);
    assert!(!b.ps2.a20_open());
    assert!(!b.ps2.take_reset_request());

    b.command(0xFE);
    assert!(b.ps2.take_reset_request());
    assert!(!b.ps2.take_reset_request(), "once");
    b.command(0xFF);
    assert!(!b.ps2.take_reset_request(), "nothing is pulsed");
    b.command(controller::WRITE_OUTPUT_PORT);
    b.write(0xFE);
    assert!(b.ps2.take_reset_request());
}

#[test]
fn a_command_cancels_the_wait_for_a_parameter() {
    let mut b = Bench::new();
    b.command(controller::WRITE_OUTPUT_PORT);
    b.command(controller::ENABLE_AUX);
    b.write(0xEE);
    assert_eq!(b.drain(), [0xEE], "the byte went to the keyboard");
    assert!(!b.ps2.take_reset_request());
}

#[test]
fn output_buffer_commands_pass_for_the_devices() {
    let mut b = Bench::new();
    b.command(controller::WRITE_KEYBOARD_OUTPUT);
    b.write(0xF0);
    assert_eq!((b.irqs(), b.status() & 0x21), (1 << 1, 0x01));
    assert_eq!(b.read(), 0xF0, "not translated");
    b.command(controller::WRITE_AUX_OUTPUT);
    b.write(0x5A);
    assert_eq!((b.irqs(), b.status() & 0x21), (1 << 12, 0x21));
    assert_eq!(b.ask(controller::READ_OUTPUT_PORT), 0x5A, "what came first is read first");
    assert_eq!(b.read() & 0x30, 0x20, "the port was read while the interrupt was pending");
    assert_eq!(b.irqs(), 0);
}

#[test]
fn interrupts_follow_the_output_buffer_and_their_enable_bits() {
    let mut b = Bench::with_command_byte(0x40);
    assert!(b.ps2.key(KeyCode::KeyA, true, b.now));
    b.pass_ms(1);
    assert_eq!((b.status() & 1, b.irqs()), (1, 0));
    b.command(controller::WRITE_RAM);
    b.write(0x41);
    assert_eq!(b.irqs(), 1 << 1);
    b.read();
    assert_eq!(b.irqs(), 0);
}

#[test]
fn each_byte_makes_an_edge() {
    let mut b = Bench::new();
    b.lines.take_rising();
    assert!(b.ps2.key(KeyCode::ArrowUp, true, b.now));
    b.pass_ms(1);
    assert_eq!(b.lines.take_rising(), 1 << 1);
    b.command(controller::SELF_TEST);
    assert_eq!(b.read(), 0xE0);
    assert_eq!(b.lines.take_rising(), 1 << 1, "the answer that was waiting");
    assert_eq!(b.read(), 0x55);
    assert_eq!(b.lines.take_rising(), 0);
    b.pass_ms(1);
    assert_eq!((b.read(), b.lines.take_rising()), (0x48, 1 << 1));
}

#[test]
fn the_data_port_repeats_its_byte_until_the_next_arrives() {
    let mut b = Bench::new();
    assert!(b.ps2.key(KeyCode::ArrowUp, true, b.now));
    b.pass_ms(1);
    assert_eq!((b.read(), b.read()), (0xE0, 0xE0), "a handler that chains to another");
    b.pass_ms(1);
    assert_eq!(b.read(), 0x48);
}

#[test]
fn a_disabled_keyboard_keeps_its_codes() {
    let mut b = Bench::new();
    b.command(controller::DISABLE_KEYBOARD);
    assert!(b.ps2.key(KeyCode::KeyA, true, b.now));
    assert!(b.drain().is_empty());
    b.command(controller::ENABLE_KEYBOARD);
    assert_eq!(b.drain(), [0x1E]);
    b.command(controller::DISABLE_KEYBOARD);
    assert_eq!(b.keyboard_command(&[0xEE]), [0xEE], "a byte for the keyboard enables it");
}

#[test]
fn a_byte_cut_off_by_the_controller_is_sent_again() {
    let mut b = Bench::new();
    assert!(b.ps2.key(KeyCode::KeyA, true, b.now));
    b.now = b.now + GuestDuration::from_micros(300);
    assert_eq!(b.ask(controller::TEST_PASSWORD), 0xF1);
    assert_eq!(b.drain(), [0x1E]);
}

#[test]
fn the_keyboard_goes_first_and_neither_device_starves() {
    let mut b = Bench::new();
    assert_eq!(b.mouse_command(&[0xF4]), [0xFA]);
    b.command(controller::WRITE_KEYBOARD_OUTPUT);
    b.write(0);
    b.ps2.move_mouse(1, 0, 0, b.now);
    assert!(b.ps2.key(KeyCode::KeyA, true, b.now));
    assert_eq!(b.drain(), [0, 0x1E, 0x08, 1, 0]);
}

#[test]
fn saved_states_restore_and_impossible_ones_are_refused() {
    let mut b = Bench::new();
    assert_eq!(b.mouse_command(&[0xF4]), [0xFA]);
    b.ps2.key(KeyCode::PrintScreen, true, b.now);
    b.ps2.move_mouse(1, 2, 3, b.now);
    b.pass_ms(1);
    let saved = b.ps2.save();
    let then = b.now;
    let rest = b.drain();
    assert_ne!(b.ps2.save(), saved);
    b.ps2.restore(saved.clone()).unwrap();
    assert_eq!(b.ps2.save(), saved);
    b.now = then;
    assert_eq!(b.drain(), rest);

    type Corruption = fn(&mut Ps2State);
    let corruptions: [Corruption; 3] = [
        |s| s.expects = Some(DataFor::Ram(32)),
        |s| s.output_port = 0xFF,
        |s| s.transfer = Some((Source::Controller, GuestTime::ZERO)),
    ];
    for (i, corrupt) in corruptions.into_iter().enumerate() {
        let mut state = saved.clone();
        corrupt(&mut state);
        assert!(b.ps2.restore(state).is_err(), "corruption {i}");
    }
}

crate::conformance::suite!(
    Subject::new(|bank| Ps2Controller::new(bank.line(1), bank.line(12)))
        .ports(2)
        .timed()
        .action(|ps2, _, now| {
            // What a driver does, which random commands hardly ever do.
            let writes = [(COMMAND, controller::WRITE_RAM), (DATA, 0x43), (COMMAND, controller::WRITE_AUX)];
            for (offset, byte) in writes.into_iter().chain([(DATA, spec::mouse::ENABLE)]) {
                ps2.write_port(offset, AccessSize::Byte, byte.into(), now).unwrap();
            }
            0
        })
        .action(|ps2, _, now| ps2.read_port(DATA, AccessSize::Byte, now).unwrap().into())
        .action(|ps2, random, now| {
            let [command, device_command] = [0x60, 0xE6].map(|first| first + random.below(26) as u32);
            ps2.write_port(DATA, AccessSize::Byte, device_command, now).unwrap();
            ps2.write_port(COMMAND, AccessSize::Byte, command, now).unwrap();
            0
        })
        .action(|ps2, random, now| {
            let command = 0xE6 + random.below(26) as u32;
            ps2.write_port(COMMAND, AccessSize::Byte, controller::WRITE_AUX.into(), now).unwrap();
            ps2.write_port(DATA, AccessSize::Byte, command, now).unwrap();
            0
        })
        .action(|ps2, random, now| {
            let key = KeyCode::ALL[random.below(KeyCode::ALL.len() as u64) as usize];
            u64::from(ps2.key(key, random.one_in(2), now))
        })
        .action(|ps2, random, now| {
            let [right, away, wheel] = [(); 3].map(|()| random.value() as i32);
            ps2.move_mouse(right, away, wheel, now);
            0
        })
        .action(|ps2, random, now| {
            let [left, right, middle] = [(); 3].map(|()| random.one_in(2));
            u64::from(ps2.press_buttons(MouseButtons { left, right, middle }, now))
        })
        .action(|ps2, _, _| u64::from(ps2.take_reset_request()))
);
