//! What runs code in these tests: the interpreter. The translator's tests run the same with an engine of their own.

#[path = "writes.rs"]
pub mod writes;

use idem86_cpu::bus::{Bus, Work};
use idem86_cpu::cpu::Cpu;
use idem86_cpu::run::Stop;
use std::cell::Cell;
use std::ops::{Deref, DerefMut};

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
    pub fn run(&mut self, cpu: &mut Cpu, ram: &mut Memory, bus: &mut dyn Bus, budget: Work) -> Stop {
        writes::checked(cpu, ram, |cpu, ram| {
            cpu.run(Cell::from_mut(&mut **ram).as_slice_of_cells(), bus, budget)
        })
    }
}

/// Guest RAM of the kind that the engine likes best.
#[derive(Clone, Debug)]
pub struct Memory(Vec<u8>);

impl Memory {
    /// `bytes` bytes, all zero; rounded up to whole pages.
    pub fn new(bytes: usize) -> Self {
        Memory(vec![0; bytes.next_multiple_of(4096)])
    }
}

impl Deref for Memory {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
