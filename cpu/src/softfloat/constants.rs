//! The constants of FLD1, FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2 and FLDZ.

use super::env::Env;
use super::format::{F80, Format};
use super::round::round_to;
use super::wide::Wide;

/// A constant that an instruction loads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Constant {
    /// FLDZ: +0.
    Zero,
    /// FLD1: 1.
    One,
    /// FLDL2T: the binary logarithm of ten.
    Log2Of10,
    /// FLDL2E: the binary logarithm of e.
    Log2OfE,
    /// FLDPI: pi.
    Pi,
    /// FLDLG2: the decimal logarithm of two.
    Log10Of2,
    /// FLDLN2: the natural logarithm of two.
    LnOf2,
}

/// log2(e), truncated.
pub(super) const LOG2_E: Wide = positive(0, 0xb8aa3b295c17f0bbbe87fed0691d3e88);
/// ln(2), truncated.
pub(super) const LN_2: Wide = positive(-1, 0xb17217f7d1cf79abc9e3b39803f2f6af);
/// pi, truncated.
pub(super) const PI: Wide = positive(1, 0xc90fdaa22168c234c4c6628b80dc1cd1);

const LOG2_10: Wide = positive(1, 0xd49a784bcd1b8afe492bf6ff4dafdb4c);
const LOG10_2: Wide = positive(-2, 0x9a209a84fbcff7988f8959ac0b7c9178);

const fn positive(exponent: i32, significand: u128) -> Wide {
    Wide { sign: false, exponent, significand }
}

/// The constant, rounded as `env` says but always to 64 bits. No exception is raised.
///
/// SDM Vol. 2A, "FLD1/FLDL2T/FLDL2E/FLDPI/FLDLG2/FLDLN2/FLDZ": since the 387, rounding control applies.
pub fn constant(which: Constant, env: &Env) -> F80 {
    let exact = match which {
        Constant::Zero => return F80::zero(false),
        Constant::One => return F80::ONE,
        Constant::Log2Of10 => LOG2_10,
        Constant::Log2OfE => LOG2_E,
        Constant::Pi => PI,
        Constant::Log10Of2 => LOG10_2,
        Constant::LnOf2 => LN_2,
    };
    round_to(exact, F80::PRECISION, F80::UNMASKED, &mut env.clone())
}
