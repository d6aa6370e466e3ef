//! The SMBus host of the PIIX4, on a bus without devices: no address is ever acknowledged.

use super::spec::smbus::{
    CLEARABLE, COUNT, DEVICE_ERROR, FAILED, HOST_CONTROL, HOST_STATUS, INTERRUPT_ENABLE, KILL, START,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Smbus {
    status: u8,
    /// Everything but the status register.
    registers: [u8; COUNT as usize],
}

impl Smbus {
    pub fn read(&self, offset: u8) -> u8 {
        match offset {
            HOST_STATUS => self.status,
            _ => self.registers[usize::from(offset)],
        }
    }

    pub fn write(&mut self, offset: u8, value: u8) {
        match offset {
            HOST_STATUS => self.status &= !(value & CLEARABLE),
            HOST_CONTROL => {
                self.registers[usize::from(offset)] = value & !START;
                if value & KILL != 0 {
                    self.status |= FAILED;
                } else if value & START != 0 {
                    self.status |= DEVICE_ERROR;
                }
            }
            _ => self.registers[usize::from(offset)] = value,
        }
    }

    /// Whether the host requests its interrupt.
    pub fn interrupt(&self) -> bool {
        self.registers[usize::from(HOST_CONTROL)] & INTERRUPT_ENABLE != 0 && self.status & CLEARABLE != 0
    }

    /// Whether writes could have led here.
    pub fn is_valid(&self) -> bool {
        self.status & !CLEARABLE == 0 && self.registers[usize::from(HOST_CONTROL)] & START == 0
    }
}
