//! What integration tests share.

pub mod compare;
pub mod generate;
pub mod interpreter;
pub mod rng;
pub mod shrink;
pub mod template;
pub mod tolerance;
pub mod values;
