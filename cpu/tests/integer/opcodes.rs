//! Opcodes that do little or do not exist: NOPs, hints, cache control, BOUND, #UD.

use crate::kit::*;
use idem86_cpu::state::gpr;

/// An address that is not mapped by [`Kit::page`].
const UNMAPPED: u32 = 0x80_0000;

fn paged(cpl: u8) -> Kit {
    let mut k = Kit::protected(cpl);
    k.page();
    k.cpu.gpr.set(gpr::BX, UNMAPPED);
    k
}

/// SDM Vol. 2B, "NOP", "PREFETCHh": no access, no fault. What later processors made of these opcodes was chosen so
/// that older ones ignore it.
#[test]
fn hints_touch_nothing() {
    for (name, bytes) in [
        ("nop", &[0x90][..]),
        ("pause", &[0xF3, 0x90]),
        ("nop dword [ebx]", &[0x0F, 0x1F, 0x03]),
        ("nop word [ebx]", &[0x66, 0x0F, 0x1F, 0x03]),
        ("prefetchnta [ebx]", &[0x0F, 0x18, 0x03]),
        ("prefetcht2 [ebx]", &[0x0F, 0x18, 0x1B]),
        ("prefetchw [ebx]", &[0x0F, 0x0D, 0x0B]),
        ("endbr32", &[0xF3, 0x0F, 0x1E, 0xFB]),
        ("rdsspd eax", &[0xF3, 0x0F, 0x1E, 0xC8]),
        ("cldemote [ebx]", &[0x0F, 0x1C, 0x03]),
        ("lfence", &[0x0F, 0xAE, 0xE8]),
        ("mfence", &[0x0F, 0xAE, 0xF0]),
        ("sfence", &[0x0F, 0xAE, 0xF8]),
    ] {
        let mut k = paged(3);
        let before = k.registers();
        k.check_bytes(name, Led::Through, bytes);
        let after = k.registers();
        assert_eq!((before.0, before.2), (after.0, after.2), "{name}");
        assert_eq!(k.cpu.rip, before.4 + bytes.len() as u64, "{name}");
    }
}

/// SDM Vol. 2A, "CLFLUSH".
#[test]
fn flushing_a_line_is_checked_like_a_byte_load() {
    const CLFLUSH: &[u8] = &[0x0F, 0xAE, 0x3B]; // clflush [ebx]
    let mut k = paged(3);
    k.check_bytes("not present", Led::To(14, Some(4)), CLFLUSH);
    let mut k = paged(3);
    k.cpu.gpr.set(gpr::BX, 0x20_0000u32);
    k.check_bytes("present", Led::Through, CLFLUSH);
    let mut k = Kit::protected(0);
    k.set_rights(sel::CODE0, |_| rights::EXECUTE_ONLY);
    let code = k.descriptor(sel::CODE0).segment(sel::CODE0);
    k.cpu.seg[idem86_cpu::state::segment::SegReg::Cs as usize] = code;
    k.cpu.state_changed();
    k.check_bytes("code that cannot be read", Led::Through, &[0x2E, 0x0F, 0xAE, 0x3B]);
    k.cpu.rip = place::CODE as u64;
    k.check_bytes("which a load cannot", gp(0), &[0x2E, 0x8A, 0x03]);
}

/// SDM Vol. 2A, "BOUND".
#[test]
fn an_index_outside_its_bounds() {
    const BR: Led = Led::To(5, None);
    for (index, expected) in [(-5, Led::Through), (-6, BR), (7, Led::Through), (8, BR), (i32::MIN, BR)] {
        let mut k = Kit::protected(3);
        k.put32(0x20_0000, -5i32 as u32);
        k.put32(0x20_0004, 7);
        k.cpu.gpr.set(gpr::BX, 0x20_0000u32);
        k.cpu.gpr.set(gpr::CX, index as u32);
        k.check_bytes(&format!("bound: {index}"), expected, &[0x62, 0x0B]);
    }
}

#[test]
fn instructions_that_are_not_announced_are_undefined() {
    for (name, bytes) in [
        ("ud2", &[0x0F, 0x0B][..]),
        ("ud1 eax,[ebx]", &[0x0F, 0xB9, 0x03]),
        ("ud0 eax,[ebx]", &[0x0F, 0xFF, 0x03]),
        ("popcnt", &[0xF3, 0x0F, 0xB8, 0xC3]),
        ("movbe", &[0x0F, 0x38, 0xF0, 0x03]),
        ("crc32", &[0xF2, 0x0F, 0x38, 0xF1, 0xC3]),
        ("andn", &[0xC4, 0xE2, 0x60, 0xF2, 0xC0]),
        ("vaddps", &[0xC5, 0xFC, 0x58, 0xC0]),
        ("pshufb", &[0x0F, 0x38, 0x00, 0xC0]),
        ("syscall", &[0x0F, 0x05]),
        ("rdtscp", &[0x0F, 0x01, 0xF9]),
        ("xgetbv", &[0x0F, 0x01, 0xD0]),
        ("monitor", &[0x0F, 0x01, 0xC8]),
        ("vmcall", &[0x0F, 0x01, 0xC1]),
        ("rsm", &[0x0F, 0xAA]),
        ("femms", &[0x0F, 0x0E]),
        ("mov tr3,eax", &[0x0F, 0x26, 0xD8]),
        ("lock nop", &[0xF0, 0x90]),
        ("lock add eax,eax", &[0xF0, 0x01, 0xC0]),
        ("lea eax,eax", &[0x8D, 0xC0]),
        ("les eax,eax", &[0x66, 0xC4, 0xC0]),
        ("cmpxchg8b eax", &[0x0F, 0xC7, 0xC8]),
        ("bound eax,eax", &[0x62, 0xC0]),
        ("ff /7", &[0xFF, 0xFF]),
        ("c7 /1", &[0xC7, 0x0B]),
    ] {
        let mut k = Kit::protected(0);
        k.cpu.gpr.set(gpr::BX, 0x20_0000u32);
        k.check_bytes(name, UD, bytes);
    }
}

/// F3 before BSF and BSR is an ignored prefix, for want of TZCNT and LZCNT.
#[test]
fn bit_scans_ignore_a_repeat_prefix() {
    let mut k = Kit::protected(0);
    k.cpu.gpr.set(gpr::BX, 0x0100u32);
    k.check_bytes("rep bsr eax,ebx", Led::Through, &[0xF3, 0x0F, 0xBD, 0xC3]);
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::AX), 8);
}
