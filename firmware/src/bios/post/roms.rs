//! Option ROMs from C0000h to EFFFFh. IBM PC/AT Technical Reference, "Adapter card ROM"; BIOS Boot Specification 1.01.

use super::shadow;
use crate::bios::bda::ebda;
use crate::bios::call::Call;
use crate::platform::Platform;

const START: u32 = 0xC_0000;
const END: u32 = 0xF_0000;
/// ROMs begin at multiples of this.
const STEP: u32 = 0x800;
/// Where a ROM's initialisation begins.
const ENTRY: u16 = 3;

/// The length of the ROM at `at`, if there is a good one: signature, length in units of 512 bytes, and all bytes sum
/// up to zero.
fn length(io: &mut dyn Platform, at: u32) -> Option<u32> {
    let [0x55, 0xAA, blocks, _] = io.get::<u32>(at).to_le_bytes() else { return None };
    let length = u32::from(blocks) * 512;
    if length == 0 || at + length > END {
        return None;
    }
    let sum = io.bytes(at, length as usize).iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    (sum == 0).then_some(length)
}

/// All ROMs: where they are, and how long.
fn find(io: &mut dyn Platform) -> Vec<(u32, u32)> {
    let mut found = Vec::new();
    let mut at = START;
    while at < END {
        match length(io, at) {
            Some(length) => {
                found.push((at, length));
                at += length.next_multiple_of(STEP);
            }
            None => at += STEP,
        }
    }
    found
}

/// A ROM that loads something by itself, entered by a far call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bios) struct BootRom {
    pub segment: u16,
    pub offset: u16,
}

/// All such ROMs. BIOS Boot Specification 1.01, "BEV Devices"; Plug and Play BIOS Specification 1.0A, "Option ROM
/// Header".
pub(in crate::bios) fn boot_roms(io: &mut dyn Platform) -> Vec<BootRom> {
    let roms = find(io);
    roms.into_iter().filter_map(|(at, length)| boot_entry(io, at, length)).collect()
}

fn boot_entry(io: &mut dyn Platform, at: u32, length: u32) -> Option<BootRom> {
    const HEADER_POINTER: u32 = 0x1A;
    const HEADER: u32 = 0x20;
    const ENTRY_VECTOR: u32 = 0x1A;
    let header = u32::from(io.get::<u16>(at + HEADER_POINTER));
    let within = header + HEADER <= length;
    if !within || io.get::<u32>(at + header).to_le_bytes() != *b"$PnP" {
        return None;
    }
    let offset = io.get::<u16>(at + header + ENTRY_VECTOR);
    (offset != 0).then_some(BootRom { segment: (at >> 4) as u16, offset })
}

/// The parts of memory that ROMs touch.
fn parts(roms: &[(u32, u32)]) -> Vec<u32> {
    let touched =
        |part: &u32| roms.iter().any(|(at, length)| at + length > *part && *at < part + shadow::PART);
    (START..END).step_by(shadow::PART as usize).filter(touched).collect()
}

/// Copies the ROMs into the RAM beneath, where they can change themselves while they are initialised.
pub(super) fn shadow(io: &mut dyn Platform) {
    for part in parts(&find(io)) {
        let bytes = io.bytes(part, shadow::PART as usize);
        shadow::set_part(io, part, shadow::READ_WRITE);
        io.write(part, &bytes);
    }
}

/// From now on the ROMs are read-only.
pub(super) fn seal(io: &mut dyn Platform) {
    for part in parts(&find(io)) {
        shadow::set_part(io, part, shadow::READ_ONLY);
    }
}

/// The entry point of the next ROM in CX:DX; carry when there is none.
pub(in crate::bios) fn next(call: &mut Call) {
    let mut at = START + u32::from(ebda::NEXT_ROM.get(call.io)) * STEP;
    while at < END {
        if let Some(length) = length(call.io, at) {
            let next = (at - START + length).div_ceil(STEP);
            // At most 96: there are 192 KiB.
            ebda::NEXT_ROM.set(call.io, next as u8);
            call.regs.set_cx((at >> 4) as u16);
            call.regs.set_dx(ENTRY);
            // Nowhere: there is no Plug and Play installation check structure.
            call.regs.set_di(0);
            call.regs.es = crate::platform::Segment::real(0);
            return call.answer(false);
        }
        at += STEP;
    }
    call.answer(true);
}
