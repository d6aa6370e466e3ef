//! Bit strings and bit scans. SDM Vol. 2A, "BT", "BSF", "BSR".

use crate::kit::*;
use idem86_cpu::state::gpr;

/// The offset in a register counts from the operand's address, in both directions.
#[test]
fn a_bit_offset_reaches_beyond_the_operand() {
    // (offset, byte that changes, bit)
    for (offset, at, bit) in [
        (0, 0, 0),
        (31, 3, 7),
        (32, 4, 0),
        (-1, -1, 7),
        (-32, -4, 0),
        (-33, -5, 7),
        (80_001, 10_000, 1),
        (-80_001, -10_001, 7),
    ] {
        let mut k = Kit::protected(3);
        let base = 0x20_8000u32;
        k.cpu.gpr.set(gpr::BX, base);
        k.cpu.gpr.set(gpr::AX, offset as u32);
        let changed = base.wrapping_add(at as u32);
        k.bytes(&[0x0F, 0xAB, 0x03]); // bts [ebx],eax
        assert_eq!(k.step(), Led::Through);
        assert_eq!((k.get8(changed), k.cpu.eflags.cf()), (1 << bit, false), "offset {offset}");
        k.cpu.rip = place::CODE as u64;
        assert_eq!(k.step(), Led::Through);
        assert!(k.cpu.eflags.cf(), "offset {offset}");
    }
}

/// A 16-bit offset is signed too, and the address wraps with the address size.
#[test]
fn a_bit_offset_of_16_bits() {
    let mut k = Kit::real();
    k.cpu.gpr.set(gpr::BX, 0x1000u32);
    k.cpu.gpr.set(gpr::AX, 0x8000u32);
    k.bytes(&[0x0F, 0xBB, 0x07]); // btc [bx],ax
    assert_eq!(k.step(), Led::Through);
    assert_eq!(k.get8(0), 1, "4096 bytes below");
    k.cpu.gpr.set(gpr::BX, 0x0FFEu32);
    k.cpu.rip = 0;
    assert_eq!(k.step(), Led::Through);
    assert_eq!(k.get16(0xFFFE), 1, "wrapped");
}

#[test]
fn an_immediate_bit_offset_is_taken_modulo_the_width() {
    let mut k = Kit::protected(0);
    k.cpu.gpr.set(gpr::BX, 0x20_0000u32);
    k.bytes(&[0x0F, 0xBA, 0x2B, 0xFF]); // bts dword [ebx],255
    assert_eq!(k.step(), Led::Through);
    assert_eq!(k.get32(0x20_0000), 1 << 31);
}

#[test]
fn testing_needs_no_write_access() {
    let mut k = Kit::protected(3);
    k.page();
    k.put32(k.pte(0x20_0000), 0x20_0000 | 5);
    k.cpu.gpr.set(gpr::BX, 0x20_0000u32);
    k.check_bytes("bt [ebx],0", Led::Through, &[0x0F, 0xBA, 0x23, 0]);
    k.check_bytes("btr [ebx],0", Led::To(14, Some(7)), &[0x0F, 0xBA, 0x33, 0]);
}

/// The manual calls the destination undefined; software relies on it.
#[test]
fn scanning_zero_leaves_the_destination_alone() {
    for bytes in [[0x0F, 0xBC, 0xC3], [0x0F, 0xBD, 0xC3]] {
        let mut k = Kit::protected(0);
        k.cpu.gpr.set(gpr::AX, 0x1234_5678u32);
        k.cpu.gpr.set(gpr::BX, 0u32);
        k.bytes(&bytes);
        assert_eq!(k.step(), Led::Through);
        assert!(k.cpu.eflags.zf());
        assert_eq!(k.cpu.gpr.get::<u32>(gpr::AX), 0x1234_5678);
        k.cpu.gpr.set(gpr::BX, 0x0010_0080u32);
        k.cpu.rip = place::CODE as u64;
        assert_eq!(k.step(), Led::Through);
        assert!(!k.cpu.eflags.zf());
        assert_eq!(k.cpu.gpr.get::<u32>(gpr::AX), if bytes[1] == 0xBC { 7 } else { 20 });
    }
}
