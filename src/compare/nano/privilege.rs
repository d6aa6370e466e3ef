//! Nanobenchmarks of instructions that read or write what a monitor owns.

use super::Emitted;
use super::address::{DATA, GDT_REGISTER};
use iced_x86::code_asm::*;

pub fn rdtsc(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.rdtsc()
}

pub fn cpuid(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.mov(eax, 1)?;
    a.cpuid()
}

pub fn cli_sti(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.cli()?;
    a.sti()
}

pub fn pushf_popf(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.pushfd()?;
    a.popfd()
}

pub fn read_cr0(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.mov(ebx, cr0)
}

/// As an operating system does that saves x87 registers when they are used.
pub fn mov_cr0(a: &mut CodeAssembler, _: u32) -> Emitted {
    const TS: u32 = 1 << 3;
    a.xor(ebx, TS)?;
    a.mov(cr0, ebx)
}

pub fn read_cr3(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.mov(ebx, cr3)
}

pub fn mov_cr3(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.mov(cr3, ebx)
}

pub fn invlpg(a: &mut CodeAssembler, n: u32) -> Emitted {
    a.invlpg(byte_ptr(DATA + n * 0x1000))
}

pub fn lgdt(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.lgdt(fword_ptr(GDT_REGISTER))
}

pub fn read_ds(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.mov(ebx, ds)
}

pub fn load_es(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.mov(es, ebx)
}
