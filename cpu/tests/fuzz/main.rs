//! Deterministic fuzzing: random bytes as code in every mode, with random registers, tables and translations, and
//! random bytes for the decoder.
//!
//! `IDEM86_FUZZ_RUNS` sets the number of cases per test (the default is for a quick run), `IDEM86_FUZZ_SEED` the
//! first seed; a failure names its own. The fuzzing targets in `fuzz/` call the same checks.

#[path = "../support/engine.rs"]
mod engine;
#[path = "suite.rs"]
mod suite;
