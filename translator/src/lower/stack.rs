//! The stack: PUSH, POP and LEAVE, and what CALL and RET need of it.

use super::Lower;
use super::memory::{AccessKind, MemoryAccess};
use crate::emit::abi::{self, SPILL, host_gpr};
use crate::host::context::Context;
use dynasmrt::{DynasmApi, dynasm};
use iced_x86::{Code, Instruction, Mnemonic, OpKind, Register};
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::SegReg;
use std::mem::offset_of;

/// What is pushed.
#[derive(Clone, Copy)]
pub(super) enum Pushed {
    /// A general register, by number.
    Register(u8),
    /// A constant.
    Immediate(i32),
    /// The value in [`Context::spill`](crate::host::context::Context::spill).
    Spill,
    /// The selector in a segment register, by number.
    Selector(u8),
}

impl Lower<'_> {
    /// Lowers instruction `n` if it belongs here.
    pub(super) fn stack(&mut self, n: usize, i: &Instruction) -> bool {
        match (i.mnemonic(), i.op_count()) {
            (Mnemonic::Push, 1) => self.push(n, i),
            (Mnemonic::Pop, 1) if i.op0_kind() == OpKind::Register && i.op0_register().is_gpr() => {
                let size = i.op0_register().size() as u32;
                let site = self.memory_site(n);
                self.read_top(gpr::SP, size, site);
                self.step_sp(gpr::SP, size as i32);
                self.set(i.op0_register().number() as u8, size);
                self.resume_here(site);
                true
            }
            (Mnemonic::Leave, _) => {
                let size = if i.code() == Code::Leavew { 2 } else { 4 };
                if self.frame.key.stack32() != (size == 4) {
                    return false;
                }
                let site = self.memory_site(n);
                self.read_top(gpr::BP, size, site);
                self.step_sp(gpr::BP, size as i32);
                self.set(gpr::BP, size);
                self.resume_here(site);
                true
            }
            _ => false,
        }
    }

    fn push(&mut self, n: usize, i: &Instruction) -> bool {
        let (what, size) = match i.op0_kind() {
            OpKind::Register if i.op0_register().is_gpr() => {
                (Pushed::Register(i.op0_register().number() as u8), i.op0_register().size() as u32)
            }
            OpKind::Register => {
                let wide = matches!(
                    i.code(),
                    Code::Pushd_ES
                        | Code::Pushd_CS
                        | Code::Pushd_SS
                        | Code::Pushd_DS
                        | Code::Pushd_FS
                        | Code::Pushd_GS
                );
                (Pushed::Selector(i.op0_register().number() as u8), if wide { 4 } else { 2 })
            }
            OpKind::Memory => (Pushed::Spill, i.memory_size().size() as u32),
            _ if matches!(i.code(), Code::Push_imm16 | Code::Pushw_imm8) => {
                (Pushed::Immediate(i32::from(i.immediate(0) as i16)), 2)
            }
            _ => (Pushed::Immediate(i.immediate(0) as i32), 4),
        };
        if matches!(what, Pushed::Spill) && !self.spill_operand(n, i, size) {
            return false;
        }
        self.push_value(n, what, size);
        true
    }

    /// Reads the memory operand of `i` into the context.
    pub(super) fn spill_operand(&mut self, n: usize, i: &Instruction, size: u32) -> bool {
        let Some(segment) = SegReg::from_encoding(i.memory_segment().number() as u8) else { return false };
        let site = self.memory_site(n);
        let operand = self.operand(i, MemoryAccess { segment, size, kind: AccessKind::Read }, site);
        self.read(Register::R9D, operand, size, site);
        dynasm!(self.asm; .arch x64; mov [r12 + SPILL], r9);
        // The interpreter executes the whole instruction, not only this read.
        self.resume_behind(site);
        true
    }

    /// Pushes a value of `size` bytes for instruction `n` and moves the stack pointer.
    pub(super) fn push_value(&mut self, n: usize, what: Pushed, size: u32) {
        let access = MemoryAccess { segment: SegReg::Ss, size, kind: AccessKind::Write };
        let site = self.memory_site(n);
        let operand = self.at_stack(-(size as i32), access, site);
        match what {
            Pushed::Register(r) => {
                self.write(operand, host_gpr(r).number() as u8, size, site);
            }
            Pushed::Spill => {
                dynasm!(self.asm; .arch x64; mov r10, [r12 + SPILL]);
                self.write(operand, 10, size, site);
            }
            Pushed::Selector(s) => {
                dynasm!(self.asm; .arch x64
                    ; mov r10, [r12 + abi::element(offset_of!(Context, selectors), s as usize)]
                );
                self.write(operand, 10, size, site);
            }
            Pushed::Immediate(value) => self.write_immediate(operand, value, size, site),
        }
        self.step_sp(gpr::SP, -(size as i32));
        self.resume_behind(site);
    }

    /// Reads `size` bytes at the top of the stack, whose pointer is in guest register `pointer`, into r9.
    pub(super) fn read_top(&mut self, pointer: u8, size: u32, site: u32) {
        let access = MemoryAccess { segment: SegReg::Ss, size, kind: AccessKind::Read };
        let operand = self.at_pointer(pointer, 0, access, site);
        self.read(Register::R9D, operand, size, site);
    }

    /// The stack pointer becomes guest register `from` plus `by`.
    pub(super) fn step_sp(&mut self, from: u8, by: i32) {
        let from = host_gpr(from).number() as u8;
        if self.frame.key.stack32() {
            dynasm!(self.asm; .arch x64; lea r14d, [Rq(from) + by]);
        } else {
            dynasm!(self.asm; .arch x64
                ; lea r8d, [Rq(from) + by]
                ; mov r14w, r8w
            );
        }
    }

    /// The low `size` bytes of guest register `r` become those of r9.
    fn set(&mut self, r: u8, size: u32) {
        let to = host_gpr(r).number() as u8;
        match size {
            2 => dynasm!(self.asm; .arch x64; mov Rw(to), r9w),
            _ => dynasm!(self.asm; .arch x64; mov Rd(to), r9d),
        }
    }
}
