//! CLI, STI, PUSHF and POPF, with the rules of I/O privilege and virtual interrupts.
//!
//! SDM Vol. 2, "CLI", "STI", "PUSHF/PUSHFD", "POPF/POPFD"; Vol. 3B, "Protected-Mode Virtual Interrupts".

use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::{Fault, Outcome};
use crate::state::control::cr4;
use crate::state::eflags::bit;
use crate::state::gpr::Word;
use iced_x86::{Instruction, Mnemonic};

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    Some(match i.mnemonic() {
        Mnemonic::Cli => cli,
        Mnemonic::Sti => sti,
        Mnemonic::Pushf => pushf::<u16>,
        Mnemonic::Pushfd => pushf::<u32>,
        Mnemonic::Popf => popf::<u16>,
        Mnemonic::Popfd => popf::<u32>,
        _ => return None,
    })
}

/// Which flag CLI and STI change.
fn interrupt_flag(cpu: &Cpu) -> Outcome<u32> {
    if cpu.real_mode() || cpu.cpl <= cpu.eflags.iopl() {
        return Ok(bit::IF);
    }
    let extension = if cpu.v8086() { cr4::VME } else { cr4::PVI };
    if cpu.cpl == 3 && cpu.cr4 & extension != 0 { Ok(bit::VIF) } else { Err(Fault::GP0) }
}

fn cli(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    let flag = interrupt_flag(cpu)?;
    cpu.eflags.set_system(flag, false);
    Ok(())
}

fn sti(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    let flag = interrupt_flag(cpu)?;
    if flag == bit::VIF && cpu.eflags.has(bit::VIP) {
        return Err(Fault::GP0);
    }
    if flag == bit::IF && !cpu.eflags.has(bit::IF) {
        cpu.interrupt_shadow = true;
        cpu.attention = true;
    }
    cpu.eflags.set_system(flag, true);
    Ok(())
}

/// In virtual-8086 mode with IOPL below 3 only the 16-bit PUSHF and POPF with the extensions on are allowed, and
/// they work on VIF in place of IF. Gives whether that is so.
fn uses_virtual_if<T: Word>(cpu: &Cpu) -> Outcome<bool> {
    if !cpu.v8086() || cpu.eflags.iopl() == 3 {
        return Ok(false);
    }
    if T::BYTES == 2 && cpu.cr4 & cr4::VME != 0 { Ok(true) } else { Err(Fault::GP0) }
}

fn pushf<T: Word>(cpu: &mut Cpu, biu: &mut Biu, _: &Insn) -> Outcome {
    let image = match uses_virtual_if::<T>(cpu)? {
        true => cpu.virtual_flags_image(),
        false => cpu.eflags.bits() & !(bit::VM | bit::RF),
    };
    cpu.push(biu, T::from_u64(image as u64))
}

fn popf<T: Word>(cpu: &mut Cpu, biu: &mut Biu, _: &Insn) -> Outcome {
    let always = bit::ARITHMETIC | bit::TF | bit::DF | bit::NT;
    if uses_virtual_if::<T>(cpu)? {
        let popped = cpu.peek::<T>(biu, 0)?.zx() as u32;
        let image = cpu.virtual_flags_to_load(popped)?;
        cpu.release_stack(T::BYTES as u64);
        cpu.merge_flags(image, always | bit::VIF);
        return Ok(());
    }
    let image = cpu.pop::<T>(biu)?.zx() as u32;
    let mut mask = always;
    if T::BYTES == 4 {
        mask |= bit::AC | bit::ID;
    }
    if cpu.cpl <= cpu.eflags.iopl() {
        mask |= bit::IF;
    }
    if cpu.cpl == 0 {
        mask |= bit::IOPL;
    }
    cpu.merge_flags(image, mask);
    Ok(())
}
