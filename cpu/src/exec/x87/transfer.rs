//! Data transfer: FLD, FST, FSTP, FILD, FIST, FISTP, FISTTP, FBLD, FBSTP, FXCH, FCMOVcc, and the constants.
//!
//! SDM Vol. 1, "Data Transfer Instructions" and "Load Constant Instructions".

use super::operand::InMemory;
use super::{Handler, INDEFINITE, Insn, Numeric, numeric, overflow, underflow};
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::event::exception::Outcome;
use crate::softfloat::constants::{Constant, constant};
use crate::softfloat::convert::{self, BCD_INDEFINITE, from_bcd, to_bcd, to_integer};
use crate::softfloat::{Env, F32, F64, F80, Flags, Rounding};
use crate::state::x87::status;
use iced_x86::{Instruction, MemorySize, Mnemonic};
use std::marker::PhantomData;

/// The handler of `i`, if it belongs to this part of the family.
pub fn select(i: &Instruction) -> Option<Handler> {
    use Mnemonic::*;
    let handler: Handler = match (i.mnemonic(), i.memory_size()) {
        (Fld, MemorySize::Float32) => numeric::<Load<F32>>,
        (Fld, MemorySize::Float64) => numeric::<Load<F64>>,
        (Fld, MemorySize::Float80) => numeric::<Load<Extended>>,
        (Fld, _) => numeric::<Duplicate>,
        (Fild, MemorySize::Int16) => numeric::<Load<i16>>,
        (Fild, MemorySize::Int32) => numeric::<Load<i32>>,
        (Fild, _) => numeric::<Load<i64>>,
        (Fbld, _) => numeric::<Load<PackedDecimal>>,
        (Fst, MemorySize::Float32) => numeric::<Store<F32, false>>,
        (Fst, MemorySize::Float64) => numeric::<Store<F64, false>>,
        (Fst, _) => numeric::<Copy<false>>,
        (Fstp, MemorySize::Float32) => numeric::<Store<F32, true>>,
        (Fstp, MemorySize::Float64) => numeric::<Store<F64, true>>,
        (Fstp, MemorySize::Float80) => numeric::<Store<Extended, true>>,
        (Fstp, _) => numeric::<Copy<true>>,
        (Fstpnce, _) => numeric::<MoveUnchecked>,
        (Fist, MemorySize::Int16) => numeric::<Store<i16, false>>,
        (Fist, _) => numeric::<Store<i32, false>>,
        (Fistp, MemorySize::Int16) => numeric::<Store<i16, true>>,
        (Fistp, MemorySize::Int32) => numeric::<Store<i32, true>>,
        (Fistp, _) => numeric::<Store<i64, true>>,
        (Fisttp, MemorySize::Int16) => numeric::<Store<Truncated<i16>, true>>,
        (Fisttp, MemorySize::Int32) => numeric::<Store<Truncated<i32>, true>>,
        (Fisttp, _) => numeric::<Store<Truncated<i64>, true>>,
        (Fbstp, _) => numeric::<Store<PackedDecimal, true>>,
        (Fxch, _) => numeric::<Exchange>,
        _ => return by_code(i),
    };
    Some(handler)
}

fn by_code(i: &Instruction) -> Option<Handler> {
    use Mnemonic::*;
    let handler: Handler = match i.mnemonic() {
        Fldz => numeric::<LoadConstant<0>>,
        Fld1 => numeric::<LoadConstant<1>>,
        Fldl2t => numeric::<LoadConstant<2>>,
        Fldl2e => numeric::<LoadConstant<3>>,
        Fldpi => numeric::<LoadConstant<4>>,
        Fldlg2 => numeric::<LoadConstant<5>>,
        Fldln2 => numeric::<LoadConstant<6>>,
        // The condition codes of Jcc.
        Fcmovb => numeric::<ConditionalMove<2>>,
        Fcmovnb => numeric::<ConditionalMove<3>>,
        Fcmove => numeric::<ConditionalMove<4>>,
        Fcmovne => numeric::<ConditionalMove<5>>,
        Fcmovbe => numeric::<ConditionalMove<6>>,
        Fcmovnbe => numeric::<ConditionalMove<7>>,
        Fcmovu => numeric::<ConditionalMove<10>>,
        Fcmovnu => numeric::<ConditionalMove<11>>,
        _ => return None,
    };
    Some(handler)
}

/// A memory format that a number is loaded from.
trait Loaded: Sized {
    fn fetch(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome<Self>;
    fn number(self, env: &mut Env) -> F80;
}

impl<M: InMemory> Loaded for M {
    #[inline(always)]
    fn fetch(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome<M> {
        cpu.x87_read(biu, insn)
    }

    #[inline(always)]
    fn number(self, env: &mut Env) -> F80 {
        convert::load(self, env)
    }
}

/// The 80-bit format.
struct Extended([u8; 10]);

impl Loaded for Extended {
    fn fetch(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome<Extended> {
        cpu.x87_read_80(biu, insn).map(Extended)
    }

    fn number(self, _: &mut Env) -> F80 {
        F80::from_bytes(self.0)
    }
}

/// Eighteen decimal digits and a sign.
struct PackedDecimal([u8; 10]);

impl Loaded for PackedDecimal {
    fn fetch(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome<PackedDecimal> {
        cpu.x87_read_80(biu, insn).map(PackedDecimal)
    }

    fn number(self, _: &mut Env) -> F80 {
        from_bcd(self.0)
    }
}

struct Load<L>(PhantomData<L>);

impl<L: Loaded> Numeric for Load<L> {
    #[inline(always)]
    fn execute(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
        let source = L::fetch(cpu, biu, insn)?;
        let mut env = cpu.x87.env();
        let number = if cpu.x87.is_empty(7) { source.number(&mut env) } else { overflow(&mut env) };
        cpu.x87.record(&env);
        // A denormal is loaded even if it raises an unmasked exception.
        if !env.unmasked().intersects(Flags::INVALID) {
            cpu.x87.push(number);
        }
        Ok(())
    }
}

/// FLD ST(i).
struct Duplicate;

impl Numeric for Duplicate {
    #[inline(always)]
    fn execute(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
        let mut env = cpu.x87.env();
        let number = match cpu.x87.source(insn.op[0]) {
            None => underflow(&mut env),
            Some(_) if !cpu.x87.is_empty(7) => overflow(&mut env),
            Some(number) => number,
        };
        if cpu.x87.record(&env) {
            cpu.x87.push(number);
        }
        Ok(())
    }
}

struct LoadConstant<const WHICH: usize>;

impl<const WHICH: usize> Numeric for LoadConstant<WHICH> {
    fn execute(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
        const CONSTANTS: [Constant; 7] = [
            Constant::Zero,
            Constant::One,
            Constant::Log2Of10,
            Constant::Log2OfE,
            Constant::Pi,
            Constant::Log10Of2,
            Constant::LnOf2,
        ];
        let mut env = cpu.x87.env();
        let number = if cpu.x87.is_empty(7) { constant(CONSTANTS[WHICH], &env) } else { overflow(&mut env) };
        if cpu.x87.record(&env) {
            cpu.x87.push(number);
        }
        Ok(())
    }
}

/// A memory format that ST(0) is stored in.
trait Stored {
    /// What is stored.
    type Value;
    /// What is stored for an empty register.
    const INDEFINITE: Self::Value;
    fn convert(top: F80, env: &mut Env) -> Self::Value;
    /// See [`Cpu::x87_write`].
    fn write(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, value: Option<Self::Value>) -> Outcome;
}

macro_rules! stored_words {
    ($($format:ty, $word:ty, $indefinite:expr, |$top:ident, $env:ident| $convert:expr;)*) => {$(
        impl Stored for $format {
            type Value = $word;
            const INDEFINITE: $word = $indefinite;
            #[inline(always)]
            fn convert($top: F80, $env: &mut Env) -> $word {
                $convert
            }
            #[inline(always)]
            fn write(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, value: Option<$word>) -> Outcome {
                cpu.x87_write(biu, insn, value)
            }
        }
    )*};
}
stored_words! {
    F32, u32, 0xFFC0_0000, |top, env| convert::store::<F32>(top, env).0;
    F64, u64, 0xFFF8_0000_0000_0000, |top, env| convert::store::<F64>(top, env).0;
    i16, u16, i16::MIN as u16, |top, env| to_integer::<i16>(top, env.rounding(), env) as u16;
    i32, u32, i32::MIN as u32, |top, env| to_integer::<i32>(top, env.rounding(), env) as u32;
    i64, u64, i64::MIN as u64, |top, env| to_integer::<i64>(top, env.rounding(), env) as u64;
}

/// An integer that FISTTP rounds toward zero.
struct Truncated<I>(PhantomData<I>);

impl<I: Stored> Stored for Truncated<I> {
    type Value = I::Value;
    const INDEFINITE: I::Value = I::INDEFINITE;

    fn convert(top: F80, env: &mut Env) -> I::Value {
        *env = env.with_rounding(Rounding::Zero);
        I::convert(top, env)
    }

    fn write(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, value: Option<I::Value>) -> Outcome {
        I::write(cpu, biu, insn, value)
    }
}

impl Stored for Extended {
    type Value = [u8; 10];
    const INDEFINITE: [u8; 10] = INDEFINITE.to_bytes();

    fn convert(top: F80, _: &mut Env) -> [u8; 10] {
        top.to_bytes()
    }

    fn write(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, value: Option<[u8; 10]>) -> Outcome {
        cpu.x87_write_80(biu, insn, value)
    }
}

impl Stored for PackedDecimal {
    type Value = [u8; 10];
    const INDEFINITE: [u8; 10] = BCD_INDEFINITE;

    fn convert(top: F80, env: &mut Env) -> [u8; 10] {
        to_bcd(top, env)
    }

    fn write(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, value: Option<[u8; 10]>) -> Outcome {
        cpu.x87_write_80(biu, insn, value)
    }
}

struct Store<S, const POPS: bool>(PhantomData<S>);

impl<S: Stored, const POPS: bool> Numeric for Store<S, POPS> {
    #[inline(always)]
    fn execute(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
        let mut env = cpu.x87.env();
        let value = match cpu.x87.source(0) {
            Some(top) => S::convert(top, &mut env),
            None => {
                underflow(&mut env);
                S::INDEFINITE
            }
        };
        let stores = env.stores();
        S::write(cpu, biu, insn, stores.then_some(value))?;
        cpu.x87.record(&env);
        if POPS && stores {
            cpu.x87.pop();
        }
        Ok(())
    }
}

/// FST and FSTP to a register.
struct Copy<const POPS: bool>;

impl<const POPS: bool> Numeric for Copy<POPS> {
    #[inline(always)]
    fn execute(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
        let mut env = cpu.x87.env();
        let number = cpu.x87.source(0).unwrap_or_else(|| underflow(&mut env));
        if cpu.x87.record(&env) {
            cpu.x87.set_st(insn.op[0], number);
            if POPS {
                cpu.x87.pop();
            }
        }
        Ok(())
    }
}

/// The undocumented D9 D8+i, which moves and pops as FSTP does, but takes no exception to an empty register: then
/// it only pops.
struct MoveUnchecked;

impl Numeric for MoveUnchecked {
    fn execute(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
        if let Some(number) = cpu.x87.source(0) {
            cpu.x87.set_st(insn.op[0], number);
        }
        cpu.x87.set_conditions(status::C1, 0);
        cpu.x87.pop();
        Ok(())
    }
}

struct Exchange;

impl Numeric for Exchange {
    #[inline(always)]
    fn execute(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
        let i = insn.op[1];
        let mut env = cpu.x87.env();
        let top = cpu.x87.source(0).unwrap_or_else(|| underflow(&mut env));
        let other = cpu.x87.source(i).unwrap_or_else(|| underflow(&mut env));
        if cpu.x87.record(&env) {
            cpu.x87.set_st(0, other);
            cpu.x87.set_st(i, top);
        }
        Ok(())
    }
}

/// FCMOVcc. Both registers must hold something, whatever the condition says.
struct ConditionalMove<const CC: u8>;

impl<const CC: u8> Numeric for ConditionalMove<CC> {
    fn execute(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
        let Some((top, other)) = cpu.x87.source(0).zip(cpu.x87.source(insn.op[1])) else {
            let mut env = cpu.x87.env();
            let number = underflow(&mut env);
            if cpu.x87.record(&env) {
                cpu.x87.set_st(0, number);
            }
            return Ok(());
        };
        cpu.x87.set_st(0, if cpu.eflags.condition(CC) { other } else { top });
        Ok(())
    }
}
