//! The state of a machine but for its memory and its media: processor, clock, devices, what the user typed.

use crate::attached::Attached;
use crate::board::{Board, Signals};
use crate::input::queue::InputQueue;
use crate::keyboard::KeyQueue;
use crate::machine::{Counters, Machine};
use idem86_cpu::state::save::{self as processor, CpuState};
use idem86_devices::acpi::{PowerManagement, PowerRequest};
use idem86_devices::coprocessor::CoprocessorLatch;
use idem86_devices::debug_exit::DebugExit;
use idem86_devices::debugcon::DebugConsole;
use idem86_devices::dma::Dma;
use idem86_devices::floppy::Floppy;
use idem86_devices::fw_cfg::FwCfg;
use idem86_devices::ide::Ide;
use idem86_devices::ioapic::IoApic;
use idem86_devices::irq::IrqBank;
use idem86_devices::lapic::Lapic;
use idem86_devices::pci::Pci;
use idem86_devices::pic::Pic;
use idem86_devices::pit::Pit;
use idem86_devices::port92::Port92;
use idem86_devices::post_code::PostCode;
use idem86_devices::ps2::Ps2Controller;
use idem86_devices::rtc::Rtc;
use idem86_devices::state::{self as device, Snapshot};
use idem86_devices::time::GuestTime;
use idem86_devices::uart::UartState;
use idem86_devices::vga::Vga;
use serde::{Deserialize, Serialize};

/// A state that the machine cannot take. It is then as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// What is recorded must go on from where it is.
    #[error("a recording is under way")]
    Recording,
    /// The processor refuses.
    #[error("{0}")]
    Cpu(#[from] processor::RestoreError),
    /// A device refuses.
    #[error("{0}")]
    Device(#[from] device::RestoreError),
    /// The machine has other parts than the saved one.
    #[error("the saved machine has {what} {saved}, this one {present}")]
    Parts {
        /// Of what it has more or less.
        what: &'static str,
        /// How much was saved.
        saved: u64,
        /// How much there is.
        present: u64,
    },
    /// The clock shows a time that no machine will live to see.
    #[error("guest time {0:?} is out of range")]
    Time(GuestTime),
    /// A write waits for a place outside of memory.
    #[error("a write to {0:#x} waits, where no RAM is")]
    WriteOnly(u64),
}

/// The latest time that a saved clock may show: half of what can be expressed.
pub(crate) const LATEST: GuestTime = GuestTime::from_nanos(1 << 63);

/// The state of a machine but for its memory and its media; see [`Machine::save_state`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineState {
    /// Bytes of RAM, of the BIOS ROM, and whether there is a kernel to be started: what the machine must have.
    pub(super) parts: [u64; 3],
    pub(super) cpu: CpuState,
    pub(super) now: GuestTime,
    pub(super) board: BoardState,
    pub(super) keyboard: KeyQueue,
    pub(super) inputs: InputQueue,
    pub(super) counters: CountersState,
}

/// [`Counters`] that do not follow from other state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CountersState {
    runs: u64,
    resets: u64,
    unclaimed: u64,
}

/// The state of the board. `$field` are those of [`Board`] that are saved and restored by [`Snapshot`], in the order
/// in which they are restored.
macro_rules! board_state {
    ($($field:ident: $device:ty),* $(,)?) => {
        /// The state of all devices and of what connects them.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub(super) struct BoardState {
            $(pub $field: <$device as Snapshot>::State,)*
            pub com: [UartState; 4],
            pub power_request: Option<PowerRequest>,
            pub signals: Signals,
            pub write_only: Vec<(u64, u8)>,
        }

        impl Board {
            fn save(&self) -> BoardState {
                let Board {
                    $($field,)*
                    com,
                    power_request,
                    signals,
                    write_only,
                    // Saved beside the board.
                    clock: _,
                    unclaimed: _,
                    // Configuration, and what follows from that of PCI.
                    ports: _,
                    memory: _,
                    mapped: _,
                    debug_exit_at: _,
                    frame_buffer: _,
                    // Found out when a run begins.
                    deadline: _,
                    // The embedding program's.
                    hooks: _,
                } = self;
                BoardState {
                    $($field: $field.save(),)*
                    com: com.each_ref().map(Snapshot::save),
                    power_request: *power_request,
                    signals: *signals,
                    write_only: write_only.clone(),
                }
            }

            fn restore(&mut self, state: BoardState) -> Result<(), StateError> {
                let BoardState { $($field,)* com, power_request, signals, write_only } = state;
                if let Some((at, _)) = write_only.iter().find(|(at, _)| *at >= self.memory.ram()) {
                    return Err(StateError::WriteOnly(*at));
                }
                for (uart, state) in self.com.iter_mut().zip(com) {
                    uart.restore(state)?;
                }
                $(self.$field.restore($field)?;)*
                self.power_request = power_request;
                self.signals = signals;
                self.write_only = write_only;
                self.deadline = GuestTime::ZERO;
                self.remap();
                Ok(())
            }
        }
    };
}

board_state! {
    pic: Pic,
    lapic: Lapic,
    ioapic: IoApic,
    pit: Pit,
    rtc: Rtc,
    ps2: Ps2Controller,
    dma: Dma,
    post_code: PostCode,
    ide: Ide,
    floppy: Floppy,
    vga: Vga,
    port92: Port92,
    debug_console: DebugConsole,
    debug_exit: DebugExit,
    fw_cfg: FwCfg,
    pci: Pci,
    power: PowerManagement,
    coprocessor: CoprocessorLatch,
    attached: Attached,
    // Last: devices drive their lines, and the levels are these.
    irqs: IrqBank,
}

/// What becomes of decoded and translated code when a state is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// It is forgotten: memory may have changed anywhere.
    Forget,
    /// It stays; of memory that changed the processor is told.
    Keep,
}

impl Machine {
    /// The state of everything but memory and media, at the instruction boundary where the machine stands.
    pub fn save_state(&self) -> MachineState {
        let Counters { work: _, runs, resets, unclaimed } = self.counters();
        MachineState {
            parts: self.parts(),
            cpu: self.cpu.save(),
            now: self.now(),
            board: self.board.save(),
            keyboard: self.keyboard.clone(),
            inputs: self.inputs.clone(),
            counters: CountersState { runs, resets, unclaimed },
        }
    }

    /// Puts the machine into a saved state, whichever engine it was saved on. Memory and media are not touched, and
    /// must be those of the same moment. An impossible state, or one of a machine with other parts, is refused, and
    /// the machine is then as it was.
    pub fn restore_state(&mut self, state: &MachineState) -> Result<(), StateError> {
        self.must_not_record()?;
        let before = self.save_state();
        self.take_over(state, Code::Forget).inspect_err(|_| {
            self.take_over(&before, Code::Keep).expect("a machine takes the state that it was in");
        })
    }

    /// As [`Machine::restore_state`], but that after an error some parts may have the new state.
    pub(crate) fn take_over(&mut self, state: &MachineState, code: Code) -> Result<(), StateError> {
        let MachineState { parts, cpu, now, board, keyboard, inputs, counters } = state;
        let present = self.parts();
        for (what, (saved, present)) in
            ["bytes of RAM", "bytes of BIOS", "kernels"].into_iter().zip(parts.iter().zip(present))
        {
            if *saved != present {
                return Err(StateError::Parts { what, saved: *saved, present });
            }
        }
        if *now > LATEST {
            return Err(StateError::Time(*now));
        }
        match code {
            Code::Forget => self.cpu.restore(cpu)?,
            Code::Keep => self.cpu.rewind(cpu)?,
        }
        self.board.restore(board.clone())?;
        self.board.clock.set(cpu.retired, *now);
        self.keyboard.clone_from(keyboard);
        self.inputs.clone_from(inputs);
        let CountersState { runs, resets, unclaimed } = *counters;
        self.counters = Counters { runs, resets, ..Counters::default() };
        self.board.unclaimed = unclaimed;
        Ok(())
    }

    /// A recording cannot tell of a restored state.
    pub(super) fn must_not_record(&self) -> Result<(), StateError> {
        if self.is_recording() { Err(StateError::Recording) } else { Ok(()) }
    }

    fn parts(&self) -> [u64; 3] {
        let map = &self.board.memory;
        [map.ram(), map.slab() - map.bios_rom(), u64::from(self.plan.kernel.is_some())]
    }
}

impl MachineState {
    /// Guest time when it was saved.
    pub fn now(&self) -> GuestTime {
        self.now
    }

    /// The processor.
    pub fn cpu(&self) -> &CpuState {
        &self.cpu
    }
}
