//! Which instructions may run on the host, and how to stop behind them.

use super::confine::is_confined;
use crate::host::native::layout::PAGE_BYTES;
use crate::host::native::{Refused, State};
use iced_x86::{
    Code, CpuidFeature, Decoder, DecoderError, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind,
    Register,
};

/// How a run of one instruction is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A far jump right behind it leads back to the host: no signal if the instruction falls through.
    /// The rest of the page holds `HLT`, which a branch meets at its target.
    FarJump,
    /// TF is set: one trap, or several for the iterations of a string instruction.
    SingleStep {
        /// Whether the instruction traps after each iteration.
        repeats: bool,
    },
}

/// Where an instruction lies.
pub struct Place {
    /// Code size, 16 or 32.
    pub bits: u32,
    /// Offset in the code page.
    pub start: u32,
    /// Linear address of the guest's region, if nothing but checks confines the guest to it.
    pub flat_base: Option<u32>,
}

/// Checks that `code` is one instruction that cannot reach past the guest, and chooses how to stop it.
pub fn screen(code: &[u8], before: &State, place: &Place) -> Result<Stop, Refused> {
    let (bits, room) = (place.bits, (PAGE_BYTES - place.start) as usize);
    let mut decoder = Decoder::with_ip(bits, code, u64::from(before.eip), DecoderOptions::NONE);
    let instruction = decoder.decode();
    if instruction.is_invalid() {
        // The processor either finds it as invalid as the decoder does, meets the end of the page, or has seen
        // more bytes than an instruction may have.
        const LONGEST: usize = 15;
        let cut_short = decoder.last_error() == DecoderError::NoMoreBytes && code.len() < room.min(LONGEST);
        return if cut_short { Err(Refused::Length) } else { Ok(Stop::SingleStep { repeats: false }) };
    }
    if instruction.len() != code.len() {
        return Err(Refused::Length);
    }
    if leaves_the_guest(&instruction) {
        return Err(Refused::Instruction);
    }
    if place.flat_base.is_some_and(|base| !is_confined(&instruction, before, base)) {
        return Err(Refused::Memory);
    }
    let end = code.len() + far_jump_bytes(bits);
    if end <= room && stays_in_sight(&instruction, place, end as u32) {
        return Ok(Stop::FarJump);
    }
    if cannot_be_stepped(&instruction) {
        return Err(Refused::Instruction);
    }
    let repeats = instruction.is_string_instruction()
        && (instruction.has_rep_prefix() || instruction.has_repne_prefix());
    Ok(Stop::SingleStep { repeats })
}

/// Bytes of [`far_jump`].
const fn far_jump_bytes(bits: u32) -> usize {
    if bits == 16 { 8 } else { 7 }
}

/// `jmp far selector:offset` with a 32-bit offset, as machine code; in 32-bit code the first byte is not needed.
pub fn far_jump(bits: u32, selector: u16, offset: u32) -> ([u8; 8], usize) {
    const OPERAND_SIZE: u8 = 0x66;
    const JMP_FAR: u8 = 0xEA;
    let ([a, b, c, d], [e, f]) = (offset.to_le_bytes(), selector.to_le_bytes());
    ([OPERAND_SIZE, JMP_FAR, a, b, c, d, e, f], 8 - far_jump_bytes(bits))
}

/// Instructions that act on more than registers, flags and memory through segments: system calls, and
/// everything that is not known to be harmless.
fn leaves_the_guest(instruction: &Instruction) -> bool {
    const SYSTEM_CALL: u8 = 0x80;
    match instruction.mnemonic() {
        Mnemonic::Int => instruction.immediate8() == SYSTEM_CALL,
        Mnemonic::Syscall | Mnemonic::Sysenter => true,
        _ => !instruction.cpuid_features().iter().all(|&feature| is_harmless(feature)),
    }
}

/// Extensions whose instructions stay within the guest, or fault in user mode.
fn is_harmless(feature: CpuidFeature) -> bool {
    use CpuidFeature::*;
    matches!(
        feature,
        INTEL8086
            | INTEL8086_ONLY
            | INTEL186
            | INTEL286
            | INTEL286_ONLY
            | INTEL386
            | INTEL386_ONLY
            | INTEL486
            | FPU
            | FPU287
            | FPU387
            | CPUID
            | TSC
            | MSR
            | CX8
            | CMOV
            | MMX
            | FXSR
            | SSE
            | SSE2
            | SSE3
            | SSSE3
            | SSE4_1
            | SSE4_2
            | POPCNT
            | CLFSH
            | SEP
            | PAUSE
            | MULTIBYTENOP
            | PREFETCHW
    )
}

/// Whether the instruction continues right behind itself, or at a known place where nothing can happen: where
/// the segment ends, no page is present, or `HLT` is, which it is not in the `taken` bytes from its start on.
fn stays_in_sight(instruction: &Instruction, place: &Place, taken: u32) -> bool {
    match instruction.flow_control() {
        // POPF may set TF, which would trap on the far jump.
        FlowControl::Next => !matches!(instruction.code(), Code::Popfw | Code::Popfd),
        FlowControl::Interrupt | FlowControl::Exception => true,
        FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch | FlowControl::Call => {
            let from_start = (instruction.near_branch_target() as u32).wrapping_sub(instruction.ip32());
            let in_page = place.start.wrapping_add(from_start) < PAGE_BYTES;
            matches!(instruction.op0_kind(), OpKind::NearBranch16 | OpKind::NearBranch32)
                && (from_start == instruction.len() as u32 || from_start >= taken)
                && (in_page || place.flat_base.is_none())
        }
        FlowControl::IndirectBranch
        | FlowControl::IndirectCall
        | FlowControl::Return
        | FlowControl::XbeginXabortXend => false,
    }
}

/// Whether the instruction shows TF, or loses the trap behind it (SDM Vol. 3A, "Masking Exceptions and
/// Interrupts When Switching Stacks").
fn cannot_be_stepped(instruction: &Instruction) -> bool {
    match instruction.mnemonic() {
        Mnemonic::Mov | Mnemonic::Pop => instruction.op0_register() == Register::SS,
        _ => matches!(instruction.code(), Code::Pushfw | Code::Pushfd),
    }
}
