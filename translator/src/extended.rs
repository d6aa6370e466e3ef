//! x87, MMX and SSE state between the processor and the host's registers: who has it, and who may.

use crate::emit::stubs::Stubs;
use crate::host::arena::CodeArena;
use crate::host::context::Context;
use crate::host::extended::ExtendedState;
use iced_x86::{Instruction, Mnemonic, OpKind};
use idem86_cpu::cpu::Cpu;
use idem86_cpu::decode::attrs::{Class, class};
use idem86_cpu::decode::insn::Insn;
use idem86_cpu::softfloat::F80;
use idem86_cpu::state::control::{cr0, cr4};
use idem86_cpu::state::segment::SegReg;
use std::ops::BitOr;

/// The exception masks of MXCSR.
const MXCSR_MASKS: u32 = 0x1F80;
/// The exception masks of the x87 control word.
const CONTROL_MASKS: u16 = 0x3F;

/// What an instruction computes with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// x87 or MMX state.
    pub x87: bool,
    /// XMM registers or MXCSR.
    pub simd: bool,
}

impl Uses {
    /// What `i` uses.
    pub fn of(i: &Instruction) -> Uses {
        let class = class(i);
        let mm = (0..i.op_count()).any(|n| i.op_kind(n) == OpKind::Register && i.op_register(n).is_mm());
        let all = matches!(i.mnemonic(), Mnemonic::Fxsave | Mnemonic::Fxrstor);
        Uses {
            x87: mm || all || matches!(class, Some(Class::X87 | Class::Mmx)),
            simd: matches!(class, Some(Class::Sse | Class::Sse2 | Class::Sse3)),
        }
    }
}

impl Uses {
    /// What of it `other` does not use.
    pub fn without(self, other: Uses) -> Uses {
        Uses { x87: self.x87 && !other.x87, simd: self.simd && !other.simd }
    }
}

impl BitOr for Uses {
    type Output = Uses;
    fn bitor(self, other: Uses) -> Uses {
        Uses { x87: self.x87 | other.x87, simd: self.simd | other.simd }
    }
}

/// What the unit at a site has done of which [`Cpu::x87`](idem86_cpu::cpu::Cpu::x87) does not know yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Last {
    /// The number of the last numeric instruction.
    pub insn: Option<u8>,
    /// The segment of the last memory operand of one; its linear address is in the context.
    pub data: Option<SegReg>,
}

impl Context {
    /// The last numeric instruction and its operand become the processor's: those that units left behind, then those
    /// of the unit at `eip` that runs.
    pub fn tell_last(&mut self, cpu: &mut Cpu, last: Last, insns: &[Insn], eip: u32) {
        let extended = &mut self.extended;
        let code = cpu.seg[SegReg::Cs as usize].selector;
        if extended.last_opcode != 0 {
            cpu.x87.last_ip = (code, extended.last_ip);
            cpu.x87.last_opcode = (extended.last_opcode & !ExtendedState::PENDING) as u16;
            extended.last_opcode = 0;
        }
        if let Some(insn) = last.insn.and_then(|n| insns.get(usize::from(n))) {
            let offset = u32::from(insn.offset) - u32::from(insn.length);
            cpu.x87.last_ip = (code, eip.wrapping_add(offset));
            cpu.x87.last_opcode = insn.imm as u16;
        }
        let pending = (extended.last_segment != 0)
            .then(|| SegReg::from_encoding((extended.last_segment & !ExtendedState::PENDING) as u8))
            .flatten();
        extended.last_segment = 0;
        if let Some(segment) = last.data.or(pending) {
            let segment = &cpu.seg[segment as usize];
            cpu.x87.last_data = (segment.selector, extended.last_linear.wrapping_sub(segment.base as u32));
        }
    }

    /// The processor has executed a numeric instruction with a memory operand in `segment`: as if it had been
    /// translated.
    pub fn hear_data(&mut self, cpu: &Cpu, segment: SegReg) {
        self.extended.last_linear = cpu.x87.last_data.1.wrapping_add(cpu.seg[segment as usize].base as u32);
    }

    /// What is live.
    pub fn live(&self) -> Uses {
        Uses { x87: self.extended.x87_live != 0, simd: self.extended.simd_live != 0 }
    }

    /// Gives `which` back to the processor, as far as it is live. Outside translated code.
    pub fn take(&mut self, which: Uses, cpu: &mut Cpu, arena: &CodeArena, stubs: &Stubs) {
        if which.simd && self.extended.simd_live != 0 {
            self.extended.set_live(self.extended.x87_live != 0, false);
            cpu.simd.mxcsr = self.extended.mxcsr;
            cpu.simd.xmm[..8].copy_from_slice(&self.extended.xmm);
        }
        if which.x87 && self.extended.x87_live != 0 {
            self.save_x87(arena, stubs);
            load_image(cpu, &self.extended.image);
        }
    }

    /// Makes `which` live, and gives whether it is: not where the processor must look at every instruction. Outside
    /// translated code.
    pub fn give(&mut self, which: Uses, cpu: &mut Cpu, arena: &CodeArena, stubs: &Stubs) -> bool {
        self.settle(cpu, arena, stubs);
        let Uses { x87, simd } = allowed(cpu);
        if which.simd && self.extended.simd_live == 0 {
            // With the bits that it does not have.
            let checked = MXCSR_MASKS | !cpu.processor().features().mxcsr();
            if !simd || cpu.simd.mxcsr & checked != MXCSR_MASKS {
                return false;
            }
            self.extended.mxcsr_masks = checked.into();
            self.extended.set_live(self.extended.x87_live != 0, true);
            self.extended.mxcsr = cpu.simd.mxcsr;
            self.extended.xmm.copy_from_slice(&cpu.simd.xmm[..8]);
        }
        if which.x87 && self.extended.x87_live == 0 {
            if !x87 || cpu.x87.control & CONTROL_MASKS != CONTROL_MASKS {
                return false;
            }
            store_image(cpu, &mut self.extended.image);
            self.load_x87(arena, stubs);
        }
        true
    }

    /// Takes what may not be live in the present mode.
    pub fn settle(&mut self, cpu: &mut Cpu, arena: &CodeArena, stubs: &Stubs) {
        let Uses { x87, simd } = allowed(cpu);
        self.take(Uses { x87: !x87, simd: !simd }, cpu, arena, stubs);
    }
}

/// What instructions can use without #UD and #NM. SDM Vol. 3A, "Interrupt 7—Device Not Available Exception (#NM)",
/// "Control Registers".
fn allowed(cpu: &Cpu) -> Uses {
    let x87 = cpu.cr0 & (cr0::EM | cr0::TS) == 0;
    Uses { x87, simd: x87 && cpu.cr4 & cr4::OSFXSR != 0 }
}

/// Where the FXSAVE area has the registers, sixteen bytes each. SDM Vol. 1, "FXSAVE Area".
const REGISTERS: usize = 32;

/// From the FXSAVE area to the processor, without the pointers.
fn load_image(cpu: &mut Cpu, image: &[u8; 512]) {
    let word = |at: usize| u16::from_le_bytes([image[at], image[at + 1]]);
    cpu.x87.set_control(word(0));
    cpu.x87.set_status_word(word(2));
    cpu.x87.valid = image[4];
    for (i, register) in (0..8).zip(image[REGISTERS..].chunks_exact(16)) {
        let bytes = register.first_chunk().expect("ten of sixteen bytes");
        cpu.x87.set_contents(i, F80::from_bytes(*bytes));
    }
}

/// From the processor to the FXSAVE area, without the pointers.
fn store_image(cpu: &Cpu, image: &mut [u8; 512]) {
    image[..2].copy_from_slice(&cpu.x87.control.to_le_bytes());
    image[2..4].copy_from_slice(&cpu.x87.status_word().to_le_bytes());
    image[4] = cpu.x87.valid;
    image[5..24].fill(0);
    for (i, register) in (0..8).zip(image[REGISTERS..].chunks_exact_mut(16)) {
        register[..10].copy_from_slice(&cpu.x87.st(i).to_bytes());
    }
}
