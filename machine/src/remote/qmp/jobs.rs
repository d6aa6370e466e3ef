//! Jobs: work that goes on while further commands are answered.
//!
//! QEMU QMP Reference Manual, "Background jobs". A job has a thread of its own. Its end is found by `query-jobs`, until
//! it is dismissed. There are no transactions and nothing is left to be finalised by hand, so a job that has done its
//! work passes through `waiting` and `pending` at once.

use super::Refusal;
use super::events::{JobStatus, JobStatusChange};
use super::types::{enumeration, object};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Jobs that are known at most; each that is under way has a thread.
const JOBS_MAX: usize = 16;
/// Changes that a listener may leave unread before it is taken for dead.
const CHANGES_WAITING: usize = 1024;
/// Bytes of an identifier.
const ID_MAX: usize = 127;

enumeration! {
    /// What a job does.
    JobType {
        Load "snapshot-load",
        Save "snapshot-save",
        Delete "snapshot-delete",
    }
}

object! {
    /// What is known of a job.
    JobInfo {
        "id" id: String,
        "type" kind: JobType,
        "status" status: JobStatus,
        "current-progress" done: u64,
        "total-progress" total: u64,
        /// Why it failed.
        "error" error: Option<String>,
    }
}

#[derive(Debug, Default)]
struct State {
    jobs: Vec<JobInfo>,
    listeners: Vec<Sender<JobStatusChange>>,
}

impl State {
    fn job(&mut self, id: &str) -> Option<&mut JobInfo> {
        self.jobs.iter_mut().find(|job| job.id == id)
    }

    /// Notes the job's new status, and tells everybody.
    fn change(&mut self, id: &str, status: JobStatus) {
        if let Some(job) = self.job(id) {
            job.status = status;
        }
        let change = JobStatusChange { id: id.into(), status };
        self.listeners.retain(|listener| listener.try_send(change.clone()).is_ok());
    }
}

/// The jobs of a machine, for all peers.
#[derive(Clone, Debug, Default)]
pub(super) struct Jobs(Arc<Mutex<State>>);

/// A job, as its own thread sees it.
pub(super) struct Job {
    jobs: Jobs,
    id: String,
}

impl Job {
    /// So much is done, of so much.
    pub(super) fn progress(&self, done: u64, total: u64) {
        if let Some(job) = self.jobs.state().job(&self.id) {
            (job.done, job.total) = (done, total);
        }
    }

    fn end(&self, result: Result<(), String>) {
        let mut state = self.jobs.state();
        match result {
            Ok(()) => {
                if let Some(job) = state.job(&self.id) {
                    job.done = job.total;
                }
                state.change(&self.id, JobStatus::Waiting);
                state.change(&self.id, JobStatus::Pending);
            }
            Err(error) => {
                if let Some(job) = state.job(&self.id) {
                    job.error = Some(error);
                }
                state.change(&self.id, JobStatus::Aborting);
            }
        }
        state.change(&self.id, JobStatus::Concluded);
    }
}

impl Jobs {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole at any moment, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes of status from now on. Who does not look for long is forgotten.
    pub(super) fn listen(&self) -> Receiver<JobStatusChange> {
        let (sender, receiver) = bounded(CHANGES_WAITING);
        self.state().listeners.push(sender);
        receiver
    }

    /// Begins a job that does `work`.
    pub(super) fn begin<E: ToString>(
        &self,
        id: String,
        kind: JobType,
        work: impl FnOnce(&Job) -> Result<(), E> + Send + 'static,
    ) -> Result<(), Refusal> {
        let is_sound = id.starts_with(|c: char| c.is_ascii_alphabetic())
            && id.bytes().all(|c| c.is_ascii_alphanumeric() || b"-._".contains(&c))
            && id.len() <= ID_MAX;
        if !is_sound {
            return Err(Refusal::new(format!(
                "Invalid job ID '{id}': a letter, then letters, digits, - . or _"
            )));
        }
        let mut state = self.state();
        if state.job(&id).is_some() {
            return Err(Refusal::new(format!("Job ID '{id}' already in use")));
        }
        if state.jobs.len() >= JOBS_MAX {
            return Err(Refusal::new(format!("there are {JOBS_MAX} jobs already; dismiss one")));
        }
        let status = JobStatus::Created;
        state.jobs.push(JobInfo { id: id.clone(), kind, status, done: 0, total: 1, error: None });
        state.change(&id, JobStatus::Created);
        state.change(&id, JobStatus::Running);
        drop(state);
        let [job, here] = [id.clone(), id].map(|id| Job { jobs: self.clone(), id });
        let spawned = thread::Builder::new().name("job".into()).spawn(move || {
            let result = work(&job).map_err(|e| e.to_string());
            job.end(result);
        });
        if let Err(error) = spawned {
            here.end(Err(error.to_string()));
        }
        Ok(())
    }

    /// What is known of all jobs that were not dismissed.
    pub(super) fn list(&self) -> Vec<JobInfo> {
        self.state().jobs.clone()
    }

    /// Forgets a job that has come to its end.
    pub(super) fn dismiss(&self, id: &str) -> Result<(), Refusal> {
        let mut state = self.state();
        let Some(n) = state.jobs.iter().position(|job| job.id == id) else {
            return Err(Refusal::new(format!("Job '{id}' not found")));
        };
        if state.jobs[n].status != JobStatus::Concluded {
            return Err(Refusal::new(format!("Job '{id}' has not come to its end and cannot be dismissed")));
        }
        state.change(id, JobStatus::Null);
        state.jobs.remove(n);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn status(changes: &Receiver<JobStatusChange>) -> JobStatus {
        changes.recv_timeout(Duration::from_secs(600)).expect("a change").status
    }

    #[test]
    fn a_job_from_its_creation_to_its_dismissal() {
        let jobs = Jobs::default();
        let changes = jobs.listen();
        let (go, wait) = bounded::<()>(0);
        let work = move |job: &Job| {
            job.progress(3, 9);
            let _ = wait.recv();
            Ok::<(), String>(())
        };
        jobs.begin("one".into(), JobType::Save, work).expect("a job");
        assert_eq!([status(&changes), status(&changes)], [JobStatus::Created, JobStatus::Running]);
        let again = jobs.begin("one".into(), JobType::Save, |_| Ok::<(), String>(()));
        assert!(again.unwrap_err().description.contains("already in use"));
        assert!(jobs.dismiss("one").unwrap_err().description.contains("end"));
        go.send(()).expect("it waits");
        let rest = [status(&changes), status(&changes), status(&changes)];
        assert_eq!(rest, [JobStatus::Waiting, JobStatus::Pending, JobStatus::Concluded]);
        let [info] = &jobs.list()[..] else { panic!("one job") };
        assert_eq!((info.done, info.total, &info.error), (9, 9, &None));
        jobs.dismiss("one").expect("it is done");
        assert_eq!(status(&changes), JobStatus::Null);
        assert!(jobs.list().is_empty() && jobs.dismiss("one").is_err());
    }

    #[test]
    fn failures_are_kept_until_they_are_dismissed() {
        let jobs = Jobs::default();
        let changes = jobs.listen();
        jobs.begin("a.b-c_1".into(), JobType::Load, |_| Err("no such thing")).expect("a job");
        while status(&changes) != JobStatus::Concluded {}
        assert_eq!(jobs.list()[0].error.as_deref(), Some("no such thing"));
        for id in ["", "1", "a b", "é", &"x".repeat(128)] {
            let refused = jobs.begin(id.into(), JobType::Load, |_| Ok::<(), String>(()));
            assert!(refused.unwrap_err().description.contains("Invalid job ID"), "{id:?}");
        }
        for n in 1..JOBS_MAX {
            jobs.begin(format!("job{n}"), JobType::Delete, |_| Ok::<(), String>(())).expect("room");
        }
        let one_more = jobs.begin("more".into(), JobType::Delete, |_| Ok::<(), String>(()));
        assert!(one_more.unwrap_err().description.contains("dismiss one"));
    }
}
