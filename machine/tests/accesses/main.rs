//! Random accesses to the devices of a whole PC; `fuzz/` drives the same with what a fuzzer thinks of.

#[allow(dead_code, reason = "the tests of the root package use the rest")]
#[path = "../../../tests/support/rng.rs"]
mod rng;
mod scenario;

use rng::Rng;

/// Accesses in a run.
const ACCESSES: usize = 2000;

/// Bytes that mostly name ports that devices have.
fn bytes(seed: u64) -> Vec<u8> {
    const PORTS: [u16; 24] = [
        0x00, 0x08, 0x20, 0x21, 0x40, 0x43, 0x60, 0x64, 0x70, 0x71, 0x92, 0xA0, 0xCF8, 0xCFC, 0x170, 0x177,
        0x1F0, 0x1F7, 0x3C0, 0x3CE, 0x3F2, 0x3F5, 0x3F8, 0x510,
    ];
    let mut random = Rng::new(seed);
    let mut next = || random.next();
    (0..ACCESSES)
        .flat_map(|_| {
            let mut access = next().to_le_bytes();
            if next() % 4 != 0 {
                let port = PORTS[(next() % 24) as usize] + (next() % 3) as u16;
                access[1..3].copy_from_slice(&port.to_le_bytes());
            }
            if next() % 2 == 0 {
                access[5..8].fill(0);
            }
            access
        })
        .collect()
}

#[test]
fn no_access_harms_the_host() {
    for seed in 0..40 {
        scenario::drive(&bytes(seed));
    }
}
