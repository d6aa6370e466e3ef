//! FPATAN: the angle of a point. SDM Vol. 2A, "FPATAN".

use super::{alternating_series, deliver, inverse_odd_numbers};
use crate::softfloat::constants::PI;
use crate::softfloat::env::Env;
use crate::softfloat::format::{Class, F80, Format};
use crate::softfloat::round::specials;
use crate::softfloat::wide::Wide;

/// The coefficients of `1 - arctan(s) / s` in `s^2`, enough for `s <= 1/16`.
const SERIES: [u128; 14] = inverse_odd_numbers();

/// `arctan(i / 8)` as fractions of 2^128, truncated.
const ARCTAN_OF_EIGHTHS: [u128; 9] = [
    0,
    0x1fd5ba9aac2f6dc65912f313e7d111de,
    0x3eb6ebf25901bac55b71e7bd7de885f9,
    0x5bd86507937bc239c55190916e7f2241,
    0x76b19c1586ed3da2b7f222f65e1d4681,
    0x8f005d5ef7f59f9b5c835e1665c43747,
    0xa4bc7d1934f7092419a87f2a457dac9e,
    0xb8053e2bc2319e73cb2da55210a4443d,
    0xc90fdaa22168c234c4c6628b80dc1cd1,
];

/// The angle from the positive x axis to the point (x, y), between -pi and pi, with the sign of `y`.
pub fn fpatan(y: F80, x: F80, env: &mut Env) -> F80 {
    let (x, y) = match specials(x.into(), y.into(), env, |_, _, _| None) {
        Ok(operands) => operands,
        Err(result) => return result,
    };
    let eighths_of_pi = |n: i32| {
        let product = Wide::integer(n).mul(PI);
        Wide { exponent: product.exponent - 3, ..product }
    };
    let angle = match (x.class, y.class) {
        (Class::Infinity, Class::Infinity) => eighths_of_pi(if x.sign { 6 } else { 2 }),
        (_, Class::Infinity) => eighths_of_pi(4),
        (Class::Infinity, _) | (_, Class::Zero) if x.sign => eighths_of_pi(8),
        (Class::Infinity, _) | (_, Class::Zero) => return F80::zero(y.sign),
        (Class::Zero, _) => eighths_of_pi(4),
        _ => {
            let (a, b) = (Wide::of(x).negate_if(x.sign), Wide::of(y).negate_if(y.sign));
            let steep = (a.exponent, a.significand) < (b.exponent, b.significand);
            let base =
                if steep { arctan(a.div(b)).negate_if(!x.sign) } else { arctan(b.div(a)).negate_if(x.sign) };
            match (steep, x.sign) {
                (true, _) => eighths_of_pi(4).add(base),
                (false, true) => eighths_of_pi(8).add(base),
                (false, false) => base,
            }
        }
    };
    deliver(angle.negate_if(y.sign), env)
}

/// The arc tangent of `0 < t <= 1`.
fn arctan(t: Wide) -> Wide {
    let eighths = if t.exponent < 0 { (t.to_fraction() >> 124).div_ceil(2) } else { 8 } as usize;
    let c = Wide::normalized(false, 127 - 3, eighths as u128);
    // arctan(t) = arctan(c) + arctan((t - c) / (1 + t c))
    let s = if eighths == 0 { t } else { t.add(c.negate()).div(Wide::ONE.add(t.mul(c))) };
    let z = s.mul(s).to_fraction();
    let rest = s.mul(Wide::fraction(!alternating_series(z, &SERIES)));
    Wide::fraction(ARCTAN_OF_EIGHTHS[eighths]).add(rest)
}
