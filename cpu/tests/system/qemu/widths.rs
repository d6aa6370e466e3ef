//! 16-bit and 32-bit code, stacks, gates and operand sizes, mixed; and protection at random.

use super::compare;
use super::image::{Case, LANDING, Mode};
use super::protection::far;
use crate::kit::{gate, place, rights, segment, sel};
use iced_x86::Code;
use iced_x86::code_asm::*;
use idem86_cpu::state::eflags::bit;

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
