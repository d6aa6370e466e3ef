//! The attribute table: what an instruction reads, writes and leaves undefined, and how it treats the flow.
//!
//! Shared by the interpreter (where blocks end), the translator (what may run as it is) and the tests (which
//! flags to compare). The flag columns come from iced-x86, corrected where processors agree on more than the
//! manual promises or on something else.

use crate::state::eflags::bit;
use iced_x86::{FlowControl, Instruction, Mnemonic, RflagsBits};

/// Whether the instructions behind can be executed without looking up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The next instruction follows.
    Next,
    /// The next instruction follows unless the branch is taken.
    Conditional,
    /// The block ends here: a branch, or an instruction after which events, mode or mapping must be looked at.
    End,
}

/// Whether a user-mode instruction can run unchanged on the host. Popek and Goldberg's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensitivity {
    /// Its effect does not depend on mode, privilege or anything the monitor owns.
    Innocuous,
    /// It reads or writes what the monitor owns: control and segment registers, descriptor tables, system flags,
    /// ports, the flow of privileged code.
    Sensitive,
}

/// Where blocks end.
pub fn flow(i: &Instruction) -> Flow {
    if i.is_jcc_short_or_near() {
        return Flow::Conditional;
    }
    if i.flow_control() != FlowControl::Next || i.has_rep_prefix() || i.has_repne_prefix() {
        return Flow::End;
    }
    match sensitivity(i) {
        Sensitivity::Sensitive => Flow::End,
        Sensitivity::Innocuous => Flow::Next,
    }
}

/// Innocuous or sensitive; see [`Sensitivity`].
pub fn sensitivity(i: &Instruction) -> Sensitivity {
    use Mnemonic::*;
    let sensitive = match i.mnemonic() {
        Cli | Sti | Popf | Popfd | Pushf | Pushfd | Hlt | In | Out | Insb | Insw | Insd | Outsb | Outsw
        | Outsd => true,
        Lgdt | Lidt | Lldt | Ltr | Sgdt | Sidt | Sldt | Str | Smsw | Lmsw | Clts | Invlpg | Invd | Wbinvd => {
            true
        }
        Lar | Lsl | Verr | Verw | Arpl => true,
        Lds | Les | Lfs | Lgs | Lss => true,
        Rdtsc | Rdpmc | Rdmsr | Wrmsr | Cpuid | Rsm | Sysenter | Sysexit | Int1 | Int3 | Int | Into
        | Iret | Iretd => true,
        Mov => (0..2).any(|n| {
            let r = i.op_register(n);
            r.is_segment_register() || r.is_cr() || r.is_dr()
        }),
        Push => i.op0_register().is_segment_register(),
        Pop => i.op0_register().is_segment_register(),
        _ => i.is_privileged(),
    };
    if sensitive { Sensitivity::Sensitive } else { Sensitivity::Innocuous }
}

/// Arithmetic flags in EFLAGS positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlagUse {
    /// Read.
    pub read: u32,
    /// Given a defined value.
    pub written: u32,
    /// Left undefined by the manual.
    pub undefined: u32,
}

/// Which arithmetic flags `i` reads, writes and leaves undefined.
pub fn flags(i: &Instruction) -> FlagUse {
    FlagUse {
        read: arithmetic(i.rflags_read()),
        written: arithmetic(i.rflags_written() | i.rflags_cleared() | i.rflags_set()),
        undefined: arithmetic(i.rflags_undefined()),
    }
}

fn arithmetic(iced: u32) -> u32 {
    [
        (RflagsBits::CF, bit::CF),
        (RflagsBits::PF, bit::PF),
        (RflagsBits::AF, bit::AF),
        (RflagsBits::ZF, bit::ZF),
        (RflagsBits::SF, bit::SF),
        (RflagsBits::OF, bit::OF),
    ]
    .iter()
    .filter(|(from, _)| iced & from != 0)
    .fold(0, |bits, (_, to)| bits | to)
}
