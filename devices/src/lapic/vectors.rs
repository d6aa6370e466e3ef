//! A set of the 256 interrupt vectors, as the 256-bit registers of the local APIC hold it.

use serde::{Deserialize, Serialize};

/// A set of vectors; vector `32 n + b` is bit `b` of word `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VectorSet([u32; 8]);

impl VectorSet {
    pub(super) fn insert(&mut self, vector: u8) {
        self.0[usize::from(vector >> 5)] |= 1 << (vector & 31);
    }

    pub(super) fn remove(&mut self, vector: u8) {
        self.0[usize::from(vector >> 5)] &= !(1 << (vector & 31));
    }

    pub(super) fn contains(&self, vector: u8) -> bool {
        self.0[usize::from(vector >> 5)] & 1 << (vector & 31) != 0
    }

    /// The vector of highest priority.
    pub(super) fn highest(&self) -> Option<u8> {
        let (word, bits) = (0_u8..8).zip(self.0).rfind(|(_, bits)| *bits != 0)?;
        Some(word * 32 + bits.ilog2() as u8)
    }

    /// Whether a vector is there that no interrupt can have.
    pub(super) fn has_illegal(&self) -> bool {
        self.0[0] as u16 != 0
    }

    /// Register `n` of 8.
    pub(super) fn word(&self, n: usize) -> u32 {
        self.0[n]
    }
}
