//! The physical memory map of an i440FX PC, and where each part lies in the slab that is lent to the processor.
//!
//! | physical address | what |
//! |---|---|
//! | 0000_0000 – 0009_FFFF | RAM |
//! | 000A_0000 – 000B_FFFF | VGA window |
//! | 000C_0000 – 000F_FFFF | ROM or RAM, each 16 KiB (the last 64 KiB as one) as the PAM registers say |
//! | 0010_0000 – end of RAM | RAM, at most 3 GiB |
//! | up to FEBF_FFFF | PCI memory space |
//! | FEC0_0000 | I/O APIC |
//! | FEE0_0000 (IA32_APIC_BASE) | local APIC |
//! | below 1_0000_0000 | the whole BIOS ROM |

use idem86_cpu::bus::PageKind;

/// Start of the VGA window.
pub const VGA_WINDOW: u64 = 0xA_0000;
/// Start of the area that the PAM registers govern: option ROMs, then the BIOS.
pub const PAM_AREA: u64 = 0xC_0000;
/// First byte above real-mode memory.
pub const MEGABYTE: u64 = 0x10_0000;
/// The largest RAM, in bytes: the rest of the 32-bit space belongs to devices.
pub const RAM_MAX: u64 = 3 << 30;
/// First address that 32 bits cannot express; the BIOS ROM ends here.
pub const FOUR_GIB: u64 = 1 << 32;
/// The largest BIOS ROM, in bytes.
pub const BIOS_MAX: u64 = 16 << 20;

/// Size of the low ROM space.
const LOW_ROM: u64 = MEGABYTE - PAM_AREA;
/// The parts that PAM registers govern: twelve of 16 KiB, one of 64 KiB.
pub const PAM_PARTS: usize = 13;

/// Where reads and writes of one PAM part go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shadow {
    /// Reads see RAM, not ROM.
    pub read_ram: bool,
    /// Writes reach RAM.
    pub write_ram: bool,
}

/// What stands where. Offsets count in the slab: RAM, then the low ROM space, then the BIOS ROM.
#[derive(Clone, Debug)]
pub struct MemoryMap {
    ram: u64,
    bios: u64,
    shadow: [Shadow; PAM_PARTS],
}

impl MemoryMap {
    /// A map with `ram` bytes of RAM and a BIOS ROM of `bios` bytes, both whole pages.
    pub fn new(ram: u64, bios: u64) -> Self {
        assert!(
            ram.is_multiple_of(4096) && (MEGABYTE..=RAM_MAX).contains(&ram),
            "RAM size was checked before"
        );
        assert!(bios.is_multiple_of(4096) && bios <= BIOS_MAX, "BIOS size was checked before");
        MemoryMap { ram, bios, shadow: [Shadow::default(); PAM_PARTS] }
    }

    /// Bytes of RAM.
    pub fn ram(&self) -> u64 {
        self.ram
    }

    /// Bytes of the slab.
    pub fn slab(&self) -> u64 {
        self.ram + LOW_ROM + self.bios
    }

    /// Offset in the slab of the low ROM space, which begins at physical address C0000h.
    pub fn low_rom(&self) -> u64 {
        self.ram
    }

    /// Offset in the slab of the BIOS ROM.
    pub fn bios_rom(&self) -> u64 {
        self.ram + LOW_ROM
    }

    /// What stands behind the page at physical address `page`.
    pub fn page(&self, page: u64) -> PageKind {
        match page {
            0..VGA_WINDOW => PageKind::Ram(page),
            VGA_WINDOW..PAM_AREA => PageKind::Device,
            PAM_AREA..MEGABYTE => {
                let rom = PageKind::Rom(self.low_rom() + page - PAM_AREA);
                match self.shadow_at(page) {
                    Shadow { read_ram: true, write_ram: true } => PageKind::Ram(page),
                    Shadow { read_ram: true, write_ram: false } => PageKind::Rom(page),
                    Shadow { read_ram: false, .. } => rom,
                }
            }
            _ if page < self.ram => PageKind::Ram(page),
            _ if (FOUR_GIB - self.bios..FOUR_GIB).contains(&page) => {
                PageKind::Rom(self.bios_rom() + page - (FOUR_GIB - self.bios))
            }
            _ => PageKind::Device,
        }
    }

    /// Where in RAM a write to `address` goes although the page reads as ROM.
    pub fn write_only(&self, address: u64) -> Option<u64> {
        let within = (PAM_AREA..MEGABYTE).contains(&address);
        (within && self.shadow_at(address) == Shadow { read_ram: false, write_ram: true }).then_some(address)
    }

    /// Sets where the parts of the PAM area go; returns whether that changed anything.
    pub fn set_shadow(&mut self, shadow: [Shadow; PAM_PARTS]) -> bool {
        let changed = self.shadow != shadow;
        self.shadow = shadow;
        changed
    }

    fn shadow_at(&self, address: u64) -> Shadow {
        self.shadow[((address - PAM_AREA) >> 14).min(PAM_PARTS as u64 - 1) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_map() {
        let mut map = MemoryMap::new(16 << 20, 256 << 10);
        assert_eq!(map.page(0x9_F000), PageKind::Ram(0x9_F000));
        assert_eq!(map.page(0xB_8000), PageKind::Device);
        assert_eq!(map.page(0xF_F000), PageKind::Rom((16 << 20) + 0x3_F000));
        assert_eq!(map.page(0xFF_F000), PageKind::Ram(0xFF_F000));
        assert_eq!(map.page(0x100_0000), PageKind::Device);
        assert_eq!(map.page(0xFFFC_0000), PageKind::Rom(map.bios_rom()));
        assert_eq!(map.page(0xFFFF_F000), PageKind::Rom(map.slab() - 4096));
        let mut shadow = [Shadow::default(); PAM_PARTS];
        shadow[12] = Shadow { read_ram: true, write_ram: true };
        shadow[11].write_ram = true;
        assert!(map.set_shadow(shadow));
        assert_eq!(map.page(0xF_0000), PageKind::Ram(0xF_0000));
        assert_eq!(map.write_only(0xE_FFFF), Some(0xE_FFFF));
        assert_eq!(map.write_only(0xF_0000), None);
    }
}
