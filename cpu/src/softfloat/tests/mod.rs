//! Tests, by oracle: the manuals' tables, a processor's recorded answers, and the host's arithmetic.

mod captured;
mod host;
mod tables;

use super::{Env, F80};

/// Everything masked, round to nearest even, 64 bits: the control word after FNINIT.
fn initialized() -> Env {
    Env::from_control_word(0x37f)
}

fn f80(sign_exponent: u16, significand: u64) -> F80 {
    F80 { significand, sign_exponent }
}
