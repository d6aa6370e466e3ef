//! Selectors and descriptors: what the descriptor tables hold.
//!
//! SDM Vol. 3A, "Segment Selectors", "Segment Descriptors", "System Descriptor Types", "Gate Descriptors".

use super::segment::{AccessRights, Segment};

/// A segment selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selector(pub u16);

impl Selector {
    /// Requested privilege level.
    pub const fn rpl(self) -> u8 {
        (self.0 & 3) as u8
    }
    /// It names a descriptor of the LDT.
    pub const fn is_local(self) -> bool {
        self.0 & 4 != 0
    }
    /// It names the first descriptor of the GDT, whatever its RPL.
    pub const fn is_null(self) -> bool {
        self.0 & 0xFFFC == 0
    }
    /// Byte offset of its descriptor in the table.
    pub const fn offset(self) -> u64 {
        (self.0 & 0xFFF8) as u64
    }
    /// With RPL replaced.
    pub const fn with_rpl(self, rpl: u8) -> u16 {
        self.0 & 0xFFFC | rpl as u16 & 3
    }
}

/// What a descriptor describes. `wide` is true for the 32-bit types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A code or data segment.
    Memory,
    /// A task-state segment.
    Tss {
        /// 32-bit.
        wide: bool,
        /// The task runs or waits for a nested one to return.
        busy: bool,
    },
    /// A local descriptor table.
    Ldt,
    /// A call gate.
    CallGate {
        /// 32-bit.
        wide: bool,
    },
    /// A task gate.
    TaskGate,
    /// An interrupt gate.
    InterruptGate {
        /// 32-bit.
        wide: bool,
    },
    /// A trap gate.
    TrapGate {
        /// 32-bit.
        wide: bool,
    },
    /// A system type that is reserved.
    Reserved,
}

impl AccessRights {
    /// What the descriptor describes.
    pub const fn describes(self) -> Kind {
        if self.is_code_or_data() {
            return Kind::Memory;
        }
        let wide = self.kind() & 8 != 0;
        match self.kind() {
            1 | 9 => Kind::Tss { wide, busy: false },
            3 | 11 => Kind::Tss { wide, busy: true },
            2 => Kind::Ldt,
            4 | 12 => Kind::CallGate { wide },
            5 => Kind::TaskGate,
            6 | 14 => Kind::InterruptGate { wide },
            7 | 15 => Kind::TrapGate { wide },
            _ => Kind::Reserved,
        }
    }
}

/// The eight bytes of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor(pub u64);

impl Descriptor {
    /// The accessed bit of a code or data segment.
    pub const ACCESSED: u64 = 1 << 40;
    /// The busy bit of a TSS.
    pub const BUSY: u64 = 1 << 41;

    /// Access rights.
    pub const fn access(self) -> AccessRights {
        AccessRights((self.0 >> 40) as u16 & 0xF0FF)
    }
    /// Linear address of the segment's first byte.
    pub const fn base(self) -> u64 {
        self.0 >> 16 & 0xFF_FFFF | self.0 >> 32 & 0xFF00_0000
    }
    /// The limit in bytes.
    pub const fn limit(self) -> u32 {
        let limit = (self.0 & 0xFFFF | self.0 >> 32 & 0xF_0000) as u32;
        if self.access().granular() { limit << 12 | 0xFFF } else { limit }
    }
    /// The same with another privilege level.
    pub const fn with_dpl(self, dpl: u8) -> Descriptor {
        Descriptor(self.0 & !(3 << 45) | (dpl as u64 & 3) << 45)
    }
    /// The segment register that a load of `selector` gives.
    pub fn segment(self, selector: u16) -> Segment {
        Segment::new(selector, self.base(), self.limit(), self.access())
    }

    /// Of a gate: the selector of the procedure's code segment or of the task's TSS.
    pub const fn gate_selector(self) -> Selector {
        Selector((self.0 >> 16) as u16)
    }
    /// Of a gate: the offset of the entry point.
    pub const fn gate_offset(self) -> u64 {
        let high = if self.access().kind() & 8 != 0 { self.0 >> 32 & 0xFFFF_0000 } else { 0 };
        self.0 & 0xFFFF | high
    }
    /// Of a call gate: how many parameters are copied, 0 to 31.
    pub const fn gate_parameters(self) -> usize {
        (self.0 >> 32) as usize & 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_segment_descriptor() {
        let d = Descriptor(0x12CF_9A34_5678_9ABC);
        assert_eq!((d.base(), d.limit(), d.access().0), (0x1234_5678, 0xF9AB_CFFF, 0xC09A));
        let d = Descriptor(0x0007_92FF_0000_1234);
        assert_eq!((d.base(), d.limit()), (0xFF_0000, 0x7_1234));
    }

    #[test]
    fn fields_of_a_gate() {
        let d = Descriptor(0x1234_EC05_0008_5678);
        assert_eq!(d.access().describes(), Kind::CallGate { wide: true });
        assert_eq!((d.gate_selector().0, d.gate_offset(), d.gate_parameters()), (8, 0x1234_5678, 5));
        let d = Descriptor(0x1234_8405_0008_5678);
        assert_eq!(d.gate_offset(), 0x5678, "a 16-bit gate has a 16-bit offset");
    }
}
