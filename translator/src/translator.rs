//! The engine: finds or makes the unit for CS:EIP, enters it, and serves its callouts.

use crate::cache::{Cache, CacheCounters, Unit};
use crate::discover::UNIT_MAX;
use crate::host::context::{BUDGET_BIAS, Callouts, Context, Exit, enter};
use crate::key::ModeKey;
use crate::lower::UNIT_SHIFT;
use crate::shadow::{INDEX_MASK, Shadow};
use crate::space::Space;
use idem86_cpu::bus::{Biu, Work};
use idem86_cpu::cpu::Cpu;
use idem86_cpu::engine::Engine;
use idem86_cpu::mmu::tlb::Change;
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::{Bounds, SegReg};
use std::{fmt, io};

/// Why the host cannot run translated code.
#[derive(Debug, thiserror::Error)]
pub enum Unsupported {
    /// An instruction is missing.
    #[error("translation needs a processor with BMI2 (PEXT, SHRX)")]
    Processor,
    /// The operating system refuses memory.
    #[error("translation needs executable memory and large address space: {0}")]
    Memory(#[from] io::Error),
}

/// Settings of the translator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How often code is executed by the interpreter before it is translated.
    pub threshold: u8,
    /// Whether direct branches are linked.
    pub chaining: bool,
    /// Bytes of the code arena; it has at least some 272 KiB and at most 1 GiB.
    pub arena: usize,
    /// Instructions in a translation unit, at most; no more than 32 in any case.
    pub unit: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { threshold: 4, chaining: true, arena: 32 << 20, unit: UNIT_MAX }
    }
}

/// What the translator did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Of the cache.
    pub cache: CacheCounters,
    /// Entries into translated code.
    pub entries: u64,
    /// Callouts of instructions that always take that way.
    pub callouts: u64,
    /// Accesses that took the slow path.
    pub slow: u64,
    /// Entries made in shadow tables.
    pub fills: u64,
    /// Changes of translations that were followed.
    pub changes: u64,
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CacheCounters { units, instructions, bytes, links, invalidated, evicted } = self.cache;
        let rows = [
            ("units", units),
            ("  instructions", instructions),
            ("  host bytes", bytes),
            ("  links", links),
            ("  invalidated", invalidated),
            ("  evicted", evicted),
            ("entries", self.entries),
            ("callouts", self.callouts),
            ("slow accesses", self.slow),
            ("shadow fills", self.fills),
            ("mapping changes", self.changes),
        ];
        rows.iter().try_for_each(|(name, value)| writeln!(f, "{name:16} {value:14}"))
    }
}

/// The longest stay in translated code, in units of work.
const BUDGET_MAX: Work = BUDGET_BIAS >> 1;

/// Slots of the table that counts executions of cold code.
const HEAT: usize = 1 << 16;

/// The engine; see the module's description.
#[derive(Debug)]
pub struct Translator {
    options: Options,
    context: Box<Context>,
    cache: Cache,
    shadow: Shadow,
    heat: Box<[u8]>,
    /// Where the RAM that the shadow tables lead to is lent: address and size.
    ram: (usize, usize),
    counters: Counters,
}

impl Translator {
    /// An engine with nothing translated.
    pub fn new(options: Options) -> Result<Self, Unsupported> {
        if !std::arch::is_x86_feature_detected!("bmi2") {
            return Err(Unsupported::Processor);
        }
        Ok(Translator {
            options,
            context: Box::default(),
            cache: Cache::new(options.arena, options.unit)?,
            shadow: Shadow::new()?,
            heat: vec![0; HEAT].into_boxed_slice(),
            ram: (0, 0),
            counters: Counters::default(),
        })
    }

    /// What it did so far.
    pub fn counters(&self) -> Counters {
        Counters { cache: self.cache.counters, fills: self.shadow.fills, ..self.counters }
    }

    /// The code of CS:EIP, translated if it is hot enough. `None`: the interpreter goes on.
    fn code(&mut self, cpu: &mut Cpu, biu: &mut Biu, space: u32) -> Option<u32> {
        let eip = u32::try_from(cpu.rip).ok()?;
        if let Some(at) = self.cache.spaces[space as usize].code(eip) {
            return Some(at);
        }
        let linear = self.cache.spaces[space as usize].key.cs_base.wrapping_add(eip);
        if eip > self.cache.spaces[space as usize].key.cs_limit {
            return None;
        }
        let ram = cpu.code_offset(biu, u64::from(linear))?;
        let id = match self.cache.find(ram, eip, space) {
            Some(id) => id,
            None => {
                let heat = &mut self.heat[(ram ^ ram >> 16) as usize % HEAT];
                if *heat < self.options.threshold {
                    *heat += 1;
                    return None;
                }
                let id = self.cache.translate(biu, ram, eip, space)?;
                let length = self.cache.units[id as usize].length();
                cpu.keep_code(ram, length as usize);
                id
            }
        };
        follow(cpu, &mut self.shadow, &mut self.cache.spaces, &mut self.counters);
        self.cache.install(id, cpu.is_global_page(u64::from(linear)));
        Some(self.cache.units[id as usize].entry)
    }
}

/// Follows what happened to translations. Gives whether code may be elsewhere now.
fn follow(cpu: &mut Cpu, shadow: &mut Shadow, spaces: &mut [Space], counters: &mut Counters) -> bool {
    if !cpu.translations_changed() {
        return false;
    }
    let mut moved = false;
    for change in cpu.take_translation_changes() {
        counters.changes += 1;
        match change {
            Change::All => {
                shadow.forget(true);
                spaces.iter_mut().for_each(|s| s.forget(true));
            }
            Change::Local => {
                shadow.forget(false);
                spaces.iter_mut().for_each(|s| s.forget(false));
            }
            Change::Page(linear) => {
                shadow.forget_page(linear as u32);
                spaces.iter_mut().for_each(|s| s.forget_page(linear as u32));
            }
            Change::Traced(ram) => shadow.trace(ram),
        }
        moved |= !matches!(change, Change::Traced(_));
    }
    moved
}

/// The registers, from the processor to the context.
fn load(cpu: &Cpu, context: &mut Context) {
    for (r, slot) in context.gpr.iter_mut().enumerate() {
        *slot = cpu.gpr.full(r as u8);
    }
    let flags = cpu.eflags.arithmetic();
    context.flags = u64::from((flags & 0xD5) << 8 | flags >> 11 & 1);
    let left = cpu.budget_left().min(BUDGET_MAX);
    context.budget = BUDGET_BIAS + left;
    context.end = cpu.work() + left;
}

/// The segments, from the processor to the context.
fn load_segments(cpu: &Cpu, context: &mut Context) {
    let last = |b: Bounds| (b.min == 0).then_some(b.max);
    for s in SegReg::ALL {
        let segment = &cpu.seg[s as usize];
        context.seg_base[s as usize] = segment.base;
        context.seg_read[s as usize] = Context::limit(last(segment.read));
        context.seg_write[s as usize] = Context::limit(last(segment.write));
    }
}

/// The registers, from the context to the processor. `skipped` units of work were counted, but not done.
fn store(context: &Context, cpu: &mut Cpu, skipped: Work) {
    for (r, value) in (gpr::AX..=gpr::DI).zip(context.gpr) {
        cpu.gpr.set::<u32>(r, value as u32);
    }
    cpu.eflags.set_arithmetic((context.flags >> 8) as u32 & 0xD5 | (context.flags as u32 & 1) << 11);
    // The bias makes the difference of overdrawn budgets come out right.
    let left = context.budget.wrapping_sub(BUDGET_BIAS).wrapping_add(skipped);
    cpu.set_work(context.end.wrapping_sub(left));
}

/// A stay in translated code, as its callouts see it.
struct Session<'a, 'b> {
    cpu: &'a mut Cpu,
    biu: &'a mut Biu<'b>,
    shadow: &'a mut Shadow,
    units: &'a [Unit],
    spaces: &'a mut [Space],
    counters: &'a mut Counters,
    key: ModeKey,
    base: u64,
}

impl Callouts for Session<'_, '_> {
    fn callout(&mut self, context: &mut Context, site: u32) -> Option<u64> {
        let unit = self.units.get((site >> UNIT_SHIFT) as usize)?;
        let site = *unit.sites.get((site & ((1 << UNIT_SHIFT) - 1)) as usize)?;
        let n = usize::from(site.insn);
        let (guest, left) = (unit.guest.get(n)?, (unit.guest.len() - n) as Work);
        let (at, ip) = (unit.at, u64::from(unit.eip) + u64::from(guest.offset));
        let insn = guest.insn;
        let next = ip + u64::from(insn.length);
        store(context, self.cpu, left);
        let completed = self.cpu.execute(self.biu, &insn, ip);
        let moved = follow(self.cpu, self.shadow, self.spaces, self.counters);
        if site.memory {
            self.counters.slow += 1;
            let linear = context.linear as u32;
            if let Some(page) = self.cpu.direct_page(u64::from(linear)) {
                let ram = self.biu.ram.as_ptr() as u64;
                self.shadow.fill(self.key.user, linear, page, ram);
            }
        } else {
            self.counters.callouts += 1;
        }
        let stays = completed
            && !moved
            && self.cpu.rip == next
            && !self.cpu.needs_attention()
            && self.cpu.budget_left() >= left - 1;
        if !stays {
            return None;
        }
        if !site.memory {
            if ModeKey::of(self.cpu) != Some(self.key) {
                return None;
            }
            load_segments(self.cpu, context);
        }
        let resume = site.resume?;
        load(self.cpu, context);
        context.budget -= left - 1;
        Some(self.base + u64::from(at + resume))
    }
}

impl Engine for Translator {
    fn run(&mut self, cpu: &mut Cpu, biu: &mut Biu) -> bool {
        let lent = (biu.ram.as_ptr() as usize, biu.ram.len());
        if self.ram != lent {
            self.ram = lent;
            self.shadow.forget(true);
        }
        let mut progress = false;
        let mut link = 0;
        loop {
            follow(cpu, &mut self.shadow, &mut self.cache.spaces, &mut self.counters);
            if cpu.needs_attention() || cpu.budget_left() == 0 {
                return progress;
            }
            let Some(key) = ModeKey::of(cpu) else { return progress };
            let Ok(space) = self.cache.space_of(key) else { return progress };
            let Some(at) = self.code(cpu, biu, space) else { return progress };
            if link != 0 && self.options.chaining {
                self.cache.link(link, at);
            }
            load(cpu, &mut self.context);
            load_segments(cpu, &mut self.context);
            self.context.tables = self.shadow.tables(key.user);
            self.context.index_mask = INDEX_MASK;
            self.context.eip_table = self.cache.spaces[space as usize].table_address();
            self.counters.entries += 1;
            let before = cpu.work();
            let exit = {
                let Translator { context, cache, shadow, counters, .. } = self;
                let Cache { arena, stubs, units, spaces, .. } = cache;
                let base = arena.base();
                let mut session = Session { cpu, biu, shadow, units, spaces, counters, key, base };
                enter(arena, stubs.enter, at, context, &mut session)
            };
            link = 0;
            if exit == Exit::Branch {
                store(&self.context, cpu, 0);
                cpu.rip = self.context.eip;
                link = self.context.link as u32;
            }
            if cpu.work() == before {
                return progress;
            }
            progress = true;
        }
    }

    fn drop_code(&mut self, page: usize, lines: u64) {
        self.cache.drop_lines(page, lines);
    }

    fn drop_all_code(&mut self) {
        self.cache.drop_all();
    }

    fn code_on(&self, page: usize) -> Vec<(u64, u64)> {
        self.cache.code_on(page)
    }
}
