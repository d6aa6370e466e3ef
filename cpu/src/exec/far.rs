//! Far transfers of control: JMP, CALL and RET between segments, call gates, task switches by JMP and CALL.
//!
//! SDM Vol. 2A, "JMP", "CALL"; Vol. 2B, "RET"; Vol. 3A, "Privilege Level Checking When Transferring Program Control
//! Between Code Segments".

use super::form::in_memory;
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::{Fault, Outcome};
use crate::event::task::{Switch, available_tss};
use crate::mmu::descriptors::TableEntry;
use crate::mmu::tlb::View;
use crate::state::descriptor::{Kind, Selector};
use crate::state::gpr::{self, Word};
use crate::state::segment::{SegReg, Segment};
use iced_x86::{Code, Instruction};

/// The two instructions that go to a far pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transfer {
    Jump,
    Call,
}

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    let memory = in_memory(i);
    Some(match i.code() {
        Code::Jmp_ptr1616 => direct::<JUMP, u16>,
        Code::Jmp_ptr1632 => direct::<JUMP, u32>,
        Code::Call_ptr1616 => direct::<CALL, u16>,
        Code::Call_ptr1632 => direct::<CALL, u32>,
        Code::Jmp_m1616 if memory => indirect::<JUMP, u16>,
        Code::Jmp_m1632 if memory => indirect::<JUMP, u32>,
        Code::Call_m1616 if memory => indirect::<CALL, u16>,
        Code::Call_m1632 if memory => indirect::<CALL, u32>,
        Code::Retfw | Code::Retfw_imm16 => ret::<u16>,
        Code::Retfd | Code::Retfd_imm16 => ret::<u32>,
        _ => return None,
    })
}

const JUMP: bool = false;
const CALL: bool = true;

fn direct<const IS_CALL: bool, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    transfer::<IS_CALL, T>(cpu, biu, insn.disp as u16, insn.imm)
}

fn indirect<const IS_CALL: bool, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let (selector, offset) = cpu.read_far_pointer::<T>(biu, insn)?;
    transfer::<IS_CALL, T>(cpu, biu, selector, offset)
}

fn transfer<const IS_CALL: bool, T: Word>(
    cpu: &mut Cpu,
    biu: &mut Biu,
    selector: u16,
    offset: u64,
) -> Outcome {
    let how = if IS_CALL { Transfer::Call } else { Transfer::Jump };
    let wide = T::BYTES == 4;
    if cpu.protected() {
        cpu.transfer_protected(biu, how, Selector(selector), offset, wide)
    } else {
        cpu.transfer_real(biu, how, selector, offset, wide)
    }
}

fn ret<T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let parameters = insn.imm & 0xFFFF;
    let offset = cpu.stack_item::<T>(biu, 0)?;
    let selector = cpu.stack_item::<T>(biu, T::BYTES as u64)? as u16;
    let frame = 2 * T::BYTES as u64;
    if cpu.protected() {
        return cpu.return_protected::<T>(biu, Selector(selector), offset, frame + parameters, parameters);
    }
    if offset > cpu.seg[SegReg::Cs as usize].limit as u64 {
        return Err(Fault::GP0);
    }
    cpu.load_code_real(selector, offset);
    cpu.release_stack(frame + parameters);
    Ok(())
}

impl Cpu {
    /// Reads a `T` that lies `above` bytes above the stack pointer.
    pub(super) fn stack_item<T: Word>(&mut self, biu: &mut Biu, above: u64) -> Outcome<u64> {
        let at = self.gpr.full(gpr::SP).wrapping_add(above) & self.stack_mask();
        self.read::<T>(biu, SegReg::Ss, at).map(T::zx)
    }

    /// CS and EIP as a far call pushes them.
    fn return_address(&self) -> [u32; 2] {
        [self.seg[SegReg::Cs as usize].selector as u32, self.rip as u32]
    }

    /// Pushes a far return address on the current stack.
    fn push_return_address(&mut self, biu: &mut Biu, wide: bool) -> Outcome {
        let ss = self.seg[SegReg::Ss as usize];
        let (sp, frame) = (self.gpr.full(gpr::SP), self.return_address());
        let sp = self.push_frame(biu, &ss, sp, &frame, wide, self.view, Fault::SS0)?;
        self.gpr.set_masked(gpr::SP, ss.stack_mask(), sp);
        Ok(())
    }

    fn transfer_real(
        &mut self,
        biu: &mut Biu,
        how: Transfer,
        selector: u16,
        offset: u64,
        wide: bool,
    ) -> Outcome {
        let fits = offset <= self.seg[SegReg::Cs as usize].limit as u64;
        if how == Transfer::Call {
            let ss = &self.seg[SegReg::Ss as usize];
            if !self.has_room(ss, self.gpr.full(gpr::SP), 2, wide) {
                return Err(Fault::SS0);
            }
        }
        if !fits {
            return Err(Fault::GP0);
        }
        if how == Transfer::Call {
            self.push_return_address(biu, wide)?;
        }
        self.load_code_real(selector, offset);
        Ok(())
    }

    fn transfer_protected(
        &mut self,
        biu: &mut Biu,
        how: Transfer,
        selector: Selector,
        offset: u64,
        wide: bool,
    ) -> Outcome {
        let entry = self.need_descriptor(biu, selector, Fault::gp)?;
        let rights = entry.descriptor.access();
        let kind = rights.describes();
        match kind {
            Kind::Memory if rights.is_code() => return self.transfer_direct(biu, how, entry, offset, wide),
            Kind::CallGate { .. } | Kind::TaskGate | Kind::Tss { .. } => {}
            _ => return Err(Fault::gp(selector.0)),
        }
        if rights.dpl() < self.cpl || rights.dpl() < selector.rpl() {
            return Err(Fault::gp(selector.0));
        }
        let tss = match kind {
            Kind::Tss { .. } if selector.is_local() => return Err(Fault::gp(selector.0)),
            Kind::Tss { .. } => available_tss(entry)?,
            _ if !rights.present() => return Err(Fault::np(selector.0)),
            Kind::TaskGate => self.gate_tss(biu, entry.descriptor)?,
            _ => return self.transfer_by_gate(biu, how, entry),
        };
        let switch = if how == Transfer::Call { Switch::Nested } else { Switch::Jump };
        let old_flags = self.eflags.bits();
        if let Some(fault) = self.switch_task(biu, tss, switch, old_flags, None)? {
            self.deliver_fault(biu, fault);
        }
        Ok(())
    }

    /// Checks that code at the current privilege level may go to the code segment of `entry` directly.
    fn check_direct(&self, entry: &TableEntry, rpl: u8) -> Outcome {
        let rights = entry.descriptor.access();
        let allowed = if rights.is_conforming_code() {
            rights.dpl() <= self.cpl
        } else {
            rights.dpl() == self.cpl && rpl <= self.cpl
        };
        match (allowed, rights.present()) {
            (false, _) => Err(Fault::gp(entry.selector.0)),
            (_, false) => Err(Fault::np(entry.selector.0)),
            _ => Ok(()),
        }
    }

    fn transfer_direct(
        &mut self,
        biu: &mut Biu,
        how: Transfer,
        mut entry: TableEntry,
        offset: u64,
        wide: bool,
    ) -> Outcome {
        self.check_direct(&entry, entry.selector.rpl())?;
        self.transfer_same_level(biu, how, &mut entry, offset, wide)
    }

    /// Goes to a code segment that was checked, at the current privilege level.
    fn transfer_same_level(
        &mut self,
        biu: &mut Biu,
        how: Transfer,
        entry: &mut TableEntry,
        offset: u64,
        wide: bool,
    ) -> Outcome {
        let ss = &self.seg[SegReg::Ss as usize];
        if how == Transfer::Call && !self.has_room(ss, self.gpr.full(gpr::SP), 2, wide) {
            return Err(Fault::SS0);
        }
        if offset > entry.descriptor.limit() as u64 {
            return Err(Fault::GP0);
        }
        self.mark_accessed(biu, entry)?;
        if how == Transfer::Call {
            self.push_return_address(biu, wide)?;
        }
        self.seg[SegReg::Cs as usize] = entry.descriptor.segment(entry.selector.with_rpl(self.cpl));
        self.rip = offset;
        Ok(())
    }

    fn transfer_by_gate(&mut self, biu: &mut Biu, how: Transfer, gate: TableEntry) -> Outcome {
        let gate = gate.descriptor;
        let wide = gate.access().kind() & 8 != 0;
        let selector = gate.gate_selector();
        let mut code = self.need_descriptor(biu, selector, Fault::gp)?;
        let rights = code.descriptor.access();
        if !rights.is_code() || rights.dpl() > self.cpl {
            return Err(Fault::gp(selector.0));
        }
        let inner = how == Transfer::Call && !rights.is_conforming_code() && rights.dpl() < self.cpl;
        if inner {
            if !rights.present() {
                return Err(Fault::np(selector.0));
            }
            return self.call_inner(biu, code, gate.gate_offset(), wide, gate.gate_parameters());
        }
        // A gate's own RPL does not count.
        self.check_direct(&code, 0)?;
        self.transfer_same_level(biu, how, &mut code, gate.gate_offset(), wide)
    }

    /// CALL through a gate to more privileged code: on the stack of its level, with the parameters copied.
    fn call_inner(
        &mut self,
        biu: &mut Biu,
        mut code: TableEntry,
        offset: u64,
        wide: bool,
        parameters: usize,
    ) -> Outcome {
        let cpl = code.descriptor.access().dpl();
        let (ss, sp) = self.inner_stack(biu, cpl)?;
        let overflow = Fault::ss(ss.selector);
        let count = parameters + 4;
        if !self.has_room(&ss, sp, count, wide) {
            return Err(overflow);
        }
        if offset > code.descriptor.limit() as u64 {
            return Err(Fault::GP0);
        }
        let mut frame = [0; 31 + 4];
        frame[0] = self.seg[SegReg::Ss as usize].selector as u32;
        frame[1] = self.gpr.get(gpr::SP);
        for n in 0..parameters {
            // The first of them lies highest.
            let above = (parameters - 1 - n) as u64;
            frame[2 + n] = if wide {
                self.stack_item::<u32>(biu, above * 4)?
            } else {
                self.stack_item::<u16>(biu, above * 2)?
            } as u32;
        }
        frame[2 + parameters..count].copy_from_slice(&self.return_address());
        self.mark_accessed(biu, &mut code)?;
        let sp = self.push_frame(biu, &ss, sp, &frame[..count], wide, View::Supervisor, overflow)?;
        self.seg[SegReg::Ss as usize] = ss;
        self.gpr.set_masked(gpr::SP, ss.stack_mask(), sp);
        self.seg[SegReg::Cs as usize] = code.descriptor.segment(code.selector.with_rpl(cpl));
        self.rip = offset;
        self.set_cpl(cpl);
        Ok(())
    }

    /// The code segment that a far return goes to, checked and marked accessed.
    pub(super) fn return_target(&mut self, biu: &mut Biu, selector: Selector) -> Outcome<TableEntry> {
        let mut entry = self.need_descriptor(biu, selector, Fault::gp)?;
        let rights = entry.descriptor.access();
        let matches = if rights.is_conforming_code() {
            rights.dpl() <= selector.rpl()
        } else {
            rights.is_code() && rights.dpl() == selector.rpl()
        };
        if selector.rpl() < self.cpl || !matches {
            return Err(Fault::gp(selector.0));
        }
        if !rights.present() {
            return Err(Fault::np(selector.0));
        }
        self.mark_accessed(biu, &mut entry)?;
        Ok(entry)
    }

    fn return_protected<T: Word>(
        &mut self,
        biu: &mut Biu,
        selector: Selector,
        offset: u64,
        released: u64,
        parameters: u64,
    ) -> Outcome {
        let code = self.return_target(biu, selector)?;
        if selector.rpl() == self.cpl {
            if offset > code.descriptor.limit() as u64 {
                return Err(Fault::GP0);
            }
            self.seg[SegReg::Cs as usize] = code.descriptor.segment(selector.0);
            self.rip = offset;
            self.release_stack(released);
            return Ok(());
        }
        self.return_outer::<T>(biu, code, offset, released)?;
        // The parameters are released from both stacks.
        self.release_stack(parameters);
        Ok(())
    }

    /// The part of RET and IRET to less privileged code that they share: SS:ESP lie `above` bytes above the stack
    /// pointer. Loads CS:EIP, SS:ESP and CPL, and takes away data segments that the outer level may not use.
    pub(super) fn return_outer<T: Word>(
        &mut self,
        biu: &mut Biu,
        code: TableEntry,
        offset: u64,
        above: u64,
    ) -> Outcome {
        let sp = self.stack_item::<T>(biu, above)?;
        let ss = self.stack_item::<T>(biu, above + T::BYTES as u64)? as u16;
        let cpl = code.selector.rpl();
        let ss = self.stack_segment(biu, Selector(ss), cpl, Fault::gp)?;
        if offset > code.descriptor.limit() as u64 {
            return Err(Fault::GP0);
        }
        self.seg[SegReg::Cs as usize] = code.descriptor.segment(code.selector.0);
        self.rip = offset;
        self.seg[SegReg::Ss as usize] = ss;
        // A 16-bit stack leaves the upper half of ESP as the inner level had it.
        self.gpr.set_masked(gpr::SP, ss.stack_mask(), sp);
        self.set_cpl(cpl);
        for r in [SegReg::Es, SegReg::Fs, SegReg::Gs, SegReg::Ds] {
            self.null_if_privileged(r);
        }
        Ok(())
    }

    /// What the new CPL may not use becomes null.
    fn null_if_privileged(&mut self, register: SegReg) {
        let s: &mut Segment = &mut self.seg[register as usize];
        if s.is_taken_away(self.cpl) {
            *s = s.nulled(0);
        }
    }
}
