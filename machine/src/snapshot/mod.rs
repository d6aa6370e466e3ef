//! Saving, restoring and comparing whole machines.

pub mod hash;
pub mod state;
#[cfg(test)]
mod tests;
