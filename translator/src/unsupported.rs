//! The engine on hosts whose instruction set is not the guest's: it is not there.

use crate::host::ram::Ram;
use crate::options::{Chaining, Options};
use crate::watched::Watched;
use idem86_cpu::bus::Biu;
use idem86_cpu::cpu::Cpu;
use idem86_cpu::engine::{Engine, Ran};

/// Why the host cannot run translated code.
#[derive(Debug, thiserror::Error)]
pub enum Unsupported {
    /// It is no x86-64.
    #[error("translation needs an x86-64 processor")]
    Host,
}

/// What the translator did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {}

impl std::fmt::Display for Counters {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}

/// An engine that cannot be made.
#[derive(Debug)]
pub enum Translator {}

impl Translator {
    /// Fails.
    pub fn new(_: Options) -> Result<Self, Unsupported> {
        Err(Unsupported::Host)
    }

    /// Tells what the RAM is that will be lent.
    pub fn attach(&mut self, _: &Ram) {
        match *self {}
    }

    /// Does nothing.
    pub fn set_chaining(&mut self, _: Chaining) {
        match *self {}
    }

    /// Does nothing.
    pub fn detach(&mut self) {
        match *self {}
    }

    /// Nothing.
    pub fn listing(&self, _: &[u64], _: &[u8]) -> String {
        match *self {}
    }

    /// Does nothing.
    pub fn watch(&mut self) {
        match *self {}
    }

    /// Nothing.
    pub fn watched(&mut self, _: &[u8]) -> Watched {
        match *self {}
    }

    /// Its settings.
    pub fn options(&self) -> &Options {
        match *self {}
    }

    /// What it did so far.
    pub fn counters(&self) -> Counters {
        match *self {}
    }
}

impl Engine for Translator {
    fn run(&mut self, _: &mut Cpu, _: &mut Biu) -> Ran {
        match *self {}
    }
    fn drop_code(&mut self, _: usize, _: u64) {
        match *self {}
    }
    fn drop_all_code(&mut self) {
        match *self {}
    }
    fn code_on(&self, _: usize) -> Vec<(u64, u64)> {
        match *self {}
    }
}
