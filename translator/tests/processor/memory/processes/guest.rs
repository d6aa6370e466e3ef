//! The guest that [`super`] writes scripts for: a user's loop and a kernel that take one command after the other.

use crate::kit::{Kit, asm, gate, place, rights, sel};
use iced_x86::code_asm::*;
use idem86_cpu::state::control::{cr0, cr4};

/// What a command does; its operands are the two doublewords behind it. The user takes those up to [`Op::Execute`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Logs the doubleword at an address.
    Read,
    /// Writes the second operand to an address.
    Write,
    /// Adds it there.
    Modify,
    /// Calls code at an address, and logs what that has put into EDX.
    Execute,
    /// The same by the kernel.
    KernelRead,
    KernelWrite,
    KernelModify,
    KernelExecute,
    /// Writes a byte.
    PutByte,
    /// Fills a page with zeros.
    Zero,
    /// Copies a page to another.
    Copy,
    /// Loads CR3.
    Load,
    Invalidate,
    /// Inverts bits of CR0.
    Cr0,
    /// Inverts bits of CR4.
    Cr4,
    /// Turns paging off and on again with another CR3 and the other format of page tables.
    Paging,
    /// Back from an interrupt or a fault, with the operands in EBX and ECX.
    Return,
    /// Back from a fault to the next command; of the kernel's stack so many bytes go too.
    Abandon,
    /// Waits for the host.
    Halt,
}

impl Op {
    const ALL: [Op; 19] = [
        Op::Read,
        Op::Write,
        Op::Modify,
        Op::Execute,
        Op::KernelRead,
        Op::KernelWrite,
        Op::KernelModify,
        Op::KernelExecute,
        Op::PutByte,
        Op::Zero,
        Op::Copy,
        Op::Load,
        Op::Invalidate,
        Op::Cr0,
        Op::Cr4,
        Op::Paging,
        Op::Return,
        Op::Abandon,
        Op::Halt,
    ];

    /// Whether the user does it itself.
    pub fn is_user(self) -> bool {
        self as u32 <= Op::Execute as u32
    }
}

/// A command with its operands.
pub type Command = (Op, u32, u32);

/// Where the commands are, for the user to read.
pub const SCRIPT: u32 = 0x4_0000;
/// Where they end at the latest.
pub const SCRIPT_END: u32 = 0x10_0000;
/// What accesses and faults found, for the user to write.
pub const LOG: u32 = place::DATA;
/// Where the log ends at the latest.
pub const LOG_END: u32 = 0x3_0000;
/// The user's loop, and the kernel's.
const USER: u32 = place::CODE;
const KERNEL: u32 = place::CODE + 0x1000;
const FAULT: u32 = KERNEL + 0x800;
/// The interrupt by which the user asks the kernel for the commands that follow.
const SERVICE: u8 = 0x40;
/// The page of the user's stack.
pub const STACK: u32 = place::STACKS[3] - 0x1000;

/// Pages below [`SCRIPT_END`] that are the user's too.
pub fn is_user_page(linear: u32) -> bool {
    linear == USER
        || linear == STACK
        || (LOG..LOG_END).contains(&linear)
        || (SCRIPT..SCRIPT_END).contains(&linear)
}

/// What code does that can be executed: `number` in EDX, and back.
pub fn code(number: u32) -> Vec<u8> {
    asm(32, |a| {
        a.mov(edx, number)?;
        a.ret()
    })
}

/// Takes the next command and goes where it leads: each of `ops` has its label.
fn next(a: &mut CodeAssembler, ops: &[Op], labels: &[CodeLabel]) -> Result<(), iced_x86::IcedError> {
    a.mov(eax, dword_ptr(esi))?;
    a.mov(ebx, dword_ptr(esi + 4))?;
    a.mov(ecx, dword_ptr(esi + 8))?;
    for (op, label) in ops.iter().zip(labels) {
        a.cmp(eax, *op as i32)?;
        a.je(*label)?;
    }
    Ok(())
}

/// What `op` does, but for going on.
fn act(a: &mut CodeAssembler, op: Op) -> Result<(), iced_x86::IcedError> {
    let log = |a: &mut CodeAssembler| {
        a.mov(dword_ptr(edi), edx)?;
        a.add(edi, 4)
    };
    match op {
        Op::Read | Op::KernelRead => {
            a.mov(edx, dword_ptr(ebx))?;
            log(a)
        }
        Op::Write | Op::KernelWrite => a.mov(dword_ptr(ebx), ecx),
        Op::Modify | Op::KernelModify => a.add(dword_ptr(ebx), ecx),
        Op::Execute | Op::KernelExecute => {
            a.call(ebx)?;
            log(a)
        }
        Op::PutByte => a.mov(byte_ptr(ebx), cl),
        Op::Zero => {
            a.push(edi)?;
            a.mov(edi, ebx)?;
            a.mov(ecx, 1024)?;
            a.xor(eax, eax)?;
            a.rep().stosd()?;
            a.pop(edi)
        }
        Op::Copy => {
            a.push(esi)?;
            a.push(edi)?;
            a.mov(esi, ebx)?;
            a.mov(edi, ecx)?;
            a.mov(ecx, 1024)?;
            a.rep().movsd()?;
            a.pop(edi)?;
            a.pop(esi)
        }
        Op::Load => a.mov(cr3, ebx),
        Op::Invalidate => a.invlpg(byte_ptr(ebx)),
        Op::Cr0 => {
            a.mov(edx, cr0)?;
            a.xor(edx, ebx)?;
            a.mov(cr0, edx)
        }
        Op::Cr4 => {
            a.mov(edx, cr4)?;
            a.xor(edx, ebx)?;
            a.mov(cr4, edx)
        }
        Op::Paging => {
            a.mov(eax, cr0)?;
            a.and(eax, !cr0::PG as i32)?;
            a.mov(cr0, eax)?;
            a.mov(edx, cr4)?;
            a.xor(edx, cr4::PAE as i32)?;
            a.mov(cr4, edx)?;
            a.mov(cr3, ebx)?;
            a.or(eax, cr0::PG as i32)?;
            a.mov(cr0, eax)
        }
        Op::Return => a.iretd(),
        Op::Abandon => {
            let mut kernel = a.create_label();
            a.test(byte_ptr(esp + 4), 3)?;
            a.jz(kernel)?;
            a.mov(dword_ptr(esp), USER)?;
            a.mov(dword_ptr(esp + 12), place::STACKS[3])?;
            a.iretd()?;
            a.set_label(&mut kernel)?;
            a.lea(esp, esp + ebx + 12)
        }
        Op::Halt => a.hlt(),
    }
}

/// A loop that takes commands of `ops`, and at others does what `other` says.
fn taking(ops: &[Op], other: impl Fn(&mut CodeAssembler) -> Result<(), iced_x86::IcedError>) -> Vec<u8> {
    asm(32, |a| {
        let mut begin = a.create_label();
        let mut labels: Vec<_> = ops.iter().map(|_| a.create_label()).collect();
        a.set_label(&mut begin)?;
        next(a, ops, &labels)?;
        other(a)?;
        a.jmp(begin)?;
        for (op, label) in ops.iter().zip(&mut labels) {
            a.set_label(label)?;
            a.add(esi, 12)?;
            act(a, *op)?;
            a.jmp(begin)?;
        }
        Ok(())
    })
}

/// Puts the guest into `k`, which begins with the first command in the user's loop.
pub fn put(k: &mut Kit, script: &[Command]) {
    let (user, kernel): (Vec<Op>, Vec<Op>) = Op::ALL.into_iter().partition(|op| op.is_user());
    let loops =
        [(USER, taking(&user, |a| a.int(i32::from(SERVICE)))), (KERNEL, taking(&kernel, |a| a.hlt()))];
    for (at, code) in loops {
        assert!(code.len() < 0x800, "the loop is too long");
        k.put(at, &code);
    }
    let fault = asm(32, |a| {
        a.pop(dword_ptr(edi))?;
        a.mov(eax, cr2)?;
        a.mov(dword_ptr(edi + 4), eax)?;
        a.add(edi, 8)?;
        a.mov(eax, KERNEL)?;
        a.jmp(eax)
    });
    k.put(FAULT, &fault);
    for (vector, at) in [(SERVICE, KERNEL), (14, FAULT)] {
        k.set_gate(vector, gate(sel::CODE0, at, rights::INTERRUPT32 | rights::DPL3, 0));
    }
    let end = SCRIPT + 12 * script.len() as u32;
    assert!(end <= SCRIPT_END, "the script is too long");
    for (n, (op, a, b)) in script.iter().enumerate() {
        let at = SCRIPT + 12 * n as u32;
        [*op as u32, *a, *b].into_iter().zip(0..).for_each(|(word, n)| k.put32(at + 4 * n, word));
    }
    k.cpu.gpr.set(idem86_cpu::state::gpr::SI, SCRIPT);
    k.cpu.gpr.set(idem86_cpu::state::gpr::DI, LOG);
    k.cpu.rip = USER.into();
}
