//! A stay in translated code: registers to and from the context, and the callouts.

use crate::cache::Unit;
use crate::counters::{Counters, Tally};
use crate::crossings::inputs;
use crate::emit::stubs::Stubs;
use crate::host::arena::CodeArena;
use crate::host::context::{BUDGET_BIAS, Callouts, Context, FAULT_SITE};
use crate::host::descriptors::{Known, KnownDescriptors};
use crate::key::{ModeKey, is_flat};
use crate::lower::{GO_SITE, Site, SiteKind, UNIT_SHIFT};
use crate::shadow::{INDEX_MASK, Shadow, read_entry};
use crate::space::Space;
use crate::views::{Lasts, Views};
use crate::window::{Run, WindowView};
use idem86_cpu::bus::{Biu, Work};
use idem86_cpu::cpu::Cpu;
use idem86_cpu::engine::DirectPage;
use idem86_cpu::event::exception::vector;
use idem86_cpu::mmu::tlb::{Change, View};
use idem86_cpu::state::control::cr4;
use idem86_cpu::state::descriptor::{Descriptor, Selector};
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::{Bounds, SegReg, Segment};
use std::collections::BTreeMap;

/// The longest stay in translated code, in units of work.
const BUDGET_MAX: Work = BUDGET_BIAS >> 1;

/// Follows what happened to translations. Gives whether code may be elsewhere now, or other tables are the present
/// ones: whoever keeps what he found there, or where they are, finds it anew then.
pub fn follow(
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
        let present = shadow.space();
        moved |= views.change(change, present, cpu.work());
        moved |= match change {
            Change::All => {
                shadow.begin_anew();
                spaces.iter_mut().for_each(Space::begin_anew);
                true
            }
            Change::Space(space) => {
                shadow.enter(space);
                spaces.iter_mut().for_each(|s| s.enter(space));
                space.is_none() || space != present
            }
            Change::Page(linear) => {
                shadow.forget_page(linear as u32);
                spaces.iter_mut().for_each(|s| s.forget_page(linear as u32));
                true
            }
            Change::Dropped { space, first, last } => {
                shadow.drop_pages(space, first, last);
                spaces.iter_mut().for_each(|s| s.drop_pages(space, first, last));
                present == Some(space)
            }
            Change::Gone(space) => {
                shadow.drop_space(space);
                spaces.iter_mut().for_each(|s| s.drop_space(space));
                present == Some(space)
            }
            Change::Traced(ram) => {
                shadow.trace(ram);
                false
            }
        };
    }
    moved
}

/// The registers, from the processor to the context.
fn load(cpu: &Cpu, biu: &mut Biu, context: &mut Context) {
    for (r, slot) in context.gpr.iter_mut().enumerate() {
        *slot = cpu.gpr.full(r as u8);
    }
    let flags = cpu.eflags.arithmetic();
    context.flags = u64::from((flags & 0xD5) << 8 | flags >> 11 & 1);
    let system = cpu.eflags.system();
    context.system = u64::from(system & !bit::IF);
    context.interrupts = u64::from(system & bit::IF != 0);
    context.quiet = u64::from(!cpu.interrupt_waits() && !cpu.nmi_blocked);
    let left = cpu.budget_left().min(BUDGET_MAX);
    context.budget = BUDGET_BIAS + left;
    context.end = cpu.work() + left;
    if context.time_wanted != 0 {
        (context.time_origin, context.time_rate) = cpu.time_stamp_line(biu).unwrap_or_default();
        context.time_work = context.end.wrapping_add(BUDGET_BIAS);
    }
}

/// What may be read and written through a segment, in the form of the context.
pub fn bounds(segment: &Segment) -> (u64, u64) {
    let last = |b: Bounds| Context::limit((b.min == 0).then_some(b.max));
    (last(segment.read), last(segment.write))
}

/// The segments and what changes of privilege depend on, from the processor to the context.
fn load_segments(cpu: &Cpu, context: &mut Context, shadow: &Shadow, views: &Views) {
    context.crossings.follow(inputs(cpu, views), shadow.switched);
    if context.gdtr != (cpu.gdtr.base, cpu.gdtr.limit) {
        context.gdtr = (cpu.gdtr.base, cpu.gdtr.limit);
        context.known = KnownDescriptors::default();
    }
    for s in SegReg::ALL {
        let segment = &cpu.seg[s as usize];
        context.selectors[s as usize] = segment.selector.into();
        context.seg_base[s as usize] = segment.base;
        (context.seg_read[s as usize], context.seg_write[s as usize]) = bounds(segment);
        let data = !matches!(s, SegReg::Cs | SegReg::Ss);
        context.private[s as usize] = (data && segment.is_taken_away(3)).into();
    }
}

/// The system flags in the context.
fn system_flags(context: &Context) -> u32 {
    context.system as u32 | if context.interrupts != 0 { bit::IF } else { 0 }
}

/// Segment registers that were loaded, from the context to the processor; with CS goes the privilege level.
pub fn store_segments(context: &mut Context, cpu: &mut Cpu) {
    if context.reloaded == [0; 8] {
        return;
    }
    let real = cpu.real_mode();
    for s in SegReg::ALL.map(|s| s as usize) {
        if context.reloaded[s] == 0 {
            continue;
        }
        let (segment, selector) = (&mut cpu.seg[s], Selector(context.selectors[s] as u16));
        if real {
            *segment = segment.reloaded_real(selector.0);
            continue;
        }
        let descriptor = std::mem::take(&mut context.loaded[s]);
        if descriptor != 0 {
            *segment = Descriptor(descriptor).segment(selector.0);
        }
        if selector.is_null() {
            *segment = segment.nulled(selector.0);
        }
    }
    if context.reloaded[SegReg::Cs as usize] != 0 {
        // What the level means for memory depends on the flags.
        cpu.eflags.replace_system(system_flags(context));
        cpu.set_cpl(Selector(cpu.seg[SegReg::Cs as usize].selector).rpl());
    }
    context.reloaded = [0; 8];
}

/// The registers, from the context to the processor. `skipped` units of work were counted, but not done.
pub fn store(context: &Context, cpu: &mut Cpu, skipped: Work) {
    for (r, value) in (gpr::AX..=gpr::DI).zip(context.gpr) {
        cpu.gpr.set::<u32>(r, value as u32);
    }
    cpu.eflags.set_arithmetic((context.flags >> 8) as u32 & 0xD5 | (context.flags as u32 & 1) << 11);
    cpu.eflags.replace_system(system_flags(context));
    // The bias makes the difference of overdrawn budgets come out right.
    let left = context.budget.wrapping_sub(BUDGET_BIAS).wrapping_add(skipped);
    cpu.set_work(context.end.wrapping_sub(left));
}

/// A stay in translated code, as its callouts see it.
pub struct Session<'a, 'b> {
    pub cpu: &'a mut Cpu,
    pub biu: &'a mut Biu<'b>,
    pub shadow: &'a mut Shadow,
    pub views: &'a mut Views,
    pub units: &'a [Unit],
    pub by_code: &'a BTreeMap<u32, u32>,
    pub spaces: &'a mut [Space],
    pub counters: &'a mut Counters,
    pub tally: &'a mut Tally,
    pub arena: &'a CodeArena,
    pub stubs: &'a Stubs,
    /// A unit that is to be translated anew.
    pub outdated: Option<u32>,
    /// But not before the interpreter has executed it for a while.
    pub deferred: bool,
    /// The window was closed: its code is not to be gone on with.
    pub closed: bool,
}

impl<'a> Session<'a, '_> {
    /// The mode of a unit.
    fn key(&self, unit: &Unit) -> ModeKey {
        self.spaces[unit.space as usize].key
    }

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
        let found = self.site_at(context.fault.rip as u32, |s| s.fault)?;
        if let Some(window) = self.views.windows[usize::from(self.key(found.1).user())].as_ref() {
            context.linear = context.fault.address.wrapping_sub(window.base());
        }
        Some(found)
    }

    /// The site of which `part` is at offset `at` of the arena.
    fn site_at(&self, at: u32, part: fn(&Site) -> Option<u32>) -> Option<(u32, &'a Unit, Site)> {
        let (_, id) = self.by_code.range(..=at).next_back()?;
        let unit = self.units.get(*id as usize)?;
        Some((*id, unit, *unit.sites.iter().find(|s| part(s) == Some(at - unit.at))?))
    }

    /// A repeated instruction faulted amid its iterations, with pointers into the window: makes them the guest's
    /// again, and gives back the work of the iterations that are left. A comparison begins again: the host's flags may
    /// be those from before it.
    fn leave_repetition(&self, context: &mut Context, unit: &Unit, compares: bool) {
        let base =
            self.views.windows[usize::from(self.key(unit).user())].as_ref().map_or(0, WindowView::base);
        for r in [gpr::SI, gpr::DI] {
            // A pointer that the instruction does not use never left the guest's range.
            let pointer = &mut context.gpr[usize::from(r)];
            if *pointer > u64::from(u32::MAX) {
                *pointer = u64::from(pointer.wrapping_sub(base) as u32);
            }
        }
        if compares {
            for (r, value) in [gpr::CX, gpr::SI, gpr::DI].into_iter().zip(context.began) {
                context.gpr[usize::from(r)] = value;
            }
        }
        // All were taken off the budget but the first, which is the instruction's own.
        context.budget += context.gpr[usize::from(gpr::CX)] - 1;
    }

    /// The access of a site took the slow path: makes that unnecessary for the next one.
    fn learn(&mut self, context: &Context, id: u32, unit: &Unit, site: Site, fault: bool) {
        let key = self.key(unit);
        let page = u32::try_from(context.linear)
            .ok()
            .and_then(|linear| Some((linear, self.fill(key.user(), linear)?)));
        if !fault {
            self.counters.slow += 1;
            // No table will ever let a write to a line with code pass.
            let on_code = |lines: u64| lines >> (context.linear >> 6 & 63) & 1 != 0;
            if page.is_some_and(|(_, page)| page.code.is_some_and(on_code))
                && self.views.is_slow(unit.ram, self.cpu.work())
            {
                (self.outdated, self.deferred) = (Some(id), true);
            }
            return;
        }
        let user = usize::from(key.user());
        let (mut shown, mut traced) = (None, false);
        if let Some((linear, DirectPage { ram, read: true, write, global, code })) = page {
            let run = Run { page: linear >> 12, pages: 1, ram, writable: write, global };
            let passes = user == 0 && !global && self.cpu.cr4 & cr4::PGE != 0;
            let lasts = if passes { Lasts::Passing } else { Lasts::Long };
            shown = self.views.show(user, run).then_some(lasts);
            traced = code.is_some();
        }
        if self.views.charge(user, self.cpu.work()) {
            self.closed = true;
            return;
        }
        self.charge(id, unit, site, shown, traced);
    }

    /// The page of `linear` can be accessed through the tables as the processor found it; `None` if it did not.
    pub(crate) fn fill(&mut self, user: bool, linear: u32) -> Option<DirectPage> {
        let (ram, size) = (self.biu.ram.as_ptr() as u64, self.biu.ram.len() as u64);
        let view = if user { View::User } else { View::Supervisor };
        let page = self.cpu.direct_page(view, u64::from(linear))?;
        // The bus may promise more RAM than was lent; the slow path checks that, an entry does not.
        page.ram.checked_add(0x1000).filter(|end| *end <= size)?;
        self.shadow.fill(user, linear, page, ram);
        Some(page)
    }

    /// The instruction of a site faulted; see [`Views::faulted`]. If it does so too often, its unit is translated anew.
    fn charge(&mut self, id: u32, unit: &Unit, site: Site, shown: Option<Lasts>, traced: bool) {
        let insn = unit.insns[usize::from(site.insn)];
        let at = unit.ram + u64::from(insn.offset) - u64::from(insn.length);
        if self.views.faulted(at, self.cpu.work(), shown, traced) {
            self.outdated = Some(id);
        }
    }
}

impl Callouts for Session<'_, '_> {
    fn callout(&mut self, context: &mut Context, number: u32) -> Option<u64> {
        let fault = number == FAULT_SITE;
        if fault {
            self.counters.traps.count(context.fault.vector);
        }
        let Some((id, unit, site)) = self.site(context, number) else {
            panic!("translated code asks for nothing that is known: {number:#x}, {:x?}", context.fault);
        };
        let n = usize::from(site.insn);
        let (insn, left) = (unit.insns.get(n)?, (unit.insns.len() - n) as Work);
        let next = u64::from(unit.eip) + u64::from(insn.offset);
        store_segments(context, self.cpu);
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
        if fault && matches!(site.kind, SiteKind::Repeat | SiteKind::RepeatedComparison) {
            self.leave_repetition(context, unit, site.kind == SiteKind::RepeatedComparison);
        }
        let mut live = context.live();
        if site.kind == SiteKind::Plain {
            // It is given again when a native instruction asks for it.
            live = live.without(site.uses);
        }
        context.take(site.uses, self.cpu, self.arena, self.stubs);
        store(context, self.cpu, left);
        let way = if let SiteKind::Crossing(way) = site.kind { Some(way) } else { None };
        let (foreseen, sp) =
            (way.and_then(|way| self.foresee(way, self.key(unit))), self.cpu.gpr.get(gpr::SP));
        let completed = self.cpu.execute(self.biu, insn, u64::from(unit.eip));
        if let Some(segment) = site.data {
            context.hear_data(self.cpu, segment);
        }
        let moved = follow(self.cpu, self.shadow, self.views, self.spaces, self.counters);
        match site.kind {
            _ if fault && context.fault.vector == u64::from(vector::DE) => {
                self.charge(id, unit, site, None, false)
            }
            // What faulted otherwise has done so to be emulated.
            _ if fault && context.fault.vector != u64::from(vector::PF) => {}
            SiteKind::Plain
            | SiteKind::Crossing(_)
            | SiteKind::Time
            | SiteKind::Trap
            | SiteKind::Segment
            | SiteKind::Live
            | SiteKind::Start => {
                self.counters.callouts += 1;
                self.tally.count(insn.code.mnemonic());
                context.time_wanted |= u64::from(site.kind == SiteKind::Time);
            }
            SiteKind::Table | SiteKind::Window | SiteKind::Repeat | SiteKind::RepeatedComparison => {
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
        let Some(resume) = site.resume.filter(|_| stays && lives) else {
            let to = self.views.mode(self.cpu)?;
            let code = self.redirect(context, to)?;
            if let Some(way) = way.filter(|_| completed) {
                self.learn_crossing(context, way, foreseen, sp, [self.key(unit), to]);
            }
            return Some(code);
        };
        if site.changes_mode {
            let key = self.views.mode(self.cpu)?;
            if key != self.key(unit) {
                return self.redirect(context, key);
            }
            load_segments(self.cpu, context, self.shadow, self.views);
        }
        if site.kind == SiteKind::Segment {
            self.learn_descriptors(context);
        }
        load(self.cpu, self.biu, context);
        context.budget -= left - 1;
        Some(self.arena.base() + u64::from(unit.at + resume))
    }
}

impl Session<'_, '_> {
    /// At CPL 0 of protected mode: what loads of the selectors in DS, ES, FS and GS give.
    fn learn_descriptors(&mut self, context: &mut Context) {
        for s in [SegReg::Ds, SegReg::Es, SegReg::Fs, SegReg::Gs] {
            let selector = self.cpu.seg[s as usize].selector;
            if let Some(known) = self.describe(Selector(selector)) {
                *context.known.place(selector) = known;
            }
        }
    }

    /// What a load of `selector` at CPL 0 gives, if translated code can find its descriptor again.
    fn describe(&mut self, selector: Selector) -> Option<Known> {
        let gdtr = self.cpu.gdtr;
        if selector.is_null() || selector.is_local() || selector.offset() + 7 > u64::from(gdtr.limit) {
            return None;
        }
        let linear = u32::try_from(gdtr.base + selector.offset()).ok().filter(|linear| linear % 8 == 0)?;
        let page = self.fill(false, linear).filter(|page| page.read)?;
        let descriptor = Descriptor(self.biu.ram_read(page.ram + u64::from(linear & 0xFFF)));
        let rights = descriptor.access();
        let loads = rights.is_readable()
            && rights.present()
            && descriptor.0 & Descriptor::ACCESSED != 0
            && (rights.is_conforming_code() || selector.rpl() <= rights.dpl());
        if !loads {
            return None;
        }
        let segment = descriptor.segment(selector.0);
        let flat = if is_flat(&segment) { Known::FLAT } else { 0 };
        let (read, write) = bounds(&segment);
        Some(Known {
            tag: u64::from(selector.0) | flat,
            index: read_entry(linear),
            linear: linear.into(),
            descriptor: descriptor.0,
            base: segment.base,
            read,
            write,
            private: segment.is_taken_away(3).into(),
        })
    }

    /// Goes on at CS:EIP in mode `key` without leaving translated code, if its code is known.
    fn redirect(&mut self, context: &mut Context, key: ModeKey) -> Option<u64> {
        if self.cpu.budget_left() == 0 {
            return None;
        }
        let space = self.spaces.iter().find(|s| s.key == key)?;
        let at = space.code(u32::try_from(self.cpu.rip).ok()?)?;
        self.counters.redirects += 1;
        prepare(self.cpu, self.biu, context, self.shadow, self.views, space);
        Some(self.arena.base() + u64::from(at))
    }
}

/// Fills the context for code of `space`.
pub fn prepare(
    cpu: &Cpu,
    biu: &mut Biu,
    context: &mut Context,
    shadow: &Shadow,
    views: &Views,
    space: &Space,
) {
    load(cpu, biu, context);
    load_segments(cpu, context, shadow, views);
    let key = space.key;
    context.tables = shadow.tables(key.user());
    context.index_mask = INDEX_MASK;
    let window = views.windows[usize::from(key.user())].as_ref().filter(|_| key.window());
    context.memory = window.map_or(INDEX_MASK, WindowView::base);
    context.eip_table = space.table_address();
}
