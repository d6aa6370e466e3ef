//! The registers of a drive's command block, and the buffer behind its Data register.

use super::spec::{DIAGNOSTIC_PASSED, device, register};
use serde::{Deserialize, Serialize};

/// A register of the 48-bit address feature set: two bytes deep, the newest in front (ATA/ATAPI-6, "48-bit
/// Address feature set").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Latch {
    pub current: u8,
    pub previous: u8,
}

impl Latch {
    fn push(&mut self, value: u8) {
        *self = Latch { current: value, previous: self.current };
    }

    /// Both bytes, the previous one above.
    pub fn wide(self) -> u16 {
        u16::from_be_bytes([self.previous, self.current])
    }

    /// Sets both bytes.
    pub fn set_wide(&mut self, value: u16) {
        let [previous, current] = value.to_be_bytes();
        *self = Latch { current, previous };
    }
}

/// What a device shows in its registers after a reset, so that the host sees what it is (ATA/ATAPI-6,
/// "Signature and persistence").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    pub lba_mid: u8,
    pub lba_high: u8,
}

impl Signature {
    pub const DISK: Signature = Signature { lba_mid: 0x00, lba_high: 0x00 };
    pub const PACKET: Signature = Signature { lba_mid: 0x14, lba_high: 0xEB };
}

/// The command block registers, and the part of Status that a finished command leaves behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TaskFile {
    pub features: Latch,
    pub count: Latch,
    pub lba_low: Latch,
    pub lba_mid: Latch,
    pub lba_high: Latch,
    pub device: u8,
    pub error: u8,
    /// ERR and DF as the last command left them.
    pub outcome: u8,
}

impl TaskFile {
    /// Latches a write of the host to the register at `offset` (neither Data nor Command).
    pub fn write(&mut self, offset: u8, value: u8) {
        match offset {
            register::ERROR => self.features.push(value),
            register::COUNT => self.count.push(value),
            register::LBA_LOW => self.lba_low.push(value),
            register::LBA_MID => self.lba_mid.push(value),
            register::LBA_HIGH => self.lba_high.push(value),
            register::DEVICE => self.device = value,
            _ => {}
        }
    }

    /// What the host reads at `offset` (neither Data nor Status); `high_order` is the HOB bit.
    pub fn read(&self, offset: u8, high_order: bool) -> u8 {
        let latch = match offset {
            register::COUNT => self.count,
            register::LBA_LOW => self.lba_low,
            register::LBA_MID => self.lba_mid,
            register::LBA_HIGH => self.lba_high,
            register::DEVICE => return self.device,
            _ => return self.error,
        };
        if high_order { latch.previous } else { latch.current }
    }

    /// Whether the host addresses by LBA.
    pub fn is_lba(&self) -> bool {
        self.device & device::LBA != 0
    }

    /// The 28-bit LBA.
    pub fn lba28(&self) -> u32 {
        u32::from_be_bytes([
            self.device & device::HEAD,
            self.lba_high.current,
            self.lba_mid.current,
            self.lba_low.current,
        ])
    }

    /// Sets the 28-bit LBA; higher bits are dropped.
    pub fn set_lba28(&mut self, lba: u32) {
        let [top, high, mid, low] = lba.to_be_bytes();
        self.device = self.device & !device::HEAD | top & device::HEAD;
        self.lba_high.current = high;
        self.lba_mid.current = mid;
        self.lba_low.current = low;
    }

    /// The 48-bit LBA.
    pub fn lba48(&self) -> u64 {
        let [high, mid, low] = [self.lba_high, self.lba_mid, self.lba_low];
        u64::from_be_bytes([
            0,
            0,
            high.previous,
            mid.previous,
            low.previous,
            high.current,
            mid.current,
            low.current,
        ])
    }

    /// Sets the 48-bit LBA; higher bits are dropped.
    pub fn set_lba48(&mut self, lba: u64) {
        let [_, _, b5, b4, b3, b2, b1, b0] = lba.to_be_bytes();
        self.lba_high = Latch { current: b2, previous: b5 };
        self.lba_mid = Latch { current: b1, previous: b4 };
        self.lba_low = Latch { current: b0, previous: b3 };
    }

    /// Cylinder, head and sector.
    pub fn chs(&self) -> (u16, u8, u8) {
        let cylinder = u16::from_be_bytes([self.lba_high.current, self.lba_mid.current]);
        (cylinder, self.device & device::HEAD, self.lba_low.current)
    }

    /// Sets cylinder, head and sector.
    pub fn set_chs(&mut self, (cylinder, head, sector): (u16, u8, u8)) {
        let [high, mid] = cylinder.to_be_bytes();
        self.device = self.device & !device::HEAD | head & device::HEAD;
        self.lba_high.current = high;
        self.lba_mid.current = mid;
        self.lba_low.current = sector;
    }

    /// Shows `signature`; the bits of the Device register other than DEV become 0.
    pub fn show_signature(&mut self, signature: Signature) {
        self.count = Latch { current: 1, previous: 0 };
        self.lba_low = Latch { current: 1, previous: 0 };
        self.lba_mid = Latch { current: signature.lba_mid, previous: 0 };
        self.lba_high = Latch { current: signature.lba_high, previous: 0 };
        self.device &= device::DEV;
    }

    /// The registers after a reset or the diagnostic.
    pub fn reset(&mut self, signature: Signature) {
        *self = TaskFile { error: DIAGNOSTIC_PASSED, ..TaskFile::default() };
        self.show_signature(signature);
    }
}

/// Data on its way between host and drive. Bytes up to `at` have been moved; at `end` the present data block
/// ends; what lies behind it belongs to later blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Buffer {
    data: Vec<u8>,
    at: usize,
    end: usize,
}

impl Buffer {
    /// The most bytes that a buffer holds.
    pub const CAPACITY: usize = 64 << 10;

    /// Makes the buffer `length` bytes long, all of them one block to be moved, and lends it for filling.
    /// Their content is whatever was there.
    pub fn start(&mut self, length: usize) -> &mut [u8] {
        debug_assert!(length <= Self::CAPACITY);
        self.data.resize(length, 0);
        (self.at, self.end) = (0, length);
        &mut self.data
    }

    /// Empties the buffer.
    pub fn clear(&mut self) {
        self.start(0);
    }

    /// The bytes of the present block that are still to be moved.
    pub fn window(&mut self) -> &mut [u8] {
        &mut self.data[self.at..self.end]
    }

    /// Notes that the first `count` bytes of the window were moved; returns whether that ended the block.
    pub fn moved(&mut self, count: usize) -> bool {
        self.at = (self.at + count).min(self.end);
        self.at == self.end
    }

    /// Makes the next block `length` bytes long, or as long as there are bytes.
    pub fn limit_block(&mut self, length: usize) {
        self.end = (self.at + length).min(self.data.len());
    }

    /// How many bytes are still to be moved, in this block and later ones.
    pub fn left(&self) -> usize {
        self.data.len() - self.at
    }

    /// Everything that was moved since [`Buffer::start`].
    pub fn taken(&self) -> &[u8] {
        &self.data[..self.at]
    }

    /// Whether the three fields fit together, which is all that the methods above rely on.
    pub fn is_valid(&self) -> bool {
        self.at <= self.end && self.end <= self.data.len() && self.data.len() <= Self::CAPACITY
    }
}
