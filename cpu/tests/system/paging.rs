//! Paging: page-fault error codes for every combination of present, write, user, reserved and fetch, accessed and dirty
//! bits, translations that stay and go. SDM Vol. 3A, "Paging".

use crate::kit::*;
use iced_x86::code_asm::*;
use idem86_cpu::state::control::{cr0, cr4, efer};
use idem86_cpu::state::gpr;

/// Error code bits.
mod code {
    pub const P: u32 = 1;
    pub const W: u32 = 2;
    pub const U: u32 = 4;
    pub const RSVD: u32 = 8;
    pub const ID: u32 = 16;
}

const P: u64 = 1;
const RW: u64 = 2;
const US: u64 = 4;
const A: u64 = 0x20;
const D: u64 = 0x40;
const PS: u64 = 0x80;
const G: u64 = 0x100;
const XD: u64 = 1 << 63;

/// How linear memory is translated.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    /// 32-bit paging, 4-KiB pages.
    Small,
    /// 32-bit paging, 4-MiB pages.
    Pse,
    /// PAE paging, 4-KiB pages.
    Pae,
    /// PAE paging, 2-MiB pages.
    Pae2M,
}

const MODES: [Mode; 4] = [Mode::Small, Mode::Pse, Mode::Pae, Mode::Pae2M];

/// The linear address under test: a page of its own, apart from what the machine needs.
const LINEAR: u32 = 0x4000_0123;
/// Where it leads to, but for the page offset.
const FRAME: u32 = 0x20_0000;

impl Mode {
    fn is_pae(self) -> bool {
        matches!(self, Mode::Pae | Mode::Pae2M)
    }
    fn is_large(self) -> bool {
        matches!(self, Mode::Pse | Mode::Pae2M)
    }
    /// Physical address of LINEAR. A 4-MiB page is mapped at 0, where a frame of that size can be.
    fn physical(self) -> u32 {
        match self {
            Mode::Small | Mode::Pae => FRAME | LINEAR & 0xFFF,
            Mode::Pae2M => FRAME | LINEAR & 0x1F_FFFF,
            Mode::Pse => LINEAR & 0x3F_FFFF,
        }
    }
}

/// Page tables whose path to LINEAR has `upper` in its directory entry and `lower` in its table entry. Large pages
/// have `lower` in the directory entry.
struct Paged {
    k: Kit,
    mode: Mode,
}

impl Paged {
    fn new(level: u8, mode: Mode, upper: u64, lower: u64) -> Paged {
        let mut k = Kit::protected(level);
        if mode.is_pae() {
            k.page_pae();
            k.put64(place::PAGING + 8, (place::PAGING as u64 + 0x6000) | P);
            k.cpu.pdpte[1] = k.get64(place::PAGING + 8);
            k.cpu.efer = efer::NXE;
        } else {
            k.page();
            k.cpu.cr4 = cr4::PSE;
        }
        let mut p = Paged { k, mode };
        p.set(upper, lower);
        p
    }

    /// Where the directory entry and the table entry (of small pages) of LINEAR are.
    fn entries(&self) -> (u32, u32) {
        match self.mode {
            Mode::Small => (place::PAGING + 0x400, place::PAGING + 0x7000),
            Mode::Pse => (place::PAGING + 0x400, place::PAGING + 0x400),
            Mode::Pae => (place::PAGING + 0x6000, place::PAGING + 0x7000),
            Mode::Pae2M => (place::PAGING + 0x6000, place::PAGING + 0x6000),
        }
    }

    fn put_entry(&mut self, at: u32, v: u64) {
        if self.mode.is_pae() { self.k.put64(at, v) } else { self.k.put32(at, v as u32) }
    }
    fn entry(&self, at: u32) -> u64 {
        if self.mode.is_pae() { self.k.get64(at) } else { self.k.get32(at) as u64 }
    }

    fn set(&mut self, upper: u64, lower: u64) {
        let (directory, table) = self.entries();
        if self.mode.is_large() {
            self.put_entry(directory, (self.mode.physical() & !0x1F_FFFF) as u64 | lower | PS);
        } else {
            self.put_entry(directory, (place::PAGING as u64 + 0x7000) | upper);
            self.put_entry(table, FRAME as u64 | lower);
        }
        self.k.cpu.state_changed();
    }

    /// The flags of the last entry.
    fn flags(&self) -> u64 {
        self.entry(self.entries().1) & 0xFFF & !PS
    }

    fn read(&mut self) -> Led {
        self.k.one(|a| a.mov(al, byte_ptr(LINEAR)))
    }
    fn write(&mut self) -> Led {
        self.k.one(|a| a.mov(byte_ptr(LINEAR), al))
    }
    /// Goes there: a fault comes with the instruction after the jump.
    fn fetch(&mut self) -> Led {
        self.k.put8(self.mode.physical(), 0x90);
        self.k.cpu.gpr.set(gpr::AX, LINEAR);
        assert_eq!(self.k.one(|a| a.jmp(eax)), Led::Through);
        self.k.step()
    }
}

fn pf(error: u32) -> Led {
    Led::To(14, Some(error))
}

#[test]
fn error_codes_of_every_combination() {
    for mode in MODES {
        for n in 0..64u32 {
            // Every combination of P, R/W and U/S in both entries; a large page has but one.
            let (upper, lower) = ((n & 7) as u64, (n >> 3) as u64);
            let upper = if mode.is_large() { P | RW | US } else { upper };
            for level in [0, 3] {
                for wp in [false, true] {
                    let make = || {
                        let mut p = Paged::new(level, mode, upper, lower);
                        if wp {
                            p.k.cpu.cr0 |= cr0::WP;
                        }
                        p
                    };
                    let name = format!("{mode:?}, entries {upper:x} {lower:x}, level {level}, WP {wp}");
                    let user = if level == 3 { code::U } else { 0 };
                    let id = if mode.is_pae() { code::ID } else { 0 };
                    let present = upper & lower & P != 0;
                    let p_bit = if present { code::P } else { 0 };
                    let for_user = upper & lower & US != 0 || level == 0;
                    let writable = upper & lower & RW != 0 || level == 0 && !wp;
                    let expect = |allowed: bool, error: u32| {
                        if present && allowed { Led::Through } else { pf(p_bit | user | error) }
                    };
                    let mut p = make();
                    assert_eq!(p.read(), expect(for_user, 0), "read, {name}");
                    if !present || !for_user {
                        assert_eq!(p.k.cpu.cr2, LINEAR as u64, "{name}");
                        assert_eq!(p.flags(), lower, "a fault sets nothing, {name}");
                    } else {
                        assert_eq!(p.flags(), lower | A, "{name}");
                    }
                    let mut p = make();
                    assert_eq!(p.write(), expect(for_user && writable, code::W), "write, {name}");
                    let mut p = make();
                    assert_eq!(p.fetch(), expect(for_user, id), "fetch, {name}");
                }
            }
        }
    }
}

#[test]
fn execute_disable() {
    for mode in [Mode::Pae, Mode::Pae2M] {
        for (upper, lower) in [(7, 7), (7 | XD, 7), (7, 7 | XD), (7 | XD, 7 | XD)] {
            if mode.is_large() && upper & XD != 0 {
                continue;
            }
            for level in [0, 3] {
                let user = if level == 3 { code::U } else { 0 };
                let disabled = (upper | lower) & XD != 0;
                let mut p = Paged::new(level, mode, upper, lower);
                assert_eq!((p.read(), p.write()), (Led::Through, Led::Through), "data is not concerned");
                let expected = if disabled { pf(code::P | code::ID | user) } else { Led::Through };
                assert_eq!(p.fetch(), expected);
                // With the feature off the bit is reserved, and fetches are not told apart.
                let mut p = Paged::new(level, mode, upper, lower);
                p.k.cpu.efer = 0;
                p.k.cpu.state_changed();
                let expected = if disabled { pf(code::P | code::RSVD | user) } else { Led::Through };
                assert_eq!(p.read(), expected);
                let mut p = Paged::new(level, mode, upper, lower);
                p.k.cpu.efer = 0;
                p.k.cpu.state_changed();
                assert_eq!(p.fetch(), expected);
            }
        }
    }
}

#[test]
fn reserved_bits() {
    // (mode, bits of the directory entry, bits of the table entry, reserved)
    let all = 7;
    let mut rows = vec![
        (Mode::Pse, 0, 1 << 21, true),
        (Mode::Pse, 0, 1 << 17, true),
        (Mode::Pse, 0, 1 << 20, true),
        (Mode::Pse, 0, 1 << 12, false),
        (Mode::Pae2M, 0, 1 << 13, true),
        (Mode::Pae2M, 0, 1 << 20, true),
        (Mode::Pae2M, 0, 1 << 12, false),
        (Mode::Small, 0, PS, false),
    ];
    for bit in 36..63 {
        rows.push((Mode::Pae, 1 << bit, 0, true));
        rows.push((Mode::Pae, 0, 1 << bit, true));
        rows.push((Mode::Pae2M, 0, 1 << bit, true));
    }
    for (mode, upper, lower, reserved) in rows {
        let name = format!("{mode:?} {upper:x} {lower:x}");
        let expected = |error| if reserved { pf(code::P | code::RSVD | error) } else { Led::Through };
        assert_eq!(Paged::new(0, mode, all | upper, all | lower).read(), expected(0), "{name}");
        let led = Paged::new(3, mode, all | upper, all | lower).write();
        assert_eq!(led, expected(code::W | code::U), "{name}");
        // An entry that is not present may hold anything.
        if upper != 0 {
            assert_eq!(Paged::new(0, mode, upper, all).read(), pf(0), "{name}");
        } else {
            assert_eq!(Paged::new(0, mode, all, lower).read(), pf(0), "{name}");
        }
    }
}

#[test]
fn pse_36_reaches_beyond_4_gib() {
    // Bits 13 to 16 are address bits 32 to 35: nothing is there on this bus, and reads give ones.
    let mut p = Paged::new(0, Mode::Pse, 7, 7 | 1 << 13);
    assert_eq!(p.read(), Led::Through);
    assert_eq!(p.k.cpu.gpr.get::<u8>(gpr::AX), 0xFF);
}

#[test]
fn without_pse_the_page_size_bit_is_ignored() {
    let mut p = Paged::new(0, Mode::Small, 7 | PS, 7);
    p.k.cpu.cr4 = 0;
    p.k.cpu.state_changed();
    p.k.put8(FRAME + 0x123, 0x5A);
    assert_eq!(p.read(), Led::Through);
    assert_eq!(p.k.cpu.gpr.get::<u8>(gpr::AX), 0x5A);
}

#[test]
fn translations_lead_to_the_right_byte() {
    for mode in MODES {
        let mut p = Paged::new(3, mode, 7, 7);
        p.k.put8(mode.physical(), 0xA5);
        assert_eq!(p.read(), Led::Through);
        assert_eq!(p.k.cpu.gpr.get::<u8>(gpr::AX), 0xA5, "{mode:?}");
    }
}

#[test]
fn accessed_and_dirty_bits() {
    for mode in MODES {
        let mut p = Paged::new(3, mode, 7, 7);
        let (directory, table) = p.entries();
        assert_eq!(p.read(), Led::Through);
        assert_eq!(p.entry(table) & (A | D), A, "{mode:?}: a read");
        assert_eq!(p.entry(directory) & (A | D), A, "{mode:?}");
        assert_eq!(p.write(), Led::Through);
        assert_eq!(p.entry(table) & (A | D), A | D, "{mode:?}: the first write, after a read");
        if !mode.is_large() {
            assert_eq!(p.entry(directory) & (A | D), A, "{mode:?}: a directory has no dirty bit");
        }
        // They are cached with the translation.
        let cleared = p.entry(table) & !(A | D);
        p.put_entry(table, cleared);
        assert_eq!((p.read(), p.write()), (Led::Through, Led::Through));
        assert_eq!(p.entry(table) & (A | D), 0, "{mode:?}");
        p.k.cpu.state_changed();
        assert_eq!(p.write(), Led::Through);
        assert_eq!(p.entry(table) & (A | D), A | D, "{mode:?}");
    }
}

#[test]
fn a_read_modify_write_is_a_write() {
    for mode in MODES {
        let mut p = Paged::new(3, mode, 7, 5);
        assert_eq!(p.k.one(|a| a.inc(byte_ptr(LINEAR))), pf(code::P | code::W | code::U));
        let mut p = Paged::new(3, mode, 7, 0);
        assert_eq!(p.k.one(|a| a.inc(byte_ptr(LINEAR))), pf(code::W | code::U));
        let mut p = Paged::new(3, mode, 7, 7);
        assert_eq!(p.k.one(|a| a.inc(byte_ptr(LINEAR))), Led::Through);
        assert_eq!(p.flags() & D, D);
    }
}

#[test]
fn changed_entries_count_after_invlpg_or_a_load_of_cr3() {
    for mode in MODES {
        for by_cr3 in [false, true] {
            for global in [false, true] {
                let mut p = Paged::new(0, mode, 7, 7 | if global { G } else { 0 });
                p.k.cpu.cr4 |= cr4::PGE;
                p.k.cpu.state_changed();
                assert_eq!(p.read(), Led::Through);
                let (_, table) = p.entries();
                let absent = p.entry(table) & !P;
                p.put_entry(table, absent);
                assert_eq!(p.read(), Led::Through, "{mode:?}: the old translation still counts");
                if by_cr3 {
                    p.k.cpu.gpr.set(gpr::CX, p.k.cpu.cr3 as u32);
                    assert_eq!(p.k.one(|a| a.mov(cr3, ecx)), Led::Through);
                } else {
                    assert_eq!(p.k.one(|a| a.invlpg(byte_ptr(LINEAR & !0xFFF | 0x456))), Led::Through);
                }
                let stays = by_cr3 && global;
                let expected = if stays { Led::Through } else { pf(0) };
                assert_eq!(p.read(), expected, "{mode:?}, CR3 {by_cr3}, global {global}");
                if stays {
                    // Any change of PGE forgets all.
                    p.k.cpu.gpr.set(gpr::CX, p.k.cpu.cr4 & !cr4::PGE);
                    assert_eq!(p.k.one(|a| a.mov(iced_x86::code_asm::cr4, ecx)), Led::Through);
                    assert_eq!(p.read(), pf(0));
                }
            }
        }
    }
}

#[test]
fn an_invalidation_takes_all_of_a_large_page() {
    for mode in [Mode::Pse, Mode::Pae2M] {
        let mut p = Paged::new(0, mode, 7, 7);
        let parts = [LINEAR, LINEAR + 0x5000, LINEAR ^ 0x1F_F000];
        let read = |p: &mut Paged, at: u32| p.k.one(|a| a.mov(al, byte_ptr(at)));
        assert!(parts.iter().all(|at| read(&mut p, *at) == Led::Through));
        let (directory, _) = p.entries();
        let absent = p.entry(directory) & !P;
        p.put_entry(directory, absent);
        assert_eq!(read(&mut p, parts[2]), Led::Through, "{mode:?}: the old translation still counts");
        assert_eq!(p.k.one(|a| a.invlpg(byte_ptr(LINEAR + 0x8000))), Led::Through);
        for at in parts {
            assert_eq!(read(&mut p, at), pf(0), "{mode:?}, {at:x}");
        }
    }
}

#[test]
fn global_pages_need_pge() {
    let mut p = Paged::new(0, Mode::Small, 7, 7 | G);
    assert_eq!(p.read(), Led::Through);
    let (_, table) = p.entries();
    p.put_entry(table, 0);
    p.k.cpu.gpr.set(gpr::CX, p.k.cpu.cr3 as u32);
    assert_eq!(p.k.one(|a| a.mov(cr3, ecx)), Led::Through);
    assert_eq!(p.read(), pf(0));
}

#[test]
fn write_protection_can_be_turned_on_over_cached_translations() {
    let mut p = Paged::new(0, Mode::Small, 7, 5);
    assert_eq!(p.write(), Led::Through);
    p.k.cpu.gpr.set(gpr::CX, p.k.cpu.cr0 | cr0::WP);
    assert_eq!(p.k.one(|a| a.mov(iced_x86::code_asm::cr0, ecx)), Led::Through);
    assert_eq!(p.write(), pf(code::P | code::W));
}

#[test]
fn an_access_across_pages_reports_the_page_that_is_missing() {
    for (first, second, offset) in [(0, 7, 0xFFE), (7, 0, 0x1000), (0, 0, 0xFFE)] {
        let mut k = Kit::protected(3);
        k.page();
        let page = place::DATA;
        k.put32(k.pte(page), page | first);
        k.put32(k.pte(page + 0x1000), (page + 0x1000) | second);
        k.cpu.gpr.set(gpr::AX, 0x1122_3344u32);
        k.check("write", pf(code::W | code::U), |a| a.mov(dword_ptr(page + 0xFFE), eax));
        assert_eq!(k.cpu.cr2, (page + offset) as u64);
        assert_eq!((k.get16(page + 0xFFE), k.get16(page + 0x1000)), (0, 0), "nothing was written");
    }
}

#[test]
fn an_instruction_across_pages_faults_on_the_second() {
    let mut k = Kit::protected(3);
    k.page();
    k.put32(k.pte(place::CODE + 0x1000), 0);
    k.cpu.rip = place::CODE as u64 + 0xFFE;
    k.check_bytes("fetch", pf(code::U), &[0xB8, 1, 2, 3, 4]);
    assert_eq!(k.cpu.cr2, place::CODE as u64 + 0x1000);
}

#[test]
fn the_stack_of_an_inner_level_is_accessed_as_supervisor() {
    let mut k = Kit::protected(3);
    k.page();
    k.put32(k.pte(place::STACKS[0] - 4), (place::STACKS[0] - 0x1000) | 3);
    k.cpu.state_changed();
    assert_eq!(k.one(|a| a.ud2()), UD, "a supervisor page");
    // A missing one: #PF, whose own handler has no stack either, and neither has #DF.
    let mut k = Kit::protected(3);
    k.page();
    k.put32(k.pte(place::STACKS[0] - 4), 0);
    assert_eq!(k.one(|a| a.ud2()), Led::Shutdown);
    assert_eq!(k.cpu.cr2, (place::STACKS[0] - 4) as u64);
}

#[test]
fn physical_address_bit_20_can_be_masked() {
    let mut k = Kit::protected(0);
    k.put8(0x12_0000, 1);
    k.put8(0x02_0000, 2);
    k.bus.a20 = false;
    assert_eq!(k.one(|a| a.mov(al, byte_ptr(0x12_0000))), Led::Through);
    assert_eq!(k.cpu.gpr.get::<u8>(gpr::AX), 2);
    k.bus.a20 = true;
    assert_eq!(k.one(|a| a.mov(al, byte_ptr(0x12_0000))), Led::Through);
    assert_eq!(k.cpu.gpr.get::<u8>(gpr::AX), 1);
}
