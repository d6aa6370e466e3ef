//! The host's clocks for measuring: the time-stamp counter, and the time that a thread has had a processor.

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

/// Measures time that the calling thread has had a processor: a host that is busy with other things does not make
/// what is measured look slower. Where the system does not tell, all time counts.
///
/// To be read by the thread that started it.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    start: Instant,
    /// The thread's own time at the start.
    own: Option<Duration>,
}

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Stopwatch { start: Instant::now(), own: thread_time() }
    }

    /// What has passed since.
    pub fn elapsed(&self) -> Duration {
        match (self.own, thread_time()) {
            (Some(start), Some(now)) => now.saturating_sub(start),
            _ => self.start.elapsed(),
        }
    }
}

/// The time that the calling thread has had a processor, in the system too.
#[cfg(target_os = "linux")]
fn thread_time() -> Option<Duration> {
    let mut time = std::mem::MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the call stores one `timespec` if it succeeds, and only then is it read.
    let time = unsafe {
        if libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, time.as_mut_ptr()) != 0 {
            return None;
        }
        time.assume_init()
    };
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}

#[cfg(not(target_os = "linux"))]
fn thread_time() -> Option<Duration> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_stopwatch_stands_still_while_the_thread_sleeps() {
        const ASLEEP: Duration = Duration::from_millis(50);
        let (start, stopwatch) = (Instant::now(), Stopwatch::start());
        std::thread::sleep(ASLEEP);
        let slept = stopwatch.elapsed();
        let mut number = 1u64;
        while stopwatch.elapsed() == slept {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
        // However long the host lets the thread wait: it had no processor while it slept. The two clocks may differ a
        // little.
        let had = stopwatch.elapsed();
        let passed = start.elapsed();
        assert!(had + ASLEEP * 9 / 10 <= passed, "{had:?} of {passed:?}");
    }
}
