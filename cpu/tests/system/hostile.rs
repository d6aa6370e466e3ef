//! Guests that mean harm: random tables, random page tables, random code full of system instructions. Nothing may
//! panic or hang, and whatever state comes out must be one that can be saved and restored.

use crate::kit::*;
use idem86_cpu::bus::Work;
use idem86_cpu::cpu::Cpu;
use idem86_cpu::run::Stop;
use idem86_cpu::state::control::{cr0, cr4};
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::segment::SegReg;

/// xorshift64*.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
    pub fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 16) % n
    }
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// Beginnings of system instructions; random bytes follow.
const OPENINGS: &[&[u8]] = &[
    &[0x0F, 0x00],
    &[0x0F, 0x01],
    &[0x0F, 0x02],
    &[0x0F, 0x03],
    &[0x0F, 0x06],
    &[0x0F, 0x20],
    &[0x0F, 0x21],
    &[0x0F, 0x22],
    &[0x0F, 0x23],
    &[0x0F, 0x30],
    &[0x0F, 0x31],
    &[0x0F, 0x32],
    &[0x0F, 0x34],
    &[0x0F, 0x35],
    &[0x0F, 0xA1],
    &[0x0F, 0xA2],
    &[0x0F, 0xB2],
    &[0x8E],
    &[0x8C],
    &[0x9A],
    &[0x9C],
    &[0x9D],
    &[0xC4],
    &[0xC8],
    &[0xCA],
    &[0xCB],
    &[0xCC],
    &[0xCD],
    &[0xCE],
    &[0xCF],
    &[0xE4],
    &[0xE7],
    &[0xEA],
    &[0xED],
    &[0xEF],
    &[0xF1],
    &[0xF3, 0x6C],
    &[0xF3, 0xA4],
    &[0xF3, 0x6F],
    &[0xFA],
    &[0xFB],
    &[0xFF],
    &[0x07],
    &[0x17],
    &[0x1F],
    &[0x61],
    &[0x63],
    &[0x66],
    &[0x67],
];

/// Selectors of the kit, now and then damaged.
fn selector(r: &mut Random) -> u16 {
    let s = r.below(0x22) as u16 * 8;
    s | r.below(8) as u16 & if r.below(8) == 0 { 7 } else { 3 }
}

fn descriptor(r: &mut Random) -> u64 {
    let access = 0x80 | r.next() as u16 & 0xF07F;
    match r.below(4) {
        0 => segment(0, 0xF_FFFF, 0xC000 | access),
        1 => segment(r.next() as u32 & 0x3F_FFFF, r.next() as u32 & 0xF_FFFF, access),
        2 => gate(selector(r), place::CODE + r.below(0x100) as u32, 0x84 | access & 0x6F, r.below(32) as u8),
        _ => segment(place::TSS32 + r.below(0x100) as u32, r.below(0x100) as u32, access & 0xEF),
    }
}

fn machine(r: &mut Random) -> Kit {
    let mut k = match r.below(5) {
        0 => Kit::real(),
        1 => Kit::v86(r.below(4) as u8),
        n => Kit::protected([0, 3, 0][n as usize - 2]),
    };
    for at in (place::CODE..place::CODE + 0x1000).step_by(8) {
        let mut bytes = r.next().to_le_bytes();
        let opening = r.pick(OPENINGS);
        bytes[..opening.len()].copy_from_slice(opening);
        k.put(at, &bytes);
    }
    if !k.cpu.real_mode() {
        // Some of the descriptors and gates, not those that everything stands on.
        for _ in 0..r.below(20) {
            let (slot, d) = (sel::FREE as u64 / 8 + r.below(0x12), descriptor(r));
            k.set_descriptor(slot as u16 * 8, d);
            k.set_gate(r.next() as u8, descriptor(r));
            k.put64(place::LDT + r.below(8) as u32 * 8, descriptor(r));
        }
        for _ in 0..r.below(10) {
            let at = r.pick(&[place::TSS, place::TSS32, place::TSS16]) + r.below(0x1A) as u32 * 4;
            let v = if r.below(2) == 0 { selector(r) as u32 } else { r.next() as u32 & 0xFFFF };
            k.put32(at, v);
        }
        for v in 0..32 {
            if r.below(2) == 0 {
                let at = place::CODE + r.below(0x200) as u32 * 8;
                k.set_gate(
                    v,
                    gate(
                        r.pick(&[sel::CODE0, sel::CODE3, sel::CONFORMING0]),
                        at,
                        r.pick(&[0x8E, 0xEF, 0x86]),
                        0,
                    ),
                );
            }
        }
        if r.below(2) == 0 {
            if r.below(2) == 0 {
                k.page()
            } else {
                k.page_pae()
            }
            for _ in 0..r.below(40) {
                let at = place::PAGING + (r.below(0x4000) as u32 & !3);
                let v = k.get32(at) ^ 1 << r.below(12);
                k.put32(at, v);
            }
        }
    }
    for n in 0..8 {
        if n != 4 {
            let v = match r.below(4) {
                0 => r.next(),
                1 => selector(r) as u64,
                2 => place::CODE as u64 + r.below(0x4000),
                _ => r.below(0x100),
            };
            k.cpu.gpr.set(n, v as u32);
        }
    }
    let flags = r.next() as u32 & bit::DEFINED & !(bit::VM | bit::TF | bit::IOPL);
    k.cpu.set_eflags(k.cpu.eflags.bits() ^ if r.below(3) == 0 { flags } else { 0 });
    k.cpu.cr4 |= r.next() as u32 & cr4::WRITABLE & !(cr4::PAE | cr4::PSE);
    k.cpu.cr0 |= r.next() as u32 & (cr0::WP | cr0::AM | cr0::EM | cr0::NE);
    for n in 0..4 {
        k.cpu.dr[n] = place::CODE as u64 + r.below(0x1000);
    }
    if r.below(4) == 0 {
        k.cpu.dr7 |= r.next() as u32 & 0xFFFF_00FF;
    }
    k.cpu.state_changed();
    k
}

#[test]
fn random_systems_neither_panic_nor_hang_nor_leave_what_a_processor_can_be_in() {
    let mut deliveries = 0u64;
    for seed in 1..=1500u64 {
        let mut r = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut k = machine(&mut r);
        for _ in 0..12 {
            let before = k.cpu.work();
            let budget: Work = 1 + r.below(60);
            k.bus.exit = None;
            let stop = k.run(budget);
            let done = k.cpu.work() - before;
            assert!(done <= budget + 8, "seed {seed}: {done} of {budget}");
            assert!(stop != Stop::Budget || done >= budget, "seed {seed}");
            let state = k.cpu.save();
            let mut other = Cpu::new();
            if let Err(e) = other.restore(&state) {
                panic!("seed {seed}: {e}\n{state:x?}");
            }
            assert_eq!(other.save(), state, "seed {seed}");
            assert_eq!(other.seg, k.cpu.seg, "seed {seed}: derived bounds");
            deliveries += done;
            match stop {
                Stop::Halted => {
                    k.cpu.halted = false;
                    k.cpu.rip = k.cpu.rip.wrapping_add(r.below(64)) & 0xFFFF_FFFF;
                }
                Stop::Shutdown => break,
                _ => {}
            }
            (k.bus.intr, k.bus.vector, k.bus.nmi) = (r.below(4) == 0, r.next() as u8, r.below(8) == 0);
            if r.below(4) == 0 && k.cpu.seg[SegReg::Cs as usize].base == 0 {
                k.cpu.rip = place::CODE as u64 + r.below(0x200) * 8;
            }
        }
    }
    assert!(deliveries > 100_000, "the code runs: {deliveries}");
}
