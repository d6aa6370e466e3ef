//! The control socket: the protocol by hand, and Python's client for it.
//!
//! The client is looked for where `IDEM86_QEMU_QMP` says, else in `target/qemu-qmp`:
//! `pip install --target target/qemu-qmp qemu.qmp`.

use crate::client::{Client, served, talk};
use crate::guest_files::say;
use crate::guests::*;
use crate::host::{engines, run, wait};
use idem86::machine::remote::qmp::QmpServer;
use idem86::machine::remote::{Desk, End, Endpoint, Turn};
use std::io::Write;
use std::net::Shutdown;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

#[test]
fn a_session_from_greeting_to_quit() {
    let (mut machine, mut desk, server) = served(true);
    let endpoint = server.endpoint().clone();
    let peer = thread::spawn(move || {
        let mut c = Client::connect(&endpoint);
        let greeting = c.line();
        assert!(greeting.contains("\"package\":\"idem86\"") && greeting.contains("\"capabilities\":[]"));
        let early = c.refused(r#"{"execute": "query-status", "id": 1}"#);
        assert!(early.contains("CommandNotFound") && early.contains("\"id\":1"), "{early}");
        c.refused(r#"{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}"#);
        assert_eq!(c.ask(r#"{"execute": "qmp_capabilities", "id": "x"}"#), r#"{"id":"x","return":{}}"#);
        c.refused(r#"{"execute": "qmp_capabilities"}"#);
        assert!(c.ask(r#"{"execute": "query-commands"}"#).contains(r#"{"name":"query-block"}"#));
        assert!(c.ask(r#"{"execute": "query-status"}"#).contains(r#""status":"paused""#));
        c.send("{\"execute\": \"cont\"}\n");
        assert!(c.line().contains("\"event\":\"RESUME\""), "what a command leads to comes before its answer");
        assert_eq!(c.line(), r#"{"return":{}}"#);
        assert!(c.ask(r#"{"execute": "query-status"}"#).contains(r#""running":true"#));
        c.send("{\"execute\": \"stop\"}\n");
        let stop = c.line();
        assert!(stop.contains("\"event\":\"STOP\"") && stop.contains("\"seconds\":"), "{stop}");
        c.answer();
        // Two in one piece, one in two.
        c.send(r#"{"execute": "query-version"}{"execute": "query-name"} {"execute": "query-"#);
        assert!(c.answer().contains("qemu"));
        assert_eq!(c.answer(), r#"{"return":{}}"#);
        c.send("kvm\", \"id\": {\"a\": [1]}}");
        assert_eq!(c.answer(), r#"{"id":{"a":[1]},"return":{"enabled":false,"present":false}}"#);
        assert!(c.ask(r#"{"execute": "query-block"}"#).contains(r#""device":"floppy0""#));
        assert!(c.ask(r#"{"execute": "query-memory-size-summary"}"#).contains("16777216"));
        c.ask(r#"{"execute": "system_powerdown"}"#);
        c.ask(r#"{"execute": "cont"}"#);
        c.ask(r#"{"execute": "system_reset"}"#);
        assert!(c.refused(r#"{"execute": "system_wakeup"}"#).contains("suspended"));
        c.ask(r#"{"execute": "quit"}"#);
        assert!(c.event("SHUTDOWN").contains(r#""reason":"host-qmp-quit""#));
        assert_eq!(c.rest(), "");
    });
    assert_eq!(run(&mut machine, &mut desk, |_| false), Turn::Quit);
    drop(desk);
    drop(server);
    peer.join().expect("the peer is content");
}

#[test]
fn events_go_to_all_peers() {
    static STOPPED: AtomicBool = AtomicBool::new(false);
    let (mut machine, mut desk, server) = served(true);
    let endpoint = server.endpoint().clone();
    let peer = thread::spawn(move || {
        let (mut one, mut other) = (Client::connect(&endpoint), Client::connect(&endpoint));
        one.negotiate();
        other.negotiate();
        one.ask(r#"{"execute": "system_reset"}"#);
        assert!(other.event("RESET").contains(r#""guest":false"#));
        one.ask(r#"{"execute": "system_powerdown"}"#);
        other.event("POWERDOWN");
        one.ask(r#"{"execute": "cont"}"#);
        other.event("RESUME");
        other.ask(r#"{"execute": "stop"}"#);
        one.event("STOP");
        STOPPED.store(true, Ordering::SeqCst);
        assert!(other.event("SHUTDOWN").contains(r#""reason":"host-signal""#));
    });
    // Stopped at the beginning, and again after it ran.
    let mut ran = false;
    run(&mut machine, &mut desk, |machine| {
        ran |= machine.cpu.work() > 0;
        ran && STOPPED.load(Ordering::SeqCst)
    });
    desk.end(End::Host);
    drop((desk, server));
    peer.join().expect("the peer is content");
}

#[test]
fn malformed_and_oversized_requests_are_answered_and_the_connection_stays() {
    let (mut machine, mut desk, server) = served(false);
    let ((), turn) = talk(&mut machine, &mut desk, &server, |mut c| {
        c.negotiate();
        let long = format!("{{\"execute\": \"{}\"}}", "x".repeat(1 << 20));
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        for (request, reason) in [
            ("nonsense", "JSON parse error"),
            ("{\"execute\": }", "JSON parse error"),
            ("{\"execute\": \"stop\"]", "JSON parse error"),
            ("}", "JSON parse error"),
            ("\u{1}\u{2}", "JSON parse error"),
            (&deep, "JSON parse error"),
            (&long, "at most 262144 bytes"),
            ("[]", "must be a JSON object"),
            ("\"stop\"", "must be a JSON object"),
            ("{}", "lacks member 'execute'"),
            (r#"{"execute": 1}"#, "must be a string"),
            (r#"{"execute": "stop", "arguments": []}"#, "must be an object"),
            (r#"{"execute": "stop", "extra": 1}"#, "'extra' is unexpected"),
            (r#"{"execute": "stop", "arguments": {"a": 1}}"#, "unknown field"),
            (r#"{"execute": "no-such-command"}"#, "has not been found"),
            (r#"{"execute": "screendump"}"#, "missing field"),
            (
                r#"{"execute": "screendump", "arguments": {"filename": "/nowhere/at/all.png"}}"#,
                "/nowhere/at/all.png",
            ),
            (
                r#"{"execute": "send-key", "arguments": {"keys": [{"type": "qcode", "data": "hyper"}]}}"#,
                "hyper",
            ),
            (
                r#"{"execute": "pmemsave", "arguments": {"val": 0, "size": 18446744073709551615, "filename": "/tmp/x"}}"#,
                "no such memory",
            ),
            (r#"{"execute": "eject", "arguments": {"device": "sda"}}"#, "floppy0"),
            (
                r#"{"execute": "blockdev-change-medium", "arguments": {"device": "floppy0", "filename": "/absent.img"}}"#,
                "/absent.img",
            ),
            (r#"{"execute": "x-idem86-snapshot-load", "arguments": {"tag": "none"}}"#, "none"),
        ] {
            let answer = c.refused(request);
            let shown = &request[..request.len().min(60)];
            assert!(answer.contains(reason), "{shown}: {answer}");
            assert!(c.ask(r#"{"execute": "query-name"}"#).contains("return"), "after {shown}");
        }
    });
    assert_eq!(turn, Turn::Ran);
}

#[test]
fn peers_that_vanish_or_stall_do_not_harm_the_run() {
    let (mut machine, mut desk, server) = served(false);
    for bytes in [
        &b""[..],
        b"{\"execute\": \"qmp_capab",
        b"{\"execute\": \"qmp_capabilities\"}\n{\"execute\": \"stop\"",
        b"\xFF\xFE",
    ] {
        talk(&mut machine, &mut desk, &server, move |mut c| {
            c.stream().write_all(bytes).expect("it reads");
            let _ = c.stream().shutdown(Shutdown::Both);
        });
    }
    // One that asks and never reads, and stays.
    let (stalled, _) = talk(&mut machine, &mut desk, &server, |mut c| {
        c.send("{\"execute\": \"qmp_capabilities\"}\n");
        c.stream().set_nonblocking(true).expect("a flag");
        for _ in 0..20_000 {
            if c.stream().write_all(b"{\"execute\": \"query-commands\"}\n").is_err() {
                break;
            }
        }
        c
    });
    let before = machine.cpu.work();
    run(&mut machine, &mut desk, |machine| machine.cpu.work() > before + 1_000_000);
    talk(&mut machine, &mut desk, &server, |mut c| c.negotiate());
    drop(stalled);
}

#[test]
fn snapshots_screens_and_memory() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut machine, mut desk, server) = served(false);
    let root = directory.path().to_path_buf();
    let path = move |name: &str| root.join(name).display().to_string();
    let (memory, png, ppm) = (path("memory"), path("screen.png"), path("screen"));
    let ((), _) = talk(&mut machine, &mut desk, &server, move |mut c| {
        c.negotiate();
        let hmp = |c: &mut Client, line: &str| {
            c.ask(&format!(
                r#"{{"execute": "human-monitor-command", "arguments": {{"command-line": "{line}"}}}}"#
            ))
        };
        // Until the boot sector counts.
        wait(|| {
            hmp(&mut c, "xp/1xw 0x7c00").contains("0xd88ec031")
                && !hmp(&mut c, "xp/1xb 0x500").contains("0x00\\r")
        });
        c.ask(r#"{"execute": "stop"}"#);
        let before = hmp(&mut c, "info registers");
        c.ask(r#"{"execute": "x-idem86-snapshot-save", "arguments": {"tag": "here"}}"#);
        c.ask(r#"{"execute": "cont"}"#);
        wait(|| hmp(&mut c, "info registers") != before);
        c.ask(r#"{"execute": "stop"}"#);
        assert!(c.ask(r#"{"execute": "x-idem86-query-snapshots"}"#).contains("here"));
        c.ask(r#"{"execute": "x-idem86-snapshot-load", "arguments": {"tag": "here"}}"#);
        assert_eq!(hmp(&mut c, "info registers"), before);
        c.ask(&format!(r#"{{"execute": "screendump", "arguments": {{"filename": "{png}"}}}}"#));
        c.ask(&format!(r#"{{"execute": "screendump", "arguments": {{"filename": "{ppm}"}}}}"#));
        c.ask(&format!(
            r#"{{"execute": "pmemsave", "arguments": {{"val": 31744, "size": 512, "filename": "{memory}"}}}}"#
        ));
        let saved = path("saved");
        c.ask(&format!(r#"{{"execute": "x-idem86-save", "arguments": {{"directory": "{saved}"}}}}"#));
        assert!(std::fs::read_dir(&saved).expect("a directory").count() > 1);
        assert!(std::fs::read(&png).expect("a picture").starts_with(b"\x89PNG"));
        assert!(std::fs::read(&ppm).expect("a picture").starts_with(b"P6\n720 400\n255\n"));
        let saved = std::fs::read(&memory).expect("memory");
        assert_eq!((saved.len(), &saved[510..]), (512, &[0x55, 0xAA][..]));
        c.refused(&format!(
            r#"{{"execute": "pmemsave", "arguments": {{"val": 4273999872, "size": 16, "filename": "{memory}"}}}}"#
        ));
        assert_eq!(
            std::fs::read(&memory).expect("memory"),
            saved,
            "a failed request leaves the file as it was"
        );
        assert!(hmp(&mut c, "xp/1xb 0xb8001").contains(": 0x07"), "the attribute of the first character");
        assert!(hmp(&mut c, "x/1i 0x7c07").contains("inc word ptr ds:[500h]"));
        c.ask(r#"{"execute": "eject", "arguments": {"device": "floppy0"}}"#);
        assert!(hmp(&mut c, "info block").contains("floppy0: empty"));
        let other = path("other.img");
        std::fs::write(&other, vec![0; 737_280]).expect("an image");
        c.ask(&format!(
            r#"{{"execute": "blockdev-change-medium", "arguments": {{"device": "floppy0", "filename": "{other}"}}}}"#
        ));
        assert!(hmp(&mut c, "info block").contains("floppy0: 737280 bytes"));
        // The BIOS puts what is typed into its buffer: scan code and character of Ctrl-C.
        c.ask(r#"{"execute": "cont"}"#);
        c.ask(r#"{"execute": "send-key", "arguments": {"keys": [{"type": "qcode", "data": "ctrl"}, {"type": "qcode", "data": "c"}]}}"#);
        wait(|| hmp(&mut c, "xp/1xh 0x41e").contains("0x2e03"));
        c.ask(r#"{"execute": "input-send-event", "arguments": {"events": [{"type": "key", "data": {"down": true, "key": {"type": "number", "data": 30}}}, {"type": "rel", "data": {"axis": "x", "value": 5}}]}}"#);
    });
}

/// Whatever is sent, a well-formed request behind it is answered.
#[test]
fn random_bytes_leave_the_connection_usable() {
    let (mut machine, mut desk, server) = served(false);
    let ((), turn) = talk(&mut machine, &mut desk, &server, |mut c| {
        c.negotiate();
        let requests = [
            r#"{"execute": "human-monitor-command", "arguments": {"command-line": "x/4xw 0x7c00"}}"#,
            r#"{"execute": "send-key", "arguments": {"keys": [{"type": "qcode", "data": "a"}]}, "id": [1, {"a": 2}]}"#,
            r#"{"execute": "input-send-event", "arguments": {"events": [{"type": "rel", "data": {"axis": "x", "value": -3}}]}}"#,
        ];
        const STRUCTURE: &[u8] = b"\"{}[]:,\\09e";
        let mut state = 1u64;
        let mut random = |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % n
        };
        for n in 0..1500 {
            let mut bytes = requests[random(requests.len())].as_bytes().to_vec();
            for _ in 0..=random(6) {
                let at = random(bytes.len());
                match random(3) {
                    0 => bytes[at] = random(256) as u8,
                    1 => drop(bytes.drain(at..)),
                    _ => bytes.insert(at, STRUCTURE[random(STRUCTURE.len())]),
                }
                if bytes.is_empty() {
                    break;
                }
            }
            bytes.push(b'\n');
            c.stream().write_all(&bytes).expect("it reads");
            // What was cut short may swallow a line, but not two.
            let probe = format!("{{\"execute\": \"query-name\", \"id\": {n}}}\n");
            c.send(&format!("}}]\"\n{probe}"));
            let wanted = format!("{{\"id\":{n},\"return\":{{}}}}");
            let mut left = 20;
            while c.answer() != wanted {
                left -= 1;
                assert!(left > 0, "no answer after {}", String::from_utf8_lossy(&bytes));
            }
        }
    });
    assert_eq!(turn, Turn::Ran);
}

/// What Python's client does; it ends with an exception if anything is not as it should be.
const PYTHON: &str = include_str!("qmp_client.py");

#[cfg(unix)]
#[test]
fn pythons_client() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library =
        std::env::var_os("IDEM86_QEMU_QMP").map_or_else(|| project.join("target/qemu-qmp"), Into::into);
    let python = |code: &str, arguments: &[&str]| {
        Command::new("python3")
            .args(["-c", code])
            .args(arguments)
            .env("PYTHONPATH", &library)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    };
    let found = python("import qemu.qmp", &[]).and_then(|mut child| child.wait());
    if !found.is_ok_and(|status| status.success()) {
        say(&"pythons_client", &"skipped, no qemu.qmp (pip install --target target/qemu-qmp qemu.qmp)");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("qmp.sock");
    let mut desk = Desk::new(true);
    let server = QmpServer::start(&Endpoint::Unix(socket.clone()), desk.link()).expect("a socket");
    let mut machine = boot_sector(engines()[0]);
    let arguments = [socket.to_str().expect("plain names"), directory.path().to_str().expect("plain names")];
    let mut child = python(PYTHON, &arguments).expect("it was there a moment ago");
    let turn = run(&mut machine, &mut desk, |_| child.try_wait().expect("a child").is_some());
    desk.end(End::Host);
    drop((desk, server));
    let output = child.wait_with_output().expect("what it printed");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "content");
    assert_eq!(turn, Turn::Quit);
}
