//! Near transfers of control: JMP, Jcc, CALL, RET, LOOP, JCXZ.
//!
//! SDM Vol. 1, "Control Transfer Instructions".

use super::form::in_memory;
use super::mov::{by_condition, condition_code};
use crate::bus::Biu;
use crate::cpu::{Cpu, Leave};
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::{Fault, Outcome};
use crate::state::gpr::{self, Word};
use crate::state::segment::SegReg;
use iced_x86::{Code, Instruction, Mnemonic, OpKind, Register};

impl Cpu {
    /// Goes to `target`, if it is within the code segment. On a fault nothing has changed.
    #[inline(always)]
    pub fn jump_near(&mut self, target: u64) -> Outcome {
        if target > self.seg[SegReg::Cs as usize].limit as u64 {
            return Err(Fault::GP0);
        }
        self.rip = target;
        Ok(())
    }
}

/// The target of a relative branch with operand size `T`.
#[inline(always)]
fn relative<T: Word>(cpu: &Cpu, insn: &Insn) -> u64 {
    T::from_u64(cpu.rip.wrapping_add(insn.imm)).zx()
}

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    use Mnemonic::*;
    let wide = match i.op0_kind() {
        OpKind::NearBranch16 => false,
        OpKind::NearBranch32 => true,
        OpKind::Register => i.op0_register().size() == 4,
        _ => i.memory_size().size() == 4,
    };
    let handler: Handler = match i.mnemonic() {
        Jmp if is_far(i) => return None,
        Call if is_far(i) => return None,
        Jmp => match (i.op0_kind(), wide) {
            (OpKind::NearBranch16 | OpKind::NearBranch32, false) => jmp_relative::<u16>,
            (OpKind::NearBranch16 | OpKind::NearBranch32, true) => jmp_relative::<u32>,
            (OpKind::Register, false) => jmp_reg::<u16>,
            (OpKind::Register, true) => jmp_reg::<u32>,
            (_, false) => jmp_mem::<u16>,
            (_, true) => jmp_mem::<u32>,
        },
        Call => match (i.op0_kind(), wide) {
            (OpKind::NearBranch16 | OpKind::NearBranch32, false) => call_relative::<u16>,
            (OpKind::NearBranch16 | OpKind::NearBranch32, true) => call_relative::<u32>,
            (OpKind::Register, false) => call_reg::<u16>,
            (OpKind::Register, true) => call_reg::<u32>,
            (_, false) => call_mem::<u16>,
            (_, true) => call_mem::<u32>,
        },
        Ret => match i.code() {
            Code::Retnw | Code::Retnw_imm16 => ret::<u16>,
            _ => ret::<u32>,
        },
        Loop | Loope | Loopne => {
            let kind = i.mnemonic();
            match (kind, wide) {
                (Loop, false) => loop_if::<0, u16>,
                (Loop, true) => loop_if::<0, u32>,
                (Loope, false) => loop_if::<1, u16>,
                (Loope, true) => loop_if::<1, u32>,
                (_, false) => loop_if::<2, u16>,
                (_, true) => loop_if::<2, u32>,
            }
        }
        Jcxz | Jecxz if wide => jump_if_zero::<u32>,
        Jcxz | Jecxz => jump_if_zero::<u16>,
        Jo | Jno | Jb | Jae | Je | Jne | Jbe | Ja | Js | Jns | Jp | Jnp | Jl | Jge | Jle | Jg => {
            let cc = condition_code(i)?;
            by_condition!(cc, jcc_handler, wide)
        }
        _ => return None,
    };
    Some(handler)
}

/// Whether a JMP or CALL takes a far pointer.
fn is_far(i: &Instruction) -> bool {
    matches!(i.op0_kind(), OpKind::FarBranch16 | OpKind::FarBranch32)
        || in_memory(i)
            && matches!(
                i.code(),
                Code::Jmp_m1616
                    | Code::Jmp_m1632
                    | Code::Jmp_m1664
                    | Code::Call_m1616
                    | Code::Call_m1632
                    | Code::Call_m1664
            )
}

fn jcc_handler<const CC: u8>(wide: bool) -> Handler {
    if wide { jcc::<CC, u32> } else { jcc::<CC, u16> }
}

fn jcc<const CC: u8, T: Word>(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    if cpu.eflags.condition(CC) {
        // It may stand within a block.
        let target = T::from_u64(cpu.next_ip(insn).wrapping_add(insn.imm)).zx();
        cpu.jump_near(target)?;
        cpu.leave_block = Leave::AtTarget;
    }
    Ok(())
}

fn jmp_relative<T: Word>(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    cpu.jump_near(relative::<T>(cpu, insn))
}

fn jmp_reg<T: Word>(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    cpu.jump_near(cpu.gpr.get::<T>(insn.op[0]).zx())
}

fn jmp_mem<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let target = cpu.read::<T>(biu, insn.segment, insn.ea(&cpu.gpr))?;
    cpu.jump_near(target.zx())
}

/// Pushes the return address and goes to `target`.
#[inline(always)]
fn call<T: Word>(cpu: &mut Cpu, biu: &mut Biu, target: u64) -> Outcome {
    if target > cpu.seg[SegReg::Cs as usize].limit as u64 {
        return Err(Fault::GP0);
    }
    cpu.push(biu, T::from_u64(cpu.rip))?;
    cpu.rip = target;
    Ok(())
}

fn call_relative<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let target = relative::<T>(cpu, insn);
    call::<T>(cpu, biu, target)
}

fn call_reg<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let target = cpu.gpr.get::<T>(insn.op[0]).zx();
    call::<T>(cpu, biu, target)
}

fn call_mem<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let target = cpu.read::<T>(biu, insn.segment, insn.ea(&cpu.gpr))?;
    call::<T>(cpu, biu, target.zx())
}

fn ret<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let target = cpu.peek::<T>(biu, 0)?.zx();
    cpu.jump_near(target)?;
    cpu.release_stack(T::BYTES as u64 + (insn.imm & 0xFFFF));
    Ok(())
}

/// LOOP (`KIND` 0), LOOPE (1), LOOPNE (2). The count is CX or ECX by address size.
fn loop_if<const KIND: u8, T: Word>(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    let mask = insn.address_mask();
    let count = cpu.gpr.full(gpr::CX).wrapping_sub(1) & mask;
    let again = match KIND {
        0 => true,
        1 => cpu.eflags.zf(),
        _ => !cpu.eflags.zf(),
    };
    if count != 0 && again {
        cpu.jump_near(relative::<T>(cpu, insn))?;
    }
    cpu.gpr.set_masked(gpr::CX, mask, count);
    Ok(())
}

fn jump_if_zero<T: Word>(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    if cpu.gpr.full(gpr::CX) & insn.address_mask() == 0 {
        return cpu.jump_near(relative::<T>(cpu, insn));
    }
    Ok(())
}

/// The address size of LOOP and JCXZ, which have no memory operand: 64 minus its bits.
pub(crate) fn count_shift(i: &Instruction) -> Option<u8> {
    let uses = match i.code() {
        Code::Loop_rel8_16_CX | Code::Loop_rel8_32_CX | Code::Loope_rel8_16_CX | Code::Loope_rel8_32_CX => {
            Register::CX
        }
        Code::Loopne_rel8_16_CX | Code::Loopne_rel8_32_CX | Code::Jcxz_rel8_16 | Code::Jcxz_rel8_32 => {
            Register::CX
        }
        Code::Loop_rel8_16_ECX
        | Code::Loop_rel8_32_ECX
        | Code::Loope_rel8_16_ECX
        | Code::Loope_rel8_32_ECX => Register::ECX,
        Code::Loopne_rel8_16_ECX | Code::Loopne_rel8_32_ECX | Code::Jecxz_rel8_16 | Code::Jecxz_rel8_32 => {
            Register::ECX
        }
        _ => return None,
    };
    Some(64 - uses.size() as u8 * 8)
}
