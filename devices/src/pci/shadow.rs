//! What the host bridge does with the memory between 640 KiB and 1 MiB. Intel 82441FX, "PAM" and "SMRAM".

use super::function::PciFunction;
use super::spec::host_bridge::{DCLS, DLCK, DOPEN, PAM_0, SMRAM, SMRAME};

/// A piece of the memory between C0000h and FFFFFh, and who answers there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShadowRegion {
    /// The first byte.
    pub base: u32,
    /// Bytes: 16 KiB, or 64 KiB for the last region.
    pub size: u32,
    /// Reads go to RAM; else to what lies behind: ROM.
    pub is_read_from_ram: bool,
    /// Writes go to RAM; else they go to the bus, and nowhere.
    pub is_written_to_ram: bool,
}

/// How many [`ShadowRegion`]s there are.
pub const SHADOW_REGIONS: usize = 13;

/// The regions, in ascending order without gaps.
pub(super) fn regions(bridge: &PciFunction) -> [ShadowRegion; SHADOW_REGIONS] {
    const KIB: u32 = 1 << 10;
    std::array::from_fn(|i| {
        // Twelve regions have the halves of PAM1 to PAM6, low half first; the last one has the high half of
        // PAM0.
        let (register, high) = if i == 12 { (0, true) } else { (1 + i / 2, i % 2 == 1) };
        let attributes = bridge.config[PAM_0 + register] >> if high { 4 } else { 0 };
        ShadowRegion {
            base: 0xC_0000 + i as u32 * 16 * KIB,
            size: if i == 12 { 64 * KIB } else { 16 * KIB },
            is_read_from_ram: attributes & 1 != 0,
            is_written_to_ram: attributes & 2 != 0,
        }
    })
}

/// System management RAM: the memory behind A0000h to BFFFFh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Smram {
    /// It exists; else the range always belongs to the display.
    pub is_enabled: bool,
    /// It is visible outside system management mode too.
    pub is_open: bool,
    /// In system management mode, data accesses go to the display and only code is fetched from it.
    pub is_closed: bool,
    /// None of this can change before the next reset.
    pub is_locked: bool,
}

pub(super) fn smram(bridge: &PciFunction) -> Smram {
    let register = bridge.config[SMRAM];
    Smram {
        is_enabled: register & SMRAME != 0,
        is_open: register & DOPEN != 0,
        is_closed: register & DCLS != 0,
        is_locked: register & DLCK != 0,
    }
}

/// What a write made of the SMRAM register, whose value was `before`: nothing if it was locked, and a closed
/// door once it is.
pub(super) fn after_write(bridge: &mut PciFunction, before: u8) {
    let register = &mut bridge.config[SMRAM];
    if before & DLCK != 0 {
        *register = before;
    } else if *register & DLCK != 0 {
        *register &= !DOPEN;
    }
}
