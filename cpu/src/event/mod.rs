//! What interrupts the flow of instructions: exceptions, interrupts, task switches.

pub mod debug;
pub mod deliver;
pub mod exception;
mod frame;
mod gate;
pub(crate) mod task;
mod vm86;
