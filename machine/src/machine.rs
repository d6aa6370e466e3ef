//! The machine: processor, board and memory, and the loop that runs them in common guest time.

use crate::board::Board;
use crate::clock::ClockKind;
use crate::engine::Engine;
use crate::guest_memory::GuestMemory;
use crate::input::Input;
use crate::input::queue::InputQueue;
use crate::input::recording::Recorder;
use crate::kernel;
use crate::keyboard::KeyQueue;
use crate::output::{Outputs, Port};
use crate::plan::Plan;
use crate::run::Control;
use crate::snapshot::Memory;
use idem86_cpu::bus::{Biu, Work};
use idem86_cpu::cpu::Cpu;
use idem86_cpu::run::Stop;
use idem86_cpu::state::eflags::bit;
use idem86_devices::acpi::PowerRequest;
use idem86_devices::time::{GuestDuration, GuestTime};
use idem86_translator::Ram;
use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Why a run came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The time that was asked for has passed.
    Ran,
    /// The processor stands still for ever: HLT with interrupts off and nothing to wake it.
    Stuck,
    /// The guest switched the machine off.
    PoweredOff,
    /// The guest wrote to the debug-exit port and asks for this exit status.
    Exit(u32),
    /// A reset, on a machine that was told not to restart.
    Reset,
    /// A triple fault, likewise.
    TripleFault,
    /// An execution stop is at CS:EIP; see [`idem86_cpu::stops`].
    Breakpoint,
    /// The last instruction accessed watched memory; see [`idem86_cpu::stops`].
    Watchpoint {
        /// The first byte of the access that is watched.
        linear: u32,
        /// It was written.
        write: bool,
    },
}

/// What a run cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Units of work retired; see [`Work`].
    pub work: Work,
    /// Times that the processor was entered.
    pub runs: u64,
    /// Resets, triple faults included.
    pub resets: u64,
    /// Accesses that no device answered.
    pub unclaimed: u64,
}

/// A PC.
pub struct Machine {
    /// The processor.
    pub cpu: Cpu,
    /// Everything on the bus.
    pub board: Board,
    /// What the user types.
    pub keyboard: KeyQueue,
    /// RAM and ROMs; see [`MemoryMap`].
    pub(crate) slab: Ram,
    /// What executes guest code.
    pub engine: Engine,
    /// What the guest is to be given beside keys.
    pub(crate) inputs: InputQueue,
    /// Notes what reaches the machine from outside.
    pub(crate) recorder: Option<Recorder>,
    /// What the guest printed.
    pub(crate) outputs: Outputs,
    /// What other threads want.
    pub(crate) control: Control,
    /// What it was built from.
    pub(crate) plan: Arc<Plan>,
    pub(crate) counters: Counters,
    /// What the log of writes counts from, once a snapshot was taken.
    pub(crate) origin: Option<Memory>,
}

/// How far to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Until this guest time.
    pub time: GuestTime,
    /// Until so much work is retired.
    pub work: Work,
    /// Until the processor waits for an interrupt.
    pub halt: bool,
    /// Until the processor was reset.
    pub reset: bool,
    /// Until the processor was entered once.
    pub once: bool,
    /// Until a serial port printed something.
    pub printed: bool,
}

/// Why a part of a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// [`Limits::time`].
    Time,
    /// [`Limits::work`].
    Work,
    /// [`Limits::halt`].
    Halted,
    /// [`Limits::reset`]; the machine runs again.
    Restarted {
        /// By a triple fault.
        triple_fault: bool,
    },
    /// A hook.
    Hook,
    /// [`Limits::printed`].
    Printed,
    /// The machine.
    Outcome(Outcome),
}

impl Machine {
    /// Guest time now.
    pub fn now(&self) -> GuestTime {
        self.board.now(self.cpu.work())
    }

    /// What running cost so far.
    pub fn counters(&self) -> Counters {
        Counters { work: self.cpu.work(), unclaimed: self.board.unclaimed, ..self.counters }
    }

    /// Presses the reset button.
    pub fn reset(&mut self) {
        if self.is_recording() {
            self.input(Input::Reset).expect("every machine has a reset button");
        } else {
            self.restart();
        }
    }

    /// RESET of the whole machine.
    pub(crate) fn restart(&mut self) {
        self.board.reset();
        self.reset_processor();
    }

    /// RESET of the processor alone, and of where it has its APIC.
    fn reset_processor(&mut self) {
        self.cpu.reset();
        self.board.lapic.set_apic_base(self.cpu.msr.apic_base);
        self.counters.resets += 1;
    }

    /// Runs until guest time `until`, or until something ends the run earlier. Under the host clock a halted
    /// processor lets the host sleep.
    pub fn run_to(&mut self, until: GuestTime) -> Outcome {
        self.run_on(&Limits::new(until, Work::MAX))
    }

    /// Runs until one of the limits, or until the machine cannot go on.
    pub(crate) fn run_on(&mut self, limits: &Limits) -> Outcome {
        loop {
            match self.run_within(limits) {
                Pass::Outcome(outcome) => return outcome,
                // What hooks stop goes on: only conditions end at them.
                Pass::Hook | Pass::Printed => {}
                Pass::Time | Pass::Work | Pass::Halted | Pass::Restarted { .. } => return Outcome::Ran,
            }
        }
    }

    /// Runs until one of the limits, or until something ends the run earlier.
    pub(crate) fn run_within(&mut self, limits: &Limits) -> Pass {
        let pass = self.run_loop(limits);
        // Time, work and hooks end the loop behind this; so whoever gives input finds the same state in each case.
        if !matches!(pass, Pass::Time | Pass::Work | Pass::Hook | Pass::Printed) {
            let now = self.now();
            self.service(now);
        }
        pass
    }

    fn run_loop(&mut self, limits: &Limits) -> Pass {
        loop {
            let now = self.now();
            self.service(now);
            if std::mem::take(&mut self.outputs.printed) && limits.printed {
                return Pass::Printed;
            }
            // Both stay: whoever runs the machine again is told again.
            if let Some(status) = self.board.debug_exit.exit_status() {
                return Pass::Outcome(Outcome::Exit(status));
            }
            match self.board.power_request {
                Some(PowerRequest::SoftOff) => return Pass::Outcome(Outcome::PoweredOff),
                // The device has told the guest already.
                Some(PowerRequest::SuspendRefused { .. }) | None => self.board.power_request = None,
            }
            if std::mem::take(&mut self.board.hooks.stop) {
                return Pass::Hook;
            }
            if now >= limits.time {
                return Pass::Time;
            }
            let work = self.cpu.work();
            if work >= limits.work {
                return Pass::Work;
            }
            let deadline = self.board.deadline.min(limits.time);
            let budget = self.board.clock.budget(work, deadline).min(limits.work - work);
            match self.enter(budget) {
                Stop::Budget | Stop::Unit | Stop::Pause => {
                    if std::mem::take(&mut self.board.signals.firmware) {
                        self.call_firmware();
                    }
                }
                Stop::Halted if limits.halt => return Pass::Halted,
                Stop::Halted => {
                    if let Some(outcome) = self.idle(limits.time) {
                        return Pass::Outcome(outcome);
                    }
                }
                Stop::Breakpoint => {
                    if self.call_execution_hooks() {
                        return Pass::Outcome(Outcome::Breakpoint);
                    }
                }
                Stop::Watchpoint { linear, write } => {
                    if self.call_memory_hooks(linear, write) {
                        return Pass::Outcome(Outcome::Watchpoint { linear, write });
                    }
                }
                Stop::Reset if !self.plan.reboot => return Pass::Outcome(Outcome::Reset),
                Stop::Shutdown if !self.plan.reboot => return Pass::Outcome(Outcome::TripleFault),
                stop @ (Stop::Reset | Stop::Shutdown) => {
                    if stop == Stop::Reset && std::mem::take(&mut self.board.signals.system_reset) {
                        self.restart();
                    } else {
                        // The keyboard controller, port 92h and a shutdown cycle reset the processor alone.
                        self.reset_processor();
                    }
                    if limits.reset {
                        return Pass::Restarted { triple_fault: stop == Stop::Shutdown };
                    }
                }
            }
            if limits.once {
                return Pass::Work;
            }
        }
    }

    /// Takes what the guest printed from the devices.
    pub(crate) fn collect_output(&mut self) {
        for (n, com) in (0..).zip(&mut self.board.com) {
            if com.output_len() > 0 {
                self.outputs.push(Port::Serial(n), &com.take_output());
            }
        }
        if self.board.debug_console.has_output() {
            let bytes = self.board.debug_console.take_output();
            self.outputs.push(Port::DebugConsole, &bytes);
        }
    }

    /// Lets the processor run.
    fn enter(&mut self, budget: Work) -> Stop {
        self.counters.runs += 1;
        let (before, start) = (self.cpu.work(), Instant::now());
        let ram = Cell::from_mut(&mut *self.slab).as_slice_of_cells();
        let stop = if self.board.hooks.want_interpreter() {
            self.cpu.run(ram, &mut self.board, budget)
        } else {
            self.engine.run(&mut self.cpu, ram, &mut self.board, budget)
        };
        if self.board.clock.kind() == ClockKind::Host {
            let elapsed = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.board.clock.observe(self.cpu.work() - before, GuestDuration::from_nanos(elapsed));
        }
        stop
    }

    /// Brings the devices up to `now` and does what they want done.
    pub(crate) fn service(&mut self, now: GuestTime) {
        for (at, value) in std::mem::take(&mut self.board.write_only) {
            self.slab[at as usize] = value;
            self.cpu.ram_written(at, 1);
        }
        self.board.advance(now);
        let map = self.board.memory.clone();
        let mut memory = GuestMemory { slab: &mut self.slab, map: &map, cpu: &mut self.cpu };
        self.board.run_dma(&mut memory, now);
        self.keyboard.feed(&mut self.board.ps2, now);
        self.inputs.feed(&mut self.board, now);
        self.board.advance(now);
        let offers = [self.keyboard.next_event(), self.inputs.next_event()];
        self.board.deadline = offers.into_iter().flatten().fold(self.board.deadline, GuestTime::min);
        self.collect_output();
    }

    /// The firmware asks for a service, or the ROM that starts a kernel for its kernel.
    fn call_firmware(&mut self) {
        if self.serve_firmware() {
            return;
        }
        if let Some(loaded) = &self.plan.kernel
            && self.cpu.real_mode()
        {
            let map = self.board.memory.clone();
            kernel::start(loaded, &mut GuestMemory { slab: &mut self.slab, map: &map, cpu: &mut self.cpu });
        }
    }

    /// The processor waits for an interrupt: lets time pass until the next event.
    fn idle(&mut self, until: GuestTime) -> Option<Outcome> {
        let work = self.cpu.work();
        if !self.cpu.eflags.has(bit::IF) {
            // Only a non-maskable interrupt or a reset could end this, and no device will raise one by itself.
            return Some(Outcome::Stuck);
        }
        let wake = self.board.deadline.min(until);
        match self.board.clock.kind() {
            ClockKind::Virtual => self.board.clock.skip_to(work, wake),
            ClockKind::Host => {
                let left = wake.since(self.now()).as_nanos();
                std::thread::sleep(Duration::from_nanos(left));
            }
        }
        None
    }

    /// Makes everything that the guest wrote to its drives durable, as at the end of a run. What failed is among
    /// the reports of the drives.
    pub fn flush(&mut self) {
        self.board.ide.flush();
        self.board.floppy.flush_all();
    }

    /// The offset in the slab of the code at linear address `linear`.
    pub(crate) fn code_offset(&mut self, linear: u64) -> Option<u64> {
        let ram = Cell::from_mut(&mut *self.slab).as_slice_of_cells();
        self.cpu.code_offset(&mut Biu::new(ram, &mut self.board), linear)
    }

    /// The units that the translator made since the last call, if it was told to note them.
    pub fn watched(&mut self) -> idem86_translator::Watched {
        self.engine.watched(&self.slab)
    }

    /// Guest memory, for loading images and looking at what the guest did.
    pub fn memory(&mut self) -> GuestMemory<'_> {
        GuestMemory { slab: &mut self.slab, map: &self.board.memory, cpu: &mut self.cpu }
    }
}
