//! Snapshots: as jobs, in directories that stay; and kept in memory, at once, until the run ends.
//!
//! QEMU QMP Reference Manual, "snapshot-save" and the commands behind it. There `vmstate` is a block node whose image
//! takes the machine's state, and `devices` are those whose images take the disks'. Here a snapshot is a directory with
//! everything in it: `vmstate` is the directory in which snapshots have directories of their own, called by their tags,
//! and `devices` are the drives as `query-block` has them. A snapshot is always of all drives, so who wants one names
//! all whose medium the guest can write.

use super::commands::attempt;
use super::jobs::{Job, JobInfo, JobType};
use super::types::{Nothing, object};
use super::{Refusal, Session};
use crate::remote::desk::Stand;
use crate::remote::monitor::Problem;
use crate::remote::{drives, snapshots};
use crate::snapshot::{Snapshot, StorageError, VmDirectory};
use std::fs;
use std::path::{Component, Path, PathBuf};

object! {
    /// What `snapshot-save` and `snapshot-load` take.
    SnapshotJob {
        /// What the job is called.
        "job-id" job: String,
        /// What the snapshot is called.
        "tag" tag: String,
        /// The directory with the snapshots.
        "vmstate" vmstate: PathBuf,
        /// The drives with media that the guest can write.
        "devices" devices: Vec<String>,
    }
}

object! {
    /// What `snapshot-delete` takes.
    SnapshotDelete {
        "job-id" job: String,
        "tag" tag: String,
        /// Not in the protocol's own; if it is absent, the one that the session's last snapshot is in.
        "vmstate" vmstate: Option<PathBuf>,
        "devices" devices: Vec<String>,
    }
}

/// The directory of a snapshot.
fn place(vmstate: &Path, tag: &str) -> Result<PathBuf, Refusal> {
    // A name for one directory, on every host.
    let mut parts = Path::new(tag).components();
    let is_name = matches!((parts.next(), parts.next()), (Some(Component::Normal(name)), None) if name == tag)
        && !tag.contains(['/', '\\', ':']);
    match is_name {
        true => Ok(vmstate.join(tag)),
        false => Err(Refusal::new(format!("'{tag}' is no name for a directory"))),
    }
}

/// Checks that `devices` are drives, and all of them that a snapshot concerns.
fn check(session: &Session, devices: Vec<String>, wants_all: bool) -> Result<(), Refusal> {
    attempt(&session.link, move |stand| {
        let drives = drives::list(stand.machine);
        if let Some(unknown) = devices.iter().find(|name| drives.iter().all(|drive| drive.name != **name)) {
            return Err(Problem(format!("no drive is called '{unknown}'")));
        }
        let mut concerned =
            drives.iter().filter(|drive| drive.medium.as_ref().is_some_and(|medium| !medium.read_only));
        match concerned.find(|drive| wants_all && !devices.contains(&drive.name)) {
            Some(left_out) => {
                Err(Problem(format!("a snapshot is of all drives: '{}' is left out", left_out.name)))
            }
            None => Ok(()),
        }
    })
}

/// `snapshot-save`: the machine runs on while its state is written.
pub(super) fn save(session: &mut Session, arguments: SnapshotJob) -> Result<Nothing, Refusal> {
    let SnapshotJob { job, tag, vmstate, devices } = arguments;
    let path = place(&vmstate, &tag)?;
    check(session, devices, true)?;
    let (link, directory) = (session.link.clone(), vmstate.clone());
    session.jobs.begin(job, JobType::Save, move |job| {
        fs::create_dir_all(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        // Whatever is there stays; what is made here can be taken away again.
        fs::create_dir(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let taken = link.ask(|stand| stand.machine.snapshot()).map_err(|e| e.to_string());
        let taken = taken.and_then(|taken| taken.map_err(|e| e.to_string()));
        let saved =
            taken.and_then(|mut snapshot| write(&path, &mut snapshot, job).map_err(|e| e.to_string()));
        if saved.is_err() {
            // The error counts, not that what is left cannot be removed.
            let _ = fs::remove_dir_all(&path);
        }
        saved
    })?;
    session.vmstate = Some(vmstate);
    Ok(Nothing {})
}

fn write(path: &Path, snapshot: &mut Snapshot, job: &Job) -> Result<(), StorageError> {
    VmDirectory::create(path)?.save(snapshot, &mut |done, total| job.progress(done, total))
}

/// `snapshot-load`: the machine stands still only while it changes over. It runs on if it ran.
pub(super) fn load(session: &mut Session, arguments: SnapshotJob) -> Result<Nothing, Refusal> {
    let SnapshotJob { job, tag, vmstate, devices } = arguments;
    let path = place(&vmstate, &tag)?;
    check(session, devices, true)?;
    let link = session.link.clone();
    session.jobs.begin(job, JobType::Load, move |_| {
        let snapshot = Snapshot::load(&path).map_err(|e| e.to_string())?;
        let restored = link.ask(move |stand| snapshots::restore(stand, &snapshot));
        restored.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
    })?;
    session.vmstate = Some(vmstate);
    Ok(Nothing {})
}

/// `snapshot-delete`.
pub(super) fn delete(session: &mut Session, arguments: SnapshotDelete) -> Result<Nothing, Refusal> {
    let SnapshotDelete { job, tag, vmstate, devices } = arguments;
    let vmstate = vmstate.or_else(|| session.vmstate.clone());
    let path = place(&vmstate.ok_or_else(|| Refusal::new("Parameter 'vmstate' is missing"))?, &tag)?;
    check(session, devices, false)?;
    session.jobs.begin(job, JobType::Delete, move |_| VmDirectory::open(path)?.delete())?;
    Ok(Nothing {})
}

pub(super) fn query_jobs(session: &mut Session, _: Nothing) -> Result<Vec<JobInfo>, Refusal> {
    Ok(session.jobs.list())
}

object! {
    DismissJob {
        "id" id: String,
    }
}

pub(super) fn dismiss_job(session: &mut Session, DismissJob { id }: DismissJob) -> Result<Nothing, Refusal> {
    session.jobs.dismiss(&id)?;
    Ok(Nothing {})
}

object! {
    /// A snapshot that is kept in memory.
    Kept {
        "tag" tag: String,
    }
}

fn with_kept(
    session: &Session,
    Kept { tag }: Kept,
    act: fn(&mut Stand<'_>, &str) -> Result<(), Problem>,
) -> Result<Nothing, Refusal> {
    attempt(&session.link, move |stand| act(stand, &tag))?;
    Ok(Nothing {})
}

/// `x-idem86-snapshot-save`.
pub(super) fn keep(session: &mut Session, kept: Kept) -> Result<Nothing, Refusal> {
    with_kept(session, kept, snapshots::save)
}

/// `x-idem86-snapshot-load`.
pub(super) fn come_back(session: &mut Session, kept: Kept) -> Result<Nothing, Refusal> {
    with_kept(session, kept, snapshots::load)
}

/// `x-idem86-snapshot-delete`.
pub(super) fn forget(session: &mut Session, kept: Kept) -> Result<Nothing, Refusal> {
    with_kept(session, kept, snapshots::delete)
}

/// `x-idem86-query-snapshots`.
pub(super) fn query_kept(session: &mut Session, _: Nothing) -> Result<Vec<Kept>, Refusal> {
    let tags = session.link.ask(|stand| stand.snapshots.names().map(String::from).collect::<Vec<_>>())?;
    Ok(tags.into_iter().map(|tag| Kept { tag }).collect())
}

object! {
    SaveMachine {
        "directory" directory: PathBuf,
    }
}

/// `x-idem86-save`: saves the machine to a directory, from which it can be resumed, in place of what was saved there.
/// It stands still only while its state is taken.
pub(super) fn save_machine(
    session: &mut Session,
    SaveMachine { directory }: SaveMachine,
) -> Result<Nothing, Refusal> {
    let mut directory = VmDirectory::create(directory).map_err(Refusal::new)?;
    let taken = session.link.ask(|stand| stand.machine.snapshot())?;
    let mut snapshot = taken.map_err(Refusal::new)?;
    directory.save(&mut snapshot, &mut |_, _| {}).map_err(Refusal::new)?;
    Ok(Nothing {})
}
