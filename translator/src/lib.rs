//! Binary translation and the host: the only crate that touches raw memory.
#![deny(unsafe_code)]
// The assembler converts the numbers of registers, whatever type they have.
#![allow(clippy::useless_conversion)]

#[cfg(target_arch = "x86_64")]
mod cache;
#[cfg(target_arch = "x86_64")]
mod counters;
#[cfg(target_arch = "x86_64")]
mod crossings;
#[cfg(target_arch = "x86_64")]
mod discover;
#[cfg(target_arch = "x86_64")]
mod emit;
#[cfg(target_arch = "x86_64")]
mod extended;
#[allow(unsafe_code)]
pub mod host;
#[cfg(target_arch = "x86_64")]
mod key;
#[cfg(target_arch = "x86_64")]
mod listing;
#[cfg(target_arch = "x86_64")]
mod lower;
#[cfg(target_arch = "x86_64")]
mod noted;
mod options;
#[cfg(target_arch = "x86_64")]
mod session;
#[cfg(target_arch = "x86_64")]
mod shadow;
#[cfg(target_arch = "x86_64")]
mod space;
#[cfg(target_arch = "x86_64")]
mod translator;
#[cfg(not(target_arch = "x86_64"))]
#[path = "unsupported.rs"]
mod translator;
#[cfg(target_arch = "x86_64")]
mod views;
mod watched;
#[cfg(target_arch = "x86_64")]
mod window;

#[cfg(target_arch = "x86_64")]
pub use counters::Traps;
pub use host::ram::{Base, Ram};
pub use options::{Chaining, Options, Sensitive, Windows};
pub use translator::{Counters, Translator, Unsupported};
pub use watched::Watched;
