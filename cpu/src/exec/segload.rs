//! Segment registers: MOV, PUSH, POP, LDS, LES, LFS, LGS, LSS.
//!
//! SDM Vol. 2, "MOV", "POP", "PUSH", "LDS/LES/LFS/LGS/LSS"; Vol. 3A, "Loading Segment Registers".

use super::form::in_memory;
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::{Fault, Outcome};
use crate::state::descriptor::Selector;
use crate::state::gpr::{self, Word};
use crate::state::segment::{SegReg, Segment};
use iced_x86::{Code, Instruction, Mnemonic, OpKind, Register};

impl Cpu {
    /// The segment that a load of `selector` (not null) into DS, ES, FS or GS gives, marked accessed. What is
    /// wrong with the selector raises `fault`.
    pub(crate) fn data_segment(
        &mut self,
        biu: &mut Biu,
        selector: Selector,
        fault: fn(u16) -> Fault,
    ) -> Outcome<Segment> {
        let mut entry = self.need_descriptor(biu, selector, fault)?;
        let rights = entry.descriptor.access();
        let privileged_enough =
            rights.is_conforming_code() || selector.rpl() <= rights.dpl() && self.cpl <= rights.dpl();
        if !rights.is_readable() || !privileged_enough {
            return Err(fault(selector.0));
        }
        if !rights.present() {
            return Err(Fault::np(selector.0));
        }
        self.mark_accessed(biu, &mut entry)?;
        Ok(entry.descriptor.segment(selector.0))
    }

    /// The stack segment that `selector` names for code at privilege level `cpl`, marked accessed. What is wrong
    /// with the selector raises `fault`.
    pub(crate) fn stack_segment(
        &mut self,
        biu: &mut Biu,
        selector: Selector,
        cpl: u8,
        fault: fn(u16) -> Fault,
    ) -> Outcome<Segment> {
        let mut entry = self.need_descriptor(biu, selector, fault)?;
        let rights = entry.descriptor.access();
        if selector.rpl() != cpl || rights.dpl() != cpl || !rights.is_writable_data() {
            return Err(fault(selector.0));
        }
        if !rights.present() {
            return Err(Fault::ss(selector.0));
        }
        self.mark_accessed(biu, &mut entry)?;
        Ok(entry.descriptor.segment(selector.0))
    }

    /// What a load of `selector` into `register` (not CS) gives in the current mode.
    fn segment_for(&mut self, biu: &mut Biu, register: SegReg, selector: u16) -> Outcome<Segment> {
        let old = self.seg[register as usize];
        if self.real_mode() {
            return Ok(old.reloaded_real(selector));
        }
        if self.v8086() {
            return Ok(Segment::v86(selector));
        }
        let selector = Selector(selector);
        match register {
            SegReg::Ss => self.stack_segment(biu, selector, self.cpl, Fault::gp),
            _ if selector.is_null() => Ok(old.nulled(selector.0)),
            _ => self.data_segment(biu, selector, Fault::gp),
        }
    }

    /// Loads a segment register other than CS. On a fault nothing has changed.
    pub fn load_segment(&mut self, biu: &mut Biu, register: SegReg, selector: u16) -> Outcome {
        self.seg[register as usize] = self.segment_for(biu, register, selector)?;
        Ok(())
    }

    /// Loads CS as real mode does, and goes to `offset`. Limit and rights stay; virtual-8086 mode has always the
    /// same.
    pub(crate) fn load_code_real(&mut self, selector: u16, offset: u64) {
        let cs = &mut self.seg[SegReg::Cs as usize];
        cs.selector = selector;
        cs.base = (selector as u64) << 4;
        self.rip = offset;
    }

    /// Reads a far pointer, offset (of type `T`) before selector. It is one operand to the limit check.
    pub(crate) fn read_far_pointer<T: Word>(&mut self, biu: &mut Biu, insn: &Insn) -> Outcome<(u16, u64)> {
        let linear = self.linear_read(insn.segment, insn.ea(&self.gpr), T::BYTES + 2)?;
        let offset = self.read_linear::<T>(biu, linear)?.zx();
        let selector = self.read_linear(biu, (linear + T::BYTES as u64) & self.linear_mask)?;
        Ok((selector, offset))
    }

    /// After MOV and POP to SS: neither interrupts nor debug traps before the next instruction is done.
    /// SDM Vol. 3A, "Masking Exceptions and Interrupts When Switching Stacks".
    fn shadow_stack_load(&mut self, register: u8) {
        if register == SegReg::Ss as u8 {
            self.interrupt_shadow = true;
            self.debug_shadow = true;
            self.attention = true;
        }
    }
}

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    use Mnemonic::*;
    let segment = |n| i.op_kind(n) == OpKind::Register && i.op_register(n).is_segment_register();
    let handler: Handler = match i.mnemonic() {
        Mov if segment(0) && i.op0_register() == Register::CS => return None,
        Mov if segment(0) => {
            if i.op1_kind() == OpKind::Memory {
                mov_seg_mem
            } else {
                mov_seg_reg
            }
        }
        Mov if segment(1) && in_memory(i) => mov_mem_seg,
        Mov if segment(1) && i.op0_register().size() == 2 => mov_reg_seg::<u16>,
        Mov if segment(1) => mov_reg_seg::<u32>,
        Push if segment(0) => match i.code() {
            Code::Pushw_CS
            | Code::Pushw_SS
            | Code::Pushw_DS
            | Code::Pushw_ES
            | Code::Pushw_FS
            | Code::Pushw_GS => push_seg::<u16>,
            _ => push_seg::<u32>,
        },
        Pop if segment(0) => match i.code() {
            Code::Popw_SS | Code::Popw_DS | Code::Popw_ES | Code::Popw_FS | Code::Popw_GS => pop_seg::<u16>,
            Code::Popd_SS | Code::Popd_DS | Code::Popd_ES | Code::Popd_FS | Code::Popd_GS => pop_seg::<u32>,
            _ => return None,
        },
        Lds => by_width!(i, load_far, { SegReg::Ds as u8 }),
        Les => by_width!(i, load_far, { SegReg::Es as u8 }),
        Lfs => by_width!(i, load_far, { SegReg::Fs as u8 }),
        Lgs => by_width!(i, load_far, { SegReg::Gs as u8 }),
        Lss => by_width!(i, load_far, { SegReg::Ss as u8 }),
        _ => return None,
    };
    Some(handler)
}

/// `$handler::<$parameter, u16>` or `u32`, by the destination of `$i`.
macro_rules! by_width {
    ($i:expr, $handler:ident, $parameter:expr) => {
        if $i.op0_register().size() == 2 { $handler::<$parameter, u16> } else { $handler::<$parameter, u32> }
    };
}
use by_width;

/// The segment register that a decoded register number names; decoding lets no other through.
fn seg_reg(number: u8) -> SegReg {
    SegReg::from_encoding(number).unwrap_or(SegReg::Ds)
}

fn mov_seg_reg(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let selector = cpu.gpr.get(insn.op[1]);
    cpu.load_segment(biu, seg_reg(insn.op[0]), selector)?;
    cpu.shadow_stack_load(insn.op[0]);
    Ok(())
}

fn mov_seg_mem(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let selector = cpu.read(biu, insn.segment, insn.ea(&cpu.gpr))?;
    cpu.load_segment(biu, seg_reg(insn.op[0]), selector)?;
    cpu.shadow_stack_load(insn.op[0]);
    Ok(())
}

fn mov_reg_seg<T: Word>(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    let selector = cpu.seg[seg_reg(insn.op[1]) as usize].selector;
    cpu.gpr.set(insn.op[0], T::from_u64(selector as u64));
    Ok(())
}

fn mov_mem_seg(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    // 16 bits whatever the operand size.
    let selector = cpu.seg[seg_reg(insn.op[1]) as usize].selector;
    cpu.write(biu, insn.segment, insn.ea(&cpu.gpr), selector)
}

fn push_seg<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let selector = cpu.seg[seg_reg(insn.op[0]) as usize].selector;
    cpu.push(biu, T::from_u64(selector as u64))
}

fn pop_seg<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let selector = cpu.peek::<T>(biu, 0)?.zx() as u16;
    // The stack pointer moves on the stack that was popped from, also where SS is loaded.
    let mask = cpu.stack_mask();
    let sp = cpu.gpr.full(gpr::SP).wrapping_add(T::BYTES as u64) & mask;
    cpu.load_segment(biu, seg_reg(insn.op[0]), selector)?;
    cpu.gpr.set_masked(gpr::SP, mask, sp);
    cpu.shadow_stack_load(insn.op[0]);
    Ok(())
}

fn load_far<const SEGMENT: u8, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let (selector, offset) = cpu.read_far_pointer::<T>(biu, insn)?;
    cpu.load_segment(biu, seg_reg(SEGMENT), selector)?;
    cpu.gpr.set(insn.op[0], T::from_u64(offset));
    Ok(())
}
