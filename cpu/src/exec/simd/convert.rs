//! Conversions between integers, singles and doubles: CVTxx2yy and CVTTxx2yy.
//!
//! SDM Vol. 1, "SSE Conversion Instructions", "SSE2 Conversion Instructions". As many elements are converted as
//! source and destination have in common; where the destination has room for more, they are zeros.

use super::is_memory;
use super::lanes::{Lane, map};
use super::place::{Destination, General, Low, Memory, Mm, Source, Xmm, complete, ready};
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::Outcome;
use crate::softfloat::sse::{self, HostFormat, Mxcsr};
use crate::softfloat::{Env, F32, F64, Rounding, convert};
use crate::state::simd::Row;
use iced_x86::{Code, Instruction};
use std::marker::PhantomData;

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    use Code::*;
    let memory = is_memory(i, 1);
    let either = |in_memory: Handler, in_register: Handler| if memory { in_memory } else { in_register };
    Some(match i.code() {
        Cvtsi2ss_xmm_rm32 => {
            either(convert::<ToSingle, Memory, Low, 4, 4>, convert::<ToSingle, General, Low, 4, 4>)
        }
        Cvtsi2sd_xmm_rm32 => {
            either(convert::<ToDouble, Memory, Low, 4, 8>, convert::<ToDouble, General, Low, 4, 8>)
        }
        Cvtss2si_r32_xmmm32 => {
            either(convert::<Round<F32>, Memory, General, 4, 4>, convert::<Round<F32>, Low, General, 4, 4>)
        }
        Cvttss2si_r32_xmmm32 => {
            either(convert::<Chop<F32>, Memory, General, 4, 4>, convert::<Chop<F32>, Low, General, 4, 4>)
        }
        Cvtsd2si_r32_xmmm64 => {
            either(convert::<Round<F64>, Memory, General, 8, 4>, convert::<Round<F64>, Low, General, 8, 4>)
        }
        Cvttsd2si_r32_xmmm64 => {
            either(convert::<Chop<F64>, Memory, General, 8, 4>, convert::<Chop<F64>, Low, General, 8, 4>)
        }
        Cvtss2sd_xmm_xmmm32 => either(convert::<Widen, Memory, Low, 4, 8>, convert::<Widen, Low, Low, 4, 8>),
        Cvtsd2ss_xmm_xmmm64 => {
            either(convert::<Shorten, Memory, Low, 8, 4>, convert::<Shorten, Low, Low, 8, 4>)
        }

        Cvtps2pd_xmm_xmmm64 => {
            either(convert::<Widen, Memory, Xmm, 8, 16>, convert::<Widen, Low, Xmm, 8, 16>)
        }
        Cvtpd2ps_xmm_xmmm128 => {
            either(convert::<Shorten, Memory, Xmm, 16, 16>, convert::<Shorten, Xmm, Xmm, 16, 16>)
        }
        Cvtdq2ps_xmm_xmmm128 => {
            either(convert::<ToSingle, Memory, Xmm, 16, 16>, convert::<ToSingle, Xmm, Xmm, 16, 16>)
        }
        Cvtdq2pd_xmm_xmmm64 => {
            either(convert::<ToDouble, Memory, Xmm, 8, 16>, convert::<ToDouble, Low, Xmm, 8, 16>)
        }
        Cvtps2dq_xmm_xmmm128 => {
            either(convert::<Round<F32>, Memory, Xmm, 16, 16>, convert::<Round<F32>, Xmm, Xmm, 16, 16>)
        }
        Cvttps2dq_xmm_xmmm128 => {
            either(convert::<Chop<F32>, Memory, Xmm, 16, 16>, convert::<Chop<F32>, Xmm, Xmm, 16, 16>)
        }
        Cvtpd2dq_xmm_xmmm128 => {
            either(convert::<Round<F64>, Memory, Xmm, 16, 16>, convert::<Round<F64>, Xmm, Xmm, 16, 16>)
        }
        Cvttpd2dq_xmm_xmmm128 => {
            either(convert::<Chop<F64>, Memory, Xmm, 16, 16>, convert::<Chop<F64>, Xmm, Xmm, 16, 16>)
        }

        Cvtpi2ps_xmm_mmm64 => {
            either(convert::<ToSingle, Memory, Low, 8, 8>, convert::<ToSingle, Mm, Low, 8, 8>)
        }
        Cvtpi2pd_xmm_mmm64 => {
            either(convert::<ToDouble, Memory, Xmm, 8, 16>, convert::<ToDouble, Mm, Xmm, 8, 16>)
        }
        Cvtps2pi_mm_xmmm64 => {
            either(convert::<Round<F32>, Memory, Mm, 8, 8>, convert::<Round<F32>, Low, Mm, 8, 8>)
        }
        Cvttps2pi_mm_xmmm64 => {
            either(convert::<Chop<F32>, Memory, Mm, 8, 8>, convert::<Chop<F32>, Low, Mm, 8, 8>)
        }
        Cvtpd2pi_mm_xmmm128 => {
            either(convert::<Round<F64>, Memory, Mm, 16, 8>, convert::<Round<F64>, Xmm, Mm, 16, 8>)
        }
        Cvttpd2pi_mm_xmmm128 => {
            either(convert::<Chop<F64>, Memory, Mm, 16, 8>, convert::<Chop<F64>, Xmm, Mm, 16, 8>)
        }
        _ => return None,
    })
}

fn convert<C: Conversion, S: Source<FROM>, D: Destination<TO>, const FROM: usize, const TO: usize>(
    cpu: &mut Cpu,
    biu: &mut Biu,
    insn: &Insn,
) -> Outcome {
    if ready::<S, D>(cpu, biu, insn)? {
        let Row(source) = S::read(cpu, biu, insn)?;
        // Even #XM finds the unit's registers turned into MM registers.
        complete::<S, D>(cpu);
        let mxcsr = Mxcsr(cpu.simd.mxcsr);
        let mut right = true;
        let attempt = map(source, |x| {
            let (element, fine) = C::attempt(x, mxcsr);
            right &= fine;
            element
        });
        if right {
            D::write(cpu, biu, insn, attempt)?;
        } else {
            exact::<C, D, FROM, TO>(cpu, biu, insn, source)?;
        }
    }
    Ok(())
}

#[inline(never)]
fn exact<C: Conversion, D: Destination<TO>, const FROM: usize, const TO: usize>(
    cpu: &mut Cpu,
    biu: &mut Biu,
    insn: &Insn,
    source: [u8; FROM],
) -> Outcome {
    let mut env = cpu.sse_env();
    let result = map(source, |x| C::exact(x, &mut env));
    cpu.sse_record(&env)?;
    D::write(cpu, biu, insn, result)
}

/// A conversion of one element.
trait Conversion {
    type From: Lane;
    type To: Lane;
    /// The result, unless something must be reported or the host cannot compute it: whether it is right.
    fn attempt(x: Self::From, mxcsr: Mxcsr) -> (Self::To, bool);
    /// The result under any conditions.
    fn exact(x: Self::From, env: &mut Env) -> Self::To;
}

/// Integers to singles.
struct ToSingle;
impl Conversion for ToSingle {
    type From = i32;
    type To = F32;
    #[inline(always)]
    fn attempt(x: i32, mxcsr: Mxcsr) -> (F32, bool) {
        sse::attempt_i32_to_single(x, mxcsr)
    }
    fn exact(x: i32, env: &mut Env) -> F32 {
        convert::convert(x, env)
    }
}

/// Integers to doubles.
struct ToDouble;
impl Conversion for ToDouble {
    type From = i32;
    type To = F64;
    #[inline(always)]
    fn attempt(x: i32, _: Mxcsr) -> (F64, bool) {
        (sse::i32_to_double(x), true)
    }
    fn exact(x: i32, _: &mut Env) -> F64 {
        sse::i32_to_double(x)
    }
}

/// Singles to doubles.
struct Widen;
impl Conversion for Widen {
    type From = F32;
    type To = F64;
    #[inline(always)]
    fn attempt(x: F32, _: Mxcsr) -> (F64, bool) {
        sse::attempt_single_to_double(x)
    }
    fn exact(x: F32, env: &mut Env) -> F64 {
        convert::convert(x, env)
    }
}

/// Doubles to singles.
struct Shorten;
impl Conversion for Shorten {
    type From = F64;
    type To = F32;
    #[inline(always)]
    fn attempt(x: F64, mxcsr: Mxcsr) -> (F32, bool) {
        sse::attempt_double_to_single(x, mxcsr)
    }
    fn exact(x: F64, env: &mut Env) -> F32 {
        convert::convert(x, env)
    }
}

/// Numbers to integers, rounding as MXCSR says.
struct Round<F>(PhantomData<F>);
impl<F: HostFormat + Lane> Conversion for Round<F> {
    type From = F;
    type To = i32;
    #[inline(always)]
    fn attempt(x: F, mxcsr: Mxcsr) -> (i32, bool) {
        sse::attempt_to_i32(x, None, mxcsr)
    }
    fn exact(x: F, env: &mut Env) -> i32 {
        convert::to_integer(x, env.rounding(), env)
    }
}

/// Numbers to integers, rounding toward zero.
struct Chop<F>(PhantomData<F>);
impl<F: HostFormat + Lane> Conversion for Chop<F> {
    type From = F;
    type To = i32;
    #[inline(always)]
    fn attempt(x: F, mxcsr: Mxcsr) -> (i32, bool) {
        sse::attempt_to_i32(x, Some(Rounding::Zero), mxcsr)
    }
    fn exact(x: F, env: &mut Env) -> i32 {
        convert::to_integer(x, Rounding::Zero, env)
    }
}
