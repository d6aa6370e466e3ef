//! Saving and restoring the interrupt controllers.

use super::Pic;
use super::chip::Chip;
use super::spec::ELCR_WRITABLE;
use crate::state::{RestoreError, Snapshot};
use serde::{Deserialize, Serialize};

/// All registers of [`Pic`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PicState {
    pub(super) master: Chip,
    pub(super) slave: Chip,
}

impl Snapshot for Pic {
    type State = PicState;

    fn save(&self) -> PicState {
        let Pic { inputs: _, master, slave } = self;
        PicState { master: master.clone(), slave: slave.clone() }
    }

    fn restore(&mut self, state: PicState) -> Result<(), RestoreError> {
        let PicState { master, slave } = state;
        for (chip, writable) in [(&master, ELCR_WRITABLE[0]), (&slave, ELCR_WRITABLE[1])] {
            if chip.lowest > 7 {
                return Err(RestoreError::new("8259A", "no such input has the lowest priority"));
            }
            if chip.elcr & !writable != 0 {
                return Err(RestoreError::new("8259A", "an input that cannot be level triggered is"));
            }
        }
        self.master = master;
        self.slave = slave;
        Ok(())
    }
}
