//! The examples that need no guest of somebody else's run; the others say what they want.

use std::process::{Command, Output};

/// Builds and runs an example.
fn example(name: &str, arguments: &[&str]) -> Output {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(["run", "--quiet", "--example", name, "--"]).args(arguments).output().expect("cargo runs")
}

#[test]
fn examples_without_guests_succeed() {
    for (name, arguments) in [
        ("port_hook", &[][..]),
        ("own_device", &[]),
        ("fork_many", &[]),
        ("fuzz_loop", &["3000"]),
        ("compare_engines", &[]),
    ] {
        let output = example(name, arguments);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{name}: {text}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(!text.is_empty(), "{name} says nothing");
    }
}

#[test]
fn examples_with_guests_say_what_is_missing() {
    for (name, what) in [("boot_dos", "which image"), ("boot_linux", "which kernel")] {
        let output = example(name, &[]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(what), "{name}: {text}");
    }
    let output = example("boot_dos", &["/no/such/image"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/image"));
}
