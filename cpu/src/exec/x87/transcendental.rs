//! Transcendental functions: F2XM1, FYL2X, FYL2XP1, FPATAN, FSIN, FCOS, FSINCOS, FPTAN.
//!
//! SDM Vol. 1, "Trigonometric Instructions", "Logarithmic, Exponential, and Scale".

use super::arith::{OfTop, Unary};
use super::{Handler, INDEFINITE, Insn, Numeric, numeric, overflow, underflow};
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::event::exception::Outcome;
use crate::softfloat::elementary::{f2xm1, fcos, fpatan, fptan, fsin, fsincos, fyl2x, fyl2xp1};
use crate::softfloat::{Env, F80};
use crate::state::x87::status::{C1, C2};
use iced_x86::{Instruction, Mnemonic};
use std::marker::PhantomData;

/// The handler of `i`, if it belongs to this part of the family.
pub fn select(i: &Instruction) -> Option<Handler> {
    use Mnemonic::*;
    let handler: Handler = match i.mnemonic() {
        F2xm1 => numeric::<OfTop<Exponential>>,
        Fyl2x => numeric::<OfTwo<Logarithm>>,
        Fyl2xp1 => numeric::<OfTwo<LogarithmOfSum>>,
        Fpatan => numeric::<OfTwo<ArcTangent>>,
        Fsin => numeric::<Trigonometric<Sine>>,
        Fcos => numeric::<Trigonometric<Cosine>>,
        Fsincos => numeric::<Trigonometric<SineAndCosine>>,
        Fptan => numeric::<Trigonometric<Tangent>>,
        _ => return None,
    };
    Some(handler)
}

struct Exponential;

impl Unary for Exponential {
    fn apply(top: F80, env: &mut Env) -> F80 {
        f2xm1(top, env)
    }
}

/// A function of ST(1) and ST(0), which are replaced by its value.
trait Function {
    const APPLY: fn(F80, F80, &mut Env) -> F80;
}

struct Logarithm;
impl Function for Logarithm {
    const APPLY: fn(F80, F80, &mut Env) -> F80 = fyl2x;
}

struct LogarithmOfSum;
impl Function for LogarithmOfSum {
    const APPLY: fn(F80, F80, &mut Env) -> F80 = fyl2xp1;
}

struct ArcTangent;
impl Function for ArcTangent {
    const APPLY: fn(F80, F80, &mut Env) -> F80 = fpatan;
}

struct OfTwo<F>(PhantomData<F>);

impl<F: Function> Numeric for OfTwo<F> {
    fn execute(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
        let mut env = cpu.x87.env();
        let result = match cpu.x87.source(1).zip(cpu.x87.source(0)) {
            Some((y, x)) => F::APPLY(y, x, &mut env),
            None => underflow(&mut env),
        };
        if cpu.x87.record(&env) {
            cpu.x87.set_st(1, result);
            cpu.x87.pop();
        }
        Ok(())
    }
}

/// A trigonometric function of ST(0): what replaces it, and what is then pushed if `PUSHES`. None if the argument is
/// too large.
trait Wave {
    const PUSHES: bool;
    fn apply(angle: F80, env: &mut Env) -> Option<(F80, F80)>;
}

struct Sine;
impl Wave for Sine {
    const PUSHES: bool = false;
    fn apply(angle: F80, env: &mut Env) -> Option<(F80, F80)> {
        fsin(angle, env).map(|sine| (sine, INDEFINITE))
    }
}

struct Cosine;
impl Wave for Cosine {
    const PUSHES: bool = false;
    fn apply(angle: F80, env: &mut Env) -> Option<(F80, F80)> {
        fcos(angle, env).map(|cosine| (cosine, INDEFINITE))
    }
}

struct SineAndCosine;
impl Wave for SineAndCosine {
    const PUSHES: bool = true;
    fn apply(angle: F80, env: &mut Env) -> Option<(F80, F80)> {
        fsincos(angle, env)
    }
}

struct Tangent;
impl Wave for Tangent {
    const PUSHES: bool = true;
    fn apply(angle: F80, env: &mut Env) -> Option<(F80, F80)> {
        fptan(angle, env)
    }
}

struct Trigonometric<W>(PhantomData<W>);

impl<W: Wave> Numeric for Trigonometric<W> {
    fn execute(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
        let mut env = cpu.x87.env();
        let results = match cpu.x87.source(0) {
            None => Some((underflow(&mut env), INDEFINITE)),
            Some(_) if W::PUSHES && !cpu.x87.is_empty(7) => Some((overflow(&mut env), INDEFINITE)),
            Some(angle) => W::apply(angle, &mut env),
        };
        let Some((first, pushed)) = results else {
            cpu.x87.set_conditions(C1 | C2, C2);
            return Ok(());
        };
        let delivers = cpu.x87.record(&env);
        cpu.x87.set_conditions(C2, 0);
        if delivers {
            cpu.x87.set_st(0, first);
            if W::PUSHES {
                cpu.x87.push(pushed);
            }
        }
        Ok(())
    }
}
