//! The seam between the run loop and an engine that runs code in the interpreter's place.
//!
//! Events, faults and everything rare stay with the run loop and the interpreter; an engine gets the processor at an
//! instruction boundary where nothing is pending, runs as much as it wants of the budget, and hands back. What it
//! cannot do itself it has executed here, one instruction at a time, so that semantics exist once.

use crate::bus::{Biu, Bus, PageKind, Work};
use crate::codemap::Decoded;
use crate::cpu::Cpu;
use crate::decode::insn::Insn;
use crate::mmu::Access;
use crate::mmu::tlb::{Change, SLOW, View};
use crate::run::Stop;
use crate::state::control::{cr4, dr7};
use crate::state::eflags::bit;
use std::cell::Cell;

/// An engine; see the module's description.
pub trait Engine {
    /// Runs code from CS:EIP on, for at most [`Cpu::budget_left`] units of work.
    fn run(&mut self, cpu: &mut Cpu, biu: &mut Biu) -> Ran;

    /// Bytes of code on the lines `lines` (64 bytes each, one bit per line) of RAM page `page` were overwritten.
    fn drop_code(&mut self, page: usize, lines: u64);

    /// All code is to be forgotten.
    fn drop_all_code(&mut self);

    /// Where code that the engine still keeps lies on RAM page `page`: offsets in RAM, with lengths that do not cross
    /// the page.
    fn code_on(&self, page: usize) -> Vec<(u64, u64)>;
}

/// What an engine did when it was asked to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// Nothing: the interpreter is to run some code.
    Nothing,
    /// Some work.
    Some,
    /// Some work, of which the last was a unit's end where the run is to end: [`Stop::Unit`].
    Unit,
}

/// How a page of linear memory can be accessed without asking anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectPage {
    /// Offset of the page in the RAM slice.
    pub ram: u64,
    /// It can be read.
    pub read: bool,
    /// It can be written.
    pub write: bool,
    /// It could be written but for the code on these of its lines (64 bytes each, one bit per line).
    pub code: Option<u64>,
    /// Its translation survives a load of CR3.
    pub global: bool,
}

impl Cpu {
    /// As [`Cpu::run`], with an engine that runs what it can.
    pub fn run_with(
        &mut self,
        engine: &mut dyn Engine,
        ram: &[Cell<u8>],
        bus: &mut dyn Bus,
        budget: Work,
    ) -> Stop {
        self.tlb.keep_log();
        if std::mem::take(&mut self.engine_missed_code) {
            engine.drop_all_code();
        }
        self.run_engine(ram, bus, budget, Some(engine))
    }

    /// Units of work until the run ends.
    #[inline]
    pub fn budget_left(&self) -> Work {
        self.budget_end.saturating_sub(self.retired)
    }

    /// The work that must not be exceeded in this run.
    #[inline]
    pub fn budget_end(&self) -> Work {
        self.budget_end
    }

    /// Tells how much work is retired: an engine did it in the processor's place.
    #[inline]
    pub fn set_work(&mut self, work: Work) {
        self.retired = work;
    }

    /// Whether the run loop must look at events before the next instruction.
    #[inline]
    pub fn needs_attention(&self) -> bool {
        self.attention
    }

    /// What RDTSC gives, as a linear function of retired work: its value at no work at all, which may wrap, and its
    /// growth with each unit. It holds until something else is asked of the bus, or a control or model-specific
    /// register changes. `None`: RDTSC is to be executed.
    pub fn time_stamp_line(&self, biu: &mut Biu) -> Option<(u64, u64)> {
        let rate = biu.bus.time_stamp_rate().filter(|_| self.cpl == 0 || self.cr4 & cr4::TSD == 0)?;
        let now = biu.bus.time_stamp(self.retired).wrapping_add(self.msr.tsc_offset);
        Some((now.wrapping_sub(self.retired.wrapping_mul(rate)), rate))
    }

    /// Whether an interrupt waits for IF, or an NMI for its turn.
    #[inline]
    pub fn interrupt_waits(&self) -> bool {
        self.pins.intr || self.nmi_pending
    }

    /// Whether the run loop has nothing to do before the next instruction; then its attention is no longer asked for.
    #[inline]
    pub fn settle(&mut self) -> bool {
        if !self.attention {
            return true;
        }
        let stops = self.pins.reset
            || self.pins.pause
            || self.shutdown
            || self.halted
            || self.code.is_dirty()
            || self.stops.is_hit();
        let events = self.pending_debug != 0
            || self.nmi_pending && !self.nmi_blocked
            || self.pins.intr && self.eflags.has(bit::IF);
        let steps = self.interrupt_shadow
            || self.eflags.system() & (bit::TF | bit::RF) != 0
            || self.dr7 & dr7::ANY_ENABLED != 0;
        self.attention = stops || events || steps;
        !self.attention
    }

    /// Executes `insn` of a block that begins at EIP `block_ip` as the interpreter does, faults included. Gives
    /// whether it ended without a fault. Repeated string instructions may stop before their last iteration, with EIP
    /// at themselves.
    pub fn execute(&mut self, biu: &mut Biu, insn: &Insn, block_ip: u64) -> bool {
        self.rip = block_ip;
        self.run_insns(biu, std::slice::from_ref(insn), insn.offset as u64)
    }

    /// The privilege view of the current code.
    #[inline]
    pub fn view(&self) -> View {
        self.view
    }

    /// The offset in RAM of the code at CS:EIP, if it can be fetched from memory that is not a device's. What a
    /// fetch would raise is left to the interpreter.
    pub fn code_offset(&mut self, biu: &mut Biu, linear: u64) -> Option<u64> {
        let physical = self.translate(biu, linear, Access::Execute, self.view).ok()?;
        match biu.bus.page(physical & !0xFFF) {
            PageKind::Ram(at) | PageKind::Rom(at) => Some(at + (physical & 0xFFF)),
            PageKind::Device => None,
        }
    }

    /// Code was taken from `len` bytes at `offset` of RAM, all on one page: [`Engine::drop_code`] is told when they
    /// are overwritten.
    pub fn keep_code(&mut self, offset: u64, len: usize) {
        match self.code.decoded(offset, len) {
            Decoded::NewPage => self.tlb.trace_writes(offset & !0xFFF),
            Decoded::NewLines => self.tlb.note(Change::Traced(offset & !0xFFF)),
            Decoded::Nothing => {}
        }
    }

    /// How the page of `linear` can be accessed with the privilege of `view`, as far as it was translated before. After
    /// a fault the current code's privilege is the handler's.
    pub fn direct_page(&self, view: View, linear: u64) -> Option<DirectPage> {
        let page = linear & 0xFFFF_F000;
        let e = self.tlb.entry(view, page);
        let (read, write) = (e.read == page, e.write == page);
        let traced = read && e.plain() && e.write == page | SLOW && !self.writes.is_awaited(e.ram);
        let code = traced.then(|| self.code.lines(e.ram));
        (read || write).then(|| DirectPage { ram: e.ram, read, write, code, global: e.is_global() })
    }

    /// Whether the page of `linear`, as far as it was translated before, keeps its translation when CR3 is loaded.
    pub fn is_global_page(&self, linear: u64) -> bool {
        self.tlb.entry(self.view, linear).is_global()
    }

    /// Whether a run of code must end before the instruction at `address`, a linear address or an offset in RAM: it may
    /// have an execution stop. The code there is the interpreter's, which looks closer.
    #[inline]
    pub fn splits_code(&self, address: u64) -> bool {
        self.stops.split(address)
    }

    /// What happened to translations since the last call, in order.
    #[inline]
    pub fn take_translation_changes(&mut self) -> Vec<Change> {
        self.tlb.take_log()
    }

    /// Whether [`Cpu::take_translation_changes`] would give anything.
    #[inline]
    pub fn translations_changed(&self) -> bool {
        self.tlb.log_is_filled()
    }
}
