//! Hooks on physical memory, which may answer in its place.

use super::HookId;
use crate::board::Board;
use crate::machine::Machine;
use idem86_cpu::bus::Work;
use idem86_devices::time::GuestTime;
use std::ops::RangeInclusive;

/// An access of the guest to physical memory.
#[derive(Debug)]
pub struct PhysicalAccess {
    /// The first byte.
    pub address: u64,
    /// How many bytes: 1, 2, 4 or 8.
    pub size: u8,
    /// What is written; of a read what RAM or ROM holds, `None` where a device would be asked.
    pub value: Option<u64>,
    /// Whether the guest writes.
    pub is_write: bool,
    /// Guest time.
    pub now: GuestTime,
    answer: Option<Answer>,
    stop: bool,
}

/// What a hook has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// In memory's place.
    Instead(u64),
    /// Memory gets this.
    Replaced(u64),
}

impl PhysicalAccess {
    /// Answers in memory's place: the guest reads the low bytes of `value`, or what it writes goes nowhere else.
    pub fn answer(&mut self, value: u64) {
        self.answer = Some(Answer::Instead(value));
    }

    /// Has the low bytes of `value` written instead of what the guest writes; for a read as [`PhysicalAccess::answer`].
    pub fn replace(&mut self, value: u64) {
        self.answer = Some(Answer::Replaced(value));
    }

    /// Ends the run after this instruction, with [`crate::run::Ended::Hook`].
    pub fn stop(&mut self) {
        self.stop = true;
    }

    fn touches(&self, range: &RangeInclusive<u64>) -> bool {
        *range.start() < self.address + u64::from(self.size) && self.address <= *range.end()
    }
}

/// A hook on a range.
pub(super) struct Physical {
    pub range: RangeInclusive<u64>,
    call: Box<dyn FnMut(&mut PhysicalAccess) + Send>,
}

impl Board {
    pub(crate) fn intercepted_read(
        &mut self,
        address: u64,
        size: usize,
        memory: Option<u64>,
        now: Work,
    ) -> Option<u64> {
        match self.ask_hooks(address, size, memory, false, now)? {
            Answer::Instead(value) | Answer::Replaced(value) => Some(value),
        }
    }

    pub(crate) fn intercepted_write(
        &mut self,
        address: u64,
        size: usize,
        value: u64,
        now: Work,
    ) -> Option<u64> {
        match self.ask_hooks(address, size, Some(value), true, now) {
            None => Some(value),
            Some(Answer::Replaced(other)) => Some(other),
            Some(Answer::Instead(_)) => None,
        }
    }

    /// Calls the hooks on these bytes until one answers.
    fn ask_hooks(
        &mut self,
        address: u64,
        size: usize,
        value: Option<u64>,
        is_write: bool,
        now: Work,
    ) -> Option<Answer> {
        let now = self.now(now);
        let mut access =
            PhysicalAccess { address, size: size as u8, value, is_write, now, answer: None, stop: false };
        // Hooks see the access alone, so nothing calls them from within.
        for hook in self.hooks.physical.iter_mut() {
            if access.answer.is_none() && access.touches(&hook.range) {
                (hook.call)(&mut access);
            }
        }
        self.hooks.stop |= access.stop;
        self.signals.pause |= access.stop;
        access.answer
    }
}

impl Machine {
    /// Calls `hook` at each access of the guest's instructions to one of the physical addresses `range`, RAM or not,
    /// before memory or a device sees it. The hook may answer in its place, so that a range becomes the registers of a
    /// device, or change what is written. Of several hooks on an address those that came first are asked first, until
    /// one answers. It takes effect at once, also for code that was translated before; other pages do not become
    /// slower.
    ///
    /// What counts are the addresses behind paging and A20. Operands are seen, and what the processor does by itself on
    /// behalf of an instruction or event: stacks, descriptor tables, task states, interrupt vectors. Page walks,
    /// instruction fetches, direct memory access, the built-in firmware, and what a program reads and writes by
    /// [`Machine::read_physical`] and its relatives see memory as it is. An access is told with all of its bytes if any
    /// of them is in `range`; one that crosses a page byte by byte, one of more than eight bytes in pieces of eight. A
    /// read-modify-write is a read, then a write. An instruction that faults in the middle of its accesses repeats
    /// them.
    ///
    /// ```
    /// use idem86_machine::machine::Machine;
    /// # use idem86_machine::run::{Ended, Until};
    /// // A boot sector: mov al, [8000h]; mov [8001h], al; cli; hlt
    /// let mut floppy = vec![0; 1_474_560];
    /// floppy[..8].copy_from_slice(&[0xA0, 0x00, 0x80, 0xA2, 0x01, 0x80, 0xFA, 0xF4]);
    /// floppy[510..512].copy_from_slice(&[0x55, 0xAA]);
    /// let mut machine = Machine::builder().floppy(floppy).build()?;
    /// machine.hook_physical(0x8000..=0x8000, |access| if !access.is_write { access.answer(42) });
    /// assert_eq!(machine.run_until(Until::power_off())?, Ended::Stuck);
    /// let mut bytes = [0; 2];
    /// machine.read_physical(0x8000, &mut bytes);
    /// assert_eq!(bytes, [0, 42]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn hook_physical(
        &mut self,
        range: RangeInclusive<u64>,
        hook: impl FnMut(&mut PhysicalAccess) + Send + 'static,
    ) -> HookId {
        let id = self.board.hooks.next_id();
        self.cpu.add_intercept(range.clone());
        self.board.hooks.physical.0.push((id, Physical { range, call: Box::new(hook) }));
        id
    }
}
