//! Saved machines as users meet them: `--save`, `resume`, and what becomes of a directory when something goes wrong.

use iced_x86::code_asm::*;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A diskette whose program prints R, and then for each character that it gets how many it got: 1, 2, 3 ...
fn diskette(folder: &Path) -> PathBuf {
    let code = || {
        let mut a = CodeAssembler::new(16)?;
        let (mut wait, mut print) = (a.create_label(), a.create_label());
        a.mov(dx, 0x3FB)?;
        a.mov(al, 3)?;
        a.out(dx, al)?;
        a.mov(bl, i32::from(b'R'))?;
        a.mov(bh, i32::from(b'0'))?;
        a.jmp(print)?;
        a.set_label(&mut wait)?;
        a.mov(dx, 0x3FD)?;
        a.in_(al, dx)?;
        a.test(al, 1)?;
        a.je(wait)?;
        a.mov(dx, 0x3F8)?;
        a.in_(al, dx)?;
        a.inc(bh)?;
        a.mov(bl, bh)?;
        a.set_label(&mut print)?;
        a.mov(dx, 0x3F8)?;
        a.mov(al, bl)?;
        a.out(dx, al)?;
        a.jmp(wait)?;
        a.assemble(0x7C00)
    };
    let mut image = vec![0; 1_474_560];
    let code = code().expect("it assembles");
    image[..code.len()].copy_from_slice(&code);
    image[510..512].copy_from_slice(&[0x55, 0xAA]);
    let path = folder.join("counter.img");
    fs::write(&path, image).expect("a file");
    path
}

fn idem86(command: &str, subject: &Path, rest: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_idem86"));
    program.arg(command).arg(subject).args(rest).args(["--display", "none", "--timeout", "600"]);
    program.output().expect("the program starts")
}

fn succeeds(command: &str, subject: &Path, rest: &[&str]) {
    let out = idem86(command, subject, rest);
    assert_eq!(out.status.code(), Some(0), "{rest:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// Asserts exit code `code`, and one line that holds `reason`.
fn fails(out: Output, code: i32, reason: &str) {
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(code), "{text}");
    assert!(text.lines().count() == 1 && text.contains(reason), "{text}");
}

/// A folder with a machine in `vm` that has counted to 1.
fn saved() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let image = diskette(folder.path());
    let vm = folder.path().join("vm");
    let steps = ["--do", "wait-serial R", "--do", "send-serial x", "--do", "wait-serial 1"];
    let setup =
        ["--memory", "16M", "--clock", "virtual", "--snapshot", "--save", vm.to_str().expect("a name")];
    succeeds("run", &image, &[&setup[..], &steps].concat());
    fs::remove_file(image).expect("the diskette is in the directory too");
    (folder, vm)
}

/// The steps in which a machine counts to `number`.
fn counts_to(number: &str) -> Vec<String> {
    ["--do", "send-serial x", "--do", &format!("wait-serial {number}")].map(String::from).into()
}

fn resumes(vm: &Path, number: &str, rest: &[&str]) {
    let steps = counts_to(number);
    let all: Vec<&str> = steps.iter().map(String::as_str).chain(rest.iter().copied()).collect();
    succeeds("resume", vm, &all);
}

#[test]
fn a_machine_is_saved_resumed_copied_and_switched_on_again() {
    let (folder, vm) = saved();
    // It stays as it is unless it is saved, and goes on on any engine.
    resumes(&vm, "2", &[]);
    resumes(&vm, "2", &["--engine", "interpreter"]);
    let (name, other) = (vm.to_str().expect("a name"), folder.path().join("other"));
    resumes(&vm, "2", &["--save", name]);
    resumes(&vm, "3", &["--do", &format!("save {}", other.display())]);
    resumes(&vm, "3", &[]);
    resumes(&other, "4", &[]);
    let moved = folder.path().join("moved");
    fs::rename(&other, &moved).expect("a directory");
    fs::remove_dir_all(&vm).expect("a directory");
    resumes(&moved, "4", &["--engine", "interpreter"]);
    let steps = ["--do", "wait-serial R", "--do", "send-serial x", "--do", "wait-serial 1"];
    succeeds("run", &moved, &steps);
}

#[test]
fn what_cannot_be_resumed_or_saved_is_refused_in_one_line() {
    let (folder, vm) = saved();
    fails(idem86("resume", &folder.path().join("nothing"), &[]), 2, "nothing: no saved machine");
    let lock = File::options().write(true).open(vm.join("lock")).expect("the file");
    lock.lock().expect("nobody has it");
    fails(idem86("resume", &vm, &[]), 2, "in use by another program");
    fails(idem86("resume", &vm, &["--save", vm.to_str().expect("a name")]), 2, "in use by another program");
    drop(lock);
    let state = vm.join("snapshot/state");
    let good = fs::read(&state).expect("the file");
    for (bytes, reason) in [
        (&good[..good.len() - 9], "ends too early"),
        (&b"PK\x03\x04 something else"[..], "not a saved machine"),
        (&[&good[..8], &[3, 0, 0, 0], &good[12..]].concat(), "saved in version 3 of the format"),
        (&[&good[..99], &[!good[99]], &good[100..]].concat(), "damaged"),
    ] {
        fs::write(&state, bytes).expect("the file");
        fails(idem86("resume", &vm, &[]), 2, reason);
        assert_eq!(fs::read(&state).expect("the file"), bytes, "nothing is changed");
    }
    fs::write(&state, good).expect("the file");
    resumes(&vm, "2", &[]);
    // Before it runs, not after.
    let image = diskette(folder.path());
    let in_place = idem86("run", &image, &["--save", vm.to_str().expect("a name")]);
    fails(in_place, 2, "fda: an image that is written in place cannot be in a snapshot");
}

#[cfg(unix)]
#[test]
fn a_full_disk_or_a_sudden_end_while_saving_leaves_what_was_saved_before() {
    let (_folder, vm) = saved();
    let save = |script: &str| {
        let program = [env!("CARGO_BIN_EXE_idem86"), vm.to_str().expect("a name")];
        // The translator would want room for its code in a file of the host's.
        let steps = "--display none --engine interpreter --do 'send-serial x' --do 'wait-serial 2'";
        let script = format!("{script}; exec \"$0\" resume \"$1\" {steps} --save \"$1\"");
        Command::new("sh").arg("-c").arg(script).args(program).output().expect("a shell")
    };
    // Files of at most some hundred kilobytes: as on a full disk, once with an error and once with a signal.
    fails(save("trap '' XFSZ; ulimit -f 512"), 1, "snapshot.new");
    assert!(!vm.join("snapshot.new").exists());
    resumes(&vm, "2", &[]);
    let killed = save("ulimit -f 512");
    assert_eq!(killed.status.code(), None, "by a signal");
    resumes(&vm, "2", &[]);
    let saved = save("true");
    assert!(saved.status.success(), "{}", String::from_utf8_lossy(&saved.stderr));
    resumes(&vm, "3", &[]);
    assert!(!vm.join("snapshot.new").exists() && !vm.join("snapshot.old").exists());
}
