//! The operating system that writes scripts: its page frames and its processes.

use super::guest;
use super::model::*;
use crate::kit::place;
use crate::programs::Random;
use std::collections::BTreeMap;

/// The pool of frames.
pub const POOL: u32 = place::PAGING;
pub const FRAMES_MAX: u32 = 32;
/// Page tables of the kernel, which are nobody's: for the first 4 MiB in both formats, for [`SHARED`] in both, the
/// directory that has the latter under PAE paging, and a page of page-directory-pointer tables.
pub const LOW: u32 = POOL + FRAMES_MAX * 0x1000;
pub const LOW_PAE: u32 = LOW + 0x1000;
pub const SHARED_TABLE: u32 = LOW + 0x3000;
pub const SHARED_TABLE_PAE: u32 = LOW + 0x4000;
pub const SHARED_DIRECTORY_PAE: u32 = LOW + 0x5000;
pub const POINTERS: u32 = LOW + 0x6000;
/// Regions of user memory, each what one page table is for.
pub const REGIONS: [u32; 5] = [0x4000_0000, 0x0040_0000, 0xBFC0_0000, 0x4080_0000, 0x0080_0000];
/// Where pages are in a region and, in a large page of the first megabytes, in RAM that nothing else uses.
pub const PAGES: [u32; 4] = [0x18_0000, 0x18_1000, 0x18_2000, 0x1A_0000];
/// RAM that a large page may be.
pub const LARGE_FRAMES: [u32; 2] = [0, 0x20_0000];
/// Processes at a time; as many page-directory-pointer tables.
pub const PROCESSES: usize = 6;
/// Where in a page is code; the second goes on in the next page.
pub const CODE: u32 = 0x100;
pub const CROSSING_CODE: u32 = 0xFFD;
/// Frames that are free before something is begun that takes some, if processes can end for it.
pub const RESERVE: usize = 4;
pub const ALL: u64 = PRESENT | WRITABLE | USER;

#[derive(Debug)]
pub struct Process {
    /// What CR3 gets.
    pub root: u32,
    /// Its page directories; only the first under 32-bit paging, none for [`SHARED`] under PAE paging.
    pub directories: [Option<u32>; 4],
}

/// What may happen in a script, beyond the usual.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// Large pages; INVLPG of one forgets everything here.
    pub large: bool,
    /// Global pages that differ from process to process.
    pub globals: bool,
    /// Control bits change, which forgets everything.
    pub control: bool,
    /// Directories have the shared pages from the beginning, else from the first fault on.
    pub eager: bool,
}

/// Code in a frame: words and where they are.
pub fn code_words(number: u32) -> [(u32, u32); 4] {
    let mut page = [0; 0x1000 + 8];
    let code = guest::code(number);
    page[CODE as usize..][..6].copy_from_slice(&code);
    page[CROSSING_CODE as usize..][..6].copy_from_slice(&code);
    page.copy_within(0x1000.., 0);
    [0, CODE, CODE + 4, 0xFFC].map(|at| {
        let bytes = page[at as usize..][..4].try_into().expect("four bytes");
        (at, u32::from_le_bytes(bytes))
    })
}

pub struct System {
    pub r: Random,
    pub model: Model,
    pub habits: Habits,
    pub free: Vec<u32>,
    /// How often frames of data are mapped.
    pub mapped: BTreeMap<u32, u32>,
    /// How many processes besides the first have a page table.
    pub shared: BTreeMap<u32, u32>,
    /// The root of the process and the page that were changed last.
    pub focus: (u32, u32),
    /// How many of [`REGIONS`] are used.
    pub regions: u32,
    /// One access in so many is the kernel's.
    pub kernel: u32,
    pub processes: Vec<Process>,
    pub present: usize,
    pub halts: u32,
    /// What code in new frames says.
    pub number: u32,
}

impl System {
    /// Processes end until some frames are free.
    pub fn reclaim(&mut self) {
        while self.free.len() < RESERVE && self.processes.len() > 1 {
            self.end();
        }
    }

    pub fn allocate(&mut self) -> Option<u32> {
        // What was given back last is warm.
        if self.r.one_in(2) {
            return self.free.pop();
        }
        let free = self.free.len() as u32;
        (free > 0).then(|| self.free.swap_remove(self.r.below(free) as usize))
    }

    /// A frame for a table.
    pub fn table(&mut self) -> Option<u32> {
        let frame = self.allocate()?;
        self.model.zero(frame);
        Some(frame)
    }

    /// A frame of data with code, mapped once.
    pub fn data(&mut self) -> Option<u32> {
        let frame = self.allocate()?;
        if self.r.one_in(2) {
            self.model.zero(frame);
        }
        self.number += 1;
        code_words(self.number).into_iter().for_each(|(at, word)| self.model.put(frame + at, word));
        self.mapped.insert(frame, 1);
        Some(frame)
    }

    pub fn unmap(&mut self, frame: u32) {
        if let Some(count) = self.mapped.get_mut(&frame) {
            *count -= 1;
            if *count == 0 {
                self.mapped.remove(&frame);
                self.free.push(frame);
            }
        }
    }

    /// Where the directory entry for `linear` is, if there is a directory.
    pub fn directory_entry(&self, process: usize, linear: u32) -> Option<u32> {
        let which = if self.model.pae { linear as usize >> 30 } else { 0 };
        let (shift, size) = (self.model.shift(), self.model.entry_size());
        Some(self.processes[process].directories[which]? + (linear >> shift) % (4096 / size) * size)
    }

    /// Where the page's entry is, if there is a table.
    pub fn page_entry(&self, process: usize, linear: u32) -> Option<u32> {
        let size = self.model.entry_size();
        let table = if linear >= SHARED {
            if self.model.pae { SHARED_TABLE_PAE } else { SHARED_TABLE }
        } else {
            let entry = self.model.entry(self.directory_entry(process, linear)?);
            if entry & PRESENT == 0 || entry & LARGE != 0 {
                return None;
            }
            (entry & FRAME) as u32
        };
        Some(table + (linear >> 12) % (4096 / size) * size)
    }

    /// A new process with nothing of its own; its place.
    pub fn begin(&mut self) -> Option<usize> {
        if self.processes.len() == PROCESSES {
            return None;
        }
        let directory = self.table()?;
        let model = &mut self.model;
        let mut directories = [None; 4];
        directories[0] = Some(directory);
        let root = if model.pae {
            for n in 0..2 {
                model.put_entry(directory + 8 * n, u64::from(LOW_PAE + n * 0x1000) | ALL | ACCESSED);
            }
            let used = |root: u32| self.processes.iter().any(|p| p.root == root);
            let root = (0..).map(|n| POINTERS + 32 * n).find(|root| !used(*root))?;
            for (n, entry) in (0..).zip([directory, 0, 0, SHARED_DIRECTORY_PAE]) {
                model.put_entry(root + 8 * n, u64::from(entry) | u64::from(entry != 0));
            }
            root
        } else {
            model.put_entry(directory, u64::from(LOW) | ALL | ACCESSED);
            if self.habits.eager {
                // Where a global translation is known, no walk marks the entry.
                let entry = u64::from(SHARED_TABLE) | ALL | ACCESSED;
                model.put_entry(directory + (SHARED >> 22) * 4, entry);
            }
            directory
        };
        self.processes.push(Process { root, directories });
        Some(self.processes.len() - 1)
    }

    pub fn any_process(&mut self) -> usize {
        if self.r.one_in(2) { self.present } else { self.r.below(self.processes.len() as u32) as usize }
    }

    pub fn switch(&mut self) {
        let focused = self.processes.iter().position(|p| p.root == self.focus.0);
        self.present = match focused {
            Some(n) if self.r.one_in(3) => n,
            _ => self.r.below(self.processes.len() as u32) as usize,
        };
        self.reload();
    }

    pub fn reload(&mut self) {
        self.model.load(self.processes[self.present].root);
    }

    /// A process that is not the present one ends; its frames are free.
    pub fn end(&mut self) {
        let n = (self.present + 1 + self.r.below(self.processes.len() as u32 - 1) as usize)
            % self.processes.len();
        for region in REGIONS {
            let tidy = self.r.one_in(2);
            self.empty(n, region, tidy);
        }
        let process = self.processes.swap_remove(n);
        self.free.extend(process.directories.into_iter().flatten());
        if self.present == self.processes.len() {
            self.present = n;
        }
    }

    /// What a process has in a region it no longer has; entries say so if `tidy`. The present one's must be settled.
    pub fn empty(&mut self, process: usize, region: u32, tidy: bool) {
        let Some(at) = self.directory_entry(process, region) else { return };
        let entry = self.model.entry(at);
        if entry & PRESENT == 0 {
            return;
        }
        let table = (entry & FRAME) as u32;
        if entry & LARGE != 0 {
            // It is no frame of the pool.
        } else if let Some(others) = self.shared.get_mut(&table) {
            *others -= 1;
            if *others == 0 {
                self.shared.remove(&table);
            }
        } else {
            for page in PAGES {
                let Some(at) = self.page_entry(process, region + page) else { continue };
                let entry = self.model.entry(at);
                if entry & PRESENT != 0 {
                    self.unmap((entry & FRAME) as u32);
                    if tidy {
                        self.model.put_entry(at, 0);
                    }
                }
            }
            self.free.push(table);
        }
        if tidy {
            self.model.put_entry(at, 0);
        }
    }

    /// What makes a change of `pages` in the present process hold.
    pub fn settle(&mut self, pages: &[u32]) {
        if self.r.one_in(2) {
            pages.iter().for_each(|page| self.model.invalidate(*page));
        } else {
            self.reload();
        }
    }

    pub fn settle_region(&mut self, region: u32) {
        self.settle(&PAGES.map(|page| region + page));
    }

    /// The present process gets a copy of itself, and both their pages are copied when they are written.
    pub fn fork(&mut self) {
        let Some(child) = self.begin() else { return };
        for region in REGIONS {
            let Some(from) = self.directory_entry(self.present, region) else { continue };
            let entry = self.model.entry(from);
            if entry & PRESENT == 0 || self.free.len() < 3 {
                continue;
            }
            let Some(to) = self.directory_of(child, region) else { continue };
            if entry & LARGE != 0 {
                self.model.put_entry(to, entry);
                continue;
            }
            if self.r.one_in(3) {
                // Memory that both have.
                *self.shared.entry((entry & FRAME) as u32).or_default() += 1;
                self.model.put_entry(to, entry);
                continue;
            }
            let Some(table) = self.allocate() else { continue };
            self.model.copy((entry & FRAME) as u32, table);
            self.model.put_entry(to, entry & !FRAME | u64::from(table));
            for page in PAGES {
                let places = [self.present, child].map(|n| self.page_entry(n, region + page));
                for at in places.into_iter().flatten() {
                    let entry = self.model.entry(at);
                    if entry & (PRESENT | WRITABLE) == PRESENT | WRITABLE {
                        self.model.put_entry(at, entry & !WRITABLE);
                    }
                }
                let frame = places[1].map(|at| self.model.entry(at)).filter(|entry| entry & PRESENT != 0);
                if let Some(count) = frame.and_then(|entry| self.mapped.get_mut(&((entry & FRAME) as u32))) {
                    *count += 1;
                }
            }
        }
        self.reload();
    }

    /// Where the directory entry for `linear` is; makes a directory if there is none.
    pub fn directory_of(&mut self, process: usize, linear: u32) -> Option<u32> {
        let which = linear as usize >> 30;
        if self.model.pae && self.processes[process].directories[which].is_none() {
            let directory = self.table()?;
            self.processes[process].directories[which] = Some(directory);
            let at = self.processes[process].root + 8 * which as u32;
            self.model.put_entry(at, u64::from(directory) | PRESENT);
        }
        self.directory_entry(process, linear)
    }

    /// All processes end, and page tables have the other format from now on.
    pub fn change_format(&mut self) {
        while self.processes.len() > 1 {
            self.end();
        }
        for region in REGIONS {
            self.empty(0, region, true);
        }
        // Paging is off for a moment: what it went by may be written over already.
        let old: Vec<u32> = self.processes[0].directories.into_iter().flatten().collect();
        self.release_shared();
        self.model.pae = !self.model.pae;
        self.processes.clear();
        let made = self.begin();
        let root = self.processes[made.expect("there are frames")].root;
        self.model.pae = !self.model.pae;
        self.model.change_paging(root);
        self.present = 0;
        self.free.extend(old);
    }

    /// What all processes share is unmapped.
    pub fn release_shared(&mut self) {
        for page in PAGES {
            let Some(at) = self.page_entry(self.present, SHARED + page) else { continue };
            let entry = self.model.entry(at);
            if entry & PRESENT != 0 {
                self.unmap((entry & FRAME) as u32);
                self.model.put_entry(at, 0);
            }
        }
    }
}
