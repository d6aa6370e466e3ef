//! Where operands are: registers of three files or parts of them, and memory of every size.
//!
//! An instruction reads its second operand and writes its first; those that combine the two read the first as well.

use super::lanes::part;
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::Insn;
use crate::event::exception::{Fault, Outcome};
use crate::state::control::{cr0, cr4};
use crate::state::gpr::Word;
use crate::state::simd::Row;

/// A kind of operand, and what must be available for it.
pub trait Operand {
    /// An MM register.
    const MMX: bool = false;
    /// An XMM register.
    const SSE: bool = false;
}

/// A second operand of `N` bytes.
pub trait Source<const N: usize>: Operand {
    /// Reads it.
    fn read(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome<Row<N>>;
}

/// A first operand of `N` bytes.
pub trait Destination<const N: usize>: Operand {
    /// Writes it.
    fn write(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, value: [u8; N]) -> Outcome;
}

/// A register, or the low part of one.
pub trait Register<const N: usize>: Source<N> + Destination<N> {
    /// Reads number `n`.
    fn get(cpu: &Cpu, n: u8) -> [u8; N];
}

/// An MM register, or its low half: writing that clears the rest.
pub struct Mm;
/// An XMM register.
pub struct Xmm;
/// The low bytes of an XMM register; the others stay as they are.
pub struct Low;
/// The low bytes of an XMM register; the others are cleared.
pub struct LowZeroing;
/// The upper half of an XMM register.
pub struct High;
/// A general register of 32 bits.
pub struct General;
/// Memory. Sixteen bytes must lie on a 16-byte boundary.
pub struct Memory;
/// Sixteen bytes of memory on any boundary.
pub struct Unaligned;
/// The low half of the bytes in memory; the others read as zero.
pub struct MemoryHalf;

impl Operand for Mm {
    const MMX: bool = true;
}
impl Operand for Xmm {
    const SSE: bool = true;
}
impl Operand for Low {
    const SSE: bool = true;
}
impl Operand for LowZeroing {
    const SSE: bool = true;
}
impl Operand for High {
    const SSE: bool = true;
}
impl Operand for General {}
impl Operand for Memory {}
impl Operand for Unaligned {}
impl Operand for MemoryHalf {}

impl<const N: usize> Source<N> for Mm {
    #[inline(always)]
    fn read(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome<Row<N>> {
        Ok(Row(part(&cpu.mm(insn.op[1]), 0)))
    }
}

impl<const N: usize> Destination<N> for Mm {
    #[inline(always)]
    fn write(cpu: &mut Cpu, _: &mut Biu, insn: &Insn, value: [u8; N]) -> Outcome {
        let mut bytes = [0; 8];
        bytes[..N].copy_from_slice(&value);
        cpu.set_mm(insn.op[0], bytes);
        Ok(())
    }
}

impl Register<8> for Mm {
    #[inline(always)]
    fn get(cpu: &Cpu, n: u8) -> [u8; 8] {
        cpu.mm(n)
    }
}

impl Source<16> for Xmm {
    #[inline(always)]
    fn read(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome<Row<16>> {
        Ok(Row(Xmm::get(cpu, insn.op[1])))
    }
}

impl Destination<16> for Xmm {
    #[inline(always)]
    fn write(cpu: &mut Cpu, _: &mut Biu, insn: &Insn, value: [u8; 16]) -> Outcome {
        *cpu.xmm_mut(insn.op[0]) = value;
        Ok(())
    }
}

impl Register<16> for Xmm {
    #[inline(always)]
    fn get(cpu: &Cpu, n: u8) -> [u8; 16] {
        *cpu.xmm(n)
    }
}

impl<const N: usize> Source<N> for Low {
    #[inline(always)]
    fn read(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome<Row<N>> {
        Ok(Row(Low::get(cpu, insn.op[1])))
    }
}

impl<const N: usize> Destination<N> for Low {
    #[inline(always)]
    fn write(cpu: &mut Cpu, _: &mut Biu, insn: &Insn, value: [u8; N]) -> Outcome {
        cpu.xmm_mut(insn.op[0])[..N].copy_from_slice(&value);
        Ok(())
    }
}

impl<const N: usize> Register<N> for Low {
    #[inline(always)]
    fn get(cpu: &Cpu, n: u8) -> [u8; N] {
        part(cpu.xmm(n), 0)
    }
}

impl<const N: usize> Destination<N> for LowZeroing {
    #[inline(always)]
    fn write(cpu: &mut Cpu, _: &mut Biu, insn: &Insn, value: [u8; N]) -> Outcome {
        let mut bytes = [0; 16];
        bytes[..N].copy_from_slice(&value);
        *cpu.xmm_mut(insn.op[0]) = bytes;
        Ok(())
    }
}

impl Source<8> for High {
    #[inline(always)]
    fn read(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome<Row<8>> {
        Ok(Row(part(cpu.xmm(insn.op[1]), 8)))
    }
}

impl Destination<8> for High {
    #[inline(always)]
    fn write(cpu: &mut Cpu, _: &mut Biu, insn: &Insn, value: [u8; 8]) -> Outcome {
        cpu.xmm_mut(insn.op[0])[8..].copy_from_slice(&value);
        Ok(())
    }
}

impl Source<4> for General {
    #[inline(always)]
    fn read(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome<Row<4>> {
        Ok(Row(cpu.gpr.get::<u32>(insn.op[1]).to_le_bytes()))
    }
}

impl Destination<4> for General {
    #[inline(always)]
    fn write(cpu: &mut Cpu, _: &mut Biu, insn: &Insn, value: [u8; 4]) -> Outcome {
        cpu.gpr.set(insn.op[0], u32::from_le_bytes(value));
        Ok(())
    }
}

macro_rules! memory {
    ($($word:ty),*) => {$(
        impl Source<{ <$word>::BYTES }> for Memory {
            #[inline(always)]
            fn read(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome<Row<{ <$word>::BYTES }>> {
                let word: $word = cpu.read(biu, insn.segment, insn.ea(&cpu.gpr))?;
                Ok(Row(word.to_le_bytes()))
            }
        }
        impl Destination<{ <$word>::BYTES }> for Memory {
            #[inline(always)]
            fn write(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, value: [u8; <$word>::BYTES]) -> Outcome {
                cpu.write(biu, insn.segment, insn.ea(&cpu.gpr), <$word>::from_le_bytes(value))
            }
        }
    )*};
}
memory!(u32, u64);

impl Source<16> for Memory {
    #[inline(always)]
    fn read(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome<Row<16>> {
        cpu.read_128::<true>(biu, insn.segment, insn.ea(&cpu.gpr))
    }
}

impl Destination<16> for Memory {
    #[inline(always)]
    fn write(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, value: [u8; 16]) -> Outcome {
        cpu.write_128::<true>(biu, insn.segment, insn.ea(&cpu.gpr), &value)
    }
}

impl Source<16> for Unaligned {
    #[inline(always)]
    fn read(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome<Row<16>> {
        cpu.read_128::<false>(biu, insn.segment, insn.ea(&cpu.gpr))
    }
}

impl Destination<16> for Unaligned {
    #[inline(always)]
    fn write(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, value: [u8; 16]) -> Outcome {
        cpu.write_128::<false>(biu, insn.segment, insn.ea(&cpu.gpr), &value)
    }
}

impl Source<8> for MemoryHalf {
    #[inline(always)]
    fn read(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome<Row<8>> {
        let half: u32 = cpu.read(biu, insn.segment, insn.ea(&cpu.gpr))?;
        Ok(Row(u64::from(half).to_le_bytes()))
    }
}

impl Source<16> for MemoryHalf {
    #[inline(always)]
    fn read(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome<Row<16>> {
        let half: u64 = cpu.read(biu, insn.segment, insn.ea(&cpu.gpr))?;
        Ok(Row(u128::from(half).to_le_bytes()))
    }
}

/// Looks whether an instruction with these operands may run, before it does anything. `false` means that the
/// processor waits for an interrupt and will come back to the instruction.
#[inline(always)]
pub fn ready<A: Operand, B: Operand>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome<bool> {
    if A::SSE || B::SSE {
        cpu.sse_available()?;
    }
    if A::MMX || B::MMX {
        return cpu.mmx_ready(biu, insn);
    }
    Ok(true)
}

/// Completes an instruction with these operands: all but EMMS of those with MM registers turn the x87 unit into
/// the MMX unit.
///
/// SDM Vol. 3A, "Effect of MMX, x87 FPU, FXSAVE, and FXRSTOR Instructions on the x87 FPU Tag Word".
#[inline(always)]
pub fn complete<A: Operand, B: Operand>(cpu: &mut Cpu) {
    if A::MMX || B::MMX {
        cpu.x87.top = 0;
        cpu.x87.valid = 0xFF;
    }
}

impl Cpu {
    /// #UD unless the system supports SSE, #NM unless the registers hold the state of the current task. SDM
    /// Vol. 2A, "Exceptions" of the SSE instructions.
    #[inline(always)]
    pub(super) fn sse_available(&self) -> Outcome {
        if self.cr0 & (cr0::EM | cr0::TS) != 0 || self.cr4 & cr4::OSFXSR == 0 {
            return Err(self.sse_unavailable());
        }
        Ok(())
    }

    #[cold]
    fn sse_unavailable(&self) -> Fault {
        if self.cr0 & cr0::EM != 0 || self.cr4 & cr4::OSFXSR == 0 { Fault::UD } else { Fault::NM }
    }

    /// #UD and #NM, then pending x87 exceptions: what an instruction with MM registers does first; see [`ready`].
    #[inline(always)]
    pub(super) fn mmx_ready(&mut self, biu: &mut Biu, insn: &Insn) -> Outcome<bool> {
        if self.cr0 & cr0::EM != 0 { Err(Fault::UD) } else { self.x87_ready(biu, insn) }
    }

    /// MM register `n`.
    #[inline(always)]
    pub(super) fn mm(&self, n: u8) -> [u8; 8] {
        self.x87.significand[n as usize & 7].to_le_bytes()
    }

    /// Writes MM register `n`, which sets all bits of sign and exponent.
    #[inline(always)]
    pub(super) fn set_mm(&mut self, n: u8, value: [u8; 8]) {
        self.x87.significand[n as usize & 7] = u64::from_le_bytes(value);
        self.x87.sign_exponent[n as usize & 7] = 0xFFFF;
    }

    /// XMM register `n`.
    #[inline(always)]
    pub(super) fn xmm(&self, n: u8) -> &[u8; 16] {
        &self.simd.xmm[n as usize & 15]
    }

    /// XMM register `n`, to be written.
    #[inline(always)]
    pub(super) fn xmm_mut(&mut self, n: u8) -> &mut [u8; 16] {
        &mut self.simd.xmm[n as usize & 15]
    }
}
