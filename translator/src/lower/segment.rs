//! Segment registers in real mode: a load changes selector and base, and nothing else that translated code sees.
//!
//! The processor's registers follow when translated code calls out or is left. In the other modes a load reads a
//! descriptor, and in all of them a load of SS holds interrupts off: those are callouts.

use super::memory::{AccessKind, MemoryAccess};
use super::{Lower, SiteKind};
use crate::emit::abi::{self, LAST_SEGMENT, RELOADED};
use crate::extended::Last;
use crate::host::context::Context;
use dynasmrt::{DynasmApi, DynasmLabelApi, dynasm};
use iced_x86::{Code, Instruction, Mnemonic, OpKind, Register};
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::SegReg;
use std::mem::offset_of;

impl Lower<'_> {
    /// Lowers instruction `n` if it belongs here.
    pub(super) fn segment_load(&mut self, n: usize, i: &Instruction) -> bool {
        if !self.frame.key.real
            || !matches!(i.mnemonic(), Mnemonic::Mov | Mnemonic::Pop)
            || i.op0_kind() != OpKind::Register
            || !i.op0_register().is_segment_register()
        {
            return false;
        }
        let Some(to) = SegReg::from_encoding(i.op0_register().number() as u8) else { return false };
        // The pointers of an x87 instruction before it name the segment that was.
        let seen = self.last != Last::default();
        if matches!(to, SegReg::Cs | SegReg::Ss) || self.frame.key.is_flat(to) || seen {
            return false;
        }
        self.call_out_if_told_later(n);
        match (i.mnemonic(), i.op_count()) {
            (Mnemonic::Pop, 1) => {
                let wide = matches!(i.code(), Code::Popd_DS | Code::Popd_ES | Code::Popd_FS | Code::Popd_GS);
                let size = if wide { 4 } else { 2 };
                let site = self.memory_site(n);
                self.read_top(gpr::SP, size, site);
                self.load(to);
                self.step_sp(gpr::SP, size as i32);
                self.resume_here(site);
            }
            (Mnemonic::Mov, 2) if i.op1_kind() == OpKind::Register => {
                let from = abi::host_gpr(i.op1_register().number() as u8).number() as u8;
                dynasm!(self.asm; .arch x64; movzx r9d, Rw(from));
                self.load(to);
            }
            (Mnemonic::Mov, 2) if i.op1_kind() == OpKind::Memory => {
                let Some(segment) = SegReg::from_encoding(i.memory_segment().number() as u8) else {
                    return false;
                };
                let site = self.memory_site(n);
                let access = MemoryAccess { segment, size: 2, kind: AccessKind::Read };
                let operand = self.operand(i, access, site);
                self.read(Register::R9D, operand, 2, site);
                self.load(to);
                self.resume_here(site);
            }
            _ => return false,
        }
        true
    }

    /// Leaves instruction `n` to a callout if an earlier unit's numeric instruction has yet to name its segment.
    fn call_out_if_told_later(&mut self, n: usize) {
        let site = self.new_site(n, SiteKind::Plain);
        let none = self.asm.new_dynamic_label();
        dynasm!(self.asm; .arch x64
            ; mov r10, rcx
            ; mov ecx, [r12 + LAST_SEGMENT]
            ; jrcxz =>none
        );
        self.slow_callout(site);
        dynasm!(self.asm; .arch x64
            ; =>none
            ; mov rcx, r10
        );
        self.resume_behind(site);
        self.extend_hops();
    }

    /// Loads the selector in r9w.
    fn load(&mut self, to: SegReg) {
        dynasm!(self.asm; .arch x64
            ; movzx r9d, r9w
            ; mov [r12 + abi::element(offset_of!(Context, selectors), to as usize)], r9
            ; lea r9, [r9 * 8]
            ; lea r9, [r9 * 2]
            ; mov [r12 + abi::element(offset_of!(Context, seg_base), to as usize)], r9
            ; mov BYTE [r12 + RELOADED + to as i32], 1
        );
        self.extend_hops();
    }
}
