//! Hooks on memory ranges.

use super::HookId;
use crate::machine::Machine;
use idem86_cpu::stops::{Watch, WatchKind};
use std::ops::{ControlFlow, RangeInclusive};

/// An access of the guest to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryAccess {
    /// Linear address of the first byte in the range that was accessed.
    pub linear: u32,
    /// It was written.
    pub is_write: bool,
}

type Call = Box<dyn FnMut(&mut Machine, MemoryAccess) -> ControlFlow<()> + Send>;

/// A hook on a range.
pub(super) struct Memory {
    pub watch: Watch,
    /// Out while it runs.
    call: Option<Call>,
}

impl Memory {
    fn wants(&self, access: MemoryAccess) -> bool {
        let of_kind = match self.watch.kind {
            WatchKind::Read => !access.is_write,
            WatchKind::Write => access.is_write,
            WatchKind::Access => true,
        };
        of_kind && (self.watch.start..=self.watch.last).contains(&access.linear)
    }
}

impl Machine {
    /// Calls `hook` behind each instruction that accessed one of the bytes at the linear addresses `range`, or behind
    /// the iteration of a repeated one: with the machine between two instructions, which the hook may look at and
    /// change. What is written is there already. Of an instruction with several such accesses the first is told of.
    /// Instruction fetches, page walks, direct memory access and the built-in firmware are not.
    pub fn hook_memory(
        &mut self,
        range: RangeInclusive<u32>,
        kind: WatchKind,
        hook: impl FnMut(&mut Machine, MemoryAccess) -> ControlFlow<()> + Send + 'static,
    ) -> HookId {
        let id = self.board.hooks.next_id();
        let (start, last) = (*range.start(), *range.end().max(range.start()));
        let watch = Watch { start, last, kind };
        self.board.hooks.memory.0.push((id, Memory { watch, call: Some(Box::new(hook)) }));
        self.cpu.add_watch(watch);
        id
    }

    /// The run stopped behind an access: calls the hooks that want to know. Gives whether nobody did.
    pub(crate) fn call_memory_hooks(&mut self, linear: u32, is_write: bool) -> bool {
        let access = MemoryAccess { linear, is_write };
        let here: Vec<HookId> =
            self.board.hooks.memory.0.iter().filter(|h| h.1.wants(access)).map(|h| h.0).collect();
        for id in &here {
            // It may have been removed by one before it.
            let Some(mut call) = self.board.hooks.memory.get_mut(*id).and_then(|h| h.call.take()) else {
                continue;
            };
            let flow = call(self, access);
            self.board.hooks.note(flow);
            if let Some(hook) = self.board.hooks.memory.get_mut(*id) {
                hook.call = Some(call);
            }
        }
        here.is_empty()
    }
}
