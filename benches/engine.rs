//! Criterion benchmarks of what engines are made of: decoding, translating, linked and looked-up branches, traps,
//! filling shadow tables, device access.
//!
//! Those after the first two are nanobenchmarks of `idem86 compare`, one round an iteration; all engines that this host
//! can run take part.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use iced_x86::IcedError;
use iced_x86::code_asm::*;
use idem86::compare::nano;
use idem86::compare::runner::Runner;
use idem86::compare::runner::engine::EngineRunner;
use idem86::cpu::decode::decode;
use idem86::cpu::processor::Processor;
use idem86::machine::engine::{Engine, EngineKind, Options};
use idem86::machine::flat::{FlatEnd, FlatMachine, LOAD_ADDRESS};
use std::hint::black_box;
use std::time::Duration;

/// After how long a run has failed.
const LIMIT: Duration = Duration::from_secs(120);
/// Units of the program that is translated; all lie in the first 64 KiB.
const UNITS: u32 = 1000;

/// A boot sector's program of [`UNITS`] straight pieces with a jump between them, which then ends the run.
fn straight_pieces() -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(16)?;
    for n in 0..UNITS {
        a.add(eax, n)?;
        a.xor(ecx, eax)?;
        a.lea(edx, dword_ptr(eax + ecx * 4))?;
        a.mov(dword_ptr(0x500), edx)?;
        let mut next = a.create_label();
        a.jmp(next)?;
        a.set_label(&mut next)?;
        a.nop()?;
    }
    a.out(0xF4, al)?;
    a.assemble(LOAD_ADDRESS as u64)
}

fn decoding(c: &mut Criterion) {
    let code = straight_pieces().expect("it assembles");
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(u64::from(UNITS) * 6 + 1));
    group.bench_function("straight pieces", |b| {
        b.iter(|| {
            let (mut at, mut decoded) = (0, 0);
            while at < code.len() {
                at += decode(black_box(&code[at..]), 16).expect("what was assembled").len();
                decoded += 1;
            }
            decoded
        });
    });
    group.finish();
}

fn translating(c: &mut Criterion) {
    let code = straight_pieces().expect("it assembles");
    let kind = EngineKind::Translator(Options { threshold: 0, ..Options::default() });
    let machine = || {
        let mut machine = FlatMachine::new(&code, Processor::default(), 1 << 20, 0xF4).expect("it fits");
        machine.set_engine(Engine::new(kind).expect("it ran before"));
        machine
    };
    if Engine::new(kind).is_err() {
        eprintln!("translate: skipped, this host has no translator");
        return;
    }
    let mut group = c.benchmark_group("translate");
    group.throughput(Throughput::Elements(u64::from(UNITS)));
    group.bench_function("units, each executed once", |b| {
        let run = |mut machine: FlatMachine| {
            let end = machine.run(None, &mut std::io::sink()).expect("no output");
            assert!(matches!(end, FlatEnd::Exit(_)));
            machine
        };
        b.iter_batched(machine, run, BatchSize::LargeInput);
    });
    group.finish();
}

/// Groups, and the nanobenchmarks in them.
const GROUPS: &[(&str, &[&str])] = &[
    ("chain", &["compute", "call-ret"]),
    ("lookup", &["call-indirect"]),
    ("trap", &["cli-sti", "rdtsc", "int-kernel", "invalid-opcode"]),
    ("shadow fill", &["hidden-fault", "demand-page", "switch-warm"]),
    ("device access", &["in", "out", "mmio-read", "mmio-write"]),
];

fn operations(c: &mut Criterion) {
    for (title, names) in GROUPS {
        let mut group = c.benchmark_group(*title);
        for nano in names.iter().filter_map(|name| nano::named(name)) {
            group.throughput(Throughput::Elements(nano.copies.into()));
            for kind in EngineKind::all() {
                let mut runner = EngineRunner::new(kind, kind.name().into(), LIMIT);
                if let Err(why) = runner.load(nano) {
                    eprintln!("{} on {}: skipped, {why}", nano.name, kind.name());
                    continue;
                }
                group.bench_function(BenchmarkId::new(nano.name, kind.name()), |b| {
                    b.iter_custom(|rounds| {
                        let most = u64::from(u32::MAX);
                        let whole = runner.run(rounds.min(most) as u32).expect("the nanobenchmark runs");
                        // So many rounds that they do not fit are extrapolated.
                        whole.mul_f64(rounds.max(1) as f64 / rounds.clamp(1, most) as f64)
                    });
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, decoding, translating, operations);
criterion_main!(benches);
