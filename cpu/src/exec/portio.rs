//! IN and OUT.
//!
//! SDM Vol. 1, "I/O Instructions" and "Protected-Mode I/O".

use super::form::operand_size;
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::{Fault, Outcome};
use crate::state::control::dr7;
use crate::state::gpr::{self, Word};
use iced_x86::{Instruction, Mnemonic, OpKind};

/// Where a 32-bit TSS holds the offset of the I/O permission bit map.
pub(crate) const IO_MAP_BASE: u64 = 0x66;

impl Cpu {
    /// Whether the current code may access `size` (1, 2 or 4) ports from `port` on; #GP(0) if not. Every
    /// instruction that reads or writes ports asks before it does, for each iteration. I/O breakpoints are met here.
    ///
    /// SDM Vol. 1, "I/O Privilege Level" and "I/O Permission Bit Map".
    #[inline(always)]
    pub fn check_io(&mut self, biu: &mut Biu, port: u16, size: usize) -> Outcome {
        if !self.real_mode() && (self.v8086() || self.cpl > self.eflags.iopl()) {
            self.check_io_map(biu, port, size)?;
        }
        if self.dr7 & dr7::ANY_ENABLED != 0 {
            self.watch_io(port, size);
        }
        Ok(())
    }

    #[cold]
    fn check_io_map(&mut self, biu: &mut Biu, port: u16, size: usize) -> Outcome {
        if !self.tr.access.is_tss32() || (self.tr.limit as u64) <= IO_MAP_BASE {
            return Err(Fault::GP0);
        }
        let map: u16 = self.read_system(biu, self.tr.base + IO_MAP_BASE)?;
        let at = map as u64 + port as u64 / 8;
        // Two bytes are read always, so that a map which ends with a byte of ones needs no special case.
        if at + 1 > self.tr.limit as u64 {
            return Err(Fault::GP0);
        }
        let bits: u16 = self.read_system(biu, self.tr.base + at)?;
        let wanted = ((1u16 << size) - 1) << (port % 8);
        if bits & wanted != 0 { Err(Fault::GP0) } else { Ok(()) }
    }
}

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    let immediate = (0..2).any(|n| i.op_kind(n) == OpKind::Immediate8);
    let handler: Handler = match (i.mnemonic(), immediate) {
        (Mnemonic::In, true) => match operand_size(i, 0) {
            1 => in_port::<true, u8>,
            2 => in_port::<true, u16>,
            _ => in_port::<true, u32>,
        },
        (Mnemonic::In, false) => match operand_size(i, 0) {
            1 => in_port::<false, u8>,
            2 => in_port::<false, u16>,
            _ => in_port::<false, u32>,
        },
        (Mnemonic::Out, true) => match operand_size(i, 1) {
            1 => out_port::<true, u8>,
            2 => out_port::<true, u16>,
            _ => out_port::<true, u32>,
        },
        (Mnemonic::Out, false) => match operand_size(i, 1) {
            1 => out_port::<false, u8>,
            2 => out_port::<false, u16>,
            _ => out_port::<false, u32>,
        },
        _ => return None,
    };
    Some(handler)
}

#[inline(always)]
fn port<const IMMEDIATE: bool>(cpu: &Cpu, insn: &Insn) -> u16 {
    if IMMEDIATE { insn.imm as u8 as u16 } else { cpu.gpr.get(gpr::DX) }
}

fn in_port<const IMMEDIATE: bool, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let port = port::<IMMEDIATE>(cpu, insn);
    cpu.check_io(biu, port, T::BYTES)?;
    let value = biu.bus.port_in(port, T::BYTES, cpu.now());
    cpu.gpr.set(gpr::AX, T::from_u64(value as u64));
    cpu.sample_pins(biu);
    Ok(())
}

fn out_port<const IMMEDIATE: bool, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let port = port::<IMMEDIATE>(cpu, insn);
    cpu.check_io(biu, port, T::BYTES)?;
    biu.bus.port_out(port, T::BYTES, cpu.gpr.get::<T>(gpr::AX).zx() as u32, cpu.now());
    cpu.sample_pins(biu);
    Ok(())
}
