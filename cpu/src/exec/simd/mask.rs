//! Single elements and sign masks: PEXTRW, PINSRW, PMOVMSKB, MOVMSKPS, MOVMSKPD, MASKMOVQ, MASKMOVDQU.
//!
//! SDM Vol. 1, "SSE 64-Bit SIMD Integer Instructions", "SSE Data Transfer Instructions"; Vol. 2A, "MASKMOVDQU".

use super::lanes::{build, lane};
use super::place::{General, Mm, Register, Source, Xmm, complete, ready};
use super::{is_memory, is_mm};
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::Outcome;
use crate::mmu::Access;
use crate::state::gpr;
use crate::state::simd::Row;
use iced_x86::{Instruction, Mnemonic};

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    use Mnemonic::*;
    Some(match (i.mnemonic(), is_mm(i, 0) || is_mm(i, 1)) {
        (Pextrw, true) => extract_word::<Mm, 8>,
        (Pextrw, false) => extract_word::<Xmm, 16>,
        (Pinsrw, true) if is_memory(i, 1) => insert_word_mem::<Mm, 8>,
        (Pinsrw, true) => insert_word_reg::<Mm, 8>,
        (Pinsrw, false) if is_memory(i, 1) => insert_word_mem::<Xmm, 16>,
        (Pinsrw, false) => insert_word_reg::<Xmm, 16>,
        (Pmovmskb, true) => signs::<Mm, 1, 8>,
        (Pmovmskb, false) => signs::<Xmm, 1, 16>,
        (Movmskps, _) => signs::<Xmm, 4, 16>,
        (Movmskpd, _) => signs::<Xmm, 8, 16>,
        (Maskmovq, _) => masked_store::<Mm, 8>,
        (Maskmovdqu, _) => masked_store::<Xmm, 16>,
        _ => return None,
    })
}

/// The immediate counts modulo the number of words.
fn word_index<const N: usize>(insn: &Insn) -> usize {
    insn.imm as usize % (N / 2)
}

fn extract_word<S: Source<N>, const N: usize>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    if ready::<S, General>(cpu, biu, insn)? {
        let word: u16 = lane(&S::read(cpu, biu, insn)?.0, word_index::<N>(insn));
        cpu.gpr.set(insn.op[0], u32::from(word));
        complete::<S, General>(cpu);
    }
    Ok(())
}

fn insert_word_reg<D: Register<N>, const N: usize>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    insert_word::<D, N>(cpu, biu, insn, |cpu, _| Ok(cpu.gpr.get(insn.op[1])))
}

fn insert_word_mem<D: Register<N>, const N: usize>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    insert_word::<D, N>(cpu, biu, insn, |cpu, biu| cpu.read(biu, insn.segment, insn.ea(&cpu.gpr)))
}

#[inline(always)]
fn insert_word<D: Register<N>, const N: usize>(
    cpu: &mut Cpu,
    biu: &mut Biu,
    insn: &Insn,
    fetch: impl FnOnce(&mut Cpu, &mut Biu) -> Outcome<u16>,
) -> Outcome {
    if ready::<D, General>(cpu, biu, insn)? {
        let word = fetch(cpu, biu)?;
        let old = D::get(cpu, insn.op[0]);
        let at = word_index::<N>(insn);
        D::write(cpu, biu, insn, build(|i| if i == at { word } else { lane(&old, i) }))?;
        complete::<D, General>(cpu);
    }
    Ok(())
}

/// The signs of all elements, which are `WIDTH` bytes wide, in the low bits of a general register.
fn signs<S: Source<N>, const WIDTH: usize, const N: usize>(
    cpu: &mut Cpu,
    biu: &mut Biu,
    insn: &Insn,
) -> Outcome {
    if ready::<S, General>(cpu, biu, insn)? {
        let Row(source) = S::read(cpu, biu, insn)?;
        let top_bytes = source.iter().skip(WIDTH - 1).step_by(WIDTH);
        let mask = top_bytes.zip(0..).fold(0, |mask, (byte, i)| mask | u32::from(byte >> 7) << i);
        cpu.gpr.set(insn.op[0], mask);
        complete::<S, General>(cpu);
    }
    Ok(())
}

/// MASKMOVQ and MASKMOVDQU store the bytes of the second operand for which the third has bit 7 set. All of them
/// must be writable.
fn masked_store<S: Register<N>, const N: usize>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    if ready::<S, S>(cpu, biu, insn)? {
        let (data, mask) = (S::get(cpu, insn.op[1]), S::get(cpu, insn.op[2]));
        let offset = cpu.gpr.full(gpr::DI) & insn.address_mask();
        let linear = cpu.linear_write(insn.segment, offset, N)?;
        // Quadwords are what alignment checking looks at.
        cpu.check_alignment(linear, 8, cpu.view)?;
        cpu.probe(biu, linear, N, Access::Write, cpu.view)?;
        for ((at, byte), selector) in (linear..).zip(data).zip(mask) {
            if selector & 0x80 != 0 {
                cpu.write_linear(biu, at & cpu.linear_mask, byte)?;
            }
        }
        complete::<S, S>(cpu);
    }
    Ok(())
}
