//! IRET. SDM Vol. 2A, "IRET/IRETD", its list of exceptions and the flags it may change.

use crate::kit::*;
use idem86_cpu::state::control::cr4;
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::{SegReg, Segment};

const TARGET: u32 = place::CODE + 0x100;
/// Every flag that can be set in an image.
const ALL: u32 = bit::DEFINED & !bit::VM;

/// IRETD from level `level`, with `frame` on the stack.
fn iretd(level: u8, frame: &[u32], setup: impl Fn(&mut Kit)) -> (Kit, Led) {
    let mut k = Kit::protected(level);
    for (n, v) in frame.iter().enumerate() {
        k.put32(place::STACKS[level as usize] + n as u32 * 4, *v);
    }
    setup(&mut k);
    let led = k.one(|a| a.iretd());
    (k, led)
}

#[test]
fn targets_are_checked() {
    use rights::*;
    let free = sel::FREE;
    let cases: &[(&str, u8, u16, u16, Led)] = &[
        ("null", 0, 0, 0, gp(0)),
        ("outside the GDT", 0, 0, sel::OUTSIDE, gp(sel::OUTSIDE)),
        ("not code", 0, DATA32, free, gp(free)),
        ("RPL below CPL", 3, CODE32, free, gp(free)),
        ("nonconforming, DPL differs from RPL", 0, CODE32, free | 3, gp(free)),
        ("conforming, DPL above RPL", 0, CODE32 | CONFORMING | DPL3, free, gp(free)),
        ("not present", 0, CODE32 & !PRESENT, free, np(free)),
        ("same level", 0, CODE32, free, Led::Through),
        ("conforming", 3, CODE32 | CONFORMING, free | 3, Led::Through),
    ];
    for (name, level, access, selector, expected) in cases {
        let frame = [TARGET, *selector as u32, 2];
        let (k, led) = iretd(*level, &frame, |k| k.set_descriptor(free, segment(0, 0xF_FFFF, *access)));
        assert_eq!(led, *expected, "{name}");
        if led == Led::Through {
            assert_eq!((k.here(), k.selector(SegReg::Cs)), (TARGET, *selector), "{name}");
            assert_eq!(k.cpu.gpr.get::<u32>(gpr::SP), place::STACKS[*level as usize] + 12, "{name}");
        }
    }
    for selector in [free, free | 3] {
        let dpl = if selector == free { 0x409B } else { 0x40FB };
        let frame = [TARGET, selector as u32, 2, 0x8000, sel::DATA3 as u32];
        let (_, led) = iretd(0, &frame, |k| k.set_descriptor(free, segment(0, TARGET - 1, dpl)));
        assert_eq!(led, gp(0), "beyond the limit");
    }
}

#[test]
fn outer_stacks_are_checked() {
    use rights::*;
    let free = sel::FREE;
    let cases: &[(&str, u16, u16, Led)] = &[
        ("null", 0, 3, gp(0)),
        ("outside the GDT", 0, sel::OUTSIDE | 3, gp(sel::OUTSIDE)),
        ("RPL differs", DATA32 | DPL3, free, gp(free)),
        ("DPL differs", DATA32, free | 3, gp(free)),
        ("read-only", READ_ONLY | DPL3, free | 3, gp(free)),
        ("not present", DATA32 & !PRESENT | DPL3, free | 3, stack_fault(free)),
        ("good", DATA32 | DPL3, free | 3, Led::Through),
    ];
    for (name, access, selector, expected) in cases {
        let frame = [TARGET, sel::CODE3 as u32, 0x202, 0x8765, *selector as u32];
        let (k, led) = iretd(0, &frame, |k| k.set_descriptor(free, segment(0, 0xF_FFFF, *access)));
        assert_eq!(led, *expected, "{name}");
        if led == Led::Through {
            assert_eq!((k.cpu.cpl, k.here(), k.selector(SegReg::Ss)), (3, TARGET, *selector));
            assert_eq!(k.cpu.gpr.get::<u32>(gpr::SP), 0x8765);
            assert_eq!(k.cpu.eflags.bits(), 0x202);
            assert_eq!(k.selector(SegReg::Ds), 0, "inner data segments are taken away");
        }
    }
}

#[test]
fn a_frame_beyond_the_stack_is_a_stack_fault() {
    for (size, selector) in [(12, sel::CODE0), (20, sel::CODE3)] {
        let frame = [TARGET, selector as u32, 2, 0x8000, sel::DATA3 as u32];
        let (_, led) = iretd(0, &frame, |k| {
            let limit = place::STACKS[0] + size - 2;
            k.set_descriptor(sel::FREE, segment(0, limit, 0x4093));
            k.cpu.seg[SegReg::Ss as usize] = k.descriptor(sel::FREE).segment(sel::FREE);
        });
        assert_eq!(led, stack_fault(0));
    }
}

#[test]
fn which_flags_change_depends_on_cpl_and_iopl() {
    let common = bit::ARITHMETIC | bit::TF | bit::DF | bit::NT | bit::RF | bit::AC | bit::ID;
    // (level, IOPL before, flags that an image of all ones sets)
    for (level, iopl, expected) in [
        (0, 0, common | bit::IF | bit::IOPL | bit::VIF | bit::VIP),
        (3, 3, common | bit::IF | bit::IOPL),
        (3, 0, common),
        (1, 0, common),
        (1, 1, common | bit::IF | 1 << 12),
    ] {
        let code = [0x08, 0x29, 0, 0x1B][level as usize];
        let (k, led) = iretd(level, &[TARGET, code, ALL], |k| k.cpu.set_eflags(iopl << 12));
        assert_eq!(led, Led::Through);
        assert_eq!(k.cpu.eflags.bits(), expected | bit::ONE, "level {level}, IOPL {iopl}");
        let (k, _) = iretd(level, &[TARGET, code, 0], |k| k.cpu.set_eflags(ALL & !bit::NT & !bit::TF));
        let kept = ALL & !(common | bit::IF | if level == 0 { bit::IOPL | bit::VIF | bit::VIP } else { 0 });
        assert_eq!(k.cpu.eflags.bits(), kept | bit::ONE, "level {level}, all cleared");
    }
}

#[test]
fn the_16_bit_form_changes_16_flags() {
    let mut k = Kit::protected(0);
    for (n, v) in [0x100, sel::CODE0, 0xFFFF].into_iter().enumerate() {
        k.put16(place::STACKS[0] + n as u32 * 2, v);
    }
    k.cpu.set_eflags(bit::AC | bit::ID);
    assert_eq!(k.one(|a| a.iret()), Led::Through);
    assert_eq!((k.cpu.rip, k.cpu.gpr.get::<u32>(gpr::SP)), (0x100, place::STACKS[0] + 6));
    assert_eq!(k.cpu.eflags.bits(), 0x7FD7 | bit::AC | bit::ID);
}

#[test]
fn vm_in_the_image_counts_at_level_0_only() {
    let frame = [0x100, 0x1B, bit::VM | 2];
    let (k, led) = iretd(3, &frame, |_| {});
    assert_eq!((led, k.cpu.v8086()), (Led::Through, false));
    let (k, led) = iretd(
        0,
        &[0x1234, 0x1000, bit::VM | 0x3202, 0xABCD_8000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000],
        |_| {},
    );
    assert_eq!((led, k.cpu.v8086(), k.cpu.cpl), (Led::Through, true, 3));
    let at = |r: SegReg| k.cpu.seg[r as usize];
    for (r, s) in [
        (SegReg::Cs, 0x1000),
        (SegReg::Ss, 0x2000),
        (SegReg::Es, 0x3000),
        (SegReg::Ds, 0x4000),
        (SegReg::Fs, 0x5000),
        (SegReg::Gs, 0x6000),
    ] {
        assert_eq!(at(r), Segment::v86(s));
    }
    assert_eq!((k.cpu.rip, k.cpu.gpr.get::<u32>(gpr::SP)), (0x1234, 0xABCD_8000));
    assert_eq!(k.cpu.eflags.bits(), bit::VM | 0x3202);
    let (_, led) = iretd(0, &[0x1_0000, 0x1000, bit::VM | 2, 0, 0, 0, 0, 0, 0], |_| {});
    assert_eq!(led, gp(0), "IP beyond 64 KiB");
}

#[test]
fn real_mode() {
    let mut k = Kit::real();
    for (n, v) in [0x10, 0x2000, 0xFFFF].into_iter().enumerate() {
        k.put16(place::STACKS[0] + n as u32 * 2, v);
    }
    assert_eq!(k.one(|a| a.iret()), Led::Through);
    assert_eq!((k.here(), k.cpu.eflags.bits()), (0x2_0010, 0x7FD7));
    let mut k = Kit::real();
    for (n, v) in [0x10, 0x2000, bit::DEFINED].into_iter().enumerate() {
        k.put32(place::STACKS[0] + n as u32 * 4, v);
    }
    assert_eq!(k.one(|a| a.iretd()), Led::Through);
    assert_eq!(k.cpu.eflags.bits(), 0x25_7FD7, "VM, VIF and VIP stay clear");
    let mut k = Kit::real();
    k.put32(place::STACKS[0], 0x1_0000);
    k.check("beyond 64 KiB", Led::To(13, None), |a| a.iretd());
    let mut k = Kit::real();
    k.cpu.gpr.set(gpr::SP, 0xFFFBu32);
    k.check("frame across the end of the stack", Led::To(12, None), |a| a.iret());
}

#[test]
fn virtual_8086_mode() {
    let frame = |k: &mut Kit, flags: u16| {
        for (n, v) in [0x10, 0x2000, flags].into_iter().enumerate() {
            k.put16(place::STACKS[3] + n as u32 * 2, v);
        }
    };
    let mut k = Kit::v86(3);
    frame(&mut k, 0x0FD7);
    assert_eq!(k.one(|a| a.iret()), Led::Through);
    assert_eq!((k.here(), k.cpu.eflags.bits()), (0x2_0010, bit::VM | 0x3FD7), "IOPL stays");
    for level in 0..3 {
        Kit::v86(level).check("IOPL below 3", gp(0), |a| a.iret());
        Kit::v86(level).check("32-bit", gp(0), |a| a.iretd());
        let mut k = Kit::v86(level);
        k.cpu.cr4 = cr4::VME;
        k.check("extensions are for 16 bits", gp(0), |a| a.iretd());
    }
    // (flags popped, VIF and VIP before, outcome: flags after or a fault)
    for (popped, before, after) in [
        (0x0202, 0, Some(bit::VIF)),
        (0x0002, bit::VIF, Some(0)),
        (0x0202, bit::VIP, None),
        (0x0002, bit::VIP | bit::VIF, Some(bit::VIP)),
        (0x0102, 0, None),
    ] {
        let mut k = Kit::v86(0);
        k.cpu.cr4 = cr4::VME;
        k.cpu.set_eflags(bit::VM | bit::IF | before);
        frame(&mut k, popped);
        let led = k.one(|a| a.iret());
        match after {
            Some(flags) => {
                assert_eq!(led, Led::Through);
                assert_eq!(k.cpu.eflags.bits(), bit::VM | bit::IF | bit::ONE | flags, "IF itself stays");
            }
            None => assert_eq!(led, gp(0)),
        }
    }
}

#[test]
fn nmis_are_let_in_even_by_an_iret_that_faults() {
    let mut k = Kit::v86(0);
    k.cpu.nmi_blocked = true;
    k.check("IRET", gp(0), |a| a.iret());
    assert!(!k.cpu.nmi_blocked);
}
