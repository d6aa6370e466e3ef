//! Random programs in the translator and in the interpreter, compared after every few units of work or behind each
//! translation unit.
//!
//! They loop, call, push, patch themselves, cross pages, change page tables and segments, and fault at all of it;
//! interrupts come in between. `IDEM86_PROGRAMS` sets how many there are in each world (the default is for a quick
//! run), `IDEM86_PROGRAM_SEED` the first; a failure names its own.

mod generate;
mod stops;

use crate::engine::{Engine, ways};
use crate::kit::{self, Kit, asm, gate, rights, segment, sel};
pub use generate::Random;
use generate::{BLOCKS, Flavour, Program, block_at, program};
use iced_x86::code_asm::*;
use idem86_cpu::bus::Biu;
use idem86_cpu::decode::decode;
use idem86_cpu::processor::{Feature, Processor};
use idem86_cpu::run::Stop;
use idem86_cpu::state::control::{cr0, cr4};
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::{SegReg, Segment};
use idem86_translator::Chaining;
use std::cell::Cell;

/// Where things are, as linear addresses.
pub mod place {
    use crate::kit::place::PAGING;
    pub const HANDLERS: u32 = 0xE000;
    pub const CODE: u32 = crate::kit::place::CODE;
    /// Where the next block is after a fault.
    pub const RESUME: u32 = 0x1_FFF0;
    pub const DATA: u32 = crate::kit::place::DATA;
    /// The same in a segment of 64 KiB.
    pub const SMALL_DATA: u32 = 0x1_4000;
    pub const STACK: u32 = 0x2_8000;
    pub const SMALL_STACK: u32 = 0x1_F000;
    /// Pages that the page table shows at several places, with rights that change.
    pub const ALIASES: u32 = 0x30_0000;
    pub const ALIAS_PAGES: u32 = 16;
    /// Pages that are absent at first.
    pub const ABSENT: u32 = 0x32_0000;
    pub const TABLE: u32 = PAGING + 0x1000;
    /// Where the page table can be written.
    pub const TABLE_ALIAS: u32 = 0x3F_0000;
}

/// Units of work of a program.
const WORK: u64 = 6000;

pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |v| v.parse().expect("a number"))
}

/// Mode, privilege, paging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    Real,
    Virtual8086,
    Protected16,
    Flat(u8),
    Paged(u8),
    PagedPae(u8),
}

const KERNEL: &[u16] = &[sel::DATA0, sel::DATA0, sel::FREE, sel::FREE2, sel::FREE3, sel::DATA3, 0];
const USER: &[u16] = &[sel::DATA3, sel::DATA3, sel::FREE | 3, sel::FREE2 | 3, sel::FREE3 | 3, 0];
const REAL: &[u16] = &[0x1000, 0x1000, 0x1001, 0x0FFF, 0x2000, 0, 0xFFFF];
const SMALL: &[u16] = &[sel::DATA16, sel::DATA16, sel::FREE, sel::FREE2, sel::FREE3, 0];

impl World {
    fn flavour(self) -> Flavour {
        let small =
            |selectors| Flavour { bits: 16, base: place::CODE, paged: false, sysenter: false, selectors };
        let flat = |cpl, paged| Flavour {
            bits: 32,
            base: 0,
            paged,
            sysenter: cpl == 3,
            selectors: if cpl == 3 { USER } else { KERNEL },
        };
        match self {
            World::Real | World::Virtual8086 => small(REAL),
            World::Protected16 => small(SMALL),
            World::Flat(cpl) | World::PagedPae(cpl) => flat(cpl, false),
            World::Paged(cpl) => flat(cpl, true),
        }
    }

    /// The one with everything, or now and then one that lacks what it may.
    fn processor(self, r: &mut Random) -> Processor {
        if !r.one_in(4) {
            return Processor::default();
        }
        let any = |r: &mut Random| Feature::ALL[r.next() as usize % Feature::ALL.len()];
        let less = [any(r), any(r)].into_iter().fold(Processor::default(), Processor::without);
        match self {
            World::PagedPae(_) => less.with(Feature::Pae).expect("it needs nothing"),
            _ => less,
        }
    }

    /// The machine at the beginning of the program of `seed`.
    pub fn machine(self, seed: u64) -> Kit {
        let r = &mut Random::new(seed);
        let flavour = self.flavour();
        let Program { origin, code } = program(r, flavour);
        let processor = self.processor(r);
        let mut k = match self {
            World::Real => Kit::real_on(processor),
            World::Virtual8086 => Kit::v86_on(processor, 3),
            World::Protected16 => Kit::protected_on(processor, 0),
            World::Flat(cpl) | World::Paged(cpl) | World::PagedPae(cpl) => Kit::protected_on(processor, cpl),
        };
        k.put(flavour.base + origin, &code);
        k.put32(place::RESUME, origin);
        for at in (place::SMALL_DATA..place::SMALL_DATA + 0x4000).chain(place::DATA..place::STACK).step_by(8)
        {
            k.put64(at, r.next());
        }
        put_handlers(&mut k, self);
        match self {
            World::Paged(_) => page(&mut k, r),
            World::PagedPae(_) => k.page_pae(),
            _ => {}
        }
        let stack = if flavour.bits == 16 { place::SMALL_STACK } else { place::STACK };
        k.cpu.rip = origin.into();
        k.cpu.gpr.set(gpr::SP, stack - flavour.base);
        for n in [gpr::AX, gpr::CX, gpr::DX, gpr::BX, gpr::BP, gpr::SI, gpr::DI] {
            k.cpu.gpr.set(n, r.next() as u32);
        }
        k.cpu.cr0 = k.cpu.cr0 & !(cr0::CD | cr0::NW) | cr0::NE | if r.one_in(2) { cr0::WP } else { 0 };
        k.cpu.cr4 |= (cr4::OSFXSR | cr4::PGE) & processor.features().cr4();
        k.cpu.state_changed();
        k
    }
}

/// Handlers that go on at the block that was named last; a page fault is mended where it can be.
fn put_handlers(k: &mut Kit, world: World) {
    let resume = place::RESUME - world.flavour().base;
    if matches!(world, World::Real | World::Protected16) {
        let top = place::SMALL_STACK - place::CODE;
        let handler = asm(16, |a| {
            a.mov(esp, top)?;
            a.pushf()?;
            a.push(cs)?;
            a.push(word_ptr(resume).ss())?;
            a.iret()
        });
        k.put(place::HANDLERS, &handler);
        if world == World::Real {
            (0..256).for_each(|n| k.put32(n * 4, 0x1000 << 16 | 0xB000));
            k.put(place::CODE + 0xB000, &handler);
            k.cpu.seg = k.cpu.seg.map(|_| Segment::v86(0x1000));
            return;
        }
        k.put(place::CODE + 0xB000, &handler);
        let data = |limit, access| segment(place::CODE, limit, access);
        k.set_descriptor(sel::CODE16, data(0xFFFF, 0x9B));
        k.set_descriptor(sel::DATA16, data(0xFFFF, 0x93));
        k.set_descriptor(sel::FREE, data(0x4FFF, 0x93));
        k.set_descriptor(sel::FREE2, data(0x3FFF, 0x97));
        k.set_descriptor(sel::FREE3, data(0xFFFF, 0x91));
        (0..256).for_each(|n| k.set_gate(n as u8, gate(sel::CODE16, 0xB000, rights::INTERRUPT32, 0)));
        for r in SegReg::ALL {
            let s = if r == SegReg::Cs { sel::CODE16 } else { sel::DATA16 };
            k.cpu.seg[r as usize] = k.descriptor(s).segment(s);
        }
        return;
    }
    let dpl = rights::DPL3;
    // Expand-up with a base, expand-down, read-only.
    k.set_descriptor(sel::FREE, segment(0x1800, 0x2_7FFF, 0x4093 | dpl));
    k.set_descriptor(sel::FREE2, segment(0, 0x2_0FFF, 0x4097 | dpl));
    k.set_descriptor(sel::FREE3, segment(0, 0xF_FFFF, rights::READ_ONLY | dpl));
    let plain = asm(32, |a| {
        a.push(eax)?;
        a.mov(eax, dword_ptr(place::RESUME).ss())?;
        a.mov(dword_ptr(esp + 4), eax)?;
        a.pop(eax)?;
        a.iretd()
    });
    let coded = [asm(32, |a| a.add(esp, 4)), plain.clone()].concat();
    let page_fault = asm(32, |a| {
        let mut beyond = a.create_label();
        a.push(eax)?;
        a.mov(eax, cr2)?;
        a.sub(eax, place::ALIASES as i32)?;
        a.cmp(eax, (place::TABLE_ALIAS - place::ALIASES) as i32)?;
        a.jae(beyond)?;
        a.mov(eax, cr2)?;
        a.shr(eax, 12)?;
        a.or(dword_ptr(eax * 4 + place::TABLE_ALIAS).ss(), 7)?;
        a.mov(eax, cr2)?;
        a.invlpg(byte_ptr(eax).ss())?;
        a.pop(eax)?;
        a.add(esp, 4)?;
        a.iretd()?;
        a.set_label(&mut beyond)?;
        a.pop(eax)
    });
    let (coded_at, interrupt_at, page_fault_at) =
        (place::HANDLERS + 0x40, place::HANDLERS + 0x80, place::HANDLERS + 0xC0);
    let entered_at = place::HANDLERS + 0x180;
    let entered = asm(32, |a| {
        a.push(edx)?;
        a.pop(edx)?;
        a.sti()?;
        a.sysexit()
    });
    k.put(entered_at, &entered);
    k.cpu.msr.sysenter = [sel::CODE0.into(), u64::from(kit::place::STACKS[0]) - 0x400, entered_at.into()];
    k.put(place::HANDLERS, &plain);
    k.put(coded_at, &coded);
    k.put(interrupt_at, &[0xCF]);
    k.put(page_fault_at, &[page_fault, coded].concat());
    let paged = matches!(world, World::Paged(_));
    for vector in 0..=255u8 {
        let at = match vector {
            3 | 4 | 0x20 | 0x21 => interrupt_at,
            14 if paged => page_fault_at,
            _ if kit::has_error_code(vector) => coded_at,
            _ => place::HANDLERS,
        };
        k.set_gate(vector, gate(sel::CODE0, at, rights::INTERRUPT32 | dpl, 0));
    }
    if world == World::Virtual8086 {
        k.cpu.seg = k.cpu.seg.map(|_| Segment::v86(0x1000));
    }
}

/// Paging with pages that alias, that are read-only or the supervisor's, and that are absent.
fn page(k: &mut Kit, r: &mut Random) {
    k.page();
    let entry = |linear: u32| place::TABLE + (linear >> 12) * 4;
    for n in 0..place::ALIAS_PAGES {
        let frame = r.pick(&[place::DATA, place::CODE + 0x1000, place::CODE, place::CODE]);
        k.put32(entry(place::ALIASES + n * 0x1000), frame | r.pick(&[7, 7, 5, 3, 0, 0x107]));
        let absent = place::ABSENT + n * 0x1000;
        k.put32(entry(absent), absent);
    }
    // The tables are the supervisor's, who changes them at one place.
    k.put32(entry(place::TABLE_ALIAS), place::TABLE | 3);
    for at in [kit::place::PAGING, place::TABLE, place::HANDLERS] {
        k.put32(entry(at), at | 1);
    }
    for at in (0x1000..place::HANDLERS).step_by(0x1000) {
        k.put32(entry(at), at | 3);
    }
    k.cpu.flush_tlb();
}

/// A run of a program.
#[derive(Clone, Copy, Debug)]
struct Slice {
    work: u64,
    interrupt: bool,
    /// An NMI ends loops that nothing else ends.
    nmi: bool,
    /// Where the next fault leads.
    resume: Option<u32>,
}

fn slices(seed: u64, world: World) -> Vec<Slice> {
    let r = &mut Random::new(!seed);
    let origin = world.machine(seed).get32(place::RESUME);
    let usual = r.pick(&[3, 40, 300, 600]);
    let mut left = WORK;
    let mut slices = Vec::new();
    while left > 0 {
        let work = u64::from(1 + r.below(usual)).min(left);
        let chance = (2000 / usual).max(2);
        let resume = r.one_in(chance).then(|| block_at(origin, r.below(BLOCKS)));
        slices.push(Slice { work, interrupt: r.one_in(8), nmi: r.one_in(chance), resume });
        left -= work;
    }
    slices
}

/// What `slice` begins with; gives the work at which it ends.
fn begin(k: &mut Kit, slice: Slice) -> u64 {
    (k.bus.intr, k.bus.vector, k.bus.nmi) = (slice.interrupt, 0x20, slice.nmi);
    if let Some(at) = slice.resume {
        k.put(place::RESUME, &at.to_le_bytes()[..2]);
    }
    k.cpu.work() + slice.work
}

/// Runs until `end`, or what delivering an event takes beyond it.
fn run_to(k: &mut Kit, end: u64) -> Stop {
    while k.cpu.work() < end {
        match k.run(end - k.cpu.work()) {
            Stop::Budget | Stop::Unit => {}
            stop => return stop,
        }
    }
    Stop::Budget
}

fn advance(k: &mut Kit, slice: Slice) -> Stop {
    let end = begin(k, slice);
    run_to(k, end)
}

/// Compares behind each unit of `subject`. Other stops than the reference's may also mean that they differ.
fn advance_by_units(subject: &mut Kit, reference: &mut Kit, slice: Slice) -> (Stop, Stop) {
    let end = begin(subject, slice);
    begin(reference, slice);
    while subject.cpu.work() < end {
        let stop = subject.run(end - subject.cpu.work());
        if stop != Stop::Unit {
            return (if stop == Stop::Budget { run_to(subject, end) } else { stop }, run_to(reference, end));
        }
        let other = run_to(reference, subject.cpu.work());
        if other != Stop::Budget || subject.cpu.save() != reference.cpu.save() {
            return (stop, other);
        }
    }
    (Stop::Budget, Stop::Budget)
}

/// Whether the machines differ, memory included.
fn differs(a: &Kit, b: &Kit) -> bool {
    a.cpu.save() != b.cpu.save() || a.ram[..] != b.ram[..] || a.bus.output != b.bus.output
}

/// Whether the page table is as it was, but for the pages whose entries programs change with all due care. A wild
/// write to it lacks the invalidation: what is used then, old or new, is not defined.
fn table_is_intact(k: &Kit, world: World) -> bool {
    const HISTORY: u32 = 0x60;
    let free = (place::ALIASES..place::ALIASES + place::ALIAS_PAGES * 0x1000)
        .chain(place::ABSENT..place::ABSENT + place::ALIAS_PAGES * 0x1000);
    let free: Vec<u32> = free.step_by(0x1000).map(|linear| linear >> 12).collect();
    let frame = |n: u32| if n == place::TABLE_ALIAS >> 12 { place::TABLE } else { n << 12 };
    let mut pages = (0..1024).filter(|n| !free.contains(n));
    !matches!(world, World::Paged(_))
        || k.get32(kit::place::PAGING) & !HISTORY == place::TABLE | 7
            && pages.all(|n| (k.get32(place::TABLE + n * 4) ^ frame(n)) & !0xFFF == 0)
            && k.cpu.cr3 == u64::from(kit::place::PAGING)
}

/// A byte of code.
fn fetch(k: &mut Kit, linear: u32) -> Option<u8> {
    let cells = Cell::from_mut(&mut *k.ram).as_slice_of_cells();
    let mut biu = Biu::new(cells, &mut k.bus);
    let at = k.cpu.code_offset(&mut biu, linear.into())?;
    Some(biu.ram_read(at))
}

/// Says where the machines part: they are equal after `before`, and not after `slice` more.
fn describe(make: impl Fn() -> (Kit, Kit), before: &[Slice], slice: Slice) -> String {
    let at = |work: u64| {
        let (mut a, mut b) = make();
        for slice in before {
            advance(&mut a, *slice);
            advance(&mut b, *slice);
        }
        if work > 0 {
            advance(&mut a, Slice { work, ..slice });
            advance(&mut b, Slice { work, ..slice });
        }
        (a, b)
    };
    let first = (1..=slice.work).find(|work| {
        let (a, b) = at(*work);
        differs(&a, &b)
    });
    let Some(first) = first else { return "only the whole slice differs".into() };
    let mut text = String::new();
    for work in first.saturating_sub(24)..first {
        let (_, mut k) = at(work);
        let linear = k.here();
        let mapped: Vec<u8> = (0..15).map_while(|n| fetch(&mut k, linear.wrapping_add(n))).collect();
        let words = decode(&mapped, k.cpu.code_size()).map_or(String::new(), |i| i.to_string());
        text += &format!("  {linear:08x} {words} {mapped:02x?}\n");
    }
    let (a, b) = at(first);
    for n in (0..a.ram.len()).filter(|n| a.ram[*n] != b.ram[*n]).take(16) {
        text += &format!("[{n:x}] {:x} {:x}\n", a.ram[n], b.ram[n]);
    }
    let (a, b) = (format!("{:#x?}", a.cpu.save()), format!("{:#x?}", b.cpu.save()));
    for (a, b) in a.lines().zip(b.lines()).filter(|(a, b)| a != b) {
        text += &format!("{a} {b}\n");
    }
    text + &a
}

fn check(world: World) {
    let (first, programs) = (setting("IDEM86_PROGRAM_SEED", 1), setting("IDEM86_PROGRAMS", 60));
    let (mut work, mut broken, mut total) = (0, 0, [0; 7]);
    for seed in first..first + programs {
        let (round, way) = (seed as usize / ways().len(), seed as usize % ways().len());
        let mut options = ways()[way].1;
        let by_units = round % 2 == 1;
        if by_units {
            options.chaining = Chaining::Stop;
        }
        let make = || {
            let (mut subject, mut reference) = (world.machine(seed), world.machine(seed));
            (subject.engine, reference.engine) = (Engine::translator(options), Engine::interpreter());
            (subject, reference)
        };
        let (mut subject, mut reference) = make();
        let slices = slices(seed, world);
        for (n, slice) in slices.iter().enumerate() {
            let stops = if by_units {
                advance_by_units(&mut subject, &mut reference, *slice)
            } else {
                (advance(&mut subject, *slice), advance(&mut reference, *slice))
            };
            if !table_is_intact(&reference, world) {
                broken += 1;
                (subject, reference) = make();
                break;
            }
            let differ = if n % 16 == 15 { differs(&subject, &reference) } else { false };
            if stops.0 != stops.1 || subject.cpu.save() != reference.cpu.save() || differ {
                // Where only memory differs it may have done so for a while.
                let equal = if differ { n / 16 * 16 } else { n };
                let from = (equal..=n).find(|n| {
                    let (mut a, mut b) = make();
                    for slice in &slices[..=*n] {
                        advance(&mut a, *slice);
                        advance(&mut b, *slice);
                    }
                    differs(&a, &b)
                });
                let from = from.unwrap_or(n);
                panic!(
                    "IDEM86_PROGRAMS=1 IDEM86_PROGRAM_SEED={seed}: {world:?} {options:?} {stops:?}\n{}",
                    describe(make, &slices[..from], slices[from])
                );
            }
            if stops.0 != Stop::Budget {
                break;
            }
        }
        assert!(!differs(&subject, &reference), "seed {seed}: memory at the end");
        work += subject.cpu.work();
        if let Some(c) = subject.engine.counters() {
            let of_one =
                [c.cache.units, c.cache.invalidated, c.entries, c.slow, c.fills, c.traps.all(), c.changes];
            total.iter_mut().zip(of_one).for_each(|(sum, n)| *sum += n);
        }
    }
    let [units, invalidated, entries, slow, fills, traps, changes] = total;
    println!(
        "{world:?}: {work} units of work, {units} units translated, {invalidated} invalidated, {entries} entries, {slow} slow accesses, {fills} fills, {traps} traps, {changes} changes; {broken} programs broke their page table"
    );
    // A few may happen to do little.
    assert!(
        programs < 20 || units.min(invalidated).min(slow).min(fills) > 0,
        "the programs do what they are for"
    );
}

#[test]
fn real_mode() {
    check(World::Real);
}

#[test]
fn virtual_8086_mode() {
    check(World::Virtual8086);
}

#[test]
fn protected_mode_16_bit() {
    check(World::Protected16);
}

#[test]
fn flat_kernel() {
    check(World::Flat(0));
}

#[test]
fn flat_user() {
    check(World::Flat(3));
}

#[test]
fn paged_kernel() {
    check(World::Paged(0));
}

#[test]
fn paged_user() {
    check(World::Paged(3));
}

#[test]
fn paged_user_pae() {
    check(World::PagedPae(3));
}
