//! The RESET input that every device has.

/// A device with a RESET input.
pub trait Reset {
    /// Puts every register into the state that the datasheet gives for power-on or RESET. What outlives a
    /// reset (battery-backed memory, inserted media, host connections) stays.
    fn reset(&mut self);
}
