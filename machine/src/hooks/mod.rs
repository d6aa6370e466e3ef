//! Hooks: closures of the embedding program that see, and may answer, what the guest does.

mod port;

pub use port::PortAccess;
pub(crate) use port::PortHooks;

/// Names a hook, so that it can be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HookId(u64);

/// All hooks of a machine.
#[derive(Default)]
pub(crate) struct Hooks {
    last_id: u64,
    /// On port accesses.
    pub ports: PortHooks,
    /// A hook wants the run to end.
    pub stop: bool,
    /// The access that ends the run.
    pub seen: Option<(u16, idem86_devices::access::AccessSize, u32)>,
}

impl Hooks {
    fn next_id(&mut self) -> HookId {
        self.last_id += 1;
        HookId(self.last_id)
    }
}
