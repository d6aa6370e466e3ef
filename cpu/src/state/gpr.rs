//! General-purpose registers and the operand sizes that name parts of them.

use serde::{Deserialize, Serialize};

/// Register number of EAX/RAX.
pub const AX: u8 = 0;
/// Register number of ECX/RCX.
pub const CX: u8 = 1;
/// Register number of EDX/RDX.
pub const DX: u8 = 2;
/// Register number of EBX/RBX.
pub const BX: u8 = 3;
/// Register number of ESP/RSP.
pub const SP: u8 = 4;
/// Register number of EBP/RBP.
pub const BP: u8 = 5;
/// Register number of ESI/RSI.
pub const SI: u8 = 6;
/// Register number of EDI/RDI.
pub const DI: u8 = 7;
/// Added to 0..=3, as byte operand: AH, CH, DH, BH.
pub const HIGH_BYTE: u8 = 16;
/// The register that is always zero: the base or index of an address that has none.
pub const ZERO: u8 = 16;

/// The sixteen general-purpose registers (eight outside 64-bit mode), and a place that is always zero so that
/// effective addresses need no test for a missing base or index. The array is as long as a register number can
/// be after masking, so that no index is ever checked.
///
/// SDM Vol. 1, "General-Purpose Registers".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[repr(C)]
pub struct Gpr(File);

/// Sixteen registers, then zeros.
type File = [u64; 32];

impl Gpr {
    /// The part of register `r` that `T` names. For `u8`, `r` is 0..=15 for the low byte and
    /// `HIGH_BYTE + 0..=3` for AH, CH, DH, BH.
    #[inline(always)]
    pub fn get<T: Word>(&self, r: u8) -> T {
        T::get(&self.0, r)
    }

    /// Writes the part of register `r` that `T` names. 32-bit writes clear the upper half; 8- and 16-bit
    /// writes leave the rest alone.
    #[inline(always)]
    pub fn set<T: Word>(&mut self, r: u8, value: T) {
        T::set(&mut self.0, r, value);
    }

    /// The whole of register `r`, or zero for [`ZERO`].
    #[inline(always)]
    pub fn full(&self, r: u8) -> u64 {
        self.0[(r & 31) as usize]
    }

    /// Writes the bits of register `r` that `mask` (0xFFFF, 0xFFFF_FFFF or all) selects, as an address-size
    /// or stack-size register update does: SP leaves the rest of ESP alone, ESP clears the upper half.
    #[inline(always)]
    pub fn set_masked(&mut self, r: u8, mask: u64, value: u64) {
        let r = (r & 15) as usize;
        self.0[r] = if mask == 0xFFFF { self.0[r] & !0xFFFF | value & 0xFFFF } else { value & mask };
    }
}

/// An operand size: `u8`, `u16`, `u32` or `u64`.
pub trait Word: Copy + Eq + std::fmt::Debug + 'static {
    /// Width in bits.
    const BITS: u32;
    /// Width in bytes.
    const BYTES: usize;
    /// The low bits of `v`.
    fn from_u64(v: u64) -> Self;
    /// Zero-extended.
    fn zx(self) -> u64;
    /// Sign-extended.
    fn sx(self) -> u64;
    /// Rotated left by `n`, modulo the width.
    fn rotate_left(self, n: u32) -> Self;
    /// Reads the register part; see [`Gpr::get`].
    fn get(file: &File, r: u8) -> Self;
    /// Writes the register part; see [`Gpr::set`].
    fn set(file: &mut File, r: u8, v: Self);
    /// Loads little-endian from the first [`Word::BYTES`] cells; `None` if there are fewer.
    fn load(cells: &[std::cell::Cell<u8>]) -> Option<Self>;
    /// Stores little-endian into the first [`Word::BYTES`] cells; `None` if there are fewer.
    fn store(self, cells: &[std::cell::Cell<u8>]) -> Option<()>;
}

macro_rules! word {
    ($t:ty, $s:ty, $get:expr, $set:expr) => {
        impl Word for $t {
            const BITS: u32 = <$t>::BITS;
            const BYTES: usize = size_of::<$t>();
            #[inline(always)]
            fn from_u64(v: u64) -> Self {
                v as $t
            }
            #[inline(always)]
            fn zx(self) -> u64 {
                self as u64
            }
            #[inline(always)]
            fn sx(self) -> u64 {
                self as $s as i64 as u64
            }
            #[inline(always)]
            fn rotate_left(self, n: u32) -> Self {
                <$t>::rotate_left(self, n)
            }
            #[inline(always)]
            fn get(file: &File, r: u8) -> Self {
                $get(file, r)
            }
            #[inline(always)]
            fn set(file: &mut File, r: u8, v: Self) {
                $set(file, r, v)
            }
            #[inline(always)]
            fn load(cells: &[std::cell::Cell<u8>]) -> Option<Self> {
                let cells: &[std::cell::Cell<u8>; size_of::<$t>()] = cells.first_chunk()?;
                let mut bytes = [0; size_of::<$t>()];
                for i in 0..bytes.len() {
                    bytes[i] = cells[i].get();
                }
                Some(<$t>::from_le_bytes(bytes))
            }
            #[inline(always)]
            fn store(self, cells: &[std::cell::Cell<u8>]) -> Option<()> {
                let cells: &[std::cell::Cell<u8>; size_of::<$t>()] = cells.first_chunk()?;
                let bytes = self.to_le_bytes();
                for i in 0..bytes.len() {
                    cells[i].set(bytes[i]);
                }
                Some(())
            }
        }
    };
}

word!(
    u8,
    i8,
    |f: &File, r: u8| (f[(r & 15) as usize] >> ((r & HIGH_BYTE) >> 1)) as u8,
    |f: &mut File, r: u8, v: u8| {
        let shift = (r & HIGH_BYTE) >> 1;
        let slot = &mut f[(r & 15) as usize];
        *slot = *slot & !(0xFF << shift) | (v as u64) << shift;
    }
);
word!(u16, i16, |f: &File, r: u8| f[(r & 15) as usize] as u16, |f: &mut File, r: u8, v: u16| {
    let slot = &mut f[(r & 15) as usize];
    *slot = *slot & !0xFFFF | v as u64;
});
word!(u32, i32, |f: &File, r: u8| f[(r & 15) as usize] as u32, |f: &mut File, r: u8, v: u32| f
    [(r & 15) as usize] =
    v as u64);
word!(u64, i64, |f: &File, r: u8| f[(r & 15) as usize], |f: &mut File, r: u8, v: u64| f[(r & 15) as usize] =
    v);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_register() {
        let mut g = Gpr::default();
        g.set::<u64>(AX, 0x1122_3344_5566_7788);
        assert_eq!(g.get::<u8>(AX), 0x88);
        assert_eq!(g.get::<u8>(HIGH_BYTE + AX), 0x77);
        g.set::<u8>(HIGH_BYTE + AX, 0xAA);
        g.set::<u16>(BX, 0xBEEF);
        assert_eq!(g.full(AX), 0x1122_3344_5566_AA88);
        g.set::<u32>(AX, 1);
        assert_eq!(g.full(AX), 1, "a 32-bit write clears the upper half");
        assert_eq!(g.full(ZERO), 0);
    }
}
