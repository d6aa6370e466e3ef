//! String instructions against a model that moves one element after the other. SDM Vol. 1, "String Instructions".

use crate::kit::*;
use idem86_cpu::run::Stop;
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::SegReg;

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 33) % n
    }
}

/// What the registers and the memory at the pointers are.
struct Model {
    memory: Vec<u8>,
    base: u32,
    si: u32,
    di: u32,
    cx: u32,
    eax: u32,
    zf: bool,
}

impl Model {
    fn load(&self, at: u32, size: u32) -> u32 {
        (0..size).fold(0, |v, n| v | (self.memory[(at + n - self.base) as usize] as u32) << (8 * n))
    }

    /// One iteration of the instruction with this opcode.
    fn iterate(&mut self, opcode: u8, size: u32, down: bool) {
        let part = u32::MAX >> (32 - 8 * size);
        let (source, destination) = (opcode & 0xFE != 0xAA && opcode & 0xFE != 0xAE, opcode & 0xFE != 0xAC);
        match opcode & 0xFE {
            0xA4 | 0xAA => {
                let v = if source { self.load(self.si, size) } else { self.eax };
                for n in 0..size {
                    self.memory[(self.di + n - self.base) as usize] = (v >> (8 * n)) as u8;
                }
            }
            0xA6 => self.zf = self.load(self.si, size) == self.load(self.di, size),
            0xAE => self.zf = self.eax & part == self.load(self.di, size),
            _ => self.eax = self.eax & !part | self.load(self.si, size),
        }
        let delta = if down { size.wrapping_neg() } else { size };
        if source {
            self.si = self.si.wrapping_add(delta);
        }
        if destination {
            self.di = self.di.wrapping_add(delta);
        }
    }

    /// The whole instruction.
    fn run(&mut self, prefix: Option<u8>, opcode: u8, size: u32, down: bool) {
        let Some(prefix) = prefix else { return self.iterate(opcode, size, down) };
        while self.cx != 0 {
            self.iterate(opcode, size, down);
            self.cx -= 1;
            let compares = matches!(opcode & 0xFE, 0xA6 | 0xAE);
            if compares && self.zf == (prefix == 0xF2) {
                break;
            }
        }
    }
}

/// Where the strings are: three pages, so that pages are crossed both ways.
const STRINGS: u32 = 0x20_0000;
const LENGTH: u32 = 0x3000;

/// Every operation, size, direction and prefix, with pointers near each other and near page ends, in memory with long
/// runs of equal bytes; cut into chunks by small budgets, with paging and without.
#[test]
fn every_operation_does_what_the_model_does() {
    let mut random = Random(0x1DE0_8601);
    for case in 0..6000 {
        let mut k = if case % 2 == 0 { Kit::protected(3) } else { Kit::protected(0) };
        if case % 3 == 0 {
            k.page();
        }
        let opcode = [0xA4, 0xA5, 0xA6, 0xA7, 0xAA, 0xAB, 0xAC, 0xAD, 0xAE, 0xAF][random.below(10) as usize];
        let word = random.below(2) == 0;
        let size = if opcode & 1 == 0 {
            1
        } else if word {
            2
        } else {
            4
        };
        let prefix = [None, Some(0xF3), Some(0xF2)][random.below(3) as usize];
        let down = random.below(2) == 0;
        let fill = random.below(3);
        let memory: Vec<u8> = (0..LENGTH)
            .map(|_| match fill {
                0 => 0x55,
                1 => (random.below(200) == 0) as u8,
                _ => random.next() as u8,
            })
            .collect();
        let middle = STRINGS + LENGTH / 2;
        let si = middle - 0x400 + random.below(0x800) as u32;
        let di = match random.below(3) {
            0 => si.wrapping_add(random.below(17) as u32).wrapping_sub(8),
            _ => middle - 0x400 + random.below(0x800) as u32,
        };
        let cx = random.below(0x100) as u32;
        let eax = if fill == 0 { 0x5555_5555 } else { random.next() as u32 };
        let mut model = Model { memory, base: STRINGS, si, di, cx, eax, zf: false };

        k.put(STRINGS, &model.memory);
        let mut code: Vec<u8> = prefix.into_iter().collect();
        if size == 2 {
            code.push(0x66);
        }
        code.extend([opcode, 0xF4]);
        k.bytes(&code);
        for (r, v) in [(gpr::SI, si), (gpr::DI, di), (gpr::CX, cx), (gpr::AX, eax)] {
            k.cpu.gpr.set(r, v);
        }
        k.cpu.set_eflags(if down { bit::DF } else { 0 });
        let chunk = [1, 7, 1000][random.below(3) as usize];
        let end = k.cpu.rip + code.len() as u64 - 1;
        for _ in 0..600 {
            // A comparison may end it early; the HLT behind ends the run.
            if k.cpu.rip == end || k.run(chunk.min(cx.max(1) as u64)) == Stop::Halted {
                break;
            }
        }
        assert!(k.cpu.rip == end || k.cpu.halted);

        model.run(prefix, opcode, size, down);
        let name = format!("{prefix:02x?} {opcode:02x} of {size}, down {down}, si {si:x} di {di:x} cx {cx}");
        let get = |r| k.cpu.gpr.get::<u32>(r);
        assert_eq!(
            (get(gpr::SI), get(gpr::DI), get(gpr::CX), get(gpr::AX)),
            (model.si, model.di, model.cx, model.eax),
            "{name}"
        );
        let ran = prefix.is_none() || cx != 0;
        if matches!(opcode & 0xFE, 0xA6 | 0xAE) && ran {
            assert_eq!(k.cpu.eflags.zf(), model.zf, "{name}");
        }
        let wrong = (0..LENGTH).find(|n| k.get8(STRINGS + n) != model.memory[*n as usize]);
        assert_eq!(wrong, None, "{name}: memory");
    }
}

#[test]
fn sixteen_bit_addresses_wrap_and_leave_the_upper_halves_alone() {
    let mut k = Kit::real();
    k.put(0xFFFE, &[1, 2]);
    k.put(0, &[3, 4]);
    k.bytes(&[0xF3, 0xA4]);
    k.cpu.gpr.set(gpr::SI, 0xAAAA_FFFEu32);
    k.cpu.gpr.set(gpr::DI, 0xBBBB_3000u32);
    k.cpu.gpr.set(gpr::CX, 0xCCCC_0004u32);
    k.run(4);
    assert_eq!(k.get32(0x3000), 0x0403_0201);
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::SI), 0xAAAA_0002);
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::DI), 0xBBBB_3004);
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::CX), 0xCCCC_0000);
}

/// SDM Vol. 2B, "MOVS": the source segment may be overridden, the destination is ES.
#[test]
fn an_override_changes_the_source_segment_only() {
    let mut k = Kit::real();
    for (r, base) in [(SegReg::Es, 0x3_0000), (SegReg::Ds, 0x4_0000), (SegReg::Fs, 0x5_0000)] {
        k.cpu.seg[r as usize].base = base;
    }
    k.cpu.state_changed();
    k.put(0x5_0010, &[0x77]);
    k.bytes(&[0x64, 0xA4]);
    k.cpu.gpr.set(gpr::SI, 0x10u32);
    k.cpu.gpr.set(gpr::DI, 0x20u32);
    assert_eq!(k.step(), Led::Through);
    assert_eq!(k.get8(0x3_0020), 0x77);
}
