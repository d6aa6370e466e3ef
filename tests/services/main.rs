//! Services of the BIOS as programs meet them: what they leave in registers and memory is compared with the
//! specifications. SeaBIOS, where it is there, must answer the same.

mod disks;
mod harness;
mod memory;
mod others;
