//! Snapshots in memory by name: what `savevm` and `loadvm` work with; and coming back to a snapshot.

use super::desk::Stand;
use super::monitor::Problem;
use crate::snapshot::Snapshot;
use std::collections::BTreeMap;

/// Snapshots that are kept at most; each may hold as much as the machine's memory.
const SNAPSHOTS_MAX: usize = 64;

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Snapshots(BTreeMap<String, Snapshot>);

impl Snapshots {
    /// Their names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Keeps the machine's present state as `name`, in place of what was kept so before.
pub(super) fn save(stand: &mut Stand<'_>, name: &str) -> Result<(), Problem> {
    if name.is_empty() {
        return Err(Problem("a snapshot wants a name".into()));
    }
    let kept = &mut stand.snapshots.0;
    if kept.len() >= SNAPSHOTS_MAX && !kept.contains_key(name) {
        return Err(Problem(format!("there are {SNAPSHOTS_MAX} snapshots already; delete one")));
    }
    let snapshot = stand.machine.snapshot().map_err(|e| Problem(e.to_string()))?;
    kept.insert(name.into(), snapshot);
    Ok(())
}

/// Puts the machine back into the state `name`.
pub(super) fn load(stand: &mut Stand<'_>, name: &str) -> Result<(), Problem> {
    let snapshot = stand.snapshots.0.remove(name).ok_or_else(|| unknown(name))?;
    let restored = restore(stand, &snapshot);
    stand.snapshots.0.insert(name.into(), snapshot);
    restored
}

/// Puts the machine back into the state of `snapshot`.
pub(super) fn restore(stand: &mut Stand<'_>, snapshot: &Snapshot) -> Result<(), Problem> {
    stand.machine.restore(snapshot).map_err(|e| Problem(e.to_string()))?;
    stand.running.forget_resets(stand.machine);
    Ok(())
}

/// Forgets the state `name`.
pub(super) fn delete(stand: &mut Stand<'_>, name: &str) -> Result<(), Problem> {
    stand.snapshots.0.remove(name).map(|_| ()).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Problem {
    Problem(format!("no snapshot is called {name:?}"))
}
