//! MMX, SSE, SSE2 and SSE3. SDM Vol. 1, "Programming with Intel MMX Technology" and the three chapters behind it.
//!
//! An instruction is an operation on rows of bytes (`lanes`) between two operands (`place`); the MMX form and
//! the SSE form of an integer operation are the same code for 8 and for 16 bytes. Floating-point operations take
//! their conditions from MXCSR and leave their exceptions there; one that is not masked raises #XM and keeps the
//! result from being written.
//!
//! # Quirks
//!
//! - RCPPS and RSQRTPS give the exact result rounded to 12 significant bits: a relative error of at most 2^-12
//!   where 1.5 * 2^-12 is allowed. The tables of real processors differ among themselves.
//! - CVTPI2PS with a memory operand has nothing to do with MM registers and leaves the x87 unit alone, as on AMD's
//!   processors. The SDM has that for CVTPI2PD alone.
//! - A conversion to an MM register whose exception is not masked has turned the x87 registers into MM registers
//!   by then, as on AMD's processors. The SDM does not say.
//! - An operand of 16 bytes that is neither aligned nor within the limit of SS raises #GP rather than #SS.

mod compare;
mod convert;
mod estimate;
mod float;
mod integer;
mod lanes;
mod mask;
mod place;
mod rearrange;
mod shift;
mod state;
mod transfer;

use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::{Fault, Outcome, vector};
use crate::softfloat::{Env, Flags};
use crate::state::control::cr4;
use crate::state::simd::Row;
use iced_x86::{Instruction, OpKind};
use place::{Memory, Mm, Register, Source, Xmm, complete, ready};

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    transfer::select(i)
        .or_else(|| integer::select(i))
        .or_else(|| float::select(i))
        .or_else(|| shift::select(i))
        .or_else(|| rearrange::select(i))
        .or_else(|| convert::select(i))
        .or_else(|| compare::select(i))
        .or_else(|| estimate::select(i))
        .or_else(|| mask::select(i))
        .or_else(|| state::select(i))
}

/// Whether operand `n` is in memory.
fn is_memory(i: &Instruction, n: u32) -> bool {
    i.op_kind(n) == OpKind::Memory
}

/// Whether operand `n` is an MM register.
fn is_mm(i: &Instruction, n: u32) -> bool {
    i.op_register(n).is_mm()
}

/// An operation of two registers that concerns nothing else.
trait Binary {
    /// The new first operand. `imm` is the immediate, zero if there is none.
    fn apply<const N: usize>(a: [u8; N], b: [u8; N], imm: u8) -> [u8; N];
}

fn binary<O: Binary, S: Source<N>, D: Register<N>, const N: usize>(
    cpu: &mut Cpu,
    biu: &mut Biu,
    insn: &Insn,
) -> Outcome {
    if ready::<S, D>(cpu, biu, insn)? {
        let Row(b) = S::read(cpu, biu, insn)?;
        D::write(cpu, biu, insn, O::apply(D::get(cpu, insn.op[0]), b, insn.imm as u8))?;
        complete::<S, D>(cpu);
    }
    Ok(())
}

/// The handler of `O` for MM or XMM registers, as the first operand says, and a second operand of the same size.
fn select_binary<O: Binary>(i: &Instruction) -> Handler {
    match (is_mm(i, 0), is_memory(i, 1)) {
        (true, false) => binary::<O, Mm, Mm, 8>,
        (true, true) => binary::<O, Memory, Mm, 8>,
        (false, false) => binary::<O, Xmm, Xmm, 16>,
        (false, true) => binary::<O, Memory, Xmm, 16>,
    }
}

impl Cpu {
    /// The conditions of the next SSE operation.
    #[inline(always)]
    fn sse_env(&self) -> Env {
        Env::from_mxcsr(self.simd.mxcsr)
    }

    /// Records what an operation raised; an error if that keeps its result from being written.
    #[inline(always)]
    fn sse_record(&mut self, env: &Env) -> Outcome {
        if env.raised.bits() == 0 { Ok(()) } else { self.sse_raise(env) }
    }

    /// SDM Vol. 1, "SIMD Floating-Point Exception Conditions": exceptions before the computation, if they are not
    /// masked, are the only ones of all elements to be reported.
    fn sse_raise(&mut self, env: &Env) -> Outcome {
        let unmasked = env.unmasked();
        let raised = if unmasked.intersects(Flags::BEFORE_RESULT) {
            env.raised & Flags::BEFORE_RESULT
        } else {
            env.raised
        };
        self.simd.mxcsr |= u32::from(raised.bits());
        match unmasked.is_empty() {
            true => Ok(()),
            false if self.cr4 & cr4::OSXMMEXCPT != 0 => Err(Fault::plain(vector::XM)),
            false => Err(Fault::UD),
        }
    }
}
