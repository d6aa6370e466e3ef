//! The macro workloads that have names: Debian's kernel with the workloads of `benches/guests/linux`, and FreeDOS.
//!
//! Their guests are looked for where `tests/guests/fetch` brings them (`target/guests`), in `../shared/guests`, and in
//! the folder that `IDEM86_GUESTS` names; what is absent is skipped with a word.

use super::runner::Lack;
use super::workload::{Stage, Workload};
use idem86_firmware::loader::linux;
use idem86_machine::config::{Config, Firmware};
use idem86_machine::image::detect::ImageKind;
use idem86_machine::image::{self, ImageOptions};
use idem86_machine::machine::Machine;
use idem86_machine::script::Step;
use std::path::{Path, PathBuf};
use std::process::Command;

/// RAM of the Linux guest and of the DOS one.
const LINUX_MEMORY: u64 = 128 << 20;
const DOS_MEMORY: u64 = 16 << 20;

/// A row of the table.
struct Named {
    name: &'static str,
    about: &'static str,
    /// For Linux the workload of the guest's program and its rounds; none: what goes before all others.
    run: Option<(&'static str, u32)>,
}

const fn named(name: &'static str, about: &'static str, run: Option<(&'static str, u32)>) -> Named {
    Named { name, about, run }
}

const LINUX: &[Named] = &[
    named("linux-boot", "Linux from power-on to init", None),
    named("linux-syscall", "300,000 system calls by INT 80h", Some(("syscall-int80", 3000))),
    named("linux-sysenter", "300,000 system calls by SYSENTER", Some(("syscall-vdso", 3000))),
    named("linux-switch", "context switches: a byte back and forth through pipes", Some(("pipe", 4000))),
    named("linux-fork", "fork, exit and wait, 1000 times", Some(("fork", 1000))),
    named("linux-exec", "fork, exec, exit and wait, 300 times", Some(("exec", 300))),
    named("linux-page-fault", "memory taken, 51,200 pages touched, given back", Some(("page-fault", 200))),
    named("linux-compute", "a sieve of Eratosthenes", Some(("sieve", 1000))),
];

const DOS_BOOT: Named = named("freedos-boot", "FreeDOS from power-on to its prompt", None);
const DOS_BATCH: Named = named("freedos-batch", "a batch file that lists, copies and types files", None);

/// What DOS is told to do.
const BATCH: &[&str] = &[
    "for %%i in (1 2 3 4 5 6 7 8) do dir > list.txt",
    "for %%i in (1 2 3 4 5 6 7 8) do copy list.txt copy.txt > nul",
    "for %%i in (1 2 3 4 5 6 7 8) do type copy.txt > nul",
    "del *.txt",
    "echo finished",
];

/// The names of all workloads, with what they are.
pub fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    LINUX.iter().chain([&DOS_BOOT, &DOS_BATCH]).map(|named| (named.name, named.about))
}

/// The workloads that run those of `wanted` that are known here, and what had to be skipped and why.
pub fn workloads(wanted: &[String]) -> (Vec<Workload<'static>>, Vec<String>) {
    let is_wanted = |name: &str| wanted.iter().any(|w| w == name);
    let (mut found, mut skipped) = (Vec::new(), Vec::new());
    let mut add = |of: &[&Named], make: &dyn Fn() -> Result<Workload<'static>, String>| {
        let names: Vec<&str> = of.iter().map(|named| named.name).filter(|name| is_wanted(name)).collect();
        if names.is_empty() {
            return;
        }
        match make() {
            Ok(workload) => found.push(workload),
            Err(why) => skipped.push(format!("{}: skipped, {why}", names.join(", "))),
        }
    };
    add(&LINUX.iter().collect::<Vec<_>>(), &|| linux_workload(&is_wanted));
    add(&[&DOS_BOOT, &DOS_BATCH], &|| dos_workload(&is_wanted));
    (found, skipped)
}

/// The file `name` among the guests.
fn guest(name: &str) -> Result<PathBuf, String> {
    let given = std::env::var_os("IDEM86_GUESTS").map(PathBuf::from);
    let folders = given.into_iter().chain(["target/guests", "../shared/guests"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|path| path.exists()).ok_or_else(|| {
        format!("no {name} (tests/guests/fetch brings guests; IDEM86_GUESTS names their folder)")
    })
}

fn steps(lines: &[String]) -> Vec<Step> {
    lines.iter().map(|line| line.parse().expect("our own steps are well-formed")).collect()
}

fn linux_workload(is_wanted: &dyn Fn(&str) -> bool) -> Result<Workload<'static>, String> {
    let kernel = guest("linux/vmlinuz")?;
    let kernel = std::fs::read(&kernel).map_err(|e| format!("{}: {e}", kernel.display()))?;
    let ramdisk = archive(&program()?);
    let append = "console=ttyS0 panic=-1 mitigations=off";
    let loaded = linux::load(&kernel, Some(&ramdisk), append, LINUX_MEMORY).map_err(|e| e.to_string())?;
    let stage = |&Named { name, about, run }: &Named| {
        let lines = match run {
            None => vec![r"wait-serial ready\s".to_string()],
            Some((workload, rounds)) => vec![
                format!(r"send-serial run {workload} {rounds}\n"),
                format!(r"wait-serial end {workload} {rounds} [0-9a-f]+\s"),
            ],
        };
        Stage {
            name: name.to_string(),
            about: about.to_string(),
            steps: steps(&lines),
            shown: is_wanted(name),
        }
    };
    let stages =
        LINUX.iter().filter(|named| named.run.is_none() || is_wanted(named.name)).map(stage).collect();
    let build = Box::new(move |engine| {
        let mut config = Config::new(LINUX_MEMORY, Firmware::Builtin);
        config.kernel = Some(loaded.clone());
        config.engine = engine;
        config.reboot = false;
        Machine::new(config).map_err(|e| Lack::Unsupported(e.to_string()))
    });
    Ok(Workload { build, stages })
}

/// The program of the Linux guest, compiled as `benches/linux.py` does.
fn program() -> Result<Vec<u8>, String> {
    let folder = Path::new("benches/guests/linux");
    let mut sources: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(|_| format!("{} is not below the working directory", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "c"))
        .collect();
    sources.sort();
    let output = tempfile::tempdir().map_err(|e| e.to_string())?;
    let program = output.path().join("init");
    let mut gcc = Command::new("gcc");
    gcc.args(["-m32", "-march=i686", "-O2", "-static", "-std=gnu11", "-fno-tree-loop-distribute-patterns"]);
    gcc.args(["-fno-builtin-memset", "-fno-math-errno", "-idirafter", "/usr/include/x86_64-linux-gnu", "-o"]);
    let compiled = gcc.arg(&program).args(&sources).output().map_err(|e| format!("gcc: {e}"))?;
    if !compiled.status.success() {
        return Err("gcc makes no 32-bit programs here (package gcc-multilib)".into());
    }
    std::fs::read(&program).map_err(|e| e.to_string())
}

/// A RAM disk with `program` as /init and a console. cpio(5), "New ASCII Format".
fn archive(program: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |name: &str, mode: u32, content: &[u8], device: [u32; 2]| {
        let (number, length) = (out.len() as u32 + 1, name.len() as u32 + 1);
        let [major, minor] = device;
        out.extend(b"070701");
        for field in [number, mode, 0, 0, 1, 0, content.len() as u32, 0, 0, major, minor, length, 0]
            .map(|f| format!("{f:08x}"))
        {
            out.extend(field.as_bytes());
        }
        out.extend(name.as_bytes());
        out.push(0);
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend(content);
        out.resize(out.len().next_multiple_of(4), 0);
    };
    put("dev", 0o040_755, &[], [0, 0]);
    put("dev/console", 0o020_600, &[], [5, 1]);
    put("init", 0o100_755, program, [0, 0]);
    put("TRAILER!!!", 0, &[], [0, 0]);
    out
}

fn dos_workload(is_wanted: &dyn Fn(&str) -> bool) -> Result<Workload<'static>, String> {
    let path = guest("freedos722.img")?;
    let prompt = r"wait-screen ^A:.>\s*$".to_string();
    let stage = |name: &str, about: &str, lines: &[String], shown| Stage {
        name: name.into(),
        about: about.into(),
        steps: steps(lines),
        shown,
    };
    let (boot, batch) = (&DOS_BOOT, &DOS_BATCH);
    let mut stages = vec![stage(boot.name, boot.about, std::slice::from_ref(&prompt), is_wanted(boot.name))];
    if is_wanted(batch.name) {
        let mut write = vec![r"type copy con work.bat\n".to_string()];
        write.extend(BATCH.iter().map(|line| format!(r"type {line}\n")));
        write.extend([r"type \x1a\n".to_string(), "sleep 1".to_string(), r"type cls\n".into(), prompt]);
        stages.push(stage("write", "", &write, false));
        let run = [r"type work\n".to_string(), "wait-screen ^finished".to_string()];
        stages.push(stage(batch.name, batch.about, &run, true));
    }
    let build = Box::new(move |engine| {
        let options = ImageOptions { snapshot: true, ..ImageOptions::new(&path) };
        let disk = image::open(&options, ImageKind::Floppy).map_err(|e| Lack::Wrong(e.to_string()))?;
        let mut config = Config::new(DOS_MEMORY, Firmware::Builtin);
        config.floppies[0] = Some(disk);
        config.engine = engine;
        Machine::new(config).map_err(|e| Lack::Unsupported(e.to_string()))
    });
    Ok(Workload { build, stages })
}
