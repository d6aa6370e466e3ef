//! The system side of the processor against the manual: one test for every documented cause of a fault.

mod control;
mod debug;
mod delivery;
mod far;
mod flags;
mod hostile;
mod io;
mod iret;
mod kit;
mod msr;
mod paging;
mod qemu;
mod save;
mod segments;
mod tables;
mod tasks;
