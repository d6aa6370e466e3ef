//! What a run waits for, and how it ended.

use crate::output::SinkError;
use idem86_cpu::bus::Work;
use idem86_devices::access::AccessSize;
use idem86_devices::time::GuestDuration;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Something that ends a run.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Serial(u8, regex::bytes::Regex),
    Screen(regex::Regex),
    Work(Work),
    Time(GuestDuration),
    PortWrite(RangeInclusive<u16>, Option<u32>),
    Breakpoint(u32),
    Halt,
    Reset,
    HostTime(Duration),
}

/// Conditions that end a run, any one of them.
///
/// A machine that cannot go on ends a run without being asked: it was switched off, wrote to its debug-exit port, or
/// halted for ever.
///
/// ```
/// use idem86_machine::run::Until;
/// use std::time::Duration;
/// let prompt = Until::screen("^A:.>$").or(Until::host_time(Duration::from_secs(60)));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Until {
    pub(crate) any: Vec<Condition>,
    /// A pattern that is none; told when it is used.
    pub(crate) wrong: Option<regex::Error>,
}

impl AsRef<Until> for Until {
    fn as_ref(&self) -> &Until {
        self
    }
}

/// Why a run could not be begun or went wrong. What a guest does never is the reason.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A condition's pattern is not a regular expression.
    #[error("not a regular expression: {0}")]
    Pattern(#[from] regex::Error),
    /// A sink could not take what the guest printed. The machine is whole and can run on, without the sink.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

impl Until {
    fn only(condition: Condition) -> Self {
        Until { any: vec![condition], wrong: None }
    }

    fn pattern<R>(built: Result<R, regex::Error>, condition: impl FnOnce(R) -> Condition) -> Self {
        match built {
            Ok(regex) => Until::only(condition(regex)),
            Err(error) => Until { any: Vec::new(), wrong: Some(error) },
        }
    }

    /// COM1 printed a match of the regular expression `pattern` (`^` and `$` match at line ends). What was printed
    /// before counts, but not what an earlier condition has matched, nor what
    /// [`crate::machine::Machine::serial_output`] took.
    pub fn serial(pattern: &str) -> Self {
        Until::serial_port(0, pattern)
    }

    /// As [`Until::serial`], of serial port `port`, 0 to 3. Others never print.
    pub fn serial_port(port: u8, pattern: &str) -> Self {
        let regex = regex::bytes::RegexBuilder::new(pattern).multi_line(true).build();
        Until::pattern(regex, |regex| Condition::Serial(port, regex))
    }

    /// The text screen shows a match of the regular expression `pattern` (`^` and `$` match at line ends).
    pub fn screen(pattern: &str) -> Self {
        let regex = regex::RegexBuilder::new(pattern).multi_line(true).build();
        Until::pattern(regex, Condition::Screen)
    }

    /// Exactly so many units of work were done: instructions, iterations of repeated ones, events delivered.
    pub fn work(units: Work) -> Self {
        Until::only(Condition::Work(units))
    }

    /// So much guest time has passed.
    pub fn time(time: GuestDuration) -> Self {
        Until::only(Condition::Time(time))
    }

    /// So many milliseconds of guest time have passed.
    pub fn millis(milliseconds: u64) -> Self {
        Until::time(GuestDuration::from_millis(milliseconds))
    }

    /// The guest wrote to `port`.
    pub fn port_write(port: u16) -> Self {
        Until::port_write_in(port..=port)
    }

    /// The guest wrote to one of `ports`.
    pub fn port_write_in(ports: RangeInclusive<u16>) -> Self {
        Until::only(Condition::PortWrite(ports, None))
    }

    /// The guest wrote `value` to `port`, with an access of any width.
    pub fn port_value(port: u16, value: u32) -> Self {
        Until::only(Condition::PortWrite(port..=port, Some(value)))
    }

    /// The instruction at linear address `linear` (CS base + EIP) comes next, for the first time or again.
    /// A run with breakpoints forgets translated code when it begins and ends: a hook is better where many runs are to
    /// stop, see [`crate::machine::Machine::hook_execution`].
    pub fn breakpoint(linear: u32) -> Self {
        Until::only(Condition::Breakpoint(linear))
    }

    /// The processor waits for an interrupt.
    pub fn halt() -> Self {
        Until::only(Condition::Halt)
    }

    /// The processor was reset, by whatever: the machine has just restarted, unless it was told not to.
    pub fn reset() -> Self {
        Until::only(Condition::Reset)
    }

    /// Only what ends every run: the machine is off or cannot go on.
    pub fn power_off() -> Self {
        Until::default()
    }

    /// So much time has passed outside. It makes how a run ends depend on the host.
    pub fn host_time(time: Duration) -> Self {
        Until::only(Condition::HostTime(time))
    }

    /// These conditions or those.
    pub fn or(mut self, other: Until) -> Self {
        self.any.extend(other.any);
        self.wrong = self.wrong.or(other.wrong);
        self
    }
}

/// Why a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A serial port printed what was waited for.
    Serial {
        /// The port, 0 for COM1.
        port: u8,
        /// The condition's pattern.
        pattern: String,
        /// What it matched.
        matched: Vec<u8>,
    },
    /// The text screen shows what was waited for.
    Screen {
        /// The condition's pattern.
        pattern: String,
        /// What it matched.
        matched: String,
    },
    /// The work is done.
    Work,
    /// The time has passed.
    Time,
    /// The guest wrote to a port.
    PortWrite {
        /// The first port of the access.
        port: u16,
        /// Its width.
        size: AccessSize,
        /// What was written.
        value: u32,
    },
    /// The processor waits for an interrupt.
    Halted,
    /// The processor was reset, or would have been on a machine that does not restart.
    Reset {
        /// By a triple fault.
        triple_fault: bool,
    },
    /// The guest switched the machine off. It stays off until it is reset.
    PoweredOff,
    /// The guest wrote to the debug-exit port and asks for this exit status, `value << 1 | 1`.
    Exit(u32),
    /// The processor stands still for ever: HLT with interrupts off and nothing to wake it.
    Stuck,
    /// The instruction at an execution stop comes next; see [`Until::breakpoint`].
    Breakpoint,
    /// The last instruction accessed memory that is watched; see [`idem86_cpu::cpu::Cpu::add_watch`].
    Watchpoint {
        /// Linear address of the first watched byte that was accessed.
        linear: u32,
        /// It was written.
        write: bool,
    },
    /// A hook asked for it.
    Hook,
    /// The host's time is up.
    HostTime,
    /// [`crate::run::Control::interrupt`].
    Interrupted,
}
