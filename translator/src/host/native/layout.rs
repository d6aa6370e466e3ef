//! The memory and the segments that a case sees: constants that the oracle and the code under test share.
//!
//! The guest owns [`REGION_BYTES`] of linear address space. Linear addresses here are relative to the start
//! of that region: the host adds the place where it put it. Behind them stand three pages of storage: one of
//! code, and the two of the *window*, which hold everything that a case can read or write.
//!
//! ```text
//! linear    00000  unmapped (guard)
//!           18000  code page, read-only
//!           20000  window, upper page         <- the data segments start here or a little above, and
//!           2e000  window, lower page, read-only  every one of them therefore sees the window twice:
//!           2f000  window, lower page             around its offset 0 and around its offset 10000h
//!           30000  window, upper page
//!           3e000  window, lower page, read-only
//!           3f000  window, lower page
//!           40000  window, upper page
//!           50000  the host's way out, outside every segment
//! ```
//!
//! So a 16-bit offset that wraps lands where an unwrapped one would continue, and an access may leave the
//! mapped part upwards into a page that is not present or downwards into one that is read-only.

/// Bytes in a page.
pub const PAGE_BYTES: u32 = 0x1000;

/// Bytes of linear address space reserved for the guest.
pub const REGION_BYTES: u32 = 0x6_0000;

/// Bytes of data that a case sees: the lower page of the window, then the upper one.
pub const WINDOW_BYTES: usize = 2 * PAGE_BYTES as usize;

/// Linear address of the window in its middle copy: lower page here, upper page right behind.
pub const WINDOW_LINEAR: u32 = 0x2_F000;

/// Linear address of the code page, in which instructions start.
pub const CODE_LINEAR: u32 = 0x1_8000;

/// Linear base of every code segment among the local descriptors.
const CODE_BASE: u32 = 0x1_0000;

/// Linear address of the page that leads back to the host.
pub(in crate::host::native) const EXIT_LINEAR: u32 = 0x5_0000;

/// A page of storage behind the guest's linear addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Where the instruction is placed; filled with `HLT` around it.
    Code,
    /// Bytes `0..PAGE_BYTES` of the window.
    WindowLower,
    /// Bytes `PAGE_BYTES..2 * PAGE_BYTES` of the window.
    WindowUpper,
}

/// A present page of the guest's linear address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageMapping {
    /// Linear address, a multiple of [`PAGE_BYTES`].
    pub linear: u32,
    /// What stands behind it.
    pub storage: Storage,
    /// Whether user code may write to it.
    pub writable: bool,
}

const fn page(linear: u32, storage: Storage, writable: bool) -> PageMapping {
    PageMapping { linear, storage, writable }
}

/// Every page that is present; all others in the region are not.
pub const PAGES: [PageMapping; 8] = [
    page(CODE_LINEAR, Storage::Code, false),
    page(0x2_0000, Storage::WindowUpper, true),
    page(0x2_E000, Storage::WindowLower, false),
    page(0x2_F000, Storage::WindowLower, true),
    page(0x3_0000, Storage::WindowUpper, true),
    page(0x3_E000, Storage::WindowLower, false),
    page(0x3_F000, Storage::WindowLower, true),
    page(0x4_0000, Storage::WindowUpper, true),
];

/// What a descriptor allows (SDM Vol. 3A, "Code- and Data-Segment Descriptor Types").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentType {
    /// Code, non-conforming.
    Code {
        /// Whether data may be read through it.
        readable: bool,
    },
    /// Data or stack.
    Data {
        /// Whether it may be written.
        writable: bool,
        /// Whether the valid offsets are those *above* the limit.
        expand_down: bool,
    },
}

/// A segment descriptor of privilege level 3, already accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Linear base, relative to the guest's region.
    pub base: u32,
    /// The limit in bytes: the last valid offset, or for expand-down the last invalid one.
    pub limit: u32,
    /// Type.
    pub kind: SegmentType,
    /// The D/B flag: 32-bit code, stack or upper bound.
    pub big: bool,
    /// The P flag.
    pub present: bool,
}

impl Descriptor {
    const fn code(limit: u32, readable: bool, big: bool) -> Self {
        Self { base: CODE_BASE, limit, kind: SegmentType::Code { readable }, big, present: true }
    }

    const fn data(base: u32, limit: u32, big: bool) -> Self {
        let kind = SegmentType::Data { writable: true, expand_down: false };
        Self { base, limit, kind, big, present: true }
    }

    /// Whether CS may hold it.
    pub fn is_code(&self) -> bool {
        matches!(self.kind, SegmentType::Code { .. }) && self.present
    }

    /// Whether SS may hold it.
    pub fn is_stack(&self) -> bool {
        matches!(self.kind, SegmentType::Data { writable: true, .. }) && self.present
    }

    /// Whether DS, ES, FS and GS may hold it.
    pub fn is_readable(&self) -> bool {
        !matches!(self.kind, SegmentType::Code { readable: false }) && self.present
    }

    /// Whether the limit takes the G flag: it does when it has more than 20 bits.
    pub const fn page_granular(&self) -> bool {
        self.limit > 0xF_FFFF
    }

    /// The limit field: in pages if [`Descriptor::page_granular`], else in bytes.
    pub const fn limit_field(&self) -> u32 {
        if self.page_granular() { self.limit >> 12 } else { self.limit }
    }

    /// The eight bytes of the descriptor in a table, with `base` replaced by `linear_base`
    /// (SDM Vol. 3A, "Segment Descriptors").
    pub const fn encode(&self, linear_base: u32) -> [u8; 8] {
        const ACCESSED: u8 = 1;
        const CODE_OR_DATA: u8 = 1 << 4;
        const DPL_3: u8 = 3 << 5;
        let type_bits = match self.kind {
            SegmentType::Code { readable } => 1 << 3 | (readable as u8) << 1,
            SegmentType::Data { writable, expand_down } => (expand_down as u8) << 2 | (writable as u8) << 1,
        };
        let access = (self.present as u8) << 7 | DPL_3 | CODE_OR_DATA | type_bits | ACCESSED;
        let flags = (self.page_granular() as u8) << 3 | (self.big as u8) << 2;
        let (base, limit) = (linear_base.to_le_bytes(), self.limit_field().to_le_bytes());
        [limit[0], limit[1], base[0], base[1], base[2], access, flags << 4 | limit[2] & 0xF, base[3]]
    }
}

/// The roles of segments, and the local descriptors that fill them.
///
/// The bases of the data segments differ, so that a wrong default segment or a lost override shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// 32-bit code, readable, 64 KiB.
    Code32,
    /// 16-bit code, readable, 64 KiB.
    Code16,
    /// 32-bit code that ends with the code page, execute-only.
    ShortCode32,
    /// 16-bit code that ends with the code page, execute-only.
    ShortCode16,
    /// Writable data, 64 KiB, meant for DS.
    Data,
    /// Writable data, 64 KiB, meant for ES.
    Extra,
    /// 32-bit stack, 64 KiB.
    Stack32,
    /// 16-bit stack, 64 KiB.
    Stack16,
    /// Read-only data, 64 KiB.
    ReadOnly,
    /// Writable data whose limit lies inside the window.
    Short,
    /// Expand-down, upper bound FFFFh.
    ExpandDown16,
    /// Expand-down, upper bound FFFF_FFFFh.
    ExpandDown32,
    /// A writable data segment that is marked not present.
    Absent,
}

impl Segment {
    /// Every segment, in the order of their descriptors.
    pub const ALL: [Self; 13] = [
        Self::Code32,
        Self::Code16,
        Self::ShortCode32,
        Self::ShortCode16,
        Self::Data,
        Self::Extra,
        Self::Stack32,
        Self::Stack16,
        Self::ReadOnly,
        Self::Short,
        Self::ExpandDown16,
        Self::ExpandDown32,
        Self::Absent,
    ];

    /// The local descriptor, its base relative to the guest's region.
    pub const fn descriptor(self) -> Descriptor {
        const CODE_PAGE_END: u32 = CODE_LINEAR - CODE_BASE + PAGE_BYTES - 1;
        let expand_down = SegmentType::Data { writable: true, expand_down: true };
        match self {
            Self::Code32 => Descriptor::code(0xFFFF, true, true),
            Self::Code16 => Descriptor::code(0xFFFF, true, false),
            Self::ShortCode32 => Descriptor::code(CODE_PAGE_END, false, true),
            Self::ShortCode16 => Descriptor::code(CODE_PAGE_END, false, false),
            Self::Data => Descriptor::data(0x2_0000, 0xFFFF, true),
            Self::Extra => Descriptor::data(0x2_0400, 0xFFFF, true),
            Self::Stack32 => Descriptor::data(0x2_0800, 0xFFFF, true),
            Self::Stack16 => Descriptor::data(0x2_0800, 0xFFFF, false),
            Self::ReadOnly => Descriptor {
                kind: SegmentType::Data { writable: false, expand_down: false },
                ..Descriptor::data(0x2_0200, 0xFFFF, true)
            },
            Self::Short => Descriptor::data(0x2_0100, 0x2FB, true),
            Self::ExpandDown16 => {
                Descriptor { kind: expand_down, ..Descriptor::data(0x2_0300, 0xF1FF, false) }
            }
            Self::ExpandDown32 => {
                Descriptor { kind: expand_down, ..Descriptor::data(0x3_0500, 0xFFFE_FFFF, true) }
            }
            Self::Absent => Descriptor { present: false, ..Descriptor::data(0x2_0000, 0xFFFF, true) },
        }
    }
}

/// How the segments of a processor are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segmentation {
    /// Descriptors in the local descriptor table confine the guest: all of [`Segment`] is there.
    Local,
    /// The flat 4-GiB segments: 32-bit code, data and stack only, and every access is checked before the run.
    Flat,
}

/// A segment that a processor offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferedSegment {
    /// Its role.
    pub segment: Segment,
    /// Its selector, RPL 3.
    pub selector: u16,
    /// Its descriptor, the base relative to the guest's region (modulo 2^32).
    pub descriptor: Descriptor,
}

// No descriptor reaches past the guest's region: that is what confines a case.
const _: () = {
    let mut i = 0;
    while i < Segment::ALL.len() {
        let segment = Segment::ALL[i];
        assert!(segment as usize == i);
        let Descriptor { base, limit, kind, big, .. } = segment.descriptor();
        match kind {
            // Offsets limit + 1..=FFFF_FFFF wrap to the bytes right below the base.
            SegmentType::Data { expand_down: true, .. } if big => {
                assert!(base - limit.wrapping_neg() + 1 < base && base <= REGION_BYTES);
            }
            SegmentType::Data { expand_down: true, .. } => assert!(base + 0xFFFF < EXIT_LINEAR),
            _ => assert!(base + limit < EXIT_LINEAR),
        }
        i += 1;
    }
};
