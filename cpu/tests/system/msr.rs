//! Model-specific registers, CPUID, the time-stamp counter, SYSENTER and SYSEXIT. SDM Vol. 4; Vol. 2, the instructions'
//! lists of exceptions.

use crate::kit::*;
use idem86_cpu::state::control::cr4;
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::SegReg;

fn wrmsr(k: &mut Kit, n: u32, value: u64) -> Led {
    k.cpu.gpr.set(gpr::CX, n);
    k.cpu.gpr.set(gpr::AX, value as u32);
    k.cpu.gpr.set(gpr::DX, (value >> 32) as u32);
    k.one(|a| a.wrmsr())
}

fn rdmsr(k: &mut Kit, n: u32) -> Result<u64, Led> {
    k.cpu.gpr.set(gpr::CX, n);
    match k.one(|a| a.rdmsr()) {
        Led::Through => {
            Ok(k.cpu.gpr.get::<u32>(gpr::AX) as u64 | (k.cpu.gpr.get::<u32>(gpr::DX) as u64) << 32)
        }
        led => Err(led),
    }
}

#[test]
fn values_that_registers_take_and_refuse() {
    let uncacheable_types = [2u64, 3, 7, 8, 0xFF];
    let mut rows: Vec<(u32, u64, bool)> = vec![
        (0x174, 0xFFFF_FFFF, true),
        (0x175, 0x1234_5678, true),
        (0x176, 0x8765_4321, true),
        (0x277, 0x0706_0504_0100_0706, true),
        (0x277, 2, false),
        (0x277, 3 << 56, false),
        (0x277, 8, false),
        (0x2FF, 0xC06, true),
        (0x2FF, 0x1000, false),
        (0x2FF, 0x100, false),
        (0x17A, 7, true),
        (0x17A, 8, false),
        (0x1A0, 1, true),
        (0x1A0, 0, true),
        (0x1A0, 2, false),
        (0x1B, 0xFEE0_0900, true),
        (0x1B, 0xFED0_0100, true),
        (0x1B, 0xFEE0_0901, false),
        (0x1B, 0xFEE0_0D00, false),
        (0x1B, 0x10_FEE0_0900, false),
        (0xC000_0080, 0x800, true),
        (0xC000_0080, 0x001, false),
        (0xC000_0080, 0x100, false),
        (0xC000_0080, 0x400, false),
    ];
    for n in 0..8 {
        rows.push((0x200 + n * 2, 0xF_FFFF_F006, true));
        rows.push((0x200 + n * 2, 0x10_0000_0006, false));
        rows.push((0x200 + n * 2, 0x106, false));
        rows.push((0x201 + n * 2, 0xF_FFFF_F800, true));
        rows.push((0x201 + n * 2, 0x400, false));
        rows.push((0x201 + n * 2, 0x10_0000_0800, false));
        rows.extend(uncacheable_types.map(|t| (0x200 + n * 2, t, false)));
    }
    for n in [0x250, 0x258, 0x259].into_iter().chain(0x268..=0x26F) {
        rows.push((n, 0x0605_0401_0006_0504, true));
        rows.extend(uncacheable_types.map(|t| (n, t << 24, false)));
    }
    for (n, value, taken) in rows {
        let mut k = Kit::protected(0);
        let before = rdmsr(&mut k, n).expect("readable");
        let led = wrmsr(&mut k, n, value);
        assert_eq!(led, if taken { Led::Through } else { gp(0) }, "{n:x}: {value:x}");
        if taken {
            assert_eq!(rdmsr(&mut k, n), Ok(value), "{n:x}");
        } else {
            let mut k2 = k;
            k2.cpu.rip = place::CODE as u64;
            assert_eq!(rdmsr(&mut k2, n), Ok(before), "{n:x} is unchanged");
        }
    }
}

#[test]
fn registers_after_reset() {
    let mut k = Kit::protected(0);
    for (n, value) in [
        (0x1B, 0xFEE0_0900),
        (0xFE, 0x508),
        (0x277, 0x0007_0406_0007_0406),
        (0x2FF, 0),
        (0x179, 0),
        (0x17A, 0),
        (0x8B, 0),
        (0x17, 0),
        (0xC000_0080, 0),
    ] {
        assert_eq!(rdmsr(&mut k, n), Ok(value), "{n:x}");
    }
}

#[test]
fn registers_that_do_not_exist_or_cannot_be_written() {
    for n in [
        0u32,
        1,
        0x79,
        0xC1,
        0x186,
        0x210,
        0x24F,
        0x251,
        0x25A,
        0x267,
        0x270,
        0x300,
        0x400,
        0xC000_0081,
        u32::MAX,
    ] {
        assert_eq!(rdmsr(&mut Kit::protected(0), n), Err(gp(0)), "{n:x}");
        if n != 0x79 {
            assert_eq!(wrmsr(&mut Kit::protected(0), n, 0), gp(0), "{n:x}");
        }
    }
    for n in [0xFE, 0x179, 0x17] {
        assert_eq!(wrmsr(&mut Kit::protected(0), n, 0), gp(0), "{n:x} is read-only");
    }
}

#[test]
fn software_cannot_change_who_is_the_bootstrap_processor() {
    let mut k = Kit::protected(0);
    assert_eq!(wrmsr(&mut k, 0x1B, 0xFEE0_0800), Led::Through);
    assert_eq!(rdmsr(&mut k, 0x1B), Ok(0xFEE0_0900));
}

#[test]
fn the_time_stamp_counter_counts_work_and_can_be_set() {
    let mut k = Kit::protected(0);
    let stamp = |k: &mut Kit| {
        assert_eq!(k.one(|a| a.rdtsc()), Led::Through);
        k.cpu.gpr.get::<u32>(gpr::AX) as u64 | (k.cpu.gpr.get::<u32>(gpr::DX) as u64) << 32
    };
    let first = stamp(&mut k);
    assert_eq!(stamp(&mut k), first + 1);
    assert_eq!(wrmsr(&mut k, 0x10, 0x1234_5678_0000_1000), Led::Through);
    assert_eq!(stamp(&mut k), 0x1001, "the P6 family clears the upper half");
    assert_eq!(rdmsr(&mut k, 0x10), Ok(0x1002));
}

#[test]
fn rdtsc_heeds_tsd() {
    for (level, tsd, expected) in
        [(0, false, Led::Through), (3, false, Led::Through), (0, true, Led::Through), (3, true, gp(0))]
    {
        let mut k = Kit::protected(level);
        k.cpu.cr4 = if tsd { cr4::TSD } else { 0 };
        k.check("RDTSC", expected, |a| a.rdtsc());
    }
    let mut k = Kit::v86(3);
    k.cpu.cr4 = cr4::TSD;
    k.check("RDTSC", gp(0), |a| a.rdtsc());
}

#[test]
fn there_are_no_performance_counters() {
    for level in [0, 3] {
        let mut k = Kit::protected(level);
        k.cpu.cr4 = cr4::PCE;
        k.check("RDPMC", gp(0), |a| a.rdpmc());
    }
}

fn cpuid(k: &mut Kit, leaf: u32) -> [u32; 4] {
    k.cpu.gpr.set(gpr::AX, leaf);
    assert_eq!(k.one(|a| a.cpuid()), Led::Through);
    [gpr::AX, gpr::BX, gpr::CX, gpr::DX].map(|r| k.cpu.gpr.get::<u32>(r))
}

#[test]
fn cpuid_leaves() {
    let mut k = Kit::protected(3);
    let [last, b, c, d] = cpuid(&mut k, 0);
    assert_eq!(last, 2);
    let vendor: Vec<u8> = [b, d, c].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(vendor, b"GenuineIntel");
    let [signature, _, features_c, features_d] = cpuid(&mut k, 1);
    assert_eq!(signature >> 8 & 0xF, 6, "family");
    assert_eq!(features_c, 1, "SSE3 and nothing else");
    assert_eq!(features_d >> 9 & 1, 1, "APIC as IA32_APIC_BASE says");
    k.cpu.msr.apic_base = 0;
    assert_eq!(cpuid(&mut k, 1)[3], features_d & !(1 << 9));
    assert_eq!(cpuid(&mut k, 3), cpuid(&mut k, 2), "beyond the last leaf comes the last");
    assert_eq!(cpuid(&mut k, 0x8000_0000)[0], 0x8000_0008);
    assert_eq!(cpuid(&mut k, 0x8000_0001)[3], 1 << 20, "execute-disable");
    assert_eq!(cpuid(&mut k, 0x8000_0008)[0], 0x2024, "36 and 32 bits");
    let brand: Vec<u8> =
        (2..5).flat_map(|n| cpuid(&mut k, 0x8000_0000 + n)).flat_map(|v| v.to_le_bytes()).collect();
    assert!(brand.starts_with(b"idem86") && brand.ends_with(b"\0"));
}

#[test]
fn the_id_flag_can_be_toggled() {
    let mut k = Kit::protected(3);
    k.put32(place::STACKS[3], bit::ID);
    assert_eq!(k.one(|a| a.popfd()), Led::Through);
    assert!(k.cpu.eflags.has(bit::ID));
}

#[test]
fn sysenter_loads_flat_segments_at_level_0() {
    for mut k in [Kit::protected(3), Kit::protected(0), Kit::v86(0)] {
        k.cpu.msr.sysenter = [0x83, 0x9876_5432, 0x1234_5678];
        k.cpu.set_eflags(k.cpu.eflags.bits() | bit::IF | bit::CF);
        assert_eq!(k.one(|a| a.sysenter()), Led::Through);
        assert_eq!((k.selector(SegReg::Cs), k.selector(SegReg::Ss)), (0x80, 0x88));
        let (cs, ss) = (k.cpu.seg[SegReg::Cs as usize], k.cpu.seg[SegReg::Ss as usize]);
        assert_eq!((cs.base, cs.limit, cs.access.0), (0, u32::MAX, 0xC09B));
        assert_eq!((ss.base, ss.limit, ss.access.0), (0, u32::MAX, 0xC093));
        assert_eq!((k.cpu.cpl, k.cpu.rip, k.cpu.gpr.get::<u32>(gpr::SP)), (0, 0x1234_5678, 0x9876_5432));
        assert_eq!(k.cpu.eflags.bits() & (bit::VM | bit::IF | bit::CF), bit::CF);
    }
}

#[test]
fn sysexit_loads_flat_segments_at_level_3() {
    let mut k = Kit::protected(0);
    k.cpu.msr.sysenter[0] = 0x80;
    k.cpu.gpr.set(gpr::CX, 0x1111_0000u32);
    k.cpu.gpr.set(gpr::DX, 0x2222_0000u32);
    assert_eq!(k.one(|a| a.sysexit()), Led::Through);
    assert_eq!((k.selector(SegReg::Cs), k.selector(SegReg::Ss)), (0x93, 0x9B));
    let (cs, ss) = (k.cpu.seg[SegReg::Cs as usize], k.cpu.seg[SegReg::Ss as usize]);
    assert_eq!((cs.limit, cs.access.0, ss.access.0), (u32::MAX, 0xC0FB, 0xC0F3));
    assert_eq!((k.cpu.cpl, k.cpu.rip, k.cpu.gpr.get::<u32>(gpr::SP)), (3, 0x2222_0000, 0x1111_0000));
}

#[test]
fn sysenter_and_sysexit_fault() {
    for bytes in [[0x0F, 0x34], [0x0F, 0x35]] {
        for null in 0..4 {
            let mut k = Kit::protected(0);
            k.cpu.msr.sysenter[0] = null;
            k.check_bytes("null selector", gp(0), &bytes);
        }
        let mut k = Kit::real();
        k.cpu.msr.sysenter[0] = 8;
        k.check_bytes("real mode", Led::To(13, None), &bytes);
    }
    let mut k = Kit::protected(3);
    k.cpu.msr.sysenter[0] = 8;
    k.check("SYSEXIT at level 3", gp(0), |a| a.sysexit());
}
