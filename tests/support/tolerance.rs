//! What the architecture leaves open in the outcome of an instruction: one table, each row with its reason.

use iced_x86::{Code, Instruction, MemorySize, Mnemonic, OpKind, Register};
use idem86::cpu::decode::attrs;
use idem86_translator::host::native::layout::{OfferedSegment, PAGE_BYTES, WINDOW_LINEAR};
use idem86_translator::host::native::{Ending, NativeCase, NativeOutcome, gpr};
use std::ops::Range;

/// An exception is pending, in the x87 status word.
const ES: u16 = 1 << 7;
/// A condition code in the x87 status word.
const C1: u16 = 1 << 9;
/// Which register is the top of the stack, in the x87 status word.
const TOP: u16 = 7 << 11;

/// What is not compared, beyond what is the same for all instructions.
#[derive(Debug, Default)]
pub struct Tolerance {
    /// EFLAGS bits.
    pub eflags: u32,
    /// General registers, by number.
    pub registers: u8,
    /// x87 status word bits.
    pub fsw: u16,
    /// The x87 register stack: what is in it, and which of its registers are in use.
    pub stack: bool,
    /// FOP, FIP and FDP.
    pub pointers: bool,
    /// x87 values may differ by this many units in the last place.
    pub ulps: u128,
    /// Vector lanes are approximations.
    pub approximate: bool,
    /// All memory.
    pub memory: bool,
    /// Bytes of the window.
    pub window: Vec<usize>,
    /// Which of several faults is raised.
    pub order: bool,
    /// Everything.
    pub all: bool,
}

/// An instruction and what the host made of it.
struct Context<'a> {
    instruction: &'a Instruction,
    case: &'a NativeCase,
    host: &'a NativeOutcome,
    segments: &'a [OfferedSegment],
}

impl Context<'_> {
    fn faulted(&self) -> bool {
        self.host.ending != Ending::Completed
    }

    /// A jump, call or return that loads CS.
    fn is_far(&self) -> bool {
        attrs::class(self.instruction) == Some(attrs::Class::FarTransfer)
    }

    /// A memory operand that is read or written item by item: far pointers, bounds, ten-byte numbers, images, what
    /// is stored under a mask.
    fn has_operand_of_parts(&self) -> bool {
        use MemorySize::*;
        self.instruction.mnemonic() == Mnemonic::Maskmovdqu
            || matches!(
                self.instruction.memory_size(),
                SegPtr16
                    | SegPtr32
                    | Bound16_WordWord
                    | Bound32_DwordDword
                    | FpuEnv14
                    | FpuEnv28
                    | FpuState94
                    | FpuState108
                    | Fxsave_512Byte
                    | Float80
                    | Bcd
            )
    }

    /// Linear address of the memory operand, relative to the guest's region.
    fn linear_address(&self) -> Option<u32> {
        let selector = self.case.before.selectors[self.instruction.memory_segment().number()];
        let segment = self.segments.iter().find(|offered| offered.selector == selector)?;
        Some(segment.descriptor.base.wrapping_add(self.effective_address()?))
    }

    /// Offset of the memory operand.
    fn effective_address(&self) -> Option<u32> {
        let registers = &self.case.before.gpr;
        let value = |register: Register, _: usize, _: usize| match register {
            _ if register.is_segment_register() => Some(0),
            _ if register.is_gpr16() => Some(u64::from(registers[register.number()] as u16)),
            _ if register.is_gpr32() => Some(u64::from(registers[register.number()])),
            _ => None,
        };
        let is_memory = |kind| matches!(kind, OpKind::Memory | OpKind::MemorySegDI | OpKind::MemorySegEDI);
        let operand = self.instruction.op_kinds().position(is_memory)?;
        self.instruction.virtual_address(operand as u32, 0, value).map(|address| address as u32)
    }
}

/// A row of the table: where it applies, and what it opens.
type Row = (&'static str, fn(&Context) -> bool, fn(&Context, &mut Tolerance));

const TABLE: &[Row] = &[
    (
        "SDM Vol. 2B, \"SHLD\": the result is undefined if the count exceeds the operand size",
        |c| {
            let double_shift = matches!(c.instruction.mnemonic(), Mnemonic::Shld | Mnemonic::Shrd);
            let count = match c.instruction.op2_kind() {
                OpKind::Immediate8 => u32::from(c.instruction.immediate8()),
                _ => c.case.before.gpr[gpr::ECX],
            };
            double_shift && c.instruction.op1_register().is_gpr16() && count & 31 > 16
        },
        |c, t| {
            t.eflags |= attrs::flags(c.instruction).written;
            t.open_destination(c);
        },
    ),
    (
        "SDM Vol. 2A, \"BSWAP\": undefined for a 16-bit register",
        |c| c.instruction.code() == Code::Bswap_r16,
        |c, t| t.open_destination(c),
    ),
    (
        "SDM Vol. 3A, \"Restarting a Program or Task\": what a faulting instruction of several stores had done \
         before is its processor's choice",
        |c| {
            use Mnemonic::*;
            c.faulted()
                && matches!(
                    c.instruction.mnemonic(),
                    Pusha | Pushad | Enter | Call | Fxsave | Fnsave | Fnstenv | Maskmovq | Maskmovdqu
                )
        },
        |_, t| t.memory = true,
    ),
    (
        "As before: AMD's processors turn x87 registers into MM registers before a MASKMOVQ faults",
        |c| c.instruction.mnemonic() == Mnemonic::Maskmovq && c.faulted(),
        |_, t| {
            t.stack = true;
            t.fsw |= TOP;
        },
    ),
    (
        "SDM Vol. 3A, \"Restarting a Program or Task\": POPA may have loaded some registers",
        |c| matches!(c.instruction.mnemonic(), Mnemonic::Popa | Mnemonic::Popad) && c.faulted(),
        |_, t| t.registers = !(1 << gpr::ESP),
    ),
    (
        "SDM Vol. 3A, \"Priority Among Concurrent Events\": the faults in executing one instruction have no order \
         beyond what its operation says, and processors read the parts of a frame or pointer in different orders",
        |c| {
            use Mnemonic::*;
            let transfer = match c.instruction.mnemonic() {
                Call | Retf | Iret | Iretd => true,
                Jmp => c.is_far(),
                _ => false,
            };
            transfer || c.has_operand_of_parts() || c.instruction.is_invalid()
        },
        |_, t| t.order = true,
    ),
    (
        "SDM Vol. 2A, \"INS\", Vol. 2B, \"OUTS\": it is not said whether a repetition of nothing needs access to the port;\
         AMD's want it",
        |c| {
            let io = attrs::class(c.instruction) == Some(attrs::Class::InputOutput);
            let wide = c
                .instruction
                .op_kinds()
                .any(|kind| matches!(kind, OpKind::MemoryESEDI | OpKind::MemorySegESI));
            let count = c.case.before.gpr[gpr::ECX] & if wide { u32::MAX } else { 0xFFFF };
            let repeated = c.instruction.has_rep_prefix() || c.instruction.has_repne_prefix();
            io && repeated && count == 0
        },
        |_, t| t.all = true,
    ),
    (
        "SDM Vol. 2A, \"Instruction Prefixes\": repeat prefixes of other than string instructions are reserved; some \
         processors let them reverse the condition of LOOPE and LOOPNE",
        |c| {
            // Opcode and displacement are the last two bytes.
            let mut prefixes = c.case.code.iter().rev().skip(2);
            let prefixed = prefixes.any(|byte| matches!(byte, 0xF2 | 0xF3));
            matches!(c.instruction.mnemonic(), Mnemonic::Loope | Mnemonic::Loopne) && prefixed
        },
        |_, t| t.all = true,
    ),
    (
        "SDM Vol. 3B, \"Segment Wraparound\": whether the parts of an operand wrap at the end of a 16-bit address \
         space differs among processors",
        |c| {
            let size = c.instruction.memory_size().size() as u32;
            let end = c.effective_address().map(|at| at & 0xFFFF).and_then(|at| at.checked_add(size));
            c.has_operand_of_parts() && end.is_some_and(|end| end > 0x1_0000)
        },
        |_, t| t.all = true,
    ),
    (
        "AMD64 Architecture Programmer's Manual Vol. 2, \"x87 State\": the pointers are saved only while an \
         unmasked exception is pending",
        |c| c.host.after.fx.fsw() & ES == 0,
        |_, t| t.pointers = true,
    ),
    (
        "SDM Vol. 1, \"x87 FPU Instruction and Operand (Data) Pointers\": FCS and FDS are deprecated; AMD64 \
         Architecture Programmer's Manual Vol. 2, \"x87 State\": the others are defined while an exception is pending",
        |c| matches!(c.instruction.mnemonic(), Mnemonic::Fnstenv | Mnemonic::Fnsave),
        |c, t| {
            let item = match c.instruction.memory_size() {
                MemorySize::FpuEnv14 | MemorySize::FpuState94 => 2,
                _ => 4,
            };
            let pending = c.case.before.fx.fsw() & ES != 0;
            t.open_memory(c, if pending { 6 * item..7 * item } else { 3 * item..7 * item });
            // The wide image has FOP behind FCS.
            t.open_memory(c, 4 * item..4 * item + 2);
        },
    ),
    (
        "As before, and SDM Vol. 1, \"MXCSR Control and Status Register\": the mask of what MXCSR has is the \
         processor's; FXSAVE writes reserved bytes, or not",
        |c| c.instruction.mnemonic() == Mnemonic::Fxsave,
        |c, t| {
            let pending = c.case.before.fx.fsw() & ES != 0;
            let pointers = if pending { [12..16, 20..24] } else { [6..24, 0..0] };
            for bytes in pointers.into_iter().chain([5..6, 28..32, 288..512]) {
                t.open_memory(c, bytes);
            }
            for register in 0..8 {
                t.open_memory(c, 32 + 16 * register + 10..32 + 16 * register + 16);
            }
        },
    ),
    (
        "SDM Vol. 1, \"FXSAVE Area\": whether the reserved bytes at its end are accessed is the processor's choice",
        |c| {
            let image = c.instruction.memory_size() == MemorySize::Fxsave_512Byte;
            let page = |bytes| c.linear_address().map(|at| at.wrapping_add(bytes) / PAGE_BYTES);
            image && page(288 - 1) != page(512 - 1)
        },
        |_, t| t.all = true,
    ),
    (
        "SDM Vol. 1, \"Transcendental Instruction Accuracy\": below 1 ulp, on either side of the exact result",
        |c| {
            use Mnemonic::*;
            matches!(
                c.instruction.mnemonic(),
                F2xm1 | Fyl2x | Fyl2xp1 | Fptan | Fpatan | Fsin | Fcos | Fsincos
            )
        },
        |_, t| {
            t.ulps = 1;
            // Whether it was rounded up then says nothing.
            t.fsw |= C1;
        },
    ),
    (
        "SDM Vol. 2B, \"RCPPS\" and \"RSQRTPS\": approximations, with a relative error up to 1.5 * 2^-12",
        |c| {
            use Mnemonic::*;
            matches!(c.instruction.mnemonic(), Rcpps | Rcpss | Rsqrtps | Rsqrtss)
        },
        |_, t| t.approximate = true,
    ),
];

impl Tolerance {
    /// For an instruction that the host ended as it did.
    pub fn of(
        instruction: &Instruction,
        case: &NativeCase,
        host: &NativeOutcome,
        segments: &[OfferedSegment],
    ) -> Self {
        let context = Context { instruction, case, host, segments };
        let cl = case.before.gpr[gpr::ECX] as u8;
        let eflags = attrs::flags_with_cl(instruction, cl).undefined;
        let mut tolerance = Self { eflags, ..Self::default() };
        for (_, _, open) in TABLE.iter().filter(|(_, applies, _)| applies(&context)) {
            open(&context, &mut tolerance);
        }
        tolerance
    }

    /// Opens bytes of the memory operand.
    fn open_memory(&mut self, context: &Context, bytes: Range<u32>) {
        if let Some(linear) = context.linear_address() {
            let start = linear.wrapping_sub(WINDOW_LINEAR);
            self.window.extend(bytes.map(|at| (start.wrapping_add(at) & 0xFFFF) as usize));
        }
    }

    /// Opens the first operand.
    fn open_destination(&mut self, context: &Context) {
        match context.instruction.op0_register() {
            Register::None => self.memory = true,
            register => self.registers |= 1 << register.number(),
        }
    }

    /// Whether two double-extended values agree: exactly, or up to a number of units in the last place.
    pub fn extended_agree(&self, host: u128, ours: u128) -> bool {
        // Without the integer bit, neighbouring values are neighbouring numbers, across binades too.
        const FRACTION: u128 = (1 << 63) - 1;
        let ordinal = |value: u128| value >> 64 << 63 | value & FRACTION;
        host == ours || ordinal(host).abs_diff(ordinal(ours)) <= self.ulps && self.ulps != 0
    }

    /// Whether two vectors agree: exactly, or as approximations do.
    pub fn vectors_agree(&self, host: u128, ours: u128) -> bool {
        const TWO_ERRORS: f32 = 3.0 / 4096.0;
        let lane = |value: u128, i: u32| f32::from_bits((value >> (32 * i)) as u32);
        let close = |i| {
            let (host, ours) = (lane(host, i), lane(ours, i));
            host.to_bits() == ours.to_bits() || (host - ours).abs() <= host.abs() * TWO_ERRORS
        };
        host == ours || self.approximate && (0..4).all(close)
    }
}
