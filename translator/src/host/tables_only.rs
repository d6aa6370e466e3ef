//! Hosts on which guest RAM is not mapped again and faults are not taken: translation, if any, through tables only.

use super::context::Context;
use memmap2::MmapMut;
use std::convert::Infallible;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Fails: the caller does without.
pub fn shared_memory(_name: &CStr, _size: u64) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Fails: the caller copies.
pub fn map_privately(_memory: &mut MmapMut, _object: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Fails: nobody knows, so it may be anywhere.
pub fn data_ranges(_object: &File, _size: u64) -> io::Result<Vec<Range<u64>>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// There is none.
#[derive(Debug)]
pub struct Window(Infallible);

impl Window {
    /// Fails.
    pub fn new(_object: Arc<File>, _size: usize) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// The address of its first byte.
    pub fn address(&self) -> u64 {
        match self.0 {}
    }
    /// Shows a part of the object.
    pub fn show(&mut self, _at: usize, _len: usize, _offset: u64, _writable: bool) -> io::Result<()> {
        match self.0 {}
    }
    /// Shows nothing.
    pub fn hide(&mut self, _at: usize, _len: usize) -> io::Result<()> {
        match self.0 {}
    }
}

/// Where code may fault, and what takes the fault.
#[derive(Clone, Copy)]
#[expect(dead_code, reason = "whoever enters translated code says it; nobody listens here")]
pub struct FaultGuard {
    /// First address of the code.
    pub start: u64,
    /// Its size.
    pub size: u64,
    /// Where execution goes on.
    pub landing: u64,
    /// Told of the fault.
    pub context: *mut Context,
}

/// Runs `run`; its faults are not taken.
pub fn guarded<T>(_guard: FaultGuard, run: impl FnOnce() -> T) -> T {
    run()
}

/// Fails: code that may fault is not to be translated.
pub fn take_faults() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Never called: [`take_faults`] fails before.
pub fn ready_thread() {}
