//! Real guests, from firmware to operating systems, on every engine.
//!
//! One file for each family of guests. Boots that take long are ignored unless asked for, as `tests/run full` does.

mod bios;
mod disk;
mod freedos;
mod linux;
mod lockstep;
mod memtest;
mod multiboot;
mod others;
mod replay;
mod snapshot;
mod support;
mod tables;
