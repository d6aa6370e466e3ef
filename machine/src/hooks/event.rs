//! Hooks on exceptions and interrupts.

use super::HookId;
use crate::machine::Machine;
use idem86_cpu::report::Event;
use std::ops::ControlFlow;

type Call = Box<dyn FnMut(&Event) -> ControlFlow<()> + Send>;

/// A hook on events.
pub(super) struct Events(Call);

impl Machine {
    /// Calls `hook` with each exception and interrupt that is about to be delivered, those that programs raise by INT
    /// among them. An exception that arises while another is delivered is told of too. If the hook breaks, the run ends
    /// with the processor in the handler.
    pub fn hook_events(&mut self, hook: impl FnMut(&Event) -> ControlFlow<()> + Send + 'static) -> HookId {
        let id = self.board.hooks.next_id();
        self.board.hooks.events.0.push((id, Events(Box::new(hook))));
        self.update_reports();
        id
    }
}

impl super::Hooks {
    /// `event` is about to be delivered. Gives whether the run is to end.
    pub(crate) fn event(&mut self, event: &Event) -> bool {
        let mut end = false;
        let mut hooks = std::mem::take(&mut self.events);
        for Events(call) in hooks.iter_mut() {
            end |= self.note(call(event));
        }
        self.events = hooks;
        end
    }
}
