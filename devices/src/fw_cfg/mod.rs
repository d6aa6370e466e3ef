//! Firmware configuration: how the machine tells its BIOS about memory, processors, boot order and a kernel to load.
//!
//! The machine fills items with [`FwCfg::set`] and [`FwCfg::set_file`]; firmware selects an item by its key and
//! reads it byte by byte, or has it copied by DMA. A DMA access begins with a port write, which has no memory
//! at hand: after each access to these ports the machine calls [`FwCfg::run_dma`] until
//! [`FwCfg::dma_pending`] is false. What it copies at once is bounded, so that a guest that asks for
//! gigabytes does not keep the machine from stopping.

mod spec;
mod state;

#[cfg(test)]
mod tests;

use crate::access::{AccessSize, DmaMemory, IoError, PortIo, PortRange};
use crate::reset::Reset;
use crate::time::GuestTime;
use serde::{Deserialize, Serialize};
use spec::{DMA_SIGNATURE, FEATURES, NAME_LENGTH, SIGNATURE, dma, offset};
use std::collections::BTreeMap;

pub use spec::Key;
pub use state::FwCfgState;

/// How many bytes one call of [`FwCfg::run_dma`] copies at most.
const DMA_SLICE: u32 = 0x10_0000;

/// Why a file cannot be added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// The name is empty, longer than 55 bytes, or contains a zero.
    #[error("{0:?} is not a name for a firmware file")]
    Name(String),
    /// The data does not fit a 32-bit length.
    #[error("firmware file {0:?} is 4 GiB or longer")]
    Length(String),
    /// All keys are in use.
    #[error("there is no key left for firmware file {0:?}")]
    Directory(String),
}

/// An entry of the memory map in file `etc/e820`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRange {
    /// Physical address.
    pub address: u64,
    /// Bytes.
    pub length: u64,
    /// The type of ACPI Specification, "INT 15H, E820H": 1 memory, 2 reserved.
    pub kind: u32,
}

#[derive(Debug)]
struct Item {
    data: Vec<u8>,
    /// The name, if the item is a file.
    name: Option<String>,
    writable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Direction {
    /// From the item to memory.
    Read,
    /// From memory to the item.
    Write,
}

/// A DMA access in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Access {
    /// The guest gave the address of its access structure.
    Requested(u64),
    /// Copying.
    Copying { structure: u64, direction: Direction, address: u64, left: u32 },
}

/// The firmware configuration device.
///
/// Register offsets: 0 selector (a word), 1 data (a byte), 4 and 8 halves of the DMA address (double words).
///
/// ```
/// use idem86_devices::{access::{AccessSize, PortIo}, fw_cfg::{FwCfg, Key}, time::GuestTime};
/// let mut config = FwCfg::new();
/// config.set(Key::PROCESSORS, 1_u16.to_le_bytes());
/// config.write_port(0, AccessSize::Word, 0x05, GuestTime::ZERO).unwrap();
/// assert_eq!(config.read_port(1, AccessSize::Byte, GuestTime::ZERO), Ok(1));
/// ```
#[derive(Debug)]
pub struct FwCfg {
    items: BTreeMap<Key, Item>,
    selected: Key,
    /// The next byte of the selected item.
    position: u32,
    /// The high half of the DMA address, as written.
    dma_high: u32,
    access: Option<Access>,
}

impl Default for FwCfg {
    fn default() -> Self {
        Self::new()
    }
}

impl FwCfg {
    /// Ports 510h to 51Bh.
    pub const PORTS: &[PortRange] = &[PortRange::new(0x510, offset::END, 0)];

    /// A device with its signature, its features and an empty directory.
    pub fn new() -> Self {
        let mut device = FwCfg {
            items: BTreeMap::new(),
            selected: Key::SIGNATURE,
            position: 0,
            dma_high: 0,
            access: None,
        };
        device.set(Key::SIGNATURE, *SIGNATURE);
        device.set(Key::ID, FEATURES.to_le_bytes());
        device.rebuild_directory();
        device
    }

    /// Sets the content of an item. Numbers are little-endian.
    pub fn set(&mut self, key: Key, data: impl Into<Vec<u8>>) {
        self.items.insert(key, Item { data: data.into(), name: None, writable: false });
    }

    /// Adds a file that firmware can read, or replaces it. SeaBIOS knows, among others, `bootorder` and
    /// `etc/e820`.
    pub fn set_file(&mut self, name: &str, data: impl Into<Vec<u8>>) -> Result<(), FileError> {
        self.insert_file(name, data.into(), false)
    }

    /// Adds a file that firmware can also write by DMA, within its length; read it back with
    /// [`FwCfg::file`].
    pub fn set_writable_file(&mut self, name: &str, data: impl Into<Vec<u8>>) -> Result<(), FileError> {
        self.insert_file(name, data.into(), true)
    }

    /// Adds file `etc/e820`: the memory map, in packed entries of 20 bytes.
    pub fn set_memory_map(&mut self, ranges: &[MemoryRange]) -> Result<(), FileError> {
        let entry = |range: &MemoryRange| {
            let MemoryRange { address, length, kind } = range;
            [&address.to_le_bytes()[..], &length.to_le_bytes(), &kind.to_le_bytes()].concat()
        };
        self.set_file("etc/e820", ranges.iter().flat_map(entry).collect::<Vec<u8>>())
    }

    /// The content of a file.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        let (_, item) = self.find_file(name)?;
        Some(&item.data)
    }

    fn find_file(&self, name: &str) -> Option<(Key, &Item)> {
        let mut items = self.items.iter();
        items.find(|(_, item)| item.name.as_deref() == Some(name)).map(|(key, item)| (*key, item))
    }

    fn insert_file(&mut self, name: &str, data: Vec<u8>, writable: bool) -> Result<(), FileError> {
        if name.is_empty() || name.len() >= NAME_LENGTH || name.contains('\0') {
            return Err(FileError::Name(name.to_owned()));
        }
        if u32::try_from(data.len()).is_err() {
            return Err(FileError::Length(name.to_owned()));
        }
        // Bits 14 and 15 of a selector are not part of a file's key.
        let mut keys = (Key::FIRST_FILE.0..0x4000).map(Key);
        let key = match self.find_file(name) {
            Some((key, _)) => key,
            None => keys
                .find(|key| !self.items.contains_key(key))
                .ok_or_else(|| FileError::Directory(name.to_owned()))?,
        };
        self.items.insert(key, Item { data, name: Some(name.to_owned()), writable });
        self.rebuild_directory();
        Ok(())
    }

    fn rebuild_directory(&mut self) {
        let files: Vec<_> = self
            .items
            .iter()
            .filter_map(|(key, item)| Some((key, item.name.as_ref()?, &item.data)))
            .collect();
        let mut directory = (files.len() as u32).to_be_bytes().to_vec();
        for (key, name, data) in files {
            directory.extend((data.len() as u32).to_be_bytes());
            directory.extend(key.0.to_be_bytes());
            directory.extend([0, 0]);
            let mut padded = [0; NAME_LENGTH];
            padded[..name.len()].copy_from_slice(name.as_bytes());
            directory.extend(padded);
        }
        self.set(Key::FILE_DIRECTORY, directory);
    }

    fn select(&mut self, selector: u16) {
        // Bit 14 once meant writing through the data register, which is gone.
        self.selected = Key(selector & !0x4000);
        self.position = 0;
    }

    /// The rest of the selected item; empty beyond its end, or if there is no such item.
    fn rest(&self) -> &[u8] {
        let data = self.items.get(&self.selected).map_or(&[][..], |item| &item.data);
        data.get(self.position as usize..).unwrap_or_default()
    }

    fn read_data(&mut self) -> u8 {
        let byte = self.rest().first().copied().unwrap_or(0);
        self.position = self.position.saturating_add(1);
        byte
    }

    /// Whether a DMA access waits for [`FwCfg::run_dma`].
    pub fn dma_pending(&self) -> bool {
        self.access.is_some()
    }

    /// Carries on with a pending DMA access, copying at most 1 MiB. At its end, the control field of the
    /// guest's access structure becomes zero, or shows an error.
    pub fn run_dma(&mut self, memory: &mut dyn DmaMemory) {
        self.access = match self.access {
            None => None,
            Some(Access::Requested(structure)) => self.begin_access(structure, memory),
            Some(copying @ Access::Copying { .. }) => Some(copying),
        };
        let Some(Access::Copying { structure, direction, address, left }) = self.access else { return };
        let length = left.min(DMA_SLICE);
        let copied = match direction {
            Direction::Read => {
                self.copy_to_memory(address, length, memory);
                true
            }
            Direction::Write => self.copy_from_memory(address, length, memory),
        };
        self.position = self.position.saturating_add(length);
        let (address, left) = (address.wrapping_add(u64::from(length)), left - length);
        self.access = if copied && left > 0 {
            Some(Access::Copying { structure, direction, address, left })
        } else {
            finish(structure, copied, memory)
        };
    }

    fn begin_access(&mut self, structure: u64, memory: &mut dyn DmaMemory) -> Option<Access> {
        let mut bytes = [0; dma::ACCESS_LENGTH];
        memory.read(structure, &mut bytes);
        let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
        let (control, length) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
        let address = u64::from_be_bytes(rest);
        if control & dma::SELECT != 0 {
            self.select((control >> 16) as u16);
        }
        let direction = if control & dma::READ != 0 {
            Direction::Read
        } else if control & dma::WRITE != 0 {
            Direction::Write
        } else {
            if control & dma::SKIP != 0 {
                self.position = self.position.saturating_add(length);
            }
            return finish(structure, true, memory);
        };
        Some(Access::Copying { structure, direction, address, left: length })
    }

    /// What lies beyond the item's end reads as zeros.
    fn copy_to_memory(&self, address: u64, length: u32, memory: &mut dyn DmaMemory) {
        const ZEROS: [u8; 0x1000] = [0; 0x1000];
        let rest = self.rest();
        let data = &rest[..rest.len().min(length as usize)];
        memory.write(address, data);
        let mut at = address.wrapping_add(data.len() as u64);
        let mut left = length as usize - data.len();
        while left > 0 {
            let part = left.min(ZEROS.len());
            memory.write(at, &ZEROS[..part]);
            at = at.wrapping_add(part as u64);
            left -= part;
        }
    }

    /// False if the item cannot be written, or not so far.
    fn copy_from_memory(&mut self, address: u64, length: u32, memory: &mut dyn DmaMemory) -> bool {
        let start = self.position as usize;
        let Some(item) = self.items.get_mut(&self.selected).filter(|item| item.writable) else {
            return false;
        };
        let Some(part) = start.checked_add(length as usize).and_then(|end| item.data.get_mut(start..end))
        else {
            return false;
        };
        memory.read(address, part);
        true
    }
}

/// Reports the end of an access in the guest's access structure.
fn finish(structure: u64, succeeded: bool, memory: &mut dyn DmaMemory) -> Option<Access> {
    let control = if succeeded { 0 } else { dma::ERROR };
    memory.write(structure, &control.to_be_bytes());
    None
}

impl PortIo for FwCfg {
    fn read_port(&mut self, offset: u16, size: AccessSize, _now: GuestTime) -> Result<u32, IoError> {
        match (offset, size) {
            (offset::DATA, AccessSize::Byte) => Ok(u32::from(self.read_data())),
            (offset::DMA_HIGH..offset::END, _) => {
                let at = usize::from(offset - offset::DMA_HIGH);
                let bytes =
                    DMA_SIGNATURE.get(at..at + usize::from(size.bytes())).ok_or(IoError::WrongSize)?;
                Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte)))
            }
            (offset::DATA, _) => Err(IoError::WrongSize),
            _ => Err(IoError::NoSuchRegister),
        }
    }

    fn write_port(
        &mut self,
        offset: u16,
        size: AccessSize,
        value: u32,
        _now: GuestTime,
    ) -> Result<(), IoError> {
        match (offset, size) {
            (offset::SELECTOR, AccessSize::Word) => self.select(value as u16),
            (offset::DATA, AccessSize::Byte) => {}
            (offset::DMA_HIGH, AccessSize::Dword) => self.dma_high = value.swap_bytes(),
            (offset::DMA_LOW, AccessSize::Dword) => {
                let high = std::mem::take(&mut self.dma_high);
                self.access = Some(Access::Requested(u64::from(high) << 32 | u64::from(value.swap_bytes())));
            }
            (offset::SELECTOR | offset::DMA_HIGH | offset::DMA_LOW, _) => return Err(IoError::WrongSize),
            _ => return Err(IoError::NoSuchRegister),
        }
        Ok(())
    }
}

impl Reset for FwCfg {
    /// The items are the machine's, and stay; a DMA access in progress is given up.
    fn reset(&mut self) {
        self.select(Key::SIGNATURE.0);
        self.dma_high = 0;
        self.access = None;
    }
}
