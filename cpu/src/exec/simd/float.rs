//! Packed and scalar floating-point arithmetic: ADD, SUB, MUL, DIV, SQRT, MIN, MAX, the horizontal and the
//! alternating forms.
//!
//! SDM Vol. 1, "SSE Arithmetic Instructions", "SSE2 Arithmetic Instructions", "Packed Addition/Subtraction
//! Instructions". A scalar operation is one on a single element.

use super::is_memory;
use super::lanes::{Lane, build, lane, zip, zip_all};
use super::place::{Low, Memory, Register, Source, Xmm, ready};
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::Outcome;
use crate::softfloat::sse::{self, Add, Div, HostFormat, Mul, Mxcsr, Operation, Sqrt, Sub};
use crate::softfloat::{Env, F32, F64};
use crate::state::simd::Row;
use iced_x86::{Instruction, Mnemonic};
use std::marker::PhantomData;

/// A number that is an element.
pub trait Number: HostFormat + Lane {}
impl Number for F32 {}
impl Number for F64 {}

/// An operation on elements of `F`.
pub trait Numeric<F: Number> {
    /// The new first operand, unless something must be reported or the host cannot compute it: whether it is
    /// right. `imm` is the immediate, zero if there is none.
    fn attempt<const N: usize>(a: [u8; N], b: [u8; N], imm: u8, mxcsr: Mxcsr) -> ([u8; N], bool);
    /// The new first operand under any conditions.
    fn exact<const N: usize>(a: [u8; N], b: [u8; N], imm: u8, env: &mut Env) -> [u8; N];
}

type Sum = Elementwise<Add>;
type Difference = Elementwise<Sub>;
type Product = Elementwise<Mul>;
type Quotient = Elementwise<Div>;
type SquareRoot = Elementwise<Sqrt>;
type HorizontalSum = Horizontal<Add>;
type HorizontalDifference = Horizontal<Sub>;

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    use Mnemonic::*;
    Some(match i.mnemonic() {
        Addps => packed::<Sum, F32>(i),
        Addpd => packed::<Sum, F64>(i),
        Addss => scalar_single::<Sum>(i),
        Addsd => scalar_double::<Sum>(i),
        Subps => packed::<Difference, F32>(i),
        Subpd => packed::<Difference, F64>(i),
        Subss => scalar_single::<Difference>(i),
        Subsd => scalar_double::<Difference>(i),
        Mulps => packed::<Product, F32>(i),
        Mulpd => packed::<Product, F64>(i),
        Mulss => scalar_single::<Product>(i),
        Mulsd => scalar_double::<Product>(i),
        Divps => packed::<Quotient, F32>(i),
        Divpd => packed::<Quotient, F64>(i),
        Divss => scalar_single::<Quotient>(i),
        Divsd => scalar_double::<Quotient>(i),
        Sqrtps => packed::<SquareRoot, F32>(i),
        Sqrtpd => packed::<SquareRoot, F64>(i),
        Sqrtss => scalar_single::<SquareRoot>(i),
        Sqrtsd => scalar_double::<SquareRoot>(i),
        Minps => packed::<Min, F32>(i),
        Minpd => packed::<Min, F64>(i),
        Minss => scalar_single::<Min>(i),
        Minsd => scalar_double::<Min>(i),
        Maxps => packed::<Max, F32>(i),
        Maxpd => packed::<Max, F64>(i),
        Maxss => scalar_single::<Max>(i),
        Maxsd => scalar_double::<Max>(i),
        Haddps => packed::<HorizontalSum, F32>(i),
        Haddpd => packed::<HorizontalSum, F64>(i),
        Hsubps => packed::<HorizontalDifference, F32>(i),
        Hsubpd => packed::<HorizontalDifference, F64>(i),
        Addsubps => packed::<Alternating, F32>(i),
        Addsubpd => packed::<Alternating, F64>(i),
        _ => return None,
    })
}

/// The handler of `O` on whole registers.
pub fn packed<O: Numeric<F>, F: Number>(i: &Instruction) -> Handler {
    if is_memory(i, 1) { numeric::<O, F, Memory, Xmm, 16> } else { numeric::<O, F, Xmm, Xmm, 16> }
}

/// The handler of `O` on the lowest single-precision element.
pub fn scalar_single<O: Numeric<F32>>(i: &Instruction) -> Handler {
    if is_memory(i, 1) { numeric::<O, F32, Memory, Low, 4> } else { numeric::<O, F32, Low, Low, 4> }
}

/// The handler of `O` on the lowest double-precision element.
pub fn scalar_double<O: Numeric<F64>>(i: &Instruction) -> Handler {
    if is_memory(i, 1) { numeric::<O, F64, Memory, Low, 8> } else { numeric::<O, F64, Low, Low, 8> }
}

fn numeric<O: Numeric<F>, F: Number, S: Source<N>, D: Register<N>, const N: usize>(
    cpu: &mut Cpu,
    biu: &mut Biu,
    insn: &Insn,
) -> Outcome {
    ready::<S, D>(cpu, biu, insn)?;
    let Row(b) = S::read(cpu, biu, insn)?;
    let a = D::get(cpu, insn.op[0]);
    let (result, right) = O::attempt(a, b, insn.imm as u8, Mxcsr(cpu.simd.mxcsr));
    // Two writes, so that none of them is put together from what either way leaves in registers.
    if right { D::write(cpu, biu, insn, result) } else { exact::<O, F, D, N>(cpu, biu, insn, a, b) }
}

#[inline(never)]
fn exact<O: Numeric<F>, F: Number, D: Register<N>, const N: usize>(
    cpu: &mut Cpu,
    biu: &mut Biu,
    insn: &Insn,
    a: [u8; N],
    b: [u8; N],
) -> Outcome {
    let mut env = cpu.sse_env();
    let result = O::exact(a, b, insn.imm as u8, &mut env);
    cpu.sse_record(&env)?;
    D::write(cpu, biu, insn, result)
}

/// An operation on each pair of elements.
struct Elementwise<O>(PhantomData<O>);

impl<O: Operation, F: Number> Numeric<F> for Elementwise<O> {
    #[inline(always)]
    fn attempt<const N: usize>(a: [u8; N], b: [u8; N], _: u8, mxcsr: Mxcsr) -> ([u8; N], bool) {
        if mxcsr.allows_arithmetic() { zip_all(a, b, sse::attempt::<O, F>) } else { (a, false) }
    }

    fn exact<const N: usize>(a: [u8; N], b: [u8; N], _: u8, env: &mut Env) -> [u8; N] {
        zip(a, b, |x: F, y: F| O::exact(x, y, env))
    }
}

/// Whether the host can compare all elements: they are no NaNs, and no denormals either, which must be reported.
#[inline(always)]
pub fn comparable<F: Number, const N: usize>(a: [u8; N], b: [u8; N]) -> bool {
    zip_all(a, b, |x: F, y: F| (x, x.is_zero_or_normal() & y.is_zero_or_normal())).1
}

struct Min;

impl<F: Number> Numeric<F> for Min {
    #[inline(always)]
    fn attempt<const N: usize>(a: [u8; N], b: [u8; N], _: u8, _: Mxcsr) -> ([u8; N], bool) {
        let result = zip(a, b, |x: F, y: F| if x.to_host() < y.to_host() { x } else { y });
        (result, comparable::<F, N>(a, b))
    }

    fn exact<const N: usize>(a: [u8; N], b: [u8; N], _: u8, env: &mut Env) -> [u8; N] {
        zip(a, b, |x: F, y: F| sse::exact_min(x, y, env))
    }
}

struct Max;

impl<F: Number> Numeric<F> for Max {
    #[inline(always)]
    fn attempt<const N: usize>(a: [u8; N], b: [u8; N], _: u8, _: Mxcsr) -> ([u8; N], bool) {
        let result = zip(a, b, |x: F, y: F| if x.to_host() > y.to_host() { x } else { y });
        (result, comparable::<F, N>(a, b))
    }

    fn exact<const N: usize>(a: [u8; N], b: [u8; N], _: u8, env: &mut Env) -> [u8; N] {
        zip(a, b, |x: F, y: F| sse::exact_max(x, y, env))
    }
}

/// An operation on neighbours: those of the first operand give the lower half, those of the second the upper.
struct Horizontal<O>(PhantomData<O>);

/// The even elements (`odd` is 0) or the odd ones (1) of both operands.
#[inline(always)]
fn every_other<F: Number, const N: usize>(a: [u8; N], b: [u8; N], odd: usize) -> [u8; N] {
    let half = N / F::BYTES / 2;
    build(|i| -> F {
        if i < half { lane(&a, 2 * i + odd) } else { lane(&b, 2 * (i - half) + odd) }
    })
}

impl<O: Operation, F: Number> Numeric<F> for Horizontal<O> {
    #[inline(always)]
    fn attempt<const N: usize>(a: [u8; N], b: [u8; N], imm: u8, mxcsr: Mxcsr) -> ([u8; N], bool) {
        let (x, y) = (every_other::<F, N>(a, b, 0), every_other::<F, N>(a, b, 1));
        <Elementwise<O> as Numeric<F>>::attempt::<N>(x, y, imm, mxcsr)
    }

    fn exact<const N: usize>(a: [u8; N], b: [u8; N], imm: u8, env: &mut Env) -> [u8; N] {
        let (x, y) = (every_other::<F, N>(a, b, 0), every_other::<F, N>(a, b, 1));
        <Elementwise<O> as Numeric<F>>::exact::<N>(x, y, imm, env)
    }
}

/// ADDSUB: subtracts the even elements and adds the odd ones.
struct Alternating;

impl<F: Number> Numeric<F> for Alternating {
    #[inline(always)]
    fn attempt<const N: usize>(a: [u8; N], b: [u8; N], imm: u8, mxcsr: Mxcsr) -> ([u8; N], bool) {
        let (differences, right) = <Difference as Numeric<F>>::attempt::<N>(a, b, imm, mxcsr);
        let (sums, too) = <Sum as Numeric<F>>::attempt::<N>(a, b, imm, mxcsr);
        (build(|i| -> F { lane(if i % 2 == 0 { &differences } else { &sums }, i) }), right & too)
    }

    fn exact<const N: usize>(a: [u8; N], b: [u8; N], _: u8, env: &mut Env) -> [u8; N] {
        build(|i| -> F {
            let (x, y) = (lane(&a, i), lane(&b, i));
            if i % 2 == 0 { Sub::exact(x, y, env) } else { Add::exact(x, y, env) }
        })
    }
}
