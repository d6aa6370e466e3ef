//! RCPPS and RSQRTPS: accuracy and special operands. SDM Vol. 2B, "RCPPS", "RSQRTPS".

use crate::kit::{Kit, Led};
use iced_x86::code_asm::*;
use idem86_cpu::state::control::cr4;

/// The largest relative error that is allowed.
const BOUND: f64 = 1.5 / 4096.0;

fn kit() -> Kit {
    let mut k = Kit::protected(0);
    k.cpu.cr4 |= cr4::OSFXSR;
    // Every exception unmasked: none may come.
    k.cpu.simd.mxcsr = 0;
    k.code(|a| {
        a.rcpps(xmm0, xmm1)?;
        a.rsqrtps(xmm2, xmm1)
    });
    k
}

/// Reciprocal and reciprocal square root of four numbers.
fn estimates(k: &mut Kit, x: [u32; 4]) -> ([u32; 4], [u32; 4]) {
    let lanes =
        |v: [u8; 16]| std::array::from_fn(|i| u32::from_le_bytes(*v[4 * i..].first_chunk().expect("four")));
    let rip = k.cpu.rip;
    for (i, x) in x.into_iter().enumerate() {
        k.cpu.simd.xmm[1][4 * i..][..4].copy_from_slice(&x.to_le_bytes());
    }
    assert_eq!((k.step(), k.step()), (Led::Through, Led::Through));
    assert_eq!(k.cpu.simd.mxcsr, 0);
    k.cpu.rip = rip;
    (lanes(k.cpu.simd.xmm[0]), lanes(k.cpu.simd.xmm[2]))
}

#[test]
fn relative_errors_are_within_bounds() {
    let mut k = kit();
    let mut worst = [0f64; 2];
    let mut seed = 0x1234_5678u32;
    for _ in 0..20_000 {
        let x = std::array::from_fn(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Normal, with a reciprocal that is normal too.
            (1 + (seed >> 8) % 252) << 23 | seed.rotate_left(9) & 0x7F_FFFF
        });
        let (reciprocals, roots) = estimates(&mut k, x);
        for i in 0..4 {
            let x = f64::from(f32::from_bits(x[i]));
            let errors = [
                f64::from(f32::from_bits(reciprocals[i])) * x - 1.0,
                f64::from(f32::from_bits(roots[i])) * x.sqrt() - 1.0,
            ];
            for (worst, error) in worst.iter_mut().zip(errors) {
                *worst = worst.max(error.abs());
            }
        }
    }
    assert!(worst.iter().all(|error| *error < BOUND), "{worst:?}");
    // It is an approximation: software that needs more refines it.
    assert!(worst.iter().all(|error| *error > BOUND / 4.0), "{worst:?}");
}

#[test]
fn special_operands() {
    const INFINITY: u32 = 0x7F80_0000;
    const INDEFINITE: u32 = 0xFFC0_0000;
    const MINUS: u32 = 1 << 31;
    for (x, reciprocal, root) in [
        (0, INFINITY, INFINITY),
        (MINUS, INFINITY | MINUS, INFINITY | MINUS),
        // Denormals count as zeros, whatever DAZ says.
        (1, INFINITY, INFINITY),
        (MINUS | 0x7F_FFFF, INFINITY | MINUS, INFINITY | MINUS),
        (INFINITY, 0, 0),
        (INFINITY | MINUS, MINUS, INDEFINITE),
        (0xC000_0000, 0xBF00_0000, INDEFINITE),
        (0x7FC1_2345, 0x7FC1_2345, 0x7FC1_2345),
        // A signaling NaN becomes quiet.
        (0xFF81_2345, 0xFFC1_2345, 0xFFC1_2345),
        (0x4080_0000, 0x3E80_0000, 0x3F00_0000),
        (0x3F80_0000, 0x3F80_0000, 0x3F80_0000),
    ] {
        assert_eq!(estimates(&mut kit(), [x; 4]), ([reciprocal; 4], [root; 4]), "{x:08x}");
    }
}

/// "Tiny results are always flushed to 0.0, with the sign of the operand."
#[test]
fn tiny_reciprocals_are_zeros() {
    for sign in [0, 1 << 31] {
        // 1.11111111110100000000000B * 2^125 is guaranteed to give no tiny result, 1.00000000000110000000001B * 2^126
        // to give one.
        let (normal, tiny) = (0x7E7F_E800 | sign, 0x7E80_0C01 | sign);
        let (reciprocals, _) = estimates(&mut kit(), [normal, tiny, 0x7F7F_FFFF | sign, normal]);
        assert!(f32::from_bits(reciprocals[0]).is_normal());
        assert_eq!(reciprocals[1..3], [sign, sign]);
    }
}
