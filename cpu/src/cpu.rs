//! The processor: architectural state, and what is derived from it so that instructions run fast.

use crate::bus::{Biu, Pins, Work};
use crate::codemap::CodeMap;
use crate::decode::insn::Insn;
use crate::dirty::WriteLog;
use crate::icache::BlockCache;
use crate::intercept::Intercepts;
use crate::mmu::spaces::{Kin, SpaceCounters, Spaces};
use crate::mmu::tlb::{Tlb, View};
use crate::processor::Processor;
use crate::report::Reports;
use crate::state::control::{cr0, cr4, dr6, dr7};
use crate::state::eflags::{Eflags, bit};
use crate::state::gpr::{self, Gpr};
use crate::state::msr::Msrs;
use crate::state::segment::{AccessRights, SegReg, Segment, TableRegister};
use crate::state::simd::Simd;
use crate::state::x87::X87;
use crate::stops::Stops;

/// Whether the current block is left after the current instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// It goes on.
    No,
    /// It ends; the next instruction follows.
    AtNext,
    /// It ends; `rip` is where to go on.
    AtTarget,
}

/// A processor.
///
/// The public fields are the architectural registers. Code that changes them from outside calls
/// [`Cpu::state_changed`] afterwards, so that what is derived from them follows.
#[derive(Debug)]
pub struct Cpu {
    /// Which processor it is; fixed, so that decoded code may depend on it.
    pub(crate) processor: Processor,
    /// General-purpose registers.
    pub gpr: Gpr,
    /// EIP: at an instruction boundary the offset of the next instruction. While a block runs, the offset behind
    /// its last instruction; see [`Cpu::next_ip`].
    pub rip: u64,
    /// EFLAGS. System bits are written through [`Cpu::set_eflags`].
    pub eflags: Eflags,
    /// ES, CS, SS, DS, FS, GS.
    pub seg: [Segment; 6],
    /// Local descriptor table register.
    pub ldtr: Segment,
    /// Task register.
    pub tr: Segment,
    /// Global descriptor table register.
    pub gdtr: TableRegister,
    /// Interrupt descriptor table register.
    pub idtr: TableRegister,
    /// Current privilege level.
    pub cpl: u8,
    /// CR0; written through [`Cpu::set_cr0`].
    pub cr0: u32,
    /// CR2: the linear address of the last page fault.
    pub cr2: u64,
    /// CR3; written through [`Cpu::set_cr3`].
    pub cr3: u64,
    /// CR4; written through [`Cpu::set_cr4`].
    pub cr4: u32,
    /// IA32_EFER.
    pub efer: u64,
    /// The page-directory-pointer entries that were loaded with CR3 under PAE paging.
    pub pdpte: [u64; 4],
    /// DR0 to DR3.
    pub dr: [u64; 4],
    /// DR6.
    pub dr6: u32,
    /// DR7.
    pub dr7: u32,
    /// Model-specific registers.
    pub msr: Msrs,
    /// The x87 unit; its registers are also MM0 to MM7.
    pub x87: X87,
    /// XMM registers and MXCSR.
    pub simd: Simd,
    /// HLT: waiting for an interrupt.
    pub halted: bool,
    /// After a triple fault: waiting for RESET or an NMI.
    pub shutdown: bool,
    /// The last instruction was STI or a load of SS: no interrupt before the next.
    pub interrupt_shadow: bool,
    /// The interrupt shadow also inhibits debug traps: the last instruction loaded SS.
    pub debug_shadow: bool,
    /// An NMI is being handled: further ones wait for IRET.
    pub nmi_blocked: bool,
    /// An NMI is waiting.
    pub nmi_pending: bool,
    /// DR6 bits of debug traps that the current instruction triggered and that are delivered after it.
    pub pending_debug: u32,

    /// Units of work retired up to the start of the current block.
    pub(crate) retired: Work,
    /// Index of the current instruction in its block.
    pub(crate) position: u32,
    /// EIP of the current block's first instruction.
    pub(crate) block_ip: u64,
    /// The block is to be left after the current instruction.
    pub(crate) leave_block: Leave,
    /// Something may have to be done before the next instruction; see [`crate::run`].
    pub(crate) attention: bool,
    /// The pins as last sampled.
    pub(crate) pins: Pins,
    /// Which translations hold for the current code.
    pub(crate) view: View,
    /// Which bits of a linear address exist.
    pub(crate) linear_mask: u64,
    /// Which bits of a physical address exist, with A20M# applied.
    pub(crate) a20_mask: u64,
    pub(crate) tlb: Tlb,
    pub(crate) code: CodeMap,
    /// Where debuggers and hooks want a run to end.
    pub(crate) stops: Stops,
    /// Where others answer in memory's place.
    pub(crate) intercepts: Intercepts,
    pub(crate) reports: Reports,
    pub(crate) writes: WriteLog,
    pub(crate) spaces: Spaces,
    /// Counts the changes of translations; what was learnt of linear addresses holds within one epoch.
    pub(crate) epoch: u64,
    /// Code was executed without the engine, which was not told of what changed meanwhile.
    pub(crate) engine_missed_code: bool,
    /// Out while it runs.
    pub(crate) blocks: Option<Box<BlockCache>>,
    /// Where the current run ends; repeated string instructions stop there.
    pub(crate) budget_end: Work,
    /// The instruction raised an interrupt by itself: no single-step trap follows it.
    pub(crate) suppress_step: bool,
    /// The work that was retired when a repeated string instruction was left before its last iteration.
    pub(crate) repeat_suspended_at: Work,
}

impl Default for Cpu {
    fn default() -> Self {
        Self::new()
    }
}

impl Cpu {
    /// A processor with every feature, after power-on.
    pub fn new() -> Self {
        Cpu::with(Processor::default())
    }

    /// A processor of this kind, after power-on.
    pub fn with(processor: Processor) -> Self {
        let mut cpu = Cpu {
            processor,
            gpr: Gpr::default(),
            rip: 0,
            eflags: Eflags::default(),
            seg: [Segment::null(0); 6],
            ldtr: Segment::null(0),
            tr: Segment::null(0),
            gdtr: TableRegister::default(),
            idtr: TableRegister::default(),
            cpl: 0,
            cr0: 0,
            cr2: 0,
            cr3: 0,
            cr4: 0,
            efer: 0,
            pdpte: [0; 4],
            dr: [0; 4],
            dr6: 0,
            dr7: 0,
            msr: Msrs::reset(processor),
            x87: X87::default(),
            simd: Simd::default(),
            halted: false,
            shutdown: false,
            interrupt_shadow: false,
            debug_shadow: false,
            nmi_blocked: false,
            nmi_pending: false,
            pending_debug: 0,
            retired: 0,
            position: 0,
            block_ip: 0,
            leave_block: Leave::No,
            attention: true,
            pins: Pins { a20: true, ..Pins::default() },
            view: View::Supervisor,
            linear_mask: 0xFFFF_FFFF,
            a20_mask: u64::MAX,
            tlb: Tlb::default(),
            code: CodeMap::default(),
            stops: Stops::default(),
            intercepts: Intercepts::default(),
            reports: Reports::default(),
            writes: WriteLog::default(),
            spaces: Spaces::default(),
            epoch: 1,
            engine_missed_code: false,
            blocks: None,
            budget_end: 0,
            suppress_step: false,
            repeat_suspended_at: Work::MAX,
        };
        cpu.reset();
        cpu
    }

    /// RESET. SDM Vol. 3A, "Processor State After Reset". The count of retired work and the A20 pin stay.
    pub fn reset(&mut self) {
        self.gpr = Gpr::default();
        self.gpr.set::<u32>(gpr::DX, self.processor.model().signature());
        self.rip = 0xFFF0;
        self.eflags = Eflags::default();
        self.seg = SegReg::ALL.map(|_| Segment::real(0, 0xFFFF, Segment::RESET_DATA));
        let code = &mut self.seg[SegReg::Cs as usize];
        code.selector = 0xF000;
        code.base = 0xFFFF_0000;
        code.access = AccessRights(0x9B);
        self.ldtr = Segment::new(0, 0, 0xFFFF, AccessRights(0x82));
        self.tr = Segment::new(0, 0, 0xFFFF, AccessRights(0x8B));
        self.gdtr = TableRegister { base: 0, limit: 0xFFFF };
        self.idtr = TableRegister { base: 0, limit: 0xFFFF };
        self.cpl = 0;
        self.cr0 = cr0::CD | cr0::NW | cr0::ET;
        self.cr2 = 0;
        self.cr3 = 0;
        self.cr4 = 0;
        self.efer = 0;
        self.pdpte = [0; 4];
        self.dr = [0; 4];
        self.dr6 = dr6::FIXED;
        self.dr7 = dr7::FIXED;
        self.msr = Msrs::reset(self.processor);
        self.x87 = X87::default();
        self.simd = Simd::default();
        self.halted = false;
        self.shutdown = false;
        self.interrupt_shadow = false;
        self.debug_shadow = false;
        self.nmi_blocked = false;
        self.nmi_pending = false;
        self.pending_debug = 0;
        self.state_changed();
    }

    /// Which processor it is.
    pub fn processor(&self) -> Processor {
        self.processor
    }

    /// Recomputes everything that is derived from the architectural registers, and forgets translations.
    pub fn state_changed(&mut self) {
        self.derive_segment_bounds();
        self.refresh_view();
        self.flush_tlb();
        self.attend();
    }

    /// Recomputes what the segments allow: after a change of mode.
    pub(crate) fn derive_segment_bounds(&mut self) {
        let typed = self.protected();
        for s in &mut self.seg {
            s.derive_bounds(typed);
        }
    }

    /// Protected mode without virtual-8086 mode.
    #[inline(always)]
    pub fn protected(&self) -> bool {
        self.cr0 & cr0::PE != 0 && !self.eflags.has(bit::VM)
    }

    /// Real mode.
    #[inline(always)]
    pub fn real_mode(&self) -> bool {
        self.cr0 & cr0::PE == 0
    }

    /// Virtual-8086 mode.
    #[inline(always)]
    pub fn v8086(&self) -> bool {
        self.eflags.has(bit::VM)
    }

    /// The default operand and address size of the current code segment: 16 or 32.
    #[inline(always)]
    pub fn code_size(&self) -> u32 {
        if self.seg[SegReg::Cs as usize].access.big() { 32 } else { 16 }
    }

    /// Replaces EFLAGS by those of `bits` that exist; the rules of who may change what are the caller's.
    pub fn set_eflags(&mut self, bits: u32) {
        self.eflags.set_bits(bits & self.processor.features().eflags());
        self.refresh_view();
        self.attend();
    }

    /// Sets CPL.
    pub fn set_cpl(&mut self, cpl: u8) {
        self.cpl = cpl & 3;
        self.refresh_view();
    }

    fn refresh_view(&mut self) {
        self.view = match self.cpl {
            3 if self.cr0 & cr0::AM != 0 && self.eflags.has(bit::AC) => View::UserAligned,
            3 => View::User,
            _ => View::Supervisor,
        };
    }

    /// EIP of the instruction that runs.
    #[inline(always)]
    pub fn this_ip(&self, insn: &Insn) -> u64 {
        self.block_ip + (insn.offset as u64 - insn.length as u64)
    }

    /// EIP behind the instruction that runs.
    #[inline(always)]
    pub fn next_ip(&self, insn: &Insn) -> u64 {
        self.block_ip + insn.offset as u64
    }

    /// The work retired before the current instruction.
    #[inline(always)]
    pub fn now(&self) -> Work {
        self.retired + self.position as Work
    }

    /// The last instruction was a repeated string instruction with iterations left: an event that comes now saves
    /// RF as set, so that the instruction goes on without meeting its breakpoint again.
    pub(crate) fn repeat_suspended(&self) -> bool {
        self.repeat_suspended_at == self.now()
    }

    /// The work retired since the processor was built.
    pub fn work(&self) -> Work {
        self.retired
    }

    /// Forgets all translations, global ones too.
    pub fn flush_tlb(&mut self) {
        self.tlb.flush_all();
        self.spaces.flush(&mut self.writes);
        self.epoch += 1;
    }

    /// Forgets translations that are not global: what a load of CR3 does, which is done. An engine is told what it may
    /// keep.
    pub(crate) fn enter_space(&mut self, biu: &Biu) {
        self.tlb.flush_local();
        self.epoch += 1;
        if self.tlb.keeps_log() {
            let (root, size) = (self.root(), self.entry_size());
            let Cpu { spaces, tlb, writes, .. } = self;
            spaces.load(root, size, biu, &mut Kin { tlb, writes });
        }
    }

    /// What became of address spaces that are kept for an engine.
    pub fn space_counters(&self) -> SpaceCounters {
        self.spaces.counters
    }

    /// Forgets the translation of one page, of whatever size: INVLPG. Of a large page the parts are not told apart from
    /// others, so everything goes with it.
    pub fn flush_tlb_page(&mut self, linear: u64) {
        if self.tlb.may_be_large(linear) {
            return self.flush_tlb();
        }
        self.tlb.flush_page(linear);
        self.spaces.invalidated(linear as u32, self.entry_size());
        self.epoch += 1;
    }

    /// Bytes of a paging-structure entry.
    fn entry_size(&self) -> usize {
        if self.cr4 & cr4::PAE != 0 { 8 } else { 4 }
    }

    /// RAM was written by somebody else (direct memory access, the host): decoded code there is forgotten.
    /// `offset` counts in the RAM slice.
    pub fn ram_written(&mut self, offset: u64, len: u64) {
        self.writes.note_range(offset, len);
        if self.code.written_range(offset, len) {
            self.attend();
        }
    }

    /// From now on it is noted which pages of RAM may have been written; `ram` is its size in bytes. Until its first
    /// write each page costs some fast paths.
    pub fn track_writes(&mut self, ram: usize) {
        self.writes.begin(ram.div_ceil(4096));
        self.flush_tlb();
    }

    /// None of the pages counts as written any longer.
    pub fn forget_writes(&mut self) {
        self.writes.begin_again();
        self.flush_tlb();
    }

    /// It is no longer noted what is written.
    pub fn stop_tracking_writes(&mut self) {
        self.writes.end();
        self.flush_tlb();
    }

    /// Whether writes are tracked.
    pub fn tracks_writes(&self) -> bool {
        self.writes.is_on()
    }

    /// The pages (offsets in RAM, divided by 4096) that may have been written since [`Cpu::track_writes`] or
    /// [`Cpu::forget_writes`]: by instructions, by the processor itself, and by who told [`Cpu::ram_written`].
    pub fn written_pages(&self) -> &[u32] {
        self.writes.written()
    }

    /// The lines of 64 bytes that hold decoded code on the RAM page at `offset`, one bit each.
    pub fn code_lines(&self, offset: u64) -> u64 {
        self.code.lines(offset)
    }

    /// Samples the pins after an access that reached the bus. Who accesses it in the processor's place does so too.
    pub fn sample_pins(&mut self, biu: &mut Biu) {
        let pins = biu.bus.pins();
        self.nmi_pending |= pins.nmi;
        if pins.remapped {
            self.forget_code();
            self.flush_tlb();
        }
        if pins.a20 != self.pins.a20 || self.a20_mask == 0 {
            self.a20_mask = if pins.a20 { u64::MAX } else { !(1 << 20) };
            self.flush_tlb();
        }
        // Edges stay until the run loop has seen them.
        self.pins = Pins { reset: self.pins.reset | pins.reset, pause: self.pins.pause | pins.pause, ..pins };
        if pins.intr || self.nmi_pending || self.pins.reset || self.pins.pause || pins.remapped {
            self.attend();
        }
    }

    /// Forgets all decoded code.
    pub(crate) fn forget_code(&mut self) {
        self.code.request_clear();
        self.attend();
    }

    /// Ends the block after the current instruction, and has the run loop look at events.
    pub(crate) fn attend(&mut self) {
        self.attention = true;
        self.leave_block = Leave::AtNext;
    }
}
