//! Running a machine until something happens.

mod control;
mod until;

pub use control::Control;
pub use until::{Ended, RunError, Until};

use crate::machine::{Limits, Machine, Outcome, Pass};
use idem86_cpu::bus::Work;
use idem86_devices::time::{GuestDuration, GuestTime};
use std::time::Instant;
use until::Condition;

/// Guest time between two looks at the host's clock and the control handle.
const SLICE: GuestDuration = GuestDuration::from_millis(1);
/// Guest time between two looks at the screen.
const SCREEN_EVERY: GuestDuration = GuestDuration::from_millis(10);

/// What is known of earlier looks at what the guest shows.
struct Look {
    /// The run's beginning.
    started: Instant,
    /// Whether the screen's turn has come.
    at_screen: bool,
    /// How much each serial port had printed at the last look.
    searched: [Option<u64>; 4],
}

impl Machine {
    /// Runs until one of the conditions comes true, or the machine cannot go on, and says which.
    ///
    /// What happens in the guest ends the run exactly where it happens: text at a serial port behind the instruction
    /// that printed its last character. The screen is looked at when a run begins or ends, and whenever guest time has
    /// come to a multiple of ten milliseconds, not counted from the beginning of the run; so under the virtual clock a
    /// run ends at the same place on every host and engine, and however it was divided into runs before. Conditions
    /// that hold already end the run before it begins.
    ///
    /// ```no_run
    /// # use idem86_machine::{machine::Machine, run::{Ended, Until}};
    /// # use std::time::Duration;
    /// let mut machine = Machine::builder().floppy("dos.img").build()?;
    /// match machine.run_until(Until::screen("^A:.>$").or(Until::host_time(Duration::from_secs(10))))? {
    ///     Ended::Screen { .. } => machine.type_text("dir\n")?,
    ///     other => panic!("no prompt: {other:?}"),
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_until(&mut self, until: impl AsRef<Until>) -> Result<Ended, RunError> {
        let until = until.as_ref();
        if let Some(error) = &until.wrong {
            return Err(error.clone().into());
        }
        let mut hooks = Vec::new();
        for condition in &until.any {
            match condition {
                Condition::PortWrite(ports, value) => {
                    hooks.push(self.board.stop_at_port(ports.clone(), *value));
                }
                Condition::Breakpoint(linear) => self.cpu.add_execution_stop(*linear),
                _ => {}
            }
        }
        self.board.hooks.exact_output = until.any.iter().any(|c| matches!(c, Condition::Serial(..)));
        let ended = self.run_under(until);
        self.board.hooks.exact_output = false;
        hooks.into_iter().for_each(|id| _ = self.board.unhook_ports(id));
        for condition in &until.any {
            if let Condition::Breakpoint(linear) = condition {
                self.cpu.remove_execution_stop(*linear);
            }
        }
        match self.outputs.failed.take() {
            Some(error) => Err(error.into()),
            None => Ok(ended),
        }
    }

    fn run_under(&mut self, until: &Until) -> Ended {
        let started = Instant::now();
        let mut limits = Limits::default();
        for condition in &until.any {
            match condition {
                Condition::Work(units) => {
                    limits.work = limits.work.min(self.cpu.work().saturating_add(*units));
                }
                Condition::Time(time) => limits.time = limits.time.min(self.now() + *time),
                Condition::Halt => limits.halt = true,
                Condition::Reset => limits.reset = true,
                Condition::Serial(..) => limits.printed = true,
                Condition::Screen(_)
                | Condition::PortWrite(..)
                | Condition::Breakpoint(_)
                | Condition::HostTime(_) => {}
            }
        }
        let end = limits.time;
        let mut look = Look { started, at_screen: true, searched: [None; 4] };
        loop {
            if let Some(ended) = self.looked_for(until, &mut look) {
                return ended;
            }
            if self.control.is_wanted() {
                // Time that passes outside while the machine stands still does not count.
                let now = self.now();
                let interrupted = self.control.obey();
                self.board.clock.set(self.cpu.work(), now);
                if interrupted {
                    return Ended::Interrupted;
                }
            }
            let (slice, screen) = (next_multiple(self.now(), SLICE), next_multiple(self.now(), SCREEN_EVERY));
            limits.time = end.min(slice);
            match self.run_within(&limits) {
                Pass::Time if self.now() >= end => {
                    look.at_screen = true;
                    return self.looked_for(until, &mut look).unwrap_or(Ended::Time);
                }
                Pass::Time => look.at_screen = self.now() >= screen,
                Pass::Printed => look.at_screen = false,
                pass => {
                    // Where a machine comes to its end, text that it printed before comes first: the end is still
                    // there the next time.
                    look.at_screen = true;
                    let lasting = matches!(pass, Pass::Work | Pass::Outcome(_));
                    let seen = if lasting { self.looked_for(until, &mut look) } else { None };
                    return seen.unwrap_or_else(|| self.ended(pass));
                }
            }
        }
    }

    /// The condition that is true of what the guest shows and of the host's clock.
    fn looked_for(&mut self, until: &Until, look: &mut Look) -> Option<Ended> {
        let printed = self.outputs.serial.each_ref().map(|output| Some(output.printed()));
        let searched = std::mem::replace(&mut look.searched, printed);
        until.any.iter().find_map(|condition| match condition {
            Condition::Serial(port, regex) => {
                let n = usize::from(*port);
                let output = self.outputs.serial.get_mut(n).filter(|_| printed[n] != searched[n])?;
                let found = regex.find(output.unmatched())?;
                let (matched, end) = (found.as_bytes().to_vec(), found.end());
                output.matched(end);
                Some(Ended::Serial { port: *port, pattern: regex.as_str().into(), matched })
            }
            Condition::Screen(regex) if look.at_screen => {
                let screen = self.screen_text()?;
                let matched = regex.find(&screen)?.as_str().into();
                Some(Ended::Screen { pattern: regex.as_str().into(), matched })
            }
            Condition::HostTime(time) => (look.started.elapsed() >= *time).then_some(Ended::HostTime),
            _ => None,
        })
    }

    fn ended(&mut self, pass: Pass) -> Ended {
        match pass {
            Pass::Time | Pass::Printed => Ended::Time,
            Pass::Work => Ended::Work,
            Pass::Halted => Ended::Halted,
            Pass::Restarted { triple_fault } => Ended::Reset { triple_fault },
            Pass::Hook => match self.board.hooks.seen.take() {
                Some((port, size, value)) => Ended::PortWrite { port, size, value },
                None => Ended::Hook,
            },
            Pass::Outcome(outcome) => match outcome {
                Outcome::Ran => Ended::Time,
                Outcome::Breakpoint => Ended::Breakpoint,
                Outcome::Watchpoint { linear, write } => Ended::Watchpoint { linear, write },
                Outcome::Stuck => Ended::Stuck,
                Outcome::PoweredOff => Ended::PoweredOff,
                Outcome::Exit(status) => Ended::Exit(status),
                Outcome::Reset => Ended::Reset { triple_fault: false },
                Outcome::TripleFault => Ended::Reset { triple_fault: true },
            },
        }
    }

    /// Executes one instruction (one iteration of a repeated one), or delivers one event. A halted processor waits for
    /// the event that wakes it.
    pub fn step(&mut self) -> Result<Ended, RunError> {
        self.run_until(Until::work(1))
    }

    /// A handle with which other threads can pause the machine and end its run.
    pub fn control(&self) -> Control {
        self.control.clone()
    }
}

/// The first multiple of `step` after `now`.
fn next_multiple(now: GuestTime, step: GuestDuration) -> GuestTime {
    let (now, step) = (now.as_nanos(), step.as_nanos());
    GuestTime::from_nanos((now / step).saturating_add(1).saturating_mul(step))
}

impl Limits {
    /// As far as these moments.
    pub(crate) fn new(time: GuestTime, work: Work) -> Self {
        Limits { time, work, halt: false, reset: false, printed: false, once: false }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits::new(GuestTime::MAX, Work::MAX)
    }
}
