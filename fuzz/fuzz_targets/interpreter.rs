//! Any registers, tables and code in any mode, executed: `cargo fuzz run interpreter`.
#![no_main]

mod support;
use support::scenario::Mode;
use support::{engine, scenario};

const MODES: [Mode; 6] =
    [Mode::Real, Mode::Protected16, Mode::Protected32, Mode::Virtual8086, Mode::Paged32, Mode::PagedPae];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((mode, rest)) = bytes.split_first() else { return };
    scenario::check(MODES[*mode as usize % MODES.len()], rest, 1000);
});
