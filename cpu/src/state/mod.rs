//! The architectural state, one file per kind of register.

pub mod control;
pub mod descriptor;
pub mod eflags;
pub mod gpr;
pub mod msr;
pub mod save;
pub mod segment;
pub mod simd;
pub mod x87;
