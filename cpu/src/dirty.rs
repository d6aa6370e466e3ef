//! Which pages of RAM are about to be written for the first time since somebody asked.
//!
//! Two ask: snapshots, for what has to be put back, about all pages since a checkpoint; and who keeps translations
//! ([`crate::mmu::spaces`]), about pages that hold page tables. Such a page is traced as a page with code is: its
//! translations for writes take the slow path. There the first write is noted, and the later ones are fast again. While
//! nobody asks, nothing is traced.

/// Pages that one word tells of.
const BITS: u64 = 64;

/// A set of pages. It ends with the last one that was ever in it.
#[derive(Debug, Default)]
struct Pages(Vec<u64>);

impl Pages {
    /// The first `count` pages.
    fn first(count: usize) -> Self {
        let mut words = vec![u64::MAX; count.div_ceil(BITS as usize)];
        let rest = count as u64 % BITS;
        if let Some(last) = words.last_mut().filter(|_| rest != 0) {
            *last = (1 << rest) - 1;
        }
        Pages(words)
    }

    #[inline]
    fn has(&self, page: u64) -> bool {
        self.0.get((page / BITS) as usize).is_some_and(|word| word >> (page % BITS) & 1 != 0)
    }

    fn add(&mut self, page: u32) {
        let index = page as usize / BITS as usize;
        if index >= self.0.len() {
            self.0.resize(index + 1, 0);
        }
        self.0[index] |= 1 << (u64::from(page) % BITS);
    }

    /// Gives whether it was there.
    fn remove(&mut self, page: u32) -> bool {
        let there = self.has(page.into());
        if there {
            self.0[page as usize / BITS as usize] &= !(1 << (u64::from(page) % BITS));
        }
        there
    }

    /// The number of pages behind the last one that can be in it.
    fn end(&self) -> u64 {
        self.0.len() as u64 * BITS
    }
}

/// See the module's description. Pages are numbers: offsets in the RAM slice, divided by 4096.
#[derive(Debug, Default)]
pub struct WriteLog {
    /// Those whose first write is to be noted, for whomever.
    awaited: Pages,
    /// Those that were not written since the checkpoint. Empty while writes are not tracked.
    clean: Pages,
    /// Those that were, in the order of their first writes.
    written: Vec<u32>,
    /// Those that hold page tables as they were when they were armed.
    armed: Pages,
    /// Those that were armed, and written since.
    disarmed: Vec<u32>,
}

impl WriteLog {
    /// All of `pages` pages are clean from now on.
    pub fn begin(&mut self, pages: usize) {
        self.clean = Pages::first(pages);
        self.written.clear();
        if self.awaited.0.len() < self.clean.0.len() {
            self.awaited.0.resize(self.clean.0.len(), 0);
        }
        self.awaited.0.iter_mut().zip(&self.clean.0).for_each(|(all, clean)| *all |= clean);
    }

    /// All pages are clean again.
    pub fn begin_again(&mut self) {
        for page in self.written.drain(..) {
            self.clean.add(page);
            self.awaited.add(page);
        }
    }

    /// Writes are not tracked any longer.
    pub fn end(&mut self) {
        self.clean = Pages::default();
        self.written = Vec::new();
        self.awaited.0.clone_from(&self.armed.0);
    }

    /// Whether writes are tracked.
    #[inline]
    pub fn is_on(&self) -> bool {
        !self.clean.0.is_empty()
    }

    /// The next write to `page`, a page table's, is to be noted.
    pub fn arm(&mut self, page: u32) {
        self.armed.add(page);
        self.awaited.add(page);
    }

    /// Nobody asks about `page` as a page table's any longer.
    pub fn disarm(&mut self, page: u32) {
        if self.armed.remove(page) && !self.clean.has(page.into()) {
            self.awaited.remove(page);
        }
    }

    /// Takes a page that was armed and is written, or may be soon.
    pub fn take_disarmed(&mut self) -> Option<u32> {
        self.disarmed.pop()
    }

    /// Whether the first write to the page at `offset` is still to be noted.
    #[inline]
    pub fn is_awaited(&self, offset: u64) -> bool {
        self.awaited.has(offset >> 12)
    }

    /// The page at `offset` is written, or may be soon.
    #[inline]
    pub fn note(&mut self, offset: u64) {
        if self.is_awaited(offset) {
            self.note_first((offset >> 12) as u32);
        }
    }

    #[cold]
    fn note_first(&mut self, page: u32) {
        self.awaited.remove(page);
        if self.clean.remove(page) {
            self.written.push(page);
        }
        if self.armed.remove(page) {
            self.disarmed.push(page);
        }
    }

    /// The page at `offset` is written by who keeps its page table: that is to be known for the checkpoint only.
    pub fn note_own(&mut self, offset: u64) {
        let page = (offset >> 12) as u32;
        if self.clean.remove(page) {
            self.written.push(page);
            if !self.armed.has(page.into()) {
                self.awaited.remove(page);
            }
        }
    }

    /// As [`WriteLog::note`], for `len` bytes.
    pub fn note_range(&mut self, offset: u64, len: u64) {
        if len > 0 {
            let end = offset.saturating_add(len).min(self.awaited.end() << 12);
            (offset & !0xFFF..end).step_by(4096).for_each(|page| self.note(page));
        }
    }

    /// The pages that may have been written since the checkpoint.
    pub fn written(&self) -> &[u32] {
        &self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_is_noted_once_until_all_are_clean_again() {
        let mut log = WriteLog::default();
        log.note(0x5000);
        assert!(!log.is_on() && !log.is_awaited(0x5000) && log.written().is_empty());
        log.begin(100);
        log.note(0x5FFF);
        log.note(0x5000);
        log.note_range(0x3_FFFF, 2);
        log.note_range(0x1000, 0);
        log.note_range(u64::MAX - 1, u64::MAX);
        log.note(100 << 12);
        assert_eq!(log.written(), [5, 0x3F, 0x40]);
        assert!(log.is_awaited(0x6000) && !log.is_awaited(0x4_0FFF));
        log.begin_again();
        assert!(log.written().is_empty() && log.is_awaited(0x5000) && log.is_awaited(0x4_0000));
        log.end();
        assert!(!log.is_on());
    }

    #[test]
    fn who_asks_about_a_page_table_and_who_asks_since_a_checkpoint_are_told_apart() {
        let mut log = WriteLog::default();
        log.arm(5);
        assert!(!log.is_on() && log.is_awaited(0x5000) && !log.is_awaited(0x6000));
        log.begin(8);
        log.note_own(0x5008);
        assert_eq!((log.written(), log.is_awaited(0x5000)), (&[5][..], true));
        log.note_range(0x4FFF, 2);
        assert_eq!((log.written(), log.is_awaited(0x5000)), (&[5, 4][..], false));
        assert_eq!((log.take_disarmed(), log.take_disarmed()), (Some(5), None));
        log.arm(5);
        log.arm(6);
        log.end();
        assert!(log.is_awaited(0x5000) && log.is_awaited(0x6000) && !log.is_awaited(0x7000));
        log.begin(8);
        log.disarm(6);
        log.disarm(5);
        log.end();
        assert!(!log.is_awaited(0x5000) && !log.is_awaited(0x6000));
    }
}
