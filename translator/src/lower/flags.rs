//! The flags outside the host's RFLAGS: CLI, STI, PUSHF and POPF without leaving translated code.
//!
//! IF lives in the context by itself, the other system flags in an image without it. What changes more than IF and the
//! arithmetic flags, or could let a pending interrupt in, takes the callout.

use super::stack::Pushed;
use super::{Lower, SiteKind};
use crate::emit::abi::{INTERRUPTS, QUIET, SPILL, SYSTEM};
use dynasmrt::{DynasmApi, DynasmLabelApi, dynasm};
use iced_x86::{Instruction, Mnemonic};
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::gpr;

impl Lower<'_> {
    /// Lowers instruction `n` if it belongs here.
    pub(super) fn flag_control(&mut self, n: usize, i: &Instruction) -> bool {
        let key = self.frame.key;
        let size = match i.mnemonic() {
            Mnemonic::Pushfd | Mnemonic::Popfd => 4,
            _ => 2,
        };
        match i.mnemonic() {
            Mnemonic::Cld if !key.down() => true,
            Mnemonic::Cli if key.interrupts() => {
                dynasm!(self.asm; .arch x64; mov QWORD [r12 + INTERRUPTS], 0);
                true
            }
            // The shadow of STI ends with the instruction behind it, which must belong to the same unit.
            Mnemonic::Sti if key.interrupts() && n + 1 < self.guest.len() => {
                self.sti(n);
                true
            }
            Mnemonic::Pushf | Mnemonic::Pushfd if !key.v8086() => {
                self.flags_image();
                self.push_value(n, Pushed::Spill, size);
                true
            }
            Mnemonic::Popf | Mnemonic::Popfd if !key.v8086() => {
                self.popf(n, size);
                true
            }
            _ => false,
        }
    }

    fn sti(&mut self, n: usize) {
        let site = self.new_site(n, SiteKind::Plain);
        let (slow, done) = (self.asm.new_dynamic_label(), self.asm.new_dynamic_label());
        dynasm!(self.asm; .arch x64
            ; mov r10, rcx
            ; mov rcx, [r12 + QUIET]
            ; jrcxz =>slow
            ; mov rcx, r10
            ; mov QWORD [r12 + INTERRUPTS], 1
            ; jmp BYTE =>done
            ; =>slow
        );
        self.slow_callout(site);
        dynasm!(self.asm; .arch x64; =>done);
        self.resume_here(site);
    }

    /// Puts the image that PUSHF stores into the context.
    fn flags_image(&mut self) {
        // AND by way of PEXT and PDEP, which leave the flags alone.
        dynasm!(self.asm; .arch x64
            ; pushfq
            ; pop r9
            ; mov r10d, bit::ARITHMETIC as i32
            ; pext r9d, r9d, r10d
            ; pdep r9d, r9d, r10d
            ; mov r10, [r12 + SYSTEM]
            ; lea r9, [r9 + r10 + bit::ONE as i32]
            ; mov r10, [r12 + INTERRUPTS]
            ; rorx r10, r10, 64 - 9
            ; lea r9, [r9 + r10]
            ; mov [r12 + SPILL], r9
        );
        self.extend_hops();
    }

    fn popf(&mut self, n: usize, size: u32) {
        let key = self.frame.key;
        let mut unchanged = bit::TF | bit::DF | bit::NT;
        if size == 4 {
            unchanged |= bit::AC | bit::ID;
        }
        if !key.user() {
            unchanged |= bit::IOPL;
        }
        let memory = self.memory_site(n);
        self.read_top(gpr::SP, size, memory);
        self.resume_behind(memory);
        self.extend_hops();
        let site = self.new_site(n, SiteKind::Plain);
        let (slow, same) = (self.asm.new_dynamic_label(), self.asm.new_dynamic_label());
        // The difference of the bits that must not change is zero.
        dynasm!(self.asm; .arch x64
            ; mov [r12 + SPILL], r9
            ; mov r10d, unchanged as i32
            ; pext r8d, r9d, r10d
            ; mov r9, [r12 + SYSTEM]
            ; pext r9d, r9d, r10d
            ; not r9
            ; mov r10, rcx
            ; lea rcx, [r8 + r9 + 1]
            ; jrcxz =>same
            ; =>slow
        );
        self.slow_callout(site);
        dynasm!(self.asm; .arch x64; =>same);
        self.extend_hops();
        if key.interrupts() {
            dynasm!(self.asm; .arch x64
                ; mov rcx, [r12 + QUIET]
                ; jrcxz =>slow
                ; mov rcx, r10
                ; mov r9, [r12 + SPILL]
                ; mov r10d, bit::IF as i32
                ; pext r10d, r9d, r10d
                ; mov [r12 + INTERRUPTS], r10
            );
        } else {
            dynasm!(self.asm; .arch x64
                ; mov rcx, r10
                ; mov r9, [r12 + SPILL]
            );
        }
        // OF by overflow, the others from AH.
        dynasm!(self.asm; .arch x64
            ; mov r8, rax
            ; mov r10d, bit::OF as i32
            ; pext r10d, r9d, r10d
            ; movzx eax, r9b
            ; rorx eax, eax, 24
            ; lea eax, [rax + r10]
            ; add al, 0x7F
            ; sahf
            ; mov rax, r8
        );
        self.step_sp(gpr::SP, size as i32);
        self.resume_behind(site);
    }

    /// The callout of `site` from where ECX is in r10.
    pub(super) fn slow_callout(&mut self, site: u32) {
        dynasm!(self.asm; .arch x64
            ; mov rcx, r10
            ; mov r9d, site as i32
        );
        self.jump_to_stub(self.frame.stubs.callout);
    }
}
