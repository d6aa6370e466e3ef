//! IDENTIFY DEVICE: what a disk says of itself. ATA/ATAPI-6, "IDENTIFY DEVICE".

use super::Disk;
use crate::ide::identify::{VALID, Words};
use crate::ide::spec::{MAX_LBA28, MAX_MULTIPLE, SECTOR};

/// Word 0: an ATA device that is not removable.
const GENERAL: u16 = 0x0040;
/// Word 2: complete, and needs no SET FEATURES to spin up.
const COMPLETE: u16 = 0xC837;
/// Word 49: LBA, DMA, IORDY that can be disabled. Standby timer values are our own: there is no timer.
const CAPABILITIES: u16 = 1 << 11 | 1 << 10 | 1 << 9 | 1 << 8;
/// Words 82 and 85: NOP, look-ahead, write cache, power management.
const COMMANDS_82: u16 = 1 << 14 | LOOK_AHEAD | WRITE_CACHE | 1 << 3;
const LOOK_AHEAD: u16 = 1 << 6;
const WRITE_CACHE: u16 = 1 << 5;
/// Words 83 and 86: FLUSH CACHE (EXT), 48-bit addresses.
const COMMANDS_83: u16 = 1 << 13 | 1 << 12 | 1 << 10;

impl Disk {
    /// The 512 bytes of IDENTIFY DEVICE.
    pub(super) fn identify(&self) -> [u8; SECTOR] {
        let (default, settings, capacity) = (self.geometry, &self.settings, self.capacity());
        let current = settings.geometry;
        let mut words = Words::new(&self.identity, self.position, settings.dma);
        let w = &mut words.0;
        w[0] = GENERAL;
        w[1] = default.cylinders;
        w[2] = COMPLETE;
        w[3] = u16::from(default.heads);
        w[6] = u16::from(default.sectors);
        w[47] = 0x8000 | u16::from(MAX_MULTIPLE);
        w[49] = CAPABILITIES;
        w[50] = VALID;
        w[51] = 2 << 8;
        // Words 54 to 58, 64 to 70 and 88 are valid.
        w[53] = 7;
        w[54] = current.cylinders;
        w[55] = u16::from(current.heads);
        w[56] = u16::from(current.sectors);
        w[59] = if settings.multiple == 0 { 0 } else { 0x100 | u16::from(settings.multiple) };
        // ATA-3 to ATA/ATAPI-6.
        w[80] = 0x78;
        w[82] = COMMANDS_82;
        w[83] = VALID | COMMANDS_83;
        w[84] = VALID;
        w[85] = COMMANDS_82 & !(LOOK_AHEAD | WRITE_CACHE);
        w[85] |= if settings.look_ahead { LOOK_AHEAD } else { 0 };
        w[85] |= if settings.write_cache { WRITE_CACHE } else { 0 };
        w[86] = COMMANDS_83;
        w[87] = VALID;
        words.dword(57, current.capacity());
        words.dword(60, capacity.min(u64::from(MAX_LBA28)) as u32);
        words.dword(100, capacity as u32);
        words.dword(102, (capacity >> 32) as u32);
        words.into_bytes()
    }
}
