//! Operand values that are more telling than random bits.

use super::rng::Rng;

/// A general-register value: boundaries of every operand size, small numbers, single bits, random bits.
pub fn integer(rng: &mut Rng) -> u32 {
    const BOUNDARIES: [u32; 16] = [
        0,
        1,
        2,
        0x0F,
        0x10,
        0x7F,
        0x80,
        0xFF,
        0x100,
        0x7FFF,
        0x8000,
        0xFFFF,
        0x1_0000,
        0x7FFF_FFFF,
        0x8000_0000,
        0xFFFF_FFFF,
    ];
    match rng.below(8) {
        0 | 1 => rng.pick(&BOUNDARIES),
        2 => rng.pick(&BOUNDARIES).wrapping_neg(),
        3 => rng.below(32),
        4 => 1 << rng.below(32),
        5 => rng.bits() & 0xFFFF | rng.pick(&BOUNDARIES) << 16,
        _ => rng.bits(),
    }
}

/// A binary32 value.
pub fn single(rng: &mut Rng) -> u32 {
    const SPECIAL: [u32; 16] = [
        0x0000_0000, // 0
        0x3F80_0000, // 1
        0x3F00_0000, // 0.5
        0x4000_0000, // 2
        0x7F80_0000, // infinity
        0x7FC0_0000, // the default NaN
        0x7FC1_2345, // QNaN
        0x7F81_2345, // SNaN
        0x0000_0001, // the smallest denormal
        0x007F_FFFF, // the largest denormal
        0x0080_0000, // the smallest normal
        0x7F7F_FFFF, // the largest normal
        0x4B00_0000, // 2^23
        0x4F00_0000, // 2^31
        0x5F00_0000, // 2^63
        0x3FC0_0000, // 1.5
    ];
    let sign = rng.bits() & 0x8000_0000;
    sign | match rng.below(8) {
        0..=2 => rng.pick(&SPECIAL),
        3 => (rng.below(4096) as f32 / 16.0).to_bits(),
        4 | 5 => (0x77 + rng.below(16)) << 23 | rng.bits() & 0x7F_FFFF,
        _ => rng.bits() & 0x7FFF_FFFF,
    }
}

/// A binary64 value.
pub fn double(rng: &mut Rng) -> u64 {
    const SPECIAL: [u64; 17] = [
        0x0000_0000_0000_0000, // 0
        0x3FF0_0000_0000_0000, // 1
        0x3FE0_0000_0000_0000, // 0.5
        0x4000_0000_0000_0000, // 2
        0x7FF0_0000_0000_0000, // infinity
        0x7FF8_0000_0000_0000, // the default NaN
        0x7FF8_1234_5678_9ABC, // QNaN
        0x7FF0_1234_5678_9ABC, // SNaN
        0x0000_0000_0000_0001, // the smallest denormal
        0x000F_FFFF_FFFF_FFFF, // the largest denormal
        0x0010_0000_0000_0000, // the smallest normal
        0x7FEF_FFFF_FFFF_FFFF, // the largest normal
        0x36A0_0000_0000_0000, // the smallest binary32 denormal
        0x47EF_FFFF_F000_0000, // halfway behind the largest binary32 value
        0x4330_0000_0000_0000, // 2^52
        0x41E0_0000_0000_0000, // 2^31
        0x43E0_0000_0000_0000, // 2^63
    ];
    let sign = rng.next() & 1 << 63;
    sign | match rng.below(8) {
        0..=2 => rng.pick(&SPECIAL),
        3 => (f64::from(rng.below(4096)) / 16.0).to_bits(),
        4 => f64::from(f32::from_bits(single(rng))).to_bits() & !(1 << 63),
        5 => u64::from(0x3F8 + rng.below(16)) << 52 | rng.next() >> 12,
        _ => rng.next() >> 1,
    }
}

/// A double-extended value, unsupported formats among them.
pub fn extended(rng: &mut Rng) -> [u8; 10] {
    const SPECIAL: [(u16, u64); 22] = [
        (0x0000, 0),                     // 0
        (0x3FFF, 0x8000_0000_0000_0000), // 1
        (0x3FFE, 0x8000_0000_0000_0000), // 0.5
        (0x4000, 0x8000_0000_0000_0000), // 2
        (0x4000, 0xC90F_DAA2_2168_C235), // pi
        (0x7FFF, 0x8000_0000_0000_0000), // infinity
        (0x7FFF, 0xC000_0000_0000_0000), // the default NaN
        (0x7FFF, 0xC123_4567_89AB_CDEF), // QNaN
        (0x7FFF, 0x8123_4567_89AB_CDEF), // SNaN
        (0x0000, 0x0000_0000_0000_0001), // the smallest denormal
        (0x0000, 0x7FFF_FFFF_FFFF_FFFF), // the largest denormal
        (0x0000, 0x8000_0000_0000_0000), // pseudo-denormal
        (0x0001, 0x8000_0000_0000_0000), // the smallest normal
        (0x7FFE, 0xFFFF_FFFF_FFFF_FFFF), // the largest normal
        (0x3FFF, 0x4000_0000_0000_0000), // unnormal
        (0x7FFF, 0x0000_0000_0000_0000), // pseudo-infinity
        (0x7FFF, 0x4123_4567_89AB_CDEF), // pseudo-NaN
        (0x403E, 0x8000_0000_0000_0000), // 2^63
        (0x401E, 0x8000_0000_0000_0000), // 2^31
        (0x400E, 0x8000_0000_0000_0000), // 2^15
        (0x403A, 0xDE0B_6B3A_763F_FFFF), // close to 10^18
        (0x43FE, 0xFFFF_FFFF_FFFF_FC00), // the largest binary64 value, halfway behind
    ];
    let (exponent, significand) = match rng.below(8) {
        0..=2 => rng.pick(&SPECIAL),
        3 => {
            let value = rng.below(4096) + 1;
            (0x3FFF - 4 + value.ilog2() as u16, u64::from(value) << value.leading_zeros() << 32)
        }
        4 => (0x3FFF + rng.below(16) as u16 - 8, rng.next() | 1 << 63),
        5 => (0x3FFF + rng.below(0x900) as u16 - 0x480, rng.next() | 1 << 63),
        6 => (0x3FFF + rng.below(70) as u16 - 2, rng.next() | 1 << 63),
        _ => (rng.bits() as u16 & 0x7FFF, rng.next() | 1 << 63),
    };
    let sign = rng.bits() as u16 & 0x8000;
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&significand.to_le_bytes());
    bytes[8..].copy_from_slice(&(sign | exponent).to_le_bytes());
    bytes
}

/// A packed decimal of 18 digits; sometimes with digits that are none.
pub fn decimal(rng: &mut Rng) -> [u8; 10] {
    let proper = rng.chance(80);
    let mut bytes: [u8; 10] = std::array::from_fn(|_| {
        if proper { (rng.below(10) << 4 | rng.below(10)) as u8 } else { rng.bits() as u8 }
    });
    bytes[9] = rng.pick(&[0x00, 0x80]) | if proper { 0 } else { rng.bits() as u8 };
    bytes
}

/// Sixteen bytes for an XMM register: singles, doubles, or integers of some size.
pub fn vector(rng: &mut Rng) -> [u8; 16] {
    let mut bytes = [0; 16];
    match rng.below(4) {
        0 => bytes.chunks_exact_mut(4).for_each(|lane| lane.copy_from_slice(&single(rng).to_le_bytes())),
        1 => bytes.chunks_exact_mut(8).for_each(|lane| lane.copy_from_slice(&double(rng).to_le_bytes())),
        2 => bytes.chunks_exact_mut(4).for_each(|lane| lane.copy_from_slice(&integer(rng).to_le_bytes())),
        _ => bytes.chunks_exact_mut(8).for_each(|lane| lane.copy_from_slice(&rng.next().to_le_bytes())),
    }
    bytes
}
