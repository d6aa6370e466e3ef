//! The command at work: what becomes of an image when the run is ended from outside, when the host cannot write, and
//! when the guest resets.
//!
//! Guests are boot sectors that work on the disk they came from by its registers. ATA/ATAPI-6, "PIO data-out command
//! protocol".

use iced_x86::code_asm::*;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Where a BIOS puts a boot sector.
const BASE: u64 = 0x7C00;
const SECTOR: usize = 512;
/// Room for code in a boot sector; zeros follow.
const CODE: usize = 440;
/// The sector that guests write.
const TARGET: usize = 100;
/// What they write to it, in words.
const PATTERN: u16 = 0xA55A;
/// The debug console.
const CONSOLE: i32 = 0xE9;
/// Bits of the ATA Status register.
const BSY: i32 = 0x80;
const DRQ: i32 = 0x08;

/// A disk that boots what `program` assembles.
fn disk(program: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>) -> (tempfile::TempDir, PathBuf) {
    let mut a = CodeAssembler::new(16).expect("16 bits are supported");
    program(&mut a).expect("these are instructions");
    let code = a.assemble(BASE).expect("and they fit together");
    let mut image = vec![0; 256 * SECTOR];
    assert!(code.len() <= CODE);
    image[..code.len()].copy_from_slice(&code);
    image[510..512].copy_from_slice(&[0x55, 0xAA]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.img");
    std::fs::write(&path, image).unwrap();
    (folder, path)
}

fn out(a: &mut CodeAssembler, port: i32, value: i32) -> Result<(), IcedError> {
    a.mov(dx, port)?;
    a.mov(al, value)?;
    a.out(dx, al)
}

/// Waits until the Status register without the bits that are not in `mask` is `value`.
fn wait_status(a: &mut CodeAssembler, mask: i32, value: i32) -> Result<(), IcedError> {
    let mut again = a.create_label();
    a.mov(dx, 0x1F7)?;
    a.set_label(&mut again)?;
    a.in_(al, dx)?;
    a.and(al, mask)?;
    a.cmp(al, value)?;
    a.jne(again)
}

/// WRITE SECTORS with the pattern; then Status and Error to the debug console.
fn write_sector(a: &mut CodeAssembler) -> Result<(), IcedError> {
    for (register, value) in
        [(0x1F6, 0xE0), (0x1F2, 1), (0x1F3, TARGET as i32), (0x1F4, 0), (0x1F5, 0), (0x1F7, 0x30)]
    {
        out(a, register, value)?;
    }
    wait_status(a, BSY | DRQ, DRQ)?;
    let mut again = a.create_label();
    a.mov(cx, 256)?;
    a.mov(dx, 0x1F0)?;
    a.mov(ax, i32::from(PATTERN))?;
    a.set_label(&mut again)?;
    a.out(dx, ax)?;
    a.loop_(again)?;
    wait_status(a, BSY, 0)?;
    for register in [0x1F7, 0x1F1] {
        a.mov(dx, register)?;
        a.in_(al, dx)?;
        a.out(CONSOLE, al)?;
    }
    Ok(())
}

/// Waits for ever with interrupts on.
fn idle(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let mut again = a.create_label();
    a.sti()?;
    a.set_label(&mut again)?;
    a.hlt()?;
    a.jmp(again)
}

/// Shuts the processor down: an exception with no interrupt table to find its handler in.
fn triple_fault(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.xor(ax, ax)?;
    a.mov(ds, ax)?;
    a.lidt(word_ptr(BASE + CODE as u64))?;
    a.int3()
}

fn arguments(image: &Path) -> Vec<String> {
    ["run", "--hda", image.to_str().unwrap(), "--memory", "16M", "--display", "none", "--debugcon", "stdio"]
        .map(String::from)
        .to_vec()
}

fn run(image: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_idem86"));
    command.args(arguments(image)).args(more).stdin(Stdio::null()).output().expect("the program starts")
}

/// Starts the program and waits until it has printed `text`.
fn prints(image: &Path, more: &[&str], text: &[u8]) -> Child {
    use std::io::Read;
    let mut command = Command::new(env!("CARGO_BIN_EXE_idem86"));
    command.args(arguments(image)).args(more).args(["--timeout", "600"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut printed = vec![0; text.len()];
    child.stdout.as_mut().unwrap().read_exact(&mut printed).expect("the guest prints as much");
    assert_eq!(printed, text);
    child
}

/// A guest that prints a letter and resets prints it again.
fn starts_again(image: &Path) {
    let mut child = prints(image, &["--clock", "virtual"], b"BB");
    child.kill().expect("it still runs");
    child.wait().unwrap();
}

/// Waits for a process that has been told to end.
fn ended(mut child: Child) -> Output {
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(600) {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

fn written(image: &Path) -> Vec<u8> {
    std::fs::read(image).unwrap()[TARGET * SECTOR..][..SECTOR].to_vec()
}

fn pattern() -> Vec<u8> {
    PATTERN.to_le_bytes().repeat(SECTOR / 2)
}

#[cfg(unix)]
#[test]
fn signals_end_the_run_in_order_with_the_image_written() {
    for signal in ["-TERM", "-INT"] {
        let (_keep, image) = disk(|a| {
            write_sector(a)?;
            idle(a)
        });
        // It has written when the drive says so: ready, no error.
        let child = prints(&image, &[], &[0x50, 0]);
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let out = ended(child);
        assert_eq!(out.status.code(), Some(0), "{signal}: {}", String::from_utf8_lossy(&out.stderr));
        assert!(written(&image) == pattern(), "{signal}");
    }
}

#[cfg(unix)]
#[test]
fn a_host_that_cannot_write_is_an_error_for_the_guest_and_a_message_for_the_user() {
    let (_keep, image) = disk(|a| {
        write_sector(a)?;
        a.mov(al, 1)?;
        a.out(0xF4, al)
    });
    // Files may grow no further than some sectors in front of what the guest writes; without the signal, the host
    // refuses the write.
    let limited = r#"trap '' XFSZ; ulimit -f 10; exec "$0" "$@""#;
    let mut command = Command::new("sh");
    command
        .args(["-c", limited, env!("CARGO_BIN_EXE_idem86")])
        .args(arguments(&image))
        .args(["--debug-exit", "0xF4"]);
    let out = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1 << 1 | 1), "the guest goes on: {text}");
    // "Status register": DRDY, DF or ERR; what counts is that ERR is set.
    let [status, _error] = out.stdout[..] else { panic!("{:02x?}", out.stdout) };
    assert_eq!(status & 1, 1, "status {status:02x}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains(&format!("writing sector {TARGET}")), "{text}");
    assert!(written(&image) == [0; SECTOR]);
}

#[test]
fn read_only_images_refuse_writes_and_snapshots_forget_them() {
    for (option, status) in [("readonly=on", 0x51), ("snapshot=on", 0x50)] {
        let (_keep, image) = disk(|a| {
            write_sector(a)?;
            a.mov(al, 0)?;
            a.out(0xF4, al)
        });
        let with_option = PathBuf::from(format!("{},{option}", image.display()));
        let out = run(&with_option, &["--debug-exit", "0xF4"]);
        assert_eq!(out.status.code(), Some(1), "{}", String::from_utf8_lossy(&out.stderr));
        assert_eq!(out.stdout.first(), Some(&status), "{option}: {:02x?}", out.stdout);
        assert!(written(&image) == [0; SECTOR], "{option}");
    }
}

/// What qemu-img does with `arguments`; `None`: it is not there.
fn qemu_img(arguments: &[&str]) -> Option<Output> {
    Command::new("qemu-img").args(arguments).output().ok()
}

#[test]
fn a_guest_writes_to_a_qcow2_image_as_to_a_raw_one() {
    let (keep, raw) = disk(|a| {
        write_sector(a)?;
        a.mov(al, 0)?;
        a.out(0xF4, al)
    });
    let qcow2 = keep.path().join("disk.qcow2");
    let (raw_name, name) = (raw.to_str().unwrap(), qcow2.to_str().unwrap());
    let Some(made) = qemu_img(&["convert", "-f", "raw", "-O", "qcow2", "-c", raw_name, name]) else {
        eprintln!("a guest on qcow2: skipped, no qemu-img");
        return;
    };
    assert!(made.status.success(), "{made:?}");
    let before = std::fs::read(&qcow2).unwrap();
    for (options, expected) in [(",snapshot=on", [0; SECTOR].to_vec()), (",readonly=off", pattern())] {
        let image = PathBuf::from(format!("{name}{options}"));
        let out = run(&image, &["--debug-exit", "0xF4"]);
        assert_eq!((out.status.code(), out.stdout.first()), (Some(1), Some(&0x50)), "{options}: {out:?}");
        let back = qemu_img(&["convert", "-f", "qcow2", "-O", "raw", name, raw_name]).unwrap();
        assert!(back.status.success() && written(&raw) == expected, "{options}: {back:?}");
        assert_eq!(options == ",snapshot=on", std::fs::read(&qcow2).unwrap() == before);
    }
    let checked = qemu_img(&["check", name]).unwrap();
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    // The same file taken as raw bytes is a disk that boots nothing.
    let out = run(&PathBuf::from(format!("{name},format=raw,snapshot=on")), &["--timeout", "1"]);
    assert_eq!((out.status.code(), out.stdout.as_slice()), (Some(124), &b""[..]), "{out:?}");
}

#[test]
fn a_triple_fault_resets_or_ends_the_run_if_that_was_asked_for() {
    let (_keep, image) = disk(|a| {
        out(a, CONSOLE, i32::from(b'B'))?;
        triple_fault(a)
    });
    let out = run(&image, &["--no-reboot"]);
    assert_eq!((out.status.code(), out.stdout.as_slice()), (Some(1), &b"B"[..]));
    assert!(String::from_utf8_lossy(&out.stderr).contains("triple fault"));
    starts_again(&image);
}

#[test]
fn a_reset_by_the_guest_starts_again_or_ends_the_run() {
    // "Reset Control Register": a hard reset of the whole board.
    let (_keep, image) = disk(|a| {
        out(a, CONSOLE, i32::from(b'B'))?;
        out(a, 0xCF9, 2)?;
        out(a, 0xCF9, 6)?;
        idle(a)
    });
    let out = run(&image, &["--no-reboot"]);
    assert_eq!((out.status.code(), out.stdout.as_slice()), (Some(0), &b"B"[..]));
    starts_again(&image);
}
