//! Changes of privilege without a callout: SYSENTER, SYSEXIT, INT n and IRET between flat segments.
//!
//! What such an instruction gave before, it gives again if what it reads is the same: gate, descriptors, the stack
//! segment in the task state, the flags and selectors that are popped (see [`Crossing`]). All that is compared first,
//! so what is not the same takes a callout with nothing changed. Behind it the context holds the tables of the other
//! mode, and the code of the new EIP is found there. Everything that is not usual is a callout: other segments than
//! flat ones, NT, changes of system flags by IRET, interrupts that wait, frames that lie on two pages or beside code.
//!
//! r9 leads to what is known of the crossing, r10 holds ECX, rcx is what is compared; r13 and r15, which the callout
//! loads again and the other mode has of its own, are scratch.

use super::{Lower, SiteKind};
use crate::emit::abi::{
    self, EIP_TABLE, INDEX_MASK, INTERRUPTS, LAST_OPCODE, MEMORY, PRIVATE, QUIET, RELOADED, SYSTEM, TABLES,
};
use crate::host::context::Context;
use crate::host::crossing::{Crossing, Crossings, Found};
use crate::key::ModeKey;
use crate::shadow::{TABLES_BIAS, WRITE_TABLE};
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, dynasm};
use iced_x86::{Instruction, Mnemonic};
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::segment::SegReg;
use std::mem::offset_of;

/// What changes privilege or goes through a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// SYSENTER.
    Sysenter,
    /// SYSEXIT.
    Sysexit,
    /// INT n.
    Int(u8),
    /// IRETD.
    Iret,
}

/// System flags but IF: IRETD at CPL 0 loads them.
pub const SYSTEM_FLAGS: u32 = bit::DEFINED & !(bit::ARITHMETIC | bit::IF);
/// What decides about the mode behind SYSEXIT.
pub const OUTER_FLAGS: u32 = bit::AC | bit::IOPL;

/// Bytes of the frame of an interrupt: EIP, CS, EFLAGS.
const FRAME: i32 = 12;
/// The same from another level: and ESP, SS.
const OUTER_FRAME: i32 = 20;

/// Displacement from r12 of what is known at a place of [`Crossings`].
const fn known(place: usize) -> i32 {
    abi::field(offset_of!(Context, crossings) + (place << Crossing::SHIFT))
}

/// Displacement from r9 of a field.
macro_rules! of {
    ($field:ident) => {
        offset_of!(Crossing, $field) as i32
    };
}

/// Displacement from r9 of SS in an array of CS and SS.
const SELECTOR_SS: i32 = of!(selectors) + 8;

/// Displacement from r12 of what the context has of CS; SS follows it.
const fn code(array: usize) -> i32 {
    abi::element(array, SegReg::Cs as usize)
}
const SELECTOR: i32 = code(offset_of!(Context, selectors));
const LOADED: i32 = code(offset_of!(Context, loaded));
const CODE_READ: i32 = code(offset_of!(Context, seg_read));
const RELOADED_CODE: i32 = RELOADED + SegReg::Cs as i32;
const _: () = assert!(SegReg::Ss as usize == SegReg::Cs as usize + 1);

impl Lower<'_> {
    /// Lowers instruction `n` if it belongs here. What follows it is not reached.
    pub(super) fn crossing(&mut self, n: usize, i: &Instruction) -> bool {
        let key = self.frame.key;
        let way = match i.mnemonic() {
            Mnemonic::Sysenter => Way::Sysenter,
            Mnemonic::Sysexit if key.kernel() => Way::Sysexit,
            Mnemonic::Int => Way::Int(i.immediate8()),
            Mnemonic::Iretd if key.kernel() => Way::Iret,
            _ => return false,
        };
        if !crosses(key) {
            return false;
        }
        self.leave_last();
        let site = self.new_site(n, SiteKind::Crossing(way));
        let slow = self.asm.new_dynamic_label();
        dynasm!(self.asm; .arch x64; mov r10, rcx);
        match way {
            Way::Sysenter => self.sysenter(slow),
            Way::Sysexit => self.sysexit(slow),
            Way::Int(vector) => {
                let next = self.frame.eip.wrapping_add(self.guest[n].end());
                self.interrupt(vector, next, slow);
            }
            Way::Iret => self.iret(slow),
        }
        dynasm!(self.asm; .arch x64; =>slow);
        self.slow_callout(site);
        true
    }

    fn sysenter(&mut self, slow: DynamicLabel) {
        dynasm!(self.asm; .arch x64; lea r9, [r12 + known(Crossings::SYSENTER)]);
        self.compare_tag(0);
        self.add_unnamed();
        self.need_zero(slow);
        dynasm!(self.asm; .arch x64
            ; mov r14d, [r9 + of!(esp)]
            ; mov r8d, [r9 + of!(eip)]
            ; mov QWORD [r12 + INTERRUPTS], 0
        );
        self.enter_level();
    }

    fn sysexit(&mut self, slow: DynamicLabel) {
        dynasm!(self.asm; .arch x64; lea r9, [r12 + known(Crossings::SYSEXIT)]);
        self.compare_tag(0);
        self.add_unnamed();
        dynasm!(self.asm; .arch x64
            ; mov r8, [r12 + SYSTEM]
            ; pext r8d, r8d, [r9 + of!(flags_mask)]
            ; not r8d
            ; mov r15d, [r9 + of!(flags)]
            ; lea r8d, [r8 + r15 + 1]
            ; lea rcx, [rcx + r8]
        );
        self.need_zero(slow);
        dynasm!(self.asm; .arch x64
            ; mov r14d, r10d
            ; mov r8d, edx
        );
        self.enter_level();
    }

    /// INT: from CPL 3 to CPL 0, or at CPL 0.
    fn interrupt(&mut self, vector: u8, next: u32, slow: DynamicLabel) {
        let outer = self.frame.key.user();
        dynasm!(self.asm; .arch x64; lea r9, [r12 + known(Crossings::int(vector))]);
        self.compare_tag(vector.into());
        self.add_unnamed();
        self.add_nested_task();
        self.need_zero(slow);
        dynasm!(self.asm; .arch x64; mov r13, [r9 + of!(tables)]);
        let value = offset_of!(Found, value) as i32;
        self.need_same(of!(gate), of!(gate) + value, slow);
        self.need_same(of!(code), of!(descriptors), slow);
        let frame = if outer { OUTER_FRAME } else { FRAME };
        if outer {
            self.need_same(of!(stack), of!(descriptors) + 8, slow);
            self.stack_of_task(slow);
            dynasm!(self.asm; .arch x64; lea r8d, [r8 - frame]);
        } else {
            dynasm!(self.asm; .arch x64; lea r8d, [r14 - frame]);
        }
        dynasm!(self.asm; .arch x64; mov r15d, r8d);
        self.need_page(frame, WRITE_TABLE, slow);
        // Nothing can go wrong any longer.
        dynasm!(self.asm; .arch x64
            ; mov DWORD [rcx + r8], next as i32
            ; mov r15, [r12 + SELECTOR]
            ; mov [rcx + r8 + 4], r15d
        );
        if outer {
            dynasm!(self.asm; .arch x64
                ; mov r15, [r12 + SELECTOR + 8]
                ; mov [rcx + r8 + 12], r14d
                ; mov [rcx + r8 + 16], r15d
            );
        }
        self.extend_hops();
        // LAHF has bit 1, which is always set, too.
        dynasm!(self.asm; .arch x64
            ; mov r13, rax
            ; seto r15b
            ; movzx r15d, r15b
            ; rorx r15d, r15d, 32 - 11
            ; lahf
            ; movzx eax, ah
            ; lea r15, [r15 + rax]
            ; mov rax, r13
            ; mov r13, [r12 + SYSTEM]
            ; lea r15, [r15 + r13]
            ; mov r13, [r12 + INTERRUPTS]
            ; rorx r13, r13, 64 - 9
            ; lea r15, [r15 + r13]
            ; mov [rcx + r8 + 8], r15d
        );
        self.extend_hops();
        dynasm!(self.asm; .arch x64
            ; mov r14d, r8d
            ; mov r8, [r12 + INTERRUPTS]
            ; pext r8, r8, [r9 + of!(keeps_interrupts)]
            ; mov [r12 + INTERRUPTS], r8
            ; mov r8d, [r9 + of!(eip)]
        );
        if outer { self.enter_level() } else { self.enter_code() }
    }

    /// Reads the stack for CPL 0 in the task state: the pointer into r8d; the selector must be the same.
    fn stack_of_task(&mut self, slow: DynamicLabel) {
        let (bad, good) = (self.asm.new_dynamic_label(), self.asm.new_dynamic_label());
        let (index, linear) = (offset_of!(Found, index) as i32, offset_of!(Found, linear) as i32);
        dynasm!(self.asm; .arch x64
            ; mov rcx, [r9 + of!(task) + index]
            ; mov rcx, [r13 + rcx - TABLES_BIAS]
            ; jrcxz =>bad
            ; mov r8, [r9 + of!(task) + linear]
            ; movzx r15d, WORD [rcx + r8 + 4]
            ; mov r8d, [rcx + r8]
            ; not r15
            ; mov rcx, [r9 + SELECTOR_SS]
            ; lea rcx, [rcx + r15 + 1]
            ; jrcxz =>good
            ; =>bad
            ; jmp =>slow
            ; =>good
        );
        self.extend_hops();
    }

    /// IRETD at CPL 0: to CPL 3, or to CPL 0.
    fn iret(&mut self, slow: DynamicLabel) {
        let same_level = self.asm.new_dynamic_label();
        dynasm!(self.asm; .arch x64; mov r15d, r14d);
        self.need_page(FRAME, 0, slow);
        dynasm!(self.asm; .arch x64
            ; lea r8, [r14 + rcx]
            ; movzx r15d, WORD [r8 + 4]
            ; mov ecx, Crossings::IRET_BITS as i32
            ; pext ecx, r15d, ecx
            ; rorx ecx, ecx, 32 - Crossing::SHIFT as i8
            ; lea r9, [r12 + rcx + known(Crossings::iret(0))]
            ; rorx r15d, r15d, 16
        );
        self.extend_hops();
        self.compare_tag(0);
        // The tag has the popped selector in its upper half.
        dynasm!(self.asm; .arch x64
            ; not r15d
            ; lea ecx, [rcx + r15 + 1]
        );
        self.add_unnamed();
        self.add_nested_task();
        self.need_zero(slow);
        dynasm!(self.asm; .arch x64
            ; mov r13, [r12 + TABLES]
            ; mov r15d, [r8 + 8]
            ; pext r15d, r15d, [r9 + of!(flags_mask)]
            ; not r15d
            ; mov ecx, [r9 + of!(flags)]
            ; lea ecx, [rcx + r15 + 1]
            ; mov r15, [r12 + QUIET]
            ; not r15
            ; lea rcx, [rcx + r15 + 2]
        );
        self.need_zero(slow);
        self.need_same(of!(code), of!(descriptors), slow);
        let outer = self.asm.new_dynamic_label();
        dynasm!(self.asm; .arch x64
            ; mov ecx, [r9 + of!(same_level)]
            ; jrcxz =>outer
            ; jmp =>same_level
            ; =>outer
            ; movzx ecx, WORD [r8 + 16]
            ; not rcx
            ; mov r15, [r9 + SELECTOR_SS]
            ; lea ecx, [rcx + r15 + 1]
            ; mov r15, [r12 + PRIVATE]
            ; lea rcx, [rcx + r15]
        );
        self.need_zero(slow);
        dynasm!(self.asm; .arch x64; mov r15d, r14d);
        self.need_page(OUTER_FRAME, 0, slow);
        self.need_same(of!(stack), of!(descriptors) + 8, slow);
        self.pop_flags();
        dynasm!(self.asm; .arch x64
            ; mov r14d, [r8 + 12]
            ; mov r8d, [r8]
        );
        self.enter_level();
        dynasm!(self.asm; .arch x64; =>same_level);
        self.pop_flags();
        dynasm!(self.asm; .arch x64
            ; lea r14d, [r14 + FRAME]
            ; mov r8d, [r8]
        );
        self.enter_code();
    }

    /// The flags of the image at r8, whose system flags are known.
    fn pop_flags(&mut self) {
        self.extend_hops();
        // OF by overflow, the others from AH.
        dynasm!(self.asm; .arch x64
            ; mov r15d, [r8 + 8]
            ; mov ecx, bit::IF as i32
            ; pext ecx, r15d, ecx
            ; mov [r12 + INTERRUPTS], rcx
            ; mov rcx, [r9 + of!(system)]
            ; mov [r12 + SYSTEM], rcx
            ; mov r13, rax
            ; mov ecx, bit::OF as i32
            ; pext ecx, r15d, ecx
            ; movzx eax, r15b
            ; rorx eax, eax, 24
            ; lea eax, [rax + rcx]
            ; add al, 0x7F
            ; sahf
            ; mov rax, r13
        );
        self.extend_hops();
    }

    /// ecx becomes zero if the tag is that of this mode with `what`.
    fn compare_tag(&mut self, what: u16) {
        let tag = Crossing::tag_of(self.frame.key.bits(), what) as i32;
        dynasm!(self.asm; .arch x64
            ; mov ecx, [r9 + of!(tag)]
            ; lea ecx, [rcx + tag.wrapping_neg()]
        );
    }

    /// rcx grows unless numeric instructions have named CS and the segment of their operand, which are others then.
    fn add_unnamed(&mut self) {
        dynasm!(self.asm; .arch x64
            ; mov r13, [r12 + LAST_OPCODE]
            ; lea rcx, [rcx + r13]
        );
    }

    /// rcx grows unless NT is clear.
    fn add_nested_task(&mut self) {
        // The bit, as far as it is there.
        dynasm!(self.asm; .arch x64
            ; mov r13d, bit::NT as i32
            ; pext r13, r13, [r12 + SYSTEM]
            ; lea rcx, [rcx + r13]
        );
    }

    /// Goes on if rcx is zero.
    fn need_zero(&mut self, slow: DynamicLabel) {
        let good = self.asm.new_dynamic_label();
        dynasm!(self.asm; .arch x64
            ; jrcxz =>good
            ; jmp =>slow
            ; =>good
        );
        self.extend_hops();
    }

    /// Goes on if the eight bytes that `found` tells of are those at `value`, both displacements from r9. The tables
    /// are in r13.
    fn need_same(&mut self, found: i32, value: i32, slow: DynamicLabel) {
        let (bad, good) = (self.asm.new_dynamic_label(), self.asm.new_dynamic_label());
        let (index, linear) = (offset_of!(Found, index) as i32, offset_of!(Found, linear) as i32);
        dynasm!(self.asm; .arch x64
            ; mov rcx, [r9 + found + index]
            ; mov rcx, [r13 + rcx - TABLES_BIAS]
            ; jrcxz =>bad
            ; mov r15, [r9 + found + linear]
            ; mov rcx, [rcx + r15]
            ; not rcx
            ; mov r15, [r9 + value]
            ; lea rcx, [rcx + r15 + 1]
            ; jrcxz =>good
            ; =>bad
            ; jmp =>slow
            ; =>good
        );
        self.extend_hops();
    }

    /// Goes on if `size` bytes at linear address r15 lie on one page of `table`, with its entry in rcx. The tables are
    /// in r13.
    fn need_page(&mut self, size: i32, table: i32, slow: DynamicLabel) {
        let (bad, good) = (self.asm.new_dynamic_label(), self.asm.new_dynamic_label());
        dynasm!(self.asm; .arch x64
            ; rorx r15d, r15d, 12
            ; lea r15, [r15 + ((size - 1) << 20)]
            ; pext r15, r15, [r12 + INDEX_MASK]
            ; mov rcx, [r13 + r15 * 8 + (table - TABLES_BIAS)]
            ; jrcxz =>bad
            ; jmp BYTE =>good
            ; =>bad
            ; jmp =>slow
            ; =>good
        );
        self.extend_hops();
    }

    /// The mode behind it at another level: code at EIP r8d, with another stack and other tables.
    fn enter_level(&mut self) {
        self.extend_hops();
        // XMM8 and above are nobody's.
        dynasm!(self.asm; .arch x64
            ; movups xmm8, [r9 + of!(selectors)]
            ; movups xmm9, [r9 + of!(descriptors)]
            ; movups [r12 + SELECTOR], xmm8
            ; movups [r12 + LOADED], xmm9
            ; mov WORD [r12 + RELOADED_CODE], 0x0101
        );
        self.enter();
    }

    /// The same at the same level.
    fn enter_code(&mut self) {
        self.extend_hops();
        dynasm!(self.asm; .arch x64
            ; mov rcx, [r9 + of!(selectors)]
            ; mov [r12 + SELECTOR], rcx
            ; mov rcx, [r9 + of!(descriptors)]
            ; mov [r12 + LOADED], rcx
            ; mov BYTE [r12 + RELOADED_CODE], 1
        );
        self.enter();
    }

    fn enter(&mut self) {
        self.extend_hops();
        dynasm!(self.asm; .arch x64
            ; mov rcx, [r9 + of!(code_read)]
            ; mov [r12 + CODE_READ], rcx
            ; mov r13, [r9 + of!(tables)]
            ; mov [r12 + TABLES], r13
            ; mov r15, [r9 + of!(memory)]
            ; mov [r12 + MEMORY], r15
            ; mov r9, [r9 + of!(eip_table)]
            ; mov [r12 + EIP_TABLE], r9
            ; mov rcx, r10
        );
        self.dispatch_by_r9();
    }
}

/// Whether code of this mode has flat segments, between which crossings are known.
fn crosses(key: ModeKey) -> bool {
    let flat_code = key.code32() && (key.cs_base, key.cs_limit) == (0, u32::MAX);
    let flat_stack = key.stack32() && key.is_flat(SegReg::Ss);
    (key.user() || key.kernel()) && !key.v8086() && flat_code && flat_stack
}
