//! The architectural state, one file per kind of register.

pub mod control;
pub mod descriptor;
pub mod eflags;
pub mod gpr;
pub mod msr;
pub mod segment;
pub mod simd;
pub mod x87;
