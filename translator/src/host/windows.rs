//! Windows: memory that is written here and executed there, and tables that get memory when they are touched.
//!
//! Windows promises memory before it is used, so a huge table cannot simply be there. It is reserved, and the access
//! violation of its first use, by compiled or by translated code, commits a piece of it and is forgotten.

pub use super::tables_only::{
    FaultGuard, Window, data_ranges, guarded, map_privately, ready_thread, shared_memory, take_faults,
};
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::{null, with_exposed_provenance, with_exposed_provenance_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use windows_sys::Win32::Foundation::{EXCEPTION_ACCESS_VIOLATION, INVALID_HANDLE_VALUE};
use windows_sys::Win32::System::Diagnostics::Debug::{
    AddVectoredExceptionHandler, EXCEPTION_CONTINUE_EXECUTION, EXCEPTION_CONTINUE_SEARCH, EXCEPTION_POINTERS,
};
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP, FILE_MAP_EXECUTE, FILE_MAP_READ, FILE_MAP_WRITE, MEM_COMMIT, MEM_RELEASE,
    MEM_RESERVE, MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile, PAGE_EXECUTE_READWRITE, PAGE_READWRITE,
    UnmapViewOfFile, VirtualAlloc, VirtualFree,
};

/// A view of a section; its size is known to who has it.
#[derive(Debug)]
struct View(usize);

impl View {
    fn new(section: &OwnedHandle, access: FILE_MAP, size: usize) -> io::Result<Self> {
        // SAFETY: a new view, at an address that the system chooses, of a section that is open.
        let view = unsafe { MapViewOfFile(section.as_raw_handle(), access, 0, 0, size) };
        if view.Value.is_null() {
            return Err(io::Error::last_os_error());
        }
        Ok(View(view.Value.expose_provenance()))
    }
}

impl Drop for View {
    fn drop(&mut self) {
        let view = MEMORY_MAPPED_VIEW_ADDRESS { Value: with_exposed_provenance_mut(self.0) };
        // SAFETY: the view is this object's, and what refers to its bytes borrows the mapping that it is part of.
        unsafe { UnmapViewOfFile(view) };
    }
}

/// Anonymous memory that is there twice: to be written, and to be executed.
#[derive(Debug)]
pub struct DualMapping {
    size: usize,
    write: View,
    execute: View,
}

impl DualMapping {
    /// `size` bytes, all zero.
    pub fn new(size: usize) -> io::Result<Self> {
        let (high, low) = ((size as u64 >> 32) as u32, size as u32);
        // SAFETY: a section of the paging file, without name or attributes. Its protection is what views may have;
        // none of those below can be written and executed.
        let section = unsafe {
            CreateFileMappingW(INVALID_HANDLE_VALUE, null(), PAGE_EXECUTE_READWRITE, high, low, null())
        };
        if section.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the handle was just created and belongs to nobody else.
        let section = unsafe { OwnedHandle::from_raw_handle(section) };
        let write = View::new(&section, FILE_MAP_WRITE, size)?;
        let execute = View::new(&section, FILE_MAP_READ | FILE_MAP_EXECUTE, size)?;
        Ok(DualMapping { size, write, execute })
    }

    /// The memory, to be written.
    pub fn write(&mut self) -> &mut [u8] {
        // SAFETY: `write` is a view of `size` bytes that lives as long as `self`. What is written shows in `execute`,
        // of which nobody has a reference meanwhile: `self` is borrowed.
        unsafe { std::slice::from_raw_parts_mut(with_exposed_provenance_mut(self.write.0), self.size) }
    }

    /// The memory where it is executed.
    pub fn execute(&self) -> &[u8] {
        // SAFETY: `execute` is a view of `size` bytes that lives as long as `self`, and it can be read.
        unsafe { std::slice::from_raw_parts(with_exposed_provenance(self.execute.0), self.size) }
    }
}

/// Committed at once: the granularity at which the system allocates.
const PIECE: usize = 64 << 10;

/// Zeroed memory of a fixed size of which little is used.
#[derive(Debug)]
pub struct Zeros {
    start: usize,
    use_of: Arc<Use>,
}

/// How a reservation is used.
#[derive(Debug)]
struct Use {
    size: usize,
    /// Bytes that were committed.
    committed: AtomicUsize,
}

/// All reservations by their start. Nobody touches one while holding the lock, so the handler can take it.
static RESERVATIONS: RwLock<BTreeMap<usize, Arc<Use>>> = RwLock::new(BTreeMap::new());

impl Zeros {
    /// Reserves `size` bytes.
    pub fn new(size: usize) -> io::Result<Self> {
        static HANDLER: OnceLock<bool> = OnceLock::new();
        // SAFETY: `commit` is a handler, and it is never removed. It is the first, so that nobody takes the first use
        // of a table for a failure.
        let installed =
            HANDLER.get_or_init(|| unsafe { !AddVectoredExceptionHandler(1, Some(commit)).is_null() });
        if !installed {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let size = size.next_multiple_of(PIECE);
        // SAFETY: a new reservation, at an address that the system chooses.
        let start = unsafe { VirtualAlloc(null(), size, MEM_RESERVE, PAGE_READWRITE) };
        if start.is_null() {
            return Err(io::Error::last_os_error());
        }
        let start = start.expose_provenance();
        let use_of = Arc::new(Use { size, committed: AtomicUsize::new(0) });
        let mut reservations = RESERVATIONS.write().unwrap_or_else(PoisonError::into_inner);
        reservations.insert(start, use_of.clone());
        Ok(Zeros { start, use_of })
    }

    /// Bytes that the host has set aside, be it for what was only read.
    pub fn committed(&self) -> usize {
        self.use_of.committed.load(Ordering::Relaxed)
    }
}

impl Deref for Zeros {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the reservation lives as long as `self`. Its bytes are zero until they are written: `commit` sees to
        // it that reading them succeeds.
        unsafe { std::slice::from_raw_parts(with_exposed_provenance(self.start), self.use_of.size) }
    }
}

impl DerefMut for Zeros {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(with_exposed_provenance_mut(self.start), self.use_of.size) }
    }
}

impl Drop for Zeros {
    fn drop(&mut self) {
        RESERVATIONS.write().unwrap_or_else(PoisonError::into_inner).remove(&self.start);
        // SAFETY: the whole reservation, which nobody uses any longer: translated code runs only while the
        // translator, the owner, is borrowed.
        unsafe { VirtualFree(with_exposed_provenance_mut(self.start), 0, MEM_RELEASE) };
    }
}

/// Commits the piece of a reservation that was touched; leaves every other exception to who else wants it.
///
/// It runs on the stack of the code that touched it, which may be translated code, with the guest's MXCSR and x87 unit:
/// it computes with integers only, and the system restores everything.
///
/// # Safety
///
/// `exception` and what it refers to must be valid for the time of the call.
// SAFETY: only the system calls it, as the handler that it was installed as.
unsafe extern "system" fn commit(exception: *mut EXCEPTION_POINTERS) -> i32 {
    // SAFETY: the system passes pointers to both, for the time of the call.
    let record = unsafe { &*(*exception).ExceptionRecord };
    // What was tried: 0 is reading, 1 is writing, 8 is executing.
    let [0 | 1, address, ..] = record.ExceptionInformation else { return EXCEPTION_CONTINUE_SEARCH };
    if record.ExceptionCode != EXCEPTION_ACCESS_VIOLATION {
        return EXCEPTION_CONTINUE_SEARCH;
    }
    let reservations = RESERVATIONS.read().unwrap_or_else(PoisonError::into_inner);
    let Some((start, use_of)) =
        reservations.range(..=address).next_back().filter(|(start, use_of)| address - **start < use_of.size)
    else {
        return EXCEPTION_CONTINUE_SEARCH;
    };
    let piece = start + (address - start) / PIECE * PIECE;
    // SAFETY: the piece lies in a reservation that is registered, so it is not released before the lock is given back.
    // Committing what is committed already, by another thread, changes nothing.
    let done = unsafe { VirtualAlloc(piece as *const c_void, PIECE, MEM_COMMIT, PAGE_READWRITE) };
    if done.is_null() {
        return EXCEPTION_CONTINUE_SEARCH;
    }
    use_of.committed.fetch_add(PIECE, Ordering::Relaxed);
    EXCEPTION_CONTINUE_EXECUTION
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use windows_sys::Win32::System::Memory::{MEMORY_BASIC_INFORMATION, PAGE_EXECUTE_READ, VirtualQuery};

    #[test]
    fn a_table_is_zero_and_takes_what_is_touched() {
        let mut zeros = Zeros::new(16 << 30).expect("address space");
        assert_eq!(zeros.committed(), 0);
        assert_eq!((zeros[0], zeros[(16 << 30) - 1]), (0, 0));
        assert_eq!(zeros.committed(), 2 * PIECE);
        zeros[5 * PIECE - 1] = 7;
        zeros[5 * PIECE - 2] = 8;
        assert_eq!((zeros[5 * PIECE - 1], zeros[5 * PIECE - 2], zeros[5 * PIECE - 3]), (7, 8, 0));
        assert_eq!(zeros.committed(), 3 * PIECE);
    }

    #[test]
    fn an_access_across_two_pieces_commits_both() {
        let mut zeros = Zeros::new(1 << 30).expect("address space");
        let place = zeros[PIECE - 4..].first_chunk_mut::<8>().expect("it is long enough");
        *place = [1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!((zeros[PIECE - 1], zeros[PIECE]), (4, 5));
        assert_eq!(zeros.committed(), 2 * PIECE);
    }

    #[test]
    fn threads_may_have_tables_of_their_own() {
        let work = |n: usize| {
            for round in 0..50 {
                let mut zeros = Zeros::new(1 << 30).expect("address space");
                (0..20).for_each(|at| zeros[at * 3 * PIECE + round] = n as u8);
                assert!((0..20).all(|at| zeros[at * 3 * PIECE + round] == n as u8));
                assert_eq!(zeros.committed(), 20 * PIECE);
            }
        };
        std::thread::scope(|s| (1..5).for_each(|n| _ = s.spawn(move || work(n))));
    }

    #[test]
    fn what_is_written_is_what_is_executed() {
        let mut memory = DualMapping::new(1 << 20).expect("executable memory");
        // mov eax,12345678h; ret
        memory.write()[0x8000..0x8006].copy_from_slice(&[0xB8, 0x78, 0x56, 0x34, 0x12, 0xC3]);
        let code = memory.execute()[0x8000..].as_ptr();
        let rights = [memory.write().as_ptr(), code].map(|address| {
            // SAFETY: all zero is a valid value.
            let mut region: MEMORY_BASIC_INFORMATION = unsafe { std::mem::zeroed() };
            // SAFETY: what the system tells of any address fits in `region`.
            let told = unsafe { VirtualQuery(address.cast(), &raw mut region, size_of_val(&region)) };
            assert_eq!(told, size_of_val(&region));
            region.Protect
        });
        assert_eq!(rights, [PAGE_READWRITE, PAGE_EXECUTE_READ]);
        // SAFETY: that is what the code does.
        let code: extern "C" fn() -> u32 = unsafe { std::mem::transmute(code) };
        assert_eq!(code(), 0x1234_5678);
    }

    /// In a process of its own, which the next handler ends.
    #[test]
    fn other_access_violations_are_left_to_other_handlers() {
        const ADDRESS: &str = "IDEM86_TEST_ADDRESS";
        const PASSED_ON: i32 = 86;
        extern "system" fn next(_: *mut EXCEPTION_POINTERS) -> i32 {
            std::process::exit(PASSED_ON)
        }
        let mut memory = DualMapping::new(1 << 20).expect("executable memory");
        let zeros = Zeros::new(1 << 30).expect("address space");
        if let Ok(wanted) = std::env::var(ADDRESS) {
            // SAFETY: it is a handler.
            unsafe { AddVectoredExceptionHandler(0, Some(next)) };
            assert_eq!(zeros[0], 0, "the first handler is there");
            memory.write()[0] = 0;
            let address = match wanted.as_str() {
                "null" => 8,
                "code" => memory.execute().as_ptr() as usize,
                _ => panic!("no address {wanted:?}"),
            };
            // SAFETY: it is not: the process ends here.
            unsafe { with_exposed_provenance_mut::<u8>(address).write_volatile(1) };
            std::process::exit(0);
        }
        for address in ["null", "code"] {
            let child = Command::new(std::env::current_exe().expect("this program has a name"))
                .args([
                    "--exact",
                    "host::os::tests::other_access_violations_are_left_to_other_handlers",
                    "--nocapture",
                ])
                .env(ADDRESS, address)
                .output()
                .expect("it can be started");
            assert_eq!(child.status.code(), Some(PASSED_ON), "{address}: {child:?}");
        }
    }
}
