//! BT, BTS, BTR and BTC of memory with a register as bit number, which counts from the operand's address and leads
//! wherever it likes. SDM Vol. 1, "Bit and Byte Instructions".

use super::Lower;
use super::ident::has_memory;
use super::memory::{AccessKind, HostOperand, MemoryAccess, is_short};
use crate::emit::abi::host_register;
use dynasmrt::{DynasmApi, dynasm};
use iced_x86::{Instruction, Mnemonic, OpKind, Register};
use idem86_cpu::state::segment::SegReg;

impl Lower<'_> {
    /// Lowers instruction `n` if it is one of those.
    pub(super) fn bit_in_string(&mut self, n: usize, i: &Instruction) -> bool {
        use Mnemonic::*;
        let kind = match i.mnemonic() {
            Bt => AccessKind::Read,
            Bts | Btr | Btc => AccessKind::Write,
            _ => return false,
        };
        if !has_memory(i) || i.op1_kind() != OpKind::Register {
            return false;
        }
        let Some(segment) = SegReg::from_encoding(i.memory_segment().number() as u8) else { return false };
        let (size, register) = (i.memory_size().size() as u32, host_register(i.op1_register()));
        let number = register.number() as u8;
        let site = self.memory_site(n);
        self.effective_address(i);
        // The signed number of the word; what is rotated into the upper half does not count.
        if size == 4 {
            dynasm!(self.asm; .arch x64
                ; movsxd r9, Rd(number)
                ; rorx r9, r9, 5
                ; lea r8d, [r8 + r9 * 4]
            );
        } else {
            dynasm!(self.asm; .arch x64
                ; movsx r9, Rw(number)
                ; rorx r9, r9, 4
                ; lea r8d, [r8 + r9 * 2]
            );
        }
        if is_short(i) {
            dynasm!(self.asm; .arch x64; movzx r8d, r8w);
        }
        let operand = self.at_offset(MemoryAccess { segment, size, kind }, site);
        let host = if kind == AccessKind::Read {
            self.read(Register::R9D, operand, size, site);
            Instruction::with2(i.code(), if size == 4 { Register::R9D } else { Register::R9W }, register)
        } else {
            let operand = self.by_one_register(operand);
            // In one instruction, since a fault must find the flags as they were; its number stays within the word.
            dynasm!(self.asm; .arch x64
                ; mov r9d, 8 * size as i32 - 1
                ; pext r10d, Rd(number), r9d
            );
            self.may_fault(operand, site);
            let number = if size == 4 { Register::R10D } else { Register::R10W };
            Instruction::with2(i.code(), operand.operand(), number)
        };
        assert!(self.encode(&host.expect("valid operands")), "they take any operands");
        self.resume_here(site);
        true
    }
    /// `operand`, with r9 free.
    fn by_one_register(&mut self, operand: HostOperand) -> HostOperand {
        if operand.window {
            return operand;
        }
        dynasm!(self.asm; .arch x64; lea r8, [r8 + r9]);
        HostOperand { base: Register::R8, index: Register::None, ..operand }
    }
}
