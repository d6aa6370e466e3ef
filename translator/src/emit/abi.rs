//! Which host register holds what while translated code runs.
//!
//! | host | holds |
//! |---|---|
//! | eax, ecx, edx, ebx, ebp, esi, edi | the same of the guest; upper halves zero |
//! | r14d | ESP |
//! | RFLAGS | the guest's arithmetic flags; DF clear |
//! | r8, r9, r10 | scratch: linear address, table entry, ECX on its way |
//! | r11 | the budget, plus [`BUDGET_BIAS`](crate::host::context::BUDGET_BIAS) |
//! | r12 | the context, plus 40: also the count of shifts by 40 |
//! | r13 | the shadow tables, plus 12: also the count of shifts by 12 |
//! | r15 | the window of the view, or without one the mask that extracts a table index |
//! | rsp | the host's stack, a multiple of 16 |
//! | xmm8, xmm9 | scratch |
//! | xmm0 to xmm7, MXCSR; x87 | the guest's, while [`ExtendedState`] says that they are live |
//!
//! Glue between guest instructions leaves RFLAGS alone: it is made of LEA, MOV, SHRX, RORX, PEXT, NOT and JRCXZ.

use crate::host::context::{CONTEXT_BIAS, Context};
use crate::host::extended::ExtendedState;
use iced_x86::Register;
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::SegReg;

/// Displacement of a field of [`Context`] from r12.
pub const fn field(offset: usize) -> i32 {
    offset as i32 - CONTEXT_BIAS
}

/// Displacement of element `n` of an array field.
pub const fn element(offset: usize, n: usize) -> i32 {
    field(offset) + 8 * n as i32
}

/// [`Context::eip`].
pub const EIP: i32 = field(std::mem::offset_of!(Context, eip));
/// [`Context::link`].
pub const LINK: i32 = field(std::mem::offset_of!(Context, link));
/// [`Context::linear`].
pub const LINEAR: i32 = field(std::mem::offset_of!(Context, linear));
/// [`Context::flags`].
pub const FLAGS: i32 = field(std::mem::offset_of!(Context, flags));
/// [`Context::budget`].
pub const BUDGET: i32 = field(std::mem::offset_of!(Context, budget));
/// [`Context::tables`].
pub const TABLES: i32 = field(std::mem::offset_of!(Context, tables));
/// [`Context::memory`].
pub const MEMORY: i32 = field(std::mem::offset_of!(Context, memory));
/// [`Context::index_mask`].
pub const INDEX_MASK: i32 = field(std::mem::offset_of!(Context, index_mask));
/// [`Context::eip_table`].
pub const EIP_TABLE: i32 = field(std::mem::offset_of!(Context, eip_table));
/// [`Context::callout`].
pub const CALLOUT: i32 = field(std::mem::offset_of!(Context, callout));
/// [`Context::system`].
pub const SYSTEM: i32 = field(std::mem::offset_of!(Context, system));
/// [`Context::interrupts`].
pub const INTERRUPTS: i32 = field(std::mem::offset_of!(Context, interrupts));
/// [`Context::quiet`].
pub const QUIET: i32 = field(std::mem::offset_of!(Context, quiet));
/// [`Context::reloaded`].
pub const RELOADED: i32 = field(std::mem::offset_of!(Context, reloaded));
/// [`Context::private`].
pub const PRIVATE: i32 = field(std::mem::offset_of!(Context, private));
/// [`Context::time_rate`].
pub const TIME_RATE: i32 = field(std::mem::offset_of!(Context, time_rate));
/// [`Context::time_origin`].
pub const TIME_ORIGIN: i32 = field(std::mem::offset_of!(Context, time_origin));
/// [`Context::time_work`].
pub const TIME_WORK: i32 = field(std::mem::offset_of!(Context, time_work));
/// [`Context::began`].
pub const BEGAN: i32 = field(std::mem::offset_of!(Context, began));
/// [`Context::spill`].
pub const SPILL: i32 = field(std::mem::offset_of!(Context, spill));

/// Displacement of a field of [`ExtendedState`] from r12.
pub const fn extended(offset: usize) -> i32 {
    field(std::mem::offset_of!(Context, extended) + offset)
}

/// [`ExtendedState::simd_live`].
pub const SIMD_LIVE: i32 = extended(std::mem::offset_of!(ExtendedState, simd_live));
/// [`ExtendedState::x87_live`].
pub const X87_LIVE: i32 = extended(std::mem::offset_of!(ExtendedState, x87_live));
/// [`ExtendedState::mxcsr`].
pub const MXCSR: i32 = extended(std::mem::offset_of!(ExtendedState, mxcsr));
/// [`ExtendedState::host_mxcsr`].
pub const HOST_MXCSR: i32 = extended(std::mem::offset_of!(ExtendedState, host_mxcsr));
/// [`ExtendedState::last_ip`].
pub const LAST_IP: i32 = extended(std::mem::offset_of!(ExtendedState, last_ip));
/// [`ExtendedState::last_opcode`]; behind it is [`ExtendedState::last_segment`].
pub const LAST_OPCODE: i32 = extended(std::mem::offset_of!(ExtendedState, last_opcode));
/// [`ExtendedState::last_segment`].
pub const LAST_SEGMENT: i32 = extended(std::mem::offset_of!(ExtendedState, last_segment));
const _: () = assert!(LAST_SEGMENT == LAST_OPCODE + 4);
/// [`ExtendedState::last_linear`].
pub const LAST_LINEAR: i32 = extended(std::mem::offset_of!(ExtendedState, last_linear));
/// [`ExtendedState::alignment`].
pub const ALIGNMENT: i32 = extended(std::mem::offset_of!(ExtendedState, alignment));
/// [`ExtendedState::x87_masks`].
pub const X87_MASKS: i32 = extended(std::mem::offset_of!(ExtendedState, x87_masks));
/// [`ExtendedState::mxcsr_masks`].
pub const MXCSR_MASKS: i32 = extended(std::mem::offset_of!(ExtendedState, mxcsr_masks));
/// [`ExtendedState::one`].
pub const ONE: i32 = extended(std::mem::offset_of!(ExtendedState, one));

/// Displacement of the base of `segment`.
pub const fn seg_base(segment: SegReg) -> i32 {
    element(std::mem::offset_of!(Context, seg_base), segment as usize)
}

/// Displacement of the element of [`ExtendedState::usable`] for what uses x87 or XMM registers.
pub const fn usable(x87: bool, simd: bool) -> i32 {
    extended(std::mem::offset_of!(ExtendedState, usable)) + 8 * ExtendedState::index(x87, simd) as i32
}

/// Displacement of XMM register `n` in the context.
pub const fn xmm(n: u8) -> i32 {
    extended(std::mem::offset_of!(ExtendedState, xmm)) + 16 * n as i32
}

/// Displacement of guest register `r` in the context.
pub const fn gpr(r: u8) -> i32 {
    element(std::mem::offset_of!(Context, gpr), r as usize)
}

/// The 64-bit host register that holds guest register number `r`.
pub fn host_gpr(r: u8) -> Register {
    if r == gpr::SP { Register::R14 } else { Register::RAX + u32::from(r) }
}

/// The host register of the same width that holds guest register `r`: ESP and SP move, all others stay.
pub fn host_register(r: Register) -> Register {
    match r {
        Register::ESP => Register::R14D,
        Register::SP => Register::R14W,
        other => other,
    }
}
