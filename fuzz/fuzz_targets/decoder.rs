//! Any bytes, decoded: `cargo fuzz run decoder`.
#![no_main]

mod support;
use support::{entropy, scenario, world};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| scenario::check_decoder(bytes));
