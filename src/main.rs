//! The idem86 command.
#![forbid(unsafe_code)]
fn main() {}
