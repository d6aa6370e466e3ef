//! Comparisons: every engine does the same work in every nanobenchmark, and what the reports say of a tiny run.

use idem86::compare::contender::Contender;
use idem86::compare::measure::{Plan, measure};
use idem86::compare::nano::{self, NANOS};
use idem86::compare::runner::engine::EngineRunner;
use idem86::compare::runner::{Lack, Runner};
use idem86::compare::table::{Kind, Table};
use idem86::compare::{report, systems, workload};
use idem86::machine::engine::EngineKind;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

/// Longer than anything takes on a host that has other things to do.
const LIMIT: Duration = Duration::from_secs(600);

/// As little as can be measured.
fn tiny(names: &[&str]) -> Table {
    let nanos = names.iter().map(|name| nano::named(name).expect("a nanobenchmark")).collect();
    let plan = Plan { nanos, repeats: 3, run: Duration::from_millis(1), limit: LIMIT, ..Plan::default() };
    measure(&plan, &mut |_| ())
}

#[test]
fn every_engine_does_the_same_work_in_every_nanobenchmark() {
    for nano in NANOS.iter().chain([&nano::EMPTY]) {
        let mut interpreter = EngineRunner::new(EngineKind::Interpreter, "interpreter".into(), LIMIT);
        interpreter.load(nano).expect("every host runs the interpreter");
        let reference = interpreter.reference().unwrap_or_else(|e| panic!("{}: {e}", nano.name));
        for kind in EngineKind::all() {
            let mut engine = EngineRunner::new(kind, kind.name().into(), LIMIT);
            match engine.load(nano) {
                Err(Lack::Unsupported(why)) => eprintln!("{}: skipped, {why}", kind.name()),
                loaded => {
                    let name = format!("{} on {}", nano.name, kind.name());
                    loaded.and_then(|()| engine.prove(&reference)).unwrap_or_else(|e| panic!("{name}: {e}"));
                    // Another number of rounds is other work, of which the amount is known.
                    engine.run(777).unwrap_or_else(|e| panic!("{name}: {e}"));
                }
            }
        }
    }
}

#[test]
fn other_work_is_not_taken_for_the_same() {
    let load = |name| {
        let mut engine = EngineRunner::new(EngineKind::Interpreter, "interpreter".into(), LIMIT);
        engine.load(nano::named(name).expect("a nanobenchmark")).expect("every host runs the interpreter");
        engine
    };
    let reference = load("pte-write").reference().expect("it runs");
    assert_eq!(load("pte-write").prove(&reference), Ok(()));
    for other in ["call-ret", "memory", "in"] {
        let Err(Lack::Wrong(why)) = load(other).prove(&reference) else { panic!("{other} passes") };
        assert!(why.contains("not the interpreter's work"), "{why}");
    }
    // The same instructions, other state: rounds were done before.
    let mut ahead = load("pte-write");
    ahead.run(2).expect("it runs");
    assert!(ahead.prove(&reference).is_err());
}

#[test]
fn the_reports_of_a_tiny_run() {
    let table = tiny(&["rdtsc", "hidden-fault", "page-fault", "switch-warm", "call-ret"]);
    let engines = table.columns.iter().filter(|column| column.kind == Kind::Engine).count();
    assert!(engines >= 1 && table.rows.len() == 5);
    for row in &table.rows {
        let cells = row.cells.as_ref().unwrap_or_else(|why| panic!("{}: {why}", row.name));
        for (cell, column) in cells.iter().zip(&table.columns) {
            if column.kind == Kind::Engine {
                assert_eq!(cell.as_ref().map(|sample| sample.values().len()), Ok(3), "{}", row.name);
            }
        }
    }

    let text = report::text(&table);
    assert!(text.starts_with("host: "), "{text}");
    let heading = text.lines().find(|line| line.starts_with("median")).expect("a heading");
    assert_eq!(heading.matches("ns").count(), table.columns.len(), "{text}");
    let ratios = text.lines().find(|line| line.starts_with("times")).expect("a second heading");
    assert_eq!(ratios.matches("best").count(), engines, "{text}");
    for row in &table.rows {
        // Once with times and once with ratios.
        let lines = text.lines().filter(|line| line.split(' ').next() == Some(row.name.as_str()));
        assert_eq!(lines.count(), 2, "{text}");
    }
    for column in &table.columns {
        assert!(text.contains(&column.name), "{text}");
    }
    assert!(report::short(&table).lines().count() > table.rows.len());

    let json: serde_json::Value =
        serde_json::from_str(&report::json(std::slice::from_ref(&table))).expect("JSON");
    for (n, row) in table.rows.iter().enumerate() {
        assert_eq!(json[0]["rows"][n]["name"], row.name.as_str());
        assert_eq!(json[0]["rows"][n]["results"]["interpreter"]["values"].as_array().map(Vec::len), Some(3));
    }
    let csv = report::csv(std::slice::from_ref(&table));
    assert_eq!(csv.lines().count(), 1 + table.rows.len() * table.columns.len());
    assert!(csv.lines().all(|line| line.contains('"') || line.matches(',').count() == 6), "{csv}");

    let html = report::html(std::slice::from_ref(&table)).expect("plots can be drawn");
    assert!(html.contains("<svg") && html.contains("switch-warm") && html.contains("translator"));
    // It needs nothing else: no address but the name space of SVG.
    assert!(!html.replace("http://www.w3.org/2000/svg", "").contains("http"));
    assert!(!html.contains("src=") && !html.contains("<link") && !html.contains("@import"));
}

fn idem86(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_idem86")).args(args).output().expect("the program starts")
}

fn refused(args: &[&str], reasons: &[&str]) {
    let out = idem86(args);
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{args:?}: {text}");
    assert_eq!(text.lines().count(), 1, "{args:?}: {text}");
    assert!(reasons.iter().all(|reason| text.contains(reason)), "{args:?}: {text}");
}

#[test]
fn unknown_names_are_refused_in_one_line() {
    refused(&["compare", "--engines", "warp"], &["warp", "interpreter", "translator"]);
    refused(&["compare", "rdtcs"], &["rdtcs", "neither a benchmark", "--list"]);
    refused(&["compare", "--do", "quit"], &["--do"]);
    refused(&["compare", "--engine", "interpreter"], &["--engines"]);
    refused(&["compare", "--stats"], &["no use for --stats"]);
    refused(&["compare", "rdtsc", "--json", "/nowhere/results.json"], &["/nowhere/results.json"]);
}

#[test]
fn what_there_is_to_compare_on_is_listed() {
    let out = idem86(&["compare", "--list"]);
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success());
    for name in NANOS.iter().map(|nano| nano.name).chain(["linux-boot", "freedos-batch"]) {
        assert!(
            text.lines().any(|line| line.split_whitespace().next() == Some(name)),
            "no {name} in\n{text}"
        );
    }
}

#[test]
fn the_classification_as_text_and_json() {
    let out = idem86(&["classify"]);
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && text.contains("UMIP") && text.contains("Innocuous: "), "{text}");
    let out = idem86(&["classify", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let instructions = json["instructions"].as_array().expect("a list");
    let find = |name: &str| instructions.iter().find(|i| i["name"] == name).expect("an instruction");
    assert_eq!(find("cli")["group"], "privileged");
    assert_eq!(find("popf")["group"], "sensitive");
    assert_eq!(find("add")["group"], "innocuous");
    assert_eq!(find("popf")["robin_irvine"], true);
    for instruction in instructions.iter().filter(|i| i["group"] != "innocuous") {
        assert!(
            instruction["observed"].is_object() || instruction["not_executed"].is_string(),
            "{instruction}"
        );
    }
}

#[test]
fn workloads_have_names_and_are_skipped_without_their_guest() {
    let wanted = ["freedos-boot", "freedos-batch"].map(String::from);
    let (mut workloads, skipped) = systems::workloads(&wanted);
    if workloads.is_empty() {
        assert!(
            skipped.len() == 1 && skipped[0].contains("freedos-boot, freedos-batch: skipped"),
            "{skipped:?}"
        );
        eprintln!("{}", skipped[0]);
        return;
    }
    let engines: Vec<Contender> =
        ["interpreter", "translator"].iter().map(|name| name.parse().expect("an engine")).collect();
    let table = workload::measure(&mut workloads, &engines, 1, LIMIT, &mut |_| ());
    assert_eq!(table.rows.iter().map(|row| row.name.clone()).collect::<Vec<_>>(), wanted);
    for row in &table.rows {
        let cells = row.cells.as_ref().unwrap_or_else(|why| panic!("{}: {why}", row.name));
        assert!(cells.iter().all(Result::is_ok), "{}: {cells:?}", row.name);
    }
}

/// A boot sector, as a diskette.
fn diskette(folder: &Path, code: &[u8]) -> String {
    let mut image = vec![0; 1_474_560];
    image[..code.len()].copy_from_slice(code);
    image[510..512].copy_from_slice(&[0x55, 0xAA]);
    let path = folder.join("guest.img");
    std::fs::write(&path, image).expect("a file can be written");
    path.to_str().expect("a name in UTF-8").into()
}

#[test]
fn an_image_of_ones_own_is_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    // mov al, 21h; out F4h, al: ends the run.
    let image = diskette(folder.path(), &[0xB0, 0x21, 0xE6, 0xF4]);
    let out = idem86(&["compare", &image, "--debug-exit", "0xF4", "--repeats", "2", "--memory", "16M"]);
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{text}{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(text.lines().filter(|line| line.starts_with("guest.img")).count(), 2, "{text}");
}

/// Runs a program, given by its arguments, that may not install handlers of SIGSEGV: `seccomp(2)`, with a filter as
/// linux/filter.h has it. Ends with code 77 if the host has no such filters.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const WITHOUT_SIGNALS: &str = "
import ctypes, os, struct, sys
op = lambda code, k, skip=0: struct.pack('HBBI', code, 0, skip, k)
# System call 13 is rt_sigaction. Its first argument, at offset 16, must not be SIGSEGV, which is 11; else EPERM.
code = op(0x20, 0) + op(0x15, 13, 3) + op(0x20, 16) + op(0x15, 11, 1) + op(6, 0x50001) + op(6, 0x7FFF0000)
program = ctypes.create_string_buffer(code, len(code))
class Filter(ctypes.Structure):
    _fields_ = [('length', ctypes.c_ushort), ('code', ctypes.c_void_p)]
prctl = ctypes.CDLL(None).prctl
# PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP
if prctl(38, 1, 0, 0, 0) or prctl(22, 2, ctypes.byref(Filter(6, ctypes.addressof(program))), 0, 0):
    sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])
";

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn a_host_without_signals_is_told_and_the_other_engines_are_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = diskette(folder.path(), &[0xB0, 0x21, 0xE6, 0xF4]);
    let own = [image.as_str(), "--debug-exit", "0xF4", "--memory", "16M"];
    for (arguments, row) in [(&["call-ret"][..], "call-ret"), (&own[..], "guest.img")] {
        let mut command = Command::new("python3");
        command.args([
            "-c",
            WITHOUT_SIGNALS,
            env!("CARGO_BIN_EXE_idem86"),
            "compare",
            "--repeats",
            "1",
            "--timeout",
            "600",
        ]);
        let Ok(out) = command.args(arguments).output() else {
            return eprintln!("skipped: no python3");
        };
        if out.status.code() == Some(77) {
            return eprintln!("skipped: this host filters no system calls");
        }
        let (text, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success(), "{text}{errors}");
        let notes: Vec<&str> = text.lines().filter(|line| line.contains("trap")).collect();
        assert!(
            matches!(notes[..], [line] if line.starts_with("trap: left out") && line.contains("signals")),
            "{text}"
        );
        assert!(text.contains("interpreter") && text.contains("translator"), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with(row)).count(), 2, "{text}");
    }
}

#[test]
fn an_image_that_never_ends_is_said_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = diskette(folder.path(), &[0xEB, 0xFE]);
    let out = idem86(&["compare", &image, "--timeout", "0.3", "--repeats", "1", "--memory", "16M"]);
    let (text, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert_eq!(out.status.code(), Some(1), "{text}{errors}");
    assert!(text.contains("guest.img on interpreter: no end after 0.3 s"), "{text}");
    assert!(errors.contains("nothing could be measured"), "{errors}");
}
