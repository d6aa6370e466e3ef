//! Nanobenchmarks of page tables, page faults and address spaces.

use super::Emitted;
use super::address::{ABSENT, DATA, PRIVATE, PRIVATE_PAGES, SPACE_BYTES, SPACE_COUNT, SPACES, entry_of};
use iced_x86::code_asm::*;

const PRESENT: u32 = 1;
/// A bit that the processor leaves to software. SDM Vol. 3A, "32-Bit Paging".
const AVAILABLE: u32 = 1 << 9;

pub fn absent_page(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.mov(esi, ABSENT)
}

/// Two bytes, which the handler steps over.
pub fn absent(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.mov(eax, dword_ptr(esi))
}

pub fn demand(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.mov(eax, dword_ptr(esi))?;
    a.and(dword_ptr(entry_of(ABSENT)), !PRESENT as i32)?;
    a.invlpg(byte_ptr(esi))
}

/// The page must have been used, so that its entry's A and D bits do not change later.
pub fn data_page(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.mov(esi, DATA)?;
    for n in 0..4u32 {
        a.mov(dword_ptr(esi + n * 0x1000), n)?;
    }
    Ok(())
}

pub fn after_invlpg(a: &mut CodeAssembler, n: u32) -> Emitted {
    a.invlpg(byte_ptr(DATA + n * 0x1000))?;
    a.mov(eax, dword_ptr(esi + n * 0x1000))
}

/// The entry maps the same frame with the same rights before and after, so no INVLPG is due.
pub fn pte_write(a: &mut CodeAssembler, n: u32) -> Emitted {
    let page = DATA + n * 0x1000;
    a.xor(dword_ptr(entry_of(page)), AVAILABLE as i32)?;
    a.mov(eax, dword_ptr(esi + n * 0x1000))
}

/// The page's frame is now its neighbour's, now its own.
pub fn pte_invlpg(a: &mut CodeAssembler, n: u32) -> Emitted {
    let page = DATA + n * 0x1000;
    a.xor(dword_ptr(entry_of(page)), 0x1_0000)?;
    a.invlpg(byte_ptr(page))?;
    a.mov(eax, dword_ptr(esi + n * 0x1000))
}

/// EBX: the next address space.
pub fn spaces(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.mov(esi, PRIVATE)?;
    a.mov(ebx, SPACES)
}

pub fn switch_warm(a: &mut CodeAssembler, _: u32) -> Emitted {
    switch(a)?;
    a.xor(ebx, SPACE_BYTES as i32)
}

pub fn switch_cold(a: &mut CodeAssembler, _: u32) -> Emitted {
    switch(a)?;
    a.sub(ebx, SPACES as i32)?;
    a.add(ebx, SPACE_BYTES as i32)?;
    a.and(ebx, (SPACE_COUNT * SPACE_BYTES - 1) as i32)?;
    a.add(ebx, SPACES as i32)
}

/// Into the address space at EBX, whose own pages are all read.
fn switch(a: &mut CodeAssembler) -> Emitted {
    a.mov(cr3, ebx)?;
    for page in 0..PRIVATE_PAGES {
        a.mov(eax, dword_ptr(esi + page * 0x1000))?;
    }
    Ok(())
}
