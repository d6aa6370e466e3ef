//! Criterion benchmark of hooks: what one call costs, beside what the same guest costs without it. SPECIFICATION.md has
//! what is promised.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use iced_x86::code_asm::*;
use idem86::cpu::stops::WatchKind;
use idem86::testing::boot_sector;
use idem86::{EngineKind, Machine, Until};
use std::ops::ControlFlow;

/// Rounds of the guest's loop in a measured run.
const ROUNDS: u64 = 1_000;
/// The first instruction of the loop, and the word that it counts in.
const LOOP: u32 = 0x7C40;
const WORD: u32 = 0x8000;

/// What the loop does in a round, and how much work that is with its branch.
type Round = (&'static str, u64, fn(&mut CodeAssembler) -> Result<(), IcedError>);

const PORT: Round = ("port", 2, |a| a.in_(al, dx));
const MEMORY: Round = ("memory", 2, |a| a.inc(word_ptr(WORD as u64)));
const LOAD: Round = ("load", 2, |a| a.mov(cx, word_ptr(WORD as u64)));
const INTERRUPT: Round = ("interrupt", 3, |a| a.int(0x60));
const CODE: Round = ("code", 2, |a| a.inc(cx));

/// A machine in its loop, translated.
fn machine((_, _, round): Round) -> Machine {
    let assemble = || -> Result<Vec<u8>, IcedError> {
        let mut a = CodeAssembler::new(16)?;
        a.cli()?;
        a.xor(ax, ax)?;
        a.mov(ds, ax)?;
        a.mov(ss, ax)?;
        a.mov(sp, 0x7C00)?;
        a.mov(dx, 0x300)?;
        a.mov(word_ptr(0x180), 0x7C3F)?;
        a.mov(word_ptr(0x182), 0)?;
        a.db(&[0xE9])?;
        let mut code = a.assemble(0x7C00)?;
        let from = 0x7C00 + code.len() as u32 + 2;
        code.extend(((LOOP - from) as u16).to_le_bytes());
        code.resize(0x3F, 0x90);
        // The handler of INT 60h: IRET.
        code.push(0xCF);
        let mut a = CodeAssembler::new(16)?;
        let mut again = a.create_label();
        a.set_label(&mut again)?;
        round(&mut a)?;
        a.jmp(again)?;
        code.extend(a.assemble(LOOP.into())?);
        Ok(code)
    };
    let floppy = boot_sector(&assemble().expect("the guest assembles"));
    let builder = Machine::builder().memory(4 << 20).floppy(floppy).engine(EngineKind::fastest());
    let mut machine = builder.build().expect("it can be built");
    machine.run_until(Until::breakpoint(LOOP)).expect("it has no sinks");
    machine.run_until(Until::work(1_000_000)).expect("it has no sinks");
    machine
}

fn hooks(c: &mut Criterion) {
    let mut group = c.benchmark_group("hooks");
    group.throughput(Throughput::Elements(ROUNDS));
    let mut measure = |name: &str, round: Round, install: &dyn Fn(&mut Machine)| {
        let mut machine = machine(round);
        install(&mut machine);
        let until = Until::work(ROUNDS * round.1);
        group.bench_function(name, |b| b.iter(|| machine.run_until(&until)));
    };
    measure("port, none", PORT, &|_| ());
    measure("port, answered", PORT, &|machine| {
        machine.hook_ports(0x300..=0x300, |access| access.answer(7));
    });
    measure("port, observed", PORT, &|machine| {
        machine.observe_ports(0x300..=0x300, |_| ());
    });
    measure("port, hook on another", PORT, &|machine| {
        machine.hook_ports(0x310..=0x310, |access| access.answer(7));
    });
    measure("memory, none", MEMORY, &|_| ());
    measure("memory", MEMORY, &|machine| {
        machine.hook_memory(WORD..=WORD, WatchKind::Write, |_, _| ControlFlow::Continue(()));
    });
    measure("physical, none", LOAD, &|_| ());
    measure("physical, answered", LOAD, &|machine| {
        machine.hook_physical(u64::from(WORD)..=u64::from(WORD) + 1, |access| access.answer(7));
    });
    measure("physical, observed", LOAD, &|machine| {
        machine.hook_physical(u64::from(WORD)..=u64::from(WORD) + 1, |_| ());
    });
    measure("physical, hook on the page", LOAD, &|machine| {
        machine.hook_physical(u64::from(WORD) + 2..=u64::from(WORD) + 2, |access| access.answer(7));
    });
    measure("event, none", INTERRUPT, &|_| ());
    measure("event", INTERRUPT, &|machine| {
        machine.hook_events(|_| ControlFlow::Continue(()));
    });
    measure("execution, none", CODE, &|_| ());
    measure("execution", CODE, &|machine| {
        machine.hook_execution(LOOP, |_| ControlFlow::Continue(()));
    });
    measure("block", CODE, &|machine| {
        machine.hook_blocks(|_| ControlFlow::Continue(()));
    });
    group.finish();
}

criterion_group!(benches, hooks);
criterion_main!(benches);
