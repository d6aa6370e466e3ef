//! x87, MMX and SSE instructions: they run as they are, with the guest's registers in the host's.
//!
//! A unit that begins with such instructions looks together with the budget whether the registers are live, one that
//! may get to them looks there. The callout that it takes else makes them so, or has the processor execute one
//! instruction and leaves. What is live stays live over callouts.

use super::ident::{access_kind, has_memory, place_registers};
use super::memory::{HostOperand, MemoryAccess};
use super::{Lower, SiteKind};
use crate::emit::abi::*;
use crate::extended::{Last, Uses};
use crate::host::extended::ExtendedState;
use dynasmrt::{DynasmApi, DynasmLabelApi, dynasm};
use iced_x86::{
    FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, Register, UsedRegister,
};
use idem86_cpu::decode::attrs::{Class, Sensitivity, class, sensitivity};
use idem86_cpu::state::segment::SegReg;

/// Scratch for a value on its way to a control register.
const WORD: i32 = SPILL;

impl Lower<'_> {
    /// What must be live for the instructions that are certainly reached, if none of them changes that.
    pub(super) fn needs(&self) -> Uses {
        let straight = |i: &&Instruction| {
            i.flow_control() == FlowControl::Next && sensitivity(i) == Sensitivity::Innocuous
        };
        let (mut needs, mut lost) = (Uses::default(), Uses::default());
        for i in self.guest.iter().map(|g| &g.instruction).take_while(straight) {
            let uses = Uses::of(i);
            match is_native(i) {
                true => needs = needs | uses.without(lost),
                false => lost = lost | uses,
            }
        }
        needs
    }

    /// Lowers instruction `n` if it belongs here. `false` leaves everything as it was.
    pub(super) fn extended_state(&mut self, n: usize, i: &Instruction) -> bool {
        let uses = self.uses;
        if uses == Uses::default() || !is_native(i) {
            return false;
        }
        let mut host = *i;
        place_registers(&mut host);
        if !has_memory(i) {
            let Some(bytes) = self.try_encode(&host) else { return false };
            self.require(n, uses);
            // With no exception pending it has nothing to wait for.
            if i.mnemonic() != Mnemonic::Wait {
                self.asm.extend(&bytes);
            }
            self.note_last(n, i);
            return true;
        }
        let Some(kind) = access_kind(&mut self.factory, i) else { return false };
        let Some(segment) = SegReg::from_encoding(i.memory_segment().number() as u8) else { return false };
        HostOperand::PROBE.put(&mut host);
        if self.try_encode(&host).is_none() {
            return false;
        }
        self.require(n, uses);
        let access = MemoryAccess { segment, size: i.memory_size().size() as u32, kind };
        // Ten bytes are stored in two pieces, of which one might be written before the other faults.
        let site = if access.size == 10 { self.table_site(n) } else { self.memory_site(n) };
        match i.mnemonic() {
            Mnemonic::Fldcw => self.load_control(i, access, site),
            Mnemonic::Ldmxcsr => self.load_mxcsr(i, access, site),
            _ => {
                let operand = self.unit_operand(i, access, site);
                operand.put(&mut host);
                self.may_fault(operand, site);
                assert!(self.encode(&host), "it could be encoded with another operand");
                if data_segment(i).is_some() {
                    self.store_linear(operand);
                }
            }
        }
        self.resume_here(site);
        self.note_last(n, i);
        true
    }

    /// [`Lower::operand`], on a 16-byte boundary where it must be. In a window the host faults as the guest does.
    fn unit_operand(&mut self, i: &Instruction, access: MemoryAccess, site: u32) -> HostOperand {
        if access.size != 16 || allows_misalignment(i) || self.uses_window(site) {
            return self.operand(i, access, site);
        }
        let aligned = Aligned::new(i, access.segment);
        self.effective_address(i);
        if self.aligned != Some(aligned) {
            self.require_alignment(access.segment, site);
            self.aligned = Some(aligned);
        }
        self.at_offset(access, site)
    }

    /// The linear address of `operand` was that of the last memory operand.
    fn store_linear(&mut self, operand: HostOperand) {
        let HostOperand { index, displacement, window, .. } = operand;
        match index {
            Register::None => {
                dynasm!(self.asm; .arch x64; mov DWORD [r12 + LAST_LINEAR], displacement);
                return;
            }
            Register::R8 => {}
            other => {
                debug_assert!(window, "a look-up leaves it in r8");
                let r = other.number() as u8;
                dynasm!(self.asm; .arch x64; lea r8d, [Rq(r) + displacement]);
            }
        }
        dynasm!(self.asm; .arch x64; mov [r12 + LAST_LINEAR], r8d);
    }

    /// `i` is behind: what exception handlers find of it.
    pub(super) fn note_last(&mut self, n: usize, i: &Instruction) {
        if replaces_last(i) {
            self.last = Last::default();
        } else if is_numeric(i) {
            self.last = Last { insn: Some(n as u8), data: data_segment(i).or(self.last.data) };
        }
    }

    /// Leaves the last numeric instruction behind for whoever asks after this unit.
    pub(super) fn leave_last(&mut self) {
        let Last { insn, data } = std::mem::take(&mut self.last);
        if let Some(guest) = insn.map(|n| &self.guest[usize::from(n)]) {
            let ip = self.frame.eip.wrapping_add(guest.offset) as i32;
            let opcode = guest.insn.imm as i32 | ExtendedState::PENDING as i32;
            dynasm!(self.asm; .arch x64
                ; mov DWORD [r12 + LAST_IP], ip
                ; mov DWORD [r12 + LAST_OPCODE], opcode
            );
        }
        if let Some(segment) = data {
            let segment = segment as i32 | ExtendedState::PENDING as i32;
            dynasm!(self.asm; .arch x64; mov DWORD [r12 + LAST_SEGMENT], segment);
        }
        self.extend_hops();
    }

    /// What instruction `n` uses is live, or else it is executed by a callout that leaves.
    fn require(&mut self, n: usize, uses: Uses) {
        for (needed, known, live) in
            [(uses.x87, self.live.x87, X87_LIVE), (uses.simd, self.live.simd, SIMD_LIVE)]
        {
            if !needed || known {
                continue;
            }
            self.extend_hops();
            let site = self.new_site(n, SiteKind::Live);
            dynasm!(self.asm; .arch x64
                ; mov r10, rcx
                ; mov ecx, [r12 + live]
            );
            self.slow_if_zero(site);
            dynasm!(self.asm; .arch x64; mov rcx, r10);
            self.resume_here(site);
        }
        self.live.x87 |= uses.x87;
        self.live.simd |= uses.simd;
    }

    /// The operand of 16 bytes at offset r8d lies on a 16-byte boundary, or the slow path raises #GP.
    fn require_alignment(&mut self, segment: SegReg, site: u32) {
        self.extend_hops();
        if self.frame.key.is_flat(segment) {
            dynasm!(self.asm; .arch x64; pext r9d, r8d, [r12 + ALIGNMENT]);
        } else {
            dynasm!(self.asm; .arch x64
                ; mov r9, [r12 + seg_base(segment)]
                ; lea r9d, [r9 + r8]
                ; pext r9d, r9d, [r12 + ALIGNMENT]
            );
        }
        // One shifted right by what must be zero.
        dynasm!(self.asm; .arch x64
            ; mov r10, rcx
            ; shrx ecx, [r12 + ONE], r9d
        );
        self.slow_if_zero(site);
        dynasm!(self.asm; .arch x64; mov rcx, r10);
    }

    /// FLDCW, of a word that masks all exceptions.
    fn load_control(&mut self, i: &Instruction, access: MemoryAccess, site: u32) {
        let operand = self.operand(i, access, site);
        self.read(Register::R9D, operand, 2, site);
        dynasm!(self.asm; .arch x64
            ; mov [r12 + WORD], r9
            ; not r9
            ; mov r10, rcx
            ; pext rcx, r9, [r12 + X87_MASKS]
        );
        self.require_zero(site);
        dynasm!(self.asm; .arch x64; fldcw [r12 + WORD]);
    }

    /// LDMXCSR, of a value that masks all exceptions and sets no bit that does not exist.
    fn load_mxcsr(&mut self, i: &Instruction, access: MemoryAccess, site: u32) {
        const MASKS: i32 = 0x1F80;
        let operand = self.operand(i, access, site);
        self.read(Register::R9D, operand, 4, site);
        // Subtracting what must be set leaves zeros where it is, and where nothing else may be.
        dynasm!(self.asm; .arch x64
            ; mov [r12 + WORD], r9
            ; lea r9d, [r9 - MASKS]
            ; mov r10, rcx
            ; pext rcx, r9, [r12 + MXCSR_MASKS]
        );
        self.require_zero(site);
        dynasm!(self.asm; .arch x64; ldmxcsr [r12 + WORD]);
    }

    /// The slow path of `site` unless RCX is zero; ECX, which is in r10, is where it belongs afterwards.
    ///
    /// The branch that is taken mostly is slower than one that is not, but before FLDCW it takes the same time wherever
    /// it is.
    fn require_zero(&mut self, site: u32) {
        self.extend_hops();
        let zero = self.asm.new_dynamic_label();
        dynasm!(self.asm; .arch x64
            ; jrcxz =>zero
            ; mov ecx, 0
        );
        self.slow_if_zero(site);
        dynasm!(self.asm; .arch x64
            ; =>zero
            ; mov rcx, r10
        );
    }
}

/// An operand that lies on a 16-byte boundary: all that differ from it by a multiple of 16 do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Aligned {
    segment: SegReg,
    base: Register,
    index: Register,
    scale: u32,
    /// Its displacement modulo 16.
    displacement: u64,
}

impl Aligned {
    fn new(i: &Instruction, segment: SegReg) -> Aligned {
        Aligned {
            segment,
            base: i.memory_base(),
            index: i.memory_index(),
            scale: i.memory_index_scale(),
            displacement: i.memory_displacement64() % 16,
        }
    }

    /// Whether it does so behind `i` too.
    pub(super) fn survives(self, i: &Instruction) -> bool {
        let writes = |r: &UsedRegister| !matches!(r.access(), OpAccess::Read | OpAccess::CondRead);
        let own = |r: &UsedRegister| {
            let full = r.register().full_register32();
            full == self.base.full_register32() || full == self.index.full_register32()
        };
        let mut factory = InstructionInfoFactory::new();
        let moved = factory.info(i).used_registers().iter().any(|r| writes(r) && own(r));
        !moved && sensitivity(i) == Sensitivity::Innocuous
    }
}

/// Whether `i`, which uses x87, MMX or SSE state, does on the host what it does in the interpreter while all exceptions
/// are masked.
fn is_native(i: &Instruction) -> bool {
    use Mnemonic::*;
    match i.mnemonic() {
        // Processors differ in the last bit.
        F2xm1 | Fyl2x | Fyl2xp1 | Fptan | Fpatan | Fsin | Fcos | Fsincos => false,
        // In the last half of the bits.
        Rcpps | Rcpss | Rsqrtps | Rsqrtss => false,
        // In what they take for a decimal digit, and in what an empty register does to an undocumented instruction.
        Fbld | Fbstp | Fstpnce => false,
        // In whether the x87 unit becomes the MMX unit.
        Cvtpi2ps => !has_memory(i),
        // They replace or show more than registers.
        Fninit | Fldenv | Fnstenv | Frstor | Fnsave | Fxsave | Fxrstor => false,
        // What they do for the 8087 and the 287 is nothing.
        Fneni | Fndisi | Fnsetpm => false,
        // Their operand is at EDI, and not all of it is accessed.
        Maskmovq | Maskmovdqu => false,
        Clflush => false,
        _ => i.code().op_code().mode64(),
    }
}

/// Whether FIP and FOP are those of `i` afterwards. SDM Vol. 1, "x87 FPU Instruction and Operand (Data) Pointers": all
/// but control instructions.
fn is_numeric(i: &Instruction) -> bool {
    use Mnemonic::*;
    let control =
        matches!(i.mnemonic(), Wait | Fnclex | Fneni | Fndisi | Fnsetpm | Fldcw | Fnstcw | Fnstsw | Fnstenv);
    class(i) == Some(Class::X87) && !control && !replaces_last(i)
}

/// The segment of the memory operand of `i`, if FDP is its address afterwards.
pub(super) fn data_segment(i: &Instruction) -> Option<SegReg> {
    let segment = SegReg::from_encoding(i.memory_segment().number() as u8);
    segment.filter(|_| has_memory(i) && is_numeric(i))
}

/// Whether `i` gives the pointers values of its own.
fn replaces_last(i: &Instruction) -> bool {
    use Mnemonic::*;
    matches!(i.mnemonic(), Fninit | Fldenv | Frstor | Fnsave | Fxrstor)
}

/// Whether the 16 bytes of the memory operand of `i` may lie anywhere.
fn allows_misalignment(i: &Instruction) -> bool {
    use Mnemonic::*;
    matches!(i.mnemonic(), Movups | Movupd | Movdqu | Lddqu)
}
