//! SMBIOS: what the machine is made of, in words and numbers for its owner. DMTF System Management BIOS Reference
//! Specification 2.4.

use super::{Facts, put_checksum};

/// The structures, one behind the other.
#[derive(Clone, Debug)]
pub(super) struct Structures {
    pub bytes: Vec<u8>,
    count: u16,
    longest: u16,
}

impl Structures {
    /// Adds a structure of type `kind`: its formatted part behind the header, and its strings, which the formatted part
    /// numbers from 1 on. The type is its handle, too: there are no two of a kind.
    fn put(&mut self, kind: u8, formatted: &[&[u8]], strings: &[&str]) {
        let formatted = formatted.concat();
        let start = self.bytes.len();
        self.bytes.extend([kind, 4 + formatted.len() as u8]);
        self.bytes.extend(handle(kind).to_le_bytes());
        self.bytes.extend(formatted);
        for string in strings {
            self.bytes.extend(string.as_bytes());
            self.bytes.push(0);
        }
        // Two zeros end a structure: that of the last string, and another.
        self.bytes.extend(if strings.is_empty() { &[0, 0][..] } else { &[0] });
        self.count += 1;
        self.longest = self.longest.max((self.bytes.len() - start) as u16);
    }
}

fn handle(kind: u8) -> u16 {
    u16::from(kind) << 8
}

/// "No such handle".
const NONE: u16 = 0xFFFF;
/// Outcome or property that nobody knows.
const UNKNOWN: u8 = 2;

pub(super) fn structures(facts: &Facts) -> Structures {
    let mut s = Structures { bytes: Vec::new(), count: 0, longest: 0 };
    bios(&mut s);
    // System: maker, product and version; no serial number; no UUID; switched on by its switch; no SKU, no family.
    s.put(1, &[&[1, 2, 3, 0], &[0; 16], &[6, 0, 0]], &["idem86", "idem86 PC", env!("CARGO_PKG_VERSION")]);
    // Chassis: a desktop, everything safe, no thermal or security state.
    s.put(3, &[&[1, 3, 0, 0, 0, 3, 3, 3, 3]], &["idem86"]);
    processor(&mut s, facts);
    memory(&mut s, facts);
    // How the system was booted: without an error.
    s.put(32, &[&[0; 7]], &[]);
    s.put(127, &[], &[]);
    s
}

/// Type 0.
fn bios(s: &mut Structures) {
    /// PCI, shadowing, booting from CDs and from selected devices, EDD; floppies of 360K, 1.2M, 720K and 2.88M, print
    /// screen, keyboard, serial and display services.
    const CHARACTERISTICS: [u8; 13] = [7, 12, 15, 16, 19, 22, 23, 24, 25, 26, 27, 28, 30];
    const SEGMENT: u16 = 0xF000;
    let features = CHARACTERISTICS.iter().fold(0u64, |all, bit| all | 1 << bit);
    // ACPI; the table tells what the system is.
    let extension = [0b1, 0b0];
    s.put(
        0,
        &[
            &[1, 2],
            &SEGMENT.to_le_bytes(),
            // 64 KiB.
            &[3, 0],
            &features.to_le_bytes(),
            &extension,
            // The version of BIOS and embedded controller is not told in numbers.
            &[0xFF; 4],
        ],
        &["idem86", env!("CARGO_PKG_VERSION"), "01/15/2026"],
    );
}

/// Type 4.
fn processor(s: &mut Structures, facts: &Facts) {
    const CENTRAL: u8 = 3;
    const ENABLED: u8 = 0x41;
    let family = match facts.signature >> 8 & 0xF {
        // Pentium brand, Pentium Pro.
        5 => 0x0B,
        6 => 0x0C,
        _ => UNKNOWN,
    };
    s.put(
        4,
        &[
            &[1, CENTRAL, family, 2],
            &facts.signature.to_le_bytes(),
            &facts.features.to_le_bytes(),
            // No version; voltage, clocks and speed unknown.
            &[0; 8],
            &[ENABLED, UNKNOWN],
            // Caches.
            &[NONE.to_le_bytes(); 3].concat(),
            // Serial number, asset tag, part number.
            &[0; 3],
        ],
        &["CPU 0", "idem86"],
    );
}

/// Types 16, 17 and 19: memory as one module.
fn memory(s: &mut Structures, facts: &Facts) {
    const ON_BOARD: u8 = 3;
    const SYSTEM_MEMORY: u8 = 3;
    const NO_CORRECTION: u8 = 3;
    const DIMM: u8 = 9;
    const DRAM: u8 = 3;
    /// Kilobytes, not megabytes.
    const IN_KILOBYTES: u16 = 1 << 15;
    let kilobytes = facts.memory >> 10;
    let no_errors_told = 0xFFFEu16;
    s.put(
        16,
        &[
            &[ON_BOARD, SYSTEM_MEMORY, NO_CORRECTION],
            &kilobytes.to_le_bytes(),
            &no_errors_told.to_le_bytes(),
            &1u16.to_le_bytes(),
        ],
        &[],
    );
    let size = match u16::try_from(kilobytes) {
        Ok(kilobytes) if kilobytes < IN_KILOBYTES => IN_KILOBYTES | kilobytes,
        _ => (kilobytes >> 10) as u16,
    };
    s.put(
        17,
        &[
            &handle(16).to_le_bytes(),
            &no_errors_told.to_le_bytes(),
            // Total and data width.
            &64u16.to_le_bytes(),
            &64u16.to_le_bytes(),
            &size.to_le_bytes(),
            // In no set; in its place; no bank.
            &[DIMM, 0, 1, 0, DRAM],
            // No further detail; speed unknown; no names and numbers.
            &[0; 8],
        ],
        &["DIMM 0"],
    );
    // The range in kilobytes, the last one included; one module wide.
    s.put(
        19,
        &[&0u32.to_le_bytes(), &kilobytes.saturating_sub(1).to_le_bytes(), &handle(16).to_le_bytes(), &[1]],
        &[],
    );
}

/// The entry point, which is looked for at multiples of 16 from F0000h on, for structures at `at`.
pub(super) fn entry_point(structures: &Structures, at: u32) -> Vec<u8> {
    const LENGTH: usize = 0x1F;
    /// Where the intermediate part begins, which has a checksum of its own.
    const INTERMEDIATE: usize = 0x10;
    let mut entry = b"_SM_\0".to_vec();
    // Version 2.4; no formatted area.
    entry.extend([LENGTH as u8, 2, 4]);
    entry.extend(structures.longest.to_le_bytes());
    entry.resize(INTERMEDIATE, 0);
    entry.extend(b"_DMI_\0");
    entry.extend((structures.bytes.len() as u16).to_le_bytes());
    entry.extend(at.to_le_bytes());
    entry.extend(structures.count.to_le_bytes());
    entry.push(0x24);
    put_checksum(&mut entry[INTERMEDIATE..], 5);
    put_checksum(&mut entry, 4);
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::tests::facts;

    /// Type, formatted part and strings of each structure, read as the specification tells.
    fn parse(bytes: &[u8]) -> Vec<(u8, Vec<u8>, Vec<String>)> {
        let mut found = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (formatted, tail) = rest.split_at(rest[1].into());
            let end = tail.windows(2).position(|pair| pair == [0, 0]).expect("two zeros") + 2;
            let strings = tail[..end].split(|byte| *byte == 0).filter(|string| !string.is_empty());
            let strings = strings.map(|string| String::from_utf8(string.to_vec()).unwrap()).collect();
            found.push((formatted[0], formatted.to_vec(), strings));
            rest = &tail[end..];
        }
        found
    }

    #[test]
    fn structures_have_the_lengths_of_version_2_4() {
        let found = parse(&structures(&facts()).bytes);
        let lengths: Vec<(u8, usize)> = found.iter().map(|s| (s.0, s.1.len())).collect();
        let expected = [(0, 24), (1, 27), (3, 13), (4, 35), (16, 15), (17, 27), (19, 15), (32, 11), (127, 4)];
        assert_eq!(lengths, expected);
        assert_eq!(found[1].2, ["idem86", "idem86 PC", env!("CARGO_PKG_VERSION")]);
    }

    #[test]
    fn the_entry_point_tells_of_all_structures() {
        let structures = structures(&facts());
        let entry = entry_point(&structures, 0xF_1230);
        let sum = |bytes: &[u8]| bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        assert_eq!((entry.len(), sum(&entry), sum(&entry[0x10..])), (0x1F, 0, 0));
        let word = |at: usize| usize::from(u16::from_le_bytes([entry[at], entry[at + 1]]));
        assert_eq!((word(0x16), word(0x1C)), (structures.bytes.len(), parse(&structures.bytes).len()));
        assert_eq!(entry[0x18..0x1C], 0xF_1230u32.to_le_bytes());
    }

    #[test]
    fn small_memory_is_told_in_kilobytes() {
        let module = |memory: u32| {
            let found = parse(&structures(&Facts { memory, ..facts() }).bytes);
            let module = found.into_iter().find(|s| s.0 == 17).unwrap().1;
            u16::from_le_bytes([module[12], module[13]])
        };
        assert_eq!(module(1 << 20), 0x8000 | 1024);
        assert_eq!(module((5 << 20) - 4096), 0x8000 | 5116);
        assert_eq!(module(3 << 30), 3072);
    }
}
