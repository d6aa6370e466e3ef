//! What computes nothing: NOP and hints, BOUND, cache control, memory ordering.
//!
//! SDM Vol. 1, "Miscellaneous Instructions" and "Cacheability Control, Prefetch, and Memory Ordering
//! Instructions". There are no caches and memory is strongly ordered, so of most of these only the checks
//! remain.

use super::form::{by_size_16_32, operand_size};
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::{Fault, Outcome, vector};
use crate::mmu::Access;
use crate::state::gpr::Word;
use iced_x86::{Instruction, Mnemonic};

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    use Mnemonic::*;
    Some(match i.mnemonic() {
        // Prefetches are among the reserved NOPs. SDM Vol. 2B, "NOP" and "PREFETCHh".
        Nop | Pause | Reservednop => nop,
        Lfence | Mfence | Sfence => nop,
        Clflush => clflush,
        Movnti => movnti,
        Bound => by_size_16_32!(operand_size(i, 0), bound),
        _ => return None,
    })
}

fn nop(_: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    Ok(())
}

/// The checks of a byte load, except that code need not be readable. SDM Vol. 2A, "CLFLUSH".
fn clflush(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let offset = insn.ea(&cpu.gpr);
    let s = &cpu.seg[insn.segment as usize];
    let linear = if s.access.present() && s.access.is_code() && offset <= s.limit as u64 {
        s.base.wrapping_add(offset) & cpu.linear_mask
    } else {
        cpu.linear_read(insn.segment, offset, 1)?
    };
    cpu.translate(biu, linear, Access::Read, cpu.view)?;
    Ok(())
}

fn movnti(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let v = cpu.gpr.get::<u32>(insn.op[1]);
    cpu.write(biu, insn.segment, insn.ea(&cpu.gpr), v)
}

fn bound<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let index = cpu.gpr.get::<T>(insn.op[0]).sx() as i64;
    let at = insn.ea(&cpu.gpr);
    let lower = cpu.read::<T>(biu, insn.segment, at)?.sx() as i64;
    let next = at.wrapping_add(T::BYTES as u64) & insn.address_mask();
    let upper = cpu.read::<T>(biu, insn.segment, next)?.sx() as i64;
    if index < lower || index > upper {
        return Err(Fault::plain(vector::BR));
    }
    Ok(())
}
