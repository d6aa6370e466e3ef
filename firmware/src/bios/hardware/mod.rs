//! The chips of the board, as the firmware drives them: through their ports.

pub(crate) mod apic;
pub(crate) mod cmos;
pub(crate) mod keyboard_controller;
pub(crate) mod pci;
pub(crate) mod pic;

/// Nanoseconds.
pub(crate) const MICROSECOND: u64 = 1_000;
/// Nanoseconds.
pub(crate) const MILLISECOND: u64 = 1_000_000;
