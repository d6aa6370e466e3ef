//! The PC: where processor, devices and firmware meet.

#![forbid(unsafe_code)]

pub mod flat;
pub mod image;
