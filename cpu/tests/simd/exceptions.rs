//! MXCSR: exceptions and their masks, rounding, flushing. SDM Vol. 1, "SIMD Floating-Point Exceptions".

use crate::kit::{Kit, Led, UD, gp, place};
use iced_x86::code_asm::*;
use idem86_cpu::state::control::cr4;

const IE: u32 = 1 << 0;
const DE: u32 = 1 << 1;
const ZE: u32 = 1 << 2;
const OE: u32 = 1 << 3;
const UE: u32 = 1 << 4;
const PE: u32 = 1 << 5;
const DAZ: u32 = 1 << 6;
const FZ: u32 = 1 << 15;
/// All masked, to nearest.
const DEFAULT: u32 = 0x1F80;
const XM: Led = Led::To(19, None);

/// The masks of exceptions.
const fn masks(exceptions: u32) -> u32 {
    exceptions << 7
}

fn singles(v: [f32; 4]) -> [u8; 16] {
    let [a, b, c, d] = v.map(|x| u128::from(x.to_bits()));
    (a | b << 32 | c << 64 | d << 96).to_le_bytes()
}

fn bits(v: [u32; 4]) -> [u8; 16] {
    singles(v.map(f32::from_bits))
}

fn kit(mxcsr: u32, a: [u8; 16], b: [u8; 16]) -> Kit {
    let mut k = Kit::protected(0);
    k.cpu.cr4 |= cr4::OSFXSR | cr4::OSXMMEXCPT;
    k.cpu.simd.mxcsr = mxcsr;
    k.cpu.simd.xmm[0] = a;
    k.cpu.simd.xmm[1] = b;
    k
}

#[test]
fn an_unmasked_exception_sets_its_flag_and_nothing_else() {
    let (a, b) = (singles([1.0, 2.0, 3.0, 4.0]), singles([0.0, 1.0, 1.0, 1.0]));
    for (osxmmexcpt, expected) in [(true, XM), (false, UD)] {
        let mut k = kit(DEFAULT & !masks(ZE), a, b);
        if !osxmmexcpt {
            k.cpu.cr4 &= !cr4::OSXMMEXCPT;
        }
        k.check("divps", expected, |c| c.divps(xmm0, xmm1));
        assert_eq!(k.cpu.simd.xmm[0], a);
        assert_eq!(k.cpu.simd.mxcsr, DEFAULT & !masks(ZE) | ZE);
    }
    let mut k = kit(DEFAULT, a, b);
    k.check("divps", Led::Through, |c| c.divps(xmm0, xmm1));
    assert_eq!(k.cpu.simd.xmm[0], singles([f32::INFINITY, 2.0, 3.0, 4.0]));
    assert_eq!(k.cpu.simd.mxcsr, DEFAULT | ZE);
}

/// What is unmasked before the computation hides what the computation would raise, in other elements too.
#[test]
fn exceptions_before_the_computation_come_alone() {
    let (a, b) = (singles([1.0, 1.0, 3e38, 1e-40]), singles([0.0, 3.0, 1e-30, 1.0]));
    let mut k = kit(DEFAULT & !masks(ZE), a, b);
    k.check("divps", XM, |c| c.divps(xmm0, xmm1));
    assert_eq!(k.cpu.simd.mxcsr & 0x3F, ZE | DE);
    let mut k = kit(DEFAULT, a, b);
    k.check("divps", Led::Through, |c| c.divps(xmm0, xmm1));
    assert_eq!(k.cpu.simd.mxcsr & 0x3F, ZE | DE | OE | PE);
    let mut k = kit(DEFAULT & !masks(OE), a, b);
    k.check("divps", XM, |c| c.divps(xmm0, xmm1));
    assert_eq!(k.cpu.simd.mxcsr & 0x3F, ZE | DE | OE | PE);
}

#[test]
fn flags_are_sticky() {
    let mut k = kit(DEFAULT | IE | UE, singles([1.0; 4]), singles([1.0; 4]));
    k.check("addps", Led::Through, |c| c.addps(xmm0, xmm1));
    assert_eq!(k.cpu.simd.mxcsr, DEFAULT | IE | UE);
}

#[test]
fn comparisons_leave_eflags_alone_on_an_unmasked_exception() {
    let mut k = kit(DEFAULT & !masks(IE), bits([0x7FC0_0000; 4]), singles([1.0; 4]));
    k.check("ucomiss", Led::Through, |c| c.ucomiss(xmm0, xmm1));
    assert_eq!(k.cpu.eflags.arithmetic(), 0x45);
    k.cpu.eflags.set_arithmetic(0x890);
    k.check("comiss", XM, |c| c.comiss(xmm0, xmm1));
    assert_eq!(k.cpu.eflags.arithmetic(), 0x890);
    assert_eq!(k.cpu.simd.mxcsr & 0x3F, IE);
}

/// SDM Vol. 1, "Flush-To-Zero" and "Denormals-Are-Zeros".
#[test]
fn flushing_and_denormals_as_zeros() {
    let (least, denormal) = (0x0080_0000, 0x0000_0001);
    for (mxcsr, result, flags) in [
        (DEFAULT, 0x0040_0000, 0),
        (DEFAULT | FZ, 0, UE | PE),
        // Flushing is for masked underflow only.
        (DEFAULT & !masks(UE) | FZ, least, UE),
    ] {
        let mut k = kit(mxcsr, bits([least; 4]), singles([0.5; 4]));
        let led = k.one(|c| c.mulss(xmm0, xmm1));
        assert_eq!(led, if mxcsr & masks(UE) == 0 { XM } else { Led::Through });
        assert_eq!(k.cpu.simd.xmm[0], bits([result, least, least, least]), "{mxcsr:x}");
        assert_eq!(k.cpu.simd.mxcsr, mxcsr | flags, "{mxcsr:x}");
    }
    for (mxcsr, result, flags) in [(DEFAULT, 2, DE), (DEFAULT | DAZ, 0, 0)] {
        let mut k = kit(mxcsr, bits([denormal; 4]), bits([denormal; 4]));
        k.check("addps", Led::Through, |c| c.addps(xmm0, xmm1));
        assert_eq!(k.cpu.simd.xmm[0], bits([result; 4]));
        assert_eq!(k.cpu.simd.mxcsr, mxcsr | flags);
    }
}

#[test]
fn rounding_control_rounds() {
    let one = 0x3F80_0000;
    // Half a unit above one, three quarters of a unit above, half a unit below minus one, nothing.
    let addends = singles([2f32.powi(-24), 3.0 * 2f32.powi(-25), -(2f32.powi(-24)), 0.0]);
    let ones = bits([one, one, one | 1 << 31, one]);
    for (control, [half, more, below]) in [(0, [0, 1, 0]), (1, [0, 0, 1]), (2, [1, 1, 0]), (3, [0, 0, 0])] {
        let mut k = kit(DEFAULT | control << 13, ones, addends);
        k.check("addps", Led::Through, |c| c.addps(xmm0, xmm1));
        let sums = bits([one + half, one + more, (one | 1 << 31) + below, one]);
        assert_eq!(k.cpu.simd.xmm[0], sums, "RC {control}");
        assert_eq!(k.cpu.simd.mxcsr & 0x3F, PE);
    }
}

#[test]
fn mxcsr_has_reserved_bits() {
    for n in 16..32 {
        let mut k = kit(DEFAULT, [0; 16], [0; 16]);
        k.put32(place::DATA, 1 << n);
        k.check("ldmxcsr", gp(0), |c| c.ldmxcsr(dword_ptr(place::DATA)));
        assert_eq!(k.cpu.simd.mxcsr, DEFAULT);
    }
    let mut k = kit(DEFAULT, [0; 16], [0; 16]);
    k.put32(place::DATA, 0xFFFF);
    k.check("ldmxcsr", Led::Through, |c| c.ldmxcsr(dword_ptr(place::DATA)));
    k.check("stmxcsr", Led::Through, |c| c.stmxcsr(dword_ptr(place::DATA + 4)));
    assert_eq!(k.get32(place::DATA + 4), 0xFFFF);
}

/// An MM destination is not written, but the unit has changed over; a memory fault comes before either.
#[test]
fn a_conversion_to_mm_registers_that_is_not_delivered() {
    let mut k = kit(DEFAULT & !masks(IE), singles([1e10; 4]), singles([1e10; 4]));
    k.cpu.x87.significand[2] = 42;
    k.check("cvtps2pi", XM, |c| c.cvtps2pi(mm2, xmm1));
    assert_eq!((k.cpu.x87.significand[2], k.cpu.x87.valid), (42, 0xFF));
    let mut k = kit(DEFAULT, [0; 16], [0; 16]);
    (k.cpu.x87.valid, k.cpu.x87.top) = (0, 3);
    k.check("cvtpd2pi", gp(0), |c| c.cvtpd2pi(mm2, xmmword_ptr(place::DATA + 8)));
    assert_eq!((k.cpu.x87.valid, k.cpu.x87.top), (0, 3));
}
