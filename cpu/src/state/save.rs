//! Saving and restoring a processor.
//!
//! A saved state may come from anywhere: what a processor cannot have is refused, so that a restored one keeps every
//! promise that the rest of the crate relies on.

use super::control::{cr0, dr6, dr7};
use super::descriptor::Kind;
use super::eflags::{Eflags, bit};
use super::gpr::{self, Gpr};
use super::msr::Msrs;
use super::segment::{AccessRights, Segment, TableRegister};
use super::simd::Simd;
use super::x87::X87;
use crate::bus::{Pins, Work};
use crate::cpu::Cpu;
use crate::mmu::walk;
use crate::processor::Processor;
use serde::{Deserialize, Serialize};

/// A segment register, without what is derived from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentState {
    /// The visible part.
    pub selector: u16,
    /// Access rights.
    pub access: AccessRights,
    /// The limit in bytes.
    pub limit: u32,
    /// Linear address of offset 0.
    pub base: u64,
}

impl From<Segment> for SegmentState {
    fn from(s: Segment) -> Self {
        let Segment { selector, access, limit, base, read: _, write: _ } = s;
        SegmentState { selector, access, limit, base }
    }
}

impl SegmentState {
    fn segment(self) -> Segment {
        Segment::new(self.selector, self.base, self.limit, self.access)
    }
    fn is_possible(&self) -> bool {
        self.base <= u32::MAX as u64 && self.access.0 & !0xF0FF == 0
    }
}

/// Everything that a processor is at an instruction boundary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuState {
    /// Which processor it is.
    pub processor: Processor,
    /// General registers, RAX to R15; without 64-bit mode the upper halves and R8 to R15 are zero.
    pub gpr: [u64; 16],
    /// EIP.
    pub rip: u64,
    /// EFLAGS, with bit 1 set.
    pub eflags: u32,
    /// ES, CS, SS, DS, FS, GS.
    pub seg: [SegmentState; 6],
    /// LDTR.
    pub ldtr: SegmentState,
    /// TR: a busy TSS.
    pub tr: SegmentState,
    /// GDTR.
    pub gdtr: TableRegister,
    /// IDTR.
    pub idtr: TableRegister,
    /// Current privilege level.
    pub cpl: u8,
    /// CR0.
    pub cr0: u32,
    /// CR2.
    pub cr2: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u32,
    /// IA32_EFER.
    pub efer: u64,
    /// The page-directory-pointer entries as loaded.
    pub pdpte: [u64; 4],
    /// DR0 to DR3.
    pub dr: [u64; 4],
    /// DR6.
    pub dr6: u32,
    /// DR7.
    pub dr7: u32,
    /// Model-specific registers.
    pub msr: Msrs,
    /// The x87 unit.
    pub x87: X87,
    /// XMM registers and MXCSR.
    pub simd: Simd,
    /// HLT: waiting for an interrupt.
    pub halted: bool,
    /// After a triple fault.
    pub shutdown: bool,
    /// No interrupt before the next instruction.
    pub interrupt_shadow: bool,
    /// No debug trap before the next instruction.
    pub debug_shadow: bool,
    /// NMIs wait for IRET.
    pub nmi_blocked: bool,
    /// An NMI is waiting.
    pub nmi_pending: bool,
    /// RESET was sampled and not yet reported.
    pub reset_pending: bool,
    /// A pause was sampled and not yet reported.
    pub pause_pending: bool,
    /// DR6 bits of debug traps to come.
    pub pending_debug: u32,
    /// The last instruction was a repeated string instruction with iterations left.
    pub repeat_suspended: bool,
    /// Work retired since the processor was built.
    pub retired: Work,
}

/// A saved state that the processor cannot take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// No processor can be in it.
    #[error("the saved processor state is impossible: {0}")]
    Impossible(&'static str),
    /// It is of a processor with other features.
    #[error("the saved processor is {saved}, this one {present}")]
    OtherProcessor {
        /// Which one was saved.
        saved: Processor,
        /// Which one there is.
        present: Processor,
    },
}

/// More work than any processor will retire; the count must not overflow.
const WORK_MAX: Work = 1 << 62;

impl Cpu {
    /// The state at the instruction boundary where the processor stands.
    pub fn save(&self) -> CpuState {
        let Cpu {
            processor,
            gpr,
            rip,
            eflags,
            seg,
            ldtr,
            tr,
            gdtr,
            idtr,
            cpl,
            cr0,
            cr2,
            cr3,
            cr4,
            efer,
            pdpte,
            dr,
            dr6,
            dr7,
            msr,
            x87,
            simd,
            halted,
            shutdown,
            interrupt_shadow,
            debug_shadow,
            nmi_blocked,
            nmi_pending,
            pending_debug,
            retired,
            repeat_suspended_at,
            pins,
            // Of use only while a block runs.
            position: _,
            block_ip: _,
            leave_block: _,
            budget_end: _,
            suppress_step: _,
            // Derived, or looked at anew when a run begins.
            attention: _,
            view: _,
            linear_mask: _,
            a20_mask: _,
            // Caches.
            tlb: _,
            code: _,
            writes: _,
            spaces: _,
            epoch: _,
            blocks: _,
            engine_missed_code: _,
            // Those of a host, not of the guest.
            stops: _,
            intercepts: _,
            reports: _,
        } = self;
        // INTR and A20M# are levels and sampled when a run begins; an NMI was latched, a new memory map obeyed.
        let Pins { intr: _, nmi: _, a20: _, reset, remapped: _, pause } = *pins;
        CpuState {
            processor: *processor,
            gpr: std::array::from_fn(|r| gpr.full(r as u8)),
            rip: *rip & 0xFFFF_FFFF,
            eflags: eflags.bits(),
            seg: seg.map(SegmentState::from),
            ldtr: (*ldtr).into(),
            tr: (*tr).into(),
            gdtr: *gdtr,
            idtr: *idtr,
            cpl: *cpl,
            cr0: *cr0,
            cr2: *cr2,
            cr3: *cr3,
            cr4: *cr4,
            efer: *efer,
            pdpte: *pdpte,
            dr: *dr,
            dr6: *dr6,
            dr7: *dr7,
            msr: *msr,
            x87: *x87,
            simd: *simd,
            halted: *halted,
            shutdown: *shutdown,
            interrupt_shadow: *interrupt_shadow,
            debug_shadow: *debug_shadow,
            nmi_blocked: *nmi_blocked,
            nmi_pending: *nmi_pending,
            reset_pending: reset,
            pause_pending: pause,
            pending_debug: *pending_debug,
            repeat_suspended: repeat_suspended_at == retired,
            retired: *retired,
        }
    }

    /// Puts the processor into a saved state. Translations and decoded code are forgotten. An impossible state is
    /// refused, and the processor then stays as it was.
    pub fn restore(&mut self, state: &CpuState) -> Result<(), RestoreError> {
        self.rewind(state)?;
        self.forget_code();
        Ok(())
    }

    /// As [`Cpu::restore`], but decoded code is kept: whoever changes memory beside says so by [`Cpu::ram_written`].
    pub fn rewind(&mut self, state: &CpuState) -> Result<(), RestoreError> {
        if state.processor != self.processor {
            return Err(RestoreError::OtherProcessor { saved: state.processor, present: self.processor });
        }
        state.validate()?;
        let CpuState {
            processor: _,
            gpr,
            rip,
            eflags,
            seg,
            ldtr,
            tr,
            gdtr,
            idtr,
            cpl,
            cr0,
            cr2,
            cr3,
            cr4,
            efer,
            pdpte,
            dr,
            dr6,
            dr7,
            msr,
            x87,
            simd,
            halted,
            shutdown,
            interrupt_shadow,
            debug_shadow,
            nmi_blocked,
            nmi_pending,
            reset_pending,
            pause_pending,
            pending_debug,
            repeat_suspended,
            retired,
        } = state;
        self.gpr = Gpr::default();
        for (r, v) in (gpr::AX..).zip(gpr) {
            self.gpr.set(r, *v);
        }
        self.rip = *rip;
        self.eflags = Eflags::from_bits(*eflags);
        self.seg = seg.map(SegmentState::segment);
        self.ldtr = ldtr.segment();
        self.tr = tr.segment();
        self.gdtr = *gdtr;
        self.idtr = *idtr;
        self.cpl = *cpl;
        self.cr0 = *cr0;
        self.cr2 = *cr2;
        self.cr3 = *cr3;
        self.cr4 = *cr4;
        self.efer = *efer;
        self.pdpte = *pdpte;
        self.dr = *dr;
        self.dr6 = *dr6;
        self.dr7 = *dr7;
        self.msr = *msr;
        self.x87 = *x87;
        self.simd = *simd;
        self.halted = *halted;
        self.shutdown = *shutdown;
        self.interrupt_shadow = *interrupt_shadow;
        self.debug_shadow = *debug_shadow;
        self.nmi_blocked = *nmi_blocked;
        self.nmi_pending = *nmi_pending;
        self.pins.reset = *reset_pending;
        self.pins.pause = *pause_pending;
        self.pending_debug = *pending_debug;
        self.retired = *retired;
        self.repeat_suspended_at = if *repeat_suspended { *retired } else { Work::MAX };
        self.stops.forget_reports();
        self.state_changed();
        Ok(())
    }
}

impl CpuState {
    /// Checks every promise that the processor makes about its registers.
    fn validate(&self) -> Result<(), RestoreError> {
        let narrow = |v: u64| v <= u32::MAX as u64;
        let features = self.processor.features();
        let protected = self.cr0 & cr0::PE != 0;
        let paging = self.cr0 & cr0::PG != 0;
        let v86 = self.eflags & bit::VM != 0;
        let rules: [(bool, &'static str); 20] = [
            (self.gpr[..8].iter().all(|v| narrow(*v)), "a general register exceeds 32 bits"),
            (self.gpr[8..].iter().all(|v| *v == 0), "R8 to R15 outside 64-bit mode"),
            (narrow(self.rip), "EIP exceeds 32 bits"),
            (self.eflags & !features.eflags() == bit::ONE, "reserved bits of EFLAGS"),
            (protected || !v86, "virtual-8086 mode without protection"),
            (self.cr0 & !cr0::WRITABLE == cr0::ET, "reserved bits of CR0"),
            (protected || !paging, "paging without protection"),
            (self.cr0 & cr0::NW == 0 || self.cr0 & cr0::CD != 0, "CR0.NW without CR0.CD"),
            (narrow(self.cr2) && narrow(self.cr3), "CR2 or CR3 exceeds 32 bits"),
            (self.cr4 & !features.cr4() == 0, "reserved bits of CR4"),
            (self.efer & !features.efer() == 0, "reserved bits of IA32_EFER"),
            (self.pdpte.iter().all(|e| walk::is_possible_pdpte(*e)), "a page-directory-pointer entry"),
            (self.dr.iter().all(|v| narrow(*v)), "a debug register exceeds 32 bits"),
            (self.dr6 & !dr6::WRITABLE == dr6::FIXED, "reserved bits of DR6"),
            (self.dr7 & !dr7::WRITABLE == dr7::FIXED, "reserved bits of DR7"),
            (self.pending_debug & !dr6::WRITABLE == 0, "a pending debug trap"),
            (self.msr.is_possible(self.processor), "a model-specific register"),
            (self.x87.is_possible(), "an x87 register other than of data"),
            (self.simd.mxcsr & !features.mxcsr() == 0, "reserved bits of MXCSR"),
            (self.retired <= WORK_MAX, "the count of retired work"),
        ];
        if let Some((_, what)) = rules.iter().find(|(holds, _)| !holds) {
            return Err(RestoreError::Impossible(what));
        }
        self.validate_segments(protected, v86)
    }

    fn validate_segments(&self, protected: bool, v86: bool) -> Result<(), RestoreError> {
        let tables = [self.gdtr, self.idtr];
        let cpl_fits = match (protected, v86) {
            (false, _) => self.cpl == 0,
            (true, true) => self.cpl == 3,
            (true, false) => self.cpl <= 3,
        };
        let is_v86 = |s: &SegmentState| SegmentState::from(Segment::v86(s.selector)) == *s;
        let ldt = self.ldtr.access;
        let rules = [
            (self.seg.iter().all(SegmentState::is_possible), "a segment register"),
            (!v86 || self.seg.iter().all(is_v86), "a segment register in virtual-8086 mode"),
            (self.ldtr.is_possible() && (!ldt.present() || ldt.describes() == Kind::Ldt), "LDTR"),
            (
                self.tr.is_possible() && matches!(self.tr.access.describes(), Kind::Tss { busy: true, .. }),
                "TR",
            ),
            (tables.iter().all(|t| t.base <= u32::MAX as u64), "GDTR or IDTR"),
            (cpl_fits, "CPL"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, what)) => Err(RestoreError::Impossible(what)),
            None => Ok(()),
        }
    }
}
