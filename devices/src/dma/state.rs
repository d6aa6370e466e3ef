//! Saving and restoring the DMA controllers.

use super::Dma;
use super::controller::Controller;
use crate::state::{RestoreError, Snapshot};
use serde::{Deserialize, Serialize};

/// All registers of [`Dma`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DmaState {
    controllers: [Controller; 2],
    pages: [u8; 16],
}

impl Snapshot for Dma {
    type State = DmaState;

    fn save(&self) -> DmaState {
        let Dma { controllers, pages } = self;
        DmaState { controllers: controllers.clone(), pages: *pages }
    }

    fn restore(&mut self, state: DmaState) -> Result<(), RestoreError> {
        let DmaState { controllers, pages } = state;
        if !controllers.iter().all(Controller::is_valid) {
            return Err(RestoreError::new("8237A", "a channel set names a channel above 3"));
        }
        *self = Dma { controllers, pages };
        Ok(())
    }
}
