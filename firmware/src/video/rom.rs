//! The display's ROM: an option ROM for C0000h, with the fonts and tables that programs read. IBM PC/AT Technical
//! Reference, "Adapter card ROM"; PCI Local Bus Specification 2.1, "PCI Data Structure".

use super::font;
use super::information::STATIC_FUNCTIONALITY;
use super::modes;
use crate::bios::{Trap, emit_call};
use iced_x86::IcedError;
use iced_x86::code_asm::*;
use std::sync::OnceLock;

/// The segment of the ROM.
pub(super) const SEGMENT: u16 = 0xC000;
/// Bytes of the ROM.
const SIZE: usize = 0x8000;

/// Offsets in the ROM.
pub(super) mod offset {
    /// What programs look at to see an IBM adapter.
    pub const IBM: u16 = 0x1E;
    pub const PCI: u16 = 0x40;
    pub const INITIALISE: u16 = 0x80;
    pub const INT_10: u16 = 0xA0;
    pub const FUNCTIONALITY: u16 = 0x100;
    pub const SAVE_POINTERS: u16 = 0x110;
    pub const SECONDARY_SAVE_POINTERS: u16 = 0x130;
    pub const DISPLAY_COMBINATIONS: u16 = 0x150;
    pub const OEM: u16 = 0x180;
    /// VBE: the list of modes, and the protected-mode interface.
    pub const VBE_MODES: u16 = 0x200;
    pub const VBE_PROTECTED: u16 = 0x300;
    /// Parameters of modes 0 to 3, 7 and others, 64 bytes each.
    pub const PARAMETERS: u16 = 0x400;
    pub const FONT_16: u16 = 0x1000;
    pub const FONT_14: u16 = 0x2000;
    pub const FONT_8: u16 = 0x3000;
}

/// What the display calls itself.
const OEM: &[u8] = b"idem86 VBE\0";

/// The ROM.
pub fn image() -> &'static [u8] {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    IMAGE.get_or_init(|| build().expect("the ROM's code is the same in every run, and its test assembles it"))
}

fn build() -> Result<Vec<u8>, IcedError> {
    let mut rom = vec![0; SIZE];
    let mut put = |at: u16, bytes: &[u8]| {
        rom[usize::from(at)..][..bytes.len()].copy_from_slice(bytes);
    };
    // Signature, length, JMP to the initialisation.
    let jump = (offset::INITIALISE - 6).to_le_bytes();
    put(0, &[0x55, 0xAA, (SIZE / 512) as u8, 0xE9, jump[0], jump[1]]);
    put(0x18, &offset::PCI.to_le_bytes());
    put(offset::IBM, b"IBM compatible VGA");
    put(offset::PCI, &pci_data());
    put(offset::INITIALISE, &initialise()?);
    put(offset::INT_10, &int_10()?);
    put(offset::FUNCTIONALITY, &STATIC_FUNCTIONALITY);
    put(offset::SAVE_POINTERS, save_pointers().as_flattened());
    put(offset::SECONDARY_SAVE_POINTERS, &secondary_save_pointers());
    put(offset::DISPLAY_COMBINATIONS, &DISPLAY_COMBINATIONS);
    put(offset::OEM, OEM);
    let vbe_modes: Vec<u8> = super::vbe::mode_numbers().flat_map(u16::to_le_bytes).collect();
    put(offset::VBE_MODES, &vbe_modes);
    put(offset::VBE_PROTECTED, &super::vbe::protected_interface()?);
    put(offset::PARAMETERS, &parameters());
    put(offset::FONT_16, font::tall());
    put(offset::FONT_14, font::medium());
    put(offset::FONT_8, font::small());
    let sum = rom.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    rom[SIZE - 1] = 0u8.wrapping_sub(sum);
    Ok(rom)
}

fn initialise() -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(16)?;
    emit_call(&mut a, Trap::VideoInit)?;
    a.retf()?;
    a.assemble(offset::INITIALISE.into())
}

/// INT 10h. Strings are written in parts, so that none keeps the machine busy for long.
fn int_10() -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(16)?;
    let [mut string, mut again] = [a.create_label(), a.create_label()];
    a.cmp(ah, 0x13)?;
    a.je(string)?;
    emit_call(&mut a, Trap::Int10)?;
    a.iret()?;
    a.set_label(&mut string)?;
    a.pusha()?;
    a.set_label(&mut again)?;
    emit_call(&mut a, Trap::Int10)?;
    a.jc(again)?;
    a.popa()?;
    a.iret()?;
    a.assemble(offset::INT_10.into())
}

/// Which display it belongs to: 1234:1111, a VGA; code for the PC.
fn pci_data() -> [u8; 0x18] {
    let mut data = [0; 0x18];
    data[..4].copy_from_slice(b"PCIR");
    data[4..8].copy_from_slice(&[0x34, 0x12, 0x11, 0x11]);
    data[0x0A] = 0x18;
    // Class 3, subclass and interface 0.
    data[0x0F] = 0x03;
    data[0x10..0x12].copy_from_slice(&((SIZE / 512) as u16).to_le_bytes());
    // The last image.
    data[0x15] = 0x80;
    data
}

fn far(offset: u16) -> [u8; 4] {
    (u32::from(SEGMENT) << 16 | u32::from(offset)).to_le_bytes()
}

/// The parameter table, and six pointers of which the last is used.
fn save_pointers() -> [[u8; 4]; 7] {
    let mut pointers = [[0; 4]; 7];
    pointers[0] = far(offset::PARAMETERS);
    pointers[4] = far(offset::SECONDARY_SAVE_POINTERS);
    pointers
}

fn secondary_save_pointers() -> [u8; 0x1A] {
    let mut table = [0; 0x1A];
    table[0] = table.len() as u8;
    table[2..6].copy_from_slice(&far(offset::DISPLAY_COMBINATIONS));
    table
}

/// Three combinations: none; MDA and CGA; VGA in colour.
const DISPLAY_COMBINATIONS: [u8; 10] = [3, 1, 8, 0, 0x00, 0x00, 0x00, 0x08, 0x08, 0x00];

/// The video parameter table: 29 entries of 64 bytes in the order that the EGA began.
fn parameters() -> Vec<u8> {
    const ENTRIES: [u8; 29] = [
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x03, 0x03, 0x03, 0x03, 0x03, 0x0D, 0x0E, 0x0F, 0x10,
        0x0F, 0x10, 0x00, 0x01, 0x02, 0x03, 0x01, 0x03, 0x07, 0x11, 0x12, 0x13,
    ];
    let entry = |number: u8| modes::find(number).map_or([0; 64], |mode| mode.parameters());
    ENTRIES.into_iter().flat_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rom_is_a_good_option_rom() {
        let rom = image();
        assert_eq!(rom.len(), SIZE);
        assert_eq!(rom[..3], [0x55, 0xAA, 0x40]);
        assert_eq!(rom.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)), 0);
        let pci = usize::from(u16::from_le_bytes([rom[0x18], rom[0x19]]));
        assert_eq!(rom[pci..pci + 4], *b"PCIR");
    }

    #[test]
    fn nothing_overlaps() {
        assert!(usize::from(offset::PARAMETERS) + 29 * 64 <= usize::from(offset::FONT_16));
        assert!(int_10().unwrap().len() <= usize::from(offset::FUNCTIONALITY - offset::INT_10));
        assert!(
            super::super::vbe::mode_numbers().count() * 2
                <= usize::from(offset::VBE_PROTECTED - offset::VBE_MODES)
        );
        let protected = super::super::vbe::protected_interface().unwrap();
        assert!(protected.len() <= usize::from(offset::PARAMETERS - offset::VBE_PROTECTED));
    }
}
