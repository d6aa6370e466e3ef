//! Loaders: what must lie where in memory, and how the processor enters it. Pure functions of the images, which are
//! hostile.

mod elf;
pub mod linux;
pub mod multiboot;

use serde::{Deserialize, Serialize};

/// A kernel ready to be started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// Physical addresses and what to put there.
    pub pieces: Vec<(u32, Vec<u8>)>,
    /// How to start it.
    pub entry: Entry,
}

/// How a kernel is entered. Interrupts are off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// In real mode at `cs`:0, with all data segments at `segment` and the given stack pointer.
    Real {
        /// Code segment.
        cs: u16,
        /// DS, ES, FS, GS and SS.
        segment: u16,
        /// SP.
        sp: u16,
    },
    /// In 32-bit protected mode without paging, with flat segments.
    Protected {
        /// EIP.
        eip: u32,
        /// EAX.
        eax: u32,
        /// EBX.
        ebx: u32,
    },
}

/// Why an image cannot be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// It is not what it should be.
    #[error("not a {0}")]
    NotOne(&'static str),
    /// It ends too early.
    #[error("the {0} is cut short")]
    Truncated(&'static str),
    /// A Linux kernel from before boot protocol 2.02.
    #[error("boot protocol {}.{:02} is too old: 2.02 is needed", .0 >> 8, .0 & 0xFF)]
    OldProtocol(u16),
    /// Guest memory cannot hold it.
    #[error("the {what} needs memory up to {end:#x}, but there are only {memory:#x} bytes")]
    NoMemory {
        /// What does not fit.
        what: &'static str,
        /// Where it would end.
        end: u64,
        /// Bytes of memory.
        memory: u64,
    },
    /// The kernel asks for something that is not there.
    #[error("the kernel wants {0}, which is not there")]
    Unsupported(String),
    /// The command line is longer than the kernel takes.
    #[error("the command line has {length} bytes, the kernel takes {most}")]
    LongCommandLine {
        /// Its length in bytes.
        length: usize,
        /// The most that the kernel takes.
        most: usize,
    },
    /// It would overwrite the firmware's memory.
    #[error("the kernel wants to be loaded at {0:#x}, below the first mebibyte")]
    LowAddress(u64),
}

/// The little-endian word at `at`.
fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

/// The little-endian doubleword at `at`.
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// First byte that a kernel may occupy: what lies below belongs to the firmware.
const KERNEL_BASE: u64 = 0x10_0000;
/// The top of memory is the firmware's too: tables that it may have put there.
const FIRMWARE_TOP: u64 = 0x4_0000;

/// Checks that `[start, start + size)` is memory that a kernel may occupy.
fn check_room(what: &'static str, start: u64, size: u64, memory: u64) -> Result<(), LoadError> {
    if start < KERNEL_BASE {
        return Err(LoadError::LowAddress(start));
    }
    match start.checked_add(size) {
        Some(end) if end <= memory => Ok(()),
        end => Err(LoadError::NoMemory { what, end: end.unwrap_or(u64::MAX), memory }),
    }
}
