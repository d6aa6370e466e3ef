//! Segments, gates, privilege levels.

use super::compare;
use super::image::{Case, LANDING, Mode};
use crate::kit::{gate, place, rights, segment, sel};
use iced_x86::code_asm::*;
use iced_x86::{Code, IcedError, Instruction};
use idem86_cpu::state::eflags::bit;

const LEVELS: [Mode; 3] = [Mode::Level(0), Mode::Level(1), Mode::Level(3)];
const ENDS: [Mode; 2] = [Mode::Level(0), Mode::Level(3)];

pub fn far(code: Code, selector: u16, offset: u32) -> Instruction {
    Instruction::with_far_branch(code, selector, offset).expect("far branch")
}

/// Raw bytes.
pub fn bytes(name: &str, mode: Mode, bytes: &'static [u8]) -> Case {
    Case::new(name, mode, |a| a.db(bytes))
}

#[test]
fn exceptions() {
    let mut cases = Vec::new();
    for mode in LEVELS {
        cases.extend([
            Case::new("nothing", mode, |a| a.nop()),
            Case::new("UD2", mode, |a| a.ud2()),
            Case::new("INT3", mode, |a| a.int3()),
            Case::new("INTO", mode, |a| a.into()),
            Case::new("INTO with OF", mode, |a| a.into()).flags(bit::OF),
            Case::new("INT 0Dh", mode, |a| a.int(13)),
            Case::new("INT 80h beyond the limit", mode, |a| a.int(0x80)),
            Case::new("DIV by zero", mode, |a| {
                a.xor(ecx, ecx)?;
                a.div(ecx)
            }),
            Case::new("IDIV overflow", mode, |a| {
                a.mov(ecx, -1)?;
                a.mov(edx, 0x8000_0000u32)?;
                a.idiv(ecx)
            }),
            Case::new("BOUND", mode, |a| a.bound(eax, qword_ptr(place::DATA))),
            bytes("LOCK NOP", mode, &[0xF0, 0x90]),
            bytes("MOV CS", mode, &[0x8E, 0xC8]),
            bytes(
                "15 bytes",
                mode,
                &[0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90],
            ),
            bytes(
                "16 bytes",
                mode,
                &[
                    0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                    0x90,
                ],
            ),
            bytes("CLI", mode, &[0xFA]),
            bytes("STI", mode, &[0xFB]).flags(3 << 12),
            bytes("IN", mode, &[0xE4, 0x80]),
            bytes("CLTS", mode, &[0x0F, 0x06]),
            bytes("MOV EAX, CR0", mode, &[0x0F, 0x20, 0xC0]),
            bytes("MOV EAX, DR7", mode, &[0x0F, 0x21, 0xF8]),
            bytes("SMSW EAX", mode, &[0x0F, 0x01, 0xE0]),
            bytes("STR EAX", mode, &[0x0F, 0x00, 0xC8]),
            bytes("PUSHFD", mode, &[0x9C, 0x58]).flags(bit::NT | bit::CF),
        ]);
        for access in [0x8E, 0x8F, 0x86, 0x87, 0x0E, 0x85, 0x8C, 0x89, 0x80, 0x93, 0xEE, 0xEF, 0xE6, 0xE7] {
            for selector in [
                sel::CODE0,
                0,
                sel::OUTSIDE,
                sel::DATA0,
                sel::CODE3,
                sel::CONFORMING0,
                sel::CONFORMING3,
                sel::CODE1,
                sel::LOCAL,
            ] {
                // A task gate to the LDT: QEMU raises #TS, the manual #GP.
                if access == 0x85 && selector == sel::LOCAL {
                    continue;
                }
                let d = gate(selector, LANDING, access, 0);
                let name = format!("INT 10h, gate {access:x} to {selector:x}");
                cases.push(Case::new(&name, mode, |a| a.int(0x10)).gate(0x10, d).landing());
                let name = format!("UD2, gate {access:x} to {selector:x}");
                cases.push(Case::new(&name, mode, |a| a.ud2()).gate(6, d).landing());
            }
        }
    }
    compare("exceptions", &cases);
}

#[test]
fn inner_stacks() {
    let mut cases = Vec::new();
    for access in (0..=0xFFu16).filter(|a| a & 0x60 == 0 || a & 0x1F == 0x13) {
        // QEMU raises #TS where the stack is not present (the manual: #SS), checks no limits (an expand-down stack
        // has no room here), and does not set the accessed bit.
        let writable = access & 0x1A == 0x12;
        if writable && (access & 0x84 != 0x80 || access & 1 == 0) {
            continue;
        }
        // The stack is that of level 1, for a handler at level 1; those of the faults are at level 0.
        for rpl in [0, 1] {
            let name = format!("stack {access:x}, RPL {rpl}");
            cases.push(
                Case::new(&name, Mode::Level(3), |a| a.int(0x10))
                    .gate(0x10, gate(sel::CODE1, LANDING, rights::INTERRUPT32 | rights::DPL3, 0))
                    .descriptor(sel::FREE, segment(0, 0xF_FFFF, access | 0xC020))
                    .put(place::TSS + 16, (sel::FREE | rpl) as u32)
                    .landing(),
            );
        }
    }
    compare("inner-stacks", &cases);
}

#[test]
fn segment_loads() {
    type Code = dyn Fn(&mut CodeAssembler) -> Result<(), IcedError>;
    let mut cases = Vec::new();
    for mode in ENDS {
        for access in 0..=0xFFu16 {
            for rpl in [0, 3] {
                let case = |name: &str, code: &Code| {
                    Case::new(&format!("{name}, rights {access:x}, RPL {rpl}"), mode, code)
                        .descriptor(sel::FREE, segment(0, 0xF_FFFF, access | 0xC000))
                        .eax((sel::FREE | rpl) as u32)
                };
                cases.push(case("MOV DS", &|a| a.mov(ds, eax)));
                if matches!(access & 0x60, 0x20 | 0x40) {
                    continue;
                }
                // QEMU checks no limits, and an expand-down stack has no room here.
                if access & 0x1E != 0x16 {
                    cases.push(case("MOV SS", &|a| a.mov(ss, eax)));
                }
                cases.push(case("LSL", &|a| a.lsl(edx, eax)));
                // QEMU leaves the limit's bits out of what LAR shows; processors do not.
                cases.push(case("LAR", &|a| {
                    a.lar(ecx, eax)?;
                    a.mov(dl, cl)?;
                    a.setz(al)?;
                    a.and(ecx, 0xF0_FF00)?;
                    a.cmp(al, 1)
                }));
                cases.push(case("VERR, VERW", &|a| {
                    a.verr(ax)?;
                    a.setz(cl)?;
                    a.verw(ax)
                }));
            }
        }
        for selector in [0, 3, sel::OUTSIDE, sel::LOCAL, sel::LOCAL_OUTSIDE, sel::LOCAL_FREE, 0xFFFF] {
            for n in 0..7 {
                let name = format!("selector {selector:x}, {n}");
                let case = Case::new(&name, mode, |a| match n {
                    0 => a.mov(ds, eax),
                    1 => a.mov(ss, eax),
                    2 => a.lsl(ecx, eax),
                    3 => a.verr(ax),
                    4 => a.lldt(ax),
                    // QEMU loads a null selector here.
                    5 if selector > 3 => a.ltr(ax),
                    5 => a.nop(),
                    _ => a.mov(gs, eax),
                });
                cases.push(case.eax(selector as u32));
            }
        }
    }
    for access in 0..=0xFFu16 {
        let d = segment(place::LDT, 0x67, access);
        for load_task in [false, true] {
            let name = format!("LLDT or LTR {load_task}, rights {access:x}");
            let case = Case::new(&name, Mode::Level(0), |a| if load_task { a.ltr(ax) } else { a.lldt(ax) });
            cases.push(case.descriptor(sel::FREE, d).eax(sel::FREE as u32));
        }
    }
    compare("segment-loads", &cases);
}

#[test]
fn far_transfers() {
    let mut cases = Vec::new();
    for mode in ENDS {
        for access in 0..=0xFFu16 {
            // Gates would lead anywhere; they have cases of their own.
            if matches!(access & 0x1F, 1 | 3 | 4 | 5 | 9 | 11 | 12) {
                continue;
            }
            // QEMU does not set the accessed bit of code segments.
            if access & 0x19 == 0x18 {
                continue;
            }
            for rpl in [0, 3] {
                let selector = sel::FREE | rpl;
                let d = segment(0, 0xF_FFFF, access | 0xC000);
                for code in [Code::Jmp_ptr1632, Code::Call_ptr1632, Code::Call_ptr1616] {
                    let name = format!("{code:?}, rights {access:x}, RPL {rpl}");
                    let case = Case::new(&name, mode, |a| a.add_instruction(far(code, selector, LANDING)));
                    cases.push(case.descriptor(sel::FREE, d).landing());
                }
                for iret in [false, true] {
                    let name = format!("RET or IRET {iret}, rights {access:x}, RPL {rpl}");
                    let case = Case::new(&name, mode, |a| {
                        a.push(sel::DATA3 as i32)?;
                        a.push(0xB800)?;
                        if iret {
                            a.push(0x24_0AD7)?;
                        }
                        a.push(selector as i32)?;
                        a.push(LANDING as i32)?;
                        if iret { a.iretd() } else { a.retf() }
                    });
                    cases.push(case.descriptor(sel::FREE, d).landing());
                }
            }
        }
    }
    // Stacks of outer returns. QEMU checks no limits, does not set the accessed bit, and raises #NP for #SS.
    for access in (0..=0xFFu16).filter(|a| a & 0x1F != 0x12 && a & 0x1E != 0x16 && a & 0xFE != 0x72) {
        let name = format!("RET to stack {access:x}");
        let case = Case::new(&name, Mode::Level(0), |a| {
            a.push((sel::FREE | 3) as i32)?;
            a.push(0xB800)?;
            a.push(0x1111)?;
            a.push(0x2222)?;
            a.push(sel::CODE3 as i32)?;
            a.push(LANDING as i32)?;
            a.retf_1(8)
        });
        cases.push(case.descriptor(sel::FREE, segment(0, 0xF_FFFF, access | 0xC000)).landing());
    }
    compare("far-transfers", &cases);
}

#[test]
fn call_gates() {
    let mut cases = Vec::new();
    for mode in LEVELS {
        for access in [0x8C, 0xEC, 0x84, 0xE4, 0x0C, 0x6C] {
            let targets = [
                0,
                sel::CODE0,
                sel::CODE1,
                sel::CODE3,
                sel::CONFORMING0,
                sel::CONFORMING3,
                sel::DATA0,
                sel::OUTSIDE,
                sel::TSS,
            ];
            for (n, target) in targets.into_iter().enumerate() {
                for code in [Code::Jmp_ptr1632, Code::Call_ptr1632] {
                    for rpl in [0, 3] {
                        // QEMU changes CPL where the manual says that conforming code keeps it.
                        let is_call = code == Code::Call_ptr1632;
                        if target == sel::CONFORMING0 && mode != Mode::Level(0) && is_call {
                            continue;
                        }
                        let name = format!("{code:?} by {access:x} to {target:x}, RPL {rpl}");
                        let case = Case::new(&name, mode, |a| {
                            a.push(0x1111)?;
                            a.push(0x2222)?;
                            a.push(0x3333)?;
                            a.add_instruction(far(code, sel::FREE | rpl, 0))
                        });
                        let d = gate(target, LANDING, access, n as u8 % 4);
                        cases.push(case.descriptor(sel::FREE, d).landing());
                    }
                }
            }
        }
    }
    compare("call-gates", &cases);
}
