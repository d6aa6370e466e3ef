//! CPUID: announces exactly what works.
//!
//! A processor of the Pentium III class (family 6, model 11) that knows SSE2, SSE3 and execute-disable besides. The
//! vendor is "GenuineIntel", because guests choose what to do with MSRs, microcode and errata by it, and all of
//! that follows Intel's manuals here. SDM Vol. 2A, "CPUID—CPU Identification".

use crate::cpu::Cpu;

/// Family 6, model 11, stepping 1: what EDX holds after reset and CPUID leaf 1 gives in EAX.
pub const SIGNATURE: u32 = 0x0000_06B1;

const VENDOR: [u32; 3] =
    [u32::from_le_bytes(*b"Genu"), u32::from_le_bytes(*b"ineI"), u32::from_le_bytes(*b"ntel")];
const BRAND: &[u8; 48] = b"idem86 virtual processor\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// Feature bits of leaf 1 in EDX.
pub mod edx {
    /// x87 unit.
    pub const FPU: u32 = 1 << 0;
    /// Virtual-8086 mode extensions.
    pub const VME: u32 = 1 << 1;
    /// Debugging extensions: I/O breakpoints.
    pub const DE: u32 = 1 << 2;
    /// 4-MiB pages.
    pub const PSE: u32 = 1 << 3;
    /// RDTSC.
    pub const TSC: u32 = 1 << 4;
    /// RDMSR and WRMSR.
    pub const MSR: u32 = 1 << 5;
    /// Physical address extension.
    pub const PAE: u32 = 1 << 6;
    /// Machine-check exception.
    pub const MCE: u32 = 1 << 7;
    /// CMPXCHG8B.
    pub const CX8: u32 = 1 << 8;
    /// Local APIC: as IA32_APIC_BASE says.
    pub const APIC: u32 = 1 << 9;
    /// SYSENTER and SYSEXIT.
    pub const SEP: u32 = 1 << 11;
    /// Memory type range registers.
    pub const MTRR: u32 = 1 << 12;
    /// Global pages.
    pub const PGE: u32 = 1 << 13;
    /// Machine-check architecture (with no banks).
    pub const MCA: u32 = 1 << 14;
    /// CMOVcc and FCMOVcc.
    pub const CMOV: u32 = 1 << 15;
    /// Page attribute table.
    pub const PAT: u32 = 1 << 16;
    /// 36-bit addresses in 4-MiB pages.
    pub const PSE36: u32 = 1 << 17;
    /// CLFLUSH.
    pub const CLFSH: u32 = 1 << 19;
    /// MMX.
    pub const MMX: u32 = 1 << 23;
    /// FXSAVE and FXRSTOR.
    pub const FXSR: u32 = 1 << 24;
    /// SSE.
    pub const SSE: u32 = 1 << 25;
    /// SSE2.
    pub const SSE2: u32 = 1 << 26;
    /// All that is always there.
    pub const ALWAYS: u32 = FPU
        | VME
        | DE
        | PSE
        | TSC
        | MSR
        | PAE
        | MCE
        | CX8
        | SEP
        | MTRR
        | PGE
        | MCA
        | CMOV
        | PAT
        | PSE36
        | CLFSH
        | MMX
        | FXSR
        | SSE
        | SSE2;
}

/// SSE3, in ECX of leaf 1.
const SSE3: u32 = 1 << 0;
/// Execute-disable, in EDX of leaf 80000001h.
const NX: u32 = 1 << 20;
/// CLFLUSH flushes 8 times 8 bytes; in EBX of leaf 1.
const CLFLUSH_LINE: u32 = 8 << 8;
/// One byte each: read once; 4-KiB and 4-MiB pages, instruction TLB; 4-KiB pages, data TLB ...
const CACHES_A: u32 = 0x0302_0101;
/// ... 4-MiB pages, data TLB; 16-KiB instruction and data caches; 512-KiB second-level cache.
const CACHES_D: u32 = 0x0C04_0883;
/// Physical addresses have 36 bits, linear ones 32.
const ADDRESS_SIZES: u32 = 32 << 8 | 36;

const LAST_BASIC: u32 = 2;
const LAST_EXTENDED: u32 = 0x8000_0008;

/// EAX, EBX, ECX and EDX of leaf `n`. A leaf beyond the last gives the last basic one.
pub fn leaf(cpu: &Cpu, n: u32) -> [u32; 4] {
    match n {
        0 => [LAST_BASIC, VENDOR[0], VENDOR[2], VENDOR[1]],
        1 => {
            let apic = if cpu.msr.apic_base & 0x800 != 0 { edx::APIC } else { 0 };
            [SIGNATURE, CLFLUSH_LINE, SSE3, edx::ALWAYS | apic]
        }
        0x8000_0000 => [LAST_EXTENDED, 0, 0, 0],
        0x8000_0001 => [0, 0, 0, NX],
        0x8000_0002..=0x8000_0004 => {
            let part = &BRAND[(n - 0x8000_0002) as usize * 16..][..16];
            [0, 4, 8, 12].map(|at| u32::from_le_bytes([part[at], part[at + 1], part[at + 2], part[at + 3]]))
        }
        0x8000_0005..=0x8000_0007 => [0; 4],
        LAST_EXTENDED => [ADDRESS_SIZES, 0, 0, 0],
        _ => [CACHES_A, 0, 0, CACHES_D],
    }
}
