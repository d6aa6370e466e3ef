//! The engine: finds or makes the unit for CS:EIP, enters it, and serves its callouts.

use crate::cache::{Cache, CacheCounters, Unit};
use crate::emit::stubs::Stubs;
use crate::host::arena::CodeArena;
use crate::host::context::{BUDGET_BIAS, Callouts, Context, Exit, FAULT_SITE, enter};
use crate::host::ram::Ram;
use crate::key::ModeKey;
use crate::lower::{GO_SITE, Site, SiteKind, UNIT_SHIFT};
use crate::options::{Options, Windows};
use crate::shadow::{INDEX_MASK, Shadow};
use crate::space::Space;
use crate::units::{Last, Uses};
use crate::watched::Watched;
use crate::window::{Run, WindowView, runs};
use idem86_cpu::bus::{Biu, Work};
use idem86_cpu::cpu::Cpu;
use idem86_cpu::engine::{DirectPage, Engine};
use idem86_cpu::mmu::tlb::Change;
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::{Bounds, SegReg};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::sync::Arc;
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

/// What the translator did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Of the cache.
    pub cache: CacheCounters,
    /// Entries into translated code.
    pub entries: u64,
    /// Callouts that went on elsewhere without leaving.
    pub redirects: u64,
    /// Callouts of instructions that always take that way.
    pub callouts: u64,
    /// Accesses that took the slow path.
    pub slow: u64,
    /// Entries made in shadow tables.
    pub fills: u64,
    /// Changes of translations that were followed.
    pub changes: u64,
    /// Faults in windows.
    pub faults: u64,
    /// Times that a view got a window.
    pub promotions: u64,
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
            ("redirects", self.redirects),
            ("slow accesses", self.slow),
            ("shadow fills", self.fills),
            ("mapping changes", self.changes),
            ("window faults", self.faults),
            ("promotions", self.promotions),
        ];
        rows.iter().try_for_each(|(name, value)| writeln!(f, "{name:16} {value:14}"))
    }
}

/// The longest stay in translated code, in units of work.
const BUDGET_MAX: Work = BUDGET_BIAS >> 1;

/// Work after which a view that lost no translations gets a window: some ten milliseconds.
const STABLE: Work = 30_000_000;
/// Faults of an instruction in a window, after which it goes without; one that shows no page counts as a quarter of
/// them. A working set is shown once, what faults for ever is found soon.
const FAULTS_MAX: u32 = 4096;
/// Work for which a fault is forgiven: the time of some faults.
const FORGIVING: Work = 20_000;
/// Faults that a window may take after it was opened, to show a working set.
const FAULTS_FREE: u64 = 2048;
/// Work that must be done for each fault, on average, for a window to be worth it: about ten times what a fault costs.
const FAULT_WORTH: u64 = 40_000;
/// Doublings of the time that a view must be stable.
const IMPATIENCE_MAX: u32 = 8;
/// Instructions whose faults are counted, and that do without a window, at most; more begin anew.
const FAULTS_KEPT: usize = 1 << 16;

/// Executions by the interpreter that each rewriting of a page costs its code, in multiples of the threshold.
const REWRITE_PATIENCE: u32 = 8;

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
    views: Views,
    /// The guest's RAM, if it can be mapped in windows: address, size, object.
    attached: Option<(usize, usize, Arc<File>)>,
    /// Where the RAM that the shadow tables lead to is lent: address and size.
    ram: (usize, usize),
    counters: Counters,
    /// Numbers of units that nobody has seen yet, if somebody wants to.
    watched: Option<Vec<u32>>,
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
            views: Views::default(),
            attached: None,
            ram: (0, 0),
            counters: Counters::default(),
            watched: None,
        })
    }

    /// Tells what the RAM is that will be lent, so that windows to it can be made.
    pub fn attach(&mut self, ram: &Ram) {
        self.attached = ram.object().map(|object| (ram.as_ptr() as usize, ram.len(), object));
        self.views = Views::default();
    }

    /// What it did so far.
    pub fn counters(&self) -> Counters {
        Counters { cache: self.cache.counters, fills: self.shadow.fills, ..self.counters }
    }

    /// Notes from now on which units are translated, for [`Translator::watched`].
    pub fn watch(&mut self) {
        self.watched.get_or_insert_default();
    }

    /// The units that were translated since the last call and are still there; `ram` is what they were translated from.
    pub fn watched(&mut self, ram: &[u8]) -> Watched {
        let Some(ids) = self.watched.as_mut().map(std::mem::take) else { return Watched::default() };
        self.cache.watched(&ids, ram)
    }

    /// Guest and host instructions of the units whose code begins at one of the offsets `at` in `ram`.
    pub fn listing(&self, at: &[u64], ram: &[u8]) -> String {
        self.cache.listing(at, ram)
    }

    /// The code of CS:EIP, translated if it is hot enough. `None`: the interpreter goes on.
    fn code(&mut self, cpu: &mut Cpu, biu: &mut Biu, space: u32) -> Option<u32> {
        let eip = u32::try_from(cpu.rip).ok()?;
        if let Some(at) = self.cache.spaces[space as usize].code(eip) {
            return Some(at);
        }
        self.cache.looked_up(space);
        let linear = self.cache.spaces[space as usize].key.cs_base.wrapping_add(eip);
        if eip > self.cache.spaces[space as usize].key.cs_limit {
            return None;
        }
        let ram = cpu.code_offset(biu, u64::from(linear))?;
        let heat = &mut self.heat[heat_slot(ram)];
        if *heat < self.options.threshold {
            *heat += 1;
            return None;
        }
        let id = match self.cache.find(ram, eip, space) {
            Some(id) => id,
            None => {
                // Code that is rewritten again and again is not worth translating before it was used for a while.
                let patience =
                    REWRITE_PATIENCE.saturating_mul(self.cache.rewrites(ram)).min(u32::from(u8::MAX));
                let wanted = u32::from(self.options.threshold) * (1 + patience);
                if u32::from(*heat) < wanted.min(u32::from(u8::MAX)) {
                    *heat += 1;
                    return None;
                }
                // It begins anew when it is translated anew.
                *heat = self.options.threshold;
                let id = self.cache.translate(biu, ram, eip, space, &self.views.avoid)?;
                let length = self.cache.units[id as usize].length;
                cpu.keep_code(ram, length as usize);
                self.watched.iter_mut().for_each(|ids| ids.push(id));
                id
            }
        };
        follow(cpu, &mut self.shadow, &mut self.views, &mut self.cache.spaces, &mut self.counters);
        self.cache.install(id, cpu.is_global_page(u64::from(linear)));
        Some(self.cache.units[id as usize].entry)
    }
}

/// Windows, and what was learnt of them.
#[derive(Debug, Default)]
struct Views {
    /// Supervisor and user.
    windows: [Option<WindowView>; 2],
    /// The work at which each view last lost its translations.
    stable_since: [Work; 2],
    /// What each open window has cost: the work at which it was opened, and faults since.
    cost: [(Work, u64); 2],
    /// How often windows were closed because they cost too much; each time they must wait twice as long.
    impatience: [u32; 2],
    /// Instructions, by their offset in RAM, that do better without a window.
    avoid: HashSet<u64>,
    /// How often instructions faulted lately, and when the last time.
    faults: HashMap<u64, (u32, Work)>,
}

impl Views {
    /// The mode of `cpu`, with a window if its view has one.
    fn mode(&self, cpu: &Cpu) -> Option<ModeKey> {
        let key = ModeKey::of(cpu)?;
        let window = self.windows[usize::from(key.user)].as_ref().is_some_and(|w| w.open);
        Some(ModeKey { window, ..key })
    }

    /// Follows `change`. Gives whether a window was lost on the way: the host did not do as it must.
    fn change(&mut self, change: Change, now: Work) -> bool {
        let mut lost = false;
        for (user, slot) in self.windows.iter_mut().enumerate() {
            let Some(window) = slot.as_mut().filter(|w| w.open) else {
                if matches!(change, Change::All) || user == 1 && matches!(change, Change::Local) {
                    self.stable_since[user] = now;
                }
                continue;
            };
            let done = match change {
                Change::All => {
                    self.stable_since[user] = now;
                    window.close()
                }
                // Of a user's pages few are global.
                Change::Local if user == 1 => {
                    self.stable_since[user] = now;
                    window.close()
                }
                Change::Local => window.hide_local(),
                Change::Page(linear) => window.hide(linear as u32),
                Change::Traced(ram) => window.protect(ram),
            };
            if !done {
                *slot = None;
                lost = true;
            }
        }
        lost
    }

    /// The window of a view faulted at `now`: closes it if that happens too often. Gives whether it did.
    fn charge(&mut self, user: usize, now: Work) -> bool {
        let (since, faults) = &mut self.cost[user];
        *faults += 1;
        let worth = *faults <= FAULTS_FREE || *faults * FAULT_WORTH <= now.wrapping_sub(*since);
        if worth {
            return false;
        }
        self.impatience[user] = (self.impatience[user] + 1).min(IMPATIENCE_MAX);
        self.stable_since[user] = now;
        if !self.windows[user].as_mut().is_none_or(WindowView::close) {
            self.windows[user] = None;
        }
        true
    }

    /// The instruction at offset `ram` faulted at `now`. Gives whether it shall not use the window any longer.
    fn faulted(&mut self, ram: u64, now: Work, shown: bool) -> bool {
        if self.faults.len() >= FAULTS_KEPT {
            self.faults.clear();
        }
        let (level, at) = self.faults.entry(ram).or_insert((0, now));
        let forgiven = now.wrapping_sub(*at) / FORGIVING;
        let rest = u64::from(*level).saturating_sub(forgiven) as u32;
        *level = rest.saturating_add(if shown { 1 } else { FAULTS_MAX / 4 });
        *at = now;
        let too_often = *level > FAULTS_MAX;
        if too_often {
            if self.avoid.len() >= FAULTS_KEPT {
                self.avoid.clear();
            }
            self.avoid.insert(ram);
        }
        // Other units with the instruction may not know it yet.
        too_often || self.avoid.contains(&ram)
    }
}

/// Where executions of the code at offset `ram` of RAM are counted.
fn heat_slot(ram: u64) -> usize {
    (ram ^ ram >> 16) as usize % HEAT
}

/// Follows what happened to translations. Gives whether code may be elsewhere now.
fn follow(
    cpu: &mut Cpu,
    shadow: &mut Shadow,
    views: &mut Views,
    spaces: &mut [Space],
    counters: &mut Counters,
) -> bool {
    if !cpu.translations_changed() {
        return false;
    }
    let mut moved = false;
    for change in cpu.take_translation_changes() {
        counters.changes += 1;
        moved |= views.change(change, cpu.work());
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
    let system = cpu.eflags.system();
    context.system = u64::from(system & !bit::IF);
    context.interrupts = u64::from(system & bit::IF != 0);
    context.quiet = u64::from(!cpu.interrupt_waits());
    let left = cpu.budget_left().min(BUDGET_MAX);
    context.budget = BUDGET_BIAS + left;
    context.end = cpu.work() + left;
}

/// The segments, from the processor to the context.
fn load_segments(cpu: &Cpu, context: &mut Context) {
    let last = |b: Bounds| (b.min == 0).then_some(b.max);
    for s in SegReg::ALL {
        let segment = &cpu.seg[s as usize];
        context.selectors[s as usize] = segment.selector.into();
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
    cpu.eflags.replace_system(context.system as u32 | if context.interrupts != 0 { bit::IF } else { 0 });
    // The bias makes the difference of overdrawn budgets come out right.
    let left = context.budget.wrapping_sub(BUDGET_BIAS).wrapping_add(skipped);
    cpu.set_work(context.end.wrapping_sub(left));
}

/// A stay in translated code, as its callouts see it.
struct Session<'a, 'b> {
    cpu: &'a mut Cpu,
    biu: &'a mut Biu<'b>,
    shadow: &'a mut Shadow,
    views: &'a mut Views,
    units: &'a [Unit],
    by_code: &'a BTreeMap<u32, u32>,
    spaces: &'a mut [Space],
    counters: &'a mut Counters,
    arena: &'a CodeArena,
    stubs: &'a Stubs,
    key: ModeKey,
    /// A unit that is to be translated anew.
    outdated: Option<u32>,
    /// The window was closed: its code is not to be gone on with.
    closed: bool,
}

impl<'a> Session<'a, '_> {
    /// The unit and the site of a callout.
    fn site(&self, context: &mut Context, site: u32) -> Option<(u32, &'a Unit, Site)> {
        if site != FAULT_SITE && site & GO_SITE != 0 {
            return self.site_at(site & !GO_SITE, |s| s.go);
        }
        if site != FAULT_SITE {
            let (id, n) = (site >> UNIT_SHIFT, site & ((1 << UNIT_SHIFT) - 1));
            let unit = self.units.get(id as usize)?;
            return Some((id, unit, *unit.sites.get(n as usize)?));
        }
        if let Some(window) = self.views.windows[usize::from(self.key.user)].as_ref() {
            context.linear = context.fault.address.wrapping_sub(window.base());
        }
        self.site_at(context.fault.rip as u32, |s| s.fault)
    }

    /// The site of which `part` is at offset `at` of the arena.
    fn site_at(&self, at: u32, part: fn(&Site) -> Option<u32>) -> Option<(u32, &'a Unit, Site)> {
        let (_, id) = self.by_code.range(..=at).next_back()?;
        let unit = self.units.get(*id as usize)?;
        Some((*id, unit, *unit.sites.iter().find(|s| part(s) == Some(at - unit.at))?))
    }

    /// A repeated instruction faulted amid its iterations, with pointers into the window: makes them the guest's
    /// again, and gives back the work of the iterations that are left.
    fn leave_repetition(&self, context: &mut Context) {
        let base = self.views.windows[usize::from(self.key.user)].as_ref().map_or(0, WindowView::base);
        for r in [gpr::SI, gpr::DI] {
            // A pointer that the instruction does not use never left the guest's range.
            let pointer = &mut context.gpr[usize::from(r)];
            if *pointer > u64::from(u32::MAX) {
                *pointer = u64::from(pointer.wrapping_sub(base) as u32);
            }
        }
        // All were taken off the budget but the first, which is the instruction's own.
        context.budget += context.gpr[usize::from(gpr::CX)] - 1;
    }

    /// The access of a site took the slow path: makes that unnecessary for the next one.
    fn learn(&mut self, context: &Context, id: u32, unit: &Unit, site: Site, fault: bool) {
        let (ram, size) = (self.biu.ram.as_ptr() as u64, self.biu.ram.len() as u64);
        // The bus may promise more RAM than was lent; the slow path checks that, an entry does not.
        let page = u32::try_from(context.linear)
            .ok()
            .and_then(|linear| Some((linear, self.cpu.direct_page(self.key.view(), u64::from(linear))?)))
            .filter(|(_, page)| page.ram.checked_add(0x1000).is_some_and(|end| end <= size));
        if let Some((linear, page)) = page {
            self.shadow.fill(self.key.user, linear, page, ram);
        }
        if !fault {
            self.counters.slow += 1;
            return;
        }
        self.counters.faults += 1;
        let mut shown = false;
        if let Some((linear, DirectPage { ram, read: true, write, global, code: _ })) = page
            && let Some(window) = self.views.windows[usize::from(self.key.user)].as_mut().filter(|w| w.open)
        {
            shown = window.show(Run { page: linear >> 12, pages: 1, ram, writable: write, global });
        }
        if self.views.charge(usize::from(self.key.user), self.cpu.work()) {
            self.closed = true;
            return;
        }
        let insn = unit.insns[usize::from(site.insn)];
        let at = unit.ram + u64::from(insn.offset) - u64::from(insn.length);
        if self.views.faulted(at, self.cpu.work(), shown) {
            self.outdated = Some(id);
        }
    }
}

impl Callouts for Session<'_, '_> {
    fn callout(&mut self, context: &mut Context, number: u32) -> Option<u64> {
        let fault = number == FAULT_SITE;
        let Some((id, unit, site)) = self.site(context, number) else {
            panic!("translated code asks for nothing that is known: {number:#x}, {:x?}", context.fault);
        };
        let n = usize::from(site.insn);
        let (insn, left) = (unit.insns.get(n)?, (unit.insns.len() - n) as Work);
        let next = u64::from(unit.eip) + u64::from(insn.offset);
        context.tell_last(self.cpu, site.last, &unit.insns, unit.eip);
        if site.kind == SiteKind::Start {
            if context.budget < BUDGET_BIAS {
                store(context, self.cpu, left);
                self.cpu.rip = u64::from(unit.eip);
                return None;
            }
            if context.give(site.uses, self.cpu, self.arena, self.stubs) {
                context.budget += left;
                return Some(self.arena.base() + u64::from(unit.at + site.resume?));
            }
        }
        if site.kind == SiteKind::Live && context.give(site.uses, self.cpu, self.arena, self.stubs) {
            return Some(self.arena.base() + u64::from(unit.at + site.resume?));
        }
        if fault && site.kind == SiteKind::Repeat {
            self.leave_repetition(context);
        }
        let mut live = context.live();
        if site.kind == SiteKind::Plain {
            // It is given again when a native instruction asks for it.
            live = live.without(site.uses);
        }
        context.take(site.uses, self.cpu, self.arena, self.stubs);
        store(context, self.cpu, left);
        let completed = self.cpu.execute(self.biu, insn, u64::from(unit.eip));
        if let Some(segment) = site.data {
            context.hear_data(self.cpu, segment);
        }
        let moved = follow(self.cpu, self.shadow, self.views, self.spaces, self.counters);
        match site.kind {
            SiteKind::Plain | SiteKind::Trap | SiteKind::Live | SiteKind::Start => {
                self.counters.callouts += 1;
            }
            SiteKind::Table | SiteKind::Window | SiteKind::Repeat => {
                self.learn(context, id, unit, site, fault)
            }
        }
        if self.outdated.is_some() || !self.cpu.settle() {
            return None;
        }
        let closed = std::mem::take(&mut self.closed);
        let stays =
            completed && !moved && !closed && self.cpu.rip == next && self.cpu.budget_left() >= left - 1;
        let lives = context.give(live, self.cpu, self.arena, self.stubs)
            && !matches!(site.kind, SiteKind::Live | SiteKind::Start);
        let Some(resume) = site.resume.filter(|_| stays && lives) else { return self.redirect(context) };
        if site.changes_mode {
            if self.views.mode(self.cpu) != Some(self.key) {
                return self.redirect(context);
            }
            load_segments(self.cpu, context);
        }
        load(self.cpu, context);
        context.budget -= left - 1;
        Some(self.arena.base() + u64::from(unit.at + resume))
    }
}

impl Session<'_, '_> {
    /// Goes on at CS:EIP without leaving translated code, if its code is known.
    fn redirect(&mut self, context: &mut Context) -> Option<u64> {
        if self.cpu.budget_left() == 0 {
            return None;
        }
        let key = self.views.mode(self.cpu)?;
        let space = self.spaces.iter().find(|s| s.key == key)?;
        let at = space.code(u32::try_from(self.cpu.rip).ok()?)?;
        self.key = key;
        self.counters.redirects += 1;
        prepare(self.cpu, context, self.shadow, self.views, space);
        Some(self.arena.base() + u64::from(at))
    }
}

/// Fills the context for code of `space`.
fn prepare(cpu: &Cpu, context: &mut Context, shadow: &Shadow, views: &Views, space: &Space) {
    load(cpu, context);
    load_segments(cpu, context);
    let key = space.key;
    context.tables = shadow.tables(key.user);
    context.index_mask = INDEX_MASK;
    let window = views.windows[usize::from(key.user)].as_ref().filter(|_| key.window);
    context.memory = window.map_or(INDEX_MASK, WindowView::base);
    context.eip_table = space.table_address();
}

impl Translator {
    /// The mode of `cpu`, with a window if its view has one or gets one now.
    fn mode(&mut self, cpu: &Cpu) -> Option<ModeKey> {
        let key = self.views.mode(cpu)?;
        let user = usize::from(key.user);
        let window = key.window
            || match self.options.windows {
                Windows::Never => false,
                Windows::AtOnce => self.promote(key.user, cpu.work()),
                Windows::WhenHot => {
                    let stable = cpu.work().wrapping_sub(self.views.stable_since[user]);
                    stable > STABLE << self.views.impatience[user] && {
                        self.views.stable_since[user] = cpu.work();
                        self.promote(key.user, cpu.work())
                    }
                }
            };
        Some(ModeKey { window, ..key })
    }

    /// Opens the window of a view and shows what its tables know.
    fn promote(&mut self, user: bool, now: Work) -> bool {
        let Some((ram, len, object)) = &self.attached else { return false };
        if self.ram != (*ram, *len) {
            return false;
        }
        let slot = &mut self.views.windows[usize::from(user)];
        if slot.is_none() {
            *slot = WindowView::new(object.clone()).ok();
        }
        let Some(window) = slot else { return false };
        window.open = true;
        self.views.cost[usize::from(user)] = (now, 0);
        self.counters.promotions += 1;
        for run in runs(self.shadow.entries(user, *ram as u64)) {
            if !window.show(run) {
                break;
            }
        }
        true
    }
}

impl Engine for Translator {
    fn run(&mut self, cpu: &mut Cpu, biu: &mut Biu) -> bool {
        let progress = self.stay(cpu, biu);
        self.context.take(Uses { x87: true, simd: true }, cpu, &self.cache.arena, &self.cache.stubs);
        progress
    }

    fn drop_code(&mut self, page: usize, lines: u64) {
        // What stands there now was not executed yet.
        for line in (0..64).filter(|line| lines & 1 << line != 0) {
            let start = ((page as u64) << 12) + 64 * line;
            (start..start + 64).for_each(|ram| self.heat[heat_slot(ram)] = 0);
        }
        self.cache.drop_lines(page, lines);
    }

    fn drop_all_code(&mut self) {
        self.cache.drop_all();
    }

    fn code_on(&self, page: usize) -> Vec<(u64, u64)> {
        self.cache.code_on(page)
    }
}

impl Translator {
    /// [`Engine::run`], but that x87, MMX and SSE state may be live at the end.
    fn stay(&mut self, cpu: &mut Cpu, biu: &mut Biu) -> bool {
        let lent = (biu.ram.as_ptr() as usize, biu.ram.len());
        if self.ram != lent {
            self.ram = lent;
            self.shadow.forget(true);
            self.views.change(Change::All, cpu.work());
        }
        let mut progress = false;
        let mut link = 0;
        loop {
            follow(cpu, &mut self.shadow, &mut self.views, &mut self.cache.spaces, &mut self.counters);
            if !cpu.settle() || cpu.budget_left() == 0 {
                return progress;
            }
            self.context.settle(cpu, &self.cache.arena, &self.cache.stubs);
            let Some(key) = self.mode(cpu) else { return progress };
            let Ok(space) = self.cache.space_of(key) else { return progress };
            let Some(at) = self.code(cpu, biu, space) else { return progress };
            if link != 0 && self.options.chaining {
                self.cache.link(link, at);
            }
            prepare(cpu, &mut self.context, &self.shadow, &self.views, &self.cache.spaces[space as usize]);
            self.counters.entries += 1;
            let before = cpu.work();
            let (exit, outdated) = {
                let Translator { context, cache, shadow, views, counters, .. } = self;
                let Cache { arena, stubs, units, by_code, spaces, .. } = cache;
                let mut session = Session {
                    cpu,
                    biu,
                    shadow,
                    views,
                    units,
                    by_code,
                    spaces,
                    counters,
                    arena,
                    stubs,
                    key,
                    outdated: None,
                    closed: false,
                };
                (enter(arena, stubs, at, context, &mut session), session.outdated)
            };
            if let Some(id) = outdated {
                self.cache.drop_by_number(id);
            }
            link = 0;
            if exit == Exit::Branch {
                self.context.tell_last(cpu, Last::default(), &[], 0);
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
}
