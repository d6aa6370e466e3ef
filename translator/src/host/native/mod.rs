//! The host processor as an oracle: runs one user-mode instruction of 16- or 32-bit code on it.
//!
//! On Linux, `modify_ldt` gives a process code segments of either size and data segments with bases, limits
//! and types of its choosing. A case therefore runs the very bytes a guest would, in segments that confine it
//! to a small region below 4 GiB, and limits, wrap-around, expand-down segments and selector loads behave as
//! silicon has them. [`layout`] describes what the guest finds there, [`State`] what goes in and comes out.
//!
//! Where the kernel refuses local descriptors, the flat segments that every process has must do
//! ([`layout::Segmentation::Flat`]): 32-bit code only, and only instructions whose accesses can be checked beforehand.
//!
//! An instruction that falls through ends at a far jump behind it, a branch to a known target at the `HLT` that
//! fills the rest of the page. Other branches, and instructions at the very end of the page, run with TF set. A
//! repeated string instruction runs to its end in any case. Faults come back through signals. See
//! [`NativeProcessor::run`] for what is refused.

mod case;
pub mod layout;

pub use case::{
    EFLAGS_FIXED, EFLAGS_IN, EFLAGS_OUT, Ending, FxImage, MXCSR_MASK, NativeCase, NativeOutcome, State, gpr,
    sreg,
};
use std::io;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod linux;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod unsupported;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use linux::NativeProcessor;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(super) use linux::claim_native;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub use unsupported::NativeProcessor;

/// Why this host cannot run guest code natively.
#[derive(Debug, thiserror::Error)]
pub enum Unsupported {
    /// Only Linux on x86-64 has what it takes.
    #[error("native runs need Linux on x86-64")]
    Host,
    /// The kernel refused something.
    #[error("cannot {what}")]
    Kernel {
        /// What was asked for.
        what: &'static str,
        /// Its answer.
        source: io::Error,
    },
}

/// Why a case was not run: it would leave the guest's confines, or is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The bytes are less or more than one instruction.
    #[error("not exactly one instruction")]
    Length,
    /// A system call, an extension not known to be harmless, or no room to stop behind an instruction
    /// that must not be stepped.
    #[error("the instruction reaches past the guest")]
    Instruction,
    /// A selector is not one of this processor's, or its register cannot hold it.
    #[error("a segment register cannot hold its selector")]
    Selector,
    /// Segments are flat, and the instruction may access memory outside the guest's region.
    #[error("the instruction may access memory outside the guest")]
    Memory,
    /// EIP is outside the code page.
    #[error("EIP is outside the code page")]
    Eip,
    /// MXCSR has reserved bits set.
    #[error("MXCSR has reserved bits set")]
    Mxcsr,
}
