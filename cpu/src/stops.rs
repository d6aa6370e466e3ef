//! Stops: where debuggers and hooks want a run to end. The guest sees nothing of them.
//!
//! An *execution stop* is a linear address (CS base + EIP): a run ends with [`Stop::Breakpoint`] when the instruction
//! that begins there is about to be executed, after everything that comes before it (interrupts, traps). Where it
//! cannot be fetched there is no instruction, and the page fault comes first. The run that follows executes it: a stop
//! is not reported twice for one arrival. It is reported again if an interrupt came first, when its handler returns.
//! A repeated string instruction is reported when it begins, not for each iteration.
//!
//! A *watch* is a range of linear addresses: a run ends with [`Stop::Watchpoint`] behind the instruction that accessed
//! one of its bytes, or behind the iteration of a repeated string instruction, before interrupts are looked at. The
//! processor's own accesses count too (stacks, descriptor tables, task states); instruction fetches, page walks, direct
//! memory access and the built-in firmware do not. Of several watches that are met at once the first is reported.
//!
//! Neither costs anything while there are none, but for a while after the last one went: debuggers take stops away and
//! put them back all the time. Decoded blocks and translation units never hold an execution stop but as
//! their first instruction, and such a block is never linked, so it is entered only after a look here. Pages with
//! watched bytes take the slow path of memory accesses.

use crate::bus::{Biu, Work};
use crate::cpu::Cpu;
use crate::mmu::tlb::SLOW;
use crate::run::Stop;
use crate::state::segment::SegReg;
use std::collections::BTreeMap;

/// Work after which a stop that went is not expected to come back.
const STALE: Work = 1 << 20;

/// Which accesses a watch wants to know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchKind {
    /// Reads, those of read-modify-write instructions included.
    Read,
    /// Writes.
    Write,
    /// Both.
    Access,
}

/// A range of linear addresses whose accesses end a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The first byte.
    pub start: u32,
    /// The last byte; not below the first.
    pub last: u32,
    /// Which accesses.
    pub kind: WatchKind,
}

impl Watch {
    /// Which byte of `size` bytes from `linear` on it is met with, if any. Addresses wrap at 4 GiB.
    fn met(&self, linear: u64, size: usize, write: bool) -> Option<u32> {
        let wanted = match self.kind {
            WatchKind::Read => !write,
            WatchKind::Write => write,
            WatchKind::Access => true,
        };
        let (first, len) = (linear as u32, size as u64);
        let into = u64::from(self.start.wrapping_sub(first));
        let inside = (self.start..=self.last).contains(&first);
        match wanted {
            true if inside => Some(first),
            true if into < len => Some(self.start),
            _ => None,
        }
    }
}

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Stops {
    /// Execution stops, with how often each was asked for.
    execution: BTreeMap<u64, u32>,
    /// Their offsets on their pages, one bit each, and those of stops that went lately; `None` without any.
    offsets: Option<Box<[u64; 64]>>,
    /// The work at which the last stop went, if `offsets` may still have it.
    stale_since: Option<Work>,
    watches: Vec<Watch>,
    /// What the run is to end with.
    hit: Option<Stop>,
    /// The stop (and the work that was retired) that was reported last, or is to be passed.
    passed: Option<(u64, Work)>,
}

impl Stops {
    /// Whether a decoded block or a translation unit must not go on over the instruction at `address`: a linear
    /// address, or an offset in RAM, which differ by whole pages. Code is kept by its place in RAM, which may be
    /// mapped anywhere.
    #[inline]
    pub(crate) fn split(&self, address: u64) -> bool {
        self.offsets
            .as_ref()
            .is_some_and(|offsets| offsets[(address >> 6) as usize % 64] & 1 << (address % 64) != 0)
    }

    /// What the run is to end with, once.
    #[inline]
    pub(crate) fn take_hit(&mut self) -> Option<Stop> {
        self.hit.take()
    }

    /// Whether the run is to end.
    #[inline]
    pub(crate) fn is_hit(&self) -> bool {
        self.hit.is_some()
    }

    /// Whether a byte of the page at linear address `page` is watched.
    pub(crate) fn watch_page(&self, page: u64) -> bool {
        self.watches.iter().any(|w| (u64::from(w.start) & !0xFFF..=u64::from(w.last)).contains(&page))
    }

    /// Forgets what was reported: the processor is elsewhere, in another time.
    pub(crate) fn forget_reports(&mut self) {
        self.hit = None;
        self.passed = None;
        self.stale_since = self.stale_since.map(|_| 0);
    }

    fn note_offset(&mut self, address: u64) {
        let offsets = self.offsets.get_or_insert_with(|| Box::new([0; 64]));
        offsets[(address >> 6) as usize % 64] |= 1 << (address % 64);
    }
}

impl Cpu {
    /// Asks for an execution stop at `linear`. Asked for several times, it must be removed as often. Unless there was
    /// one lately, decoded code and translations are forgotten.
    pub fn add_execution_stop(&mut self, linear: u32) {
        let asked = self.stops.execution.entry(linear.into()).or_default();
        *asked = asked.saturating_add(1);
        if !self.stops.split(linear.into()) {
            self.stops.note_offset(linear.into());
            self.forget_code();
        }
    }

    /// Takes one request for an execution stop at `linear` back. Gives whether there was one.
    pub fn remove_execution_stop(&mut self, linear: u32) -> bool {
        let Some(asked) = self.stops.execution.get_mut(&linear.into()) else { return false };
        *asked -= 1;
        if *asked == 0 {
            self.stops.execution.remove(&linear.into());
            self.stops.stale_since = Some(self.retired);
        }
        true
    }

    /// A run begins: lets code grow together again where stops have been away for long.
    #[inline]
    pub(crate) fn tidy_stops(&mut self) {
        if self.stops.stale_since.is_some_and(|since| self.retired.saturating_sub(since) >= STALE) {
            self.stops.stale_since = None;
            self.stops.offsets = None;
            let addresses: Vec<u64> = self.stops.execution.keys().copied().collect();
            addresses.into_iter().for_each(|address| self.stops.note_offset(address));
            self.forget_code();
        }
    }

    /// Whether there is an execution stop at `linear`.
    #[inline]
    pub fn has_execution_stop(&self, linear: u32) -> bool {
        self.stops.execution.contains_key(&linear.into())
    }

    /// How often an execution stop at `linear` was asked for.
    pub fn execution_stops_at(&self, linear: u32) -> u32 {
        self.stops.execution.get(&linear.into()).copied().unwrap_or(0)
    }

    /// Watches a range of linear addresses. The same watch may be added several times. Translations are forgotten.
    pub fn add_watch(&mut self, watch: Watch) {
        self.stops.watches.push(watch);
        self.flush_tlb();
    }

    /// Removes a watch once. Gives whether it was there.
    pub fn remove_watch(&mut self, watch: Watch) -> bool {
        let Some(at) = self.stops.watches.iter().position(|w| *w == watch) else { return false };
        self.stops.watches.remove(at);
        self.flush_tlb();
        true
    }

    /// The instruction at CS:EIP is executed even if there is a stop, provided that nothing comes before it.
    pub fn pass_stop(&mut self) {
        self.stops.passed = Some((self.linear_ip(), self.retired));
    }

    /// CS base + EIP: the linear address of the next instruction, at an instruction boundary.
    #[inline]
    pub fn linear_ip(&self) -> u64 {
        (self.seg[SegReg::Cs as usize].base + self.rip) & self.linear_mask
    }

    /// The processor is about to execute the instruction at `linear`: whether it must stop instead, which the run loop
    /// is then told of.
    #[inline]
    pub(crate) fn stops_at(&mut self, biu: &mut Biu, linear: u64) -> bool {
        self.stops.split(linear) && self.meets_stop(biu, linear)
    }

    #[cold]
    fn meets_stop(&mut self, biu: &mut Biu, linear: u64) -> bool {
        let here = (linear, self.retired);
        if !self.stops.execution.contains_key(&linear)
            || self.stops.passed == Some(here)
            || self.repeat_suspended()
            || !self.is_fetchable(biu, linear)
        {
            return false;
        }
        self.stops.passed = Some(here);
        self.stops.hit = Some(Stop::Breakpoint);
        self.attend();
        true
    }

    /// Whether the byte at `linear` is mapped, as far as that can be told without changing anything.
    fn is_fetchable(&self, biu: &mut Biu, linear: u64) -> bool {
        let e = self.tlb.entry(self.view, linear);
        e.read & !SLOW == linear & !0xFFF && e.executable() || self.peek_address(biu, linear).is_some()
    }

    /// An access to `size` bytes at `linear` was done: notes the first watch that it met.
    #[inline]
    pub(crate) fn note_watch(&mut self, linear: u64, size: usize, write: bool) {
        if !self.stops.watches.is_empty() && self.stops.hit.is_none() {
            let met = self.stops.watches.iter().find_map(|w| w.met(linear, size, write));
            if let Some(linear) = met {
                self.stops.hit = Some(Stop::Watchpoint { linear, write });
                self.attend();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_met_by_any_of_its_bytes() {
        let watch = Watch { start: 0x1000, last: 0x1003, kind: WatchKind::Write };
        assert_eq!(watch.met(0x1000, 1, true), Some(0x1000));
        assert_eq!(watch.met(0x1003, 4, true), Some(0x1003));
        assert_eq!(watch.met(0xFFE, 4, true), Some(0x1000));
        assert_eq!(watch.met(0xFFC, 4, true), None);
        assert_eq!(watch.met(0x1004, 4, true), None);
        assert_eq!(watch.met(0x1000, 1, false), None);
        let end = Watch { start: 0, last: 0, kind: WatchKind::Access };
        assert_eq!(end.met(0xFFFF_FFFF, 2, false), Some(0), "accesses wrap at 4 GiB");
        let all = Watch { start: 0, last: u32::MAX, kind: WatchKind::Access };
        assert_eq!(all.met(0xFFFF_FFFF, 1, false), Some(u32::MAX));
    }

    #[test]
    fn pages_with_watched_bytes() {
        let mut stops = Stops::default();
        stops.watches.push(Watch { start: 0x1FFF, last: 0x3000, kind: WatchKind::Read });
        let watched: Vec<u64> = (0..6).map(|n| n << 12).filter(|page| stops.watch_page(*page)).collect();
        assert_eq!(watched, [0x1000, 0x2000, 0x3000]);
    }
}
