//! Where native runs are not possible: the interface without a way to construct it.

use super::layout::{OfferedSegment, Segment, Segmentation};
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

    /// Fails.
    ///
    /// # Errors
    ///
    /// Always [`Unsupported::Host`].
    pub fn with(_: Segmentation) -> Result<Self, Unsupported> {
        Err(Unsupported::Host)
    }

    /// How the segments are made.
    pub fn segmentation(&self) -> Segmentation {
        match self.0 {}
    }

    /// The segments that a case may use.
    pub fn segments(&self) -> &[OfferedSegment] {
        match self.0 {}
    }

    /// The segment in a role.
    pub fn segment(&self, _: Segment) -> Option<&OfferedSegment> {
        match self.0 {}
    }

    /// A state in which every register holds something usable.
    pub fn state(&self, _: Segment, _: Segment) -> Option<State> {
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
