//! Saving and restoring power management.

use super::smbus::Smbus;
use super::spec::{control, event};
use super::{PowerManagement, PowerRequest, Registers};
use crate::state::{RestoreError, Snapshot};
use serde::{Deserialize, Serialize};

/// The saved state of [`PowerManagement`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerManagementState {
    registers: Registers,
    half_periods: u64,
    smbus: Smbus,
    sci: bool,
    request: Option<PowerRequest>,
}

impl Registers {
    fn is_valid(&self) -> bool {
        self.status & !event::STATUS == 0
            && self.enable & !event::ENABLE == 0
            && self.control & !control::WRITABLE == 0
            && (self.general_status | self.general_enable) & !event::GENERAL == 0
    }
}

impl Snapshot for PowerManagement {
    type State = PowerManagementState;

    fn save(&self) -> PowerManagementState {
        let PowerManagement { registers, width: _, half_periods, smbus, sci, request, line: _ } = self;
        PowerManagementState {
            registers: registers.clone(),
            half_periods: *half_periods,
            smbus: smbus.clone(),
            sci: *sci,
            request: *request,
        }
    }

    fn restore(&mut self, state: PowerManagementState) -> Result<(), RestoreError> {
        let PowerManagementState { registers, half_periods, smbus, sci, request } = state;
        if !registers.is_valid() || !smbus.is_valid() {
            return Err(RestoreError::new("power management", "a register with reserved bits"));
        }
        if let Some(PowerRequest::SuspendRefused { kind: 8.. }) = request {
            return Err(RestoreError::new("power management", "there are eight suspend types"));
        }
        self.registers = registers;
        self.half_periods = half_periods;
        self.smbus = smbus;
        self.sci = sci;
        self.request = request;
        Ok(())
    }
}
