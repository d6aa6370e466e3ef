//! Comparison and classification: FCOM, FUCOM, FICOM, FTST, FCOMI, FUCOMI, FXAM.
//!
//! SDM Vol. 1, "Comparison and Classification Instructions".

use super::operand::{Memory, Operands, Registers, TopTwo};
use super::{Handler, Insn, Numeric, numeric, underflow};
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::event::exception::Outcome;
use crate::softfloat::compare::{Quiet, compare};
use crate::softfloat::{Class, F32, F64, Operand};
use crate::state::eflags::bit;
use crate::state::x87::status::{C0, C1, C2, C3};
use iced_x86::{Instruction, MemorySize, Mnemonic, OpKind};
use std::cmp::Ordering;
use std::marker::PhantomData;

/// The handler of `i`, if it belongs to this part of the family.
pub fn select(i: &Instruction) -> Option<Handler> {
    use Mnemonic::*;
    let register = i.op0_kind() == OpKind::Register;
    let handler: Handler = match i.mnemonic() {
        Fcom if register => numeric::<Compare<Registers, false, 0>>,
        Fcomp if register => numeric::<Compare<Registers, false, 1>>,
        Fucom => numeric::<Compare<Registers, true, 0>>,
        Fucomp => numeric::<Compare<Registers, true, 1>>,
        Fcompp => numeric::<Compare<TopTwo, false, 2>>,
        Fucompp => numeric::<Compare<TopTwo, true, 2>>,
        Fcom | Ficom => with_memory::<0>(i)?,
        Fcomp | Ficomp => with_memory::<1>(i)?,
        Ftst => numeric::<Compare<TopAndZero, false, 0>>,
        Fcomi => numeric::<CompareToFlags<false, false>>,
        Fcomip => numeric::<CompareToFlags<false, true>>,
        Fucomi => numeric::<CompareToFlags<true, false>>,
        Fucomip => numeric::<CompareToFlags<true, true>>,
        Fxam => numeric::<Examine>,
        _ => return None,
    };
    Some(handler)
}

fn with_memory<const POPS: u8>(i: &Instruction) -> Option<Handler> {
    Some(match i.memory_size() {
        MemorySize::Float32 => numeric::<Compare<Memory<F32>, false, POPS>>,
        MemorySize::Float64 => numeric::<Compare<Memory<F64>, false, POPS>>,
        MemorySize::Int16 => numeric::<Compare<Memory<i16>, false, POPS>>,
        MemorySize::Int32 => numeric::<Compare<Memory<i32>, false, POPS>>,
        _ => return None,
    })
}

const fn rule(unordered: bool) -> Quiet {
    if unordered { Quiet::Accepted } else { Quiet::Invalid }
}

/// FTST: ST(0) and zero.
struct TopAndZero;

impl Operands for TopAndZero {
    fn destination(_: &Insn) -> u8 {
        0
    }

    fn fetch(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome<Option<(Operand, Operand)>> {
        Ok(cpu.x87.source(0).map(|top| (top.into(), Operand::from(0))))
    }
}

/// Into the condition codes; `UNORDERED` accepts quiet NaNs. The codes are set even if an exception is unmasked,
/// but then nothing is popped.
struct Compare<S, const UNORDERED: bool, const POPS: u8>(PhantomData<S>);

impl<S: Operands, const UNORDERED: bool, const POPS: u8> Numeric for Compare<S, UNORDERED, POPS> {
    #[inline(always)]
    fn execute(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
        let operands = S::fetch(cpu, biu, insn)?;
        let mut env = cpu.x87.env();
        let order = match operands {
            Some((a, b)) => compare(a, b, rule(UNORDERED), &mut env),
            None => {
                underflow(&mut env);
                None
            }
        };
        let delivers = cpu.x87.record(&env);
        let codes = match order {
            Some(Ordering::Greater) => 0,
            Some(Ordering::Less) => C0,
            Some(Ordering::Equal) => C3,
            None => C3 | C2 | C0,
        };
        cpu.x87.set_conditions(C3 | C2 | C0, codes);
        if delivers {
            for _ in 0..POPS {
                cpu.x87.pop();
            }
        }
        Ok(())
    }
}

/// Into ZF, PF and CF.
struct CompareToFlags<const UNORDERED: bool, const POPS: bool>;

impl<const UNORDERED: bool, const POPS: bool> Numeric for CompareToFlags<UNORDERED, POPS> {
    fn execute(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
        let mut env = cpu.x87.env();
        let order = match Registers::fetch(cpu, biu, insn)? {
            Some((a, b)) => compare(a, b, rule(UNORDERED), &mut env),
            None => {
                underflow(&mut env);
                cpu.x87.set_conditions(C1, 0);
                None
            }
        };
        cpu.x87.status |= env.raised.status();
        let flags = match order {
            Some(Ordering::Greater) => 0,
            Some(Ordering::Less) => bit::CF,
            Some(Ordering::Equal) => bit::ZF,
            None => bit::ZF | bit::PF | bit::CF,
        };
        cpu.eflags.set_arithmetic(flags);
        if POPS && env.delivers() {
            cpu.x87.pop();
        }
        Ok(())
    }
}

struct Examine;

impl Numeric for Examine {
    fn execute(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
        let top = Operand::from(cpu.x87.st(0));
        let class = if cpu.x87.is_empty(0) {
            C3 | C0
        } else {
            match top.class() {
                Class::Unsupported => 0,
                Class::QuietNan | Class::SignalingNan => C0,
                Class::Normal => C2,
                Class::Infinity => C2 | C0,
                Class::Zero => C3,
                Class::Denormal => C3 | C2,
            }
        };
        let sign = if top.sign() { C1 } else { 0 };
        cpu.x87.set_conditions(C3 | C2 | C1 | C0, class | sign);
        Ok(())
    }
}
