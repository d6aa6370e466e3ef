//! Delivery of exceptions and interrupts: what comes first, what follows from a fault on the way, and the real-mode
//! vector table. The interrupt descriptor table is in `gate`.
//!
//! SDM Vol. 3A, "Interrupt and Exception Handling"; Vol. 2A, "INT n/INTO/INT3/INT1".

use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::event::exception::{Class, Fault, Outcome, vector};
use crate::report::{Cause, Event};
use crate::state::control::dr7;
use crate::state::eflags::bit;
use crate::state::gpr;
use crate::state::segment::SegReg;

/// Exceptions handled in turn before delivery gives up for this instruction. A handler at CPL 3 whose stack is
/// misaligned raises #AC again and again; a processor hangs there, we let the run loop see its budget.
const IN_TURN: usize = 8;

impl Cpu {
    /// Delivers an exception that the current instruction raised; `rip` is that instruction.
    #[cold]
    pub fn deliver_fault(&mut self, biu: &mut Biu, fault: Fault) {
        // Data breakpoints that the instruction met will be met again when it is restarted.
        self.pending_debug = 0;
        let event = Event { vector: fault.vector, error: fault.error, cause: Cause::Fault };
        self.deliver(biu, event, Class::of(fault.vector));
    }

    /// Delivers an external interrupt or NMI.
    pub fn deliver_interrupt(&mut self, biu: &mut Biu, vector: u8) {
        self.halted = false;
        self.deliver(biu, Event { vector, error: None, cause: Cause::Interrupt }, Class::Benign);
    }

    /// Delivers the debug traps that are pending.
    pub fn deliver_debug_trap(&mut self, biu: &mut Biu) {
        self.halted = false;
        self.dr6 |= std::mem::take(&mut self.pending_debug);
        let event = Event { vector: vector::DB, error: None, cause: Cause::Trap };
        self.deliver(biu, event, Class::Benign);
    }

    /// Delivers the debug fault of an instruction breakpoint: RF stays clear in the pushed image, the handler
    /// sets it. SDM Vol. 3B, "Instruction-Breakpoint Exception Condition".
    pub(crate) fn deliver_instruction_breakpoint(&mut self, biu: &mut Biu) {
        let event = Event { vector: vector::DB, error: None, cause: Cause::Trap };
        self.deliver(biu, event, Class::Benign);
    }

    /// INT n: `rip` is the instruction behind.
    pub fn software_interrupt(&mut self, biu: &mut Biu, vector: u8) -> Outcome {
        self.raise(biu, Event { vector, error: None, cause: Cause::SoftwareInterrupt })
    }

    /// INT3 and INTO: `rip` is the instruction behind.
    pub fn software_exception(&mut self, biu: &mut Biu, vector: u8) -> Outcome {
        self.raise(biu, Event { vector, error: None, cause: Cause::SoftwareException })
    }

    /// INT1: `rip` is the instruction behind.
    pub fn hardware_breakpoint(&mut self, biu: &mut Biu) -> Outcome {
        self.raise(biu, Event { vector: vector::DB, error: None, cause: Cause::Trap })
    }

    /// Delivers an event that is itself what an instruction does: a fault on the way is the instruction's.
    fn raise(&mut self, biu: &mut Biu, event: Event) -> Outcome {
        self.suppress_step = true;
        if let Some(fault) = self.enter_handler(biu, event)? {
            self.deliver_fault(biu, fault);
        }
        Ok(())
    }

    /// Delivers `event`, and the exceptions that arise on the way. Each handler that is entered or missed is a
    /// unit of work, so that a storm of faults cannot keep the run loop from its budget.
    fn deliver(&mut self, biu: &mut Biu, event: Event, class: Class) {
        let (mut event, mut class) = (event, class);
        for _ in 0..IN_TURN {
            let entered = self.enter_handler(biu, event);
            self.retired += 1;
            let next = match entered {
                Ok(None) => break,
                Ok(Some(fault)) | Err(fault) => fault,
            };
            let next = match (class, Class::of(next.vector)) {
                (Class::DoubleFault, Class::Contributory | Class::PageFault) => {
                    self.shutdown = true;
                    break;
                }
                (Class::Contributory, Class::Contributory)
                | (Class::PageFault, Class::Contributory | Class::PageFault) => Fault::DF,
                _ => next,
            };
            class = Class::of(next.vector);
            event = Event { vector: next.vector, error: next.error, cause: Cause::Fault };
        }
        self.attend();
    }

    /// Enters the handler of `event`. On `Err` nothing has changed; `Ok(Some(fault))` is a fault that a new task
    /// raised before its first instruction.
    fn enter_handler(&mut self, biu: &mut Biu, event: Event) -> Outcome<Option<Fault>> {
        if self.reports.events {
            biu.bus.event(event, self.now());
            self.sample_pins(biu);
        }
        let external = !event.cause.is_software();
        let entered = if self.real_mode() {
            self.enter_by_vector(biu, self.idtr.base, event).map(|()| None)
        } else if self.v8086() && event.cause == Cause::SoftwareInterrupt {
            self.v86_software_interrupt(biu, event)
        } else {
            self.enter_by_gate(biu, event)
        };
        let entered = match entered {
            Ok(Some(fault)) if external => Ok(Some(fault.external())),
            Err(fault) if external => Err(fault.external()),
            other => other,
        };
        if entered.is_ok() && event.vector == vector::DB && external {
            self.dr7 &= !dr7::GD;
        }
        entered
    }

    /// Enters a handler by the 8086 vector table at `table`, in real mode and, for redirected interrupts, in
    /// virtual-8086 mode. SDM Vol. 3B, "Interrupt and Exception Handling" of real-address mode.
    pub(super) fn enter_by_vector(&mut self, biu: &mut Biu, table: u64, event: Event) -> Outcome {
        let at = event.vector as u64 * 4;
        if self.real_mode() && at + 3 > self.idtr.limit as u64 {
            return Err(Fault::GP0);
        }
        let entry: u32 = self.read_system(biu, table + at)?;
        let old = self.eflags.bits();
        // With IOPL below 3 the virtual interrupt flag stands for the real one. SDM Vol. 3B, "Software Interrupt
        // Handling Methods in Virtual-8086 Mode", method 6.
        let virtual_if = self.v8086() && self.eflags.iopl() < 3;
        let image = if virtual_if { self.virtual_flags_image() } else { old };
        let interrupt_flag = if virtual_if { bit::VIF } else { bit::IF };
        let cs = self.seg[SegReg::Cs as usize].selector as u32;
        let frame = [image, cs, self.rip as u32];
        let ss = self.seg[SegReg::Ss as usize];
        let sp = self.gpr.full(gpr::SP);
        let sp = self.push_frame(biu, &ss, sp, &frame, false, self.view, Fault::SS0)?;
        self.gpr.set_masked(gpr::SP, ss.stack_mask(), sp);
        let cleared = interrupt_flag | bit::TF | bit::RF | if self.real_mode() { bit::AC } else { 0 };
        self.set_eflags(old & !cleared);
        self.load_code_real((entry >> 16) as u16, entry as u64 & 0xFFFF);
        Ok(())
    }
}
