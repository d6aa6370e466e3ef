//! Against the host's own arithmetic, which is IEEE 754 rounded to nearest even.

use std::cmp::Ordering;

use crate::softfloat::compare::{Quiet, compare};
use crate::softfloat::{Class, Env, F32, F64, F80, Flags, Format, Operand, Rounding, arith, convert, sse};

/// MXCSR after reset: everything masked, round to nearest.
const MXCSR: u32 = 0x1f80;

/// A xorshift generator, so that failures repeat.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// An encoding with every kind of exponent and many short or regular significands.
    fn encoding(&mut self) -> u64 {
        let bits = self.bits();
        let fraction = match self.bits() % 4 {
            0 => bits,
            1 => bits & (!0 << (bits % 52)),
            2 => bits & 0xf_ffff_ffff_ffff >> (bits % 52),
            _ => 0,
        };
        let exponent = match self.bits() % 8 {
            0 => 0,
            1 => 0x7fe - bits % 3,
            2 => bits % 60,
            3 => 0x7ff,
            _ => 1023 - 60 + bits % 120,
        };
        bits & 1 << 63 | exponent << 52 | fraction & 0xf_ffff_ffff_ffff
    }

    fn double(&mut self) -> F64 {
        F64(self.encoding())
    }

    fn single(&mut self) -> F32 {
        let bits = self.encoding();
        let exponent = match bits >> 52 & 0x7ff {
            0x7ff => 0xff,
            e @ 0..0x100 => e & 0x3f,
            e => e.wrapping_sub(1023 - 127) & 0xff,
        };
        F32((bits >> 63 << 31 | exponent << 23 | (bits & 0xf_ffff_ffff_ffff) >> 29) as u32)
    }
}

/// NaNs are compared as such: which one results is not the host language's to say.
fn same<F: Format>(ours: F, host: F) -> bool {
    let is_nan = |x: F| matches!(x.into().class(), Class::QuietNan | Class::SignalingNan);
    ours == host || (is_nan(ours) && is_nan(host))
}

fn arithmetic_agrees<F: sse::HostFormat + std::fmt::Debug>(mut next: impl FnMut(&mut Random) -> F) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..100_000 {
        let (a, b) = (next(&mut random), next(&mut random));
        let mut env = Env::from_mxcsr(MXCSR);
        let (x, y) = (|| a.to_host(), || b.to_host());
        let check = |name: &str, ours: F, host: F::Host| {
            let host = F::from_host(host);
            assert!(same(ours, host), "{a:?} {name} {b:?}: {ours:?}, but the host has {host:?}");
        };
        check("+", arith::add(a, b, &mut env), x() + y());
        check("-", arith::sub(a, b, &mut env), x() - y());
        check("*", arith::mul(a, b, &mut env), x() * y());
        check("/", arith::div(a, b, &mut env), x() / y());
        check("sqrt", arith::sqrt(a, &mut env), F::host_sqrt(x()));
    }
}

#[test]
fn double_arithmetic_is_that_of_the_host() {
    arithmetic_agrees(Random::double);
}

#[test]
fn single_arithmetic_is_that_of_the_host() {
    arithmetic_agrees(Random::single);
}

/// Compares an attempt with the exact way: a right one gives the same, and nothing else than `unseen` is raised.
/// Gives whether it was right.
fn check_attempt<T: PartialEq + std::fmt::Debug>(
    (result, right): (T, bool),
    mxcsr: u32,
    unseen: Flags,
    exact: impl FnOnce(&mut Env) -> T,
) -> bool {
    if right {
        let mut env = Env::from_mxcsr(mxcsr);
        assert_eq!(exact(&mut env), result);
        assert_eq!(env.raised.bits() & !unseen.bits(), 0, "{result:?}");
    }
    right
}

fn attempts_at_arithmetic<F: sse::HostFormat + std::fmt::Debug>(mut next: impl FnMut(&mut Random) -> F) {
    fn attempt<O: sse::Operation, F: sse::HostFormat + std::fmt::Debug>(a: F, b: F) -> bool {
        check_attempt(sse::attempt::<O, F>(a, b), MXCSR, Flags::PRECISION, |env| O::exact(a, b, env))
    }
    let mut random = Random(0xdead_beef_cafe_f00d);
    let mut right = [0; 5];
    for _ in 0..100_000 {
        let (a, b) = (next(&mut random), next(&mut random));
        let attempts = [
            attempt::<sse::Add, F>(a, b),
            attempt::<sse::Sub, F>(a, b),
            attempt::<sse::Mul, F>(a, b),
            attempt::<sse::Div, F>(a, b),
            attempt::<sse::Sqrt, F>(a, b),
        ];
        for (count, is_right) in right.iter_mut().zip(attempts) {
            *count += u32::from(is_right);
        }
    }
    assert!(right.iter().all(|count| *count > 20_000), "{right:?} of 100,000 attempts were right");
}

/// The host may compute only if nobody can tell: same result, and no flag but PE.
#[test]
fn right_attempts_at_arithmetic_differ_in_pe_alone() {
    attempts_at_arithmetic(Random::double);
    attempts_at_arithmetic(Random::single);
}

/// If PE is not set, or not masked, inexact conversions must be reported.
#[test]
fn right_attempts_at_conversions_cannot_be_told_from_exact_ones() {
    const PE: u32 = 0x20;
    const PM: u32 = 0x1000;
    let mut random = Random(0xfeed_beef_cafe_f00d);
    let mut right = [0; 6];
    for i in 0..200_000 {
        let (double, single) = (random.double(), random.single());
        let integer = (random.bits() as i64 >> (random.bits() % 64)) as i32;
        let bits = MXCSR | (i % 4) << 13;
        let (bits, unseen) = match i / 4 % 4 {
            0 => (bits, Flags::NONE),
            1 => (bits & !PM | PE, Flags::NONE),
            _ => (bits | PE, Flags::PRECISION),
        };
        let (mxcsr, env) = (sse::Mxcsr(bits), Env::from_mxcsr(bits));
        let round = |rounding: Option<Rounding>| rounding.unwrap_or(env.rounding());
        for rounding in [None, Some(Rounding::Zero)] {
            let attempt = sse::attempt_to_i32(double, rounding, mxcsr);
            let exact = |env: &mut Env| convert::to_integer(double, round(rounding), env);
            right[0] += u32::from(check_attempt(attempt, bits, unseen, exact));
            let attempt = sse::attempt_to_i32(single, rounding, mxcsr);
            let exact = |env: &mut Env| convert::to_integer(single, round(rounding), env);
            right[1] += u32::from(check_attempt(attempt, bits, unseen, exact));
        }
        let exact = |env: &mut Env| convert::convert(integer, env);
        right[2] += u32::from(check_attempt(sse::attempt_i32_to_single(integer, mxcsr), bits, unseen, exact));
        let exact = |env: &mut Env| convert::convert(integer, env);
        right[3] += u32::from(check_attempt((sse::i32_to_double(integer), true), bits, unseen, exact));
        let exact = |env: &mut Env| convert::convert(single, env);
        right[4] += u32::from(check_attempt(sse::attempt_single_to_double(single), bits, unseen, exact));
        let exact = |env: &mut Env| convert::convert(double, env);
        right[5] +=
            u32::from(check_attempt(sse::attempt_double_to_single(double, mxcsr), bits, unseen, exact));
    }
    assert!(right.iter().all(|count| *count > 10_000), "{right:?} of 200,000 attempts were right");
}

#[test]
fn conversions_are_those_of_the_host() {
    let mut random = Random(0x0123_4567_89ab_cdef);
    for _ in 0..100_000 {
        let (double, single) = (random.double(), random.single());
        let integer = random.bits() as i64 >> (random.bits() % 64);
        let env = &mut Env::from_mxcsr(MXCSR);
        let (d, s) = (f64::from_bits(double.0), f32::from_bits(single.0));

        assert!(same(convert::convert(double, env), F32((d as f32).to_bits())), "{d:e}");
        assert!(same(convert::convert(single, env), F64(f64::from(s).to_bits())), "{s:e}");
        assert_eq!(convert::convert::<F64>(integer, env), F64((integer as f64).to_bits()), "{integer}");
        assert_eq!(convert::convert::<F32>(integer, env), F32((integer as f32).to_bits()), "{integer}");

        let extended: F80 = convert::load(double, env);
        assert!(same(convert::store::<F64>(extended, env), double), "{d:e}");

        let truncated: i32 = convert::to_integer(double, Rounding::Zero, env);
        assert_eq!(truncated, if d.trunc().abs() < 2147483648.0 { d as i32 } else { i32::MIN }, "{d:e}");
        for (rounding, host) in [
            (Rounding::NearestEven, d.round_ties_even()),
            (Rounding::Down, d.floor()),
            (Rounding::Up, d.ceil()),
            (Rounding::Zero, d.trunc()),
        ] {
            let ours = convert::round_to_integral(double, rounding, env);
            assert!(same(ours, F64(host.to_bits())), "{d:e} {rounding:?}");
        }
    }
}

#[test]
fn comparison_is_that_of_the_host() {
    let mut random = Random(0x5555_aaaa_1234_4321);
    let mut seen = [0; 4];
    for i in 0..100_000 {
        let a = random.double();
        let b = if i % 4 == 0 { F64(a.0 ^ (random.bits() & (1 << 63 | 1))) } else { random.double() };
        let ours = compare(a, b, Quiet::Accepted, &mut Env::from_mxcsr(MXCSR));
        assert_eq!(ours, f64::from_bits(a.0).partial_cmp(&f64::from_bits(b.0)), "{a:?} {b:?}");
        seen[ours.map_or(3, |o| (o as i8 + 1) as usize)] += 1;
    }
    assert!(seen.iter().all(|&n| n > 100) && seen[Ordering::Equal as usize + 1] > 100);
}

#[test]
fn denormals_of_each_format_are_normalized_operands() {
    assert_eq!(Operand::from(F32(1)).class(), Class::Denormal);
    let env = &mut Env::from_mxcsr(MXCSR);
    assert_eq!(convert::convert::<F64>(F32(1), env), F64(f64::from(f32::from_bits(1)).to_bits()));
    assert_eq!(env.raised, Flags::DENORMAL);
}
