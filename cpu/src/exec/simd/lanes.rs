//! A register as a row of elements.
//!
//! A register is its bytes, least significant first; an operation says how wide an element is. It is written once
//! for MM and XMM registers, and in a shape that a compiler turns into vector instructions: loops over whole
//! elements of byte arrays, nothing joined into wider integers.

use crate::softfloat::{F32, F64};

/// An element: an integer or a number of 1 to 8 bytes.
pub trait Lane: Copy {
    /// Its width in bytes.
    const BYTES: usize;
    /// The element in the first bytes of `bytes`, of which there must be enough.
    fn load(bytes: &[u8]) -> Self;
    /// Puts it into the first bytes of `bytes`.
    fn store(self, bytes: &mut [u8]);
}

macro_rules! lane {
    ($($lane:ty, $bits:ty, |$e:ident| $to_bits:expr, |$b:ident| $from_bits:expr;)*) => {$(
        impl Lane for $lane {
            const BYTES: usize = size_of::<$bits>();
            #[inline(always)]
            fn load(bytes: &[u8]) -> Self {
                let $b = <$bits>::from_le_bytes(*bytes.first_chunk().expect("the bytes of an element"));
                $from_bits
            }
            #[inline(always)]
            fn store(self, bytes: &mut [u8]) {
                let $e = self;
                *bytes.first_chunk_mut().expect("room for an element") = <$bits>::to_le_bytes($to_bits);
            }
        }
    )*};
}
lane! {
    u8, u8, |e| e, |b| b;
    i8, i8, |e| e, |b| b;
    u16, u16, |e| e, |b| b;
    i16, i16, |e| e, |b| b;
    u32, u32, |e| e, |b| b;
    i32, i32, |e| e, |b| b;
    u64, u64, |e| e, |b| b;
    F32, u32, |e| e.0, |b| F32(b);
    F64, u64, |e| e.0, |b| F64(b);
}

/// Element `i` of `v`.
#[inline(always)]
pub fn lane<T: Lane, const N: usize>(v: &[u8; N], i: usize) -> T {
    T::load(&v[i * T::BYTES..])
}

/// `N` bytes of `bytes` from `at` on.
#[inline(always)]
pub fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("a part of a register")
}

/// The register whose elements are `f(0)`, `f(1)` ...
#[inline(always)]
pub fn build<T: Lane, const N: usize>(mut f: impl FnMut(usize) -> T) -> [u8; N] {
    let mut result = [0; N];
    for (i, to) in result.chunks_exact_mut(T::BYTES).enumerate() {
        f(i).store(to);
    }
    result
}

/// Joins the elements of two registers pair by pair.
#[inline(always)]
pub fn zip<T: Lane, const N: usize>(a: [u8; N], b: [u8; N], mut f: impl FnMut(T, T) -> T) -> [u8; N] {
    let mut result = [0; N];
    let pairs = a.chunks_exact(T::BYTES).zip(b.chunks_exact(T::BYTES));
    for (to, (x, y)) in result.chunks_exact_mut(T::BYTES).zip(pairs) {
        f(T::load(x), T::load(y)).store(to);
    }
    result
}

/// Converts element by element, as many as both registers have room for; what is left of the result is zero.
#[inline(always)]
pub fn map<A: Lane, B: Lane, const FROM: usize, const TO: usize>(
    v: [u8; FROM],
    mut f: impl FnMut(A) -> B,
) -> [u8; TO] {
    let mut result = [0; TO];
    for (to, x) in result.chunks_exact_mut(B::BYTES).zip(v.chunks_exact(A::BYTES)) {
        f(A::load(x)).store(to);
    }
    result
}

/// As [`zip`], where `f` may fail; whether it did not.
#[inline(always)]
pub fn zip_all<T: Lane, const N: usize>(
    a: [u8; N],
    b: [u8; N],
    f: impl Fn(T, T) -> (T, bool),
) -> ([u8; N], bool) {
    let mut all = true;
    let result = zip(a, b, |x, y| {
        let (element, fine) = f(x, y);
        all &= fine;
        element
    });
    (result, all)
}
