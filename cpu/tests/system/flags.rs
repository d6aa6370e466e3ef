//! CLI, STI, PUSHF and POPF, and what virtual-8086 mode is allowed. SDM Vol. 2, the instructions' tables; Vol. 3B,
//! "8086 Emulation".

use crate::kit::*;
use iced_x86::code_asm::*;
use idem86_cpu::state::control::cr4;
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::SegReg;

/// A machine in the mode of a row of the tables "Decision Table for CLI Results" and "for STI Results".
fn machine(mode: &str, iopl: u8, extension: bool, flags: u32) -> Kit {
    let mut k = match mode {
        "real" => Kit::real(),
        "v86" => Kit::v86(iopl),
        level => Kit::protected(level.parse().expect("level")),
    };
    if extension {
        k.cpu.cr4 = cr4::VME | cr4::PVI;
    }
    let vm = if mode == "v86" { bit::VM } else { 0 };
    k.cpu.set_eflags(vm | (iopl as u32) << 12 | flags);
    k
}

#[test]
fn cli_and_sti_by_mode_iopl_and_extension() {
    // (mode, IOPL, extension, flag that changes or none for #GP)
    let rows: &[(&str, u8, bool, Option<u32>)] = &[
        ("real", 0, false, Some(bit::IF)),
        ("0", 0, false, Some(bit::IF)),
        ("0", 3, true, Some(bit::IF)),
        ("1", 1, false, Some(bit::IF)),
        ("1", 0, false, None),
        ("1", 0, true, None),
        ("3", 3, false, Some(bit::IF)),
        ("3", 3, true, Some(bit::IF)),
        ("3", 2, false, None),
        ("3", 2, true, Some(bit::VIF)),
        ("v86", 3, false, Some(bit::IF)),
        ("v86", 3, true, Some(bit::IF)),
        ("v86", 2, false, None),
        ("v86", 0, true, Some(bit::VIF)),
    ];
    for (mode, iopl, extension, changes) in rows {
        let name = format!("{mode}, IOPL {iopl}, extension {extension}");
        let expected = if changes.is_some() { Led::Through } else { gp(0) };
        let mut k = machine(mode, *iopl, *extension, bit::IF | bit::VIF);
        let before = k.cpu.eflags.bits();
        k.check(&name, expected, |a| a.cli());
        if let Some(flag) = changes {
            assert_eq!(k.cpu.eflags.bits(), before & !flag, "CLI, {name}");
        }
        let mut k = machine(mode, *iopl, *extension, 0);
        let before = k.cpu.eflags.bits();
        k.check(&name, expected, |a| a.sti());
        if let Some(flag) = changes {
            assert_eq!(k.cpu.eflags.bits(), before | flag, "STI, {name}");
        }
        let mut k = machine(mode, *iopl, *extension, bit::VIP);
        let expected = if *changes == Some(bit::IF) { Led::Through } else { gp(0) };
        k.check(&format!("{name}, VIP"), expected, |a| a.sti());
    }
}

#[test]
fn popf_changes_what_the_privilege_allows() {
    // Table "Effect of POPF/POPFD on the EFLAGS Register".
    let low = bit::ARITHMETIC | bit::TF | bit::DF | bit::NT;
    let wide = bit::AC | bit::ID;
    // (mode, IOPL, flags changed by POPF, and by POPFD besides; none for #GP)
    let rows: &[(&str, u8, Option<u32>, Option<u32>)] = &[
        ("real", 0, Some(low | bit::IF | bit::IOPL), Some(wide)),
        ("0", 0, Some(low | bit::IF | bit::IOPL), Some(wide)),
        ("1", 0, Some(low), Some(wide)),
        ("1", 1, Some(low | bit::IF), Some(wide)),
        ("3", 2, Some(low), Some(wide)),
        ("3", 3, Some(low | bit::IF), Some(wide)),
        ("v86", 3, Some(low | bit::IF), Some(wide)),
        ("v86", 2, None, None),
    ];
    for (mode, iopl, narrow, more) in rows {
        for is_wide in [false, true] {
            for image in [u32::MAX, 0] {
                let name = format!("{mode}, IOPL {iopl}, wide {is_wide}, image {image:x}");
                let mut k = machine(mode, *iopl, false, 0);
                let start = k.cpu.eflags.bits();
                let top = k.cpu.gpr.get::<u32>(gpr::SP);
                k.put32(top, image);
                let led = k.one(|a| if is_wide { a.popfd() } else { a.popf() });
                let Some(mut mask) = *narrow else {
                    assert_eq!(led, gp(0), "{name}");
                    continue;
                };
                if is_wide {
                    mask |= more.unwrap_or(0);
                }
                assert_eq!(led, Led::Through, "{name}");
                assert_eq!(k.cpu.eflags.bits(), start & !mask | image & mask, "{name}");
                assert_eq!(k.cpu.gpr.get::<u32>(gpr::SP), top + if is_wide { 4 } else { 2 }, "{name}");
            }
        }
    }
}

#[test]
fn popf_with_the_extensions_works_on_vif() {
    for (popped, before, after) in [
        (0x0202, 0, Some(bit::VIF)),
        (0x0002, bit::VIF, Some(0)),
        (0x3002, 0, Some(0)),
        (0x0202, bit::VIP, None),
        (0x0102, 0, None),
    ] {
        let mut k = machine("v86", 0, true, bit::IF | before);
        k.put16(place::STACKS[3], popped);
        let led = k.one(|a| a.popf());
        match after {
            Some(flags) => {
                assert_eq!(led, Led::Through);
                assert_eq!(k.cpu.eflags.bits(), bit::VM | bit::IF | bit::ONE | flags);
            }
            None => assert_eq!(led, gp(0)),
        }
    }
    machine("v86", 0, true, 0).check("POPFD", gp(0), |a| a.popfd());
}

#[test]
fn pushf_images() {
    let mut k = Kit::protected(0);
    k.cpu.set_eflags(bit::DEFINED & !bit::VM & !bit::TF);
    assert_eq!(k.one(|a| a.pushfd()), Led::Through);
    assert_eq!(k.stack(0), 0x3C_7ED7, "RF is not shown");
    let mut k = Kit::v86(3);
    assert_eq!(k.one(|a| a.pushfd()), Led::Through);
    assert_eq!((k.stack(0), k.stack(1)), (0x3202, 0), "VM is not shown");
    Kit::v86(2).check("PUSHF", gp(0), |a| a.pushf());
    Kit::v86(2).check("PUSHFD", gp(0), |a| a.pushfd());
    for (flags, image) in [(bit::IF, 0x3002), (bit::VIF, 0x3202)] {
        let mut k = machine("v86", 0, true, flags);
        assert_eq!(k.one(|a| a.pushf()), Led::Through);
        assert_eq!(k.stack(0), image, "IOPL 3, and VIF in place of IF");
        machine("v86", 0, true, 0).check("PUSHFD", gp(0), |a| a.pushfd());
    }
}

#[test]
fn v86_software_interrupts_heed_iopl() {
    for iopl in 0..3 {
        Kit::v86(iopl).check("INT n", gp(0), |a| a.int(0x80));
    }
    let mut k = Kit::v86(3);
    k.check("gate DPL", gp(0x402), |a| a.int(0x80));
    let mut k = Kit::v86(0);
    k.set_gate(3, gate(sel::CODE0, place::HANDLERS + 48, rights::INTERRUPT32 | rights::DPL3, 0));
    assert_eq!(k.one(|a| a.int3()), Led::To(3, None), "INT3 does not heed IOPL");
    let mut k = Kit::v86(0);
    k.cpu.set_eflags(bit::VM | bit::OF);
    k.set_gate(4, gate(sel::CODE0, place::HANDLERS + 64, rights::INTERRUPT32 | rights::DPL3, 0));
    assert_eq!(k.one(|a| a.into()), Led::To(4, None), "nor does INTO");
}

#[test]
fn v86_events_push_the_data_segments() {
    let mut k = Kit::v86(3);
    k.cpu.seg = SegReg::ALL.map(|r| idem86_cpu::state::segment::Segment::v86(0x1000 + r as u16));
    k.cpu.seg[SegReg::Cs as usize] = idem86_cpu::state::segment::Segment::v86(0x1000);
    k.set_gate(0x80, gate(sel::CODE0, place::HANDLERS + 0x800, rights::INTERRUPT32 | rights::DPL3, 0));
    let led = k.one(|a| a.int(0x80));
    assert_eq!(led, Led::To(0x80, None));
    let flags = bit::VM | 0x3202;
    assert_eq!(
        k.frame(led),
        [2, 0x1000, flags, place::STACKS[3], 0x1002, 0x1000, 0x1003, 0x1004, 0x1005],
        "EIP, CS, EFLAGS, ESP, SS, ES, DS, FS, GS"
    );
    assert_eq!((k.cpu.cpl, k.cpu.v8086()), (0, false));
    for r in [SegReg::Es, SegReg::Ds, SegReg::Fs, SegReg::Gs] {
        assert_eq!(k.selector(r), 0);
    }
}

#[test]
fn v86_handlers_must_be_nonconforming_code_at_level_0() {
    for (name, selector) in
        [("level 1", sel::CODE1), ("conforming", sel::CONFORMING0), ("level 3", sel::CODE3)]
    {
        let mut k = Kit::v86(3);
        k.set_gate(6, gate(selector, place::HANDLERS + 96, rights::INTERRUPT32, 0));
        k.check(name, gp(selector & !3 | 1), |a| a.ud2());
    }
}

#[test]
fn v86_interrupt_redirection() {
    // (IOPL, bit of the vector, what INT 21h leads to)
    let go = |iopl: u8, bit: bool| {
        let mut k = Kit::v86(iopl);
        k.cpu.cr4 = cr4::VME;
        k.cpu.set_eflags(bit::VM | (iopl as u32) << 12 | bit::IF | bit::VIF);
        k.put8(place::TSS + 0x68 + 0x21 / 8, if bit { 0xFF } else { 0xFD });
        k.set_gate(0x21, gate(sel::CODE0, place::HANDLERS + 0x210, rights::INTERRUPT32 | rights::DPL3, 0));
        // The 8086 program's own handler.
        k.put32(0x21 * 4, 0x3000_0040);
        let led = k.one(|a| a.int(0x21));
        (k, led)
    };
    let (k, led) = go(3, true);
    assert_eq!((led, k.cpu.v8086()), (Led::To(0x21, None), false), "method 4");
    let (_, led) = go(0, true);
    assert_eq!(led, gp(0), "method 3");
    let (k, led) = go(3, false);
    assert_eq!((led, k.cpu.v8086(), k.here()), (Led::Through, true, 0x3_0040), "method 5");
    assert_eq!((k.stack(0), k.stack(1), k.stack(2)), (2, 0x1000, 0x3202));
    assert_eq!(k.cpu.eflags.bits(), bit::VM | 0x3002 | bit::VIF);
    let (k, led) = go(0, false);
    assert_eq!((led, k.cpu.v8086(), k.here()), (Led::Through, true, 0x3_0040), "method 6");
    assert_eq!((k.stack(0), k.stack(1), k.stack(2)), (2, 0x1000, 0x3202), "IOPL 3, IF as VIF");
    assert_eq!(k.cpu.eflags.bits(), bit::VM | 0x202, "VIF is cleared, not IF");
}

#[test]
fn instructions_that_v86_mode_does_not_know() {
    for mut k in [Kit::v86(3), Kit::real()] {
        for bytes in [
            &[0x0F, 0x00, 0xD0][..], // LLDT
            &[0x0F, 0x00, 0xD8],     // LTR
            &[0x0F, 0x00, 0xC0],     // SLDT
            &[0x0F, 0x00, 0xC8],     // STR
            &[0x0F, 0x00, 0xE0],     // VERR
            &[0x0F, 0x00, 0xE8],     // VERW
            &[0x0F, 0x02, 0xC0],     // LAR
            &[0x0F, 0x03, 0xC0],     // LSL
            &[0x63, 0xC0],           // ARPL
        ] {
            let mut fresh = if k.cpu.v8086() { Kit::v86(3) } else { Kit::real() };
            fresh.check_bytes(&format!("{bytes:x?}"), UD, bytes);
        }
        k.check("SMSW", Led::Through, |a| a.smsw(ax));
    }
}

#[test]
fn privileged_instructions_fault_outside_level_0() {
    let all: &[(&str, &[u8])] = &[
        ("HLT", &[0xF4]),
        ("CLTS", &[0x0F, 0x06]),
        ("INVD", &[0x0F, 0x08]),
        ("WBINVD", &[0x0F, 0x09]),
        ("INVLPG", &[0x0F, 0x01, 0x38]),
        ("LGDT", &[0x0F, 0x01, 0x10]),
        ("LIDT", &[0x0F, 0x01, 0x18]),
        ("LMSW", &[0x0F, 0x01, 0xF0]),
        ("MOV CR0", &[0x0F, 0x22, 0xC0]),
        ("MOV CR2", &[0x0F, 0x22, 0xD0]),
        ("MOV CR3", &[0x0F, 0x22, 0xD8]),
        ("MOV CR4", &[0x0F, 0x22, 0xE0]),
        ("MOV from CR0", &[0x0F, 0x20, 0xC0]),
        ("MOV from CR2", &[0x0F, 0x20, 0xD0]),
        ("MOV from CR3", &[0x0F, 0x20, 0xD8]),
        ("MOV from CR4", &[0x0F, 0x20, 0xE0]),
        ("MOV DR7", &[0x0F, 0x23, 0xF8]),
        ("MOV from DR7", &[0x0F, 0x21, 0xF8]),
        ("RDMSR", &[0x0F, 0x32]),
        ("WRMSR", &[0x0F, 0x30]),
        ("SYSEXIT", &[0x0F, 0x35]),
    ];
    for (name, bytes) in all {
        Kit::protected(3).check_bytes(name, gp(0), bytes);
        Kit::protected(1).check_bytes(name, gp(0), bytes);
        Kit::v86(3).check_bytes(name, gp(0), bytes);
    }
    for bytes in [[0x0F, 0x00, 0xD0], [0x0F, 0x00, 0xD8]] {
        Kit::protected(3).check_bytes("LLDT, LTR", gp(0), &bytes);
    }
}

#[test]
fn rsm_is_undefined_outside_system_management_mode() {
    for mut k in [Kit::real(), Kit::protected(0), Kit::v86(3)] {
        k.check_bytes("RSM", UD, &[0x0F, 0xAA]);
    }
}

/// The stack was not touched before, so the flags come the slow way.
#[test]
fn a_string_instruction_behind_popf_goes_the_new_way() {
    let mut k = Kit::protected(0);
    k.put32(place::STACKS[0], bit::ONE | bit::DF);
    k.code(|a| {
        a.lodsb()?;
        a.popfd()?;
        a.lodsb()?;
        a.hlt()
    });
    k.cpu.gpr.set::<u32>(gpr::SI, place::CODE);
    k.run(100);
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::SI), place::CODE);
}
