//! Moves between general registers, memory and immediates: MOV, MOVZX, MOVSX, LEA, XCHG, CMOVcc, SETcc, BSWAP,
//! CBW, CWD and kin, XLAT, LAHF, SAHF.
//!
//! SDM Vol. 1, "Data Transfer Instructions".

use super::form::{Form, by_size, form, in_memory, operand_size};
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::Outcome;
use crate::state::eflags::bit;
use crate::state::gpr::{self, Word};
use iced_x86::{ConditionCode, Instruction, Mnemonic, OpKind};

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    let handler: Handler = match i.mnemonic() {
        Mnemonic::Mov if is_general(i) => {
            let size = operand_size(i, 0);
            match form(i)? {
                Form::RegReg => by_size!(size, mov_reg_reg),
                Form::RegMem => by_size!(size, mov_reg_mem),
                Form::MemReg => by_size!(size, mov_mem_reg),
                Form::RegImm => by_size!(size, mov_reg_imm),
                Form::MemImm => by_size!(size, mov_mem_imm),
            }
        }
        Mnemonic::Movzx => extend::<false>(i),
        Mnemonic::Movsx => extend::<true>(i),
        Mnemonic::Lea => by_size!(operand_size(i, 0), lea),
        Mnemonic::Xchg if in_memory(i) => by_size!(operand_size(i, 0), xchg_mem_reg),
        Mnemonic::Xchg if i.op1_kind() == OpKind::Memory => by_size!(operand_size(i, 0), xchg_reg_mem),
        Mnemonic::Xchg => by_size!(operand_size(i, 0), xchg_reg_reg),
        Mnemonic::Bswap => bswap,
        Mnemonic::Cbw => cbw,
        Mnemonic::Cwde => cwde,
        Mnemonic::Cwd => cwd,
        Mnemonic::Cdq => cdq,
        Mnemonic::Xlatb => xlat,
        Mnemonic::Lahf => lahf,
        Mnemonic::Sahf => sahf,
        _ => return conditional(i),
    };
    Some(handler)
}

fn is_general(i: &Instruction) -> bool {
    (0..2).all(|n| i.op_kind(n) != OpKind::Register || i.op_register(n).is_gpr())
}

/// Calls `$pick::<CC>` for the condition code of `$i`.
macro_rules! by_condition {
    ($cc:expr, $pick:ident, $($arg:expr),*) => {
        match $cc {
            0 => $pick::<0>($($arg),*),
            1 => $pick::<1>($($arg),*),
            2 => $pick::<2>($($arg),*),
            3 => $pick::<3>($($arg),*),
            4 => $pick::<4>($($arg),*),
            5 => $pick::<5>($($arg),*),
            6 => $pick::<6>($($arg),*),
            7 => $pick::<7>($($arg),*),
            8 => $pick::<8>($($arg),*),
            9 => $pick::<9>($($arg),*),
            10 => $pick::<10>($($arg),*),
            11 => $pick::<11>($($arg),*),
            12 => $pick::<12>($($arg),*),
            13 => $pick::<13>($($arg),*),
            14 => $pick::<14>($($arg),*),
            _ => $pick::<15>($($arg),*),
        }
    };
}
pub(super) use by_condition;

/// The condition code of Jcc, SETcc or CMOVcc, as the low four bits of its opcode.
pub(super) fn condition_code(i: &Instruction) -> Option<u8> {
    Some(match i.condition_code() {
        ConditionCode::None => return None,
        ConditionCode::o => 0,
        ConditionCode::no => 1,
        ConditionCode::b => 2,
        ConditionCode::ae => 3,
        ConditionCode::e => 4,
        ConditionCode::ne => 5,
        ConditionCode::be => 6,
        ConditionCode::a => 7,
        ConditionCode::s => 8,
        ConditionCode::ns => 9,
        ConditionCode::p => 10,
        ConditionCode::np => 11,
        ConditionCode::l => 12,
        ConditionCode::ge => 13,
        ConditionCode::le => 14,
        ConditionCode::g => 15,
    })
}

fn conditional(i: &Instruction) -> Option<Handler> {
    use Mnemonic::*;
    let cc = condition_code(i)?;
    match i.mnemonic() {
        Seto | Setno | Setb | Setae | Sete | Setne | Setbe | Seta | Sets | Setns | Setp | Setnp | Setl
        | Setge | Setle | Setg => Some(by_condition!(cc, set_handler, i)),
        Cmovo | Cmovno | Cmovb | Cmovae | Cmove | Cmovne | Cmovbe | Cmova | Cmovs | Cmovns | Cmovp
        | Cmovnp | Cmovl | Cmovge | Cmovle | Cmovg => Some(by_condition!(cc, cmov_handler, i)),
        _ => None,
    }
}

fn set_handler<const CC: u8>(i: &Instruction) -> Handler {
    if in_memory(i) { setcc_mem::<CC> } else { setcc_reg::<CC> }
}

fn cmov_handler<const CC: u8>(i: &Instruction) -> Handler {
    match (operand_size(i, 0), i.op1_kind() == OpKind::Memory) {
        (2, false) => cmov_reg::<CC, u16>,
        (2, true) => cmov_mem::<CC, u16>,
        (4, false) => cmov_reg::<CC, u32>,
        (4, true) => cmov_mem::<CC, u32>,
        (_, false) => cmov_reg::<CC, u64>,
        (_, true) => cmov_mem::<CC, u64>,
    }
}

fn mov_reg_reg<T: Word>(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    let v = cpu.gpr.get::<T>(insn.op[1]);
    cpu.gpr.set(insn.op[0], v);
    Ok(())
}

fn mov_reg_mem<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let v = cpu.read::<T>(biu, insn.segment, insn.ea(&cpu.gpr))?;
    cpu.gpr.set(insn.op[0], v);
    Ok(())
}

fn mov_mem_reg<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let v = cpu.gpr.get::<T>(insn.op[1]);
    cpu.write(biu, insn.segment, insn.ea(&cpu.gpr), v)
}

fn mov_reg_imm<T: Word>(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    cpu.gpr.set(insn.op[0], T::from_u64(insn.imm));
    Ok(())
}

fn mov_mem_imm<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    cpu.write(biu, insn.segment, insn.ea(&cpu.gpr), T::from_u64(insn.imm))
}

fn extend<const SIGNED: bool>(i: &Instruction) -> Handler {
    let memory = i.op1_kind() == OpKind::Memory;
    match (operand_size(i, 0), operand_size(i, 1), memory) {
        (2, 1, false) => extend_reg::<SIGNED, u16, u8>,
        (2, 1, true) => extend_mem::<SIGNED, u16, u8>,
        // To the same size: a plain move, which 0F B7 and 0F BF with a 16-bit operand size still encode.
        (2, _, false) => extend_reg::<SIGNED, u16, u16>,
        (2, _, true) => extend_mem::<SIGNED, u16, u16>,
        (4, 1, false) => extend_reg::<SIGNED, u32, u8>,
        (4, 1, true) => extend_mem::<SIGNED, u32, u8>,
        (4, _, false) => extend_reg::<SIGNED, u32, u16>,
        (4, _, true) => extend_mem::<SIGNED, u32, u16>,
        (_, 1, false) => extend_reg::<SIGNED, u64, u8>,
        (_, 1, true) => extend_mem::<SIGNED, u64, u8>,
        (_, _, false) => extend_reg::<SIGNED, u64, u16>,
        (_, _, true) => extend_mem::<SIGNED, u64, u16>,
    }
}

#[inline(always)]
fn extended<const SIGNED: bool, D: Word, S: Word>(v: S) -> D {
    D::from_u64(if SIGNED { v.sx() } else { v.zx() })
}

fn extend_reg<const SIGNED: bool, D: Word, S: Word>(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    let v = cpu.gpr.get::<S>(insn.op[1]);
    cpu.gpr.set(insn.op[0], extended::<SIGNED, D, S>(v));
    Ok(())
}

fn extend_mem<const SIGNED: bool, D: Word, S: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let v = cpu.read::<S>(biu, insn.segment, insn.ea(&cpu.gpr))?;
    cpu.gpr.set(insn.op[0], extended::<SIGNED, D, S>(v));
    Ok(())
}

fn lea<T: Word>(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    cpu.gpr.set(insn.op[0], T::from_u64(insn.ea(&cpu.gpr)));
    Ok(())
}

fn xchg_reg_reg<T: Word>(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    let (a, b) = (cpu.gpr.get::<T>(insn.op[0]), cpu.gpr.get::<T>(insn.op[1]));
    cpu.gpr.set(insn.op[0], b);
    cpu.gpr.set(insn.op[1], a);
    Ok(())
}

fn xchg_mem_reg<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    xchg_memory::<T>(cpu, biu, insn, insn.op[1])
}

fn xchg_reg_mem<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    xchg_memory::<T>(cpu, biu, insn, insn.op[0])
}

fn xchg_memory<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn, register: u8) -> Outcome {
    let new = cpu.gpr.get::<T>(register);
    let mut old = new;
    cpu.modify::<T>(biu, insn.segment, insn.ea(&cpu.gpr), |_, v| {
        old = v;
        new
    })?;
    cpu.gpr.set(register, old);
    Ok(())
}

fn cmov_reg<const CC: u8, T: Word>(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    let v = cpu.gpr.get::<T>(insn.op[if cpu.eflags.condition(CC) { 1 } else { 0 }]);
    cpu.gpr.set(insn.op[0], v);
    Ok(())
}

fn cmov_mem<const CC: u8, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    // The source is read whatever the condition says.
    let v = cpu.read::<T>(biu, insn.segment, insn.ea(&cpu.gpr))?;
    if cpu.eflags.condition(CC) {
        cpu.gpr.set(insn.op[0], v);
    }
    Ok(())
}

fn setcc_reg<const CC: u8>(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    cpu.gpr.set(insn.op[0], cpu.eflags.condition(CC) as u8);
    Ok(())
}

fn setcc_mem<const CC: u8>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let v = cpu.eflags.condition(CC) as u8;
    cpu.write(biu, insn.segment, insn.ea(&cpu.gpr), v)
}

fn bswap(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    // The 16-bit form is undefined by the manual; processors clear the register.
    if iced_x86::Code::Bswap_r16 == insn.code {
        cpu.gpr.set(insn.op[0], 0u16);
    } else {
        let v = cpu.gpr.get::<u32>(insn.op[0]);
        cpu.gpr.set(insn.op[0], v.swap_bytes());
    }
    Ok(())
}

fn cbw(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    let v = cpu.gpr.get::<u8>(gpr::AX);
    cpu.gpr.set(gpr::AX, v.sx() as u16);
    Ok(())
}

fn cwde(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    let v = cpu.gpr.get::<u16>(gpr::AX);
    cpu.gpr.set(gpr::AX, v.sx() as u32);
    Ok(())
}

fn cwd(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    let v = cpu.gpr.get::<u16>(gpr::AX);
    cpu.gpr.set(gpr::DX, (v.sx() >> 16) as u16);
    Ok(())
}

fn cdq(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    let v = cpu.gpr.get::<u32>(gpr::AX);
    cpu.gpr.set(gpr::DX, (v.sx() >> 32) as u32);
    Ok(())
}

fn xlat(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let at = cpu.gpr.full(gpr::BX).wrapping_add(cpu.gpr.get::<u8>(gpr::AX) as u64) & insn.address_mask();
    let v = cpu.read::<u8>(biu, insn.segment, at)?;
    cpu.gpr.set(gpr::AX, v);
    Ok(())
}

fn lahf(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    cpu.gpr.set(gpr::HIGH_BYTE + gpr::AX, cpu.eflags.bits() as u8);
    Ok(())
}

fn sahf(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    let low = cpu.gpr.get::<u8>(gpr::HIGH_BYTE + gpr::AX) as u32;
    let keep = cpu.eflags.arithmetic() & bit::OF;
    cpu.eflags.set_arithmetic(low & !bit::OF | keep);
    Ok(())
}
