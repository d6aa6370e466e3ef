//! Block discovery: from guest bytes to the instructions of a translation unit.

use crate::key::ModeKey;
use iced_x86::{FlowControl, Instruction, OpKind};
use idem86_cpu::bus::Biu;
use idem86_cpu::cpu::Cpu;
use idem86_cpu::decode::insn::Insn;
use idem86_cpu::decode::{MAX_LENGTH, decode, lay_out};

/// An instruction of a translation unit.
#[derive(Clone, Debug)]
pub struct GuestInsn {
    /// As decoded, at address 0.
    pub instruction: Instruction,
    /// As the interpreter executes it.
    pub insn: Insn,
    /// From the unit's first byte to its own.
    pub offset: u32,
}

impl GuestInsn {
    /// From the unit's first byte to the one behind it.
    pub fn end(&self) -> u32 {
        self.offset + self.instruction.len() as u32
    }

    /// A conditional branch to the first instruction of its unit, which is at `eip`.
    pub fn repeats_unit(&self, eip: u32) -> bool {
        let i = &self.instruction;
        let at = eip.wrapping_add(self.offset);
        let target = match i.op0_kind() {
            OpKind::NearBranch16 => at.wrapping_add(u32::from(i.near_branch16())) & 0xFFFF,
            OpKind::NearBranch32 => at.wrapping_add(i.near_branch32()),
            _ => return false,
        };
        i.is_jcc_short_or_near() && target == eip
    }
}

/// At most `most` instructions from offset `ram` of RAM on, which is at `eip`: as far as they go straight on, lie on
/// one page and within the code segment, and have no execution stop; loops several times over. Empty where the first
/// does not.
pub fn discover(cpu: &Cpu, biu: &Biu, ram: u64, eip: u32, key: ModeKey, most: usize) -> Vec<GuestInsn> {
    let mut unit = Vec::new();
    let on_page = 0x1000 - (ram & 0xFFF) as u32;
    let mut offset = 0;
    while unit.len() < most && offset < on_page && !cpu.splits_code(ram + u64::from(offset)) {
        let mut bytes = [0; MAX_LENGTH];
        let available = (on_page - offset).min(MAX_LENGTH as u32) as usize;
        let bytes = &mut bytes[..available];
        biu.ram_read_bytes(ram + u64::from(offset), bytes);
        let Ok(instruction) = decode(bytes, key.code_size()) else { break };
        // The host may have what the guest's processor lacks.
        if !cpu.processor().executes(&instruction) {
            break;
        }
        let guest = GuestInsn { instruction, insn: lay_out(&instruction, bytes), offset };
        let last = u64::from(eip) + u64::from(guest.end()) - 1;
        if last > u64::from(key.cs_limit) {
            break;
        }
        offset = guest.end();
        unit.push(guest);
        if ends_unit(&instruction) {
            break;
        }
    }
    unroll(&mut unit, eip, most);
    unit
}

/// A loop that is one unit: repeats it, so that the budget is looked at once for several rounds.
fn unroll(unit: &mut Vec<GuestInsn>, eip: u32, most: usize) {
    if !unit.last().is_some_and(|last| last.repeats_unit(eip)) {
        return;
    }
    // FLDCWs that change the rounding are fast where few of them take turns: with copies of it a Zen 5 took up to nine
    // times as long for a loop that converts numbers to integers, depending on where they were.
    if unit.iter().any(|guest| guest.instruction.mnemonic() == iced_x86::Mnemonic::Fldcw) {
        return;
    }
    let body = unit.len();
    for _ in 1..most / body {
        unit.extend_from_within(..body);
    }
}

/// Whether the next instruction is mostly not reached from this one, or in another mode.
fn ends_unit(i: &Instruction) -> bool {
    use iced_x86::Mnemonic::{Hlt, Sysenter, Sysexit};
    match i.flow_control() {
        FlowControl::Next => matches!(i.mnemonic(), Hlt | Sysenter | Sysexit),
        FlowControl::ConditionalBranch => backwards(i),
        _ => true,
    }
}

/// A branch backwards is mostly taken.
fn backwards(i: &Instruction) -> bool {
    match i.op0_kind() {
        OpKind::NearBranch16 => (i.near_branch16() as i16) < i.len() as i16,
        _ => (i.near_branch32() as i32) < i.len() as i32,
    }
}
