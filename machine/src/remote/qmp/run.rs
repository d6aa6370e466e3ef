//! What the machine is, whether it runs, and its buttons.

use super::types::{Nothing, enumeration, object};
use super::{Refusal, Session};
use crate::remote::desk::Stand;

object! {
    Version {
        "qemu" number: VersionTriple,
        "package" package: String,
    }
}

object! {
    /// The parts of a version; the protocol's name for it is not ours.
    VersionTriple {
        "major" major: u32,
        "minor" minor: u32,
        "micro" micro: u32,
    }
}

/// This program's version.
pub(super) fn version() -> Version {
    let number = |text: &str| text.parse().expect("Cargo wants numbers");
    Version {
        number: VersionTriple {
            major: number(env!("CARGO_PKG_VERSION_MAJOR")),
            minor: number(env!("CARGO_PKG_VERSION_MINOR")),
            micro: number(env!("CARGO_PKG_VERSION_PATCH")),
        },
        package: "idem86".into(),
    }
}

pub(super) fn query_version(_: &mut Session, _: Nothing) -> Result<Version, Refusal> {
    Ok(version())
}

object! {
    Name {
        "name" name: Option<String>,
    }
}

/// Machines have no names here.
pub(super) fn query_name(_: &mut Session, _: Nothing) -> Result<Name, Refusal> {
    Ok(Name { name: None })
}

enumeration! {
    RunState {
        Running "running",
        Paused "paused",
    }
}

object! {
    Status {
        "running" running: bool,
        "status" status: RunState,
    }
}

pub(super) fn query_status(session: &mut Session, _: Nothing) -> Result<Status, Refusal> {
    let running = session.link.ask(|stand| stand.running.is_running())?;
    Ok(Status { running, status: if running { RunState::Running } else { RunState::Paused } })
}

object! {
    Kvm {
        "enabled" enabled: bool,
        "present" present: bool,
    }
}

/// There is no hardware assist.
pub(super) fn query_kvm(_: &mut Session, _: Nothing) -> Result<Kvm, Refusal> {
    Ok(Kvm { enabled: false, present: false })
}

object! {
    MemorySize {
        "base-memory" bytes: u64,
    }
}

pub(super) fn query_memory(session: &mut Session, _: Nothing) -> Result<MemorySize, Refusal> {
    Ok(MemorySize { bytes: session.link.ask(|stand| stand.machine.board.memory.ram())? })
}

enumeration! {
    Target {
        I386 "i386",
    }
}

object! {
    CpuInfo {
        "cpu-index" index: u32,
        "qom-path" path: String,
        /// The host's number of the thread that runs the machine; 0 where it cannot be told.
        "thread-id" thread: u32,
        "target" target: Target,
    }
}

pub(super) fn query_cpus(session: &mut Session, _: Nothing) -> Result<Vec<CpuInfo>, Refusal> {
    let thread = session.link.ask(|_| {
        // Linux, proc(5): a link to PID/task/TID.
        let link = std::fs::read_link("/proc/thread-self").ok();
        link.and_then(|link| link.file_name()?.to_str()?.parse().ok()).unwrap_or(0)
    })?;
    Ok(vec![CpuInfo { index: 0, path: "/machine/cpu".into(), thread, target: Target::I386 }])
}

/// Has something done that cannot fail.
fn act(session: &Session, act: fn(&mut Stand<'_>)) -> Result<Nothing, Refusal> {
    session.link.ask(act)?;
    Ok(Nothing {})
}

pub(super) fn stop(session: &mut Session, _: Nothing) -> Result<Nothing, Refusal> {
    act(session, |stand| stand.running.stop())
}

pub(super) fn resume(session: &mut Session, _: Nothing) -> Result<Nothing, Refusal> {
    act(session, |stand| stand.running.resume())
}

pub(super) fn reset(session: &mut Session, _: Nothing) -> Result<Nothing, Refusal> {
    act(session, |stand| stand.reset())
}

pub(super) fn power_down(session: &mut Session, _: Nothing) -> Result<Nothing, Refusal> {
    act(session, |stand| stand.press_power_button())
}

/// No guest sleeps: the machine refuses it.
pub(super) fn wake_up(_: &mut Session, _: Nothing) -> Result<Nothing, Refusal> {
    Err(Refusal::new("Unable to wake up: guest is not in suspended state"))
}

pub(super) fn quit(session: &mut Session, _: Nothing) -> Result<Nothing, Refusal> {
    act(session, |stand| stand.running.quit())
}
