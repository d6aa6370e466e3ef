//! Native runs on Linux and x86-64.

mod confine;
mod enter;
mod ldt;
mod memory;
mod processor;
mod screen;
mod segments;
mod signal;
#[cfg(test)]
mod tests;

pub use processor::NativeProcessor;
pub use signal::claim_native;
