//! Word to the user of what a host medium failed to do. The guest sees its own side as a drive error.

use super::Slot;
use crate::backend::MediumError;
use std::fmt;

/// What a drive asked of its medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediumOperation {
    /// Reading sectors.
    Read,
    /// Writing sectors.
    Write,
    /// Making writes durable.
    Flush,
}

/// A medium did not do what its drive asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediumReport {
    /// The drive.
    pub slot: Slot,
    /// What it asked for.
    pub operation: MediumOperation,
    /// The first sector concerned, of the drive's own sector size; 0 for a flush.
    pub sector: u64,
    /// Why it was refused.
    pub error: MediumError,
}

impl fmt::Display for MediumReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MediumReport { slot, operation, sector, error } = self;
        match operation {
            MediumOperation::Read => write!(f, "{slot}: reading sector {sector}: {error}"),
            MediumOperation::Write => write!(f, "{slot}: writing sector {sector}: {error}"),
            MediumOperation::Flush => write!(f, "{slot}: flushing: {error}"),
        }
    }
}

/// A [`MediumReport`] before the slot is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub operation: MediumOperation,
    pub sector: u64,
    pub error: MediumError,
}

impl Failure {
    /// How many failures a drive keeps for the user; a guest can cause any number.
    const KEPT: usize = 16;

    /// The same, with the slot known.
    pub fn at(self, slot: Slot) -> MediumReport {
        let Failure { operation, sector, error } = self;
        MediumReport { slot, operation, sector, error }
    }

    /// Keeps this failure among `failures`, if there is room.
    pub fn note(self, failures: &mut Vec<Failure>) {
        if failures.len() < Self::KEPT {
            failures.push(self);
        }
    }
}
