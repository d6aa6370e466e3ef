//! Two machines of the same configuration, one on the engine under test and one on the interpreter, that must not
//! differ: in registers after every few instructions or behind each translation unit, in memory every now and then,
//! in what they print.
//!
//! A *slice* is what happens between two comparisons: the machine under test runs first, the other as far as it did.
//! Runs under the virtual clock repeat exactly. So where the two differ, both are built again and run to shorter and
//! shorter moments until the first one is found after which they differ.

use crate::clock::{ClockKind, NANOS_PER_WORK};
use crate::engine::{Chaining, Engine, EngineKind};
use crate::machine::{Limits, Machine, Outcome};
use crate::script::{Script, ScriptError, ScriptState};
use idem86_cpu::bus::Work;
use idem86_cpu::decode::{MAX_LENGTH, decode};
use idem86_cpu::state::save::CpuState;
use idem86_cpu::state::segment::SegReg;
use idem86_devices::time::{GuestDuration, GuestTime};
use std::fmt::{self, Debug, Write};

/// When registers are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grain {
    /// After every 1999 units of work, while units of the engine under test lead to each other as they always do.
    #[default]
    Work,
    /// From this guest time on behind each unit of the engine under test, which stops there, and wherever else it is
    /// left; after 1999 units of work in any case.
    Unit(GuestTime),
}

/// Work of a slice, at most: no multiple of a unit's length, so that budgets end everywhere.
const SLICE: Work = 1999;
/// Work between two comparisons of memory.
const MEMORY_EVERY: Work = 4_000_000;
/// Guest time between two looks at the script.
const SCRIPT_EVERY: GuestDuration = GuestDuration::from_millis(5);
/// Instructions before a difference that are listed.
const LISTED: Work = 48;

/// A machine with somebody who uses it.
struct Side {
    machine: Machine,
    script: Script,
    printed: Vec<u8>,
}

/// How a slice ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Slice {
    Ran,
    Stopped(Outcome),
    ScriptDone,
    ScriptFailed(String),
}

impl Side {
    /// Runs until guest time `until`, or until the processor comes back; a halted one lets time pass.
    fn run(&mut self, until: GuestTime, once: bool) -> Slice {
        match self.machine.run_on(&Limits { once, ..Limits::new(until, Work::MAX) }) {
            Outcome::Ran => Slice::Ran,
            outcome => Slice::Stopped(outcome),
        }
    }

    /// Runs until guest time `until`, but for what a machine does when it has stopped there.
    fn follow(&mut self, until: GuestTime) -> Slice {
        while self.machine.now() < until {
            let ran = self.run(until, true);
            if ran != Slice::Ran {
                return ran;
            }
        }
        Slice::Ran
    }

    /// The processor, without what says more about where runs end than about the guest.
    fn state(&self) -> CpuState {
        CpuState { pause_pending: false, ..self.machine.cpu.save() }
    }

    /// Takes what was printed, and lets the script go on.
    fn look(&mut self) -> Slice {
        self.printed = self.machine.serial_output(0);
        if self.script.is_done() {
            return Slice::Ran;
        }
        self.script.serial_output(&self.printed);
        match self.script.advance(&mut self.machine) {
            Ok(ScriptState::Waiting) => Slice::Ran,
            Ok(ScriptState::Done | ScriptState::Quit) => Slice::ScriptDone,
            Err(ScriptError { what, .. }) => Slice::ScriptFailed(what),
        }
    }
}

/// How a run in lockstep ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The time was up.
    TimeUp,
    /// All steps of the script are done.
    ScriptDone,
    /// A step cannot be done, on either machine.
    ScriptFailed(String),
    /// Both machines stopped.
    Stopped(Outcome),
}

/// What a run in lockstep did.
#[derive(Clone, Debug)]
pub struct Report {
    /// Why it ended.
    pub ended: Ended,
    /// Work that each machine did.
    pub work: Work,
    /// Comparisons of registers.
    pub compared: u64,
    /// What is printed of the engine under test at the end.
    pub counters: String,
}

/// The machines differ.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Divergence(String);

/// Why a run in lockstep cannot be begun or came to a bad end.
#[derive(Debug, thiserror::Error)]
pub enum LockstepError<E> {
    /// No machine could be built.
    #[error("{0}")]
    Setup(E),
    /// Time that the host's clock decides cannot be repeated.
    #[error("machines can be compared only under the virtual clock")]
    Clock,
    /// The machines differ.
    #[error("{0}")]
    Differ(Box<Divergence>),
}

/// See the module's description. `F` builds a machine with an engine, and the script that uses it; always the same.
pub struct Lockstep<F> {
    build: F,
    engine: EngineKind,
    grain: Grain,
}

impl<F, E> Lockstep<F>
where
    F: FnMut(EngineKind) -> Result<(Machine, Script), E>,
{
    /// Compares `engine` with the interpreter.
    pub fn new(engine: EngineKind, grain: Grain, build: F) -> Self {
        Lockstep { build, engine, grain }
    }

    /// Runs both machines until the script is done (if it has steps), they stop, or guest time `until`.
    pub fn run(&mut self, until: GuestTime) -> Result<Report, LockstepError<E>> {
        let mut pair = self.pair()?;
        // After so many slices, and at so much work, the machines were known to be equal, memory included.
        let (mut equal, mut equal_at) = (0, 0);
        let mut slice = 0;
        loop {
            slice += 1;
            let ended = pair.run(self.grain);
            let work = pair.subject.machine.cpu.work();
            let look_at_memory = work - equal_at >= MEMORY_EVERY || ended.0 != Slice::Ran;
            if ended.0 != ended.1 || pair.differs(look_at_memory) {
                return Err(LockstepError::Differ(Box::new(self.locate(equal, slice)?)));
            }
            if look_at_memory {
                (equal, equal_at) = (slice, work);
            }
            let ended = match ended.0 {
                Slice::Ran if pair.subject.machine.now() >= until => Ended::TimeUp,
                Slice::Ran => continue,
                Slice::Stopped(outcome) => Ended::Stopped(outcome),
                Slice::ScriptDone => Ended::ScriptDone,
                Slice::ScriptFailed(what) => Ended::ScriptFailed(what),
            };
            let counters = pair.subject.machine.engine.counters().map(|c| c.to_string()).unwrap_or_default();
            return Ok(Report { ended, work, compared: slice, counters });
        }
    }

    fn pair(&mut self) -> Result<Pair, LockstepError<E>> {
        let mut side = |engine| {
            let (machine, script) = (self.build)(engine).map_err(LockstepError::Setup)?;
            match machine.board.clock.kind() {
                ClockKind::Virtual => Ok(Side { machine, script, printed: Vec::new() }),
                ClockKind::Host => Err(LockstepError::Clock),
            }
        };
        let (subject, reference) = (side(self.engine)?, side(EngineKind::Interpreter)?);
        Ok(Pair { subject, reference, look_at: GuestTime::ZERO + SCRIPT_EVERY, units: false })
    }

    /// Two new machines after `slices` whole slices and `rest` units of work of one more.
    fn replay(&mut self, slices: u64, rest: Work) -> Result<Pair, LockstepError<E>> {
        let mut pair = self.pair()?;
        (0..slices).for_each(|_| _ = pair.run(self.grain));
        if rest > 0 {
            pair.run_for(rest);
        }
        Ok(pair)
    }

    /// The machines were equal after `equal` slices, and are not after `different`: finds out when they part.
    fn locate(&mut self, mut equal: u64, mut different: u64) -> Result<Divergence, LockstepError<E>> {
        while different - equal > 1 {
            let middle = equal + (different - equal) / 2;
            match self.replay(middle, 0)?.differs(true) {
                true => different = middle,
                false => equal = middle,
            }
        }
        let mut pair = self.replay(equal, 0)?;
        let start = pair.subject.machine.now();
        pair.run(self.grain);
        let length = pair.subject.machine.now().since(start).as_nanos().div_ceil(NANOS_PER_WORK);
        let (mut low, mut high) = (0, length);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match self.replay(equal, middle)?.differs(true) {
                true => high = middle,
                false => low = middle,
            }
        }
        let mut text = String::new();
        let start = high.saturating_sub(LISTED);
        let mut listed = self.replay(equal, start)?.reference;
        let _ = writeln!(
            text,
            "the engines part after {} units of work",
            listed.machine.cpu.work() + high - start
        );
        let mut path = Vec::new();
        for _ in start..high {
            path.push(listed.machine.linear_eip());
            let _ = writeln!(text, "  {}", listed.machine.instruction());
            let until = listed.machine.now() + GuestDuration::from_nanos(NANOS_PER_WORK);
            listed.run(until, false);
        }
        let mut pair = self.replay(equal, high)?;
        pair.describe(&mut text);
        path.sort_unstable();
        path.dedup();
        let code = pair.subject.machine.host_listing(&path);
        let _ = write!(text, "{code}");
        Ok(Divergence(text))
    }
}

struct Pair {
    subject: Side,
    reference: Side,
    /// When to look at the script.
    look_at: GuestTime,
    /// The engine under test stops behind each unit.
    units: bool,
}

impl Pair {
    /// Runs a slice.
    fn run(&mut self, grain: Grain) -> (Slice, Slice) {
        let now = self.subject.machine.now();
        let units = matches!(grain, Grain::Unit(from) if from <= now);
        if units && !self.units {
            self.subject.machine.engine.set_chaining(Chaining::Stop);
            self.units = true;
        }
        let until = now + GuestDuration::from_nanos(SLICE * NANOS_PER_WORK);
        let subject = self.subject.run(until, units);
        let now = self.subject.machine.now();
        let reference = match subject {
            Slice::Ran if units => self.reference.follow(now),
            Slice::Ran => self.reference.run(now, false),
            _ => self.reference.run(until, false),
        };
        if (&subject, &reference) != (&Slice::Ran, &Slice::Ran) || now < self.look_at {
            return (subject, reference);
        }
        self.look_at = now + SCRIPT_EVERY;
        (self.subject.look(), self.reference.look())
    }

    /// Runs for the time of `work`; nobody looks at the script.
    fn run_for(&mut self, work: Work) {
        let until = self.subject.machine.now() + GuestDuration::from_nanos(work * NANOS_PER_WORK);
        self.subject.run(until, false);
        self.reference.run(until, false);
    }

    fn differs(&self, memory: bool) -> bool {
        let (a, b) = (&self.subject, &self.reference);
        a.state() != b.state() || a.printed != b.printed || memory && a.machine.slab[..] != b.machine.slab[..]
    }

    fn describe(&self, out: &mut String) {
        let (a, b) = (&self.subject.machine, &self.reference.machine);
        let states = (self.subject.state(), self.reference.state());
        let memory = (&a.slab, &b.slab);
        let _ = writeln!(out, "{:12} {:>24} {:>24}", "", a.engine.name(), b.engine.name());
        for (name, one, other) in rows(&states.0, &states.1) {
            let mark = if one == other { ' ' } else { '*' };
            let _ = writeln!(out, "{mark}{name:11} {one:>24} {other:>24}");
        }
        let mut bytes = memory.0.iter().zip(&memory.1[..]).enumerate().filter(|(_, (a, b))| a != b);
        for (at, (one, other)) in bytes.by_ref().take(32) {
            let _ = writeln!(out, "*[{at:08X}]  {one:>24X} {other:>24X}");
        }
        let _ = writeln!(out, "{} more bytes of memory differ", bytes.count());
    }
}

/// What is worth seeing of two states: the registers that programs use, and whatever else differs.
fn rows(a: &CpuState, b: &CpuState) -> Vec<(String, String, String)> {
    let mut rows = Vec::new();
    let mut row = |name: &str, one: &dyn fmt::UpperHex, other: &dyn fmt::UpperHex| {
        rows.push((name.into(), format!("{one:X}"), format!("{other:X}")));
    };
    for (n, name) in ["EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI"].into_iter().enumerate() {
        row(name, &a.gpr[n], &b.gpr[n]);
    }
    row("EIP", &a.rip, &b.rip);
    row("EFLAGS", &a.eflags, &b.eflags);
    row("work", &a.retired, &b.retired);
    for s in SegReg::ALL {
        let n = s as usize;
        row(&format!("{s:?}"), &a.seg[n].selector, &b.seg[n].selector);
    }
    for (name, one, other) in [
        ("CR0", u64::from(a.cr0), u64::from(b.cr0)),
        ("CR2", a.cr2, b.cr2),
        ("CR3", a.cr3, b.cr3),
        ("CR4", a.cr4.into(), b.cr4.into()),
        ("CPL", a.cpl.into(), b.cpl.into()),
    ] {
        row(name, &one, &other);
    }
    let mut other = |name: &str, one: &dyn Debug, other: &dyn Debug| {
        let (one, other) = (format!("{one:X?}"), format!("{other:X?}"));
        if one != other {
            rows.push((name.into(), one, other));
        }
    };
    other("segments", &a.seg, &b.seg);
    other("tables", &(a.gdtr, a.idtr, a.ldtr, a.tr), &(b.gdtr, b.idtr, b.ldtr, b.tr));
    other("debug", &(a.dr, a.dr6, a.dr7), &(b.dr, b.dr6, b.dr7));
    other("MSRs", &a.msr, &b.msr);
    other("x87", &a.x87, &b.x87);
    other("SSE", &a.simd, &b.simd);
    let events =
        |s: &CpuState| (s.halted, s.interrupt_shadow, s.nmi_pending, s.pending_debug, s.repeat_suspended);
    other("events", &events(a), &events(b));
    rows
}

impl Machine {
    fn linear_eip(&self) -> u64 {
        (self.cpu.seg[SegReg::Cs as usize].base + self.cpu.rip) & 0xFFFF_FFFF
    }

    /// What the engine made of the code at these linear addresses.
    fn host_listing(&mut self, linear: &[u64]) -> String {
        let offsets: Vec<u64> = linear.iter().filter_map(|at| self.code_offset(*at)).collect();
        match &self.engine {
            Engine::Interpreter => String::new(),
            Engine::Translator(translator) => translator.listing(&offsets, &self.slab),
        }
    }

    /// The instruction at CS:EIP, in words.
    fn instruction(&mut self) -> String {
        let (linear, size) = (self.linear_eip(), self.cpu.code_size());
        let at = self.code_offset(linear).map_or(usize::MAX, |at| at as usize);
        let bytes = self.slab.get(at..).unwrap_or_default();
        let bytes = &bytes[..bytes.len().min(MAX_LENGTH)];
        let text = decode(bytes, size).map_or_else(|_| format!("{bytes:02X?}"), |i| i.to_string());
        format!("{:04X}:{:08X} {text}", self.cpu.seg[SegReg::Cs as usize].selector, self.cpu.rip)
    }
}
