//! Guest time: from retired work (`virtual`) or from the host's clock (`host`).

use idem86_cpu::bus::Work;
use idem86_devices::time::{GuestDuration, GuestTime};
use std::time::Instant;

/// Where guest time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockKind {
    /// The host's monotonic clock: a second in the guest is a second outside.
    Host,
    /// Retired work: the same run gives the same times on every host. A halted processor skips to the next
    /// event at once.
    Virtual,
}

/// Nanoseconds of virtual time for one unit of work: 250 million units a second.
pub(crate) const NANOS_PER_WORK: u64 = 4;

/// The longest that a host-clock run goes on before the clock is read again.
const HOST_SLICE: GuestDuration = GuestDuration::from_millis(2);

/// Converts between retired work and guest time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    kind: ClockKind,
    /// Guest time and work at the last moment at which they were set against each other.
    origin: (GuestTime, Work),
    /// The host's time at `origin`.
    host_origin: Instant,
    /// Measured speed on this host, in work per millisecond: how much to run until a moment of host time.
    work_per_ms: u64,
}

impl Clock {
    /// A clock at power-on, when no work was done.
    pub fn new(kind: ClockKind) -> Self {
        Clock { kind, origin: (GuestTime::ZERO, 0), host_origin: Instant::now(), work_per_ms: 50_000 }
    }

    /// Where the time comes from.
    pub fn kind(&self) -> ClockKind {
        self.kind
    }

    /// By how much time passes with each unit of work; `None` if it passes without.
    pub fn nanos_per_work(&self) -> Option<u64> {
        (self.kind == ClockKind::Virtual).then_some(NANOS_PER_WORK)
    }

    /// Guest time when `work` was retired.
    pub fn time(&self, work: Work) -> GuestTime {
        let passed = match self.kind {
            ClockKind::Virtual => work.saturating_sub(self.origin.1).saturating_mul(NANOS_PER_WORK),
            ClockKind::Host => u64::try_from(self.host_origin.elapsed().as_nanos()).unwrap_or(u64::MAX),
        };
        self.origin.0 + GuestDuration::from_nanos(passed)
    }

    /// How much work to do from `work` on until `deadline`, at least one unit.
    pub fn budget(&self, work: Work, deadline: GuestTime) -> Work {
        let now = self.time(work);
        let left = deadline.since(now);
        let units = match self.kind {
            ClockKind::Virtual => left.as_nanos().div_ceil(NANOS_PER_WORK),
            ClockKind::Host => left.min(HOST_SLICE).as_nanos().saturating_mul(self.work_per_ms) / 1_000_000,
        };
        units.max(1)
    }

    /// Lets guest time jump to `to` without work: a halted processor, or a service that waits. The host's time
    /// does not jump; whoever wants to wait sleeps.
    pub fn skip_to(&mut self, work: Work, to: GuestTime) {
        if self.kind == ClockKind::Virtual && to > self.time(work) {
            self.origin = (to, work);
        }
    }

    /// Sets the clock to `time` at `work`: a restored snapshot, or the end of a pause.
    pub fn set(&mut self, work: Work, time: GuestTime) {
        self.origin = (time, work);
        self.host_origin = Instant::now();
    }

    /// `work` was done in `elapsed`: the measure for how much to run next time.
    pub fn observe(&mut self, work: Work, elapsed: GuestDuration) {
        if self.kind == ClockKind::Host && elapsed.as_nanos() > 50_000 {
            let speed = (u128::from(work) * 1_000_000 / u128::from(elapsed.as_nanos())) as u64;
            self.work_per_ms = ((self.work_per_ms * 3 + speed) / 4).clamp(1_000, 20_000_000);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_time_is_work() {
        let mut clock = Clock::new(ClockKind::Virtual);
        assert_eq!(clock.time(250_000_000), GuestTime::from_nanos(1_000_000_000));
        assert_eq!(clock.budget(0, GuestTime::from_nanos(10)), 3);
        assert_eq!(clock.budget(100, GuestTime::from_nanos(10)), 1, "a deadline in the past is due at once");
        clock.skip_to(100, GuestTime::from_nanos(5_000));
        assert_eq!(clock.time(100), GuestTime::from_nanos(5_000));
        clock.skip_to(100, GuestTime::from_nanos(4_000));
        assert_eq!(clock.time(101), GuestTime::from_nanos(5_004), "time never runs backwards");
    }
}
