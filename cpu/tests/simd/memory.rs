//! Memory operands: boundaries, limits, pages, code, breakpoints.

use super::{every_instruction, has_memory_operand};
use crate::kit::{Kit, Led, gp, place};
use iced_x86::Mnemonic;
use iced_x86::code_asm::*;
use idem86_cpu::state::control::{cr0, cr4};
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::{SegReg, Segment};

const PATTERN: [u8; 16] = *b"0123456789abcdef";

fn kit(cpl: u8) -> Kit {
    let mut k = Kit::protected(cpl);
    k.cpu.cr4 |= cr4::OSFXSR;
    k.cpu.simd.xmm[0] = PATTERN;
    k.page();
    k
}

fn at(k: &Kit, linear: u32) -> [u8; 16] {
    std::array::from_fn(|i| k.get8(linear + i as u32))
}

/// SDM Vol. 1, "Data Alignment": but for the unaligned moves, all 16 bytes must be on a 16-byte boundary.
#[test]
fn whole_registers_in_memory_are_aligned() {
    use Mnemonic::*;
    for (i, mut bytes) in every_instruction() {
        if !has_memory_operand(&i) || i.memory_size().size() != 16 {
            continue;
        }
        let displacement = bytes.windows(4).position(|w| w == place::DATA.to_le_bytes()).expect("an address");
        bytes[displacement] |= 8;
        let mut k = kit(0);
        k.bytes(&bytes);
        let unaligned = matches!(i.mnemonic(), Movups | Movupd | Movdqu | Lddqu);
        let expected = if unaligned { Led::Through } else { gp(0) };
        assert_eq!(k.step(), expected, "{:?}", i.code());
    }
}

/// A linear address counts, not an offset.
#[test]
fn alignment_is_that_of_the_linear_address() {
    let mut k = kit(0);
    k.cpu.seg[SegReg::Fs as usize].base = 8;
    k.cpu.state_changed();
    k.check("movaps [fs:8]", Led::Through, |a| a.movaps(xmmword_ptr(place::DATA + 8).fs(), xmm0));
    k.check("movaps [fs:0]", gp(0), |a| a.movaps(xmmword_ptr(place::DATA).fs(), xmm0));
}

/// SDM Vol. 3A, "Interrupt 17—Alignment Check Exception (#AC)".
#[test]
fn alignment_checking_looks_at_partial_and_unaligned_operands() {
    for (name, offset, expected, write) in [
        ("movss", 2, Led::To(17, Some(0)), (|a, p| a.movss(xmm0, dword_ptr(p))) as Write),
        ("movsd", 4, Led::To(17, Some(0)), |a, p| a.movsd_2(xmm0, qword_ptr(p))),
        ("movq", 8, Led::Through, |a, p| a.movq(mm0, qword_ptr(p))),
        ("movups", 16, Led::Through, |a, p| a.movups(xmm0, xmmword_ptr(p))),
        ("movups", 4, Led::To(17, Some(0)), |a, p| a.movups(xmm0, xmmword_ptr(p))),
        ("movdqu", 4, Led::To(17, Some(0)), |a, p| a.movdqu(xmmword_ptr(p), xmm0)),
    ] {
        let mut k = kit(3);
        k.cpu.cr0 |= cr0::AM;
        k.cpu.set_eflags(k.cpu.eflags.bits() | bit::AC);
        k.check(name, expected, |a| write(a, place::DATA + offset));
    }
}

type Write = fn(&mut CodeAssembler, u32) -> Result<(), iced_x86::IcedError>;

#[test]
fn a_limit_must_hold_all_sixteen_bytes() {
    let mut k = kit(0);
    let limit = place::DATA + 0x1F;
    let data = k.cpu.seg[SegReg::Fs as usize];
    k.cpu.seg[SegReg::Fs as usize] = Segment::new(data.selector, 0, limit, data.access);
    k.cpu.state_changed();
    k.check("the last sixteen", Led::Through, |a| a.movups(xmm0, xmmword_ptr(limit - 15).fs()));
    k.check("one more", gp(0), |a| a.movups(xmm0, xmmword_ptr(limit - 14).fs()));
}

/// Both pages are checked before a byte is written.
#[test]
fn a_store_across_pages_writes_all_or_nothing() {
    let boundary = place::DATA + 0x1000;
    for (name, write) in [
        ("movups", (|a, p| a.movups(xmmword_ptr(p), xmm0)) as Write),
        ("maskmovdqu", |a, _| a.maskmovdqu(xmm0, xmm1)),
    ] {
        for missing in [boundary - 0x1000, boundary] {
            let mut k = kit(0);
            let pte = k.pte(missing);
            k.put32(pte, 0);
            k.cpu.state_changed();
            k.cpu.simd.xmm[1] = [0x80; 16];
            k.cpu.gpr.set(gpr::DI, boundary - 5);
            let fault = Led::To(14, Some(2));
            k.check(name, fault, |a| write(a, boundary - 5));
            assert_eq!(k.cpu.cr2 as u32, if missing == boundary { boundary } else { boundary - 5 }, "{name}");
            assert_eq!(at(&k, boundary - 5), [0; 16], "{name}");
        }
        let mut k = kit(0);
        k.cpu.simd.xmm[1] = [0x80; 16];
        k.cpu.gpr.set(gpr::DI, boundary - 5);
        k.check(name, Led::Through, |a| write(a, boundary - 5));
        assert_eq!(at(&k, boundary - 5), PATTERN, "{name}");
        k.check("movups", Led::Through, |a| a.movups(xmm2, xmmword_ptr(boundary - 5)));
        assert_eq!(k.cpu.simd.xmm[2], PATTERN);
    }
}

/// SDM Vol. 2A, "MASKMOVDQU": bit 7 of each byte of the mask.
#[test]
fn a_masked_store_leaves_other_bytes_alone() {
    let mut k = kit(0);
    k.put(place::DATA, &[0xEE; 16]);
    k.cpu.simd.xmm[1] = std::array::from_fn(|i| if i % 3 == 0 { 0x80 } else { 0x7F });
    k.cpu.gpr.set(gpr::DI, place::DATA);
    k.check("maskmovdqu", Led::Through, |a| a.maskmovdqu(xmm0, xmm1));
    assert_eq!(at(&k, place::DATA), std::array::from_fn(|i| if i % 3 == 0 { PATTERN[i] } else { 0xEE }));
}

/// SDM Vol. 3A, "Self-Modifying Code": what is stored over the next instruction is what is executed.
#[test]
fn a_store_over_code_is_seen() {
    let mut k = kit(0);
    // inc eax ten times, behind the store.
    k.cpu.simd.xmm[0] = [0x40; 16];
    k.code(|a| {
        a.movups(xmmword_ptr(place::CODE + 7), xmm0)?;
        for _ in 0..16 {
            a.nop()?;
        }
        a.hlt()
    });
    k.run(100);
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::AX), 16);
}

/// SDM Vol. 3B, "Data Breakpoint Exception Conditions": any byte of the operand.
#[test]
fn a_data_breakpoint_is_met_by_any_byte_of_sixteen() {
    for (offset, met) in [(0u64, true), (15, true), (16, false)] {
        let mut k = kit(0);
        k.cpu.dr[0] = place::DATA as u64 + offset;
        // L0, a write of one byte.
        k.cpu.dr7 |= 1 | 1 << 16;
        k.cpu.state_changed();
        k.code(|a| a.movaps(xmmword_ptr(place::DATA), xmm0));
        assert_eq!(k.step(), Led::Through);
        assert_eq!(k.cpu.pending_debug & 1 != 0, met, "breakpoint at +{offset}");
    }
}
