//! The tests; the kit and the engine are beside them.

mod control;
mod debug;
mod delivery;
mod far;
mod features;
mod flags;
mod hostile;
mod io;
mod iret;
mod msr;
mod paging;
mod qemu;
mod save;
mod segments;
mod stops;
mod tables;
mod tasks;
