//! Control registers. SDM Vol. 2B, "MOV—Move to/from Control Registers"; Vol. 3A, "Control Registers".

use crate::kit::*;
use iced_x86::code_asm::*;
use idem86_cpu::state::control::{cr0, cr4};
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::SegReg;

/// MOV of `value` to a control register.
fn write(k: &mut Kit, register: AsmRegisterCr, value: u32) -> Led {
    k.cpu.gpr.set(gpr::AX, value);
    k.one(|a| a.mov(register, eax))
}

#[test]
fn combinations_of_cr0_that_cannot_be() {
    let cases: &[(&str, u32, Led)] = &[
        ("paging without protection", cr0::PG | cr0::CD, gp(0)),
        ("NW without CD", cr0::PE | cr0::NW, gp(0)),
        ("NW with CD", cr0::PE | cr0::NW | cr0::CD, Led::Through),
        ("reserved bits are ignored", cr0::PE | 0x0FFA_FFC0, Led::Through),
    ];
    for (name, value, expected) in cases {
        let mut k = Kit::protected(0);
        let before = k.cpu.cr0;
        assert_eq!(write(&mut k, cr0_register(), *value), *expected, "{name}");
        if *expected == Led::Through {
            assert_eq!(k.cpu.cr0, value & cr0::WRITABLE | cr0::ET, "{name}: ET is always set");
        } else {
            assert_eq!(k.cpu.cr0, before, "{name}");
        }
    }
}

/// The assembler's register, whose name the bits' module has taken.
fn cr0_register() -> AsmRegisterCr {
    iced_x86::code_asm::cr0
}

#[test]
fn reserved_bits_of_cr4_fault() {
    for bit in 0..32 {
        let mut k = Kit::protected(0);
        let expected = if bit < 11 { Led::Through } else { gp(0) };
        assert_eq!(write(&mut k, iced_x86::code_asm::cr4, 1 << bit), expected, "bit {bit}");
        assert_eq!(k.cpu.cr4, if bit < 11 { 1 << bit } else { 0 }, "bit {bit}");
    }
}

#[test]
fn control_registers_that_do_not_exist() {
    for n in [1, 5, 6, 7] {
        Kit::protected(0).check_bytes("to", UD, &[0x0F, 0x22, 0xC0 | n << 3]);
        Kit::protected(0).check_bytes("from", UD, &[0x0F, 0x20, 0xC0 | n << 3]);
        Kit::protected(3).check_bytes("before privilege", UD, &[0x0F, 0x20, 0xC0 | n << 3]);
    }
    Kit::protected(0).check_bytes("LOCK", UD, &[0xF0, 0x0F, 0x20, 0xC0]);
}

#[test]
fn the_mod_field_is_ignored() {
    let mut k = Kit::protected(0);
    k.check_bytes("mov eax, cr0 with mod 0", Led::Through, &[0x0F, 0x20, 0x00]);
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::AX), k.cpu.cr0);
}

#[test]
fn page_directory_pointers_are_loaded_and_checked() {
    // (name, which register is written, with what)
    let bad = 0x1E7;
    for n in 0..4 {
        let mut k = Kit::protected(0);
        k.put64(place::PAGING + 0x800 + n * 8, bad);
        k.cpu.cr3 = place::PAGING as u64 + 0x800;
        k.cpu.cr4 = cr4::PAE;
        assert_eq!(write(&mut k, cr0_register(), 0x8000_0011), gp(0), "turning paging on, entry {n}");
        assert_eq!(k.cpu.cr0 & cr0::PG, 0);
        let mut k = Kit::protected(0);
        k.page_pae();
        k.put64(place::PAGING + 0x800 + n * 8, bad);
        assert_eq!(write(&mut k, cr3, place::PAGING + 0x800), gp(0), "CR3, entry {n}");
        assert_eq!(k.cpu.cr3, place::PAGING as u64);
        let mut k = Kit::protected(0);
        k.page_pae();
        k.put64(place::PAGING + n * 8, bad);
        assert_eq!(write(&mut k, iced_x86::code_asm::cr4, cr4::PAE | cr4::PGE), gp(0), "CR4, entry {n}");
        assert_eq!(k.cpu.cr4, cr4::PAE);
    }
    let mut k = Kit::protected(0);
    k.put64(place::PAGING + 0x808, 0xFFFF_FFFF_FFFF_FFFE);
    k.page_pae();
    assert_eq!(write(&mut k, cr3, place::PAGING), Led::Through, "an absent entry may hold anything");
}

#[test]
fn entries_that_changed_in_memory_count_when_cr3_is_loaded() {
    let mut k = Kit::protected(0);
    k.page_pae();
    k.put64(place::PAGING, 0);
    assert_eq!(k.one(|a| a.mov(ecx, dword_ptr(place::DATA))), Led::Through, "the loaded entry counts");
    k.put64(place::PAGING, (place::PAGING as u64 + 0x1000) | 1);
    k.put64(place::PAGING + 8, (place::PAGING as u64 + 0x1000) | 1);
    assert_eq!(write(&mut k, cr3, place::PAGING), Led::Through);
    assert_eq!(k.cpu.pdpte[1], (place::PAGING as u64 + 0x1000) | 1);
}

#[test]
fn lmsw_sets_but_does_not_clear_pe() {
    let mut k = Kit::real();
    k.cpu.gpr.set(gpr::AX, 0xFFFFu32);
    k.check("set", Led::Through, |a| a.lmsw(ax));
    assert_eq!(k.cpu.cr0 & 0xFFFF, cr0::PE | cr0::MP | cr0::EM | cr0::TS | cr0::ET, "NE is not in it");
    let mut k = Kit::protected(0);
    k.cpu.cr0 |= cr0::TS | cr0::MP;
    k.check("clear", Led::Through, |a| a.lmsw(cx));
    assert_eq!(k.cpu.cr0 & 0xF, cr0::PE);
    k.put16(place::DATA, 0xA);
    k.check("memory", Led::Through, |a| a.lmsw(word_ptr(place::DATA)));
    assert_eq!(k.cpu.cr0 & 0xF, cr0::PE | cr0::TS | cr0::MP);
}

#[test]
fn smsw_is_not_privileged() {
    let mut k = Kit::protected(3);
    k.cpu.cr0 |= cr0::CD | cr0::NW;
    k.check("register", Led::Through, |a| a.smsw(eax));
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::AX), k.cpu.cr0);
    k.cpu.gpr.set(gpr::CX, u32::MAX);
    k.check("16 bits", Led::Through, |a| a.smsw(cx));
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::CX), 0xFFFF_0000 | k.cpu.cr0 & 0xFFFF);
    k.put32(place::DATA, u32::MAX);
    k.check("memory", Led::Through, |a| a.smsw(word_ptr(place::DATA)));
    assert_eq!(k.get32(place::DATA), 0xFFFF_0000 | k.cpu.cr0 & 0xFFFF);
}

#[test]
fn clts_clears_ts() {
    let mut k = Kit::protected(0);
    k.cpu.cr0 |= cr0::TS;
    k.check("CLTS", Led::Through, |a| a.clts());
    assert_eq!(k.cpu.cr0 & cr0::TS, 0);
}

#[test]
fn segments_keep_their_caches_when_pe_changes() {
    // Into protected mode without reloading, and back into real mode with protected-mode limits.
    let mut k = Kit::protected(0);
    k.set_descriptor(sel::FREE, segment(0x1000, 0xF_FFFF, 0xC093));
    k.cpu.gpr.set(gpr::AX, sel::FREE as u32);
    k.check("load", Led::Through, |a| a.mov(fs, eax));
    assert_eq!(write(&mut k, cr0_register(), cr0::ET), Led::Through);
    assert!(k.cpu.real_mode());
    let fs_now = k.cpu.seg[SegReg::Fs as usize];
    assert_eq!((fs_now.base, fs_now.limit), (0x1000, u32::MAX));
    k.put8(0x10_1000, 0x77);
    k.check("unreal", Led::Through, |a| a.mov(cl, byte_ptr(0x10_0000).fs()));
    assert_eq!(k.cpu.gpr.get::<u8>(gpr::CX), 0x77);
}

#[test]
fn a_null_segment_can_be_used_after_going_to_real_mode() {
    let mut k = Kit::protected(0);
    k.cpu.gpr.set(gpr::AX, 0u32);
    k.check("load null", Led::Through, |a| a.mov(gs, eax));
    assert_eq!(write(&mut k, cr0_register(), cr0::ET), Led::Through);
    k.cpu.gpr.set(gpr::AX, place::DATA >> 4);
    k.check("load", Led::Through, |a| a.mov(gs, eax));
    k.put8(place::DATA + 5, 0x42);
    k.check("use", Led::Through, |a| a.mov(cl, byte_ptr(5).gs()));
    assert_eq!(k.cpu.gpr.get::<u8>(gpr::CX), 0x42);
}
