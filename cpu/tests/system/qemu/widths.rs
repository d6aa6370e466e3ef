//! 16-bit and 32-bit code, stacks, gates and operand sizes, mixed; and protection at random.

use super::super::hostile::Random;
use super::compare;
use super::image::{Case, LANDING, Mode};
use super::protection::far;
use crate::kit::{gate, place, rights, segment, sel};
use iced_x86::Code;
use iced_x86::code_asm::*;
use idem86_cpu::state::eflags::bit;

/// How many random cases there are.
const SEEDS: usize = 3000;

/// A stack pointer whose upper half a 16-bit stack must ignore and keep.
const HIGH: u32 = 0xABCD_0000;

/// Segments of 64 KiB at level 0 and 3, 16-bit and 32-bit.
fn with_segments(case: Case) -> Case {
    case.descriptor(sel::FREE, segment(0, 0xFFFF, 0x00F3))
        .descriptor(sel::FREE2, segment(0, 0xFFFF, 0x009B))
        .descriptor(sel::FREE3, segment(0, 0xFFFF, 0x00FB))
        .landing()
}

#[test]
fn interrupts_and_returns_between_widths() {
    let mut cases = Vec::new();
    let stacks0 = [(sel::DATA0, place::STACKS[0]), (sel::DATA16, HIGH | place::STACKS[0])];
    let stacks3 = [(sel::DATA3, place::STACKS[3]), (sel::FREE | 3, HIGH | place::STACKS[3])];
    let codes = [sel::CODE0, sel::FREE2];
    for access in [rights::INTERRUPT16, rights::INTERRUPT32, rights::TRAP16, rights::TRAP32] {
        for code in codes {
            // Within level 0, on both kinds of stack.
            for (stack, top) in stacks0 {
                let name = format!("INT, gate {access:x} to {code:x} on {stack:x}");
                let case = Case::new(&name, Mode::Level(0), |a| {
                    a.mov(eax, stack as u32)?;
                    a.mov(ss, eax)?;
                    a.mov(esp, top)?;
                    a.int(0x10)
                });
                cases.push(with_segments(case).gate(0x10, gate(code, LANDING, access, 0)));
            }
            // From level 3, from both kinds of stack to both.
            for (outer, outer_top) in stacks3 {
                for (inner, inner_top) in stacks0 {
                    let name = format!("INT, gate {access:x} to {code:x}, from {outer:x} to {inner:x}");
                    let case = Case::new(&name, Mode::Level(3), |a| {
                        a.mov(eax, outer as u32)?;
                        a.mov(ss, eax)?;
                        a.mov(esp, outer_top)?;
                        a.int(0x10)
                    });
                    cases.push(
                        with_segments(case)
                            .gate(0x10, gate(code, LANDING, access | rights::DPL3, 0))
                            .put(place::TSS + 4, inner_top)
                            .put(place::TSS + 8, inner as u32),
                    );
                }
            }
        }
    }
    // IRET and RET of both widths from level 0 to level 3 of both widths.
    for code in [sel::CODE3, sel::FREE3 | 3] {
        for (stack, top) in stacks3 {
            for (own, own_top) in stacks0 {
                for wide in [false, true] {
                    for iret in [false, true] {
                        let name = format!("wide {wide}, IRET {iret}, from {own:x} to {code:x} on {stack:x}");
                        let case = Case::new(&name, Mode::Level(0), |a| {
                            a.mov(eax, own as u32)?;
                            a.mov(ss, eax)?;
                            a.mov(esp, own_top)?;
                            let frame = [stack as u32, top, 0x4ED7 & !bit::NT, code as u32, LANDING];
                            for (n, v) in frame.into_iter().enumerate() {
                                if n == 2 && !iret {
                                    continue;
                                }
                                if wide {
                                    a.push(v as i32)?;
                                } else {
                                    let [low, high] = (v as u16).to_le_bytes();
                                    a.db(&[0x66, 0x68, low, high])?;
                                }
                            }
                            match (wide, iret) {
                                (true, true) => a.iretd(),
                                (false, true) => a.iret(),
                                (true, false) => a.db(&[0xCA, 8, 0]),
                                (false, false) => a.db(&[0x66, 0xCA, 8, 0]),
                            }
                        });
                        cases.push(with_segments(case));
                    }
                }
            }
        }
    }
    compare("widths-interrupts", &cases);
}

#[test]
fn calls_between_widths() {
    let mut cases = Vec::new();
    let stacks0 = [(sel::DATA0, place::STACKS[0]), (sel::DATA16, HIGH | place::STACKS[0])];
    let stacks3 = [(sel::DATA3, place::STACKS[3]), (sel::FREE | 3, HIGH | place::STACKS[3])];
    for (own, top) in stacks0 {
        for target in [sel::CODE0, sel::FREE2] {
            for code in [Code::Call_ptr1616, Code::Call_ptr1632, Code::Jmp_ptr1616, Code::Jmp_ptr1632] {
                let name = format!("{code:?} to {target:x} on {own:x}");
                let case = Case::new(&name, Mode::Level(0), |a| {
                    a.mov(eax, own as u32)?;
                    a.mov(ss, eax)?;
                    a.mov(esp, top)?;
                    a.add_instruction(far(code, target, LANDING))
                });
                cases.push(with_segments(case));
            }
        }
    }
    for access in [rights::CALL16, rights::CALL32] {
        for target in [sel::CODE0, sel::FREE2] {
            for (outer, outer_top) in stacks3 {
                for (inner, inner_top) in stacks0 {
                    for parameters in [0, 1, 31] {
                        let name =
                            format!("gate {access:x} to {target:x}, {outer:x} to {inner:x}, {parameters}");
                        let case = Case::new(&name, Mode::Level(3), |a| {
                            a.mov(eax, outer as u32)?;
                            a.mov(ss, eax)?;
                            a.mov(esp, outer_top - 0x100)?;
                            a.add_instruction(far(Code::Call_ptr1632, sel::OUTSIDE - 8, 0))
                        });
                        cases.push(
                            with_segments(case)
                                .descriptor(
                                    sel::OUTSIDE - 8,
                                    gate(target, LANDING, access | rights::DPL3, parameters),
                                )
                                .put(place::TSS + 4, inner_top)
                                .put(place::TSS + 8, inner as u32),
                        );
                    }
                }
            }
        }
    }
    compare("widths-calls", &cases);
}

/// What a random case may load or go to: accessed, without limits, and present where QEMU would take #TS or #NP for
/// #SS.
fn random_descriptor(r: &mut Random) -> u64 {
    let dpl = r.pick(&[0, rights::DPL1, rights::DPL3, rights::DPL3]);
    let size = r.pick(&[0xC000, 0x8000, 0xC000]);
    let kind = r.pick(&[0x91, 0x93, 0x93, 0x99, 0x9B, 0x9B, 0x9D, 0x9F, 0x1B, 0x11, 0x82]);
    match r.below(4) {
        0 => {
            let to = r.pick(&[sel::CODE0, sel::CODE1, sel::CODE3, sel::CONFORMING3, sel::FREE2]);
            gate(to | r.below(4) as u16, LANDING, r.pick(&[0x84, 0x8C]) | dpl, r.below(4) as u8)
        }
        _ => segment(0, 0xF_FFFF, size | kind | dpl),
    }
}

fn random_selector(r: &mut Random) -> u16 {
    const ALL: [u16; 14] = [
        0,
        sel::CODE0,
        sel::DATA0,
        sel::CODE1,
        sel::DATA1,
        sel::CODE3,
        sel::DATA3,
        sel::FREE,
        sel::FREE2,
        sel::FREE3,
        sel::CONFORMING3,
        sel::LOCAL,
        sel::OUTSIDE,
        sel::LDT,
    ];
    r.pick(&ALL) & !3 | r.below(4) as u16
}

/// One random instruction, or a few that belong together.
fn random_code(r: &mut Random, a: &mut CodeAssembler) -> Result<(), iced_x86::IcedError> {
    let s = random_selector(r) as u32;
    match r.below(14) {
        0 => {
            a.mov(eax, s)?;
            a.mov(r.pick(&[ds, es, fs, gs, ss]), eax)
        }
        1 => {
            a.push(s as i32)?;
            a.pop(r.pick(&[ds, es, fs, gs, ss]))
        }
        2 => {
            a.mov(eax, s)?;
            a.lsl(ecx, eax)
        }
        3 => {
            a.mov(eax, s)?;
            a.verr(ax)?;
            a.setz(cl)?;
            a.verw(ax)
        }
        4 => a.add_instruction(far(r.pick(&[Code::Jmp_ptr1632, Code::Jmp_ptr1616]), s as u16, LANDING)),
        5 => a.add_instruction(far(r.pick(&[Code::Call_ptr1632, Code::Call_ptr1616]), s as u16, LANDING)),
        6 | 7 => {
            let iret = r.below(2) == 0;
            a.push(random_selector(r) as i32)?;
            a.push(0xB800)?;
            if iret {
                // Neither TF nor virtual-8086 mode nor a nested task; and QEMU never loads VIF and VIP.
                let flags = bit::DEFINED & !(bit::VM | bit::TF | bit::NT | bit::VIF | bit::VIP);
                a.push((r.next() as u32 & flags) as i32)?;
            }
            a.push(s as i32)?;
            a.push(LANDING as i32)?;
            if iret { a.iretd() } else { a.retf() }
        }
        8 => a.int(r.pick(&[0x10, 0x11, 3, 0x40])),
        9 => {
            a.push((r.next() as u32 & bit::DEFINED & !(bit::TF | bit::NT)) as i32)?;
            a.popfd()?;
            a.pushfd()?;
            a.pop(ecx)
        }
        10 => {
            a.mov(eax, s)?;
            a.mov(ecx, random_selector(r) as u32)?;
            a.arpl(ax, cx)
        }
        11 => a.cli(),
        12 => a.in_(al, 0x80),
        _ => a.mov(edx, r.pick(&[ds, es, fs, gs, ss, cs])),
    }
}

#[test]
fn protection_at_random() {
    let mut r = Random(0x5EED);
    let mut cases = Vec::new();
    for n in 0..SEEDS {
        let mode = r.pick(&[Mode::Level(0), Mode::Level(1), Mode::Level(3), Mode::Level(3)]);
        let count = 1 + r.below(3);
        let mut case =
            Case::new(&format!("random {n}"), mode, |a| (0..count).try_for_each(|_| random_code(&mut r, a)));
        for s in [sel::FREE, sel::FREE2, sel::FREE3] {
            case = case.descriptor(s, random_descriptor(&mut r));
        }
        for v in [0x10, 0x11] {
            let to = random_selector(&mut r);
            let access = r.pick(&[0x86, 0x87, 0x8E, 0x8F]) | r.pick(&[0, rights::DPL1, rights::DPL3]);
            case = case.gate(v, gate(to, LANDING, access, 0));
        }
        cases.push(case.flags((r.below(4) as u32) << 12).landing());
    }
    compare("random", &cases);
}
