//! The attribute table: what an instruction is, how it treats the flow, and which flags it reads, writes and
//! leaves undefined.
//!
//! Shared by the interpreter (where blocks end), the translator (what may run as it is, which flags are dead) and
//! the tests (which flags to compare). What iced-x86 knows is taken from it; `row` and [`flags`] hold what it
//! does not know and what it says otherwise than the manuals.

use crate::state::eflags::bit;
use iced_x86::{CpuidFeature, FlowControl, Instruction, Mnemonic, OpKind, Register, RflagsBits};

/// The group of an instruction. SDM Vol. 1, "Instruction Set Summary".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// "Data Transfer Instructions".
    DataTransfer,
    /// "Binary Arithmetic Instructions".
    BinaryArithmetic,
    /// "Decimal Arithmetic Instructions".
    DecimalArithmetic,
    /// "Logical Instructions".
    Logical,
    /// "Shift and Rotate Instructions".
    ShiftAndRotate,
    /// "Bit and Byte Instructions".
    BitAndByte,
    /// "Control Transfer Instructions", near ones.
    ControlTransfer,
    /// Far jumps, calls and returns, software interrupts, IRET.
    FarTransfer,
    /// "String Instructions".
    String,
    /// "I/O Instructions".
    InputOutput,
    /// "Enter and Leave Instructions".
    EnterAndLeave,
    /// "Flag Control (EFLAG) Instructions".
    FlagControl,
    /// "Segment Register Instructions".
    SegmentRegister,
    /// "Miscellaneous Instructions", and hints.
    Miscellaneous,
    /// "x87 FPU Instructions".
    X87,
    /// "MMX Instructions".
    Mmx,
    /// "SSE Instructions", with the state management of FXSAVE.
    Sse,
    /// "SSE2 Instructions".
    Sse2,
    /// "SSE3 Instructions", but for FISTTP.
    Sse3,
    /// "System Instructions".
    System,
}

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

/// Innocuous or sensitive; see [`Sensitivity`]. What is no instruction of ours is innocuous: it raises #UD in any
/// mode.
pub fn sensitivity(i: &Instruction) -> Sensitivity {
    row(i).map_or(Sensitivity::Innocuous, |(_, sensitivity)| sensitivity)
}

/// Whether `i` raises #GP where its privilege does not suffice: CPL 0, or for ports and IF a CPL of at most IOPL. Popek
/// and Goldberg's privileged instructions; RDTSC and RDPMC, about which CR4 decides, are none. SDM Vol. 3A, "Privileged
/// Instructions"; Vol. 1, "I/O Sensitive Instructions".
pub fn privileged(i: &Instruction) -> bool {
    use Mnemonic::*;
    match i.mnemonic() {
        Mov => has(i, Register::is_cr) || has(i, Register::is_dr),
        Lgdt | Lldt | Ltr | Lidt | Lmsw | Clts | Invd | Wbinvd | Invlpg | Hlt | Rdmsr | Wrmsr | Sysexit => {
            true
        }
        Cli | Sti | In | Out | Insb | Insw | Insd | Outsb | Outsw | Outsd => true,
        _ => false,
    }
}

/// The group of `i`; `None` if it is no instruction of this processor and raises #UD.
pub fn class(i: &Instruction) -> Option<Class> {
    row(i).map(|(class, _)| class)
}

/// A row of the table.
type Row = (Class, Sensitivity);

fn row(i: &Instruction) -> Option<Row> {
    use Class::*;
    use Mnemonic::*;
    use Sensitivity::*;
    let row = match i.mnemonic() {
        Mov | Push | Pop if has(i, Register::is_segment_register) => (SegmentRegister, Sensitive),
        Mov if has(i, Register::is_cr) || has(i, Register::is_dr) => (System, Sensitive),
        Mov | Push | Pop => (DataTransfer, Innocuous),
        Jmp | Call if is_far(i) => (FarTransfer, Sensitive),
        Movsd | Cmpsd if !i.is_string_instruction() => (Sse2, Innocuous),

        Cmova | Cmovae | Cmovb | Cmovbe | Cmove | Cmovg | Cmovge | Cmovl | Cmovle | Cmovne | Cmovno
        | Cmovnp | Cmovns | Cmovo | Cmovp | Cmovs => (DataTransfer, Innocuous),
        Xchg | Bswap | Xadd | Cmpxchg | Cmpxchg8b | Pusha | Pushad | Popa | Popad => {
            (DataTransfer, Innocuous)
        }
        Cwd | Cdq | Cbw | Cwde | Movsx | Movzx => (DataTransfer, Innocuous),

        Add | Adc | Sub | Sbb | Imul | Mul | Idiv | Div | Inc | Dec | Neg | Cmp => {
            (BinaryArithmetic, Innocuous)
        }
        Daa | Das | Aaa | Aas | Aam | Aad => (DecimalArithmetic, Innocuous),
        And | Or | Xor | Not => (Logical, Innocuous),
        Sar | Shr | Sal | Shl | Shrd | Shld | Ror | Rol | Rcr | Rcl => (ShiftAndRotate, Innocuous),
        Bt | Bts | Btr | Btc | Bsf | Bsr | Test => (BitAndByte, Innocuous),
        Seta | Setae | Setb | Setbe | Sete | Setg | Setge | Setl | Setle | Setne | Setno | Setnp | Setns
        | Seto | Setp | Sets => (BitAndByte, Innocuous),

        Jmp | Call | Ret | Loop | Loope | Loopne | Jcxz | Jecxz => (ControlTransfer, Innocuous),
        Ja | Jae | Jb | Jbe | Je | Jg | Jge | Jl | Jle | Jne | Jno | Jnp | Jns | Jo | Jp | Js => {
            (ControlTransfer, Innocuous)
        }
        Bound => (ControlTransfer, Innocuous),
        Retf | Int | Int1 | Int3 | Into | Iret | Iretd => (FarTransfer, Sensitive),

        Movsb | Movsw | Movsd | Cmpsb | Cmpsw | Cmpsd | Scasb | Scasw | Scasd | Lodsb | Lodsw | Lodsd
        | Stosb | Stosw | Stosd => (String, Innocuous),
        In | Out | Insb | Insw | Insd | Outsb | Outsw | Outsd => (InputOutput, Sensitive),
        Enter | Leave => (EnterAndLeave, Innocuous),

        Stc | Clc | Cmc | Cld | Std | Lahf | Sahf | Salc => (FlagControl, Innocuous),
        Pushf | Pushfd | Popf | Popfd | Sti | Cli => (FlagControl, Sensitive),
        Lds | Les | Lfs | Lgs | Lss => (SegmentRegister, Sensitive),
        Lea | Nop | Pause | Reservednop | Ud0 | Ud1 | Ud2 | Xlatb => (Miscellaneous, Innocuous),
        Cpuid => (Miscellaneous, Sensitive),

        Lgdt | Sgdt | Lldt | Sldt | Ltr | Str | Lidt | Sidt | Lmsw | Smsw | Clts | Arpl | Lar | Lsl
        | Verr | Verw | Invd | Wbinvd | Invlpg | Hlt | Rdmsr | Wrmsr | Rdpmc | Rdtsc | Sysenter | Sysexit => {
            (System, Sensitive)
        }

        Wait => (X87, Innocuous),
        _ => return by_feature(i),
    };
    Some(row)
}

/// The floating-point and vector instructions, by the feature that CPUID announces for them.
fn by_feature(i: &Instruction) -> Option<Row> {
    use CpuidFeature as F;
    let class = match i.cpuid_features() {
        [F::FPU | F::FPU287 | F::FPU387] => Class::X87,
        [F::FPU, F::CMOV | F::SSE3] => Class::X87,
        [F::MMX] => Class::Mmx,
        [F::FXSR | F::SSE] => Class::Sse,
        [F::SSE2 | F::CLFSH] => Class::Sse2,
        [F::SSE3] => Class::Sse3,
        _ => return None,
    };
    Some((class, Sensitivity::Innocuous))
}

fn has(i: &Instruction, is: fn(Register) -> bool) -> bool {
    (0..i.op_count().min(2)).any(|n| i.op_kind(n) == OpKind::Register && is(i.op_register(n)))
}

/// Whether a JMP or CALL takes a far pointer.
fn is_far(i: &Instruction) -> bool {
    i.is_jmp_far() || i.is_jmp_far_indirect() || i.is_call_far() || i.is_call_far_indirect()
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
    /// Those of [`FlagUse::written`] and [`FlagUse::undefined`] that stay what they were for some operands: shifts by
    /// a CL of zero, repetitions with a count of zero.
    pub kept: u32,
}

impl FlagUse {
    /// Flags whose value before the instruction cannot be seen after it.
    pub fn killed(self) -> u32 {
        (self.written | self.undefined) & !self.kept
    }
}

/// Which arithmetic flags `i` reads, writes and leaves undefined.
pub fn flags(i: &Instruction) -> FlagUse {
    flags_for(i, None)
}

/// As [`flags`], where CL is known: what a shift does depends on its count.
pub fn flags_with_cl(i: &Instruction, cl: u8) -> FlagUse {
    flags_for(i, Some(cl))
}

fn flags_for(i: &Instruction, cl: Option<u8>) -> FlagUse {
    use Mnemonic::*;
    let mut f = FlagUse {
        read: arithmetic(i.rflags_read()),
        written: arithmetic(i.rflags_written() | i.rflags_cleared() | i.rflags_set()),
        undefined: arithmetic(i.rflags_undefined()),
        kept: 0,
    };
    match i.mnemonic() {
        // OF, SF, AF and PF are undefined by the manual; no processor touches them.
        Bt | Bts | Btr | Btc => f.undefined = 0,
        Cmpsb | Cmpsw | Cmpsd | Scasb | Scasw | Scasd if i.has_rep_prefix() || i.has_repne_prefix() => {
            f.kept = f.written;
        }
        // They push or save EFLAGS.
        _ if class(i) == Some(Class::FarTransfer) && i.mnemonic() != Retf => f.read = bit::ARITHMETIC,
        _ if class(i) == Some(Class::ShiftAndRotate) => shift_flags(i, cl, &mut f),
        _ => {}
    }
    f
}

/// What the flags of a shift depend on: its count, taken modulo 32, and its width.
fn shift_flags(i: &Instruction, cl: Option<u8>, f: &mut FlagUse) {
    use Mnemonic::*;
    let last = i.op_count() - 1;
    let by_cl = i.op_kind(last) == OpKind::Register;
    let count = if by_cl { cl } else { Some(i.immediate8()) }.map(|n| n as u32 & 31);
    let rotate = matches!(i.mnemonic(), Rol | Ror | Rcl | Rcr);
    let all = if rotate { bit::CF | bit::OF } else { bit::ARITHMETIC };
    let bits = match i.op_kind(0) {
        OpKind::Register => i.op_register(0).size() as u32 * 8,
        _ => i.memory_size().size() as u32 * 8,
    };
    f.undefined = match (i.mnemonic(), count) {
        (_, Some(0)) => {
            *f = FlagUse::default();
            return;
        }
        // The result is undefined too.
        (Shld | Shrd, Some(n)) if n > bits => all,
        (Shld | Shrd, None) if bits == 16 => all,
        (Shl | Sal | Shr, Some(n)) if n >= bits => bit::CF | bit::OF | bit::AF,
        (Shl | Sal | Shr, None) if bits < 32 => bit::CF | bit::OF | bit::AF,
        (_, Some(1)) => bit::AF & all,
        _ => (bit::OF | bit::AF) & all,
    };
    f.written = all & !f.undefined;
    // Even where the bits come all the way round.
    f.read = if matches!(i.mnemonic(), Rcl | Rcr) { bit::CF } else { 0 };
    f.kept = if count.is_none() { all } else { 0 };
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
