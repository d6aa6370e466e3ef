//! Remote control: debuggers and management tools, and how the thread that runs a machine serves them.
//!
//! Peers are served by threads of their own, which know the protocol. What they want of the machine they ask for at its
//! [`Desk`]; the thread that runs the machine does it between two slices of running, so nothing is ever shared.
//! A peer that leaves, stalls or sends nonsense ends its session and nothing else.
//!
//! ```no_run
//! use idem86_machine::{machine::Machine, remote::{Desk, Turn, gdb::GdbServer, qmp::QmpServer}};
//! use idem86_devices::time::GuestDuration;
//! let mut machine = Machine::builder().floppy("dos.img").build()?;
//! let mut desk = Desk::new(false);
//! let gdb = GdbServer::start(&"tcp:127.0.0.1:1234".parse()?, desk.link())?;
//! let control = QmpServer::start(&"unix:/tmp/idem86.sock".parse()?, desk.link())?;
//! while let Turn::Ran | Turn::Stood = desk.turn(&mut machine, GuestDuration::from_millis(5)) {}
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod desk;
mod drives;
mod endpoint;
pub mod gdb;
mod memory;
mod monitor;
pub mod qmp;
mod server;
mod snapshots;

pub use desk::{Cause, Desk, End, Gone, Link, Notice, Running, Stand, Turn};
pub use endpoint::{Endpoint, EndpointError};
