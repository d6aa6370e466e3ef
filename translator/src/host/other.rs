//! Hosts that are not known to this program: they give no executable memory, so nothing is translated.

pub use super::tables_only::{
    FaultGuard, Window, data_ranges, guarded, map_privately, ready_thread, shared_memory, take_faults,
};
pub use super::zeros::Zeros;
use std::convert::Infallible;
use std::io;

/// There is none.
#[derive(Debug)]
pub struct DualMapping(Infallible);

impl DualMapping {
    /// Fails: the caller does without.
    pub fn new(_size: usize) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// The memory, to be written.
    pub fn write(&mut self) -> &mut [u8] {
        match self.0 {}
    }
    /// The memory where it is executed.
    pub fn execute(&self) -> &[u8] {
        match self.0 {}
    }
}
