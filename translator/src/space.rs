//! Code spaces: for each mode the table that leads from EIP to host code.

use crate::host::sparse::SparseTable;
use crate::key::ModeKey;
use std::collections::HashMap;
use std::io;

/// One entry for every EIP, so that translated code needs no bounds check.
const ENTRIES: usize = 1 << 32;

/// A mode with its code.
#[derive(Debug)]
pub struct Space {
    /// The mode.
    pub key: ModeKey,
    /// Offsets in the arena by EIP; 0 where nothing is known.
    table: SparseTable<u32>,
    /// By linear page number: what of the table is set, and whether the page is global.
    installed: HashMap<u32, Installed>,
}

#[derive(Debug, Default)]
struct Installed {
    global: bool,
    eips: Vec<u32>,
}

impl Space {
    /// No code yet.
    pub fn new(key: ModeKey) -> io::Result<Self> {
        Ok(Space { key, table: SparseTable::new(ENTRIES)?, installed: HashMap::new() })
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
        let page = self.installed.entry(self.key.cs_base.wrapping_add(eip) >> 12).or_default();
        page.global = global;
        page.eips.push(eip);
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
        self.installed.retain(|_, page| {
            let keep = page.global && !global;
            if !keep {
                page.eips.iter().for_each(|eip| table.set(*eip as usize, 0));
            }
            keep
        });
    }
}
