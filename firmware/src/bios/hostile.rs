//! Services in the hands of a hostile guest: whatever it leaves in registers, data areas and devices, a service does
//! not panic, and comes back.

use super::bda::{self, ebda};
use super::memory_map::CONVENTIONAL_END;
use super::{Trap, serve};
use crate::platform::{Platform, Registers, Segment};
use std::cell::Cell;

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A number as programs have it: often a small one, often one at an edge.
    fn number(&mut self) -> u32 {
        let n = self.next() as u32;
        match self.below(6) {
            0 => n,
            1 => n & 0xFF,
            2 => n & 0xFFFF,
            3 => [0, u32::MAX, 0xFFFF, 0x8000, 0xFF][n as usize % 5],
            // Functions of services in AH, drive numbers and the like in the low half.
            4 => (n & 0x7F) << 8 | n >> 16 & 0xFF,
            _ => 0x4F00 | n & 0x0F,
        }
    }
}

/// What a machine can do to a service.
struct Guest {
    rng: Rng,
    registers: Registers,
    memory: Vec<u8>,
    now: u64,
    /// Values of ports: none, all bits, what was last written, or anything.
    devices: u64,
    written: u32,
    accesses: Cell<u64>,
}

/// Memory that there is.
const MEMORY: usize = 2 << 20;
/// More than any service needs: polling for the longest time-outs.
const MOST_ACCESSES: u64 = 40_000_000;

impl Guest {
    fn count(&self) {
        self.accesses.set(self.accesses.get() + 1);
        assert!(self.accesses.get() < MOST_ACCESSES, "the service does not come back");
    }
}

impl Platform for Guest {
    fn registers(&mut self) -> &mut Registers {
        &mut self.registers
    }

    fn read(&mut self, from: u32, buffer: &mut [u8]) {
        self.count();
        for (at, byte) in (from..=u32::MAX).chain(0..).zip(buffer) {
            *byte = self.memory.get(at as usize).copied().unwrap_or(0xFF);
        }
    }

    fn write(&mut self, to: u32, bytes: &[u8]) {
        self.count();
        for (at, byte) in (to..=u32::MAX).chain(0..).zip(bytes) {
            if let Some(place) = self.memory.get_mut(at as usize) {
                *place = *byte;
            }
        }
    }

    fn physical(&mut self, linear: u32) -> Option<u64> {
        (!linear.is_multiple_of(7)).then_some(linear.into())
    }

    fn port_in(&mut self, _: u16, size: usize) -> u32 {
        self.count();
        let value = match self.devices {
            0 => 0,
            1 => u32::MAX,
            2 => self.written,
            _ => self.rng.next() as u32,
        };
        (u64::from(value) & ((1 << (8 * size)) - 1)) as u32
    }

    fn port_out(&mut self, _: u16, _: usize, value: u32) {
        self.count();
        self.written = value;
    }

    fn now(&mut self) -> u64 {
        self.now += 100;
        self.now
    }

    fn wait(&mut self, nanoseconds: u64) {
        self.count();
        self.now += nanoseconds;
    }
}

/// Calls `trap` once, in a state that comes from `seed`.
fn call(trap: Trap, seed: u64) {
    let mut rng = Rng(seed);
    let mut memory = vec![0; MEMORY];
    let areas = [bda::BASE..bda::BASE + bda::SIZE, CONVENTIONAL_END..CONVENTIONAL_END + ebda::SIZE];
    let density = [0, 1, 4, 16][rng.below(4) as usize];
    for at in areas.into_iter().flatten() {
        if rng.below(16) < density {
            memory[at as usize] = rng.next() as u8;
        }
    }
    if rng.below(4) != 0 {
        let segment = ((CONVENTIONAL_END >> 4) as u16).to_le_bytes();
        memory[bda::BASE as usize + bda::EBDA_SEGMENT.offset() as usize..][..2].copy_from_slice(&segment);
    }
    // Without these, hardly any disk, booted CD or display mode would be known.
    let data = bda::BASE as usize;
    let extended = CONVENTIONAL_END as usize;
    if rng.below(2) == 0 {
        for slot in 0..4 {
            memory[extended + ebda::DRIVES.offset() as usize + 32 * slot] = rng.below(3) as u8;
        }
        let booted = extended + ebda::EL_TORITO.offset() as usize;
        memory[booted..][..2].copy_from_slice(&[0x13, rng.below(6) as u8]);
        memory[data + bda::VIDEO_MODE.offset() as usize] = rng.below(0x15) as u8;
    }
    let mut registers = Registers::default();
    for register in [
        &mut registers.eax,
        &mut registers.ebx,
        &mut registers.ecx,
        &mut registers.edx,
        &mut registers.esi,
        &mut registers.edi,
        &mut registers.ebp,
        &mut registers.esp,
        &mut registers.eflags,
    ] {
        *register = rng.number();
    }
    for segment in [&mut registers.ds, &mut registers.es, &mut registers.ss] {
        *segment = Segment::real(rng.number() as u16);
    }
    if rng.below(8) == 0 {
        registers.es.base = rng.number();
    }
    registers.cs = Segment::real(0x1000);
    registers.eip = 0x100;
    let at = registers.cs.at(registers.eip - 4) as usize;
    let [low, high] = trap.number().to_le_bytes();
    memory[at..at + 4].copy_from_slice(&[low, high, 0xE6, super::PORT]);
    let devices = rng.below(4);
    // Up to a year.
    let now = rng.below(1 << 55);
    let mut guest = Guest { rng, registers, memory, now, devices, written: 0, accesses: Cell::new(0) };
    assert!(serve(&mut guest), "it is one of our calls");
}

#[test]
fn no_state_makes_a_service_panic_or_run_on_for_ever() {
    let runs = std::env::var("IDEM86_FUZZ_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(150);
    for trap in Trap::ALL {
        for seed in 0..runs {
            let result = std::panic::catch_unwind(|| call(*trap, seed));
            assert!(result.is_ok(), "{trap:?} with seed {seed}");
        }
    }
}
