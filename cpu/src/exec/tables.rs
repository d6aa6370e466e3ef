//! Descriptor-table registers and the task register: LGDT, LIDT, SGDT, SIDT, LLDT, SLDT, LTR, STR.
//!
//! SDM Vol. 2, the instructions; Vol. 3A, "Memory-Management Registers".

use super::form::in_memory;
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::{Fault, Outcome};
use crate::event::task::available_tss;
use crate::state::descriptor::{Kind, Selector};
use crate::state::gpr::Word;
use crate::state::segment::{Segment, TableRegister};
use iced_x86::{Code, Instruction, Mnemonic};

const GDT: bool = false;
const IDT: bool = true;
const LDT: bool = false;
const TSS: bool = true;

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    let memory = in_memory(i);
    Some(match i.code() {
        Code::Lgdt_m1632_16 => load_table::<GDT, true>,
        Code::Lgdt_m1632 => load_table::<GDT, false>,
        Code::Lidt_m1632_16 => load_table::<IDT, true>,
        Code::Lidt_m1632 => load_table::<IDT, false>,
        Code::Sgdt_m1632_16 | Code::Sgdt_m1632 => store_table::<GDT>,
        Code::Sidt_m1632_16 | Code::Sidt_m1632 => store_table::<IDT>,
        _ => match (i.mnemonic(), memory) {
            (Mnemonic::Lldt, true) => load_mem::<LDT>,
            (Mnemonic::Lldt, false) => load_reg::<LDT>,
            (Mnemonic::Ltr, true) => load_mem::<TSS>,
            (Mnemonic::Ltr, false) => load_reg::<TSS>,
            (Mnemonic::Sldt, true) => store_mem::<LDT>,
            (Mnemonic::Str, true) => store_mem::<TSS>,
            (Mnemonic::Sldt, false) if i.op0_register().size() == 2 => store_reg::<LDT, u16>,
            (Mnemonic::Sldt, false) => store_reg::<LDT, u32>,
            (Mnemonic::Str, false) if i.op0_register().size() == 2 => store_reg::<TSS, u16>,
            (Mnemonic::Str, false) => store_reg::<TSS, u32>,
            _ => return None,
        },
    })
}

/// The 16-bit form loads a base of 24 bits.
fn load_table<const WHICH: bool, const SHORT: bool>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    cpu.require_cpl0()?;
    let linear = cpu.linear_read(insn.segment, insn.ea(&cpu.gpr), 6)?;
    let limit = cpu.read_linear(biu, linear)?;
    let base: u32 = cpu.read_linear(biu, (linear + 2) & cpu.linear_mask)?;
    let base = if SHORT { base & 0xFF_FFFF } else { base } as u64;
    *table::<WHICH>(cpu) = TableRegister { base, limit };
    Ok(())
}

fn table<const WHICH: bool>(cpu: &mut Cpu) -> &mut TableRegister {
    if WHICH == GDT { &mut cpu.gdtr } else { &mut cpu.idtr }
}

fn store_table<const WHICH: bool>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let TableRegister { base, limit } = *table::<WHICH>(cpu);
    let linear = cpu.linear_write(insn.segment, insn.ea(&cpu.gpr), 6)?;
    cpu.probe_write(biu, linear, 6)?;
    cpu.write_linear(biu, linear, limit)?;
    // Processors since the 80386 store the whole base, whatever the operand size.
    cpu.write_linear(biu, (linear + 2) & cpu.linear_mask, base as u32)
}

fn load_reg<const WHICH: bool>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let selector = cpu.gpr.get(insn.op[0]);
    check_mode(cpu)?;
    cpu.require_cpl0()?;
    load::<WHICH>(cpu, biu, selector)
}

fn load_mem<const WHICH: bool>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    check_mode(cpu)?;
    cpu.require_cpl0()?;
    let selector = cpu.read(biu, insn.segment, insn.ea(&cpu.gpr))?;
    load::<WHICH>(cpu, biu, selector)
}

/// These are not recognized in real-address and virtual-8086 mode.
fn check_mode(cpu: &Cpu) -> Outcome {
    if cpu.protected() { Ok(()) } else { Err(Fault::UD) }
}

fn load<const WHICH: bool>(cpu: &mut Cpu, biu: &mut Biu, selector: u16) -> Outcome {
    let selector = Selector(selector);
    if WHICH == LDT && selector.is_null() {
        cpu.ldtr = Segment::null(selector.0);
        return Ok(());
    }
    if selector.is_local() {
        return Err(Fault::gp(selector.0));
    }
    let mut entry = cpu.need_descriptor(biu, selector, Fault::gp)?;
    if WHICH == TSS {
        entry = available_tss(entry)?;
        cpu.mark_busy(biu, &mut entry, true)?;
        cpu.tr = entry.descriptor.segment(selector.0);
        return Ok(());
    }
    let rights = entry.descriptor.access();
    if rights.describes() != Kind::Ldt {
        return Err(Fault::gp(selector.0));
    }
    if !rights.present() {
        return Err(Fault::np(selector.0));
    }
    cpu.ldtr = entry.descriptor.segment(selector.0);
    Ok(())
}

fn store_reg<const WHICH: bool, T: Word>(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
    check_mode(cpu)?;
    let selector = if WHICH == LDT { cpu.ldtr.selector } else { cpu.tr.selector };
    cpu.gpr.set(insn.op[0], T::from_u64(selector as u64));
    Ok(())
}

fn store_mem<const WHICH: bool>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    check_mode(cpu)?;
    let selector = if WHICH == LDT { cpu.ldtr.selector } else { cpu.tr.selector };
    cpu.write(biu, insn.segment, insn.ea(&cpu.gpr), selector)
}
