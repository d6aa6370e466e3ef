//! Delivery of interrupts and exceptions. SDM Vol. 2A, "INT n/INTO/INT3/INT1", and Vol. 3A, "Interrupt and Exception
//! Handling".

use crate::kit::*;
use iced_x86::code_asm::*;
use idem86_cpu::run::Stop;
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::SegReg;

/// The error code of a fault that a gate of the IDT is to blame for.
fn idt(vector: u16) -> u16 {
    vector * 8 + 2
}

#[test]
fn real_mode_pushes_flags_cs_and_ip() {
    let mut k = Kit::real();
    k.cpu.set_eflags(bit::IF | bit::CF | bit::AC);
    assert_eq!(k.one(|a| a.int(0x21)), Led::To(0x21, None));
    assert_eq!((k.stack(0), k.stack(1), k.stack(2)), (2, 0x1000, 0x203));
    assert_eq!(k.cpu.gpr.full(gpr::SP), 0x8FFA);
    assert_eq!(k.cpu.eflags.bits(), 3, "IF, TF and AC are clear");
    assert_eq!(k.selector(SegReg::Cs), 0);
}

#[test]
fn real_mode_vector_beyond_the_idt_limit_is_general_protection() {
    let mut k = Kit::real();
    k.cpu.idtr.limit = 0x21 * 4 + 2;
    k.check("limit", Led::To(13, None), |a| a.int(0x21));
    let mut k = Kit::real();
    k.cpu.idtr.limit = 0x21 * 4 + 3;
    assert_eq!(k.one(|a| a.int(0x21)), Led::To(0x21, None));
}

#[test]
fn real_mode_without_a_vector_table_shuts_down() {
    let mut k = Kit::real();
    k.cpu.idtr.limit = 0;
    assert_eq!(k.one(|a| a.int(0x21)), Led::Shutdown);
}

#[test]
fn real_mode_stack_pointer_one_shuts_down() {
    // The word would wrap within the segment: #SS, which cannot be delivered either.
    let mut k = Kit::real();
    k.cpu.gpr.set(gpr::SP, 1u32);
    assert_eq!(k.one(|a| a.int(0x21)), Led::Shutdown);
    let mut k = Kit::real();
    k.cpu.gpr.set(gpr::SP, 2u32);
    assert_eq!(k.one(|a| a.int(0x21)), Led::To(0x21, None), "items wrap as wholes");
}

#[test]
fn a_32_bit_gate_pushes_eflags_cs_and_eip() {
    let mut k = Kit::protected(0);
    k.cpu.set_eflags(bit::IF | bit::CF);
    let led = k.one(|a| a.int(0x80));
    assert_eq!(led, Led::To(0x80, None));
    assert_eq!(k.frame(led)[..3], [place::CODE + 2, 8, 0x203]);
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::SP), place::STACKS[0] - 12);
}

#[test]
fn a_16_bit_gate_pushes_words_and_has_a_16_bit_offset() {
    let mut k = Kit::protected(0);
    k.set_gate(0x80, gate(sel::CODE0, 0xABCD_0000 | (place::HANDLERS + 0x800), rights::INTERRUPT16, 0));
    assert_eq!(k.one(|a| a.int(0x80)), Led::To(0x80, None));
    let top = k.cpu.gpr.get::<u32>(gpr::SP);
    assert_eq!(top, place::STACKS[0] - 6);
    assert_eq!(
        (k.get16(top), k.get16(top + 2), k.get16(top + 4)),
        (2, 8, 2),
        "EIP 10002h loses its upper half"
    );
}

#[test]
fn a_16_bit_gate_pushes_a_16_bit_error_code() {
    let mut k = Kit::protected(0);
    k.set_gate(13, gate(sel::CODE0, place::HANDLERS + 13 * 16, rights::TRAP16, 0));
    k.code(|a| a.mov(ds, ax));
    k.cpu.gpr.set(gpr::AX, sel::OUTSIDE as u32);
    k.step();
    let top = k.cpu.gpr.get::<u32>(gpr::SP);
    assert_eq!(top, place::STACKS[0] - 8);
    assert_eq!((k.get16(top), k.get16(top + 2), k.get16(top + 4)), (sel::OUTSIDE, 0, 8));
}

#[test]
fn interrupt_gates_clear_if_and_trap_gates_do_not() {
    for (kind, expected) in [(rights::INTERRUPT32, 2), (rights::TRAP32, 2 | bit::IF)] {
        let mut k = Kit::protected(0);
        k.set_gate(0x80, gate(sel::CODE0, place::HANDLERS + 0x800, kind, 0));
        k.cpu.set_eflags(bit::IF | bit::NT | bit::TF | bit::RF);
        assert_eq!(k.one(|a| a.int(0x80)), Led::To(0x80, None));
        assert_eq!(k.cpu.eflags.bits(), expected, "NT, TF and RF are cleared by both");
    }
}

#[test]
fn a_less_privileged_caller_gets_the_inner_stack() {
    let mut k = Kit::protected(3);
    k.cpu.set_eflags(bit::IF);
    let led = k.one(|a| a.ud2());
    assert_eq!(led, UD);
    assert_eq!(k.frame(led)[..5], [place::CODE, 0x1B, bit::RF | 0x202, place::STACKS[3], 0x23]);
    assert_eq!((k.cpu.cpl, k.selector(SegReg::Ss)), (0, sel::DATA0));
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::SP), place::STACKS[0] - 20);
    assert_eq!(k.selector(SegReg::Ds), sel::DATA3, "data segments stay");
}

/// SDM Vol. 3B, "Instruction-Breakpoint Exception Condition": RF is saved as set where a repetition goes on, not behind
/// its last iteration.
#[test]
fn an_interrupt_behind_a_resumed_repetition_saves_rf_as_clear() {
    for done in 1..3 {
        let mut k = Kit::protected(0);
        k.code(|a| {
            a.rep().stosb()?;
            a.int(0x30)
        });
        k.cpu.gpr.set(gpr::CX, 3u32);
        k.cpu.gpr.set(gpr::DI, place::DATA);
        assert_eq!(k.run(done), Stop::Budget);
        assert_eq!(k.run(4 - done), Stop::Budget);
        assert_eq!((k.led(), k.stack(2) & bit::RF), (Led::To(0x30, None), 0), "{done}");
    }
}

#[test]
fn a_handler_at_level_1_gets_the_stack_of_level_1() {
    let mut k = Kit::protected(3);
    k.set_gate(6, gate(sel::CODE1, place::HANDLERS + 6 * 16, rights::INTERRUPT32, 0));
    assert_eq!(k.one(|a| a.ud2()), UD);
    assert_eq!((k.cpu.cpl, k.selector(SegReg::Ss), k.selector(SegReg::Cs)), (1, sel::DATA1, sel::CODE1));
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::SP), place::STACKS[1] - 20);
}

#[test]
fn a_16_bit_tss_gives_a_16_bit_stack_pointer() {
    let mut k = Kit::protected(3);
    k.cpu.tr = k.descriptor(sel::TSS16).segment(sel::TSS16);
    k.put16(place::TSS16 + 2, place::STACKS[0] as u16);
    k.put16(place::TSS16 + 4, sel::DATA0);
    let led = k.one(|a| a.ud2());
    assert_eq!(led, UD);
    assert_eq!(k.frame(led)[3..5], [place::STACKS[3], 0x23]);
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::SP), place::STACKS[0] - 20);
}

#[test]
fn a_conforming_handler_runs_at_the_privilege_of_the_interrupted_code() {
    let mut k = Kit::protected(3);
    k.set_gate(6, gate(sel::CONFORMING0, place::HANDLERS + 6 * 16, rights::INTERRUPT32, 0));
    let led = k.one(|a| a.ud2());
    assert_eq!(led, UD);
    assert_eq!((k.cpu.cpl, k.selector(SegReg::Cs)), (3, sel::CONFORMING0 | 3));
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::SP), place::STACKS[3] - 12);
}

#[test]
fn gates_are_checked() {
    // (name, gate of vector 80h, fault of INT 80h at level 3). Handler at level 0.
    let user = rights::DPL3;
    let at = place::HANDLERS + 0x800;
    let good = rights::INTERRUPT32 | user;
    let v = idt(0x80);
    let cases: &[(&str, u64, Led)] = &[
        ("gate DPL below CPL", gate(sel::CODE0, at, rights::INTERRUPT32, 0), gp(v)),
        ("not present", gate(sel::CODE0, at, good & !rights::PRESENT, 0), np(v)),
        ("DPL comes before presence", gate(sel::CODE0, at, rights::INTERRUPT32 & !0x80, 0), gp(v)),
        ("call gate", gate(sel::CODE0, at, rights::CALL32 | user, 0), gp(v)),
        ("call gate 16", gate(sel::CODE0, at, rights::CALL16 | user, 0), gp(v)),
        ("TSS", gate(sel::CODE0, at, rights::TSS32 | user, 0), gp(v)),
        ("LDT", gate(sel::CODE0, at, rights::LDT | user, 0), gp(v)),
        ("data segment", gate(sel::CODE0, at, 0xF3, 0), gp(v)),
        ("reserved type", gate(sel::CODE0, at, 0xE8, 0), gp(v)),
        ("null selector", gate(3, at, good, 0), gp(0)),
        ("outside the GDT", gate(sel::OUTSIDE | 3, at, good, 0), gp(sel::OUTSIDE)),
        ("outside the LDT", gate(sel::LOCAL_OUTSIDE, at, good, 0), gp(sel::LOCAL_OUTSIDE)),
        ("not code", gate(sel::DATA0, at, good, 0), gp(sel::DATA0)),
        ("system segment", gate(sel::TSS, at, good, 0), gp(sel::TSS)),
    ];
    for (name, d, expected) in cases {
        let mut k = Kit::protected(3);
        k.set_gate(0x80, *d);
        k.check(name, *expected, |a| a.int(0x80));
    }
    let mut k = Kit::protected(3);
    k.set_rights(sel::CONFORMING0, |a| a & !rights::PRESENT);
    k.set_gate(0x80, gate(sel::CONFORMING0, at, good, 0));
    k.check("code not present", np(sel::CONFORMING0), |a| a.int(0x80));
    let mut k = Kit::protected(3);
    k.cpu.idtr.limit = 0x80 * 8 + 6;
    k.check("beyond the IDT limit", gp(v), |a| a.int(0x80));
    let mut k = Kit::protected(0);
    k.set_gate(0x80, gate(sel::CODE3, at, good, 0));
    k.check("less privileged handler", gp(sel::CODE3 & !3), |a| a.int(0x80));
    let mut k = Kit::protected(0);
    k.set_gate(0x80, gate(sel::CONFORMING3, at, good, 0));
    k.check("less privileged conforming handler", gp(sel::CONFORMING3 & !3), |a| a.int(0x80));
}

#[test]
fn only_software_interrupts_heed_the_gates_dpl() {
    let mut k = Kit::protected(3);
    k.check("INT3", gp(idt(3)), |a| a.int3());
    let mut k = Kit::protected(3);
    k.cpu.set_eflags(bit::OF);
    k.check("INTO", gp(idt(4)), |a| a.into());
    let mut k = Kit::protected(3);
    assert_eq!(k.one(|a| a.int1()), Led::To(1, None));
    let mut k = Kit::protected(3);
    assert_eq!(k.one(|a| a.into()), Led::Through, "without OF nothing happens");
    let mut k = Kit::protected(3);
    k.cpu.set_eflags(bit::IF);
    k.bus.intr = true;
    k.bus.vector = 0x80;
    assert_eq!(k.step(), Led::To(0x80, None), "external interrupt");
}

#[test]
fn ext_is_set_for_events_that_the_program_did_not_ask_for() {
    let mut k = Kit::protected(3);
    k.set_gate(6, gate(sel::CODE0, 0, rights::INTERRUPT32 & !rights::PRESENT, 0));
    k.check("exception", np(idt(6) | 1), |a| a.ud2());
    let mut k = Kit::protected(3);
    k.set_gate(6, gate(sel::OUTSIDE, 0, rights::INTERRUPT32, 0));
    k.check("selector", gp(sel::OUTSIDE | 1), |a| a.ud2());
    let mut k = Kit::protected(3);
    k.set_gate(1, gate(sel::CODE0, 0, rights::LDT, 0));
    k.check_bytes("INT1", gp(idt(1) | 1), &[0xF1]);
    let mut k = Kit::protected(0);
    k.cpu.set_eflags(bit::IF);
    k.cpu.idtr.limit = 0x3FF;
    (k.bus.intr, k.bus.vector) = (true, 0x80);
    assert_eq!(k.step(), gp(idt(0x80) | 1), "external interrupt");
    let mut k = Kit::protected(0);
    k.set_gate(2, 0);
    k.bus.nmi = true;
    assert_eq!(k.step(), gp(idt(2) | 1), "NMI");
}

#[test]
fn inner_stacks_are_checked() {
    // (name, change, fault of #UD at level 3): EXT is set.
    type Change = fn(&mut Kit);
    fn stack(k: &mut Kit, selector: u16) {
        k.put32(place::TSS + 8, selector as u32);
    }
    let cases: &[(&str, Change, Led)] = &[
        ("TSS too small", |k| k.cpu.tr.limit = 8, ts(sel::TSS | 1)),
        ("null", |k| stack(k, 0), ts(1)),
        ("outside the GDT", |k| stack(k, sel::OUTSIDE), ts(sel::OUTSIDE | 1)),
        ("RPL differs", |k| stack(k, sel::DATA0 | 1), ts(sel::DATA0 | 1)),
        ("DPL differs", |k| stack(k, sel::DATA3 & !3), ts(sel::DATA3 & !3 | 1)),
        ("not data", |k| stack(k, sel::CODE0), ts(sel::CODE0 | 1)),
        ("read-only", |k| k.set_rights(sel::DATA0, |_| rights::READ_ONLY), ts(sel::DATA0 | 1)),
        ("not present", |k| k.set_rights(sel::DATA0, |a| a & !rights::PRESENT), stack_fault(sel::DATA0 | 1)),
        (
            "no room",
            |k| {
                k.put32(place::TSS + 4, 19);
                k.set_descriptor(sel::FREE, segment(0, 0xFFF, 0x4093));
                stack(k, sel::FREE);
            },
            stack_fault(sel::FREE | 1),
        ),
    ];
    for (name, change, expected) in cases {
        let mut k = Kit::protected(3);
        change(&mut k);
        // The handler of the fault is of level 3 itself, so that it needs no other stack.
        for v in 10..=13 {
            k.set_gate(v, gate(sel::CODE3, place::HANDLERS + v as u32 * 16, rights::INTERRUPT32, 0));
        }
        k.check(name, *expected, |a| a.ud2());
        assert_eq!(k.cpu.cpl, 3, "{name}");
    }
    let mut k = Kit::protected(3);
    k.cpu.tr.limit = 9;
    assert_eq!(k.one(|a| a.ud2()), UD, "ESP0 and SS0 end at offset 9");
}

#[test]
fn the_entry_point_must_lie_in_its_segment() {
    let mut k = Kit::protected(3);
    k.set_descriptor(sel::FREE, segment(0, 0xFFF, 0x409B));
    k.set_gate(0x80, gate(sel::FREE, 0x1000, rights::INTERRUPT32 | rights::DPL3, 0));
    k.check("inner", gp(0), |a| a.int(0x80));
    let mut k = Kit::protected(0);
    k.set_descriptor(sel::FREE, segment(0, 0xFFF, 0x409B));
    k.set_gate(0x80, gate(sel::FREE, 0x1000, rights::INTERRUPT32, 0));
    k.check("same level", gp(0), |a| a.int(0x80));
}

#[test]
fn a_full_stack_at_the_same_level_is_a_stack_fault() {
    let mut k = Kit::protected(3);
    k.set_gate(0x80, gate(sel::CODE3, place::HANDLERS, rights::INTERRUPT32 | rights::DPL3, 0));
    k.cpu.gpr.set(gpr::SP, 11u32);
    k.check("three doublewords", stack_fault(0), |a| a.int(0x80));
    let mut k = Kit::protected(3);
    k.set_gate(0x80, gate(sel::CODE3, place::HANDLERS + 0x800, rights::INTERRUPT32 | rights::DPL3, 0));
    k.cpu.gpr.set(gpr::SP, 12u32);
    assert_eq!(k.one(|a| a.int(0x80)), Led::To(0x80, None));
}

#[test]
fn room_on_the_stack_is_checked_before_the_entry_point() {
    let mut k = Kit::protected(3);
    k.set_descriptor(sel::FREE, segment(0, 0xFFF, 0x40FB));
    k.set_gate(0x80, gate(sel::FREE, 0x1000, rights::INTERRUPT32 | rights::DPL3, 0));
    k.cpu.gpr.set(gpr::SP, 11u32);
    k.check("neither fits", stack_fault(0), |a| a.int(0x80));
}

#[test]
fn descriptors_that_are_used_are_marked_accessed() {
    let mut k = Kit::protected(3);
    k.set_rights(sel::CODE0, |a| a & !rights::ACCESSED);
    k.set_rights(sel::DATA0, |a| a & !rights::ACCESSED);
    assert_eq!(k.one(|a| a.ud2()), UD);
    assert_eq!(k.descriptor(sel::CODE0).access().0, rights::CODE32);
    assert_eq!(k.descriptor(sel::DATA0).access().0, rights::DATA32);
}

/// Raises an exception of the class, in a state where delivering it raises another of the class.
fn nested(first: u8, second: u8) -> Led {
    let mut k = Kit::protected(0);
    k.page();
    // The second one comes from the first one's gate.
    let blame = match second {
        // In a page that is not there.
        14 => {
            k.put32(k.pte(0x3F_0000), 0);
            k.cpu.idtr.base = place::IDT as u64;
            k.set_descriptor(sel::FREE, segment(0x3F_0000, 0xFFF, 0x409B));
            // The stack of level 0 stays; the GDT's LDT lies on the missing page.
            k.cpu.ldtr.base = 0x3F_0000;
            gate(sel::LOCAL_FREE, 0, rights::INTERRUPT32, 0)
        }
        11 => gate(sel::CODE0, 0, rights::INTERRUPT32 & !rights::PRESENT, 0),
        _ => gate(0, 0, rights::INTERRUPT32, 0),
    };
    k.set_gate(first, blame);
    match first {
        0 => k.code(|a| {
            a.xor(ecx, ecx)?;
            a.div(ecx)
        }),
        6 => k.code(|a| {
            a.nop()?;
            a.ud2()
        }),
        13 => {
            k.cpu.gpr.set(gpr::AX, sel::OUTSIDE as u32);
            k.code(|a| {
                a.nop()?;
                a.mov(ds, ax)
            })
        }
        _ => {
            k.put32(k.pte(0x30_0000), 0);
            k.code(|a| {
                a.nop()?;
                a.mov(eax, dword_ptr(0x30_0000))
            })
        }
    }
    assert_eq!(k.step(), Led::Through);
    k.step()
}

#[test]
fn exceptions_in_a_row_combine_by_class() {
    // SDM Vol. 3A, "Conditions for Generating a Double Fault". Rows: benign, contributory, page fault.
    let double = Led::To(8, Some(0));
    assert_eq!(nested(6, 13), gp(1));
    assert_eq!(nested(6, 11), np(idt(6) | 1));
    assert_eq!(nested(6, 14), Led::To(14, Some(0)));
    assert_eq!(nested(0, 13), double);
    assert_eq!(nested(0, 11), double);
    assert_eq!(nested(13, 11), double);
    assert_eq!(nested(0, 14), Led::To(14, Some(0)));
    assert_eq!(nested(13, 14), Led::To(14, Some(0)));
    assert_eq!(nested(14, 13), double);
    assert_eq!(nested(14, 11), double);
    assert_eq!(nested(14, 14), double);
}

#[test]
fn a_fault_while_the_double_fault_is_delivered_shuts_down() {
    let mut k = Kit::protected(0);
    k.set_gate(6, 0);
    k.set_gate(13, 0);
    k.set_gate(8, 0);
    let before = k.registers();
    assert_eq!(k.one(|a| a.ud2()), Led::Shutdown);
    assert_eq!(k.registers(), before, "nothing of the failed deliveries is left");
    assert_eq!(k.step(), Led::Shutdown, "it stands still");
    k.bus.nmi = true;
    assert_eq!(k.step(), Led::To(2, None), "an NMI ends it");
}

#[test]
fn a_fault_storm_ends_with_the_budget() {
    // The #UD handler begins with an undefined instruction, on a stack that never ends.
    let mut k = Kit::protected(0);
    k.set_descriptor(sel::FREE, segment(place::PAGING, 0xFFFF, 0x0093));
    k.cpu.seg[SegReg::Ss as usize] = k.descriptor(sel::FREE).segment(sel::FREE);
    k.put(place::HANDLERS + 6 * 16, &[0x0F, 0x0B]);
    k.code(|a| a.ud2());
    let before = k.cpu.work();
    k.run(10_000);
    assert_eq!(k.cpu.work() - before, 10_000);
}

#[test]
fn alignment_checks_of_the_alignment_handler_do_not_hang() {
    // The handler of #AC is at level 3 and its stack misaligned: a processor would never get out of it.
    let mut k = Kit::protected(3);
    k.cpu.cr0 |= idem86_cpu::state::control::cr0::AM;
    k.cpu.set_eflags(bit::AC);
    k.set_gate(17, gate(sel::CODE3, place::HANDLERS + 17 * 16, rights::INTERRUPT32, 0));
    k.cpu.gpr.set(gpr::SP, place::STACKS[3] - 1);
    k.code(|a| a.push(eax));
    let before = k.cpu.work();
    k.run(1000);
    assert!(k.cpu.work() - before >= 1000);
}

#[test]
fn nmis_wait_for_iret() {
    let mut k = Kit::protected(0);
    k.bus.nmi = true;
    assert_eq!(k.step(), Led::To(2, None));
    k.put(place::HANDLERS + 0x20, &[0x90, 0xCF]);
    k.bus.nmi = true;
    assert_eq!(k.step(), Led::Through, "NOP, the second NMI waits");
    assert_eq!(k.step(), Led::Through, "IRET");
    assert_eq!(k.step(), Led::To(2, None));
}

#[test]
fn sti_and_stack_loads_shadow_one_instruction() {
    for load_ss in [false, true] {
        let mut k = Kit::protected(0);
        k.cpu.set_eflags(if load_ss { bit::IF } else { 0 });
        k.cpu.gpr.set(gpr::AX, sel::DATA0 as u32);
        k.code(|a| {
            if load_ss {
                a.mov(ss, eax)?
            } else {
                a.sti()?
            }
            a.nop()?;
            a.nop()
        });
        if load_ss {
            // The instruction itself must not be interrupted by what comes after.
            assert_eq!(k.step(), Led::Through);
        }
        (k.bus.intr, k.bus.vector) = (true, 0x30);
        if !load_ss {
            assert_eq!(k.step(), Led::Through, "STI");
        }
        assert_eq!(k.step(), Led::Through, "NOP in the shadow");
        assert_eq!(k.step(), Led::To(0x30, None));
        assert_eq!(k.stack(0), place::CODE + if load_ss { 3 } else { 2 });
    }
}

#[test]
fn sti_with_interrupts_enabled_casts_no_shadow() {
    let mut k = Kit::protected(0);
    k.cpu.set_eflags(bit::IF);
    k.code(|a| {
        a.sti()?;
        a.nop()
    });
    assert_eq!(k.step(), Led::Through);
    (k.bus.intr, k.bus.vector) = (true, 0x30);
    assert_eq!(k.step(), Led::To(0x30, None));
}

#[test]
fn halt_waits_for_an_interrupt() {
    let mut k = Kit::protected(0);
    k.code(|a| a.hlt());
    assert_eq!(k.step(), Led::Through);
    assert!(k.cpu.halted);
    (k.bus.intr, k.bus.vector) = (true, 0x30);
    assert_eq!(k.step(), Led::Through);
    assert!(k.cpu.halted, "IF is clear");
    k.cpu.set_eflags(bit::IF);
    assert_eq!(k.step(), Led::To(0x30, None));
    assert_eq!(k.stack(0), place::CODE + 1);
}
