//! Identity translation: instructions that run as they are, with their operands where the host has them.

use super::memory::{AccessKind, HostOperand, MemoryAccess};
use super::{Lower, SiteKind};
use crate::emit::abi::{self, host_register};
use crate::host::context::Context;
use dynasmrt::{DynasmApi, dynasm};
use iced_x86::{
    Code, Instruction, InstructionInfoFactory, InstructionInfoOptions, Mnemonic, OpAccess, OpKind, Register,
};
use idem86_cpu::state::segment::SegReg;
use std::mem::offset_of;

impl Lower<'_> {
    /// Lowers instruction `n` if it is one of those. `false` leaves everything as it was.
    pub(super) fn ident(&mut self, n: usize, i: &Instruction) -> bool {
        if self.selector_read(i) {
            return true;
        }
        if !is_innocuous(i) || is_division(i) && !self.frame.traps {
            return false;
        }
        if is_hint(i) {
            return true;
        }
        let Some(mut host) = in_64_bit_mode(i) else { return false };
        place_registers(&mut host);
        if is_division(i) && (self.frame.avoids_faults)(self.guest[n].offset) {
            return false;
        }
        let high = high_byte(i);
        if i.mnemonic() == Mnemonic::Lea {
            self.effective_address(i);
            let code = if i.op0_register().size() == 2 { Code::Mov_r16_rm16 } else { Code::Mov_r32_rm32 };
            let from = if i.op0_register().size() == 2 { Register::R8W } else { Register::R8D };
            let mov = Instruction::with2(code, host_register(i.op0_register()), from).expect("registers");
            return self.encode(&mov);
        }
        if !has_memory(i) {
            // AH, BH, CH and DH have no encoding beside r14.
            if !is_division(i) {
                return self.encode(&host);
            }
            let site = self.new_site(n, SiteKind::Trap);
            self.faults_here(site);
            self.resume_behind(site);
            return self.encode(&host);
        }
        if high.is_some() && i.mnemonic() == Mnemonic::Cmpxchg {
            return false;
        }
        let Some(kind) = access_kind(&mut self.factory, i) else { return false };
        let Some(segment) = SegReg::from_encoding(i.memory_segment().number() as u8) else { return false };
        if let Some(register) = high {
            let low = Register::AL + (register as u32 - Register::AH as u32);
            for op in 0..host.op_count() {
                if host.op_kind(op) == OpKind::Register && host.op_register(op) == register {
                    host.set_op_register(op, low);
                }
            }
        }
        // Whether it can be encoded must be known before anything is emitted.
        HostOperand::PROBE.put(&mut host);
        if self.try_encode(&host).is_none() {
            return false;
        }
        // A fault must find AH where it belongs.
        let site = if high.is_some() { self.table_site(n) } else { self.memory_site(n) };
        let access = MemoryAccess { segment, size: i.memory_size().size() as u32, kind };
        let operand = self.operand(i, access, site);
        operand.put(&mut host);
        let swap = |l: &mut Self| match high {
            Some(Register::AH) => dynasm!(l.asm; .arch x64; xchg al, ah),
            Some(Register::CH) => dynasm!(l.asm; .arch x64; xchg cl, ch),
            Some(Register::DH) => dynasm!(l.asm; .arch x64; xchg dl, dh),
            Some(_) => dynasm!(l.asm; .arch x64; xchg bl, bh),
            None => {}
        };
        swap(self);
        if is_division(i) {
            self.faults_here(site);
        }
        self.may_fault(operand, site);
        assert!(self.encode(&host), "it could be encoded with another operand");
        swap(self);
        self.resume_here(site);
        true
    }
}

/// Lets `host` name the host's registers, and have no prefixes that order or repeat: where the guest ignores them, a
/// newer host may take them for TZCNT, LZCNT or lock elision.
pub(super) fn place_registers(host: &mut Instruction) {
    host.set_has_lock_prefix(false);
    host.set_has_rep_prefix(false);
    host.set_has_repne_prefix(false);
    for op in 0..host.op_count() {
        if host.op_kind(op) == OpKind::Register {
            host.set_op_register(op, host_register(host.op_register(op)));
        }
    }
}

/// Whether `i` does nothing: there are no caches, and one processor sees memory in order.
fn is_hint(i: &Instruction) -> bool {
    use Mnemonic::*;
    matches!(i.mnemonic(), Nop | Pause | Reservednop | Lfence | Mfence | Sfence)
}

impl Lower<'_> {
    /// MOV of a segment register to a general one.
    fn selector_read(&mut self, i: &Instruction) -> bool {
        if i.mnemonic() != Mnemonic::Mov
            || i.op0_kind() != OpKind::Register
            || i.op1_kind() != OpKind::Register
            || !i.op0_register().is_gpr()
            || !i.op1_register().is_segment_register()
        {
            return false;
        }
        let from = abi::element(offset_of!(Context, selectors), i.op1_register().number());
        let to = abi::host_gpr(i.op0_register().number() as u8).number() as u8;
        match i.op0_register().size() {
            2 => dynasm!(self.asm; .arch x64; mov Rw(to), [r12 + from]),
            _ => dynasm!(self.asm; .arch x64; mov Rd(to), [r12 + from]),
        }
        true
    }
}

/// Whether `i` does the same in 64-bit user mode as in the guest, given that its memory operand is translated.
fn is_innocuous(i: &Instruction) -> bool {
    use Mnemonic::*;
    match i.mnemonic() {
        Mov => (0..2).all(|op| {
            i.op_kind(op) != OpKind::Register || i.op_register(op).is_gpr() // else segment, CR, DR
        }),
        // With a register as bit number it is not at the address that it names.
        Bt | Bts | Btr | Btc => !has_memory(i) || i.op1_kind() != OpKind::Register,
        // The manual leaves the 16-bit forms undefined for some operands.
        Shld | Shrd | Bswap => {
            i.op0_kind() == OpKind::Memory && i.memory_size().size() == 4
                || i.op0_kind() == OpKind::Register && i.op0_register().size() == 4
        }
        Movnti | Movzx | Movsx | Xchg | Xadd | Cmpxchg | Cmpxchg8b | Lea => true,
        Add | Adc | Sub | Sbb | Cmp | And | Or | Xor | Not | Neg | Inc | Dec | Test => true,
        Shl | Sal | Shr | Sar | Rol | Ror | Rcl | Rcr | Imul | Mul | Div | Idiv | Bsf | Bsr => true,
        Cbw | Cwde | Cwd | Cdq | Stc | Clc | Cmc | Lahf | Sahf => true,
        Cmova | Cmovae | Cmovb | Cmovbe | Cmove | Cmovg | Cmovge | Cmovl | Cmovle | Cmovne | Cmovno
        | Cmovnp | Cmovns | Cmovo | Cmovp | Cmovs => true,
        Seta | Setae | Setb | Setbe | Sete | Setg | Setge | Setl | Setle | Setne | Setno | Setnp | Setns
        | Seto | Setp | Sets => true,
        _ => is_hint(i),
    }
}

/// Whether `i` raises #DE where the host does.
fn is_division(i: &Instruction) -> bool {
    matches!(i.mnemonic(), Mnemonic::Div | Mnemonic::Idiv)
}

/// `i` with an encoding that 64-bit mode has, or `None`.
fn in_64_bit_mode(i: &Instruction) -> Option<Instruction> {
    let mut host = *i;
    let code = match i.code() {
        Code::Inc_r16 => Code::Inc_rm16,
        Code::Inc_r32 => Code::Inc_rm32,
        Code::Dec_r16 => Code::Dec_rm16,
        Code::Dec_r32 => Code::Dec_rm32,
        Code::Mov_AL_moffs8 => Code::Mov_r8_rm8,
        Code::Mov_AX_moffs16 => Code::Mov_r16_rm16,
        Code::Mov_EAX_moffs32 => Code::Mov_r32_rm32,
        Code::Mov_moffs8_AL => Code::Mov_rm8_r8,
        Code::Mov_moffs16_AX => Code::Mov_rm16_r16,
        Code::Mov_moffs32_EAX => Code::Mov_rm32_r32,
        code => code,
    };
    host.set_code(code);
    code.op_code().mode64().then_some(host)
}

pub(super) fn has_memory(i: &Instruction) -> bool {
    (0..i.op_count()).any(|op| i.op_kind(op) == OpKind::Memory)
}

/// AH, CH, DH or BH, if `i` names one.
fn high_byte(i: &Instruction) -> Option<Register> {
    (0..i.op_count())
        .filter(|op| i.op_kind(*op) == OpKind::Register)
        .map(|op| i.op_register(op))
        .find(|r| matches!(r, Register::AH | Register::CH | Register::DH | Register::BH))
}

/// What `i` does with its memory operand.
pub(super) fn access_kind(factory: &mut InstructionInfoFactory, i: &Instruction) -> Option<AccessKind> {
    let info = factory.info_options(i, InstructionInfoOptions::NO_REGISTER_USAGE);
    match info.used_memory() {
        [] => None,
        [memory, ..] => match memory.access() {
            OpAccess::Read | OpAccess::CondRead => Some(AccessKind::Read),
            OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite => {
                Some(AccessKind::Write)
            }
            _ => None,
        },
    }
}
