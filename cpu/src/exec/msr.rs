//! Model-specific registers: RDMSR and WRMSR.
//!
//! SDM Vol. 4, "Architectural MSRs"; Vol. 3A, "Memory Type Range Registers (MTRRs)", "Page Attribute Table (PAT)".

use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::{Fault, Outcome};
use crate::processor::{Feature, Model};
use crate::state::control::{cr0, cr4, efer};
use crate::state::gpr;
use crate::state::msr::valid;
use iced_x86::{Instruction, Mnemonic};

/// The numbers of the registers that exist.
mod number {
    pub const P5_MC_ADDR: u32 = 0;
    pub const P5_MC_TYPE: u32 = 1;
    pub const TIME_STAMP_COUNTER: u32 = 0x10;
    pub const PLATFORM_ID: u32 = 0x17;
    pub const APIC_BASE: u32 = 0x1B;
    pub const BIOS_UPDT_TRIG: u32 = 0x79;
    pub const BIOS_SIGN_ID: u32 = 0x8B;
    pub const MTRRCAP: u32 = 0xFE;
    pub const SYSENTER_CS: u32 = 0x174;
    pub const SYSENTER_EIP: u32 = 0x176;
    pub const MCG_CAP: u32 = 0x179;
    pub const MCG_STATUS: u32 = 0x17A;
    pub const MISC_ENABLE: u32 = 0x1A0;
    pub const MTRR_PHYSBASE0: u32 = 0x200;
    pub const MTRR_PHYSMASK7: u32 = 0x20F;
    pub const MTRR_FIX64K_00000: u32 = 0x250;
    pub const MTRR_FIX16K_80000: u32 = 0x258;
    pub const MTRR_FIX16K_A0000: u32 = 0x259;
    pub const MTRR_FIX4K_C0000: u32 = 0x268;
    pub const MTRR_FIX4K_F8000: u32 = 0x26F;
    pub const PAT: u32 = 0x277;
    pub const MTRR_DEF_TYPE: u32 = 0x2FF;
    pub const EFER: u32 = 0xC000_0080;
}

/// Eight variable ranges, fixed ranges, write-combining.
const MTRRCAP_VALUE: u64 = 0x508;

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    Some(match i.mnemonic() {
        Mnemonic::Rdmsr => rdmsr,
        Mnemonic::Wrmsr => wrmsr,
        _ => return None,
    })
}

fn rdmsr(cpu: &mut Cpu, biu: &mut Biu, _: &Insn) -> Outcome {
    cpu.require_cpl0()?;
    let value = cpu.read_msr(biu, cpu.gpr.get(gpr::CX))?;
    cpu.gpr.set(gpr::AX, value as u32);
    cpu.gpr.set(gpr::DX, (value >> 32) as u32);
    Ok(())
}

fn wrmsr(cpu: &mut Cpu, biu: &mut Biu, _: &Insn) -> Outcome {
    cpu.require_cpl0()?;
    let value = (cpu.gpr.get::<u32>(gpr::DX) as u64) << 32 | cpu.gpr.get::<u32>(gpr::AX) as u64;
    cpu.write_msr(biu, cpu.gpr.get(gpr::CX), value)
}

/// The index of a fixed-range register.
fn fixed_range(n: u32) -> Option<usize> {
    match n {
        number::MTRR_FIX64K_00000 => Some(0),
        number::MTRR_FIX16K_80000 => Some(1),
        number::MTRR_FIX16K_A0000 => Some(2),
        number::MTRR_FIX4K_C0000..=number::MTRR_FIX4K_F8000 => {
            Some((n - number::MTRR_FIX4K_C0000) as usize + 3)
        }
        _ => None,
    }
}

fn check(valid: bool) -> Outcome {
    if valid { Ok(()) } else { Err(Fault::GP0) }
}

impl Cpu {
    /// The time-stamp counter.
    pub(super) fn time_stamp(&mut self, biu: &mut Biu) -> u64 {
        let now = self.now();
        biu.bus.time_stamp(now).wrapping_add(self.msr.tsc_offset)
    }

    /// Whether a register of that number is there, as far as the processor's model and features decide that.
    fn has_msr(&self, n: u32) -> bool {
        let (has, family) = (|feature| self.processor.has(feature), self.processor.model().family());
        match n {
            number::P5_MC_ADDR | number::P5_MC_TYPE => family == 5 && has(Feature::Mce),
            number::TIME_STAMP_COUNTER => has(Feature::Tsc),
            number::PLATFORM_ID | number::BIOS_UPDT_TRIG | number::BIOS_SIGN_ID => family >= 6,
            number::APIC_BASE => self.processor.has_apic_base(),
            number::SYSENTER_CS..=number::SYSENTER_EIP => has(Feature::Sep),
            number::MCG_CAP | number::MCG_STATUS => has(Feature::Mca),
            number::MISC_ENABLE => self.processor.model() == Model::Max,
            number::PAT => has(Feature::Pat),
            number::EFER => has(Feature::Nx),
            _ => has(Feature::Mtrr),
        }
    }

    /// Reads a model-specific register; #GP(0) if there is none of that number.
    pub fn read_msr(&mut self, biu: &mut Biu, n: u32) -> Outcome<u64> {
        check(self.has_msr(n))?;
        let m = &self.msr;
        Ok(match n {
            number::TIME_STAMP_COUNTER => self.time_stamp(biu),
            // No machine check happens. Pentium Family Developer's Manual Vol. 3, "Machine Check Exception".
            number::P5_MC_ADDR | number::P5_MC_TYPE => 0,
            // Platform 0, and no microcode update was loaded.
            number::PLATFORM_ID | number::BIOS_SIGN_ID => 0,
            number::APIC_BASE => m.apic_base,
            number::MTRRCAP => MTRRCAP_VALUE,
            number::SYSENTER_CS..=number::SYSENTER_EIP => m.sysenter[(n - number::SYSENTER_CS) as usize],
            // There are no banks of error-reporting registers.
            number::MCG_CAP => 0,
            number::MCG_STATUS => m.mcg_status,
            number::MISC_ENABLE => m.misc_enable,
            number::MTRR_PHYSBASE0..=number::MTRR_PHYSMASK7 => {
                m.mtrr_variable[(n - number::MTRR_PHYSBASE0) as usize]
            }
            number::PAT => m.pat,
            number::MTRR_DEF_TYPE => m.mtrr_def_type,
            number::EFER => self.efer,
            _ => m.mtrr_fixed[fixed_range(n).ok_or(Fault::GP0)?],
        })
    }

    /// Writes a model-specific register; #GP(0) if there is none of that number, if it is read-only, or if the
    /// value has reserved bits or memory types set.
    pub fn write_msr(&mut self, biu: &mut Biu, n: u32, value: u64) -> Outcome {
        check(self.has_msr(n))?;
        match n {
            number::TIME_STAMP_COUNTER => {
                // The P6 family clears the upper half.
                let now = self.now();
                self.msr.tsc_offset = (value & 0xFFFF_FFFF).wrapping_sub(biu.bus.time_stamp(now));
            }
            number::APIC_BASE => {
                check(valid::apic_base(value))?;
                // Whether this is the bootstrap processor is not for software to say.
                let value = value & !valid::BOOTSTRAP | self.msr.apic_base & valid::BOOTSTRAP;
                check(biu.bus.write_apic_base(value))?;
                self.msr.apic_base = value;
                self.sample_pins(biu);
            }
            // A microcode update is looked at and refused, as one for another processor is; reading the signature
            // back tells. Software clears the signature before.
            number::BIOS_UPDT_TRIG | number::BIOS_SIGN_ID => {}
            number::SYSENTER_CS..=number::SYSENTER_EIP => {
                self.msr.sysenter[(n - number::SYSENTER_CS) as usize] = value & 0xFFFF_FFFF;
            }
            number::MCG_STATUS => {
                check(valid::mcg_status(value))?;
                self.msr.mcg_status = value;
            }
            number::MISC_ENABLE => {
                check(valid::misc_enable(value))?;
                self.msr.misc_enable = value;
            }
            number::MTRR_PHYSBASE0..=number::MTRR_PHYSMASK7 => {
                let index = (n - number::MTRR_PHYSBASE0) as usize;
                check(valid::mtrr_variable(index, value))?;
                self.msr.mtrr_variable[index] = value;
            }
            number::PAT => {
                check(valid::pat(value))?;
                self.msr.pat = value;
            }
            number::MTRR_DEF_TYPE => {
                check(valid::mtrr_def_type(value))?;
                self.msr.mtrr_def_type = value;
            }
            number::EFER => {
                check(value & !self.processor.features().efer() == 0)?;
                let paged = self.cr0 & cr0::PG != 0 && self.cr4 & cr4::PAE != 0;
                if (value ^ self.efer) & efer::NXE != 0 && paged {
                    self.flush_tlb();
                }
                self.efer = value;
            }
            _ => {
                let index = fixed_range(n).ok_or(Fault::GP0)?;
                check(valid::mtrr_fixed(value))?;
                self.msr.mtrr_fixed[index] = value;
            }
        }
        Ok(())
    }
}
