//! The registers of the extended state, x87, MMX and SSE: where they are when they are not in the host's.
//!
//! Compiled code for x86-64 computes in XMM registers, under the MXCSR that it was started with, and leaves the x87
//! unit alone. So the guest's XMM registers and MXCSR are in the host's only while translated code runs; the x87 and
//! MMX registers stay there over callouts, until somebody wants to see them.

use super::arena::CodeArena;
use super::context::Context;
use crate::emit::stubs::Stubs;

/// MXCSR after RESET: what compiled code runs under. SDM Vol. 1, "MXCSR Control and Status Register".
const MXCSR_RESET: u32 = 0x1F80;

/// What translated code keeps of the units in memory.
#[repr(C, align(16))]
#[derive(Clone, Copy, Debug)]
pub struct ExtendedState {
    /// The image that FXSAVE and FXRSTOR move x87 and MMX state through.
    pub image: [u8; 512],
    /// XMM0 to XMM7 of the guest outside translated code, while [`ExtendedState::simd_live`].
    pub xmm: [[u8; 16]; 8],
    /// MXCSR of the guest, likewise.
    pub mxcsr: u32,
    /// MXCSR of the host.
    pub host_mxcsr: u32,
    /// 1 while translated code has the guest's XMM registers and MXCSR in the host's; all exceptions are masked then.
    pub simd_live: u32,
    /// 1 while the guest's x87 and MMX registers are in the host's; all exceptions are masked then.
    pub x87_live: u32,
    /// EIP of the last numeric instruction, while [`ExtendedState::last_opcode`] is not zero: CS is the same still.
    pub last_ip: u32,
    /// Its opcode, with [`ExtendedState::PENDING`], or 0.
    pub last_opcode: u32,
    /// Segment of the last memory operand of a numeric instruction, with [`ExtendedState::PENDING`], or 0.
    pub last_segment: u32,
    /// Its linear address.
    pub last_linear: u32,
    /// What is left of the budget of a unit that begins with such instructions, by [`ExtendedState::index`] of what
    /// they use the budget's own bits, or none where that is not live.
    pub usable: [u64; 4],
    /// A constant: the bits of an address that are zero on a 16-byte boundary.
    pub alignment: u64,
    /// A constant: the exception masks of the x87 control word.
    pub x87_masks: u64,
    /// A constant: the exception masks of MXCSR, and the bits that it does not have.
    pub mxcsr_masks: u64,
    /// A constant.
    pub one: u64,
}

impl ExtendedState {
    /// Something was noted that the processor's state does not have yet.
    pub const PENDING: u32 = 1 << 16;

    /// Where [`ExtendedState::usable`] has what uses x87 or XMM registers.
    pub const fn index(x87: bool, simd: bool) -> usize {
        x87 as usize | (simd as usize) << 1
    }

    /// Changes what is live.
    pub fn set_live(&mut self, x87: bool, simd: bool) {
        (self.x87_live, self.simd_live) = (x87.into(), simd.into());
        let live = ExtendedState::index(x87, simd);
        self.usable = std::array::from_fn(|needed| if needed & !live == 0 { !0 << 40 } else { 0 });
    }
}

impl Default for ExtendedState {
    fn default() -> Self {
        ExtendedState {
            image: [0; 512],
            xmm: [[0; 16]; 8],
            mxcsr: MXCSR_RESET,
            host_mxcsr: MXCSR_RESET,
            simd_live: 0,
            x87_live: 0,
            last_ip: 0,
            last_opcode: 0,
            last_segment: 0,
            last_linear: 0,
            usable: [!0 << 40, 0, 0, 0],
            alignment: 15,
            x87_masks: 0x3F,
            mxcsr_masks: !0xFFFF & 0xFFFF_FFFF | u64::from(MXCSR_RESET),
            one: 1,
        }
    }
}

impl Context {
    /// Moves x87 state from the host's registers to the image, and initializes the host's.
    pub fn save_x87(&mut self, arena: &CodeArena, stubs: &Stubs) {
        self.move_x87(arena, stubs.save_x87);
        self.extended.set_live(false, self.extended.simd_live != 0);
    }

    /// Moves x87 state from the image to the host's registers.
    ///
    /// # Panics
    /// If the image has an unmasked exception.
    pub fn load_x87(&mut self, arena: &CodeArena, stubs: &Stubs) {
        assert!(self.extended.image[0] & 0x3F == 0x3F, "an exception of the guest's would be the host's");
        // What FXRSTOR loads besides is the host's.
        self.extended.image[24..28].copy_from_slice(&MXCSR_RESET.to_le_bytes());
        self.move_x87(arena, stubs.load_x87);
        self.extended.set_live(true, self.extended.simd_live != 0);
    }

    fn move_x87(&mut self, arena: &CodeArena, stub: u32) {
        let stub = std::ptr::with_exposed_provenance::<()>((arena.base() + u64::from(stub)) as usize);
        // SAFETY: both stubs have this signature.
        let stub: extern "sysv64" fn(*mut [u8; 512]) = unsafe { std::mem::transmute(stub) };
        stub(&raw mut self.extended.image);
    }
}
