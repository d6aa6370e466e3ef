//! The system side of the processor against the manual: one test for every documented cause of a fault.

#[path = "../support/engine.rs"]
mod engine;
mod kit;
#[path = "suite.rs"]
mod suite;
