//! Everything that is unsafe or differs between operating systems.

pub mod native;
