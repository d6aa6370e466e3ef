//! Saving and restoring the processor.

use crate::kit::*;
use idem86_cpu::cpu::Cpu;
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::gpr;
use idem86_cpu::state::save::CpuState;

/// A state in which every field differs from that after reset.
fn changed() -> CpuState {
    let reset = Cpu::new().save();
    let mut k = Kit::protected(3);
    let mut s = k.cpu.save();
    for (n, r) in s.gpr[..8].iter_mut().enumerate() {
        *r = 0x1111_1111 * (n as u64 + 1);
    }
    s.eflags = bit::DEFINED & !bit::VM | bit::ONE;
    s.cr0 |= 0xE005_0021;
    s.cr2 = 2;
    s.cr3 = 3 << 12;
    s.cr4 = 0x7FF;
    s.efer = 0x800;
    s.pdpte = [1, 2, 0x1001, 4];
    s.dr = [1, 2, 3, 4];
    s.dr6 |= 0xE00F;
    s.dr7 |= 0x23FF;
    s.msr.tsc_offset = 1;
    s.msr.apic_base = 0;
    s.msr.sysenter = [1, 2, 3];
    s.msr.pat = 0;
    s.msr.mtrr_def_type = 0xC06;
    s.msr.mtrr_variable = [0x800; 16].map(|v| v << 1);
    s.msr.mtrr_fixed = [4; 11];
    s.msr.misc_enable = 0;
    s.msr.mcg_status = 1;
    s.x87.significand[3] = 9;
    s.x87.top = 5;
    s.simd.xmm[7][15] = 0x80;
    s.simd.mxcsr = 0x1FBF;
    (s.halted, s.shutdown, s.interrupt_shadow, s.debug_shadow) = (true, true, true, true);
    (s.nmi_blocked, s.nmi_pending, s.reset_pending, s.pause_pending) = (true, true, true, true);
    s.pending_debug = 0xE00F;
    s.repeat_suspended = true;
    s.retired = 12345;
    k.cpu.restore(&s).expect("possible");
    assert_ne!(reset, s);
    s
}

#[test]
fn what_is_restored_is_what_was_saved() {
    let s = changed();
    let mut cpu = Cpu::new();
    cpu.restore(&s).expect("possible");
    assert_eq!(cpu.save(), s);
    for k in [Kit::real(), Kit::protected(0), Kit::v86(2)] {
        let s = k.cpu.save();
        let mut cpu = Cpu::new();
        cpu.restore(&s).expect("possible");
        assert_eq!(cpu.save(), s);
        assert_eq!(cpu.seg, k.cpu.seg, "derived bounds as well");
    }
}

#[test]
fn a_restored_processor_runs_on_as_the_saved_one() {
    // REP STOSB under single-step, saved and restored at every boundary.
    let mut k = Kit::protected(0);
    k.cpu.set_eflags(bit::TF);
    k.cpu.gpr.set(gpr::CX, 3u32);
    k.cpu.gpr.set(gpr::DI, place::DATA);
    k.cpu.gpr.set(gpr::AX, 0x77u32);
    k.bytes(&[0xF3, 0xAA, 0x90]);
    k.put(place::HANDLERS + 16, &[0xCF]);
    let mut straight = Vec::new();
    let mut other = Kit::protected(0);
    other.cpu.restore(&k.cpu.save()).expect("possible");
    other.put(place::CODE, &[0xF3, 0xAA, 0x90]);
    other.put(place::HANDLERS + 16, &[0xCF]);
    for _ in 0..10 {
        k.step();
        straight.push(k.cpu.save());
        let mut fresh = Cpu::new();
        fresh.restore(&other.cpu.save()).expect("possible");
        other.cpu = fresh;
        other.step();
        assert_eq!(other.cpu.save(), k.cpu.save());
    }
    assert_eq!(k.get32(place::DATA), 0x77_7777);
    assert!(straight.iter().any(|s| s.repeat_suspended), "the case was met");
}

#[test]
fn impossible_states_are_refused() {
    type Change = fn(&mut CpuState);
    let cases: &[(&str, Change)] = &[
        ("general register", |s| s.gpr[3] = 1 << 32),
        ("R8", |s| s.gpr[8] = 1),
        ("EIP", |s| s.rip = 1 << 32),
        ("EFLAGS bit 1", |s| s.eflags &= !2),
        ("EFLAGS reserved", |s| s.eflags |= 8),
        ("EFLAGS upper", |s| s.eflags |= 1 << 31),
        ("CR0 without ET", |s| s.cr0 &= !0x10),
        ("CR0 reserved", |s| s.cr0 |= 1 << 10),
        ("paging without protection", |s| (s.cr0, s.cpl) = (0x8000_0010, 0)),
        ("NW without CD", |s| s.cr0 = (s.cr0 | 1 << 29) & !(1 << 30)),
        ("CR2", |s| s.cr2 = 1 << 32),
        ("CR3", |s| s.cr3 = 1 << 32),
        ("CR4", |s| s.cr4 = 1 << 11),
        ("EFER", |s| s.efer = 1 << 8),
        ("page-directory pointer", |s| s.pdpte[2] = 3),
        ("DR0", |s| s.dr[0] = 1 << 32),
        ("DR6", |s| s.dr6 = 0),
        ("DR7", |s| s.dr7 = 0),
        ("pending debug trap", |s| s.pending_debug = 1 << 4),
        ("PAT", |s| s.msr.pat = 2),
        ("MTRR", |s| s.msr.mtrr_variable[1] = 1),
        ("fixed MTRR", |s| s.msr.mtrr_fixed[10] = 2),
        ("APIC base", |s| s.msr.apic_base = 1),
        ("SYSENTER", |s| s.msr.sysenter[1] = 1 << 32),
        ("TOP", |s| s.x87.top = 8),
        ("status word with TOP", |s| s.x87.status = 0x800),
        ("MXCSR", |s| s.simd.mxcsr = 1 << 16),
        ("work", |s| s.retired = u64::MAX),
        ("segment base", |s| s.seg[3].base = 1 << 32),
        ("segment rights", |s| s.seg[3].access.0 = 0xF00),
        ("virtual-8086 mode with protected-mode segments", |s| s.eflags |= bit::VM),
        ("virtual-8086 mode in real mode", |s| (s.eflags, s.cr0, s.cpl) = (bit::VM | 2, 0x10, 0)),
        ("real mode at level 3", |s| s.cr0 = 0x10),
        ("CPL", |s| s.cpl = 4),
        ("LDTR", |s| s.ldtr.access.0 = 0x89),
        ("TR not busy", |s| s.tr.access.0 = 0x89),
        ("TR no TSS", |s| s.tr.access.0 = 0x82),
        ("GDTR", |s| s.gdtr.base = 1 << 32),
        ("IDTR", |s| s.idtr.base = 1 << 32),
    ];
    for (name, change) in cases {
        let mut s = Kit::protected(3).cpu.save();
        change(&mut s);
        let mut cpu = Cpu::new();
        let before = cpu.save();
        assert!(cpu.restore(&s).is_err(), "{name}");
        assert_eq!(cpu.save(), before, "{name}: nothing was restored");
    }
}
