//! The mode that a translation unit is made for.

use idem86_cpu::cpu::Cpu;
use idem86_cpu::mmu::tlb::View;
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::segment::{Bounds, SegReg, Segment};

/// Everything but the code's bytes and its EIP that decides how it is translated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ModeKey {
    /// Default operand and address size: 32, else 16.
    pub code32: bool,
    /// The stack pointer is ESP, else SP.
    pub stack32: bool,
    /// CPL 3.
    pub user: bool,
    /// Real mode.
    pub real: bool,
    /// CPL 0 of protected mode.
    pub kernel: bool,
    /// Virtual-8086 mode.
    pub v8086: bool,
    /// CLI and STI change IF.
    pub interrupts: bool,
    /// DF: string instructions count down.
    pub down: bool,
    /// Memory is accessed through the window of the view.
    pub window: bool,
    /// Those of ES, SS and DS, one bit each by number, through which all 4 GiB can be read and written without relocation.
    pub flat: u8,
    /// Base of CS.
    pub cs_base: u32,
    /// Limit of CS.
    pub cs_limit: u32,
}

impl ModeKey {
    /// The mode of `cpu`, without a window; `None` if its code is not translated in this mode.
    pub fn of(cpu: &Cpu) -> Option<ModeKey> {
        let user = match cpu.view() {
            View::Supervisor => false,
            View::User => true,
            View::UserAligned => return None,
        };
        let cs = &cpu.seg[SegReg::Cs as usize];
        let flat = [SegReg::Es, SegReg::Ss, SegReg::Ds]
            .iter()
            .filter(|s| is_flat(&cpu.seg[**s as usize]))
            .fold(0, |bits, s| bits | 1 << *s as u8);
        Some(ModeKey {
            code32: cs.access.big(),
            stack32: cpu.seg[SegReg::Ss as usize].access.big(),
            user,
            real: cpu.real_mode(),
            kernel: cpu.cpl == 0 && !cpu.real_mode(),
            v8086: cpu.v8086(),
            interrupts: cpu.real_mode() || cpu.cpl <= cpu.eflags.iopl(),
            down: cpu.eflags.has(bit::DF),
            window: false,
            flat,
            cs_base: cs.base as u32,
            cs_limit: cs.limit,
        })
    }

    /// Whether accesses through `segment` need neither a check nor a base.
    pub fn is_flat(self, segment: SegReg) -> bool {
        self.flat & 1 << segment as u8 != 0
    }

    /// The privilege of its accesses.
    pub fn view(self) -> View {
        if self.user { View::User } else { View::Supervisor }
    }

    /// 32 or 16.
    pub fn code_size(self) -> u32 {
        if self.code32 { 32 } else { 16 }
    }
}

/// Whether all 4 GiB can be read and written through `s` without relocation.
pub fn is_flat(s: &Segment) -> bool {
    const ALL: Bounds = Bounds { min: 0, max: u32::MAX };
    s.base == 0 && s.read == ALL && s.write == ALL
}
