//! The descriptor tables in memory: finding, reading and marking descriptors.
//!
//! SDM Vol. 3A, "Segment Descriptor Tables".

use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::event::exception::{Fault, Outcome};
use crate::state::descriptor::{Descriptor, Selector};

/// A descriptor with the selector that led to it and its place in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableEntry {
    pub selector: Selector,
    pub descriptor: Descriptor,
    at: u64,
}

impl Cpu {
    /// The descriptor that `selector` names; `None` if it lies outside its table or there is no LDT. The null
    /// selector is not treated apart.
    pub(crate) fn find_descriptor(
        &mut self,
        biu: &mut Biu,
        selector: Selector,
    ) -> Outcome<Option<TableEntry>> {
        let (base, limit) = match (selector.is_local(), self.ldtr.access.present()) {
            (false, _) => (self.gdtr.base, self.gdtr.limit as u64),
            (true, true) => (self.ldtr.base, self.ldtr.limit as u64),
            (true, false) => return Ok(None),
        };
        if selector.offset() + 7 > limit {
            return Ok(None);
        }
        let at = base + selector.offset();
        let descriptor = Descriptor(self.read_system(biu, at)?);
        Ok(Some(TableEntry { selector, descriptor, at }))
    }

    /// The descriptor that `selector` names; the null selector and one outside its table raise `fault`.
    pub(crate) fn need_descriptor(
        &mut self,
        biu: &mut Biu,
        selector: Selector,
        fault: fn(u16) -> Fault,
    ) -> Outcome<TableEntry> {
        if selector.is_null() {
            return Err(fault(0));
        }
        self.find_descriptor(biu, selector)?.ok_or(fault(selector.0))
    }

    /// Sets the accessed bit of a code or data segment where it is clear.
    pub(crate) fn mark_accessed(&mut self, biu: &mut Biu, entry: &mut TableEntry) -> Outcome {
        if entry.descriptor.0 & Descriptor::ACCESSED == 0 {
            self.set_type_bit(biu, entry, Descriptor::ACCESSED, true)?;
        }
        Ok(())
    }

    /// Sets or clears the busy bit of a TSS.
    pub(crate) fn mark_busy(&mut self, biu: &mut Biu, entry: &mut TableEntry, busy: bool) -> Outcome {
        self.set_type_bit(biu, entry, Descriptor::BUSY, busy)
    }

    /// Changes a bit of the type field. Only that byte is written: the rest may have changed since.
    fn set_type_bit(&mut self, biu: &mut Biu, entry: &mut TableEntry, mask: u64, on: bool) -> Outcome {
        let bits = if on { entry.descriptor.0 | mask } else { entry.descriptor.0 & !mask };
        self.write_system(biu, entry.at + 5, (bits >> 40) as u8)?;
        entry.descriptor.0 = bits;
        Ok(())
    }

    /// Checks that the descriptor's type byte can be written.
    pub(crate) fn probe_entry(&mut self, biu: &mut Biu, entry: &TableEntry) -> Outcome {
        use crate::mmu::{Access, tlb::View};
        self.probe(biu, entry.at + 5, 1, Access::Write, View::Supervisor)
    }
}
