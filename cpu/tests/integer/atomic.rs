//! Exchanges. SDM Vol. 2A, "CMPXCHG", "CMPXCHG8B"; Vol. 2D, "XADD".

use crate::kit::*;
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::gpr;

#[test]
fn eight_bytes_are_compared_and_exchanged() {
    let at = 0x20_0FFC; // Across a page.
    for (old, equal) in [(0x1111_2222_3333_4444u64, true), (0x1111_2222_3333_4445, false)] {
        let mut k = Kit::protected(3);
        k.page();
        k.put64(at, old);
        for (r, v) in [
            (gpr::DX, 0x1111_2222u32),
            (gpr::AX, 0x3333_4444),
            (gpr::CX, 0x5555_6666),
            (gpr::BX, 0x7777_8888),
        ] {
            k.cpu.gpr.set(r, v);
        }
        k.cpu.gpr.set(gpr::SI, at);
        k.cpu.set_eflags(bit::ARITHMETIC & !bit::ZF);
        k.bytes(&[0xF0, 0x0F, 0xC7, 0x0E]); // lock cmpxchg8b [esi]
        assert_eq!(k.step(), Led::Through);
        assert_eq!(k.cpu.eflags.arithmetic() & !bit::ZF, bit::ARITHMETIC & !bit::ZF, "only ZF is written");
        assert_eq!(k.cpu.eflags.zf(), equal);
        let pair = (k.cpu.gpr.get::<u32>(gpr::DX) as u64) << 32 | k.cpu.gpr.get::<u32>(gpr::AX) as u64;
        assert_eq!(pair, if equal { 0x1111_2222_3333_4444 } else { old });
        assert_eq!(k.get64(at), if equal { 0x5555_6666_7777_8888 } else { old });
    }
}

/// "The destination operand receives a write cycle without regard to the result of the comparison."
#[test]
fn a_failed_comparison_writes_too() {
    for bytes in [&[0x0F, 0xB1, 0x0E][..], &[0x0F, 0xC7, 0x0E]] {
        let mut k = Kit::protected(3);
        k.page();
        k.put32(k.pte(0x20_0000), 0x20_0000 | 5);
        k.put32(0x20_0000, 0x99);
        k.cpu.gpr.set(gpr::SI, 0x20_0000u32);
        k.check_bytes("unequal, read-only", Led::To(14, Some(7)), bytes);
    }
}

#[test]
fn a_register_added_to_itself_is_doubled() {
    let mut k = Kit::protected(3);
    k.cpu.gpr.set(gpr::AX, 0x8000_0001u32);
    k.bytes(&[0x0F, 0xC1, 0xC0]); // xadd eax,eax
    assert_eq!(k.step(), Led::Through);
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::AX), 2);
    assert!(k.cpu.eflags.cf() && k.cpu.eflags.of());
}
