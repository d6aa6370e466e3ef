//! The log of writes, held against memory itself: whatever a run changes lies on pages that the log names.

use idem86_cpu::cpu::Cpu;
use std::cell::RefCell;
use std::ops::Deref;
use std::process::Command;

/// The variable that asks for it.
const TRACK: &str = "IDEM86_TRACK_WRITES";

thread_local! {
    /// Room for a copy of memory.
    static BEFORE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Does `run`, with a look at what it wrote if that is asked for.
pub fn checked<M: Deref<Target = [u8]>, R>(
    cpu: &mut Cpu,
    ram: &mut M,
    run: impl FnOnce(&mut Cpu, &mut M) -> R,
) -> R {
    if std::env::var_os(TRACK).is_none() {
        return run(cpu, ram);
    }
    if !cpu.tracks_writes() {
        cpu.track_writes(ram.len());
    }
    // Not forgotten in between: that would flush translations, on which some tests depend.
    let mut before = BEFORE.take();
    before.clear();
    before.extend_from_slice(ram);
    let result = run(cpu, ram);
    let mut written = vec![false; ram.len().div_ceil(4096)];
    cpu.written_pages().iter().for_each(|page| written[*page as usize] = true);
    for (page, (old, new)) in before.chunks(4096).zip(ram.chunks(4096)).enumerate() {
        assert!(written[page] || old == new, "page {page:#x} was written and is not in the log");
    }
    BEFORE.set(before);
    result
}

/// Runs the tests of this program once more with writes tracked, but for those whose names contain one of `skip`, and
/// with the variable `way` set.
#[allow(dead_code, reason = "only the tests of the translator are run again")]
pub fn run_tests_again(skip: &[&str], way: (&str, &str)) {
    if std::env::var_os(TRACK).is_some() {
        return;
    }
    let this = std::env::current_exe().expect("this program has a name");
    let skip = skip.iter().flat_map(|name| ["--skip", name]);
    let run =
        Command::new(&this).args(skip).env(TRACK, "1").env(way.0, way.1).output().expect("it can be started");
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}\n{}", String::from_utf8_lossy(&run.stderr));
    // One that was skipped does not prove anything.
    assert!(!said.contains("running 0 tests"), "{said}");
}
