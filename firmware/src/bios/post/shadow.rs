//! The BIOS moves into RAM. Intel 82441FX, "PAM - Programmable Attribute Map Registers".

use crate::bios::hardware::pci::HOST_BRIDGE;
use crate::bios::rom;
use crate::platform::Platform;

/// The register that governs F0000h to FFFFFh in its upper half.
const PAM_0: u8 = 0x59;
/// Where the ROM can be seen whatever the PAM registers say.
const ROM_AT_TOP: u32 = 0xFFFF_0000;

/// Where accesses to a part go: reads, or reads and writes, reach RAM.
pub(super) const READ_ONLY: u8 = 0b01;
pub(super) const READ_WRITE: u8 = 0b11;

/// Copies the BIOS from ROM into the RAM beneath, which takes its place and can be written to.
pub(super) fn open(io: &mut dyn Platform) {
    let image = io.bytes(ROM_AT_TOP, rom::SIZE);
    HOST_BRIDGE.write8(io, PAM_0, READ_WRITE << 4);
    io.write(rom::BASE, &image);
}

/// From now on the BIOS is read-only.
pub(super) fn close(io: &mut dyn Platform) {
    HOST_BRIDGE.write8(io, PAM_0, READ_ONLY << 4);
}

/// Bytes of each part from C0000h to EFFFFh.
pub(super) const PART: u32 = 0x4000;

/// Sets where accesses to the part at `address` go.
pub(super) fn set_part(io: &mut dyn Platform, address: u32, access: u8) {
    let part = ((address - 0xC_0000) / PART) as u8;
    let register = PAM_0 + 1 + part / 2;
    let shift = part % 2 * 4;
    let value = HOST_BRIDGE.read8(io, register) & !(0b11 << shift) | access << shift;
    HOST_BRIDGE.write8(io, register, value);
}
