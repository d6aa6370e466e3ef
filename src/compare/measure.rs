//! Measuring nanobenchmarks: every runner in turn, again and again, so that what else the host does strikes all alike.

use super::contender::Contender;
use super::nano::{self, EMPTY, NANOS, Nano};
use super::runner::engine::EngineRunner;
use super::runner::native::NativeRunner;
use super::runner::qemu::QemuRunner;
use super::runner::{Lack, Runner};
use super::table::{Column, Kind, Row, Sample, Table, Unit};
use idem86_machine::engine::{Engine, EngineKind};
use std::time::Duration;

/// What to compare, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Nanobenchmarks, in the order of the table.
    pub nanos: Vec<&'static Nano>,
    /// Engines. Those that this host cannot run are left out with a note.
    pub engines: Vec<Contender>,
    /// Whether to run on the host itself what can be.
    pub native: bool,
    /// Whether to compare with QEMU TCG.
    pub qemu: bool,
    /// How often each is measured, at least once.
    pub repeats: u32,
    /// How long a run should take.
    pub run: Duration,
    /// After how long a run has failed.
    pub limit: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            nanos: NANOS.iter().collect(),
            engines: Contender::all(),
            native: true,
            qemu: false,
            repeats: 5,
            run: Duration::from_millis(30),
            limit: Duration::from_secs(60),
        }
    }
}

/// How far a comparison is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Steps done.
    pub done: u64,
    /// Steps in all.
    pub total: u64,
    /// What is done now.
    pub what: &'a str,
}

/// A column of the table.
enum Contestant {
    /// An engine, which must prove that it does equal work.
    Engine(Box<EngineRunner>),
    Other(Box<dyn Runner>),
}

impl Contestant {
    fn runner(&mut self) -> &mut dyn Runner {
        match self {
            Contestant::Engine(engine) => engine.as_mut(),
            Contestant::Other(other) => other.as_mut(),
        }
    }
}

/// Times of a round in nanoseconds for each contestant, or why there are none; or why the whole is not comparable.
type Times = Result<Vec<Result<Sample, Lack>>, String>;

/// Measures; `progress` is told before each step.
pub fn measure(plan: &Plan, progress: &mut dyn FnMut(Progress)) -> Table {
    let (mut columns, mut contestants, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    let mut add = |name: &str, kind, contestant| {
        columns.push(Column { name: name.into(), kind });
        contestants.push(contestant);
    };
    if plan.native {
        add("native", Kind::Native, Contestant::Other(Box::new(NativeRunner::default())));
    }
    for Contender { name, kind } in &plan.engines {
        match Engine::new(*kind) {
            Ok(_) => {
                let runner = EngineRunner::new(*kind, name.clone(), plan.limit);
                add(name, Kind::Engine, Contestant::Engine(Box::new(runner)));
            }
            Err(e) => notes.push(format!("{name}: left out, it cannot run on this host: {e}")),
        }
    }
    if plan.qemu {
        add("qemu", Kind::Peer, Contestant::Other(Box::new(QemuRunner::new(plan.limit))));
    }
    // What is taken off others is measured too, but not shown unless it was asked for.
    let mut measured = vec![&EMPTY];
    let needed = plan.nanos.iter().filter_map(|nano| nano.minus.and_then(nano::named));
    for nano in needed.chain(plan.nanos.iter().copied()) {
        if !measured.iter().any(|other: &&Nano| other.name == nano.name) {
            measured.push(nano);
        }
    }
    let total = measured.len() as u64;
    let mut times: Vec<(&str, Times)> = Vec::new();
    for (done, nano) in (0..).zip(measured) {
        progress(Progress { done, total, what: nano.name });
        times.push((nano.name, time(nano, plan, &mut contestants)));
    }
    progress(Progress { done: total, total, what: "done" });
    let rows = plan.nanos.iter().map(|nano| row(nano, &times)).collect();
    Table {
        columns,
        rows,
        notes,
        host: host(),
        cycles_per_ns: idem86_translator::host::clock::ticks_per_ns(),
    }
}

/// Times of a round of `nano`.
fn time(nano: &'static Nano, plan: &Plan, contestants: &mut [Contestant]) -> Times {
    let mut interpreter = EngineRunner::new(EngineKind::Interpreter, "interpreter".into(), plan.limit);
    let reference = interpreter.load(nano).and_then(|()| interpreter.reference());
    let reference = reference.map_err(|lack| format!("interpreter: {lack}"))?;
    let mut rounds = Vec::new();
    for contestant in contestants.iter_mut() {
        let mut ready = contestant.runner().load(nano);
        if let (Ok(()), Contestant::Engine(engine)) = (&ready, &mut *contestant) {
            ready = engine.prove(&reference);
            if let Err(Lack::Wrong(what)) = &ready {
                return Err(format!("{}: {what}", engine.name()));
            }
        }
        rounds.push(ready.and_then(|()| calibrate(contestant.runner(), plan.run)));
    }
    let mut times: Vec<Result<Vec<f64>, Lack>> =
        rounds.iter().map(|rounds| rounds.clone().map(|_| Vec::new())).collect();
    for _ in 0..plan.repeats.max(1) {
        for ((contestant, rounds), times) in contestants.iter_mut().zip(&rounds).zip(&mut times) {
            let (Ok(rounds), Ok(values)) = (rounds, &mut *times) else { continue };
            match contestant.runner().run(*rounds) {
                Ok(time) => values.push(time.as_secs_f64() * 1e9 / f64::from(*rounds)),
                Err(Lack::Wrong(what)) => return Err(format!("{}: {what}", contestant.runner().name())),
                Err(lack) => *times = Err(lack),
            }
        }
    }
    let sample = |values| Sample::new(values).ok_or(Lack::Wrong("not measured".into()));
    Ok(times.into_iter().map(|times| times.and_then(sample)).collect())
}

/// How many rounds take about `time`. What engines adapt to they have seen by then.
fn calibrate(runner: &mut dyn Runner, time: Duration) -> Result<u32, Lack> {
    let mut rounds: u32 = 64;
    loop {
        let taken = runner.run(rounds)?.as_secs_f64().max(1e-9);
        let factor = time.as_secs_f64() / taken;
        if factor < 4.0 || rounds == u32::MAX >> 1 {
            let wanted = f64::from(rounds) * factor;
            return Ok(wanted.clamp(1.0, f64::from(u32::MAX >> 1)) as u32);
        }
        rounds = (f64::from(rounds) * factor.min(16.0)).min(f64::from(u32::MAX >> 1)) as u32;
    }
}

/// The row of `nano`: what a round costs without the loop, and without what else is known of it.
fn row(nano: &Nano, times: &[(&str, Times)]) -> Row {
    let of = |name: &str| times.iter().find(|(other, _)| *other == name).map(|(_, times)| times);
    let cost = |name: &str, column: usize| {
        let (all, empty) = (of(name)?.as_ref().ok()?, of(EMPTY.name)?.as_ref().ok()?);
        let (sample, loop_itself) = (all.get(column)?.as_ref().ok()?, empty.get(column)?.as_ref().ok()?);
        let copies = f64::from(nano::named(name)?.copies);
        let each = |round: &f64| (round - loop_itself.median()) / copies;
        Sample::new(sample.values().iter().map(each).collect())
    };
    let cells = match (of(nano.name), of(EMPTY.name)) {
        (Some(Err(what)), _) => Err(what.clone()),
        (_, Some(Err(what))) => Err(format!("the loop itself: {what}")),
        (Some(Ok(all)), _) => {
            let cell = |(column, result): (usize, &Result<Sample, Lack>)| {
                result.clone()?;
                let own = cost(nano.name, column).ok_or(Lack::Wrong("the loop itself failed".into()))?;
                let off = match nano.minus {
                    Some(other) => {
                        let lack = || Lack::Wrong(format!("{other} failed, which is a part of it"));
                        cost(other, column).ok_or_else(lack)?.median()
                    }
                    None => 0.0,
                };
                let values = own.values().iter().map(|value| (value - off).max(0.0)).collect();
                Sample::new(values).ok_or(Lack::Wrong("not measured".into()))
            };
            Ok(all.iter().enumerate().map(cell).collect())
        }
        (None, _) => Err("not measured".into()),
    };
    Row { name: nano.name.into(), about: nano.about.into(), unit: Unit::Nanoseconds, cells }
}

/// What this host is, and how busy.
pub fn host() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let information = read("/proc/cpuinfo");
    let field = |name: &str| {
        let line = information.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_string())
    };
    let model = field("model name").unwrap_or_else(|| std::env::consts::ARCH.into());
    let family = match (field("cpu family"), field("model\t")) {
        (Some(family), Some(model)) => format!(" (family {family}, model {model})"),
        _ => String::new(),
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let load = match read("/proc/loadavg").split_once(' ') {
        Some((load, _)) => format!(", load {load}"),
        None => String::new(),
    };
    format!("{model}{family}, {processors} processors, {}{load}", std::env::consts::OS)
}
