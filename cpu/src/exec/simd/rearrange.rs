//! Elements in another order or another width: unpacking, packing, shuffling, duplicating.
//!
//! SDM Vol. 1, "MMX Conversion Instructions", "MMX Unpack Instructions", "SSE Shuffle and Unpack Instructions",
//! "SSE2 Shuffle and Unpack Instructions".

use super::lanes::{Lane, build, lane};
use super::place::{MemoryHalf, Mm, Xmm};
use super::{Binary, binary, is_memory, is_mm, select_binary};
use crate::decode::insn::Handler;
use iced_x86::{Instruction, Mnemonic};
use std::marker::PhantomData;

const LOW: bool = false;
const HIGH: bool = true;

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    use Mnemonic::*;
    Some(match i.mnemonic() {
        Punpcklbw => unpack_low::<u8>(i),
        Punpcklwd => unpack_low::<u16>(i),
        Punpckldq | Unpcklps => unpack_low::<u32>(i),
        Punpcklqdq | Unpcklpd => unpack_low::<u64>(i),
        Punpckhbw => select_binary::<Unpack<u8, HIGH>>(i),
        Punpckhwd => select_binary::<Unpack<u16, HIGH>>(i),
        Punpckhdq | Unpckhps => select_binary::<Unpack<u32, HIGH>>(i),
        Punpckhqdq | Unpckhpd => select_binary::<Unpack<u64, HIGH>>(i),
        Packsswb => select_binary::<Pack<i16, i8>>(i),
        Packuswb => select_binary::<Pack<i16, u8>>(i),
        Packssdw => select_binary::<Pack<i32, i16>>(i),
        Pshufw | Pshuflw => select_binary::<Shuffle<u16, 0>>(i),
        Pshufhw => select_binary::<Shuffle<u16, 4>>(i),
        Pshufd => select_binary::<Shuffle<u32, 0>>(i),
        Shufps => select_binary::<ShuffleBoth<u32>>(i),
        Shufpd => select_binary::<ShuffleBoth<u64>>(i),
        Movsldup => select_binary::<Duplicate<u32, 0>>(i),
        Movshdup => select_binary::<Duplicate<u32, 1>>(i),
        Movddup if is_memory(i, 1) => binary::<Duplicate<u64, 0>, MemoryHalf, Xmm, 16>,
        Movddup => binary::<Duplicate<u64, 0>, Xmm, Xmm, 16>,
        _ => return None,
    })
}

/// The forms for MM registers take only what they need from memory.
fn unpack_low<T: Lane>(i: &Instruction) -> Handler {
    if is_mm(i, 0) && is_memory(i, 1) {
        binary::<Unpack<T, LOW>, MemoryHalf, Mm, 8>
    } else {
        select_binary::<Unpack<T, LOW>>(i)
    }
}

/// Elements of the low or the high halves, from either operand in turn.
struct Unpack<T, const HALF: bool>(PhantomData<T>);

impl<T: Lane, const HALF: bool> Binary for Unpack<T, HALF> {
    #[inline(always)]
    fn apply<const N: usize>(a: [u8; N], b: [u8; N], _: u8) -> [u8; N] {
        let first = if HALF == HIGH { N / T::BYTES / 2 } else { 0 };
        build(|i| -> T { lane(if i % 2 == 0 { &a } else { &b }, first + i / 2) })
    }
}

/// Elements of both operands made half as wide.
struct Pack<A, B>(PhantomData<(A, B)>);

/// An element that can be made narrower.
trait Narrow<B>: Lane {
    /// The nearest value that the narrower one has.
    fn saturate(self) -> B;
}

macro_rules! narrow {
    ($($from:ty => $to:ty),*) => {$(
        impl Narrow<$to> for $from {
            #[inline(always)]
            fn saturate(self) -> $to {
                self.clamp(<$to>::MIN.into(), <$to>::MAX.into()) as $to
            }
        }
    )*};
}
narrow!(i16 => i8, i16 => u8, i32 => i16);

impl<A: Narrow<B>, B: Lane> Binary for Pack<A, B> {
    #[inline(always)]
    fn apply<const N: usize>(a: [u8; N], b: [u8; N], _: u8) -> [u8; N] {
        let mut result = [0; N];
        for (half, from) in result.chunks_exact_mut(N / 2).zip([a, b]) {
            for (to, x) in half.chunks_exact_mut(B::BYTES).zip(from.chunks_exact(A::BYTES)) {
                A::load(x).saturate().store(to);
            }
        }
        result
    }
}

/// Four elements of the second operand from `FIRST` on in the order that the immediate says, two bits for each;
/// the others as they are there.
struct Shuffle<T, const FIRST: usize>(PhantomData<T>);

impl<T: Lane, const FIRST: usize> Binary for Shuffle<T, FIRST> {
    #[inline(always)]
    fn apply<const N: usize>(_: [u8; N], b: [u8; N], imm: u8) -> [u8; N] {
        build(|i| -> T {
            let from = match i.checked_sub(FIRST) {
                Some(i @ 0..4) => FIRST + (imm >> (2 * i) & 3) as usize,
                _ => i,
            };
            lane(&b, from)
        })
    }
}

/// The lower half from the first operand, the upper half from the second, each element by its bits of the
/// immediate.
struct ShuffleBoth<T>(PhantomData<T>);

impl<T: Lane> Binary for ShuffleBoth<T> {
    #[inline(always)]
    fn apply<const N: usize>(a: [u8; N], b: [u8; N], imm: u8) -> [u8; N] {
        let count = N / T::BYTES;
        let bits = count.ilog2() as usize;
        build(|i| -> T {
            let from = (imm >> (bits * i)) as usize % count;
            lane(if i < count / 2 { &a } else { &b }, from)
        })
    }
}

/// The even elements of the second operand (`ODD` is 0) or the odd ones (1), each twice.
struct Duplicate<T, const ODD: usize>(PhantomData<T>);

impl<T: Lane, const ODD: usize> Binary for Duplicate<T, ODD> {
    #[inline(always)]
    fn apply<const N: usize>(_: [u8; N], b: [u8; N], _: u8) -> [u8; N] {
        build(|i| -> T { lane(&b, i / 2 * 2 + ODD) })
    }
}
