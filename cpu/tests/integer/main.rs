//! The integer instructions against the manual. What the host and the 80286 vectors show of them is not repeated
//! here: these are the cases that need a certain memory, mode or device.

#[path = "../support/engine.rs"]
mod engine;
#[allow(dead_code, reason = "shared with the system tests")]
#[path = "../system/kit.rs"]
mod kit;
#[path = "suite.rs"]
mod suite;
