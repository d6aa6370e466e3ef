//! Code spaces: for each mode the tables that lead from EIP to host code.
//!
//! Code belongs to its mode, wherever it is mapped; what is mapped where is a matter of the address space. So a mode of
//! users has a table for each space that the processor keeps, and one for all others together. A mode of the supervisor
//! has one: what is not global is put aside with the space that is left. As [`crate::shadow`] does for data.

use crate::host::sparse::SparseTable;
use crate::key::ModeKey;
use crate::noted::{NotedPages, Reach, forget_range};
use idem86_cpu::icache::KeyHasher;
use idem86_cpu::mmu::spaces::KEPT_MAX;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::io;

/// One entry for every EIP, so that translated code needs no bounds check.
const ENTRIES: usize = 1 << 32;

/// Entries on a page of the host.
const ENTRIES_PER_PAGE: u32 = 1024;
/// EIPs that are noted for a page before those noted twice are looked for; twice as many as a page has.
const NOTED_MAX: usize = 8192;
/// EIPs of the supervisor's that are put aside with a space, at most, page by page.
const ASIDE_MAX: usize = 512;
/// Pages that are looked up one by one rather than looked for among all.
const FEW: u32 = 64;

/// What was put aside: EIPs with their code, by page; few, so that it does no harm if a guest chooses them badly.
type Aside = HashMap<u32, Vec<(u32, u32)>, BuildHasherDefault<KeyHasher>>;

/// A mode with its code.
#[derive(Debug)]
pub struct Space {
    /// The mode.
    pub key: ModeKey,
    /// What holds in spaces that are not kept and, of the supervisor, in all.
    any: EipTable,
    /// What holds for users in spaces that are kept; there as soon as it is needed.
    kept: [Option<EipTable>; KEPT_MAX],
    /// What was put aside of the supervisor's with each space.
    aside: [Aside; KEPT_MAX],
    /// The present space, if it is kept.
    space: Option<u8>,
}

/// A table that leads from EIP to host code.
#[derive(Debug)]
struct EipTable {
    /// Offsets in the arena by EIP; 0 where nothing is known.
    table: SparseTable<u32>,
    /// By linear page number: what of the table is set, and whether the page is global.
    installed: HashMap<u32, Installed>,
    /// Where those pages lie, and others that lay there.
    reach: Reach,
    /// Numbers of pages among them that were not global when they were noted.
    local: NotedPages,
    /// Pages of the host that the table takes.
    taken: HashSet<u32>,
}

#[derive(Debug, Default)]
struct Installed {
    global: bool,
    eips: Vec<u32>,
}

impl Space {
    /// No code yet; the present address space is `space`, if it is kept.
    pub fn new(key: ModeKey, space: Option<u8>) -> io::Result<Self> {
        let (kept, aside) = ([const { None }; KEPT_MAX], Default::default());
        Ok(Space { key, any: EipTable::new()?, kept, aside, space })
    }

    /// The present table.
    fn present(&self) -> &EipTable {
        self.space.and_then(|space| self.kept[usize::from(space)].as_ref()).unwrap_or(&self.any)
    }

    /// The tables there are.
    fn tables(&mut self) -> impl Iterator<Item = &mut EipTable> {
        std::iter::once(&mut self.any).chain(self.kept.iter_mut().flatten())
    }

    /// What translated code finds in the context.
    pub fn table_address(&self) -> u64 {
        self.present().table.address()
    }

    /// The code of `eip`, if it is known in the present address space.
    pub fn code(&self, eip: u32) -> Option<u32> {
        Some(self.present().table.get(eip as usize)).filter(|at| *at != 0)
    }

    /// Whether anything is known, or was lately, of the page of `eip` in the present address space.
    pub fn knows_of_page(&self, eip: u32) -> bool {
        self.present().installed.contains_key(&self.number(eip))
    }

    /// `eip` leads to the code at `at`, as long as its page stays where it is.
    pub fn install(&mut self, eip: u32, at: u32, global: bool) {
        let number = self.number(eip);
        let kept = self.space.filter(|_| self.key.user()).map(|space| &mut self.kept[usize::from(space)]);
        let table = match kept {
            Some(table) => {
                if table.is_none() {
                    // Where the host has no room the space is like any other.
                    *table = EipTable::new().ok();
                }
                table.as_mut().unwrap_or(&mut self.any)
            }
            None => &mut self.any,
        };
        table.install(number, eip, at, global);
    }

    /// The number of the page of `eip`.
    fn number(&self, eip: u32) -> u32 {
        self.key.cs_base.wrapping_add(eip) >> 12
    }

    /// Pages of the host that the tables take.
    pub fn pages(&self) -> usize {
        self.any.taken.len() + self.kept.iter().flatten().map(|table| table.taken.len()).sum::<usize>()
    }

    /// Bytes of the host's that the tables keep from others, be it for EIPs that were only looked up.
    pub fn committed(&self) -> usize {
        let kept = self.kept.iter().flatten().map(|table| table.table.committed());
        self.any.table.committed() + kept.sum::<usize>()
    }

    /// Forgets everything and gives the host its memory back.
    pub fn renew(&mut self) -> io::Result<()> {
        *self = Space::new(self.key, self.space)?;
        Ok(())
    }

    /// `eip` leads nowhere.
    pub fn remove(&mut self, eip: u32) {
        let number = self.number(eip);
        self.tables().filter(|t| t.taken.contains(&(eip / ENTRIES_PER_PAGE))).for_each(|t| t.clear(eip));
        for eips in self.aside.iter_mut().filter_map(|aside| aside.get_mut(&number)) {
            eips.retain(|(other, _)| *other != eip);
        }
    }

    /// Nothing is known of the page of `linear`, whatever the space.
    pub fn forget_page(&mut self, linear: u32) {
        self.tables().for_each(|table| table.forget_page(linear >> 12));
        let aside = self.aside.iter_mut().filter(|aside| !aside.is_empty());
        aside.for_each(|aside| _ = aside.remove(&(linear >> 12)));
    }

    /// Nothing is known.
    pub fn forget_all(&mut self) {
        self.tables().for_each(|table| table.forget(true));
        self.aside.iter_mut().for_each(Aside::clear);
    }

    /// The present space is not kept, and nothing is known of any.
    pub fn begin_anew(&mut self) {
        self.forget_all();
        self.space = None;
    }

    /// Goes on in another space, or in the same if it is not kept. What is not global holds no longer, but what was put
    /// aside when `space` was left does again.
    pub fn enter(&mut self, space: Option<u8>) {
        if space.is_some() && space == self.space {
            return;
        }
        self.leave(true);
        self.space = space;
        let Some(space) = space else { return };
        for (number, eips) in self.aside[usize::from(space)].drain() {
            if !self.any.installed.contains_key(&number) {
                eips.into_iter().for_each(|(eip, at)| self.any.install(number, eip, at, false));
            }
        }
    }

    /// Forgets what is not global of the table that the present space does not have for itself; what is the
    /// supervisor's is put aside if `puts_aside` says so.
    fn leave(&mut self, puts_aside: bool) {
        let space = self.space.filter(|_| puts_aside && !self.key.user());
        let mut aside = space.map(|space| &mut self.aside[usize::from(space)]);
        let mut room = ASIDE_MAX;
        self.any.forget_local(|table, number, eips| {
            if let Some(aside) = aside.as_mut().filter(|_| room >= eips.len()) {
                room -= eips.len();
                let code = eips.iter().map(|eip| (*eip, table.get(*eip as usize)));
                aside.insert(number, code.filter(|(_, at)| *at != 0).collect());
            }
        });
    }

    /// In `space` the pages from number `first` to `last` are other ones.
    pub fn drop_pages(&mut self, space: u8, first: u32, last: u32) {
        forget_range(&mut self.aside[usize::from(space)], first, last);
        if let Some(table) = &mut self.kept[usize::from(space)] {
            table.forget_range(first, last);
        }
        if self.space == Some(space) {
            self.any.forget_range(first, last);
        }
    }

    /// `space` is not kept any longer. If it is the present one, it goes on as any other.
    pub fn drop_space(&mut self, space: u8) {
        if self.space == Some(space) {
            self.leave(false);
            self.space = None;
        }
        self.aside[usize::from(space)].clear();
        if let Some(table) = &mut self.kept[usize::from(space)] {
            table.forget(true);
        }
    }
}

impl EipTable {
    fn new() -> io::Result<Self> {
        Ok(EipTable {
            table: SparseTable::new(ENTRIES)?,
            installed: HashMap::new(),
            reach: Reach::NONE,
            local: NotedPages::default(),
            taken: HashSet::new(),
        })
    }

    fn install(&mut self, number: u32, eip: u32, at: u32, global: bool) {
        self.table.set(eip as usize, at);
        self.reach.include(number);
        let page = self.installed.entry(number).or_default();
        if !global && (page.global || page.eips.is_empty()) {
            self.local.note(number);
        }
        page.global = global;
        page.eips.push(eip);
        if page.eips.len() > NOTED_MAX {
            page.eips.sort_unstable();
            page.eips.dedup();
        }
        self.taken.insert(eip / ENTRIES_PER_PAGE);
    }

    fn clear(&mut self, eip: u32) {
        self.table.set(eip as usize, 0);
    }

    fn forget_page(&mut self, number: u32) {
        if let Some(page) = self.installed.remove(&number) {
            page.eips.into_iter().for_each(|eip| self.clear(eip));
        }
    }

    fn forget_range(&mut self, first: u32, last: u32) {
        if !self.reach.meets(first, last) {
            return;
        }
        if last - first < FEW {
            (first..=last).for_each(|number| self.forget_page(number));
            return;
        }
        let numbers: Vec<u32> =
            self.installed.keys().copied().filter(|number| (first..=last).contains(number)).collect();
        numbers.into_iter().for_each(|number| self.forget_page(number));
    }

    /// Nothing is known, or nothing but global pages.
    fn forget(&mut self, global: bool) {
        self.forget_local(|_, _, _| ());
        if global {
            let table = &mut self.table;
            for page in self.installed.drain().map(|(_, page)| page) {
                page.eips.iter().for_each(|eip| table.set(*eip as usize, 0));
            }
        }
    }

    /// Nothing is known but global pages; `each` is told before of those that are not, and of the EIPs there.
    fn forget_local(&mut self, mut each: impl FnMut(&SparseTable<u32>, u32, &[u32])) {
        let (table, installed) = (&mut self.table, &mut self.installed);
        self.local.drain(|number| {
            if let Entry::Occupied(page) = installed.entry(number)
                && !page.get().global
            {
                let eips = page.remove().eips;
                each(table, number, &eips);
                eips.iter().for_each(|eip| table.set(*eip as usize, 0));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> Space {
        Space::new(ModeKey::default(), None).expect("address space")
    }

    #[test]
    fn code_that_comes_and_goes_does_not_add_up() {
        let mut space = space();
        for n in 0..100_000 {
            space.install(0x1000 + n % 7, 64, false);
            space.remove(0x1000 + n % 7);
        }
        assert!(space.any.installed[&1].eips.len() <= NOTED_MAX + 1);
    }

    #[test]
    fn a_renewed_table_is_empty_and_takes_no_memory() {
        let mut space = space();
        (0..1000).for_each(|n| space.install(n << 12, 64, true));
        assert_eq!((space.pages(), space.code(0x5000)), (1000, Some(64)));
        space.renew().expect("address space");
        assert_eq!((space.pages(), space.code(0x5000)), (0, None));
        space.forget_all();
    }
}
