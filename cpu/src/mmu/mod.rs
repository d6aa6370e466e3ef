//! Memory access: segmentation, translation, and the ways to RAM and devices.
//!
//! The fast path of every access is here and inlined into its instruction: a segment bounds check, one tag
//! comparison, and the cells of guest RAM. [`access`] holds the slow paths, [`walk`] the page
//! tables, [`spaces`] what is kept of them over loads of CR3.

pub mod access;
pub mod descriptors;
pub mod spaces;
pub mod tlb;
pub mod walk;

use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::event::exception::{Fault, Outcome};
use crate::state::eflags::Eflags;
use crate::state::gpr::Word;
use crate::state::segment::SegReg;
use crate::state::simd::Row;
use tlb::View;

/// What an access is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A data read.
    Read,
    /// A data write, or the read of a read-modify-write.
    Write,
    /// An instruction fetch.
    Execute,
}

impl Cpu {
    /// The linear address of `size` bytes at `offset` of `segment` for reading. SDM Vol. 3A, "Limit Checking" and
    /// "Type Checking".
    #[inline(always)]
    pub fn linear_read(&self, segment: SegReg, offset: u64, size: usize) -> Outcome<u64> {
        let s = &self.seg[segment as usize];
        if s.read.contain(offset, size) {
            Ok((s.base + offset) & self.linear_mask)
        } else {
            Err(segment_fault(segment))
        }
    }

    /// The linear address of `size` bytes at `offset` of `segment` for writing.
    #[inline(always)]
    pub fn linear_write(&self, segment: SegReg, offset: u64, size: usize) -> Outcome<u64> {
        let s = &self.seg[segment as usize];
        if s.write.contain(offset, size) {
            Ok((s.base + offset) & self.linear_mask)
        } else {
            Err(segment_fault(segment))
        }
    }

    /// Reads `T` at `segment:offset` with the privilege of the current code.
    #[inline(always)]
    pub fn read<T: Word>(&mut self, biu: &mut Biu, segment: SegReg, offset: u64) -> Outcome<T> {
        let linear = self.linear_read(segment, offset, T::BYTES)?;
        self.read_linear(biu, linear)
    }

    /// Writes `T` at `segment:offset` with the privilege of the current code.
    #[inline(always)]
    pub fn write<T: Word>(&mut self, biu: &mut Biu, segment: SegReg, offset: u64, value: T) -> Outcome {
        let linear = self.linear_write(segment, offset, T::BYTES)?;
        self.write_linear(biu, linear, value)
    }

    /// Reads `T` at a linear address with the privilege of the current code.
    #[inline(always)]
    pub fn read_linear<T: Word>(&mut self, biu: &mut Biu, linear: u64) -> Outcome<T> {
        self.read_as(biu, linear, self.view)
    }

    /// Writes `T` at a linear address with the privilege of the current code.
    #[inline(always)]
    pub fn write_linear<T: Word>(&mut self, biu: &mut Biu, linear: u64, value: T) -> Outcome {
        self.write_as(biu, linear, value, self.view)
    }

    /// Reads `T` at a linear address with the privilege of `view`.
    #[inline(always)]
    pub(crate) fn read_as<T: Word>(&mut self, biu: &mut Biu, linear: u64, view: View) -> Outcome<T> {
        let e = self.tlb.entry(view, linear);
        if e.read == (linear + (T::BYTES as u64 - 1)) & !0xFFF {
            return Ok(biu.ram_read(e.ram + (linear & 0xFFF)));
        }
        self.read_slow(biu, linear, T::BYTES, view).map(T::from_u64)
    }

    /// Writes `T` at a linear address with the privilege of `view`.
    #[inline(always)]
    pub(crate) fn write_as<T: Word>(&mut self, biu: &mut Biu, linear: u64, value: T, view: View) -> Outcome {
        let e = self.tlb.entry(view, linear);
        if e.write == (linear + (T::BYTES as u64 - 1)) & !0xFFF {
            biu.ram_write(e.ram + (linear & 0xFFF), value);
            return Ok(());
        }
        self.write_slow(biu, linear, T::BYTES, value.zx(), view)
    }

    /// Reads `T` at `segment:offset`, lets `change` compute the new value and the flags, and writes it back.
    /// Whether it may be written is checked before the read, so a fault finds nothing changed.
    #[inline(always)]
    pub fn modify<T: Word>(
        &mut self,
        biu: &mut Biu,
        segment: SegReg,
        offset: u64,
        change: impl FnOnce(&mut Eflags, T) -> T,
    ) -> Outcome {
        let linear = self.linear_write(segment, offset, T::BYTES)?;
        let e = self.tlb.entry(self.view, linear);
        if e.write == (linear + (T::BYTES as u64 - 1)) & !0xFFF {
            let at = e.ram + (linear & 0xFFF);
            let old = biu.ram_read(at);
            biu.ram_write(at, change(&mut self.eflags, old));
            return Ok(());
        }
        let old = self.read_for_write_slow(biu, linear, T::BYTES, self.view)?;
        let new = change(&mut self.eflags, T::from_u64(old));
        self.write_slow(biu, linear, T::BYTES, new.zx(), self.view)
    }

    /// #GP(0) unless the linear address of `segment:offset` is a multiple of 16, whether it is within the limit or not.
    #[inline(always)]
    fn check_boundary(&self, segment: SegReg, offset: u64) -> Outcome {
        let linear = self.seg[segment as usize].base.wrapping_add(offset);
        if linear.is_multiple_of(16) { Ok(()) } else { Err(Fault::GP0) }
    }

    /// Reads sixteen bytes at `segment:offset`. If `ALIGNED`, their linear address must be a multiple of 16, else
    /// #GP(0), whatever alignment checking says. SDM Vol. 1, "Memory Alignment" of the SSE instructions.
    #[inline(always)]
    pub fn read_128<const ALIGNED: bool>(
        &mut self,
        biu: &mut Biu,
        segment: SegReg,
        offset: u64,
    ) -> Outcome<Row<16>> {
        if ALIGNED {
            self.check_boundary(segment, offset)?;
        }
        let linear = self.linear_read(segment, offset, 16)?;
        let e = self.tlb.entry(self.view, linear);
        if e.read == (linear + 15) & !0xFFF {
            return Ok(Row(biu.ram_read_128(e.ram + (linear & 0xFFF))));
        }
        self.read_128_slow(biu, linear)
    }

    /// Writes sixteen bytes at `segment:offset`, or nothing on a fault; alignment as in [`Cpu::read_128`].
    #[inline(always)]
    pub fn write_128<const ALIGNED: bool>(
        &mut self,
        biu: &mut Biu,
        segment: SegReg,
        offset: u64,
        value: &[u8; 16],
    ) -> Outcome {
        if ALIGNED {
            self.check_boundary(segment, offset)?;
        }
        let linear = self.linear_write(segment, offset, 16)?;
        let e = self.tlb.entry(self.view, linear);
        if e.write == (linear + 15) & !0xFFF {
            biu.ram_write_128(e.ram + (linear & 0xFFF), value);
            return Ok(());
        }
        self.write_128_slow(biu, linear, value)
    }

    /// Reads `T` at a linear address as the processor itself does for descriptor tables and task states:
    /// supervisor, whatever CPL is.
    pub fn read_system<T: Word>(&mut self, biu: &mut Biu, linear: u64) -> Outcome<T> {
        self.read_as(biu, linear & self.linear_mask, View::Supervisor)
    }

    /// Writes `T` at a linear address as the processor itself.
    pub fn write_system<T: Word>(&mut self, biu: &mut Biu, linear: u64, value: T) -> Outcome {
        self.write_as(biu, linear & self.linear_mask, value, View::Supervisor)
    }
}

/// The fault of an access outside a segment's bounds: #SS(0) through SS, else #GP(0).
#[cold]
fn segment_fault(segment: SegReg) -> Fault {
    if segment == SegReg::Ss { Fault::SS0 } else { Fault::GP0 }
}
