//! Any words on the command line: `cargo fuzz run options -- -dict=dictionaries/options`. A byte 0 ends a word.
#![no_main]
#![allow(dead_code, reason = "the command uses the rest")]

/// The arguments, as the command has them.
#[path = "../../src/cli"]
mod cli {
    pub mod args;
    pub mod engine;

    /// What ends the command early.
    #[derive(Debug)]
    pub enum Failure {
        Usage(String),
        Run(String),
    }
}

use clap::Parser;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let words = bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    if let Err(error) = cli::args::Args::try_parse_from(["idem86".to_string()].into_iter().chain(words)) {
        // What people are told, with suggestions.
        let _ = error.to_string();
    }
});
