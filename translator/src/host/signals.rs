//! The signals that an instruction can raise: one handler for the process, and who may claim what it takes.
//!
//! Native runs and translated code live in one process, and in threads of it at the same time. A handler that finds a
//! thread in native guest code must not touch thread-local storage, since FS is the guest's; so that is asked first,
//! in whatever order the two came into being.

use super::native::claim_native;
use super::os::claim_translated;
use idem86_cpu::state::eflags::bit as eflags;
use libc::{c_int, c_void, siginfo_t, ucontext_t};
use std::arch::naked_asm;
use std::sync::OnceLock;
use std::{io, mem, ptr};

/// The signals.
pub const SIGNALS: [c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP];

type Actions = [libc::sigaction; SIGNALS.len()];

/// What was installed before, or why ours is not.
static PREVIOUS: OnceLock<Result<Actions, i32>> = OnceLock::new();

/// Installs the handler, once in a process.
pub fn take_signals() -> io::Result<()> {
    let installed = PREVIOUS.get_or_init(|| {
        // SAFETY: an all-zero `sigaction` is a valid value: no flags, an empty mask and SIG_DFL.
        let (mut previous, mut ours): (Actions, libc::sigaction) = unsafe { mem::zeroed() };
        ours.sa_sigaction = entry as *const () as usize;
        // On the alternate stack if the thread has one; not masked, so that a fault in the handler is seen.
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        for (signal, old) in SIGNALS.into_iter().zip(&mut previous) {
            // SAFETY: the handler is async-signal-safe and passes on what nobody claims; `old` is a place for an
            // action.
            if unsafe { libc::sigaction(signal, &raw const ours, old) } != 0 {
                return Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL));
            }
        }
        Ok(previous)
    });
    installed.as_ref().map(|_| ()).map_err(|error| io::Error::from_raw_os_error(*error))
}

/// Lets [`SIGNALS`] reach the calling thread: one that is raised while it is blocked ends the process.
pub fn unblock_signals() -> io::Result<()> {
    let mut set = mem::MaybeUninit::uninit();
    // SAFETY: the set is initialised before it is used, and the old mask is not asked for.
    let error = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        SIGNALS.iter().for_each(|signal| _ = libc::sigaddset(set.as_mut_ptr(), *signal));
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), ptr::null_mut())
    };
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

/// Where signals arrive. The kernel leaves AC as it was, and compilers do not align every access: a guest that asked
/// for alignment checks must not have them done here.
#[unsafe(naked)]
extern "C" fn entry(signal: c_int, info: *mut siginfo_t, user: *mut c_void) {
    naked_asm!(
        "pushfq",
        "and dword ptr [rsp], {others}",
        "popfq",
        "jmp {handler}",
        others = const !eflags::AC as i32,
        handler = sym handler,
    );
}

/// Takes all of [`SIGNALS`]. No allocation, no lock, no panic.
extern "C" fn handler(signal: c_int, info: *mut siginfo_t, user: *mut c_void) {
    // SAFETY: SA_SIGINFO hands both over, valid and exclusive until we return.
    let claimed = unsafe {
        let (info, user) = (&*info, &mut *user.cast::<ucontext_t>());
        claim_native(info, user) || claim_translated(info, user)
    };
    if !claimed {
        pass_on(signal, info, user);
    }
}

/// Does what would have happened without our handler.
fn pass_on(signal: c_int, info: *mut siginfo_t, user: *mut c_void) {
    let index = SIGNALS.iter().position(|&known| known == signal);
    let previous = index.and_then(|index| PREVIOUS.get()?.as_ref().ok()?.get(index));
    let action = previous.map_or(libc::SIG_DFL, |previous| previous.sa_sigaction);
    if action == libc::SIG_DFL || action == libc::SIG_IGN {
        // The instruction runs again and meets the default action; so does a signal that was sent, and a breakpoint,
        // which the processor has passed.
        // SAFETY: both calls are async-signal-safe, and the record is the kernel's.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            if (*info).si_code <= 0 || signal == libc::SIGTRAP {
                libc::raise(signal);
            }
        }
    } else if previous.is_some_and(|previous| previous.sa_flags & libc::SA_SIGINFO != 0) {
        // SAFETY: whoever installed the handler gave it this type, as SA_SIGINFO says.
        let action: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = unsafe { mem::transmute(action) };
        action(signal, info, user);
    } else {
        // SAFETY: as above, without SA_SIGINFO.
        let action: extern "C" fn(c_int) = unsafe { mem::transmute(action) };
        action(signal);
    }
}
