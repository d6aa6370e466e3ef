//! Hooks on code: on the instruction at an address, and on every block.

use super::HookId;
use crate::machine::Machine;
use std::ops::ControlFlow;

type Call = Box<dyn FnMut(&mut Machine) -> ControlFlow<()> + Send>;

/// A hook on the instruction at an address.
pub(super) struct Execution {
    pub linear: u32,
    /// Out while it runs.
    call: Option<Call>,
}

/// A hook on blocks.
pub(super) struct Blocks(Box<dyn FnMut(u32) -> ControlFlow<()> + Send>);

impl Machine {
    /// Calls `hook` whenever the instruction at linear address `linear` (CS base + EIP) comes next: with the machine
    /// between two instructions, which the hook may look at and change. A repeated string instruction counts once.
    ///
    /// ```
    /// use idem86_machine::machine::Machine;
    /// use idem86_machine::registers::Register;
    /// use idem86_machine::run::{Ended, Until};
    /// use std::ops::ControlFlow;
    ///
    /// let mut machine = Machine::builder().build()?;
    /// // The first instruction of a PC.
    /// machine.hook_execution(0xFFFF_FFF0, |machine| {
    ///     assert_eq!(machine.register(Register::Eip), 0xFFF0);
    ///     ControlFlow::Break(())
    /// });
    /// assert_eq!(machine.run_until(Until::millis(1))?, Ended::Hook);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn hook_execution(
        &mut self,
        linear: u32,
        hook: impl FnMut(&mut Machine) -> ControlFlow<()> + Send + 'static,
    ) -> HookId {
        let id = self.board.hooks.next_id();
        self.board.hooks.execution.0.push((id, Execution { linear, call: Some(Box::new(hook)) }));
        self.cpu.add_execution_stop(linear);
        id
    }

    /// Calls `hook` with the linear address of each block of code that is about to be executed. A block is what the
    /// interpreter decodes at once: up to a few instructions that follow each other; where something interrupts it,
    /// what is left is a block of its own.
    ///
    /// While such a hook is installed the machine runs on the interpreter, whatever its engine.
    pub fn hook_blocks(&mut self, hook: impl FnMut(u32) -> ControlFlow<()> + Send + 'static) -> HookId {
        let id = self.board.hooks.next_id();
        self.board.hooks.blocks.0.push((id, Blocks(Box::new(hook))));
        self.update_reports();
        id
    }

    /// The run stopped before an instruction: calls the hooks there. Gives whether somebody else asked for the stop.
    pub(crate) fn call_execution_hooks(&mut self) -> bool {
        let linear = self.cpu.linear_ip() as u32;
        let here: Vec<HookId> =
            self.board.hooks.execution.0.iter().filter(|h| h.1.linear == linear).map(|h| h.0).collect();
        let other = self.cpu.execution_stops_at(linear) as usize > here.len();
        for id in here {
            // It may have been removed by one before it.
            let Some(mut call) = self.board.hooks.execution.get_mut(id).and_then(|h| h.call.take()) else {
                continue;
            };
            let flow = call(self);
            self.board.hooks.note(flow);
            if let Some(hook) = self.board.hooks.execution.get_mut(id) {
                hook.call = Some(call);
            }
        }
        // A hook that changed registers does not meet the same stop again.
        if !other && self.cpu.linear_ip() as u32 == linear {
            self.cpu.pass_stop();
        }
        other
    }
}

impl super::Hooks {
    /// A block is about to be executed. Gives whether the run is to end behind it.
    pub(crate) fn block(&mut self, linear: u64) -> bool {
        let mut end = false;
        let mut hooks = std::mem::take(&mut self.blocks);
        for Blocks(call) in hooks.iter_mut() {
            end |= self.note(call(linear as u32));
        }
        self.blocks = hooks;
        end
    }
}
