//! Looking at a machine and using it: screen, serial ports, keyboard, mouse.

use crate::keyboard::parse_chord;
use crate::machine::Machine;
use idem86_devices::access::DmaMemory;
use idem86_devices::ps2::{Keystroke, MouseButtons};

/// Input that no user could give.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// No key of an American keyboard types this.
    #[error("no key types {0:?}")]
    NoKey(char),
    /// No key has this name.
    #[error("{0:?} names no key or chord; try ctrl-alt-del, f1, enter or a")]
    NoChord(String),
}

impl Machine {
    /// Takes what serial port `port` (0 is COM1) printed since the last call; of very much, the last mebibyte.
    ///
    /// # Panics
    /// If there is no such port.
    pub fn serial_output(&mut self, port: u8) -> Vec<u8> {
        self.collect_output();
        self.outputs.serial[usize::from(port)].take()
    }

    /// What serial port `port` printed, without taking it.
    ///
    /// # Panics
    /// If there is no such port.
    pub fn peek_serial(&mut self, port: u8) -> &[u8] {
        self.collect_output();
        self.outputs.serial[usize::from(port)].kept()
    }

    /// Takes what came from the debug console since the last call; of very much, the last mebibyte.
    pub fn debug_output(&mut self) -> Vec<u8> {
        self.collect_output();
        self.outputs.debug_console.take()
    }

    /// Types `text` on the keyboard, after what is still to be typed. No character is lost, however slow the guest is.
    /// Nothing is typed if a character cannot be.
    pub fn type_text(&mut self, text: &str) -> Result<(), InputError> {
        let stroke = |c| Keystroke::typing(c).ok_or(InputError::NoKey(c));
        let strokes: Vec<Keystroke> = text.chars().map(stroke).collect::<Result<_, _>>()?;
        strokes.into_iter().for_each(|stroke| self.keyboard.stroke(stroke));
        Ok(())
    }

    /// Presses keys together, like `ctrl-alt-del`, `f1` or `up`, and releases them.
    pub fn press(&mut self, chord: &str) -> Result<(), InputError> {
        let events = parse_chord(chord).ok_or_else(|| InputError::NoChord(chord.into()))?;
        self.keyboard.chord(events);
        Ok(())
    }

    /// Whether everything that was typed has reached the guest.
    pub fn is_typed(&self) -> bool {
        self.keyboard.is_empty()
    }

    /// Moves the mouse by so many counts to the right and down, and its wheel by notches towards the user.
    pub fn move_mouse(&mut self, right: i32, down: i32, wheel: i32) {
        let now = self.now();
        self.board.ps2.move_mouse(right, down.saturating_neg(), wheel, now);
        self.board.reconsider_deadline(now);
    }

    /// Holds down exactly these mouse buttons. Gives `false`, having done nothing, if the guest has not yet been told of
    /// the change before.
    pub fn press_buttons(&mut self, buttons: MouseButtons) -> bool {
        let now = self.now();
        let taken = self.board.ps2.press_buttons(buttons, now);
        self.board.reconsider_deadline(now);
        taken
    }

    /// Reads physical memory, as a bus master sees it: what is neither RAM nor ROM reads as ones.
    pub fn read_physical(&mut self, address: u64, buffer: &mut [u8]) {
        self.memory().read(address, buffer);
    }

    /// Writes physical memory, as a bus master does: what is not RAM stays as it is. Code there, even if it was
    /// translated, is what was written from now on.
    pub fn write_physical(&mut self, address: u64, bytes: &[u8]) {
        self.memory().write(address, bytes);
    }

    /// The text screen, its rows ending in line feeds; `None` in graphics modes.
    pub fn screen_text(&self) -> Option<String> {
        self.board.vga.text_screen().map(|screen| screen.to_string())
    }
}
