//! Control registers, EFER and the debug registers, by their bit names.

/// CR0. SDM Vol. 3A, "Control Registers".
pub mod cr0 {
    /// Protection enable.
    pub const PE: u32 = 1 << 0;
    /// Monitor coprocessor: WAIT heeds TS.
    pub const MP: u32 = 1 << 1;
    /// Emulation: x87 instructions raise #NM, SSE ones #UD.
    pub const EM: u32 = 1 << 2;
    /// Task switched: the next x87, MMX or SSE instruction raises #NM.
    pub const TS: u32 = 1 << 3;
    /// Extension type: always set.
    pub const ET: u32 = 1 << 4;
    /// Numeric error: x87 errors raise #MF instead of FERR#.
    pub const NE: u32 = 1 << 5;
    /// Write protect: supervisor writes heed read-only pages.
    pub const WP: u32 = 1 << 16;
    /// Alignment mask: EFLAGS.AC counts.
    pub const AM: u32 = 1 << 18;
    /// Not write-through.
    pub const NW: u32 = 1 << 29;
    /// Cache disable.
    pub const CD: u32 = 1 << 30;
    /// Paging.
    pub const PG: u32 = 1 << 31;
    /// Bits that can be written.
    pub const WRITABLE: u32 = PE | MP | EM | TS | NE | WP | AM | NW | CD | PG;
}

/// CR4. SDM Vol. 3A, "Control Registers".
pub mod cr4 {
    /// Virtual-8086 mode extensions.
    pub const VME: u32 = 1 << 0;
    /// Protected-mode virtual interrupts.
    pub const PVI: u32 = 1 << 1;
    /// RDTSC only at CPL 0.
    pub const TSD: u32 = 1 << 2;
    /// I/O breakpoints; DR4 and DR5 do not exist.
    pub const DE: u32 = 1 << 3;
    /// 4-MiB pages.
    pub const PSE: u32 = 1 << 4;
    /// Physical address extension.
    pub const PAE: u32 = 1 << 5;
    /// Machine-check exceptions.
    pub const MCE: u32 = 1 << 6;
    /// Global pages.
    pub const PGE: u32 = 1 << 7;
    /// RDPMC at any CPL.
    pub const PCE: u32 = 1 << 8;
    /// The system saves SSE state.
    pub const OSFXSR: u32 = 1 << 9;
    /// The system handles #XM.
    pub const OSXMMEXCPT: u32 = 1 << 10;
    /// Bits that a processor with every feature has.
    pub const WRITABLE: u32 = 0x7FF;
}

/// IA32_EFER. SDM Vol. 3A, "Extended Feature Enable Register".
pub mod efer {
    /// Execute-disable bit of PAE page tables is heeded.
    pub const NXE: u64 = 1 << 11;
    /// Bits that a processor with every feature has.
    pub const WRITABLE: u64 = NXE;
}

/// DR6. SDM Vol. 3B, "Debug Status Register (DR6)".
pub mod dr6 {
    /// An access to debug registers was caught by DR7.GD.
    pub const BD: u32 = 1 << 13;
    /// Single step.
    pub const BS: u32 = 1 << 14;
    /// Task switch to a TSS with the T bit.
    pub const BT: u32 = 1 << 15;
    /// What reads as one always.
    pub const FIXED: u32 = 0xFFFF_0FF0;
    /// Bits that can be written.
    pub const WRITABLE: u32 = 0xE00F;
}

/// DR7. SDM Vol. 3B, "Debug Control Register (DR7)".
pub mod dr7 {
    /// General detect: accesses to debug registers trap.
    pub const GD: u32 = 1 << 13;
    /// Local enables, cleared by task switches.
    pub const LOCAL: u32 = 0x155;
    /// L0 to G3: some breakpoint is enabled.
    pub const ANY_ENABLED: u32 = 0xFF;
    /// What reads as one always.
    pub const FIXED: u32 = 0x400;
    /// Bits that can be written.
    pub const WRITABLE: u32 = 0xFFFF_23FF;
}
