//! Criterion benchmark of snapshots: restoring in place, forking, and the time to the first instruction of new and of
//! saved machines. SPECIFICATION.md has what they promise.

use criterion::{Criterion, criterion_group, criterion_main};
use idem86::devices::access::DmaMemory;
use idem86::devices::time::GuestDuration;
use idem86::machine::config::{Config, Firmware};
use idem86::machine::engine::EngineKind;
use idem86::machine::machine::Machine;
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

/// The sum of what `act` takes each time.
fn times(rounds: u64, mut act: impl FnMut() -> Duration) -> Duration {
    (0..rounds).map(|_| act()).sum()
}

fn timed<T>(act: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = act();
    (result, start.elapsed())
}

fn snapshots(c: &mut Criterion) {
    let mut group = c.benchmark_group("snapshot");
    group.bench_function("first instruction of a fresh 256 MiB machine", |b| {
        b.iter_custom(|rounds| {
            times(rounds, || {
                timed(|| {
                    let mut machine = new(256 * MIB);
                    run(&mut machine, 4);
                    machine
                })
                .1
            })
        });
    });
    let mut machine = booted();
    let snapshot = machine.snapshot().expect("nothing in the drives");
    group.bench_function("restore with 200 dirty pages", |b| {
        b.iter_custom(|rounds| {
            times(rounds, || {
                for page in 0..DIRTY {
                    machine.memory().write(32 * MIB + page * PAGE, &[1]);
                }
                timed(|| machine.restore(&snapshot).expect("its own snapshot")).1
            })
        });
    });
    group.bench_function("restore after a millisecond of the guest", |b| {
        b.iter_custom(|rounds| {
            times(rounds, || {
                run(&mut machine, 1_000_000);
                timed(|| machine.restore(&snapshot).expect("its own snapshot")).1
            })
        });
    });
    group.bench_function("fork of a 512 MiB machine", |b| {
        b.iter_custom(|rounds| times(rounds, || timed(|| machine.fork().expect("memory")).1));
    });
    group.bench_function("first instruction of a spawned 512 MiB machine", |b| {
        b.iter_custom(|rounds| {
            times(rounds, || {
                timed(|| {
                    let mut machine = snapshot.spawn().expect("memory");
                    run(&mut machine, 4);
                    machine
                })
                .1
            })
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = snapshots
}
criterion_main!(benches);
