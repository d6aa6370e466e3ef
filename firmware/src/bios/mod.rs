//! The BIOS: its ROM, the services behind it, and its power-on work.
//!
//! It holds no state of its own: everything is in the guest's memory, where IBM's BIOS has it too, so that a
//! machine can be reset, saved and restored between any two instructions without asking its firmware.

pub(crate) mod bda;
mod boot;
mod call;
pub(crate) mod hardware;
#[cfg(test)]
mod hostile;
mod int13;
mod int15;
mod keyboard;
mod memory_map;
mod pci_bios;
mod post;
mod rom;
mod serial;
mod small;
mod time;
mod traps;

pub(crate) use call::Call;
pub(crate) use hardware::pci::functions as pci_functions;
pub(crate) use post::pci as pci_layout;
pub use rom::image;
pub use traps::PORT;
pub(crate) use traps::{Trap, call as emit_call};

use crate::platform::Platform;
use crate::video;

/// Serves the call that the guest has just made by an OUT to [`PORT`]: EIP is behind that instruction. Gives
/// whether it came from one of our ROMs; another's is not heeded.
pub fn serve(platform: &mut dyn Platform) -> bool {
    let Some(trap) = Trap::of_caller(platform) else { return false };
    let mut call = Call { regs: *platform.registers(), io: platform };
    dispatch(trap, &mut call);
    *call.io.registers() = call.regs;
    true
}

fn dispatch(trap: Trap, call: &mut Call) {
    match trap {
        Trap::Post => post::start(call),
        Trap::NextRom => post::roms::next(call),
        Trap::Ready => post::ready(call),
        Trap::NextCharacter => small::next_character(call),
        Trap::Int08 => time::tick(call),
        Trap::KeyboardByte => keyboard::interrupt::take_byte(call),
        Trap::KeyboardKey => keyboard::interrupt::understand(call),
        Trap::Int0e => int13::floppy::interrupt(call),
        Trap::Int10 => video::service(call),
        Trap::Int11 => small::equipment(call),
        Trap::Int12 => small::memory_size(call),
        Trap::Int13 => int13::service(call),
        Trap::Int13Continue => int13::floppy::go_on(call),
        Trap::Int14 => serial::service(call),
        Trap::Int15 => int15::service(call),
        Trap::Int15Continue => int15::wait::go_on(call),
        Trap::Int16 => keyboard::service(call),
        Trap::Int17 => small::printer(call),
        Trap::BootFirst => boot::first(call),
        Trap::BootNext => boot::next(call),
        Trap::BootDevice => boot::device(call),
        Trap::BootRead => boot::sector_read(call),
        Trap::Int1a => time::service(call),
        Trap::Int70 => time::clock_interrupt(call),
        Trap::Int74 => int15::mouse::interrupt(call),
        Trap::Int76 | Trap::Int77 => int13::disk_interrupt(call),
        Trap::UnexpectedIrq => small::unexpected_interrupt(call),
        Trap::ApmEntry => int15::apm::service_protected(call),
        Trap::Bios32 => pci_bios::directory(call),
        Trap::Pci32 => pci_bios::service_32(call),
        Trap::VideoInit => video::initialise(call),
    }
}
