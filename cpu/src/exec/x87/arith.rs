//! Arithmetic: FADD, FSUB, FMUL, FDIV and their families, FSQRT, FABS, FCHS, FRNDINT, FSCALE, FPREM, FPREM1,
//! FXTRACT.
//!
//! SDM Vol. 1, "Basic Arithmetic Instructions".

use super::operand::{Memory, Operands, Registers};
use super::{Handler, INDEFINITE, Insn, Numeric, numeric, overflow, underflow};
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::event::exception::Outcome;
use crate::softfloat::remainder::{Quotient, remainder};
use crate::softfloat::{Env, F32, F64, F80, Operand, arith, convert, scale};
use crate::state::x87::status;
use iced_x86::{Instruction, MemorySize, Mnemonic, OpKind};
use std::marker::PhantomData;

/// The handler of `i`, if it belongs to this part of the family.
pub fn select(i: &Instruction) -> Option<Handler> {
    use Mnemonic::*;
    let handler: Handler = match i.mnemonic() {
        Fadd | Faddp | Fiadd => binary::<Addition>(i)?,
        Fsub | Fsubp | Fisub => binary::<Subtraction>(i)?,
        Fsubr | Fsubrp | Fisubr => binary::<ReverseSubtraction>(i)?,
        Fmul | Fmulp | Fimul => binary::<Multiplication>(i)?,
        Fdiv | Fdivp | Fidiv => binary::<Division>(i)?,
        Fdivr | Fdivrp | Fidivr => binary::<ReverseDivision>(i)?,
        Fsqrt => numeric::<OfTop<SquareRoot>>,
        Frndint => numeric::<OfTop<RoundToInteger>>,
        Fabs => numeric::<OfTop<Absolute>>,
        Fchs => numeric::<OfTop<ChangeSign>>,
        Fscale => numeric::<Scale>,
        Fprem => numeric::<PartialRemainder<false>>,
        Fprem1 => numeric::<PartialRemainder<true>>,
        Fxtract => numeric::<Extract>,
        _ => return None,
    };
    Some(handler)
}

/// An operation of destination and source.
trait Binary {
    fn apply(destination: Operand, source: Operand, env: &mut Env) -> F80;
}

/// An operation of ST(0) alone.
pub(super) trait Unary {
    fn apply(top: F80, env: &mut Env) -> F80;
}

macro_rules! operations {
    ($($kind:ident $name:ident: |$($operand:ident: $format:ty),+; $env:ident| $body:expr;)*) => {$(
        struct $name;
        impl $kind for $name {
            #[inline(always)]
            fn apply($($operand: $format,)+ $env: &mut Env) -> F80 {
                $body
            }
        }
    )*};
}
operations! {
    Binary Addition: |a: Operand, b: Operand; env| arith::add(a, b, env);
    Binary Subtraction: |a: Operand, b: Operand; env| arith::sub(a, b, env);
    Binary ReverseSubtraction: |a: Operand, b: Operand; env| arith::sub(b, a, env);
    Binary Multiplication: |a: Operand, b: Operand; env| arith::mul(a, b, env);
    Binary Division: |a: Operand, b: Operand; env| arith::div(a, b, env);
    Binary ReverseDivision: |a: Operand, b: Operand; env| arith::div(b, a, env);
    Unary SquareRoot: |a: F80; env| arith::sqrt(a, env);
    Unary RoundToInteger: |a: F80; env| convert::frndint(a, env);
    Unary Absolute: |a: F80; _env| a.abs();
    Unary ChangeSign: |a: F80; _env| a.negate();
}

fn binary<O: Binary>(i: &Instruction) -> Option<Handler> {
    use Mnemonic::*;
    if i.op0_kind() == OpKind::Register {
        let pops = matches!(i.mnemonic(), Faddp | Fsubp | Fsubrp | Fmulp | Fdivp | Fdivrp);
        return Some(if pops {
            numeric::<Arithmetic<O, Registers, true>>
        } else {
            numeric::<Arithmetic<O, Registers, false>>
        });
    }
    Some(match i.memory_size() {
        MemorySize::Float32 => numeric::<Arithmetic<O, Memory<F32>, false>>,
        MemorySize::Float64 => numeric::<Arithmetic<O, Memory<F64>, false>>,
        MemorySize::Int16 => numeric::<Arithmetic<O, Memory<i16>, false>>,
        MemorySize::Int32 => numeric::<Arithmetic<O, Memory<i32>, false>>,
        _ => return None,
    })
}

struct Arithmetic<O, S, const POPS: bool>(PhantomData<(O, S)>);

impl<O: Binary, S: Operands, const POPS: bool> Numeric for Arithmetic<O, S, POPS> {
    #[inline(always)]
    fn execute(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
        let operands = S::fetch(cpu, biu, insn)?;
        let mut env = cpu.x87.env();
        let result = match operands {
            Some((a, b)) => O::apply(a, b, &mut env),
            None => underflow(&mut env),
        };
        if cpu.x87.record(&env) {
            cpu.x87.set_st(S::destination(insn), result);
            if POPS {
                cpu.x87.pop();
            }
        }
        Ok(())
    }
}

/// ST(0) becomes an operation of itself.
pub(super) struct OfTop<O>(PhantomData<O>);

impl<O: Unary> Numeric for OfTop<O> {
    fn execute(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
        let mut env = cpu.x87.env();
        let result = match cpu.x87.source(0) {
            Some(a) => O::apply(a, &mut env),
            None => underflow(&mut env),
        };
        if cpu.x87.record(&env) {
            cpu.x87.set_st(0, result);
        }
        Ok(())
    }
}

struct Scale;

impl Numeric for Scale {
    fn execute(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
        let mut env = cpu.x87.env();
        let result = match cpu.x87.source(0).zip(cpu.x87.source(1)) {
            Some((a, b)) => scale::scale(a, b, &mut env),
            None => underflow(&mut env),
        };
        if cpu.x87.record(&env) {
            cpu.x87.set_st(0, result);
        }
        Ok(())
    }
}

/// FPREM, or FPREM1 if `NEAREST`.
struct PartialRemainder<const NEAREST: bool>;

impl<const NEAREST: bool> Numeric for PartialRemainder<NEAREST> {
    fn execute(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
        let rule = if NEAREST { Quotient::Nearest } else { Quotient::Truncated };
        let mut env = cpu.x87.env();
        let step = cpu.x87.source(0).zip(cpu.x87.source(1)).map(|(a, b)| remainder(a, b, rule, &mut env));
        let result = step.map_or_else(|| underflow(&mut env), |step| step.value);
        let delivers = cpu.x87.record(&env);
        let incomplete = if step.is_some_and(|step| step.incomplete) { status::C2 } else { 0 };
        cpu.x87.set_conditions(status::C2, incomplete);
        if let Some(q) = step.and_then(|step| step.quotient) {
            let bit = |n: u8, c: u16| if q >> n & 1 != 0 { c } else { 0 };
            let codes = bit(2, status::C0) | bit(1, status::C3) | bit(0, status::C1);
            cpu.x87.set_conditions(status::C0 | status::C3 | status::C1, codes);
        }
        if delivers {
            cpu.x87.set_st(0, result);
        }
        Ok(())
    }
}

struct Extract;

impl Numeric for Extract {
    fn execute(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
        let mut env = cpu.x87.env();
        let (exponent, significand) = match cpu.x87.source(0) {
            None => (underflow(&mut env), INDEFINITE),
            Some(_) if !cpu.x87.is_empty(7) => (overflow(&mut env), INDEFINITE),
            Some(a) => {
                let parts = scale::extract(a, &mut env);
                (parts.exponent, parts.significand)
            }
        };
        if cpu.x87.record(&env) {
            cpu.x87.set_st(0, exponent);
            cpu.x87.push(significand);
        }
        Ok(())
    }
}
