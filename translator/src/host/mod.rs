//! Everything that is unsafe or differs between operating systems.

#[cfg(target_arch = "x86_64")]
pub mod arena;
#[cfg(target_arch = "x86_64")]
pub mod context;
pub mod native;
#[cfg(target_arch = "x86_64")]
pub mod sparse;

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "other.rs")]
#[cfg(target_arch = "x86_64")]
mod os;
#[cfg(target_arch = "x86_64")]
use os::shared_memory;
