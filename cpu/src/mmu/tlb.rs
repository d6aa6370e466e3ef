//! The software translation look-aside buffer.
//!
//! Direct-mapped, one table per privilege view. An entry's tags are the linear page for plain RAM that may be
//! accessed at once; with [`SLOW`] added they still name a valid translation, but the access must take the slow
//! path: device memory, decoded code and pages whose first write is to be noted (writes), watchpoints, alignment
//! checking.

/// Entries per view.
const ENTRIES: usize = 1024;

/// Added to a tag whose accesses must take the slow path.
pub const SLOW: u64 = 1;
/// A tag that matches nothing.
const INVALID: u64 = u64::MAX;
/// In `frame`: instructions may be fetched.
const EXECUTABLE: u64 = 1;
/// In `frame`: RAM without watchpoints, so that only decoded code and a first write can make its writes slow.
const PLAIN: u64 = 4;
/// In `frame`: a global page, kept when CR3 is loaded.
const GLOBAL: u64 = 2;

/// Which accesses an entry was made for. Supervisor and user differ in what is allowed; with alignment
/// checking on, nothing is fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum View {
    /// CPL 0 to 2, and implicit accesses to descriptor tables and task states.
    Supervisor = 0,
    /// CPL 3.
    User = 1,
    /// CPL 3 with CR0.AM and EFLAGS.AC set.
    UserAligned = 2,
}

/// One translation.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Linear page if reads are allowed, perhaps with [`SLOW`].
    pub read: u64,
    /// Linear page if writes are allowed, perhaps with [`SLOW`].
    pub write: u64,
    frame: u64,
    /// Offset of the page in the RAM slice, if it is RAM.
    pub ram: u64,
}

impl Entry {
    const EMPTY: Entry = Entry { read: INVALID, write: INVALID, frame: 0, ram: 0 };

    /// A translation of `frame` (physical, page-aligned).
    pub fn new(
        read: Option<u64>,
        write: Option<u64>,
        frame: u64,
        ram: u64,
        executable: bool,
        global: bool,
        plain: bool,
    ) -> Self {
        Entry {
            read: read.unwrap_or(INVALID),
            write: write.unwrap_or(INVALID),
            frame: frame
                | (executable as u64 * EXECUTABLE)
                | (global as u64 * GLOBAL)
                | (plain as u64 * PLAIN),
            ram,
        }
    }

    /// Physical address of the page.
    pub fn frame(&self) -> u64 {
        self.frame & !0xFFF
    }
    /// Instructions may be fetched from it (given that it may be read).
    pub fn executable(&self) -> bool {
        self.frame & EXECUTABLE != 0
    }
    /// Writes may go straight to RAM if the code map is told of them.
    #[inline]
    pub fn plain(&self) -> bool {
        self.frame & PLAIN != 0
    }
    /// It is kept when CR3 is loaded.
    pub fn is_global(&self) -> bool {
        self.frame & GLOBAL != 0
    }
}

/// What happened to translations; for who keeps more of them than fit here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// All were forgotten, those of all spaces that were kept too; the present space is not kept.
    All,
    /// CR3 was loaded: those that are not global hold no longer, but those of this space hold again, if it is kept.
    Space(Option<u8>),
    /// Those of the page at this linear address were forgotten, whatever the space.
    Page(u64),
    /// In a space that is kept, those of some pages hold no longer.
    Dropped {
        /// The space.
        space: u8,
        /// Number of the first page.
        first: u32,
        /// Number of the last.
        last: u32,
    },
    /// This space is not kept any longer: none of its translations holds. If it is the present one, it goes on as one
    /// that is not kept.
    Gone(u8),
    /// Writes to the RAM page at this offset are traced from now on, or more of its lines hold code.
    Traced(u64),
}

/// log2 of the size of a region of linear memory: no large page is larger.
const REGION_SHIFT: u32 = 22;
/// Regions of a linear address space.
const REGIONS: usize = 1 << (32 - REGION_SHIFT);

/// Changes that are kept before they become one [`Change::All`].
const LOG_MAX: usize = 512;

/// Where the bit of the region of `linear` is.
fn region(linear: u64) -> (usize, u64) {
    let number = (linear >> REGION_SHIFT) as usize % REGIONS;
    (number / 64, 1 << (number % 64))
}

/// All views.
#[derive(Debug)]
pub struct Tlb {
    views: [Box<[Entry; ENTRIES]>; 3],
    /// Views and places of entries that are not global, so that a load of CR3 need not look at all. Once there are as
    /// many as a view has, no more are noted.
    local: Vec<(u8, u16)>,
    /// One bit for each region in which pages were parts of a large page.
    large: [u64; REGIONS / 64],
    /// What happened since somebody asked; `None` while nobody asks.
    log: Option<Vec<Change>>,
}

impl Default for Tlb {
    fn default() -> Self {
        let views = std::array::from_fn(|_| Box::new([Entry::EMPTY; ENTRIES]));
        Tlb { views, local: Vec::new(), large: [0; REGIONS / 64], log: None }
    }
}

impl Tlb {
    /// The entry where the page of `linear` is, if it is there at all.
    #[inline(always)]
    pub fn entry(&self, view: View, linear: u64) -> &Entry {
        &self.views[view as usize][(linear >> 12) as usize % ENTRIES]
    }

    /// Puts a translation in the place of `linear`.
    pub fn insert(&mut self, view: View, linear: u64, entry: Entry) {
        let place = (linear >> 12) as usize % ENTRIES;
        self.views[view as usize][place] = entry;
        if !entry.is_global() && self.local.len() < ENTRIES {
            self.local.push((view as u8, place as u16));
        }
    }

    /// Keeps a log of changes from now on, which [`Tlb::take_log`] empties.
    pub fn keep_log(&mut self) {
        self.log.get_or_insert_with(|| vec![Change::All]);
    }

    /// Whether it does.
    #[inline]
    pub fn keeps_log(&self) -> bool {
        self.log.is_some()
    }

    /// What happened since the last call.
    pub fn take_log(&mut self) -> Vec<Change> {
        self.log.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Whether anything happened since.
    #[inline]
    pub fn log_is_filled(&self) -> bool {
        self.log.as_ref().is_some_and(|log| !log.is_empty())
    }

    /// Adds to the log.
    pub fn note(&mut self, change: Change) {
        match &mut self.log {
            Some(log) if change == Change::All || log.len() == LOG_MAX => {
                log.clear();
                log.push(Change::All);
            }
            Some(log) => log.push(change),
            None => {}
        }
    }

    /// Forgets everything.
    pub fn flush_all(&mut self) {
        self.note(Change::All);
        self.local.clear();
        self.large = [0; REGIONS / 64];
        for view in &mut self.views {
            view.fill(Entry::EMPTY);
        }
    }

    /// Forgets what is not global: a load of CR3. The caller says which space that leads to.
    pub fn flush_local(&mut self) {
        if self.local.len() < ENTRIES {
            for (view, place) in self.local.drain(..) {
                let entry = &mut self.views[usize::from(view)][usize::from(place)];
                // Another page may have come there since.
                if !entry.is_global() {
                    *entry = Entry::EMPTY;
                }
            }
            return;
        }
        self.local.clear();
        for e in self.views.iter_mut().flat_map(|v| v.iter_mut()) {
            if !e.is_global() {
                *e = Entry::EMPTY;
            }
        }
    }

    /// A translation of `linear` is made that is part of a large page.
    pub fn note_large(&mut self, linear: u64) {
        let (word, bit) = region(linear);
        self.large[word] |= bit;
    }

    /// Whether the page of `linear` may be large, so that it is here in parts.
    pub fn may_be_large(&self, linear: u64) -> bool {
        let (word, bit) = region(linear);
        self.large[word] & bit != 0
    }

    /// Forgets the page of `linear`, which is not large: INVLPG.
    pub fn flush_page(&mut self, linear: u64) {
        self.note(Change::Page(linear));
        for view in &mut self.views {
            view[(linear >> 12) as usize % ENTRIES] = Entry::EMPTY;
        }
    }

    /// Forgets the pages from number `first` to `last`: their paging-structure entries were found changed. What that
    /// means for others is theirs to say.
    pub fn forget_pages(&mut self, first: u32, last: u32) {
        if (last - first) as usize >= ENTRIES {
            let pages = u64::from(first) << 12..=u64::from(last) << 12;
            for e in self.views.iter_mut().flat_map(|v| v.iter_mut()) {
                if [e.read, e.write].iter().any(|tag| pages.contains(&(tag & !SLOW))) {
                    *e = Entry::EMPTY;
                }
            }
            return;
        }
        for place in (first..=last).map(|page| page as usize % ENTRIES) {
            self.views.iter_mut().for_each(|view| view[place] = Entry::EMPTY);
        }
    }

    /// Makes writes to RAM pages that are `awaited` (by their offset) take the slow path.
    pub fn slow_writes(&mut self, awaited: impl Fn(u64) -> bool) {
        for e in self.views.iter_mut().flat_map(|v| v.iter_mut()) {
            if e.write != INVALID && e.write & SLOW == 0 && awaited(e.ram) {
                e.write |= SLOW;
            }
        }
    }

    /// Makes every write to the RAM page at `ram` take the slow path, because code was decoded from it.
    pub fn trace_writes(&mut self, ram: u64) {
        self.note(Change::Traced(ram));
        for e in self.views.iter_mut().flat_map(|v| v.iter_mut()) {
            if e.ram == ram && e.write != INVALID {
                e.write |= SLOW;
            }
        }
    }

    /// Writes to the page of `linear`, which is there, need not take the slow path any longer.
    pub fn allow_writes(&mut self, view: View, linear: u64) {
        self.views[view as usize][(linear >> 12) as usize % ENTRIES].write &= !SLOW;
    }

    /// Forgets translations to the RAM page at `ram`: nothing is decoded from it any longer, so writes may become
    /// fast again.
    pub fn forget_ram(&mut self, ram: u64) {
        for e in self.views.iter_mut().flat_map(|v| v.iter_mut()) {
            if e.ram == ram {
                *e = Entry::EMPTY;
            }
        }
    }
}
