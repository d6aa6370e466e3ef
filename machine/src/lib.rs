//! The PC: where processor, devices and firmware meet.

#![forbid(unsafe_code)]

pub mod attached;
pub mod board;
pub mod builder;
pub mod clock;
pub mod cmos;
pub mod config;
pub mod engine;
mod firmware;
pub mod flat;
pub mod guest_memory;
pub mod hooks;
pub mod image;
pub mod input;
pub mod inspect;
mod kernel;
pub mod keyboard;
pub mod lockstep;
pub mod machine;
pub mod memmap;
pub mod output;
mod plan;
pub mod ports;
pub mod registers;
pub mod remote;
mod router;
pub mod run;
pub mod screenshot;
pub mod script;
pub mod snapshot;
