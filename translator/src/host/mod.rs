//! Everything that is unsafe or differs between operating systems.

#[cfg(target_arch = "x86_64")]
pub mod arena;
#[cfg(target_arch = "x86_64")]
pub mod context;
pub mod native;
#[cfg(target_arch = "x86_64")]
pub mod ram;
#[cfg(not(target_arch = "x86_64"))]
#[path = "plain_ram.rs"]
pub mod ram;
#[cfg(target_arch = "x86_64")]
pub mod sparse;
#[cfg(target_arch = "x86_64")]
pub mod units;

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "other.rs")]
#[cfg(target_arch = "x86_64")]
mod os;
#[cfg(target_arch = "x86_64")]
use os::{FaultGuard, guarded, shared_memory};
#[cfg(target_arch = "x86_64")]
pub use os::{Window, take_faults};
