//! How a bus reaches a device: ports, memory-mapped registers, direct memory access.

use crate::time::GuestTime;

/// The width of one access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccessSize {
    /// One byte.
    Byte,
    /// Two bytes.
    Word,
    /// Four bytes.
    Dword,
}

impl AccessSize {
    /// The width in bytes: 1, 2 or 4.
    pub const fn bytes(self) -> u8 {
        match self {
            AccessSize::Byte => 1,
            AccessSize::Word => 2,
            AccessSize::Dword => 4,
        }
    }

    /// An error unless this is a byte: the first line of a device whose registers are bytes.
    pub const fn only_byte(self) -> Result<(), IoError> {
        match self {
            AccessSize::Byte => Ok(()),
            _ => Err(IoError::WrongSize),
        }
    }

    /// All bits of this width set: what a bus reads where nothing answers.
    pub const fn ones(self) -> u32 {
        match self {
            AccessSize::Byte => 0xFF,
            AccessSize::Word => 0xFFFF,
            AccessSize::Dword => 0xFFFF_FFFF,
        }
    }
}

/// Why a device did not answer. The bus decides what follows: reads give ones, writes go nowhere, and the
/// access is counted. No device has a policy of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IoError {
    /// There is no such register.
    #[error("no register at this offset")]
    NoSuchRegister,
    /// The register cannot be accessed at this width. The bus splits wider accesses into bytes and retries.
    #[error("the register does not take this width")]
    WrongSize,
}

/// Where the PC puts some of a device's registers in I/O space: ports `first .. first + count` reach the
/// register offsets `offset .. offset + count`. A device at fixed ports lists them in a constant `PORTS`, so
/// that the machine maps it without knowing its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The first port.
    pub first: u16,
    /// How many ports follow, at least 1.
    pub count: u16,
    /// The register offset that `first` reaches.
    pub offset: u16,
}

impl PortRange {
    /// Ports `first .. first + count`, at register offsets from `offset` on.
    pub const fn new(first: u16, count: u16, offset: u16) -> Self {
        assert!(
            count > 0 && first.checked_add(count - 1).is_some() && offset.checked_add(count - 1).is_some()
        );
        PortRange { first, count, offset }
    }

    /// The register offset that `port` reaches, if it lies in this range.
    pub const fn offset_of(self, port: u16) -> Option<u16> {
        match port.checked_sub(self.first) {
            Some(distance) if distance < self.count => Some(self.offset + distance),
            _ => None,
        }
    }
}

/// A device with registers in I/O space. `offset` is a register offset as the device documents it (see
/// [`PortRange`]).
pub trait PortIo {
    /// Reads the register at `offset`. Reading may have side effects, as on the real device.
    fn read_port(&mut self, offset: u16, size: AccessSize, now: GuestTime) -> Result<u32, IoError>;

    /// Writes `value` (its low `size` bytes) to the register at `offset`.
    fn write_port(
        &mut self,
        offset: u16,
        size: AccessSize,
        value: u32,
        now: GuestTime,
    ) -> Result<(), IoError>;
}

/// A device with registers or a buffer in memory space. `offset` counts from the start of its range.
pub trait Mmio {
    /// Reads the register or bytes at `offset`.
    fn read_memory(&mut self, offset: u64, size: AccessSize, now: GuestTime) -> Result<u32, IoError>;

    /// Writes `value` (its low `size` bytes) at `offset`.
    fn write_memory(
        &mut self,
        offset: u64,
        size: AccessSize,
        value: u32,
        now: GuestTime,
    ) -> Result<(), IoError>;
}

/// Guest physical memory as a bus master sees it. Passed as a parameter to what masters the bus; addresses
/// that are not RAM read as ones and swallow writes.
pub trait DmaMemory {
    /// Copies guest memory at physical address `from` into `buffer`.
    fn read(&mut self, from: u64, buffer: &mut [u8]);
    /// Copies `bytes` into guest memory at physical address `to`.
    fn write(&mut self, to: u64, bytes: &[u8]);
}

/// A flat memory for tests: what lies outside reads as ones.
impl DmaMemory for Vec<u8> {
    fn read(&mut self, from: u64, buffer: &mut [u8]) {
        buffer.fill(0xFF);
        let inside = tail(self, from);
        let count = inside.len().min(buffer.len());
        buffer[..count].copy_from_slice(&inside[..count]);
    }

    fn write(&mut self, to: u64, bytes: &[u8]) {
        let inside = tail(self, to);
        let count = inside.len().min(bytes.len());
        inside[..count].copy_from_slice(&bytes[..count]);
    }
}

fn tail(memory: &mut [u8], from: u64) -> &mut [u8] {
    usize::try_from(from).ok().and_then(|from| memory.get_mut(from..)).unwrap_or_default()
}
