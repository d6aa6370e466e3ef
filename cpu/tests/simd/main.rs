//! MMX and SSE against the manual. What random cases on a host processor show of the results is not repeated here:
//! these are the cases that need a certain mode or memory, and the manual's tables.

#[path = "../support/engine.rs"]
mod engine;
#[allow(dead_code, reason = "shared with the system tests")]
#[path = "../system/kit.rs"]
mod kit;
#[path = "suite.rs"]
mod suite;
