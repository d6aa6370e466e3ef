//! Any accesses to the devices of a PC: `cargo fuzz run devices`.
#![no_main]

#[path = "../../machine/tests/accesses/scenario.rs"]
mod scenario;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| scenario::drive(bytes));
