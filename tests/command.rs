//! The command as users meet it: what bad input gets, exit codes, flat images.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn idem86(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_idem86")).args(args).output().expect("the program starts")
}

/// A folder with a file of `bytes` in it.
fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// Asserts that `args` are refused with exit code 2 and one line that names `path` and holds `reason`.
fn refused(args: &[&str], path: &Path, reason: &str) {
    let out = idem86(args);
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{args:?}: {text}");
    assert_eq!(text.lines().count(), 1, "{args:?}: {text}");
    assert!(text.contains(&path.display().to_string()) && text.contains(reason), "{args:?}: {text}");
}

/// A BIOS image of the right size that halts at once, so that the machine itself is not what is refused.
fn bios() -> (tempfile::TempDir, PathBuf) {
    let mut image = vec![0xF4; 0x1_0000];
    image[0xFFF0] = 0xF4;
    file("bios.bin", &image)
}

#[test]
fn images_that_cannot_be_used_are_refused_by_name_and_stay_as_they_are() {
    let (_keep, bios) = bios();
    let bios = bios.to_str().unwrap();
    let run = |drive: &str, image: &Path| -> Vec<String> {
        ["run", "--bios", bios, drive, image.to_str().unwrap()].map(String::from).to_vec()
    };
    let check = |drive: &str, image: &Path, reason: &str| {
        let args = run(drive, image);
        refused(&args.iter().map(String::as_str).collect::<Vec<_>>(), image, reason);
    };
    let folder = tempfile::tempdir().unwrap();
    check("--hda", &folder.path().join("absent.img"), "No such file");
    check("--hda", folder.path(), "not a regular file");
    for (drive, bytes, reason) in [
        ("--hda", &[][..], "empty"),
        ("--hda", &[0; 1000], "512-byte sectors"),
        ("--cdrom", &[0; 3000], "2048-byte sectors"),
        ("--fda", &[0; 5120], "no floppy format"),
    ] {
        let (_keep, image) = file("image.img", bytes);
        check(drive, &image, reason);
        assert_eq!(std::fs::read(&image).unwrap(), bytes);
    }
}

#[test]
fn images_of_no_known_kind_and_kernels_that_are_none_are_refused() {
    let (_keep, bios) = bios();
    let bios = bios.to_str().unwrap();
    let (_keep, unknown) = file("unknown.img", &[1; 4096]);
    refused(&["run", "--bios", bios, unknown.to_str().unwrap()], &unknown, "neither a floppy");
    refused(&["run", "--bios", bios, "--kernel", unknown.to_str().unwrap()], &unknown, "not a Linux kernel");
    let mut cut = vec![0; 1024];
    cut[0x1FE..0x206].copy_from_slice(b"\x55\xAA\0\0HdrS");
    cut[0x206..0x208].copy_from_slice(&0x20Au16.to_le_bytes());
    let (_keep, cut) = file("cut", &cut);
    refused(&["run", "--bios", bios, "--kernel", cut.to_str().unwrap()], &cut, "cut short");
}

#[test]
fn recordings_that_cannot_be_repeated_are_refused_by_name() {
    let (_keep, bios) = bios();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.rec");
    let run = |option: &'static str, path: &Path| -> Vec<String> {
        let machine = ["run", "--bios", bios.to_str().unwrap(), "--memory", "4M", "--display", "none"];
        machine.into_iter().chain([option, path.to_str().unwrap()]).map(String::from).collect()
    };
    let check = |path: &Path, reason: &str| {
        let args = run("--replay", path);
        refused(&args.iter().map(String::as_str).collect::<Vec<_>>(), path, reason);
    };
    check(&path, "No such file");
    // The machine halts for ever, which is a failure; that is recorded all the same.
    let args = run("--record", &path);
    let out = idem86(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(1) && text.contains("0 inputs were recorded"), "{text}");
    let good = std::fs::read(&path).unwrap();
    for (bytes, reason) in [
        (&good[..good.len() - 1], "not a recording of inputs"),
        (&good[..10], "not a recording of inputs"),
        (&b"PK\x03\x04"[..], "not a recording of inputs"),
        (&[&good[..20], &[!good[20]], &good[21..]].concat(), "its checksum is wrong"),
        (&[&good[..8], &[9, 0, 0, 0], &good[12..]].concat(), "a recording of version 9"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        check(&path, reason);
    }
    std::fs::write(&path, good).unwrap();
    let args = run("--replay", &path);
    let out = idem86(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn an_image_that_somebody_writes_to_is_refused() {
    let (_keep, bios) = bios();
    let (_keep, image) = file("disk.img", &[0; 1024]);
    let lock = std::fs::OpenOptions::new().write(true).open(&image).unwrap();
    lock.lock().unwrap();
    let args = ["run", "--bios", bios.to_str().unwrap(), "--hda", image.to_str().unwrap()];
    refused(&args, &image, "in use");
}

#[test]
fn a_bios_of_an_impossible_size_is_refused() {
    let (_keep, image) = file("bios.bin", &[0; 1000]);
    let out = idem86(&["run", "--bios", image.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{text}");
    assert!(text.contains("multiple of 64K"), "{text}");
}

#[test]
fn a_flat_image_prints_and_ends_by_the_exit_port() {
    // mov al,'A'; mov dx,3F8h; out dx,al; mov al,5; out F4h,al
    let (_keep, image) = file("flat.bin", &[0xB0, b'A', 0xBA, 0xF8, 0x03, 0xEE, 0xB0, 5, 0xE6, 0xF4]);
    let out = idem86(&["run", "--flat", image.to_str().unwrap()]);
    assert_eq!((out.status.code(), out.stdout.as_slice()), (Some(5 << 1 | 1), &b"A"[..]));
}

#[test]
fn the_timeout_and_a_machine_that_cannot_go_on_have_exit_codes_of_their_own() {
    let (_keep, forever) = file("loop.bin", &[0xEB, 0xFE]);
    let out = idem86(&["run", "--flat", forever.to_str().unwrap(), "--timeout", "0.1"]);
    assert_eq!(out.status.code(), Some(124));
    let (_keep, bios) = bios();
    let out = idem86(&["run", "--bios", bios.to_str().unwrap(), "--clock", "virtual"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("halted for ever"));
}

#[test]
fn options_that_an_engine_does_not_have_are_refused() {
    let (_keep, image) = file("loop.bin", &[0xEB, 0xFE]);
    let flat = ["run", "--flat", image.to_str().unwrap(), "--timeout", "0.1", "--engine"];
    let run = |rest: &[&str]| idem86(&[&flat[..], rest].concat());
    for (rest, reason) in [
        (["interpreter", "--chaining", "off"], "--engine translator or trap, not interpreter"),
        (["interpreter", "--policy", "callout"], "--engine translator, not interpreter"),
        (["trap", "--policy", "in-cache"], "--engine translator, not trap"),
    ] {
        let out = run(&rest);
        let text = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.code() == Some(2) && text.contains(reason), "{rest:?}: {text}");
    }
    for policy in ["callout", "in-cache", "adaptive"] {
        let out = run(&["translator", "--policy", policy, "--chaining", "off", "--memory-tier", "windows"]);
        let there = cfg!(all(target_os = "linux", target_arch = "x86_64"));
        assert_eq!(out.status.code(), Some(if there { 124 } else { 2 }), "{policy}: {out:?}");
    }
}

/// With little address space there is no room for windows; the other engine is not taken in silence.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn a_host_that_cannot_trap_and_emulate_is_told_why() {
    let (_keep, image) = file("loop.bin", &[0xEB, 0xFE]);
    let command = "ulimit -v 3000000; exec \"$0\" run --flat \"$1\" --memory 1M --engine trap";
    let out = Command::new("sh").args(["-c", command, env!("CARGO_BIN_EXE_idem86")]).arg(&image).output();
    let out = out.expect("a shell");
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!((out.status.code(), text.lines().count()), (Some(2), 1), "{text}");
    assert!(text.contains("windows to guest memory need signals"), "{text}");
}

/// Without BMI2 there are no shifts that leave the flags alone: a host that must do without gets the interpreter, and
/// whoever asks for more is told.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_host_without_bmi2_interprets() {
    // mov al,5; out F4h,al
    let (_keep, image) = file("flat.bin", &[0xB0, 5, 0xE6, 0xF4]);
    let run = |rest: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_idem86"));
        command.env("IDEM86_HOST_WITHOUT", "bmi2").args(["run", "--flat"]).arg(&image).args(rest);
        command.output().expect("the program starts")
    };
    for rest in [&[][..], &["--engine", "interpreter"]] {
        let out = run(rest);
        assert_eq!(out.status.code(), Some(5 << 1 | 1), "{rest:?}: {out:?}");
    }
    for engine in ["translator", "trap"] {
        let out = run(&["--engine", engine]);
        let text = String::from_utf8_lossy(&out.stderr);
        assert_eq!((out.status.code(), text.lines().count()), (Some(2), 1), "{engine}: {text}");
        assert!(text.contains("BMI2"), "{engine}: {text}");
    }
}

#[test]
fn the_demonstration_ends_with_power_off() {
    let out = idem86(&["demo"]);
    let text = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    for part in
        ["with paging", "Memory map", "device 8086:1237", "a hundred in a second", "Power off.", "int-user"]
    {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn translation_units_are_listed() {
    // mov cx, 30000; again: inc ax; loop again; mov al, 3; out F4h, al
    let mut boot = vec![0xB9, 0x30, 0x75, 0x40, 0xE2, 0xFD, 0xB0, 3, 0xE6, 0xF4];
    boot.resize(510, 0xF4);
    boot.extend([0x55, 0xAA]);
    boot.resize(1_474_560, 0);
    let (folder, image) = file("boot.img", &boot);
    let listing = folder.path().join("units.txt");
    let (image, units) = (image.to_str().unwrap(), listing.to_str().unwrap());
    let run = |engine: &str| {
        let exit = ["--debug-exit", "0xF4", "--clock", "virtual", "--display", "none", "--timeout", "600"];
        idem86(&[&["run", image, "--engine", engine, "--trace-tu", units][..], &exit].concat())
    };
    let out = run("interpreter");
    assert_eq!(out.status.code(), Some(2), "the interpreter has none");
    let out = run("translator");
    let error = String::from_utf8_lossy(&out.stderr);
    if error.contains("translation needs") {
        println!("translation units: skipped, this host does not translate");
        return;
    }
    assert_eq!(out.status.code(), Some(7), "{error}");
    let text = std::fs::read_to_string(&listing).unwrap();
    let unit =
        text.split("unit at EIP ").find(|unit| unit.starts_with("00007C03")).expect("the loop is a unit");
    assert!(unit.contains("inc ax") && unit.contains("jrcxz"), "{unit}");
}

#[test]
fn places_that_others_could_reach_are_not_served() {
    for (option, place) in [("--gdb=tcp:0.0.0.0:1234", "0.0.0.0"), ("--qmp=tcp:[::]:4444", "[::]")] {
        let out = idem86(&["run", option]);
        let text = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{text}");
        assert!(text.contains(place) && text.contains("loopback"), "{text}");
    }
    let out = idem86(&["run", "--qmp", "unix:/no/such/directory/socket"]);
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{text}");
    assert!(text.contains("unix:/no/such/directory/socket: No such file"), "{text}");
}

#[cfg(unix)]
#[test]
fn a_control_peer_ends_the_run() {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("qmp");
    let mut child = Command::new(env!("CARGO_BIN_EXE_idem86"))
        .args(["run", "--display", "none", "--freeze", "--timeout", "600", "--qmp"])
        .arg(format!("unix:{}", socket.display()))
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the program starts");
    let stream = loop {
        if let Ok(stream) = UnixStream::connect(&socket) {
            break stream;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended before it listened");
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    for (command, wanted) in [
        ("", "QMP"),
        (r#"{"execute": "qmp_capabilities"}"#, "return"),
        (r#"{"execute": "query-status"}"#, "paused"),
        (r#"{"execute": "quit"}"#, "return"),
        ("", "host-qmp-quit"),
    ] {
        if !command.is_empty() {
            (&stream).write_all(format!("{command}\n").as_bytes()).unwrap();
        }
        let line = lines.next().expect("an answer").unwrap();
        assert!(line.contains(wanted), "{command}: {line}");
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!socket.exists());
}
