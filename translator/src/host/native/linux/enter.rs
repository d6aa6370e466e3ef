//! Into guest code and back: the context both sides share, and the assembly that switches between them.
//!
//! The way in is a far jump through the context, after every register is loaded. TF could not be set in time
//! for that: a single step starts in the signal handler instead, which a `HLT` calls and which then returns
//! into the guest. There are two ways back. An instruction that falls through meets a far jump behind it,
//! which leads to the exit page, and from there through R14 to this stub: no system call is involved.
//! Everything else ends in a signal, whose handler sends the thread to the same stub. R8 to R15 survive
//! 32-bit code (SDM Vol. 1, "General-Purpose Registers in 64-Bit Mode"), so R15 holds the context throughout.

use crate::host::native::FxImage;
use std::arch::naked_asm;
use std::mem::offset_of;

/// Machine code of the exit page, in 64-bit mode: `jmp r14`.
pub const EXIT_CODE: [u8; 3] = [0x41, 0xFF, 0xE6];

/// What the stub loads and stores; its layout is known to the assembly through `offset_of!` only.
#[repr(C, align(64))]
pub struct Context {
    /// x87, MMX and SSE.
    pub fx: FxImage,
    /// EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI.
    pub gpr: [u32; 8],
    /// With `cs` behind it, the operand of the far jump into the guest.
    pub eip: u32,
    /// CS.
    pub cs: u16,
    /// SS.
    pub ss: u16,
    /// DS.
    pub ds: u16,
    /// ES.
    pub es: u16,
    /// FS.
    pub fs: u16,
    /// GS.
    pub gs: u16,
    /// RFLAGS.
    pub rflags: u64,
    /// What the signal handler found.
    pub trap: Option<Trap>,
    /// Whether to run with TF set.
    pub single_step: bool,
    /// Whether a single-step trap that leaves EIP alone ends an iteration, not the instruction.
    pub repeats: bool,
    /// Whether the handler has sent the thread into the guest, for a single step.
    pub arrived: bool,
    /// A signal that was sent rather than raised by the guest, or 0.
    pub sent: i32,
    /// Where the signal handler sends the thread.
    pub resume: u64,
    /// RSP to go back to.
    pub host_rsp: u64,
    /// GS base to go back to.
    pub host_gs_base: u64,
    host_fs_base: u64,
    host_mxcsr: u32,
    host_fcw: u16,
    host_ss: u16,
    host_ds: u16,
    host_es: u16,
    host_fs: u16,
    host_gs: u16,
}

/// A signal, as far as it matters.
#[derive(Clone, Copy)]
pub struct Trap {
    /// Vector of the exception.
    pub vector: u8,
    /// Its error code, or anything.
    pub error_code: u32,
    /// CR2, or anything.
    pub cr2: u64,
    /// RIP that the exception saved.
    pub rip: u64,
    /// CS that the exception saved.
    pub cs: u16,
    /// Whether it is the single-step trap.
    pub single_step: bool,
}

impl Context {
    /// A context that must still be filled.
    pub fn new() -> Self {
        Self {
            fx: FxImage::new(),
            gpr: [0; 8],
            eip: 0,
            cs: 0,
            ss: 0,
            ds: 0,
            es: 0,
            fs: 0,
            gs: 0,
            rflags: 0,
            trap: None,
            single_step: false,
            repeats: false,
            arrived: false,
            sent: 0,
            resume: 0,
            host_rsp: 0,
            host_gs_base: 0,
            host_fs_base: 0,
            host_mxcsr: 0,
            host_fcw: 0,
            host_ss: 0,
            host_ds: 0,
            host_es: 0,
            host_fs: 0,
            host_gs: 0,
        }
    }
}

/// Runs the guest from `context` until it stops, and stores its state there.
///
/// # Safety
///
/// `context` must be valid for reads and writes and unaliased for the duration of the call, `host_gs_base`
/// its true value. The selectors must load without a fault, `eip` lie within the limit of `cs`, and MXCSR
/// have no reserved bit. The thread must take `SIGSEGV`, `SIGBUS`, `SIGFPE`, `SIGILL` and `SIGTRAP` in the
/// handler of this module on an alternate stack that announces `context`, and block all other signals: while
/// the guest runs, RSP and the FS base, hence thread-local storage, are the guest's.
// SAFETY: the body saves and restores what callees keep by the System V convention; the rest is the caller's promise.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn enter(context: *mut Context) {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov r15, rdi",
        "stmxcsr [r15 + {host_mxcsr}]",
        "fnstcw [r15 + {host_fcw}]",
        "mov word ptr [r15 + {host_ss}], ss",
        "mov word ptr [r15 + {host_ds}], ds",
        "mov word ptr [r15 + {host_es}], es",
        "mov word ptr [r15 + {host_fs}], fs",
        "mov word ptr [r15 + {host_gs}], gs",
        // The thread control block starts with its own address (ELF TLS ABI for x86-64).
        "mov rax, fs:[0]",
        "mov [r15 + {host_fs_base}], rax",
        "mov [r15 + {host_rsp}], rsp",
        "lea rax, [rip + 3f]",
        "mov [r15 + {resume}], rax",
        "lea r14, [rip + 2f]",
        "fxrstor [r15 + {fx}]",
        "mov ds, word ptr [r15 + {ds}]",
        "mov es, word ptr [r15 + {es}]",
        "mov fs, word ptr [r15 + {fs}]",
        "mov gs, word ptr [r15 + {gs}]",
        "mov ss, word ptr [r15 + {ss}]",
        "mov eax, [r15 + {gpr}]",
        "mov ecx, [r15 + {gpr} + 4]",
        "mov edx, [r15 + {gpr} + 8]",
        "mov ebx, [r15 + {gpr} + 12]",
        "mov ebp, [r15 + {gpr} + 20]",
        "mov esi, [r15 + {gpr} + 24]",
        "mov edi, [r15 + {gpr} + 28]",
        "cmp byte ptr [r15 + {single_step}], 0",
        "jne 4f",
        "push qword ptr [r15 + {rflags}]",
        "popfq",
        "mov esp, [r15 + {gpr} + 16]",
        "jmp fword ptr [r15 + {eip}]",
        "4:",
        "hlt",
        // From the exit page, in 64-bit mode with everything else the guest's.
        "2:",
        "mov [r15 + {gpr}], eax",
        "mov [r15 + {gpr} + 4], ecx",
        "mov [r15 + {gpr} + 8], edx",
        "mov [r15 + {gpr} + 12], ebx",
        "mov [r15 + {gpr} + 16], esp",
        "mov [r15 + {gpr} + 20], ebp",
        "mov [r15 + {gpr} + 24], esi",
        "mov [r15 + {gpr} + 28], edi",
        "mov word ptr [r15 + {ss}], ss",
        "mov rsp, [r15 + {host_rsp}]",
        "pushfq",
        "pop qword ptr [r15 + {rflags}]",
        // From the signal handler, which stored the above and set R15, RSP and SS.
        "3:",
        "push 0x202",
        "popfq",
        "mov word ptr [r15 + {ds}], ds",
        "mov word ptr [r15 + {es}], es",
        "mov word ptr [r15 + {fs}], fs",
        "mov word ptr [r15 + {gs}], gs",
        "fxsave [r15 + {fx}]",
        "fninit",
        "fldcw [r15 + {host_fcw}]",
        "ldmxcsr [r15 + {host_mxcsr}]",
        "mov ss, word ptr [r15 + {host_ss}]",
        "mov ds, word ptr [r15 + {host_ds}]",
        "mov es, word ptr [r15 + {host_es}]",
        "mov fs, word ptr [r15 + {host_fs}]",
        "mov gs, word ptr [r15 + {host_gs}]",
        // Loading the selectors has lost the bases, and not every host lets user code write them.
        "mov eax, {arch_prctl}",
        "mov edi, {set_fs}",
        "mov rsi, [r15 + {host_fs_base}]",
        "syscall",
        "mov eax, {arch_prctl}",
        "mov edi, {set_gs}",
        "mov rsi, [r15 + {host_gs_base}]",
        "syscall",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
        fx = const offset_of!(Context, fx),
        gpr = const offset_of!(Context, gpr),
        eip = const offset_of!(Context, eip),
        ss = const offset_of!(Context, ss),
        ds = const offset_of!(Context, ds),
        es = const offset_of!(Context, es),
        fs = const offset_of!(Context, fs),
        gs = const offset_of!(Context, gs),
        rflags = const offset_of!(Context, rflags),
        single_step = const offset_of!(Context, single_step),
        resume = const offset_of!(Context, resume),
        host_rsp = const offset_of!(Context, host_rsp),
        host_gs_base = const offset_of!(Context, host_gs_base),
        host_fs_base = const offset_of!(Context, host_fs_base),
        host_mxcsr = const offset_of!(Context, host_mxcsr),
        host_fcw = const offset_of!(Context, host_fcw),
        host_ss = const offset_of!(Context, host_ss),
        host_ds = const offset_of!(Context, host_ds),
        host_es = const offset_of!(Context, host_es),
        host_fs = const offset_of!(Context, host_fs),
        host_gs = const offset_of!(Context, host_gs),
        arch_prctl = const libc::SYS_arch_prctl,
        set_fs = const ARCH_SET_FS,
        set_gs = const ARCH_SET_GS,
    )
}

// `asm/prctl.h`.
const ARCH_SET_GS: i32 = 0x1001;
const ARCH_SET_FS: i32 = 0x1002;
/// Reads the GS base of the calling thread.
pub const ARCH_GET_GS: i32 = 0x1004;

// The far jump reads CS right behind EIP.
const _: () = assert!(offset_of!(Context, cs) == offset_of!(Context, eip) + 4);
