//! Results from the manual's tables and operation sections.

use crate::kit::{Kit, Led};
use iced_x86::IcedError;
use iced_x86::code_asm::*;
use idem86_cpu::state::control::cr4;

type Write = fn(&mut CodeAssembler) -> Result<(), IcedError>;

fn run(a: u128, b: u128, write: Write) -> Kit {
    let mut k = Kit::protected(0);
    k.cpu.cr4 |= cr4::OSFXSR;
    k.cpu.simd.xmm[0] = a.to_le_bytes();
    k.cpu.simd.xmm[1] = b.to_le_bytes();
    k.cpu.x87.significand[0] = a as u64;
    k.cpu.x87.significand[1] = b as u64;
    assert_eq!(k.one(write), Led::Through);
    k
}

/// Operations on XMM0 and XMM1.
#[test]
fn packed_integers() {
    const A: u128 = 0x0F0E_0D0C_0B0A_0908_0706_0504_0302_0100;
    const B: u128 = 0x1F1E_1D1C_1B1A_1918_1716_1514_1312_1110;
    const WORDS: u128 = 0x8000_7FFF_FFFF_0001_8000_8000_0100_00FF;
    let rows: &[(&str, u128, u128, u128, Write)] = &[
        ("punpcklbw", A, B, 0x1707_1606_1505_1404_1303_1202_1101_1000, |a| a.punpcklbw(xmm0, xmm1)),
        ("punpckhbw", A, B, 0x1F0F_1E0E_1D0D_1C0C_1B0B_1A0A_1909_1808, |a| a.punpckhbw(xmm0, xmm1)),
        ("punpcklwd", A, B, 0x1716_0706_1514_0504_1312_0302_1110_0100, |a| a.punpcklwd(xmm0, xmm1)),
        ("punpckhdq", A, B, 0x1F1E_1D1C_0F0E_0D0C_1B1A_1918_0B0A_0908, |a| a.punpckhdq(xmm0, xmm1)),
        ("punpcklqdq", A, B, 0x1716_1514_1312_1110_0706_0504_0302_0100, |a| a.punpcklqdq(xmm0, xmm1)),
        ("pshufd", A, B, 0x1312_1110_1716_1514_1B1A_1918_1F1E_1D1C, |a| a.pshufd(xmm0, xmm1, 0x1B)),
        ("pshuflw", A, B, 0x1F1E_1D1C_1B1A_1918_1110_1312_1514_1716, |a| a.pshuflw(xmm0, xmm1, 0x1B)),
        ("pshufhw", A, B, 0x1918_1B1A_1D1C_1F1E_1716_1514_1312_1110, |a| a.pshufhw(xmm0, xmm1, 0x1B)),
        ("shufps", A, B, 0x1F1E_1D1C_1312_1110_0706_0504_0B0A_0908, |a| a.shufps(xmm0, xmm1, 0xC6)),
        ("shufpd", A, B, 0x1F1E_1D1C_1B1A_1918_0706_0504_0302_0100, |a| a.shufpd(xmm0, xmm1, 2)),
        ("movhlps", A, B, 0x0F0E_0D0C_0B0A_0908_1F1E_1D1C_1B1A_1918, |a| a.movhlps(xmm0, xmm1)),
        ("movlhps", A, B, 0x1716_1514_1312_1110_0706_0504_0302_0100, |a| a.movlhps(xmm0, xmm1)),
        ("movss", A, B, 0x0F0E_0D0C_0B0A_0908_0706_0504_1312_1110, |a| a.movss(xmm0, xmm1)),
        ("movsd", A, B, 0x0F0E_0D0C_0B0A_0908_1716_1514_1312_1110, |a| a.movsd_2(xmm0, xmm1)),
        ("movq", A, B, 0x1716_1514_1312_1110, |a| a.movq(xmm0, xmm1)),
        ("movddup", A, B, 0x1716_1514_1312_1110_1716_1514_1312_1110, |a| a.movddup(xmm0, xmm1)),
        ("movsldup", A, B, 0x1B1A_1918_1B1A_1918_1312_1110_1312_1110, |a| a.movsldup(xmm0, xmm1)),
        ("movshdup", A, B, 0x1F1E_1D1C_1F1E_1D1C_1716_1514_1716_1514, |a| a.movshdup(xmm0, xmm1)),
        ("pslldq", A, 0, 0x0C0B_0A09_0807_0605_0403_0201_0000_0000, |a| a.pslldq(xmm0, 3)),
        ("psrldq", A, 0, 0x0000_000F_0E0D_0C0B_0A09_0807_0605_0403, |a| a.psrldq(xmm0, 3)),
        ("psrldq 16", A, 0, 0, |a| a.psrldq(xmm0, 16)),
        ("packuswb", WORDS, WORDS, 0x00FF_0001_0000_FFFF_00FF_0001_0000_FFFF, |a| a.packuswb(xmm0, xmm1)),
        ("packsswb", WORDS, WORDS, 0x807F_FF01_8080_7F7F_807F_FF01_8080_7F7F, |a| a.packsswb(xmm0, xmm1)),
        ("packssdw", WORDS, 0, 0x0000_0000_0000_0000_8000_8000_8000_7FFF, |a| a.packssdw(xmm0, xmm1)),
        // The only sum that leaves the range: four times 8000h.
        ("pmaddwd", 0x8000_8000, 0x8000_8000, 0x8000_0000, |a| a.pmaddwd(xmm0, xmm1)),
        ("pmulhw", WORDS, WORDS, 0x4000_3FFF_0000_0000_4000_4000_0001_0000, |a| a.pmulhw(xmm0, xmm1)),
        ("pmulhuw", WORDS, WORDS, 0x4000_3FFF_FFFE_0000_4000_4000_0001_0000, |a| a.pmulhuw(xmm0, xmm1)),
        ("pmullw", WORDS, WORDS, 0x0000_0001_0001_0001_0000_0000_0000_FE01, |a| a.pmullw(xmm0, xmm1)),
        ("pmuludq", !0, !0, 0xFFFF_FFFE_0000_0001_FFFF_FFFE_0000_0001, |a| a.pmuludq(xmm0, xmm1)),
        ("psadbw", A, B, 0x80_0000_0000_0000_0080, |a| a.psadbw(xmm0, xmm1)),
        ("pavgb", 0x00FF_0001, 0x01FF_0002, 0x01FF_0002, |a| a.pavgb(xmm0, xmm1)),
        ("paddsb", 0x7F80_0155, 0x01FF_017F, 0x7F80_027F, |a| a.paddsb(xmm0, xmm1)),
        ("psubusw", 0x0001_8000, 0x0002_0001, 0x0000_7FFF, |a| a.psubusw(xmm0, xmm1)),
        ("psraw 16", WORDS, 16, 0xFFFF_0000_FFFF_0000_FFFF_FFFF_0000_0000, |a| a.psraw(xmm0, xmm1)),
        ("psrlw 16", WORDS, 16, 0, |a| a.psrlw(xmm0, xmm1)),
        // All 64 bits of the count count, and no more.
        ("psllw 2^32", WORDS, 1 << 32, 0, |a| a.psllw(xmm0, xmm1)),
        ("psllw 2^64", WORDS, 1 << 64, WORDS, |a| a.psllw(xmm0, xmm1)),
        ("psllq", WORDS, 8, 0x007F_FFFF_FF00_0100_0080_0001_0000_FF00, |a| a.psllq(xmm0, xmm1)),
        ("pcmpgtb", 0x7F80_0001, 0x807F_0100, 0xFF00_00FF, |a| a.pcmpgtb(xmm0, xmm1)),
        ("pandn", 0xFF00, 0xFFFF, 0x00FF, |a| a.pandn(xmm0, xmm1)),
    ];
    for (name, a, b, expected, write) in rows {
        let k = run(*a, *b, *write);
        assert_eq!(u128::from_le_bytes(k.cpu.simd.xmm[0]), *expected, "{name}");
    }
}

/// The same operations on half the width: the upper halves of the operands do not exist.
#[test]
fn mm_registers() {
    const A: u128 = 0x0706_0504_0302_0100;
    const B: u128 = 0x1716_1514_1312_1110;
    let rows: &[(&str, u128, u128, u64, Write)] = &[
        ("punpcklbw", A, B, 0x1303_1202_1101_1000, |a| a.punpcklbw(mm0, mm1)),
        ("punpckhwd", A, B, 0x1716_0706_1514_0504, |a| a.punpckhwd(mm0, mm1)),
        ("packuswb", 0x8000_7FFF_0100_00FF, 0x0001_0002_0003_0004, 0x0102_0304_00FF_FFFF, |a| {
            a.packuswb(mm0, mm1)
        }),
        ("pshufw", A, B, 0x1110_1312_1514_1716, |a| a.pshufw(mm0, mm1, 0x1B)),
        ("pinsrw", A, 0, 0x0706_0000_0302_0100, |a| a.pinsrw(mm0, eax, 6)),
        ("psrlq 64", A, 64, 0, |a| a.psrlq(mm0, mm1)),
        ("movdq2q", 0, B, 0x1716_1514_1312_1110, |a| a.movdq2q(mm0, xmm1)),
        ("psubb", A, B, 0xF0F0_F0F0_F0F0_F0F0, |a| a.psubb(mm0, mm1)),
    ];
    for (name, a, b, expected, write) in rows {
        let k = run(*a, *b, *write);
        assert_eq!(k.cpu.x87.significand[0], *expected, "{name}");
    }
}

/// SDM Vol. 2A, "CMPPS" (tables): the relation for which each predicate holds, and whether a quiet NaN is invalid.
#[test]
fn comparison_predicates() {
    const QNAN: u32 = 0x7FC0_0000;
    // Greater, less, equal, unordered.
    let rows: [(&str, [bool; 4], bool); 8] = [
        ("EQ", [false, false, true, false], false),
        ("LT", [false, true, false, false], true),
        ("LE", [false, true, true, false], true),
        ("UNORD", [false, false, false, true], false),
        ("NEQ", [true, true, false, true], false),
        ("NLT", [true, false, true, true], true),
        ("NLE", [true, false, false, true], true),
        ("ORD", [true, true, true, false], false),
    ];
    let pack = |v: [u32; 4]| v.iter().rev().fold(0u128, |all, x| all << 32 | u128::from(*x));
    let (one, two) = (1f32.to_bits(), 2f32.to_bits());
    let (a, b) = (pack([two, one, one, QNAN]), pack([one, two, one, one]));
    for (imm, (name, holds, signals)) in rows.into_iter().enumerate() {
        for reserved in [0, 8, 0xF8] {
            let mut k = Kit::protected(0);
            k.cpu.cr4 |= cr4::OSFXSR;
            k.cpu.simd.xmm[0] = a.to_le_bytes();
            k.cpu.simd.xmm[1] = b.to_le_bytes();
            // CMPPS XMM0, XMM1, imm8: only three bits of it count.
            k.bytes(&[0x0F, 0xC2, 0xC1, imm as u8 | reserved]);
            assert_eq!(k.step(), Led::Through);
            let masks = pack(holds.map(|h| if h { !0 } else { 0 }));
            assert_eq!(u128::from_le_bytes(k.cpu.simd.xmm[0]), masks, "{name}");
            assert_eq!(k.cpu.simd.mxcsr & 0x3F, u32::from(signals), "{name}");
        }
    }
}

/// SDM Vol. 2A, "COMISD" (table). ZF, PF, CF; OF, SF and AF are cleared.
#[test]
fn comparisons_to_eflags() {
    let bits = |x: f64| u128::from(x.to_bits());
    for (a, b, flags) in [
        (2.0, 1.0, 0x00),
        (1.0, 2.0, 0x01),
        (-0.0, 0.0, 0x40),
        (f64::NAN, 1.0, 0x45),
        (f64::NEG_INFINITY, f64::INFINITY, 0x01),
    ] {
        for write in [(|c| c.comisd(xmm0, xmm1)) as Write, |c| c.ucomisd(xmm0, xmm1)] {
            let k = run(bits(a), bits(b), write);
            assert_eq!(k.cpu.eflags.arithmetic(), flags, "{a} {b}");
        }
    }
}

/// SDM Vol. 2B, "MINSD", "MAXSD": the second operand if both are zeros or one is a NaN.
#[test]
fn minimum_and_maximum_of_what_is_not_ordered() {
    let bits = |x: f64| u128::from(x.to_bits());
    for (a, b, flags) in [(0.0, -0.0, 0), (-0.0, 0.0, 0), (f64::NAN, 1.0, 1), (1.0, f64::NAN, 1)] {
        for write in [(|c| c.minsd(xmm0, xmm1)) as Write, |c| c.maxsd(xmm0, xmm1)] {
            let k = run(bits(a), bits(b), write);
            assert_eq!(u128::from_le_bytes(k.cpu.simd.xmm[0]), bits(b), "{a} {b}");
            assert_eq!(k.cpu.simd.mxcsr & 0x3F, flags, "{a} {b}");
        }
    }
}

/// What an integer cannot hold is invalid and gives 80000000h; what is cut off is not exact.
#[test]
fn conversions_to_integers() {
    const INDEFINITE: u32 = 0x8000_0000;
    for (x, rounded, truncated, flags) in [
        (2.5, 2, 2, 0x20),
        (3.5, 4, 3, 0x20),
        (-1.5, -2i32 as u32, -1i32 as u32, 0x20),
        (-0.0, 0, 0, 0),
        (2147483647.0, 0x7FFF_FFFF, 0x7FFF_FFFF, 0),
        (2147483647.5, INDEFINITE, 0x7FFF_FFFF, 0),
        (-2147483648.0, INDEFINITE, INDEFINITE, 0),
        (2147483648.0, INDEFINITE, INDEFINITE, 1),
        (f64::NAN, INDEFINITE, INDEFINITE, 1),
        (f64::INFINITY, INDEFINITE, INDEFINITE, 1),
    ] {
        let bits = u128::from(f64::to_bits(x));
        for (write, expected) in
            [((|c| c.cvtsd2si(eax, xmm1)) as Write, rounded), (|c| c.cvttsd2si(eax, xmm1), truncated)]
        {
            let k = run(0, bits, write);
            assert_eq!(k.cpu.gpr.get::<u32>(0), expected, "{x}");
            // The one number of the table that fits only truncated.
            let flags = match (x == 2147483647.5, expected == INDEFINITE) {
                (true, true) => 1,
                (true, false) => 0x20,
                _ => flags,
            };
            assert_eq!(k.cpu.simd.mxcsr & 0x3F, flags, "{x}");
        }
    }
}

/// As many elements as there are; the rest of the destination is cleared, or for scalars kept.
#[test]
fn conversions_between_widths() {
    const ONES: u128 = u128::MAX;
    let two = |low: u64, high: u64| u128::from(high) << 64 | u128::from(low);
    let (half, three) = (0.5f64.to_bits(), 3f64.to_bits());
    let singles = u128::from(3f32.to_bits()) << 32 | u128::from(0.5f32.to_bits());
    let rows: &[(&str, u128, u128, u128, Write)] = &[
        ("cvtps2pd", ONES, ONES << 64 | singles, two(half, three), |a| a.cvtps2pd(xmm0, xmm1)),
        ("cvtpd2ps", ONES, two(half, three), singles, |a| a.cvtpd2ps(xmm0, xmm1)),
        ("cvttpd2dq", ONES, two(half, three), 3 << 32, |a| a.cvttpd2dq(xmm0, xmm1)),
        ("cvtdq2pd", ONES, ONES << 64 | 3 << 32, two(0, three), |a| a.cvtdq2pd(xmm0, xmm1)),
        ("cvtss2sd", ONES, singles, two(half, !0), |a| a.cvtss2sd(xmm0, xmm1)),
        ("cvtsd2ss", ONES, two(half, 0), ONES << 32 | 0x3F00_0000, |a| a.cvtsd2ss(xmm0, xmm1)),
        ("cvtpi2ps", ONES, 3 << 32, ONES << 64 | 0x4040_0000 << 32, |a| a.cvtpi2ps(xmm0, mm1)),
        ("cvtpi2pd", ONES, 3 << 32, two(0, three), |a| a.cvtpi2pd(xmm0, mm1)),
    ];
    for (name, a, b, expected, write) in rows {
        let k = run(*a, *b, *write);
        assert_eq!(u128::from_le_bytes(k.cpu.simd.xmm[0]), *expected, "{name}");
    }
}

/// SDM Vol. 2A, "ADDSUBPS", "HADDPS", "HSUBPD".
#[test]
fn horizontal_and_alternating_arithmetic() {
    let pack = |v: [f32; 4]| v.iter().rev().fold(0u128, |all, x| all << 32 | u128::from(x.to_bits()));
    let pair = |v: [f64; 2]| u128::from(v[1].to_bits()) << 64 | u128::from(v[0].to_bits());
    let (a, b) = (pack([1.0, 2.0, 3.0, 4.0]), pack([10.0, 20.0, 30.0, 40.0]));
    let (c, d) = (pair([1.0, 2.0]), pair([10.0, 30.0]));
    let rows: &[(&str, u128, u128, u128, Write)] = &[
        ("addsubps", a, b, pack([-9.0, 22.0, -27.0, 44.0]), |a| a.addsubps(xmm0, xmm1)),
        ("addsubpd", c, d, pair([-9.0, 32.0]), |a| a.addsubpd(xmm0, xmm1)),
        ("haddps", a, b, pack([3.0, 7.0, 30.0, 70.0]), |a| a.haddps(xmm0, xmm1)),
        ("hsubps", a, b, pack([-1.0, -1.0, -10.0, -10.0]), |a| a.hsubps(xmm0, xmm1)),
        ("haddpd", c, d, pair([3.0, 40.0]), |a| a.haddpd(xmm0, xmm1)),
        ("hsubpd", c, d, pair([-1.0, -20.0]), |a| a.hsubpd(xmm0, xmm1)),
    ];
    for (name, a, b, expected, write) in rows {
        let k = run(*a, *b, *write);
        assert_eq!(u128::from_le_bytes(k.cpu.simd.xmm[0]), *expected, "{name}");
    }
}
