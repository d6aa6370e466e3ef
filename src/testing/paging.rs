//! Paging for guest programs that are assembled: what a program does to have it.

use iced_x86::IcedError;
use iced_x86::code_asm::*;

/// Appends 32-bit code that maps the first `tables` times 4 MiB to themselves, page by page, and switches paging on.
/// The page directory lies at `directory` (a multiple of 4096), the page tables behind it; each entry has the bits
/// `rights` (SDM Vol. 3A, "32-Bit Paging"). Wants a flat ES and no paging yet; EAX, ECX, EDI and flags change.
///
/// There are at most 1024 tables.
pub fn enable_paging(
    a: &mut CodeAssembler,
    directory: u32,
    tables: u32,
    rights: u32,
) -> Result<(), IcedError> {
    const ENTRIES: u32 = 0x400;
    a.cld()?;
    a.mov(edi, directory)?;
    a.mov(ecx, ENTRIES)?;
    a.xor(eax, eax)?;
    a.rep().stosd()?;
    for n in 0..tables {
        a.mov(dword_ptr(directory + 4 * n), (directory + 0x1000 * (n + 1)) | rights)?;
    }
    // The first table lies where EDI points to.
    a.mov(ecx, ENTRIES * tables)?;
    a.mov(eax, rights)?;
    let mut fill = a.create_label();
    a.set_label(&mut fill)?;
    a.stosd()?;
    a.add(eax, 0x1000)?;
    a.loop_(fill)?;
    a.mov(eax, directory)?;
    a.mov(cr3, eax)?;
    a.mov(eax, cr0)?;
    a.or(eax, i32::MIN)?;
    a.mov(cr0, eax)
}
