//! The guest's region below 4 GiB, and the host's own view of the pages behind it.

use crate::host::native::layout::{EXIT_LINEAR, PAGE_BYTES, PAGES, REGION_BYTES, Storage, WINDOW_BYTES};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};

const PAGE: usize = PAGE_BYTES as usize;

/// Pages of storage: code, lower window, upper window, way out.
const STORAGE_BYTES: usize = 4 * PAGE;
const WINDOW_AT: usize = PAGE;
const EXIT_AT: usize = 3 * PAGE;

const fn storage_offset(storage: Storage) -> usize {
    match storage {
        Storage::Code => 0,
        Storage::WindowLower => WINDOW_AT,
        Storage::WindowUpper => WINDOW_AT + PAGE,
    }
}

/// An address range that this process mapped and owns.
struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

impl Mapping {
    /// Maps where the kernel likes, subject to `flags`.
    fn new(bytes: usize, protection: i32, flags: i32, file: Option<&OwnedFd>) -> io::Result<Self> {
        let fd = file.map_or(-1, AsRawFd::as_raw_fd);
        // SAFETY: without MAP_FIXED the kernel chooses an unused range, so no existing mapping is touched.
        let start = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, flags, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { start: NonNull::new(start.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?, bytes })
    }

    /// Replaces one page of the mapping by a page of `file`, present from now on.
    fn replace_page(&mut self, at: u32, file: &OwnedFd, offset: usize, protection: i32) -> io::Result<()> {
        let at = at as usize;
        assert!(at.is_multiple_of(PAGE) && at + PAGE <= self.bytes && offset + PAGE <= STORAGE_BYTES);
        let flags = libc::MAP_SHARED | libc::MAP_FIXED | libc::MAP_POPULATE;
        let fd = file.as_raw_fd();
        // SAFETY: [start + at, + PAGE) lies within this mapping, which is ours and lent to nobody.
        let page = unsafe {
            let place = self.start.as_ptr().add(at);
            libc::mmap(place.cast(), PAGE, protection, flags, fd, offset as libc::off_t)
        };
        if page == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `new` and nothing outlives the owner of this value.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

/// The guest's region and the host's view of its storage.
pub struct GuestMemory {
    region: Mapping,
    storage: Mapping,
}

// SAFETY: both mappings belong to this value alone and are valid in every thread.
unsafe impl Send for GuestMemory {}

impl GuestMemory {
    /// Reserves the region and maps the pages of [`PAGES`] in it. `exit` is the machine code of the way out.
    pub fn new(exit: &[u8]) -> io::Result<Self> {
        // SAFETY: the name is a C string.
        let fd = unsafe { libc::memfd_create(c"idem86-native".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just opened and is owned by nobody else.
        let file = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: plain system call on our own descriptor.
        if unsafe { libc::ftruncate(file.as_raw_fd(), STORAGE_BYTES as libc::off_t) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let (read, write, execute) = (libc::PROT_READ, libc::PROT_WRITE, libc::PROT_EXEC);
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        let storage = Mapping::new(STORAGE_BYTES, read | write, flags, Some(&file))?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_32BIT;
        let mut region = Mapping::new(REGION_BYTES as usize, libc::PROT_NONE, flags, None)?;
        for page in PAGES {
            let protection = match page.storage {
                Storage::Code => read | execute,
                Storage::WindowLower | Storage::WindowUpper if page.writable => read | write,
                Storage::WindowLower | Storage::WindowUpper => read,
            };
            region.replace_page(page.linear, &file, storage_offset(page.storage), protection)?;
        }
        region.replace_page(EXIT_LINEAR, &file, EXIT_AT, read | execute)?;
        let mut memory = Self { region, storage };
        memory.store(EXIT_AT, exit);
        memory.fill_code(0, PAGE);
        Ok(memory)
    }

    /// Host linear address of the region; below 2 GiB, because `MAP_32BIT` says so.
    pub fn linear_base(&self) -> u32 {
        self.region.start.as_ptr() as usize as u32
    }

    /// Copies into the storage. No slice of it is ever lent: the guest changes it behind Rust's back.
    fn store(&mut self, at: usize, bytes: &[u8]) {
        assert!(at <= STORAGE_BYTES && bytes.len() <= STORAGE_BYTES - at);
        // SAFETY: the range lies within the storage mapping, which is writable and no reference covers.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.storage.start.as_ptr().add(at), bytes.len()) };
    }

    /// Puts machine code at `at` in the code page, as far as the page reaches.
    pub fn store_code(&mut self, at: usize, bytes: &[u8]) {
        let fits = bytes.len().min(PAGE.saturating_sub(at));
        self.store(at.min(PAGE), &bytes[..fits]);
    }

    /// Fills `bytes` of the code page from `at` with `HLT`, as far as the page reaches.
    pub fn fill_code(&mut self, at: usize, bytes: usize) {
        const HLT: [u8; PAGE] = [0xF4; PAGE];
        self.store_code(at, &HLT[..bytes.min(PAGE)]);
    }

    /// Sets the window.
    pub fn store_window(&mut self, window: &[u8; WINDOW_BYTES]) {
        self.store(WINDOW_AT, window);
    }

    /// Reads the window.
    pub fn load_window(&self, window: &mut [u8; WINDOW_BYTES]) {
        // SAFETY: the range lies within the storage mapping; the guest, its only other writer, runs only
        // while `self` is borrowed mutably.
        unsafe {
            let from = self.storage.start.as_ptr().add(WINDOW_AT);
            ptr::copy_nonoverlapping(from, window.as_mut_ptr(), WINDOW_BYTES);
        }
    }
}
