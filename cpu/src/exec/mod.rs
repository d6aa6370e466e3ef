//! What instructions do, one file per family of the manual.
//!
//! Every family offers `select`, which gives the handler of an instruction it knows; [`dispatch`] asks them in
//! turn. A handler is an ordinary function of processor, bus and decoded instruction, generic over operation,
//! operand size and operand form, so that nothing is decided at run time that decoding can decide.

pub mod alu;
pub mod branch;
pub mod dispatch;
pub mod form;
pub mod mov;
pub mod portio;
pub mod stack;
pub mod system;
