//! What the user gave the machine and the guest has not taken yet, but for keys: serial characters and mouse buttons.

use crate::board::Board;
use idem86_devices::ps2::MouseButtons;
use idem86_devices::time::{GuestDuration, GuestTime, Timed};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Guest time between two offers of what the guest did not take.
pub(crate) const OFFER_EVERY: GuestDuration = GuestDuration::from_millis(1);

/// Characters that need no time on the line are still offered one by one.
const SHORTEST: GuestDuration = GuestDuration::from_micros(10);

/// A queue for each input. They are part of the machine: offers come at guest times that do not depend on how its owner
/// runs it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InputQueue {
    /// Characters for COM1 to COM4.
    serial: [VecDeque<u8>; 4],
    buttons: VecDeque<MouseButtons>,
    /// When the next offer is due.
    offer: GuestTime,
    /// How many inputs the machine was ever given: where it is in a recording.
    pub given: u64,
}

impl InputQueue {
    /// Sends characters to a serial port, 0 to 3.
    pub fn send(&mut self, port: usize, bytes: &[u8]) {
        self.serial[port].extend(bytes);
    }

    /// Holds down these buttons.
    pub fn press(&mut self, buttons: MouseButtons) {
        self.buttons.push_back(buttons);
    }

    /// Changes of the mouse's buttons that wait.
    pub fn buttons(&self) -> usize {
        self.buttons.len()
    }

    /// Whether the guest has taken everything.
    pub fn is_empty(&self) -> bool {
        self.buttons.is_empty() && self.serial.iter().all(VecDeque::is_empty)
    }

    /// When something is to be offered again.
    pub fn next_event(&self) -> Option<GuestTime> {
        (!self.is_empty()).then_some(self.offer)
    }

    /// Gives the devices what they take now.
    pub fn feed(&mut self, board: &mut Board, now: GuestTime) {
        if self.is_empty() || now < self.offer {
            return;
        }
        for (queue, com) in self.serial.iter_mut().zip(&mut board.com) {
            while let Some(byte) = queue.front()
                && com.receive(*byte, now)
            {
                queue.pop_front();
            }
        }
        while let Some(buttons) = self.buttons.front()
            && board.ps2.press_buttons(*buttons, now)
        {
            self.buttons.pop_front();
        }
        if !self.is_empty() {
            // The line is free again when the character on it has arrived.
            let lines = self.serial.iter().zip(&board.com).filter(|(queue, _)| !queue.is_empty());
            let arrival = lines.filter_map(|(_, com)| com.next_event()).min();
            let arrival = arrival.map_or(GuestTime::MAX, |at| at.max(now + SHORTEST));
            self.offer = arrival.min(now + OFFER_EVERY);
        }
    }
}
