//! The mode that a translation unit is made for.

use idem86_cpu::cpu::Cpu;
use idem86_cpu::mmu::tlb::View;
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::segment::{Bounds, SegReg, Segment};

/// Everything but the code's bytes and its EIP that decides how it is translated.
///
/// Each callout that may change the mode computes it and compares: it is a few bits and two words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModeKey {
    bits: u32,
    /// Base of CS.
    pub cs_base: u32,
    /// Limit of CS.
    pub cs_limit: u32,
}

/// [`ModeKey::bits`]: below these the numbers of ES, SS and DS, set where such a segment is flat.
mod mode {
    pub const CODE32: u32 = 1 << 6;
    pub const STACK32: u32 = 1 << 7;
    pub const USER: u32 = 1 << 8;
    pub const REAL: u32 = 1 << 9;
    pub const KERNEL: u32 = 1 << 10;
    pub const V8086: u32 = 1 << 11;
    pub const INTERRUPTS: u32 = 1 << 12;
    pub const DOWN: u32 = 1 << 13;
    pub const WINDOW: u32 = 1 << 14;
}

impl ModeKey {
    /// The mode of `cpu`, without a window; `None` if its code is not translated in this mode.
    #[inline]
    pub fn of(cpu: &Cpu) -> Option<ModeKey> {
        let user = match cpu.view() {
            View::Supervisor => false,
            View::User => true,
            View::UserAligned => return None,
        };
        let [es, cs, ss, ds, ..] = &cpu.seg;
        let real = cpu.real_mode();
        let set = |on: bool, bit: u32| if on { bit } else { 0 };
        let flat = |s: &Segment, register: SegReg| set(is_flat(s), 1 << register as u8);
        let bits = flat(es, SegReg::Es)
            | flat(ss, SegReg::Ss)
            | flat(ds, SegReg::Ds)
            | set(cs.access.big(), mode::CODE32)
            | set(ss.access.big(), mode::STACK32)
            | set(user, mode::USER)
            | set(real, mode::REAL)
            | set(cpu.cpl == 0 && !real, mode::KERNEL)
            | set(cpu.v8086(), mode::V8086)
            | set(real || cpu.cpl <= cpu.eflags.iopl(), mode::INTERRUPTS)
            | set(cpu.eflags.has(bit::DF), mode::DOWN);
        Some(ModeKey { bits, cs_base: cs.base as u32, cs_limit: cs.limit })
    }

    /// The same mode, with memory accessed through the window of its view, or not.
    pub fn with_window(self, window: bool) -> ModeKey {
        let bits = if window { self.bits | mode::WINDOW } else { self.bits & !mode::WINDOW };
        ModeKey { bits, ..self }
    }

    /// What it is but for the bounds of CS: less than 2 to the 15th.
    pub fn bits(self) -> u32 {
        self.bits
    }

    fn has(self, bit: u32) -> bool {
        self.bits & bit != 0
    }

    /// Default operand and address size: 32, else 16.
    pub fn code32(self) -> bool {
        self.has(mode::CODE32)
    }

    /// The stack pointer is ESP, else SP.
    pub fn stack32(self) -> bool {
        self.has(mode::STACK32)
    }

    /// CPL 3.
    pub fn user(self) -> bool {
        self.has(mode::USER)
    }

    /// Real mode.
    pub fn real(self) -> bool {
        self.has(mode::REAL)
    }

    /// CPL 0 of protected mode.
    pub fn kernel(self) -> bool {
        self.has(mode::KERNEL)
    }

    /// Virtual-8086 mode.
    pub fn v8086(self) -> bool {
        self.has(mode::V8086)
    }

    /// CLI and STI change IF.
    pub fn interrupts(self) -> bool {
        self.has(mode::INTERRUPTS)
    }

    /// DF: string instructions count down.
    pub fn down(self) -> bool {
        self.has(mode::DOWN)
    }

    /// Memory is accessed through the window of the view.
    pub fn window(self) -> bool {
        self.has(mode::WINDOW)
    }

    /// Whether accesses through `segment`, one of ES, SS and DS, need neither a check nor a base: all 4 GiB can be read
    /// and written without relocation.
    pub fn is_flat(self, segment: SegReg) -> bool {
        self.has(1 << segment as u8)
    }

    /// 32 or 16.
    pub fn code_size(self) -> u32 {
        if self.code32() { 32 } else { 16 }
    }
}

/// Whether all 4 GiB can be read and written through `s` without relocation.
#[inline]
pub fn is_flat(s: &Segment) -> bool {
    let all = |b: Bounds| b.min == 0 && b.max == u32::MAX;
    s.base == 0 && all(s.read) && all(s.write)
}
