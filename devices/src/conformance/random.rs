//! A small random number generator with a fixed sequence per seed (SplitMix64), and random guest values.

use crate::time::GuestDuration;

/// Random numbers, the same for the same seed.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random { seed, state: seed }
    }

    /// The seed that this sequence began with.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// 64 random bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`, or 0 if that is 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    /// True once in `n` times on average.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A value that a guest might write: small, a single bit, nearly all ones, or anything.
    pub(crate) fn value(&mut self) -> u32 {
        let any = self.next() as u32;
        match self.below(5) {
            0 => any % 4,
            1 => 1 << (any % 32),
            2 => u32::MAX - any % 4,
            _ => any,
        }
    }

    /// How much time passes between two accesses: often none, usually up to a scale that depends on the
    /// seed (from microseconds to days), rarely up to a year.
    pub(crate) fn step(&mut self) -> GuestDuration {
        let scale = [10, 14, 18, 24, 30, 36, 42, 47][(self.seed % 8) as usize];
        let nanos = match self.below(100) {
            0..40 => 0,
            40..98 => self.below(1 << scale),
            98 => self.below(1 << (scale / 2)),
            _ => {
                if self.one_in(20) {
                    self.below(1 << 55)
                } else {
                    self.below(1 << 40)
                }
            }
        };
        GuestDuration::from_nanos(nanos)
    }
}
