//! Saving, restoring and comparing whole machines.
//!
//! [`Machine::snapshot`] keeps a machine as it is at a moment, in memory; [`Machine::restore`] goes back to it in
//! place, which costs as much as was written since; [`Snapshot::spawn`] and [`Machine::fork`] make independent machines
//! that share all memory that none of them writes.
//!
//! The first snapshot freezes RAM instead of copying it: where the host can, it becomes an immutable object of which
//! each machine has a private view. From then on the machine notes the first write to each page, and its engine reaches
//! memory through tables and not through windows, which is slower for code that mostly moves data.
//!
//! Media belong to the snapshot. What a guest writes to a disk with an overlay (`snapshot=on`), or to one in memory, is
//! its own; the parts that nobody writes are shared. An image that is written in place can be had only once, so a
//! machine with one can be neither snapshot nor forked: open it with an overlay, or read-only.
//!
//! Host time, hooks, sinks and output that was collected are not part of a snapshot. A machine that is restored keeps
//! its hooks and sinks and forgets the output; one that is spawned has none.

mod description;
mod directory;
mod format;
pub mod hash;
mod media;
mod memory;
pub mod state;
#[cfg(test)]
mod storage_tests;
mod stream;
#[cfg(test)]
mod tests;

pub use directory::{StorageError, VmDirectory};
pub use format::FormatError;
pub(crate) use memory::Memory;
pub use stream::{Bases, LoadError};

use crate::attached::DevicePlan;
use crate::config::ConfigError;
use crate::engine::EngineKind;
use crate::machine::Machine;
use crate::memmap::MemoryMap;
use crate::plan::{Media, Plan};
use idem86_devices::time::GuestTime;
use state::{Code, MachineState, StateError};
use std::sync::Arc;

/// Why a snapshot cannot be taken or restored. The machine is as it was.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A medium that exists only once.
    #[error("{0}: an image that is written in place cannot be in a snapshot; use snapshot=on or readonly=on")]
    Medium(&'static str),
    /// Restoring in place needs the machine of the snapshot, one that was forked from it, or one with the same
    /// hardware.
    #[error("the snapshot is of a machine with other hardware; spawn one from it")]
    OtherMachine,
    /// Drives were added or exchanged since.
    #[error("{0}: not the drive that the snapshot's medium was in")]
    Drive(&'static str),
    /// The state does not fit.
    #[error(transparent)]
    State(#[from] StateError),
    /// No machine can be built.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The host does not give the memory.
    #[error("the host does not give the memory: {0}")]
    Host(#[from] std::io::Error),
}

/// A machine as it was at a moment; see the module's description.
#[derive(Debug)]
pub struct Snapshot {
    plan: Arc<Plan>,
    debug_exit: Option<u16>,
    state: MachineState,
    memory: Memory,
    media: Media,
    devices: DevicePlan,
}

impl Machine {
    /// Keeps the machine as it is now.
    pub fn snapshot(&mut self) -> Result<Snapshot, SnapshotError> {
        let media = self.fork_media()?;
        let memory = self.freeze_memory()?;
        let (plan, state) = (self.plan.clone(), self.save_state());
        let devices = self.board.attached.plan();
        Ok(Snapshot { plan, debug_exit: self.board.debug_exit_at, state, memory, media, devices })
    }

    /// Whether [`Machine::snapshot`] will find media that it can take.
    pub fn check_media(&mut self) -> Result<(), SnapshotError> {
        self.fork_media().map(drop)
    }

    /// Goes back to the moment of `snapshot`, which was taken of this machine, of one that it shares an origin with, or
    /// of one with the same hardware; the engine stays.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        if !Arc::ptr_eq(&self.plan, &snapshot.plan) && !self.plan.has_same_hardware(&snapshot.plan) {
            return Err(SnapshotError::OtherMachine);
        }
        self.must_not_record()?;
        let other_base = match &self.origin {
            Some(origin) if origin.has_same_base(&snapshot.memory) => None,
            _ => Some(snapshot.memory.map()?),
        };
        let replaced = self.exchange_media(snapshot.media.fork()?)?;
        let code = if other_base.is_some() { Code::Forget } else { Code::Keep };
        let before = self.save_state();
        if let Err(error) = self.take_over(&snapshot.state, code) {
            self.exchange_media(replaced).expect("they were in these drives");
            self.take_over(&before, Code::Keep).expect("a machine takes the state that it was in");
            return Err(error.into());
        }
        match other_base {
            None => _ = self.put_back(&snapshot.memory),
            Some(slab) => {
                self.engine.detach();
                self.slab = slab;
                self.engine.attach(&self.slab);
                self.begin_with(&snapshot.memory);
            }
        }
        self.outputs.forget();
        Ok(())
    }

    /// Another machine in the same state, with the same engine. Neither sees what the other does from now on.
    pub fn fork(&mut self) -> Result<Machine, SnapshotError> {
        self.snapshot()?.spawn()
    }
}

impl Snapshot {
    /// A machine in the state of the snapshot.
    pub fn spawn(&self) -> Result<Machine, SnapshotError> {
        self.spawn_with(|_| {})
    }

    /// As [`Snapshot::spawn`], for a snapshot that was loaded, of a machine with devices of the embedding program's
    /// own: their state was saved, but not their code, so `attach` attaches them as they were, before they get it. If
    /// one is missing, has another name, or refuses the version of what was saved, there is no machine.
    pub fn spawn_with(&self, attach: impl FnOnce(&mut Machine)) -> Result<Machine, SnapshotError> {
        self.build(self.plan.clone(), attach)
    }

    /// As [`Snapshot::spawn`], on an engine of another kind.
    pub fn spawn_on(&self, engine: EngineKind) -> Result<Machine, SnapshotError> {
        self.build(self.plan_on(engine), |_| {})
    }

    /// The same machine, just switched on, with what the snapshot has on its media.
    pub fn power_on(&self, engine: EngineKind) -> Result<Machine, SnapshotError> {
        let bios = MemoryMap::new(self.plan.memory, self.plan.bios).bios_rom() as usize;
        let slab = self.plan.memory(self.memory.rest(bios))?;
        let mut machine = Machine::build(self.plan_on(engine), slab, self.media.fork()?)?;
        self.configure(&mut machine);
        Ok(machine)
    }

    /// The engine that the machine ran on.
    pub fn engine(&self) -> EngineKind {
        self.plan.engine
    }

    fn plan_on(&self, engine: EngineKind) -> Arc<Plan> {
        Arc::new(Plan { engine, ..Plan::clone(&self.plan) })
    }

    fn configure(&self, machine: &mut Machine) {
        if let Some(port) = self.debug_exit {
            machine.board.enable_debug_exit(port);
        }
        machine.attach_all(&self.devices).expect("they had places on the machine that they were on");
    }

    fn build(&self, plan: Arc<Plan>, attach: impl FnOnce(&mut Machine)) -> Result<Machine, SnapshotError> {
        let mut machine = Machine::build(plan, self.memory.map()?, self.media.fork()?)?;
        self.configure(&mut machine);
        attach(&mut machine);
        machine.take_over(&self.state, Code::Keep)?;
        machine.begin_with(&self.memory);
        Ok(machine)
    }

    /// The configuration, as `machine.toml` has it.
    fn description(&self) -> String {
        description::Description::of(&self.plan, self.debug_exit).to_toml()
    }

    /// The state of everything but memory and media.
    pub fn state(&self) -> &MachineState {
        &self.state
    }

    /// Guest time when it was taken.
    pub fn now(&self) -> GuestTime {
        self.state.now()
    }
}
