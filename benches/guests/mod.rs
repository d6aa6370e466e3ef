//! Guest programs for benchmarks: boot sectors that run a loop and end the run.
//!
//! Each is a flat image that any PC emulator can boot. It does a given number of iterations and then ends the run
//! in the ways that different programs understand: the debug-exit port F4h, the word "Shutdown" on Bochs's port
//! 8900h.

use iced_x86::IcedError;
use iced_x86::code_asm::*;
use idem86::testing::enable_paging;

/// Where boot sectors are loaded.
const ORIGIN: u64 = 0x7C00;

/// A program: writes its loop, which counts EBP down to zero, once.
type Body = fn(&mut CodeAssembler) -> Result<(), IcedError>;

/// A guest program.
#[derive(Clone, Copy)]
pub struct Guest {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it exercises.
    pub about: &'static str,
    mode: Mode,
    body: Body,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Real,
    Flat,
    Paged,
}

/// All guest programs.
pub const GUESTS: &[Guest] = &[
    Guest { name: "real16", about: "16-bit code: arithmetic, memory, LOOP", mode: Mode::Real, body: real16 },
    Guest { name: "loop32", about: "32-bit registers only", mode: Mode::Flat, body: loop32 },
    Guest {
        name: "sieve32",
        about: "32-bit sieve of Eratosthenes: bytes in memory",
        mode: Mode::Flat,
        body: sieve32,
    },
    Guest {
        name: "calls32",
        about: "32-bit recursive Fibonacci: CALL, RET, stack",
        mode: Mode::Flat,
        body: calls32,
    },
    Guest {
        name: "mixed32",
        about: "the same with the stack on the page of the code",
        mode: Mode::Flat,
        body: mixed32,
    },
    Guest {
        name: "paged32",
        about: "the sieve and a string copy under 4-KiB paging",
        mode: Mode::Paged,
        body: paged32,
    },
    Guest {
        name: "packed32",
        about: "packed integers in XMM registers: blending two images",
        mode: Mode::Flat,
        body: packed32,
    },
    Guest {
        name: "float32",
        about: "packed singles and scalar doubles: SSE and SSE2",
        mode: Mode::Flat,
        body: float32,
    },
    Guest {
        name: "stack32",
        about: "doubles on the x87 stack, and conversions as compilers write them",
        mode: Mode::Flat,
        body: stack32,
    },
];

impl Guest {
    /// The program's 512-byte boot sector, doing `iterations` rounds of its loop.
    pub fn image(&self, iterations: u32) -> Result<Vec<u8>, IcedError> {
        let mut sector = match self.mode {
            Mode::Real => self.real_image(iterations)?,
            Mode::Flat | Mode::Paged => self.protected_image(iterations)?,
        };
        assert!(sector.len() <= 510, "{} has {} bytes, a boot sector holds 510", self.name, sector.len());
        sector.resize(510, 0);
        sector.extend([0x55, 0xAA]);
        Ok(sector)
    }

    fn real_image(&self, iterations: u32) -> Result<Vec<u8>, IcedError> {
        let mut a = CodeAssembler::new(16)?;
        a.xor(ax, ax)?;
        a.mov(ds, ax)?;
        a.mov(es, ax)?;
        a.mov(ss, ax)?;
        a.mov(sp, ORIGIN as u32 as i32)?;
        a.mov(ebp, iterations)?;
        self.rounds(&mut a)?;
        a.assemble(ORIGIN)
    }

    fn protected_image(&self, iterations: u32) -> Result<Vec<u8>, IcedError> {
        // A 16-bit head enters protected mode and jumps to the 32-bit part behind it.
        const HEAD: u64 = 0x40;
        const GDT: u64 = HEAD - 24;
        let mut a = CodeAssembler::new(16)?;
        a.cli()?;
        a.xor(ax, ax)?;
        a.mov(ds, ax)?;
        a.lgdt(dword_ptr(ORIGIN + GDT))?;
        a.mov(eax, cr0)?;
        a.or(al, 1)?;
        a.mov(cr0, eax)?;
        let mut image = a.assemble(ORIGIN)?;
        let entry = (ORIGIN + HEAD) as u16;
        image.push(0xEA); // JMP FAR 8:entry, which the assembler has no name for.
        image.extend(entry.to_le_bytes());
        image.extend(8u16.to_le_bytes());
        assert!(image.len() <= GDT as usize, "the head runs into its table");
        image.resize(GDT as usize, 0);
        // The null descriptor's place holds the pseudo-descriptor for LGDT.
        image.extend(23u16.to_le_bytes());
        image.extend(((ORIGIN + GDT) as u32).to_le_bytes());
        image.extend([0, 0]);
        image.extend(0x00CF_9B00_0000_FFFFu64.to_le_bytes());
        image.extend(0x00CF_9300_0000_FFFFu64.to_le_bytes());

        let mut a = CodeAssembler::new(32)?;
        a.mov(eax, 0x10)?;
        a.mov(ds, eax)?;
        a.mov(es, eax)?;
        a.mov(ss, eax)?;
        a.mov(esp, ORIGIN as u32)?;
        if self.mode == Mode::Paged {
            // The first 8 MiB, for everybody.
            enable_paging(&mut a, 0x10_0000, 2, 7)?;
        }
        a.mov(ebp, iterations)?;
        self.rounds(&mut a)?;
        image.extend(a.assemble(ORIGIN + HEAD)?);
        Ok(image)
    }

    /// The loop over EBP, and the end of the run.
    fn rounds(&self, a: &mut CodeAssembler) -> Result<(), IcedError> {
        let mut again = a.create_label();
        let mut done = a.create_label();
        a.set_label(&mut again)?;
        a.test(ebp, ebp)?;
        a.je(done)?;
        (self.body)(a)?;
        a.dec(ebp)?;
        a.jmp(again)?;
        a.set_label(&mut done)?;
        a.mov(al, 0)?;
        a.out(0xF4, al)?;
        a.mov(dx, 0x8900)?;
        for c in *b"Shutdown" {
            a.mov(al, c as u32)?;
            a.out(dx, al)?;
        }
        let mut halt = a.create_label();
        a.set_label(&mut halt)?;
        a.hlt()?;
        a.jmp(halt)
    }
}

fn real16(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.mov(cx, 20_000)?;
    a.mov(si, 0x1000)?;
    let mut l = a.create_label();
    a.set_label(&mut l)?;
    a.mov(al, byte_ptr(si))?;
    a.add(al, cl)?;
    a.mov(byte_ptr(si), al)?;
    a.inc(si)?;
    a.and(si, 0x1FFF)?;
    a.or(si, 0x1000)?;
    a.loop_(l)
}

fn loop32(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.mov(ecx, 100_000)?;
    let mut l = a.create_label();
    a.set_label(&mut l)?;
    a.add(eax, ecx)?;
    a.xor(ebx, eax)?;
    a.lea(edx, ptr(ebx + eax * 2 + 5))?;
    a.dec(ecx)?;
    a.jne(l)
}

/// Where the sieve's array lies.
const SIEVE: u32 = 0x20_0000;
const SIEVE_SIZE: u32 = 100_000;

fn sieve32(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.mov(edi, SIEVE)?;
    a.mov(ecx, SIEVE_SIZE)?;
    let mut fill = a.create_label();
    a.set_label(&mut fill)?;
    a.mov(byte_ptr(edi), 1)?;
    a.inc(edi)?;
    a.dec(ecx)?;
    a.jne(fill)?;
    a.mov(esi, 2)?;
    let (mut outer, mut inner, mut next) = (a.create_label(), a.create_label(), a.create_label());
    a.set_label(&mut outer)?;
    a.cmp(byte_ptr(esi + SIEVE), 0)?;
    a.je(next)?;
    a.lea(eax, ptr(esi + esi))?;
    a.set_label(&mut inner)?;
    a.cmp(eax, SIEVE_SIZE)?;
    a.jae(next)?;
    a.mov(byte_ptr(eax + SIEVE), 0)?;
    a.add(eax, esi)?;
    a.jmp(inner)?;
    a.set_label(&mut next)?;
    a.inc(esi)?;
    a.cmp(esi, 320)?;
    a.jb(outer)
}

fn calls32(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.mov(esp, ORIGIN as u32 - 0x1000)?;
    fibonacci(a)
}

fn mixed32(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.mov(esp, ORIGIN as u32 + 0x3F0)?;
    fibonacci(a)
}

fn fibonacci(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let (mut fib, mut small, mut end) = (a.create_label(), a.create_label(), a.create_label());
    a.mov(eax, 20)?;
    a.call(fib)?;
    a.jmp(end)?;
    a.set_label(&mut fib)?;
    a.cmp(eax, 2)?;
    a.jb(small)?;
    a.push(eax)?;
    a.dec(eax)?;
    a.call(fib)?;
    a.xchg(dword_ptr(esp), eax)?;
    a.sub(eax, 2)?;
    a.call(fib)?;
    a.pop(edx)?;
    a.add(eax, edx)?;
    a.set_label(&mut small)?;
    a.ret()?;
    a.set_label(&mut end)?;
    a.nop()
}

fn paged32(a: &mut CodeAssembler) -> Result<(), IcedError> {
    sieve32(a)?;
    a.mov(esi, SIEVE)?;
    a.mov(edi, SIEVE + 0x10_0000)?;
    a.mov(ecx, SIEVE_SIZE / 4)?;
    let mut copy = a.create_label();
    a.set_label(&mut copy)?;
    a.mov(eax, dword_ptr(esi))?;
    a.mov(dword_ptr(edi), eax)?;
    a.add(esi, 4)?;
    a.add(edi, 4)?;
    a.dec(ecx)?;
    a.jne(copy)
}

/// Sets CR4.OSFXSR and CR4.OSXMMEXCPT.
fn enable_sse(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.mov(eax, cr4)?;
    a.or(eax, 0x600)?;
    a.mov(cr4, eax)
}

/// Bytes of an image, and of an array.
const VECTORS: u32 = 0x1_0000;

fn packed32(a: &mut CodeAssembler) -> Result<(), IcedError> {
    const IMAGES: [u32; 2] = [SIEVE, SIEVE + VECTORS];
    enable_sse(a)?;
    a.pxor(xmm7, xmm7)?;
    a.mov(eax, 0x0060_0060)?;
    a.movd(xmm6, eax)?;
    a.pshufd(xmm6, xmm6, 0)?;
    a.xor(ecx, ecx)?;
    let mut l = a.create_label();
    a.set_label(&mut l)?;
    // (first * 60h + second * A0h) / 100h, for each byte
    a.movdqa(xmm0, xmmword_ptr(ecx + IMAGES[0]))?;
    a.movdqa(xmm2, xmmword_ptr(ecx + IMAGES[1]))?;
    a.movdqa(xmm1, xmm0)?;
    a.movdqa(xmm3, xmm2)?;
    for (first, second, high) in [(xmm0, xmm2, false), (xmm1, xmm3, true)] {
        if high {
            a.punpckhbw(first, xmm7)?;
            a.punpckhbw(second, xmm7)?;
        } else {
            a.punpcklbw(first, xmm7)?;
            a.punpcklbw(second, xmm7)?;
        }
        a.psubw(first, second)?;
        a.pmullw(first, xmm6)?;
        a.psrlw(first, 8)?;
        a.paddb(first, second)?;
    }
    a.packuswb(xmm0, xmm1)?;
    a.movdqa(xmmword_ptr(ecx + IMAGES[1]), xmm0)?;
    a.add(ecx, 16)?;
    a.cmp(ecx, VECTORS)?;
    a.jb(l)
}

fn float32(a: &mut CodeAssembler) -> Result<(), IcedError> {
    const ARRAYS: [u32; 2] = [SIEVE, SIEVE + VECTORS];
    enable_sse(a)?;
    a.mov(ecx, VECTORS)?;
    let mut fill = a.create_label();
    a.set_label(&mut fill)?;
    a.cvtsi2ss(xmm0, ecx)?;
    a.movss(dword_ptr(ecx + (ARRAYS[0] - 4)), xmm0)?;
    a.sub(ecx, 4)?;
    a.jne(fill)?;
    a.mov(eax, 0x3F19_999Au32)?; // 0.6
    a.movd(xmm7, eax)?;
    a.shufps(xmm7, xmm7, 0)?;
    a.cvtss2sd(xmm6, xmm7)?;
    let mut l = a.create_label();
    a.set_label(&mut l)?;
    a.movaps(xmm0, xmmword_ptr(ecx + ARRAYS[0]))?;
    a.movaps(xmm1, xmm0)?;
    a.mulps(xmm0, xmm7)?;
    a.addps(xmm0, xmmword_ptr(ecx + ARRAYS[1]))?;
    a.sqrtps(xmm1, xmm1)?;
    a.subps(xmm0, xmm1)?;
    a.movaps(xmmword_ptr(ecx + ARRAYS[1]), xmm0)?;
    a.cvtss2sd(xmm2, xmm0)?;
    a.addsd(xmm3, xmm2)?;
    a.mulsd(xmm3, xmm6)?;
    a.comisd(xmm3, xmm2)?;
    a.add(ecx, 16)?;
    a.cmp(ecx, VECTORS)?;
    a.jb(l)
}

fn stack32(a: &mut CodeAssembler) -> Result<(), IcedError> {
    const ARRAYS: [u32; 2] = [SIEVE, SIEVE + VECTORS];
    const INTEGER: u32 = SIEVE + 2 * VECTORS;
    const NEAREST: u32 = INTEGER + 8;
    const CHOPPING: u32 = INTEGER + 16;
    a.fninit()?;
    a.mov(word_ptr(CHOPPING), 0xF7F)?;
    a.mov(ecx, VECTORS)?;
    let mut fill = a.create_label();
    a.set_label(&mut fill)?;
    a.mov(dword_ptr(INTEGER), ecx)?;
    a.fild(dword_ptr(INTEGER))?;
    a.fstp(qword_ptr(ecx + (ARRAYS[0] - 8)))?;
    a.sub(ecx, 8)?;
    a.jne(fill)?;
    let mut l = a.create_label();
    a.set_label(&mut l)?;
    // y = x * r / (x + r), where r = sqrt(x * x + y), and its integral part
    a.fld(qword_ptr(ecx + ARRAYS[0]))?;
    a.fld(st0)?;
    a.fmul_2(st0, st1)?;
    a.fadd(qword_ptr(ecx + ARRAYS[1]))?;
    a.fsqrt()?;
    a.fadd_2(st1, st0)?;
    a.fmul(qword_ptr(ecx + ARRAYS[0]))?;
    a.fdivrp(st1, st0)?;
    a.fst(qword_ptr(ecx + ARRAYS[1]))?;
    a.fnstcw(word_ptr(NEAREST))?;
    a.fldcw(word_ptr(CHOPPING))?;
    a.fistp(dword_ptr(INTEGER))?;
    a.fldcw(word_ptr(NEAREST))?;
    a.add(ecx, 8)?;
    a.cmp(ecx, VECTORS)?;
    a.jb(l)
}
