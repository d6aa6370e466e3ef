//! The registers of the local APIC: saving and restoring them.

use super::Lapic;
use super::spec::{FIRST_LEGAL_VECTOR, base, command, lvt, spurious};
use super::timer::Timer;
use super::vectors::VectorSet;
use crate::state::{RestoreError, Snapshot};
use serde::{Deserialize, Serialize};

/// All registers of [`Lapic`], and what waits to leave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LapicState {
    /// IA32_APIC_BASE.
    pub(super) base: u64,
    pub(super) id: u8,
    pub(super) task_priority: u8,
    pub(super) logical_id: u8,
    /// Bits 31 to 28 of the register.
    pub(super) destination_format: u8,
    pub(super) spurious: u32,
    pub(super) in_service: VectorSet,
    pub(super) trigger_mode: VectorSet,
    pub(super) request: VectorSet,
    /// Errors since the error status register was written.
    pub(super) errors: u8,
    pub(super) error_status: u8,
    pub(super) command_low: u32,
    pub(super) command_high: u32,
    pub(super) lvt: [u32; lvt::COUNT],
    pub(super) timer: Timer,
    /// Software has said what LINT0 is for.
    pub(super) lint0_written: bool,
    /// LINT0 and LINT1.
    pub(super) pins: [bool; 2],
    /// An ExtINT message was accepted.
    pub(super) external: bool,
    pub(super) nmi: bool,
    pub(super) smi: bool,
    pub(super) init: bool,
    pub(super) start_up: Option<u8>,
    /// Level triggered interrupts that ended and were not yet reported.
    pub(super) ended: VectorSet,
}

impl LapicState {
    /// "Local APIC State After Power-Up or Reset".
    pub(super) fn power_on(id: u8) -> Self {
        LapicState {
            base: base::DEFAULT | base::ENABLED | base::BOOTSTRAP,
            id,
            task_priority: 0,
            logical_id: 0,
            destination_format: 0xF,
            spurious: 0xFF,
            in_service: VectorSet::default(),
            trigger_mode: VectorSet::default(),
            request: VectorSet::default(),
            errors: 0,
            error_status: 0,
            command_low: 0,
            command_high: 0,
            lvt: [lvt::MASKED; lvt::COUNT],
            timer: Timer::default(),
            lint0_written: false,
            pins: [false; 2],
            external: false,
            nmi: false,
            smi: false,
            init: false,
            start_up: None,
            ended: VectorSet::default(),
        }
    }

    fn is_valid(&self) -> bool {
        let legal_vectors = [self.in_service, self.trigger_mode, self.request, self.ended];
        let lvt_bits = (0..lvt::COUNT).all(|index| {
            let pin = (lvt::LINT0..lvt::ERROR).contains(&index);
            let read_only = if pin { lvt::REMOTE_IRR } else { 0 };
            self.lvt[index] & !(lvt::WRITABLE[index] | read_only) == 0
        });
        lvt_bits
            && !legal_vectors.iter().any(VectorSet::has_illegal)
            && self.base & !(base::ADDRESS | base::ENABLED | base::BOOTSTRAP) == 0
            && self.spurious & !spurious::WRITABLE == 0
            && self.command_low & !command::WRITABLE == 0
            && self.command_high & 0x00FF_FFFF == 0
            && self.destination_format <= 0xF
            && self.timer.divide & !0x0B == 0
            && self.timer.counted <= self.timer.clock
            && self.timer.count <= self.timer.initial
    }
}

impl Snapshot for Lapic {
    type State = LapicState;

    fn save(&self) -> LapicState {
        let Lapic { bus: _, initial_id: _, state } = self;
        state.clone()
    }

    fn restore(&mut self, state: LapicState) -> Result<(), RestoreError> {
        if !state.is_valid() {
            return Err(RestoreError::new("local APIC", "a register holds what it cannot hold"));
        }
        self.state = state;
        Ok(())
    }
}

const _: () = assert!(FIRST_LEGAL_VECTOR == 16, "VectorSet::has_illegal looks at 16 vectors");
