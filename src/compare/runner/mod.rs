//! What runs a nanobenchmark: our engines, the host itself, QEMU.

pub mod engine;
pub mod native;
pub mod qemu;

use super::nano::Nano;
use std::time::Duration;

/// Why there is no figure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// It means nothing there: not an error.
    #[error("{0}")]
    Meaningless(String),
    /// It cannot run on this host.
    #[error("{0}")]
    Unsupported(String),
    /// It does not come to its end.
    #[error("no end after {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// It ended otherwise than it should, or did other work than the reference.
    #[error("{0}")]
    Wrong(String),
}

/// Runs nanobenchmarks.
pub trait Runner {
    /// Its name in tables.
    fn name(&self) -> &str;

    /// Makes `nano` the one to run; whatever ran before is gone.
    ///
    /// # Errors
    /// [`Lack`] if it cannot be run here.
    fn load(&mut self, nano: &'static Nano) -> Result<(), Lack>;

    /// Runs the loop for `rounds` rounds, at least 1, and gives the host's processor time for them.
    ///
    /// # Errors
    /// [`Lack`] if it failed, after which the nanobenchmark must be loaded anew.
    fn run(&mut self, rounds: u32) -> Result<Duration, Lack>;
}
