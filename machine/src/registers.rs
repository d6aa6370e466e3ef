//! The processor's registers by name: one table, for programs that embed a machine and for debuggers.
//!
//! The table is in the order in which the remote protocol of debuggers numbers registers. GDB manual, "Standard Target
//! Features", "i386 Features": the features `core` and `sse`, with exactly these names in exactly this order. What only
//! systems have follows in a feature of our own.

use crate::input::{Input, InputError};
use crate::machine::Machine;
use idem86_cpu::bus::Work;
use idem86_cpu::softfloat::F80;
use idem86_cpu::state::control::{cr0, cr4, dr6, dr7};
use idem86_cpu::state::eflags::bit;
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
    /// The guest's own instructions would read descriptors or page tables with it, or change the mode: a selector in
    /// protected mode, EFLAGS.VM, CR3 and CR4.PAE under PAE paging.
    #[error("only an instruction of the guest can set {0} so")]
    Instruction(Register),
    /// Time cannot be set.
    #[error("the processor has retired {retired} units of work, not {state}")]
    Work {
        /// By this processor.
        retired: Work,
        /// In the state that it was to take.
        state: Work,
    },
}

/// Where in a debugger's description a register belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feature {
    Core,
    Sse,
    System,
}

/// A register of a saved processor state.
pub(crate) struct Row {
    /// What embedding programs call it.
    register: Option<Register>,
    pub(crate) name: &'static str,
    bits: u32,
    /// Its type in debuggers' descriptions.
    pub(crate) kind: &'static str,
    pub(crate) feature: Feature,
    get: fn(&CpuState) -> u128,
    /// Writes it; `false` if only an instruction can do that.
    set: fn(&mut CpuState, u128) -> bool,
}

impl Row {
    /// Bytes in debuggers' protocol, which knows none shorter than four.
    pub(crate) fn bytes(&self) -> usize {
        self.bits.max(32) as usize / 8
    }

    /// Its value, little-endian in the first [`Row::bytes`] bytes.
    pub(crate) fn read(&self, state: &CpuState) -> [u8; 16] {
        (self.get)(state).to_le_bytes()
    }

    /// Writes it from little-endian bytes. `false` if it cannot have this value, or cannot be written.
    pub(crate) fn write(&self, state: &mut CpuState, bytes: &[u8]) -> bool {
        let mut value = [0; 16];
        let Some(low) = value.get_mut(..bytes.len()) else { return false };
        low.copy_from_slice(bytes);
        let value = u128::from_le_bytes(value);
        let fits = bytes.len() == self.bytes() && value.checked_shr(self.bits).unwrap_or(0) == 0;
        fits && (self.set)(state, value)
    }
}

/// Makes the table, and the registers that have names for embedding programs: those that fit a `u64`.
macro_rules! registers {
    ($($feature:ident {
        $($Register:ident $name:literal $bits:literal $kind:literal $access:expr;)*
        $(- $other_name:literal $other_bits:literal $other_kind:literal $other_access:expr;)*
    })*) => {
        /// A register.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Register {
            $($(#[doc = concat!("`", $name, "`, ", $bits, " bits.")] $Register,)*)*
        }

        impl Register {
            /// All of them.
            pub const ALL: &[Register] = &[$($(Register::$Register,)*)*];

            /// Its name in small letters.
            pub fn name(self) -> &'static str {
                match self { $($(Register::$Register => $name,)*)* }
            }

            /// How many bits it has here.
            pub fn bits(self) -> u32 {
                match self { $($(Register::$Register => $bits,)*)* }
            }
        }

        /// All registers. A register's number is its place here.
        pub(crate) const REGISTERS: &[Row] = &[$(
            $(row!(Some(Register::$Register), $name, $bits, $kind, $feature, $access),)*
            $(row!(None, $other_name, $other_bits, $other_kind, $feature, $other_access),)*
        )*];
    };
}

macro_rules! row {
    ($register:expr, $name:literal, $bits:literal, $kind:literal, $feature:ident, $access:expr) => {{
        const ACCESS: (fn(&CpuState) -> u128, fn(&mut CpuState, u128) -> bool) = $access;
        Row {
            register: $register,
            name: $name,
            bits: $bits,
            kind: $kind,
            feature: Feature::$feature,
            get: ACCESS.0,
            set: ACCESS.1,
        }
    }};
}

/// A register that can be looked at only: writing what it holds already is no error.
macro_rules! read_only {
    ($get:expr) => {{
        const GET: fn(&CpuState) -> u128 = $get;
        (GET, |s, v| GET(s) == v)
    }};
}

macro_rules! gpr {
    ($n:literal) => {
        (
            |s| s.gpr[$n].into(),
            |s, v| {
                s.gpr[$n] = u64::from(v as u32);
                true
            },
        )
    };
}

macro_rules! selector {
    ($r:ident) => {
        (|s| s.seg[SegReg::$r as usize].selector.into(), |s, v| load_selector(s, SegReg::$r, v as u16))
    };
}

macro_rules! st {
    ($n:literal) => {
        (
            |s| {
                let mut bytes = [0; 16];
                bytes[..10].copy_from_slice(&s.x87.st($n).to_bytes());
                u128::from_le_bytes(bytes)
            },
            |s, v| {
                let bytes = v.to_le_bytes();
                s.x87.set_contents($n, F80::from_bytes(std::array::from_fn(|i| bytes[i])));
                true
            },
        )
    };
}

macro_rules! xmm {
    ($n:literal) => {
        (
            |s| u128::from_le_bytes(s.simd.xmm[$n]),
            |s, v| {
                s.simd.xmm[$n] = v.to_le_bytes();
                true
            },
        )
    };
}

/// A field that holds whatever is written to it.
macro_rules! plain {
    ($($field:tt)+) => {
        (|s| u128::from(s.$($field)+), |s, v| {
            s.$($field)+ = v as _;
            true
        })
    };
}

/// A field with fixed bits: those outside `writable` stay.
macro_rules! masked {
    ($field:ident, $writable:expr) => {
        (
            |s| s.$field.into(),
            |s, v| {
                s.$field = v as u32 & $writable | s.$field & !$writable;
                true
            },
        )
    };
}

macro_rules! base {
    ($r:ident) => {
        read_only!(|s| s.seg[SegReg::$r as usize].base.into())
    };
}

registers! {
    Core {
        Eax "eax" 32 "int32" gpr!(0);
        Ecx "ecx" 32 "int32" gpr!(1);
        Edx "edx" 32 "int32" gpr!(2);
        Ebx "ebx" 32 "int32" gpr!(3);
        Esp "esp" 32 "data_ptr" gpr!(4);
        Ebp "ebp" 32 "data_ptr" gpr!(5);
        Esi "esi" 32 "int32" gpr!(6);
        Edi "edi" 32 "int32" gpr!(7);
        Eip "eip" 32 "code_ptr" (|s| s.rip.into(), |s, v| { s.rip = u64::from(v as u32); true });
        Eflags "eflags" 32 "i386_eflags" (|s| s.eflags.into(), |s, v| set_eflags(s, v as u32));
        Cs "cs" 16 "int32" selector!(Cs);
        Ss "ss" 16 "int32" selector!(Ss);
        Ds "ds" 16 "int32" selector!(Ds);
        Es "es" 16 "int32" selector!(Es);
        Fs "fs" 16 "int32" selector!(Fs);
        Gs "gs" 16 "int32" selector!(Gs);
        - "st0" 80 "i387_ext" st!(0);
        - "st1" 80 "i387_ext" st!(1);
        - "st2" 80 "i387_ext" st!(2);
        - "st3" 80 "i387_ext" st!(3);
        - "st4" 80 "i387_ext" st!(4);
        - "st5" 80 "i387_ext" st!(5);
        - "st6" 80 "i387_ext" st!(6);
        - "st7" 80 "i387_ext" st!(7);
        - "fctrl" 32 "int" (|s| s.x87.control.into(), |s, v| { s.x87.set_control(v as u16); true });
        - "fstat" 32 "int" (|s| s.x87.status_word().into(), |s, v| { s.x87.set_status_word(v as u16); true });
        - "ftag" 32 "int" (|s| s.x87.tag_word().into(), |s, v| { s.x87.set_tag_word(v as u16); true });
        - "fiseg" 32 "int" plain!(x87.last_ip.0);
        - "fioff" 32 "int" plain!(x87.last_ip.1);
        - "foseg" 32 "int" plain!(x87.last_data.0);
        - "fooff" 32 "int" plain!(x87.last_data.1);
        - "fop" 32 "int" (|s| s.x87.last_opcode.into(), |s, v| { s.x87.last_opcode = v as u16 & 0x7FF; true });
    }
    Sse {
        - "xmm0" 128 "vec128" xmm!(0);
        - "xmm1" 128 "vec128" xmm!(1);
        - "xmm2" 128 "vec128" xmm!(2);
        - "xmm3" 128 "vec128" xmm!(3);
        - "xmm4" 128 "vec128" xmm!(4);
        - "xmm5" 128 "vec128" xmm!(5);
        - "xmm6" 128 "vec128" xmm!(6);
        - "xmm7" 128 "vec128" xmm!(7);
    }
    Sse {
        Mxcsr "mxcsr" 32 "i386_mxcsr" plain!(simd.mxcsr);
    }
    System {
        Cr0 "cr0" 32 "i386_cr0" (|s| s.cr0.into(), |s, v| set_cr0(s, v as u32));
        Cr2 "cr2" 32 "data_ptr" plain!(cr2);
        Cr3 "cr3" 32 "data_ptr" (|s| u128::from(s.cr3), |s, v| set_cr3(s, v as u32));
        Cr4 "cr4" 32 "i386_cr4" (|s| s.cr4.into(), |s, v| set_cr4(s, v as u32));
        Efer "efer" 64 "uint64" plain!(efer);
        Dr0 "dr0" 32 "data_ptr" plain!(dr[0]);
        Dr1 "dr1" 32 "data_ptr" plain!(dr[1]);
        Dr2 "dr2" 32 "data_ptr" plain!(dr[2]);
        Dr3 "dr3" 32 "data_ptr" plain!(dr[3]);
        Dr6 "dr6" 32 "int32" masked!(dr6, dr6::WRITABLE);
        Dr7 "dr7" 32 "int32" masked!(dr7, dr7::WRITABLE);
        - "es_base" 32 "data_ptr" base!(Es);
        - "cs_base" 32 "data_ptr" base!(Cs);
        - "ss_base" 32 "data_ptr" base!(Ss);
        - "ds_base" 32 "data_ptr" base!(Ds);
        - "fs_base" 32 "data_ptr" base!(Fs);
        - "gs_base" 32 "data_ptr" base!(Gs);
        - "gdtr_base" 32 "data_ptr" read_only!(|s| s.gdtr.base.into());
        - "gdtr_limit" 32 "int32" read_only!(|s| s.gdtr.limit.into());
        - "idtr_base" 32 "data_ptr" read_only!(|s| s.idtr.base.into());
        - "idtr_limit" 32 "int32" read_only!(|s| s.idtr.limit.into());
        - "ldtr" 32 "int32" read_only!(|s| s.ldtr.selector.into());
        - "tr" 32 "int32" read_only!(|s| s.tr.selector.into());
        - "cpl" 32 "int32" read_only!(|s| s.cpl.into());
        - "linear_ip" 32 "code_ptr" read_only!(|s| linear_ip(s).into());
    }
}

/// The number of EIP.
pub(crate) const EIP: usize = 8;

/// CS base + EIP.
pub(crate) fn linear_ip(s: &CpuState) -> u32 {
    (s.seg[SegReg::Cs as usize].base as u32).wrapping_add(s.rip as u32)
}

/// Whether segment registers are loaded from descriptor tables.
fn protected(s: &CpuState) -> bool {
    s.cr0 & cr0::PE != 0 && s.eflags & bit::VM == 0
}

/// Loads a segment register as real and virtual-8086 mode do. In protected mode it would have to be loaded from a
/// descriptor, with all that an instruction checks.
fn load_selector(s: &mut CpuState, r: SegReg, selector: u16) -> bool {
    let is_protected = protected(s);
    let segment = &mut s.seg[r as usize];
    if segment.selector == selector {
        return true;
    }
    if is_protected {
        return false;
    }
    segment.selector = selector;
    segment.base = u64::from(selector) << 4;
    true
}

/// Virtual-8086 mode is entered and left by instructions alone.
fn set_eflags(s: &mut CpuState, value: u32) -> bool {
    let changes_mode = (value ^ s.eflags) & bit::VM != 0;
    if !changes_mode {
        s.eflags = value & bit::DEFINED | bit::ONE;
    }
    !changes_mode
}

/// What is written to reserved bits is ignored, as MOV has it. Switching to PAE paging reads memory.
fn set_cr0(s: &mut CpuState, value: u32) -> bool {
    let reads = !s.cr0 & value & cr0::PG != 0 && s.cr4 & cr4::PAE != 0;
    if !reads {
        s.cr0 = value & cr0::WRITABLE | cr0::ET;
    }
    !reads
}

/// Under PAE paging a load of CR3 reads memory.
fn set_cr3(s: &mut CpuState, value: u32) -> bool {
    let same = s.cr3 == u64::from(value);
    let free = s.cr0 & cr0::PG == 0 || s.cr4 & cr4::PAE == 0;
    if free {
        s.cr3 = value.into();
    }
    same || free
}

fn set_cr4(s: &mut CpuState, value: u32) -> bool {
    let changes_mode = (value ^ s.cr4) & cr4::PAE != 0 && s.cr0 & cr0::PG != 0;
    if !changes_mode {
        s.cr4 = value;
    }
    !changes_mode
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
    fn row(self) -> &'static Row {
        REGISTERS.iter().find(|row| row.register == Some(self)).expect("the table has all of them")
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
        // None of them is wider.
        (register.row().get)(&self.cpu.save()) as u64
    }

    /// Sets a register between two instructions. Bits that depend on each other are checked, so that no processor comes
    /// into a state that none can have: set CR0 and CR4 in an order in which each step is possible.
    pub fn set_register(&mut self, register: Register, value: u64) -> Result<(), RegisterError> {
        match self.is_recording() {
            true => refusal(self.input(Input::Register { register, value })),
            false => self.change_register(register, value),
        }
    }

    /// Puts the processor into `state`, in which it has retired as much work as now: [`idem86_cpu::cpu::Cpu::save`]
    /// with other registers.
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
        let mut state = self.cpu.save();
        if !(register.row().set)(&mut state, value.into()) {
            return Err(RegisterError::Instruction(register));
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use idem86_cpu::cpu::Cpu;

    fn number(name: &str) -> usize {
        REGISTERS.iter().position(|r| r.name == name).expect("a register")
    }

    #[test]
    fn numbers_are_those_of_the_debugger() {
        let numbers = ["eax", "eip", "cs", "st0", "fctrl", "xmm0", "mxcsr", "cr0"].map(number);
        assert_eq!(numbers, [0, EIP, 10, 16, 24, 32, 40, 41]);
    }

    #[test]
    fn what_is_written_is_read_again_and_can_be_restored() {
        let mut cpu = Cpu::new();
        let mut state = cpu.save();
        for r in REGISTERS {
            let before = r.read(&state);
            assert!(r.write(&mut state, &before[..r.bytes()]), "{}: what it holds", r.name);
            assert_eq!(r.read(&state), before, "{}", r.name);
        }
        for (name, value) in [
            ("ebx", 0xDEAD_BEEF_u128),
            ("eip", 0x1234),
            ("ds", 0x4321),
            ("eflags", 0x202),
            ("st3", 0x4000_C000_0000_0000_0001),
            ("fctrl", 0x27F),
            ("xmm5", u128::MAX / 3),
            ("mxcsr", 0x1F80),
            ("cr2", 0xFFFF_F000),
            ("cr3", 0x1000),
            ("dr1", 0x7C00),
        ] {
            let r = &REGISTERS[number(name)];
            assert!(r.write(&mut state, &value.to_le_bytes()[..r.bytes()]), "{name}");
            assert_eq!(u128::from_le_bytes(r.read(&state)), value, "{name}");
        }
        cpu.restore(&state).expect("a possible state");
        assert_eq!(cpu.save(), state);
        assert_eq!(state.seg[SegReg::Ds as usize].base, 0x43210);
    }

    #[test]
    fn what_only_instructions_can_do_is_refused() {
        let mut state = Cpu::new().save();
        let before = state.clone();
        for (name, value) in [("eflags", bit::VM | 2u32), ("cs_base", 5), ("cpl", 3)] {
            assert!(!REGISTERS[number(name)].write(&mut state, &value.to_le_bytes()), "{name}");
        }
        assert!(!REGISTERS[0].write(&mut state, &[1, 2]), "too short");
        assert!(!REGISTERS[number("ds")].write(&mut state, &0x1_0000u32.to_le_bytes()), "too wide");
        assert_eq!(state, before);
        state.cr0 |= cr0::PE;
        assert!(!REGISTERS[number("ds")].write(&mut state, &8u32.to_le_bytes()));
    }
}
