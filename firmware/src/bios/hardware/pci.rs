//! PCI configuration space. PCI Local Bus Specification 2.1, "Configuration Mechanism #1".

use crate::platform::Platform;

const ADDRESS: u16 = 0xCF8;
const DATA: u16 = 0xCFC;

/// Offsets of configuration registers.
pub(crate) mod register {
    pub const ID: u8 = 0x00;
    pub const COMMAND: u8 = 0x04;
    pub const CLASS: u8 = 0x08;
    pub const HEADER_TYPE: u8 = 0x0E;
    pub const BAR_0: u8 = 0x10;
    pub const INTERRUPT_LINE: u8 = 0x3C;
    pub const INTERRUPT_PIN: u8 = 0x3D;
}

/// The command register's bits: I/O space, memory space, bus master.
pub(crate) const IO_SPACE: u16 = 1;
pub(crate) const MEMORY_SPACE: u16 = 2;
pub(crate) const BUS_MASTER: u16 = 4;

/// The address of a function: bus, device and function number as the PCI BIOS packs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Function(pub u16);

impl Function {
    /// Function `function` of device `device` on bus 0.
    pub const fn new(device: u8, function: u8) -> Self {
        Function((device as u16) << 3 | function as u16)
    }

    /// Device number.
    pub const fn device(self) -> u8 {
        (self.0 >> 3) as u8 & 0x1F
    }

    /// Selects the doubleword that holds `register`; gives the port of the register's first byte.
    fn select(self, io: &mut dyn Platform, register: u8) -> u16 {
        io.out32(ADDRESS, 1 << 31 | u32::from(self.0) << 8 | u32::from(register & 0xFC));
        DATA + u16::from(register & 3)
    }

    pub fn read8(self, io: &mut dyn Platform, register: u8) -> u8 {
        let port = self.select(io, register);
        io.in8(port)
    }

    pub fn read16(self, io: &mut dyn Platform, register: u8) -> u16 {
        let port = self.select(io, register);
        io.in16(port)
    }

    pub fn read32(self, io: &mut dyn Platform, register: u8) -> u32 {
        let port = self.select(io, register);
        io.in32(port)
    }

    pub fn write8(self, io: &mut dyn Platform, register: u8, value: u8) {
        let port = self.select(io, register);
        io.out8(port, value);
    }

    pub fn write16(self, io: &mut dyn Platform, register: u8, value: u16) {
        let port = self.select(io, register);
        io.out16(port, value);
    }

    pub fn write32(self, io: &mut dyn Platform, register: u8, value: u32) {
        let port = self.select(io, register);
        io.out32(port, value);
    }

    /// Vendor and device number; all ones where there is nothing.
    pub fn id(self, io: &mut dyn Platform) -> u32 {
        self.read32(io, register::ID)
    }

    /// Class, subclass and programming interface.
    pub fn class(self, io: &mut dyn Platform) -> u32 {
        self.read32(io, register::CLASS) >> 8
    }
}

/// The host bridge (82441FX), and the parts of the PIIX.
pub(crate) const HOST_BRIDGE: Function = Function::new(0, 0);
pub(crate) const ISA_BRIDGE: Function = Function::new(1, 0);
pub(crate) const IDE: Function = Function::new(1, 1);
pub(crate) const POWER_MANAGEMENT: Function = Function::new(1, 3);

/// All functions of bus 0, which is the only one.
pub(crate) fn functions(io: &mut dyn Platform) -> Vec<Function> {
    const MULTIFUNCTION: u8 = 0x80;
    let mut found = Vec::new();
    for device in 0..32 {
        let first = Function::new(device, 0);
        if first.id(io) as u16 == 0xFFFF {
            continue;
        }
        found.push(first);
        if first.read8(io, register::HEADER_TYPE) & MULTIFUNCTION != 0 {
            let others = (1..8).map(|function| Function::new(device, function));
            found.extend(others.filter(|function| function.id(io) as u16 != 0xFFFF).collect::<Vec<_>>());
        }
    }
    found
}
