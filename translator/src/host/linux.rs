//! Linux: shared memory, code, windows, and the signals of translated code.

pub use super::zeros::Zeros;

use super::context::{Context, Fault};
use super::signals::{take_signals, unblock_signals};
use idem86_cpu::event::exception::vector;
use libc::{c_int, c_void, siginfo_t, ucontext_t};
use memmap2::{Mmap, MmapMut, MmapOptions};
use std::cell::Cell;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd};
use std::ptr::null_mut;
use std::sync::Arc;

/// Anonymous memory of `size` bytes that can be mapped several times.
pub fn shared_memory(name: &CStr, size: u64) -> io::Result<File> {
    // SAFETY: `name` is a C string, and the call has no other requirement.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just created and belongs to nobody else.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len(size)?;
    Ok(file)
}

/// Makes `memory` a private view of `object`, where it is.
pub fn map_privately(memory: &mut MmapMut, object: &File) -> io::Result<()> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_NORESERVE | libc::MAP_FIXED;
    let (start, size) = (memory.as_mut_ptr().cast(), memory.len());
    // SAFETY: it replaces exactly what `memory` maps, which is borrowed here alone, by memory that holds what `object`
    // holds; whoever drops `memory` unmaps the same range.
    let mapped = unsafe { libc::mmap(start, size, protection, flags, object.as_raw_fd(), 0) };
    if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Where the first `size` bytes of `object` hold data; elsewhere they are zeros that take no memory.
pub fn data_ranges(object: &File, size: u64) -> io::Result<Vec<Range<u64>>> {
    let seek = |from: u64, whence: c_int| {
        // SAFETY: the call moves a position that nobody uses, and has no other requirement.
        let at = unsafe { libc::lseek(object.as_raw_fd(), from as i64, whence) };
        if at < 0 { Err(io::Error::last_os_error()) } else { Ok(at as u64) }
    };
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match seek(at, libc::SEEK_DATA) {
            Ok(start) => start,
            // Nothing but zeros follows.
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => break,
            Err(error) => return Err(error),
        };
        at = seek(start, libc::SEEK_HOLE)?;
        if start < size {
            ranges.push(start..at.min(size));
        }
    }
    Ok(ranges)
}

/// Anonymous memory that is there twice: to be written, and to be executed.
#[derive(Debug)]
pub struct DualMapping {
    write: MmapMut,
    execute: Mmap,
}

impl DualMapping {
    /// `size` bytes, all zero.
    pub fn new(size: usize) -> io::Result<Self> {
        let file = shared_memory(c"idem86-code", size as u64)?;
        // SAFETY: the object is anonymous and nobody else has it, so nothing but `write` below changes it. Its length
        // never changes.
        let write = unsafe { MmapOptions::new().len(size).map_mut(&file)? };
        // SAFETY: as above.
        let execute = unsafe { MmapOptions::new().len(size).map_exec(&file)? };
        Ok(DualMapping { write, execute })
    }

    /// The memory, to be written.
    pub fn write(&mut self) -> &mut [u8] {
        &mut self.write
    }

    /// The memory where it is executed.
    pub fn execute(&self) -> &[u8] {
        &self.execute
    }
}

/// Address space that is reserved and shows parts of a shared object where it was told to.
#[derive(Debug)]
pub struct Window {
    start: usize,
    size: usize,
    object: Arc<File>,
}

impl Window {
    /// Reserves `size` bytes for views of `object`.
    pub fn new(object: Arc<File>, size: usize) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let start = unsafe { libc::mmap(null_mut(), size, libc::PROT_NONE, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Window { start: start as usize, size, object })
    }

    /// The address of its first byte.
    pub fn address(&self) -> u64 {
        self.start as u64
    }

    /// Shows `len` bytes of the object from `offset` on at `at`; all are multiples of the page size.
    pub fn show(&mut self, at: usize, len: usize, offset: u64, writable: bool) -> io::Result<()> {
        let protection = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
        self.map(at, len, protection, libc::MAP_SHARED, self.object.as_raw_fd(), offset)
    }

    /// Shows nothing in `len` bytes from `at` on.
    pub fn hide(&mut self, at: usize, len: usize) -> io::Result<()> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        self.map(at, len, libc::PROT_NONE, flags, -1, 0)
    }

    fn map(
        &mut self,
        at: usize,
        len: usize,
        protection: c_int,
        flags: c_int,
        fd: c_int,
        offset: u64,
    ) -> io::Result<()> {
        if at.checked_add(len).is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: it replaces a part of this window, which only translated code uses.
        let mapped = unsafe {
            libc::mmap(
                (self.start + at) as *mut c_void,
                len,
                protection,
                flags | libc::MAP_FIXED,
                fd,
                offset as i64,
            )
        };
        if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: the whole reservation, which nobody uses any longer: translated code runs only while the
        // translator, the owner, is borrowed.
        unsafe { libc::munmap(self.start as *mut c_void, self.size) };
    }
}

/// Where code of this thread may fault, and what takes the fault.
#[derive(Clone, Copy)]
pub struct FaultGuard {
    /// First address of the code.
    pub start: u64,
    /// Its size.
    pub size: u64,
    /// Where execution goes on.
    pub landing: u64,
    /// Told of the fault.
    pub context: *mut Context,
}

thread_local! {
    /// The guard of the code that runs in this thread. Constant at first and without destructor: it can be read in a
    /// signal handler.
    static GUARD: Cell<Option<FaultGuard>> = const { Cell::new(None) };
}

/// Takes the faults of `guard`'s code while `run` runs.
pub fn guarded<T>(guard: FaultGuard, run: impl FnOnce() -> T) -> T {
    struct Reset(Option<FaultGuard>);
    impl Drop for Reset {
        fn drop(&mut self) {
            GUARD.set(self.0);
        }
    }
    let _reset = Reset(GUARD.replace(Some(guard)));
    run()
}

/// Installs the handler, once in a process.
pub fn take_faults() -> io::Result<()> {
    take_signals()
}

/// Makes the calling thread one whose traps all come back, once in its life: the signals are not blocked, and I/O
/// ports that it inherited are given up, so that IN, OUT, CLI and STI raise #GP.
pub fn ready_thread() {
    thread_local!(static READY: Cell<bool> = const { Cell::new(false) });
    if READY.replace(true) {
        return;
    }
    unblock_signals().expect("a mask of known signals");
    // Kernels that know neither have no ports to give, and taking away is always allowed.
    // SAFETY: both change what the thread's own instructions may do, and only lessen it.
    unsafe {
        libc::ioperm(0, 1 << 16, 0);
        libc::iopl(0);
    }
}

/// Sends a trap of translated code to its landing, and gives whether it was one. No allocation, no lock, no panic.
///
/// # Safety
///
/// Both are what the kernel passed to a signal handler that has not returned yet, and FS is the thread's own.
pub unsafe fn claim_translated(info: &siginfo_t, user: &mut ucontext_t) -> bool {
    let registers = &mut user.uc_mcontext.gregs;
    let vector = registers[libc::REG_TRAPNO as usize] as u64;
    let rip = registers[libc::REG_RIP as usize] as u64;
    // A breakpoint is passed when it traps. What another process sent is no trap.
    let rip = if vector == u64::from(vector::BP) { rip.wrapping_sub(1) } else { rip };
    let Some(guard) = GUARD.get().filter(|guard| rip.wrapping_sub(guard.start) < guard.size) else {
        return false;
    };
    if info.si_code <= 0 {
        return false;
    }
    // SAFETY: the record is of a signal that the kernel raised for an instruction.
    let address = unsafe { info.si_addr() } as u64;
    // SAFETY: `enter` set the guard to the context of the code that runs, which nothing else uses meanwhile.
    unsafe { (*guard.context).fault = Fault { rip: rip - guard.start, address, vector } };
    registers[libc::REG_RIP as usize] = guard.landing as i64;
    true
}

#[cfg(test)]
mod tests {
    use super::super::signals::SIGNALS;
    use crate::{Options, Ram, Translator, Traps};
    use idem86_cpu::cpu::Cpu;
    use idem86_cpu::flat::FlatBus;
    use idem86_cpu::run::Stop;
    use idem86_cpu::state::segment::{SegReg, Segment};
    use std::cell::Cell;

    /// Executes IN AL, 80h; PUSHF; HLT by trap-and-emulate, in real mode, and gives what trapped.
    fn traps() -> Traps {
        let mut ram = Ram::new(1 << 20).expect("memory");
        ram[0x1000..0x1004].copy_from_slice(&[0xE4, 0x80, 0x9C, 0xF4]);
        let mut translator =
            Translator::new(Options { threshold: 0, ..Options::TRAP }).expect("a host that traps");
        translator.attach(&ram);
        let mut cpu = Cpu::new();
        cpu.seg[SegReg::Cs as usize] = Segment::real(0, 0xFFFF, Segment::RESET_DATA);
        cpu.rip = 0x1000;
        cpu.state_changed();
        let mut bus = FlatBus::new(ram.len());
        let cells = Cell::from_mut(&mut *ram).as_slice_of_cells();
        assert_eq!(cpu.run_with(&mut translator, cells, &mut bus, 100), Stop::Halted);
        translator.counters().traps
    }

    /// In a thread of its own, which `prepare` sets up.
    fn traps_after(prepare: impl FnOnce() + Send) -> Traps {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                prepare();
                traps()
            });
            thread.join().expect("no trap is lost")
        })
    }

    /// IN and HLT raise #GP, a breakpoint stands for PUSHF; the interpreter does what they do.
    const EXPECTED: Traps = Traps { protection: 2, breakpoint: 1, page: 0, other: 0 };

    #[test]
    fn each_trap_is_counted_by_its_cause() {
        assert_eq!(traps_after(|| {}), EXPECTED);
    }

    #[test]
    fn a_thread_that_blocks_the_signals_takes_them_nevertheless() {
        let block = || {
            let mut set = std::mem::MaybeUninit::uninit();
            // SAFETY: the set is initialised before it is used.
            unsafe {
                libc::sigemptyset(set.as_mut_ptr());
                SIGNALS.iter().for_each(|signal| _ = libc::sigaddset(set.as_mut_ptr(), *signal));
                libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
            }
        };
        assert_eq!(traps_after(block), EXPECTED);
    }

    /// The port is the one that BIOSes write their progress to. Only a privileged process can be given it.
    #[test]
    fn a_thread_that_was_given_a_port_traps_nevertheless() {
        let give = || {
            // SAFETY: nothing reads or writes the port.
            if unsafe { libc::ioperm(0x80, 1, 1) } != 0 {
                eprintln!("skipped, no port is given: {}", std::io::Error::last_os_error());
            }
        };
        assert_eq!(traps_after(give), EXPECTED);
    }
}
