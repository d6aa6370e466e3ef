//! Checks before the run that an instruction reaches no memory outside the guest, where no segment limit does.

use crate::host::native::layout::REGION_BYTES;
use crate::host::native::{State, gpr};
use iced_x86::{
    Instruction, InstructionInfoFactory, InstructionInfoOptions, Mnemonic, OpKind, Register, UsedMemory,
};

/// Whether all memory that the instruction may access lies in the region at `linear_base`; segments are flat.
pub fn is_confined(instruction: &Instruction, state: &State, linear_base: u32) -> bool {
    // iced-x86 gives the address without the bit offset.
    let bit_string =
        matches!(instruction.mnemonic(), Mnemonic::Bt | Mnemonic::Bts | Mnemonic::Btr | Mnemonic::Btc)
            && instruction.op1_kind() == OpKind::Register;
    if bit_string && instruction.op0_kind() == OpKind::Memory {
        return false;
    }
    let mut factory = InstructionInfoFactory::new();
    let info = factory.info_options(instruction, InstructionInfoOptions::NO_REGISTER_USAGE);
    let repeats = instruction.is_string_instruction()
        && (instruction.has_rep_prefix() || instruction.has_repne_prefix());
    info.used_memory().iter().all(|memory| {
        let steps = if repeats { i64::from(repetitions(memory, state)) } else { 1 };
        let Some(start) = address(memory, state) else { return false };
        let size = memory.memory_size().size() as i64;
        let down = state.eflags & 1 << 10 != 0 && instruction.is_string_instruction();
        let reach = size * (steps - 1).max(0);
        let (first, last) = if down { (start - reach, start) } else { (start, start + reach) };
        // A count or an index that wraps would end far outside.
        let region = i64::from(linear_base)..=i64::from(linear_base + REGION_BYTES);
        size > 0 && region.contains(&first) && region.contains(&(last + size))
    })
}

fn repetitions(memory: &UsedMemory, state: &State) -> u32 {
    let count = state.gpr[gpr::ECX];
    if memory.base().is_gpr16() { count & 0xFFFF } else { count }
}

fn address(memory: &UsedMemory, state: &State) -> Option<i64> {
    let value = |register: Register, _: usize, _: usize| match register {
        _ if register.is_segment_register() => Some(0),
        Register::AL => Some(u64::from(state.gpr[gpr::EAX] as u8)),
        _ if register.is_gpr16() => Some(u64::from(state.gpr[register.number()] as u16)),
        _ if register.is_gpr32() => Some(u64::from(state.gpr[register.number()])),
        _ => None,
    };
    memory.virtual_address(0, value).map(|address| i64::from(address as u32))
}
