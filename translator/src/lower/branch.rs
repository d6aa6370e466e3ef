//! Near branches: linked where the target is on the same page, by the EIP table else.

use super::stack::Pushed;
use super::{Link, Lower, SideExit, SiteKind, UNIT_SHIFT};
use crate::emit::abi::{EIP_TABLE, SPILL, host_gpr};
use crate::host::context::Context;
use dynasmrt::{DynasmApi, DynasmLabelApi, dynasm};
use iced_x86::{Code, Instruction, Mnemonic, OpKind};
use idem86_cpu::state::gpr;

/// Links that a unit may have: their names are the unit's and their number plus 1, so that no name is 0.
const LINKS_MAX: usize = (1 << UNIT_SHIFT) - 1;

impl Lower<'_> {
    /// Lowers instruction `n` if it is a branch. Gives whether the instruction behind it can be reached from it.
    pub(super) fn branch(&mut self, n: usize, i: &Instruction) -> Option<bool> {
        use Mnemonic::*;
        let conditional = i.is_jcc_short_or_near();
        if !conditional && !matches!(i.mnemonic(), Jmp | Call | Ret | Loop | Jcxz | Jecxz) {
            return None;
        }
        let eip = self.frame.eip.wrapping_add(self.guest[n].end());
        let target = match i.op0_kind() {
            _ if i.op_count() == 0 => None,
            OpKind::NearBranch16 => {
                Some(eip.wrapping_add(u32::from(i.near_branch16())).wrapping_sub(i.len() as u32) & 0xFFFF)
            }
            OpKind::NearBranch32 => Some(eip.wrapping_add(i.near_branch32()).wrapping_sub(i.len() as u32)),
            _ => None,
        };
        if target.is_some_and(|target| target > self.frame.key.cs_limit) {
            return None;
        }
        let wide = operand_size(i)? == 4;
        match (i.mnemonic(), target) {
            (Jmp, Some(target)) => {
                self.leave_to(target);
                Some(false)
            }
            (Call, Some(target)) => {
                let size = if wide { 4 } else { 2 };
                self.push_value(n, Pushed::Immediate(eip as i32), size);
                self.leave_to(target);
                Some(false)
            }
            (Loop | Jcxz | Jecxz, Some(target)) => self.counted(n, i, target),
            (Jmp | Call, None) => self.indirect(n, i, wide, eip),
            (Ret, None) => {
                let size = if wide { 4 } else { 2 };
                let site = self.memory_site(n);
                self.read_top(gpr::SP, size, site);
                self.check_limit(n, wide);
                let release = if i.op_count() == 1 { i.immediate16() } else { 0 };
                self.step_sp(gpr::SP, size as i32 + i32::from(release));
                dynasm!(self.asm; .arch x64; mov r8d, r9d);
                self.dispatch();
                Some(false)
            }
            (_, Some(target)) if conditional => {
                let condition = i.condition_code() as u8 - 1;
                if n + 1 < self.guest.len() && self.guest[n].repeats_unit(self.frame.eip) {
                    // The next round follows; the way out is where the branch is not taken.
                    self.side_exit(n, jcc_opcode(condition ^ 1), eip);
                } else {
                    self.side_exit(n, jcc_opcode(condition), target);
                }
                Some(true)
            }
            _ => None,
        }
    }

    /// A conditional branch of the host, opcode 0F `opcode`, to `target`.
    fn side_exit(&mut self, n: usize, opcode: u8, target: u32) {
        dynasm!(self.asm; .arch x64; .u8 0x0F; .u8 opcode);
        let from = self.position();
        dynasm!(self.asm; .arch x64; .i32 0);
        let refund = (self.guest.len() - 1 - n) as u32;
        self.side_exits.push(SideExit { from, refund, target });
    }

    /// LOOP, JCXZ and JECXZ.
    fn counted(&mut self, n: usize, i: &Instruction, target: u32) -> Option<bool> {
        let short = !matches!(
            i.code(),
            Code::Loop_rel8_16_ECX | Code::Loop_rel8_32_ECX | Code::Jecxz_rel8_16 | Code::Jecxz_rel8_32
        );
        let refund = (self.guest.len() - 1 - n) as u32;
        let (zero, over) = (self.asm.new_dynamic_label(), self.asm.new_dynamic_label());
        let counts = i.mnemonic() == Mnemonic::Loop;
        if counts && short {
            dynasm!(self.asm; .arch x64
                ; lea r8d, [rcx - 1]
                ; mov cx, r8w
            );
        } else if counts {
            dynasm!(self.asm; .arch x64; lea ecx, [rcx - 1]);
        }
        if short {
            dynasm!(self.asm; .arch x64
                ; mov r10, rcx
                ; movzx ecx, cx
                ; jrcxz =>zero
                ; mov rcx, r10
            );
        } else {
            dynasm!(self.asm; .arch x64; jrcxz =>zero);
        }
        // A branch that is always taken, to be linked behind the straight path.
        let go = |l: &mut Self| {
            dynasm!(l.asm; .arch x64; .u8 0xE9);
            let from = l.position();
            dynasm!(l.asm; .arch x64; .i32 0);
            l.side_exits.push(SideExit { from, refund, target });
        };
        if counts {
            go(self);
            dynasm!(self.asm; .arch x64; =>zero);
            if short {
                dynasm!(self.asm; .arch x64; mov rcx, r10);
            }
        } else {
            dynasm!(self.asm; .arch x64
                ; jmp BYTE =>over
                ; =>zero
            );
            if short {
                dynasm!(self.asm; .arch x64; mov rcx, r10);
            }
            go(self);
            dynasm!(self.asm; .arch x64; =>over);
        }
        Some(true)
    }

    /// JMP and CALL through a register or memory.
    fn indirect(&mut self, n: usize, i: &Instruction, wide: bool, eip: u32) -> Option<bool> {
        let size = if wide { 4 } else { 2 };
        let register = match i.op0_kind() {
            OpKind::Register => Some(host_gpr(i.op0_register().number() as u8).number() as u8),
            OpKind::Memory => None,
            _ => return None,
        };
        match register {
            Some(r) if wide => dynasm!(self.asm; .arch x64; mov r9d, Rd(r); mov [r12 + SPILL], r9),
            Some(r) => dynasm!(self.asm; .arch x64; movzx r9d, Rw(r); mov [r12 + SPILL], r9),
            None if self.spill_operand(n, i, size) => {}
            None => return None,
        }
        if self.is_limited(wide) {
            dynasm!(self.asm; .arch x64; mov r9, [r12 + SPILL]);
            self.check_limit(n, wide);
        }
        if i.mnemonic() == Mnemonic::Call {
            self.push_value(n, Pushed::Immediate(eip as i32), size);
        }
        dynasm!(self.asm; .arch x64; mov r8, [r12 + SPILL]);
        self.dispatch();
        Some(false)
    }

    /// Whether an EIP of that width may be beyond the limit of CS.
    fn is_limited(&self, wide: bool) -> bool {
        self.frame.key.cs_limit < if wide { u32::MAX } else { 0xFFFF }
    }

    /// Leaves instruction `n`, which has changed nothing yet, to the interpreter if EIP r9d is beyond the limit of CS.
    fn check_limit(&mut self, n: usize, wide: bool) {
        if !self.is_limited(wide) {
            return;
        }
        let site = self.new_site(n, SiteKind::Plain);
        let bound = Context::limit(Some(self.frame.key.cs_limit)) as i64;
        self.extend_hops();
        // limit - EIP, by way of the complement; see Context::limit.
        dynasm!(self.asm; .arch x64
            ; mov r10, rcx
            ; mov r8, r9
            ; not r9
            ; mov rcx, QWORD bound
            ; lea rcx, [rcx + r9 + 1]
            ; shrx rcx, rcx, r12
        );
        self.slow_if_zero(site);
        dynasm!(self.asm; .arch x64
            ; mov rcx, r10
            ; mov r9, r8
        );
        self.extend_hops();
    }

    /// Goes to the code of `target`.
    pub(super) fn leave_to(&mut self, target: u32) {
        if self.can_link(target) {
            dynasm!(self.asm; .arch x64; .u8 0xE9);
            let patch = self.position();
            dynasm!(self.asm; .arch x64; .i32 0);
            self.link(patch, target);
        } else {
            dynasm!(self.asm; .arch x64; mov r8d, target as i32);
            self.dispatch();
        }
    }

    /// Whether a branch to `target` can be linked: another page may be mapped anew.
    pub(super) fn can_link(&self, target: u32) -> bool {
        let key = self.frame.key;
        let linear = |eip: u32| key.cs_base.wrapping_add(eip) >> 12;
        linear(target) == linear(self.frame.eip) && self.links.len() < LINKS_MAX
    }

    /// Makes the branch whose displacement is at `patch` a link to `target`, and emits its stub.
    pub(super) fn link(&mut self, patch: usize, target: u32) {
        let stub = self.position();
        let link = self.frame.unit << UNIT_SHIFT | (self.links.len() as u32 + 1);
        dynasm!(self.asm; .arch x64
            ; mov r8d, target as i32
            ; mov r9d, link as i32
        );
        self.jump_to_stub(self.frame.stubs.link);
        self.links.push(Link { patch: patch as u32, stub: stub as u32, target });
    }

    /// Goes to the code of EIP r8d by the EIP table; an empty entry leads to the stub at offset 0.
    fn dispatch(&mut self) {
        dynasm!(self.asm; .arch x64; mov r9, [r12 + EIP_TABLE]);
        self.dispatch_by_r9();
    }

    /// The same, with the EIP table in r9.
    pub(super) fn dispatch_by_r9(&mut self) {
        // LEA r10, [RIP + displacement], 7 bytes: the arena's first byte.
        let base = -((self.frame.at as usize + self.position() + 7) as i32);
        dynasm!(self.asm; .arch x64
            ; .u8 0x4C; .u8 0x8D; .u8 0x15; .i32 base
            ; mov r9d, [r9 + r8 * 4]
            ; lea r9, [r9 + r10]
            ; jmp r9
        );
    }
}

fn jcc_opcode(condition: u8) -> u8 {
    // iced-x86 counts the conditions in the order of their codes.
    0x80 + condition
}

/// Operand size of a near branch; `None` for a far one.
fn operand_size(i: &Instruction) -> Option<u32> {
    match i.op0_kind() {
        _ if i.mnemonic() == Mnemonic::Ret => {
            Some(if matches!(i.code(), Code::Retnw | Code::Retnw_imm16) { 2 } else { 4 })
        }
        OpKind::NearBranch16 => Some(2),
        OpKind::NearBranch32 => Some(4),
        OpKind::Register => Some(i.op0_register().size() as u32),
        OpKind::Memory => match i.code() {
            Code::Jmp_rm16 | Code::Call_rm16 => Some(2),
            Code::Jmp_rm32 | Code::Call_rm32 => Some(4),
            _ => None,
        },
        _ => None,
    }
}
