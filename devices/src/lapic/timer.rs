//! The local APIC's timer. SDM Vol. 3A, "APIC Timer".

use super::spec::divisor;
use serde::{Deserialize, Serialize};

/// The timer, which counts the bus clock divided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// Initial count register.
    pub initial: u32,
    /// What the current count was at `counted`; 0 when stopped.
    pub count: u32,
    /// The bus clock of the last decrement.
    pub counted: u64,
    /// The bus clocks passed since power-on.
    pub clock: u64,
    /// Divide configuration register.
    pub divide: u8,
}

impl Timer {
    /// Starts with `initial`, or stops with 0.
    pub(super) fn start(&mut self, initial: u32) {
        self.initial = initial;
        self.count = initial;
        self.counted = self.clock;
    }

    /// Changes the divide configuration; the divider starts over.
    pub(super) fn set_divide(&mut self, divide: u8) {
        self.divide = divide;
        self.counted = self.clock;
    }

    /// Brings the timer to bus clock `to`; true if it expired at least once.
    pub(super) fn advance(&mut self, to: u64, periodic: bool) -> bool {
        self.clock = self.clock.max(to);
        if self.count == 0 {
            return false;
        }
        let divisor = divisor(self.divide);
        let decrements = self.clock.saturating_sub(self.counted) / divisor;
        let count = u64::from(self.count);
        if decrements < count {
            self.count -= decrements as u32;
            self.counted += decrements * divisor;
            return false;
        }
        if periodic {
            // Not zero, as the count it was loaded into is not.
            let into_period = (decrements - count) % u64::from(self.initial);
            self.count = self.initial - into_period as u32;
            self.counted += decrements * divisor;
        } else {
            self.count = 0;
            self.counted += count * divisor;
        }
        true
    }

    /// The bus clock at which the timer expires next.
    pub(super) fn expires_at(&self) -> Option<u64> {
        let clocks = u64::from(self.count) * divisor(self.divide);
        (self.count > 0).then(|| self.counted.saturating_add(clocks))
    }
}
