//! String instructions without a repeat prefix: loads and stores, and a step of the pointers.

use super::memory::{AccessKind, HostOperand, MemoryAccess};
use super::{Lower, SiteKind};
use crate::emit::abi::{SPILL, host_gpr};
use dynasmrt::{DynasmApi, DynasmLabelApi, dynasm};
use iced_x86::{Code, Instruction, Mnemonic, OpKind, Register};
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::SegReg;

impl Lower<'_> {
    /// Lowers instruction `n` if it belongs here.
    pub(super) fn string(&mut self, n: usize, i: &Instruction) -> bool {
        use Mnemonic::*;
        if !i.is_string_instruction() {
            return false;
        }
        if i.has_rep_prefix() || i.has_repne_prefix() {
            return self.repeated(n, i);
        }
        let size = i.memory_size().size() as u32;
        let (reads_source, writes) = match i.mnemonic() {
            Movsb | Movsw | Movsd => (true, true),
            Lodsb | Lodsw | Lodsd => (true, false),
            Stosb | Stosw | Stosd => (false, true),
            Scasb | Scasw | Scasd => (false, false),
            Cmpsb | Cmpsw | Cmpsd => (true, false),
            _ => return false,
        };
        let lods = matches!(i.mnemonic(), Lodsb | Lodsw | Lodsd);
        let short =
            (0..i.op_count()).any(|op| matches!(i.op_kind(op), OpKind::MemorySegSI | OpKind::MemoryESDI));
        let Some(segment) = SegReg::from_encoding(i.memory_segment().number() as u8) else { return false };
        // The number of the host register that the source is in.
        let mut source = 0;
        if reads_source {
            let site = self.memory_site(n);
            let access = MemoryAccess { segment, size, kind: AccessKind::Read };
            let operand = self.at_index(gpr::SI, short, access, site);
            self.read(Register::R9D, operand, size, site);
            self.resume_behind(site);
            source = 9;
        }
        if lods {
            self.set_accumulator(size);
        } else {
            if reads_source {
                dynasm!(self.asm; .arch x64; mov [r12 + SPILL], r9);
            }
            self.extend_hops();
            let site = self.memory_site(n);
            let kind = if writes { AccessKind::Write } else { AccessKind::Read };
            let access = MemoryAccess { segment: SegReg::Es, size, kind };
            let operand = self.at_index(gpr::DI, short, access, site);
            if reads_source {
                dynasm!(self.asm; .arch x64; mov r10, [r12 + SPILL]);
                source = 10;
            }
            if writes {
                self.write(operand, source, size, site);
            } else {
                self.compare(source, operand, size, site);
            }
            self.resume_behind(site);
        }
        let step = if self.frame.key.down() { -(size as i32) } else { size as i32 };
        for r in [(reads_source, gpr::SI), (!lods, gpr::DI)].iter().filter(|r| r.0).map(|r| r.1) {
            let pointer = host_gpr(r).number() as u8;
            if short {
                dynasm!(self.asm; .arch x64
                    ; lea r8d, [Rq(pointer) + step]
                    ; mov Rw(pointer), r8w
                );
            } else {
                dynasm!(self.asm; .arch x64; lea Rd(pointer), [Rq(pointer) + step]);
            }
        }
        true
    }

    /// REP MOVS and REP STOS in a window, upwards: the host's own, with pointers into the window meanwhile.
    fn repeated(&mut self, n: usize, i: &Instruction) -> bool {
        use Mnemonic::*;
        let moves = match i.mnemonic() {
            Movsb | Movsw | Movsd => true,
            Stosb | Stosw | Stosd => false,
            _ => return false,
        };
        let key = self.frame.key;
        let wide =
            (0..i.op_count()).all(|op| !matches!(i.op_kind(op), OpKind::MemorySegSI | OpKind::MemoryESDI));
        let Some(source) = SegReg::from_encoding(i.memory_segment().number() as u8) else { return false };
        let flat = key.is_flat(SegReg::Es) && (!moves || key.is_flat(source));
        if key.down() || !wide || !flat || !self.may_use_window(n) {
            return false;
        }
        let site = self.new_site(n, SiteKind::Repeat);
        let done = self.asm.new_dynamic_label();
        let (short, go) = (self.asm.new_dynamic_label(), self.asm.new_dynamic_label());
        // Each iteration is a unit of work; the first is the instruction's own.
        dynasm!(self.asm; .arch x64
            ; jrcxz =>done
            ; mov r10, rcx
            ; mov r9, rcx
            ; not r9
            ; lea rcx, [r11 + r9 + 1]
            ; shrx rcx, rcx, r12
            ; jrcxz =>short
            ; mov rcx, r10
            ; jmp BYTE =>go
            ; =>short
        );
        self.slow_callout(site);
        dynasm!(self.asm; .arch x64
            ; =>go
            ; lea r11, [r11 + r9 + 2]
            ; lea rdi, [rdi + r15]
        );
        if moves {
            dynasm!(self.asm; .arch x64; lea rsi, [rsi + r15]);
        }
        self.faults_here(site);
        match (moves, i.memory_size().size()) {
            (true, 1) => dynasm!(self.asm; .arch x64; rep movsb),
            (true, 2) => dynasm!(self.asm; .arch x64; rep movsw),
            (true, _) => dynasm!(self.asm; .arch x64; rep movsd),
            (false, 1) => dynasm!(self.asm; .arch x64; rep stosb),
            (false, 2) => dynasm!(self.asm; .arch x64; rep stosw),
            (false, _) => dynasm!(self.asm; .arch x64; rep stosd),
        }
        dynasm!(self.asm; .arch x64
            ; mov r9, r15
            ; not r9
            ; lea edi, [rdi + r9 + 1]
        );
        if moves {
            dynasm!(self.asm; .arch x64; lea esi, [rsi + r9 + 1]);
        }
        dynasm!(self.asm; .arch x64; =>done);
        self.resume_here(site);
        true
    }

    /// The operand at SI or DI, by `short`, or ESI or EDI.
    fn at_index(&mut self, pointer: u8, short: bool, access: MemoryAccess, site: u32) -> HostOperand {
        let from = host_gpr(pointer);
        if self.uses_window(site) && self.frame.key.is_flat(access.segment) && !short {
            return HostOperand { base: Register::R15, index: from, displacement: 0, window: true };
        }
        let from = from.number() as u8;
        if short {
            dynasm!(self.asm; .arch x64; movzx r8d, Rw(from));
        } else {
            dynasm!(self.asm; .arch x64; mov r8d, Rd(from));
        }
        self.at_offset(access, site)
    }

    /// AL, AX or EAX becomes the low bytes of r9.
    fn set_accumulator(&mut self, size: u32) {
        match size {
            1 => dynasm!(self.asm; .arch x64; mov al, r9b),
            2 => dynasm!(self.asm; .arch x64; mov ax, r9w),
            _ => dynasm!(self.asm; .arch x64; mov eax, r9d),
        }
    }

    /// Compares the low bytes of the register with number `with` with the operand.
    fn compare(&mut self, with: u8, operand: HostOperand, size: u32, site: u32) {
        self.may_fault(operand, site);
        let (code, register) = match size {
            1 => (Code::Cmp_r8_rm8, if with == 0 { Register::AL } else { Register::R10L }),
            2 => (Code::Cmp_r16_rm16, Register::AX + u32::from(with)),
            _ => (Code::Cmp_r32_rm32, Register::EAX + u32::from(with)),
        };
        let i = Instruction::with2(code, register, operand.operand()).expect("valid operands");
        assert!(self.encode(&i), "CMP takes any operand");
    }
}
