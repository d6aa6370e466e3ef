//! The processor's registers by name.

use crate::input::{Input, InputError};
use crate::machine::Machine;
use idem86_cpu::bus::Work;
use idem86_cpu::state::save::{CpuState, RestoreError};
use idem86_cpu::state::segment::{SegReg, Segment};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Why a register cannot be set. It is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// The processor cannot have this value there.
    #[error(transparent)]
    Impossible(#[from] RestoreError),
    /// The register has fewer bits.
    #[error("{0} has no room for {1:#x}")]
    TooWide(Register, u64),
    /// A selector means a descriptor in protected mode, which only the guest can load.
    #[error("{0} cannot be set in protected mode")]
    Protected(Register),
    /// Time cannot be set.
    #[error("the processor has retired {retired} units of work, not {state}")]
    Work {
        /// By this processor.
        retired: Work,
        /// In the state that it was to take.
        state: Work,
    },
}

macro_rules! registers {
    ($($name:ident $text:literal $bits:literal,)*) => {
        /// A register.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Register {
            $(#[doc = concat!("`", $text, "`, ", $bits, " bits.")] $name,)*
        }

        impl Register {
            /// All of them.
            pub const ALL: &[Register] = &[$(Register::$name),*];

            /// Its name in small letters.
            pub fn name(self) -> &'static str {
                match self { $(Register::$name => $text,)* }
            }

            /// How many bits it has here.
            pub fn bits(self) -> u32 {
                match self { $(Register::$name => $bits,)* }
            }
        }
    };
}

registers! {
    Eax "eax" 32, Ecx "ecx" 32, Edx "edx" 32, Ebx "ebx" 32, Esp "esp" 32, Ebp "ebp" 32, Esi "esi" 32, Edi "edi" 32,
    Eip "eip" 32, Eflags "eflags" 32,
    Es "es" 16, Cs "cs" 16, Ss "ss" 16, Ds "ds" 16, Fs "fs" 16, Gs "gs" 16,
    Cr0 "cr0" 32, Cr2 "cr2" 32, Cr3 "cr3" 32, Cr4 "cr4" 32, Efer "efer" 64,
    Dr0 "dr0" 32, Dr1 "dr1" 32, Dr2 "dr2" 32, Dr3 "dr3" 32, Dr6 "dr6" 32, Dr7 "dr7" 32,
    Mxcsr "mxcsr" 32,
}

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No register has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no register is called {0:?}")]
pub struct NoSuchRegister(String);

impl FromStr for Register {
    type Err = NoSuchRegister;

    fn from_str(name: &str) -> Result<Self, NoSuchRegister> {
        let found = Register::ALL.iter().find(|r| r.name().eq_ignore_ascii_case(name));
        found.copied().ok_or_else(|| NoSuchRegister(name.into()))
    }
}

impl Register {
    /// The number of a general register, segment register, or debug register.
    fn number(self, first: Register) -> usize {
        self as usize - first as usize
    }

    fn segment(self) -> SegReg {
        SegReg::ALL[self.number(Register::Es)]
    }

    fn read(self, cpu: &CpuState) -> u64 {
        use Register::*;
        match self {
            Eax | Ecx | Edx | Ebx | Esp | Ebp | Esi | Edi => cpu.gpr[self.number(Eax)],
            Eip => cpu.rip,
            Eflags => cpu.eflags.into(),
            Es | Cs | Ss | Ds | Fs | Gs => cpu.seg[self.segment() as usize].selector.into(),
            Cr0 => cpu.cr0.into(),
            Cr2 => cpu.cr2,
            Cr3 => cpu.cr3,
            Cr4 => cpu.cr4.into(),
            Efer => cpu.efer,
            Dr0 | Dr1 | Dr2 | Dr3 => cpu.dr[self.number(Dr0)],
            Dr6 => cpu.dr6.into(),
            Dr7 => cpu.dr7.into(),
            Mxcsr => cpu.simd.mxcsr.into(),
        }
    }

    fn write(self, cpu: &mut CpuState, value: u64) {
        use Register::*;
        let word = value as u32;
        match self {
            Eax | Ecx | Edx | Ebx | Esp | Ebp | Esi | Edi => cpu.gpr[self.number(Eax)] = value,
            Eip => cpu.rip = value,
            Eflags => cpu.eflags = word,
            // As a load in real mode does: the limit stays, and the attributes with it.
            Es | Cs | Ss | Ds | Fs | Gs => {
                let segment = &mut cpu.seg[self.segment() as usize];
                (segment.selector, segment.base) = (value as u16, value << 4);
            }
            Cr0 => cpu.cr0 = word,
            Cr2 => cpu.cr2 = value,
            Cr3 => cpu.cr3 = value,
            Cr4 => cpu.cr4 = word,
            Efer => cpu.efer = value,
            Dr0 | Dr1 | Dr2 | Dr3 => cpu.dr[self.number(Dr0)] = value,
            Dr6 => cpu.dr6 = word,
            Dr7 => cpu.dr7 = word,
            Mxcsr => cpu.simd.mxcsr = word,
        }
    }
}

/// Why registers were not changed by an input that does nothing else.
fn refusal(given: Result<(), InputError>) -> Result<(), RegisterError> {
    given.map_err(|error| match error {
        InputError::Register(error) => error,
        other => unreachable!("an input for registers: {other}"),
    })
}

impl Machine {
    /// A register's value.
    pub fn register(&self, register: Register) -> u64 {
        register.read(&self.cpu.save())
    }

    /// Sets a register between two instructions. Bits that depend on each other are checked, so that no processor comes
    /// into a state that none can have: set CR0 and CR4 in an order in which each step is possible.
    pub fn set_register(&mut self, register: Register, value: u64) -> Result<(), RegisterError> {
        match self.is_recording() {
            true => refusal(self.input(Input::Register { register, value })),
            false => self.change_register(register, value),
        }
    }

    /// Puts the processor into `state`, in which it has retired as much work as now: [`idem86_cpu::cpu::Cpu::save`] with
    /// other registers.
    pub fn set_processor(&mut self, state: CpuState) -> Result<(), RegisterError> {
        match self.is_recording() {
            true => refusal(self.input(Input::Processor(Box::new(state)))),
            false => self.change_processor(&state),
        }
    }

    /// See [`Machine::set_processor`].
    pub(crate) fn change_processor(&mut self, state: &CpuState) -> Result<(), RegisterError> {
        if state.retired != self.cpu.work() {
            return Err(RegisterError::Work { retired: self.cpu.work(), state: state.retired });
        }
        Ok(self.cpu.restore(state)?)
    }

    /// See [`Machine::set_register`].
    pub(crate) fn change_register(&mut self, register: Register, value: u64) -> Result<(), RegisterError> {
        if register.bits() < 64 && value >> register.bits() != 0 {
            return Err(RegisterError::TooWide(register, value));
        }
        let is_segment = (Register::Es as usize..=Register::Gs as usize).contains(&(register as usize));
        if is_segment && self.cpu.protected() {
            return Err(RegisterError::Protected(register));
        }
        let mut state = self.cpu.save();
        register.write(&mut state, value);
        Ok(self.cpu.restore(&state)?)
    }

    /// A segment register with what its descriptor said: base, limit and access rights.
    pub fn segment(&self, register: SegReg) -> Segment {
        self.cpu.seg[register as usize]
    }

    /// XMM register `n`, 0 to 7, lowest byte first.
    ///
    /// # Panics
    /// If there is none.
    pub fn xmm(&self, n: usize) -> [u8; 16] {
        assert!(n < 8, "there are eight XMM registers");
        self.cpu.simd.xmm[n]
    }

    /// x87 register ST(`n`), 0 to 7, in the 80-bit format, lowest byte first; `None` if it is empty.
    ///
    /// # Panics
    /// If there is none.
    pub fn st(&self, n: u8) -> Option<[u8; 10]> {
        assert!(n < 8, "there are eight x87 registers");
        let (x87, at) = (&self.cpu.x87, self.cpu.x87.physical(n));
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&x87.significand[at].to_le_bytes());
        bytes[8..].copy_from_slice(&x87.sign_exponent[at].to_le_bytes());
        (!x87.is_empty(n)).then_some(bytes)
    }
}
