//! Operand sizes and forms, for choosing handlers.

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
