//! What the loop of a nanobenchmark finds around it when it is a program of the host: the guest's addresses.

use super::address::{self, PATCHED, SLOT_BYTES, Slot};
use super::guest::{nothing_function, patched};
use iced_x86::IcedError;

pub use super::address::{DATA, DATA_END, LOOP, ORIGIN};

/// Handler of signals.
pub const HANDLER: u32 = Slot::Skip.address();
/// What it returns to.
pub const RESTORER: u32 = Slot::SystemCall.address();
/// Variables.
pub const SCRATCH: u32 = address::VARIABLES;

/// The image without its code: the functions that loops call.
pub fn functions() -> Result<Vec<u8>, IcedError> {
    let mut image = vec![0; (PATCHED + 0x1000 - ORIGIN) as usize];
    let mut put = |at: u32, bytes: Vec<u8>| {
        image[(at - ORIGIN) as usize..][..bytes.len()].copy_from_slice(&bytes);
    };
    for n in 0..4 {
        put(Slot::Return.address() + n * SLOT_BYTES, nothing_function()?);
    }
    put(PATCHED, patched()?);
    Ok(image)
}
