//! Binary translation and the host: the only crate that touches raw memory.
#![deny(unsafe_code)]

#[allow(unsafe_code)]
pub mod host;
