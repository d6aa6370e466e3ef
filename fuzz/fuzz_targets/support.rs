//! The checks that the deterministic fuzz tests of the processor run, for the fuzzing targets.

#![allow(dead_code, reason = "each target uses a part")]

#[path = "../../cpu/tests/support/engine.rs"]
pub mod engine;
#[path = "../../cpu/tests/fuzz/entropy.rs"]
pub mod entropy;
#[path = "../../cpu/tests/fuzz/scenario.rs"]
pub mod scenario;
#[path = "../../cpu/tests/fuzz/world.rs"]
pub mod world;
