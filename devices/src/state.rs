//! Saving and restoring the whole state of a device.

use serde::{Serialize, de::DeserializeOwned};

/// A saved state that no such device can be in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{device}: {what}")]
pub struct RestoreError {
    /// The device that refused.
    pub device: &'static str,
    /// What was wrong.
    pub what: String,
}

impl RestoreError {
    /// `device` refuses a state because of `what`.
    pub fn new(device: &'static str, what: impl Into<String>) -> Self {
        RestoreError { device, what: what.into() }
    }
}

/// A device whose whole guest-visible state can be saved and restored.
///
/// `save` destructures the device exhaustively (no `..`), so that a new field breaks the build until someone
/// decides about it. `restore` validates: a saved state comes from a file and may be hostile; whatever it
/// accepts must not let any later access panic, hang or allocate without bound. After a refused restore the
/// device is unchanged. Connections (IRQ lines, host back ends, media) are not state; `restore` does not drive
/// lines, because the [`IrqBank`](crate::irq::IrqBank) is saved and restored by itself.
pub trait Snapshot {
    /// The device's state as plain data.
    type State: Serialize + DeserializeOwned + Clone + PartialEq + std::fmt::Debug;

    /// The state now.
    fn save(&self) -> Self::State;

    /// Takes over `state`.
    fn restore(&mut self, state: Self::State) -> Result<(), RestoreError>;
}
