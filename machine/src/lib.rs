//! The PC: where processor, devices and firmware meet.

#![forbid(unsafe_code)]

pub mod clock;
pub mod flat;
pub mod image;
pub mod memmap;
