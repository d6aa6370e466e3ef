//! Hooks on port accesses.

use super::{HookId, Hooks};
use crate::board::Board;
use crate::machine::Machine;
use idem86_cpu::bus::Work;
use idem86_devices::access::AccessSize;
use idem86_devices::time::GuestTime;
use std::ops::RangeInclusive;

/// An access of the guest to a port.
#[derive(Debug)]
pub struct PortAccess {
    /// The first port.
    pub port: u16,
    /// How many ports from there on.
    pub size: AccessSize,
    /// What is written; `None` for a read, unless the hook observes, which sees what was read.
    pub value: Option<u32>,
    /// Whether the guest writes.
    pub is_write: bool,
    /// Guest time.
    pub now: GuestTime,
    answer: Option<u32>,
    stop: bool,
}

impl PortAccess {
    /// Answers in the device's place: the guest reads the low bits of `value`, or what it writes goes nowhere else. Of
    /// hooks that observe it has no effect.
    pub fn answer(&mut self, value: u32) {
        self.answer = Some(value);
    }

    /// Ends the run after this instruction, with [`crate::run::Ended::Hook`].
    pub fn stop(&mut self) {
        self.stop = true;
    }

    fn touches(&self, ports: &RangeInclusive<u16>) -> bool {
        let last = u32::from(self.port) + u32::from(self.size.bytes()) - 1;
        u32::from(self.port) <= u32::from(*ports.end()) && last >= u32::from(*ports.start())
    }
}

type Call = Box<dyn FnMut(&mut PortAccess) + Send>;

enum Act {
    /// Called before the device, may answer in its place.
    Answer(Call),
    /// Called with what the device made of it.
    Observe(Call),
    /// Ends the run at a write, of this value if there is one.
    Stop(Option<u32>),
}

struct Hook {
    id: HookId,
    ports: RangeInclusive<u16>,
    act: Act,
}

impl Hook {
    /// The ports where an access may touch its own: a wide one may begin below.
    fn marked(&self) -> RangeInclusive<u16> {
        self.ports.start().saturating_sub(3)..=*self.ports.end()
    }
}

/// The hooks on ports, in the order in which they were installed.
#[derive(Default)]
pub(crate) struct Ports(Vec<Hook>);

impl Ports {
    fn before(&mut self, access: &mut PortAccess) {
        for hook in &mut self.0 {
            if let Act::Answer(call) = &mut hook.act
                && access.answer.is_none()
                && access.touches(&hook.ports)
            {
                call(access);
            }
        }
    }

    /// Gives whether a condition waited for this.
    fn after(&mut self, access: &mut PortAccess) -> bool {
        let mut waited_for = false;
        for hook in &mut self.0 {
            match &mut hook.act {
                _ if !access.touches(&hook.ports) => {}
                Act::Answer(_) => {}
                Act::Observe(call) => call(access),
                Act::Stop(value) => {
                    waited_for |= access.is_write && value.is_none_or(|value| access.value == Some(value));
                }
            }
        }
        waited_for
    }
}

impl Board {
    fn hook_ports(&mut self, ports: RangeInclusive<u16>, act: Act) -> HookId {
        let id = self.hooks.next_id();
        self.hooks.ports.0.push(Hook { id, ports, act });
        self.mark_hooked_ports();
        id
    }

    /// Ends runs at writes to `ports`, of `value` if it is given.
    pub(crate) fn stop_at_port(&mut self, ports: RangeInclusive<u16>, value: Option<u32>) -> HookId {
        self.hook_ports(ports, Act::Stop(value))
    }

    /// Removes a hook on ports; gives whether it was one.
    pub(crate) fn unhook_ports(&mut self, id: HookId) -> bool {
        let Hooks { ports: Ports(hooks), .. } = &mut self.hooks;
        let Some(at) = hooks.iter().position(|hook| hook.id == id) else { return false };
        let removed = hooks.remove(at);
        self.ports.set_hooked(removed.marked(), false);
        self.mark_hooked_ports();
        true
    }

    fn mark_hooked_ports(&mut self) {
        for hook in &self.hooks.ports.0 {
            self.ports.set_hooked(hook.marked(), true);
        }
    }

    /// An access to a port that may be hooked. Gives what is read.
    #[cold]
    #[inline(never)]
    pub(crate) fn hooked_access(
        &mut self,
        port: u16,
        size: AccessSize,
        written: Option<u32>,
        now: Work,
    ) -> u32 {
        let now = self.now(now);
        let is_write = written.is_some();
        let mut access = PortAccess { port, size, value: written, is_write, now, answer: None, stop: false };
        // Hooks see the access alone, so nothing calls them from within.
        let mut hooks = std::mem::take(&mut self.hooks.ports);
        hooks.before(&mut access);
        let value = match (access.answer, written) {
            (Some(answer), None) => answer & size.ones(),
            (Some(_), Some(value)) => value,
            (None, None) => self.read_device_port(port, size, now),
            (None, Some(value)) => {
                self.write_device_port(port, size, value, now);
                value
            }
        };
        access.value = Some(value);
        let waited_for = hooks.after(&mut access);
        self.hooks.ports = hooks;
        if access.stop || waited_for {
            self.hooks.stop = true;
            self.hooks.seen = waited_for.then_some((port, size, value)).or(self.hooks.seen);
            self.signals.pause = true;
        }
        value
    }
}

impl Machine {
    /// Calls `hook` at each access of the guest to one of `ports`, before a device sees it. The hook may answer in the
    /// device's place. Of several hooks on a port those that came first are asked first, until one answers.
    ///
    /// Installing and removing hooks takes effect at once; ports without hooks do not become slower.
    ///
    /// ```
    /// use idem86_machine::machine::Machine;
    /// let mut machine = Machine::builder().build()?;
    /// // A device that counts.
    /// let mut count = 0;
    /// let id = machine.hook_ports(0x300..=0x300, move |access| {
    ///     count += 1;
    ///     access.answer(count);
    /// });
    /// assert!(machine.unhook(id));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn hook_ports(
        &mut self,
        ports: RangeInclusive<u16>,
        hook: impl FnMut(&mut PortAccess) + Send + 'static,
    ) -> HookId {
        self.board.hook_ports(ports, Act::Answer(Box::new(hook)))
    }

    /// Calls `hook` after each access of the guest to one of `ports`, with what was read or written.
    pub fn observe_ports(
        &mut self,
        ports: RangeInclusive<u16>,
        hook: impl FnMut(&PortAccess) + Send + 'static,
    ) -> HookId {
        let mut hook = hook;
        self.board.hook_ports(ports, Act::Observe(Box::new(move |access| hook(access))))
    }
}
