//! Task switches. SDM Vol. 3A, "Task Management": the table "Exception Conditions Checked During a Task Switch", and
//! what a switch saves and loads.

use crate::kit::*;
use iced_x86::{Code, Instruction};
use idem86_cpu::state::control::{cr0, cr4, dr6};
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::{SegReg, Segment};

const TARGET: u32 = place::CODE + 0x800;
const NEW_STACK: u32 = 0x8800;

/// Fields of a 32-bit TSS.
mod field {
    pub const CR3: u32 = 0x1C;
    pub const EIP: u32 = 0x20;
    pub const EFLAGS: u32 = 0x24;
    pub const EAX: u32 = 0x28;
    pub const ESP: u32 = 0x38;
    pub const ES: u32 = 0x48;
    pub const CS: u32 = 0x4C;
    pub const SS: u32 = 0x50;
    pub const DS: u32 = 0x54;
    pub const FS: u32 = 0x58;
    pub const GS: u32 = 0x5C;
    pub const LDT: u32 = 0x60;
    pub const TRAP: u32 = 0x64;
}

fn far(code: Code, selector: u16) -> Instruction {
    Instruction::with_far_branch(code, selector, 0xDEAD).expect("far branch")
}

/// Fills the 32-bit TSS at `at` with a task at level 0.
fn fill(k: &mut Kit, at: u32) {
    for (n, v) in [TARGET, bit::CF | bit::ONE, 1, 2, 3, 4, NEW_STACK, 6, 7, 8].into_iter().enumerate() {
        k.put32(at + field::EIP + n as u32 * 4, v);
    }
    for (f, s) in [
        (field::ES, sel::DATA0),
        (field::CS, sel::CODE0),
        (field::SS, sel::DATA0),
        (field::DS, sel::DATA3),
        (field::FS, 0),
        (field::GS, sel::DATA3),
        (field::LDT, sel::LDT),
    ] {
        k.put32(at + f, s as u32);
    }
}

/// A machine at level 0 with the 32-bit task filled in.
fn machine() -> Kit {
    let mut k = Kit::protected(0);
    fill(&mut k, place::TSS32);
    for r in 0..8u8 {
        if r != gpr::SP {
            k.cpu.gpr.set(r, 0xA0 + r as u32);
        }
    }
    k
}

fn busy(k: &Kit, selector: u16) -> bool {
    k.descriptor(selector).access().0 & rights::BUSY != 0
}

#[test]
fn jmp_saves_the_old_task_and_loads_the_new_one() {
    let mut k = machine();
    k.cpu.set_eflags(bit::SF);
    assert_eq!(k.one(|a| a.add_instruction(far(Code::Jmp_ptr1632, sel::TSS32))), Led::Through);
    let saved: Vec<u32> = (0..10).map(|n| k.get32(place::TSS + field::EIP + n * 4)).collect();
    let top = place::STACKS[0];
    assert_eq!(saved, [place::CODE + 7, bit::SF | 2, 0xA0, 0xA1, 0xA2, 0xA3, top, 0xA5, 0xA6, 0xA7]);
    for f in [field::ES, field::SS, field::DS, field::FS, field::GS] {
        assert_eq!(k.get16(place::TSS + f), sel::DATA0);
    }
    assert_eq!(k.get16(place::TSS + field::CS), sel::CODE0);
    let loaded: Vec<u32> = (0..8).map(|r| k.cpu.gpr.get::<u32>(r)).collect();
    assert_eq!(loaded, [1, 2, 3, 4, NEW_STACK, 6, 7, 8]);
    assert_eq!((k.here(), k.cpu.eflags.bits()), (TARGET, 3), "no nesting");
    assert_eq!((k.selector(SegReg::Ds), k.selector(SegReg::Fs)), (sel::DATA3, 0));
    assert_eq!((k.cpu.tr.selector, k.cpu.ldtr.selector), (sel::TSS32, sel::LDT));
    assert_eq!((busy(&k, sel::TSS), busy(&k, sel::TSS32)), (false, true));
    assert_ne!(k.cpu.cr0 & cr0::TS, 0);
    assert_eq!(k.get16(place::TSS32), 0, "no link");
}

#[test]
fn call_links_the_tasks_and_iret_returns() {
    let mut k = machine();
    assert_eq!(k.one(|a| a.add_instruction(far(Code::Call_ptr1632, sel::TSS32))), Led::Through);
    assert_eq!(k.get16(place::TSS32), sel::TSS);
    assert_eq!(k.cpu.eflags.bits(), 3 | bit::NT);
    assert_eq!((busy(&k, sel::TSS), busy(&k, sel::TSS32)), (true, true));
    k.cpu.cr0 &= !cr0::TS;
    assert_eq!(k.one(|a| a.iretd()), Led::Through);
    assert_eq!(
        (k.here(), k.cpu.tr.selector, k.cpu.gpr.get::<u32>(gpr::AX)),
        (place::CODE + 7, sel::TSS, 0xA0)
    );
    assert_eq!((busy(&k, sel::TSS), busy(&k, sel::TSS32)), (true, false));
    assert_eq!(k.get32(place::TSS32 + field::EFLAGS) & bit::NT, 0, "NT is saved as clear");
    assert_eq!(k.get32(place::TSS32 + field::EIP), TARGET + 1);
    assert_ne!(k.cpu.cr0 & cr0::TS, 0);
}

#[test]
fn task_gates_switch_too() {
    let mut k = machine();
    k.set_descriptor(sel::FREE, gate(sel::TSS32, 0, rights::TASK_GATE, 0));
    assert_eq!(k.one(|a| a.add_instruction(far(Code::Call_ptr1632, sel::FREE))), Led::Through);
    assert_eq!((k.cpu.tr.selector, k.get16(place::TSS32)), (sel::TSS32, sel::TSS));
    let mut k = machine();
    k.set_gate(0x80, gate(sel::TSS32, 0, rights::TASK_GATE, 0));
    assert_eq!(k.one(|a| a.int(0x80)), Led::Through);
    assert_eq!((k.here(), k.get32(place::TSS + field::EIP)), (TARGET, place::CODE + 2));
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::SP), NEW_STACK, "INT pushes nothing");
}

#[test]
fn exceptions_through_task_gates_push_their_error_code_on_the_new_stack() {
    let mut k = machine();
    k.set_gate(13, gate(sel::TSS32, 0, rights::TASK_GATE, 0));
    k.cpu.gpr.set(gpr::AX, sel::OUTSIDE as u32);
    k.bytes(&[0x8E, 0xD8]);
    assert_eq!(k.step(), Led::Through);
    assert_eq!(k.here(), TARGET);
    assert_eq!((k.cpu.gpr.get::<u32>(gpr::SP), k.stack(0)), (NEW_STACK - 4, sel::OUTSIDE as u32));
    assert_eq!(k.get32(place::TSS + field::EIP), place::CODE, "the faulting instruction is saved");
    assert_ne!(k.get32(place::TSS + field::EFLAGS) & bit::RF, 0);
}

#[test]
fn a_double_fault_task_has_a_stack_of_its_own() {
    let mut k = Kit::protected(3);
    fill(&mut k, place::TSS32);
    k.put32(place::TSS + 8, 0);
    k.set_gate(8, gate(sel::TSS32, 0, rights::TASK_GATE, 0));
    k.bytes(&[0x0F, 0x0B]);
    assert_eq!(k.step(), Led::Through);
    assert_eq!((k.here(), k.cpu.tr.selector, k.cpu.cpl), (TARGET, sel::TSS32, 0));
    assert_eq!(k.stack(0), 0, "error code");
}

#[test]
fn a_16_bit_task() {
    let mut k = machine();
    for (n, v) in [0x800u16, 0x0203, 1, 2, 3, 4, 0x8800, 6, 7, 8].into_iter().enumerate() {
        k.put16(place::TSS16 + 0x0E + n as u32 * 2, v);
    }
    for (n, s) in [sel::DATA0, sel::FREE, sel::DATA16, sel::DATA3, sel::LDT].into_iter().enumerate() {
        k.put16(place::TSS16 + 0x22 + n as u32 * 2, s);
    }
    k.set_descriptor(sel::FREE, segment(place::CODE, 0xFFFF, 0x009B));
    k.cpu.set_eflags(bit::AC | bit::ID);
    assert_eq!(k.one(|a| a.add_instruction(far(Code::Call_ptr1632, sel::TSS16))), Led::Through);
    assert_eq!((k.here(), k.cpu.eflags.bits()), (TARGET, 0x203 | bit::NT));
    assert_eq!(k.cpu.gpr.get::<u16>(gpr::SP), 0x8800);
    assert_eq!((k.selector(SegReg::Fs), k.selector(SegReg::Gs)), (0, 0), "a 16-bit task has none");
    assert_eq!(k.get16(place::TSS16), sel::TSS);
    assert_eq!(k.one(|a| a.iret()), Led::Through);
    assert_eq!((k.here(), k.cpu.tr.selector), (place::CODE + 7, sel::TSS));
    assert_eq!(k.get16(place::TSS16 + 0x0E), 0x801);
    assert_eq!(k.get16(place::TSS16 + 0x10), 0x203, "NT is saved as clear");
    assert_eq!(k.cpu.eflags.bits(), bit::AC | bit::ID | 2);
}

#[test]
fn a_task_in_virtual_8086_mode() {
    let mut k = machine();
    k.put32(place::TSS32 + field::EFLAGS, bit::VM | 0x3202);
    k.put32(place::TSS32 + field::EIP, 0x20);
    k.put32(place::TSS32 + field::CS, 0x1234);
    k.put32(place::TSS32 + field::DS, 0xB800);
    assert_eq!(k.one(|a| a.add_instruction(far(Code::Jmp_ptr1632, sel::TSS32))), Led::Through);
    assert_eq!((k.cpu.v8086(), k.cpu.cpl, k.here()), (true, 3, 0x12360));
    assert_eq!(k.cpu.seg[SegReg::Ds as usize], Segment::v86(0xB800));
}

#[test]
fn cr3_is_loaded_with_paging() {
    let mut k = machine();
    k.page();
    // Another directory, whose page tables map the same.
    let other = place::PAGING + 0x3000;
    k.put32(other, k.get32(place::PAGING));
    k.put32(place::TSS32 + field::CR3, other);
    assert_eq!(k.one(|a| a.add_instruction(far(Code::Jmp_ptr1632, sel::TSS32))), Led::Through);
    assert_eq!(k.cpu.cr3, other as u64);
    let mut k = machine();
    k.put32(place::TSS32 + field::CR3, 0x5000);
    assert_eq!(k.one(|a| a.add_instruction(far(Code::Jmp_ptr1632, sel::TSS32))), Led::Through);
    assert_eq!(k.cpu.cr3, 0, "without paging it stays");
}

#[test]
fn page_directory_pointers_are_checked_before_the_switch() {
    let mut k = machine();
    k.page_pae();
    k.put64(place::PAGING + 0x800, 0x1E7);
    k.put32(place::TSS32 + field::CR3, place::PAGING + 0x800);
    k.check("reserved bits", gp(0), |a| a.add_instruction(far(Code::Jmp_ptr1632, sel::TSS32)));
    assert_eq!(k.cpu.tr.selector, sel::TSS);
    assert_ne!(k.cpu.cr4 & cr4::PAE, 0);
}

#[test]
fn the_tss_is_checked_before_anything_changes() {
    use rights::*;
    let (free, tss) = (sel::FREE, sel::TSS32);
    let d = |access: u16, limit| segment(place::TSS32, limit, access);
    // (name, level, descriptor at FREE, selector, what JMP and CALL do)
    let cases: &[(&str, u8, u64, u16, Led)] = &[
        ("DPL below CPL", 3, d(TSS32, 0x67), free, gp(free)),
        ("DPL below RPL", 0, d(TSS32, 0x67), free | 3, gp(free)),
        ("busy", 0, d(TSS32 | BUSY, 0x67), free, gp(free)),
        ("busy, 16-bit", 0, d(TSS16 | BUSY, 0x2B), free, gp(free)),
        ("not present", 0, d(TSS32 & !PRESENT, 0x67), free, np(free)),
        ("busy before presence", 0, d((TSS32 | BUSY) & !PRESENT, 0x67), free, gp(free)),
        ("limit", 0, d(TSS32, 0x66), free, ts(free)),
        ("limit, 16-bit", 0, d(TSS16, 0x2A), free, ts(free)),
        ("in the LDT", 0, 0, sel::LOCAL_FREE, gp(sel::LOCAL_FREE)),
        ("gate DPL below CPL", 3, gate(tss, 0, TASK_GATE, 0), free, gp(free)),
        ("gate DPL below RPL", 0, gate(tss, 0, TASK_GATE, 0), free | 3, gp(free)),
        ("gate not present", 0, gate(tss, 0, TASK_GATE & !PRESENT, 0), free, np(free)),
        ("gate to null", 0, gate(0, 0, TASK_GATE, 0), free, gp(0)),
        ("gate to the LDT", 0, gate(sel::LOCAL_FREE, 0, TASK_GATE, 0), free, gp(sel::LOCAL_FREE)),
        ("gate outside", 0, gate(sel::OUTSIDE, 0, TASK_GATE, 0), free, gp(sel::OUTSIDE)),
        ("gate to a segment", 0, gate(sel::DATA0, 0, TASK_GATE, 0), free, gp(sel::DATA0)),
        ("gate to a busy TSS", 0, gate(sel::TSS, 0, TASK_GATE, 0), free, gp(sel::TSS)),
    ];
    for (name, level, descriptor, selector, expected) in cases {
        for code in [Code::Jmp_ptr1632, Code::Call_ptr1632] {
            let mut k = Kit::protected(*level);
            k.set_descriptor(free, *descriptor);
            k.set_descriptor(sel::LOCAL_FREE, d(TSS32, 0x67));
            k.check(name, *expected, |a| a.add_instruction(far(code, *selector)));
            assert_eq!(k.cpu.tr.selector, sel::TSS, "{name}");
            assert_eq!(k.cpu.cr0 & cr0::TS, 0, "{name}");
        }
    }
    // The gate's DPL counts, not that of the TSS.
    let mut k = Kit::protected(3);
    fill(&mut k, place::TSS32);
    k.set_descriptor(free, gate(tss, 0, TASK_GATE | DPL3, 0));
    assert_eq!(k.one(|a| a.add_instruction(far(Code::Call_ptr1632, free))), Led::Through);
    assert_eq!(k.cpu.cpl, 0);
}

#[test]
fn a_tss_on_a_missing_page_is_a_page_fault_of_the_old_task() {
    // (name, page that is missing, error code, CR2)
    let cases = [("new TSS", place::TSS32, 0, place::TSS32), ("old TSS", place::TSS, 2, place::TSS + 0x20)];
    for (name, missing, error, cr2) in cases {
        let mut k = machine();
        k.page();
        k.put32(k.pte(missing), 0);
        k.cpu.state_changed();
        k.check(name, Led::To(14, Some(error)), |a| a.add_instruction(far(Code::Call_ptr1632, sel::TSS32)));
        assert_eq!((k.cpu.cr2, k.cpu.tr.selector), (cr2 as u64, sel::TSS), "{name}");
        assert!(!busy(&k, sel::TSS32), "{name}");
    }
    // Only the link of CALL needs the new TSS to be writable.
    for (code, expected) in [(Code::Call_ptr1632, Led::To(14, Some(3))), (Code::Jmp_ptr1632, Led::Through)] {
        let mut k = machine();
        k.page();
        k.cpu.cr0 |= cr0::WP;
        k.put32(k.pte(place::TSS32), place::TSS32 | 5);
        k.put32(place::TSS32 + field::CR3, place::PAGING);
        k.cpu.state_changed();
        assert_eq!(k.one(|a| a.add_instruction(far(code, sel::TSS32))), expected);
    }
}

#[test]
fn iret_checks_the_link() {
    use rights::*;
    let cases: &[(&str, u16, u16, Led)] = &[
        ("null", 0, 0, ts(0)),
        ("in the LDT", sel::LOCAL_FREE, TSS32 | BUSY, ts(sel::LOCAL_FREE)),
        ("outside the GDT", sel::OUTSIDE, 0, ts(sel::OUTSIDE)),
        ("not busy", sel::FREE, TSS32, ts(sel::FREE)),
        ("not a TSS", sel::FREE, DATA32, ts(sel::FREE)),
        ("not present", sel::FREE, (TSS32 | BUSY) & !PRESENT, np(sel::FREE)),
        ("limit", sel::FREE2, TSS32 | BUSY, ts(sel::FREE2)),
    ];
    for (name, link, access, expected) in cases {
        let mut k = Kit::protected(0);
        k.put16(place::TSS, *link);
        k.set_descriptor(sel::FREE, segment(place::TSS32, 0x67, *access));
        k.set_descriptor(sel::FREE2, segment(place::TSS32, 0x66, *access));
        k.cpu.set_eflags(bit::NT);
        k.check(name, *expected, |a| a.iretd());
    }
}

#[test]
fn faults_of_the_new_task_find_it_in_place() {
    use rights::*;
    type Change = fn(&mut Kit);
    fn put(k: &mut Kit, f: u32, v: u16) {
        k.put32(place::TSS32 + f, v as u32);
    }
    fn free(k: &mut Kit, access: u16) {
        k.set_descriptor(sel::FREE, segment(0, 0xF_FFFF, access));
    }
    let f = sel::FREE;
    let cases: &[(&str, Change, Led)] = &[
        ("LDT outside", |k| put(k, field::LDT, sel::OUTSIDE), ts(sel::OUTSIDE)),
        ("LDT in the LDT", |k| put(k, field::LDT, sel::LOCAL), ts(4)),
        ("LDT of another type", |k| put(k, field::LDT, sel::DATA0), ts(sel::DATA0)),
        ("LDT not present", |k| k.set_rights(sel::LDT, |a| a & !PRESENT), ts(sel::LDT)),
        ("CS null", |k| put(k, field::CS, 0), ts(0)),
        ("CS outside", |k| put(k, field::CS, sel::OUTSIDE), ts(sel::OUTSIDE)),
        ("CS not code", |k| put(k, field::CS, sel::DATA0), ts(sel::DATA0)),
        ("CS DPL differs from RPL", |k| put(k, field::CS, sel::CODE3 & !3), ts(sel::CODE3 & !3)),
        (
            "CS not present",
            |k| {
                free(k, CODE32 & !PRESENT);
                put(k, field::CS, sel::FREE);
            },
            np(f),
        ),
        ("SS null", |k| put(k, field::SS, 0), ts(0)),
        ("SS outside", |k| put(k, field::SS, sel::OUTSIDE), ts(sel::OUTSIDE)),
        ("SS RPL differs from CPL", |k| put(k, field::SS, sel::DATA0 | 3), ts(sel::DATA0)),
        ("SS DPL differs from CPL", |k| put(k, field::SS, sel::DATA3 & !3), ts(sel::DATA3 & !3)),
        ("SS read-only", |k| k.set_rights(sel::DATA0, |_| READ_ONLY), ts(sel::DATA0)),
        (
            "SS not present",
            |k| {
                free(k, DATA32 & !PRESENT);
                put(k, field::SS, sel::FREE);
            },
            stack_fault(f),
        ),
        ("DS outside", |k| put(k, field::DS, sel::OUTSIDE), ts(sel::OUTSIDE)),
        ("ES a system segment", |k| put(k, field::ES, sel::LDT), ts(sel::LDT)),
        ("FS below RPL", |k| put(k, field::FS, sel::DATA0 | 3), ts(sel::DATA0)),
        (
            "GS not present",
            |k| {
                free(k, DATA32 & !PRESENT);
                put(k, field::GS, sel::FREE);
            },
            np(f),
        ),
        (
            "EIP beyond the limit",
            |k| {
                k.set_descriptor(sel::FREE, segment(0, TARGET - 1, 0x409B));
                put(k, field::CS, sel::FREE);
            },
            gp(0),
        ),
    ];
    for (name, change, expected) in cases {
        let mut k = machine();
        // The new task's own level 0 stack, for handlers entered from where SS could not be loaded.
        k.put32(place::TSS32 + 4, 0x8C00);
        k.put32(place::TSS32 + 8, sel::DATA1 as u32 & !3 | 1);
        change(&mut k);
        // Task gates reach handlers without a usable stack.
        let handler = |n: u32| 0x7A00 + n * 0x100;
        for (n, vector) in (10..=13).enumerate() {
            let at = handler(n as u32);
            fill(&mut k, at);
            k.put32(at + field::EIP, place::HANDLERS + vector * 16);
            k.put32(at + field::LDT, 0);
            k.put32(at + field::SS, sel::DATA0 as u32);
            let s = 0x98 + n as u16 * 8;
            k.set_descriptor(s, segment(at, 0x67, TSS32));
            k.set_gate(vector as u8, gate(s, 0, TASK_GATE, 0));
        }
        if *name == "SS read-only" {
            // It is everybody's stack segment here; give the handler another.
            for n in 0..4 {
                k.put32(handler(n) + field::SS, sel::FREE2 as u32);
                k.put32(handler(n) + field::ES, 0);
                k.put32(handler(n) + field::DS, 0);
            }
            k.set_descriptor(sel::FREE2, segment(0, 0xF_FFFF, DATA32));
        }
        k.bytes(&[0xEA, 0, 0, 0, 0, sel::TSS32 as u8, 0]);
        let led = k.step();
        assert_eq!(led, *expected, "{name}");
        assert_eq!(k.get32(place::TSS + field::EIP), place::CODE + 7, "{name}: the old task was left");
        assert_eq!(k.get32(place::TSS32 + field::EIP), TARGET, "{name}: the new task had begun");
        assert_eq!(k.get32(place::TSS32 + field::EAX), 1, "{name}");
        assert_eq!(k.get32(place::TSS32 + field::ESP), NEW_STACK, "{name}");
    }
}

#[test]
fn the_trap_flag_of_the_tss_raises_a_debug_trap() {
    let mut k = machine();
    k.put16(place::TSS32 + field::TRAP, 1);
    assert_eq!(k.one(|a| a.add_instruction(far(Code::Jmp_ptr1632, sel::TSS32))), Led::Through);
    let led = k.step();
    assert_eq!(led, Led::To(1, None));
    assert_eq!(k.frame(led)[0], TARGET, "before the first instruction");
    assert_ne!(k.cpu.dr6 & dr6::BT, 0);
}

#[test]
fn local_breakpoints_are_disabled() {
    let mut k = machine();
    k.cpu.dr7 = 0x400 | 0x3FF;
    assert_eq!(k.one(|a| a.add_instruction(far(Code::Jmp_ptr1632, sel::TSS32))), Led::Through);
    assert_eq!(k.cpu.dr7, 0x400 | 0x2AA);
}

#[test]
fn an_external_interrupt_through_a_task_gate_sets_ext_in_faults_of_the_new_task() {
    let mut k = machine();
    k.cpu.set_eflags(bit::IF);
    k.put32(place::TSS32 + field::DS, sel::OUTSIDE as u32);
    k.set_gate(0x30, gate(sel::TSS32, 0, rights::TASK_GATE, 0));
    (k.bus.intr, k.bus.vector) = (true, 0x30);
    assert_eq!(k.step(), ts(sel::OUTSIDE | 1));
}
