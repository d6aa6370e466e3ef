//! Memory operands: effective address, segment, and the two ways to memory.
//!
//! Through the shadow tables an access is a look-up and a branch to the slow path where nothing is found. Through a
//! window it is one host instruction that may fault; sites that keep faulting are translated anew for the tables.

use super::{Lower, SiteKind};
use crate::emit::abi::{self, host_gpr};
use crate::host::context::Context;
use crate::shadow::{TABLES_BIAS, WRITE_TABLE};
use dynasmrt::{DynasmApi, dynasm};
use iced_x86::{Code, Instruction, MemoryOperand, Register};
use idem86_cpu::state::gpr;
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

/// An access: through which segment, to how many bytes, what for.
#[derive(Clone, Copy, Debug)]
pub struct MemoryAccess {
    /// The segment.
    pub segment: SegReg,
    /// Bytes, 1 to 64.
    pub size: u32,
    /// What it does.
    pub kind: AccessKind,
}

/// Where an operand is in the host's memory: base + index + displacement.
#[derive(Clone, Copy, Debug)]
pub struct HostOperand {
    /// A 64-bit register.
    pub base: Register,
    /// A 64-bit register, or none.
    pub index: Register,
    /// Displacement.
    pub displacement: i32,
    /// Its access may fault; see [`Lower::may_fault`].
    pub window: bool,
}

impl HostOperand {
    /// Any operand: to see whether an instruction can be encoded.
    pub const PROBE: HostOperand = HostOperand::LOOKED_UP;

    /// Behind a look-up, with ECX where it belongs.
    const LOOKED_UP: HostOperand =
        HostOperand { base: Register::R9, index: Register::R8, displacement: 0, window: false };

    /// Makes it the memory operand of `i`.
    pub fn put(self, i: &mut Instruction) {
        i.set_segment_prefix(Register::None);
        i.set_memory_base(self.base);
        i.set_memory_index(self.index);
        i.set_memory_index_scale(1);
        i.set_memory_displacement64(i64::from(self.displacement) as u64);
        i.set_memory_displ_size(u32::from(self.displacement != 0));
    }

    /// For encoding.
    pub fn operand(self) -> MemoryOperand {
        let size = u32::from(self.displacement != 0);
        MemoryOperand::new(
            self.base,
            self.index,
            1,
            i64::from(self.displacement),
            size,
            false,
            Register::None,
        )
    }
}

/// Displacements below zero that a window still catches, with its sign.
const WINDOW_BELOW: i32 = -0x1_0000;

impl Lower<'_> {
    /// Puts the offset of the memory operand of `i` in r8d.
    pub(super) fn effective_address(&mut self, i: &Instruction) {
        let (base, index) = (i.memory_base(), i.memory_index());
        let displacement = i.memory_displacement64() as i32;
        if base == Register::None && index == Register::None {
            let offset = if is_short(i) { displacement & 0xFFFF } else { displacement };
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
        if is_short(i) {
            dynasm!(self.asm; .arch x64; movzx r8d, r8w);
        }
    }

    /// Makes the memory operand of `i` accessible; the slow path is that of `site`. ECX is where it belongs
    /// afterwards, r8 to r10 may be in use.
    pub(super) fn operand(&mut self, i: &Instruction, access: MemoryAccess, site: u32) -> HostOperand {
        let (base, index) = (i.memory_base(), i.memory_index());
        let displacement = i.memory_displacement64() as i32;
        if self.uses_window(site)
            && self.frame.key.is_flat(access.segment)
            && !is_short(i)
            && displacement >= WINDOW_BELOW
        {
            let only = match (base, index) {
                (only, Register::None) => Some(only),
                (Register::None, only) if i.memory_index_scale() == 1 => Some(only),
                _ => None,
            };
            if let Some(only) = only.filter(|only| *only != Register::None || displacement >= 0) {
                let index = if only == Register::None { only } else { host_gpr(only.number() as u8) };
                return HostOperand { base: Register::R15, index, displacement, window: true };
            }
        }
        self.effective_address(i);
        self.at_offset(access, site)
    }

    /// The same for the offset in r8d.
    pub(super) fn at_offset(&mut self, access: MemoryAccess, site: u32) -> HostOperand {
        self.linear(access, site);
        if self.uses_window(site) {
            return HostOperand { base: Register::R15, index: Register::R8, displacement: 0, window: true };
        }
        self.look_up(access, site);
        dynasm!(self.asm; .arch x64
            ; mov r9, rcx
            ; mov rcx, r10
        );
        HostOperand::LOOKED_UP
    }

    /// The same at `by` bytes from the stack pointer.
    pub(super) fn at_stack(&mut self, by: i32, access: MemoryAccess, site: u32) -> HostOperand {
        self.at_pointer(gpr::SP, by, access, site)
    }

    /// The same at `by` bytes from a register that points into the stack and has its width.
    pub(super) fn at_pointer(
        &mut self,
        pointer: u8,
        by: i32,
        access: MemoryAccess,
        site: u32,
    ) -> HostOperand {
        let from = host_gpr(pointer);
        let (flat, wide) = (self.frame.key.is_flat(SegReg::Ss), self.frame.key.stack32());
        if self.uses_window(site) && flat && wide {
            return HostOperand { base: Register::R15, index: from, displacement: by, window: true };
        }
        let from = from.number() as u8;
        dynasm!(self.asm; .arch x64; lea r8d, [Rq(from) + by]);
        if !wide {
            dynasm!(self.asm; .arch x64; movzx r8d, r8w);
        }
        self.at_offset(access, site)
    }

    /// From the offset in r8d to the linear address in r8d, or to the slow path.
    fn linear(&mut self, access: MemoryAccess, site: u32) {
        let MemoryAccess { segment, size, kind } = access;
        if self.frame.key.is_flat(segment) {
            return;
        }
        self.extend_hops();
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
            ; lea rcx, [rcx + r9 + (2 - size as i32)]
            ; shrx rcx, rcx, r12
        );
        self.slow_if_zero(site);
        dynasm!(self.asm; .arch x64
            ; mov rcx, r10
            ; mov r9, [r12 + abi::element(offset_of!(Context, seg_base), segment as usize)]
            ; lea r8d, [r8 + r9]
        );
    }

    /// From the linear address in r8d to its shadow entry in rcx, or to the slow path. ECX is in r10 afterwards.
    fn look_up(&mut self, access: MemoryAccess, site: u32) {
        self.extend_hops();
        let beyond = access.size as i32 - 1;
        if beyond == 0 {
            dynasm!(self.asm; .arch x64; shrx r9d, r8d, r13d);
        } else {
            dynasm!(self.asm; .arch x64
                ; rorx r9d, r8d, 12
                ; lea r9, [r9 + (beyond << 20)]
            );
            self.extract_index();
        }
        dynasm!(self.asm; .arch x64; mov r10, rcx);
        self.load_entry(access.kind);
        self.slow_if_no_entry(site);
    }

    /// From an address that was rotated right by 12, plus the distance of the last byte shifted left by 20, to the
    /// index of its entry, both in r9.
    pub(super) fn extract_index(&mut self) {
        if self.frame.key.window() {
            dynasm!(self.asm; .arch x64; pext r9, r9, [r12 + abi::INDEX_MASK]);
        } else {
            dynasm!(self.asm; .arch x64; pext r9, r9, r15);
        }
    }

    /// The shadow entry with the index in r9, in rcx.
    pub(super) fn load_entry(&mut self, kind: AccessKind) {
        let table = match kind {
            AccessKind::Read => 0,
            AccessKind::Write => WRITE_TABLE,
        } - TABLES_BIAS;
        dynasm!(self.asm; .arch x64; mov rcx, [r13 + r9 * 8 + table]);
    }

    /// Whether the accesses of `site` go through a window.
    pub(super) fn uses_window(&self, site: u32) -> bool {
        self.site(site).kind == SiteKind::Window
    }

    /// The next host instruction accesses `operand`, and may fault if it is in a window. It must be the only one of
    /// the guest instruction that can, unless nothing has changed before.
    pub(super) fn may_fault(&mut self, operand: HostOperand, site: u32) {
        if operand.window {
            self.faults_here(site);
        }
    }

    /// Reads 1, 2 or 4 bytes into `to`, zero-extended.
    pub(super) fn read(&mut self, to: Register, operand: HostOperand, size: u32, site: u32) {
        self.may_fault(operand, site);
        let code = match size {
            1 => Code::Movzx_r32_rm8,
            2 => Code::Movzx_r32_rm16,
            _ => Code::Mov_r32_rm32,
        };
        let i = Instruction::with2(code, to, operand.operand()).expect("a valid operand");
        assert!(self.encode(&i), "MOV takes any operand");
    }

    /// Writes the low 1, 2 or 4 bytes of the register with number `from`: a byte only of EAX or r8 to r15.
    pub(super) fn write(&mut self, operand: HostOperand, from: u8, size: u32, site: u32) {
        self.may_fault(operand, site);
        let (code, register) = match size {
            1 if from == 0 => (Code::Mov_rm8_r8, Register::AL),
            1 => (Code::Mov_rm8_r8, Register::R8L + u32::from(from - 8)),
            2 => (Code::Mov_rm16_r16, Register::AX + u32::from(from)),
            _ => (Code::Mov_rm32_r32, Register::EAX + u32::from(from)),
        };
        let i = Instruction::with2(code, operand.operand(), register).expect("valid operands");
        assert!(self.encode(&i), "MOV takes any operand");
    }

    /// Writes a constant of 2 or 4 bytes.
    pub(super) fn write_immediate(&mut self, operand: HostOperand, value: i32, size: u32, site: u32) {
        self.may_fault(operand, site);
        let i = match size {
            2 => Instruction::with2(Code::Mov_rm16_imm16, operand.operand(), i32::from(value as i16)),
            _ => Instruction::with2(Code::Mov_rm32_imm32, operand.operand(), value),
        };
        assert!(self.encode(&i.expect("valid operands")), "MOV takes any operand");
    }
}

/// Whether the memory operand of `i` has a 16-bit offset.
pub(super) fn is_short(i: &Instruction) -> bool {
    i.memory_base().size() == 2 || i.memory_index().size() == 2 || i.memory_displ_size() == 2
}
