//! Recordings: what reached a machine, and when, so that its run can be repeated exactly.

use super::{Input, InputError};
use crate::clock::ClockKind;
use crate::image::source::Disk;
use crate::machine::{Limits, Machine, Pass};
use crate::snapshot::hash::StateHash;
use crate::snapshot::state::LATEST;
use idem86_cpu::bus::Work;
use idem86_devices::time::{GuestDuration, GuestTime};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// What a recording in a file begins with.
const MAGIC: &[u8; 8] = b"idem86-i";
/// The version of the format that is written, and the only one that is read.
const VERSION: u32 = 1;

/// Guest time between two questions whether a replay is to go on.
const ASK_EVERY: GuestDuration = GuestDuration::from_millis(10);

/// A moment of a run under the virtual clock, and the machine's state then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Guest time.
    pub now: GuestTime,
    /// Work retired; it follows from the time.
    pub work: Work,
    /// See [`Machine::state_hash`].
    pub hash: u128,
}

/// An input and when it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    now: GuestTime,
    work: Work,
    input: Input,
}

/// What reached a machine between two moments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    start: Moment,
    /// Inputs that the machine had been given before.
    given: u64,
    entries: Vec<Entry>,
    end: Moment,
}

/// A recording under way.
#[derive(Debug)]
pub(crate) struct Recorder {
    start: Moment,
    given: u64,
    entries: Vec<Entry>,
}

impl Recorder {
    /// `input` came.
    pub fn note(&mut self, now: GuestTime, work: Work, input: Input) {
        self.entries.push(Entry { now, work, input });
    }
}

/// Why nothing can be recorded or repeated.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Time that the host's clock decides cannot be repeated.
    #[error("runs can be recorded and repeated only under the virtual clock")]
    Clock,
    /// No recording was begun.
    #[error("nothing is being recorded")]
    NotRecording,
    /// It is not the machine that was recorded, or not in that state.
    #[error(
        "the machine is not the one that was recorded: its state at {now:?} is {present}, not {recorded}"
    )]
    Differs {
        /// Guest time.
        now: GuestTime,
        /// The state here.
        present: StateHash,
        /// The state in the recording.
        recorded: StateHash,
    },
    /// The machine is already behind the end of the recording.
    #[error("the machine is behind the end of the recording")]
    Behind,
    /// The machine came to its end before an input, or did other work until then: it is not the one that was recorded.
    #[error("at {now:?} after {work} units of work the machine has left the way that was recorded")]
    Left {
        /// Guest time.
        now: GuestTime,
        /// Work retired.
        work: Work,
    },
    /// Whoever wanted it wants it no more.
    #[error("the replay was interrupted")]
    Interrupted,
    /// An input cannot be given again.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Not a recording, or a damaged one.
    #[error("not a recording of inputs: {0}")]
    Format(&'static str),
    /// A recording of another version.
    #[error("a recording of version {0}, only {VERSION} can be read")]
    Version(u32),
}

impl Recording {
    /// How many inputs there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing came from outside.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// When it begins.
    pub fn start(&self) -> Moment {
        self.start
    }

    /// When it ends.
    pub fn end(&self) -> Moment {
        self.end
    }

    /// The recording as a file: a header with a version, the content, and a checksum.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [MAGIC.as_slice(), &VERSION.to_le_bytes()].concat();
        bytes.extend(postcard::to_stdvec(self).expect("plain data is always serialised"));
        bytes.extend(xxh3_64(&bytes).to_le_bytes());
        bytes
    }

    /// Reads a file that [`Recording::to_bytes`] made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ReplayError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(ReplayError::Format("it begins with something else"))?;
        let (version, rest) = rest.split_first_chunk().ok_or(ReplayError::Format("it is cut short"))?;
        let version = u32::from_le_bytes(*version);
        if version != VERSION {
            return Err(ReplayError::Version(version));
        }
        let (content, sum) = rest.split_last_chunk().ok_or(ReplayError::Format("it is cut short"))?;
        if xxh3_64(&bytes[..bytes.len() - sum.len()]) != u64::from_le_bytes(*sum) {
            return Err(ReplayError::Format("its checksum is wrong"));
        }
        let recording: Recording =
            postcard::from_bytes(content).map_err(|_| ReplayError::Format("its content makes no sense"))?;
        let times = recording.entries.iter().map(|entry| entry.now);
        let in_order = [recording.start.now].into_iter().chain(times).chain([recording.end.now]).is_sorted();
        let expressible = recording.end.now <= LATEST && recording.end.work <= LATEST.as_nanos();
        if in_order && expressible {
            Ok(recording)
        } else {
            Err(ReplayError::Format("its inputs are not in order"))
        }
    }
}

impl Machine {
    fn moment(&mut self) -> Moment {
        Moment { now: self.now(), work: self.cpu.work(), hash: self.state_hash().0 }
    }

    fn must_repeat(&self) -> Result<(), ReplayError> {
        match self.board.clock.kind() {
            ClockKind::Virtual => Ok(()),
            ClockKind::Host => Err(ReplayError::Clock),
        }
    }

    /// Records from now on what reaches the machine from outside. What was recorded before is dropped.
    ///
    /// Inputs are recorded, and with them what this program writes to memory and registers by the methods of the
    /// machine, from hooks too: a replay needs no hook for it, and must have none. What is done to the machine's public
    /// fields or by [`Machine::memory`] is not recorded, nor are the answers of hooks and of devices that answer
    /// differently each time; a replay that they led elsewhere says so. While it is recorded a machine cannot be
    /// restored.
    pub fn record(&mut self) -> Result<(), ReplayError> {
        self.must_repeat()?;
        self.settle();
        self.recorder =
            Some(Recorder { start: self.moment(), given: self.inputs.given, entries: Vec::new() });
        Ok(())
    }

    /// Ends a recording, and gives it.
    pub fn recorded(&mut self) -> Result<Recording, ReplayError> {
        let Recorder { start, given, entries } = self.recorder.take().ok_or(ReplayError::NotRecording)?;
        self.settle();
        Ok(Recording { start, given, entries, end: self.moment() })
    }

    /// Whether a recording is under way.
    pub fn is_recording(&self) -> bool {
        self.recorder.is_some()
    }

    /// Repeats `recording` to its end, and checks that the machine is then in the same state. The machine must be like
    /// the one that was recorded, on any engine, and stand where the recording begins, or, by a snapshot, at a later
    /// moment of the same run. `medium` finds the media that were put into drives, by the names that they were given.
    pub fn replay(
        &mut self,
        recording: &Recording,
        medium: impl FnMut(&str) -> Result<Disk, InputError>,
    ) -> Result<(), ReplayError> {
        self.replay_while(recording, medium, |_| true)
    }

    /// As [`Machine::replay`], as long as `go_on` says so, which is asked every ten milliseconds of guest time: to take
    /// what the guest printed, or to give up, with [`ReplayError::Interrupted`].
    pub fn replay_while(
        &mut self,
        recording: &Recording,
        mut medium: impl FnMut(&str) -> Result<Disk, InputError>,
        mut go_on: impl FnMut(&mut Machine) -> bool,
    ) -> Result<(), ReplayError> {
        self.must_repeat()?;
        self.settle();
        let now = self.now();
        if now > recording.end.now {
            return Err(ReplayError::Behind);
        }
        if now <= recording.start.now {
            self.check(recording.start)?;
        }
        // A snapshot may lie between two inputs of the same moment.
        let done = usize::try_from(self.inputs.given.wrapping_sub(recording.given)).unwrap_or(usize::MAX);
        for entry in recording.entries.iter().skip(done) {
            self.run_exactly_to(entry.now, entry.work, &mut go_on)?;
            match &entry.input {
                Input::Medium { drive, name: Some(name) } => {
                    let disk = medium(name)?;
                    self.insert(*drive, name, disk)?;
                }
                input => self.apply(input.clone(), None)?,
            }
        }
        self.run_exactly_to(recording.end.now, recording.end.work, &mut go_on)?;
        self.settle();
        self.check(recording.end)
    }

    fn check(&mut self, moment: Moment) -> Result<(), ReplayError> {
        let (now, present, recorded) = (self.now(), self.state_hash(), StateHash(moment.hash));
        if present == recorded && now == moment.now {
            Ok(())
        } else {
            Err(ReplayError::Differs { now, present, recorded })
        }
    }

    /// Runs to a moment that the recorded machine has met.
    fn run_exactly_to(
        &mut self,
        until: GuestTime,
        work: Work,
        go_on: &mut impl FnMut(&mut Machine) -> bool,
    ) -> Result<(), ReplayError> {
        loop {
            let slice = until.min(self.now() + ASK_EVERY);
            match self.run_within(&Limits::new(slice, Work::MAX)) {
                Pass::Hook => {}
                Pass::Time if self.now() < until => {
                    if !go_on(self) {
                        return Err(ReplayError::Interrupted);
                    }
                }
                // A machine that stands still can still be reset, at the same moment.
                Pass::Time | Pass::Outcome(_) if self.now() == until && self.cpu.work() == work => {
                    return Ok(());
                }
                _ => return Err(ReplayError::Left { now: self.now(), work: self.cpu.work() }),
            }
        }
    }

    /// Does what is due now, so that the state of the moment does not depend on how it was reached.
    fn settle(&mut self) {
        let now = self.now();
        self.service(now);
    }
}
