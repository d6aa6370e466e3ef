//! Operand sizes and forms, for choosing handlers.

use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::Insn;
use crate::event::exception::Outcome;
use crate::state::eflags::Eflags;
use crate::state::gpr::Word;
use iced_x86::{Instruction, OpKind};

/// Where the two operands of an instruction are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Register, register.
    RegReg,
    /// Register, memory.
    RegMem,
    /// Memory, register.
    MemReg,
    /// Register, immediate.
    RegImm,
    /// Memory, immediate.
    MemImm,
}

/// The form of a two-operand instruction with general registers, or `None`.
pub fn form(i: &Instruction) -> Option<Form> {
    Some(match (i.op0_kind(), i.op1_kind()) {
        (OpKind::Register, OpKind::Register) => Form::RegReg,
        (OpKind::Register, OpKind::Memory) => Form::RegMem,
        (OpKind::Memory, OpKind::Register) => Form::MemReg,
        (OpKind::Register, _) => Form::RegImm,
        (OpKind::Memory, _) => Form::MemImm,
        _ => return None,
    })
}

/// Whether operand 0 is in memory.
pub fn in_memory(i: &Instruction) -> bool {
    i.op0_kind() == OpKind::Memory
}

/// The size of operand `n` in bytes, where it is a register or memory.
pub fn operand_size(i: &Instruction, n: u32) -> usize {
    match i.op_kind(n) {
        OpKind::Register => i.op_register(n).size(),
        _ => i.memory_size().size(),
    }
}

/// Where the operand is that may be in a register or in memory.
pub trait Place {
    /// Reads it.
    fn read<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome<T>;
    /// Replaces it by what `change` makes of it; see [`Cpu::modify`].
    fn modify<T: Word>(
        cpu: &mut Cpu,
        biu: &mut Biu,
        insn: &Insn,
        change: impl FnOnce(&mut Eflags, T) -> T,
    ) -> Outcome;
}

/// Operand `N` is a register.
#[derive(Clone, Copy, Debug)]
pub struct InRegister<const N: usize>;
impl<const N: usize> Place for InRegister<N> {
    #[inline(always)]
    fn read<T: Word>(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome<T> {
        Ok(cpu.gpr.get(insn.op[N]))
    }
    #[inline(always)]
    fn modify<T: Word>(
        cpu: &mut Cpu,
        _: &mut Biu,
        insn: &Insn,
        change: impl FnOnce(&mut Eflags, T) -> T,
    ) -> Outcome {
        let old = cpu.gpr.get(insn.op[N]);
        let new = change(&mut cpu.eflags, old);
        cpu.gpr.set(insn.op[N], new);
        Ok(())
    }
}

/// The operand is in memory.
#[derive(Clone, Copy, Debug)]
pub struct InMemory;
impl Place for InMemory {
    #[inline(always)]
    fn read<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome<T> {
        cpu.read(biu, insn.segment, insn.ea(&cpu.gpr))
    }
    #[inline(always)]
    fn modify<T: Word>(
        cpu: &mut Cpu,
        biu: &mut Biu,
        insn: &Insn,
        change: impl FnOnce(&mut Eflags, T) -> T,
    ) -> Outcome {
        cpu.modify(biu, insn.segment, insn.ea(&cpu.gpr), change)
    }
}

/// Instantiates a handler for the operand size `$size` in bytes: `by_size!(size, handler<Op>)` picks among
/// `handler::<Op, u8>`, `u16`, `u32` and `u64`.
macro_rules! by_size {
    ($size:expr, $handler:ident $(, $op:ty)*) => {
        {
            let handler: $crate::decode::insn::Handler = match $size {
                1 => $handler::<$($op,)* u8>,
                2 => $handler::<$($op,)* u16>,
                4 => $handler::<$($op,)* u32>,
                _ => $handler::<$($op,)* u64>,
            };
            handler
        }
    };
}
pub(crate) use by_size;

/// As `by_size!`, for instructions that a 64-bit form would not fit: `u8`, `u16` or `u32`.
macro_rules! by_size_to_32 {
    ($size:expr, $handler:ident $(, $op:ty)*) => {
        {
            let handler: $crate::decode::insn::Handler = match $size {
                1 => $handler::<$($op,)* u8>,
                2 => $handler::<$($op,)* u16>,
                _ => $handler::<$($op,)* u32>,
            };
            handler
        }
    };
}
pub(crate) use by_size_to_32;

/// As `by_size_to_32!`, for instructions that have no byte form either: `u16` or `u32`.
macro_rules! by_size_16_32 {
    ($size:expr, $handler:ident $(, $op:ty)*) => {
        {
            let handler: $crate::decode::insn::Handler = match $size {
                2 => $handler::<$($op,)* u16>,
                _ => $handler::<$($op,)* u32>,
            };
            handler
        }
    };
}
pub(crate) use by_size_16_32;
