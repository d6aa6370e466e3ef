//! The commands, by name.
//!
//! QEMU, "QEMU QMP Reference Manual".

use super::{Refusal, Session, input, version};
use crate::remote::desk::{Link, Stand};
use crate::remote::memory::{self, Space};
use crate::remote::monitor::{self, Problem};
use crate::remote::{drives, snapshots};
use crate::snapshot::VmDirectory;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::PathBuf;

type Done = Result<Value, Refusal>;

/// A command and what does it.
type Command = (&'static str, fn(&mut Session, Value) -> Done);

/// Commands that this machine has beyond the protocol begin with `x-idem86-`.
const COMMANDS: &[Command] = &[
    ("query-commands", query_commands),
    ("query-version", |_, a| nothing(a).map(|()| version())),
    ("query-name", |_, a| nothing(a).map(|()| json!({}))),
    ("query-status", query_status),
    ("query-kvm", |_, a| nothing(a).map(|()| json!({"enabled": false, "present": false}))),
    ("query-block", query_block),
    ("query-memory-size-summary", query_memory),
    ("query-cpus-fast", |_, a| {
        nothing(a)
            .map(|()| json!([{"cpu-index": 0, "qom-path": "/machine/cpu", "thread-id": 0, "target": "i386"}]))
    }),
    ("stop", |s, a| simple(s, a, |stand| stand.running.stop())),
    ("cont", |s, a| simple(s, a, |stand| stand.running.resume())),
    ("system_reset", |s, a| simple(s, a, |stand| stand.reset())),
    ("system_powerdown", |s, a| simple(s, a, |stand| stand.press_power_button())),
    ("system_wakeup", |_, a| {
        nothing(a)?;
        Err(Refusal::new("Unable to wake up: guest is not in suspended state"))
    }),
    ("quit", |s, a| simple(s, a, |stand| stand.running.quit())),
    ("send-key", input::send_key),
    ("input-send-event", input::send_event),
    ("screendump", screen_dump),
    ("human-monitor-command", human_monitor_command),
    ("memsave", |s, a| save_memory(s, a, Space::Linear)),
    ("pmemsave", |s, a| save_memory(s, a, Space::Physical)),
    ("eject", eject),
    ("blockdev-change-medium", change_medium),
    ("x-idem86-snapshot-save", |s, a| snapshot(s, a, snapshots::save)),
    ("x-idem86-snapshot-load", |s, a| snapshot(s, a, snapshots::load)),
    ("x-idem86-snapshot-delete", |s, a| snapshot(s, a, snapshots::delete)),
    ("x-idem86-query-snapshots", query_snapshots),
    ("x-idem86-save", save),
];

/// Does the command `name`.
pub(super) fn execute(session: &mut Session, name: &str, arguments: Value) -> Done {
    match COMMANDS.iter().find(|command| command.0 == name) {
        Some((_, run)) => run(session, arguments),
        None => Err(Refusal::unknown_command(format!("The command {name} has not been found"))),
    }
}

/// The arguments as a command wants them.
pub(super) fn arguments<T: DeserializeOwned>(value: Value) -> Result<T, Refusal> {
    serde_json::from_value(value).map_err(Refusal::new)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn nothing(value: Value) -> Result<(), Refusal> {
    arguments(value).map(|Nothing {}| ())
}

/// A command without arguments and result.
fn simple(session: &Session, value: Value, act: fn(&mut Stand<'_>)) -> Done {
    nothing(value)?;
    session.link.ask(act)?;
    Ok(json!({}))
}

/// Has the machine's thread do something that may fail.
pub(super) fn attempt<T: Send + 'static>(
    link: &Link,
    act: impl FnOnce(&mut Stand<'_>) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Refusal> {
    Ok(link.ask(act)??)
}

/// What `qmp_capabilities` may enable: nothing.
pub(super) fn negotiate(value: Value) -> Result<(), Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Capabilities {
        #[serde(default)]
        enable: Vec<String>,
    }
    let Capabilities { enable } = arguments(value)?;
    match enable.first() {
        Some(name) => Err(Refusal::new(format!("Capability '{name}' is not available"))),
        None => Ok(()),
    }
}

fn query_commands(_: &mut Session, value: Value) -> Done {
    nothing(value)?;
    let names = COMMANDS.iter().map(|command| command.0).chain(["qmp_capabilities"]);
    Ok(names.map(|name| json!({"name": name})).collect())
}

fn query_status(session: &mut Session, value: Value) -> Done {
    nothing(value)?;
    let running = session.link.ask(|stand| stand.running.is_running())?;
    Ok(json!({"running": running, "status": if running { "running" } else { "paused" }}))
}

fn query_memory(session: &mut Session, value: Value) -> Done {
    nothing(value)?;
    let bytes = session.link.ask(|stand| stand.machine.board.memory.ram())?;
    Ok(json!({"base-memory": bytes}))
}

fn query_block(session: &mut Session, value: Value) -> Done {
    nothing(value)?;
    let drives = session.link.ask(|stand| drives::list(stand.machine))?;
    let drives = drives.into_iter().map(|drive| {
        let mut block = json!({
            "device": drive.name,
            "type": "unknown",
            "removable": drive.is_removable(),
            "locked": drive.locked,
        });
        if let Some(open) = drive.tray_open {
            block["tray_open"] = open.into();
        }
        if let Some((size, read_only)) = drive.medium {
            block["inserted"] = json!({
                "ro": read_only,
                "drv": "raw",
                "encrypted": false,
                "image": {"format": "raw", "virtual-size": size},
            });
        }
        block
    });
    Ok(drives.collect())
}

fn screen_dump(session: &mut Session, value: Value) -> Done {
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Format {
        Ppm,
        Png,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Arguments {
        filename: PathBuf,
        format: Option<Format>,
        #[serde(rename = "device")]
        _device: Option<String>,
        #[serde(rename = "head")]
        _head: Option<u64>,
    }
    let Arguments { filename, format, .. } = arguments(value)?;
    // The protocol's default is PPM; who names a PNG file means one.
    let is_png = match format {
        Some(format) => matches!(format, Format::Png),
        None => filename.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")),
    };
    let picture = session.link.ask(|stand| stand.machine.screenshot())?;
    monitor::write_whole(&filename, |out| match is_png {
        true => picture.write_png(out).map_err(|e| e.to_string()),
        false => {
            let header = format!("P6\n{} {}\n255\n", picture.width(), picture.height());
            out.write_all(header.as_bytes())
                .and_then(|()| out.write_all(picture.rgb()))
                .map_err(|e| e.to_string())
        }
    })?;
    Ok(json!({}))
}

fn human_monitor_command(session: &mut Session, value: Value) -> Done {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Arguments {
        command_line: String,
        #[serde(rename = "cpu-index")]
        _cpu_index: Option<u64>,
    }
    let Arguments { command_line, .. } = arguments(value)?;
    let printed = session.link.ask(move |stand| monitor::execute(stand, &command_line))?;
    // The protocol has what people are told in the answer, errors too.
    let text = printed.unwrap_or_else(|problem| format!("{problem}\n"));
    Ok(text.replace('\n', "\r\n").into())
}

/// Bytes that are saved at once while the guest stands still.
const PIECE: usize = 1 << 20;

fn save_memory(session: &mut Session, value: Value, space: Space) -> Done {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Arguments {
        val: u64,
        size: u64,
        filename: PathBuf,
        #[serde(rename = "cpu-index")]
        _cpu_index: Option<u64>,
    }
    let Arguments { val, size, filename, .. } = arguments(value)?;
    let space_end = if space == Space::Linear { 1 << 32 } else { 1 << 36 };
    let end = val.checked_add(size).filter(|end| *end <= space_end);
    end.ok_or_else(|| Refusal::new("size: there is no such memory"))?;
    let link = session.link.clone();
    monitor::write_whole(&filename, move |out| {
        let mut at = val;
        while at < val + size {
            let len = (val + size - at).min(PIECE as u64) as usize;
            let bytes = link.ask(move |stand| {
                let mut bytes = vec![0; len];
                let read = memory::read(stand.machine, space, at, &mut bytes);
                if read < len { Err(at + read as u64) } else { Ok(bytes) }
            });
            let bytes = bytes.map_err(|gone| gone.to_string())?;
            let bytes = bytes.map_err(|at| format!("cannot read memory at {at:#x}"))?;
            out.write_all(&bytes).map_err(|e| e.to_string())?;
            at += len as u64;
        }
        Ok(())
    })?;
    Ok(json!({}))
}

/// A drive by either of the protocol's names.
fn drive_name(device: Option<String>, id: Option<String>) -> Result<String, Refusal> {
    device.or(id).ok_or_else(|| Refusal::new("Parameter 'device' is missing"))
}

fn eject(session: &mut Session, value: Value) -> Done {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Arguments {
        device: Option<String>,
        id: Option<String>,
        #[serde(default)]
        force: bool,
    }
    let Arguments { device, id, force } = arguments(value)?;
    let name = drive_name(device, id)?;
    attempt(&session.link, move |stand| drives::eject(stand.machine, &name, force))?;
    Ok(json!({}))
}

fn change_medium(session: &mut Session, value: Value) -> Done {
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum ReadOnlyMode {
        Retain,
        ReadOnly,
        ReadWrite,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Arguments {
        device: Option<String>,
        id: Option<String>,
        filename: PathBuf,
        format: Option<String>,
        #[serde(default)]
        force: bool,
        read_only_mode: Option<ReadOnlyMode>,
    }
    let Arguments { device, id, filename, format, force, read_only_mode } = arguments(value)?;
    if let Some(format) = format.filter(|format| format != "raw") {
        return Err(Refusal::new(format!("images are raw, not {format:?}")));
    }
    let name = drive_name(device, id)?;
    let read_only = matches!(read_only_mode, Some(ReadOnlyMode::ReadOnly));
    attempt(&session.link, move |stand| drives::change(stand.machine, &name, &filename, read_only, force))?;
    Ok(json!({}))
}

fn snapshot(
    session: &mut Session,
    value: Value,
    act: fn(&mut Stand<'_>, &str) -> Result<(), Problem>,
) -> Done {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Arguments {
        tag: String,
    }
    let Arguments { tag } = arguments(value)?;
    attempt(&session.link, move |stand| act(stand, &tag))?;
    Ok(json!({}))
}

/// Saves the machine to a directory, from which it can be resumed. It stands still only while its state is taken.
fn save(session: &mut Session, value: Value) -> Done {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Arguments {
        directory: PathBuf,
    }
    let Arguments { directory } = arguments(value)?;
    let mut directory = VmDirectory::create(directory).map_err(Refusal::new)?;
    let taken = session.link.ask(|stand| stand.machine.snapshot())?;
    let mut snapshot = taken.map_err(Refusal::new)?;
    directory.save(&mut snapshot, &mut |_, _| {}).map_err(Refusal::new)?;
    Ok(json!({}))
}

fn query_snapshots(session: &mut Session, value: Value) -> Done {
    nothing(value)?;
    let names = session.link.ask(|stand| stand.snapshots.names().map(String::from).collect::<Vec<_>>())?;
    Ok(names.into_iter().map(|name| json!({"tag": name})).collect())
}
