//! Saving and restoring configuration space. Which functions there are is configuration; the saved state must
//! meet the same ones.

use super::function::PciFunction;
use super::interrupts::Interrupts;
use super::spec::{config_address, reset_control};
use super::{FunctionId, Pci, ResetRequest};
use crate::irq::IrqBankState;
use crate::state::{RestoreError, Snapshot};
use serde::{Deserialize, Serialize};

/// The saved state of [`Pci`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PciState {
    address: u32,
    reset_control: u8,
    reset_request: Option<ResetRequest>,
    functions: Vec<FunctionState>,
    sources: IrqBankState,
    driven: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FunctionState {
    device: u8,
    function: u8,
    config: Vec<u8>,
}

fn refuse(what: &str) -> RestoreError {
    RestoreError::new("PCI", what)
}

impl Snapshot for Pci {
    type State = PciState;

    fn save(&self) -> PciState {
        let Pci { functions, address, reset_control, reset_request, interrupts, generation: _ } = self;
        let functions = functions.iter().map(|(id, function)| {
            let FunctionId { device, function: number } = *id;
            FunctionState { device, function: number, config: function.config.to_vec() }
        });
        let Interrupts { bank, driven, .. } = interrupts;
        PciState {
            address: *address,
            reset_control: *reset_control,
            reset_request: *reset_request,
            functions: functions.collect(),
            sources: bank.save(),
            driven: *driven,
        }
    }

    fn restore(&mut self, state: PciState) -> Result<(), RestoreError> {
        let PciState { address, reset_control, reset_request, functions, sources, driven } = state;
        if address & !config_address::WRITABLE != 0 {
            return Err(refuse("CONFIG_ADDRESS with reserved bits"));
        }
        if reset_control & !(reset_control::SYSTEM | reset_control::RESET) != 0 {
            return Err(refuse("reset control with reserved bits"));
        }
        let is_same = |((id, _), state): (&(FunctionId, PciFunction), &FunctionState)| {
            (id.device, id.function) == (state.device, state.function)
        };
        if functions.len() != self.functions.len() || !self.functions.iter().zip(&functions).all(is_same) {
            return Err(refuse("other functions than there are"));
        }
        if !self
            .functions
            .iter()
            .zip(&functions)
            .all(|((_, function), state)| function.accepts(&state.config))
        {
            return Err(refuse("configuration space with values that cannot be written"));
        }
        for ((_, function), state) in self.functions.iter_mut().zip(functions) {
            function.config.copy_from_slice(&state.config);
        }
        self.address = address;
        self.reset_control = reset_control;
        self.reset_request = reset_request;
        self.interrupts.bank.restore(sources)?;
        self.interrupts.driven = driven;
        self.generation = self.generation.wrapping_add(1);
        Ok(())
    }
}
