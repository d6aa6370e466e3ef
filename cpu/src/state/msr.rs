//! Model-specific registers that hold values; RDMSR and WRMSR are in [`crate::exec::system`].

use crate::processor::{Feature, Processor};
use serde::{Deserialize, Serialize};

/// The values of the model-specific registers. SDM Vol. 4, "Architectural MSRs".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Msrs {
    /// Added to the bus's time stamp by RDTSC.
    pub tsc_offset: u64,
    /// IA32_APIC_BASE.
    pub apic_base: u64,
    /// IA32_SYSENTER_CS, _ESP, _EIP.
    pub sysenter: [u64; 3],
    /// IA32_PAT.
    pub pat: u64,
    /// IA32_MTRR_DEF_TYPE.
    pub mtrr_def_type: u64,
    /// IA32_MTRR_PHYSBASE0, PHYSMASK0, PHYSBASE1 and so on.
    pub mtrr_variable: [u64; 16],
    /// FIX64K_00000, FIX16K_80000, FIX16K_A0000, FIX4K_C0000 to FIX4K_F8000.
    pub mtrr_fixed: [u64; 11],
    /// IA32_MISC_ENABLE.
    pub misc_enable: u64,
    /// IA32_MCG_STATUS.
    pub mcg_status: u64,
}

impl Msrs {
    /// As RESET leaves them in `processor`.
    pub(crate) fn reset(processor: Processor) -> Self {
        Msrs {
            tsc_offset: 0,
            // Enabled, bootstrap processor, at its usual place.
            apic_base: if processor.has(Feature::Apic) { 0xFEE0_0900 } else { 0 },
            sysenter: [0; 3],
            pat: 0x0007_0406_0007_0406,
            mtrr_def_type: 0,
            mtrr_variable: [0; 16],
            mtrr_fixed: [0; 11],
            misc_enable: 1,
            mcg_status: 0,
        }
    }
}

/// Which values the registers take; WRMSR raises #GP(0) for others.
pub(crate) mod valid {
    /// Bits 36 to 63: beyond the physical address width.
    const NO_ADDRESS: u64 = !0xF_FFFF_FFFF;
    /// IA32_APIC_BASE: the bootstrap processor.
    pub const BOOTSTRAP: u64 = 1 << 8;

    /// Bootstrap processor, global enable, address.
    pub fn apic_base(v: u64) -> bool {
        v & (NO_ADDRESS | 0x6FF) == 0
    }
    /// A machine check was handled, its address is valid, one is in progress.
    pub fn mcg_status(v: u64) -> bool {
        v & !7 == 0
    }
    /// Fast string operations.
    pub fn misc_enable(v: u64) -> bool {
        v & !1 == 0
    }
    /// Uncacheable, write-combining, write-through, write-protected, write-back.
    fn mtrr_type(t: u8) -> bool {
        matches!(t, 0 | 1 | 4 | 5 | 6)
    }
    /// Bases (even `index`) hold address and type, masks (odd) address and a valid bit.
    pub fn mtrr_variable(index: usize, v: u64) -> bool {
        match index % 2 {
            0 => v & (NO_ADDRESS | 0xF00) == 0 && mtrr_type(v as u8),
            _ => v & (NO_ADDRESS | 0x7FF) == 0,
        }
    }
    /// Eight memory types.
    pub fn mtrr_fixed(v: u64) -> bool {
        v.to_le_bytes().iter().all(|t| mtrr_type(*t))
    }
    /// Eight memory types, of which the PAT has one more: uncached (UC-).
    pub fn pat(v: u64) -> bool {
        v.to_le_bytes().iter().all(|t| mtrr_type(*t) || *t == 7)
    }
    /// MTRRs enabled, fixed ranges enabled, type.
    pub fn mtrr_def_type(v: u64) -> bool {
        v & !0xCFF == 0 && mtrr_type(v as u8)
    }
}

impl Msrs {
    /// Whether WRMSR can have brought the registers to these values.
    pub(crate) fn is_possible(&self, processor: Processor) -> bool {
        let Msrs {
            tsc_offset: _,
            apic_base,
            sysenter,
            pat,
            mtrr_def_type,
            mtrr_variable,
            mtrr_fixed,
            misc_enable,
            mcg_status,
        } = self;
        let apic = match processor.has_apic_base() {
            true => valid::apic_base(*apic_base),
            false => *apic_base == Msrs::reset(processor).apic_base,
        };
        apic && sysenter.iter().all(|v| *v <= u32::MAX as u64)
            && valid::pat(*pat)
            && valid::mtrr_def_type(*mtrr_def_type)
            && mtrr_variable.iter().enumerate().all(|(n, v)| valid::mtrr_variable(n, *v))
            && mtrr_fixed.iter().all(|v| valid::mtrr_fixed(*v))
            && valid::misc_enable(*misc_enable)
            && valid::mcg_status(*mcg_status)
    }
}
