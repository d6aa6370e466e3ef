//! Random programs: blocks of instructions that lead to one another, with pointers to places where something happens.
//!
//! What a program does not mean to do leads to a handler, which goes on at the block that was named last; so it runs
//! for ever.

use super::place;

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }
    pub fn u8(&mut self) -> u8 {
        self.next() as u8
    }
    /// 0 to `n - 1`.
    pub fn below(&mut self, n: u32) -> u32 {
        (self.next() >> 32) as u32 % n
    }
    pub fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u32) as usize]
    }
}

/// Bytes between the beginnings of two blocks.
const STRIDE: u32 = 0x70;
/// How many there are.
pub const BLOCKS: u32 = 48;

/// Where block `n` of a program begins.
pub fn block_at(origin: u32, n: u32) -> u32 {
    origin + n % BLOCKS * STRIDE
}

/// What a program is for.
#[derive(Clone, Copy, Debug)]
pub struct Flavour {
    /// 16 or 32: default operand and address size.
    pub bits: u32,
    /// From the offset of code to its linear address.
    pub base: u32,
    /// Page tables may be changed.
    pub paged: bool,
    /// SYSENTER leads to a kernel that comes back by SYSEXIT.
    pub sysenter: bool,
    /// Selectors that can be loaded into data segments.
    pub selectors: &'static [u16],
}

/// A program: bytes at an offset in its code segment.
pub struct Program {
    pub origin: u32,
    pub code: Vec<u8>,
}

struct Writer<'a> {
    r: &'a mut Random,
    flavour: Flavour,
    origin: u32,
    /// Where the block begins.
    at: u32,
    out: Vec<u8>,
}

/// A program for `flavour`.
pub fn program(r: &mut Random, flavour: Flavour) -> Program {
    let origin = place::CODE - flavour.base + r.below(STRIDE);
    let mut code = Vec::new();
    for n in 0..BLOCKS {
        let mut w = Writer { r, flavour, origin, at: block_at(origin, n), out: Vec::new() };
        w.block(n);
        let mut block = w.out;
        // What is too long is cut off: the next block goes on in the middle of an instruction.
        block.resize(STRIDE as usize, 0x90);
        code.extend(block);
    }
    Program { origin, code }
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.out.extend(bytes);
    }

    fn block_at(&self, n: u32) -> u32 {
        block_at(self.origin, n)
    }

    /// An offset or constant of the width of addresses.
    fn word(&mut self, v: u32) {
        match self.flavour.bits {
            16 => self.put(&(v as u16).to_le_bytes()),
            _ => self.put(&v.to_le_bytes()),
        }
    }

    fn block(&mut self, n: u32) {
        let some = self.r.below(BLOCKS);
        if self.r.one_in(2) {
            // MOV CS:[resume], a block; in protected mode SS, which can be written.
            let at = self.block_at(some);
            self.put(&[0x36, 0xC7, if self.flavour.bits == 16 { 0x06 } else { 0x05 }]);
            self.word(place::RESUME - self.flavour.base);
            self.word(at);
        }
        if self.r.one_in(4) {
            // MOV (E)SP, a stack.
            let small = self.flavour.bits == 16;
            let top = if small { place::SMALL_STACK - place::CODE } else { place::STACK };
            let top = top + self.r.pick(&[0, 4, 0x800, 0x802, 1, 3]);
            self.put(&[0xBC]);
            self.word(top);
        }
        let count = 2 + self.r.below(12);
        for _ in 0..count {
            self.instruction();
        }
        self.end(n);
    }

    /// The way to another block.
    fn end(&mut self, n: u32) {
        let here = self.origin + n * STRIDE + self.out.len() as u32;
        let there = self.r.below(BLOCKS);
        let target = self.block_at(there);
        let wide = self.flavour.bits == 32;
        let relative = |length: u32| target.wrapping_sub(here + length);
        match if self.flavour.paged && self.r.one_in(4) { 8 } else { self.r.below(10) } {
            0..3 => {
                let length = if wide { 5 } else { 3 };
                self.put(&[0xE9]);
                self.word(relative(length));
            }
            3..5 => {
                let condition = self.r.u8() & 15;
                let length = if wide { 6 } else { 4 };
                self.put(&[0x0F, 0x80 | condition]);
                self.word(relative(length));
            }
            5 => {
                let length = if wide { 5 } else { 3 };
                self.put(&[0xE8]);
                self.word(relative(length));
            }
            6 => {
                // To itself, some times.
                let back = -(self.out.len() as i32) - 2;
                if back >= -128 {
                    let opcode = self.r.pick(&[0xE0, 0xE1, 0xE2, 0xE2, 0xE3]);
                    self.put(&[opcode, back as u8]);
                }
            }
            7 => {
                let stub = self.r.pick(&[0xC3, 0xC3, 0xC2]);
                self.put(&[0x68]);
                self.word(target);
                self.put(&[stub]);
                if stub == 0xC2 {
                    self.put(&[4, 0]);
                }
            }
            8 => {
                // MOV EAX, a block, perhaps where it is mapped too; JMP or CALL EAX.
                let alias = place::ALIASES + self.r.below(place::ALIAS_PAGES) * 0x1000 + (target & 0xFFF);
                let elsewhere = self.flavour.paged && self.r.one_in(2);
                self.put(&[0xB8]);
                self.word(if elsewhere { alias } else { target });
                let modrm = self.r.pick(&[0xE0, 0xD0]);
                self.put(&[0xFF, modrm]);
            }
            _ => self.put(&[0xC3]),
        }
    }

    /// An offset where something may happen.
    fn address(&mut self) -> u32 {
        let r = &mut *self.r;
        let near_end = |r: &mut Random| r.below(4) * 0x1000 + 0xFF0 + r.below(20);
        let small = self.flavour.bits == 16;
        let data = if small { place::SMALL_DATA } else { place::DATA };
        let linear = match r.below(16) {
            0..6 => data + near_end(r),
            6..9 => data + r.below(0x4000),
            9..12 if small => place::CODE + r.pick(&[0xFFFF, 0xFFFE, 0xFFFD, 0, 1]),
            9 => place::ALIASES + near_end(r),
            10 => place::ALIASES + r.below(place::ALIAS_PAGES) * 0x1000 + r.below(0x1000),
            11 => place::ABSENT + near_end(r),
            12 | 13 => place::CODE + r.below(STRIDE * BLOCKS),
            14 => place::STACK - r.below(64),
            _ => r.pick(&[0, 0xFFFF_FFFE, 0xFFFF, 0x1_0000 - 2, 0x3F_FFFE, 0x40_0000, 0x10_0000]),
        };
        linear.wrapping_sub(if r.one_in(8) { 0 } else { self.flavour.base })
    }

    /// The bytes from ModRM on: a register operand or one in memory.
    fn modrm(&mut self, reg: u8) {
        let reg = (reg & 7) << 3;
        let form = self.r.below(10);
        let mut rm = self.r.u8() & 7;
        if rm == 4 && form < 4 && !self.r.one_in(8) {
            // The stack pointer is seldom a mere operand.
            rm = 1;
        }
        let displacement = self.r.pick(&[0, 0, 1, 4, 8, 0xFC, 0xFF, 0x10]);
        match form {
            0..4 => self.put(&[0xC0 | reg | rm]),
            4 => {
                // An address as displacement.
                let at = self.address();
                self.put(&[if self.flavour.bits == 16 { 6 } else { 5 } | reg]);
                self.word(at);
            }
            5..8 => self.based(0x40 | reg | rm, &[displacement]),
            8 => self.based(0x80 | reg | rm, &[displacement, 0, 0, 0]),
            _ if matches!(rm, 5) => self.based(0x40 | reg | rm, &[displacement]),
            _ => self.based(reg | rm, &[]),
        }
    }

    fn based(&mut self, modrm: u8, displacement: &[u8]) {
        self.put(&[modrm]);
        if self.flavour.bits == 32 && modrm & 7 == 4 {
            // Index: mostly none or a small number; base: a pointer.
            let sib = self.r.pick(&[0x24, 0x24, 0x23, 0x26, 0x27, 0x4E, 0x13, 0xC7]);
            self.put(&[sib]);
        }
        let most = if self.flavour.bits == 16 { 2 } else { 4 };
        self.put(&displacement[..displacement.len().min(most)]);
        if self.flavour.bits == 16 && modrm >> 6 == 0 && modrm & 7 == 6 {
            let at = self.address();
            self.word(at);
        }
    }

    fn instruction(&mut self) {
        if self.r.one_in(3) {
            // A pointer: EBX, EBP, ESI or EDI.
            let (register, at) = (self.r.pick(&[3, 5, 6, 7, 6, 7]), self.address());
            self.put(&[0xB8 | register]);
            self.word(at);
        }
        if self.r.one_in(6) {
            self.put(&[0x66]);
        }
        if self.r.one_in(16) {
            let prefix = self.r.pick(&[0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65]);
            self.put(&[prefix]);
        }
        let reg = self.r.u8();
        match self.r.below(27) {
            0..4 => {
                let opcode = (self.r.u8() & 7) << 3 | self.r.u8() & 3;
                self.put(&[opcode]);
                self.modrm(reg);
            }
            4 | 5 => {
                let (opcode, value) = (self.r.pick(&[0x80, 0x83]), self.r.u8());
                self.put(&[opcode]);
                self.modrm(reg);
                self.put(&[value]);
            }
            6..9 => {
                let opcode = self.r.pick(&[0x88, 0x89, 0x8A, 0x8B, 0x86, 0x87, 0x8D, 0x84, 0x85]);
                self.put(&[opcode]);
                self.modrm(reg);
            }
            9 => {
                let opcode = self.r.pick(&[0xF6, 0xF7, 0xFE, 0xFF]);
                // What these do: NOT to IDIV, INC and DEC.
                let group = if opcode < 0xF8 { 2 + self.r.u8() % 6 } else { self.r.u8() & 1 };
                self.put(&[opcode]);
                self.modrm(group);
            }
            10 | 11 => {
                let opcode = self.r.pick(&[0xC0, 0xC1, 0xD0, 0xD1, 0xD2, 0xD3]);
                let count = self.r.u8();
                self.put(&[opcode]);
                self.modrm(reg);
                if opcode < 0xD0 {
                    self.put(&[count & 0x3F]);
                }
            }
            12 | 13 => {
                let second = self.r.pick(&[
                    0xB6, 0xB7, 0xBE, 0xBF, 0xAF, 0xBC, 0xBD, 0xA3, 0xAB, 0xB3, 0xBB, 0xA5, 0xAD, 0xB0, 0xB1,
                    0xC0, 0xC1, 0xC7, 0x90, 0x94, 0x9F, 0x40, 0x44, 0x4C, 0x4F, 0xC8, 0xCB,
                ]);
                self.put(&[0x0F, second]);
                match second {
                    0xC8 | 0xCB => {}
                    0xC7 => self.modrm(1),
                    _ => self.modrm(reg),
                }
            }
            14..17 => self.stack(),
            17 => {
                // A string instruction, with few repetitions.
                let count = self.r.pick(&[0, 1, 2, 3, 7, 20, 60]);
                let opcode = self.r.pick(&[0xA4, 0xA5, 0xA6, 0xA7, 0xAA, 0xAB, 0xAC, 0xAD, 0xAE, 0xAF]);
                self.put(&[0xB9]);
                self.word(count);
                let prefix = self.r.pick(&[0xF3, 0xF3, 0xF2]);
                self.put(&[prefix, opcode]);
            }
            18 => {
                let one = self.r.pick(&[
                    0xF8, 0xF9, 0xF5, 0xFC, 0xFD, 0xFC, 0xFC, 0x9E, 0x9F, 0x98, 0x99, 0x27, 0x2F, 0x37, 0x3F,
                    0xD7, 0xD6, 0x9B, 0x40, 0x4B, 0x91, 0x97, 0xFA, 0xFB,
                ]);
                self.put(&[one]);
            }
            19 => {
                // To the accumulator and back.
                let (opcode, at) = (self.r.pick(&[0xA0, 0xA1, 0xA2, 0xA3]), self.address());
                self.put(&[opcode]);
                self.word(at);
            }
            20 => self.float(reg),
            26 => {
                // MOV ECX, a bit number that leads beyond the operand; BT, BTS, BTR or BTC.
                let number = self.r.below(0x400).wrapping_sub(0x100);
                self.put(&[0xB9]);
                self.word(number);
                let second = self.r.pick(&[0xA3, 0xAB, 0xB3, 0xBB]);
                if second != 0xA3 && self.r.one_in(3) {
                    self.put(&[0xF0]);
                }
                self.put(&[0x0F, second]);
                self.modrm(1);
            }
            21..24 => self.patch(),
            _ => self.system(),
        }
    }

    fn stack(&mut self) {
        let register = self.r.u8() & 7;
        match self.r.below(10) {
            0..3 => self.put(&[0x50 | register]),
            3..5 => self.put(&[0x58 | register]),
            5 => {
                self.put(&[0xFF]);
                self.modrm(6);
            }
            6 => {
                self.put(&[0x8F]);
                self.modrm(0);
            }
            7 => {
                let opcode = self.r.pick(&[0x60, 0x61, 0x9C, 0x9D, 0xC9, 0x06, 0x1E, 0x07, 0x1F]);
                self.put(&[opcode]);
            }
            8 => {
                let (size, level) = (self.r.u8() & 0x1C, self.r.u8() & 3);
                self.put(&[0xC8, size, 0, level]);
            }
            _ => {
                let value = self.r.u8();
                self.put(&[0x6A, value]);
            }
        }
    }

    /// x87, MMX and SSE.
    fn float(&mut self, reg: u8) {
        match self.r.below(4) {
            0 | 1 => {
                let opcode = 0xD8 | self.r.u8() & 7;
                self.put(&[opcode]);
                self.modrm(reg);
            }
            2 => {
                let second = self.r.pick(&[0x6F, 0x7F, 0xEF, 0xFE, 0x60, 0xD5, 0x77, 0x6E, 0x7E, 0xD6]);
                self.put(&[0x0F, second]);
                if second != 0x77 {
                    self.modrm(reg);
                }
            }
            _ => {
                let prefix = self.r.pick(&[0x66, 0xF2, 0xF3, 0x90]);
                let second =
                    self.r.pick(&[0x10, 0x11, 0x58, 0x59, 0x5C, 0x2A, 0x2C, 0x2E, 0x6F, 0x7F, 0x28, 0x29]);
                self.put(&[prefix, 0x0F, second]);
                self.modrm(reg);
            }
        }
    }

    /// Writes to code: near, mostly ahead, so that what was written is executed soon.
    fn patch(&mut self) {
        let here = self.at + self.out.len() as u32;
        let ahead = here.wrapping_add(self.r.below(0x30));
        let far = self.origin + self.r.below(STRIDE * BLOCKS);
        let mut at = if self.r.one_in(2) { ahead } else { far };
        if self.flavour.paged && self.r.one_in(3) {
            at = place::ALIASES + self.r.below(place::ALIAS_PAGES) * 0x1000 + (at & 0xFFF);
        }
        if self.r.one_in(2) {
            // XOR byte [code], which changes it each time.
            self.put(&[0x36, 0x80, if self.flavour.bits == 16 { 0x36 } else { 0x35 }]);
            self.word(at);
            let changed = self.r.pick(&[0x08, 0x01]);
            self.put(&[changed]);
            return;
        }
        let (opcode, size) = self.r.pick(&[(0xC6, 1), (0xC7, 2), (0xC7, 4)]);
        if size == if self.flavour.bits == 16 { 4 } else { 2 } {
            self.put(&[0x66]);
        }
        self.put(&[0x36, opcode, if self.flavour.bits == 16 { 6 } else { 5 }]);
        self.word(at);
        let filler = self.r.pick(&[0x90, 0x40, 0x48, 0xF8, 0xF9, 0x91]);
        for _ in 0..size {
            self.put(&[filler]);
        }
    }

    fn system(&mut self) {
        match self.r.below(14) {
            0..4 if self.flavour.paged => {
                // MOV dword [entry], value; INVLPG, except where rights only grow.
                let (page, frame) = (self.r.below(place::ALIAS_PAGES), self.r.below(4));
                let linear = place::ALIASES + page * 0x1000;
                let frames = [place::DATA, place::CODE + 0x1000, place::CODE, place::CODE];
                let rights = self.r.pick(&[7, 7, 5, 3, 1, 0, 0x67, 0x107, 0x65, 0x27]);
                let entry = frames[frame as usize] | rights;
                self.put(&[0x36, 0xC7, 0x05]);
                self.word(place::TABLE_ALIAS + (linear >> 12) * 4);
                self.word(entry);
                self.put(&[0x36, 0x0F, 0x01, 0x3D]);
                self.word(linear);
            }
            4 if self.flavour.paged => {
                // More rights need no INVLPG: OR dword [entry], 7.
                let page = (place::ALIASES >> 12) + self.r.below(place::ALIAS_PAGES);
                self.put(&[0x36, 0x83, 0x0D]);
                self.word(place::TABLE_ALIAS + page * 4);
                self.put(&[7]);
            }
            // MOV EAX, CR3; MOV CR3, EAX.
            5 if self.flavour.paged => self.put(&[0x0F, 0x20, 0xD8, 0x0F, 0x22, 0xD8]),
            // CR0.WP changes: MOV EAX, CR0; BTC EAX, 16; MOV CR0, EAX.
            6 if self.flavour.paged => {
                self.put(&[0x0F, 0x20, 0xC0, 0x0F, 0xBA, 0xF8, 0x10, 0x0F, 0x22, 0xC0]);
            }
            7 | 8 => {
                let selector = self.r.pick(self.flavour.selectors);
                let segment = self.r.pick(&[0, 3, 4, 5, 3]);
                self.put(&[0xB8]);
                self.word(selector.into());
                self.put(&[0x8E, 0xC0 | segment << 3]);
            }
            9 => {
                let vector = self.r.pick(&[0x20, 0x21, 3, 4, 0x20]);
                self.put(&[0xCD, vector]);
            }
            10 if self.flavour.sysenter => {
                // MOV ECX, ESP; CALL what follows; POP EDX; ADD EDX, 6; SYSENTER.
                self.put(&[0x89, 0xE1, 0xE8, 0, 0, 0, 0, 0x5A, 0x83, 0xC2, 6, 0x0F, 0x34]);
            }
            // SYSENTER, SYSEXIT, IRET with whatever is there.
            11 if self.flavour.sysenter => {
                let one: &[u8] = self.r.pick(&[&[0x0F, 0x34], &[0x0F, 0x35], &[0xCF]]);
                self.put(one);
            }
            10..12 => {
                let one: &[u8] =
                    self.r.pick(&[&[0xFA], &[0xFB], &[0x0F, 0xA2], &[0x0F, 0x31], &[0xEC], &[0xEF]]);
                self.put(one);
            }
            _ => {
                // BOUND, LES, LDS, XCHG.
                let (opcode, reg) = (self.r.pick(&[0x62, 0xC4, 0xC5, 0x87]), self.r.u8());
                self.put(&[opcode]);
                self.modrm(reg);
            }
        }
    }
}
