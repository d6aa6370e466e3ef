//! Which pages of RAM may have been written since a checkpoint: what a snapshot has to put back.
//!
//! A page that was not written yet is traced as a page with code is: its translations for writes take the slow path.
//! There the first write is noted, and the later ones are fast again. While nobody asks, nothing is traced.

/// Pages that one word tells of.
const BITS: u64 = 64;

/// See the module's description. Pages are numbers: offsets in the RAM slice, divided by 4096.
#[derive(Debug, Default)]
pub struct WriteLog {
    /// One bit per page, set while it is clean. Empty while writes are not tracked.
    clean: Vec<u64>,
    /// The pages that are not, in the order of their first writes.
    written: Vec<u32>,
}

impl WriteLog {
    /// All of `pages` pages are clean from now on.
    pub fn begin(&mut self, pages: usize) {
        self.clean = vec![u64::MAX; pages.div_ceil(BITS as usize)];
        let rest = pages as u64 % BITS;
        if let Some(last) = self.clean.last_mut().filter(|_| rest != 0) {
            *last = (1 << rest) - 1;
        }
        self.written.clear();
    }

    /// All pages are clean again.
    pub fn begin_again(&mut self) {
        for page in self.written.drain(..) {
            self.clean[page as usize / BITS as usize] |= 1 << (u64::from(page) % BITS);
        }
    }

    /// Writes are not tracked any longer.
    pub fn end(&mut self) {
        *self = WriteLog::default();
    }

    /// Whether writes are tracked.
    #[inline]
    pub fn is_on(&self) -> bool {
        !self.clean.is_empty()
    }

    /// Whether the first write to the page at `offset` is still to be noted.
    #[inline]
    pub fn is_clean(&self, offset: u64) -> bool {
        let page = offset >> 12;
        self.clean.get((page / BITS) as usize).is_some_and(|word| word >> (page % BITS) & 1 != 0)
    }

    /// The page at `offset` is written, or may be soon.
    #[inline]
    pub fn note(&mut self, offset: u64) {
        if self.is_clean(offset) {
            self.note_first(offset >> 12);
        }
    }

    #[cold]
    fn note_first(&mut self, page: u64) {
        self.clean[(page / BITS) as usize] &= !(1 << (page % BITS));
        self.written.push(page as u32);
    }

    /// As [`WriteLog::note`], for `len` bytes.
    pub fn note_range(&mut self, offset: u64, len: u64) {
        if self.is_on() && len > 0 {
            let end = offset.saturating_add(len).min((self.clean.len() as u64 * BITS) << 12);
            (offset & !0xFFF..end).step_by(4096).for_each(|page| self.note(page));
        }
    }

    /// The pages that may have been written.
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
        assert!(!log.is_on() && !log.is_clean(0x5000) && log.written().is_empty());
        log.begin(100);
        log.note(0x5FFF);
        log.note(0x5000);
        log.note_range(0x3_FFFF, 2);
        log.note_range(0x1000, 0);
        log.note_range(u64::MAX - 1, u64::MAX);
        log.note(100 << 12);
        assert_eq!(log.written(), [5, 0x3F, 0x40]);
        assert!(log.is_clean(0x6000) && !log.is_clean(0x4_0FFF));
        log.begin_again();
        assert!(log.written().is_empty() && log.is_clean(0x5000) && log.is_clean(0x4_0000));
        log.end();
        assert!(!log.is_on());
    }
}
