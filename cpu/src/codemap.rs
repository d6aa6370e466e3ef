//! Which lines of RAM hold decoded code, and which of them were written since.
//!
//! The block cache is not touched while one of its blocks runs; writes to code are queued here and the run loop
//! takes them out at the next instruction boundary.

/// Bytes per line: a page has 64 of them, one bit each.
const LINE: u64 = 64;

/// A page of RAM with the lines on it that were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirtyCode {
    /// Offset of the page in the RAM slice, divided by 4096.
    pub page: usize,
    /// One bit per line.
    pub lines: u64,
}

/// See the module's description.
#[derive(Debug, Default)]
pub struct CodeMap {
    /// Per RAM page, the lines that decoded code lies on.
    lines: Vec<u64>,
    dirty: Vec<DirtyCode>,
    clear: bool,
}

impl CodeMap {
    /// Whether code was decoded from the RAM page at `offset`.
    #[inline]
    pub fn traces(&self, offset: u64) -> bool {
        self.lines.get((offset >> 12) as usize).is_some_and(|l| *l != 0)
    }

    /// Code was decoded from `len` bytes at `offset`, all on one page. Returns whether the page is new.
    pub fn decoded(&mut self, offset: u64, len: usize) -> bool {
        let page = (offset >> 12) as usize;
        if page >= self.lines.len() {
            self.lines.resize(page + 1, 0);
        }
        let new = self.lines[page] == 0;
        self.lines[page] |= mask(offset, len as u64);
        new
    }

    /// `size` bytes at `offset`, all on one page, were written. Returns whether that hit code.
    #[inline]
    pub fn written(&mut self, offset: u64, size: usize) -> bool {
        let page = (offset >> 12) as usize;
        let hit = match self.lines.get(page) {
            Some(lines) => lines & mask(offset, size as u64),
            None => 0,
        };
        if hit != 0 {
            match self.dirty.last_mut() {
                Some(d) if d.page == page => d.lines |= hit,
                _ => self.dirty.push(DirtyCode { page, lines: hit }),
            }
        }
        hit != 0
    }

    /// As [`CodeMap::written`], over any number of pages.
    pub fn written_range(&mut self, offset: u64, len: u64) -> bool {
        let mut hit = false;
        let end = offset.saturating_add(len).min((self.lines.len() as u64) << 12);
        let mut at = offset;
        while at < end {
            let stop = end.min((at | 0xFFF) + 1);
            hit |= self.written(at, (stop - at) as usize);
            at = stop;
        }
        hit
    }

    /// All code is to be forgotten.
    pub fn request_clear(&mut self) {
        self.clear = true;
    }

    /// Whether the run loop has something to take out.
    #[inline]
    pub fn is_dirty(&self) -> bool {
        self.clear || !self.dirty.is_empty()
    }

    /// Takes the request to forget everything.
    pub fn take_clear(&mut self) -> bool {
        let clear = std::mem::take(&mut self.clear);
        if clear {
            self.lines.clear();
            self.dirty.clear();
        }
        clear
    }

    /// Takes one written page.
    pub fn take_dirty(&mut self) -> Option<DirtyCode> {
        self.dirty.pop()
    }

    /// After blocks were dropped, `lines` is what still holds code on `page`.
    pub fn retain(&mut self, page: usize, lines: u64) {
        if let Some(l) = self.lines.get_mut(page) {
            *l = lines;
        }
    }
}

/// The lines that `len` bytes at `offset` touch; they lie on one page.
pub fn mask(offset: u64, len: u64) -> u64 {
    let first = offset % 4096 / LINE;
    let last = (offset % 4096 + len.max(1) - 1) / LINE;
    (u64::MAX << first) & (u64::MAX >> (63 - last.min(63)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_range() {
        assert_eq!(mask(0, 1), 1);
        assert_eq!(mask(63, 2), 3);
        assert_eq!(mask(4032, 64), 1 << 63);
        assert_eq!(mask(0x5000, 4096), u64::MAX);
    }

    #[test]
    fn a_write_beside_code_is_no_hit() {
        let mut m = CodeMap::default();
        assert!(m.decoded(0x3010, 20));
        assert!(!m.written(0x3040, 4));
        assert!(m.written(0x3030, 1));
        assert_eq!(m.take_dirty(), Some(DirtyCode { page: 3, lines: 1 }));
        assert!(m.written_range(0, 0x10000));
    }
}
