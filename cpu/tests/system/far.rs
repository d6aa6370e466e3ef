//! Far JMP, CALL and RET. SDM Vol. 2, "JMP", "CALL", "RET", their lists of exceptions.

use crate::kit::*;
use iced_x86::{Code, Instruction};
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::{SegReg, Segment};

/// The target offset of most transfers.
const TARGET: u32 = place::CODE + 0x100;

fn far(code: Code, selector: u16, offset: u32) -> Instruction {
    Instruction::with_far_branch(code, selector, offset).expect("far branch")
}

/// JMP or CALL to `selector:TARGET` from level `level`, directly and through a pointer in memory.
fn transfers(
    level: u8,
    setup: impl Fn(&mut Kit),
    selector: u16,
    check: impl Fn(&mut Kit, bool, &mut dyn FnMut(&mut Kit)),
) {
    for call in [false, true] {
        for memory in [false, true] {
            let mut k = Kit::protected(level);
            setup(&mut k);
            k.put32(place::DATA, TARGET);
            k.put16(place::DATA + 4, selector);
            check(&mut k, call, &mut |k| match (call, memory) {
                (false, false) => k.code(|a| a.add_instruction(far(Code::Jmp_ptr1632, selector, TARGET))),
                (true, false) => k.code(|a| a.add_instruction(far(Code::Call_ptr1632, selector, TARGET))),
                (false, true) => k.bytes(&[0xFF, 0x2D, 0, 0, 2, 0]),
                (true, true) => k.bytes(&[0xFF, 0x1D, 0, 0, 2, 0]),
            });
        }
    }
}

#[test]
fn targets_of_jmp_and_call_are_checked() {
    use rights::*;
    let free = sel::FREE;
    // (name, level, access rights of FREE, selector, what follows)
    let cases: &[(&str, u8, u16, u16, Led)] = &[
        ("null", 0, 0, 0, gp(0)),
        ("null with RPL", 3, 0, 3, gp(0)),
        ("outside the GDT", 0, 0, sel::OUTSIDE, gp(sel::OUTSIDE)),
        ("data segment", 0, DATA32, free, gp(free)),
        ("LDT", 0, LDT, free, gp(free)),
        ("interrupt gate", 0, INTERRUPT32, free, gp(free)),
        ("same level", 0, CODE32, free, Led::Through),
        ("execute-only", 0, EXECUTE_ONLY, free, Led::Through),
        ("nonconforming, RPL above CPL", 0, CODE32, free | 3, gp(free)),
        ("nonconforming, RPL below CPL", 3, CODE32 | DPL3, free, Led::Through),
        ("nonconforming, DPL below CPL", 3, CODE32, free, gp(free)),
        ("nonconforming, DPL above CPL", 0, CODE32 | DPL3, free, gp(free)),
        ("conforming, DPL below CPL", 3, CODE32 | CONFORMING, free | 3, Led::Through),
        ("conforming, DPL above CPL", 0, CODE32 | CONFORMING | DPL3, free, gp(free)),
        ("conforming, RPL does not count", 0, CODE32 | CONFORMING, free | 3, Led::Through),
        ("not present", 0, CODE32 & !PRESENT, free, np(free)),
        ("privilege before presence", 3, CODE32 & !PRESENT, free, gp(free)),
    ];
    for (name, level, access, selector, expected) in cases {
        let setup = |k: &mut Kit| k.set_descriptor(free, segment(0, 0xF_FFFF, *access));
        transfers(*level, setup, *selector, |k, call, put| {
            put(k);
            let before = k.here();
            let led = k.step();
            assert_eq!(led, *expected, "{name}");
            if led != Led::Through {
                assert_eq!(k.frame(led)[..2], [before, if *level == 0 { 8 } else { 0x1B }], "{name}");
                return;
            }
            assert_eq!(k.here(), TARGET, "{name}");
            assert_eq!(k.selector(SegReg::Cs), selector & !3 | *level as u16, "{name}: RPL becomes CPL");
            assert_eq!(k.cpu.cpl, *level, "{name}");
            let pushed = if call { 8 } else { 0 };
            assert_eq!(k.cpu.gpr.get::<u32>(gpr::SP), place::STACKS[*level as usize] - pushed, "{name}");
            if call {
                let old_cs = if *level == 0 { 0x08 } else { 0x1B };
                assert_eq!(k.stack(1), old_cs, "{name}");
                assert!(matches!(k.stack(0) - before, 6 | 7), "{name}: return address");
            }
        });
    }
}

#[test]
fn the_target_must_lie_in_its_segment() {
    let setup = |k: &mut Kit| k.set_descriptor(sel::FREE, segment(0, TARGET - 1, 0x409B));
    transfers(0, setup, sel::FREE, |k, _, put| {
        put(k);
        assert_eq!(k.step(), gp(0));
    });
}

#[test]
fn far_call_needs_room_for_the_return_address() {
    let mut k = Kit::protected(3);
    k.cpu.gpr.set(gpr::SP, 7u32);
    let call = far(Code::Call_ptr1632, sel::CODE3, TARGET);
    k.check("32-bit", stack_fault(0), |a| a.add_instruction(call));
    let mut k = Kit::protected(3);
    k.cpu.gpr.set(gpr::SP, 3u32);
    let call = far(Code::Call_ptr1616, sel::CODE3, 0x100);
    k.check("16-bit", stack_fault(0), |a| a.add_instruction(call));
}

#[test]
fn the_accessed_bit_of_the_target_is_set() {
    let setup = |k: &mut Kit| k.set_descriptor(sel::FREE, segment(0, 0xF_FFFF, 0xC09A));
    transfers(0, setup, sel::FREE, |k, _, put| {
        put(k);
        assert_eq!(k.step(), Led::Through);
        assert_eq!(k.descriptor(sel::FREE).access().0, 0xC09B);
    });
}

/// Puts a call gate at FREE and gives (kit, fault or not) of JMP and CALL through it.
fn through_gate(
    level: u8,
    d: u64,
    selector: u16,
    setup: impl Fn(&mut Kit),
    check: impl Fn(&mut Kit, bool, Led),
) {
    let all = |k: &mut Kit| {
        k.set_descriptor(sel::FREE, d);
        setup(k);
    };
    transfers(level, all, selector, |k, call, put| {
        put(k);
        let led = k.step();
        check(k, call, led);
    });
}

#[test]
fn call_gates_are_checked() {
    use rights::*;
    let (free, code) = (sel::FREE, sel::FREE2);
    let g = CALL32 | DPL3;
    let plain = |target: u16, access: u16| gate(target, TARGET, access, 0);
    // (name, level, gate, selector, rights of the code at FREE2, CALL, JMP)
    type Row = (&'static str, u8, u64, u16, u16, Led, Led);
    let ok = Led::Through;
    let cases: &[Row] = &[
        ("gate DPL below CPL", 3, plain(code, CALL32), free, CODE32, gp(free), gp(free)),
        ("gate DPL below RPL", 0, plain(code, CALL32), free | 3, CODE32, gp(free), gp(free)),
        ("gate not present", 0, plain(code, g & !PRESENT), free, CODE32, np(free), np(free)),
        ("DPL before presence", 3, plain(code, CALL32 & !PRESENT), free, CODE32, gp(free), gp(free)),
        ("null code selector", 0, plain(3, g), free, CODE32, gp(0), gp(0)),
        ("code outside", 0, plain(sel::OUTSIDE, g), free, CODE32, gp(sel::OUTSIDE), gp(sel::OUTSIDE)),
        ("not code", 0, plain(code, g), free, DATA32, gp(code), gp(code)),
        ("code DPL above CPL", 0, plain(code, g), free, CODE32 | DPL3, gp(code), gp(code)),
        ("code not present", 0, plain(code, g), free, CODE32 & !PRESENT, np(code), np(code)),
        ("inner not present", 3, plain(code, g), free, CODE32 & !PRESENT, np(code), gp(code)),
        ("same level", 3, plain(code | 3, g), free, CODE32 | DPL3, ok, ok),
        ("the gate's RPL does not count", 0, plain(code | 3, g), free, CODE32, ok, ok),
        ("inner: CALL only", 3, plain(code, g), free | 3, CODE32, ok, gp(code)),
        ("inner conforming: no change", 3, plain(code, g), free, CODE32 | CONFORMING, ok, ok),
    ];
    for (name, level, d, selector, access, by_call, by_jump) in cases {
        let setup = |k: &mut Kit| k.set_descriptor(code, segment(0, 0xF_FFFF, *access));
        through_gate(*level, *d, *selector, setup, |k, call, led| {
            assert_eq!(led, if call { *by_call } else { *by_jump }, "{name}, call {call}");
            if led == Led::Through {
                let inner = access & (DPL3 | CONFORMING) == 0 && call;
                let cpl = if inner { 0 } else { *level };
                assert_eq!((k.here(), k.cpu.cpl), (TARGET, cpl), "{name}");
                assert_eq!(k.selector(SegReg::Cs), code | cpl as u16, "{name}");
            }
        });
    }
}

#[test]
fn the_gates_entry_point_must_lie_in_its_segment() {
    for level in [0, 3] {
        let d = gate(sel::FREE2, TARGET, rights::CALL32 | rights::DPL3, 0);
        let setup = |k: &mut Kit| k.set_descriptor(sel::FREE2, segment(0, TARGET - 1, 0x409B));
        through_gate(level, d, sel::FREE, setup, |_, call, led| {
            assert_eq!(led, if call || level == 0 { gp(0) } else { gp(sel::FREE2) });
        });
    }
}

#[test]
fn a_call_to_an_inner_level_copies_parameters() {
    let mut k = Kit::protected(3);
    k.set_descriptor(sel::FREE, gate(sel::CODE0, TARGET, rights::CALL32 | rights::DPL3, 3));
    k.cpu.gpr.set(gpr::SP, place::STACKS[3] - 12);
    for (n, v) in [0x1111, 0x2222, 0x3333].into_iter().enumerate() {
        k.put32(place::STACKS[3] - 12 + n as u32 * 4, v);
    }
    assert_eq!(k.one(|a| a.add_instruction(far(Code::Call_ptr1632, sel::FREE, 0))), Led::Through);
    let frame: Vec<u32> = (0..7).map(|n| k.stack(n)).collect();
    assert_eq!(frame, [place::CODE + 7, 0x1B, 0x1111, 0x2222, 0x3333, place::STACKS[3] - 12, 0x23]);
    assert_eq!((k.cpu.cpl, k.here()), (0, TARGET));
    assert_eq!((k.selector(SegReg::Cs), k.selector(SegReg::Ss)), (sel::CODE0, sel::DATA0));
    // And back: RET 12 releases the parameters from both stacks.
    assert_eq!(k.one(|a| a.retf_1(12)), Led::Through);
    assert_eq!((k.cpu.cpl, k.here()), (3, place::CODE + 7));
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::SP), place::STACKS[3]);
}

#[test]
fn a_16_bit_call_gate_copies_words() {
    let mut k = Kit::protected(3);
    k.set_descriptor(sel::FREE, gate(sel::CODE0, TARGET & 0xFFFF, rights::CALL16 | rights::DPL3, 2));
    k.cpu.gpr.set(gpr::SP, place::STACKS[3] - 4);
    k.put32(place::STACKS[3] - 4, 0x2222_1111);
    assert_eq!(k.one(|a| a.add_instruction(far(Code::Call_ptr1632, sel::FREE, 0))), Led::Through);
    let top = k.cpu.gpr.get::<u32>(gpr::SP);
    assert_eq!(top, place::STACKS[0] - 12);
    let words: Vec<u16> = (0..6).map(|n| k.get16(top + n * 2)).collect();
    assert_eq!(words, [7, 0x1B, 0x1111, 0x2222, (place::STACKS[3] - 4) as u16, 0x23]);
    assert_eq!(k.here(), 0x100);
}

#[test]
fn stacks_of_inner_calls_are_checked() {
    type Change = fn(&mut Kit);
    fn stack(k: &mut Kit, selector: u16) {
        k.put32(place::TSS + 8, selector as u32);
    }
    let cases: &[(&str, Change, Led)] = &[
        ("TSS too small", |k| k.cpu.tr.limit = 8, ts(sel::TSS)),
        ("null", |k| stack(k, 0), ts(0)),
        ("outside the GDT", |k| stack(k, sel::OUTSIDE), ts(sel::OUTSIDE)),
        ("RPL differs", |k| stack(k, sel::DATA0 | 3), ts(sel::DATA0)),
        ("DPL differs", |k| stack(k, sel::DATA3 & !3), ts(sel::DATA3 & !3)),
        ("not data", |k| stack(k, sel::CODE0), ts(sel::CODE0)),
        ("read-only", |k| k.set_rights(sel::DATA0, |_| rights::READ_ONLY), ts(sel::DATA0)),
        ("not present", |k| k.set_rights(sel::DATA0, |a| a & !rights::PRESENT), stack_fault(sel::DATA0)),
        (
            "no room for the parameters",
            |k| {
                k.put32(place::TSS + 4, 23);
                k.set_descriptor(sel::FREE3, segment(0, 0xFFF, 0x4093));
                stack(k, sel::FREE3);
            },
            stack_fault(sel::FREE3),
        ),
    ];
    for (name, change, expected) in cases {
        let mut k = Kit::protected(3);
        k.set_descriptor(sel::FREE, gate(sel::CODE0, TARGET, rights::CALL32 | rights::DPL3, 2));
        change(&mut k);
        for v in 10..=13 {
            k.set_gate(v, gate(sel::CODE3, place::HANDLERS + v as u32 * 16, rights::INTERRUPT32, 0));
        }
        k.check(name, *expected, |a| a.add_instruction(far(Code::Call_ptr1632, sel::FREE, 0)));
    }
}

#[test]
fn parameters_beyond_the_outer_stack_are_a_stack_fault() {
    let mut k = Kit::protected(3);
    k.set_descriptor(sel::FREE, gate(sel::CODE0, TARGET, rights::CALL32 | rights::DPL3, 2));
    k.set_descriptor(sel::FREE2, segment(0, 0xFFF, 0x40F3));
    k.cpu.seg[SegReg::Ss as usize] = k.descriptor(sel::FREE2).segment(sel::FREE2 | 3);
    k.cpu.gpr.set(gpr::SP, 0xFFAu32);
    k.check("copy", stack_fault(0), |a| a.add_instruction(far(Code::Call_ptr1632, sel::FREE, 0)));
}

/// RET from level `level` to `selector:TARGET`, with SS:ESP behind.
fn ret(level: u8, selector: u16, ss_selector: u16, setup: impl Fn(&mut Kit)) -> (Kit, Led) {
    let mut k = Kit::protected(level);
    let top = place::STACKS[level as usize];
    for (n, v) in [TARGET, selector as u32, place::STACKS[3], ss_selector as u32].into_iter().enumerate() {
        k.put32(top + n as u32 * 4, v);
    }
    setup(&mut k);
    let led = k.one(|a| a.retf());
    (k, led)
}

#[test]
fn targets_of_far_returns_are_checked() {
    use rights::*;
    let free = sel::FREE;
    let cases: &[(&str, u8, u16, u16, Led)] = &[
        ("null", 0, 0, 3, gp(0)),
        ("outside the GDT", 0, 0, sel::OUTSIDE, gp(sel::OUTSIDE)),
        ("not code", 0, DATA32, free, gp(free)),
        ("call gate", 0, CALL32, free, gp(free)),
        ("RPL below CPL", 3, CODE32, free, gp(free)),
        ("nonconforming, DPL differs from RPL", 0, CODE32, free | 3, gp(free)),
        ("conforming, DPL above RPL", 0, CODE32 | CONFORMING | DPL3, free, gp(free)),
        ("conforming, DPL below RPL", 3, CODE32 | CONFORMING, free | 3, Led::Through),
        ("not present", 0, CODE32 & !PRESENT, free, np(free)),
        ("same level", 0, CODE32, free, Led::Through),
    ];
    for (name, level, access, selector, expected) in cases {
        let (k, led) = ret(*level, *selector, 0, |k| k.set_descriptor(free, segment(0, 0xF_FFFF, *access)));
        assert_eq!(led, *expected, "{name}");
        if led == Led::Through {
            assert_eq!((k.here(), k.selector(SegReg::Cs)), (TARGET, *selector), "{name}");
            assert_eq!(k.cpu.gpr.get::<u32>(gpr::SP), place::STACKS[*level as usize] + 8, "{name}");
        }
    }
    let (_, led) = ret(0, free, 0, |k| k.set_descriptor(free, segment(0, TARGET - 1, 0x409B)));
    assert_eq!(led, gp(0), "beyond the limit");
}

#[test]
fn stacks_of_outer_returns_are_checked() {
    use rights::*;
    let free = sel::FREE;
    let cases: &[(&str, u16, u16, Led)] = &[
        ("null", 0, 3, gp(0)),
        ("outside the GDT", 0, sel::OUTSIDE | 3, gp(sel::OUTSIDE)),
        ("RPL differs", DATA32 | DPL3, free, gp(free)),
        ("DPL differs", DATA32, free | 3, gp(free)),
        ("read-only", READ_ONLY | DPL3, free | 3, gp(free)),
        ("code", CODE32 | DPL3, free | 3, gp(free)),
        ("not present", DATA32 & !PRESENT | DPL3, free | 3, stack_fault(free)),
        ("good", DATA32 | DPL3, free | 3, Led::Through),
    ];
    for (name, access, selector, expected) in cases {
        let setup = |k: &mut Kit| k.set_descriptor(free, segment(0, 0xF_FFFF, *access));
        let (k, led) = ret(0, sel::CODE3, *selector, setup);
        assert_eq!(led, *expected, "{name}");
        if led == Led::Through {
            assert_eq!((k.cpu.cpl, k.here(), k.selector(SegReg::Ss)), (3, TARGET, *selector));
            assert_eq!(k.cpu.gpr.get::<u32>(gpr::SP), place::STACKS[3]);
        }
    }
    let (_, led) = ret(0, free | 3, sel::DATA3, |k| k.set_descriptor(free, segment(0, TARGET - 1, 0x40FB)));
    assert_eq!(led, gp(0), "beyond the limit");
}

#[test]
fn a_return_beyond_the_stack_is_a_stack_fault() {
    let top = 0xFF8u32;
    for (name, selector) in [("same level", sel::CODE0), ("outer level", sel::CODE3)] {
        let (_, led) = ret(0, selector, sel::DATA3, |k| {
            k.set_descriptor(
                sel::FREE,
                segment(0, if selector == sel::CODE0 { 0xFFE } else { 0x1006 }, 0x4093),
            );
            k.cpu.seg[SegReg::Ss as usize] = k.descriptor(sel::FREE).segment(sel::FREE);
            k.cpu.gpr.set(gpr::SP, top);
            k.put32(top, TARGET);
            k.put32(top + 4, selector as u32);
        });
        assert_eq!(led, stack_fault(0), "{name}");
    }
}

#[test]
fn an_outer_return_takes_inner_segments_away() {
    let (k, led) = ret(0, sel::CODE3, sel::DATA3, |k| {
        let mut load =
            |r: SegReg, s: u16| k.cpu.seg[r as usize] = Segment { selector: s, ..k.descriptor(s).segment(s) };
        load(SegReg::Es, sel::DATA3);
        load(SegReg::Fs, sel::CONFORMING0);
        load(SegReg::Gs, sel::CODE0);
    });
    assert_eq!(led, Led::Through);
    assert_eq!(k.selector(SegReg::Ds), 0, "data at level 0");
    assert_eq!(k.selector(SegReg::Es), sel::DATA3, "data at level 3 stays");
    assert_eq!(k.selector(SegReg::Fs), sel::CONFORMING0, "conforming code stays");
    assert_eq!(k.selector(SegReg::Gs), 0, "nonconforming code at level 0");
}

#[test]
fn returning_to_a_16_bit_stack_leaves_the_upper_half_of_esp() {
    let (k, led) = ret(0, sel::CODE3, sel::FREE | 3, |k| {
        k.set_descriptor(sel::FREE, segment(0, 0xFFFF, 0x00F3));
        k.put32(place::STACKS[0] + 8, 0xABCD_1234);
        k.cpu.seg[SegReg::Ss as usize].base = 0x1_0000_0000 - 0x7777_0000;
        k.cpu.gpr.set(gpr::SP, 0x7777_0000 + place::STACKS[0]);
    });
    assert_eq!(led, Led::Through);
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::SP), 0x7777_1234);
}

#[test]
fn real_mode_far_transfers() {
    let mut k = Kit::real();
    assert_eq!(k.one(|a| a.add_instruction(far(Code::Call_ptr1616, 0x2345, 0x6789))), Led::Through);
    assert_eq!((k.selector(SegReg::Cs), k.cpu.rip, k.here()), (0x2345, 0x6789, 0x23450 + 0x6789));
    assert_eq!((k.stack(0), k.stack(1)), (5, 0x1000));
    assert_eq!(k.one(|a| a.retf_1(6)), Led::Through);
    assert_eq!((k.here(), k.cpu.gpr.get::<u32>(gpr::SP)), (place::CODE + 5, place::STACKS[0] + 6));
    k.check("32-bit offset", Led::To(13, None), |a| {
        a.add_instruction(far(Code::Jmp_ptr1632, 0x1000, 0x1_0000))
    });
    let mut k = Kit::real();
    k.cpu.gpr.set(gpr::SP, 3u32);
    k.check("no room", Led::Shutdown, |a| a.add_instruction(far(Code::Call_ptr1616, 0, 0)));
}

#[test]
fn real_mode_32_bit_far_call_pushes_doublewords() {
    let mut k = Kit::real();
    assert_eq!(k.one(|a| a.add_instruction(far(Code::Call_ptr1632, 0x2000, 0x10))), Led::Through);
    assert_eq!([k.stack(0), k.stack(1), k.stack(2), k.stack(3)], [8, 0, 0x1000, 0]);
    k.check_bytes("retfd", Led::Through, &[0x66, 0xCB]);
    assert_eq!(k.here(), place::CODE + 8);
}

#[test]
fn far_pointers_in_registers_are_undefined() {
    Kit::protected(0).check_bytes("jmp", UD, &[0xFF, 0xE8]);
    Kit::protected(0).check_bytes("call", UD, &[0xFF, 0xD8]);
}
