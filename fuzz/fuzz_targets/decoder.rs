//! Any bytes, decoded: `cargo fuzz run decoder`.
#![no_main]

mod support;
use support::{engine, scenario};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| scenario::check_decoder(bytes));
