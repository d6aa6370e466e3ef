//! Guest time: exact, a parameter, never read from the host.

use serde::{Deserialize, Serialize};
use std::ops::{Add, Sub};

/// A moment of guest time, in nanoseconds since the machine was switched on. Range: 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GuestTime(u64);

/// A span of guest time in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GuestDuration(u64);

impl GuestTime {
    /// The moment at which the machine was switched on.
    pub const ZERO: GuestTime = GuestTime(0);
    /// The last moment that can be expressed.
    pub const MAX: GuestTime = GuestTime(u64::MAX);

    /// The moment `ns` nanoseconds after power-on.
    pub const fn from_nanos(ns: u64) -> Self {
        GuestTime(ns)
    }

    /// Nanoseconds since power-on.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The span since `earlier`; zero if `earlier` is not earlier.
    pub const fn since(self, earlier: GuestTime) -> GuestDuration {
        GuestDuration(self.0.saturating_sub(earlier.0))
    }
}

impl GuestDuration {
    /// A span of `ns` nanoseconds.
    pub const fn from_nanos(ns: u64) -> Self {
        GuestDuration(ns)
    }
    /// A span of `us` microseconds; saturates.
    pub const fn from_micros(us: u64) -> Self {
        GuestDuration(us.saturating_mul(1_000))
    }
    /// A span of `ms` milliseconds; saturates.
    pub const fn from_millis(ms: u64) -> Self {
        GuestDuration(ms.saturating_mul(1_000_000))
    }
    /// The span in nanoseconds.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }
}

impl Add<GuestDuration> for GuestTime {
    type Output = GuestTime;
    /// Saturates at [`GuestTime::MAX`].
    fn add(self, d: GuestDuration) -> GuestTime {
        GuestTime(self.0.saturating_add(d.0))
    }
}

impl Sub<GuestDuration> for GuestTime {
    type Output = GuestTime;
    /// Saturates at [`GuestTime::ZERO`].
    fn sub(self, d: GuestDuration) -> GuestTime {
        GuestTime(self.0.saturating_sub(d.0))
    }
}

/// A clock of an exact rational frequency, counted from power-on. Tick `n` falls on the first nanosecond at
/// or after its exact moment, so that no error ever accumulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frequency {
    /// So many ticks ...
    ticks: u64,
    /// ... in so many nanoseconds, without common divisor.
    nanos: u64,
}

impl Frequency {
    /// The 8254's input: 14.31818 MHz / 12, which is 105/88 MHz exactly.
    pub const PIT: Frequency = Frequency::ratio(105_000_000, 88);
    /// The ACPI power management timer: 14.31818 MHz / 4, which is 315/88 MHz exactly.
    pub const ACPI_PM: Frequency = Frequency::ratio(315_000_000, 88);
    /// The watch crystal of the real-time clock.
    pub const RTC: Frequency = Frequency::ratio(32_768, 1);

    /// `numerator / denominator` hertz, both positive.
    ///
    /// # Panics
    /// If either is zero, or the denominator exceeds 18,446,744,073.
    pub const fn ratio(numerator: u64, denominator: u64) -> Self {
        assert!(numerator > 0 && denominator > 0 && denominator <= u64::MAX / NANOS_PER_SECOND);
        let nanos = denominator * NANOS_PER_SECOND;
        let common = greatest_common_divisor(numerator, nanos);
        Frequency { ticks: numerator / common, nanos: nanos / common }
    }

    /// How many ticks have happened up to and including `now`.
    pub const fn ticks_at(self, now: GuestTime) -> u64 {
        // 64 bits suffice for years of the usual frequencies and are several times faster.
        if let Some(product) = now.0.checked_mul(self.ticks) {
            return product / self.nanos;
        }
        let ticks = now.0 as u128 * self.ticks as u128 / self.nanos as u128;
        if ticks > u64::MAX as u128 { u64::MAX } else { ticks as u64 }
    }

    /// The first nanosecond at which [`Frequency::ticks_at`] gives at least `tick`; saturates.
    pub const fn time_of(self, tick: u64) -> GuestTime {
        if let Some(product) = tick.checked_mul(self.nanos) {
            return GuestTime(product.div_ceil(self.ticks));
        }
        let time = (tick as u128 * self.nanos as u128).div_ceil(self.ticks as u128);
        GuestTime(if time > u64::MAX as u128 { u64::MAX } else { time as u64 })
    }
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;

const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// A device that acts by itself as guest time passes.
pub trait Timed {
    /// The next moment at which the device would change an output or must be told that time has passed;
    /// `None` if nothing is due unless someone accesses it. May be too early, never too late. After
    /// `advance(now)` it lies after `now`, so that a run loop which goes from event to event makes progress.
    fn next_event(&self) -> Option<GuestTime>;

    /// Brings the device up to `now`, in time bounded whatever the distance; one long step and many short ones
    /// lead to the same state. Time never runs backwards; calls with an earlier `now` do nothing.
    fn advance(&mut self, now: GuestTime);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pit_ticks_do_not_drift() {
        // 105/88 MHz for 88 seconds are 105,000,000 ticks, not one more or less.
        let end = GuestTime::from_nanos(88_000_000_000);
        assert_eq!(Frequency::PIT.ticks_at(end), 105_000_000);
        assert_eq!(Frequency::PIT.ticks_at(end - GuestDuration::from_nanos(1)), 104_999_999);
        assert_eq!(Frequency::PIT.time_of(105_000_000), end);
    }

    #[test]
    fn centuries_are_as_exact_as_seconds() {
        // 88 x 10^15 ns, 2.8 years, still fit 64 bits times 105; 200 times as much does not.
        for scale in [1, 200] {
            let moment = GuestTime::from_nanos(88_000_000_000_000_000 * scale);
            assert_eq!(Frequency::PIT.ticks_at(moment), 105_000_000_000_000 * scale);
            assert_eq!(Frequency::PIT.time_of(105_000_000_000_000 * scale), moment);
            let before = moment - GuestDuration::from_nanos(1);
            assert_eq!(Frequency::PIT.ticks_at(before), 105_000_000_000_000 * scale - 1);
        }
    }

    #[test]
    fn beyond_the_last_moment_time_saturates() {
        assert_eq!(Frequency::RTC.time_of(u64::MAX), GuestTime::MAX);
        assert_eq!(Frequency::ratio(u64::MAX, 1).ticks_at(GuestTime::MAX), u64::MAX);
    }

    #[test]
    fn time_of_is_the_first_nanosecond_of_a_tick() {
        for f in [Frequency::PIT, Frequency::ACPI_PM, Frequency::RTC] {
            for tick in (1..200_000).step_by(997) {
                let t = f.time_of(tick);
                assert_eq!(f.ticks_at(t), tick);
                assert_eq!(f.ticks_at(t - GuestDuration::from_nanos(1)), tick - 1);
            }
        }
    }
}
