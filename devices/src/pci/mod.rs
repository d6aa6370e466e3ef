//! The PCI bus of an i440FX board: configuration space, interrupt routing, reset control.
//!
//! PCI Local Bus Specification 2.1; Intel 82441FX (host bridge), 82371SB (PIIX3: ISA bridge and IDE), 82371AB
//! (PIIX4: power management).
//!
//! This is the configuration side of the functions. What they do is done by devices of their own ([`crate::ide`]
//! and others), which know no addresses: the machine asks here where they are. Whenever a write changes
//! anything, [`Pci::generation`] does, and the machine asks anew.
//!
//! | ports | |
//! |---|---|
//! | CF8h | CONFIG_ADDRESS, as a doubleword |
//! | CF9h | reset control, as a byte |
//! | CFCh-CFFh | CONFIG_DATA |
//!
//! [`PortIo`] offsets count from CF8h.

mod chipset;
mod function;
mod interrupts;
mod shadow;
mod spec;
mod state;
#[cfg(test)]
mod tests;

pub use chipset::standard_vga;
pub use function::{Bar, Mapping, PciFunction, PciIdentity, Space};
pub use interrupts::{MAX_SOURCES, Pin};
pub use shadow::{SHADOW_REGIONS, ShadowRegion, Smram};
pub use state::PciState;

use crate::access::{AccessSize, IoError, PortIo, PortRange};
use crate::ide::ChannelId;
use crate::irq::IrqLine;
use crate::reset::Reset;
use crate::time::GuestTime;
use interrupts::Interrupts;
use serde::{Deserialize, Serialize};
use spec::{config_address, host_bridge, ide, power, reset_control};

/// The address of a function on bus 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionId {
    /// Device number, 0 to 31.
    pub device: u8,
    /// Function number, 0 to 7.
    pub function: u8,
}

impl FunctionId {
    /// The host bridge.
    pub const HOST_BRIDGE: FunctionId = FunctionId { device: 0, function: 0 };
    /// The ISA bridge of the PIIX3.
    pub const ISA_BRIDGE: FunctionId = FunctionId { device: 1, function: 0 };
    /// The IDE function of the PIIX3.
    pub const IDE: FunctionId = FunctionId { device: 1, function: 1 };
    /// The power management function.
    pub const POWER_MANAGEMENT: FunctionId = FunctionId { device: 1, function: 3 };
}

/// A reset that the guest asked for through a reset control register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResetRequest {
    /// INIT of the processor alone.
    Processor,
    /// RESET of the whole board.
    System,
}

/// Why a function cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// The device or function number is out of range.
    #[error("there is no such place on the bus")]
    NoSuchPlace,
    /// The place is taken.
    #[error("there is already a function in this place")]
    Occupied,
}

/// Bus 0 with its host bridge and the functions of the board.
#[derive(Debug)]
pub struct Pci {
    /// In the order of their addresses.
    functions: Vec<(FunctionId, PciFunction)>,
    /// CONFIG_ADDRESS.
    address: u32,
    reset_control: u8,
    reset_request: Option<ResetRequest>,
    interrupts: Interrupts,
    generation: u64,
}

impl Pci {
    /// The ports of configuration mechanism 1 and of reset control.
    pub const PORTS: &[PortRange] = &[PortRange::new(0xCF8, 8, 0)];

    /// The board with its fixed functions; `irqs` are the lines IRQ 0 to IRQ 15.
    pub fn new(irqs: [IrqLine; 16]) -> Self {
        Pci {
            functions: vec![
                (FunctionId::HOST_BRIDGE, chipset::host_bridge()),
                (FunctionId::ISA_BRIDGE, chipset::isa_bridge()),
                (FunctionId::IDE, chipset::ide()),
                (FunctionId::POWER_MANAGEMENT, chipset::power_management()),
            ],
            address: 0,
            reset_control: 0,
            reset_request: None,
            interrupts: Interrupts::new(irqs),
            generation: 0,
        }
    }

    /// Puts another function on the bus.
    pub fn add(&mut self, id: FunctionId, function: PciFunction) -> Result<(), AddError> {
        if id.device >= 32 || id.function >= 8 {
            return Err(AddError::NoSuchPlace);
        }
        match self.functions.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(_) => Err(AddError::Occupied),
            Err(at) => {
                self.functions.insert(at, (id, function));
                self.generation = self.generation.wrapping_add(1);
                Ok(())
            }
        }
    }

    /// The function at `id`.
    pub fn function(&self, id: FunctionId) -> Option<&PciFunction> {
        self.functions.iter().find(|(at, _)| *at == id).map(|(_, function)| function)
    }

    /// All functions, in the order of their addresses.
    pub fn functions(&self) -> impl Iterator<Item = (FunctionId, &PciFunction)> {
        self.functions.iter().map(|(id, function)| (*id, function))
    }

    /// A number that changes whenever a write, a reset or a restore may have changed any configuration
    /// register, and with it the address map.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The memory from C0000h to FFFFFh: what is RAM and what is not.
    pub fn shadow_regions(&self) -> [ShadowRegion; SHADOW_REGIONS] {
        shadow::regions(self.fixed(FunctionId::HOST_BRIDGE))
    }

    /// System management RAM.
    pub fn smram(&self) -> Smram {
        shadow::smram(self.fixed(FunctionId::HOST_BRIDGE))
    }

    /// Whether the IDE function answers at the compatible ports of `channel`.
    pub fn is_ide_channel_enabled(&self, channel: ChannelId) -> bool {
        let function = self.fixed(FunctionId::IDE);
        let timing = function.config[ide::TIMING + 2 * channel as usize + 1];
        function.is_io_enabled() && timing & ide::DECODE_ENABLE != 0
    }

    /// The first of the 16 ports of bus master IDE, while they are enabled.
    pub fn ide_bus_master_base(&self) -> Option<u16> {
        self.fixed(FunctionId::IDE).bar(4).map(|mapping| mapping.base as u16)
    }

    /// The first of the 64 ports of power management, while they are enabled.
    pub fn power_management_base(&self) -> Option<u16> {
        let function = self.fixed(FunctionId::POWER_MANAGEMENT);
        let base = function.dword(power::PM_BASE) as u16 & 0xFFC0;
        let enabled = function.config[power::PM_MISCELLANEOUS] & power::PM_IO_ENABLE != 0;
        (enabled && base != 0).then_some(base)
    }

    /// The first of the 16 ports of the SMBus host, while they are enabled.
    pub fn smbus_base(&self) -> Option<u16> {
        let function = self.fixed(FunctionId::POWER_MANAGEMENT);
        let base = function.dword(power::SMBUS_BASE) as u16 & 0xFFF0;
        let enabled = function.config[power::SMBUS_HOST_CONFIGURATION] & power::SMBUS_HOST_ENABLE != 0;
        (enabled && base != 0).then_some(base)
    }

    /// The reset that the guest has asked for since the last call.
    pub fn take_reset_request(&mut self) -> Option<ResetRequest> {
        self.reset_request.take()
    }

    /// Connects interrupt pin `pin` of the device at `id`; the line is level-triggered and shared. Panics
    /// beyond [`MAX_SOURCES`] connections.
    pub fn connect_pin(&mut self, id: FunctionId, pin: Pin) -> IrqLine {
        self.interrupts.connect_pin(id, pin)
    }

    /// Connects a source that shares IRQ line `irq` (0 to 15) with what is routed there, such as the SCI.
    /// Panics beyond [`MAX_SOURCES`] connections.
    pub fn connect_irq(&mut self, irq: u8) -> IrqLine {
        self.interrupts.connect_irq(irq)
    }

    /// Brings the IRQ lines up to date with the connected sources and the route control registers. To be
    /// called whenever a source may have changed, before the interrupt controllers are asked.
    pub fn sync_interrupts(&mut self) {
        let bridge = self.functions.iter().find(|(id, _)| *id == FunctionId::ISA_BRIDGE);
        if let Some((_, bridge)) = bridge {
            self.interrupts.sync(bridge);
        }
    }

    /// The levels of PIRQA to PIRQD in bits 0 to 3, for an interrupt controller that takes them directly.
    pub fn pirqs(&self) -> u8 {
        self.interrupts.pirqs()
    }

    /// The IRQ to which PIRQA to PIRQD (`pirq` 0 to 3) is routed.
    pub fn pirq_route(&self, pirq: u8) -> Option<u8> {
        assert!(pirq < 4, "there are four PIRQs");
        interrupts::route(self.fixed(FunctionId::ISA_BRIDGE), pirq)
    }

    fn fixed(&self, id: FunctionId) -> &PciFunction {
        self.function(id).expect("the functions of the board are never removed")
    }

    /// The function and register that CONFIG_DATA reaches. An error means that it reaches nothing because
    /// configuration is disabled; `Ok(None)` that no one answers on the bus.
    fn target(&self, offset: u16) -> Result<Option<(usize, usize)>, IoError> {
        if self.address & config_address::ENABLE == 0 {
            return Err(IoError::NoSuchRegister);
        }
        let [register, device_function, bus, _] = self.address.to_le_bytes();
        let id = FunctionId { device: device_function >> 3, function: device_function & 7 };
        let register = usize::from(register) + usize::from(offset & 3);
        let index = self.functions.binary_search_by_key(&id, |(id, _)| *id).ok().filter(|_| bus == 0);
        Ok(index.map(|index| (index, register)))
    }

    fn write_config(&mut self, index: usize, register: usize, size: AccessSize, value: u32) {
        let (id, function) = &mut self.functions[index];
        let (smram, trc) = (function.config[host_bridge::SMRAM], function.config[host_bridge::TRC]);
        let changed = function.write(register, size, value);
        if *id == FunctionId::HOST_BRIDGE {
            shadow::after_write(function, smram);
            let request = requested_reset(trc, function.config[host_bridge::TRC]);
            self.reset_request = request.or(self.reset_request);
        }
        if changed {
            self.generation = self.generation.wrapping_add(1);
        }
        self.sync_interrupts();
    }
}

/// The reset that a change of a reset control register from `before` to `after` asks for.
fn requested_reset(before: u8, after: u8) -> Option<ResetRequest> {
    if before & reset_control::RESET != 0 || after & reset_control::RESET == 0 {
        return None;
    }
    Some(match after & reset_control::SYSTEM {
        0 => ResetRequest::Processor,
        _ => ResetRequest::System,
    })
}

/// Register offsets, from CF8h on.
const CONFIG_ADDRESS: u16 = 0;
const RESET_CONTROL: u16 = 1;
const CONFIG_DATA: u16 = 4;
const END: u16 = 8;

impl PortIo for Pci {
    fn read_port(&mut self, offset: u16, size: AccessSize, _: GuestTime) -> Result<u32, IoError> {
        match (offset, size) {
            (CONFIG_ADDRESS, AccessSize::Dword) => Ok(self.address),
            (RESET_CONTROL, AccessSize::Byte) => Ok(u32::from(self.reset_control)),
            (CONFIG_DATA..END, _) if offset + u16::from(size.bytes()) > END => Err(IoError::WrongSize),
            (CONFIG_DATA..END, _) => Ok(match self.target(offset)? {
                Some((index, register)) => self.functions[index].1.read(register, size),
                None => size.ones(),
            }),
            (_, AccessSize::Byte) | (END.., _) => Err(IoError::NoSuchRegister),
            _ => Err(IoError::WrongSize),
        }
    }

    fn write_port(&mut self, offset: u16, size: AccessSize, value: u32, _: GuestTime) -> Result<(), IoError> {
        match (offset, size) {
            (CONFIG_ADDRESS, AccessSize::Dword) => self.address = value & config_address::WRITABLE,
            (RESET_CONTROL, AccessSize::Byte) => {
                let value = value as u8 & (reset_control::RESET | reset_control::SYSTEM);
                self.reset_request = requested_reset(self.reset_control, value).or(self.reset_request);
                self.reset_control = value;
            }
            (CONFIG_DATA..END, _) if offset + u16::from(size.bytes()) > END => {
                return Err(IoError::WrongSize);
            }
            (CONFIG_DATA..END, _) => {
                if let Some((index, register)) = self.target(offset)? {
                    self.write_config(index, register, size, value);
                }
            }
            (_, AccessSize::Byte) | (END.., _) => return Err(IoError::NoSuchRegister),
            _ => return Err(IoError::WrongSize),
        }
        Ok(())
    }
}

impl Reset for Pci {
    fn reset(&mut self) {
        for (_, function) in &mut self.functions {
            function.reset();
        }
        self.address = 0;
        self.reset_control = 0;
        self.reset_request = None;
        self.generation = self.generation.wrapping_add(1);
        self.sync_interrupts();
    }
}
