//! Trap-and-emulate: what stands in translated code for a sensitive instruction so that the host traps it.
//!
//! A privileged instruction is there itself, in the host's encoding and with operands that the host never looks at:
//! in user mode it raises #GP before it does anything else. For every other sensitive instruction, which would quietly
//! do something else than the guest means, there is a breakpoint; J. Robin, C. Irvine: "Analysis of the Intel Pentium's
//! Ability to Support a Secure Virtual Machine Monitor" lists them.

use super::{Lower, SiteKind};
use crate::options::Sensitive;
use iced_x86::{Instruction, Mnemonic, OpKind, Register};
use idem86_cpu::decode::attrs::{Class, Sensitivity, class, sensitivity};

/// INT3, which every process may execute: the host's #BP.
const BREAKPOINT: &[u8] = &[0xCC];

impl Lower<'_> {
    /// Lowers instruction `n` if it is sensitive and none such is to be translated.
    pub(super) fn monitored(&mut self, n: usize, i: &Instruction) -> bool {
        if !self.is_sensitive(i) {
            return false;
        }
        match self.frame.sensitive {
            Sensitive::Trap => self.trap(n, i),
            Sensitive::Callout => self.callout(n),
            Sensitive::InCache | Sensitive::Adaptive => return false,
        }
        true
    }

    /// Whether `i` reads or writes what a monitor owns. In real mode a monitor lets the guest run in virtual-8086 mode,
    /// where segment registers and far transfers are as in real mode, and nobody else's: SDM Vol. 3A, "8086 Emulation",
    /// "Sensitive Instructions".
    fn is_sensitive(&self, i: &Instruction) -> bool {
        let key = self.frame.key;
        let own = (key.real() || key.v8086())
            && match class(i) {
                Some(Class::SegmentRegister) => true,
                Some(Class::FarTransfer) => {
                    matches!(i.mnemonic(), Mnemonic::Jmp | Mnemonic::Call | Mnemonic::Retf)
                }
                _ => false,
            };
        sensitivity(i) == Sensitivity::Sensitive && !own
    }

    /// The host traps where instruction `n` was, and the interpreter executes it.
    fn trap(&mut self, n: usize, i: &Instruction) {
        let site = self.new_site(n, SiteKind::Plain);
        self.faults_here(site);
        self.asm.extend(privileged(i).as_deref().unwrap_or(BREAKPOINT));
        self.resume_emulated(n, site);
    }
}

/// The host's encoding of an instruction that raises #GP in user mode on every processor with 64-bit mode, whatever its
/// operands. `None` if there is none: SYSEXIT is #UD in 64-bit mode on AMD's, as MOV is everywhere with control
/// registers that do not exist and, if debug extensions are on, with DR4 and DR5.
fn privileged(i: &Instruction) -> Option<Vec<u8>> {
    use Mnemonic::*;
    // A memory operand is [RAX], and not accessed. Repeat prefixes are not there: with a count of zero nothing happens.
    let fixed: &[u8] = match i.mnemonic() {
        Cli => &[0xFA],
        Sti => &[0xFB],
        Hlt => &[0xF4],
        In | Out => return Some(port(i)),
        Insb => &[0x6C],
        Insw => &[0x66, 0x6D],
        Insd => &[0x6D],
        Outsb => &[0x6E],
        Outsw => &[0x66, 0x6F],
        Outsd => &[0x6F],
        Mov => return system_register(i),
        Lldt => &[0x0F, 0x00, 0xD0],
        Ltr => &[0x0F, 0x00, 0xD8],
        Lgdt => &[0x0F, 0x01, 0x10],
        Lidt => &[0x0F, 0x01, 0x18],
        Lmsw => &[0x0F, 0x01, 0xF0],
        Invlpg => &[0x0F, 0x01, 0x38],
        Clts => &[0x0F, 0x06],
        Invd => &[0x0F, 0x08],
        Wbinvd => &[0x0F, 0x09],
        Wrmsr => &[0x0F, 0x30],
        Rdmsr => &[0x0F, 0x32],
        _ => return None,
    };
    Some(fixed.to_vec())
}

/// IN and OUT.
fn port(i: &Instruction) -> Vec<u8> {
    let out = i.mnemonic() == Mnemonic::Out;
    let data = if out { i.op1_register() } else { i.op0_register() };
    let number = if out { 0 } else { 1 };
    let mut code = Vec::new();
    if data.size() == 2 {
        code.push(0x66);
    }
    let opcode = 0xE4 | u8::from(out) << 1 | u8::from(data.size() != 1);
    if i.op_kind(number) == OpKind::Immediate8 {
        code.extend([opcode, i.immediate8()]);
    } else {
        code.push(opcode | 8);
    }
    code
}

/// MOV to and from control and debug registers.
fn system_register(i: &Instruction) -> Option<Vec<u8>> {
    let to = u8::from(i.op0_register().is_cr() || i.op0_register().is_dr());
    let (system, general) =
        if to == 1 { (i.op0_register(), i.op1_register()) } else { (i.op1_register(), i.op0_register()) };
    let opcode = match system {
        Register::CR0 | Register::CR2 | Register::CR3 | Register::CR4 => 0x20,
        Register::DR0 | Register::DR1 | Register::DR2 | Register::DR3 | Register::DR6 | Register::DR7 => 0x21,
        _ => return None,
    };
    let fields = 0xC0 | (system.number() as u8) << 3 | general.number() as u8;
    Some(vec![0x0F, opcode | to << 1, fields])
}
