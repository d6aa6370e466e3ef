//! The guests that tests run: where they are looked for, and what is said of those that are not there.

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Prints a line about a test. Unlike `println!` it is not hidden when the test succeeds: how long a guest took and
/// what was skipped is worth seeing then.
pub fn say(test: &dyn Display, what: &dyn Display) {
    // One call, so that lines of tests that run side by side stay whole. Nobody to read them is no failure.
    let _ = std::io::stderr().write_all(format!("{test}: {what}\n").as_bytes());
}

/// The file `name` among the guests, or `None`, having said so: in the folder that `IDEM86_GUESTS` names, without it
/// in `shared/guests` beside the project; else among what `tests/guests/fetch` brought.
pub fn guest(test: &str, name: &str) -> Option<PathBuf> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let given =
        std::env::var_os("IDEM86_GUESTS").map_or_else(|| project.join("../shared/guests"), PathBuf::from);
    let found = [given, project.join("target/guests")]
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|p| p.exists());
    if found.is_none() {
        say(&test, &format_args!("skipped, no {name} (tests/guests/fetch brings guests; IDEM86_GUESTS)"));
    }
    found
}
