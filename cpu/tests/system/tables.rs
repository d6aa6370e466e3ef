//! Descriptor-table registers, task register, and questions about selectors. SDM Vol. 2, the instructions' lists of
//! exceptions.

use crate::kit::*;
use iced_x86::code_asm::*;
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::TableRegister;

#[test]
fn lgdt_and_lidt_load_24_or_32_bits_of_base() {
    for (prefix, base) in [(false, 0x8765_4321), (true, 0x65_4321)] {
        let mut k = Kit::protected(0);
        k.put16(place::DATA, 0x1234);
        k.put32(place::DATA + 2, 0x8765_4321);
        let (gdt, idt) = (&[0x66, 0x0F, 0x01, 0x15, 0, 0, 2, 0], &[0x66, 0x0F, 0x01, 0x1D, 0, 0, 2, 0]);
        let from = if prefix { 0 } else { 1 };
        k.check_bytes("LGDT", Led::Through, &gdt[from..]);
        k.check_bytes("LIDT", Led::Through, &idt[from..]);
        let expected = TableRegister { base, limit: 0x1234 };
        assert_eq!((k.cpu.gdtr, k.cpu.idtr), (expected, expected));
    }
}

#[test]
fn sgdt_and_sidt_store_the_whole_base_at_any_level() {
    for prefix in [false, true] {
        let mut k = Kit::protected(3);
        k.cpu.gdtr.base = 0x1200_1000;
        k.cpu.idtr.base = 0x1200_2000;
        let from = if prefix { 0 } else { 1 };
        k.check_bytes("SGDT", Led::Through, &[0x66, 0x0F, 0x01, 0x05, 0, 0, 2, 0][from..]);
        k.check_bytes("SIDT", Led::Through, &[0x66, 0x0F, 0x01, 0x0D, 8, 0, 2, 0][from..]);
        assert_eq!((k.get16(place::DATA), k.get32(place::DATA + 2)), (sel::OUTSIDE - 1, 0x1200_1000));
        assert_eq!((k.get16(place::DATA + 8), k.get32(place::DATA + 10)), (0x7FF, 0x1200_2000));
    }
}

#[test]
fn table_registers_are_in_memory_only() {
    // Other registers name instructions of later processors.
    for modrm in [0xC0, 0xC8, 0xD0, 0xD8, 0xF8] {
        Kit::protected(0).check_bytes("register", UD, &[0x0F, 0x01, modrm]);
    }
    Kit::protected(0).check_bytes("reserved", UD, &[0x0F, 0x01, 0xE8]);
}

#[test]
fn a_table_register_across_a_limit_or_page_changes_nothing() {
    let mut k = Kit::protected(0);
    k.set_descriptor(sel::FREE, segment(0, place::DATA + 4, 0x4093));
    k.cpu.seg[4] = k.descriptor(sel::FREE).segment(sel::FREE);
    k.check("LIDT", gp(0), |a| a.lidt(fword_ptr(place::DATA).fs()));
    k.cpu.rip = place::CODE as u64;
    k.check("SIDT", gp(0), |a| a.sidt(fword_ptr(place::DATA).fs()));
    assert_eq!(k.get32(place::DATA), 0);
    let mut k = Kit::protected(0);
    k.page();
    k.put32(k.pte(place::DATA + 0x1000), 0);
    k.check("SIDT", Led::To(14, Some(2)), |a| a.sidt(fword_ptr(place::DATA + 0xFFD)));
    assert_eq!((k.get16(place::DATA + 0xFFD), k.cpu.cr2), (0, place::DATA as u64 + 0x1000));
}

#[test]
fn lldt_and_ltr_are_checked() {
    use rights::*;
    let f = sel::FREE;
    // (name, access rights of FREE, selector, LLDT, LTR)
    let ok = Led::Through;
    let cases: &[(&str, u16, u16, Led, Led)] = &[
        ("null", 0, 0, ok, gp(0)),
        ("null with RPL", 0, 3, ok, gp(0)),
        ("in the LDT", 0, sel::LOCAL, gp(4), gp(4)),
        ("outside", 0, sel::OUTSIDE, gp(sel::OUTSIDE), gp(sel::OUTSIDE)),
        ("segment", DATA32, f, gp(f), gp(f)),
        ("LDT", LDT, f, ok, gp(f)),
        ("LDT, not present", LDT & !PRESENT, f, np(f), gp(f)),
        ("32-bit TSS", TSS32, f, gp(f), ok),
        ("16-bit TSS", TSS16, f, gp(f), ok),
        ("busy TSS", TSS32 | BUSY, f, gp(f), gp(f)),
        ("busy 16-bit TSS", TSS16 | BUSY, f, gp(f), gp(f)),
        ("TSS, not present", TSS32 & !PRESENT, f, gp(f), np(f)),
        ("call gate", CALL32, f, gp(f), gp(f)),
    ];
    for (name, access, selector, lldt, ltr) in cases {
        for memory in [false, true] {
            let mut k = Kit::protected(0);
            let d = segment(0x12_3456, 0x789, *access);
            k.set_descriptor(f, d);
            k.cpu.gpr.set(gpr::AX, *selector as u32);
            k.put16(place::DATA, *selector);
            k.check(name, *lldt, |a| if memory { a.lldt(word_ptr(place::DATA)) } else { a.lldt(ax) });
            if *lldt == ok {
                assert_eq!(k.cpu.ldtr.selector, *selector, "{name}");
                let loaded = k.cpu.ldtr.access.present();
                assert_eq!(loaded, *selector == f, "{name}: a null LDTR is valid, but of no use");
            }
            let mut k = Kit::protected(0);
            k.set_descriptor(f, d);
            k.cpu.gpr.set(gpr::AX, *selector as u32);
            k.put16(place::DATA, *selector);
            k.check(name, *ltr, |a| if memory { a.ltr(word_ptr(place::DATA)) } else { a.ltr(ax) });
            if *ltr == ok {
                assert_eq!((k.cpu.tr.selector, k.cpu.tr.base, k.cpu.tr.limit), (f, 0x12_3456, 0x789));
                assert_eq!(k.descriptor(f).access().0, access | BUSY, "{name}: marked busy");
                assert_eq!(k.cpu.tr.access.0, access | BUSY, "{name}");
            }
        }
    }
}

#[test]
fn without_an_ldt_its_selectors_are_outside() {
    let mut k = Kit::protected(3);
    k.cpu.ldtr = idem86_cpu::state::segment::Segment::null(0);
    k.cpu.gpr.set(gpr::AX, sel::LOCAL as u32);
    k.check("load", gp(4), |a| a.mov(ds, eax));
}

#[test]
fn sldt_and_str_store_selectors() {
    let mut k = Kit::protected(3);
    k.cpu.gpr.set(gpr::AX, u32::MAX);
    k.cpu.gpr.set(gpr::CX, u32::MAX);
    k.put32(place::DATA, u32::MAX);
    k.check("SLDT", Led::Through, |a| a.sldt(eax));
    k.check("STR", Led::Through, |a| a.str(cx));
    k.check("STR", Led::Through, |a| a.str(word_ptr(place::DATA)));
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::AX), sel::LDT as u32);
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::CX), 0xFFFF_0000 | sel::TSS as u32);
    assert_eq!(k.get32(place::DATA), 0xFFFF_0000 | sel::TSS as u32);
}

/// What LAR, LSL, VERR and VERW answer about FREE with `access`.
fn answers(level: u8, access: u16, selector: u16) -> [Option<u32>; 4] {
    let mut k = Kit::protected(level);
    k.set_descriptor(sel::FREE, segment(0x1200_0000, 0x5_4321, access));
    k.cpu.gpr.set(gpr::AX, selector as u32);
    std::array::from_fn(|n| {
        k.cpu.gpr.set(gpr::CX, 0xFFFF_FFFFu32);
        let led = k.one(|a| match n {
            0 => a.lar(ecx, eax),
            1 => a.lsl(ecx, eax),
            2 => a.verr(ax),
            _ => a.verw(ax),
        });
        assert_eq!(led, Led::Through);
        let value = k.cpu.gpr.get::<u32>(gpr::CX);
        assert!(k.cpu.eflags.zf() || value == u32::MAX, "without ZF nothing is loaded");
        k.cpu.eflags.zf().then_some(if n < 2 { value } else { 0 })
    })
}

#[test]
fn lar_lsl_verr_and_verw_by_type() {
    // Tables "Segment and Gate Types" of LAR and LSL. Processors show bits 16 to 19 of the limit as well.
    let no = [None; 4];
    let limit = 0x5_4321;
    for kind in 0..16u16 {
        let access = 0x80 | kind;
        let rights = Some((access as u32) << 8 | 0x5_0000);
        let expected = match kind {
            1 | 2 | 3 | 9 | 11 => [rights, Some(limit), None, None],
            4 | 5 | 12 => [rights, None, None, None],
            _ => no,
        };
        assert_eq!(answers(0, access, sel::FREE), expected, "system type {kind}");
        let access = 0x90 | kind;
        let rights = Some((access as u32) << 8 | 0x5_0000);
        let readable = kind < 8 || kind & 2 != 0;
        let writable = kind < 8 && kind & 2 != 0;
        let yes = |b: bool| b.then_some(0);
        let expected = [rights, Some(limit), yes(readable), yes(writable)];
        assert_eq!(answers(0, access, sel::FREE), expected, "segment type {kind}");
    }
    assert_eq!(answers(0, 0xC093, sel::FREE)[..2], [Some(0xC5_9300), Some(0x5432_1FFF)], "granularity");
    assert_eq!(answers(0, 0x13, sel::FREE), [Some(0x5_1300), Some(limit), Some(0), Some(0)], "not present");
}

#[test]
fn lar_lsl_verr_and_verw_by_privilege() {
    let no = [None; 4];
    assert_eq!(answers(0, 0x93, 0), no, "null");
    assert_eq!(answers(0, 0x93, 3), no, "null with RPL");
    assert_eq!(answers(0, 0x93, sel::OUTSIDE), no, "outside");
    assert_eq!(answers(3, 0x93, sel::FREE), no, "CPL above DPL");
    assert_eq!(answers(0, 0x93, sel::FREE | 3), no, "RPL above DPL");
    assert_ne!(answers(3, 0xF3, sel::FREE | 3), no);
    assert_eq!(answers(3, 0x9B, sel::FREE), no, "nonconforming code");
    assert_eq!(
        answers(3, 0x9F, sel::FREE | 3),
        [Some(0x5_9F00), Some(0x5_4321), Some(0), None],
        "conforming code"
    );
}

#[test]
fn lar_and_lsl_of_16_bits() {
    let mut k = Kit::protected(0);
    k.set_descriptor(sel::FREE, segment(0, 0xF_FFFF, 0xC093));
    k.cpu.gpr.set(gpr::AX, sel::FREE as u32);
    k.cpu.gpr.set(gpr::CX, 0xAAAA_AAAAu32);
    k.put16(place::DATA, sel::FREE);
    k.check("LAR", Led::Through, |a| a.lar(cx, ax));
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::CX), 0xAAAA_9300);
    k.check("LSL", Led::Through, |a| a.lsl(cx, word_ptr(place::DATA)));
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::CX), 0xAAAA_FFFF);
}

#[test]
fn arpl_raises_the_rpl() {
    for destination in 0..4u16 {
        for source in 0..4u16 {
            let mut k = Kit::protected(3);
            k.cpu.set_eflags(bit::CF | bit::SF);
            k.cpu.gpr.set(gpr::AX, 0x1230 | destination as u32);
            k.cpu.gpr.set(gpr::CX, 0xFFF0 | source as u32);
            k.put16(place::DATA, 0x1230 | destination);
            k.check("register", Led::Through, |a| a.arpl(ax, cx));
            assert_eq!(k.cpu.gpr.get::<u16>(gpr::AX), 0x1230 | destination.max(source));
            assert_eq!(k.cpu.eflags.zf(), destination < source);
            assert_eq!(k.cpu.eflags.bits() & !bit::ZF, bit::CF | bit::SF | 2, "only ZF changes");
            k.check("memory", Led::Through, |a| a.arpl(word_ptr(place::DATA), cx));
            assert_eq!(k.get16(place::DATA), 0x1230 | destination.max(source));
        }
    }
}
