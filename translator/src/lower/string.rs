//! String instructions: without a repeat prefix loads and stores, and a step of the pointers; with one the host's own.

use super::memory::{AccessKind, HostOperand, MemoryAccess};
use super::{Lower, SiteKind};
use crate::emit::abi::{BEGAN, SPILL, host_gpr};
use dynasmrt::{DynasmApi, DynasmLabelApi, dynasm};
use iced_x86::{Code, Instruction, Mnemonic, OpKind, Register};
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::SegReg;

/// A string instruction with a repeat prefix, as the host has it.
#[derive(Clone, Copy)]
struct Repeated {
    /// F2 or F3.
    prefix: u8,
    /// Opcode for bytes.
    opcode: u8,
    /// Bytes of an element.
    size: u32,
    /// It reads at SI.
    reads_source: bool,
    /// It compares, and may end before its last iteration; else it writes at DI.
    compares: bool,
}

impl Repeated {
    fn of(i: &Instruction) -> Option<Self> {
        use Mnemonic::*;
        let (opcode, reads_source, compares) = match i.mnemonic() {
            Movsb | Movsw | Movsd => (0xA4, true, false),
            Cmpsb | Cmpsw | Cmpsd => (0xA6, true, true),
            Stosb | Stosw | Stosd => (0xAA, false, false),
            Scasb | Scasw | Scasd => (0xAE, false, true),
            _ => return None,
        };
        let prefix = if i.has_repne_prefix() { 0xF2 } else { 0xF3 };
        Some(Repeated { prefix, opcode, size: i.memory_size().size() as u32, reads_source, compares })
    }
}

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

    /// MOVS, STOS, CMPS and SCAS with a repeat prefix, upwards in flat segments: the host's own, with host pointers
    /// meanwhile. In a window it may fault amid its iterations; through the tables all must lie on one page of each
    /// operand, else the interpreter does them.
    fn repeated(&mut self, n: usize, i: &Instruction) -> bool {
        let Some(repeated) = Repeated::of(i) else { return false };
        let key = self.frame.key;
        let wide =
            (0..i.op_count()).all(|op| !matches!(i.op_kind(op), OpKind::MemorySegSI | OpKind::MemoryESDI));
        let Some(source) = SegReg::from_encoding(i.memory_segment().number() as u8) else { return false };
        let flat = key.is_flat(SegReg::Es) && (!repeated.reads_source || key.is_flat(source));
        if key.down() || !wide || !flat {
            return false;
        }
        let kind = if repeated.compares { SiteKind::RepeatedComparison } else { SiteKind::Repeat };
        let site = self.new_site(n, kind);
        let [some, none, short, enough] = std::array::from_fn(|_| self.asm.new_dynamic_label());
        // Each iteration is a unit of work; the first is the instruction's own.
        dynasm!(self.asm; .arch x64
            ; mov r10, rcx
            ; jrcxz =>none
            ; jmp BYTE =>some
            ; =>none
        );
        dynasm!(self.asm; .arch x64; .u8 0xE9);
        let done = self.position();
        dynasm!(self.asm; .arch x64
            ; .i32 0
            ; =>some
            ; mov r9, rcx
            ; not r9
            ; lea rcx, [r11 + r9 + 1]
            ; shrx rcx, rcx, r12
            ; jrcxz =>short
            ; jmp BYTE =>enough
            ; =>short
        );
        self.slow_callout(site);
        dynasm!(self.asm; .arch x64; =>enough);
        self.extend_hops();
        if self.may_use_window(n) {
            self.repeated_in_window(repeated, site);
        } else {
            self.repeated_on_pages(repeated, site);
        }
        let here = self.position();
        self.fixups.push((done, here));
        self.resume_here(site);
        true
    }

    /// Does the iterations that r10 counts, in a window.
    fn repeated_in_window(&mut self, repeated: Repeated, site: u32) {
        if repeated.compares {
            dynasm!(self.asm; .arch x64
                ; mov [r12 + BEGAN], r10
                ; mov [r12 + BEGAN + 8], rsi
                ; mov [r12 + BEGAN + 16], rdi
            );
        }
        dynasm!(self.asm; .arch x64; lea rdi, [rdi + r15]);
        if repeated.reads_source {
            dynasm!(self.asm; .arch x64; lea rsi, [rsi + r15]);
        }
        self.iterate(repeated, Some(site));
        dynasm!(self.asm; .arch x64
            ; mov r9, r15
            ; not r9
            ; lea edi, [rdi + r9 + 1]
        );
        if repeated.reads_source {
            dynasm!(self.asm; .arch x64; lea esi, [rsi + r9 + 1]);
        }
    }

    /// Does the iterations that r10 counts, if they lie on one page of each operand and the tables have it.
    fn repeated_on_pages(&mut self, repeated: Repeated, site: u32) {
        let fits = self.asm.new_dynamic_label();
        self.last_byte(repeated.size);
        dynasm!(self.asm; .arch x64
            ; shrx rcx, r9, r13
            ; jrcxz =>fits
        );
        self.slow_callout(site);
        dynasm!(self.asm; .arch x64; =>fits);
        let kind = if repeated.compares { AccessKind::Read } else { AccessKind::Write };
        dynasm!(self.asm; .arch x64; mov r8d, edi);
        self.look_up_run(repeated.size, kind, site);
        if repeated.reads_source {
            dynasm!(self.asm; .arch x64
                ; mov [r12 + SPILL], rcx
                ; mov r8d, esi
            );
            self.look_up_run(repeated.size, AccessKind::Read, site);
            dynasm!(self.asm; .arch x64
                ; mov r9, rcx
                ; lea rsi, [rsi + r9]
                ; mov rcx, [r12 + SPILL]
            );
        }
        dynasm!(self.asm; .arch x64
            ; mov r8, rcx
            ; lea rdi, [rdi + r8]
        );
        self.iterate(repeated, None);
        dynasm!(self.asm; .arch x64
            ; not r8
            ; lea edi, [rdi + r8 + 1]
        );
        if repeated.reads_source {
            dynasm!(self.asm; .arch x64
                ; not r9
                ; lea esi, [rsi + r9 + 1]
            );
        }
        self.extend_hops();
    }

    /// The distance of the last byte from the first of as many elements as r10 counts, in r9.
    fn last_byte(&mut self, size: u32) {
        match size {
            1 => dynasm!(self.asm; .arch x64; lea r9, [r10 - 1]),
            2 => dynasm!(self.asm; .arch x64; lea r9, [r10 * 2 - 1]),
            _ => dynasm!(self.asm; .arch x64; lea r9, [r10 * 4 - 1]),
        }
    }

    /// As [`Lower::look_up`], for as many elements at r8d as r10 counts, at most a page of them.
    fn look_up_run(&mut self, size: u32, kind: AccessKind, site: u32) {
        self.extend_hops();
        self.last_byte(size);
        dynasm!(self.asm; .arch x64
            ; rorx r9, r9, 64 - 20
            ; rorx ecx, r8d, 12
            ; lea r9, [r9 + rcx]
        );
        self.extract_index();
        self.load_entry(kind);
        self.slow_if_zero(site);
        self.extend_hops();
    }

    /// The host's instruction, for r10 iterations, which are taken off the budget but for the first. It may fault on
    /// behalf of a site.
    fn iterate(&mut self, repeated: Repeated, site: Option<u32>) {
        dynasm!(self.asm; .arch x64
            ; mov rcx, r10
            ; not r10
            ; lea r11, [r11 + r10 + 2]
        );
        if let Some(site) = site {
            self.faults_here(site);
        }
        if repeated.size == 2 {
            dynasm!(self.asm; .arch x64; .u8 0x66);
        }
        let opcode = repeated.opcode | u8::from(repeated.size > 1);
        dynasm!(self.asm; .arch x64; .u8 repeated.prefix; .u8 opcode);
        if repeated.compares {
            dynasm!(self.asm; .arch x64; lea r11, [r11 + rcx]);
        }
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
