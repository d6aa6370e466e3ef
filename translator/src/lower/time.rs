//! RDTSC, where the time-stamp counter is a linear function of retired work: under the virtual clock.
//!
//! The budget says what work is left until the end of the stay, and the context what the counter shows there. Whether
//! it is so, and whether the guest may read it, the first callout finds out; see [`Context::time_rate`].

use super::{Lower, SiteKind};
use crate::emit::abi::{TIME_ORIGIN, TIME_RATE, TIME_WORK};
use dynasmrt::{DynasmApi, dynasm};
use iced_x86::{Instruction, Mnemonic};

#[cfg(doc)]
use crate::host::context::Context;

impl Lower<'_> {
    /// Lowers instruction `n` if it belongs here.
    pub(super) fn time_stamp(&mut self, n: usize, i: &Instruction) -> bool {
        if i.mnemonic() != Mnemonic::Rdtsc {
            return false;
        }
        let site = self.new_site(n, SiteKind::Time);
        dynasm!(self.asm; .arch x64
            ; mov r10, rcx
            ; mov rcx, [r12 + TIME_RATE]
        );
        self.slow_if_zero(site);
        // Work so far: what will be retired at the end, less the budget and what was taken off it for this instruction
        // and those behind it.
        let ahead = (self.guest.len() - n) as i32;
        dynasm!(self.asm; .arch x64
            ; lea rdx, [r11 + (ahead - 1)]
            ; not rdx
            ; mov r9, [r12 + TIME_WORK]
            ; lea rdx, [rdx + r9]
            ; mulx r9, rdx, rcx
            ; mov r9, [r12 + TIME_ORIGIN]
            ; mov rcx, r10
            ; lea rdx, [rdx + r9]
            ; mov eax, edx
            ; rorx rdx, rdx, 32
            ; mov edx, edx
        );
        self.resume_here(site);
        true
    }
}
