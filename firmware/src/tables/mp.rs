//! The MP configuration table: processor, buses, I/O APIC, and how interrupts are wired. Intel MultiProcessor
//! Specification 1.4.

use super::{Facts, IO_APIC, IO_APIC_ID, LOCAL_APIC, TIMER_INPUT, put_checksum};
use crate::bios::pci_layout::SCI;

/// Buses, by number.
const PCI: u8 = 0;
const ISA: u8 = 1;

/// Bytes of the configuration table's header.
const HEADER: usize = 44;

/// Interrupt types of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Vectored = 0,
    Nmi = 1,
    External = 3,
}

/// Polarity and trigger mode: as the bus has it; active low and level-triggered.
const CONFORMING: u16 = 0;
const LEVEL_LOW: u16 = 0b1111;

/// The structure that is looked for at multiples of 16, for a configuration table at `configuration`.
pub(super) fn floating_pointer(configuration: u32) -> Vec<u8> {
    let mut pointer = b"_MP_".to_vec();
    pointer.extend(configuration.to_le_bytes());
    // One paragraph; version 1.4; a configuration table is present, and virtual wire mode.
    pointer.extend([1, 4]);
    pointer.resize(16, 0);
    put_checksum(&mut pointer, 10);
    pointer
}

fn interrupt(entry: u8, kind: Kind, flags: u16, source: (u8, u8), target: (u8, u8)) -> [u8; 8] {
    let [low, high] = flags.to_le_bytes();
    [entry, kind as u8, low, high, source.0, source.1, target.0, target.1]
}

/// The interrupts of the I/O APIC, by bus and input.
fn io_interrupts(facts: &Facts) -> Vec<[u8; 8]> {
    const ENTRY: u8 = 3;
    let mut entries = vec![interrupt(ENTRY, Kind::External, CONFORMING, (ISA, 0), (IO_APIC_ID, 0))];
    // Line 2 is the cascade. Lines that PCI shares are PCI's.
    let isa = (0..16).filter(|line| *line != 2 && facts.pins.iter().all(|pin| pin.line != *line));
    entries.extend(isa.map(|line| {
        let input = if line == 0 { TIMER_INPUT } else { line };
        let flags = if line == SCI { LEVEL_LOW } else { CONFORMING };
        interrupt(ENTRY, Kind::Vectored, flags, (ISA, line), (IO_APIC_ID, input))
    }));
    entries.extend(facts.pins.iter().map(|pin| {
        interrupt(ENTRY, Kind::Vectored, LEVEL_LOW, (PCI, pin.device << 2 | pin.pin), (IO_APIC_ID, pin.line))
    }));
    entries
}

/// The configuration table.
pub(super) fn configuration(facts: &Facts) -> Vec<u8> {
    /// What the local APIC's version register says of an integrated one.
    const LOCAL_APIC_VERSION: u8 = 0x14;
    const IO_APIC_VERSION: u8 = 0x11;
    const ENABLED: u8 = 1;
    const BOOTSTRAP: u8 = 2;
    const LOCAL_ENTRY: u8 = 4;
    const ALL: u8 = 0xFF;
    let mut entries: Vec<u8> = Vec::new();
    let mut count = 0u16;
    let mut put = |entry: &[u8]| {
        entries.extend(entry);
        count += 1;
    };
    let mut processor = vec![0, 0, LOCAL_APIC_VERSION, ENABLED | BOOTSTRAP];
    processor.extend(facts.signature.to_le_bytes());
    processor.extend(facts.features.to_le_bytes());
    processor.resize(20, 0);
    put(&processor);
    for (number, name) in [(PCI, b"PCI   "), (ISA, b"ISA   ")] {
        put(&[&[1, number], &name[..]].concat());
    }
    put(&[&[2, IO_APIC_ID, IO_APIC_VERSION, ENABLED], &IO_APIC.to_le_bytes()[..]].concat());
    for entry in io_interrupts(facts) {
        put(&entry);
    }
    put(&interrupt(LOCAL_ENTRY, Kind::External, CONFORMING, (ISA, 0), (ALL, 0)));
    put(&interrupt(LOCAL_ENTRY, Kind::Nmi, CONFORMING, (ISA, 0), (ALL, 1)));

    let mut table = b"PCMP".to_vec();
    table.extend(((HEADER + entries.len()) as u16).to_le_bytes());
    // Version 1.4, then the checksum.
    table.extend([4, 0]);
    table.extend(b"IDEM86  IDEM86 PC   ");
    // No table of the manufacturer's.
    table.extend([0; 6]);
    table.extend(count.to_le_bytes());
    table.extend(LOCAL_APIC.to_le_bytes());
    // No extended entries.
    table.resize(HEADER, 0);
    table.extend(entries);
    put_checksum(&mut table, 7);
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::tests::facts;

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
    }

    /// The entries, which are as long as their kind says.
    fn entries(table: &[u8]) -> Vec<&[u8]> {
        let mut entries = Vec::new();
        let mut rest = &table[HEADER..];
        while let Some(kind) = rest.first() {
            let (entry, tail) = rest.split_at(if *kind == 0 { 20 } else { 8 });
            entries.push(entry);
            rest = tail;
        }
        entries
    }

    #[test]
    fn pointer_and_table_sum_up_to_zero_and_tell_their_lengths() {
        let pointer = floating_pointer(0xF_0100);
        assert_eq!((sum(&pointer), pointer.len(), pointer[8]), (0, 16, 1));
        let table = configuration(&facts());
        assert_eq!(sum(&table), 0);
        assert_eq!(usize::from(u16::from_le_bytes([table[4], table[5]])), table.len());
        let count = usize::from(u16::from_le_bytes([table[34], table[35]]));
        assert_eq!(count, entries(&table).len());
    }

    #[test]
    fn every_line_leads_to_one_input() {
        let table = configuration(&facts());
        let inputs: Vec<(u8, u8)> =
            entries(&table).into_iter().filter(|e| e[0] == 3).map(|e| (e[1], e[7])).collect();
        // The 8259As; the timer at input 2; no cascade; line 11 for two PCI pins.
        assert_eq!(inputs[..3], [(3, 0), (0, 2), (0, 1)]);
        for input in 1..16 {
            let expected = if input == 11 { 2 } else { 1 };
            assert_eq!(inputs.iter().filter(|i| i.1 == input).count(), expected, "input {input}");
        }
    }
}
