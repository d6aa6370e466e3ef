//! Shifts and rotates: SHL, SHR, SAR, ROL, ROR, RCL, RCR, SHLD, SHRD.
//!
//! SDM Vol. 1, "Shift and Rotate Instructions". The count is taken modulo 32. Where the manual leaves a flag
//! undefined (OF for counts other than 1, CF for counts beyond the width, AF after shifts) we do as AMD's Zen
//! processors do: the last of the single-bit steps decides OF, CF has nothing left to receive, and a shift sets
//! AF.

use super::form::{InMemory, InRegister, Place, by_size_16_32, by_size_to_32, in_memory, operand_size};
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::Outcome;
use crate::state::eflags::Eflags;
use crate::state::gpr::{self, Word};
use iced_x86::{Instruction, Mnemonic, OpKind, Register};

/// A shift or rotate.
pub trait Shift {
    /// The result; sets the flags. `n` is 1 to 31.
    fn apply<T: Word>(flags: &mut Eflags, a: T, n: u32) -> T;
}

macro_rules! shift {
    ($($(#[$doc:meta])* $name:ident, |$f:ident, $a:ident, $n:ident| $body:block)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;
        impl Shift for $name {
            #[inline(always)]
            fn apply<T: Word>($f: &mut Eflags, $a: T, $n: u32) -> T {
                $body
            }
        }
    )*};
}

/// The carry out of bit 3 in a vector of carries: AF.
const AF_CARRY: u64 = 1 << 3;

shift! {
    /// SHL, which is SAL too.
    Shl, |f, a, n| {
        // The last step adds the operand to itself; the carries out of its bits are the bits.
        let last = a.zx() << (n - 1);
        let r = T::from_u64(last << 1);
        f.set_carries(r, last | AF_CARRY);
        r
    }
    /// SHR.
    Shr, |f, a, n| {
        let last = a.zx() >> (n - 1);
        let r = T::from_u64(last >> 1);
        f.set_result(r, last & 1 != 0, top_two_differ(r), true);
        r
    }
    /// SAR.
    Sar, |f, a, n| {
        let last = a.sx() as i64 >> (n - 1);
        let r = T::from_u64((last >> 1) as u64);
        f.set_result(r, last & 1 != 0, false, true);
        r
    }
    /// ROL.
    Rol, |f, a, n| {
        let r = a.rotate_left(n);
        let cf = r.zx() & 1 != 0;
        f.set_cf_of(cf, cf != top(r));
        r
    }
    /// ROR.
    Ror, |f, a, n| {
        let r = a.rotate_left(T::BITS - n % T::BITS);
        f.set_cf_of(top(r), top_two_differ(r));
        r
    }
    /// RCL: a rotate of one bit more than the operand has, CF at the top.
    Rcl, |f, a, n| {
        let n = n % (T::BITS + 1);
        let (mut r, mut cf) = (a, f.cf());
        if n > 0 {
            let carry_in = (cf as u64) << (n - 1);
            r = T::from_u64(a.zx() << n | carry_in | a.zx() >> 1 >> (T::BITS - n));
            cf = a.zx() >> (T::BITS - n) & 1 != 0;
        }
        f.set_cf_of(cf, cf != top(r));
        r
    }
    /// RCR: a rotate of one bit more than the operand has, CF at the bottom.
    Rcr, |f, a, n| {
        let n = n % (T::BITS + 1);
        let (mut r, mut cf) = (a, f.cf());
        if n > 0 {
            let carry_in = (cf as u64) << (T::BITS - n);
            let last = a.zx() >> (n - 1);
            r = T::from_u64(last >> 1 | carry_in | a.zx() << 1 << (T::BITS - n));
            cf = last & 1 != 0;
        }
        f.set_cf_of(cf, top_two_differ(r));
        r
    }
}

#[inline(always)]
fn top<T: Word>(v: T) -> bool {
    v.zx() >> (T::BITS - 1) != 0
}

#[inline(always)]
fn top_two_differ<T: Word>(v: T) -> bool {
    (v.zx() ^ v.zx() << 1) >> (T::BITS - 1) & 1 != 0
}

/// Where the count comes from.
pub trait Count {
    /// The count, 0 to 31.
    fn get(cpu: &Cpu, insn: &Insn) -> u32;
}

/// The count is in CL.
#[derive(Clone, Copy, Debug)]
pub struct InCl;
impl Count for InCl {
    #[inline(always)]
    fn get(cpu: &Cpu, _: &Insn) -> u32 {
        cpu.gpr.full(gpr::CX) as u32 & 31
    }
}

/// The count is in the instruction: 1, or an immediate byte.
#[derive(Clone, Copy, Debug)]
pub struct Immediate;
impl Count for Immediate {
    #[inline(always)]
    fn get(_: &Cpu, insn: &Insn) -> u32 {
        insn.imm as u32 & 31
    }
}

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    Some(match i.mnemonic() {
        Mnemonic::Shl | Mnemonic::Sal => single::<Shl>(i),
        Mnemonic::Shr => single::<Shr>(i),
        Mnemonic::Sar => single::<Sar>(i),
        Mnemonic::Rol => single::<Rol>(i),
        Mnemonic::Ror => single::<Ror>(i),
        Mnemonic::Rcl => single::<Rcl>(i),
        Mnemonic::Rcr => single::<Rcr>(i),
        Mnemonic::Shld => double::<Left>(i),
        Mnemonic::Shrd => double::<Right>(i),
        _ => return None,
    })
}

fn single<S: Shift>(i: &Instruction) -> Handler {
    let size = operand_size(i, 0);
    match (in_memory(i), count_in_cl(i, 1)) {
        (false, false) => by_size_to_32!(size, shift, S, Immediate, InRegister<0>),
        (false, true) => by_size_to_32!(size, shift, S, InCl, InRegister<0>),
        (true, false) => by_size_to_32!(size, shift, S, Immediate, InMemory),
        (true, true) => by_size_to_32!(size, shift, S, InCl, InMemory),
    }
}

fn double<D: DoubleShift>(i: &Instruction) -> Handler {
    let size = operand_size(i, 0);
    match (in_memory(i), count_in_cl(i, 2)) {
        (false, false) => by_size_16_32!(size, shift_double, D, Immediate, InRegister<0>),
        (false, true) => by_size_16_32!(size, shift_double, D, InCl, InRegister<0>),
        (true, false) => by_size_16_32!(size, shift_double, D, Immediate, InMemory),
        (true, true) => by_size_16_32!(size, shift_double, D, InCl, InMemory),
    }
}

fn count_in_cl(i: &Instruction, operand: u32) -> bool {
    i.op_kind(operand) == OpKind::Register && i.op_register(operand) == Register::CL
}

fn shift<S: Shift, C: Count, P: Place, T: Word>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    let n = C::get(cpu, insn);
    // A count of zero changes nothing, but memory must be writable all the same.
    P::modify::<T>(cpu, biu, insn, |f, a| if n == 0 { a } else { S::apply(f, a, n) })
}

/// SHLD or SHRD.
pub trait DoubleShift {
    /// The result; sets the flags. `a` is shifted, `b` supplies the bits that come in, `n` is 1 to 31. A count
    /// beyond the width, which the manual leaves undefined, goes on with `b` in the place of `a`.
    fn apply<T: Word>(flags: &mut Eflags, a: T, b: T, n: u32) -> T;
}

/// SHLD.
#[derive(Clone, Copy, Debug)]
pub struct Left;
impl DoubleShift for Left {
    #[inline(always)]
    fn apply<T: Word>(f: &mut Eflags, a: T, b: T, n: u32) -> T {
        let (a, m) = if n > T::BITS { (b, n - T::BITS) } else { (a, n) };
        let r = T::from_u64(a.zx() << m | b.zx() >> (T::BITS - m));
        let cf = n <= T::BITS && a.zx() >> (T::BITS - m) & 1 != 0;
        let of = cf != (n < T::BITS && top(r));
        f.set_result(r, cf, of, true);
        r
    }
}

/// SHRD.
#[derive(Clone, Copy, Debug)]
pub struct Right;
impl DoubleShift for Right {
    #[inline(always)]
    fn apply<T: Word>(f: &mut Eflags, a: T, b: T, n: u32) -> T {
        let (a, m) = if n > T::BITS { (b, n - T::BITS) } else { (a, n) };
        let r = T::from_u64(a.zx() >> m | b.zx() << (T::BITS - m));
        let cf = n <= T::BITS && a.zx() >> (m - 1) & 1 != 0;
        f.set_result(r, cf, top_two_differ(r), true);
        r
    }
}

fn shift_double<D: DoubleShift, C: Count, P: Place, T: Word>(
    cpu: &mut Cpu,
    biu: &mut Biu,
    insn: &Insn,
) -> Outcome {
    let n = C::get(cpu, insn);
    let b = cpu.gpr.get::<T>(insn.op[1]);
    P::modify::<T>(cpu, biu, insn, |f, a| if n == 0 { a } else { D::apply(f, a, b, n) })
}
