//! Memory operands: effective address, segment, shadow tables.

use super::Lower;
use crate::emit::abi::{self, host_gpr};
use crate::host::context::Context;
use crate::shadow::{TABLES_BIAS, WRITE_TABLE};
use dynasmrt::{DynasmApi, dynasm};
use iced_x86::{Code, Instruction, MemoryOperand, Register};
use idem86_cpu::state::segment::SegReg;
use std::mem::offset_of;

/// What an access does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessKind {
    /// It reads.
    Read,
    /// It writes, or reads and writes.
    Write,
}

impl Lower<'_> {
    /// Puts the offset of the memory operand of `i` in r8d.
    pub(super) fn effective_address(&mut self, i: &Instruction) {
        let (base, index) = (i.memory_base(), i.memory_index());
        let short = base.size() == 2 || index.size() == 2 || i.memory_displ_size() == 2;
        let displacement = i.memory_displacement64() as i32;
        if base == Register::None && index == Register::None {
            let offset = if short { displacement & 0xFFFF } else { displacement };
            dynasm!(self.asm; .arch x64; mov r8d, offset);
            return;
        }
        let host = |r: Register| if r == Register::None { r } else { host_gpr(r.number() as u8) };
        let operand = MemoryOperand::new(
            host(base),
            host(index),
            i.memory_index_scale(),
            i64::from(displacement),
            match (base, displacement) {
                (Register::None, _) => 8,
                (_, 0) => 0,
                _ => 1,
            },
            false,
            Register::None,
        );
        let lea = Instruction::with2(Code::Lea_r32_m, Register::R8D, operand).expect("a valid operand");
        assert!(self.encode(&lea), "LEA takes any address");
        if short {
            dynasm!(self.asm; .arch x64; movzx r8d, r8w);
        }
    }

    /// From the offset in r8d to the linear address in r8 and its shadow entry in rcx, or to the slow path of
    /// `site`. ECX is in r10 afterwards.
    pub(super) fn look_up(&mut self, segment: SegReg, size: u32, kind: AccessKind, site: u32) {
        self.extend_hops();
        let beyond = size as i32 - 1;
        if !self.frame.key.is_flat(segment) {
            let bounds = match kind {
                AccessKind::Read => offset_of!(Context, seg_read),
                AccessKind::Write => offset_of!(Context, seg_write),
            };
            // limit - offset - (size - 1), by way of the complement.
            dynasm!(self.asm; .arch x64
                ; mov r10, rcx
                ; mov r9, r8
                ; not r9
                ; mov rcx, [r12 + abi::element(bounds, segment as usize)]
                ; lea rcx, [rcx + r9 + (1 - beyond)]
                ; shrx rcx, rcx, r12
            );
            self.slow_if_zero(site);
            dynasm!(self.asm; .arch x64
                ; mov rcx, r10
                ; mov r9, [r12 + abi::element(offset_of!(Context, seg_base), segment as usize)]
                ; lea r8d, [r8 + r9]
            );
        }
        let table = match kind {
            AccessKind::Read => 0,
            AccessKind::Write => WRITE_TABLE,
        } - TABLES_BIAS;
        if size == 1 {
            dynasm!(self.asm; .arch x64; shrx r9d, r8d, r13d);
        } else {
            dynasm!(self.asm; .arch x64
                ; rorx r9d, r8d, 12
                ; lea r9, [r9 + (beyond << 20)]
                ; pext r9, r9, r15
            );
        }
        dynasm!(self.asm; .arch x64
            ; mov r10, rcx
            ; mov rcx, [r13 + r9 * 8 + table]
        );
        self.slow_if_zero(site);
    }

    /// As [`Lower::look_up`]; then ECX is back and the entry in r9, so that the operand is [r9 + r8].
    pub(super) fn look_up_to_r9(&mut self, segment: SegReg, size: u32, kind: AccessKind, site: u32) {
        self.look_up(segment, size, kind, site);
        dynasm!(self.asm; .arch x64
            ; mov r9, rcx
            ; mov rcx, r10
        );
    }
}
