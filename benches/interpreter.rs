//! Criterion benchmark of the interpreter over the benchmark guests: guest instructions per second.

mod guests;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use idem86::cpu::processor::Processor;
use idem86::machine::flat::{FlatEnd, FlatMachine};

/// Rounds of a guest's loop per measured run.
const ROUNDS: u32 = 5;

fn machine(image: &[u8]) -> FlatMachine {
    FlatMachine::new(image, Processor::default(), 16 << 20, 0xF4).expect("the image fits")
}

fn interpreter(c: &mut Criterion) {
    let mut group = c.benchmark_group("interpreter");
    for guest in guests::GUESTS {
        let image = guest.image(ROUNDS).expect("the guest assembles");
        let mut counted = machine(&image);
        let end = counted.run(None, &mut std::io::sink()).expect("no output");
        assert_eq!(end, FlatEnd::Exit(0), "{} went astray", guest.name);
        println!("{}: {}, {} instructions", guest.name, guest.about, counted.cpu.work());
        group.throughput(Throughput::Elements(counted.cpu.work()));
        group.bench_function(guest.name, |b| {
            let run = |mut m: FlatMachine| m.run(None, &mut std::io::sink());
            b.iter_batched(|| machine(&image), run, BatchSize::LargeInput);
        });
    }
    group.finish();
}

criterion_group!(benches, interpreter);
criterion_main!(benches);
