//! What an x86 processor is: state, decoding, interpreter, memory management, events.
//!
//! Safe Rust, no operating system, no threads. [`cpu::Cpu`] is the processor; [`bus::Bus`] is the only outside
//! world it knows. The interpreter is complete and exact: it is the oracle for every other engine, and the one
//! place where x86 semantics live.
//!
//! # Quirks
//!
//! Where the manuals leave a choice, or this processor has less than others:
//!
//! - There is no system-management mode (RSM is undefined), no machine-check bank, and no performance counter
//!   (RDPMC faults). A microcode update is taken and does nothing; its revision reads as zero.
//! - Caches and memory types are not modelled: MTRRs and the PAT hold what they are given, and memory is coherent.
//! - A page walk marks a directory entry accessed as soon as it leads to a table, even if the access then faults.
//! - A load of a null selector leaves the segment's limit, for programs that go on to real mode with it; a load in
//!   real mode leaves limit, granularity and size ("unreal mode").
//! - After a switch to a 16-bit task the upper halves of the general registers are all ones.
//! - SGDT and SIDT store the whole base whatever the operand size; PUSH of a segment register zero-extends.
//! - Data breakpoints that a faulting instruction met are forgotten; it meets them again when it is restarted.
//! - #AC in the delivery of #AC to code at level 3 hangs a processor; here delivery gives up after some rounds and the
//!   instruction starts over, so that the host keeps control.

#![forbid(unsafe_code)]

pub mod bus;
pub mod codemap;
pub mod cpu;
pub mod cpuid;
pub mod decode;
mod dirty;
pub mod engine;
pub mod event;
pub mod exec;
pub mod flat;
pub mod icache;
pub mod intercept;
pub mod mmu;
pub mod processor;
pub mod report;
pub mod run;
pub mod softfloat;
pub mod state;
pub mod stops;
