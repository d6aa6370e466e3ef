//! A decoded instruction, laid out for execution.

use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::event::exception::Outcome;
use crate::exec::branch;
use crate::state::gpr::{self, Gpr};
use crate::state::segment::SegReg;
use iced_x86::{Code, Instruction, OpKind, Register};

/// What executes an instruction. It runs with `rip` already behind the block's last instruction, so a handler
/// that ends a block finds the next instruction's address there and may overwrite it. On `Err` the run loop
/// restores `rip` to the instruction and delivers the fault; nothing else may have changed.
pub type Handler = fn(&mut Cpu, &mut Biu<'_>, &Insn) -> Outcome;

/// Repeat and lock prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// None of them.
    None,
    /// F3: REP or REPE.
    Rep,
    /// F2: REPNE.
    Repne,
}

/// A decoded instruction: the handler, and its operands in the form handlers want them.
#[derive(Clone, Copy, Debug)]
pub struct Insn {
    /// Executes it.
    pub handler: Handler,
    /// The last immediate operand, sign-extended where the encoding sign-extends; for relative branches the
    /// displacement from the next instruction; for far branches the offset; for x87 instructions the opcode as
    /// [`crate::exec::x87::opcode`] gives it.
    pub imm: u64,
    /// Displacement of the memory operand, sign-extended; for far branches with an immediate the selector; for
    /// ENTER and EXTRQ-like forms the second immediate.
    pub disp: u64,
    /// Register numbers of the first three operands where they are registers (of whatever file).
    pub op: [u8; 3],
    /// Base register of the memory operand, or [`gpr::ZERO`].
    pub base: u8,
    /// Index register of the memory operand, or [`gpr::ZERO`].
    pub index: u8,
    /// log2 of the scale.
    pub scale: u8,
    /// 64 minus the address size in bits.
    pub address_shift: u8,
    /// Segment of the memory operand, overrides applied.
    pub segment: SegReg,
    /// Repeat prefix.
    pub prefix: Prefix,
    /// Length in bytes, 1 to 15.
    pub length: u8,
    /// From the block's start to the end of this instruction, in bytes.
    pub offset: u16,
    /// What iced-x86 calls it.
    pub code: Code,
}

impl Insn {
    /// The operands of `i`, which was decoded at address 0. The handler is chosen by [`crate::exec::dispatch`].
    pub fn new(i: &Instruction, handler: Handler) -> Self {
        let mut insn = Insn {
            handler,
            imm: 0,
            disp: 0,
            op: [0; 3],
            base: gpr::ZERO,
            index: gpr::ZERO,
            scale: 0,
            address_shift: branch::count_shift(i).unwrap_or(32),
            segment: SegReg::Ds,
            prefix: match () {
                _ if i.has_repne_prefix() => Prefix::Repne,
                _ if i.has_rep_prefix() => Prefix::Rep,
                _ => Prefix::None,
            },
            length: i.len() as u8,
            offset: i.len() as u16,
            code: i.code(),
        };
        let mut immediates = 0;
        for n in 0..i.op_count() {
            match i.op_kind(n) {
                OpKind::Register => {
                    if let Some(slot) = insn.op.get_mut(n as usize) {
                        *slot = register_number(i.op_register(n));
                    }
                }
                OpKind::NearBranch16 => {
                    insn.imm = i.near_branch16().wrapping_sub(i.len() as u16) as i16 as u64;
                }
                OpKind::NearBranch32 => {
                    insn.imm = i.near_branch32().wrapping_sub(i.len() as u32) as i32 as u64;
                }
                OpKind::FarBranch16 => {
                    insn.imm = i.far_branch16() as u64;
                    insn.disp = i.far_branch_selector() as u64;
                }
                OpKind::FarBranch32 => {
                    insn.imm = i.far_branch32() as u64;
                    insn.disp = i.far_branch_selector() as u64;
                }
                OpKind::Memory => {
                    insn.base = base_number(i.memory_base());
                    insn.index = base_number(i.memory_index());
                    insn.scale = i.memory_index_scale().trailing_zeros() as u8;
                    insn.disp = i.memory_displacement64();
                    insn.address_shift = 64 - address_bits(i);
                    insn.segment = segment(i.memory_segment());
                }
                OpKind::MemorySegSI | OpKind::MemoryESDI | OpKind::MemorySegDI => {
                    insn.address_shift = 48;
                    insn.segment = segment(i.memory_segment());
                }
                OpKind::MemorySegESI | OpKind::MemoryESEDI | OpKind::MemorySegEDI => {
                    insn.address_shift = 32;
                    insn.segment = segment(i.memory_segment());
                }
                OpKind::MemorySegRSI | OpKind::MemoryESRDI | OpKind::MemorySegRDI => {
                    insn.address_shift = 0;
                    insn.segment = segment(i.memory_segment());
                }
                _ => {
                    if immediates > 0 {
                        insn.disp = i.immediate(n);
                    } else {
                        insn.imm = i.immediate(n);
                    }
                    immediates += 1;
                }
            }
        }
        insn
    }

    /// The effective address of the memory operand.
    #[inline(always)]
    pub fn ea(&self, gpr: &Gpr) -> u64 {
        let sum =
            gpr.full(self.base).wrapping_add(gpr.full(self.index) << self.scale).wrapping_add(self.disp);
        sum << self.address_shift >> self.address_shift
    }

    /// The mask of the address size: 0xFFFF, 0xFFFF_FFFF or all ones.
    #[inline(always)]
    pub fn address_mask(&self) -> u64 {
        u64::MAX >> self.address_shift
    }
}

/// Bits of the address size of a memory operand.
fn address_bits(i: &Instruction) -> u8 {
    let by_register = |r: Register| (r != Register::None).then(|| (r.size() * 8) as u8);
    by_register(i.memory_base()).or(by_register(i.memory_index())).unwrap_or(match i.memory_displ_size() {
        2 => 16,
        4 => 32,
        _ => 64,
    })
}

fn base_number(r: Register) -> u8 {
    if r == Register::None { gpr::ZERO } else { r.number() as u8 }
}

/// The number of a register in its file; AH, CH, DH and BH become `HIGH_BYTE + 0..=3`.
pub fn register_number(r: Register) -> u8 {
    match r {
        Register::AH | Register::CH | Register::DH | Register::BH => gpr::HIGH_BYTE + (r.number() as u8 - 4),
        _ => r.number() as u8,
    }
}

fn segment(r: Register) -> SegReg {
    SegReg::from_encoding(r.number() as u8).unwrap_or(SegReg::Ds)
}
