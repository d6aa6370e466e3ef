//! The XMM registers and MXCSR.

use serde::{Deserialize, Serialize};

/// SSE state. SDM Vol. 1, "SSE Programming Environment".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(C, align(16))]
pub struct Simd {
    /// XMM0 to XMM7 (to XMM15 in 64-bit mode), least significant byte first: as they lie in memory, whatever
    /// their elements are.
    pub xmm: [[u8; 16]; 16],
    /// Control and status.
    pub mxcsr: u32,
}

/// The bytes of an operand on their way.
///
/// Aligned so that in an [`Outcome`](crate::event::exception::Outcome) they lie apart from the fault: compilers then
/// move them in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(16))]
pub struct Row<const N: usize>(pub [u8; N]);

/// The bits of MXCSR that exist; setting any other raises #GP. SDM Vol. 1, "Checking for the DAZ Flag in the MXCSR
/// Register".
pub const MXCSR_MASK: u32 = 0xFFFF;

impl Default for Simd {
    fn default() -> Self {
        Simd { xmm: [[0; 16]; 16], mxcsr: 0x1F80 }
    }
}
