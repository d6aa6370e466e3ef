//! The system side of the processor against the manual: one test for every documented cause of a fault.

mod control;
mod delivery;
mod far;
mod flags;
mod iret;
mod kit;
mod segments;
mod tables;
mod tasks;
