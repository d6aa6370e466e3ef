//! Saving and restoring the firmware configuration device. Items that firmware cannot change are configuration of the
//! machine, not state.

use super::{Access, FwCfg, Key};
use crate::state::{RestoreError, Snapshot};
use serde::{Deserialize, Serialize};

/// The registers of [`FwCfg`] and the content of its writable files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FwCfgState {
    selected: u16,
    position: u32,
    dma_high: u32,
    access: Option<Access>,
    written: Vec<(String, Vec<u8>)>,
}

impl Snapshot for FwCfg {
    type State = FwCfgState;

    fn save(&self) -> FwCfgState {
        let FwCfg { items, selected, position, dma_high, access } = self;
        let written = items
            .values()
            .filter(|item| item.writable)
            .filter_map(|item| Some((item.name.clone()?, item.data.clone())))
            .collect();
        FwCfgState {
            selected: selected.0,
            position: *position,
            dma_high: *dma_high,
            access: *access,
            written,
        }
    }

    fn restore(&mut self, state: FwCfgState) -> Result<(), RestoreError> {
        let FwCfgState { selected, position, dma_high, access, written } = state;
        let fits = written.len() == self.items.values().filter(|item| item.writable).count()
            && written.iter().all(|(name, data)| {
                self.find_file(name).is_some_and(|(_, item)| item.writable && item.data.len() == data.len())
            });
        if !fits {
            return Err(RestoreError::new("fw_cfg", "its writable files are not those of this machine"));
        }
        for (name, data) in written {
            for item in self.items.values_mut().filter(|item| item.name.as_ref() == Some(&name)) {
                item.data.clone_from(&data);
            }
        }
        self.selected = Key(selected);
        self.position = position;
        self.dma_high = dma_high;
        self.access = access;
        Ok(())
    }
}
