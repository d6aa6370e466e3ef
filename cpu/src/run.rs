//! The run loop: events at instruction boundaries, blocks between them.

use crate::bus::{Biu, Bus, PageKind, Work};
use crate::cpu::{Cpu, Leave};
use crate::decode::insn::Insn;
use crate::decode::{MAX_LENGTH, Undecodable, attrs, decode_insn};
use crate::engine::{Engine, Ran};
use crate::event::exception::{Fault, Outcome, vector};
use crate::icache::{BLOCK_MAX, BlockCache};
use crate::mmu::Access;
use crate::state::control::{dr6, dr7};
use crate::state::eflags::bit;
use crate::state::segment::SegReg;
use std::cell::Cell;

/// Why a run ended. In every case the processor stands at an instruction boundary and can run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The work that was asked for is done.
    Budget,
    /// HLT, and no interrupt is there to end it.
    Halted,
    /// The bus asked for a pause.
    Pause,
    /// The bus asserted RESET; the processor was not reset yet.
    Reset,
    /// A triple fault: the processor stands still until it is reset.
    Shutdown,
    /// An execution stop is at CS:EIP; see [`crate::stops`].
    Breakpoint,
    /// The engine was told to stop behind each unit of its code; no event was looked at since.
    Unit,
    /// The last instruction accessed watched memory; see [`crate::stops`].
    Watchpoint {
        /// The first byte of the access that is watched.
        linear: u32,
        /// It was written.
        write: bool,
    },
}

/// Blocks that are interpreted before an engine is asked again.
const COLD_BLOCKS: usize = 4;

/// How much may run before events must be looked at again.
enum Go {
    Blocks,
    OneInstruction,
    /// Nothing: an event was delivered, and others may follow.
    Events,
    Stop(Stop),
}

impl Cpu {
    /// Runs until `budget` units of work are done or something stops it earlier.
    ///
    /// `ram` is lent for the run; [`PageKind`] offsets count in it.
    pub fn run(&mut self, ram: &[Cell<u8>], bus: &mut dyn Bus, budget: Work) -> Stop {
        self.engine_missed_code = true;
        self.run_engine(ram, bus, budget, None)
    }

    /// The loop behind [`Cpu::run`] and [`Cpu::run_with`].
    pub(crate) fn run_engine(
        &mut self,
        ram: &[Cell<u8>],
        bus: &mut dyn Bus,
        budget: Work,
        mut engine: Option<&mut (dyn Engine + '_)>,
    ) -> Stop {
        let mut biu = Biu::new(ram, bus);
        self.sample_pins(&mut biu);
        self.tidy_stops();
        self.attention = true;
        // The cache is out of the processor while its blocks run; they only queue what is to be dropped.
        let mut blocks = self.blocks.take().unwrap_or_default();
        let end = self.retired.saturating_add(budget);
        let stop = loop {
            if self.retired >= end {
                break self.stops.take_hit().unwrap_or(Stop::Budget);
            }
            let go = if self.attention {
                self.drop_dirty(&mut blocks, engine.as_deref_mut());
                self.service_events(&mut biu)
            } else {
                Go::Blocks
            };
            match go {
                Go::Blocks => {
                    self.budget_end = end;
                    match engine.as_deref_mut().map(|engine| engine.run(self, &mut biu)) {
                        Some(Ran::Some) => {}
                        Some(Ran::Unit) => break self.stops.take_hit().unwrap_or(Stop::Unit),
                        Some(Ran::Nothing) => self.run_cold(&mut biu, &mut blocks),
                        None => {
                            self.run_block(&mut biu, &mut blocks);
                        }
                    }
                }
                Go::OneInstruction => self.run_one(&mut biu, &mut blocks),
                Go::Events => {}
                Go::Stop(stop) => break stop,
            }
        };
        self.drop_dirty(&mut blocks, engine);
        self.blocks = Some(blocks);
        stop
    }

    /// Executes exactly one instruction (of a repeated string instruction one iteration), or delivers one event; an
    /// execution stop at CS:EIP does not keep it from that.
    pub fn step(&mut self, ram: &[Cell<u8>], bus: &mut dyn Bus) -> Stop {
        self.pass_stop();
        self.run(ram, bus, 1)
    }

    /// Looks at everything that may come between two instructions, in the order of SDM Vol. 3A, "Priority Among
    /// Concurrent Events", and says how to go on.
    #[cold]
    fn service_events(&mut self, biu: &mut Biu) -> Go {
        if let Some(stop) = self.stops.take_hit() {
            return Go::Stop(stop);
        }
        if std::mem::take(&mut self.pins.reset) {
            return Go::Stop(Stop::Reset);
        }
        if std::mem::take(&mut self.pins.pause) {
            return Go::Stop(Stop::Pause);
        }
        if self.pending_debug != 0 && !self.debug_shadow {
            self.deliver_debug_trap(biu);
            return Go::Events;
        }
        if self.nmi_pending && !self.nmi_blocked && !self.interrupt_shadow {
            self.nmi_pending = false;
            self.nmi_blocked = true;
            self.shutdown = false;
            self.deliver_interrupt(biu, vector::NMI);
            return Go::Events;
        }
        if self.shutdown {
            return Go::Stop(Stop::Shutdown);
        }
        if self.pins.intr && self.eflags.has(bit::IF) && !self.interrupt_shadow {
            let vector = biu.bus.acknowledge_interrupt(self.retired);
            self.sample_pins(biu);
            self.deliver_interrupt(biu, vector);
            return Go::Events;
        }
        if self.halted {
            return Go::Stop(Stop::Halted);
        }
        let watch = self.dr7 & dr7::ANY_ENABLED != 0;
        if self.interrupt_shadow || self.eflags.system() & (bit::TF | bit::RF) != 0 || watch {
            return Go::OneInstruction;
        }
        self.attention = false;
        Go::Blocks
    }

    /// Runs one instruction under single-step, breakpoints, RF or an interrupt shadow.
    fn run_one(&mut self, biu: &mut Biu, blocks: &mut BlockCache) {
        if self.stops_at(biu, self.linear_ip()) {
            return;
        }
        let shadowed = self.debug_shadow;
        self.interrupt_shadow = false;
        self.debug_shadow = false;
        self.suppress_step = false;
        let stepping = self.eflags.has(bit::TF);
        let resumes = self.eflags.has(bit::RF) || self.repeat_suspended();
        if !resumes && !shadowed && self.instruction_breakpoint() {
            self.deliver_instruction_breakpoint(biu);
            return;
        }
        self.eflags.set_system(bit::RF, false);
        self.budget_end = self.retired + 1;
        let completed = self.run_block(biu, blocks);
        if stepping && completed && !self.suppress_step && !self.debug_shadow {
            self.pending_debug |= dr6::BS;
        }
    }

    /// Runs some blocks that the engine does not have: cold code mostly leads to cold code, and asking costs.
    fn run_cold(&mut self, biu: &mut Biu, blocks: &mut BlockCache) {
        for _ in 0..COLD_BLOCKS {
            self.run_block(biu, blocks);
            if self.attention || self.retired >= self.budget_end {
                break;
            }
        }
    }

    /// Runs the block at CS:EIP, or as much of it as the budget allows. Gives whether it ended without a fault.
    #[inline(always)]
    fn run_block(&mut self, biu: &mut Biu, blocks: &mut BlockCache) -> bool {
        let cs = &self.seg[SegReg::Cs as usize];
        let linear = (cs.base + self.rip) & self.linear_mask;
        let last = cs.limit as u64;
        let key = linear << 3 | ((self.cpl == 3) as u64) << 2 | cs.access.big() as u64;
        if let Some(run) = blocks.linked(key, self.epoch)
            && self.rip + (run.bytes as u64 - 1) <= last
            && run.count as Work <= self.budget_end - self.retired
        {
            return self.run_insns(biu, blocks.insns(run), run.bytes as u64);
        }
        self.run_unlinked(biu, blocks, linear, key)
    }

    /// Executes `insns`, which are `bytes` long. Gives whether they ended without a fault.
    #[inline(always)]
    pub(crate) fn run_insns(&mut self, biu: &mut Biu, insns: &[Insn], bytes: u64) -> bool {
        let ip = self.rip;
        self.block_ip = ip;
        self.rip = ip + bytes;
        self.leave_block = Leave::No;
        let mut done = 0;
        for insn in insns {
            self.position = done;
            if let Err(fault) = (insn.handler)(self, biu, insn) {
                self.rip = self.this_ip(insn);
                self.retired += done as Work;
                self.position = 0;
                self.deliver_fault(biu, fault);
                return false;
            }
            done += 1;
            if self.leave_block != Leave::No {
                if self.leave_block == Leave::AtNext && done < insns.len() as u32 {
                    self.rip = self.next_ip(insn);
                }
                break;
            }
        }
        self.retired += done as Work;
        self.position = 0;
        true
    }

    /// As [`Cpu::run_block`], where the linear address leads nowhere yet, or the block must be cut short.
    #[cold]
    fn run_unlinked(&mut self, biu: &mut Biu, blocks: &mut BlockCache, linear: u64, key: u64) -> bool {
        // Behind the last byte of 4 GiB comes the first.
        self.rip &= 0xFFFF_FFFF;
        if self.stops_at(biu, linear) {
            return false;
        }
        if self.reports.blocks {
            biu.bus.block(linear, self.retired);
            self.sample_pins(biu);
        }
        match self.run_found(biu, blocks, linear, key) {
            Ok(completed) => completed,
            Err(fault) => {
                self.deliver_fault(biu, fault);
                false
            }
        }
    }

    /// Looks the block at `linear` up and runs it. `Err` is a fault of its fetch.
    fn run_found(&mut self, biu: &mut Biu, blocks: &mut BlockCache, linear: u64, key: u64) -> Outcome<bool> {
        let mut found = self.find_block(biu, blocks, linear)?;
        if let Found::Block(id) = found
            && let Some(index) = blocks.block(id).spans
        {
            let (bytes, length) = self.fetch(biu, linear, blocks.block(id).run.bytes as usize)?;
            if bytes[..length] != blocks.spanning_bytes(index)[..length] {
                blocks.drop_spanning(id);
                found = self.find_block(biu, blocks, linear)?;
            }
        }
        let block = match found {
            Found::Uncached(insn) => {
                self.fetch_each_iteration();
                return Ok(self.run_insns(biu, &[insn], insn.length as u64));
            }
            Found::Block(id) => *blocks.block(id),
        };
        match block.spans {
            None if self.stops.split(linear) || self.reports.blocks => {}
            None => blocks.link(key, self.epoch, block.run),
            Some(_) => self.fetch_each_iteration(),
        }
        let limit = self.seg[SegReg::Cs as usize].limit as u64;
        let most = (self.budget_end - self.retired) as usize;
        let insns = blocks.insns(block.run);
        let fitting = insns.iter().take(most).take_while(|i| self.rip + i.offset as u64 - 1 <= limit).count();
        match insns[..fitting].last() {
            Some(end) => Ok(self.run_insns(biu, &insns[..fitting], end.offset as u64)),
            None => Err(Fault::GP0),
        }
    }

    /// Ends the run of a repeated instruction after one iteration: where writes to its bytes are not traced, they are
    /// looked at before the next.
    fn fetch_each_iteration(&mut self) {
        self.budget_end = self.retired + 1;
    }

    /// Finds or decodes the block at `linear`, which is CS:EIP.
    #[cold]
    fn find_block(&mut self, biu: &mut Biu, blocks: &mut BlockCache, linear: u64) -> Outcome<Found> {
        if self.rip > self.seg[SegReg::Cs as usize].limit as u64 {
            return Err(Fault::GP0);
        }
        let physical = self.translate(biu, linear, Access::Execute, self.view)?;
        let size = self.code_size();
        let ram = match biu.bus.page(physical & !0xFFF) {
            PageKind::Ram(at) | PageKind::Rom(at) => at + (physical & 0xFFF),
            PageKind::Device => {
                let (insn, _, _) = self.decode_one(biu, linear)?;
                return Ok(Found::Uncached(insn));
            }
        };
        if let Some(id) = blocks.find(ram, size) {
            return Ok(Found::Block(id));
        }
        if blocks.is_full() {
            blocks.clear();
        }
        let mut block = blocks.begin();
        let mut offset = 0;
        while block.count() < BLOCK_MAX {
            let at = ram + offset as u64;
            if offset > 0 && self.stops.split(at) {
                break;
            }
            let on_page = 0x1000 - (ram & 0xFFF) as usize - offset;
            let mut bytes = [0; MAX_LENGTH];
            let available = on_page.min(MAX_LENGTH);
            biu.ram_read_bytes(at, &mut bytes[..available]);
            let Ok((mut insn, flow)) = block.decode(at, &bytes[..available], size, self.processor) else {
                break;
            };
            offset += insn.length as usize;
            insn.offset = offset as u16;
            block.push(insn);
            let ends = match flow {
                attrs::Flow::Next => false,
                // A branch backwards is mostly taken, one forwards mostly not.
                attrs::Flow::Conditional => (insn.imm as i64) < 0,
                attrs::Flow::End => true,
            };
            if ends || offset + (ram & 0xFFF) as usize == 0x1000 {
                break;
            }
        }
        let mut spanning = None;
        if offset == 0 {
            let (insn, bytes, crosses) = self.decode_one(biu, linear)?;
            if crosses && self.continues_in_device(biu, linear)? {
                return Ok(Found::Uncached(insn));
            }
            block.push(insn);
            offset = insn.length as usize;
            spanning = crosses.then_some(bytes);
        }
        let on_page = offset.min(0x1000 - (ram & 0xFFF) as usize);
        self.keep_code(ram, on_page);
        Ok(Found::Block(block.finish(ram, size, spanning)))
    }

    /// Whether the page behind that of `linear` is device memory: what is fetched there may differ each time.
    fn continues_in_device(&mut self, biu: &mut Biu, linear: u64) -> Outcome<bool> {
        let next = ((linear | 0xFFF) + 1) & self.linear_mask;
        let frame = self.translate(biu, next, Access::Execute, self.view)? & !0xFFF;
        Ok(biu.bus.page(frame) == PageKind::Device)
    }

    /// Decodes one instruction with every check of the architecture. Gives its bytes and whether they continue
    /// on another page.
    fn decode_one(&mut self, biu: &mut Biu, linear: u64) -> Outcome<(Insn, [u8; MAX_LENGTH], bool)> {
        let limit = self.seg[SegReg::Cs as usize].limit as u64;
        let within_limit = (limit - self.rip + 1).min(MAX_LENGTH as u64) as usize;
        let on_page = 0x1000 - (linear & 0xFFF) as usize;
        for most in [on_page.min(within_limit), within_limit] {
            let (bytes, available) = self.fetch(biu, linear, most)?;
            match decode_insn(&bytes[..available], self.code_size(), self.processor) {
                Ok((insn, _)) => return Ok((insn, bytes, insn.length as usize > on_page)),
                Err(Undecodable::Fault(fault)) => return Err(fault),
                Err(Undecodable::Incomplete) => {}
            }
        }
        // It goes on behind the limit of the code segment.
        Err(Fault::GP0)
    }

    /// Fetches up to `most` bytes (at most 15) at `linear`.
    fn fetch(&mut self, biu: &mut Biu, linear: u64, most: usize) -> Outcome<([u8; MAX_LENGTH], usize)> {
        let mut bytes = [0; MAX_LENGTH];
        let mut page = None;
        for (i, b) in bytes[..most].iter_mut().enumerate() {
            let at = (linear + i as u64) & self.linear_mask;
            let frame = match page {
                Some(frame) if at & 0xFFF != 0 => frame,
                _ => self.translate(biu, at, Access::Execute, self.view)? & !0xFFF,
            };
            page = Some(frame);
            *b = self.read_physical(biu, frame | at & 0xFFF, 1) as u8;
        }
        Ok((bytes, most))
    }

    /// Drops the code whose bytes were written.
    fn drop_dirty(&mut self, blocks: &mut BlockCache, mut engine: Option<&mut (dyn Engine + '_)>) {
        if !self.code.is_dirty() {
            return;
        }
        if self.code.take_clear() {
            blocks.clear();
            self.epoch += 1;
            if let Some(engine) = engine.as_deref_mut() {
                engine.drop_all_code();
            }
        }
        while let Some(dirty) = self.code.take_dirty() {
            self.epoch += 1;
            let mut left = blocks.drop_lines(dirty.page, dirty.lines);
            if let Some(engine) = engine.as_deref_mut() {
                engine.drop_code(dirty.page, dirty.lines);
                left.extend(engine.code_on(dirty.page));
            }
            if self.code.retain(dirty.page, left) {
                self.tlb.forget_ram((dirty.page as u64) << 12);
            }
        }
    }
}

/// What is at CS:EIP.
enum Found {
    Block(u32),
    /// In device memory: executed, but not kept.
    Uncached(Insn),
}
