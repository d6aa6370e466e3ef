//! Binary floating point as the x87 and SSE have it, exact on any host.
//!
//! Numbers are plain encodings ([`F32`], [`F64`], [`F80`]); an operation takes them apart ([`Operand`]), computes
//! exactly or with 128 bits, and rounds once. Its conditions come in an [`Env`], made of the x87 control word or
//! of MXCSR, and the exceptions leave in it.
//!
//! | module | instructions |
//! |---|---|
//! | [`arith`] | x87 FADD FSUB FMUL FDIV FSQRT and their families |
//! | [`sse`] | the same for SSE, MINSS, MAXSS; and the host's arithmetic where it may compute them |
//! | [`compare`] | FCOM, FUCOM, FTST, COMISS, UCOMISS, CMPSS ... |
//! | [`convert`] | FLD, FST, FILD, FIST, FISTTP, FRNDINT, FBLD, FBSTP, CVTxx2yy, ROUNDSS ... |
//! | [`remainder`], [`scale`] | FPREM, FPREM1; FSCALE, FXTRACT |
//! | [`elementary`] | F2XM1, FYL2X, FYL2XP1, FSIN, FCOS, FSINCOS, FPTAN, FPATAN |
//! | [`constants`] | FLD1, FLDPI ... |
//!
//! What the manuals leave open was settled by what a Zen 5 does.

pub mod arith;
pub mod compare;
pub mod constants;
pub mod convert;
pub mod elementary;
mod env;
mod format;
pub mod remainder;
mod round;
pub mod scale;
pub mod sse;
mod wide;

#[cfg(test)]
mod tests;

pub use env::{Env, Flags, Rounding};
pub use format::{Class, F32, F64, F80, Format, NanRule, Operand, Unmasked};
