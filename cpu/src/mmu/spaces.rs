//! Address spaces whose translations are kept over loads of CR3, for who keeps more of them than the TLB.
//!
//! A load of CR3 forgets what is not global (SDM Vol. 3A, "Operations that Invalidate TLBs and Paging-Structure
//! Caches"); but whoever comes back to page tables that are as they were would find the same again. So there is a copy
//! of every page-table page that a walk in such a space used. The first write to the page is noted, as for snapshots;
//! when a space that uses it is entered, the page is compared with the copy, and translations that were made with what
//! is no longer there are dropped, in all spaces that use it. A walk that finds an entry changed does so for that entry
//! at once: what changes and is changed back is not missed. So, of each translation that is kept, this holds: the copy
//! has the entry that it was made with, but for accessed and dirty bits that were set since.
//!
//! A space is kept only once its root comes back: most processes that only execute another program never do. Whatever
//! takes too much (more tables, more uses of one) costs a space its keep, no more. The TLB itself is none of this: it
//! is emptied as the manual says.

use super::tlb::{Change, Tlb};
use super::walk::pte;
use crate::bus::Biu;
use crate::dirty::WriteLog;
use crate::icache::KeyHasher;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

/// Spaces that are kept at a time.
pub const KEPT_MAX: usize = 8;
/// Roots that are remembered.
const RECENT: usize = 8;
/// Loads of CR3 for which a space must not have been entered to give way to another. Where more than [`KEPT_MAX`] take
/// turns, some are kept for good instead of all in vain.
const IDLE: u64 = 32;
/// Page-table pages with copies: 4 MiB.
const TABLES_MAX: usize = 1024;
/// Uses of one page: a table that many directories share, or one that maps itself.
const USES_MAX: usize = 32;
/// Runs of entries of one page that changed; if there are more, all between the first and the last count as changed.
const RUNS_MAX: usize = 32;
/// How often in a row a page may be found written before it is compared at each load instead of being traced.
const RESTLESS: u8 = 4;
/// How often it must be found unchanged then, to be traced again.
const CALM: u8 = 8;

/// What a space is known by: where its page directory is or, under PAE paging, its directories are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Root {
    /// The page directory's address; 0 under PAE paging.
    pub directory: u64,
    /// The four page-directory-pointer entries as they were loaded; 0 without PAE paging.
    pub pointers: [u64; 4],
}

/// The pages that the entries of a paging structure are for: those of entry `n` are `1 << shift` from number
/// `base + (n << shift)` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Number of the first page.
    pub base: u32,
    /// 0 for a page table.
    pub shift: u8,
}

impl Span {
    /// The pages of the entries from number `first` to `last`.
    fn pages(self, first: u32, last: u32) -> (u32, u32) {
        (self.base + (first << self.shift), self.base + (last << self.shift) + (1 << self.shift) - 1)
    }
}

/// A paging-structure entry in RAM.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundEntry {
    /// Its offset in RAM.
    pub at: u64,
    /// Its size in bytes: 4, or 8 under PAE paging.
    pub size: usize,
    /// What a walk read there.
    pub value: u64,
    /// What its structure is for.
    pub span: Span,
}

/// What became of spaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpaceCounters {
    /// Loads of CR3 that led to a space which was kept.
    pub entered: u64,
    /// Loads that led to one which is kept from then on.
    pub begun: u64,
    /// Loads that led to one which is not kept.
    pub passed: u64,
    /// Page-table pages that were compared.
    pub compared: u64,
    /// Runs of pages that were dropped because a comparison found their entries changed.
    pub dropped: u64,
    /// The same because a walk did.
    pub dropped_by_walks: u64,
    /// Spaces that gave way to others.
    pub replaced: u64,
    /// Spaces that took too much, or whose tables are not in RAM.
    pub given_up: u64,
    /// Spaces that were dropped with everything.
    pub flushed: u64,
}

/// A space that is kept.
#[derive(Debug)]
struct Kept {
    root: Root,
    /// The count of loads when it was last entered.
    entered: u64,
    /// Its page-table pages, by their place in [`Spaces::tables`].
    tables: Vec<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Use {
    space: u8,
    span: Span,
}

/// A page of RAM that holds page tables.
#[derive(Debug)]
struct TablePage {
    /// Its number.
    page: u32,
    copy: Box<[u8; 4096]>,
    /// None if this place is free.
    uses: Vec<Use>,
    /// It was not written since it was compared with the copy: that would have been noted.
    armed: bool,
    /// How often it was written soon after it was armed.
    restless: u8,
    /// How often in a row it was found unchanged.
    calm: u8,
}

impl TablePage {
    fn entry(&self, at: usize, size: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes[..size].copy_from_slice(&self.copy[at..][..size]);
        u64::from_le_bytes(bytes)
    }

    fn set_entry(&mut self, at: usize, size: usize, value: u64) {
        self.copy[at..][..size].copy_from_slice(&value.to_le_bytes()[..size]);
    }
}

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Spaces {
    current: Option<u8>,
    kept: [Option<Kept>; KEPT_MAX],
    /// Roots that were loaded lately; the newest is before `next`.
    recent: [Option<Root>; RECENT],
    next: usize,
    loads: u64,
    tables: Vec<TablePage>,
    free: Vec<u16>,
    by_page: HashMap<u32, u16, BuildHasherDefault<KeyHasher>>,
    /// What became of them.
    pub counters: SpaceCounters,
}

/// What changes with the spaces.
pub(crate) struct Kin<'a> {
    /// The TLB, whose log tells of changes.
    pub tlb: &'a mut Tlb,
    /// The log of writes.
    pub writes: &'a mut WriteLog,
}

/// Whether a translation that was made with `old` may no longer hold when the entry is `new`: accessed and dirty bits
/// that are set since change nothing, nor do bits that are the system's or say how to cache.
fn outdates(old: u64, new: u64) -> bool {
    const HISTORY: u64 = pte::A | pte::D;
    const OF_NO_ACCOUNT: u64 = HISTORY | pte::PWT | pte::PCD | pte::AVAILABLE;
    old & pte::P != 0 && ((old ^ new) & !OF_NO_ACCOUNT != 0 || old & !new & HISTORY != 0)
}

impl Spaces {
    /// Whether the present space is kept.
    #[inline]
    pub fn is_kept(&self) -> bool {
        self.current.is_some()
    }

    /// CR3 was loaded with `root`; `None` without paging. Entries are of `size` bytes.
    pub fn load(&mut self, root: Option<Root>, size: usize, biu: &Biu, kin: &mut Kin) {
        self.loads += 1;
        while let Some(page) = kin.writes.take_disarmed() {
            if let Some(slot) = self.by_page.get(&page) {
                let table = &mut self.tables[usize::from(*slot)];
                table.armed = false;
                table.restless = table.restless.saturating_add(1);
            }
        }
        self.current = None;
        let space = root.and_then(|root| self.find(root, kin));
        if let Some(space) = space {
            self.renew(space, size, biu, kin);
        } else {
            self.counters.passed += 1;
        }
        self.current = space;
        kin.tlb.note(Change::Space(space));
    }

    /// The space of `root`, if it is kept or is worth to be from now on.
    fn find(&mut self, root: Root, kin: &mut Kin) -> Option<u8> {
        let now = self.loads;
        if let Some(n) = self.kept.iter().position(|k| k.as_ref().is_some_and(|k| k.root == root)) {
            self.kept[n].iter_mut().for_each(|k| k.entered = now);
            self.counters.entered += 1;
            return Some(n as u8);
        }
        if !self.recent.contains(&Some(root)) {
            self.recent[self.next] = Some(root);
            self.next = (self.next + 1) % RECENT;
            return None;
        }
        let age = |k: &Option<Kept>| k.as_ref().map_or(u64::MAX, |k| now - k.entered);
        let n = (0..KEPT_MAX).min_by_key(|n| Reverse(age(&self.kept[*n])))?;
        if age(&self.kept[n]) <= IDLE {
            return None;
        }
        if self.kept[n].is_some() {
            self.counters.replaced += 1;
            self.drop_space(n as u8, kin);
        }
        self.kept[n] = Some(Kept { root, entered: now, tables: Vec::new() });
        self.counters.begun += 1;
        Some(n as u8)
    }

    /// Drops what does not hold any longer of a space that is entered.
    fn renew(&mut self, space: u8, size: usize, biu: &Biu, kin: &mut Kin) {
        let Some(kept) = &self.kept[usize::from(space)] else { return };
        let mut written = Vec::new();
        for slot in &kept.tables {
            let table = &mut self.tables[usize::from(*slot)];
            if table.armed {
                table.restless = table.restless.saturating_sub(1);
            } else {
                written.push(*slot);
            }
        }
        let mut armed = false;
        for slot in written {
            self.compare(slot, size, biu, kin);
            let table = &mut self.tables[usize::from(slot)];
            if !table.uses.is_empty() && (table.restless < RESTLESS || table.calm >= CALM) {
                (table.armed, armed) = (true, true);
                kin.writes.arm(table.page);
                kin.tlb.note(Change::Traced(u64::from(table.page) << 12));
            }
        }
        if armed {
            kin.tlb.slow_writes(|ram| kin.writes.is_awaited(ram));
        }
    }

    /// Compares a page with its copy, which is the page as it is now afterwards.
    fn compare(&mut self, slot: u16, size: usize, biu: &Biu, kin: &mut Kin) {
        /// Bytes that are compared before entries are.
        const PIECE: usize = 64;
        let table = &mut self.tables[usize::from(slot)];
        let mut now = [0; 4096];
        biu.ram_read_bytes(u64::from(table.page) << 12, &mut now);
        self.counters.compared += 1;
        if now == *table.copy {
            table.calm = table.calm.saturating_add(1);
            return;
        }
        table.calm = 0;
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for start in (0..4096).step_by(PIECE) {
            if now[start..start + PIECE] == table.copy[start..start + PIECE] {
                continue;
            }
            for at in (start..start + PIECE).step_by(size) {
                let old = table.entry(at, size);
                table.copy[at..at + size].copy_from_slice(&now[at..at + size]);
                if !outdates(old, table.entry(at, size)) {
                    continue;
                }
                let (n, full) = ((at / size) as u32, runs.len() == RUNS_MAX);
                match runs.last_mut() {
                    Some((_, last)) if *last + 1 == n || full => *last = n,
                    _ => runs.push((n, n)),
                }
            }
        }
        for (first, last) in runs {
            self.counters.dropped += 1;
            self.outdate(slot, first, last, kin);
        }
    }

    /// Entries of a page have changed: in all spaces that use it, what was made with them is dropped.
    fn outdate(&mut self, slot: u16, first: u32, last: u32, kin: &mut Kin) {
        for Use { space, span } in self.tables[usize::from(slot)].uses.clone() {
            let (first, last) = span.pages(first, last);
            kin.tlb.note(Change::Dropped { space, first, last });
            if self.current == Some(space) {
                kin.tlb.forget_pages(first, last);
            }
            if span.shift != 0 {
                self.end_tables(space, first, last, kin);
            }
        }
    }

    /// What a space uses as page tables of these pages it no longer does.
    fn end_tables(&mut self, space: u8, first: u32, last: u32, kin: &mut Kin) {
        let Some(kept) = &mut self.kept[usize::from(space)] else { return };
        let mut slots = std::mem::take(&mut kept.tables);
        slots.retain(|slot| {
            let pages = first..=last;
            let uses = &mut self.tables[usize::from(*slot)].uses;
            uses.retain(|u| u.space != space || u.span.shift != 0 || !pages.contains(&u.span.base));
            let used = uses.iter().any(|u| u.space == space);
            self.release_if_unused(*slot, kin);
            used
        });
        self.kept[usize::from(space)].iter_mut().for_each(|k| k.tables = std::mem::take(&mut slots));
    }

    fn release_if_unused(&mut self, slot: u16, kin: &mut Kin) {
        let table = &mut self.tables[usize::from(slot)];
        // One that is free already is no longer known by its page.
        if table.uses.is_empty() && self.by_page.remove(&table.page).is_some() {
            table.armed = false;
            kin.writes.disarm(table.page);
            self.free.push(slot);
        }
    }

    /// A walk in the present space used an entry, which is present.
    pub fn walked(&mut self, found: FoundEntry, biu: &Biu, kin: &mut Kin) {
        let FoundEntry { at, size, value, span } = found;
        let Some(space) = self.current else { return };
        let Some(slot) = self.table((at >> 12) as u32, biu, kin) else { return self.give_up(kin) };
        let table = &mut self.tables[usize::from(slot)];
        let new = Use { space, span };
        if !table.uses.contains(&new) {
            if table.uses.len() == USES_MAX {
                return self.give_up(kin);
            }
            let known = table.uses.iter().any(|u| u.space == space);
            table.uses.push(new);
            if let Some(kept) = self.kept[usize::from(space)].as_mut().filter(|_| !known) {
                kept.tables.push(slot);
            }
        }
        let at = (at & 0xFFF) as usize;
        let old = table.entry(at, size);
        table.set_entry(at, size, value);
        if outdates(old, value) {
            let n = (at / size) as u32;
            self.counters.dropped_by_walks += 1;
            self.outdate(slot, n, n, kin);
        }
    }

    /// The place of page `page`, with a copy. `None` if there is no room for one.
    fn table(&mut self, page: u32, biu: &Biu, kin: &mut Kin) -> Option<u16> {
        if let Some(slot) = self.by_page.get(&page) {
            return Some(*slot);
        }
        if (u64::from(page) + 1) << 12 > biu.ram.len() as u64 {
            return None;
        }
        if self.by_page.len() == TABLES_MAX {
            let others = (0..KEPT_MAX).filter(|n| self.current != Some(*n as u8));
            let entered = |n: &usize| self.kept[*n].as_ref().map(|k| (k.entered, *n));
            let (_, oldest) = others.filter_map(|n| entered(&n)).min()?;
            self.counters.given_up += 1;
            self.drop_space(oldest as u8, kin);
            if self.by_page.len() == TABLES_MAX {
                return None;
            }
        }
        let slot = self.free.pop().unwrap_or(self.tables.len() as u16);
        if usize::from(slot) == self.tables.len() {
            let copy = Box::new([0; 4096]);
            self.tables.push(TablePage { page, copy, uses: Vec::new(), armed: false, restless: 0, calm: 0 });
        }
        let table = &mut self.tables[usize::from(slot)];
        (table.page, table.restless, table.calm) = (page, 0, 0);
        biu.ram_read_bytes(u64::from(page) << 12, &mut table.copy[..]);
        self.by_page.insert(page, slot);
        Some(slot)
    }

    /// The 4-KiB page of `linear` was invalidated, so nothing is left that was made with its entry of `size` bytes; if the
    /// table is used for this only, the entry counts as absent until a walk uses it.
    pub fn invalidated(&mut self, linear: u32, size: usize) {
        let Some((space, kept)) = self.current.and_then(|n| Some((n, self.kept[usize::from(n)].as_ref()?)))
        else {
            return;
        };
        let (number, entries) = (linear >> 12, (4096 / size) as u32);
        let own = Use { space, span: Span { base: number - number % entries, shift: 0 } };
        for slot in &kept.tables {
            let table = &mut self.tables[usize::from(*slot)];
            if table.uses == [own] {
                table.set_entry((number % entries) as usize * size, size, 0);
            }
        }
    }

    /// The processor set accessed and dirty bits of an entry that a walk in the present space used.
    pub fn marked(&mut self, at: u64, size: usize, value: u64) {
        if let Some(slot) = self.by_page.get(&((at >> 12) as u32)) {
            self.tables[usize::from(*slot)].set_entry((at & 0xFFF) as usize, size, value);
        }
    }

    /// The present space is not kept any longer.
    pub fn give_up(&mut self, kin: &mut Kin) {
        if let Some(space) = self.current {
            self.counters.given_up += 1;
            let root = self.kept[usize::from(space)].as_ref().map(|k| k.root);
            self.recent.iter_mut().filter(|recent| **recent == root).for_each(|recent| *recent = None);
            self.drop_space(space, kin);
        }
    }

    fn drop_space(&mut self, space: u8, kin: &mut Kin) {
        let Some(kept) = self.kept[usize::from(space)].take() else { return };
        self.current = self.current.filter(|current| *current != space);
        for slot in kept.tables {
            self.tables[usize::from(slot)].uses.retain(|u| u.space != space);
            self.release_if_unused(slot, kin);
        }
        kin.tlb.note(Change::Gone(space));
    }

    /// Nothing is kept any longer, as the log says already.
    pub fn flush(&mut self, writes: &mut WriteLog) {
        self.current = None;
        self.counters.flushed += self.kept.iter_mut().filter_map(Option::take).count() as u64;
        for (page, slot) in self.by_page.drain() {
            let table = &mut self.tables[usize::from(slot)];
            table.uses.clear();
            table.armed = false;
            writes.disarm(page);
            self.free.push(slot);
        }
    }
}

#[cfg(test)]
mod tests;
