//! What instructions do, one file per family of the manual.
//!
//! Every family offers `select`, which gives the handler of an instruction it knows; [`dispatch`] asks them in
//! turn. A handler is an ordinary function of processor, bus and decoded instruction, generic over operation,
//! operand size and operand form, so that nothing is decided at run time that decoding can decide.

pub mod alu;
pub mod atomic;
pub mod bcd;
pub mod bit;
pub mod branch;
pub mod control;
pub mod dispatch;
pub mod far;
pub mod flagctl;
pub mod flags;
pub mod form;
pub mod fxsave;
pub mod interrupt;
pub mod iret;
pub mod misc;
pub mod mov;
pub mod msr;
pub mod muldiv;
pub mod portio;
pub mod segload;
pub mod shift;
pub mod simd;
pub mod stack;
pub mod string;
pub mod sysenter;
pub mod system;
pub mod tables;
pub mod verify;
pub mod x87;
