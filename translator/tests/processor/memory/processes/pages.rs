//! What goes on in the operating system: accesses, faults and how they are mended, changes of page tables.

use super::Format;
use super::model::*;
use super::system::*;

/// Attempts of an access, each with a fault that was mended.
const ATTEMPTS: u32 = 8;
/// Regions begin at multiples of this.
const REGION: u32 = 0x40_0000;
/// Bits of an entry that say what is allowed.
const RIGHTS: u64 = ALL | EXECUTE_DISABLE;

impl System {
    fn region(&mut self) -> u32 {
        self.r.pick(&REGIONS[..self.regions as usize])
    }

    /// The first ones are used the most.
    fn page(&mut self) -> u32 {
        PAGES[self.r.below(4).min(self.r.below(4)) as usize]
    }

    /// Rights of a new page.
    fn rights(&mut self) -> u64 {
        let mut rights = self.r.pick(&[ALL, ALL, ALL, ALL, ALL & !WRITABLE, ALL & !USER]);
        if self.model.pae && self.r.one_in(4) {
            rights |= EXECUTE_DISABLE;
        }
        if self.habits.globals && self.r.one_in(4) {
            rights |= GLOBAL;
        }
        rights | self.r.pick(&[0, 0, ACCESSED, ACCESSED | DIRTY])
    }

    /// Makes an access of the present process possible. Gives whether it may be now.
    fn mend(&mut self, fault: PageFault) -> bool {
        let page = fault.linear & !0xFFF;
        if page >= SHARED {
            return !fault.is_of_user() && self.mend_shared(page, fault);
        }
        let region = page - page % REGION;
        self.reclaim();
        let Some(at) = self.directory_of(self.present, page) else { return false };
        if self.model.pae && self.model.pdpte[page as usize >> 30] & PRESENT == 0 {
            self.reload();
        }
        let entry = self.model.entry(at);
        if entry & PRESENT == 0 {
            return self.add_region(at);
        }
        if entry & LARGE != 0 && !(self.model.pae || self.model.pse) {
            self.model.toggle_large_pages();
            return true;
        }
        let large = entry & LARGE != 0;
        let wanted = PRESENT
            | if fault.is_of_write() { WRITABLE } else { 0 }
            | if fault.is_of_user() { USER } else { 0 };
        let allows =
            |entry: u64| entry & wanted == wanted && !(fault.is_of_fetch() && entry & EXECUTE_DISABLE != 0);
        let allowing =
            |entry: u64| (entry | wanted) & if fault.is_of_fetch() { !EXECUTE_DISABLE } else { u64::MAX };
        if !allows(entry) {
            self.model.put_entry(at, allowing(entry));
            if self.r.one_in(2) {
                self.settle_region(region);
            }
            return true;
        }
        let Some(at) = self.page_entry(self.present, page).filter(|_| !large) else { return true };
        let entry = self.model.entry(at);
        if entry & PRESENT == 0 {
            let Some(frame) = self.frame() else { return false };
            let rights = self.rights();
            self.model.put_entry(at, u64::from(frame) | rights);
            return true;
        }
        let frame = (entry & FRAME) as u32;
        if fault.is_of_write() && entry & WRITABLE == 0 && self.mapped.get(&frame).is_some_and(|n| *n > 1) {
            // Copy on write.
            let Some(copy) = self.allocate() else { return false };
            self.model.copy(frame, copy);
            self.mapped.insert(copy, 1);
            self.unmap(frame);
            self.model.put_entry(at, entry & !FRAME | u64::from(copy) | WRITABLE);
            self.settle(&[page]);
            return true;
        }
        self.model.put_entry(at, allowing(entry));
        if self.r.one_in(2) {
            self.settle(&[page]);
        }
        true
    }

    /// A frame for a page: a new one, or one that is mapped already.
    fn frame(&mut self) -> Option<u32> {
        if self.r.one_in(6) && !self.mapped.is_empty() {
            let n = self.r.below(self.mapped.len() as u32) as usize;
            let (frame, count) = self.mapped.iter_mut().nth(n)?;
            *count += 1;
            return Some(*frame);
        }
        self.data()
    }

    /// The entry at `at` of a directory, which is absent, becomes a table or a large page.
    fn add_region(&mut self, at: u32) -> bool {
        let value = if self.habits.large && self.r.one_in(4) {
            let frame = if self.model.pae { self.r.pick(&LARGE_FRAMES) } else { 0 };
            u64::from(frame) | LARGE | self.rights()
        } else {
            let Some(table) = self.table() else { return false };
            u64::from(table) | self.r.pick(&[ALL, ALL, ALL & !WRITABLE])
        };
        self.model.put_entry(at, value);
        true
    }

    fn mend_shared(&mut self, page: u32, fault: PageFault) -> bool {
        if !self.model.pae {
            let at = self.processes[self.present].root + (page >> 22) * 4;
            if self.model.entry(at) & PRESENT == 0 {
                self.model.put_entry(at, u64::from(SHARED_TABLE) | ALL);
                return true;
            }
        }
        let Some(at) = self.page_entry(self.present, page) else { return false };
        let entry = self.model.entry(at);
        if entry & PRESENT == 0 {
            self.reclaim();
            let Some(frame) = self.frame() else { return false };
            let same = self.model.pae || self.habits.eager;
            let global = if same && self.r.one_in(2) { GLOBAL } else { 0 };
            self.model.put_entry(at, u64::from(frame) | PRESENT | WRITABLE | global);
            return true;
        }
        if fault.is_of_write() {
            self.model.put_entry(at, entry | WRITABLE);
        }
        fault.is_of_write()
    }

    fn access(&mut self) {
        let user = !self.r.one_in(self.kernel);
        let shared = !user && self.r.one_in(2);
        let mut region = if shared { SHARED } else { self.region() };
        let mut page = region + self.page();
        if (!user || self.focus.1 < SHARED) && self.r.one_in(3) {
            page = self.focus.1;
            region = page - page % REGION;
        }
        let data = page + self.r.pick(&[0x10, 0x14, 0x7FC, 0x800, 0xFF8]);
        let value = self.r.next() as u32;
        let (access, linear) = match self.r.below(9) {
            0..3 => (Access::Read, data),
            3 | 4 => (Access::Write(value), data),
            5 => (Access::Modify(value), data),
            // What code says there.
            6 => (Access::Write(value), page + CODE + 1),
            7 => (Access::Execute, page + CODE),
            // The last page has none behind it.
            _ => (Access::Execute, region + self.r.pick(&PAGES[..2]) + CROSSING_CODE),
        };
        self.model.begin(user, access, linear);
        // Some faults are meant.
        let lazy = self.r.one_in(6);
        for _ in 0..ATTEMPTS {
            let Err(fault) = self.model.attempt(user, access, linear) else { return };
            if lazy || !self.mend(fault) {
                break;
            }
            self.model.again(access, linear);
        }
        self.model.abandon(user, access);
    }

    /// A page of some process is another one, or has other rights.
    fn change_page(&mut self) {
        let process = self.any_process();
        let region = if self.r.one_in(6) { SHARED } else { self.region() };
        let linear = region + self.page();
        let Some(at) = self.page_entry(process, linear) else { return };
        let entry = self.model.entry(at);
        if entry & PRESENT == 0 {
            return;
        }
        let shared = region == SHARED;
        match self.r.below(8) {
            0 | 1 => {
                self.unmap((entry & FRAME) as u32);
                self.model.put_entry(at, 0);
            }
            2 => {
                let Some(frame) = self.frame() else { return };
                self.unmap((entry & FRAME) as u32);
                self.model.put_entry(at, entry & !FRAME & !(ACCESSED | DIRTY) | u64::from(frame));
            }
            // Which pages were used?
            3 => self.model.put_entry(at, entry & !(ACCESSED | DIRTY)),
            4 => self.model.put_byte(at, (entry & !WRITABLE) as u8),
            _ if shared => self.model.put_entry(at, entry ^ WRITABLE),
            5 => self.model.put_entry(at, entry ^ USER),
            _ => {
                let rights = self.rights();
                self.model.put_entry(at, entry & !(RIGHTS | GLOBAL) | rights & (RIGHTS | GLOBAL));
            }
        }
        self.focus = (self.processes[process].root, linear);
        if self.page_entry(self.present, linear) == Some(at) {
            self.settle_page(linear);
        }
        if self.r.one_in(4) {
            self.model.look(at);
        }
    }

    /// The kernel looks at the entry of a page of the present process: was it used?
    fn look(&mut self) {
        let linear = if self.r.one_in(2) { self.focus.1 } else { self.region() + self.page() };
        if let Some(at) = self.page_entry(self.present, linear) {
            self.model.look(at);
        }
    }

    /// As [`System::settle`]; what all processes share may be global.
    fn settle_page(&mut self, linear: u32) {
        if linear >= SHARED {
            self.model.invalidate(linear);
        } else {
            self.settle(&[linear]);
        }
    }

    /// A region of some process goes, or its directory entry has other rights.
    fn change_region(&mut self) {
        let process = self.any_process();
        let region = self.region();
        let Some(at) = self.directory_entry(process, region) else { return };
        let entry = self.model.entry(at);
        if entry & PRESENT == 0 {
            return;
        }
        match self.r.below(4) {
            0 => self.model.put_entry(at, entry ^ self.r.pick(&[WRITABLE, USER])),
            1 => self.model.put_entry(at, entry & !ACCESSED),
            2 if self.model.pae => self.model.put_entry(at, entry ^ EXECUTE_DISABLE),
            _ => {
                let tidy = process == self.present || self.r.one_in(2);
                self.empty(process, region, tidy);
                if process != self.present && self.r.one_in(2) {
                    // It may be garbage still.
                    self.model.put_entry(at, 0);
                    self.add_region(at);
                } else if process != self.present {
                    self.model.put_entry(at, 0);
                }
            }
        }
        self.focus = (self.processes[process].root, region + self.page());
        if process == self.present {
            self.settle_region(region);
        }
    }

    /// A page directory of the present process goes from its page-directory-pointer table in memory; that holds after
    /// the next load, and only then the frame is free.
    fn drop_directory(&mut self) {
        let which = 1 + self.r.below(2) as usize;
        let process = &mut self.processes[self.present];
        let Some(directory) = process.directories[which].filter(|_| self.model.pae) else { return };
        let (root, at) = (process.root, process.root + 8 * which as u32);
        let regions = REGIONS.into_iter().filter(|region| *region as usize >> 30 == which);
        self.model.put_entry(at, 0);
        for region in regions.clone() {
            for _ in 0..self.r.below(3) {
                self.use_region(region);
            }
        }
        let tidy = self.r.one_in(2);
        for region in regions {
            self.empty(self.present, region, tidy);
            self.focus = (root, region + self.page());
        }
        self.processes[self.present].directories[which] = None;
        self.reload();
        self.free.push(directory);
    }

    /// The present process reads in a region, if it can.
    fn use_region(&mut self, region: u32) {
        let linear = region + self.page() + 0x10;
        self.model.begin(true, Access::Read, linear);
        if self.model.attempt(true, Access::Read, linear).is_err() {
            self.model.abandon(true, Access::Read);
        }
    }

    pub fn step(&mut self, format: Format) {
        self.reclaim();
        match self.r.below(64) {
            0..30 => (0..=self.r.below(3)).for_each(|_| self.access()),
            30..44 => self.switch(),
            44..50 => self.change_page(),
            50 | 51 => self.look(),
            52 | 53 => self.change_region(),
            54..57 => self.fork(),
            57 | 58 => _ = self.begin(),
            59 | 60 if self.processes.len() > 1 => self.end(),
            61 => self.drop_directory(),
            62 if self.habits.control => match self.r.below(3) {
                0 => self.model.toggle_write_protect(),
                1 => self.model.toggle_global_pages(),
                _ => self.model.toggle_large_pages(),
            },
            63 if self.r.one_in(8) => {
                self.model.halt();
                self.halts += 1;
            }
            63 if format == Format::Both && self.r.one_in(8) => self.change_format(),
            _ => {}
        }
    }
}
