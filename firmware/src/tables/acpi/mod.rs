//! ACPI tables. ACPI Specification 2.0, "ACPI Software Programming Model"; tables of 1.0 begin alike.

mod aml;
mod dsdt;
mod resource;

use super::{IO_APIC, IO_APIC_ID, LOCAL_APIC, OEM, TIMER_INPUT, put_checksum};
use crate::bios::pci_layout::{PM_BASE, SCI};

/// Bytes of a table's header.
const HEADER: usize = 36;
/// Where in it the checksum is.
const CHECKSUM: usize = 9;
/// Bytes of the FACS, and what its address is a multiple of.
const FACS: usize = 64;

/// All tables but the pointer to them.
#[derive(Debug)]
pub(super) struct Tables {
    /// What lies where they were asked to be.
    pub bytes: Vec<u8>,
    /// What lies at the other place: the FACS, which the operating system writes to.
    pub facs: Vec<u8>,
    rsdt: u32,
    xsdt: u32,
}

/// The tables as they lie at `at`, with the FACS at `facs_at`, both multiples of 64. Without `apic` there is no MADT:
/// then interrupts go by the 8259As.
pub(super) fn tables(at: u32, facs_at: u32, apic: bool) -> Tables {
    let mut bytes = Vec::new();
    let mut put = |table: Vec<u8>| {
        let place = at + bytes.len() as u32;
        bytes.extend(table);
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        place
    };
    let dsdt = put(table(b"DSDT", 1, &dsdt::dsdt()));
    let mut described = vec![put(fadt(facs_at, dsdt))];
    if apic {
        described.push(put(madt()));
    }
    let entries = |width: usize| -> Vec<u8> {
        described.iter().flat_map(|at| u64::from(*at).to_le_bytes()[..width].to_vec()).collect()
    };
    let rsdt = put(table(b"RSDT", 1, &entries(4)));
    let xsdt = put(table(b"XSDT", 1, &entries(8)));
    Tables { bytes, facs: facs(), rsdt, xsdt }
}

/// The root pointer, which is looked for at multiples of 16 from E0000h on.
pub(super) fn root_pointer(tables: &Tables) -> Vec<u8> {
    /// What the checksum of 1.0 covers.
    const FIRST_PART: usize = 20;
    const LENGTH: usize = 36;
    const REVISION: u8 = 2;
    let mut pointer = b"RSD PTR \0".to_vec();
    pointer.extend(OEM);
    pointer.push(REVISION);
    pointer.extend(tables.rsdt.to_le_bytes());
    pointer.extend((LENGTH as u32).to_le_bytes());
    pointer.extend(u64::from(tables.xsdt).to_le_bytes());
    pointer.resize(LENGTH, 0);
    put_checksum(&mut pointer[..FIRST_PART], 8);
    put_checksum(&mut pointer, 32);
    pointer
}

/// A table: its header, then `content`.
fn table(signature: &[u8; 4], revision: u8, content: &[u8]) -> Vec<u8> {
    let mut table = signature.to_vec();
    table.extend(((HEADER + content.len()) as u32).to_le_bytes());
    // The checksum comes last.
    table.extend([revision, 0]);
    table.extend(OEM);
    table.extend(b"IDEM86PC");
    table.extend(1u32.to_le_bytes());
    table.extend(b"IDEM");
    table.extend(1u32.to_le_bytes());
    table.extend(content);
    put_checksum(&mut table, CHECKSUM);
    table
}

/// The firmware control structure. It has no checksum.
fn facs() -> Vec<u8> {
    let mut facs = b"FACS".to_vec();
    facs.extend((FACS as u32).to_le_bytes());
    facs.resize(FACS, 0);
    // Version 1: the waking vector has an extension.
    facs[32] = 1;
    facs
}

/// "Generic Address Structure": registers of `bits` bits in I/O space.
fn io_address(port: u16, bits: u8) -> [u8; 12] {
    const SYSTEM_IO: u8 = 1;
    let mut address = [0; 12];
    address[..2].copy_from_slice(&[SYSTEM_IO, bits]);
    address[4..6].copy_from_slice(&port.to_le_bytes());
    address
}

/// The fixed description of ACPI 2.0: the power management registers of the PIIX4.
fn fadt(facs: u32, dsdt: u32) -> Vec<u8> {
    const LENGTH: usize = 244;
    const REVISION: u8 = 3;
    /// Ports that switch between ACPI and legacy mode, and what they are told.
    const SMI_COMMAND: u16 = 0xB2;
    const ENABLE: u8 = 0xF1;
    const DISABLE: u8 = 0xF0;
    /// C2 and C3 do not exist: their latencies are beyond what is allowed.
    const NO_C2: u16 = 101;
    const NO_C3: u16 = 1001;
    /// Flags: WBINVD works; C1 works; there is no sleep button and no fixed RTC wake-up; the timer has 32 bits;
    /// there is a reset register.
    const FLAGS: u32 = 1 << 0 | 1 << 2 | 1 << 5 | 1 << 6 | 1 << 8 | 1 << 10;
    /// There are devices on the ISA bus, an 8042 among them.
    const BOOT_ARCHITECTURE: u16 = 0b11;
    /// Reset control register, and what resets the whole board.
    const RESET: u16 = 0xCF9;
    const RESET_VALUE: u8 = 0x06;
    const CENTURY: u8 = 0x32;
    let mut content = [0; LENGTH];
    let mut put = |at: usize, bytes: &[u8]| content[at..at + bytes.len()].copy_from_slice(bytes);
    // Address and length of the register blocks: PM1a events and control, timer, general purpose events 0.
    let blocks = [(0u16, 4u8), (4, 2), (8, 4), (0xC, 4)].map(|(offset, length)| (PM_BASE + offset, length));
    put(36, &facs.to_le_bytes());
    put(40, &dsdt.to_le_bytes());
    // To ACPI 1.0: there are APICs. To later versions: it is a desktop.
    put(44, &[1, 1]);
    put(46, &u16::from(SCI).to_le_bytes());
    put(48, &u32::from(SMI_COMMAND).to_le_bytes());
    put(52, &[ENABLE, DISABLE]);
    put(109, &BOOT_ARCHITECTURE.to_le_bytes());
    // Beside the blocks lie those that are not there: PM1b events and control, PM2 control, GPE1.
    let places = [(56, 88, 148), (64, 89, 172), (76, 91, 208), (80, 92, 220)];
    for ((port, length), (address, size, extended)) in blocks.into_iter().zip(places) {
        put(address, &u32::from(port).to_le_bytes());
        put(size, &[length]);
        put(extended, &io_address(port, length * 8));
    }
    put(96, &NO_C2.to_le_bytes());
    put(98, &NO_C3.to_le_bytes());
    put(108, &[CENTURY]);
    put(112, &FLAGS.to_le_bytes());
    put(116, &io_address(RESET, 8));
    put(128, &[RESET_VALUE]);
    // The long address of the FACS is for one that 32 bits cannot express.
    put(140, &u64::from(dsdt).to_le_bytes());
    table(b"FACP", REVISION, &content[HEADER..])
}

/// The interrupt controllers.
fn madt() -> Vec<u8> {
    /// There are 8259As, too.
    const PCAT_COMPATIBLE: u32 = 1;
    const ISA: u8 = 0;
    const CONFORMING: u16 = 0;
    const LEVEL_LOW: u16 = 0b1111;
    const ALL_PROCESSORS: u8 = 0xFF;
    let mut content = LOCAL_APIC.to_le_bytes().to_vec();
    content.extend(PCAT_COMPATIBLE.to_le_bytes());
    // Processor 0 with local APIC 0, enabled.
    content.extend([0, 8, 0, 0, 1, 0, 0, 0]);
    content.extend([1, 12, IO_APIC_ID, 0]);
    content.extend(IO_APIC.to_le_bytes());
    content.extend(0u32.to_le_bytes());
    for (line, input, flags) in [(0, TIMER_INPUT, CONFORMING), (SCI, SCI, LEVEL_LOW)] {
        content.extend([2, 10, ISA, line]);
        content.extend(u32::from(input).to_le_bytes());
        content.extend(flags.to_le_bytes());
    }
    // The non-maskable interrupt comes in at LINT1.
    content.extend([4, 6, ALL_PROCESSORS, 0, 0, 1]);
    table(b"APIC", 1, &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u32 = 0x00FF_0000;
    const FACS_AT: u32 = 0x00FF_F000;

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
    }

    fn u32_at(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    /// The table at a physical address, with its signature and checksum checked.
    fn find<'a>(tables: &'a Tables, at: u32, signature: &[u8; 4]) -> &'a [u8] {
        let start = (at - AT) as usize;
        let length = u32_at(&tables.bytes, start + 4) as usize;
        let table = &tables.bytes[start..start + length];
        assert_eq!(&table[..4], signature);
        assert_eq!(sum(table), 0, "{signature:?}");
        table
    }

    #[test]
    fn every_table_can_be_found_from_the_root_pointer() {
        let tables = tables(AT, FACS_AT, true);
        let root = root_pointer(&tables);
        assert_eq!((sum(&root[..20]), sum(&root), root.len()), (0, 0, 36));
        let rsdt = find(&tables, u32_at(&root, 16), b"RSDT");
        let xsdt = find(&tables, u32_at(&root, 24), b"XSDT");
        for (n, signature) in (0..).zip([b"FACP", b"APIC"]) {
            let at = u32_at(rsdt, HEADER + 4 * n);
            assert_eq!(u32_at(xsdt, HEADER + 8 * n), at, "both roots lead to the same tables");
            find(&tables, at, signature);
        }
        let fadt = find(&tables, u32_at(rsdt, HEADER), b"FACP");
        assert_eq!(fadt.len(), 244);
        assert_eq!((u32_at(fadt, 36), u32_at(fadt, 132)), (FACS_AT, 0));
        let dsdt = u32_at(fadt, 40);
        assert_eq!(u32_at(fadt, 140), dsdt);
        find(&tables, dsdt, b"DSDT");
        assert_eq!((&tables.facs[..4], u32_at(&tables.facs, 4)), (&b"FACS"[..], 64));
    }

    #[test]
    fn register_blocks_are_those_of_the_piix4() {
        let fadt = fadt(FACS_AT, AT);
        // Address and length: PM1a events, PM1a control, timer, general purpose events.
        let blocks = [(56, 88), (64, 89), (76, 91), (80, 92)].map(|(a, l)| (u32_at(&fadt, a), fadt[l]));
        assert_eq!(blocks, [(0x600, 4), (0x604, 2), (0x608, 4), (0x60C, 4)]);
        for (block, extended) in blocks.into_iter().zip([148, 172, 208, 220]) {
            assert_eq!((u32_at(&fadt, extended + 4), fadt[extended + 1]), (block.0, block.1 * 8));
        }
        assert_eq!([60, 68, 72, 84].map(|absent| u32_at(&fadt, absent)), [0; 4]);
    }

    #[test]
    fn structures_of_the_madt_fill_it() {
        let madt = madt();
        let mut at = HEADER + 8;
        let mut kinds = Vec::new();
        while at < madt.len() {
            kinds.push(madt[at]);
            at += usize::from(madt[at + 1]);
        }
        assert_eq!((at, kinds), (madt.len(), vec![0, 1, 2, 2, 4]));
    }
}
