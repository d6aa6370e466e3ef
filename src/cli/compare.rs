//! `idem86 compare`: engines side by side, on nanobenchmarks, on named workloads, or on a PC of the user's own.

use super::args::{ClockArg, Compare, Run};
use super::{Failure, run};
use idem86::compare::contender::{Contender, ContenderError};
use idem86::compare::measure::{Plan, Progress, measure};
use idem86::compare::nano::{self, NANOS, Nano};
use idem86::compare::runner::Lack;
use idem86::compare::table::Table;
use idem86::compare::workload::{self, Stage, Workload};
use idem86::compare::{report, systems};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::path::Path;
use std::time::Duration;

/// After how long a run of a nanobenchmark and a stage of a workload have failed, unless told otherwise.
const NANO_LIMIT: Duration = Duration::from_secs(30);
const WORKLOAD_LIMIT: Duration = Duration::from_secs(600);

/// Compares, prints the table, writes the files, and gives the exit code.
pub fn run(mut args: Compare) -> Result<u8, Failure> {
    refuse(&args.run)?;
    let engines = engines(&args.engines)?;
    let wanted = wanted(&mut args)?;
    args.run.clock = ClockArg::Virtual;
    args.run.snapshot = true;
    // What cannot be written is better known before than after.
    let files = [&args.json, &args.csv, &args.html];
    for path in files.into_iter().flatten() {
        std::fs::File::create(path).map_err(|e| Failure::Usage(format!("{}: {e}", path.display())))?;
    }
    let bar = bar();
    let mut progress = |p: Progress| {
        bar.set_length(p.total);
        bar.set_position(p.done);
        bar.set_message(p.what.to_string());
    };
    let limit = |usual| args.run.timeout.map_or(usual, Duration::from_secs_f64);
    let mut table: Option<Table> = None;
    if !wanted.nanos.is_empty() {
        let plan = Plan {
            nanos: wanted.nanos,
            engines: engines.clone(),
            native: !args.no_native,
            qemu: args.peer.is_some(),
            repeats: args.repeats,
            run: Duration::from_millis(args.milliseconds),
            limit: limit(NANO_LIMIT),
        };
        table = Some(measure(&plan, &mut progress));
    }
    let (mut workloads, skipped) = systems::workloads(&wanted.systems);
    if wanted.own {
        workloads.push(own(&args)?);
    }
    let mut tables: Vec<Table> = table.into_iter().collect();
    if !workloads.is_empty() || !skipped.is_empty() {
        let limit = limit(WORKLOAD_LIMIT);
        let mut table = workload::measure(&mut workloads, &engines, args.repeats, limit, &mut progress);
        table.notes.extend(skipped);
        tables.push(table);
    }
    bar.finish_and_clear();
    tables.iter().for_each(|table| print!("{}", report::text(table)));
    let write = |path: &Path, text: String| {
        std::fs::write(path, text).map_err(|e| Failure::Failed(format!("{}: {e}", path.display())))
    };
    if let Some(path) = &args.json {
        write(path, report::json(&tables))?;
    }
    if let Some(path) = &args.csv {
        write(path, report::csv(&tables))?;
    }
    if let Some(path) = &args.html {
        let page = report::html(&tables).map_err(|e| Failure::Failed(format!("cannot draw: {e}")))?;
        write(path, page)?;
    }
    if tables.iter().any(Table::has_figures) {
        Ok(0)
    } else {
        Err(Failure::Failed("nothing could be measured".into()))
    }
}

/// The engines that `--engines` names, or all.
fn engines(names: &[String]) -> Result<Vec<Contender>, Failure> {
    if names.is_empty() {
        return Ok(Contender::all());
    }
    names.iter().map(|name| name.parse().map_err(|e: ContenderError| Failure::Usage(e.to_string()))).collect()
}

/// What to compare on.
struct Wanted {
    nanos: Vec<&'static Nano>,
    systems: Vec<String>,
    /// The PC that the other arguments describe.
    own: bool,
}

/// Tells names of benchmarks from images; the images stay in the arguments.
fn wanted(args: &mut Compare) -> Result<Wanted, Failure> {
    let mut wanted = Wanted { nanos: Vec::new(), systems: Vec::new(), own: false };
    let mut images = Vec::new();
    for drive in std::mem::take(&mut args.run.images) {
        let name = drive.0.path.to_str().unwrap_or_default().to_string();
        if let Some(nano) = nano::named(&name) {
            wanted.nanos.push(nano);
        } else if name == "nano" {
            wanted.nanos.extend(NANOS);
        } else if name == "macro" {
            wanted.systems.extend(systems::names().map(|(name, _)| name.to_string()));
        } else if systems::names().any(|(known, _)| known == name) {
            wanted.systems.push(name);
        } else if drive.0.path.exists() {
            images.push(drive);
        } else {
            let what = "neither a benchmark (idem86 compare --list lists them) nor a file";
            return Err(Failure::Usage(format!("{name}: {what}")));
        }
    }
    args.run.images = images;
    let run = &args.run;
    let drives = [&run.fda, &run.fdb, &run.hda, &run.hdb, &run.hdc, &run.hdd, &run.cdrom];
    wanted.own = !run.images.is_empty()
        || run.kernel.is_some()
        || run.bios.is_some()
        || drives.iter().any(|drive| drive.is_some());
    if !wanted.own && !run.steps.is_empty() {
        return Err(Failure::Usage("--do goes with an image".into()));
    }
    if !wanted.own && wanted.nanos.is_empty() && wanted.systems.is_empty() {
        wanted.nanos.extend(NANOS);
    }
    Ok(wanted)
}

/// Refuses what `idem86 run` takes and a comparison has no use for.
fn refuse(run: &Run) -> Result<(), Failure> {
    if run.engine.given() {
        return Err(Failure::Usage("compare takes its engines from --engines".into()));
    }
    let given = [
        ("--flat", run.flat.is_some()),
        ("--display", run.display.is_some()),
        ("--serial", !run.serial.is_empty()),
        ("--debugcon", run.debugcon.is_some()),
        ("--lockstep", run.lockstep.is_some()),
        ("--trace-tu", run.trace_tu.is_some()),
        ("--perf-map", run.perf_map),
        ("--save", run.save.is_some()),
        ("--gdb", run.gdb.is_some()),
        ("--qmp", run.qmp.is_some()),
        ("--freeze", run.freeze),
        ("--stats", run.stats),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(Failure::Usage(format!("compare has no use for {name}"))),
        None => Ok(()),
    }
}

/// The PC that the arguments describe, as a workload. Its images stay as they are.
fn own(args: &Compare) -> Result<Workload<'_>, Failure> {
    let run = &args.run;
    // What is wrong with the arguments is said before anything runs.
    drop(run::builder(run)?.build().map_err(|e| Failure::Usage(e.to_string()))?);
    let name = run.images.first().map(|drive| &drive.0.path).or(run.kernel.as_ref());
    let name =
        name.and_then(|path| path.file_name()).map_or("own".into(), |name| name.to_string_lossy().into());
    let about = match run.steps.len() {
        0 => "until the guest ends".to_string(),
        1 => "one step".to_string(),
        n => format!("{n} steps"),
    };
    let build = Box::new(move |engine| {
        let builder = run::builder(run).map_err(|e| Lack::Wrong(e.to_string()))?;
        builder.engine(engine).build().map_err(|e| Lack::Wrong(e.to_string()))
    });
    let stages = vec![Stage { name, about, steps: run.steps.clone(), shown: true }];
    Ok(Workload { build, stages })
}

/// Says what there is to compare on.
pub fn list() -> u8 {
    println!("nano: all nanobenchmarks");
    NANOS.iter().for_each(|nano| println!("  {:18} {}", nano.name, nano.about));
    println!("macro: all workloads");
    systems::names().for_each(|(name, about)| println!("  {name:18} {about}"));
    0
}

/// A bar for terminals; elsewhere nothing is shown.
fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar
}
