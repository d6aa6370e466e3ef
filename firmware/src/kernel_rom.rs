//! The option ROM through which any BIOS starts a kernel that the machine was given: it announces itself as a device to
//! boot from, and booting from it calls the machine. Plug and Play BIOS Specification 1.0A, "Option ROM Header";
//! BIOS Boot Specification 1.01, "BEV Devices".

/// The ROM's size in bytes.
pub const SIZE: usize = 512;

/// Offset of the expansion header.
const HEADER: usize = 0x20;
/// Offset of the initialisation code.
const INITIALIZE: usize = 0x60;
/// Offset of the bootstrap entry vector.
const BOOTSTRAP: usize = 0x70;
/// Offset of the name that boot menus show.
const NAME: usize = 0x80;

/// The ROM, whose bootstrap writes to `trap_port`. The machine starts the kernel and never returns; if it has none,
/// the BIOS tries the next device.
pub fn image(trap_port: u8) -> [u8; SIZE] {
    let mut rom = [0; SIZE];
    let mut put = |at: usize, bytes: &[u8]| rom[at..at + bytes.len()].copy_from_slice(bytes);
    // Signature, size in units of 512 bytes, JMP to the initialisation.
    put(0, &[0x55, 0xAA, (SIZE / 512) as u8, 0xEB, (INITIALIZE - 5) as u8]);
    put(0x1A, &(HEADER as u16).to_le_bytes());
    // Revision 1.0, 32 bytes long.
    put(HEADER, b"$PnP\x01\x02");
    put(HEADER + 0x10, &(NAME as u16).to_le_bytes());
    // Mass storage, with an entry vector: a device to boot from.
    put(HEADER + 0x12, &[0x00, 0x80, 0x01, 0x64]);
    put(HEADER + 0x1A, &(BOOTSTRAP as u16).to_le_bytes());
    // MOV AX,20h (a device to boot from is there); RETF.
    put(INITIALIZE, &[0xB8, 0x20, 0x00, 0xCB]);
    // OUT trap,AL; INT 18h; RETF.
    put(BOOTSTRAP, &[0xE6, trap_port, 0xCD, 0x18, 0xCB]);
    put(NAME, b"Kernel\0");
    let sum = |bytes: &[u8]| bytes.iter().fold(0u8, |sum, b| sum.wrapping_add(*b));
    rom[HEADER + 9] = sum(&rom[HEADER..HEADER + 0x20]).wrapping_neg();
    rom[SIZE - 1] = sum(&rom).wrapping_neg();
    rom
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bios_takes_it_for_an_option_rom_with_a_boot_device() {
        let rom = image(0xEA);
        let sum = |bytes: &[u8]| bytes.iter().fold(0u8, |sum, b| sum.wrapping_add(*b));
        assert_eq!(sum(&rom), 0);
        assert_eq!(sum(&rom[HEADER..HEADER + 0x20]), 0);
        assert_eq!(rom[..3], [0x55, 0xAA, 1]);
        assert_eq!(&rom[HEADER..HEADER + 4], b"$PnP");
    }
}
