//! The exceptions of guest code arrive as signals: what becomes of them, and what a thread must set up to take them.

use super::enter::{ARCH_GET_GS, Context, Trap, enter};
use crate::host::signals::{SIGNALS, take_signals};
use libc::{c_int, siginfo_t, ucontext_t};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::{io, mem};

/// Selectors of 64-bit user code and of data in Linux's GDT (`asm/segment.h`).
pub const USER_CS: u16 = 0x33;
const USER_DS: u16 = 0x2B;

const TF: i64 = 1 << 8;
const DEBUG: u8 = 1;

/// `si_code` of a single-step trap; others of `SIGTRAP` come from breakpoints.
const TRAP_TRACE: c_int = 2;

const STACK_BYTES: usize = 64 << 10;
const MAGIC: [u64; 2] = [0x6964_656D_3836_2E6E, 0xB5A1_2F60_93D7_4C8E];

/// The alternate signal stack of a thread in guest code. Its lowest bytes tell the handler, which must not
/// rely on thread-local storage, that the thread is ours and where the context is.
#[repr(C, align(64))]
struct SignalStack {
    magic: [u64; 2],
    context: Context,
    stack: [u8; STACK_BYTES],
}

/// A context, and the signal stack that announces it.
pub struct Crossing {
    stack: NonNull<SignalStack>,
}

// SAFETY: the allocation belongs to this value alone.
unsafe impl Send for Crossing {}

impl Crossing {
    /// Installs the signal handlers, once in a process.
    pub fn new() -> io::Result<Self> {
        take_signals()?;
        let stack = Box::new(SignalStack { magic: MAGIC, context: Context::new(), stack: [0; STACK_BYTES] });
        Ok(Self { stack: NonNull::from(Box::leak(stack)) })
    }

    /// The context, to fill it before and to read it after [`Crossing::enter`].
    pub fn context(&mut self) -> &mut Context {
        // SAFETY: the allocation is ours, and the handler uses it only during `enter`.
        unsafe { &mut self.stack.as_mut().context }
    }

    /// Runs the guest from the context.
    ///
    /// # Safety
    ///
    /// The context must meet what [`enter`] asks of selectors, EIP and MXCSR.
    pub unsafe fn enter(&mut self) -> io::Result<()> {
        self.context().host_gs_base = gs_base()?;
        let mask = BlockedSignals::new()?;
        let stack = AlternateStack::new(self.stack)?;
        // SAFETY: raw pointer from the allocation that we own and lend to nobody meanwhile; the two guards
        // set up signals as required, the caller vouches for the rest.
        unsafe { enter(&raw mut (*self.stack.as_ptr()).context) };
        drop((stack, mask));
        match mem::take(&mut self.context().sent) {
            0 => Ok(()),
            // SAFETY: async-signal-safe, and the thread takes signals as it did before.
            signal => check(unsafe { libc::raise(signal) }),
        }
    }
}

impl Drop for Crossing {
    fn drop(&mut self) {
        // SAFETY: it came from a box, and no thread uses it as its signal stack outside `enter`.
        drop(unsafe { Box::from_raw(self.stack.as_ptr()) });
    }
}

fn check(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn gs_base() -> io::Result<u64> {
    let mut base = 0u64;
    // SAFETY: the kernel stores one u64.
    let result = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_GET_GS, &raw mut base) };
    check(result as c_int).map(|()| base)
}

/// Blocks all signals of the calling thread but [`SIGNALS`], until dropped.
struct BlockedSignals(libc::sigset_t);

impl BlockedSignals {
    fn new() -> io::Result<Self> {
        let mut old = MaybeUninit::uninit();
        // SAFETY: the set is initialised before use, `old` by the call if it succeeds.
        unsafe {
            let mut set = MaybeUninit::uninit();
            libc::sigfillset(set.as_mut_ptr());
            for signal in SIGNALS {
                libc::sigdelset(set.as_mut_ptr(), signal);
            }
            match libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), old.as_mut_ptr()) {
                0 => Ok(Self(old.assume_init())),
                error => Err(io::Error::from_raw_os_error(error)),
            }
        }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: the set was read from this thread; the call fails only for a bad address or operation.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, ptr::null_mut()) };
    }
}

/// Makes a [`SignalStack`] the calling thread's alternate stack, until dropped.
struct AlternateStack(libc::stack_t);

impl AlternateStack {
    fn new(stack: NonNull<SignalStack>) -> io::Result<Self> {
        let new =
            libc::stack_t { ss_sp: stack.as_ptr().cast(), ss_flags: 0, ss_size: size_of::<SignalStack>() };
        let mut old = MaybeUninit::uninit();
        // SAFETY: the new stack is valid and outlives this guard; `old` is initialised on success.
        unsafe {
            check(libc::sigaltstack(&new, old.as_mut_ptr()))?;
            Ok(Self(old.assume_init()))
        }
    }
}

impl Drop for AlternateStack {
    fn drop(&mut self) {
        // SAFETY: it was this thread's stack before.
        unsafe { libc::sigaltstack(&self.0, ptr::null_mut()) };
    }
}

/// Handles a signal if the thread is in [`enter`], and gives whether it is. No allocation, no lock, no thread-local
/// storage, no panic.
///
/// # Safety
///
/// Both are what the kernel passed to a signal handler that has not returned yet.
pub unsafe fn claim_native(info: &siginfo_t, user: &mut ucontext_t) -> bool {
    let stack: *mut SignalStack = user.uc_stack.ss_sp.cast();
    let large_enough = user.uc_stack.ss_size == size_of::<SignalStack>();
    // SAFETY: `uc_stack` describes the thread's alternate stack, whose first bytes are readable if it has one.
    let ours = large_enough && stack.is_aligned() && unsafe { (*stack).magic } == MAGIC;
    if ours {
        // SAFETY: the context is in use by the interrupted assembly only, which holds no Rust reference.
        guest_trap(info, user, unsafe { &mut (*stack).context });
    }
    ours
}

/// Handles a signal of a thread that is between the first and the last instruction of [`enter`].
fn guest_trap(info: &siginfo_t, user: &mut ucontext_t, context: &mut Context) {
    if info.si_code <= 0 {
        context.sent = info.si_signo;
        return;
    }
    let registers = &mut user.uc_mcontext.gregs;
    let segments = registers[libc::REG_CSGSFS as usize] as u64;
    if context.single_step && !context.arrived {
        context.arrived = true;
        registers[libc::REG_CSGSFS as usize] = with_cs_and_ss(segments, context.cs, context.ss);
        registers[libc::REG_RIP as usize] = i64::from(context.eip);
        registers[libc::REG_RSP as usize] = i64::from(context.gpr[4]);
        registers[libc::REG_EFL as usize] = context.rflags as i64;
        return;
    }
    let rip = registers[libc::REG_RIP as usize] as u64;
    let vector = registers[libc::REG_TRAPNO as usize] as u8;
    let cs = segments as u16;
    let single_step = vector == DEBUG && info.si_code == TRAP_TRACE;
    if single_step && context.repeats && cs == context.cs && rip == u64::from(context.eip) {
        return;
    }
    let gpr = [
        libc::REG_RAX,
        libc::REG_RCX,
        libc::REG_RDX,
        libc::REG_RBX,
        libc::REG_RSP,
        libc::REG_RBP,
        libc::REG_RSI,
        libc::REG_RDI,
    ];
    for (value, index) in context.gpr.iter_mut().zip(gpr) {
        *value = registers[index as usize] as u32;
    }
    context.ss = (segments >> 48) as u16;
    context.rflags = registers[libc::REG_EFL as usize] as u64;
    let (error_code, cr2) = (registers[libc::REG_ERR as usize] as u32, registers[libc::REG_CR2 as usize]);
    context.trap = Some(Trap { vector, error_code, cr2: cr2 as u64, rip, cs, single_step });

    registers[libc::REG_CSGSFS as usize] = with_cs_and_ss(segments, USER_CS, USER_DS);
    registers[libc::REG_RIP as usize] = context.resume as i64;
    registers[libc::REG_RSP as usize] = context.host_rsp as i64;
    registers[libc::REG_R15 as usize] = (context as *mut Context) as i64;
    registers[libc::REG_EFL as usize] &= !TF;
}

/// The selectors of a signal frame with two of them replaced (`struct sigcontext`: CS, GS, FS, SS).
const fn with_cs_and_ss(selectors: u64, cs: u16, ss: u16) -> i64 {
    (selectors & 0x0000_FFFF_FFFF_0000 | cs as u64 | (ss as u64) << 48) as i64
}
