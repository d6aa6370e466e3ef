//! The memory that forks take; alone in its process, since what is measured is all of that process.

#[path = "support/guests.rs"]
mod guests;

use guests::{guest, say};
use idem86::{Disk, Ended, Machine, Until};

/// Guest time that booting, or a command, takes at most, in milliseconds.
const LIMIT: u64 = 20_000;

/// Bytes of memory that this process has for itself and for nobody else, resident and swapped out: heaps, guests, and
/// not what is mapped from files, of which other processes have their shares. `None` where the host does not tell.
/// Linux, "The /proc Filesystem", on `smaps_rollup`.
fn own_memory() -> Option<u64> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let kibibytes = |name: &str| {
        let value = rollup.lines().find_map(|line| line.strip_prefix(name))?;
        value.split_whitespace().next()?.parse::<u64>().ok()
    };
    Some((kibibytes("Pss_Anon:")? + kibibytes("Pss_Shmem:")? + kibibytes("SwapPss:")?) << 10)
}

fn shows(machine: &mut Machine, pattern: &str) {
    let ended = machine.run_until(Until::screen(pattern).or(Until::millis(LIMIT))).expect("it has no sinks");
    assert!(
        matches!(ended, Ended::Screen { .. }),
        "no {pattern}: {}",
        machine.screen_text().unwrap_or_default()
    );
}

#[test]
fn a_hundred_forks_of_a_booted_guest_fit_into_four_gibibytes() {
    let test = "a hundred forks";
    let Some(path) = guest(test, "freedos722.img") else { return };
    let floppy = Disk::file(path).snapshot();
    let mut parent = Machine::builder().memory(512 << 20).floppy(floppy).build().expect("it can be built");
    shows(&mut parent, "^A:.>$");
    let saved = parent.snapshot().expect("media with overlays");
    let before = own_memory();
    let first = saved.spawn().expect("memory");
    match (before, own_memory()) {
        (Some(before), Some(after)) => {
            let grown = after.saturating_sub(before);
            say(&test, &format_args!("{} KiB for a fork that has not run", grown >> 10));
            assert!(grown < 4 << 20, "{grown} bytes for a fork that has not run");
        }
        _ => say(&test, &"memory is not measured, this host does not tell of it"),
    }
    let mut forks = vec![first];
    forks.extend((1..100).map(|_| saved.spawn().expect("memory")));
    for (n, fork) in forks.iter_mut().enumerate() {
        fork.type_text(&format!("echo number {n}\n")).expect("the keyboard has these keys");
        shows(fork, &format!("^number {n}$"));
    }
    if let Some(all) = own_memory() {
        say(&test, &format_args!("{} MiB after all of them have run", all >> 20));
        assert!(all < 4 << 30, "{all} bytes");
    }
}
