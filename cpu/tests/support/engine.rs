//! What runs code in these tests: the interpreter. The translator's tests run the same with an engine of their own.

use idem86_cpu::bus::{Bus, Work};
use idem86_cpu::cpu::Cpu;
use idem86_cpu::run::Stop;
use std::cell::Cell;

/// An engine for one processor.
#[derive(Debug)]
pub struct Engine;

impl Engine {
    /// The engine under test.
    pub fn under_test() -> Self {
        Engine
    }

    /// The interpreter, whatever the engine under test is.
    #[allow(dead_code, reason = "only random programs are compared")]
    pub fn interpreter() -> Self {
        Engine
    }

    /// See [`Cpu::run`].
    pub fn run(&mut self, cpu: &mut Cpu, ram: &[Cell<u8>], bus: &mut dyn Bus, budget: Work) -> Stop {
        cpu.run(ram, bus, budget)
    }
}
