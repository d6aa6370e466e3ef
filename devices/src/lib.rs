//! The devices of a PC, each by its datasheet, in a folder of its own.
//!
//! A device knows no processor, no bus and no host clock. It owns its registers, raises [`irq::IrqLine`]s,
//! takes guest time ([`time::GuestTime`]) as a parameter and returns values; the `machine` crate is the
//! only place where devices meet. That is what makes every device testable alone and every run replayable.
//!
//! What a device implements, each only where it applies:
//!
//! | trait | for |
//! |---|---|
//! | [`access::PortIo`] | registers in I/O space |
//! | [`access::Mmio`] | registers or buffers in memory space |
//! | [`time::Timed`] | acting by itself at a moment of guest time |
//! | [`state::Snapshot`] | saving and restoring its whole state (every device) |
//! | [`reset::Reset`] | the RESET input (every device) |
//!
//! Every device also joins the conformance suite with one line in its tests: random accesses and random times
//! on it and on what it restores, hostile saved states included.

#![forbid(unsafe_code)]

pub mod access;
pub mod acpi;
pub mod apic;
pub mod backend;
#[cfg(test)]
mod conformance;
pub mod coprocessor;
pub mod debug_exit;
pub mod debugcon;
pub mod dma;
pub mod floppy;
pub mod fw_cfg;
pub mod ide;
pub mod ioapic;
pub mod irq;
pub mod lapic;
pub mod pci;
pub mod pic;
pub mod pit;
pub mod port92;
pub mod post_code;
pub mod ps2;
pub mod reset;
pub mod rtc;
pub mod state;
pub mod time;
pub mod uart;
pub mod vga;
