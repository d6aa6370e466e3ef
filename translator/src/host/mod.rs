//! Everything that is unsafe or differs between operating systems.

#[cfg(target_arch = "x86_64")]
pub mod arena;
pub mod clock;
#[cfg(target_arch = "x86_64")]
pub mod context;
#[cfg(target_arch = "x86_64")]
pub mod crossing;
#[cfg(target_arch = "x86_64")]
pub mod descriptors;
#[cfg(target_arch = "x86_64")]
pub mod extended;
#[cfg(target_arch = "x86_64")]
pub mod features;
pub mod native;
#[cfg(target_arch = "x86_64")]
pub mod ram;
#[cfg(not(target_arch = "x86_64"))]
#[path = "plain_ram.rs"]
pub mod ram;
#[cfg(target_arch = "x86_64")]
pub mod sparse;

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(windows, path = "windows.rs")]
#[cfg_attr(not(any(target_os = "linux", windows)), path = "other.rs")]
#[cfg(target_arch = "x86_64")]
mod os;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod signals;
#[cfg(all(target_arch = "x86_64", not(target_os = "linux")))]
mod tables_only;
#[cfg(all(target_arch = "x86_64", not(windows)))]
mod zeros;
#[cfg(target_arch = "x86_64")]
use os::{DualMapping, FaultGuard, Zeros, data_ranges, guarded, map_privately};
#[cfg(target_arch = "x86_64")]
pub use os::{Window, ready_thread, shared_memory, take_faults};
