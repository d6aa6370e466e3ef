//! Processes that begin and end, in page frames from one small pool: what was a page directory becomes a table, data, or
//! another process's directory, while the processor comes back to address spaces that it knows, or seems to know.
//!
//! A model of an operating system writes a script, command by command, that [`guest`] follows: user and kernel read,
//! write and execute; pages come on demand, are shared and copied on write; tables change with the invalidations that
//! the architecture demands, no more. [`model`] knows what every access must find. So there are two oracles: the log must
//! be the model's, and the machine's state the interpreter's. `IDEM86_PROGRAMS` sets how many scripts there are,
//! `IDEM86_PROGRAM_SEED` the first.

mod guest;
mod model;
mod pages;
mod system;

use super::everywhere;
use crate::kit::Kit;
use crate::programs::{Random, setting};
use idem86_cpu::run::Stop;
use idem86_cpu::state::control::{cr0, cr4, efer};
use model::*;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;
use system::*;

/// Commands of a script.
const COMMANDS: usize = 6000;

/// What a script is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// 32-bit paging.
    Legacy,
    Pae,
    /// Both, one after the other.
    Both,
}

/// Where the kernel's own pages are global: nowhere, everywhere, or here and there.
#[derive(Clone, Copy, Debug)]
enum KernelPages {
    Local,
    Global,
    Mixed,
}

/// The machine without processes: the tables of the kernel's pages, and code in what large pages map.
fn bare(format: Format, pages: KernelPages) -> Kit {
    let mut k = Kit::protected(3);
    for n in 0..1024 {
        let linear = n << 12;
        let global = match pages {
            KernelPages::Local => false,
            KernelPages::Global => true,
            KernelPages::Mixed => n % 3 != 0,
        };
        let entry = u64::from(linear)
            | PRESENT
            | WRITABLE
            | ACCESSED
            | DIRTY
            | if guest::is_user_page(linear) { USER } else { 0 }
            | if global { GLOBAL } else { 0 };
        k.put32(LOW + n * 4, entry as u32);
        k.put64(LOW_PAE + n * 8, entry);
    }
    k.put64(SHARED_DIRECTORY_PAE, u64::from(SHARED_TABLE_PAE) | ALL);
    for (n, frame) in LARGE_FRAMES.into_iter().flat_map(|base| PAGES.map(|page| base + page)).enumerate() {
        code_words(n as u32).into_iter().for_each(|(at, word)| k.put32(frame + at, word));
    }
    k.cpu.efer = efer::NXE;
    k.cpu.cr4 |= cr4::PSE | cr4::PGE | if format == Format::Pae { cr4::PAE } else { 0 };
    k.cpu.cr0 |= cr0::WP | cr0::PG;
    k
}

/// What a script is, and what it leads to.
struct Story {
    /// Memory from [`POOL`] on, at the beginning.
    initial: Vec<u8>,
    root: u32,
    pointers: [u64; 4],
    system: System,
}

impl Story {
    fn new(seed: u64, format: Format, bare: &Kit) -> Self {
        let mut r = Random::new(seed);
        let frames = 14 + r.below(FRAMES_MAX - 13);
        let regions = 2 + r.below(REGIONS.len() as u32 - 1);
        let kernel = r.pick(&[2, 4, 8]);
        let mut habit = |n| r.one_in(n);
        let habits = Habits { large: habit(3), globals: habit(3), control: habit(4), eager: habit(2) };
        let mut model = Model::new(&bare.ram);
        model.pae = format == Format::Pae;
        let mut system = System {
            r,
            model,
            habits,
            free: (0..frames).map(|n| POOL + n * 0x1000).collect(),
            mapped: BTreeMap::new(),
            shared: BTreeMap::new(),
            focus: (0, REGIONS[0] + PAGES[0]),
            regions,
            kernel,
            processes: Vec::new(),
            present: 0,
            halts: 0,
            number: 100,
        };
        system.begin().expect("there are frames");
        // So far nothing runs.
        system.reload();
        system.model.leave();
        system.model.script.clear();
        let initial = system.model.ram[POOL as usize..].to_vec();
        let (root, pointers) = (system.model.cr3, system.model.pdpte);
        while system.model.script.len() < COMMANDS {
            system.step(format);
        }
        system.model.halt();
        Story { initial, root, pointers, system }
    }

    fn machine(&self, mut k: Kit) -> Kit {
        guest::put(&mut k, &self.system.model.script);
        k.put(POOL, &self.initial);
        k.cpu.cr3 = self.root.into();
        k.cpu.pdpte = self.pointers;
        k.cpu.state_changed();
        k
    }

    /// Runs to the last HLT, and sees to it that everything is as the model says.
    fn run(&self, k: &mut Kit, name: &str) {
        const SLICE: u64 = 5000;
        let model = &self.system.model;
        for _ in 0..=self.system.halts {
            let slices = (0..10_000).take_while(|_| k.run(SLICE) == Stop::Budget).count();
            assert!(k.cpu.halted, "{name}: {slices} slices, at {:x}", k.here());
            k.cpu.halted = false;
        }
        for (n, (value, by)) in (0..).zip(&model.log) {
            let found = k.get32(guest::LOG + 4 * n);
            assert!(
                found == *value,
                "{name}: {found:x} instead of {value:x} by command {by}: {:x?}",
                &model.script[by.saturating_sub(40)..=*by]
            );
        }
        let data = LARGE_FRAMES.into_iter().flat_map(|base| PAGES.map(|page| base + page));
        let ranges = data.map(|page| page..page + 0x1000).chain([POOL..LOW, SHARED_TABLE..POINTERS]);
        for Range { start, end } in ranges {
            let range = start as usize..end as usize;
            let wrong = range.clone().find(|n| k.ram[*n] != model.ram[*n]);
            assert_eq!(wrong, None, "{name}: memory");
        }
    }
}

fn check(format: Format) {
    let (first, count) = (setting("IDEM86_PROGRAM_SEED", 1), setting("IDEM86_PROGRAMS", 60) / 6);
    let total = Cell::new([0; 6]);
    for seed in first..first + count {
        let pages = [KernelPages::Local, KernelPages::Global, KernelPages::Mixed][seed as usize % 3];
        let story = Story::new(seed, format, &bare(format, pages));
        let name =
            format!("IDEM86_PROGRAMS=6 IDEM86_PROGRAM_SEED={seed}: {format:?} {:?}", story.system.habits);
        assert!(
            4 * story.system.model.log.len() < (guest::LOG_END - guest::LOG) as usize,
            "the log is too long"
        );
        everywhere(
            &name,
            || story.machine(bare(format, pages)),
            |k| {
                story.run(k, &name);
                if let Some(c) = k.engine.counters().map(|c| c.spaces) {
                    let of_one = [c.entered, c.begun, c.dropped, c.dropped_by_walks, c.compared, c.replaced];
                    let sums = total.get();
                    total.set(std::array::from_fn(|n| sums[n] + of_one[n]));
                }
            },
        );
    }
    let total = total.into_inner();
    println!("entered, begun, dropped by comparisons and walks, compared, replaced: {total:?}");
    assert!(count < 5 || total.into_iter().min() > Some(50), "the stories do what they are for: {total:?}");
}

#[test]
fn in_32_bit_paging() {
    check(Format::Legacy);
}

#[test]
fn in_pae_paging() {
    check(Format::Pae);
}

#[test]
fn in_both_by_turns() {
    check(Format::Both);
}
