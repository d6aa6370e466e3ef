//! The transcendental instructions, computed with 128 bits and then rounded as rounding control says.
//!
//! Before rounding, results have a relative error below 2^-110, so that they are practically always the correctly
//! rounded ones; a processor's may differ in the last place (SDM Vol. 1, "Transcendental Instruction Accuracy").
//! Precision control has no effect. A computed result always raises PE, even where it happens to be exact, as
//! processors do; C1 tells truthfully whether it was rounded up.

mod atan;
mod exp2;
mod log2;
mod trig;

pub use atan::fpatan;
pub use exp2::f2xm1;
pub use log2::{fyl2x, fyl2xp1};
pub use trig::{fcos, fptan, fsin, fsincos};

use super::env::{Env, Flags};
use super::format::{F80, Format, Operand};
use super::round::{round_to, specials};
use super::wide::{Wide, high_product};

/// Rounds a computed result that is not zero and not exact.
fn deliver(result: Wide, env: &mut Env) -> F80 {
    round_to(result.inexact(), F80::PRECISION, F80::UNMASKED, env)
}

/// Rounds a result that may be exact, which does not keep it from raising PE, or UE if it is tiny.
fn deliver_exact(result: Wide, env: &mut Env) -> F80 {
    env.raise(if result.exponent < F80::EMIN {
        Flags::PRECISION | Flags::UNDERFLOW
    } else {
        Flags::PRECISION
    });
    round_to(result, F80::PRECISION, F80::UNMASKED, env)
}

/// Sorts out the operand of a function of one: see [`specials`].
fn operand(
    a: F80,
    env: &mut Env,
    settled: impl FnOnce(&Operand, &mut Env) -> Option<F80>,
) -> Result<Operand, F80> {
    specials(a.into(), Operand::from(0), env, |x, _, env| settled(x, env)).map(|(x, _)| x)
}

/// `c[0] z + c[1] z^2 + ...`, all as fractions of 2^128; no partial sum may reach one.
fn power_series(z: u128, coefficients: &[u128]) -> u128 {
    coefficients.iter().rev().fold(0, |sum, c| high_product(z, c + sum))
}

/// `c[0] z - c[1] z^2 + ...`, all as fractions of 2^128; the coefficients decrease.
fn alternating_series(z: u128, coefficients: &[u128]) -> u128 {
    coefficients.iter().rev().fold(0, |sum, c| high_product(z, c - sum))
}

/// `1 / first!`, `1 / (first + step)!` ... as fractions of 2^128. No factorial may be beyond 34!.
const fn inverse_factorials<const N: usize>(first: u128, step: u128) -> [u128; N] {
    let mut table = [0; N];
    let (mut factorial, mut upto, mut i) = (1u128, 1, 0);
    while i < N {
        while upto < first + i as u128 * step {
            upto += 1;
            factorial *= upto;
        }
        table[i] = u128::MAX / factorial;
        i += 1;
    }
    table
}

/// `1/3, 1/5, 1/7 ...` as fractions of 2^128.
const fn inverse_odd_numbers<const N: usize>() -> [u128; N] {
    let mut table = [0; N];
    let mut i = 0;
    while i < N {
        table[i] = u128::MAX / (2 * i as u128 + 3);
        i += 1;
    }
    table
}
