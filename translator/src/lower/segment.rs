//! Loads of DS, ES, FS and GS without a callout: in real mode, and at CPL 0 of protected mode.
//!
//! In real mode a load changes selector and base. In protected mode it reads a descriptor: what a load of the same
//! selector gave before still holds if the descriptor is the same, which is read and compared (see [`Known`]). The
//! processor's registers follow when translated code calls out or is left. A load of SS holds interrupts off, and what
//! changes which segments are flat changes the mode: those are callouts.

use super::memory::{AccessKind, MemoryAccess};
use super::{Lower, SiteKind};
use crate::emit::abi::{self, LAST_SEGMENT, PRIVATE, RELOADED};
use crate::extended::Last;
use crate::host::context::Context;
use crate::host::descriptors::Known;
use crate::shadow::TABLES_BIAS;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, dynasm};
use iced_x86::{Code, Instruction, Mnemonic, OpKind, Register};
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::SegReg;
use std::mem::offset_of;

/// Displacement of a field of the first of [`Context::known`].
const fn known(field: usize) -> i32 {
    abi::field(offset_of!(Context, known) + field)
}

impl Lower<'_> {
    /// Lowers instruction `n` if it belongs here.
    pub(super) fn segment_load(&mut self, n: usize, i: &Instruction) -> bool {
        let key = self.frame.key;
        if !(key.real() || key.kernel())
            || !matches!(i.mnemonic(), Mnemonic::Mov | Mnemonic::Pop)
            || i.op0_kind() != OpKind::Register
            || !i.op0_register().is_segment_register()
        {
            return false;
        }
        let Some(to) = SegReg::from_encoding(i.op0_register().number() as u8) else { return false };
        // The pointers of an x87 instruction before it name the segment that was.
        let seen = self.last != Last::default();
        if matches!(to, SegReg::Cs | SegReg::Ss) || key.real() && key.is_flat(to) || seen {
            return false;
        }
        match (i.mnemonic(), i.op_count()) {
            (Mnemonic::Pop, 1) => {
                self.call_out_if_told_later(n);
                let wide = matches!(i.code(), Code::Popd_DS | Code::Popd_ES | Code::Popd_FS | Code::Popd_GS);
                let size = if wide { 4 } else { 2 };
                let site = self.memory_site(n);
                self.read_top(gpr::SP, size, site);
                self.load(n, to);
                self.step_sp(gpr::SP, size as i32);
                self.resume_behind(site);
            }
            (Mnemonic::Mov, 2) if i.op1_kind() == OpKind::Register => {
                self.call_out_if_told_later(n);
                let from = abi::host_gpr(i.op1_register().number() as u8).number() as u8;
                dynasm!(self.asm; .arch x64; movzx r9d, Rw(from));
                self.load(n, to);
            }
            (Mnemonic::Mov, 2) if i.op1_kind() == OpKind::Memory => {
                let Some(segment) = SegReg::from_encoding(i.memory_segment().number() as u8) else {
                    return false;
                };
                self.call_out_if_told_later(n);
                let site = self.memory_site(n);
                let access = MemoryAccess { segment, size: 2, kind: AccessKind::Read };
                let operand = self.operand(i, access, site);
                self.read(Register::R9D, operand, 2, site);
                self.load(n, to);
                self.resume_behind(site);
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
    fn load(&mut self, n: usize, to: SegReg) {
        dynasm!(self.asm; .arch x64; movzx r9d, r9w);
        if self.frame.key.real() {
            self.set_selector(to);
            dynasm!(self.asm; .arch x64
                ; rorx r9d, r9d, 32 - 4
                ; mov [r12 + abi::element(offset_of!(Context, seg_base), to as usize)], r9
            );
        } else {
            self.load_known(n, to);
        }
        dynasm!(self.asm; .arch x64; mov BYTE [r12 + RELOADED + to as i32], 1);
        self.extend_hops();
    }

    fn set_selector(&mut self, to: SegReg) {
        dynasm!(self.asm; .arch x64
            ; mov [r12 + abi::element(offset_of!(Context, selectors), to as usize)], r9
        );
    }

    /// Loads what is known of the selector in r9, if its descriptor is still the same.
    fn load_known(&mut self, n: usize, to: SegReg) {
        let site = self.new_site(n, SiteKind::Segment);
        let [slow, found, same, null, done] = std::array::from_fn(|_| self.asm.new_dynamic_label());
        let flat = self.frame.key.is_flat(to);
        // Only of these two the mode tells whether they are flat.
        let watched = matches!(to, SegReg::Ds | SegReg::Es);
        let tag = known(offset_of!(Known, tag));
        self.extend_hops();
        dynasm!(self.asm; .arch x64; mov r10, rcx);
        if !flat {
            dynasm!(self.asm; .arch x64
                ; mov ecx, r9d
                ; jrcxz =>null
            );
        }
        dynasm!(self.asm; .arch x64
            ; movzx r8d, r9b
            ; rorx r8, r8, 64 - Known::SHIFT as i8
        );
        if watched {
            dynasm!(self.asm; .arch x64; mov ecx, [r12 + r8 + tag]);
        } else {
            dynasm!(self.asm; .arch x64; movzx ecx, WORD [r12 + r8 + tag]);
        }
        let expected = if watched && flat { Known::FLAT as i32 } else { 0 };
        dynasm!(self.asm; .arch x64
            ; not rcx
            ; lea rcx, [rcx + r9 + expected + 1]
            ; jrcxz =>found
            ; =>slow
        );
        self.slow_callout(site);
        self.extend_hops();
        if !flat {
            self.load_null(to, null, done);
        }
        dynasm!(self.asm; .arch x64; =>found);
        self.extend_hops();
        dynasm!(self.asm; .arch x64
            ; mov rcx, [r12 + r8 + known(offset_of!(Known, index))]
            ; mov rcx, [r13 + rcx - TABLES_BIAS]
            ; jrcxz =>slow
            ; mov r9, [r12 + r8 + known(offset_of!(Known, linear))]
            ; mov rcx, [rcx + r9]
            ; not rcx
            ; mov r9, [r12 + r8 + known(offset_of!(Known, descriptor))]
            ; lea rcx, [rcx + r9 + 1]
            ; jrcxz =>same
            ; jmp =>slow
            ; =>same
        );
        self.extend_hops();
        dynasm!(self.asm; .arch x64
            ; mov [r12 + abi::element(offset_of!(Context, loaded), to as usize)], r9
            ; movzx r9d, WORD [r12 + r8 + tag]
        );
        self.set_selector(to);
        dynasm!(self.asm; .arch x64
            ; mov r9, [r12 + r8 + known(offset_of!(Known, private))]
            ; mov [r12 + PRIVATE + to as i32], r9b
        );
        for (from, field) in [
            (offset_of!(Known, base), offset_of!(Context, seg_base)),
            (offset_of!(Known, read), offset_of!(Context, seg_read)),
            (offset_of!(Known, write), offset_of!(Context, seg_write)),
        ] {
            dynasm!(self.asm; .arch x64
                ; mov r9, [r12 + r8 + known(from)]
                ; mov [r12 + abi::element(field, to as usize)], r9
            );
        }
        dynasm!(self.asm; .arch x64
            ; =>done
            ; mov rcx, r10
        );
        self.resume_behind(site);
    }

    /// At `null`: nothing can be accessed any longer. Goes on at `done`.
    fn load_null(&mut self, to: SegReg, null: DynamicLabel, done: DynamicLabel) {
        dynasm!(self.asm; .arch x64; =>null);
        self.set_selector(to);
        dynasm!(self.asm; .arch x64
            ; mov [r12 + abi::element(offset_of!(Context, seg_base), to as usize)], r9
            ; mov BYTE [r12 + PRIVATE + to as i32], 0
            ; mov r8, QWORD Context::limit(None) as i64
            ; mov [r12 + abi::element(offset_of!(Context, seg_read), to as usize)], r8
            ; mov [r12 + abi::element(offset_of!(Context, seg_write), to as usize)], r8
            ; jmp =>done
        );
    }
}
