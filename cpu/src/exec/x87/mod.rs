//! x87 floating point. SDM Vol. 1, "Programming with the x87 FPU".
//!
//! A numeric instruction first looks whether the unit is available and whether an earlier one left an unmasked
//! exception pending; then it reads its operands, computes through [`crate::softfloat`], writes what the masks
//! allow, and leaves its address behind for exception handlers. An empty source or a full stack is an invalid
//! operation like any other, except that SF tells it apart.
//!
//! # Quirks
//!
//! - The instruction pointers and the opcode are those of every last non-control instruction, as the P6 family
//!   keeps them; later processors keep them for instructions that raise an exception only. An instruction without
//!   a memory operand leaves the data pointer alone.
//! - FCOMI and its kin change C1 only by a stack underflow, and set EFLAGS even if an invalid operation is not
//!   masked, as AMD's processors do. The SDM has C1 cleared, and EFLAGS left alone.

mod arith;
mod compare;
mod control;
mod image;
mod operand;
mod transcendental;
mod transfer;

#[cfg(test)]
mod tests;

use crate::bus::Biu;
use crate::cpu::{Cpu, Leave};
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::{Fault, Outcome, vector};
use crate::softfloat::{Env, F80, Flags};
use crate::state::control::cr0;
use crate::state::segment::SegReg;
use crate::state::x87::{X87, status};
use iced_x86::Instruction;

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    transfer::select(i)
        .or_else(|| arith::select(i))
        .or_else(|| compare::select(i))
        .or_else(|| transcendental::select(i))
        .or_else(|| control::select(i))
}

/// The opcode of an x87 instruction as the unit keeps it: three bits of the escape byte and the ModRM byte; and how
/// many bytes there are up to its end. None if `bytes` are no x87 instruction, or one with a LOCK prefix.
///
/// SDM Vol. 1, "Last Instruction Opcode".
pub fn opcode(bytes: &[u8]) -> Option<(u16, usize)> {
    let is_prefix = |b: &u8| matches!(b, 0x26 | 0x2E | 0x36 | 0x3E | 0x64..=0x67 | 0xF2 | 0xF3);
    let at = bytes.iter().position(|b| !is_prefix(b))?;
    match bytes[at..] {
        [escape @ 0xD8..=0xDF, modrm, ..] => Some((u16::from(escape & 7) << 8 | u16::from(modrm), at + 2)),
        _ => None,
    }
}

/// An escape opcode that no instruction has: #NM comes before #UD.
pub fn undefined(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    cpu.x87_available()?;
    Err(Fault::UD)
}

/// A numeric instruction, without what all of them begin and end with.
trait Numeric {
    /// Executes it. On `Err` nothing has changed.
    fn execute(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome;
}

/// The handler of a numeric instruction.
fn numeric<I: Numeric>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    if cpu.x87_ready(biu, insn)? {
        I::execute(cpu, biu, insn)?;
        cpu.x87.last_ip = (cpu.seg[SegReg::Cs as usize].selector, cpu.this_ip(insn) as u32);
        // Decoding put it there; see `opcode`.
        cpu.x87.last_opcode = insn.imm as u16;
        if cpu.x87.error_pending() {
            cpu.drive_ferr(biu);
        }
    }
    Ok(())
}

impl Cpu {
    /// #NM unless there is a unit and it holds the state of the current task. SDM Vol. 3A, "Interrupt 7—Device Not
    /// Available Exception (#NM)".
    #[inline(always)]
    fn x87_available(&self) -> Outcome {
        if self.cr0 & (cr0::EM | cr0::TS) != 0 { Err(Fault::NM) } else { Ok(()) }
    }

    /// What every waiting instruction does first. `false` means that the processor waits for an interrupt and will
    /// come back to the instruction.
    #[inline(always)]
    pub(super) fn x87_ready(&mut self, biu: &mut Biu, insn: &Insn) -> Outcome<bool> {
        self.x87_available()?;
        if self.x87.error_pending() { self.report_x87_error(biu, insn) } else { Ok(true) }
    }

    /// A pending exception, at a waiting instruction. SDM Vol. 3A, "Interrupt 16—x87 FPU Floating-Point Error
    /// (#MF)"; Vol. 1, "Guidelines for Writing x87 FPU Exception Handlers", "MS-DOS Compatibility Sub-mode in the P6
    /// Family and Pentium 4 Processors".
    #[cold]
    fn report_x87_error(&mut self, biu: &mut Biu, insn: &Insn) -> Outcome<bool> {
        if self.cr0 & cr0::NE != 0 {
            return Err(Fault::plain(vector::MF));
        }
        if biu.bus.ignne() {
            return Ok(true);
        }
        // Frozen until the interrupt that FERR# asks for; its handler returns to this instruction.
        self.drive_ferr(biu);
        self.halted = true;
        self.suppress_step = true;
        self.attention = true;
        self.rip = self.this_ip(insn);
        self.leave_block = Leave::AtTarget;
        Ok(false)
    }

    /// Drives FERR#, after a change of the pending exceptions or of CR0.NE.
    #[cold]
    pub fn drive_ferr(&mut self, biu: &mut Biu) {
        biu.bus.ferr(self.x87.error_pending() && self.cr0 & cr0::NE == 0);
        self.sample_pins(biu);
    }
}

impl X87 {
    /// The conditions of the next operation.
    #[inline(always)]
    fn env(&self) -> Env {
        Env::from_control_word(self.control)
    }

    /// ST(`i`), none if it is empty.
    #[inline(always)]
    fn source(&self, i: u8) -> Option<F80> {
        if self.is_empty(i) { None } else { Some(self.st(i)) }
    }

    /// Records what an operation raised, and C1. Whether its result goes to a register.
    #[inline(always)]
    fn record(&mut self, env: &Env) -> bool {
        let c1 = if env.raised.intersects(Flags::ROUNDED_UP) { status::C1 } else { 0 };
        self.status = self.status & !status::C1 | env.raised.status() | c1;
        env.delivers()
    }
}

/// The indefinite: what a masked invalid operation gives.
const INDEFINITE: F80 = F80 { significand: 3 << 62, sign_exponent: 0xFFFF };

/// An operand register is empty. SDM Vol. 1, "Stack Overflow or Underflow Exception (#IS)".
#[cold]
fn underflow(env: &mut Env) -> F80 {
    env.raised |= Flags::INVALID | Flags::STACK_FAULT;
    INDEFINITE
}

/// The register for a new top of the stack is not empty.
#[cold]
fn overflow(env: &mut Env) -> F80 {
    env.raised |= Flags::INVALID | Flags::STACK_FAULT | Flags::ROUNDED_UP;
    INDEFINITE
}
