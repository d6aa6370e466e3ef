//! Saving and restoring the clock and its memory.

use super::spec::{TICKS_PER_SECOND, interrupt, reg_a, register};
use super::{Rtc, SIZE};
use crate::state::{RestoreError, Snapshot};
use crate::time::{Frequency, GuestTime};
use serde::{Deserialize, Serialize};

/// All registers of [`Rtc`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RtcState {
    pub(super) registers: Vec<u8>,
    pub(super) flags: u8,
    address: u8,
    pub(super) tick: u64,
    pub(super) phase: u64,
    pub(super) updating: bool,
}

impl Snapshot for Rtc {
    type State = RtcState;

    fn save(&self) -> RtcState {
        let Rtc { irq: _, registers, flags, address, tick, phase, updating } = self;
        RtcState {
            registers: registers.to_vec(),
            flags: *flags,
            address: *address,
            tick: *tick,
            phase: *phase,
            updating: *updating,
        }
    }

    fn restore(&mut self, state: RtcState) -> Result<(), RestoreError> {
        let refused = |what| Err(RestoreError::new("MC146818A", what));
        let RtcState { registers, flags, address, tick, phase, updating } = state;
        let Ok(registers) = <[u8; SIZE]>::try_from(registers) else {
            return refused("the memory does not have 128 bytes");
        };
        if registers[register::A] & reg_a::UPDATE_IN_PROGRESS != 0 || flags & !interrupt::ALL != 0 {
            return refused("a read-only bit is stored");
        }
        if phase >= TICKS_PER_SECOND || tick > Frequency::RTC.ticks_at(GuestTime::MAX) {
            return refused("a time that never comes");
        }
        let restored = Rtc { irq: self.irq.clone(), registers, flags, address, tick, phase, updating };
        if updating && !restored.updates_run() {
            return refused("an update cycle while updates are stopped");
        }
        *self = restored;
        Ok(())
    }
}
