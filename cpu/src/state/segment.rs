//! Segment registers with their descriptor caches, and the descriptor-table registers.

use serde::{Deserialize, Serialize};

/// A segment register's number, as instructions encode it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum SegReg {
    /// Extra segment.
    Es = 0,
    /// Code segment.
    Cs = 1,
    /// Stack segment.
    Ss = 2,
    /// Data segment.
    Ds = 3,
    /// Additional data segment.
    Fs = 4,
    /// Additional data segment.
    Gs = 5,
}

impl SegReg {
    /// All six, in encoding order.
    pub const ALL: [SegReg; 6] = [SegReg::Es, SegReg::Cs, SegReg::Ss, SegReg::Ds, SegReg::Fs, SegReg::Gs];

    /// From the reg field of ModRM; 6 and 7 name no segment register.
    pub fn from_encoding(n: u8) -> Option<SegReg> {
        Self::ALL.get(n as usize).copied()
    }
}

/// Access rights of a descriptor: its bits 40 to 47 and 52 to 55, at bits 0 to 7 and 12 to 15.
/// SDM Vol. 3A, "Segment Descriptors".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRights(pub u16);

impl AccessRights {
    /// Type field, 0 to 15.
    pub const fn kind(self) -> u8 {
        (self.0 & 15) as u8
    }
    /// Code or data, not system.
    pub const fn is_code_or_data(self) -> bool {
        self.0 & 0x10 != 0
    }
    /// Descriptor privilege level.
    pub const fn dpl(self) -> u8 {
        (self.0 >> 5) as u8 & 3
    }
    /// Present.
    pub const fn present(self) -> bool {
        self.0 & 0x80 != 0
    }
    /// Code segment.
    pub const fn is_code(self) -> bool {
        self.0 & 0x18 == 0x18
    }
    /// Data segment.
    pub const fn is_data(self) -> bool {
        self.0 & 0x18 == 0x10
    }
    /// Data segment that may be written.
    pub const fn is_writable_data(self) -> bool {
        self.0 & 0x1A == 0x12
    }
    /// Data segment that grows down.
    pub const fn is_expand_down(self) -> bool {
        self.0 & 0x1C == 0x14
    }
    /// Code segment that any less privileged code may enter without changing CPL.
    pub const fn is_conforming_code(self) -> bool {
        self.0 & 0x1C == 0x1C
    }
    /// Data segment, or code segment that may be read.
    pub const fn is_readable(self) -> bool {
        self.is_data() || self.0 & 0x1A == 0x1A
    }
    /// 32-bit TSS, available or busy.
    pub const fn is_tss32(self) -> bool {
        self.0 & 0x1D == 0x09
    }
    /// 64-bit code segment.
    pub const fn long(self) -> bool {
        self.0 & 0x2000 != 0
    }
    /// D/B: 32-bit default size, or stack pointer, or upper bound.
    pub const fn big(self) -> bool {
        self.0 & 0x4000 != 0
    }
    /// The limit counts 4-KiB pages.
    pub const fn granular(self) -> bool {
        self.0 & 0x8000 != 0
    }
}

/// Offsets at which an access may start and end; empty when `min > max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(C)]
pub struct Bounds {
    /// First valid offset.
    pub min: u32,
    /// Last valid offset.
    pub max: u32,
}

impl Bounds {
    /// Nothing is valid.
    pub const NONE: Bounds = Bounds { min: 1, max: 0 };

    /// Whether `[offset, offset + size)` is inside.
    #[inline(always)]
    pub fn contain(self, offset: u64, size: usize) -> bool {
        offset >= self.min as u64 && offset + (size as u64 - 1) <= self.max as u64
    }
}

/// A segment register: the visible selector and the hidden descriptor cache.
///
/// The bounds are derived from limit and access rights when the register is loaded, so that one comparison
/// decides an access: expand-down, unreadable, read-only and unusable segments are merely other bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(C)]
pub struct Segment {
    /// The visible part.
    pub selector: u16,
    /// Access rights.
    pub access: AccessRights,
    /// The limit in bytes, after granularity.
    pub limit: u32,
    /// Linear address of offset 0.
    pub base: u64,
    /// Where reads are allowed.
    pub read: Bounds,
    /// Where writes are allowed.
    pub write: Bounds,
}

impl Segment {
    /// A register that was never loaded: every access through it faults.
    pub fn null(selector: u16) -> Self {
        Segment {
            selector,
            access: AccessRights(0),
            limit: 0,
            base: 0,
            read: Bounds::NONE,
            write: Bounds::NONE,
        }
    }

    /// From base, limit and access rights as a descriptor holds them.
    pub fn new(selector: u16, base: u64, limit: u32, access: AccessRights) -> Self {
        let mut s = Segment { selector, access, limit, base, read: Bounds::NONE, write: Bounds::NONE };
        s.derive_bounds(true);
        s
    }

    /// As real mode and virtual-8086 mode use it: base is the selector times 16, and only the limit is checked.
    pub fn real(selector: u16, limit: u32, access: AccessRights) -> Self {
        let mut s = Segment::new(selector, (selector as u64) << 4, limit, access);
        s.derive_bounds(false);
        s
    }

    /// As virtual-8086 mode loads it.
    pub fn v86(selector: u16) -> Self {
        Segment::real(selector, 0xFFFF, Self::V86_DATA)
    }

    /// After a load of a null selector: nothing can be accessed in protected mode. The limit stays, so that a
    /// program which goes on to real mode finds the limit that it had loaded.
    pub fn nulled(self, selector: u16) -> Self {
        Segment { limit: self.limit, ..Segment::null(selector) }
    }

    /// Whether a return to code at privilege level `cpl` makes it null: a data or non-conforming code segment with a
    /// lower DPL. SDM Vol. 2B, "RET".
    pub fn is_taken_away(&self, cpl: u8) -> bool {
        let a = self.access;
        a.is_code_or_data() && !a.is_conforming_code() && a.dpl() < cpl
    }

    /// A data segment register after a load in real mode, which changes selector and base. Limit, granularity and
    /// size stay: software makes use of segments that were loaded in protected mode ("unreal mode").
    pub fn reloaded_real(self, selector: u16) -> Self {
        Segment::real(selector, self.limit, AccessRights(self.access.0 & 0xF000 | Self::RESET_DATA.0))
    }

    /// A present, writable, accessed data segment at DPL 0: what reset loads.
    pub const RESET_DATA: AccessRights = AccessRights(0x93);
    /// What virtual-8086 mode loads: present, writable, accessed data at DPL 3.
    pub const V86_DATA: AccessRights = AccessRights(0xF3);

    /// Recomputes the bounds from limit and access rights. `typed` says whether presence and type count: they
    /// do in protected mode and do not in real and virtual-8086 mode.
    pub fn derive_bounds(&mut self, typed: bool) {
        let a = self.access;
        let all = if a.is_expand_down() {
            match self.limit.checked_add(1) {
                Some(min) => Bounds { min, max: if a.big() { u32::MAX } else { 0xFFFF } },
                None => Bounds::NONE,
            }
        } else {
            Bounds { min: 0, max: self.limit }
        };
        let usable = a.present() && a.is_code_or_data();
        self.read = if !typed || usable && a.is_readable() { all } else { Bounds::NONE };
        self.write = if !typed || usable && a.is_writable_data() { all } else { Bounds::NONE };
    }

    /// The mask of the stack pointer that this stack segment uses.
    pub fn stack_mask(&self) -> u64 {
        if self.access.big() { 0xFFFF_FFFF } else { 0xFFFF }
    }
}

/// GDTR or IDTR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[repr(C)]
pub struct TableRegister {
    /// Linear address of the table.
    pub base: u64,
    /// Offset of its last byte.
    pub limit: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expand_down_is_valid_above_the_limit() {
        let s = Segment::new(8, 0, 0x0FFF, AccessRights(0x96));
        assert!(!s.read.contain(0x0FFF, 1));
        assert!(s.read.contain(0x1000, 1));
        assert!(s.read.contain(0xFFFE, 2));
        assert!(!s.read.contain(0xFFFF, 2));
        let s = Segment::new(8, 0, 0x0FFF, AccessRights(0x4096));
        assert!(s.write.contain(0xFFFF_FFFC, 4));
    }

    #[test]
    fn type_decides_what_is_allowed() {
        let read_only = Segment::new(8, 0, 0xFF, AccessRights(0x90));
        assert!(read_only.read.contain(0xFF, 1) && !read_only.write.contain(0, 1));
        let execute_only = Segment::new(8, 0, 0xFF, AccessRights(0x98));
        assert!(!execute_only.read.contain(0, 1) && !execute_only.write.contain(0, 1));
        assert!(!Segment::null(0).read.contain(0, 1));
    }
}
