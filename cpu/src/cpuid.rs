//! CPUID: announces exactly what works.
//!
//! The vendor is "GenuineIntel", because guests choose what to do with MSRs, microcode and errata by it, and all of
//! that follows Intel's manuals here. SDM Vol. 2A, "CPUID—CPU Identification"; what older models say is in AP-485,
//! "Intel Processor Identification and the CPUID Instruction".

use crate::cpu::Cpu;
use crate::processor::{Feature, Features, Leaf, Model};

const VENDOR: [u32; 3] =
    [u32::from_le_bytes(*b"Genu"), u32::from_le_bytes(*b"ineI"), u32::from_le_bytes(*b"ntel")];
const BRAND: &[u8; 48] = b"idem86 virtual processor\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// CLFLUSH flushes 8 times 8 bytes; in EBX of leaf 1.
const CLFLUSH_LINE: u32 = 8 << 8;
/// x87 unit, in EDX of leaf 1.
const FPU: u32 = 1 << 0;
/// One byte each: read once; 4-KiB and 4-MiB pages, instruction TLB; 4-KiB pages, data TLB ...
const CACHES_A: u32 = 0x0302_0101;
/// Physical addresses have 36 bits, linear ones 32.
const ADDRESS_SIZES: u32 = 32 << 8 | 36;

const LAST_EXTENDED: u32 = 0x8000_0008;

/// The last basic leaf.
fn last_basic(model: Model) -> u32 {
    if model.family() >= 6 { 2 } else { 1 }
}

/// EDX of leaf 2: 4-MiB pages, data TLB; 16-KiB instruction and data caches; the second-level cache, 512 KiB.
fn caches(model: Model) -> u32 {
    match model {
        Model::Max => 0x0C04_0883,
        _ => 0x0C04_0843,
    }
}

/// EAX, EBX, ECX and EDX of leaf `n`. A leaf beyond the last gives the last basic one.
pub fn leaf(cpu: &Cpu, n: u32) -> [u32; 4] {
    let (model, features) = (cpu.processor.model(), cpu.processor.features());
    // No older processor had extended leaves, but the one of execute-disable is there that tells of it.
    let extended = model == Model::Max || features.has(Feature::Nx);
    match n {
        0 => [last_basic(model), VENDOR[0], VENDOR[2], VENDOR[1]],
        0x8000_0000 if extended => [LAST_EXTENDED, 0, 0, 0],
        0x8000_0001 if extended => [0, 0, 0, features.bits(Leaf::ExtendedEdx)],
        0x8000_0002..=0x8000_0004 if extended => {
            let part = &BRAND[(n - 0x8000_0002) as usize * 16..][..16];
            [0, 4, 8, 12].map(|at| u32::from_le_bytes([part[at], part[at + 1], part[at + 2], part[at + 3]]))
        }
        0x8000_0005..=0x8000_0007 if extended => [0; 4],
        LAST_EXTENDED if extended => [ADDRESS_SIZES, 0, 0, 0],
        2.. if last_basic(model) == 2 => [CACHES_A, 0, 0, caches(model)],
        _ => {
            let line = if features.has(Feature::Clflush) { CLFLUSH_LINE } else { 0 };
            let apic_off = cpu.msr.apic_base & 0x800 == 0;
            let hidden = if apic_off { Features::of(&[Feature::Apic]).bits(Leaf::Edx) } else { 0 };
            let edx = FPU | features.bits(Leaf::Edx) & !hidden;
            [model.signature(), line, features.bits(Leaf::Ecx), edx]
        }
    }
}
