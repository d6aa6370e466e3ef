//! Descriptors of our choosing in the process's local descriptor table, by `modify_ldt(2)`.

use crate::host::native::layout::{Descriptor, Segment, SegmentType};
use std::io;
use std::sync::Mutex;

const SLOTS: usize = Segment::ALL.len();

/// Slots 0, 1, ... of the table that are taken, each [`SLOTS`] descriptors wide.
static TAKEN: Mutex<[bool; 8192 / SLOTS]> = Mutex::new([false; 8192 / SLOTS]);

/// `struct user_desc` of `asm/ldt.h`.
#[repr(C)]
struct UserDesc {
    entry_number: u32,
    base_addr: u32,
    limit: u32,
    flags: u32,
}

impl UserDesc {
    const SEG_32BIT: u32 = 1;
    const CONTENTS_EXPAND_DOWN: u32 = 1 << 1;
    const CONTENTS_CODE: u32 = 2 << 1;
    const READ_EXEC_ONLY: u32 = 1 << 3;
    const LIMIT_IN_PAGES: u32 = 1 << 4;
    const SEG_NOT_PRESENT: u32 = 1 << 5;

    fn new(entry_number: u32, descriptor: &Descriptor, linear_base: u32) -> Self {
        let mut flags = match descriptor.kind {
            SegmentType::Code { readable: true } => Self::CONTENTS_CODE,
            SegmentType::Code { readable: false } => Self::CONTENTS_CODE | Self::READ_EXEC_ONLY,
            SegmentType::Data { expand_down: true, .. } => Self::CONTENTS_EXPAND_DOWN,
            SegmentType::Data { writable: false, .. } => Self::READ_EXEC_ONLY,
            SegmentType::Data { .. } => 0,
        };
        if descriptor.big {
            flags |= Self::SEG_32BIT;
        }
        if descriptor.page_granular() {
            flags |= Self::LIMIT_IN_PAGES;
        }
        if !descriptor.present {
            flags |= Self::SEG_NOT_PRESENT;
        }
        Self { entry_number, base_addr: linear_base, limit: descriptor.limit_field(), flags }
    }

    /// What the kernel takes for "no descriptor".
    fn empty(entry_number: u32) -> Self {
        Self { entry_number, base_addr: 0, limit: 0, flags: Self::READ_EXEC_ONLY | Self::SEG_NOT_PRESENT }
    }

    fn write(&self) -> io::Result<()> {
        const WRITE_LDT: libc::c_long = 0x11;
        // SAFETY: the kernel reads one `user_desc`. A new descriptor grants user code no more than its
        // flat segments already do, and `LocalDescriptors` owns the entry, so nobody else relies on it.
        let result =
            unsafe { libc::syscall(libc::SYS_modify_ldt, WRITE_LDT, self as *const Self, size_of::<Self>()) };
        // The system call returns a 32-bit error number where others return -1.
        match result as i32 {
            0 => Ok(()),
            -1 => Err(io::Error::last_os_error()),
            error => Err(io::Error::from_raw_os_error(-error)),
        }
    }
}

/// One descriptor in the table for each [`Segment`], removed when dropped.
pub struct LocalDescriptors {
    slot: usize,
}

impl LocalDescriptors {
    /// Writes the descriptors, relative to a region at `linear_base`.
    pub fn new(linear_base: u32) -> io::Result<Self> {
        let mut taken = TAKEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let slot = taken.iter().position(|taken| !taken).ok_or(io::ErrorKind::OutOfMemory)?;
        taken[slot] = true;
        drop(taken);
        let descriptors = Self { slot };
        for segment in Segment::ALL {
            let descriptor = segment.descriptor();
            let base = linear_base + descriptor.base;
            UserDesc::new(descriptors.entry(segment), &descriptor, base).write()?;
        }
        Ok(descriptors)
    }

    fn entry(&self, segment: Segment) -> u32 {
        (self.slot * SLOTS + segment as usize) as u32
    }

    /// The selector of a segment, RPL 3.
    pub fn selector(&self, segment: Segment) -> u16 {
        const LOCAL: u16 = 1 << 2;
        (self.entry(segment) as u16) << 3 | LOCAL | 3
    }
}

impl Drop for LocalDescriptors {
    fn drop(&mut self) {
        for segment in Segment::ALL {
            // A table that refuses to forget an entry leaves it unusable to others, no worse: the region
            // behind it is unmapped. The slot then stays taken.
            if UserDesc::empty(self.entry(segment)).write().is_err() {
                return;
            }
        }
        TAKEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())[self.slot] = false;
    }
}
