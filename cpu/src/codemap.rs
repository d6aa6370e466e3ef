//! Which bytes of RAM hold decoded code, and where code was written since.
//!
//! The block cache is not touched while one of its blocks runs; writes to code are queued here and the run loop
//! takes them out at the next instruction boundary.

/// Bytes per line: a page has 64 of them, one bit each.
const LINE: u64 = 64;
/// Writes to a page without code until it is no longer traced: code that patches itself is decoded again soon, and
/// beginning and ending to trace a page costs a walk through the TLB.
const PATIENCE: u8 = 200;

/// A page of RAM with the lines on it that were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirtyCode {
    /// Offset of the page in the RAM slice, divided by 4096.
    pub page: usize,
    /// One bit per line.
    pub lines: u64,
}

/// What decoding changed on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// It is to be traced from now on.
    NewPage,
    /// It was traced, and code lies on more of its lines.
    NewLines,
    /// Nothing of that.
    Nothing,
}

/// The code on one page.
#[derive(Debug, Default)]
struct CodePage {
    /// The lines that code lies on.
    lines: u64,
    /// One bit per byte of each line; there while the page is traced.
    bytes: Option<Box<[u64; 64]>>,
    /// Writes since the last code of the page was dropped.
    idle: u8,
}

/// See the module's description.
#[derive(Debug, Default)]
pub struct CodeMap {
    /// Per RAM page.
    pages: Vec<CodePage>,
    dirty: Vec<DirtyCode>,
    clear: bool,
}

impl CodeMap {
    /// Whether writes to the RAM page at `offset` are to be told to [`CodeMap::written`].
    #[inline]
    pub fn traces(&self, offset: u64) -> bool {
        self.pages.get((offset >> 12) as usize).is_some_and(|p| p.bytes.is_some())
    }

    /// The lines that hold code on the RAM page at `offset`.
    pub fn lines(&self, offset: u64) -> u64 {
        self.pages.get((offset >> 12) as usize).map_or(0, |p| p.lines)
    }

    /// Code was decoded from `len` bytes at `offset`, all on one page. Returns what that changed.
    pub fn decoded(&mut self, offset: u64, len: usize) -> Decoded {
        let index = (offset >> 12) as usize;
        if index >= self.pages.len() {
            self.pages.resize_with(index + 1, CodePage::default);
        }
        let page = &mut self.pages[index];
        let (new, before) = (page.bytes.is_none(), page.lines);
        page.add(offset, len as u64);
        match () {
            _ if new => Decoded::NewPage,
            _ if page.lines != before => Decoded::NewLines,
            _ => Decoded::Nothing,
        }
    }

    /// `size` bytes at `offset`, all on one page, were written. Returns whether the run loop must look at it: that
    /// hit code, or the page need not be traced any longer.
    #[inline]
    pub fn written(&mut self, offset: u64, size: usize) -> bool {
        let index = (offset >> 12) as usize;
        let Some(page) = self.pages.get_mut(index) else { return false };
        let near = page.lines & mask(offset, size as u64);
        if near == 0 && page.lines != 0 {
            return false;
        }
        let Some(lines) = page.hit(offset, size as u64, near) else { return false };
        match self.dirty.last_mut() {
            Some(d) if d.page == index => d.lines |= lines,
            _ => self.dirty.push(DirtyCode { page: index, lines }),
        }
        true
    }

    /// As [`CodeMap::written`], over any number of pages.
    pub fn written_range(&mut self, offset: u64, len: u64) -> bool {
        let mut hit = false;
        let end = offset.saturating_add(len).min((self.pages.len() as u64) << 12);
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
            self.pages.clear();
            self.dirty.clear();
        }
        clear
    }

    /// Takes one written page.
    pub fn take_dirty(&mut self) -> Option<DirtyCode> {
        self.dirty.pop()
    }

    /// After blocks were dropped, `code` is what is left on `page`: offsets in RAM with lengths. Returns whether
    /// the page ceases to be traced.
    pub fn retain(&mut self, page: usize, code: impl IntoIterator<Item = (u64, u64)>) -> bool {
        let Some(page) = self.pages.get_mut(page) else { return false };
        page.lines = 0;
        if let Some(bytes) = &mut page.bytes {
            bytes.fill(0);
        }
        for (offset, len) in code {
            page.add(offset, len);
        }
        if page.lines == 0 && page.idle >= PATIENCE {
            *page = CodePage::default();
            return true;
        }
        false
    }
}

impl CodePage {
    fn add(&mut self, offset: u64, len: u64) {
        let bytes = self.bytes.get_or_insert_with(|| Box::new([0; 64]));
        let lines = mask(offset, len);
        self.lines |= lines;
        self.idle = 0;
        for line in bits(lines) {
            bytes[line as usize] |= bytes_of_line(line, offset, len);
        }
    }

    /// The lines of `near` on which `size` bytes at `offset` hit code; or none, but once in a while, on a page
    /// without code.
    #[cold]
    fn hit(&mut self, offset: u64, size: u64, near: u64) -> Option<u64> {
        let bytes = self.bytes.as_deref()?;
        if self.lines == 0 {
            self.idle = self.idle.saturating_add(1);
            return (self.idle == PATIENCE).then_some(0);
        }
        let hit = |line: &u64| bytes[*line as usize] & bytes_of_line(*line, offset, size) != 0;
        let lines = bits(near).filter(hit).fold(0, |lines, line| lines | 1 << line);
        (lines != 0).then_some(lines)
    }
}

/// The numbers of the bits that are set.
fn bits(mut set: u64) -> impl Iterator<Item = u64> {
    std::iter::from_fn(move || {
        let bit = set.trailing_zeros();
        set &= set.wrapping_sub(1);
        (bit < 64).then_some(u64::from(bit))
    })
}

/// The bytes of `line` that `len` bytes at `offset` touch; they lie on one page and do touch the line.
fn bytes_of_line(line: u64, offset: u64, len: u64) -> u64 {
    let start = offset % 4096;
    let first = start.saturating_sub(line * LINE);
    let last = (start + len.max(1) - 1 - line * LINE).min(LINE - 1);
    (u64::MAX << first) & (u64::MAX >> (LINE - 1 - last))
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
        assert_eq!(bytes_of_line(0, 60, 8), 0xF << 60);
        assert_eq!(bytes_of_line(1, 60, 8), 0xF);
        assert_eq!(bytes_of_line(1, 0, 4096), u64::MAX);
    }

    #[test]
    fn a_write_beside_code_is_no_hit() {
        let mut m = CodeMap::default();
        assert_eq!(m.decoded(0x3010, 20), Decoded::NewPage);
        assert_eq!(m.decoded(0x3100, 1), Decoded::NewLines, "the page is traced already");
        assert_eq!(m.lines(0x3000), 1 | 1 << 4);
        assert!(!m.written(0x3040, 4));
        assert!(!m.written(0x3024, 1), "on the line of the code, but behind its last byte");
        assert!(!m.written(0x300C, 4));
        assert!(m.written(0x3023, 1));
        assert_eq!(m.take_dirty(), Some(DirtyCode { page: 3, lines: 1 }));
        assert!(m.written(0x300E, 4));
        assert!(m.written_range(0, 0x10000));
        assert_eq!(m.take_dirty(), Some(DirtyCode { page: 3, lines: 1 | 1 << 4 }));
    }

    #[test]
    fn a_page_is_traced_until_it_was_written_often_enough() {
        let mut m = CodeMap::default();
        assert_eq!(m.decoded(0x3010, 20), Decoded::NewPage);
        assert!(m.written(0x3010, 1));
        m.take_dirty();
        assert!(!m.retain(3, std::iter::empty()));
        assert!(m.traces(0x3000));
        assert_eq!(m.decoded(0x3010, 20), Decoded::NewLines, "decoded again before long");
        m.written(0x3010, 1);
        m.take_dirty();
        m.retain(3, std::iter::empty());
        let written = (0..).take_while(|_| !m.written(0x3800, 2)).count();
        assert_eq!(written + 1, usize::from(PATIENCE));
        assert_eq!(m.take_dirty(), Some(DirtyCode { page: 3, lines: 0 }));
        assert!(m.retain(3, std::iter::empty()));
        assert!(!m.traces(0x3000));
        assert!(!m.written(0x3010, 1));
    }
}
