//! Tables that tell operating systems what the machine is: ACPI, MultiProcessor Specification, SMBIOS, and interrupt
//! routing of PCI. Pure functions of what they tell.

mod acpi;
mod mp;
mod pir;
mod smbios;

use crate::bios::hardware::apic;

/// Physical addresses of the interrupt controllers, and the I/O APIC's number.
pub(crate) const LOCAL_APIC: u32 = 0xFEE0_0000;
pub(crate) const IO_APIC: u32 = 0xFEC0_0000;
pub(crate) const IO_APIC_ID: u8 = 1;
/// The input of the I/O APIC that the timer drives.
const TIMER_INPUT: u8 = 2;

/// Who made the machine, where six characters are asked for.
const OEM: &[u8; 6] = b"IDEM86";

/// A pin of a PCI device: which of its four, and the interrupt line that it was routed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PciPin {
    pub device: u8,
    /// 0 is INTA#.
    pub pin: u8,
    pub line: u8,
}

/// What the tables tell of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// What CPUID says of the processor: EAX and EDX of function 1.
    pub signature: u32,
    pub features: u32,
    /// Bytes of RAM.
    pub memory: u32,
    /// Pins that are in use.
    pub pins: Vec<PciPin>,
    /// PCI devices as the interrupt routing table has them; see [`pir`].
    pub routing: Vec<u8>,
}

impl Facts {
    /// Whether the processor has a local APIC.
    fn has_apic(&self) -> bool {
        self.features & apic::FEATURE != 0
    }
}

/// A piece of a table, and where in memory it belongs.
pub(crate) type Piece = (u32, Vec<u8>);

/// Puts tables one behind the other.
struct Shelf {
    next: u32,
    end: u32,
    pieces: Vec<Piece>,
}

impl Shelf {
    /// Puts a table at the next multiple of 16; gives where.
    fn put(&mut self, table: Vec<u8>) -> u32 {
        let at = self.next;
        self.next = (at + table.len() as u32).next_multiple_of(16);
        assert!(self.next <= self.end, "the tables' sizes are known");
        self.pieces.push((at, table));
        at
    }
}

/// All tables: those that are looked for from `low` on, where `low_size` bytes are theirs, below 1 MiB; and those that
/// pointers lead to at `high`, with what the operating system shares at `shared`, if there is room.
pub(crate) fn all(facts: &Facts, low: u32, low_size: u32, high: Option<(u32, u32)>) -> Vec<Piece> {
    let mut shelf = Shelf { next: low, end: low + low_size, pieces: Vec::new() };
    shelf.put(pir::table(&facts.routing));
    // The MultiProcessor Specification is for processors with a local APIC.
    if facts.has_apic() {
        let configuration = shelf.put(mp::configuration(facts));
        shelf.put(mp::floating_pointer(configuration));
    }
    let structures = smbios::structures(facts);
    let at = shelf.put(structures.bytes.clone());
    shelf.put(smbios::entry_point(&structures, at));
    if let Some((high, shared)) = high {
        let tables = acpi::tables(high, shared, facts.has_apic());
        shelf.put(acpi::root_pointer(&tables));
        shelf.pieces.push((high, tables.bytes));
        shelf.pieces.push((shared, tables.facs));
    }
    shelf.pieces
}

/// Puts the byte at `at` that makes all bytes sum up to zero.
fn put_checksum(bytes: &mut [u8], at: usize) {
    bytes[at] = 0;
    bytes[at] = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte));
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn facts() -> Facts {
        Facts {
            signature: 0x6B1,
            features: 0x0383_FBFF,
            memory: 64 << 20,
            pins: vec![PciPin { device: 1, pin: 3, line: 11 }, PciPin { device: 2, pin: 0, line: 11 }],
            routing: vec![0; 32],
        }
    }

    #[test]
    fn signatures_are_where_they_are_looked_for() {
        let pieces = all(&facts(), 0xF_0000, 0x8000, Some((0x3FF_0000, 0x3FF_F000)));
        for signature in [&b"RSD PTR "[..], b"_MP_", b"_SM_", b"$PIR"] {
            let at = pieces.iter().filter(|piece| piece.1.starts_with(signature)).map(|piece| piece.0);
            let at: Vec<u32> = at.collect();
            assert!(matches!(at[..], [at] if at % 16 == 0 && (0xF_0000..0xF_8000).contains(&at)), "{at:x?}");
        }
        let mut places: Vec<(u32, usize)> = pieces.iter().map(|piece| (piece.0, piece.1.len())).collect();
        places.sort_unstable();
        for pair in places.windows(2) {
            assert!(pair[0].0 as usize + pair[0].1 <= pair[1].0 as usize, "{pair:x?}");
        }
    }

    #[test]
    fn a_processor_without_a_local_apic_is_not_said_to_have_one() {
        let without = Facts { features: facts().features & !apic::FEATURE, ..facts() };
        let pieces = all(&without, 0xF_0000, 0x8000, Some((0x3FF_0000, 0x3FF_F000)));
        let has = |signature: &[u8]| {
            pieces.iter().any(|piece| piece.1.windows(signature.len()).any(|w| w == signature))
        };
        assert!(!has(b"_MP_") && !has(b"PCMP") && !has(b"APIC"));
        assert!(has(b"RSD PTR ") && has(b"FACP") && has(b"_SM_") && has(b"$PIR"));
    }

    #[test]
    fn checksums() {
        let mut bytes = [1, 2, 0xFF, 4];
        put_checksum(&mut bytes, 2);
        assert_eq!(bytes, [1, 2, 249, 4]);
    }
}
