//! BIOS, tables and loaders: what a PC finds in its ROMs, and what puts a kernel into its memory.
//!
//! Our own firmware is written in Rust. Its ROMs ([`bios::image`], [`video::rom`]) hold little more than entry
//! points: a few instructions that write to a trap port, whereupon the machine calls [`bios::serve`] with the
//! guest's registers, memory and ports in its hands ([`platform::Platform`]).

#![forbid(unsafe_code)]

pub mod bios;
pub mod kernel_rom;
pub mod loader;
pub mod platform;
mod tables;
pub mod video;
