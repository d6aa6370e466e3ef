use super::*;
use crate::flat::{self, FlatBus};
use std::cell::Cell;

const TABLE: Span = Span { base: 0x400, shift: 0 };
const DIRECTORY: Span = Span { base: 0, shift: 10 };

/// A processor's spaces with RAM, and what they tell.
struct Desk {
    spaces: Spaces,
    tlb: Tlb,
    writes: WriteLog,
    ram: Vec<Cell<u8>>,
}

impl Desk {
    fn new() -> Self {
        let mut tlb = Tlb::default();
        tlb.keep_log();
        tlb.take_log();
        Desk { spaces: Spaces::default(), tlb, writes: WriteLog::default(), ram: flat::ram(8 << 20) }
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut Spaces, &Biu, &mut Kin) -> T) -> T {
        let mut bus = FlatBus::new(self.ram.len());
        let biu = Biu::new(&self.ram, &mut bus);
        act(&mut self.spaces, &biu, &mut Kin { tlb: &mut self.tlb, writes: &mut self.writes })
    }

    /// What a load of CR3 is told to be.
    fn load(&mut self, directory: u64) -> Vec<Change> {
        let root = Root { directory, pointers: [0; 4] };
        self.with(|spaces, biu, kin| spaces.load(Some(root), 4, biu, kin));
        self.tlb.take_log()
    }

    /// The same, without what is traced, and with the last change taken off: it is the space.
    fn drops(&mut self, directory: u64) -> (Vec<Change>, Option<u8>) {
        let mut changes = self.load(directory);
        let Some(Change::Space(space)) = changes.pop() else { panic!("the last says where") };
        changes.retain(|change| !matches!(change, Change::Traced(_)));
        (changes, space)
    }

    /// The guest writes an entry.
    fn put(&mut self, at: u64, value: u32) {
        flat::load(&self.ram, at as usize, &value.to_le_bytes());
        self.writes.note(at);
    }

    /// A walk uses the entry at `at`.
    fn walk(&mut self, at: u64, span: Span) -> Vec<Change> {
        let bytes: [u8; 4] = std::array::from_fn(|n| self.ram[at as usize + n].get());
        let value = u64::from(u32::from_le_bytes(bytes));
        self.with(|spaces, biu, kin| spaces.walked(FoundEntry { at, size: 4, value, span }, biu, kin));
        self.tlb.take_log()
    }

    /// Two spaces, at 1000h and 2000h, which become kept and have walked the entry at 3004h, of page 401h.
    fn two() -> Self {
        let mut desk = Desk::new();
        desk.put(0x3004, 0x7067);
        for _ in 0..2 {
            for directory in [0x1000, 0x2000] {
                desk.load(directory);
                desk.walk(0x3004, TABLE);
            }
        }
        desk
    }
}

fn dropped(space: u8, first: u32, last: u32) -> Change {
    Change::Dropped { space, first, last }
}

#[test]
fn a_root_that_comes_back_is_kept() {
    let mut desk = Desk::new();
    assert_eq!(desk.load(0x1000), [Change::Space(None)]);
    assert_eq!(desk.load(0x2000), [Change::Space(None)]);
    assert_eq!(desk.load(0x1000), [Change::Space(Some(0))]);
    assert_eq!(desk.load(0x2000), [Change::Space(Some(1))]);
    assert_eq!(desk.load(0x1000), [Change::Space(Some(0))]);
    desk.with(|spaces, biu, kin| spaces.load(None, 4, biu, kin));
    assert_eq!(desk.tlb.take_log(), [Change::Space(None)], "without paging there is none");
    // One that is loaded once in a while is forgotten before it comes back.
    (0..8).for_each(|n| assert_eq!(desk.load(0x10_0000 + n * 0x1000), [Change::Space(None)]));
    assert_eq!(desk.load(0x3000), [Change::Space(None)]);
    assert_eq!(desk.load(0x10_0000), [Change::Space(None)]);
}

#[test]
fn where_more_take_turns_than_are_kept_some_are_for_good() {
    let mut desk = Desk::new();
    let spaces = |desk: &mut Desk, count: u64| -> Vec<Option<u8>> {
        // Each twice in a row, so that it is remembered.
        (0..2 * count).map(|n| desk.drops(0x1000 * (1 + n / 2)).1).collect()
    };
    spaces(&mut desk, 12);
    for _ in 0..4 {
        assert_eq!(spaces(&mut desk, 12).into_iter().flatten().count(), 16);
    }
    // Those that do not come any more give way.
    for _ in 0..IDLE {
        desk.load(0x1000);
    }
    desk.load(0x20_0000);
    let changes = desk.load(0x20_0000);
    assert!(
        matches!(changes[..], [Change::Gone(gone), Change::Space(Some(new))] if gone == new),
        "{changes:?}"
    );
}

#[test]
fn only_a_written_table_is_compared_and_only_what_outdates_is_dropped() {
    let mut desk = Desk::two();
    assert_eq!(desk.load(0x1000), [Change::Traced(0x3000), Change::Space(Some(0))]);
    let compared = desk.spaces.counters.compared;
    assert_eq!(
        (desk.load(0x2000), desk.load(0x1000)),
        (vec![Change::Space(Some(1))], vec![Change::Space(Some(0))])
    );
    assert_eq!(desk.spaces.counters.compared, compared);
    assert!(desk.writes.is_awaited(0x3000));
    // Present entries: marked, or the system's bits. Others: absent before.
    for (at, value) in [(0x3004, 0x7E67), (0x3008, 0x5007), (0x3000, 0)] {
        desk.put(at, value);
    }
    assert_eq!(desk.drops(0x2000), (vec![], Some(1)));
    assert_eq!(desk.spaces.counters.compared, compared + 1);
    // Both use the table, whoever is entered first.
    for value in [0x7E65, 0x7E45, 0x8E45, 0] {
        desk.put(0x3004, value);
        let (drops, _) = desk.drops(0x1000);
        assert_eq!(drops, [dropped(0, 0x401, 0x401), dropped(1, 0x401, 0x401)], "{value:x}");
        assert_eq!(desk.drops(0x2000), (vec![], Some(1)));
    }
}

#[test]
fn a_walk_that_finds_an_entry_changed_drops_at_once() {
    let mut desk = Desk::two();
    desk.put(0x3004, 0x8067);
    assert_eq!(desk.walk(0x3004, TABLE), [dropped(0, 0x401, 0x401), dropped(1, 0x401, 0x401)]);
    // Changed back: what was made in between goes.
    desk.put(0x3004, 0x7067);
    assert_eq!(desk.drops(0x1000).0, [dropped(0, 0x401, 0x401), dropped(1, 0x401, 0x401)]);
    // What the processor itself marks needs no comparison.
    desk.put(0x3008, 0x9007);
    desk.load(0x2000);
    desk.load(0x1000);
    assert_eq!(desk.walk(0x3008, TABLE), []);
    desk.spaces.marked(0x3008, 4, 0x9067);
    flat::load(&desk.ram, 0x3008, &0x9067u32.to_le_bytes());
    desk.writes.note_own(0x3008);
    assert!(desk.writes.is_awaited(0x3000));
    desk.put(0x3008, 0x9027);
    assert_eq!(desk.drops(0x2000).0, [dropped(0, 0x402, 0x402), dropped(1, 0x402, 0x402)]);
}

#[test]
fn an_entry_whose_page_was_invalidated_is_found_without_a_drop() {
    let mut desk = Desk::two();
    let change = |desk: &mut Desk, value: u32, invalidates: bool| {
        desk.put(0x3004, value);
        if invalidates {
            desk.with(|spaces, _, _| spaces.invalidated(0x40_1123, 4));
        }
        desk.walk(0x3004, TABLE).len()
    };
    assert_eq!(change(&mut desk, 0x8067, true), 2, "another space has the table too");
    let mut desk = Desk::new();
    desk.put(0x3004, 0x7067);
    (0..2).for_each(|_| _ = desk.load(0x1000));
    desk.walk(0x3004, TABLE);
    assert_eq!(change(&mut desk, 0x8067, true), 0);
    assert_eq!(change(&mut desk, 0x9067, false), 1);
    desk.with(|spaces, _, _| spaces.invalidated(0x40_2000, 4));
    assert_eq!(change(&mut desk, 0xA067, false), 1, "that was another page");
}

#[test]
fn a_directory_entry_takes_its_table_with_it() {
    let mut desk = Desk::two();
    desk.put(0x2004, 0x3067);
    desk.walk(0x2004, DIRECTORY);
    desk.put(0x2004, 0x4067);
    assert_eq!(desk.drops(0x2000).0, [dropped(1, 0x400, 0x7FF)]);
    // The first space has the table still; what is there is none of the second's.
    desk.put(0x3004, 0);
    assert_eq!(desk.drops(0x1000).0, [dropped(0, 0x401, 0x401)]);
    // A table that nobody uses is traced no longer.
    desk.put(0x1004, 0x3067);
    desk.walk(0x1004, DIRECTORY);
    desk.load(0x2000);
    desk.load(0x1000);
    assert!(desk.writes.is_awaited(0x3000));
    desk.put(0x1004, 0);
    assert_eq!(desk.drops(0x1000).0, [dropped(0, 0x400, 0x7FF)]);
    assert!(!desk.writes.is_awaited(0x3000));
    assert!(!desk.spaces.by_page.contains_key(&3));
}

#[test]
fn many_changes_are_few_runs() {
    let mut desk = Desk::two();
    (0..1024).for_each(|n| desk.put(0x3000 + 4 * n, 0x7067));
    desk.load(0x1000);
    (0x10..0x40).for_each(|n| desk.put(0x3000 + 4 * n, 0x7065));
    assert_eq!(desk.drops(0x1000).0, [dropped(0, 0x410, 0x43F), dropped(1, 0x410, 0x43F)]);
    (0..1024).step_by(2).for_each(|n| desk.put(0x3000 + 4 * n, 0x7045));
    let (drops, _) = desk.drops(0x1000);
    assert_eq!(drops.len(), 2 * RUNS_MAX);
    assert_eq!(drops.last(), Some(&dropped(1, 0x400 + 2 * (RUNS_MAX as u32 - 1), 0x7FE)));
}

#[test]
fn a_table_that_is_written_all_the_time_is_compared_instead_of_traced() {
    let mut desk = Desk::two();
    let traced = |desk: &mut Desk| desk.load(0x1000).contains(&Change::Traced(0x3000));
    let mut times = 0;
    for n in 0..100 {
        times += usize::from(traced(&mut desk));
        desk.put(0x3010, 0x7000 + n);
    }
    assert!((1..=usize::from(RESTLESS) + 1).contains(&times), "{times}");
    assert_eq!((0..=CALM).filter(|_| traced(&mut desk)).count(), 1, "it is again, once it is left alone");
}

#[test]
fn what_takes_too_much_is_given_up() {
    // A table at more places than are kept.
    let mut desk = Desk::two();
    let mut changes = Vec::new();
    for n in 0..=USES_MAX as u32 {
        changes.extend(desk.walk(0x3004, Span { base: n << 10, shift: 0 }));
    }
    assert_eq!(changes, [Change::Gone(1)]);
    assert!(!desk.spaces.is_kept());
    assert_eq!(desk.load(0x2000), [Change::Space(None)], "it must come back twice again");
    // More tables than there are copies: the other goes, then itself.
    let mut desk = Desk::two();
    let mut changes = Vec::new();
    for n in 0..=TABLES_MAX as u64 {
        desk.put(0x10_0000 + n * 0x1000, 0x7067);
        changes.extend(desk.walk(0x10_0000 + n * 0x1000, Span { base: (n as u32) << 10, shift: 0 }));
    }
    assert_eq!(changes, [Change::Gone(0), Change::Gone(1)]);
    assert!(desk.spaces.by_page.is_empty() && desk.spaces.tables.len() <= TABLES_MAX);
    // A table that is not all in RAM.
    let mut desk = Desk::two();
    let end = desk.ram.len() as u64;
    let found = FoundEntry { at: end, size: 4, value: 7, span: TABLE };
    desk.with(|spaces, biu, kin| spaces.walked(found, biu, kin));
    assert_eq!(desk.tlb.take_log(), [Change::Gone(1)]);
}

#[test]
fn nothing_is_left_when_everything_is_forgotten() {
    let mut desk = Desk::two();
    desk.load(0x1000);
    desk.spaces.flush(&mut desk.writes);
    assert!(!desk.spaces.is_kept() && !desk.writes.is_awaited(0x3000));
    assert_eq!(desk.spaces.counters.flushed, 2);
    assert_eq!(desk.load(0x1000), [Change::Space(Some(0))], "it is remembered, and begins anew");
}

/// A translation that somebody keeps, with the entries that it was made with.
#[derive(Clone, Copy, Debug)]
struct Kept {
    space: u8,
    /// Number of its page.
    number: u32,
    directory_entry: u64,
    table_entry: u64,
}

/// An operating system whose processes come and go, and take their page directories, tables and data from one pool; and
/// somebody who keeps translations as the spaces say.
struct Recycling {
    desk: Desk,
    kept: Vec<Kept>,
    root: u64,
    random: u64,
}

impl Recycling {
    /// Pages of the pool.
    const POOL: u64 = 12;
    /// Entries of a page that are used.
    const ENTRIES: u64 = 6;

    fn below(&mut self, n: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % n
    }

    /// A page of the pool; a few are taken more often than others.
    fn page(&mut self) -> u64 {
        let range = if self.below(2) == 0 { 4 } else { Self::POOL };
        (1 + self.below(range)) << 12
    }

    fn entry(&mut self) -> u64 {
        let rights = [0, 1, 3, 5, 7, 0x25, 0x67, 0x27][self.below(8) as usize];
        if rights == 0 { 0 } else { self.page() | rights }
    }

    fn read(&self, at: u64) -> u64 {
        let bytes: [u8; 4] = std::array::from_fn(|n| self.desk.ram[at as usize + n].get());
        u32::from_le_bytes(bytes).into()
    }

    /// Follows what the spaces tell.
    fn follow(&mut self) {
        for change in self.desk.tlb.take_log() {
            match change {
                Change::All => self.kept.clear(),
                Change::Gone(gone) => self.kept.retain(|k| k.space != gone),
                Change::Page(linear) => self.kept.retain(|k| k.number != (linear >> 12) as u32),
                Change::Dropped { space, first, last } => {
                    self.kept.retain(|k| k.space != space || !(first..=last).contains(&k.number));
                }
                Change::Space(_) | Change::Traced(_) => {}
            }
        }
    }

    /// A walk for the page `number`, which marks what it uses.
    fn touch(&mut self, number: u32) {
        let mut used = [0; 2];
        let mut at = self.root + u64::from(number >> 10) * 4;
        for (n, span) in [DIRECTORY, Span { base: number >> 10 << 10, shift: 0 }].into_iter().enumerate() {
            let value = self.read(at);
            if value & pte::P == 0 {
                break;
            }
            let found = FoundEntry { at, size: 4, value, span };
            let marked = value | pte::A | if n == 1 && self.below(2) == 0 { pte::D } else { 0 };
            self.desk.with(|spaces, biu, kin| {
                spaces.walked(found, biu, kin);
                if spaces.is_kept() {
                    spaces.marked(at, 4, marked);
                }
            });
            flat::load(&self.desk.ram, at as usize, &(marked as u32).to_le_bytes());
            if self.desk.spaces.is_kept() {
                self.desk.writes.note_own(at);
            } else {
                self.desk.writes.note(at);
            }
            used[n] = marked;
            at = (value & !0xFFF) + u64::from(number & 0x3FF) * 4;
        }
        self.follow();
        let [directory_entry, table_entry] = used;
        if let Some(space) = self.desk.spaces.current.filter(|_| table_entry != 0) {
            self.kept.push(Kept { space, number, directory_entry, table_entry });
        }
    }

    fn load(&mut self, root: u64) {
        self.root = root;
        let root = Root { directory: root, pointers: [0; 4] };
        self.desk.with(|spaces, biu, kin| spaces.load(Some(root), 4, biu, kin));
        self.follow();
    }

    /// The first translation of the present space that the page tables do not give any longer.
    fn stale(&self) -> Option<Kept> {
        let space = self.desk.spaces.current?;
        let holds = |kept: &&Kept| {
            let directory_entry = self.read(self.root + u64::from(kept.number >> 10) * 4);
            let table = directory_entry & !0xFFF;
            let table_entry = self.read(table + u64::from(kept.number & 0x3FF) * 4);
            // The same frame with the same rights, and marked as it was.
            let same = |old: u64, new: u64| (old ^ new) & 0xFFFF_F007 == 0 && old & !new & 0x60 == 0;
            same(kept.directory_entry, directory_entry) && same(kept.table_entry, table_entry)
        };
        self.kept.iter().filter(|kept| kept.space == space).find(|kept| !holds(kept)).copied()
    }
}

#[test]
fn whatever_pages_become_nothing_that_is_kept_is_stale() {
    let mut found_again = 0;
    for seed in 1..200u64 {
        let random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut system = Recycling { desk: Desk::new(), kept: Vec::new(), root: 0x1000, random };
        for step in 0..2000 {
            match system.below(20) {
                0 => {
                    // The page is something else from now on.
                    let page = system.page();
                    for n in 0..Recycling::ENTRIES {
                        let entry = system.entry();
                        system.desk.put(page + 4 * n, entry as u32);
                    }
                }
                1..5 => {
                    let (page, n, entry) = (system.page(), system.below(Recycling::ENTRIES), system.entry());
                    system.desk.put(page + 4 * n, entry as u32);
                }
                5 => {
                    let number =
                        (system.below(Recycling::ENTRIES) << 10 | system.below(Recycling::ENTRIES)) as u32;
                    system.desk.with(|spaces, _, kin| {
                        kin.tlb.flush_page(u64::from(number) << 12);
                        spaces.invalidated(number << 12, 4);
                    });
                    system.follow();
                }
                6..9 => {
                    let root = (1 + system.below(4)) << 12;
                    system.load(root);
                    let kept = system.kept.len();
                    assert!(system.stale().is_none(), "seed {seed} step {step}: {:x?}", system.stale());
                    found_again += kept;
                }
                _ => {
                    let number =
                        (system.below(Recycling::ENTRIES) << 10 | system.below(Recycling::ENTRIES)) as u32;
                    system.touch(number);
                }
            }
        }
    }
    assert!(found_again > 100_000, "{found_again}");
}
