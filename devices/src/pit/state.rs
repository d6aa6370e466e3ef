//! Saving and restoring the timer.

use super::Pit;
use super::counter::Counter;
use super::spec::port_b;
use crate::state::{RestoreError, Snapshot};
use serde::{Deserialize, Serialize};

/// All registers of [`Pit`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PitState {
    pub(super) counters: [Counter; 3],
    pub(super) port_b: u8,
    clock: u64,
}

impl Snapshot for Pit {
    type State = PitState;

    fn save(&self) -> PitState {
        let Pit { irq: _, counters, port_b, clock } = self;
        PitState { counters: counters.clone(), port_b: *port_b, clock: *clock }
    }

    fn restore(&mut self, state: PitState) -> Result<(), RestoreError> {
        let PitState { counters, port_b, clock } = state;
        if !counters.iter().all(Counter::is_valid) {
            return Err(RestoreError::new("8254", "a counter beyond its modulus, or without an access mode"));
        }
        let gate_2 = port_b & port_b::TIMER_2_GATE != 0;
        if port_b & !port_b::WRITABLE != 0 || counters.each_ref().map(|c| c.gate) != [true, true, gate_2] {
            return Err(RestoreError::new("8254", "the gates do not agree with port 61h"));
        }
        self.counters = counters;
        self.port_b = port_b;
        self.clock = clock;
        Ok(())
    }
}
