//! Static 32-bit executables for Linux, put together from pieces, and the system calls in them.
//!
//! A process of its own is the sandbox for code that runs on the host itself: whatever it does, it does to itself.
//! System V ABI, Intel386 Supplement, "Program Loading"; numbers from Linux's `arch/x86/entry/syscalls/syscall_32.tbl`.

use iced_x86::code_asm::*;
use iced_x86::{IcedError, code_asm::CodeAssembler};
use std::io::{self, Write};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// System calls.
const EXIT: u32 = 1;
const WRITE: u32 = 4;
const RT_SIGRETURN: u32 = 173;
const RT_SIGACTION: u32 = 174;
const CLOCK_GETTIME: u32 = 265;

/// How long others may take to let go of a new executable.
const PATIENCE: Duration = Duration::from_secs(60);

/// Signals that instructions raise: SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV.
const SIGNALS: [u32; 5] = [4, 5, 7, 8, 11];

/// Offsets in the `struct ucontext` of a 32-bit signal frame.
pub mod ucontext {
    /// Vector of the exception.
    pub const TRAP: u32 = 68;
    /// Its error code, or a number of the kernel's.
    pub const ERROR: u32 = 72;
    /// EIP.
    pub const EIP: u32 = 76;
}

/// A part of a program: bytes at a linear address, with zeros behind them.
pub struct Piece {
    /// Linear address, a multiple of 4096.
    pub at: u32,
    /// What is there.
    pub bytes: Vec<u8>,
    /// Bytes of memory, at least those of `bytes`.
    pub size: u32,
}

/// An executable that is entered at `entry`. All pieces may be read, written and executed: it is the guest's flat
/// memory.
pub fn executable(entry: u32, pieces: &[Piece]) -> Vec<u8> {
    const HEADER: u32 = 52;
    const PROGRAM_HEADER: u32 = 32;
    const READ_WRITE_EXECUTE: u32 = 7;
    let count = pieces.len() as u32;
    let mut file = vec![0x7F, b'E', b'L', b'F', 1, 1, 1];
    file.resize(16, 0);
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    let half = |file: &mut Vec<u8>, value: u32| file.extend((value as u16).to_le_bytes());
    // ET_EXEC, EM_386.
    half(&mut file, 2);
    half(&mut file, 3);
    for value in [1, entry, HEADER, 0, 0] {
        word(&mut file, value);
    }
    for value in [HEADER, PROGRAM_HEADER, count, 0, 0, 0] {
        half(&mut file, value);
    }
    let mut offset = (HEADER + count * PROGRAM_HEADER).next_multiple_of(4096);
    for Piece { at, bytes, size } in pieces {
        let stored = bytes.len() as u32;
        // PT_LOAD
        for value in [1, offset, *at, *at, stored, (*size).max(stored), READ_WRITE_EXECUTE, 4096] {
            word(&mut file, value);
        }
        offset += stored.next_multiple_of(4096);
    }
    for Piece { bytes, .. } in pieces {
        file.resize(file.len().next_multiple_of(4096), 0);
        file.extend(bytes);
    }
    file
}

/// Runs an executable and gives how it ended and what it wrote.
///
/// # Errors
/// Of the host: no file can be written or executed, or the kernel does not run 32-bit programs.
pub fn run(executable: &[u8]) -> io::Result<Output> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "native runs need Linux on x86-64"));
    }
    let mut file = tempfile::Builder::new().prefix("idem86-").tempfile()?;
    file.write_all(executable)?;
    // A file that is open for writing cannot be executed.
    let path = file.into_temp_path();
    make_executable(&path)?;
    // A process that another thread was starting while the file was open for writing holds it open until it executes
    // its program, which a busy host may put off.
    let start = Instant::now();
    loop {
        match Command::new(&path).stdin(Stdio::null()).stderr(Stdio::null()).output() {
            Err(e) if e.kind() == io::ErrorKind::ExecutableFileBusy && start.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(2));
            }
            done => return done,
        }
    }
}

#[cfg(unix)]
fn make_executable(path: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn make_executable(_: &std::path::Path) -> io::Result<()> {
    Ok(())
}

/// Emits: `handler` takes the signals of exceptions. Uses `scratch`, 20 bytes of memory, and a restorer at `restorer`.
pub fn catch_signals(
    a: &mut CodeAssembler,
    handler: u32,
    restorer: u32,
    scratch: u32,
) -> Result<(), IcedError> {
    // SA_SIGINFO | SA_RESTORER | SA_NODEFER; an empty mask.
    const FLAGS: u32 = 4 | 0x0400_0000 | 0x4000_0000;
    for (n, value) in (0..).zip([handler, FLAGS, restorer, 0, 0]) {
        a.mov(dword_ptr(scratch + n * 4), value)?;
    }
    for signal in SIGNALS {
        a.mov(eax, RT_SIGACTION)?;
        a.mov(ebx, signal)?;
        a.mov(ecx, scratch)?;
        a.xor(edx, edx)?;
        a.mov(esi, 8)?;
        a.int(0x80)?;
    }
    Ok(())
}

/// Emits what a handler returns to.
pub fn restorer(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.mov(eax, RT_SIGRETURN)?;
    a.int(0x80)
}

/// Emits: seconds and nanoseconds that the process has had a processor, 4 bytes each, to `to`.
pub fn clock(a: &mut CodeAssembler, to: u32) -> Result<(), IcedError> {
    const PROCESS_CPUTIME: u32 = 2;
    a.mov(eax, CLOCK_GETTIME)?;
    a.mov(ebx, PROCESS_CPUTIME)?;
    a.mov(ecx, to)?;
    a.int(0x80)
}

/// Emits: `bytes` bytes at `from` go to standard output, and the process ends.
pub fn write_and_exit(a: &mut CodeAssembler, from: u32, bytes: u32) -> Result<(), IcedError> {
    a.mov(eax, WRITE)?;
    a.mov(ebx, 1)?;
    a.mov(ecx, from)?;
    a.mov(edx, bytes)?;
    a.int(0x80)?;
    a.mov(eax, EXIT)?;
    a.xor(ebx, ebx)?;
    a.int(0x80)
}
