//! Shadow page tables, tier M0: for each privilege view two flat arrays from the guest's linear page to where the page
//! lies in the host's memory.
//!
//! An entry is the distance from a guest linear address to its host address, or zero: then the access takes the slow
//! path. The array for writes is the universal tracer: an entry is there only if nobody wants to know of writes to the
//! page. Two more arrays serve writes beside code: where the page lies, and which of its lines of 64 bytes are free of
//! it; the slow path looks there before it calls out. Accesses that cross a page form an index with bit 20 set, where
//! no entry ever is.

use crate::host::sparse::SparseTable;
use crate::noted::NotedPages;
use idem86_cpu::engine::DirectPage;
use std::collections::HashMap;
use std::io;

/// Pages of a linear address space, and as many entries that are never set.
const ENTRIES: usize = 1 << 21;
/// From the table for reads to the table for writes, in bytes.
pub const WRITE_TABLE: i32 = (ENTRIES * 8) as i32;
/// From the table for reads to that of pages with code, and to that of their free lines, in bytes.
pub const MIXED_TABLE: i32 = 2 * WRITE_TABLE;
/// See [`MIXED_TABLE`].
pub const FREE_TABLE: i32 = 3 * WRITE_TABLE;
/// Low bits of the register that holds the tables, so that it is also the count of shifts by 12.
pub const TABLES_BIAS: i32 = 12;
/// Extracts page number and crossing bit from a linear address that was rotated right by 12.
pub const INDEX_MASK: u64 = 0x1_000F_FFFF;

/// Places at which a page of RAM can be written directly, at most: more are found again when they are used.
const ALIASES_MAX: usize = 16;

/// The tables of one view.
#[derive(Debug)]
struct View {
    table: SparseTable<u64>,
    /// Pages with an entry that is not global, and with one that is; some may have none any longer.
    filled: [NotedPages; 2],
}

/// The tables of all views.
#[derive(Debug)]
pub struct Shadow {
    views: [View; 2],
    /// Where in linear memory pages of RAM can be written: view and page.
    writable: HashMap<u64, Vec<(u8, u32)>>,
    /// Entries made.
    pub fills: u64,
}

impl Shadow {
    /// Empty tables.
    pub fn new() -> io::Result<Self> {
        let view =
            || Ok::<_, io::Error>(View { table: SparseTable::new(4 * ENTRIES)?, filled: Default::default() });
        Ok(Shadow { views: [view()?, view()?], writable: HashMap::new(), fills: 0 })
    }

    /// What the register of the tables holds for a view.
    pub fn tables(&self, user: bool) -> u64 {
        self.views[usize::from(user)].table.address() + TABLES_BIAS as u64
    }

    /// The page of `linear` can be accessed as `page` says; RAM is at `ram` in the host's memory.
    pub fn fill(&mut self, user: bool, linear: u32, page: DirectPage, ram: u64) {
        let number = linear >> 12;
        let delta = (ram + page.ram).wrapping_sub(u64::from(number) << 12);
        let view = &mut self.views[usize::from(user)];
        let number = number as usize;
        let read = page.read && view.table.get(number) != delta;
        let write = page.write && view.table.get(ENTRIES + number) != delta;
        // An access may reach into the next line, and the last line's into the next page.
        let free = page.code.map(|lines| !(lines | lines >> 1 | 1 << 63));
        let mixed = free.filter(|free| {
            (view.table.get(2 * ENTRIES + number), view.table.get(3 * ENTRIES + number)) != (delta, *free)
        });
        if !read && !write && mixed.is_none() {
            return;
        }
        view.note(number as u32, page.global);
        if read {
            view.table.set(number, delta);
        }
        if write || mixed.is_some() {
            let places = self.writable.entry(page.ram).or_default();
            if places.len() == ALIASES_MAX {
                for (user, number) in places.drain(..) {
                    self.views[usize::from(user)].protect(number);
                }
            }
            let place = (u8::from(user), number as u32);
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let view = &mut self.views[usize::from(user)];
        if write {
            view.table.set(ENTRIES + number, delta);
        }
        if let Some(free) = mixed {
            view.table.set(2 * ENTRIES + number, delta);
            view.table.set(3 * ENTRIES + number, free);
        }
        self.fills += 1;
    }

    /// Writes to the page of RAM at offset `ram` must be seen from now on.
    pub fn trace(&mut self, ram: u64) {
        for (user, number) in self.writable.remove(&ram).unwrap_or_default() {
            self.views[usize::from(user)].protect(number);
        }
    }

    /// What a view holds: number of the page, offset in RAM, writable, global; RAM is at `ram` in the host's memory.
    pub fn entries(&self, user: bool, ram: u64) -> Vec<(u32, u64, bool, bool)> {
        let view = &self.views[usize::from(user)];
        let entry = |number: u32, global: bool| {
            let (read, write) = (view.table.get(number as usize), view.table.get(ENTRIES + number as usize));
            let offset = read.wrapping_add(u64::from(number) << 12).wrapping_sub(ram);
            (read != 0).then_some((number, offset, write != 0, global))
        };
        let pages = |global: bool| view.filled[usize::from(global)].iter().map(move |n| (n, global));
        pages(false).chain(pages(true)).filter_map(|(number, global)| entry(number, global)).collect()
    }

    /// Forgets the page of `linear`.
    pub fn forget_page(&mut self, linear: u32) {
        for view in &mut self.views {
            view.clear(linear >> 12);
        }
    }

    /// Forgets everything, or what is not global.
    pub fn forget(&mut self, global: bool) {
        for view in &mut self.views {
            for which in 0..=usize::from(global) {
                let mut filled = std::mem::take(&mut view.filled[which]);
                filled.drain(|number| view.clear(number));
                view.filled[which] = filled;
            }
        }
        if global {
            self.writable.clear();
        }
    }
}

impl View {
    /// The page has an entry now.
    fn note(&mut self, number: u32, global: bool) {
        self.filled[usize::from(global)].note(number);
    }

    fn clear(&mut self, number: u32) {
        self.table.set(number as usize, 0);
        self.protect(number);
    }

    /// Writes to the page take the slow path and call out.
    fn protect(&mut self, number: u32) {
        self.table.set(ENTRIES + number as usize, 0);
        self.table.set(2 * ENTRIES + number as usize, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_come_and_go_do_not_add_up() {
        let mut shadow = Shadow::new().expect("memory");
        let page = DirectPage { ram: 0x5000, read: true, write: true, code: None, global: true };
        for n in 0..100_000 {
            shadow.fill(false, 0x1000 * (n % 3), page, 1 << 30);
            shadow.forget_page(0x1000 * (n % 3));
        }
        assert!(shadow.views[0].filled[1].iter().count() < 10_000);
        assert!(shadow.writable.values().all(|places| places.len() <= ALIASES_MAX));
    }
}
