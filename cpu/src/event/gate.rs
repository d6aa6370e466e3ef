//! Delivery through the interrupt descriptor table: interrupt, trap and task gates, with stack switches.
//!
//! SDM Vol. 2A, "INT n/INTO/INT3/INT1" (Operation); Vol. 3A, "Exception- and Interrupt-Handler Procedures".

use super::task::Switch;
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::event::exception::{Fault, Outcome, vector};
use crate::mmu::tlb::View;
use crate::report::{Cause, Event};
use crate::state::descriptor::{Descriptor, Kind, Selector};
use crate::state::eflags::bit;
use crate::state::gpr;
use crate::state::segment::{SegReg, Segment};

/// What a gate says about its handler.
struct Gate {
    wide: bool,
    /// An interrupt gate clears IF.
    masks: bool,
    descriptor: Descriptor,
}

impl Cpu {
    /// Enters the handler of `event` through its gate. `Ok(Some(fault))` is a fault in a new task.
    pub(super) fn enter_by_gate(&mut self, biu: &mut Biu, event: Event) -> Outcome<Option<Fault>> {
        let at = event.vector as u64 * 8;
        // IDT bit set: the index counts in the interrupt descriptor table.
        let index = at as u16 | 2;
        if at + 7 > self.idtr.limit as u64 {
            return Err(Fault::coded(vector::GP, index));
        }
        let descriptor = Descriptor(self.read_system(biu, self.idtr.base + at)?);
        let access = descriptor.access();
        let kind = access.describes();
        let (wide, masks) = match kind {
            Kind::InterruptGate { wide } => (wide, true),
            Kind::TrapGate { wide } => (wide, false),
            Kind::TaskGate => (false, false),
            _ => return Err(Fault::coded(vector::GP, index)),
        };
        if event.cause.is_software() && access.dpl() < self.cpl {
            return Err(Fault::coded(vector::GP, index));
        }
        if !access.present() {
            return Err(Fault::coded(vector::NP, index));
        }
        if kind == Kind::TaskGate {
            let tss = self.gate_tss(biu, descriptor)?;
            let old_flags = self.flags_image(event);
            return self.switch_task(biu, tss, Switch::Nested, old_flags, event.error);
        }
        self.enter_procedure(biu, event, Gate { wide, masks, descriptor }).map(|()| None)
    }

    /// EFLAGS as delivery of `event` saves them. SDM Vol. 3B, "Instruction-Breakpoint Exception Condition".
    fn flags_image(&self, event: Event) -> u32 {
        let resume = event.cause == Cause::Fault || self.repeat_suspended();
        self.eflags.bits() | if resume { bit::RF } else { 0 }
    }

    fn enter_procedure(&mut self, biu: &mut Biu, event: Event, gate: Gate) -> Outcome {
        let selector = gate.descriptor.gate_selector();
        let mut code = self.need_descriptor(biu, selector, Fault::gp)?;
        let rights = code.descriptor.access();
        if !rights.is_code() || rights.dpl() > self.cpl {
            return Err(Fault::gp(selector.0));
        }
        if !rights.present() {
            return Err(Fault::np(selector.0));
        }
        let inner = !rights.is_conforming_code() && rights.dpl() < self.cpl;
        let from_v86 = self.v8086();
        if from_v86 && (!inner || rights.dpl() != 0) {
            return Err(Fault::gp(selector.0));
        }
        let cpl = if inner { rights.dpl() } else { self.cpl };
        let (ss, sp, view, overflow) = if inner {
            let (ss, sp) = self.inner_stack(biu, cpl)?;
            (ss, sp, View::Supervisor, Fault::ss(ss.selector))
        } else {
            (self.seg[SegReg::Ss as usize], self.gpr.full(gpr::SP), self.view, Fault::SS0)
        };
        let offset = gate.descriptor.gate_offset();

        let mut frame = [0; 10];
        let mut count = 0;
        let mut push = |v: u32| {
            frame[count] = v;
            count += 1;
        };
        if from_v86 {
            for s in [SegReg::Gs, SegReg::Fs, SegReg::Ds, SegReg::Es] {
                push(self.seg[s as usize].selector as u32);
            }
        }
        if inner {
            push(self.seg[SegReg::Ss as usize].selector as u32);
            push(self.gpr.get(gpr::SP));
        }
        push(self.flags_image(event));
        push(self.seg[SegReg::Cs as usize].selector as u32);
        push(self.rip as u32);
        if let Some(error) = event.error {
            push(error as u32);
        }
        let frame = &frame[..count];
        if !self.has_room(&ss, sp, frame.len(), gate.wide) {
            return Err(overflow);
        }
        if offset > code.descriptor.limit() as u64 {
            return Err(Fault::GP0);
        }
        self.mark_accessed(biu, &mut code)?;
        let sp = self.push_frame(biu, &ss, sp, frame, gate.wide, view, overflow)?;

        if from_v86 {
            for s in [SegReg::Gs, SegReg::Fs, SegReg::Ds, SegReg::Es] {
                self.seg[s as usize] = Segment::null(0);
            }
        }
        self.seg[SegReg::Ss as usize] = ss;
        self.gpr.set_masked(gpr::SP, ss.stack_mask(), sp);
        self.seg[SegReg::Cs as usize] = code.descriptor.segment(selector.with_rpl(cpl));
        self.rip = offset;
        let cleared = bit::TF | bit::VM | bit::RF | bit::NT | if gate.masks { bit::IF } else { 0 };
        self.cpl = cpl;
        self.set_eflags(self.eflags.bits() & !cleared);
        Ok(())
    }

    /// The stack that the current TSS holds for privilege level `cpl`, for a transfer to more privileged code:
    /// segment (marked accessed) and pointer. SDM Vol. 3A, "Stack Switching".
    pub(crate) fn inner_stack(&mut self, biu: &mut Biu, cpl: u8) -> Outcome<(Segment, u64)> {
        let tss = self.tr.selector;
        let wide = self.tr.access.kind() & 8 != 0;
        let (at, size) = if wide { (cpl as u64 * 8 + 4, 6) } else { (cpl as u64 * 4 + 2, 4) };
        if at + size - 1 > self.tr.limit as u64 {
            return Err(Fault::ts(tss));
        }
        let base = self.tr.base + at;
        let (sp, selector) = if wide {
            (self.read_system::<u32>(biu, base)? as u64, self.read_system::<u16>(biu, base + 4)?)
        } else {
            (self.read_system::<u16>(biu, base)? as u64, self.read_system::<u16>(biu, base + 2)?)
        };
        Ok((self.stack_segment(biu, Selector(selector), cpl, Fault::ts)?, sp))
    }
}
