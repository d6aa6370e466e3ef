//! What interrupts the flow of instructions: exceptions, interrupts, task switches.

pub mod deliver;
pub mod exception;
