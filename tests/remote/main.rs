//! Remote control: what debuggers and management tools see and do, with gdb and Python's
//! `qemu.qmp` where they are installed.

mod client;
mod gdb;
#[path = "../support/guests.rs"]
mod guest_files;
mod guests;
mod host;
mod jobs;
mod linux;
mod protocol;
mod qmp;
mod schema;
