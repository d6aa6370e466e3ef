//! The code at the start of the arena: the way in, the ways out, and the way to a callout.

use super::abi::*;
use crate::shadow::{FREE_TABLE, MIXED_TABLE, TABLES_BIAS};
use dynasmrt::x64::X64Relocation;
use dynasmrt::{DynasmApi, DynasmLabelApi, VecAssembler, dynasm};
use idem86_cpu::state::gpr;

/// Offsets of the stubs in the arena. The stub at offset 0 is where an empty entry of an EIP table leads: a branch to
/// the EIP in r8d whose code is not known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stubs {
    /// `extern "sysv64" fn(context, code) -> u64`: see [`crate::host::context::enter`].
    pub enter: u32,
    /// A branch to EIP r8d through link r9.
    pub link: u32,
    /// The callout of site r9d.
    pub callout: u32,
    /// The same, of a memory access to linear address r8 whose ECX is in r10.
    pub slow: u32,
    /// Where a fault of translated code leads.
    pub fault: u32,
    /// `extern "sysv64" fn(image)`: FXSAVE, and the host's x87 unit is initialized.
    pub save_x87: u32,
    /// `extern "sysv64" fn(image)`: FXRSTOR. The XMM registers are the function's to change.
    pub load_x87: u32,
    /// Where they end.
    pub end: u32,
}

/// The stub that an empty entry of an EIP table leads to.
pub const MISS: u32 = 0;

/// Guest registers that live in the host register of the same number.
const SAME: [u8; 7] = [gpr::AX, gpr::CX, gpr::DX, gpr::BX, gpr::BP, gpr::SI, gpr::DI];

fn save(a: &mut VecAssembler<X64Relocation>) {
    for r in SAME {
        dynasm!(a; .arch x64; mov [r12 + gpr(r)], Rq(r));
    }
    dynasm!(a; .arch x64
        ; mov [r12 + gpr(gpr::SP)], r14
        ; mov [r12 + BUDGET], r11
        ; lahf
        ; seto al
        ; movzx eax, ax
        ; mov [r12 + FLAGS], rax
        ; cmp DWORD [r12 + SIMD_LIVE], 0
        ; je >integer
        ; stmxcsr [r12 + MXCSR]
        ; ldmxcsr [r12 + HOST_MXCSR]
    );
    for n in 0..8 {
        dynasm!(a; .arch x64; movaps [r12 + xmm(n)], Rx(n));
    }
    dynasm!(a; .arch x64; integer:);
}

fn load(a: &mut VecAssembler<X64Relocation>) {
    dynasm!(a; .arch x64
        ; cmp DWORD [r12 + SIMD_LIVE], 0
        ; je >integer
        ; ldmxcsr [r12 + MXCSR]
    );
    for n in 0..8 {
        dynasm!(a; .arch x64; movaps Rx(n), [r12 + xmm(n)]);
    }
    dynasm!(a; .arch x64
        ; integer:
        ; mov r13, [r12 + TABLES]
        ; mov r15, [r12 + MEMORY]
        ; mov r14, [r12 + gpr(gpr::SP)]
        ; mov r11, [r12 + BUDGET]
        // OF is set by overflow, the others from AH.
        ; mov rax, [r12 + FLAGS]
        ; add al, 0x7F
        ; sahf
    );
    for r in SAME {
        dynasm!(a; .arch x64; mov Rq(r), [r12 + gpr(r)]);
    }
}

/// The stubs, to be written at offset 0 of the arena.
pub fn assemble() -> (Vec<u8>, Stubs) {
    let mut a = VecAssembler::<X64Relocation>::new(0);
    let mut stubs = Stubs::default();
    let (leave, left, call) = (a.new_dynamic_label(), a.new_dynamic_label(), a.new_dynamic_label());
    dynasm!(a; .arch x64
        ; mov [r12 + EIP], r8
        ; mov QWORD [r12 + LINK], 0
        ; =>leave
    );
    save(&mut a);
    dynasm!(a; .arch x64
        ; xor eax, eax
        ; =>left
        ; add rsp, 8
        ; pop r15
        ; pop r14
        ; pop r13
        ; pop r12
        ; pop rbp
        ; pop rbx
        ; ret
        ; .align 16
    );
    stubs.link = a.offset().0 as u32;
    dynasm!(a; .arch x64
        ; mov [r12 + EIP], r8
        ; mov [r12 + LINK], r9
        ; jmp =>leave
        ; .align 16
    );
    stubs.fault = a.offset().0 as u32;
    dynasm!(a; .arch x64
        ; mov r9d, crate::host::context::FAULT_SITE as i32
        ; jmp =>call
        ; .align 16
    );
    stubs.slow = a.offset().0 as u32;
    let no = a.new_dynamic_label();
    // A write beside code goes on where the look-up would have, if the slow path's tables have the page and its line
    // is free. The site's name is on the stack meanwhile.
    dynasm!(a; .arch x64
        ; push r9
        ; mov ecx, 31
        ; shrx ecx, r9d, ecx
        ; jrcxz =>no
        ; shrx ecx, r8d, r13d
        ; mov rcx, [r13 + rcx * 8 + (MIXED_TABLE - TABLES_BIAS)]
        ; jrcxz =>no
        ; shrx ecx, r8d, r13d
        ; mov rcx, [r13 + rcx * 8 + (FREE_TABLE - TABLES_BIAS)]
        ; rorx r9d, r8d, 6
        ; shrx rcx, rcx, r9
        ; mov r9d, 1
        ; pext rcx, rcx, r9
        ; jrcxz =>no
        ; pop r9
    );
    // LEA rcx, [RIP + displacement], 7 bytes: the arena's first byte.
    let base = -(a.offset().0 as i32 + 7);
    dynasm!(a; .arch x64
        ; .u8 0x48; .u8 0x8D; .u8 0x0D; .i32 base
        ; lea r9, [r9 + rcx + i32::MIN]
        ; shrx ecx, r8d, r13d
        ; mov rcx, [r13 + rcx * 8 + (MIXED_TABLE - TABLES_BIAS)]
        ; jmp r9
        ; =>no
        ; pop r9
        ; mov rcx, r10
        ; mov [r12 + LINEAR], r8
    );
    stubs.callout = a.offset().0 as u32;
    dynasm!(a; .arch x64; =>call);
    save(&mut a);
    dynasm!(a; .arch x64
        ; lea rdi, [r12 - crate::host::context::CONTEXT_BIAS]
        ; mov esi, r9d
        ; call QWORD [r12 + CALLOUT]
        ; test rax, rax
        ; mov r10, rax
        ; mov eax, 1
        ; jz =>left
    );
    load(&mut a);
    dynasm!(a; .arch x64
        ; jmp r10
        ; .align 16
    );
    stubs.enter = a.offset().0 as u32;
    dynasm!(a; .arch x64
        ; push rbx
        ; push rbp
        ; push r12
        ; push r13
        ; push r14
        ; push r15
        ; sub rsp, 8
        ; lea r12, [rdi + crate::host::context::CONTEXT_BIAS]
        ; mov r10, rsi
    );
    load(&mut a);
    dynasm!(a; .arch x64
        ; jmp r10
        ; .align 16
    );
    stubs.save_x87 = a.offset().0 as u32;
    dynasm!(a; .arch x64
        ; fxsave [rdi]
        ; fninit
        ; ret
        ; .align 16
    );
    stubs.load_x87 = a.offset().0 as u32;
    dynasm!(a; .arch x64
        ; fxrstor [rdi]
        ; ret
        ; .align 64
    );
    stubs.end = a.offset().0 as u32;
    (a.finalize().expect("labels are near"), stubs)
}
