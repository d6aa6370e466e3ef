//! Exchange with arithmetic or comparison: XADD, CMPXCHG, CMPXCHG8B.
//!
//! SDM Vol. 1, "Exchange Instructions". One processor: LOCK needs no more than that nobody else touches memory
//! meanwhile.

use super::form::{InMemory, InRegister, Place, by_size_to_32, in_memory, operand_size};
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::Outcome;
use crate::state::eflags::Eflags;
use crate::state::gpr::{self, Word};
use iced_x86::{Instruction, Mnemonic};

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    let size = operand_size(i, 0);
    Some(match (i.mnemonic(), in_memory(i)) {
        (Mnemonic::Xadd, false) => by_size_to_32!(size, xadd_reg),
        (Mnemonic::Xadd, true) => by_size_to_32!(size, xadd_mem),
        (Mnemonic::Cmpxchg, false) => by_size_to_32!(size, cmpxchg, InRegister<0>),
        (Mnemonic::Cmpxchg, true) => by_size_to_32!(size, cmpxchg, InMemory),
        (Mnemonic::Cmpxchg8b, _) => cmpxchg8b,
        _ => return None,
    })
}

fn xadd_reg<T: Word>(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    let (old, addend) = (cpu.gpr.get::<T>(insn.op[0]), cpu.gpr.get::<T>(insn.op[1]));
    let sum = exchange_add(&mut cpu.eflags, old, addend);
    // In this order: where both are the same register, the sum stays.
    cpu.gpr.set(insn.op[1], old);
    cpu.gpr.set(insn.op[0], sum);
    Ok(())
}

fn xadd_mem<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let addend = cpu.gpr.get::<T>(insn.op[1]);
    let mut old = addend;
    cpu.modify::<T>(biu, insn.segment, insn.ea(&cpu.gpr), |f, v| {
        old = v;
        exchange_add(f, v, addend)
    })?;
    cpu.gpr.set(insn.op[1], old);
    Ok(())
}

#[inline(always)]
fn exchange_add<T: Word>(f: &mut Eflags, old: T, addend: T) -> T {
    let sum = T::from_u64(old.zx().wrapping_add(addend.zx()));
    f.set_add(old, addend, sum);
    sum
}

fn cmpxchg<P: Place, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let accumulator = cpu.gpr.get::<T>(gpr::AX);
    let new = cpu.gpr.get::<T>(insn.op[1]);
    let mut old = accumulator;
    // The destination is written in either case.
    P::modify::<T>(cpu, biu, insn, |f, v| {
        old = v;
        f.set_sub(accumulator, v, T::from_u64(accumulator.zx().wrapping_sub(v.zx())));
        if v == accumulator { new } else { v }
    })?;
    if old != accumulator {
        cpu.gpr.set(gpr::AX, old);
    }
    Ok(())
}

fn cmpxchg8b(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let pair = |high, low| (cpu.gpr.get::<u32>(high) as u64) << 32 | cpu.gpr.get::<u32>(low) as u64;
    let (expected, new) = (pair(gpr::DX, gpr::AX), pair(gpr::CX, gpr::BX));
    let mut old = expected;
    cpu.modify::<u64>(biu, insn.segment, insn.ea(&cpu.gpr), |f, v| {
        old = v;
        f.set_zf(v == expected);
        if v == expected { new } else { v }
    })?;
    if old != expected {
        cpu.gpr.set(gpr::AX, old as u32);
        cpu.gpr.set(gpr::DX, (old >> 32) as u32);
    }
    Ok(())
}
