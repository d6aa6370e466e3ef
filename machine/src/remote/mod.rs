//! Remote control: debuggers and management tools, and how the thread that runs a machine serves them.
//!
//! Peers are served by threads of their own, which know the protocol. What they want of the machine they ask for at its
//! [`Desk`]; the thread that runs the machine does it between two slices of running, so nothing is ever shared.
//! A peer that leaves, stalls or sends nonsense ends its session and nothing else.

mod desk;
mod drives;
mod endpoint;
pub mod gdb;
mod memory;
mod monitor;
pub mod qmp;
mod registers;
mod server;
mod snapshots;

pub use desk::{Cause, Desk, End, Gone, Link, Notice, Running, Stand, Turn};
pub use endpoint::{Endpoint, EndpointError};
