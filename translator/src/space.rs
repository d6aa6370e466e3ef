//! Code spaces: for each mode the table that leads from EIP to host code.

use crate::host::sparse::SparseTable;
use crate::key::ModeKey;
use crate::noted::NotedPages;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::io;

/// One entry for every EIP, so that translated code needs no bounds check.
const ENTRIES: usize = 1 << 32;

/// Entries on a page of the host.
const ENTRIES_PER_PAGE: u32 = 1024;
/// EIPs that are noted for a page before those noted twice are looked for; twice as many as a page has.
const NOTED_MAX: usize = 8192;

/// A mode with its code.
#[derive(Debug)]
pub struct Space {
    /// The mode.
    pub key: ModeKey,
    /// Offsets in the arena by EIP; 0 where nothing is known.
    table: SparseTable<u32>,
    /// By linear page number: what of the table is set, and whether the page is global.
    installed: HashMap<u32, Installed>,
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
    /// No code yet.
    pub fn new(key: ModeKey) -> io::Result<Self> {
        Ok(Space {
            key,
            table: SparseTable::new(ENTRIES)?,
            installed: HashMap::new(),
            local: NotedPages::default(),
            taken: HashSet::new(),
        })
    }

    /// What translated code finds in the context.
    pub fn table_address(&self) -> u64 {
        self.table.address()
    }

    /// The code of `eip`, if it is known in the present address space.
    pub fn code(&self, eip: u32) -> Option<u32> {
        Some(self.table.get(eip as usize)).filter(|at| *at != 0)
    }

    /// `eip` leads to the code at `at`, as long as its page stays where it is.
    pub fn install(&mut self, eip: u32, at: u32, global: bool) {
        self.table.set(eip as usize, at);
        let number = self.key.cs_base.wrapping_add(eip) >> 12;
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

    /// Pages of the host that the table takes.
    pub fn pages(&self) -> usize {
        self.taken.len()
    }

    /// Bytes of the host's that the table keeps from others, be it for EIPs that were only looked up.
    pub fn committed(&self) -> usize {
        self.table.committed()
    }

    /// Forgets everything and gives the host its memory back.
    pub fn renew(&mut self) -> io::Result<()> {
        *self = Space::new(self.key)?;
        Ok(())
    }

    /// `eip` leads nowhere.
    pub fn remove(&mut self, eip: u32) {
        self.table.set(eip as usize, 0);
    }

    /// Nothing is known of the page of `linear`.
    pub fn forget_page(&mut self, linear: u32) {
        if let Some(page) = self.installed.remove(&(linear >> 12)) {
            page.eips.iter().for_each(|eip| self.table.set(*eip as usize, 0));
        }
    }

    /// Nothing is known, or nothing but global pages.
    pub fn forget(&mut self, global: bool) {
        let table = &mut self.table;
        if global {
            for page in self.installed.drain().map(|(_, page)| page) {
                page.eips.iter().for_each(|eip| table.set(*eip as usize, 0));
            }
            self.local.drain(|_| ());
            return;
        }
        let installed = &mut self.installed;
        self.local.drain(|number| {
            if let Entry::Occupied(page) = installed.entry(number)
                && !page.get().global
            {
                page.remove().eips.iter().for_each(|eip| table.set(*eip as usize, 0));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> Space {
        Space::new(ModeKey::default()).expect("address space")
    }

    #[test]
    fn code_that_comes_and_goes_does_not_add_up() {
        let mut space = space();
        for n in 0..100_000 {
            space.install(0x1000 + n % 7, 64, false);
            space.remove(0x1000 + n % 7);
        }
        assert!(space.installed[&1].eips.len() <= NOTED_MAX + 1);
    }

    #[test]
    fn a_renewed_table_is_empty_and_takes_no_memory() {
        let mut space = space();
        (0..1000).for_each(|n| space.install(n << 12, 64, true));
        assert_eq!((space.pages(), space.code(0x5000)), (1000, Some(64)));
        space.renew().expect("address space");
        assert_eq!((space.pages(), space.code(0x5000)), (0, None));
        space.forget(true);
    }
}
