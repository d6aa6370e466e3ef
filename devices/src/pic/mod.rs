//! Interrupt controller of the PC/AT: two 8259A in cascade, with the edge/level control registers that PCI
//! chipsets add. Intel 8259A data sheet; Intel 82371SB (PIIX3) data sheet.
//!
//! The pair watches an interrupt bank: lines 0 to 7 are the master's inputs, 8 to 15 the slave's. Line 2 is
//! unused, since the slave drives that input.

mod chip;
mod spec;
mod state;

#[cfg(test)]
mod tests;

use crate::access::{AccessSize, IoError, PortIo, PortRange};
use crate::irq::IrqInputs;
use crate::reset::Reset;
use crate::time::GuestTime;
use chip::Chip;
use spec::{CASCADE_LEVEL, ELCR_WRITABLE, offset};

pub use state::PicState;

const CASCADE: u8 = 1 << CASCADE_LEVEL;

/// Two 8259A.
///
/// Register offsets: 0 and 1 master, 2 and 3 slave, 4 and 5 their edge/level control registers.
///
/// ```
/// use idem86_devices::{access::{AccessSize::Byte, PortIo}, irq::IrqBank, pic::Pic, time::GuestTime};
/// let bank = IrqBank::new();
/// let mut pic = Pic::new(bank.inputs(0));
/// for (offset, value) in [(0, 0x11), (1, 0x08), (1, 0x04), (1, 0x01)] {
///     pic.write_port(offset, Byte, value, GuestTime::ZERO).unwrap();
/// }
/// bank.line(4).set(true);
/// assert!(pic.interrupt_output());
/// assert_eq!(pic.acknowledge(), 0x0C);
/// assert!(!pic.interrupt_output());
/// ```
#[derive(Debug)]
pub struct Pic {
    inputs: IrqInputs,
    master: Chip,
    slave: Chip,
}

impl Pic {
    /// The ports of the PC/AT and, for the edge/level control registers, of PCI chipsets.
    pub const PORTS: &[PortRange] = &[
        PortRange::new(0x20, 2, offset::MASTER_COMMAND),
        PortRange::new(0xA0, 2, offset::SLAVE_COMMAND),
        PortRange::new(0x4D0, 2, offset::MASTER_ELCR),
    ];

    /// A pair that watches `inputs`, never initialized and with all interrupts masked.
    pub fn new(inputs: IrqInputs) -> Self {
        Pic { inputs, master: Chip::power_on(), slave: Chip::power_on() }
    }

    /// The level of the master's INT output now.
    pub fn interrupt_output(&mut self) -> bool {
        self.look();
        self.master.int(true)
    }

    /// An interrupt acknowledge cycle (both INTA pulses): takes the interrupt into service and returns its
    /// vector. If the request has gone, that is the vector of IR7 of the chip that missed it, and nothing
    /// goes into service there. If the master names a slave that is not there, nobody drives the bus.
    pub fn acknowledge(&mut self) -> u8 {
        self.look();
        let Some(level) = self.master.accept(true) else { return self.master.vector(7) };
        if !self.master.cascades(level) {
            return self.master.vector(level);
        }
        if self.slave.icw3 & 7 != level {
            return 0xFF;
        }
        let level = self.slave.accept(false).unwrap_or(7);
        self.lower_slave_int();
        self.slave.vector(level)
    }

    /// Brings both chips' view of their inputs up to date; the slave's INT is one of the master's.
    fn look(&mut self) {
        let [master_lines, slave_lines, ..] = self.inputs.levels().to_le_bytes();
        let [master_rose, slave_rose, ..] = self.inputs.take_rising().to_le_bytes();
        self.slave.look(slave_lines, slave_rose);
        let cascade = if self.slave.int(false) { CASCADE } else { 0 };
        self.master.look(master_lines & !CASCADE | cascade, master_rose & !CASCADE);
    }

    /// INT falls with every acknowledge, so that a further request makes the edge that the master needs.
    fn lower_slave_int(&mut self) {
        self.master.look(self.master.lines & !CASCADE, 0);
    }
}

impl PortIo for Pic {
    fn read_port(&mut self, offset: u16, size: AccessSize, _now: GuestTime) -> Result<u32, IoError> {
        size.only_byte()?;
        self.look();
        let value = match offset {
            offset::MASTER_COMMAND => self.master.read(false, true),
            offset::MASTER_DATA => self.master.read(true, true),
            offset::SLAVE_COMMAND | offset::SLAVE_DATA => {
                let polled = self.slave.poll;
                let value = self.slave.read(offset == offset::SLAVE_DATA, false);
                if polled {
                    self.lower_slave_int();
                }
                value
            }
            offset::MASTER_ELCR => self.master.elcr,
            offset::SLAVE_ELCR => self.slave.elcr,
            _ => return Err(IoError::NoSuchRegister),
        };
        Ok(u32::from(value))
    }

    fn write_port(
        &mut self,
        offset: u16,
        size: AccessSize,
        value: u32,
        _now: GuestTime,
    ) -> Result<(), IoError> {
        size.only_byte()?;
        // Edges from before the write must meet the registers from before the write.
        self.look();
        let value = value as u8;
        match offset {
            offset::MASTER_COMMAND => self.master.write(false, value),
            offset::MASTER_DATA => self.master.write(true, value),
            offset::SLAVE_COMMAND => self.slave.write(false, value),
            offset::SLAVE_DATA => self.slave.write(true, value),
            offset::MASTER_ELCR => self.master.elcr = value & ELCR_WRITABLE[0],
            offset::SLAVE_ELCR => self.slave.elcr = value & ELCR_WRITABLE[1],
            _ => return Err(IoError::NoSuchRegister),
        }
        Ok(())
    }
}

impl Reset for Pic {
    /// The 8259A itself has no RESET input, the chipset around it has: both chips return to their state at
    /// power-on. A line that is high must fall and rise again to be an edge.
    fn reset(&mut self) {
        self.look();
        for chip in [&mut self.master, &mut self.slave] {
            *chip = Chip { lines: chip.lines, ..Chip::power_on() };
        }
        self.lower_slave_int();
    }
}
