//! The page-table walk: 32-bit paging with 4-MiB pages, and PAE paging with execute-disable.
//!
//! SDM Vol. 3A, "32-Bit Paging", "PAE Paging", "Access Rights", "Page-Fault Exceptions".

use super::Access;
use super::spaces::{FoundEntry, Kin, Root, Span};
use crate::bus::{Biu, PageKind};
use crate::cpu::Cpu;
use crate::event::exception::{Fault, Outcome, vector};
use crate::processor::Feature;
use crate::state::control::{cr0, cr4, efer};

/// Bits of a paging-structure entry.
pub(super) mod pte {
    pub const P: u64 = 1 << 0;
    pub const RW: u64 = 1 << 1;
    pub const US: u64 = 1 << 2;
    pub const PWT: u64 = 1 << 3;
    pub const PCD: u64 = 1 << 4;
    pub const A: u64 = 1 << 5;
    pub const D: u64 = 1 << 6;
    pub const PS: u64 = 1 << 7;
    pub const G: u64 = 1 << 8;
    /// In an entry for a large page; in one for a 4-KiB page it is where PS is elsewhere.
    pub const PAT_LARGE: u64 = 1 << 12;
    /// Bits that are the system's.
    pub const AVAILABLE: u64 = 7 << 9;
    pub const XD: u64 = 1 << 63;
    /// PAE address bits, for a physical address width of 36.
    pub const PAE_FRAME: u64 = 0xF_FFFF_F000;
    /// PAE bits 62 to 36 are reserved.
    pub const PAE_RESERVED: u64 = 0x7FFF_FFF0_0000_0000;
    /// A present PAE page-directory-pointer entry also reserves 63, 8 to 5, 2 and 1.
    pub const PDPTE_RESERVED: u64 = XD | PAE_RESERVED | 0x1E6;
}

/// Bits of a page-fault error code.
mod code {
    pub const P: u16 = 1 << 0;
    pub const W: u16 = 1 << 1;
    pub const U: u16 = 1 << 2;
    pub const RSVD: u16 = 1 << 3;
    pub const ID: u16 = 1 << 4;
}

/// What a walk found, for the TLB.
#[derive(Clone, Copy, Debug)]
pub struct Translation {
    /// Physical address of the 4-KiB page.
    pub frame: u64,
    /// Writes may go through the TLB: allowed for this view, and the dirty bit is set.
    pub writable: bool,
    /// Instructions may be fetched.
    pub executable: bool,
    /// The TLB keeps it when CR3 is loaded.
    pub global: bool,
}

/// One level of a walk, as far as it has come.
struct Path {
    rights: u64,
    executable: bool,
}

impl Cpu {
    /// Translates the page of `linear`, checks `access`, and sets accessed and dirty bits. On a fault CR2 is set, and
    /// the accessed bit of a directory entry that led to a table: whether it is then is not said by the manual;
    /// processors set it as they go.
    pub(super) fn walk(
        &mut self,
        biu: &mut Biu,
        linear: u64,
        access: Access,
        user: bool,
    ) -> Outcome<Translation> {
        if self.cr0 & cr0::PG == 0 {
            return Ok(Translation {
                frame: linear & !0xFFF & 0xFFFF_FFFF,
                writable: true,
                executable: true,
                global: false,
            });
        }
        if self.cr4 & cr4::PAE != 0 {
            self.walk_pae(biu, linear, access, user)
        } else {
            self.walk_32(biu, linear, access, user)
        }
    }

    /// The physical address of `linear` as the paging structures in memory say, whatever it is accessed for; `None`
    /// where they map nothing. Changes nothing: for debuggers.
    pub fn peek_address(&self, biu: &mut Biu, linear: u64) -> Option<u64> {
        let linear = linear & self.linear_mask;
        let entry = |biu: &mut Biu, at: u64, size: usize| match biu.bus.page(at & self.a20_mask & !0xFFF) {
            PageKind::Ram(page) | PageKind::Rom(page) => {
                let at = page + (at & 0xFFF);
                let value = if size == 4 { biu.ram_read::<u32>(at).into() } else { biu.ram_read::<u64>(at) };
                Some(value).filter(|entry| entry & pte::P != 0)
            }
            PageKind::Device => None,
        };
        let frame = if self.cr0 & cr0::PG == 0 {
            linear
        } else if self.cr4 & cr4::PAE != 0 {
            let pointer =
                Some(self.pdpte[(linear >> 30) as usize & 3]).filter(|entry| entry & pte::P != 0)?;
            let directory = entry(biu, (pointer & pte::PAE_FRAME) + (linear >> 21 & 0x1FF) * 8, 8)?;
            if directory & pte::PS != 0 {
                directory & pte::PAE_FRAME & !0x1F_FFFF | linear & 0x1F_F000
            } else {
                entry(biu, (directory & pte::PAE_FRAME) + (linear >> 12 & 0x1FF) * 8, 8)? & pte::PAE_FRAME
            }
        } else {
            let directory = entry(biu, (self.cr3 & 0xFFFF_F000) + (linear >> 22 & 0x3FF) * 4, 4)?;
            if directory & pte::PS != 0 && self.cr4 & cr4::PSE != 0 {
                directory & 0xFFC0_0000 | (directory >> 13 & 0xF) << 32 | linear & 0x3F_F000
            } else {
                entry(biu, (directory & 0xFFFF_F000) + (linear >> 12 & 0x3FF) * 4, 4)? & 0xFFFF_F000
            }
        };
        Some((frame & !0xFFF | linear & 0xFFF) & self.a20_mask)
    }

    fn walk_32(&mut self, biu: &mut Biu, linear: u64, access: Access, user: bool) -> Outcome<Translation> {
        let all = pte::RW | pte::US;
        let directory_at = (self.cr3 & 0xFFFF_F000) + (linear >> 22 & 0x3FF) * 4;
        let span = Span { base: 0, shift: 10 };
        let directory = self.read_entry(biu, directory_at, 4, span);
        if directory & pte::P == 0 {
            return Err(self.page_fault(linear, access, user, 0));
        }
        let large = directory & pte::PS != 0 && self.cr4 & cr4::PSE != 0;
        if large {
            if directory & self.reserved_in_large_page() != 0 {
                return Err(self.page_fault(linear, access, user, code::P | code::RSVD));
            }
            self.tlb.note_large(linear);
            let frame = directory & 0xFFC0_0000 | (directory >> 13 & 0xF) << 32 | linear & 0x3F_F000;
            let path = Path { rights: directory & all, executable: true };
            return self.finish(biu, linear, access, user, path, directory, directory_at, 4, frame);
        }
        self.set_bits(biu, directory_at, 4, directory, pte::A);
        let table_at = (directory & 0xFFFF_F000) + (linear >> 12 & 0x3FF) * 4;
        let span = Span { base: (linear >> 22 << 10) as u32, shift: 0 };
        let table = self.read_entry(biu, table_at, 4, span);
        if table & pte::P == 0 {
            return Err(self.page_fault(linear, access, user, 0));
        }
        if table & self.reserved_in_page() != 0 {
            return Err(self.page_fault(linear, access, user, code::P | code::RSVD));
        }
        let path = Path { rights: directory & table & all, executable: true };
        self.finish(biu, linear, access, user, path, table, table_at, 4, table & 0xFFFF_F000)
    }

    /// The reserved bits of an entry for a 4-MiB page: its bits 20 to 13 are address bits 39 to 32 (PSE-36), as far as
    /// there are; bit 21 always is. SDM Vol. 3A, "32-Bit Paging".
    fn reserved_in_large_page(&self) -> u64 {
        let address = if self.processor.has(Feature::Pse36) { 0x3E_0000 } else { 0x3F_E000 };
        let pat = if self.processor.has(Feature::Pat) { 0 } else { pte::PAT_LARGE };
        address | pat
    }

    /// The reserved bits of an entry for a 4-KiB page of 32-bit paging: with CR4.PSE set, the one of a PAT that is not
    /// there.
    fn reserved_in_page(&self) -> u64 {
        if self.processor.has(Feature::Pat) || self.cr4 & cr4::PSE == 0 { 0 } else { pte::PS }
    }

    fn walk_pae(&mut self, biu: &mut Biu, linear: u64, access: Access, user: bool) -> Outcome<Translation> {
        let all = pte::RW | pte::US;
        // The four page-directory-pointer entries were loaded with CR3; they hold no rights.
        let pointer = self.pdpte[(linear >> 30) as usize & 3];
        if pointer & pte::P == 0 {
            return Err(self.page_fault(linear, access, user, 0));
        }
        let reserved =
            if self.efer & efer::NXE != 0 { pte::PAE_RESERVED } else { pte::PAE_RESERVED | pte::XD };
        let directory_at = (pointer & pte::PAE_FRAME) + (linear >> 21 & 0x1FF) * 8;
        let span = Span { base: (linear >> 30 << 18) as u32, shift: 9 };
        let directory = self.read_entry(biu, directory_at, 8, span);
        if directory & pte::P == 0 {
            return Err(self.page_fault(linear, access, user, 0));
        }
        let large = directory & pte::PS != 0;
        // Bits 20 to 13 of a 2-MiB page are reserved.
        let pat = if self.processor.has(Feature::Pat) { 0 } else { pte::PAT_LARGE };
        if directory & reserved != 0 || large && directory & (0x1F_E000 | pat) != 0 {
            return Err(self.page_fault(linear, access, user, code::P | code::RSVD));
        }
        if large {
            self.tlb.note_large(linear);
            let frame = directory & pte::PAE_FRAME & !0x1F_FFFF | linear & 0x1F_F000;
            let path = Path { rights: directory & all, executable: directory & pte::XD == 0 };
            return self.finish(biu, linear, access, user, path, directory, directory_at, 8, frame);
        }
        self.set_bits(biu, directory_at, 8, directory, pte::A);
        let table_at = (directory & pte::PAE_FRAME) + (linear >> 12 & 0x1FF) * 8;
        let span = Span { base: (linear >> 21 << 9) as u32, shift: 0 };
        let table = self.read_entry(biu, table_at, 8, span);
        if table & pte::P == 0 {
            return Err(self.page_fault(linear, access, user, 0));
        }
        let pat = if self.processor.has(Feature::Pat) { 0 } else { pte::PS };
        if table & (reserved | pat) != 0 {
            return Err(self.page_fault(linear, access, user, code::P | code::RSVD));
        }
        let path = Path { rights: directory & table & all, executable: (directory | table) & pte::XD == 0 };
        self.finish(biu, linear, access, user, path, table, table_at, 8, table & pte::PAE_FRAME)
    }

    /// Checks the rights of the whole path. SDM Vol. 3A, "Determination of Access Rights".
    fn check(&mut self, linear: u64, access: Access, user: bool, path: &Path) -> Outcome {
        let user_page = path.rights & pte::US != 0;
        let allowed = match access {
            Access::Read => user_page || !user,
            Access::Write => (user_page || !user) && self.may_write(path, user),
            Access::Execute => (user_page || !user) && path.executable,
        };
        if allowed { Ok(()) } else { Err(self.page_fault(linear, access, user, code::P)) }
    }

    fn may_write(&self, path: &Path, user: bool) -> bool {
        path.rights & pte::RW != 0 || !user && self.cr0 & cr0::WP == 0
    }

    /// The last level: rights, accessed and dirty bits, the result.
    #[allow(clippy::too_many_arguments)]
    fn finish(
        &mut self,
        biu: &mut Biu,
        linear: u64,
        access: Access,
        user: bool,
        path: Path,
        entry: u64,
        entry_at: u64,
        entry_size: usize,
        frame: u64,
    ) -> Outcome<Translation> {
        self.check(linear, access, user, &path)?;
        let bits = if access == Access::Write { pte::A | pte::D } else { pte::A };
        self.set_bits(biu, entry_at, entry_size, entry, bits);
        let dirty = (entry | bits) & pte::D != 0;
        Ok(Translation {
            frame,
            writable: dirty && self.may_write(&path, user),
            executable: path.executable,
            global: entry & pte::G != 0 && self.cr4 & cr4::PGE != 0,
        })
    }

    fn set_bits(&mut self, biu: &mut Biu, at: u64, size: usize, entry: u64, bits: u64) {
        if entry & bits == bits {
            return;
        }
        let kept = if self.spaces.is_kept() { self.entry_in_ram(biu, at) } else { None };
        match kept {
            Some(at) => {
                self.spaces.marked(at, size, entry | bits);
                self.write_own(biu, at, size, entry | bits);
            }
            None => self.write_physical(biu, at, size, entry | bits),
        }
    }

    /// Reads a paging-structure entry, which is for `span`, and tells who keeps translations.
    fn read_entry(&mut self, biu: &mut Biu, at: u64, size: usize, span: Span) -> u64 {
        let value = self.read_physical(biu, at, size);
        if self.spaces.is_kept() && value & pte::P != 0 {
            let at = self.entry_in_ram(biu, at);
            let Cpu { spaces, tlb, writes, .. } = self;
            let kin = &mut Kin { tlb, writes };
            match at {
                Some(at) => spaces.walked(FoundEntry { at, size, value, span }, biu, kin),
                None => spaces.give_up(kin),
            }
        }
        value
    }

    /// Where the entry at physical address `at` is in RAM, if that is where it is.
    fn entry_in_ram(&self, biu: &mut Biu, at: u64) -> Option<u64> {
        let at = at & self.a20_mask;
        match biu.bus.page(at & !0xFFF) {
            PageKind::Ram(page) => Some(page + (at & 0xFFF)),
            PageKind::Rom(_) | PageKind::Device => None,
        }
    }

    /// Sets CR2 and makes the #PF; `extra` holds P and RSVD.
    fn page_fault(&mut self, linear: u64, access: Access, user: bool, extra: u16) -> Fault {
        self.cr2 = linear;
        let mut error = extra;
        if access == Access::Write {
            error |= code::W;
        }
        if user {
            error |= code::U;
        }
        // The bit tells fetches apart only where they can be denied.
        if access == Access::Execute && self.cr4 & cr4::PAE != 0 && self.efer & efer::NXE != 0 {
            error |= code::ID;
        }
        Fault::coded(vector::PF, error)
    }

    /// What the present address space is known by; `None` without paging.
    pub(crate) fn root(&self) -> Option<Root> {
        (self.cr0 & cr0::PG != 0).then_some(match self.cr4 & cr4::PAE {
            0 => Root { directory: self.cr3 & 0xFFFF_F000, pointers: [0; 4] },
            _ => Root { directory: 0, pointers: self.pdpte },
        })
    }

    /// Reads the four page-directory-pointer entries that `cr3` names; #GP(0) if a present one has reserved bits.
    /// SDM Vol. 3A, "PDPTE Registers".
    pub(crate) fn read_pdptes(&mut self, biu: &mut Biu, cr3: u64) -> Outcome<[u64; 4]> {
        let mut entries = [0; 4];
        for (i, e) in entries.iter_mut().enumerate() {
            *e = self.read_physical(biu, (cr3 & 0xFFFF_FFE0) + i as u64 * 8, 8);
            if !is_possible_pdpte(*e) {
                return Err(Fault::GP0);
            }
        }
        Ok(entries)
    }
}

/// Whether a page-directory-pointer entry can be loaded: reserved bits of a present one are clear.
pub(crate) fn is_possible_pdpte(entry: u64) -> bool {
    entry & pte::P == 0 || entry & pte::PDPTE_RESERVED == 0
}
