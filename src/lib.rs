//! idem86: a full-system x86 PC emulator.
#![forbid(unsafe_code)]
pub use idem86_cpu as cpu;
