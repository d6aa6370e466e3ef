//! The registers as debuggers know them: one table, in the order of the remote protocol.
//!
//! GDB manual, "Standard Target Features", "i386 Features": the features `core` and `sse`, with exactly these names in
//! exactly this order. What only systems have follows in a feature of our own.

use idem86_cpu::softfloat::F80;
use idem86_cpu::state::control::{cr0, cr4, dr6, dr7};
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::save::CpuState;
use idem86_cpu::state::segment::SegReg;

/// Where in the description a register belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feature {
    Core,
    Sse,
    System,
}

/// A register of a saved processor state.
pub(super) struct Register {
    pub(super) name: &'static str,
    pub(super) bits: u32,
    /// Its type in target descriptions.
    pub(super) kind: &'static str,
    pub(super) feature: Feature,
    get: fn(&CpuState) -> u128,
    /// Writes it; `false` if that cannot be done from outside.
    set: fn(&mut CpuState, u128) -> bool,
}

impl Register {
    /// Bytes in the remote protocol.
    pub(super) fn bytes(&self) -> usize {
        self.bits as usize / 8
    }

    /// Its value, little-endian in the first [`Register::bytes`] bytes.
    pub(super) fn read(&self, state: &CpuState) -> [u8; 16] {
        (self.get)(state).to_le_bytes()
    }

    /// Writes it from little-endian bytes. `false` if it cannot have this value, or cannot be written.
    pub(super) fn write(&self, state: &mut CpuState, bytes: &[u8]) -> bool {
        let mut value = [0; 16];
        let Some(low) = value.get_mut(..bytes.len()) else { return false };
        low.copy_from_slice(bytes);
        bytes.len() == self.bytes() && (self.set)(state, u128::from_le_bytes(value))
    }
}

/// A register that can be looked at only: writing what it holds already is no error.
macro_rules! read_only {
    ($get:expr) => {{
        const GET: fn(&CpuState) -> u128 = $get;
        (GET, |s, v| GET(s) == v)
    }};
}

macro_rules! registers {
    ($($feature:ident { $($name:literal $bits:literal $kind:literal $access:expr;)* })*) => {
        /// All of them. A register's number is its place here.
        pub(super) const REGISTERS: &[Register] = &[$($({
            const ACCESS: (fn(&CpuState) -> u128, fn(&mut CpuState, u128) -> bool) = $access;
            Register {
                name: $name, bits: $bits, kind: $kind, feature: Feature::$feature, get: ACCESS.0, set: ACCESS.1,
            }
        }),*),*];
    };
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
        "eax" 32 "int32" gpr!(0);
        "ecx" 32 "int32" gpr!(1);
        "edx" 32 "int32" gpr!(2);
        "ebx" 32 "int32" gpr!(3);
        "esp" 32 "data_ptr" gpr!(4);
        "ebp" 32 "data_ptr" gpr!(5);
        "esi" 32 "int32" gpr!(6);
        "edi" 32 "int32" gpr!(7);
        "eip" 32 "code_ptr" (|s| s.rip.into(), |s, v| { s.rip = u64::from(v as u32); true });
        "eflags" 32 "i386_eflags" (|s| s.eflags.into(), |s, v| set_eflags(s, v as u32));
        "cs" 32 "int32" selector!(Cs);
        "ss" 32 "int32" selector!(Ss);
        "ds" 32 "int32" selector!(Ds);
        "es" 32 "int32" selector!(Es);
        "fs" 32 "int32" selector!(Fs);
        "gs" 32 "int32" selector!(Gs);
        "st0" 80 "i387_ext" st!(0);
        "st1" 80 "i387_ext" st!(1);
        "st2" 80 "i387_ext" st!(2);
        "st3" 80 "i387_ext" st!(3);
        "st4" 80 "i387_ext" st!(4);
        "st5" 80 "i387_ext" st!(5);
        "st6" 80 "i387_ext" st!(6);
        "st7" 80 "i387_ext" st!(7);
        "fctrl" 32 "int" (|s| s.x87.control.into(), |s, v| { s.x87.set_control(v as u16); true });
        "fstat" 32 "int" (|s| s.x87.status_word().into(), |s, v| { s.x87.set_status_word(v as u16); true });
        "ftag" 32 "int" (|s| s.x87.tag_word().into(), |s, v| { s.x87.set_tag_word(v as u16); true });
        "fiseg" 32 "int" plain!(x87.last_ip.0);
        "fioff" 32 "int" plain!(x87.last_ip.1);
        "foseg" 32 "int" plain!(x87.last_data.0);
        "fooff" 32 "int" plain!(x87.last_data.1);
        "fop" 32 "int" (|s| s.x87.last_opcode.into(), |s, v| { s.x87.last_opcode = v as u16 & 0x7FF; true });
    }
    Sse {
        "xmm0" 128 "vec128" xmm!(0);
        "xmm1" 128 "vec128" xmm!(1);
        "xmm2" 128 "vec128" xmm!(2);
        "xmm3" 128 "vec128" xmm!(3);
        "xmm4" 128 "vec128" xmm!(4);
        "xmm5" 128 "vec128" xmm!(5);
        "xmm6" 128 "vec128" xmm!(6);
        "xmm7" 128 "vec128" xmm!(7);
        "mxcsr" 32 "i386_mxcsr" (|s| s.simd.mxcsr.into(), |s, v| { s.simd.mxcsr = v as u32 & s.processor.features().mxcsr(); true });
    }
    System {
        "cr0" 32 "i386_cr0" (|s| s.cr0.into(), |s, v| set_cr0(s, v as u32));
        "cr2" 32 "data_ptr" (|s| u128::from(s.cr2), |s, v| { s.cr2 = u64::from(v as u32); true });
        "cr3" 32 "data_ptr" (|s| u128::from(s.cr3), |s, v| set_cr3(s, v as u32));
        "cr4" 32 "i386_cr4" (|s| s.cr4.into(), |s, v| set_cr4(s, v as u32));
        "efer" 64 "uint64" read_only!(|s| s.efer.into());
        "dr0" 32 "data_ptr" (|s| u128::from(s.dr[0]), |s, v| { s.dr[0] = u64::from(v as u32); true });
        "dr1" 32 "data_ptr" (|s| u128::from(s.dr[1]), |s, v| { s.dr[1] = u64::from(v as u32); true });
        "dr2" 32 "data_ptr" (|s| u128::from(s.dr[2]), |s, v| { s.dr[2] = u64::from(v as u32); true });
        "dr3" 32 "data_ptr" (|s| u128::from(s.dr[3]), |s, v| { s.dr[3] = u64::from(v as u32); true });
        "dr6" 32 "int32" masked!(dr6, dr6::WRITABLE);
        "dr7" 32 "int32" masked!(dr7, dr7::WRITABLE);
        "es_base" 32 "data_ptr" base!(Es);
        "cs_base" 32 "data_ptr" base!(Cs);
        "ss_base" 32 "data_ptr" base!(Ss);
        "ds_base" 32 "data_ptr" base!(Ds);
        "fs_base" 32 "data_ptr" base!(Fs);
        "gs_base" 32 "data_ptr" base!(Gs);
        "gdtr_base" 32 "data_ptr" read_only!(|s| s.gdtr.base.into());
        "gdtr_limit" 32 "int32" read_only!(|s| s.gdtr.limit.into());
        "idtr_base" 32 "data_ptr" read_only!(|s| s.idtr.base.into());
        "idtr_limit" 32 "int32" read_only!(|s| s.idtr.limit.into());
        "ldtr" 32 "int32" read_only!(|s| s.ldtr.selector.into());
        "tr" 32 "int32" read_only!(|s| s.tr.selector.into());
        "cpl" 32 "int32" read_only!(|s| s.cpl.into());
        "linear_ip" 32 "code_ptr" read_only!(|s| linear_ip(s).into());
    }
}

/// The number of EIP.
pub(super) const EIP: usize = 8;

/// CS base + EIP.
pub(super) fn linear_ip(s: &CpuState) -> u32 {
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

/// Paging and protection are switched by instructions alone.
fn set_cr0(s: &mut CpuState, value: u32) -> bool {
    let changes_mode = (value ^ s.cr0) & (cr0::PE | cr0::PG) != 0;
    if !changes_mode {
        s.cr0 = value & cr0::WRITABLE | cr0::ET;
    }
    !changes_mode
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
        s.cr4 = value & s.processor.features().cr4();
    }
    !changes_mode
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
        for (name, value) in [("cr0", 0x8000_0011u32), ("eflags", bit::VM | 2), ("cs_base", 5), ("cpl", 3)] {
            assert!(!REGISTERS[number(name)].write(&mut state, &value.to_le_bytes()), "{name}");
        }
        assert!(!REGISTERS[0].write(&mut state, &[1, 2]), "too short");
        assert_eq!(state, before);
        state.cr0 |= cr0::PE;
        assert!(!REGISTERS[number("ds")].write(&mut state, &8u32.to_le_bytes()));
    }
}
