//! `idem86 classify`: privileged, sensitive and innocuous instructions, and what the host does about them.

use super::Failure;
use idem86::classify::{classify, json, text};
use std::io::{self, Write};

/// Executes what is sensitive, prints the table, and gives the exit code.
pub fn run(as_json: bool) -> Result<u8, Failure> {
    let entries = classify(&mut |_| ());
    let report = if as_json { json(&entries) } else { text(&entries) };
    match io::stdout().write_all(report.as_bytes()) {
        // Whoever reads the output went away: that is their decision, not an error.
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("standard output: {e}")))
        }
        _ => Ok(0),
    }
}
