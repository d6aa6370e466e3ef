//! Loads and stores of segment registers. SDM Vol. 2, "MOV", "POP", "PUSH", "LDS/LES/LFS/LGS/LSS", their lists of
//! exceptions.

use crate::kit::*;
use iced_x86::code_asm::*;
use idem86_cpu::run::Stop;
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::{AccessRights, SegReg, Segment};

/// (name, level, access rights of the descriptor at FREE, selector, what MOV to DS does).
#[test]
fn loads_of_data_segment_registers_are_checked() {
    use rights::*;
    let free = sel::FREE;
    let cases: &[(&str, u8, u16, u16, Led)] = &[
        ("null", 0, 0, 0, Led::Through),
        ("null with RPL", 3, 0, 3, Led::Through),
        ("outside the GDT", 0, 0, sel::OUTSIDE, gp(sel::OUTSIDE)),
        ("outside the LDT", 0, 0, sel::LOCAL_OUTSIDE, gp(sel::LOCAL_OUTSIDE)),
        ("in the LDT", 3, 0, sel::LOCAL, Led::Through),
        ("writable data", 0, DATA32, free, Led::Through),
        ("read-only data", 0, READ_ONLY, free, Led::Through),
        ("readable code", 0, CODE32, free, Led::Through),
        ("execute-only code", 0, EXECUTE_ONLY, free, gp(free)),
        ("system descriptor", 0, LDT, free, gp(free)),
        ("TSS", 0, TSS32, free, gp(free)),
        ("not present", 0, DATA32 & !PRESENT, free, np(free)),
        ("RPL above DPL", 0, DATA32, free | 3, gp(free)),
        ("CPL above DPL", 3, DATA32, free, gp(free)),
        ("CPL and RPL at DPL", 3, DATA32 | DPL3, free | 3, Led::Through),
        ("DPL above both", 0, DATA32 | DPL3, free, Led::Through),
        ("nonconforming code, CPL above DPL", 3, CODE32, free, gp(free)),
        ("conforming code, whatever CPL and RPL", 3, CODE32 | CONFORMING, free | 3, Led::Through),
        ("privilege comes before presence", 3, DATA32 & !PRESENT, free, gp(free)),
        ("type comes before presence", 0, EXECUTE_ONLY & !PRESENT, free, gp(free)),
    ];
    for (name, level, access, selector, expected) in cases {
        for through in 0..6 {
            let mut k = Kit::protected(*level);
            k.set_descriptor(free, segment(0x1234_5678, 0xABCDE, *access));
            k.cpu.gpr.set(gpr::AX, *selector as u32);
            k.put32(place::DATA, 0x600D);
            k.put16(place::DATA + 4, *selector);
            let register = match through {
                0 => SegReg::Ds,
                1 | 2 => SegReg::Es,
                3 | 5 => SegReg::Fs,
                _ => SegReg::Gs,
            };
            k.code(|a| match through {
                0 => a.mov(ds, eax),
                1 => a.les(ecx, fword_ptr(place::DATA)),
                2 => a.mov(es, word_ptr(place::DATA + 4)),
                3 => a.lfs(ecx, fword_ptr(place::DATA)),
                4 => a.lgs(ecx, fword_ptr(place::DATA)),
                _ => a.pop(fs),
            });
            if through == 5 {
                k.put32(place::STACKS[*level as usize], *selector as u32 | 0xFFFF_0000);
            }
            let old = k.cpu.seg[register as usize];
            let led = k.step();
            assert_eq!(led, *expected, "{name}, {register:?}");
            if led != Led::Through {
                assert_eq!(k.cpu.seg[register as usize], old, "{name}");
                assert_eq!(k.cpu.gpr.get::<u32>(gpr::CX), 0, "{name}: LES is all or nothing");
                continue;
            }
            let s = k.cpu.seg[register as usize];
            assert_eq!(s.selector, *selector, "{name}");
            if selector & 0xFFFC == free {
                assert_eq!(s, Segment::new(*selector, 0x1234_5678, 0xABCD_EFFF, AccessRights(*access)));
            }
            if matches!(through, 1 | 3 | 4) {
                assert_eq!(k.cpu.gpr.get::<u32>(gpr::CX), 0x600D);
            }
        }
    }
}

#[test]
fn loads_of_ss_are_checked() {
    use rights::*;
    let free = sel::FREE;
    let cases: &[(&str, u8, u16, u16, Led)] = &[
        ("null", 0, 0, 0, gp(0)),
        ("null with RPL", 3, 0, 3, gp(0)),
        ("outside the GDT", 0, 0, sel::OUTSIDE, gp(sel::OUTSIDE)),
        ("outside the LDT", 3, 0, sel::LOCAL_OUTSIDE | 3, gp(sel::LOCAL_OUTSIDE)),
        ("writable data", 0, DATA32, free, Led::Through),
        ("read-only data", 0, READ_ONLY, free, gp(free)),
        ("code", 0, CODE32, free, gp(free)),
        ("system descriptor", 0, TSS32, free, gp(free)),
        ("RPL differs from CPL", 0, DATA32, free | 3, gp(free)),
        ("RPL below CPL", 3, DATA32 | DPL3, free, gp(free)),
        ("DPL below CPL", 3, DATA32, free | 3, gp(free)),
        ("DPL above CPL", 0, DATA32 | DPL3, free, gp(free)),
        ("not present", 0, DATA32 & !PRESENT, free, stack_fault(free)),
        ("level 3", 3, DATA32 | DPL3, free | 3, Led::Through),
    ];
    for (name, level, access, selector, expected) in cases {
        for through in 0..3 {
            let mut k = Kit::protected(*level);
            k.set_descriptor(free, segment(0, 0xF_FFFF, *access));
            k.cpu.gpr.set(gpr::AX, *selector as u32);
            k.put32(place::DATA, 0x8000);
            k.put16(place::DATA + 4, *selector);
            k.put32(place::STACKS[*level as usize], *selector as u32);
            k.check(name, *expected, |a| match through {
                0 => a.mov(ss, eax),
                1 => a.lss(esp, fword_ptr(place::DATA)),
                _ => a.pop(ss),
            });
            if *expected == Led::Through {
                assert_eq!(k.selector(SegReg::Ss), *selector, "{name}");
                let top = [place::STACKS[*level as usize], 0x8000, place::STACKS[*level as usize] + 4];
                assert_eq!(k.cpu.gpr.get::<u32>(gpr::SP), top[through], "{name}");
            }
        }
    }
}

#[test]
fn the_accessed_bit_is_set_by_a_load() {
    let mut k = Kit::protected(0);
    k.set_descriptor(sel::FREE, segment(0, 0xFFF, rights::DATA32 & !rights::ACCESSED));
    k.cpu.gpr.set(gpr::AX, sel::FREE as u32);
    k.check("load", Led::Through, |a| a.mov(ds, eax));
    assert_eq!(k.descriptor(sel::FREE).access().0, rights::DATA32);
    assert_eq!(k.cpu.seg[SegReg::Ds as usize].access.0, rights::DATA32);
}

#[test]
fn the_accessed_bit_is_not_written_where_it_is_set() {
    // On a page that cannot be written.
    let mut k = Kit::protected(0);
    k.page();
    k.cpu.cr0 |= idem86_cpu::state::control::cr0::WP;
    k.put32(k.pte(place::GDT), place::GDT | 5);
    k.cpu.state_changed();
    k.cpu.gpr.set(gpr::AX, sel::DATA0 as u32);
    assert_eq!(k.one(|a| a.mov(ds, eax)), Led::Through);
    let mut k = Kit::protected(0);
    k.set_descriptor(sel::FREE, segment(0, 0xFFF, rights::DATA32 & !rights::ACCESSED));
    k.page();
    k.cpu.cr0 |= idem86_cpu::state::control::cr0::WP;
    k.put32(k.pte(place::GDT), place::GDT | 5);
    k.cpu.state_changed();
    k.cpu.gpr.set(gpr::AX, sel::FREE as u32);
    k.check("write fault", Led::To(14, Some(3)), |a| a.mov(ds, eax));
    assert_eq!(k.cpu.cr2, (place::GDT + sel::FREE as u32 + 5) as u64);
}

#[test]
fn cs_cannot_be_loaded_by_mov() {
    for mut k in [Kit::real(), Kit::protected(0), Kit::v86(3)] {
        let expected = UD;
        k.check_bytes("mov cs, ax", expected, &[0x8E, 0xC8]);
    }
}

#[test]
fn segment_register_numbers_6_and_7_are_undefined() {
    for modrm in [0xF0, 0xF8] {
        Kit::protected(0).check_bytes("mov sreg, ax", UD, &[0x8E, modrm]);
        Kit::protected(0).check_bytes("mov ax, sreg", UD, &[0x8C, modrm]);
    }
}

#[test]
fn far_pointer_loads_need_memory() {
    // C4 and C5 with a register are prefixes of later instructions, and undefined here.
    for bytes in
        [&[0x0F, 0xB2, 0xC0][..], &[0x0F, 0xB4, 0xC0], &[0x0F, 0xB5, 0xC0], &[0xC4, 0xC0], &[0xC5, 0xC0]]
    {
        Kit::protected(0).check_bytes("register", UD, bytes);
    }
}

#[test]
fn a_far_pointer_is_one_operand_for_the_limit() {
    let mut k = Kit::protected(0);
    k.set_descriptor(sel::FREE, segment(0, 0x2_0004, 0x4093));
    k.cpu.seg[SegReg::Fs as usize] = k.descriptor(sel::FREE).segment(sel::FREE);
    k.check("beyond the limit", gp(0), |a| a.les(ecx, fword_ptr(place::DATA).fs()));
    let mut k = Kit::protected(0);
    k.set_descriptor(sel::FREE, segment(0, 0x2_0005, 0x4093));
    k.cpu.seg[SegReg::Fs as usize] = k.descriptor(sel::FREE).segment(sel::FREE);
    k.check("within the limit", Led::Through, |a| a.les(ecx, fword_ptr(place::DATA).fs()));
}

#[test]
fn accesses_through_a_null_segment_fault() {
    let mut k = Kit::protected(0);
    k.check("load null", Led::Through, |a| {
        a.xor(eax, eax)?;
        a.mov(es, eax)
    });
    assert_eq!(k.step(), Led::Through);
    k.check("read", gp(0), |a| a.mov(eax, dword_ptr(place::DATA).es()));
}

#[test]
fn real_mode_loads_keep_limit_and_size() {
    let mut k = Kit::real();
    k.cpu.seg[SegReg::Ds as usize].limit = u32::MAX;
    k.cpu.state_changed();
    k.cpu.gpr.set(gpr::AX, 0x1234u32);
    k.check("mov ds, ax", Led::Through, |a| a.mov(ds, ax));
    let ds_now = k.cpu.seg[SegReg::Ds as usize];
    assert_eq!((ds_now.selector, ds_now.base, ds_now.limit), (0x1234, 0x12340, u32::MAX));
    k.put8(0x12340 + 0x10_0000, 0x5A);
    k.cpu.gpr.set(gpr::SI, 0x10_0000u32);
    k.check("unreal access", Led::Through, |a| a.mov(al, byte_ptr(esi)));
    assert_eq!(k.cpu.gpr.get::<u8>(gpr::AX), 0x5A);
}

#[test]
fn real_mode_limit_faults() {
    k_real_limit(|a| a.mov(ax, word_ptr(0xFFFF)), 13);
    k_real_limit(|a| a.mov(ax, word_ptr(0xFFFF).ss()), 12);
    k_real_limit(|a| a.mov(dword_ptr(0xFFFD), eax), 13);
}

fn k_real_limit(write: fn(&mut CodeAssembler) -> Result<(), iced_x86::IcedError>, vector: u8) {
    Kit::real().check("limit", Led::To(vector, None), write);
}

#[test]
fn code_segments_may_be_written_in_real_mode_only() {
    let mut k = Kit::real();
    k.check("real", Led::Through, |a| a.mov(byte_ptr(0x100).cs(), al));
    let mut k = Kit::protected(0);
    k.check("protected", gp(0), |a| a.mov(byte_ptr(place::DATA).cs(), al));
}

#[test]
fn v86_loads_set_base_limit_and_rights() {
    let mut k = Kit::v86(0);
    k.cpu.gpr.set(gpr::AX, 0xFFFFu32);
    k.check("mov gs, ax", Led::Through, |a| a.mov(gs, ax));
    assert_eq!(k.cpu.seg[SegReg::Gs as usize], Segment::v86(0xFFFF));
}

#[test]
fn stores_of_segment_registers() {
    let mut k = Kit::protected(0);
    k.cpu.gpr.set(gpr::AX, u32::MAX);
    k.check("mov eax, ds", Led::Through, |a| a.mov(eax, ds));
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::AX), sel::DATA0 as u32, "zero-extended");
    k.cpu.gpr.set(gpr::CX, u32::MAX);
    k.check("mov cx, ds", Led::Through, |a| a.mov(cx, ds));
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::CX), 0xFFFF_0000 | sel::DATA0 as u32);
    k.put32(place::DATA, u32::MAX);
    k.check("mov m16, cs", Led::Through, |a| a.mov(word_ptr(place::DATA), cs));
    assert_eq!(k.get32(place::DATA), 0xFFFF_0000 | sel::CODE0 as u32, "16 bits");
    k.check("push gs", Led::Through, |a| a.push(gs));
    assert_eq!(k.stack(0), sel::DATA0 as u32);
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::SP), place::STACKS[0] - 4);
}

#[test]
fn pop_of_a_segment_beyond_the_stack_is_a_stack_fault() {
    let mut k = Kit::protected(3);
    k.set_descriptor(sel::FREE, segment(0, 0xFFF, 0x40F3));
    k.cpu.seg[SegReg::Ss as usize] = k.descriptor(sel::FREE).segment(sel::FREE | 3);
    k.cpu.gpr.set(gpr::SP, 0xFFEu32);
    k.check("pop es", stack_fault(0), |a| a.pop(es));
}

#[test]
fn descriptors_are_read_as_the_supervisor() {
    // The tables are on supervisor pages; level 3 can load segments all the same.
    let mut k = Kit::protected(3);
    k.page();
    k.put32(k.pte(place::GDT), place::GDT | 3);
    k.put32(k.pte(place::LDT), place::LDT | 3);
    k.cpu.state_changed();
    k.cpu.gpr.set(gpr::AX, sel::LOCAL as u32);
    k.check("mov ds, ax", Led::Through, |a| a.mov(ds, eax));
    k.put32(k.pte(place::LDT), place::LDT | 2);
    k.cpu.state_changed();
    k.check("not there", Led::To(14, Some(0)), |a| a.mov(ds, eax));
    assert_eq!(k.cpu.cr2, place::LDT as u64);
}

/// Loads of the same selector again and again, while its descriptor changes in memory behind each.
#[test]
fn every_load_reads_the_descriptor() {
    let mut k = Kit::protected(0);
    for r in [fs, ds] {
        k.set_descriptor(sel::FREE, segment(place::DATA, 0xF_FFFF, rights::DATA32));
        for n in 0..8 {
            k.put32(place::DATA + 4 * n, 1 << n);
        }
        k.cpu.rip = place::CODE as u64;
        k.cpu.gpr.set(gpr::AX, sel::FREE as u32);
        k.cpu.gpr.set(gpr::CX, 8u32);
        k.cpu.gpr.set(gpr::DX, 0u32);
        k.code(|a| {
            let mut again = a.create_label();
            a.set_label(&mut again)?;
            a.mov(r, eax)?;
            if r == fs {
                a.add(edx, dword_ptr(0).fs())?
            } else {
                a.add(edx, dword_ptr(0).ds())?
            };
            a.add(byte_ptr(place::GDT + sel::FREE as u32 + 2).es(), 4)?;
            a.dec(ecx)?;
            a.jne(again)?;
            a.hlt()
        });
        assert_eq!(k.run(1000), Stop::Halted);
        k.cpu.halted = false;
        assert_eq!(k.cpu.gpr.get::<u32>(gpr::DX), 0xFF);
        let register = if r == fs { SegReg::Fs } else { SegReg::Ds };
        assert_eq!(k.cpu.seg[register as usize].base, place::DATA as u64 + 28, "that of the last load");
    }
}

/// Loads that are right until the descriptor changes so that they are not.
#[test]
fn every_load_checks_the_descriptor() {
    // What becomes of the byte of access rights, or of the limit of the GDT; the fault.
    let rows: [(&str, u8, Led); 3] = [
        ("not present", 0x13, np(sel::FREE)),
        ("code that cannot be read", 0x99, gp(sel::FREE)),
        ("a system segment", 0x82, gp(sel::FREE)),
    ];
    for (name, access, led) in rows {
        let mut k = Kit::protected(0);
        k.set_descriptor(sel::FREE, segment(place::DATA, 0xF_FFFF, rights::DATA32));
        k.cpu.gpr.set(gpr::AX, sel::FREE as u32);
        k.cpu.gpr.set(gpr::CX, 8u32);
        k.code(|a| {
            let (mut again, mut next) = (a.create_label(), a.create_label());
            a.set_label(&mut again)?;
            a.mov(fs, eax)?;
            a.dec(ecx)?;
            a.cmp(ecx, 2)?;
            a.jne(next)?;
            a.mov(byte_ptr(place::GDT + sel::FREE as u32 + 5).es(), access as u32)?;
            a.set_label(&mut next)?;
            a.jmp(again)
        });
        assert_eq!(k.run(100), Stop::Halted, "{name}: in the handler");
        k.cpu.rip -= 1;
        assert_eq!(k.led(), led, "{name}");
        assert_eq!(k.cpu.gpr.get::<u32>(gpr::CX), 2, "{name}: the load behind the change");
        assert_eq!(k.selector(SegReg::Fs), sel::FREE, "{name}: the register is as it was");
    }
}

/// A null selector takes everything away, and the limit stays.
#[test]
fn null_and_back_again_and_again() {
    let mut k = Kit::protected(0);
    k.set_descriptor(sel::FREE, segment(place::DATA, 0x1234, 0x4093));
    k.cpu.gpr.set(gpr::AX, sel::FREE as u32);
    k.cpu.gpr.set(gpr::CX, 8u32);
    k.cpu.gpr.set(gpr::DX, 0u32);
    k.code(|a| {
        let mut again = a.create_label();
        a.set_label(&mut again)?;
        a.mov(gs, eax)?;
        a.mov(ebx, dword_ptr(0).gs())?;
        a.mov(gs, edx)?;
        a.dec(ecx)?;
        a.jne(again)?;
        a.mov(ebx, dword_ptr(0).gs())
    });
    assert_eq!(k.run(100), Stop::Halted, "in the handler");
    k.cpu.rip -= 1;
    assert_eq!(k.led(), gp(0));
    let register = k.cpu.seg[SegReg::Gs as usize];
    assert_eq!((register.selector, register.base, register.limit), (0, 0, 0x1234));
}

/// The same selector in another table.
#[test]
fn a_new_gdt_counts_at_once() {
    let mut k = Kit::protected(0);
    let other = place::DATA + 0x1000;
    for n in 0..16 {
        let descriptor = k.get64(place::GDT + 8 * n);
        k.put64(other + 8 * n, descriptor);
    }
    k.set_descriptor(sel::FREE, segment(0x1111, 0xFF, 0x4093));
    k.put64(other + sel::FREE as u32, segment(0x2222, 0xFF, 0x4093));
    for (at, table) in [(place::DATA, place::GDT), (place::DATA + 8, other)] {
        k.put16(at, 0x7F);
        k.put32(at + 2, table);
    }
    k.cpu.gpr.set(gpr::AX, sel::FREE as u32);
    k.cpu.gpr.set(gpr::CX, 8u32);
    k.code(|a| {
        let mut again = a.create_label();
        a.set_label(&mut again)?;
        a.mov(fs, eax)?;
        a.lgdt(ptr(place::DATA + 8))?;
        a.mov(gs, eax)?;
        a.lgdt(ptr(place::DATA))?;
        a.dec(ecx)?;
        a.jne(again)?;
        a.hlt()
    });
    k.run(200);
    assert_eq!(k.cpu.seg[SegReg::Fs as usize].base, 0x1111);
    assert_eq!(k.cpu.seg[SegReg::Gs as usize].base, 0x2222);
}
