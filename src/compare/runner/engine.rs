//! Nanobenchmarks in a PC of ours, and the proof that all engines do the same work.

use super::{Lack, Runner};
use crate::compare::nano::{self, MARK_BEGIN, MARK_END, Nano};
use idem86_cpu::bus::Work;
use idem86_cpu::state::save::CpuState;
use idem86_devices::access::DmaMemory;
use idem86_devices::reset::Reset;
use idem86_devices::time::GuestDuration;
use idem86_firmware::loader::multiboot;
use idem86_machine::config::{Config, Firmware};
use idem86_machine::engine::EngineKind;
use idem86_machine::machine::{Machine, Outcome};
use idem86_machine::snapshot::hash::StateHash;
use idem86_translator::host::clock::Stopwatch;
use std::time::{Duration, Instant};

/// Where marks are written; see [`Machine`]'s debug-exit port.
const MARK_PORT: u16 = 0xF4;
/// Guest time between two looks at the host's clock.
const SLICE: GuestDuration = GuestDuration::from_millis(2);
/// Rounds of the two runs that prove equal work.
const PROOF: [u32; 2] = [40, 104];

/// What a machine has come to: everything that software in it can see.
#[derive(Clone, PartialEq, Eq)]
pub struct Digest {
    /// Work retired since power-on.
    pub work: Work,
    /// The processor.
    pub cpu: CpuState,
    /// Hash of the whole machine, memory and devices too.
    pub machine: StateHash,
}

impl Digest {
    /// That of `machine` now.
    pub fn of(machine: &mut Machine) -> Self {
        Digest { work: machine.cpu.work(), cpu: machine.cpu.save(), machine: machine.state_hash() }
    }

    /// In what it differs from `reference`.
    pub fn difference(&self, reference: &Digest) -> Option<String> {
        if self.work != reference.work {
            return Some(format!("{} units of work instead of {}", self.work, reference.work));
        }
        if self.cpu != reference.cpu {
            return Some("the registers differ".into());
        }
        (self.machine != reference.machine).then(|| "memory or devices differ".into())
    }
}

/// What equal work is for a nanobenchmark: the states after the two runs of the proof, and what follows from their
/// work for other numbers of rounds.
#[derive(Clone)]
pub struct Reference {
    digests: [Digest; 2],
    /// Work of a run of no rounds and of each round.
    fixed: Work,
    each: Work,
}

/// An engine in a PC.
pub struct EngineRunner {
    kind: EngineKind,
    name: String,
    limit: Duration,
    machine: Option<Machine>,
    /// What the runs must come to, once it is proved.
    reference: Option<Reference>,
}

impl EngineRunner {
    /// Engine `kind`, under `name`. A run that takes longer than `limit` has failed.
    pub fn new(kind: EngineKind, name: String, limit: Duration) -> Self {
        EngineRunner { kind, name, limit, machine: None, reference: None }
    }

    /// Runs the proof on a machine that has just loaded its nanobenchmark and gives what it came to.
    ///
    /// # Errors
    /// As [`Runner::run`].
    pub fn reference(&mut self) -> Result<Reference, Lack> {
        let (mut digests, mut work) = (Vec::new(), Vec::new());
        for rounds in PROOF {
            work.push(self.timed(rounds)?.1);
            digests.push(Digest::of(self.machine.as_mut().expect("it has just run")));
        }
        let each = work[1].saturating_sub(work[0]) / u64::from(PROOF[1] - PROOF[0]);
        let fixed = work[0].saturating_sub(each * u64::from(PROOF[0]));
        let digests = digests.try_into().unwrap_or_else(|_| unreachable!("one for each run"));
        Ok(Reference { digests, fixed, each })
    }

    /// Proves that this engine does the work of `reference`, and holds further runs to it.
    ///
    /// # Errors
    /// [`Lack::Wrong`] says in what it differs.
    pub fn prove(&mut self, reference: &Reference) -> Result<(), Lack> {
        let own = self.reference()?;
        let runs = own.digests.iter().zip(&reference.digests);
        match runs.filter_map(|(own, reference)| own.difference(reference)).next() {
            Some(difference) => Err(Lack::Wrong(format!("not the interpreter's work: {difference}"))),
            None => {
                self.reference = Some(reference.clone());
                Ok(())
            }
        }
    }

    /// Time and work of a run.
    fn timed(&mut self, rounds: u32) -> Result<(Duration, Work), Lack> {
        let machine = self.machine.as_mut().ok_or(Lack::Wrong("nothing is loaded".into()))?;
        to_mark(machine, MARK_BEGIN, self.limit)?;
        machine.memory().write(nano::ROUNDS, &rounds.max(1).to_le_bytes());
        let (work, start) = (machine.cpu.work(), Stopwatch::start());
        to_mark(machine, MARK_END, self.limit)?;
        Ok((start.elapsed(), machine.cpu.work() - work))
    }
}

impl Runner for EngineRunner {
    fn name(&self) -> &str {
        &self.name
    }

    fn load(&mut self, nano: &'static Nano) -> Result<(), Lack> {
        (self.machine, self.reference) = (None, None);
        let wrong = |e: &dyn std::fmt::Display| Lack::Wrong(e.to_string());
        let image = nano::image(nano, MARK_PORT, 1).map_err(|e| wrong(&e))?;
        let mut config = Config::new(nano::MEMORY, Firmware::Builtin);
        config.kernel = Some(multiboot::load(&image, None, "", nano::MEMORY).map_err(|e| wrong(&e))?);
        config.engine = self.kind;
        config.reboot = false;
        let mut machine = Machine::new(config).map_err(|e| Lack::Unsupported(e.to_string()))?;
        machine.board.enable_debug_exit(MARK_PORT);
        self.machine = Some(machine);
        Ok(())
    }

    fn run(&mut self, rounds: u32) -> Result<Duration, Lack> {
        let (time, work) = self.timed(rounds)?;
        if let Some(Reference { fixed, each, .. }) = &self.reference {
            let expected = fixed + each * u64::from(rounds);
            if work != expected {
                let what = format!("{work} units of work in {rounds} rounds instead of {expected}");
                return Err(Lack::Wrong(what));
            }
        }
        Ok(time)
    }
}

/// Lets the machine run until it writes `mark`.
fn to_mark(machine: &mut Machine, mark: u8, limit: Duration) -> Result<(), Lack> {
    let start = Instant::now();
    loop {
        let until = machine.now() + SLICE;
        match machine.run_to(until) {
            Outcome::Ran => {}
            Outcome::Exit(status) => {
                machine.board.debug_exit.reset();
                return match (status >> 1) as u8 {
                    found if found == mark => Ok(()),
                    _ => Err(Lack::Wrong("the guest met an exception that it did not expect".into())),
                };
            }
            other => return Err(Lack::Wrong(format!("the guest ended by {other:?}"))),
        }
        if start.elapsed() > limit {
            return Err(Lack::Timeout(limit));
        }
    }
}
