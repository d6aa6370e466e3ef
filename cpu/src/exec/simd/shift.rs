//! Packed shifts, by a count from a register or memory or by an immediate.
//!
//! SDM Vol. 2B, "PSLLW/PSLLD/PSLLQ" and its neighbours.

use super::lanes::{lane, map, part};
use super::place::{Memory, Mm, Register, Source, Xmm, complete, ready};
use super::{is_memory, is_mm};
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::Outcome;
use crate::state::simd::Row;
use iced_x86::{Instruction, Mnemonic, OpKind};

/// A shift of a whole register.
trait Shift {
    /// `v` shifted; all bits of the count matter.
    fn shift<const N: usize>(v: [u8; N], count: u64) -> [u8; N];
}

/// One row for each instruction: the type of its elements, and one of them shifted by less than its width or, for
/// the greater counts, by a width less one.
macro_rules! shifts {
    ($($name:ident: $lane:ty, |$x:ident, $count:ident| $shifted:expr, beyond: |$y:ident| $beyond:expr;)*) => {
        $(
            struct $name;
            impl Shift for $name {
                #[inline(always)]
                fn shift<const N: usize>(v: [u8; N], count: u64) -> [u8; N] {
                    if count < u64::from(<$lane>::BITS) {
                        let $count = count as u32;
                        map(v, |$x: $lane| -> $lane { $shifted })
                    } else {
                        map(v, |$y: $lane| -> $lane { $beyond })
                    }
                }
            }
        )*

        /// The handler of `i`, if it belongs to this family.
        pub fn select(i: &Instruction) -> Option<Handler> {
            Some(match i.mnemonic() {
                $(Mnemonic::$name => select_shift::<$name>(i),)*
                Mnemonic::Pslldq => by_immediate::<Pslldq, Xmm, 16>,
                Mnemonic::Psrldq => by_immediate::<Psrldq, Xmm, 16>,
                _ => return None,
            })
        }
    };
}

shifts! {
    Psllw: u16, |x, n| x << n, beyond: |_x| 0;
    Pslld: u32, |x, n| x << n, beyond: |_x| 0;
    Psllq: u64, |x, n| x << n, beyond: |_x| 0;
    Psrlw: u16, |x, n| x >> n, beyond: |_x| 0;
    Psrld: u32, |x, n| x >> n, beyond: |_x| 0;
    Psrlq: u64, |x, n| x >> n, beyond: |_x| 0;
    Psraw: i16, |x, n| x >> n, beyond: |x| x >> 15;
    Psrad: i32, |x, n| x >> n, beyond: |x| x >> 31;
}

/// Shifts a register of sixteen bytes by `count` bytes.
#[inline(always)]
fn by_bytes<const N: usize>(v: [u8; N], count: u64, shift: impl Fn(u128, u32) -> u128) -> [u8; N] {
    if count < 16 {
        part(&shift(u128::from_le_bytes(part(&v, 0)), 8 * count as u32).to_le_bytes(), 0)
    } else {
        [0; N]
    }
}

struct Pslldq;
impl Shift for Pslldq {
    #[inline(always)]
    fn shift<const N: usize>(v: [u8; N], count: u64) -> [u8; N] {
        by_bytes(v, count, |v, n| v << n)
    }
}

struct Psrldq;
impl Shift for Psrldq {
    #[inline(always)]
    fn shift<const N: usize>(v: [u8; N], count: u64) -> [u8; N] {
        by_bytes(v, count, |v, n| v >> n)
    }
}

fn select_shift<O: Shift>(i: &Instruction) -> Handler {
    match (is_mm(i, 0), i.op1_kind() == OpKind::Immediate8, is_memory(i, 1)) {
        (true, true, _) => by_immediate::<O, Mm, 8>,
        (true, false, false) => by_operand::<O, Mm, Mm, 8>,
        (true, false, true) => by_operand::<O, Memory, Mm, 8>,
        (false, true, _) => by_immediate::<O, Xmm, 16>,
        (false, false, false) => by_operand::<O, Xmm, Xmm, 16>,
        (false, false, true) => by_operand::<O, Memory, Xmm, 16>,
    }
}

fn by_immediate<O: Shift, D: Register<N>, const N: usize>(
    cpu: &mut Cpu,
    biu: &mut Biu,
    insn: &Insn,
) -> Outcome {
    if ready::<D, D>(cpu, biu, insn)? {
        D::write(cpu, biu, insn, O::shift(D::get(cpu, insn.op[0]), insn.imm))?;
        complete::<D, D>(cpu);
    }
    Ok(())
}

/// The count is the low quadword of the second operand.
fn by_operand<O: Shift, S: Source<N>, D: Register<N>, const N: usize>(
    cpu: &mut Cpu,
    biu: &mut Biu,
    insn: &Insn,
) -> Outcome {
    if ready::<S, D>(cpu, biu, insn)? {
        let Row(count) = S::read(cpu, biu, insn)?;
        D::write(cpu, biu, insn, O::shift(D::get(cpu, insn.op[0]), lane(&count, 0)))?;
        complete::<S, D>(cpu);
    }
    Ok(())
}
