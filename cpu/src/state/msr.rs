//! Model-specific registers that hold values; RDMSR and WRMSR are in [`crate::exec::system`].

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

impl Default for Msrs {
    fn default() -> Self {
        Msrs {
            tsc_offset: 0,
            // Enabled, bootstrap processor, at its usual place.
            apic_base: 0xFEE0_0900,
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
