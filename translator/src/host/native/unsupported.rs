//! Where native runs are not possible: the interface without a way to construct it.

use super::layout::Segment;
use super::{NativeCase, NativeOutcome, Refused, State, Unsupported};
use std::convert::Infallible;

/// A processor that does not exist on this host.
pub struct NativeProcessor(Infallible);

impl NativeProcessor {
    /// Fails.
    ///
    /// # Errors
    ///
    /// Always [`Unsupported::Host`].
    pub fn new() -> Result<Self, Unsupported> {
        Err(Unsupported::Host)
    }

    /// The selector of a segment.
    pub fn selector(&self, _: Segment) -> u16 {
        match self.0 {}
    }

    /// A state in which every register holds something usable.
    pub fn state(&self, _: Segment, _: Segment) -> State {
        match self.0 {}
    }

    /// Runs one instruction.
    ///
    /// # Errors
    ///
    /// None: there is no processor to call it on.
    pub fn run(&mut self, _: &NativeCase) -> Result<NativeOutcome, Refused> {
        match self.0 {}
    }
}
