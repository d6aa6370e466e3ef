//! Stack frames of events and far calls: checked as a whole, then written.

use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::event::exception::{Fault, Outcome};
use crate::mmu::{Access, tlb::View};
use crate::state::segment::Segment;

impl Cpu {
    /// Whether `count` items can be pushed on the stack `ss` below `sp` as far as segmentation goes.
    pub(crate) fn has_room(&self, ss: &Segment, sp: u64, count: usize, wide: bool) -> bool {
        let size = item_size(wide);
        (1..=count as u64)
            .all(|n| ss.write.contain(sp.wrapping_sub(n * size) & ss.stack_mask(), size as usize))
    }

    /// Pushes `items` (32-bit if `wide`) on the stack `ss` below `sp` with the privilege of `view`, and gives the
    /// new stack pointer. No room raises `overflow`. Every page is checked before the first is written, so a
    /// fault finds nothing changed; registers are left to the caller.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn push_frame(
        &mut self,
        biu: &mut Biu,
        ss: &Segment,
        sp: u64,
        items: &[u32],
        wide: bool,
        view: View,
        overflow: Fault,
    ) -> Outcome<u64> {
        if !self.has_room(ss, sp, items.len(), wide) {
            return Err(overflow);
        }
        let (mask, size) = (ss.stack_mask(), item_size(wide));
        for n in 1..=items.len() as u64 {
            let offset = sp.wrapping_sub(n * size) & mask;
            self.check_alignment(offset.wrapping_add(ss.base), size as usize, view)?;
            self.probe(biu, ss.base + offset, size as usize, Access::Write, view)?;
        }
        let mut sp = sp & mask;
        for item in items {
            sp = sp.wrapping_sub(size) & mask;
            let linear = (ss.base + sp) & self.linear_mask;
            if wide {
                self.write_as(biu, linear, *item, view)?;
            } else {
                self.write_as(biu, linear, *item as u16, view)?;
            }
        }
        Ok(sp)
    }
}

/// Bytes of a frame's item.
fn item_size(wide: bool) -> u64 {
    if wide { 4 } else { 2 }
}
