//! What an x86 processor is: state, decoding, interpreter, memory management, events.
//!
//! Safe Rust, no operating system, no threads. [`cpu::Cpu`] is the processor; [`bus::Bus`] is the only outside
//! world it knows. The interpreter is complete and exact: it is the oracle for every other engine, and the one
//! place where x86 semantics live.

#![forbid(unsafe_code)]

pub mod bus;
pub mod codemap;
pub mod cpu;
pub mod cpuid;
pub mod decode;
pub mod event;
pub mod exec;
pub mod flat;
pub mod icache;
pub mod mmu;
pub mod run;
pub mod softfloat;
pub mod state;
