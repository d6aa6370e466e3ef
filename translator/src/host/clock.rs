//! The host's time-stamp counter: what figures in cycles are counted in.

use std::time::{Duration, Instant};

/// The counter now; `None` on processors without one.
pub fn time_stamp() -> Option<u64> {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every x86-64 processor has RDTSC, and operating systems let programs use it unless told otherwise.
        Some(unsafe { std::arch::x86_64::_rdtsc() })
    }
    #[cfg(not(target_arch = "x86_64"))]
    None
}

/// Ticks of the counter in a nanosecond, measured for 20 ms.
pub fn ticks_per_ns() -> Option<f64> {
    let (ticks, start) = (time_stamp()?, Instant::now());
    std::thread::sleep(Duration::from_millis(20));
    let (passed, elapsed) = (time_stamp()?.wrapping_sub(ticks), start.elapsed());
    Some(passed as f64 / elapsed.as_nanos() as f64)
}
