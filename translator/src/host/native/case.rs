//! What goes into a native run and what comes out of it.

use super::layout::WINDOW_BYTES;
use std::fmt;

/// Indices of [`State::gpr`], in the order of the instruction encoding.
pub mod gpr {
    #![allow(missing_docs)]
    pub const EAX: usize = 0;
    pub const ECX: usize = 1;
    pub const EDX: usize = 2;
    pub const EBX: usize = 3;
    pub const ESP: usize = 4;
    pub const EBP: usize = 5;
    pub const ESI: usize = 6;
    pub const EDI: usize = 7;
}

/// Indices of [`State::selectors`], in the order of the instruction encoding.
pub mod sreg {
    #![allow(missing_docs)]
    pub const ES: usize = 0;
    pub const CS: usize = 1;
    pub const SS: usize = 2;
    pub const DS: usize = 3;
    pub const FS: usize = 4;
    pub const GS: usize = 5;
}

/// EFLAGS bits that a case may choose: status flags, DF and AC. IF is set, all others are clear.
pub const EFLAGS_IN: u32 = 0x4_0CD5;

/// EFLAGS bits that an outcome shows: besides [`EFLAGS_IN`] and [`EFLAGS_FIXED`] NT and ID, which an
/// instruction may set. TF and RF are left out: the way of stopping and the exception have set them.
pub const EFLAGS_OUT: u32 = EFLAGS_IN | EFLAGS_FIXED | 0x20_4000;

/// EFLAGS bits that are set in every case: bit 1, and IF.
pub const EFLAGS_FIXED: u32 = 0x202;

/// MXCSR bits that exist on every processor with SSE2 (SDM Vol. 1, "MXCSR Control and Status Register").
pub const MXCSR_MASK: u32 = 0xFFFF;

/// x87, MMX and SSE state in the 512-byte layout of `FXSAVE`
/// (SDM Vol. 1, "FXSAVE Area", the non-64-bit-mode layout).
///
/// XMM8 to XMM15 and everything behind them are zero: 32-bit code does not see them. FOP, FIP and FDP count only
/// while FSW.ES is set, and the selectors FCS and FDS never: a processor, or its kernel on the way, may drop them.
#[derive(Clone, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct FxImage(pub [u8; 512]);

impl FxImage {
    /// First byte that 32-bit code does not see.
    pub const VISIBLE_BYTES: usize = 288;

    /// The state after `FNINIT` with MXCSR at its reset value, all registers zero.
    pub fn new() -> Self {
        let mut image = Self([0; 512]);
        image.set_u16(0, 0x037F);
        image.set_mxcsr(0x1F80);
        image
    }

    /// Two bytes at `offset`, for FCW (0), FSW (2), FTW (4) and FOP (6).
    pub fn u16_at(&self, offset: usize) -> u16 {
        u16::from_le_bytes([self.0[offset], self.0[offset + 1]])
    }

    /// Four bytes at `offset`, for FIP (8) and FDP (16).
    pub fn u32_at(&self, offset: usize) -> u32 {
        u32::from(self.u16_at(offset)) | u32::from(self.u16_at(offset + 2)) << 16
    }

    /// Clears what does not count: see [`FxImage`].
    pub fn normalize(&mut self) {
        const ES: u16 = 1 << 7;
        if self.fsw() & ES == 0 {
            self.0[6..12].fill(0);
            self.0[16..20].fill(0);
        }
        self.0[12..16].fill(0);
        self.0[20..24].fill(0);
        self.0[Self::VISIBLE_BYTES..].fill(0);
    }

    /// Stores two bytes at `offset`.
    pub fn set_u16(&mut self, offset: usize, value: u16) {
        self.0[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
    }

    /// The x87 control word.
    pub fn fcw(&self) -> u16 {
        self.u16_at(0)
    }

    /// The x87 status word.
    pub fn fsw(&self) -> u16 {
        self.u16_at(2)
    }

    /// MXCSR.
    pub fn mxcsr(&self) -> u32 {
        self.u32_at(24)
    }

    /// Stores MXCSR.
    pub fn set_mxcsr(&mut self, value: u32) {
        self.0[24..28].copy_from_slice(&value.to_le_bytes());
    }

    /// ST(`i`), which is also where MM registers live: ten bytes, `i` in `0..8`.
    pub fn st(&self, i: usize) -> [u8; 10] {
        std::array::from_fn(|k| self.0[32 + 16 * i + k])
    }

    /// Stores ST(`i`).
    pub fn set_st(&mut self, i: usize, value: [u8; 10]) {
        self.0[32 + 16 * i..][..10].copy_from_slice(&value);
    }

    /// XMM`i`, `i` in `0..8`.
    pub fn xmm(&self, i: usize) -> [u8; 16] {
        std::array::from_fn(|k| self.0[160 + 16 * i + k])
    }

    /// Stores XMM`i`.
    pub fn set_xmm(&mut self, i: usize, value: [u8; 16]) {
        self.0[160 + 16 * i..][..16].copy_from_slice(&value);
    }
}

impl Default for FxImage {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FxImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "FxImage {{ fcw: {:04x}, fsw: {:04x}, ftw: {:04x}",
            self.fcw(),
            self.fsw(),
            self.u16_at(4)
        )?;
        for i in 0..8 {
            write!(
                f,
                ", st{i}: {:020x}",
                self.st(i).iter().rev().fold(0u128, |v, &b| v << 8 | u128::from(b))
            )?;
        }
        write!(f, ", mxcsr: {:08x}", self.mxcsr())?;
        for i in 0..8 {
            write!(f, ", xmm{i}: {:032x}", u128::from_le_bytes(self.xmm(i)))?;
        }
        f.write_str(" }")
    }
}

/// Everything that a user-mode instruction can read or change.
#[derive(Clone, PartialEq, Eq)]
pub struct State {
    /// General-purpose registers, see [`gpr`].
    pub gpr: [u32; 8],
    /// Instruction pointer: an offset in CS.
    pub eip: u32,
    /// Flags. On the way in, [`EFLAGS_IN`] counts; on the way out, [`EFLAGS_OUT`] is there.
    pub eflags: u32,
    /// Segment selectors, see [`sreg`]. A null selector is 0: its RPL does not survive an interrupt.
    pub selectors: [u16; 6],
    /// x87, MMX and SSE.
    pub fx: FxImage,
    /// The window of data, see [`super::layout`].
    pub window: Box<[u8; WINDOW_BYTES]>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gpr, eip, eflags, selectors, fx, window: _ } = self;
        write!(f, "State {{ gpr: {gpr:08x?}, eip: {eip:08x}, eflags: {eflags:08x}, ")?;
        write!(f, "selectors: {selectors:04x?}, fx: {fx:?}, window: .. }}")
    }
}

/// One instruction and the state in which it runs.
#[derive(Clone, Debug)]
pub struct NativeCase {
    /// The bytes of one instruction, placed at `before.eip`.
    pub code: Vec<u8>,
    /// The state before; the code size is that of the segment in CS.
    pub before: State,
}

/// How an instruction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It completed; EIP is that of the next instruction.
    Completed,
    /// It raised an exception; EIP is as the exception saves it.
    Exception {
        /// The vector (SDM Vol. 3A, "Exception and Interrupt Reference").
        vector: u8,
        /// The error code, for vectors that have one.
        error_code: Option<u32>,
        /// The linear address, for a page fault, relative to the guest's region.
        address: Option<u32>,
    },
}

/// What an instruction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeOutcome {
    /// The state after.
    pub after: State,
    /// How it ended.
    pub ending: Ending,
}
