//! The stack: PUSH, POP, PUSHA, POPA, ENTER, LEAVE.
//!
//! SDM Vol. 1, "Calling Procedures Using CALL and RET" and "Procedure Stack".

use super::form::{by_size, in_memory, operand_size};
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::Outcome;
use crate::state::gpr::{self, Word};
use crate::state::segment::SegReg;
use iced_x86::{Code, Instruction, Mnemonic, OpKind};

impl Cpu {
    /// The mask of the stack pointer: SP or ESP.
    #[inline(always)]
    pub fn stack_mask(&self) -> u64 {
        self.seg[SegReg::Ss as usize].stack_mask()
    }

    /// Pushes `value`. On a fault nothing has changed.
    #[inline(always)]
    pub fn push<T: Word>(&mut self, biu: &mut Biu, value: T) -> Outcome {
        let mask = self.stack_mask();
        let sp = self.gpr.full(gpr::SP).wrapping_sub(T::BYTES as u64) & mask;
        self.write(biu, SegReg::Ss, sp, value)?;
        self.gpr.set_masked(gpr::SP, mask, sp);
        Ok(())
    }

    /// Pops a value. On a fault nothing has changed.
    #[inline(always)]
    pub fn pop<T: Word>(&mut self, biu: &mut Biu) -> Outcome<T> {
        let mask = self.stack_mask();
        let sp = self.gpr.full(gpr::SP) & mask;
        let value = self.read(biu, SegReg::Ss, sp)?;
        self.gpr.set_masked(gpr::SP, mask, sp.wrapping_add(T::BYTES as u64) & mask);
        Ok(value)
    }

    /// Reads the `n`th item of size `T` above the stack pointer without popping.
    pub fn peek<T: Word>(&mut self, biu: &mut Biu, n: u64) -> Outcome<T> {
        let sp = self.gpr.full(gpr::SP).wrapping_add(n * T::BYTES as u64) & self.stack_mask();
        self.read(biu, SegReg::Ss, sp)
    }

    /// Moves the stack pointer up by `bytes`.
    pub fn release_stack(&mut self, bytes: u64) {
        let mask = self.stack_mask();
        let sp = self.gpr.full(gpr::SP).wrapping_add(bytes) & mask;
        self.gpr.set_masked(gpr::SP, mask, sp);
    }
}

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    let handler: Handler = match i.mnemonic() {
        Mnemonic::Push if in_memory(i) => by_size!(operand_size(i, 0), push_mem),
        Mnemonic::Push if i.op0_kind() != OpKind::Register => match i.code() {
            Code::Push_imm16 | Code::Pushw_imm8 => push_imm::<u16>,
            _ => push_imm::<u32>,
        },
        Mnemonic::Push if i.op0_register().is_gpr() => by_size!(operand_size(i, 0), push_reg),
        Mnemonic::Pop if in_memory(i) => by_size!(operand_size(i, 0), pop_mem),
        Mnemonic::Pop if i.op0_register().is_gpr() => by_size!(operand_size(i, 0), pop_reg),
        Mnemonic::Pusha => push_all::<u16>,
        Mnemonic::Pushad => push_all::<u32>,
        Mnemonic::Popa => pop_all::<u16>,
        Mnemonic::Popad => pop_all::<u32>,
        Mnemonic::Enter if i.code() == Code::Enterw_imm16_imm8 => enter::<u16>,
        Mnemonic::Enter => enter::<u32>,
        Mnemonic::Leave if i.code() == Code::Leavew => leave::<u16>,
        Mnemonic::Leave => leave::<u32>,
        _ => return None,
    };
    Some(handler)
}

fn push_reg<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let v = cpu.gpr.get::<T>(insn.op[0]);
    cpu.push(biu, v)
}

fn push_imm<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    cpu.push(biu, T::from_u64(insn.imm))
}

fn push_mem<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let v = cpu.read::<T>(biu, insn.segment, insn.ea(&cpu.gpr))?;
    cpu.push(biu, v)
}

fn pop_reg<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let v = cpu.pop::<T>(biu)?;
    cpu.gpr.set(insn.op[0], v);
    Ok(())
}

fn pop_mem<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let before = cpu.gpr.full(gpr::SP);
    let v = cpu.pop::<T>(biu)?;
    // The address is computed with the stack pointer after the pop. SDM Vol. 2B, "POP".
    let written = cpu.write(biu, insn.segment, insn.ea(&cpu.gpr), v);
    if written.is_err() {
        cpu.gpr.set(gpr::SP, before);
    }
    written
}

fn push_all<T: Word>(cpu: &mut Cpu, biu: &mut Biu, _: &Insn) -> Outcome {
    let mask = cpu.stack_mask();
    let sp = cpu.gpr.full(gpr::SP);
    let size = T::BYTES as u64;
    // All eight places are checked before the first is written, so that a fault finds nothing changed.
    for n in 1..=8 {
        let at = sp.wrapping_sub(n * size) & mask;
        let linear = cpu.linear_write(SegReg::Ss, at, T::BYTES)?;
        cpu.probe_write(biu, linear, T::BYTES)?;
    }
    for r in gpr::AX..=gpr::DI {
        let at = sp.wrapping_sub((r as u64 + 1) * size) & mask;
        let v = cpu.gpr.get::<T>(r);
        cpu.write(biu, SegReg::Ss, at, v)?;
    }
    cpu.gpr.set_masked(gpr::SP, mask, sp.wrapping_sub(8 * size) & mask);
    Ok(())
}

fn pop_all<T: Word>(cpu: &mut Cpu, biu: &mut Biu, _: &Insn) -> Outcome {
    let mut values = [T::from_u64(0); 8];
    for (n, v) in values.iter_mut().enumerate() {
        *v = cpu.peek::<T>(biu, n as u64)?;
    }
    for (n, v) in values.iter().enumerate() {
        let r = gpr::DI - n as u8;
        if r != gpr::SP {
            cpu.gpr.set(r, *v);
        }
    }
    cpu.release_stack(8 * T::BYTES as u64);
    Ok(())
}

fn enter<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let (frame_size, level) = (insn.imm & 0xFFFF, insn.disp & 31);
    let (sp, bp) = (cpu.gpr.full(gpr::SP), cpu.gpr.full(gpr::BP));
    let done = enter_frame::<T>(cpu, biu, frame_size, level);
    if done.is_err() {
        cpu.gpr.set(gpr::SP, sp);
        cpu.gpr.set(gpr::BP, bp);
    }
    done
}

/// SDM Vol. 2A, "ENTER".
fn enter_frame<T: Word>(cpu: &mut Cpu, biu: &mut Biu, frame_size: u64, level: u64) -> Outcome {
    let mask = cpu.stack_mask();
    let bp = cpu.gpr.get::<T>(gpr::BP);
    cpu.push(biu, bp)?;
    let frame = cpu.gpr.full(gpr::SP);
    for n in 1..level {
        let at = cpu.gpr.full(gpr::BP).wrapping_sub(n * T::BYTES as u64) & mask;
        let display = cpu.read::<T>(biu, SegReg::Ss, at)?;
        cpu.push(biu, display)?;
    }
    if level > 0 {
        cpu.push(biu, T::from_u64(frame))?;
    }
    let sp = cpu.gpr.full(gpr::SP).wrapping_sub(frame_size) & mask;
    // The new top of the stack must be writable, although nothing is written there.
    let linear = cpu.linear_write(SegReg::Ss, sp, T::BYTES)?;
    cpu.probe_write(biu, linear, T::BYTES)?;
    cpu.gpr.set(gpr::BP, T::from_u64(frame));
    cpu.gpr.set_masked(gpr::SP, mask, sp);
    Ok(())
}

fn leave<T: Word>(cpu: &mut Cpu, biu: &mut Biu, _: &Insn) -> Outcome {
    let mask = cpu.stack_mask();
    let at = cpu.gpr.full(gpr::BP) & mask;
    let bp = cpu.read::<T>(biu, SegReg::Ss, at)?;
    cpu.gpr.set_masked(gpr::SP, mask, at.wrapping_add(T::BYTES as u64) & mask);
    cpu.gpr.set(gpr::BP, bp);
    Ok(())
}
