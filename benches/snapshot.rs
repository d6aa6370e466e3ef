//! Criterion benchmark of snapshots: restoring in place, forking, and the time to the first instruction of new and of
//! saved machines. SPECIFICATION.md has what is promised.

use criterion::{Criterion, criterion_group, criterion_main};
use idem86::devices::access::DmaMemory;
use idem86::devices::time::GuestDuration;
use idem86::machine::config::{Config, Firmware};
use idem86::machine::engine::EngineKind;
use idem86::machine::machine::Machine;
use idem86::machine::snapshot::Snapshot;
use std::hint::black_box;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;
const PAGE: u64 = 4096;

/// Memory that the guest has in use.
const USED: u64 = 128 * MIB;
/// Pages that are written between two restores.
const DIRTY: u64 = 200;

fn new(memory: u64) -> Machine {
    let config = Config { engine: EngineKind::fastest(), ..Config::new(memory, Firmware::Builtin) };
    Machine::new(config).expect("the configuration is sound")
}

fn run(machine: &mut Machine, nanos: u64) {
    let until = machine.now() + GuestDuration::from_nanos(nanos);
    black_box(machine.run_to(until));
}

/// A machine whose BIOS has found nothing to boot from, with a part of its memory in use.
fn booted() -> Machine {
    let mut machine = new(512 * MIB);
    run(&mut machine, 5_000_000_000);
    for page in 0..USED / PAGE {
        machine.memory().write(16 * MIB + page * PAGE, &[0xA5; PAGE as usize]);
    }
    machine
}

/// What this thread has taken of a processor so far, where the host tells: other programs on the host do not count.
fn on_processor() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// How long `rounds` calls of `act` take: time on a processor, or else by the clock.
fn timed(rounds: u64, mut act: impl FnMut()) -> Duration {
    let (start, before) = (Instant::now(), on_processor());
    (0..rounds).for_each(|_| act());
    match (before, on_processor()) {
        (Some(before), Some(after)) => after - before,
        _ => start.elapsed(),
    }
}

fn snapshots(c: &mut Criterion) {
    let mut group = c.benchmark_group("snapshot");
    group.bench_function("new machine of 256 MiB and its first instruction", |b| {
        b.iter_custom(|rounds| timed(rounds, || run(&mut new(256 * MIB), 4)));
    });
    let mut machine = booted();
    let snapshot = machine.snapshot().expect("nothing in the drives");
    group.bench_function("write to 200 pages and restore", |b| {
        b.iter_custom(|rounds| {
            timed(rounds, || {
                for page in 0..DIRTY {
                    machine.memory().write(32 * MIB + page * PAGE, &[1]);
                }
                machine.restore(&snapshot).expect("its own snapshot");
            })
        });
    });
    group.bench_function("fork of 512 MiB", |b| {
        b.iter_custom(|rounds| timed(rounds, || drop(black_box(machine.fork().expect("memory")))));
    });
    group.bench_function("fork of 512 MiB and its first instruction", |b| {
        b.iter_custom(|rounds| timed(rounds, || run(&mut machine.fork().expect("memory"), 4)));
    });
    let directory = tempfile::tempdir().expect("a directory");
    machine.save(directory.path(), &mut |_, _| {}).expect("room");
    // Files are taken for settled, and their checksums noted, some time after they were written.
    std::thread::sleep(Duration::from_secs(3));
    let load = || Snapshot::load(directory.path()).expect("what was saved");
    drop(load());
    group.bench_function("load of 512 MiB from a directory and its first instruction", |b| {
        b.iter_custom(|rounds| timed(rounds, || run(&mut load().spawn().expect("memory"), 4)));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(5));
    targets = snapshots
}
criterion_main!(benches);
