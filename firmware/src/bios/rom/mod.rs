//! The BIOS ROM: 64 KiB with entry points at the addresses that programs know from IBM's, and little behind them.
//!
//! IBM PC/AT Technical Reference, "ROM BIOS"; what programs rely on is collected in Ralf Brown's Interrupt List.

mod code;
mod handlers;

use super::traps::{Trap, call};
use crate::video::font;
use code::Code;
pub(crate) use handlers::KeyAction;
use handlers::{
    boot_failed, bootstrap, clock, coprocessor, keyboard, keyboard_services, mouse, post, print_screen,
    redirected_irq2, system_services, timer,
};
use iced_x86::code_asm::*;
use iced_x86::{BlockEncoderOptions, IcedError};
use std::sync::OnceLock;

/// The segment of the ROM.
pub(crate) const SEGMENT: u16 = 0xF000;
/// Where the segment begins.
pub(crate) const BASE: u32 = 0xF_0000;
/// Bytes of the ROM.
pub(crate) const SIZE: usize = 0x1_0000;

/// Offset of the code that has no place of its own. What lies before it is for tables that POST writes.
pub(crate) const CODE: u16 = 0x8000;

/// Offsets that programs know.
pub(crate) mod offset {
    pub const POST: u16 = 0xE05B;
    pub const CONFIGURATION: u16 = 0xE6F5;
    pub const BAUD_RATES: u16 = 0xE729;
    pub const DISKETTE_PARAMETERS: u16 = 0xEFC7;
    pub const FONT: u16 = 0xFA6E;
    pub const IRET: u16 = 0xFF53;
    pub const RESET: u16 = 0xFFF0;
    pub const DATE: u16 = 0xFFF5;
    pub const MODEL: u16 = 0xFFFE;
    /// Signature of the BIOS32 service directory, on a 16-byte boundary; one of ours.
    pub const BIOS32: u16 = 0xE000;
    /// Entry points of ours, each a near jump.
    pub const OWN: u16 = 0xE100;
}

/// The model byte of a PC/AT.
pub(crate) const MODEL: u8 = 0xFC;
/// The date of the ROM, of this version of it.
const DATE: &[u8; 8] = b"01/15/26";

/// An entry point and the interrupt vector that POST points at it.
struct Entry {
    vector: Option<u8>,
    offset: u16,
    body: fn(&mut Code) -> Result<(), IcedError>,
}

const fn entry(vector: u8, offset: u16, body: fn(&mut Code) -> Result<(), IcedError>) -> Entry {
    Entry { vector: Some(vector), offset, body }
}

/// Place `n` of our own entry points.
const fn own(n: u16) -> u16 {
    offset::OWN + 4 * n
}

/// All entry points. Two vectors may lead to one.
const ENTRIES: &[Entry] = &[
    Entry { vector: None, offset: offset::POST, body: post },
    entry(0x02, 0xE2C3, |c| c.asm.iret()),
    entry(0x05, 0xFF54, print_screen),
    entry(0x08, 0xFEA5, timer),
    entry(0x09, 0xE987, keyboard),
    entry(0x0E, 0xEF57, |c| c.irq(Trap::Int0e, false)),
    entry(0x10, 0xF065, |c| c.asm.iret()),
    entry(0x11, 0xF84D, |c| c.service(Trap::Int11)),
    entry(0x12, 0xF841, |c| c.service(Trap::Int12)),
    entry(0x13, 0xE3FE, |c| c.waiting_service(Trap::Int13, Trap::Int13Continue)),
    entry(0x14, 0xE739, |c| c.service(Trap::Int14)),
    entry(0x15, 0xF859, system_services),
    entry(0x16, 0xE82E, keyboard_services),
    entry(0x17, 0xEFD2, |c| c.service(Trap::Int17)),
    entry(0x18, BOOT_FAILED, boot_failed),
    entry(0x19, 0xE6F2, bootstrap),
    entry(0x1A, 0xFE6E, |c| c.service(Trap::Int1a)),
    entry(0x40, 0xEC59, |c| c.waiting_service(Trap::Int13, Trap::Int13Continue)),
    entry(0x70, own(1), clock),
    entry(0x71, own(2), redirected_irq2),
    entry(0x74, own(3), mouse),
    entry(0x75, own(4), coprocessor),
    entry(0x76, own(5), |c| c.irq(Trap::Int76, true)),
    entry(0x77, own(6), |c| c.irq(Trap::Int77, true)),
    Entry { vector: None, offset: UNEXPECTED_IRQ, body: |c| c.service(Trap::UnexpectedIrq) },
    Entry { vector: None, offset: APM_16, body: |c| c.far_service(Trap::ApmEntry) },
];

/// INT 18h.
pub(crate) const BOOT_FAILED: u16 = own(0);
/// Where vectors of interrupt lines without a device lead.
const UNEXPECTED_IRQ: u16 = own(7);
/// APM's entry point for 16-bit protected mode.
pub(crate) const APM_16: u16 = own(8);
/// Entry points for 32-bit protected mode, on which no real-mode code enters. Their bodies fit their places.
pub(crate) const BIOS32_ENTRY: u16 = 0xE200;
pub(crate) const PCI32_ENTRY: u16 = 0xE210;
pub(crate) const APM_32: u16 = 0xE220;

/// The interrupt vectors as POST sets them, as offsets in [`SEGMENT`], beginning with vector 0. What nobody
/// serves returns at once; vectors 60h to 67h belong to programs and are zero.
pub(crate) fn vectors() -> [Option<u16>; 0x78] {
    let mut vectors = [Some(offset::IRET); 0x78];
    vectors[0x60..0x68].fill(None);
    for irq in (0x0A..0x10).chain(0x72..0x74) {
        vectors[irq] = Some(UNEXPECTED_IRQ);
    }
    for entry in ENTRIES {
        if let Some(vector) = entry.vector {
            vectors[usize::from(vector)] = Some(entry.offset);
        }
    }
    vectors
}

/// The ROM.
pub fn image() -> &'static [u8] {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    IMAGE.get_or_init(|| build().expect("the ROM's code is the same in every run, and its test assembles it"))
}

fn build() -> Result<Vec<u8>, IcedError> {
    let mut code = Code::new()?;
    let mut labels = Vec::new();
    for entry in ENTRIES {
        let mut label = code.asm.create_label();
        code.asm.set_label(&mut label)?;
        // The body may begin with a label of its own, and no instruction has two.
        code.asm.zero_bytes()?;
        (entry.body)(&mut code)?;
        labels.push((entry.offset, label));
    }
    code.print_routine()?;
    let options = BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS;
    let assembled = code.asm.assemble_options(CODE.into(), options)?;
    let mut rom = Image(vec![0xFF; SIZE]);
    rom.0[..CODE.into()].fill(0);
    rom.put(CODE, &assembled.inner.code_buffer);
    for (at, label) in labels {
        let target = assembled.label_ip(&label)? as u16;
        let displacement = target.wrapping_sub(at + 3).to_le_bytes();
        rom.put(at, &[0xE9, displacement[0], displacement[1]]);
    }
    for (at, trap) in [(BIOS32_ENTRY, Trap::Bios32), (PCI32_ENTRY, Trap::Pci32), (APM_32, Trap::ApmEntry)] {
        let mut asm = CodeAssembler::new(32)?;
        call(&mut asm, trap)?;
        asm.retf()?;
        rom.put(at, &asm.assemble(at.into())?);
    }
    rom.put(offset::BIOS32, &bios32_directory());
    rom.put(offset::CONFIGURATION, &configuration());
    // Divisors of 110 to 9600 baud.
    let divisors = [1047u16, 768, 384, 192, 96, 48, 24, 12].map(u16::to_le_bytes);
    rom.put(offset::BAUD_RATES, divisors.as_flattened());
    rom.put(offset::DISKETTE_PARAMETERS, &super::int13::floppy::PARAMETERS);
    rom.put(offset::FONT, &font::small()[..128 * 8]);
    rom.put(offset::IRET, &[0xCF]);
    // JMP F000:E05B.
    let [low, high] = offset::POST.to_le_bytes();
    rom.put(offset::RESET, &[0xEA, low, high, 0x00, 0xF0]);
    rom.put(offset::DATE, DATE);
    rom.put(offset::MODEL, &[MODEL]);
    Ok(rom.0)
}

/// A ROM in the making.
struct Image(Vec<u8>);

impl Image {
    fn put(&mut self, at: u16, bytes: &[u8]) {
        let at = usize::from(at);
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

/// The BIOS32 service directory's header. Standard BIOS 32-bit Service Directory Proposal 0.4.
fn bios32_directory() -> [u8; 16] {
    let mut header = [0; 16];
    header[..4].copy_from_slice(b"_32_");
    header[4..8].copy_from_slice(&(BASE + u32::from(BIOS32_ENTRY)).to_le_bytes());
    // Revision 0, one paragraph.
    header[9] = 1;
    header[10] = 0u8.wrapping_sub(header.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)));
    header
}

/// What INT 15h AH=C0h points at: length, model, submodel, revision, features.
fn configuration() -> [u8; 10] {
    /// Two interrupt controllers, a real-time clock, INT 15h AH=4Fh, an extended BIOS data area.
    const FEATURES: u8 = 0b0111_0100;
    /// INT 16h AH=09h is there.
    const FEATURES_2: u8 = 0b0100_0000;
    [8, 0, MODEL, 1, 0, FEATURES, FEATURES_2, 0, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_points_lead_into_the_code() {
        let rom = image();
        assert_eq!(rom.len(), SIZE);
        assert_eq!(rom[usize::from(offset::RESET)..][..5], [0xEA, 0x5B, 0xE0, 0x00, 0xF0]);
        assert_eq!(rom[usize::from(offset::MODEL)], MODEL);
        for entry in ENTRIES {
            let at = usize::from(entry.offset);
            assert_eq!(rom[at], 0xE9, "{at:04X}h");
            let displacement = u16::from_le_bytes([rom[at + 1], rom[at + 2]]);
            let target = entry.offset.wrapping_add(3).wrapping_add(displacement);
            assert!((CODE..offset::BIOS32).contains(&target), "{at:04X}h leads to {target:04X}h");
        }
    }

    #[test]
    fn entry_points_and_tables_do_not_overlap() {
        let tables = [
            (offset::BIOS32, 16),
            (BIOS32_ENTRY, 16),
            (PCI32_ENTRY, 16),
            (APM_32, 16),
            (offset::CONFIGURATION, 10),
            (offset::BAUD_RATES, 16),
            (offset::DISKETTE_PARAMETERS, 11),
            (offset::FONT, 1024),
            (offset::IRET, 1),
            (offset::RESET, 5),
            (offset::DATE, 8),
            (offset::MODEL, 1),
        ];
        let mut places: Vec<(u16, u16)> = ENTRIES.iter().map(|e| (e.offset, 3)).chain(tables).collect();
        places.sort_unstable();
        for pair in places.windows(2) {
            assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{:04X}h and {:04X}h", pair[0].0, pair[1].0);
        }
    }

    #[test]
    fn vectors_are_where_programs_look_for_them() {
        let vectors = vectors();
        assert_eq!(vectors[0x13], Some(0xE3FE));
        assert_eq!(vectors[0x08], Some(0xFEA5));
        assert_eq!(vectors[0x1C], Some(offset::IRET));
        assert_eq!(vectors[0x67], None, "the vector of expanded memory tells that there is none");
    }
}
