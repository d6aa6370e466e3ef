//! Pausing and ending a run from another thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A handle on a machine that runs in another thread; see [`crate::machine::Machine::control`].
///
/// The machine looks at it every few milliseconds of guest time, in [`crate::machine::Machine::run_until`].
#[derive(Clone, Debug, Default)]
pub struct Control(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Somebody wants something: spares the run loop the lock.
    wanted: AtomicBool,
    wish: Mutex<Wish>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct Wish {
    interrupt: bool,
    pause: bool,
    /// The machine waits for the end of the pause.
    waiting: bool,
}

impl Control {
    fn wish(&self) -> MutexGuard<'_, Wish> {
        // Flags are whole at any moment, whoever panicked.
        self.0.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Wish)) {
        let mut wish = self.wish();
        change(&mut wish);
        self.0.wanted.store(wish.interrupt || wish.pause, Ordering::Release);
        self.0.changed.notify_all();
    }

    /// Ends the run with [`crate::run::Ended::Interrupted`]; if none is under way, the next one at its beginning. Ends
    /// a pause too.
    pub fn interrupt(&self) {
        self.change(|wish| (wish.interrupt, wish.pause) = (true, false));
    }

    /// Lets the machine stand still inside its run, until [`Control::resume`]. Guest time stands still with it.
    pub fn pause(&self) {
        self.change(|wish| wish.pause = true);
    }

    /// Ends a pause.
    pub fn resume(&self) {
        self.change(|wish| wish.pause = false);
    }

    /// Whether the machine stands still because of [`Control::pause`]. Until then it may still run a little.
    pub fn is_paused(&self) -> bool {
        self.wish().waiting
    }

    /// Waits until the machine stands still; not for ever only if it runs or will.
    pub fn wait_until_paused(&self) {
        let mut wish = self.wish();
        while wish.pause && !wish.waiting {
            wish = self.0.changed.wait(wish).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether anybody wants anything.
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.wanted.load(Ordering::Acquire)
    }

    /// Does what is wanted: waits out a pause. Gives whether the run is to end.
    pub(crate) fn obey(&self) -> bool {
        let mut wish = self.wish();
        while wish.pause {
            wish.waiting = true;
            self.0.changed.notify_all();
            wish = self.0.changed.wait(wish).unwrap_or_else(PoisonError::into_inner);
        }
        wish.waiting = false;
        let interrupted = std::mem::take(&mut wish.interrupt);
        self.0.wanted.store(false, Ordering::Release);
        interrupted
    }
}
