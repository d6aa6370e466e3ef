//! Memory operands of x87 instructions, and where arithmetic and comparison find theirs.

use super::Insn;
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::event::exception::Outcome;
use crate::softfloat::{F32, F64, F80, Operand};
use crate::state::gpr::Word;
use std::marker::PhantomData;

/// A format of a memory operand that a general-purpose word holds.
pub trait InMemory: Into<Operand> + Copy {
    /// Its bytes as a word.
    type Word: Word;
    /// The number whose bytes are `word`.
    fn from_word(word: Self::Word) -> Self;
}

macro_rules! in_memory {
    ($($format:ty, $word:ty, |$w:ident| $number:expr;)*) => {$(
        impl InMemory for $format {
            type Word = $word;
            #[inline(always)]
            fn from_word($w: $word) -> Self {
                $number
            }
        }
    )*};
}
in_memory! {
    F32, u32, |w| F32(w);
    F64, u64, |w| F64(w);
    i16, u16, |w| w as i16;
    i32, u32, |w| w as i32;
    i64, u64, |w| w as i64;
}

impl Cpu {
    /// Reads the memory operand.
    #[inline(always)]
    pub(super) fn x87_read<M: InMemory>(&mut self, biu: &mut Biu, insn: &Insn) -> Outcome<M> {
        let ea = insn.ea(&self.gpr);
        let word = self.read(biu, insn.segment, ea)?;
        self.point_at_data(insn, ea);
        Ok(M::from_word(word))
    }

    /// Reads ten bytes.
    pub(super) fn x87_read_80(&mut self, biu: &mut Biu, insn: &Insn) -> Outcome<[u8; 10]> {
        let ea = insn.ea(&self.gpr);
        let linear = self.linear_read(insn.segment, ea, 10)?;
        let low: u64 = self.read_linear(biu, linear)?;
        let high: u16 = self.read_linear(biu, (linear + 8) & self.linear_mask)?;
        self.point_at_data(insn, ea);
        Ok(F80 { significand: low, sign_exponent: high }.to_bytes())
    }

    /// Writes the memory operand if there is a `value`; else only checks that it could be written, which an
    /// instruction does before it looks at its numeric exceptions.
    #[inline(always)]
    pub(super) fn x87_write<T: Word>(&mut self, biu: &mut Biu, insn: &Insn, value: Option<T>) -> Outcome {
        let ea = insn.ea(&self.gpr);
        let linear = self.linear_write(insn.segment, ea, T::BYTES)?;
        match value {
            Some(value) => self.write_linear(biu, linear, value)?,
            None => self.probe_write(biu, linear, T::BYTES)?,
        }
        self.point_at_data(insn, ea);
        Ok(())
    }

    /// As [`Cpu::x87_write`], with ten bytes.
    pub(super) fn x87_write_80(&mut self, biu: &mut Biu, insn: &Insn, value: Option<[u8; 10]>) -> Outcome {
        let ea = insn.ea(&self.gpr);
        let linear = self.linear_write(insn.segment, ea, 10)?;
        self.check_alignment(linear, 8, self.view)?;
        self.probe_write(biu, linear, 10)?;
        if let Some(bytes) = value {
            let F80 { significand, sign_exponent } = F80::from_bytes(bytes);
            self.write_linear(biu, linear, significand)?;
            self.write_linear(biu, (linear + 8) & self.linear_mask, sign_exponent)?;
        }
        self.point_at_data(insn, ea);
        Ok(())
    }

    #[inline(always)]
    fn point_at_data(&mut self, insn: &Insn, ea: u64) {
        self.x87.last_data = (self.seg[insn.segment as usize].selector, ea as u32);
    }
}

/// Where an instruction of two operands finds them.
pub trait Operands {
    /// The register that the result goes to, which is the first operand too.
    fn destination(insn: &Insn) -> u8;
    /// Both; none if a register among them is empty.
    fn fetch(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome<Option<(Operand, Operand)>>;
}

/// Two registers, as the instruction names them.
pub struct Registers;

impl Operands for Registers {
    #[inline(always)]
    fn destination(insn: &Insn) -> u8 {
        insn.op[0]
    }

    #[inline(always)]
    fn fetch(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome<Option<(Operand, Operand)>> {
        let pair = cpu.x87.source(insn.op[0]).zip(cpu.x87.source(insn.op[1]));
        Ok(pair.map(|(a, b)| (a.into(), b.into())))
    }
}

/// ST(0) and ST(1), which the instruction does not name.
pub struct TopTwo;

impl Operands for TopTwo {
    #[inline(always)]
    fn destination(_: &Insn) -> u8 {
        0
    }

    #[inline(always)]
    fn fetch(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome<Option<(Operand, Operand)>> {
        let pair = cpu.x87.source(0).zip(cpu.x87.source(1));
        Ok(pair.map(|(a, b)| (a.into(), b.into())))
    }
}

/// ST(0) and memory.
pub struct Memory<M>(PhantomData<M>);

impl<M: InMemory> Operands for Memory<M> {
    #[inline(always)]
    fn destination(_: &Insn) -> u8 {
        0
    }

    #[inline(always)]
    fn fetch(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome<Option<(Operand, Operand)>> {
        let number: M = cpu.x87_read(biu, insn)?;
        Ok(cpu.x87.source(0).map(|top| (top.into(), number.into())))
    }
}
