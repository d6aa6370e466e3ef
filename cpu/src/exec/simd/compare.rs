//! Floating-point comparison: CMPPS and its kin, which give masks, and those that set EFLAGS.
//!
//! SDM Vol. 1, "SSE Comparison Instructions"; Vol. 2A, "CMPPS", "COMISS"; Vol. 2B, "UCOMISS".

use super::float::{Number, Numeric, comparable, packed, scalar_double, scalar_single};
use super::is_memory;
use super::lanes::{lane, zip};
use super::place::{Low, Memory, Register, Source, ready};
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::Outcome;
use crate::softfloat::compare::{Quiet, compare};
use crate::softfloat::sse::Mxcsr;
use crate::softfloat::{Env, F32, F64};
use crate::state::eflags::bit;
use crate::state::simd::Row;
use iced_x86::{Instruction, Mnemonic};
use std::cmp::Ordering;

const ORDERED: bool = true;
const UNORDERED: bool = false;

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    use Mnemonic::*;
    Some(match i.mnemonic() {
        Cmpps => packed::<Mask, F32>(i),
        Cmppd => packed::<Mask, F64>(i),
        Cmpss => scalar_single::<Mask>(i),
        Cmpsd if !i.is_string_instruction() => scalar_double::<Mask>(i),
        Comiss => flags_single::<ORDERED>(i),
        Ucomiss => flags_single::<UNORDERED>(i),
        Comisd => flags_double::<ORDERED>(i),
        Ucomisd => flags_double::<UNORDERED>(i),
        _ => return None,
    })
}

/// What an element of a CMPPS is compared for: bits 2:0 of the immediate. SDM Vol. 2A, "CMPPS" (table).
#[derive(Clone, Copy)]
struct Predicate {
    less: bool,
    equal: bool,
    unordered: bool,
    negated: bool,
    /// Whether quiet NaNs are exceptions: for less-than, less-or-equal, and their negations.
    quiet: Quiet,
}

impl Predicate {
    #[inline(always)]
    fn new(imm: u8) -> Predicate {
        let kind = imm & 3;
        let (less, equal, unordered) = (kind == 1 || kind == 2, kind == 0 || kind == 2, kind == 3);
        let quiet = if less { Quiet::Invalid } else { Quiet::Accepted };
        Predicate { less, equal, unordered, negated: imm & 4 != 0, quiet }
    }

    #[inline(always)]
    fn holds(self, less: bool, equal: bool, unordered: bool) -> bool {
        (less & self.less | equal & self.equal | unordered & self.unordered) ^ self.negated
    }
}

/// All ones where the predicate holds, else zeros.
struct Mask;

impl<F: Number + FromMask> Numeric<F> for Mask {
    #[inline(always)]
    fn attempt<const N: usize>(a: [u8; N], b: [u8; N], imm: u8, _: Mxcsr) -> ([u8; N], bool) {
        let predicate = Predicate::new(imm);
        let result = zip(a, b, |x: F, y: F| {
            let (x, y) = (x.to_host(), y.to_host());
            F::from_mask(predicate.holds(x < y, x == y, false))
        });
        (result, comparable::<F, N>(a, b))
    }

    fn exact<const N: usize>(a: [u8; N], b: [u8; N], imm: u8, env: &mut Env) -> [u8; N] {
        let predicate = Predicate::new(imm);
        zip(a, b, |x: F, y: F| {
            let relation = compare(x, y, predicate.quiet, env);
            let is = |ordering| relation == Some(ordering);
            F::from_mask(predicate.holds(is(Ordering::Less), is(Ordering::Equal), relation.is_none()))
        })
    }
}

/// An element of all ones or zeros.
pub trait FromMask {
    /// All ones if `set`.
    fn from_mask(set: bool) -> Self;
}

impl FromMask for F32 {
    #[inline(always)]
    fn from_mask(set: bool) -> F32 {
        F32(u32::from(set).wrapping_neg())
    }
}

impl FromMask for F64 {
    #[inline(always)]
    fn from_mask(set: bool) -> F64 {
        F64(u64::from(set).wrapping_neg())
    }
}

fn flags_single<const SIGNALS: bool>(i: &Instruction) -> Handler {
    if is_memory(i, 1) { flags::<F32, Memory, SIGNALS, 4> } else { flags::<F32, Low, SIGNALS, 4> }
}

fn flags_double<const SIGNALS: bool>(i: &Instruction) -> Handler {
    if is_memory(i, 1) { flags::<F64, Memory, SIGNALS, 8> } else { flags::<F64, Low, SIGNALS, 8> }
}

/// COMISS, COMISD (`SIGNALS`: they take exception to quiet NaNs), UCOMISS, UCOMISD.
fn flags<F: Number, S: Source<N>, const SIGNALS: bool, const N: usize>(
    cpu: &mut Cpu,
    biu: &mut Biu,
    insn: &Insn,
) -> Outcome {
    ready::<S, Low>(cpu, biu, insn)?;
    let Row(b) = S::read(cpu, biu, insn)?;
    let a = Low::get(cpu, insn.op[0]);
    let (x, y): (F, F) = (lane(&a, 0), lane(&b, 0));
    let relation = if comparable::<F, N>(a, b) {
        x.to_host().partial_cmp(&y.to_host())
    } else {
        let mut env = cpu.sse_env();
        let quiet = if SIGNALS { Quiet::Invalid } else { Quiet::Accepted };
        let relation = compare(x, y, quiet, &mut env);
        cpu.sse_record(&env)?;
        relation
    };
    cpu.eflags.set_arithmetic(match relation {
        Some(Ordering::Greater) => 0,
        Some(Ordering::Less) => bit::CF,
        Some(Ordering::Equal) => bit::ZF,
        None => bit::ZF | bit::PF | bit::CF,
    });
    Ok(())
}
