//! Hooks: closures of the embedding program that see, and some of them answer, what the guest does.
//!
//! | hook | called | costs while installed |
//! |---|---|---|
//! | [`Machine::hook_ports`], [`Machine::observe_ports`] | around a port access | the call; other ports nothing |
//! | [`Machine::hook_execution`] | before an instruction | an exit of the engine for each call |
//! | [`Machine::hook_memory`] | behind an instruction that accessed memory | an exit for each call; the slow path for all accesses to the pages |
//! | [`Machine::hook_physical`] | before an access to physical memory, which it may answer | the call; the slow path for all accesses to the pages |
//! | [`Machine::hook_events`] | before an exception or interrupt is delivered | the call |
//! | [`Machine::hook_blocks`] | before a block of code | the machine runs on the interpreter, without links between blocks |
//!
//! Hooks cost nothing where there are none, take effect at once, also for code that was translated before, and the
//! guest cannot see them. A hook that gives [`ControlFlow::Break`] ends the run with [`crate::run::Ended::Hook`];
//! [`Machine::run_to`] goes on. Hooks belong to the machine, not to its state: they stay when a state is restored.

mod code;
mod event;
mod memory;
mod physical;
mod port;

use crate::machine::Machine;
pub use memory::MemoryAccess;
pub use physical::PhysicalAccess;
pub use port::PortAccess;

use code::{Blocks, Execution};
use event::Events;
use idem86_cpu::report::Reports;
use idem86_devices::access::AccessSize;
use memory::Memory;
use physical::Physical;
use port::Ports;
use std::ops::ControlFlow;

/// Names a hook, so that it can be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HookId(u64);

/// All hooks of a machine.
#[derive(Default)]
pub(crate) struct Hooks {
    last_id: u64,
    pub(crate) ports: Ports,
    execution: List<Execution>,
    memory: List<Memory>,
    physical: List<Physical>,
    events: List<Events>,
    blocks: List<Blocks>,
    /// A condition waits for what serial ports print.
    pub exact_output: bool,
    /// A hook wants the run to end.
    pub stop: bool,
    /// The access that ends the run.
    pub seen: Option<(u16, AccessSize, u32)>,
}

/// Hooks of one kind, in the order in which they were installed.
struct List<K>(Vec<(HookId, K)>);

impl<K> Default for List<K> {
    fn default() -> Self {
        List(Vec::new())
    }
}

impl<K> List<K> {
    /// Removes a hook, if it is of this kind.
    fn remove(&mut self, id: HookId) -> Option<K> {
        let at = self.0.iter().position(|(other, _)| *other == id)?;
        Some(self.0.remove(at).1)
    }

    fn get_mut(&mut self, id: HookId) -> Option<&mut K> {
        self.0.iter_mut().find(|(other, _)| *other == id).map(|(_, hook)| hook)
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut K> {
        self.0.iter_mut().map(|(_, hook)| hook)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Hooks {
    fn next_id(&mut self) -> HookId {
        self.last_id += 1;
        HookId(self.last_id)
    }

    /// Notes what a hook wants; gives whether it is the end of the run.
    fn note(&mut self, flow: ControlFlow<()>) -> bool {
        self.stop |= flow.is_break();
        flow.is_break()
    }

    /// Whether the interpreter must run the machine.
    pub(crate) fn want_interpreter(&self) -> bool {
        !self.blocks.is_empty()
    }

    fn reports(&self) -> Reports {
        Reports { events: !self.events.is_empty(), blocks: !self.blocks.is_empty() }
    }
}

impl Machine {
    /// Removes a hook. Gives whether it was there.
    pub fn unhook(&mut self, id: HookId) -> bool {
        let hooks = &mut self.board.hooks;
        if let Some(hook) = hooks.execution.remove(id) {
            self.cpu.remove_execution_stop(hook.linear);
        } else if let Some(hook) = hooks.memory.remove(id) {
            self.cpu.remove_watch(hook.watch);
        } else if let Some(hook) = hooks.physical.remove(id) {
            self.cpu.remove_intercept(&hook.range);
        } else if hooks.events.remove(id).is_some() || hooks.blocks.remove(id).is_some() {
            self.cpu.set_reports(hooks.reports());
        } else {
            return self.board.unhook_ports(id);
        }
        true
    }

    fn update_reports(&mut self) {
        self.cpu.set_reports(self.board.hooks.reports());
    }
}
