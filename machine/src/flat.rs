//! Running a flat image on a bare processor: RAM, a serial port that prints, and a port that ends the run.

use crate::engine::Engine;
use idem86_cpu::cpu::Cpu;
use idem86_cpu::flat::{FlatBus, load};
use idem86_cpu::processor::Processor;
use idem86_cpu::run::Stop;
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::{SegReg, Segment};
use idem86_translator::Ram;
use std::cell::Cell;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Where a boot sector is loaded and entered, in segment 0.
pub const LOAD_ADDRESS: usize = 0x7C00;

/// Work between two looks at the output and the clock.
const SLICE: u64 = 2_000_000;

/// Why a flat image cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum FlatError {
    /// Nothing to run.
    #[error("the image is empty")]
    Empty,
    /// It must lie between the load address and the end of RAM.
    #[error("the image has {image} bytes, but only {room} fit between 7C00h and the end of memory")]
    TooLarge {
        /// Size of the image in bytes.
        image: usize,
        /// Size of the space in bytes.
        room: usize,
    },
    /// The output could not be written, or the host does not give the memory.
    #[error("{0}")]
    Host(#[from] io::Error),
}

/// How a flat run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlatEnd {
    /// The image wrote this to the exit port.
    Exit(u32),
    /// HLT, and nothing can end it.
    Halted,
    /// A triple fault.
    Shutdown,
    /// The time was up.
    Timeout,
}

/// A bare processor with a flat image in its memory.
#[derive(Debug)]
pub struct FlatMachine {
    /// The processor, at the image's first instruction.
    pub cpu: Cpu,
    engine: Engine,
    ram: Ram,
    bus: FlatBus,
}

impl FlatMachine {
    /// Loads `image` at 0000:7C00 of `memory` bytes of RAM, with all segments 0, the stack below the image and
    /// interrupts off. A write to `exit_port` ends the run.
    pub fn new(image: &[u8], processor: Processor, memory: usize, exit_port: u16) -> Result<Self, FlatError> {
        let memory = memory.next_multiple_of(4096);
        let room = memory.saturating_sub(LOAD_ADDRESS);
        if image.is_empty() {
            return Err(FlatError::Empty);
        }
        if image.len() > room {
            return Err(FlatError::TooLarge { image: image.len(), room });
        }
        let mut ram = Ram::new(memory)?;
        load(cells(&mut ram), LOAD_ADDRESS, image);
        let mut cpu = Cpu::with(processor);
        cpu.seg[SegReg::Cs as usize] = Segment::real(0, 0xFFFF, Segment::RESET_DATA);
        cpu.rip = LOAD_ADDRESS as u64;
        cpu.gpr.set(gpr::SP, LOAD_ADDRESS as u16);
        cpu.state_changed();
        let mut bus = FlatBus::new(memory);
        bus.exit_port = exit_port;
        Ok(FlatMachine { cpu, engine: Engine::Interpreter, ram, bus })
    }

    /// Lets `engine` execute the image from now on.
    pub fn set_engine(&mut self, mut engine: Engine) {
        engine.attach(&self.ram);
        self.engine = engine;
    }

    /// Runs until the image ends it or `timeout` of host time has passed. Serial output goes to `out`.
    pub fn run(&mut self, timeout: Option<Duration>, out: &mut dyn Write) -> Result<FlatEnd, FlatError> {
        let start = Instant::now();
        loop {
            let stop = self.engine.run(&mut self.cpu, cells(&mut self.ram), &mut self.bus, SLICE);
            if !self.bus.output.is_empty() {
                out.write_all(&std::mem::take(&mut self.bus.output))?;
                out.flush()?;
            }
            if let Some(value) = self.bus.exit {
                return Ok(FlatEnd::Exit(value));
            }
            match stop {
                Stop::Halted => return Ok(FlatEnd::Halted),
                Stop::Shutdown => return Ok(FlatEnd::Shutdown),
                Stop::Budget
                | Stop::Unit
                | Stop::Pause
                | Stop::Reset
                | Stop::Breakpoint
                | Stop::Watchpoint { .. } => {}
            }
            if timeout.is_some_and(|t| start.elapsed() >= t) {
                return Ok(FlatEnd::Timeout);
            }
        }
    }
}

/// RAM as the processor wants it.
fn cells(ram: &mut [u8]) -> &[Cell<u8>] {
    Cell::from_mut(ram).as_slice_of_cells()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_exits() {
        // mov al,'A'; mov dx,3F8h; out dx,al; mov al,5; out F4h,al
        let image = [0xB0, b'A', 0xBA, 0xF8, 0x03, 0xEE, 0xB0, 5, 0xE6, 0xF4];
        let mut machine = FlatMachine::new(&image, Processor::default(), 1 << 20, 0xF4).unwrap();
        let mut out = Vec::new();
        assert_eq!(machine.run(None, &mut out).unwrap(), FlatEnd::Exit(5));
        assert_eq!(out, b"A");
    }

    #[test]
    fn a_loop_ends_by_the_timeout() {
        let mut machine = FlatMachine::new(&[0xEB, 0xFE], Processor::default(), 1 << 20, 0xF4).unwrap();
        let end = machine.run(Some(Duration::from_millis(1)), &mut io::sink()).unwrap();
        assert_eq!(end, FlatEnd::Timeout);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(matches!(FlatMachine::new(&[], Processor::default(), 1 << 20, 0xF4), Err(FlatError::Empty)));
        assert!(matches!(
            FlatMachine::new(&[0; 5000], Processor::default(), 0x8000, 0xF4),
            Err(FlatError::TooLarge { .. })
        ));
    }
}
