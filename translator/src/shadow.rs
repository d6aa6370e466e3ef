//! Shadow page tables, tier M0: for each privilege view two flat arrays from the guest's linear page to where the page
//! lies in the host's memory.
//!
//! An entry is the distance from a guest linear address to its host address, or zero: then the access takes the slow
//! path. The array for writes is the universal tracer: an entry is there only if nobody wants to know of writes to the
//! page. Two more arrays serve writes beside code: where the page lies, and which of its lines of 64 bytes are free of
//! it; the slow path looks there before it calls out. Accesses that cross a page form an index with bit 20 set, where
//! no entry ever is.
//!
//! Users have tables for each address space that the processor keeps ([`idem86_cpu::mmu::spaces`]), and for all others
//! together; a load of CR3 changes which are the present ones. The supervisor has one set, since most of a kernel is
//! global: what is not is put aside with the space that is left.

use crate::host::sparse::SparseTable;
use crate::noted::{NotedPages, forget_range};
use idem86_cpu::engine::DirectPage;
use idem86_cpu::icache::KeyHasher;
use idem86_cpu::mmu::spaces::KEPT_MAX;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::io;

/// Pages of a linear address space.
const PAGES: usize = 1 << 20;
/// As many entries, and as many again that are never set.
const ENTRIES: usize = 2 * PAGES;
/// Pages whose entries share a page of the host's.
const REGION: usize = 512;
/// Regions of a set of tables whose memory is kept for the next space, at most: 4 MiB.
const REGIONS_MAX: u32 = 256;
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

/// Entries of the supervisor's that are put aside with a space, at most: a kernel without global pages finds its own
/// again.
const ASIDE_MAX: usize = 128;
/// The supervisor's set of tables.
const SUPERVISOR: usize = 0;
/// The users' set for spaces that are not kept; those of the spaces that are follow.
const ANY_USER: usize = 1;
/// Sets of tables.
const SETS: usize = ANY_USER + 1 + KEPT_MAX;

/// Where the table for reads has the entry of the page of `linear`, in bytes.
pub fn read_entry(linear: u32) -> u64 {
    u64::from(linear >> 12) * 8
}

/// Places at which a page of RAM can be written directly, at most: more are found again when they are used.
const ALIASES_MAX: usize = 16;

/// The tables of one view in one space.
#[derive(Debug)]
struct Tables {
    table: SparseTable<u64>,
    /// Pages with an entry that is not global, and with one that is; some may have none any longer.
    filled: [NotedPages; 2],
    /// One bit for each [`REGION`]: there was an entry.
    regions: [u64; PAGES / REGION / 64],
}

/// What the tables of a set say of a page: an entry of each.
type Entries = [u64; 4];
/// What was put aside, by page; a few pages, so that it does no harm if a guest chooses them badly.
type Aside = HashMap<u32, Entries, BuildHasherDefault<KeyHasher>>;

/// The tables of all views.
#[derive(Debug)]
pub struct Shadow {
    /// [`SUPERVISOR`], [`ANY_USER`], and those of the spaces that are kept, as soon as they are needed.
    sets: [Option<Tables>; SETS],
    /// What was put aside of the supervisor's with each space, by page.
    aside: [Aside; KEPT_MAX],
    /// The present space, if it is kept.
    space: Option<u8>,
    /// Where in linear memory pages of RAM can be written: set of tables and page. What was put aside counts as the
    /// supervisor's.
    writable: HashMap<u64, Vec<(u8, u32)>>,
    /// Entries made.
    pub fills: u64,
    /// How often the users' tables became other ones, or may have.
    pub switched: u64,
}

/// The users' set for a space that is kept.
fn users(space: u8) -> usize {
    ANY_USER + 1 + usize::from(space)
}

impl Shadow {
    /// Empty tables.
    pub fn new() -> io::Result<Self> {
        let mut sets = [const { None }; SETS];
        sets[SUPERVISOR] = Some(Tables::new()?);
        sets[ANY_USER] = Some(Tables::new()?);
        Ok(Shadow {
            sets,
            aside: Default::default(),
            space: None,
            writable: HashMap::new(),
            fills: 0,
            switched: 0,
        })
    }

    /// The present space, if it is kept.
    pub fn space(&self) -> Option<u8> {
        self.space
    }

    /// The set that a view uses now.
    fn present(&self, user: bool) -> usize {
        match self.space.map(users).filter(|set| self.sets[*set].is_some()) {
            _ if !user => SUPERVISOR,
            Some(set) => set,
            None => ANY_USER,
        }
    }

    fn view(&self, user: bool) -> &Tables {
        self.sets[self.present(user)].as_ref().expect("what is present is there")
    }

    /// What the register of the tables holds for a view.
    pub fn tables(&self, user: bool) -> u64 {
        self.view(user).table.address() + TABLES_BIAS as u64
    }

    /// The page of `linear` can be accessed as `page` says; RAM is at `ram` in the host's memory.
    pub fn fill(&mut self, user: bool, linear: u32, page: DirectPage, ram: u64) {
        let number = linear >> 12;
        let delta = (ram + page.ram).wrapping_sub(u64::from(number) << 12);
        let set = self.present(user);
        let Some(tables) = &self.sets[set] else { return };
        let read = page.read && tables.entry(0, number) != delta;
        let write = page.write && tables.entry(1, number) != delta;
        // An access may reach into the next line, and the last line's into the next page.
        let free = page.code.map(|lines| !(lines | lines >> 1 | 1 << 63));
        let mixed = free.filter(|free| (tables.entry(2, number), tables.entry(3, number)) != (delta, *free));
        if !read && !write && mixed.is_none() {
            return;
        }
        if write || mixed.is_some() {
            let place = (set as u8, number);
            if self.writable.get(&page.ram).is_some_and(|places| places.len() == ALIASES_MAX) {
                self.trace(page.ram);
            }
            let places = self.writable.entry(page.ram).or_default();
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let of = |there: bool| if there { delta } else { 0 };
        let entries = [of(read), of(write), of(mixed.is_some()), mixed.unwrap_or(0)];
        if let Some(tables) = &mut self.sets[set] {
            tables.put(number, entries, page.global);
        }
        self.fills += 1;
    }

    /// Writes to the page of RAM at offset `ram` must be seen from now on.
    pub fn trace(&mut self, ram: u64) {
        for (set, number) in self.writable.remove(&ram).unwrap_or_default() {
            if let Some(tables) = &mut self.sets[usize::from(set)] {
                tables.protect(number);
            }
            if usize::from(set) == SUPERVISOR {
                for entries in self.aside.iter_mut().filter_map(|aside| aside.get_mut(&number)) {
                    (entries[1], entries[2]) = (0, 0);
                }
            }
        }
    }

    /// What a view holds: number of the page, offset in RAM, writable, global; RAM is at `ram` in the host's memory.
    pub fn entries(&self, user: bool, ram: u64) -> Vec<(u32, u64, bool, bool)> {
        let tables = self.view(user);
        let entry = |number: u32, global: bool| {
            let [read, write, ..] = tables.get(number);
            let offset = read.wrapping_add(u64::from(number) << 12).wrapping_sub(ram);
            (read != 0).then_some((number, offset, write != 0, global))
        };
        let pages = |global: bool| tables.filled[usize::from(global)].iter().map(move |n| (n, global));
        pages(false).chain(pages(true)).filter_map(|(number, global)| entry(number, global)).collect()
    }

    /// Forgets the page of `linear`, whatever the space.
    pub fn forget_page(&mut self, linear: u32) {
        self.sets.iter_mut().flatten().for_each(|tables| tables.clear(linear >> 12));
        let aside = self.aside.iter_mut().filter(|aside| !aside.is_empty());
        aside.for_each(|aside| _ = aside.remove(&(linear >> 12)));
    }

    /// Forgets everything, whatever the space.
    pub fn forget_all(&mut self) {
        self.sets.iter_mut().flatten().for_each(|tables| tables.forget(true));
        self.aside.iter_mut().for_each(Aside::clear);
        self.writable.clear();
    }

    /// Forgets everything. The present space is not kept.
    pub fn begin_anew(&mut self) {
        self.forget_all();
        self.space = None;
        self.switched += 1;
    }

    /// Goes on in another space, or in the same if it is not kept. What is not global holds no longer, but what was put
    /// aside when `space` was left does again.
    pub fn enter(&mut self, space: Option<u8>) {
        if space.is_some() && space == self.space {
            return;
        }
        self.leave(true);
        self.space = space;
        self.switched += 1;
        let Some(space) = space else { return };
        if self.sets[users(space)].is_none() {
            // Where the host has no room the space is like any other.
            self.sets[users(space)] = Tables::new().ok();
        }
        let Some(supervisor) = &mut self.sets[SUPERVISOR] else { return };
        for (number, entries) in self.aside[usize::from(space)].drain() {
            if supervisor.get(number)[..3] == [0; 3] {
                supervisor.put(number, entries, false);
            }
        }
    }

    /// Forgets what is not global of the tables that the present space does not have for itself; what is the
    /// supervisor's is put aside if `puts_aside` says so.
    fn leave(&mut self, puts_aside: bool) {
        let space = self.space.filter(|_| puts_aside);
        if let Some(supervisor) = &mut self.sets[SUPERVISOR] {
            let mut aside = space.map(|space| &mut self.aside[usize::from(space)]);
            supervisor.filled_drain(false, |tables, number| {
                if let Some(aside) = aside.as_mut().filter(|aside| aside.len() < ASIDE_MAX) {
                    let entries = tables.get(number);
                    if entries[..3] != [0; 3] {
                        aside.insert(number, entries);
                    }
                }
                tables.clear(number);
            });
        }
        if let Some(tables) = &mut self.sets[ANY_USER] {
            tables.forget(false);
        }
    }

    /// In `space` the pages from number `first` to `last` are other ones.
    pub fn drop_pages(&mut self, space: u8, first: u32, last: u32) {
        forget_range(&mut self.aside[usize::from(space)], first, last);
        let own = [users(space), SUPERVISOR, ANY_USER];
        let affected = if self.space == Some(space) { &own[..] } else { &own[..1] };
        for set in affected {
            self.sets[*set].iter_mut().for_each(|tables| tables.clear_range(first, last));
        }
    }

    /// `space` is not kept any longer. If it is the present one, it goes on as any other.
    pub fn drop_space(&mut self, space: u8) {
        self.switched += 1;
        if self.space == Some(space) {
            self.leave(false);
            self.space = None;
        }
        self.aside[usize::from(space)].clear();
        let set = &mut self.sets[users(space)];
        match set {
            // Its memory is the host's again.
            Some(tables) if tables.regions() > REGIONS_MAX => *set = None,
            Some(tables) => tables.forget(true),
            None => {}
        }
    }
}

impl Tables {
    fn new() -> io::Result<Self> {
        Ok(Tables {
            table: SparseTable::new(4 * ENTRIES)?,
            filled: Default::default(),
            regions: [0; PAGES / REGION / 64],
        })
    }

    /// What table `n` says of a page.
    fn entry(&self, n: usize, number: u32) -> u64 {
        self.table.get(n * ENTRIES + number as usize)
    }

    fn get(&self, number: u32) -> Entries {
        std::array::from_fn(|n| self.entry(n, number))
    }

    /// The page has those of these entries that are not 0 from now on.
    fn put(&mut self, number: u32, entries: Entries, global: bool) {
        for (n, new) in entries.into_iter().enumerate() {
            // Which lines are free counts with where the page lies, be it none.
            if new != 0 || n == 3 && entries[2] != 0 {
                self.table.set(n * ENTRIES + number as usize, new);
            }
        }
        self.filled[usize::from(global)].note(number);
        let region = number as usize / REGION;
        self.regions[region / 64] |= 1 << (region % 64);
    }

    /// In how many regions of its linear memory there was an entry.
    fn regions(&self) -> u32 {
        self.regions.iter().map(|word| word.count_ones()).sum()
    }

    fn clear(&mut self, number: u32) {
        for n in 0..3 {
            let at = n * ENTRIES + number as usize;
            if self.table.get(at) != 0 {
                self.table.set(at, 0);
            }
        }
    }

    fn clear_range(&mut self, first: u32, last: u32) {
        let noted = self.filled.each_ref().map(|filled| filled.len_among(first, last));
        if ((last - first) as usize) < noted[0] + noted[1] {
            (first..=last).for_each(|number| self.clear(number));
            return;
        }
        for which in (0..2).filter(|which| noted[*which] != 0) {
            let filled = std::mem::take(&mut self.filled[which]);
            filled.iter().filter(|n| (first..=last).contains(n)).for_each(|number| self.clear(number));
            self.filled[which] = filled;
        }
    }

    /// Writes to the page take the slow path and call out.
    fn protect(&mut self, number: u32) {
        for n in 1..3 {
            self.table.set(n * ENTRIES + number as usize, 0);
        }
    }

    /// Forgets everything, or what is not global.
    fn forget(&mut self, global: bool) {
        for which in 0..=usize::from(global) {
            self.filled_drain(which != 0, Tables::clear);
        }
    }

    /// Tells `each` of the pages that have entries, global ones or others, the newest first; they are no longer noted.
    fn filled_drain(&mut self, global: bool, mut each: impl FnMut(&mut Self, u32)) {
        let mut filled = std::mem::take(&mut self.filled[usize::from(global)]);
        filled.drain(|number| each(self, number));
        self.filled[usize::from(global)] = filled;
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
        assert!(shadow.view(false).filled[1].iter().count() < 10_000);
        assert!(shadow.writable.values().all(|places| places.len() <= ALIASES_MAX));
    }
}
