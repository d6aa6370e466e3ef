//! The PCI interrupt routing table: which links the pins of each device lead to. Microsoft "PCI IRQ Routing Table
//! Specification" 1.0.

use super::put_checksum;
use crate::bios::hardware::pci::ISA_BRIDGE;

/// The table around `slots` of 16 bytes each, which are those of the PCI BIOS.
pub(super) fn table(slots: &[u8]) -> Vec<u8> {
    const HEADER: usize = 32;
    const CHECKSUM: usize = 31;
    /// The 82371FB: operating systems know no other of the family as a router.
    const COMPATIBLE: [u8; 4] = [0x86, 0x80, 0x2E, 0x12];
    let mut table = b"$PIR\x00\x01".to_vec();
    table.extend(((HEADER + slots.len()) as u16).to_le_bytes());
    // The router: bus, device and function; no interrupt line is PCI's alone.
    table.extend([0, ISA_BRIDGE.0 as u8, 0, 0]);
    table.extend(COMPATIBLE);
    table.resize(HEADER, 0);
    table.extend(slots);
    put_checksum(&mut table, CHECKSUM);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_sums_up_to_zero_and_tells_its_length() {
        let table = table(&[7; 32]);
        assert_eq!(table.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)), 0);
        assert_eq!((table.len(), &table[6..8], table[9]), (64, &[64, 0][..], 1 << 3));
    }
}
