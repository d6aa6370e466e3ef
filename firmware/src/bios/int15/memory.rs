//! INT 15h: sizes of memory and the block move. ACPI Specification, "INT 15H, E820H"; IBM PS/2 and PC BIOS Interface
//! Technical Reference, "Move block".

use super::{succeed, unsupported};
use crate::bios::call::Call;
use crate::bios::memory_map::{self, MEGABYTE, Range};

/// AH=88h: KiB above one MiB, as much as a 16-bit number tells without confusing programs: 63 MiB.
pub(super) fn extended_size(call: &mut Call) {
    const MOST: u32 = 63 << 10;
    let extended = (memory_map::usable_end(call.io) - MEGABYTE) >> 10;
    call.regs.set_ax(extended.min(MOST) as u16);
    call.return_carry(false);
}

/// AH=E8h.
pub(super) fn sizes(call: &mut Call) {
    match call.regs.al() {
        0x01 => {
            let (low, high) = split_sizes(memory_map::usable_end(call.io));
            call.regs.set_ax(low);
            call.regs.set_bx(high);
            call.regs.set_cx(low);
            call.regs.set_dx(high);
            call.return_carry(false);
        }
        0x20 => query_map(call),
        _ => unsupported(call),
    }
}

/// KiB from 1 to 16 MiB, and units of 64 KiB above.
fn split_sizes(end: u32) -> (u16, u16) {
    const SIXTEEN: u32 = 16 << 20;
    let low = (end.min(SIXTEEN) - MEGABYTE) >> 10;
    let high = end.saturating_sub(SIXTEEN) >> 16;
    (low as u16, high as u16)
}

/// AX=E820h: range number EBX goes to ES:DI, and EBX to the next.
fn query_map(call: &mut Call) {
    const SMAP: u32 = u32::from_be_bytes(*b"SMAP");
    const LENGTH: usize = 20;
    let map = memory_map::map(call.io);
    let index = call.regs.ebx as usize;
    let range = map.get(index).copied();
    let (Some(range), true) = (range, call.regs.edx == SMAP && call.regs.ecx >= LENGTH as u32) else {
        return unsupported(call);
    };
    let at = call.es_at(call.regs.di());
    call.io.write(at, &entry::<LENGTH>(range));
    call.regs.eax = SMAP;
    call.regs.ecx = LENGTH as u32;
    call.regs.ebx = if index + 1 < map.len() { index as u32 + 1 } else { 0 };
    call.return_carry(false);
}

fn entry<const N: usize>(range: Range) -> [u8; N] {
    let mut bytes = [0; N];
    bytes[..8].copy_from_slice(&range.start.to_le_bytes());
    bytes[8..16].copy_from_slice(&range.length.to_le_bytes());
    bytes[16..20].copy_from_slice(&(range.kind as u32).to_le_bytes());
    bytes
}

/// AH=87h: CX words between addresses that the descriptors at ES:SI hold.
pub(super) fn move_block(call: &mut Call) {
    const SOURCE: u16 = 0x10;
    const DESTINATION: u16 = 0x18;
    const MOST_WORDS: u16 = 0x8000;
    const OUT_OF_RANGE: u8 = 0x02;
    let words = call.regs.cx();
    if words > MOST_WORDS {
        call.regs.set_ah(OUT_OF_RANGE);
        return call.return_carry(true);
    }
    let mut base = |at: u16| {
        let descriptor = call.es_at(call.regs.si().wrapping_add(at));
        let [_, _, low, middle, high, _, _, highest] = call.get::<u64>(descriptor).to_le_bytes();
        u32::from_le_bytes([low, middle, high, highest])
    };
    let (from, to) = (base(SOURCE), base(DESTINATION));
    // What the gate in port 92h was; the keyboard controller's is not touched.
    let gate = call.io.in8(super::PORT_A) & !0x01;
    call.io.out8(super::PORT_A, gate | super::PORT_A_A20);
    let bytes = call.io.bytes(from, usize::from(words) * 2);
    call.io.write(to, &bytes);
    call.io.out8(super::PORT_A, gate);
    call.return_zero(true);
    succeed(call);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bios::memory_map::Kind;

    #[test]
    fn sizes_below_and_above_16_mib() {
        assert_eq!(split_sizes(4 << 20), (3 << 10, 0));
        assert_eq!(split_sizes((64 << 20) - 0x1_0000), (15 << 10, 48 * 16 - 1));
        assert_eq!(split_sizes(3 << 30), (15 << 10, 0xBF00));
    }

    #[test]
    fn entries_of_the_map() {
        let range = Range { start: 0x10_0000, length: 0x1234_5000, kind: Kind::Memory };
        let bytes = entry::<20>(range);
        assert_eq!(bytes, *b"\x00\x00\x10\0\0\0\0\0\x00\x50\x34\x12\0\0\0\0\x01\0\0\0");
    }
}
