//! The engine: finds or makes the unit for CS:EIP, and enters it.

use crate::cache::Cache;
pub use crate::counters::Counters;
use crate::counters::Tally;
use crate::extended::{Last, Uses};
use crate::host::context::{Context, Exit, enter};
use crate::host::features::has_bmi2;
use crate::host::ram::Ram;
use crate::host::{ready_thread, take_faults};
use crate::key::ModeKey;
use crate::options::{Chaining, Options, Sensitive, Windows};
use crate::session::{Session, follow, prepare, store, store_segments};
use crate::shadow::Shadow;
use crate::views::{STABLE, Views};
use crate::watched::Watched;
use crate::window::{self, WindowView, runs};
use idem86_cpu::bus::{Biu, Work};
use idem86_cpu::cpu::Cpu;
use idem86_cpu::engine::{Engine, Ran};
use idem86_cpu::mmu::tlb::Change;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// Why the host cannot run translated code.
#[derive(Debug, thiserror::Error)]
pub enum Unsupported {
    /// An instruction is missing.
    #[error("translation needs a processor with BMI2 (PEXT, SHRX)")]
    Processor,
    /// Traps do not come back.
    #[error("trap-and-emulate needs signals: {0}")]
    Traps(#[source] io::Error),
    /// Memory cannot be mapped where the guest has it, or faults do not come back.
    #[error("windows to guest memory need signals, and memory mapped at addresses of their choice: {0}")]
    Windows(#[source] io::Error),
    /// The operating system refuses memory.
    #[error("translation needs executable memory and large address space: {0}")]
    Memory(#[from] io::Error),
}

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
    tally: Tally,
    /// Numbers of units that nobody has seen yet, if somebody wants to.
    watched: Option<Vec<u32>>,
}

impl Translator {
    /// An engine with nothing translated.
    pub fn new(options: Options) -> Result<Self, Unsupported> {
        if !has_bmi2() {
            return Err(Unsupported::Processor);
        }
        if options.sensitive == Sensitive::Trap {
            take_faults().map_err(Unsupported::Traps)?;
        }
        if options.windows == Windows::AtOnce {
            window::available().map_err(Unsupported::Windows)?;
        }
        Ok(Translator {
            options,
            context: Box::default(),
            cache: Cache::new(&options)?,
            shadow: Shadow::new()?,
            heat: vec![0; HEAT].into_boxed_slice(),
            views: Views::new(&options),
            attached: None,
            ram: (0, 0),
            counters: Counters::default(),
            tally: Tally::default(),
            watched: None,
        })
    }

    /// Tells what the RAM is that will be lent, so that windows to it can be made.
    pub fn attach(&mut self, ram: &Ram) {
        self.attached = ram.object().map(|object| (ram.as_ptr() as usize, ram.len(), object));
        self.views = Views::new(&self.options);
        self.context.crossings.forget();
    }

    /// Its settings.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Changes [`Options::chaining`]; what is translated is forgotten.
    pub fn set_chaining(&mut self, chaining: Chaining) {
        self.options.chaining = chaining;
        self.cache.drop_all();
    }

    /// Drops all windows: the RAM that they show is to be frozen, or another will be lent.
    pub fn detach(&mut self) {
        self.attached = None;
        self.views = Views::default();
        self.context.crossings.forget();
    }

    /// What it did so far.
    pub fn counters(&self) -> Counters {
        let most = self.tally.most();
        Counters { cache: self.cache.counters, fills: self.shadow.fills, most, ..self.counters }
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
                let id = self.cache.translate(cpu, biu, ram, eip, space, &self.views.avoid)?;
                let length = self.cache.units[id as usize].length;
                cpu.keep_code(ram, length as usize);
                self.watched.iter_mut().for_each(|ids| ids.push(id));
                id
            }
        };
        follow(cpu, &mut self.shadow, &mut self.views, &mut self.cache.spaces, &mut self.counters);
        if self.options.chaining != Chaining::Stop {
            self.cache.install(id, cpu.is_global_page(u64::from(linear)));
        }
        Some(self.cache.units[id as usize].entry)
    }
}

/// Where executions of the code at offset `ram` of RAM are counted.
fn heat_slot(ram: u64) -> usize {
    (ram ^ ram >> 16) as usize % HEAT
}

impl Translator {
    /// The mode of `cpu`, with a window if its view has one or gets one now.
    fn mode(&mut self, cpu: &Cpu) -> Option<ModeKey> {
        let key = self.views.mode(cpu)?;
        let user = usize::from(key.user());
        let window = key.window()
            || match self.options.windows {
                Windows::Never => false,
                Windows::AtOnce => self.promote(key.user(), cpu.work()),
                Windows::WhenHot => {
                    let stable = cpu.work().wrapping_sub(self.views.stable_since[user]);
                    stable > STABLE << self.views.impatience[user] && {
                        self.views.stable_since[user] = cpu.work();
                        self.promote(key.user(), cpu.work())
                    }
                }
            };
        Some(key.with_window(window))
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
        self.views.switched += 1;
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
    fn run(&mut self, cpu: &mut Cpu, biu: &mut Biu) -> Ran {
        let ran = self.stay(cpu, biu);
        self.counters.spaces = cpu.space_counters();
        self.context.take(Uses { x87: true, simd: true }, cpu, &self.cache.arena, &self.cache.stubs);
        ran
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
    fn stay(&mut self, cpu: &mut Cpu, biu: &mut Biu) -> Ran {
        if self.options.sensitive == Sensitive::Trap {
            ready_thread();
        }
        let lent = (biu.ram.as_ptr() as usize, biu.ram.len());
        if self.ram != lent {
            self.ram = lent;
            self.shadow.forget_all();
            self.views.change(Change::All, None, cpu.work());
        }
        let mut ran = Ran::Nothing;
        let mut link = 0;
        loop {
            follow(cpu, &mut self.shadow, &mut self.views, &mut self.cache.spaces, &mut self.counters);
            if !cpu.settle() || cpu.budget_left() == 0 {
                return ran;
            }
            self.context.settle(cpu, &self.cache.arena, &self.cache.stubs);
            let Some(key) = self.mode(cpu) else { return ran };
            let Ok(space) = self.cache.space_of(key, self.shadow.space()) else { return ran };
            let Some(at) = self.code(cpu, biu, space) else { return ran };
            if link != 0 && self.options.chaining == Chaining::Linked {
                self.cache.link(link, at);
            }
            if std::mem::take(&mut self.cache.renewed) {
                self.context.crossings.forget();
            }
            prepare(
                cpu,
                biu,
                &mut self.context,
                &self.shadow,
                &self.views,
                &self.cache.spaces[space as usize],
            );
            self.counters.entries += 1;
            let before = cpu.work();
            let (exit, outdated, deferred) = {
                let Translator { context, cache, shadow, views, counters, tally, .. } = self;
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
                    tally,
                    arena,
                    stubs,
                    outdated: None,
                    deferred: false,
                    closed: false,
                };
                (enter(arena, stubs, at, context, &mut session), session.outdated, session.deferred)
            };
            if let Some(id) = outdated {
                if deferred {
                    self.cache.defer(id);
                }
                self.cache.drop_by_number(id);
            }
            link = 0;
            if exit == Exit::Branch {
                store_segments(&mut self.context, cpu);
                self.context.tell_last(cpu, Last::default(), &[], 0);
                store(&self.context, cpu, 0);
                cpu.rip = self.context.eip;
                link = self.context.link as u32;
            }
            if cpu.work() == before {
                return ran;
            }
            ran = Ran::Some;
            if self.options.chaining == Chaining::Stop {
                return Ran::Unit;
            }
        }
    }
}
