//! Virtual-8086 mode extensions: redirected software interrupts and the virtual interrupt flag.
//!
//! SDM Vol. 3B, "8086 Emulation": "Interrupt and Exception Handling in Virtual-8086 Mode".

use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::event::exception::{Fault, Outcome};
use crate::exec::portio::IO_MAP_BASE;
use crate::report::Event;
use crate::state::control::cr4;
use crate::state::eflags::bit;

impl Cpu {
    /// INT n in virtual-8086 mode, by the table "Software Interrupt Handling Methods While in Virtual-8086 Mode".
    pub(super) fn v86_software_interrupt(&mut self, biu: &mut Biu, event: Event) -> Outcome<Option<Fault>> {
        if self.cr4 & cr4::VME != 0 && !self.redirection_bit(biu, event.vector)? {
            // To the 8086 program's own handler, by the vector table at linear address 0.
            return self.enter_by_vector(biu, 0, event).map(|()| None);
        }
        if self.eflags.iopl() < 3 {
            return Err(Fault::GP0);
        }
        self.enter_by_gate(biu, event)
    }

    /// The bit of `vector` in the software interrupt redirection bit map, the 32 bytes below the I/O permission
    /// bit map in the current TSS. A TSS that does not hold it raises #GP(0).
    fn redirection_bit(&mut self, biu: &mut Biu, vector: u8) -> Outcome<bool> {
        let limit = self.tr.limit as u64;
        if !self.tr.access.is_tss32() || limit <= IO_MAP_BASE {
            return Err(Fault::GP0);
        }
        let map: u16 = self.read_system(biu, self.tr.base + IO_MAP_BASE)?;
        let at = (map as u64 + vector as u64 / 8).checked_sub(32).filter(|at| *at <= limit);
        let byte: u8 = self.read_system(biu, self.tr.base + at.ok_or(Fault::GP0)?)?;
        Ok(byte >> (vector % 8) & 1 != 0)
    }

    /// FLAGS as virtual-8086 mode shows them with IOPL below 3 and the extensions on: IOPL reads as 3 and IF as
    /// the virtual interrupt flag.
    pub(crate) fn virtual_flags_image(&self) -> u32 {
        let flags = self.eflags.bits();
        let virtual_if = if flags & bit::VIF != 0 { bit::IF } else { 0 };
        flags & !bit::IF | bit::IOPL | virtual_if
    }
}
