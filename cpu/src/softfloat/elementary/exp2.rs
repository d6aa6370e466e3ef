//! F2XM1: two to the power of x, minus one. SDM Vol. 2A, "F2XM1".

use super::{alternating_series, deliver, deliver_exact, inverse_factorials, operand, power_series};
use crate::softfloat::constants::LN_2;
use crate::softfloat::env::{Env, Flags};
use crate::softfloat::format::{Class, F80, INTEGER_BIT};
use crate::softfloat::wide::Wide;

/// The coefficients of `(e^u - 1) / u - 1`, enough for `u < ln 2`.
const SERIES: [u128; 30] = inverse_factorials(2, 1);

/// `2^a - 1` for `-1 <= a <= 1`. Beyond that range the result is undefined by the manuals; it is `a`.
pub fn f2xm1(a: F80, env: &mut Env) -> F80 {
    let x = match operand(a, env, |_, _| None) {
        Ok(x) => x,
        Err(result) => return result,
    };
    match x.class {
        Class::Zero => return a,
        Class::Infinity if x.sign => return F80::ONE.negate(),
        Class::Infinity => return a,
        _ => {}
    }
    if x.exponent >= 0 {
        if x.exponent == 0 && x.significand == INTEGER_BIT {
            let exponent = if x.sign { -1 } else { 0 };
            return deliver_exact(Wide { exponent, ..Wide::of(x) }, env);
        }
        env.raise(Flags::PRECISION);
        return a;
    }
    let u = Wide::of(x).mul(LN_2);
    let z = u.to_fraction();
    let factor = if x.sign {
        Wide::fraction(!alternating_series(z, &SERIES))
    } else {
        Wide::one_and_fraction(power_series(z, &SERIES))
    };
    deliver(u.mul(factor), env)
}
