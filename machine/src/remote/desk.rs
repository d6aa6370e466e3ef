//! The desk: where the thread that runs a machine does what others ask for, between two slices of running.

use super::snapshots::Snapshots;
use crate::input::Input;
use crate::machine::{Limits, Machine, Outcome, Pass};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use idem86_cpu::bus::Work;
use idem86_devices::time::{GuestDuration, GuestTime};
use std::fmt;
use std::time::{Duration, Instant};

/// Requests that may wait; then who asks waits too.
const REQUESTS_WAITING: usize = 64;
/// Notices that a listener may leave unread before it is taken for dead.
const NOTICES_WAITING: usize = 1024;
/// How long a machine that stands still is looked after before the caller's other business has its turn, and how long
/// one that runs may be kept from it.
const TURN: Duration = Duration::from_millis(5);

/// Guest time between two looks at whether anybody asks for anything.
const GRAIN: GuestDuration = GuestDuration::from_millis(1);

/// Something to be done with the machine, by the thread that runs it.
type Request = Box<dyn FnOnce(&mut Stand<'_>) + Send>;

/// What a request finds: the machine between two instructions, and whether it runs.
pub struct Stand<'a> {
    /// The machine.
    pub machine: &'a mut Machine,
    /// Whether it runs, and who wants to know.
    pub running: &'a mut Running,
    /// What can be come back to.
    pub(super) snapshots: &'a mut Snapshots,
}

/// Why a machine that ran stands still now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Somebody asked for it.
    Asked,
    /// One unit of work was asked for, and is done.
    Stepped,
    /// An execution stop is at CS:EIP.
    Breakpoint,
    /// Watched memory was accessed.
    Watchpoint {
        /// The first byte of the access that is watched.
        linear: u32,
        /// It was written.
        write: bool,
    },
}

/// Why a machine is shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The guest switched it off, or asked for an exit status.
    Guest,
    /// The guest reset a machine that does not restart, or caused a triple fault.
    GuestReset,
    /// The guest cannot go on.
    GuestStuck,
    /// A peer asked for it.
    Asked,
    /// The user left, or a signal came.
    Host,
}

/// What listeners are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The machine runs now.
    Resumed,
    /// It stands still now.
    Stopped(Cause),
    /// It was reset.
    Reset {
        /// By the guest.
        guest: bool,
    },
    /// The power button was pressed.
    PowerButton,
    /// It is over.
    Shutdown(End),
}

/// Whether a machine runs, and who wants to know.
#[derive(Debug)]
pub struct Running {
    running: bool,
    /// One unit of work is to be done, from this count on.
    step: Option<Work>,
    quit: bool,
    ended: bool,
    listeners: Vec<Sender<Notice>>,
    /// Resets that are no news; a machine that was resumed may have seen some.
    resets: Option<u64>,
    reset_asked: bool,
}

impl Running {
    /// Whether the guest runs.
    pub fn is_running(&self) -> bool {
        self.running
    }

    /// Lets the guest stand still.
    pub fn stop(&mut self) {
        if self.running {
            self.stopped(Cause::Asked);
        }
    }

    fn stopped(&mut self, cause: Cause) {
        self.running = false;
        self.step = None;
        self.tell(Notice::Stopped(cause));
    }

    /// Lets the guest run on.
    pub fn resume(&mut self) {
        self.step = None;
        if !self.running {
            self.running = true;
            self.tell(Notice::Resumed);
        }
    }

    /// The machine is in another time: its resets up to then are old news.
    pub(super) fn forget_resets(&mut self, machine: &Machine) {
        self.resets = Some(machine.counters().resets);
    }

    /// Ends the run as soon as possible.
    pub fn quit(&mut self) {
        self.quit = true;
    }

    /// What happens from now on. Who does not look for long is forgotten.
    pub fn listen(&mut self) -> Receiver<Notice> {
        let (sender, receiver) = bounded(NOTICES_WAITING);
        self.listeners.push(sender);
        receiver
    }

    /// Tells all listeners.
    pub fn tell(&mut self, notice: Notice) {
        let still = |listener: &Sender<Notice>| match listener.try_send(notice) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        };
        self.listeners.retain(still);
    }
}

impl Stand<'_> {
    /// Does one unit of work and stops: an instruction, an iteration of a repeated one, or an event. A stop at CS:EIP
    /// does not keep it from that.
    pub fn step(&mut self) {
        self.running.resume();
        self.running.step = Some(self.machine.cpu.work());
        self.machine.cpu.pass_stop();
    }

    /// Presses the reset button.
    pub fn reset(&mut self) {
        self.running.reset_asked = true;
        self.machine.input(Input::Reset).expect("a machine has a reset button");
    }

    /// Presses the power button.
    pub fn press_power_button(&mut self) {
        self.machine.input(Input::PowerButton).expect("a machine has a power button");
        self.running.tell(Notice::PowerButton);
    }
}

/// The thread that runs the machine is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the machine is no longer there")]
pub struct Gone;

/// A way to ask for things from other threads.
#[derive(Clone)]
pub struct Link(Sender<Request>);

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link")
    }
}

impl Link {
    /// Has `request` done between two slices, and waits for what it gives. Not from the thread that runs the machine:
    /// it would wait for itself.
    pub fn ask<T, F>(&self, request: F) -> Result<T, Gone>
    where
        T: Send + 'static,
        F: FnOnce(&mut Stand<'_>) -> T + Send + 'static,
    {
        let (answer, answered) = bounded(1);
        let request: Request = Box::new(move |stand| {
            // Who asked may have gone.
            let _ = answer.send(request(stand));
        });
        self.0.send(request).map_err(|_| Gone)?;
        answered.recv().map_err(|_| Gone)
    }
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The machine ran.
    Ran,
    /// It stood still, for some milliseconds at most.
    Stood,
    /// It ran, and this ended it; neither [`Outcome::Ran`] nor a stop.
    Ended(Outcome),
    /// Somebody asked to end the run.
    Quit,
}

/// See the module's description.
#[derive(Debug)]
pub struct Desk {
    requests: Receiver<Request>,
    link: Link,
    running: Running,
    snapshots: Snapshots,
    /// Guest time while it stands still.
    frozen: Option<GuestTime>,
    outlives_halts: bool,
    /// The processor halted for ever, as far as is known.
    stuck: bool,
}

impl Desk {
    /// A desk; the machine runs unless `frozen`.
    pub fn new(frozen: bool) -> Self {
        let (sender, requests) = bounded(REQUESTS_WAITING);
        let running = Running {
            running: !frozen,
            step: None,
            quit: false,
            ended: false,
            listeners: Vec::new(),
            resets: None,
            reset_asked: false,
        };
        Desk {
            requests,
            link: Link(sender),
            running,
            snapshots: Snapshots::default(),
            frozen: None,
            outlives_halts: false,
            stuck: false,
        }
    }

    /// Whether a processor that halted for ever is no end: somebody may come and reset the machine.
    pub fn outlive_halts(&mut self, outlive: bool) {
        self.outlives_halts = outlive;
    }

    /// A way to ask for things.
    pub fn link(&self) -> Link {
        self.link.clone()
    }

    /// Does what was asked for, then lets the machine run for `slice` of guest time, if it is to run. While it is to
    /// stand still, requests are served for some milliseconds.
    pub fn turn(&mut self, machine: &mut Machine, slice: GuestDuration) -> Turn {
        self.running.resets.get_or_insert_with(|| machine.counters().resets);
        self.serve(machine);
        if self.running.quit {
            self.end(End::Asked);
            return Turn::Quit;
        }
        if !self.running.running {
            return Turn::Stood;
        }
        let most = self.running.step.map_or(Work::MAX, |work| work.saturating_add(1));
        let end = machine.now() + slice;
        let outcome = loop {
            match machine.run_within(&Limits::new(end.min(machine.now() + GRAIN), most)) {
                Pass::Outcome(outcome) => break outcome,
                Pass::Work => break Outcome::Ran,
                // What hooks stop goes on: only conditions end at them.
                Pass::Hook | Pass::Printed | Pass::Time | Pass::Halted | Pass::Restarted { .. } => {}
            }
            if machine.now() >= end || !self.requests.is_empty() {
                break Outcome::Ran;
            }
        };
        self.tell_resets(machine);
        match outcome {
            Outcome::Breakpoint => self.running.stopped(Cause::Breakpoint),
            Outcome::Watchpoint { linear, write } => {
                self.running.stopped(Cause::Watchpoint { linear, write })
            }
            Outcome::Ran => {
                if self.running.step.is_some_and(|work| machine.cpu.work() != work) {
                    self.running.stopped(Cause::Stepped);
                }
            }
            Outcome::PoweredOff | Outcome::Exit(_) => self.end(End::Guest),
            Outcome::Reset | Outcome::TripleFault => self.end(End::GuestReset),
            Outcome::Stuck if self.outlives_halts => self.stuck = true,
            Outcome::Stuck => self.end(End::GuestStuck),
        }
        match outcome {
            Outcome::Ran | Outcome::Breakpoint | Outcome::Watchpoint { .. } => Turn::Ran,
            Outcome::Stuck if self.outlives_halts => Turn::Stood,
            outcome => Turn::Ended(outcome),
        }
    }

    /// Tells everybody that it is over; once.
    pub fn end(&mut self, end: End) {
        if !std::mem::replace(&mut self.running.ended, true) {
            self.running.tell(Notice::Shutdown(end));
        }
    }

    fn tell_resets(&mut self, machine: &Machine) {
        let resets = machine.counters().resets;
        if self.running.resets.replace(resets) != Some(resets) {
            let guest = !std::mem::take(&mut self.running.reset_asked);
            self.running.tell(Notice::Reset { guest });
        }
    }

    fn serve(&mut self, machine: &mut Machine) {
        let patience = Instant::now() + TURN;
        while !self.running.quit {
            if !self.running.running && self.frozen.is_none() {
                self.frozen = Some(machine.now());
            }
            let request = match self.running.running && !std::mem::take(&mut self.stuck) {
                true => self.requests.try_recv().ok(),
                false => self.requests.recv_deadline(patience).ok(),
            };
            let Some(request) = request else { break };
            self.with_frozen_time(machine, |desk, machine| {
                request(&mut Stand { machine, running: &mut desk.running, snapshots: &mut desk.snapshots });
            });
            self.tell_resets(machine);
            if self.running.running && Instant::now() >= patience {
                break;
            }
        }
        if let Some(time) = self.frozen {
            machine.board.clock.set(machine.cpu.work(), time);
        }
        if self.running.running {
            self.frozen = None;
        }
    }

    /// While the machine stands still its time does, under the host's clock too; it goes on only as long as somebody
    /// works with it, so that it never runs backwards.
    fn with_frozen_time(&mut self, machine: &mut Machine, act: impl FnOnce(&mut Self, &mut Machine)) {
        if let Some(time) = self.frozen {
            machine.board.clock.set(machine.cpu.work(), time);
        }
        act(self, machine);
        if self.frozen.is_some() {
            self.frozen = Some(machine.now());
        }
    }
}
