//! The commands: one table, which says what does each, what it takes and what it gives.
//!
//! QEMU, "QEMU QMP Reference Manual".

use super::introspection::{Schema, query_schema};
use super::types::{Nothing, Type, enumeration, object};
use super::{Refusal, Session, files, input, media, run, snapshots};
use crate::remote::desk::{Link, Stand};
use crate::remote::monitor::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What does a command.
type Run<A, R> = fn(&mut Session, A) -> Result<R, Refusal>;

struct Command {
    name: &'static str,
    run: fn(&mut Session, Value) -> Result<Value, Refusal>,
    /// Describes what it takes and what it gives.
    describe: fn(&mut Schema) -> (String, String),
}

macro_rules! commands {
    ($($name:literal $run:expr,)*) => {
        const COMMANDS: &[Command] = &[$(Command {
            name: $name,
            run: |session, value| call($run, session, value),
            describe: |schema| types($run, schema),
        }),*];
    };
}

fn call<A: DeserializeOwned, R: Serialize>(
    run: Run<A, R>,
    session: &mut Session,
    value: Value,
) -> Result<Value, Refusal> {
    let given = run(session, arguments(value)?)?;
    serde_json::to_value(given).map_err(Refusal::new)
}

fn types<A: Type, R: Type>(_: Run<A, R>, schema: &mut Schema) -> (String, String) {
    (A::describe(schema), R::describe(schema))
}

// Commands that this machine has beyond the protocol begin with `x-idem86-`.
commands! {
    "qmp_capabilities" negotiate,
    "query-commands" query_commands,
    "query-qmp-schema" query_schema,
    "query-version" run::query_version,
    "query-name" run::query_name,
    "query-status" run::query_status,
    "query-kvm" run::query_kvm,
    "query-memory-size-summary" run::query_memory,
    "query-cpus-fast" run::query_cpus,
    "stop" run::stop,
    "cont" run::resume,
    "system_reset" run::reset,
    "system_powerdown" run::power_down,
    "system_wakeup" run::wake_up,
    "quit" run::quit,
    "send-key" input::send_key,
    "input-send-event" input::send_event,
    "screendump" files::dump_screen,
    "human-monitor-command" files::human_monitor_command,
    "memsave" files::save_linear,
    "pmemsave" files::save_physical,
    "query-block" media::query_block,
    "eject" media::eject,
    "blockdev-change-medium" media::change_medium,
    "snapshot-save" snapshots::save,
    "snapshot-load" snapshots::load,
    "snapshot-delete" snapshots::delete,
    "query-jobs" snapshots::query_jobs,
    "job-dismiss" snapshots::dismiss_job,
    "x-idem86-snapshot-save" snapshots::keep,
    "x-idem86-snapshot-load" snapshots::come_back,
    "x-idem86-snapshot-delete" snapshots::forget,
    "x-idem86-query-snapshots" snapshots::query_kept,
    "x-idem86-save" snapshots::save_machine,
}

/// Does the command `name`.
pub(super) fn execute(session: &mut Session, name: &str, arguments: Value) -> Result<Value, Refusal> {
    match COMMANDS.iter().find(|command| command.name == name) {
        Some(command) => (command.run)(session, arguments),
        None => Err(Refusal::unknown_command(format!("The command {name} has not been found"))),
    }
}

/// Puts all commands into `schema`.
pub(super) fn describe(schema: &mut Schema) {
    for command in COMMANDS {
        let (takes, gives) = (command.describe)(schema);
        schema.command(command.name, takes, gives);
    }
}

/// The arguments as a command wants them.
fn arguments<T: DeserializeOwned>(value: Value) -> Result<T, Refusal> {
    let null = value.as_object().and_then(|members| members.iter().find(|(_, value)| value.is_null()));
    match null {
        // What may be absent is not there at all.
        Some((name, _)) => Err(Refusal::new(format!("Invalid parameter type for '{name}': null"))),
        None => serde_json::from_value(value).map_err(Refusal::new),
    }
}

/// Has the machine's thread do something that may fail.
pub(super) fn attempt<T: Send + 'static>(
    link: &Link,
    act: impl FnOnce(&mut Stand<'_>) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Refusal> {
    Ok(link.ask(act)??)
}

enumeration! {
    /// What a protocol may be able to do besides. We offer none of it.
    Capability {
        OutOfBand "oob",
    }
}

object! {
    Capabilities {
        "enable" enable: Option<Vec<Capability>>,
    }
}

/// `qmp_capabilities`, which may enable nothing; afterwards the session is open for other commands.
fn negotiate(session: &mut Session, Capabilities { enable }: Capabilities) -> Result<Nothing, Refusal> {
    if session.negotiated {
        let what = "Capabilities negotiation is already complete, command ignored";
        return Err(Refusal::unknown_command(what.into()));
    }
    match enable.unwrap_or_default().first() {
        Some(Capability::OutOfBand) => Err(Refusal::new("Capability 'oob' is not available")),
        None => {
            session.negotiated = true;
            Ok(Nothing {})
        }
    }
}

object! {
    CommandInfo {
        "name" name: String,
    }
}

fn query_commands(_: &mut Session, _: Nothing) -> Result<Vec<CommandInfo>, Refusal> {
    Ok(COMMANDS.iter().map(|command| CommandInfo { name: command.name.into() }).collect())
}
