//! Saving and restoring the I/O APIC.

use super::IoApic;
use super::spec::{PINS, Redirection};
use crate::state::{RestoreError, Snapshot};
use serde::{Deserialize, Serialize};

/// All registers of [`IoApic`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoApicState {
    select: u8,
    id: u8,
    table: [Redirection; PINS],
    pins: u32,
    edges: u32,
    pic_output: bool,
}

impl Snapshot for IoApic {
    type State = IoApicState;

    fn save(&self) -> IoApicState {
        let IoApic { inputs: _, select, id, table, pins, edges, pic_output } = self;
        IoApicState {
            select: *select,
            id: *id,
            table: *table,
            pins: *pins,
            edges: *edges,
            pic_output: *pic_output,
        }
    }

    fn restore(&mut self, state: IoApicState) -> Result<(), RestoreError> {
        let IoApicState { select, id, table, pins, edges, pic_output } = state;
        if !table.iter().all(|entry| entry.is_valid()) || id > 0xF || (pins | edges) >> PINS != 0 {
            return Err(RestoreError::new("82093AA", "a register holds what it cannot hold"));
        }
        *self = IoApic { inputs: self.inputs.clone(), select, id, table, pins, edges, pic_output };
        Ok(())
    }
}
