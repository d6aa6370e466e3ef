//! idem86: a full-system x86 PC in an ordinary process.
//!
//! This is the facade: it re-exports the crates that make up the program. [`machine`] is where an embedding
//! program starts; [`cpu`] is a processor alone; [`devices`] are the parts of a PC, each usable by itself.

#![forbid(unsafe_code)]

pub mod classify;
pub mod compare;
mod elf;

pub use idem86_cpu as cpu;
pub use idem86_devices as devices;
pub use idem86_firmware as firmware;
pub use idem86_machine as machine;
