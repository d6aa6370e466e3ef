//! The tests.

mod atomic;
mod attributes;
mod bits;
mod division;
mod opcodes;
mod repeat;
mod string;
