//! Power management of the PIIX4: ACPI's fixed hardware, the SMI command port, an SMBus host. Intel 82371AB;
//! ACPI Specification 2.0, "ACPI Hardware Specification".
//!
//! | offset | registers | at |
//! |---|---|---|
//! | 00h-3Fh | power management | [`Pci::power_management_base`](crate::pci::Pci::power_management_base) |
//! | 40h-4Fh | SMBus host | [`Pci::smbus_base`](crate::pci::Pci::smbus_base) |
//! | 50h, 51h | APMC, APMS | ports B2h, B3h |
//!
//! Quirks: SMI# does not exist. What firmware does in system management mode for ACPI, switching SCI_EN when
//! the operating system asks for it through APMC, the device does itself. Of the suspend types there is soft
//! off; the others are refused by waking up at once. The processor is always at full speed.

mod smbus;
mod spec;
mod state;
#[cfg(test)]
mod tests;

pub use state::PowerManagementState;

use crate::access::{AccessSize, IoError, PortIo, PortRange};
use crate::irq::IrqLine;
use crate::reset::Reset;
use crate::time::{Frequency, GuestTime, Timed};
use serde::{Deserialize, Serialize};
use smbus::Smbus;
use spec::{control, event, register};

/// What software writes to APMC to have SCI_EN set: ACPI_ENABLE in the FADT.
pub const ACPI_ENABLE: u8 = 0xF1;
/// What software writes to APMC to have SCI_EN cleared: ACPI_DISABLE in the FADT.
pub const ACPI_DISABLE: u8 = 0xF0;

/// How many bits the power management timer has. The PIIX4's has 24; a FADT can tell of 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerWidth {
    /// 24 bits: it runs over every 4.7 seconds.
    Bits24,
    /// 32 bits: it runs over every 20 minutes.
    Bits32,
}

impl TimerWidth {
    /// The number of the timer's highest bit, whose changes are what overflow means.
    const fn top_bit(self) -> u32 {
        match self {
            TimerWidth::Bits24 => 23,
            TimerWidth::Bits32 => 31,
        }
    }
}

/// What the guest wants to become of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PowerRequest {
    /// To be switched off.
    SoftOff,
    /// To be suspended, which is not possible: the guest was woken up at once.
    SuspendRefused {
        /// The suspend type: 1 is to RAM, 2 to 4 with power on.
        kind: u8,
    },
}

/// The registers of the power management block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Registers {
    status: u16,
    enable: u16,
    control: u16,
    general_status: u16,
    general_enable: u16,
    /// From [`register::OTHERS`] on, in two halves, because no serde does arrays of this size.
    others: [[u8; 24]; 2],
    apmc: u8,
    apms: u8,
}

impl Registers {
    fn power_on() -> Self {
        Registers {
            status: 0,
            enable: 0,
            control: 0,
            general_status: 0,
            general_enable: 0,
            others: [[0; 24]; 2],
            apmc: 0,
            apms: 0,
        }
    }

    fn other(&mut self, offset: u8) -> Option<&mut u8> {
        self.others.as_flattened_mut().get_mut(usize::from(offset.checked_sub(register::OTHERS)?))
    }
}

/// The power management function.
#[derive(Debug)]
pub struct PowerManagement {
    registers: Registers,
    width: TimerWidth,
    /// How often the timer's highest bit has changed since power-on, as far as software was told.
    half_periods: u64,
    smbus: Smbus,
    /// SCI, as the line was last driven.
    sci: bool,
    request: Option<PowerRequest>,
    line: IrqLine,
}

/// Register offsets.
const SMBUS: u16 = 0x40;
const APMC: u16 = 0x50;
const APMS: u16 = 0x51;
const END: u16 = 0x52;

impl PowerManagement {
    /// The SMI command port and its companion, and the general purpose event registers once more: the ACPI tables
    /// within SeaBIOS are for another board with this bridge, and have them here. Were there nothing, an operating
    /// system would see every event at once, among them that all PCI devices are being taken out.
    pub const PORTS: &[PortRange] =
        &[PortRange::new(0xB2, 2, APMC), PortRange::new(0xAFE0, 4, register::GENERAL_STATUS as u16)];

    /// Power management just switched on. `line` is the SCI, level-triggered: a source of IRQ 9 (see
    /// [`Pci::connect_irq`](crate::pci::Pci::connect_irq)).
    pub fn new(line: IrqLine, width: TimerWidth) -> Self {
        PowerManagement {
            registers: Registers::power_on(),
            width,
            half_periods: 0,
            smbus: Smbus::default(),
            sci: false,
            request: None,
            line,
        }
    }

    /// The 64 ports of the power management block at `base`. Panics if they do not fit there.
    pub const fn power_management_ports(base: u16) -> PortRange {
        PortRange::new(base, register::COUNT as u16, 0)
    }

    /// The 16 ports of the SMBus host at `base`. Panics if they do not fit there.
    pub const fn smbus_ports(base: u16) -> PortRange {
        PortRange::new(base, spec::smbus::COUNT as u16, SMBUS)
    }

    /// What the guest has asked for since the last call.
    pub fn take_request(&mut self) -> Option<PowerRequest> {
        self.request.take()
    }

    /// Whether an operating system has taken over power management, and will hear of events by SCI.
    pub fn is_acpi_enabled(&self) -> bool {
        self.registers.control & control::SCI_ENABLE != 0
    }

    /// Presses the power button for a moment: a request to the operating system, if it listens.
    pub fn press_power_button(&mut self) {
        self.registers.status |= event::POWER_BUTTON;
        self.sync();
    }

    /// Signals general purpose event `number`: 0 (thermal), 8 (USB), 9 (GPI), 10 (ring) or 11 (lid). There
    /// are no others.
    pub fn signal_general_event(&mut self, number: u8) {
        let bit = 1u16.checked_shl(number.into()).unwrap_or(0);
        self.registers.general_status |= bit & event::GENERAL;
        self.sync();
    }

    fn timer(&self, now: GuestTime) -> u32 {
        let ticks = Frequency::ACPI_PM.ticks_at(now);
        match self.width {
            TimerWidth::Bits24 => ticks as u32 & 0x00FF_FFFF,
            TimerWidth::Bits32 => ticks as u32,
        }
    }

    fn sync(&mut self) {
        let registers = &self.registers;
        let fixed = registers.status & registers.enable;
        let general = registers.general_status & registers.general_enable;
        let sci = (fixed | general) != 0 && self.is_acpi_enabled() || self.smbus.interrupt();
        if sci != self.sci {
            self.sci = sci;
            self.line.set(sci);
        }
    }

    fn read(&mut self, offset: u16, now: GuestTime) -> u8 {
        let byte = |value: u16| value.to_le_bytes()[usize::from(offset & 1)];
        let registers = &mut self.registers;
        match offset {
            APMC => return registers.apmc,
            APMS => return registers.apms,
            SMBUS..APMC => return self.smbus.read((offset - SMBUS) as u8),
            _ => {}
        }
        match offset as u8 & !1 {
            register::STATUS => byte(registers.status),
            register::ENABLE => byte(registers.enable),
            register::CONTROL => byte(registers.control),
            register::GENERAL_STATUS => byte(registers.general_status),
            register::GENERAL_ENABLE => byte(registers.general_enable),
            register::TIMER..register::GENERAL_STATUS => {
                self.timer(now).to_le_bytes()[usize::from(offset & 3)]
            }
            _ => registers.other(offset as u8).copied().unwrap_or(0),
        }
    }

    fn write(&mut self, offset: u16, value: u8) {
        /// Puts `value` into the half of `register` that `offset` names, as far as `writable` allows.
        fn put(register: &mut u16, offset: u16, value: u8, writable: u16) {
            let mut bytes = register.to_le_bytes();
            bytes[usize::from(offset & 1)] = value;
            *register = u16::from_le_bytes(bytes) & writable;
        }
        let shifted = u16::from(value) << (8 * (offset & 1));
        let registers = &mut self.registers;
        match offset {
            APMC => return self.write_apmc(value),
            APMS => {
                registers.apms = value;
                return;
            }
            SMBUS..APMC => return self.smbus.write((offset - SMBUS) as u8, value),
            _ => {}
        }
        match offset as u8 & !1 {
            register::STATUS => registers.status &= !shifted,
            register::ENABLE => put(&mut registers.enable, offset, value, event::ENABLE),
            register::CONTROL => {
                put(&mut registers.control, offset, value, control::WRITABLE);
                if shifted & control::SUSPEND_ENABLE != 0 {
                    self.suspend(control::suspend_type(shifted));
                }
            }
            register::GENERAL_STATUS => registers.general_status &= !shifted,
            register::GENERAL_ENABLE => put(&mut registers.general_enable, offset, value, event::GENERAL),
            _ if spec::holds_what_is_written(offset as u8) => {
                if let Some(other) = registers.other(offset as u8) {
                    *other = value;
                }
            }
            _ => {}
        }
    }

    fn write_apmc(&mut self, value: u8) {
        self.registers.apmc = value;
        match value {
            ACPI_ENABLE => self.registers.control |= control::SCI_ENABLE,
            ACPI_DISABLE => self.registers.control &= !control::SCI_ENABLE,
            _ => {}
        }
    }

    fn suspend(&mut self, kind: u8) {
        self.request = Some(if kind == control::SOFT_OFF {
            PowerRequest::SoftOff
        } else {
            self.registers.status |= event::RESUME;
            PowerRequest::SuspendRefused { kind }
        });
    }
}

/// The bytes of an access, all within the power management block, the SMBus host or the APM ports.
fn offsets(offset: u16, size: AccessSize) -> Result<std::ops::Range<u16>, IoError> {
    let end = offset.saturating_add(size.bytes().into());
    match offset {
        0..SMBUS if end <= SMBUS => Ok(offset..end),
        SMBUS..APMC if end <= APMC => Ok(offset..end),
        APMC..END if end <= END => Ok(offset..end),
        0..END => Err(IoError::WrongSize),
        END.. => Err(IoError::NoSuchRegister),
    }
}

impl PortIo for PowerManagement {
    fn read_port(&mut self, offset: u16, size: AccessSize, now: GuestTime) -> Result<u32, IoError> {
        let offsets = offsets(offset, size)?;
        self.advance(now);
        Ok(offsets.rev().fold(0, |value, offset| value << 8 | u32::from(self.read(offset, now))))
    }

    fn write_port(
        &mut self,
        offset: u16,
        size: AccessSize,
        value: u32,
        now: GuestTime,
    ) -> Result<(), IoError> {
        let offsets = offsets(offset, size)?;
        self.advance(now);
        for (offset, value) in offsets.zip(value.to_le_bytes()) {
            self.write(offset, value);
        }
        self.sync();
        Ok(())
    }
}

impl Timed for PowerManagement {
    fn next_event(&self) -> Option<GuestTime> {
        let awaited = self.is_acpi_enabled()
            && self.registers.enable & event::TIMER_OVERFLOW != 0
            && self.registers.status & event::TIMER_OVERFLOW == 0;
        if !awaited {
            return None;
        }
        let tick = self.half_periods.checked_add(1)?.checked_mul(1 << self.width.top_bit())?;
        Some(Frequency::ACPI_PM.time_of(tick))
    }

    fn advance(&mut self, now: GuestTime) {
        let half_periods = Frequency::ACPI_PM.ticks_at(now) >> self.width.top_bit();
        if half_periods > self.half_periods {
            self.half_periods = half_periods;
            self.registers.status |= event::TIMER_OVERFLOW;
            self.sync();
        }
    }
}

impl Reset for PowerManagement {
    /// The timer runs on.
    fn reset(&mut self) {
        self.registers = Registers::power_on();
        self.smbus = Smbus::default();
        self.request = None;
        self.sync();
    }
}
