//! Virtual-8086 mode, control registers, tasks, paging, debugging.

use super::compare;
use super::image::{Case, LANDING, Mode, PAGE, paged};
use super::protection::{bytes, far};
use crate::kit::{gate, place, rights, sel};
use iced_x86::Code;
use iced_x86::code_asm::{cr0 as CR0, cr4 as CR4, dr7 as DR7, *};
use idem86_cpu::state::eflags::bit;

const ENDS: [Mode; 2] = [Mode::Level(0), Mode::Level(3)];

/// Instructions in virtual-8086 mode. QEMU checks no limits of 64 KiB, so none goes beyond.
const V86: &[(&str, &[u8])] = &[
    ("CLI", &[0xFA]),
    ("STI", &[0xFB]),
    ("PUSHF", &[0x9C, 0x5B]),
    ("PUSHFD", &[0x66, 0x9C, 0x66, 0x5B]),
    ("POPF", &[0x68, 0xFF, 0x0E, 0x9D]),
    ("POPFD", &[0x66, 0x68, 0xD7, 0x0E, 0x24, 0x00, 0x66, 0x9D]),
    ("INT 40h", &[0xCD, 0x40]),
    ("INT 10h", &[0xCD, 0x10]),
    ("INT3", &[0xCC]),
    ("HLT", &[0xF4]),
    ("IN", &[0xE4, 0x60]),
    ("OUT", &[0xE6, 0x80]),
    ("MOV EAX, CR0", &[0x0F, 0x20, 0xC0]),
    ("MOV DR0", &[0x0F, 0x23, 0xC0]),
    ("LLDT", &[0x0F, 0x00, 0xD0]),
    ("STR", &[0x0F, 0x00, 0xC8]),
    ("LAR", &[0x0F, 0x02, 0xC0]),
    ("VERR", &[0x0F, 0x00, 0xE0]),
    ("ARPL", &[0x63, 0xC0]),
    ("SGDT", &[0x0F, 0x01, 0x06, 0x00, 0x60]),
    ("LGDT", &[0x0F, 0x01, 0x16, 0x00, 0x60]),
    ("SMSW", &[0x0F, 0x01, 0xE0]),
    ("LMSW", &[0x0F, 0x01, 0xF0]),
    ("CLTS", &[0x0F, 0x06]),
    ("WBINVD", &[0x0F, 0x09]),
    ("RDMSR", &[0x0F, 0x32]),
    ("MOV DS", &[0x8E, 0xD8]),
    ("MOV SS", &[0x8E, 0xD0, 0x90]),
    ("POP ES", &[0x07]),
    ("LES", &[0xC4, 0x1E, 0x00, 0x01]),
    ("CALL far", &[0x9A, 0, 0, 0, 0x06]),
    ("JMP far", &[0xEA, 0, 0, 0, 0x06]),
    ("JMP far, 32-bit", &[0x66, 0xEA, 0, 0, 0, 0, 0, 0x06]),
    ("RETF", &[0x68, 0, 6, 0x6A, 0, 0xCB]),
    ("IRET", &[0x68, 0xD7, 0x0E, 0x68, 0, 6, 0x6A, 0, 0xCF]),
    ("IRETD", &[0x66, 0x68, 0xD7, 0x0E, 0x24, 0, 0x66, 0x68, 0, 6, 0, 0, 0x66, 0x6A, 0, 0x66, 0xCF]),
    ("SYSENTER", &[0x0F, 0x34]),
    ("UD2", &[0x0F, 0x0B]),
];

#[test]
fn virtual_8086_mode() {
    let mut cases = Vec::new();
    for iopl in 0..4 {
        for (name, code) in V86 {
            for vme in [false, true] {
                // QEMU has no virtual interrupt flag in virtual-8086 mode.
                if vme && iopl < 3 && matches!(*name, "CLI" | "STI" | "PUSHF" | "POPF" | "IRET") {
                    continue;
                }
                for flags in [0, bit::IF, bit::VIF, bit::VIP, bit::VIP | bit::VIF] {
                    let name = format!("{name}, VME {vme}, flags {flags:x}");
                    let mut case = bytes(&name, Mode::V86(iopl), code).flags(flags);
                    if vme {
                        case = case.setup(|a| {
                            a.mov(eax, 1)?;
                            a.mov(CR4, eax)
                        });
                    }
                    cases.push(case.landing());
                }
            }
        }
    }
    compare("v86", &cases);
}

/// Loads an MSR (with a value below 4 GiB) in a case's setup.
fn wrmsr(case: Case, n: u32, value: u32) -> Case {
    case.setup(|a| {
        a.xor(edx, edx)?;
        a.mov(ecx, n)?;
        a.mov(eax, value)?;
        a.wrmsr()
    })
}

#[test]
fn privileged_instructions() {
    let mode = Mode::Level(0);
    let mut cases = Vec::new();
    for bit in 0..32 {
        // Paging is turned on elsewhere. QEMU keeps bits that do not exist, and lets NW stand without CD.
        if idem86_cpu::state::control::cr0::WRITABLE >> bit & 1 != 0 && bit != 31 && bit != 29 {
            let case = Case::new(&format!("CR0 bit {bit}"), mode, |a| {
                a.mov(CR0, eax)?;
                a.mov(ecx, CR0)
            });
            cases.push(case.eax(0x11 | 1 << bit));
        }
        // QEMU does not fault on bits that do not exist.
        if bit > 10 {
            continue;
        }
        let case = Case::new(&format!("CR4 bit {bit}"), mode, |a| {
            a.mov(CR4, eax)?;
            a.mov(ecx, CR4)
        });
        cases.push(case.eax(1 << bit));
    }
    let sysenter = Case::new("SYSENTER", Mode::Level(3), |a| a.sysenter());
    cases.extend([
        Case::new("NW with CD", mode, |a| a.mov(CR0, eax)).eax(0x6000_0011),
        Case::new("LMSW does not clear PE", mode, |a| a.lmsw(ax)).eax(0),
        Case::new("LMSW", mode, |a| a.lmsw(ax)).eax(0xFFFF),
        Case::new("CLTS", mode, |a| {
            a.lmsw(ax)?;
            a.clts()
        })
        .eax(0xFFFF),
        Case::new("MOV CR2", mode, |a| {
            a.mov(cr2, eax)?;
            a.mov(ecx, cr2)
        }),
        Case::new("SGDT", mode, |a| {
            a.sub(esp, 8)?;
            a.sgdt(fword_ptr(esp))?;
            a.mov(eax, dword_ptr(esp))?;
            a.mov(ecx, dword_ptr(esp + 4))
        }),
        Case::new("SLDT, STR", mode, |a| {
            a.sldt(eax)?;
            a.str(ecx)
        }),
        wrmsr(Case::new("SYSENTER without CS", Mode::Level(3), |a| a.sysenter()), 0x174, 0),
        wrmsr(Case::new("SYSEXIT without CS", mode, |a| a.sysexit()), 0x174, 0),
        wrmsr(Case::new("SYSEXIT at level 3", Mode::Level(3), |a| a.sysexit()), 0x174, 8),
        wrmsr(
            Case::new("SYSEXIT", mode, |a| {
                a.mov(ecx, 0xB000)?;
                a.mov(edx, LANDING)?;
                a.sysexit()
            }),
            0x174,
            8,
        ),
        wrmsr(wrmsr(wrmsr(sysenter, 0x174, sel::CODE0 as u32), 0x175, 0x8F00), 0x176, LANDING),
        Case::new("POPFD and PUSHFD", mode, |a| {
            a.push(0x3F_7FD5 & !0x2_0100)?;
            a.popfd()?;
            a.pushfd()?;
            a.pop(ecx)?;
            a.push(2)?;
            a.popfd()
        }),
        Case::new("IRET to virtual-8086 mode", mode, |a| {
            for v in [4, 3, 2, 1, 0, 0x8000, 0x2_3202, LANDING as i32 >> 4, 0] {
                a.push(v)?;
            }
            a.iretd()
        }),
    ]);
    for (n, value) in [(0x277u32, 7u32), (0xC000_0080, 1 << 11), (0x175, 0x1234_5678), (0x17, 0)] {
        let case = Case::new(&format!("RDMSR {n:x}"), mode, |a| {
            a.mov(ecx, n)?;
            a.rdmsr()
        });
        let case = if n == 0x17 { case } else { wrmsr(case, n, value) };
        cases.push(case);
    }
    let cases: Vec<_> = cases.into_iter().map(Case::landing).collect();
    compare("privileged", &cases);
}

/// The fields of the task that is switched to.
const TASK: [(u32, u32); 17] = [
    (0x20, LANDING),
    (0x24, 0x202),
    (0x28, 0xA0A0_A0A0),
    (0x2C, 0xA1A1_A1A1),
    (0x30, 0xA2A2_A2A2),
    (0x34, 0xA3A3_A3A3),
    (0x38, 0x8C00),
    (0x3C, 0xA5A5_A5A5),
    (0x40, 0xA6A6_A6A6),
    (0x44, 0xA7A7_A7A7),
    (0x48, sel::DATA0 as u32),
    (0x4C, sel::CODE0 as u32),
    (0x50, sel::DATA0 as u32),
    (0x54, sel::DATA3 as u32),
    (0x58, 0),
    (0x5C, sel::LOCAL as u32),
    (0x60, sel::LDT as u32),
];

/// Fills the task in, with one field changed.
fn task(case: Case, wrong: Option<(u32, u32)>) -> Case {
    TASK.into_iter().fold(case.landing(), |case, (at, v)| {
        case.put(place::TSS32 + at, wrong.filter(|w| w.0 == at).map_or(v, |w| w.1))
    })
}

#[test]
fn task_switches() {
    let mut wrongs = vec![None];
    for at in [0x48, 0x54, 0x5C] {
        for s in [sel::OUTSIDE, sel::LDT, sel::DATA0 | 3, sel::CODE3, sel::CONFORMING0, sel::LOCAL_OUTSIDE, 3]
        {
            wrongs.push(Some((at, s as u32)));
        }
    }
    wrongs.push(Some((0x24, 0x0)));
    wrongs.push(Some((0x24, 0x24_4ED7)));
    let mut cases = Vec::new();
    for wrong in wrongs {
        let case = Case::new(&format!("#GP to task, {wrong:x?}"), Mode::Level(3), |a| a.mov(ds, ax));
        let case = task(case, wrong).eax(sel::OUTSIDE as u32);
        cases.push(case.gate(13, gate(sel::TSS32, 0, rights::TASK_GATE, 0)));
        // QEMU reports an EIP of the old task for faults of the new one.
        if wrong.is_some_and(|w| matches!(w.0, 0x48..0x60)) {
            continue;
        }
        for code in [Code::Jmp_ptr1632, Code::Call_ptr1632] {
            let name = format!("{code:?} to task, {wrong:x?}");
            let case = Case::new(&name, Mode::Level(0), |a| a.add_instruction(far(code, sel::TSS32, 0)));
            cases.push(task(case, wrong));
        }
        let case = Case::new(&format!("INT to task, {wrong:x?}"), Mode::Level(3), |a| a.int(0x10));
        cases.push(task(case, wrong).gate(0x10, gate(sel::TSS32, 0, rights::TASK_GATE | rights::DPL3, 0)));
    }
    // There and back: the landing's code returns, and the caller ends the case.
    let case = Case::new("CALL, IRET", Mode::Level(0), |a| {
        a.add_instruction(far(Code::Call_ptr1632, sel::TSS32, 0))
    });
    cases.push(task(case, None).put(LANDING, 0x40CD_90CF));
    for link in [0, sel::OUTSIDE, sel::LOCAL, sel::TSS32, sel::DATA0] {
        let case = Case::new(&format!("IRET to {link:x}"), Mode::Level(0), |a| a.iretd());
        cases.push(task(case, None).put(place::TSS, link as u32).flags(bit::NT));
    }
    compare("tasks", &cases);
}

/// Turns paging on in a case's setup: an upper and a lower entry (low and high halves) lead to 1 GiB + 6000h.
fn paged(case: Case, pae: bool, wp: bool, nx: bool, upper: (u32, u32), lower: (u32, u32)) -> Case {
    let case = wrmsr(case, 0xC000_0080, if nx { 0x800 } else { 0 });
    let (directory, table, pointer, size) = match pae {
        false => (paged::DIRECTORY + 0x400, paged::TABLE, paged::DIRECTORY, 4),
        true => (paged::PAE_DIRECTORY, paged::PAE_TABLE, paged::POINTERS, 8),
    };
    case.setup(|a| {
        a.mov(eax, PAGE)?;
        a.call(eax)?;
        a.mov(dword_ptr(directory), upper.0)?;
        a.mov(dword_ptr(table + 6 * size), lower.0)?;
        if pae {
            a.mov(dword_ptr(directory + 4), upper.1)?;
            a.mov(dword_ptr(table + 6 * size + 4), lower.1)?;
        }
        a.mov(dword_ptr(0x6123), 0x40CD_9090u32)?;
        a.mov(eax, if pae { 0x20 } else { 0x10 })?;
        a.mov(CR4, eax)?;
        a.mov(eax, pointer)?;
        a.mov(cr3, eax)?;
        a.mov(eax, if wp { 0x8001_0011u32 } else { 0x8000_0011 })?;
        a.mov(CR0, eax)
    })
    .ebx(LINEAR)
}

const LINEAR: u32 = 0x4000_6123;

/// Accesses to the page under test. Read-modify-write is not among them: QEMU makes a read of it, processors a write.
fn accesses(name: &str, mode: Mode) -> [Case; 3] {
    ["read", "write", "fetch"].map(|kind| {
        Case::new(&format!("{kind}, {name}"), mode, |a| match kind {
            "read" => a.mov(eax, dword_ptr(LINEAR)),
            "write" => a.mov(dword_ptr(LINEAR), 0x40CD_9090u32),
            _ => a.jmp(ebx),
        })
    })
}

#[test]
fn paging() {
    let mut cases = Vec::new();
    for pae in [false, true] {
        let table = if pae { paged::PAE_TABLE } else { paged::TABLE };
        for entries in 0..64u32 {
            let (upper, lower) = (entries & 7, entries >> 3);
            for mode in ENDS {
                for wp in [false, true] {
                    let name = format!("PAE {pae}, entries {upper} {lower}, WP {wp}");
                    let all = accesses(&name, mode);
                    let with = |c| paged(c, pae, wp, false, (table | upper, 0), (0x6000 | lower, 0));
                    cases.extend(all.map(with));
                }
            }
        }
    }
    compare("paging", &cases);
}

#[test]
fn large_pages_reserved_bits_and_execute_disable() {
    let table = paged::PAE_TABLE;
    let mut entries = Vec::new();
    for rights in 0..8 {
        entries.push((false, (0x80 | rights, 0), (0, 0)));
        entries.push((true, (0x80 | rights, 0), (0, 0)));
        entries.push((true, (0x80 | rights, 0x8000_0000), (0, 0)));
        entries.push((true, (rights | table, 0x8000_0000), (0x6007, 0)));
        entries.push((true, (7 | table, 0), (0x6000 | rights, 0x8000_0000)));
    }
    for bit in 13..21 {
        entries.push((true, (0x87 | 1 << bit, 0), (0, 0)));
    }
    for bit in [8, 16, 19, 30] {
        entries.push((true, (0x87, 1 << bit), (0, 0)));
        entries.push((true, (7 | table, 1 << bit), (0x6007, 0)));
        entries.push((true, (7 | table, 0), (0x6007, 1 << bit)));
    }
    let mut cases = Vec::new();
    for (pae, upper, lower) in entries {
        for mode in ENDS {
            for nx in [false, true] {
                let all = accesses(&format!("PAE {pae}, {upper:x?} {lower:x?}, NX {nx}"), mode);
                cases.extend(all.map(|c| paged(c, pae, true, nx, upper, lower)));
            }
        }
    }
    compare("large-pages", &cases);
}

#[test]
fn debug_exceptions() {
    let mut cases = Vec::new();
    for mode in ENDS {
        let stack = if mode == Mode::Level(0) { sel::DATA0 } else { sel::DATA3 } as u32;
        cases.extend([
            Case::new("single step", mode, |a| a.nop()).flags(bit::TF),
            Case::new("single step of INT", mode, |a| a.int(0x40)).flags(bit::TF),
            Case::new("single step of a fault", mode, |a| a.ud2()).flags(bit::TF),
            Case::new("single step of POPF", mode, |a| {
                a.push(2)?;
                a.popfd()
            })
            .flags(bit::TF),
            Case::new("POPF sets TF", mode, |a| {
                a.push(0x102)?;
                a.popfd()?;
                a.nop()?;
                a.nop()
            }),
            Case::new("single step of REP", mode, |a| {
                a.rep().stosb()?;
                a.nop()
            })
            .flags(bit::TF)
            .edi(LANDING),
            Case::new("stepping over a stack load", mode, |a| {
                a.mov(ss, eax)?;
                a.nop()?;
                a.nop()
            })
            .flags(bit::TF)
            .eax(stack),
        ]);
        for (rw, len) in [(0, 0), (1, 0), (1, 1), (1, 3), (3, 0), (3, 1), (3, 3)] {
            for kind in ["read", "write", "modify", "fetch", "push"] {
                for offset in [0u32, 1, 3, 4] {
                    // QEMU takes a write that begins behind the breakpoint for a hit.
                    if (kind, offset) == ("write", 4) {
                        continue;
                    }
                    let watched = match kind {
                        "fetch" => LANDING,
                        "push" => 0xB000,
                        _ => 0x6100,
                    };
                    let name = format!("{kind} at {offset}, R/W {rw}, LEN {len}");
                    let case = Case::new(&name, mode, |a| match kind {
                        "read" => a.mov(al, byte_ptr(watched + offset)),
                        "write" => a.mov(word_ptr(watched - 1 + offset), cx),
                        "modify" => a.inc(byte_ptr(watched + offset)),
                        "fetch" => a.jmp(ebx),
                        _ => {
                            a.lea(esp, dword_ptr(watched + 4 - offset))?;
                            a.push(eax)?;
                            a.nop()
                        }
                    });
                    let case = case.landing().ebx(LANDING + offset);
                    cases.push(case.setup(|a| {
                        a.mov(eax, watched)?;
                        a.mov(dr2, eax)?;
                        a.mov(eax, 0x410u32 | (rw | len << 2) << 24)?;
                        a.mov(DR7, eax)
                    }));
                }
            }
        }
    }
    compare("debug", &cases);
}
