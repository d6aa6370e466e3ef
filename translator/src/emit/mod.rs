//! Emission of host code: register roles, the assembler, and the stubs that every translation unit uses.

pub mod abi;
pub mod stubs;
