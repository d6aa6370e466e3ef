//! The engines against the host processor, instruction by instruction, on random states.
//!
//! `IDEM86_DIFF_CASES` sets the number of cases, `IDEM86_DIFF_SEED` the first seed (with one case: replays it),
//! `IDEM86_DIFF_ONLY` limits them to instructions whose iced-x86 name contains a text. Where the host cannot
//! run guest code natively the tests say so and pass.
#![forbid(unsafe_code)]

mod support;

use iced_x86::{Code, Instruction};
use idem86_translator::host::native::layout::Segmentation;
use idem86_translator::host::native::{NativeCase, NativeProcessor};
use idem86_translator::{Options, Translator};
use std::collections::{BTreeMap, HashSet};
use std::fmt::{Display, Write};
use support::compare::{Comparison, listing};
use support::generate::{Generated, Generator};
use support::interpreter::Interpreter;
use support::rng::Rng;
use support::shrink::{describe, shrink};

/// Units of one instruction, translated at once.
fn translator(usual: Options) -> Option<Translator> {
    let options = Options { threshold: 0, unit: 1, arena: 1 << 20, ..usual };
    Translator::new(options).inspect_err(|reason| eprintln!("skipped: {reason}")).ok()
}

fn native() -> Option<NativeProcessor> {
    native_with(NativeProcessor::new)
}

fn native_with<E: Display>(make: impl FnOnce() -> Result<NativeProcessor, E>) -> Option<NativeProcessor> {
    make().inspect_err(|reason| eprintln!("skipped: {reason}")).ok()
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Every template gives cases, and the host runs them.
#[test]
fn the_generator_reaches_every_instruction() {
    let Some(mut processor) = native() else { return };
    let generator = Generator::new(&processor);
    for bits in [16, 32] {
        let mut reached = HashSet::new();
        for (seed, template) in (0..).zip(generator.templates(bits)) {
            let mut rng = Rng::new(seed);
            for _ in 0..40 {
                let Some(generated) = generator.attempt(&mut rng, bits, template) else { continue };
                if processor.run(&generated.case).is_ok() {
                    reached.insert(generated.instruction.code());
                }
            }
        }
        let all: HashSet<Code> = generator.templates(bits).iter().map(|template| template.code).collect();
        let missed: Vec<_> = all.difference(&reached).collect();
        assert!(missed.is_empty(), "in {bits}-bit code: {missed:?}");
    }
}

/// Registers, memory, flags, exceptions: all that the architecture defines.
#[test]
fn the_interpreter_does_what_the_host_does() {
    let number = |name, default| setting(name).map_or(default, |text| text.parse().expect("a number"));
    let (first, cases) = (number("IDEM86_DIFF_SEED", 0u64), number("IDEM86_DIFF_CASES", 100_000));
    if let Some(processor) = native() {
        compare_with(processor, None, first, cases);
    }
}

/// The same of translated code, in units of one instruction.
#[test]
fn the_translator_does_what_the_host_does() {
    let cases = setting("IDEM86_DIFF_CASES").map_or(40_000, |text| text.parse().expect("a number"));
    if let (Some(processor), Some(translator)) = (native(), translator(Options::default())) {
        compare_with(processor, Some(translator), 1 << 32, cases);
    }
}

/// The same where sensitive instructions are traps, which come back beside those of native runs.
#[test]
fn trap_and_emulate_does_what_the_host_does() {
    if let (Some(translator), Some(processor)) = (translator(Options::TRAP), native()) {
        compare_with(processor, Some(translator), 2 << 32, 20_000);
    }
}

/// The same where the host has to do without local descriptors.
#[test]
fn the_interpreter_does_what_the_host_does_in_flat_segments() {
    if let Some(processor) = native_with(|| NativeProcessor::with(Segmentation::Flat)) {
        compare_with(processor, None, 0, 20_000);
    }
}

fn compare_with(mut processor: NativeProcessor, translator: Option<Translator>, first: u64, cases: u64) {
    let only = setting("IDEM86_DIFF_ONLY").unwrap_or_default().to_lowercase();
    let generator = Generator::new(&processor);
    let mut interpreter = Interpreter::new(&processor, translator);
    let mut compare = |case: &NativeCase, instruction: &Instruction| {
        let host = processor.run(case).ok()?;
        let ours = interpreter.run(case);
        let comparison = Comparison::new(instruction, case, &host, &ours, processor.segments());
        Some(if comparison.agrees() { Ok(()) } else { Err(Difference::new(&comparison)) })
    };

    let mut compared = 0;
    let mut failures: BTreeMap<String, (u32, String)> = BTreeMap::new();
    for seed in first..first + cases {
        let Generated { instruction, case, .. } = generator.case(seed);
        let code = format!("{:?}", instruction.code());
        if !code.to_lowercase().contains(&only) {
            continue;
        }
        let Some(result) = compare(&case, &instruction) else { continue };
        compared += 1;
        let Err(difference) = result else { continue };
        let kind = difference.kind.clone();
        let example = || {
            let same_kind = |result: Option<Result<(), Difference>>| match result {
                Some(Err(other)) => Some(other).filter(|other| other.kind == kind),
                _ => None,
            };
            let small = shrink(case, |case| same_kind(compare(case, &instruction)).is_some());
            let summary = same_kind(compare(&small, &instruction)).map_or(String::new(), |d| d.summary);
            let listing = listing(&instruction, &small.code);
            let state = describe(&small.before, &generator);
            format!("seed {seed}\n{}  {listing}: {state}: {summary}\n", difference.table)
        };
        let (count, _) = failures.entry(format!("{code}: {kind}")).or_insert_with(|| (0, example()));
        *count += 1;
    }
    let entries = interpreter.entries();
    assert!(entries.is_none_or(|entries| entries > compared / 2), "translated code ran {entries:?} times");
    let mut report = String::new();
    for (kind, (count, example)) in &failures {
        let _ = writeln!(report, "{kind}: {count} times, first with {example}");
    }
    assert!(failures.is_empty(), "\n{report}{} kinds of difference in {compared} cases", failures.len());
    // With flat segments, what is meant to miss the window is refused.
    let expected = if processor.segmentation() == Segmentation::Local { cases / 100 * 99 } else { cases / 2 };
    assert!(compared >= expected || !only.is_empty(), "only {compared} of {cases} cases could be run");
}

/// A comparison that failed, rendered.
struct Difference {
    kind: String,
    table: String,
    summary: String,
}

impl Difference {
    fn new(comparison: &Comparison) -> Self {
        Self { kind: comparison.kind(), table: comparison.to_string(), summary: comparison.summary() }
    }
}
