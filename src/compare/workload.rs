//! Macro workloads: whole systems, stage by stage, timed from outside.
//!
//! Every engine starts the same machine under the virtual clock, so that it must come to the same state at the end of
//! each stage; the seconds are the host's processor's.

use super::contender::Contender;
use super::measure::{Progress, host};
use super::runner::Lack;
use super::runner::engine::Digest;
use super::table::{Column, Kind, Row, Sample, Table, Unit};
use idem86_devices::time::GuestDuration;
use idem86_machine::engine::{Engine, EngineKind};
use idem86_machine::machine::{Machine, Outcome};
use idem86_machine::script::{Script, ScriptState, Step};
use idem86_translator::host::clock::Stopwatch;
use std::time::{Duration, Instant};

/// Guest time between two looks at steps, output and the host's clock.
const SLICE: GuestDuration = GuestDuration::from_millis(5);

/// A part of a workload that is timed by itself.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Its name on the command line.
    pub name: String,
    /// What it is.
    pub about: String,
    /// What is done. Without steps the guest decides when it ends.
    pub steps: Vec<Step>,
    /// Whether it is a row of the table, or only leads to the next stage.
    pub shown: bool,
}

/// Makes a machine that executes guest code with an engine, switched on.
pub type Build<'a> = Box<dyn FnMut(EngineKind) -> Result<Machine, Lack> + 'a>;

/// A machine, and what is done at it.
pub struct Workload<'a> {
    /// Makes the machine.
    pub build: Build<'a>,
    /// Done one after the other.
    pub stages: Vec<Stage>,
}

/// Runs workloads on `engines` in turn, `repeats` times from power-on; a stage that takes longer than `limit` has
/// failed. `progress` is told before each run.
pub fn measure(
    workloads: &mut [Workload],
    engines: &[Contender],
    repeats: u32,
    limit: Duration,
    progress: &mut dyn FnMut(Progress),
) -> Table {
    let (mut running, mut notes) = (Vec::new(), Vec::new());
    for Contender { name, kind } in engines {
        match Engine::new(*kind) {
            Ok(_) => running.push((*kind, name.clone())),
            Err(e) => notes.push(format!("{name}: left out, it cannot run on this host: {e}")),
        }
    }
    let columns = running.iter().map(|(_, name)| Column { name: name.clone(), kind: Kind::Engine }).collect();
    let repeats = repeats.max(1);
    let total = workloads.len() as u64 * u64::from(repeats) * running.len() as u64;
    let (mut rows, mut done) = (Vec::new(), 0);
    for workload in workloads {
        // The states that the first engine comes to, and each engine's times, stage by stage.
        let mut reference: Vec<Digest> = Vec::new();
        let mut times = vec![vec![Ok(Vec::new()); running.len()]; workload.stages.len()];
        let mut different = vec![None; workload.stages.len()];
        for _ in 0..repeats {
            for (column, (kind, name)) in running.iter().enumerate() {
                progress(Progress { done, total, what: &format!("{} on {name}", title(workload)) });
                done += 1;
                let results = run(workload, *kind, limit);
                for (stage, result) in results.into_iter().enumerate() {
                    let time = result.map(|(time, digest)| {
                        if let Some(reference) = reference.get(stage) {
                            if let Some(what) = digest.difference(reference) {
                                let other = &running[0].1;
                                different[stage].get_or_insert(format!("{name} and {other}: {what}"));
                            }
                        } else if reference.len() == stage {
                            reference.push(digest);
                        }
                        time
                    });
                    match (time, &mut times[stage][column]) {
                        (Ok(time), Ok(values)) => values.push(time.as_secs_f64()),
                        (Err(lack), cell @ Ok(_)) => *cell = Err(lack),
                        (_, Err(_)) => {}
                    }
                }
            }
        }
        for ((stage, times), different) in workload.stages.iter().zip(times).zip(different) {
            let sample = |values| Sample::new(values).ok_or(Lack::Wrong("not reached".into()));
            let cells = match different {
                Some(what) => Err(what),
                None => Ok(times.into_iter().map(|times| times.and_then(sample)).collect()),
            };
            if stage.shown {
                let (name, about) = (stage.name.clone(), stage.about.clone());
                rows.push(Row { name, about, unit: Unit::Seconds, cells });
            }
        }
    }
    progress(Progress { done: total, total, what: "done" });
    Table { columns, rows, notes, host: host(), cycles_per_ns: None }
}

fn title(workload: &Workload) -> String {
    let shown = workload.stages.iter().filter(|stage| stage.shown).map(|stage| stage.name.as_str());
    shown.collect::<Vec<_>>().join(", ")
}

/// Time and end of each stage; the stages behind one that failed are not there.
fn run(workload: &mut Workload, kind: EngineKind, limit: Duration) -> Vec<Result<(Duration, Digest), Lack>> {
    let mut results = Vec::new();
    let start = (Instant::now(), Stopwatch::start());
    let mut machine = match (workload.build)(kind) {
        Ok(machine) => machine,
        Err(lack) => return vec![Err(lack); workload.stages.len()],
    };
    let mut start = Some(start);
    for stage in &workload.stages {
        let (start, stopwatch) = start.take().unwrap_or_else(|| (Instant::now(), Stopwatch::start()));
        let result = follow(&mut machine, &stage.steps, start, limit);
        let failed = result.is_err();
        results.push(result.map(|()| (stopwatch.elapsed(), Digest::of(&mut machine))));
        if failed {
            break;
        }
    }
    results
}

/// Does `steps`; without any, until the guest ends the run.
fn follow(machine: &mut Machine, steps: &[Step], start: Instant, limit: Duration) -> Result<(), Lack> {
    let mut script = Script::new(steps.to_vec());
    loop {
        if !steps.is_empty() {
            match script.advance(machine).map_err(|e| Lack::Wrong(e.to_string()))? {
                ScriptState::Waiting => {}
                ScriptState::Done | ScriptState::Quit => return Ok(()),
            }
        }
        let until = machine.now() + SLICE;
        let outcome = machine.run_to(until);
        script.serial_output(&machine.serial_output(0));
        match outcome {
            Outcome::Ran => {}
            Outcome::PoweredOff | Outcome::Exit(_) | Outcome::Reset if steps.is_empty() => return Ok(()),
            other => {
                let at =
                    script.current().map_or_else(String::new, |(n, step)| format!(" in step {n} ({step})"));
                return Err(Lack::Wrong(format!("the machine ended by {other:?}{at}")));
            }
        }
        if start.elapsed() > limit {
            return Err(Lack::Timeout(limit));
        }
    }
}
