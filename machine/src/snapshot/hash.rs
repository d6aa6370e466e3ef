//! State hashes: two machines with the same hash will do the same.

use super::media::PLACES;
use super::state::MachineState;
use crate::machine::Machine;
use std::fmt;
use xxhash_rust::xxh3::Xxh3;

/// The hash of a machine's state; see [`Machine::state_hash`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StateHash(pub u128);

impl fmt::Display for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Machine {
    /// A hash of everything that decides what the guest will do and see: processor, time, devices, keys that wait,
    /// memory and ROMs, and what media hold beside their files. Under the virtual clock the same machine with the same
    /// inputs has the same hash after the same guest time, on every engine and every host, whatever snapshots were
    /// taken on the way.
    ///
    /// What already left the machine is not part of it: output that the host has not taken yet, counters, and what was
    /// written to images in place.
    pub fn state_hash(&mut self) -> StateHash {
        let mut hash = Xxh3::new();
        hash.update(&self.save_state().guest_visible());
        for (number, page) in self.used_memory() {
            if page.iter().any(|byte| *byte != 0) {
                hash.update(&(number as u64).to_le_bytes());
                hash.update(page);
            }
        }
        for (number, (_, place)) in PLACES.into_iter().enumerate() {
            let Some(medium) = self.medium(place) else { continue };
            hash.update(&(number as u64 | 1 << 63).to_le_bytes());
            let mut part = |offset: u64, bytes: &[u8]| {
                hash.update(&offset.to_le_bytes());
                hash.update(bytes);
                Ok(())
            };
            if let Err(error) = medium.changes(&mut part) {
                // It is different from one that can be read.
                hash.update(error.to_string().as_bytes());
            }
        }
        StateHash(hash.digest128())
    }
}

impl MachineState {
    /// The bytes of the state without what only concerns the host.
    fn guest_visible(mut self) -> Vec<u8> {
        for uart in &mut self.board.com {
            uart.take_output();
        }
        self.board.debug_console.clear();
        // Whether the host wanted the last run to end, and what the processor has cached.
        self.cpu.pause_pending = false;
        self.board.signals.pause = false;
        self.inputs.given = 0;
        self.board.signals.remapped = false;
        let MachineState { parts, cpu, now, board, keyboard, inputs, counters: _ } = self;
        postcard::to_stdvec(&(parts, cpu, now, board, keyboard, inputs))
            .expect("plain data is always serialised")
    }
}
