//! A PCI function: its 256 bytes of configuration space and what a write does to each bit of them.
//! PCI Local Bus Specification 2.1, "Configuration Space Organization".

use super::spec::{command, header};
use crate::access::AccessSize;

/// Bytes in a configuration space.
pub(super) const CONFIG_SIZE: usize = 256;

/// Who a function says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PciIdentity {
    /// Vendor ID.
    pub vendor: u16,
    /// Device ID.
    pub device: u16,
    /// Class code: base class, sub-class and programming interface in 24 bits.
    pub class: u32,
    /// Revision ID.
    pub revision: u8,
}

/// A base address register: what range it wants. Sizes are powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    /// Ports, 4 to 256 of them.
    Io {
        /// How many ports.
        size: u32,
    },
    /// Memory anywhere in 32 bits, at least 16 bytes.
    Memory {
        /// How many bytes.
        size: u32,
        /// Reads have no side effects.
        prefetchable: bool,
    },
}

impl Bar {
    const fn size(self) -> u32 {
        match self {
            Bar::Io { size } | Bar::Memory { size, .. } => size,
        }
    }

    /// The bits that software can only read.
    const fn kind(self) -> u32 {
        match self {
            Bar::Io { .. } => 1,
            Bar::Memory { prefetchable: true, .. } => 8,
            Bar::Memory { .. } => 0,
        }
    }
}

/// The address space of a [`Mapping`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// I/O ports.
    Io,
    /// Memory.
    Memory,
}

/// Where a base address register presently puts a function's range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The number of the register, or [`Mapping::ROM`].
    pub bar: usize,
    /// Its address space.
    pub space: Space,
    /// The first port or byte.
    pub base: u32,
    /// How many ports or bytes; the range lies wholly within its space.
    pub size: u32,
}

impl Mapping {
    /// Stands for the expansion ROM base address register.
    pub const ROM: usize = 6;
}

/// A function on the bus: registers, and for each bit whether software can set or only clear it.
#[derive(Clone, Debug)]
pub struct PciFunction {
    pub(super) config: [u8; CONFIG_SIZE],
    defaults: [u8; CONFIG_SIZE],
    /// Bits that take what is written.
    writable: [u8; CONFIG_SIZE],
    bars: [Option<Bar>; 6],
    rom: Option<u32>,
}

impl PciFunction {
    /// A function with a header of type 0 and nothing that can be set but the interrupt line.
    pub fn new(identity: PciIdentity) -> Self {
        let mut function = PciFunction {
            config: [0; CONFIG_SIZE],
            defaults: [0; CONFIG_SIZE],
            writable: [0; CONFIG_SIZE],
            bars: [None; 6],
            rom: None,
        };
        let PciIdentity { vendor, device, class, revision } = identity;
        function.set(header::VENDOR_ID, &vendor.to_le_bytes());
        function.set(header::DEVICE_ID, &device.to_le_bytes());
        function.set(header::REVISION_ID, &(class << 8 | u32::from(revision)).to_le_bytes());
        function.with(header::INTERRUPT_LINE, &[0], &[0xFF])
    }

    fn set(&mut self, offset: usize, value: &[u8]) {
        self.defaults[offset..offset + value.len()].copy_from_slice(value);
        self.config = self.defaults;
    }

    /// Registers from `offset` on: their values after a reset, and which of their bits software can set.
    /// Panics if they do not lie within the 256 bytes.
    pub fn with(mut self, offset: usize, defaults: &[u8], writable: &[u8]) -> Self {
        self.set(offset, defaults);
        self.writable[offset..offset + writable.len()].copy_from_slice(writable);
        self
    }

    /// The Command register: its value after a reset and which of its bits software can set.
    pub fn with_command(self, default: u16, writable: u16) -> Self {
        self.with(header::COMMAND, &default.to_le_bytes(), &writable.to_le_bytes())
    }

    /// Bits of the Status register that are always set.
    pub fn with_status(self, value: u16) -> Self {
        self.with(header::STATUS, &value.to_le_bytes(), &[])
    }

    /// The function of a device that has others too.
    pub fn multifunction(self) -> Self {
        self.with(header::HEADER_TYPE, &[0x80], &[])
    }

    /// The function interrupts by this pin.
    pub fn with_interrupt_pin(self, pin: super::Pin) -> Self {
        self.with(header::INTERRUPT_PIN, &[pin as u8 + 1], &[])
    }

    /// Base address register `number` (0 to 5). Panics if its size is not one that a register can tell.
    pub fn with_bar(mut self, number: usize, bar: Bar) -> Self {
        let smallest = if matches!(bar, Bar::Io { .. }) { 4 } else { 16 };
        assert!(bar.size().is_power_of_two() && bar.size() >= smallest, "not the size of a range");
        self.bars[number] = Some(bar);
        // In I/O space the upper half can be written too: firmware takes the size from all 32 bits.
        let writable = !(bar.size() - 1);
        self.with(header::BAR_0 + 4 * number, &bar.kind().to_le_bytes(), &writable.to_le_bytes())
    }

    /// An expansion ROM of `size` bytes: a power of two, 2048 or more.
    pub fn with_rom(mut self, size: u32) -> Self {
        assert!(size.is_power_of_two() && size >= 2048, "not the size of a ROM");
        self.rom = Some(size);
        let writable = !(size - 1) | 1;
        self.with(header::ROM_BASE, &[0; 4], &writable.to_le_bytes())
    }

    /// One byte of configuration space.
    pub fn byte(&self, offset: u8) -> u8 {
        self.config[usize::from(offset)]
    }

    fn word(&self, offset: usize) -> u16 {
        u16::from_le_bytes([self.config[offset], self.config[offset + 1]])
    }

    pub(super) fn dword(&self, offset: usize) -> u32 {
        u32::from(self.word(offset)) | u32::from(self.word(offset + 2)) << 16
    }

    /// Reads `size` at `offset`; bytes beyond the last one read as ones.
    pub(super) fn read(&self, offset: usize, size: AccessSize) -> u32 {
        (0..usize::from(size.bytes()))
            .rev()
            .fold(0, |value, i| value << 8 | u32::from(self.config.get(offset + i).copied().unwrap_or(0xFF)))
    }

    /// Writes the low `size` of `value` at `offset`; whether that changed anything.
    pub(super) fn write(&mut self, offset: usize, size: AccessSize, value: u32) -> bool {
        let mut changed = false;
        for (i, value) in value.to_le_bytes().into_iter().take(usize::from(size.bytes())).enumerate() {
            let Some(byte) = self.config.get_mut(offset + i) else { break };
            let writable = self.writable[offset + i];
            let new = *byte & !writable | value & writable;
            changed |= new != *byte;
            *byte = new;
        }
        changed
    }

    pub(super) fn reset(&mut self) {
        self.config = self.defaults;
    }

    /// Whether writes could have led to `config`.
    pub(super) fn accepts(&self, config: &[u8]) -> bool {
        config.len() == CONFIG_SIZE
            && config.iter().zip(&self.defaults).zip(&self.writable).all(|((b, d), w)| (b ^ d) & !w == 0)
    }

    fn command(&self, bit: u16) -> bool {
        self.word(header::COMMAND) & bit != 0
    }

    /// Whether the function answers in I/O space.
    pub fn is_io_enabled(&self) -> bool {
        self.command(command::IO_SPACE)
    }

    /// Whether the function answers in memory space.
    pub fn is_memory_enabled(&self) -> bool {
        self.command(command::MEMORY_SPACE)
    }

    /// Whether the function may master the bus.
    pub fn is_bus_master(&self) -> bool {
        self.command(command::BUS_MASTER)
    }

    /// Where base address register `number` puts its range: `None` if the function has no such register or
    /// does not answer in its space, and while the address is none that a range can have: zero, which is how
    /// registers begin, and up to the end of the space, which is how their size is found out.
    pub fn bar(&self, number: usize) -> Option<Mapping> {
        let bar = (*self.bars.get(number)?)?;
        let base = self.dword(header::BAR_0 + 4 * number) & !(bar.size() - 1);
        let (space, last, enabled) = match bar {
            Bar::Io { .. } => (Space::Io, 0xFFFF, self.is_io_enabled()),
            Bar::Memory { .. } => (Space::Memory, u32::MAX, self.is_memory_enabled()),
        };
        let fits = base != 0 && base.checked_add(bar.size()).is_some_and(|end| end <= last);
        (enabled && fits).then_some(Mapping { bar: number, space, base, size: bar.size() })
    }

    /// Where the expansion ROM is, by the same rules, while it is enabled.
    pub fn rom(&self) -> Option<Mapping> {
        let size = self.rom?;
        let register = self.dword(header::ROM_BASE);
        let base = register & !(size - 1);
        let fits = base != 0 && base.checked_add(size).is_some();
        let enabled = register & 1 != 0 && self.is_memory_enabled();
        (enabled && fits).then_some(Mapping { bar: Mapping::ROM, space: Space::Memory, base, size })
    }

    /// All ranges at which the function presently answers.
    pub fn mappings(&self) -> impl Iterator<Item = Mapping> + '_ {
        (0..self.bars.len()).filter_map(|number| self.bar(number)).chain(self.rom())
    }
}
