//! Snapshots as jobs of the control socket: `snapshot-save`, `snapshot-load`, `snapshot-delete`, and what becomes of
//! them.

use crate::client::{Client, served, talk};
use crate::guests::*;
use crate::host::{run, wait};
use idem86::machine::image::source::Disk;
use idem86::machine::machine::Machine;
use idem86::machine::remote::qmp::QmpServer;
use idem86::machine::remote::{Desk, Turn};
use idem86::machine::snapshot::Snapshot;
use serde_json::{Value, json};
use std::io::Write;
use std::net::Shutdown;
use std::path::Path;

/// The drives of the machine.
const DRIVES: [&str; 1] = ["floppy0"];

/// What a snapshot's job takes.
fn arguments(job: &str, tag: &str, vmstate: &Path) -> Value {
    json!({"job-id": job, "tag": tag, "vmstate": vmstate, "devices": DRIVES})
}

/// Reads until the job has come to its end, and the answer to what began it is there if `answered` is not; gives the
/// statuses that it went through.
fn statuses(c: &mut Client, job: &str, mut answered: bool) -> Vec<String> {
    let mut statuses: Vec<String> = Vec::new();
    while !answered || statuses.last().is_none_or(|last| last != "concluded") {
        let line: Value = serde_json::from_str(&c.line()).expect("JSON");
        assert!(line.get("error").is_none(), "{line}");
        answered |= line.get("return").is_some();
        if line["event"] == "JOB_STATUS_CHANGE" && line["data"]["id"] == job {
            statuses.push(line["data"]["status"].as_str().expect("a name").to_string());
        }
    }
    statuses
}

/// Begins a job, waits for its end, and dismisses it. Gives why it failed, if it did.
fn finish(c: &mut Client, command: &str, arguments: Value) -> Option<String> {
    let job = arguments["job-id"].as_str().expect("a name").to_string();
    c.send(&format!("{}\n", json!({"execute": command, "arguments": arguments})));
    let all = statuses(c, &job, false);
    let jobs = c.run("query-jobs", json!({}));
    let info = jobs.as_array().expect("a list").iter().find(|info| info["id"] == *job).expect("it is known");
    assert_eq!((&info["type"], &info["status"]), (&json!(command), &json!("concluded")));
    let error = info.get("error").map(|error| error.as_str().expect("a text").to_string());
    match &error {
        None => {
            assert_eq!(all, ["created", "running", "waiting", "pending", "concluded"]);
            assert_eq!(info["current-progress"], info["total-progress"]);
        }
        Some(_) => assert_eq!(all, ["created", "running", "aborting", "concluded"]),
    }
    c.run("job-dismiss", json!({"id": job}));
    let left = c.run("query-jobs", json!({}));
    assert!(left.as_array().expect("a list").iter().all(|info| info["id"] != *job));
    error
}

/// The registers, as people see them.
fn registers(c: &mut Client) -> String {
    c.run("human-monitor-command", json!({"command-line": "info registers"})).to_string()
}

/// Lets the machine run until the boot sector counts, and stops it.
fn run_to_the_boot_sector(c: &mut Client) {
    let word = |c: &mut Client, at: &str| {
        c.run("human-monitor-command", json!({"command-line": format!("xp/1xw {at}")})).to_string()
    };
    wait(|| word(c, "0x7c00").contains("0xd88ec031") && !word(c, "0x500").contains("0x00000000"));
    c.run("stop", json!({}));
}

#[test]
fn a_snapshot_is_saved_loaded_and_deleted() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut machine, mut desk, server) = served(false);
    let root = directory.path().to_path_buf();
    let (there, _) = talk(&mut machine, &mut desk, &server, move |mut c| {
        c.negotiate();
        run_to_the_boot_sector(&mut c);
        let there = registers(&mut c);
        assert_eq!(finish(&mut c, "snapshot-save", arguments("save", "there", &root)), None);
        c.run("cont", json!({}));
        wait(|| registers(&mut c) != there);
        // A running machine runs on.
        assert_eq!(finish(&mut c, "snapshot-save", arguments("save", "later", &root)), None);
        assert_eq!(c.run("query-status", json!({}))["running"], true);
        c.run("stop", json!({}));
        assert_eq!(finish(&mut c, "snapshot-load", arguments("load", "there", &root)), None);
        assert_eq!(registers(&mut c), there);
        // What is there is not replaced.
        let again = finish(&mut c, "snapshot-save", arguments("save", "there", &root)).expect("it is there");
        assert!(again.contains("there"), "{again}");
        let absent =
            finish(&mut c, "snapshot-load", arguments("load", "nowhere", &root)).expect("it is not there");
        assert!(absent.contains("no saved machine"), "{absent}");
        assert_eq!(registers(&mut c), there, "a load that fails changes nothing");
        // Where the session's last snapshot was, unless it is said.
        let later = json!({"job-id": "delete", "tag": "later", "devices": []});
        assert_eq!(finish(&mut c, "snapshot-delete", later.clone()), None);
        assert!(!root.join("later").exists());
        assert!(finish(&mut c, "snapshot-delete", later).expect("it is gone").contains("no saved machine"));
        there
    });
    // Another machine with the same hardware comes to the same state, and so does one that is made from the directory.
    let (mut machine, mut desk, server) = served(true);
    let root = directory.path().to_path_buf();
    talk(&mut machine, &mut desk, &server, move |mut c| {
        c.negotiate();
        assert_eq!(finish(&mut c, "snapshot-load", arguments("load", "there", &root)), None);
        assert_eq!(registers(&mut c), there);
        c.run("cont", json!({}));
    });
    let saved = Snapshot::load(&directory.path().join("there")).expect("a saved machine");
    let mut resumed = saved.spawn().expect("a machine");
    let before = dword(&mut resumed, COUNTER) & 0xFFFF;
    assert!(before > 0);
    run(&mut machine, &mut desk, |machine| dword(machine, COUNTER) & 0xFFFF > before);
}

#[test]
fn a_machine_with_other_hardware_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut other = Machine::builder().memory(8 << 20).floppy(vec![0; 1_474_560]).build().expect("a machine");
    other.save(&directory.path().join("other"), &mut |_, _| {}).expect("room");
    let (mut machine, mut desk, server) = served(false);
    let root = directory.path().to_path_buf();
    talk(&mut machine, &mut desk, &server, move |mut c| {
        c.negotiate();
        let error = finish(&mut c, "snapshot-load", arguments("load", "other", &root)).expect("it cannot");
        assert!(error.contains("hardware"), "{error}");
        // What is no saved machine is not deleted.
        std::fs::create_dir(root.join("files")).expect("room");
        let error =
            finish(&mut c, "snapshot-delete", arguments("delete", "files", &root)).expect("it must not");
        assert!(error.contains("no saved machine") && root.join("files").is_dir(), "{error}");
    });
}

#[test]
fn an_image_that_is_written_in_place_cannot_be_in_a_snapshot() {
    let directory = tempfile::tempdir().expect("a directory");
    let image = directory.path().join("disk.img");
    std::fs::write(&image, vec![0; 1 << 20]).expect("room");
    let mut machine =
        Machine::builder().memory(16 << 20).disk(Disk::file(&image)).build().expect("a machine");
    let mut desk = Desk::new(true);
    let server =
        QmpServer::start(&"tcp:127.0.0.1:0".parse().expect("an endpoint"), desk.link()).expect("a port");
    let root = directory.path().to_path_buf();
    talk(&mut machine, &mut desk, &server, move |mut c| {
        c.negotiate();
        let save = json!({"job-id": "save", "tag": "x", "vmstate": root, "devices": ["ide0-hd0"]});
        let error = finish(&mut c, "snapshot-save", save).expect("it cannot");
        assert!(error.contains("written in place"), "{error}");
        assert!(!root.join("x").exists(), "nothing is left");
    });
}

#[test]
fn what_is_wrong_with_a_job_is_said_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut machine, mut desk, server) = served(false);
    let root = directory.path().to_path_buf();
    let ((), turn) = talk(&mut machine, &mut desk, &server, move |mut c| {
        c.negotiate();
        let good = arguments("job", "tag", &root);
        let with = |name: &str, value: Value| {
            let mut arguments = good.clone();
            arguments[name] = value;
            arguments
        };
        let without = |name: &str| {
            let mut arguments = good.clone();
            arguments.as_object_mut().expect("an object").remove(name);
            arguments
        };
        let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
        let cases = [
            (without("job-id"), "missing field `job-id`"),
            (without("tag"), "missing field `tag`"),
            (without("vmstate"), "missing field `vmstate`"),
            (without("devices"), "missing field `devices`"),
            (with("extra", json!(1)), "unknown field `extra`"),
            (with("job-id", json!(1)), "expected a string"),
            (with("tag", json!(["a"])), "expected a string"),
            (with("vmstate", json!({})), "expected path string"),
            (with("vmstate", json!(null)), "'vmstate': null"),
            (with("devices", json!("floppy0")), "expected a sequence"),
            (with("devices", json!([1])), "expected a string"),
            (with("devices", json!({"0": "floppy0"})), "expected a sequence"),
            (with("devices", deep), "expected a string"),
            (with("devices", json!(["floppy0", "sda"])), "no drive is called 'sda'"),
            (with("devices", json!([])), "'floppy0' is left out"),
            (with("job-id", json!("")), "Invalid job ID"),
            (with("job-id", json!("1st")), "Invalid job ID"),
            (with("job-id", json!("j".repeat(200_000))), "Invalid job ID"),
            (with("job-id", json!("j".repeat(300_000))), "at most 262144 bytes"),
            (with("tag", json!("")), "no name"),
            (with("tag", json!(".")), "no name"),
            (with("tag", json!("..")), "no name"),
            (with("tag", json!("../tag")), "no name"),
            (with("tag", json!("a/b")), "no name"),
            (with("tag", json!("a/")), "no name"),
            (with("tag", json!("/etc")), "no name"),
            (with("tag", json!("a\\b")), "no name"),
        ];
        for command in ["snapshot-save", "snapshot-load"] {
            for (arguments, reason) in &cases {
                let answer = c.refused(&json!({"execute": command, "arguments": arguments}).to_string());
                let shown: String = arguments.to_string().chars().take(100).collect();
                assert!(answer.contains(&reason.replace('"', "\\\"")), "{command} {shown}: {answer}");
            }
        }
        // Nothing was begun, so nothing says where the snapshot is.
        let delete = json!({"job-id": "job", "tag": "tag", "devices": []});
        let answer = c.refused(&json!({"execute": "snapshot-delete", "arguments": delete}).to_string());
        assert!(answer.contains("'vmstate' is missing"), "{answer}");
        for (arguments, reason) in [
            (json!({"id": "job"}), "not found"),
            (json!({"id": 1}), "expected a string"),
            (json!({}), "missing field"),
            (json!({"id": "job", "force": true}), "unknown field"),
        ] {
            let answer = c.refused(&json!({"execute": "job-dismiss", "arguments": arguments}).to_string());
            assert!(answer.contains(reason), "{answer}");
        }
        c.refused(r#"{"execute": "query-jobs", "arguments": {"id": "job"}}"#);
        c.refused(r#"{"execute": "query-qmp-schema", "arguments": {"name": "stop"}}"#);
        // A string that ends in the middle of a character, and a request that ends in the middle.
        c.stream()
            .write_all(b"{\"execute\": \"snapshot-save\", \"arguments\": {\"tag\": \"\xC3\"}}\n")
            .expect("it reads");
        assert!(c.answer().contains("JSON parse error"));
        assert_eq!(c.run("query-jobs", json!({})), json!([]));
        assert!(std::fs::read_dir(&root).expect("it is there").next().is_none(), "nothing was written");
    });
    assert_eq!(turn, Turn::Ran);
}

#[test]
fn jobs_outlive_the_peer_that_began_them_and_are_everybodys() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut machine, mut desk, server) = served(false);
    let root = directory.path().to_path_buf();
    let endpoint = server.endpoint().clone();
    talk(&mut machine, &mut desk, &server, move |mut watcher| {
        watcher.negotiate();
        let mut c = Client::connect(&endpoint);
        c.negotiate();
        c.send(&format!(
            "{}\n",
            json!({"execute": "snapshot-save", "arguments": arguments("a", "one", &root)})
        ));
        // Half of another request.
        c.send(r#"{"execute": "snapshot-save", "arguments": {"job-id": "b", "tag": "two", "vmst"#);
        c.line();
        c.stream().shutdown(Shutdown::Both).expect("it is open");
        assert_eq!(
            statuses(&mut watcher, "a", true),
            ["created", "running", "waiting", "pending", "concluded"]
        );
        let again = json!({"execute": "snapshot-save", "arguments": arguments("a", "three", &root)});
        assert!(watcher.refused(&again.to_string()).contains("already in use"));
        let jobs = watcher.run("query-jobs", json!({}));
        assert_eq!(jobs.as_array().map(Vec::len), Some(1), "{jobs}");
        watcher.run("job-dismiss", json!({"id": "a"}));
        assert!(root.join("one").is_dir() && !root.join("two").exists());
    });
    Snapshot::load(&directory.path().join("one")).expect("a saved machine").spawn().expect("a machine");
}

/// With so many jobs as there can be, one more is refused and the others come to their ends.
#[test]
fn there_are_only_so_many_jobs() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut machine, mut desk, server) = served(true);
    let root = directory.path().to_path_buf();
    talk(&mut machine, &mut desk, &server, move |mut c| {
        c.negotiate();
        let load = |n: u32| {
            let arguments = arguments(&format!("job{n}"), "nothing", &root);
            json!({"execute": "snapshot-load", "arguments": arguments}).to_string()
        };
        (0..16).for_each(|n| _ = c.ask(&load(n)));
        assert!(c.refused(&load(16)).contains("dismiss one"));
        for n in 0..16 {
            wait(|| !c.run("query-jobs", json!({})).to_string().contains("running"));
            c.run("job-dismiss", json!({"id": format!("job{n}")}));
        }
        c.ask(&load(16));
    });
}
