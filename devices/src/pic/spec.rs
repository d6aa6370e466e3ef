//! 8259A command words. Intel 8259A data sheet, "Initialization Command Words" and "Operation Command Words".

use serde::{Deserialize, Serialize};

/// ICW1: begins initialization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Icw1(pub u8);

impl Icw1 {
    /// D4 at A0 = 0 tells ICW1 from OCW2 and OCW3.
    pub const SELECT: u8 = 0x10;

    /// IC4: ICW4 will follow; without it all its functions are zero.
    pub const fn needs_icw4(self) -> bool {
        self.0 & 0x01 != 0
    }
    /// SNGL: no other 8259A in the system, and no ICW3.
    pub const fn single(self) -> bool {
        self.0 & 0x02 != 0
    }
    /// ADI: MCS-80 call address interval of 4 instead of 8.
    pub const fn interval_4(self) -> bool {
        self.0 & 0x04 != 0
    }
    /// LTIM: all inputs are level triggered.
    pub const fn level_triggered(self) -> bool {
        self.0 & 0x08 != 0
    }
}

/// ICW4. Its buffered mode bits have no effect: the board has no bus buffers to drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Icw4(pub u8);

impl Icw4 {
    /// uPM: 8086 mode, in which an interrupt acknowledge gives a vector, not the parts of a CALL.
    pub const fn mode_8086(self) -> bool {
        self.0 & 0x01 != 0
    }
    /// AEOI: an acknowledged interrupt does not stay in service.
    pub const fn automatic_eoi(self) -> bool {
        self.0 & 0x02 != 0
    }
    /// SFNM: a cascade input in service does not block its own slave.
    pub const fn special_fully_nested(self) -> bool {
        self.0 & 0x10 != 0
    }
}

/// What OCW2 commands, from its bits R, SL and EOI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ocw2 {
    /// Clears the rotate-in-automatic-EOI flip-flop.
    ClearRotateInAutomaticEoi,
    /// Ends the highest priority interrupt in service.
    NonSpecificEoi,
    /// SL alone.
    NoOperation,
    /// Ends the named interrupt.
    SpecificEoi(u8),
    /// Sets the rotate-in-automatic-EOI flip-flop.
    SetRotateInAutomaticEoi,
    /// Ends the highest priority interrupt in service and gives it the lowest priority.
    RotateOnNonSpecificEoi,
    /// Gives the named input the lowest priority.
    SetPriority(u8),
    /// Ends the named interrupt and gives it the lowest priority.
    RotateOnSpecificEoi(u8),
}

impl From<u8> for Ocw2 {
    fn from(value: u8) -> Self {
        let level = value & 7;
        match value >> 5 {
            0b000 => Ocw2::ClearRotateInAutomaticEoi,
            0b001 => Ocw2::NonSpecificEoi,
            0b010 => Ocw2::NoOperation,
            0b011 => Ocw2::SpecificEoi(level),
            0b100 => Ocw2::SetRotateInAutomaticEoi,
            0b101 => Ocw2::RotateOnNonSpecificEoi,
            0b110 => Ocw2::SetPriority(level),
            _ => Ocw2::RotateOnSpecificEoi(level),
        }
    }
}

/// OCW3: special mask mode, poll, and the register that reads see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ocw3(pub u8);

impl Ocw3 {
    /// D3 at A0 = 0 tells OCW3 from OCW2.
    pub const SELECT: u8 = 0x08;

    /// ESMM and SMM: the new special mask mode, if it changes.
    pub const fn special_mask_mode(self) -> Option<bool> {
        if self.0 & 0x40 != 0 { Some(self.0 & 0x20 != 0) } else { None }
    }
    /// P: the next read is a poll.
    pub const fn poll(self) -> bool {
        self.0 & 0x04 != 0
    }
    /// RR and RIS: whether reads see the in-service register (true) or the request register, if it changes.
    pub const fn read_in_service(self) -> Option<bool> {
        if self.0 & 0x02 != 0 { Some(self.0 & 0x01 != 0) } else { None }
    }
}

/// Register offsets of the pair.
pub mod offset {
    /// Master, A0 = 0 (port 20h).
    pub const MASTER_COMMAND: u16 = 0;
    /// Master, A0 = 1 (port 21h).
    pub const MASTER_DATA: u16 = 1;
    /// Slave, A0 = 0 (port A0h).
    pub const SLAVE_COMMAND: u16 = 2;
    /// Slave, A0 = 1 (port A1h).
    pub const SLAVE_DATA: u16 = 3;
    /// Edge/level control register of the master (port 4D0h).
    pub const MASTER_ELCR: u16 = 4;
    /// Edge/level control register of the slave (port 4D1h).
    pub const SLAVE_ELCR: u16 = 5;
}

/// The inputs whose edge/level control bit can be set: not the timer, keyboard and cascade (IRQ 0, 1, 2), nor
/// the clock and coprocessor (IRQ 8, 13). Intel 82371SB (PIIX3) data sheet, "Interrupt Controller Edge/Level
/// Triggered Registers".
pub const ELCR_WRITABLE: [u8; 2] = [0xF8, 0xDE];

/// The master's input that the slave drives.
pub const CASCADE_LEVEL: u8 = 2;
