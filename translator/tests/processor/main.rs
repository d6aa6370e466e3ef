//! Every test of the interpreter, with the translator in its place; it is what random programs are compared with.
//!
//! Each test runs with single-instruction units, so that what takes one step is translated too. The last one runs them
//! all again with long units that are linked, and with an arena that is always full.
#![cfg(target_arch = "x86_64")]
#![forbid(unsafe_code)]

mod crossings;
mod engine;
mod faults;
#[path = "../../../cpu/tests/fuzz/suite.rs"]
mod fuzz;
#[path = "../../../cpu/tests/integer/suite.rs"]
mod integer;
#[path = "../../../cpu/tests/system/kit.rs"]
mod kit;
mod memory;
mod programs;
mod real;
mod safety;
#[path = "../../../cpu/tests/simd/suite.rs"]
mod simd;
#[path = "../../../cpu/tests/system/suite.rs"]
mod system;
mod time;

use std::process::Command;

#[test]
fn what_is_written_is_in_the_log() {
    if std::env::var_os(engine::WAY).is_some() {
        return;
    }
    // Those of memory run in all ways.
    let skip = ["again_with_other_options", "what_is_written", "qemu", "programs::", "fuzz::"];
    engine::writes::run_tests_again(&skip, (engine::WAY, engine::ways()[0].0));
}

#[test]
fn again_with_other_options() {
    let this = std::env::current_exe().expect("this program has a name");
    for way in &engine::ways()[1..] {
        if std::env::var_os(engine::WAY).is_some() {
            return;
        }
        let run = Command::new(&this)
            .args([
                "--skip",
                "again_with_other_options",
                "--skip",
                "qemu",
                "--skip",
                "memory::",
                "--skip",
                "programs::",
            ])
            .env(engine::WAY, way.0)
            .output()
            .expect("it can be started");
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success(), "{}:\n{said}\n{}", way.0, String::from_utf8_lossy(&run.stderr));
    }
}
