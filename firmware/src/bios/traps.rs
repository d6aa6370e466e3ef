//! The calls that come out of our ROMs: their numbers, and the form in which ROM code makes them.
//!
//! A call is the instruction `OUT 0EAh, AL`, and the word before it says which call it is. So no register is
//! touched, the ROM may be copied to another place (option ROMs are), and a program that writes to that port for
//! reasons of its own is not taken for one of our ROMs.

use crate::platform::Platform;
use iced_x86::IcedError;
use iced_x86::code_asm::{CodeAssembler, al};

/// The port at which a ROM calls its services. No PC has a device there.
pub const PORT: u8 = 0xEA;

/// Length of the instruction, and of the word before it.
const OUT_LENGTH: u32 = 2;
const NUMBER_LENGTH: u32 = 2;

/// What the first call has as its number: not a likely pair of bytes before an OUT.
const BASE: u16 = 0x86D0;

/// Lists the calls once.
macro_rules! traps {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A call from a ROM.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum Trap { $($(#[$doc])* $name,)* }

        impl Trap {
            /// All of them.
            pub(super) const ALL: &[Trap] = &[$(Trap::$name,)*];
        }
    };
}

traps! {
    /// Power-on or reset: everything up to the first option ROM.
    Post,
    /// The next option ROM to be initialised; carry when there is none.
    NextRom,
    /// The rest of the power-on work, when all option ROMs are in place.
    Ready,
    /// The next character of a text to be printed by INT 10h; carry when there is none.
    NextCharacter,
    /// The timer ticked.
    Int08,
    /// The keyboard has a byte: it goes to AL. Carry when there is none.
    KeyboardByte,
    /// What the keyboard interceptor left in AL becomes a key; AL says what follows.
    KeyboardKey,
    /// The floppy controller is done.
    Int0e,
    /// Display services.
    Int10,
    /// Equipment.
    Int11,
    /// Memory size.
    Int12,
    /// Disk services; carry when the caller waits for the floppy controller.
    Int13,
    /// The floppy controller may be done; carry when it is not.
    Int13Continue,
    /// Serial services.
    Int14,
    /// System services; carry when the caller waits.
    Int15,
    /// A waiting caller of INT 15h; carry when it waits on.
    Int15Continue,
    /// Keyboard services; carry when the caller waits for a key.
    Int16,
    /// Printer services.
    Int17,
    /// The boot order begins anew.
    BootFirst,
    /// Goes on to the next boot device and announces it.
    BootNext,
    /// Registers for INT 13h to read the boot sector; carry when no device is left, zero when this one failed.
    /// Devices that are not booted from a sector are started here.
    BootDevice,
    /// Starts the boot sector that was read; carry when it is to be read again.
    BootRead,
    /// Time services.
    Int1a,
    /// The real-time clock interrupted; carry when the alarm went off.
    Int70,
    /// The mouse has a byte: carry until a report for the handler is complete.
    Int74,
    /// The primary disk channel is done.
    Int76,
    /// The secondary disk channel is done.
    Int77,
    /// An interrupt that nobody serves.
    UnexpectedIrq,
    /// APM through its protected-mode entry points.
    ApmEntry,
    /// The BIOS32 service directory.
    Bios32,
    /// The PCI BIOS through its 32-bit entry point.
    Pci32,
    /// Initialisation of the display's ROM.
    VideoInit,
}

impl Trap {
    /// The word before the instruction.
    pub fn number(self) -> u16 {
        BASE + self as u16
    }

    /// The call that the caller made, with EIP behind the instruction; `None` if it is none of ours.
    pub fn of_caller(platform: &mut dyn Platform) -> Option<Trap> {
        let registers = *platform.registers();
        let at = registers.cs.at(registers.eip).wrapping_sub(OUT_LENGTH + NUMBER_LENGTH);
        let [low, high, opcode, port] = platform.get::<u32>(at).to_le_bytes();
        let index = u16::from_le_bytes([low, high]).checked_sub(BASE)?;
        // OUT imm8, AL.
        let is_call = (opcode, port) == (0xE6, PORT);
        Trap::ALL.get(usize::from(index)).copied().filter(|_| is_call)
    }
}

/// Emits a call.
pub(crate) fn call(asm: &mut CodeAssembler, trap: Trap) -> Result<(), IcedError> {
    let mut over = asm.create_label();
    asm.jmp(over)?;
    asm.dw(&[trap.number()])?;
    asm.set_label(&mut over)?;
    asm.out(u32::from(PORT), al)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places_in_the_list() {
        for (index, trap) in Trap::ALL.iter().enumerate() {
            assert_eq!(usize::from(trap.number() - BASE), index);
        }
    }
}
