//! Control and debug registers: MOV CR, MOV DR, LMSW, SMSW, CLTS, INVLPG.
//!
//! SDM Vol. 2, the instructions; Vol. 3A, "Control Registers", "Paging-Mode Modifiers", "Operations that Invalidate
//! TLBs and Paging-Structure Caches".

use super::form::in_memory;
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::{Fault, Outcome};
use crate::state::control::{cr0, cr4, dr6, dr7};
use crate::state::gpr::Word;
use iced_x86::{Instruction, Mnemonic, OpKind};

impl Cpu {
    /// Writes CR0 with all that follows: mode, paging, translations. #GP(0) for combinations that cannot be; then
    /// nothing has changed.
    pub fn set_cr0(&mut self, biu: &mut Biu, value: u32) -> Outcome {
        let new = value & cr0::WRITABLE | cr0::ET;
        if new & cr0::PG != 0 && new & cr0::PE == 0 || new & cr0::NW != 0 && new & cr0::CD == 0 {
            return Err(Fault::GP0);
        }
        let changed = self.cr0 ^ new;
        let pae = new & cr0::PG != 0 && self.cr4 & cr4::PAE != 0;
        if pae && changed & (cr0::CD | cr0::NW | cr0::PG) != 0 {
            self.pdpte = self.read_pdptes(biu, self.cr3)?;
        }
        self.cr0 = new;
        if changed & cr0::PE != 0 {
            self.derive_segment_bounds();
        }
        // Without paging, before and after, linear addresses are physical ones, whatever the mode.
        if changed & cr0::PG != 0 || new & cr0::PG != 0 && changed & cr0::WP != 0 {
            self.flush_tlb();
        }
        if changed & cr0::NE != 0 {
            self.drive_ferr(biu);
        }
        // Alignment checking may have begun or ended.
        self.set_cpl(self.cpl);
        self.attend();
        Ok(())
    }

    /// Writes CR3 and forgets the translations that are not global. #GP(0) for page-directory-pointer entries with
    /// reserved bits.
    pub fn set_cr3(&mut self, biu: &mut Biu, value: u32) -> Outcome {
        if self.cr0 & cr0::PG != 0 && self.cr4 & cr4::PAE != 0 {
            self.pdpte = self.read_pdptes(biu, value as u64)?;
        }
        self.cr3 = value as u64;
        self.enter_space(biu);
        Ok(())
    }

    /// Writes CR4; #GP(0) for bits that do not exist, and for page-directory-pointer entries with reserved bits.
    pub fn set_cr4(&mut self, biu: &mut Biu, value: u32) -> Outcome {
        if value & !self.processor.features().cr4() != 0 {
            return Err(Fault::GP0);
        }
        let changed = self.cr4 ^ value;
        if changed & (cr4::PAE | cr4::PGE | cr4::PSE) != 0 {
            if self.cr0 & cr0::PG != 0 && value & cr4::PAE != 0 {
                self.pdpte = self.read_pdptes(biu, self.cr3)?;
            }
            self.flush_tlb();
        }
        self.cr4 = value;
        self.attend();
        Ok(())
    }

    /// #GP(0) unless CPL is 0: the rule of privileged instructions.
    #[inline]
    pub(super) fn require_cpl0(&self) -> Outcome {
        if self.cpl == 0 { Ok(()) } else { Err(Fault::GP0) }
    }
}

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    use Mnemonic::*;
    let register = |n: u32| if i.op_kind(n) == OpKind::Register { Some(i.op_register(n)) } else { None };
    let handler: Handler = match i.mnemonic() {
        Mov => match (register(0), register(1)) {
            (Some(cr), _) if cr.is_cr() => match cr.number() {
                0 => mov_to_cr::<0>,
                2 => mov_to_cr::<2>,
                3 => mov_to_cr::<3>,
                4 => mov_to_cr::<4>,
                _ => return None,
            },
            (_, Some(cr)) if cr.is_cr() => match cr.number() {
                0 => mov_from_cr::<0>,
                2 => mov_from_cr::<2>,
                3 => mov_from_cr::<3>,
                4 => mov_from_cr::<4>,
                _ => return None,
            },
            (Some(dr), _) if dr.is_dr() && dr.number() < 8 => mov_to_dr,
            (_, Some(dr)) if dr.is_dr() && dr.number() < 8 => mov_from_dr,
            _ => return None,
        },
        Lmsw if in_memory(i) => lmsw_mem,
        Lmsw => lmsw_reg,
        Smsw if in_memory(i) => smsw_mem,
        Smsw if i.op0_register().size() == 2 => smsw_reg::<u16>,
        Smsw => smsw_reg::<u32>,
        Clts => clts,
        Invlpg => invlpg,
        _ => return None,
    };
    Some(handler)
}

fn mov_to_cr<const N: u8>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    cpu.require_cpl0()?;
    let value = cpu.gpr.get::<u32>(insn.op[1]);
    match N {
        0 => cpu.set_cr0(biu, value),
        3 => cpu.set_cr3(biu, value),
        4 => cpu.set_cr4(biu, value),
        _ => {
            cpu.cr2 = value as u64;
            Ok(())
        }
    }
}

fn mov_from_cr<const N: u8>(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    cpu.require_cpl0()?;
    let value = match N {
        0 => cpu.cr0,
        3 => cpu.cr3 as u32,
        4 => cpu.cr4,
        _ => cpu.cr2 as u32,
    };
    cpu.gpr.set(insn.op[0], value);
    Ok(())
}

/// What MOV to and from debug register `n` checks. SDM Vol. 2B, "MOV—Move to/from Debug Registers".
fn check_debug_access(cpu: &mut Cpu, n: u8) -> Outcome {
    if matches!(n, 4 | 5) && cpu.cr4 & cr4::DE != 0 {
        return Err(Fault::UD);
    }
    cpu.require_cpl0()?;
    if cpu.dr7 & dr7::GD != 0 {
        cpu.dr6 |= dr6::BD;
        return Err(Fault::DB);
    }
    Ok(())
}

fn mov_to_dr(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    check_debug_access(cpu, insn.op[0])?;
    cpu.set_debug_register(insn.op[0], cpu.gpr.get(insn.op[1]));
    Ok(())
}

fn mov_from_dr(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    check_debug_access(cpu, insn.op[1])?;
    cpu.gpr.set(insn.op[0], cpu.debug_register(insn.op[1]));
    Ok(())
}

fn lmsw_mem(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    cpu.require_cpl0()?;
    let value = cpu.read::<u16>(biu, insn.segment, insn.ea(&cpu.gpr))?;
    lmsw(cpu, biu, value)
}

fn lmsw_reg(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    cpu.require_cpl0()?;
    let value = cpu.gpr.get::<u16>(insn.op[0]);
    lmsw(cpu, biu, value)
}

fn lmsw(cpu: &mut Cpu, biu: &mut Biu, value: u16) -> Outcome {
    // PE can be set, but not cleared.
    let changeable = cr0::MP | cr0::EM | cr0::TS;
    let value = value as u32;
    cpu.set_cr0(biu, cpu.cr0 & !changeable | value & (changeable | cr0::PE))
}

fn smsw_mem(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    cpu.write(biu, insn.segment, insn.ea(&cpu.gpr), cpu.cr0 as u16)
}

fn smsw_reg<T: Word>(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    // The upper half of a 32-bit destination is undefined by the manual; processors store all of CR0.
    cpu.gpr.set(insn.op[0], T::from_u64(cpu.cr0 as u64));
    Ok(())
}

fn clts(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    cpu.require_cpl0()?;
    cpu.cr0 &= !cr0::TS;
    Ok(())
}

fn invlpg(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    cpu.require_cpl0()?;
    // No access is made, so no limit counts.
    let linear = cpu.seg[insn.segment as usize].base.wrapping_add(insn.ea(&cpu.gpr)) & cpu.linear_mask;
    cpu.flush_tlb_page(linear);
    Ok(())
}
