//! Where things lie in the benchmark guest's memory, physical and linear alike.

/// The image: its multiboot header, then the code that prepares everything.
pub const ORIGIN: u32 = 0x10_0000;
/// The loop; on a page of its own, so that what is written elsewhere does not touch it.
pub const LOOP: u32 = 0x10_1000;
/// Handlers and small functions, [`SLOT_BYTES`] each.
pub const SLOTS: u32 = 0x10_3000;
/// Room for a handler or a function.
pub const SLOT_BYTES: u32 = 0x40;
/// Global descriptor table.
pub const GDT: u32 = 0x10_4000;
/// Task state segment, for the stack of privilege level 0.
pub const TSS: u32 = 0x10_4100;
/// What LGDT and LIDT are given.
pub const GDT_REGISTER: u32 = 0x10_4200;
/// The same for the interrupt descriptor table.
pub const IDT_REGISTER: u32 = 0x10_4208;
/// Interrupt descriptor table.
pub const IDT: u32 = 0x10_4800;
/// Variables; the first is the number of rounds of the loop.
pub const VARIABLES: u32 = 0x10_5000;
/// Code that a benchmark rewrites.
pub const PATCHED: u32 = 0x10_6000;
/// Top of the stack of privilege level 0.
pub const KERNEL_STACK: u32 = 0x10_9000;
/// Top of the stack of privilege level 3.
pub const USER_STACK: u32 = 0x10_B000;
/// Page directory.
pub const DIRECTORY: u32 = 0x11_0000;
/// Page tables of the first 16 MiB, one after the other.
pub const TABLES: u32 = 0x11_1000;
/// Page table of the local APIC's 4 MiB.
pub const APIC_TABLE: u32 = 0x11_5000;
/// The local APIC.
pub const APIC: u32 = 0xFEE0_0000;
/// Further address spaces: a page directory and a page table each.
pub const SPACES: u32 = 0x12_0000;
/// How many of them.
pub const SPACE_COUNT: u32 = 64;
/// Bytes of a page directory and a page table.
pub const SPACE_BYTES: u32 = 0x2000;
/// End of the image.
pub const IMAGE_END: u32 = SPACES + SPACE_COUNT * SPACE_BYTES;
/// Data that benchmarks use; zero.
pub const DATA: u32 = 0x20_0000;
/// End of the data.
pub const DATA_END: u32 = 0x24_0000;
/// A page that is not present.
pub const ABSENT: u32 = 0x3F_0000;
/// Frames of the pages that only the further address spaces have, [`PRIVATE_PAGES`] for each.
pub const FRAMES: u32 = 0x40_0000;
/// Linear address of these pages.
pub const PRIVATE: u32 = 0x4000_0000;
/// Pages that an address space has for itself.
pub const PRIVATE_PAGES: u32 = 16;

/// Where the page table entry of a page of the first 16 MiB lies.
pub const fn entry_of(linear: u32) -> u32 {
    TABLES + (linear >> 12) * 4
}

/// Functions and handlers that lie in [`SLOTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// An exception or interrupt that should not be.
    Surprise,
    /// Steps over the two bytes of the instruction that faulted.
    Skip,
    /// #PF; see [`super::PageFault`].
    PageFault,
    /// INT 80h, a system call that does nothing.
    SystemCall,
    /// Writes AL to the port of marks, for code that may not.
    Mark,
    /// The timer's interrupt.
    Timer,
    /// Enters the kernel by SYSENTER and returns.
    Enter,
    /// Where SYSENTER leads.
    Entered,
    /// RET alone; three more follow.
    Return,
}

impl Slot {
    /// Its address.
    pub const fn address(self) -> u32 {
        SLOTS + self as u32 * SLOT_BYTES
    }
}
