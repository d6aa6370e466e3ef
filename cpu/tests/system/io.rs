//! Who may access ports. SDM Vol. 1, "I/O Privilege Level", "I/O Permission Bit Map".

use crate::kit::*;
use iced_x86::code_asm::*;
use idem86_cpu::state::gpr;

/// Allows the ports of a map that denies all others.
fn allow(k: &mut Kit, ports: &[u16]) {
    for p in ports {
        let at = place::TSS + 0x88 + *p as u32 / 8;
        let old = k.get8(at);
        k.put8(at, old & !(1 << (p % 8)));
    }
}

/// IN of `size` bytes from `port`, and OUT to it.
fn both(make: impl Fn() -> Kit, port: u16, size: usize, expected: Led) {
    for output in [false, true] {
        let mut k = make();
        k.cpu.gpr.set(gpr::DX, port as u32);
        k.check(&format!("port {port:x}, size {size}, out {output}"), expected, |a| match (output, size) {
            (false, 1) => a.in_(al, dx),
            (false, 2) => a.in_(ax, dx),
            (false, _) => a.in_(eax, dx),
            (true, 1) => a.out(dx, al),
            (true, 2) => a.out(dx, ax),
            (true, _) => a.out(dx, eax),
        });
    }
}

#[test]
fn iopl_decides_in_protected_mode() {
    for (level, iopl, expected) in
        [(0, 0, Led::Through), (1, 0, gp(0)), (1, 1, Led::Through), (3, 2, gp(0)), (3, 3, Led::Through)]
    {
        let make = || {
            let mut k = Kit::protected(level);
            k.cpu.set_eflags((iopl as u32) << 12);
            k
        };
        both(make, 0x80, 1, expected);
    }
}

#[test]
fn the_map_decides_in_virtual_8086_mode_whatever_iopl_is() {
    for iopl in [0, 3] {
        both(|| Kit::v86(iopl), 0x60, 1, gp(0));
        let make = || {
            let mut k = Kit::v86(iopl);
            allow(&mut k, &[0x60]);
            k
        };
        both(make, 0x60, 1, Led::Through);
    }
}

#[test]
fn real_mode_checks_nothing() {
    both(Kit::real, 0x60, 4, Led::Through);
}

#[test]
fn every_port_of_an_access_must_be_allowed() {
    let make = |ports: &'static [u16]| {
        move || {
            let mut k = Kit::protected(3);
            allow(&mut k, ports);
            k
        }
    };
    both(make(&[0x60]), 0x60, 1, Led::Through);
    both(make(&[0x60]), 0x60, 2, gp(0));
    both(make(&[0x61]), 0x60, 2, gp(0));
    both(make(&[0x60, 0x61]), 0x60, 2, Led::Through);
    both(make(&[0x60, 0x61, 0x62, 0x63]), 0x60, 4, Led::Through);
    both(make(&[0x60, 0x61, 0x62]), 0x60, 4, gp(0));
    both(make(&[0x66, 0x67, 0x68, 0x69]), 0x66, 4, Led::Through);
    both(make(&[0x66, 0x67, 0x68]), 0x66, 4, gp(0));
}

#[test]
fn the_map_must_lie_within_the_tss() {
    let with_limit = |limit: u32| {
        move || {
            let mut k = Kit::protected(3);
            allow(&mut k, &[0x3F8]);
            k.cpu.tr.limit = limit;
            k
        }
    };
    // The byte of port 3F8h and the one behind it are read.
    let byte = 0x88 + 0x3F8 / 8;
    both(with_limit(byte + 1), 0x3F8, 1, Led::Through);
    both(with_limit(byte), 0x3F8, 1, gp(0));
    both(with_limit(0x66), 0x3F8, 1, gp(0));
    let no_map = || {
        let mut k = Kit::protected(3);
        k.put16(place::TSS + 0x66, 0xFFFF);
        k
    };
    both(no_map, 0x3F8, 1, gp(0));
}

#[test]
fn a_16_bit_tss_has_no_map() {
    let make = || {
        let mut k = Kit::protected(3);
        allow(&mut k, &[0x60]);
        k.cpu.tr.access.0 = rights::TSS16 | rights::BUSY;
        k.put16(place::TSS + 2, place::STACKS[0] as u16);
        k.put16(place::TSS + 4, sel::DATA0);
        k
    };
    both(make, 0x60, 1, gp(0));
}

#[test]
fn the_last_port() {
    let make = || {
        let mut k = Kit::protected(3);
        allow(&mut k, &[0xFFFF]);
        // Behind the map's last byte a byte of ones is wanted; with zeros it would allow what wraps.
        k.put8(place::TSS + 0x88 + 0x2000, 0xFF);
        k
    };
    both(make, 0xFFFF, 1, Led::Through);
    both(make, 0xFFFF, 2, gp(0));
}

#[test]
fn a_map_on_a_missing_page_is_a_page_fault() {
    let mut k = Kit::protected(3);
    k.page();
    k.put32(k.pte(place::TSS + 0x1000), 0);
    k.cpu.gpr.set(gpr::DX, 0x8000u32);
    k.check("IN", Led::To(14, Some(0)), |a| a.in_(al, dx));
    assert_eq!(k.cpu.cr2, (place::TSS + 0x88 + 0x1000) as u64, "read as the supervisor");
}

#[test]
fn immediate_ports_are_checked_as_well() {
    Kit::protected(3).check("IN", gp(0), |a| a.in_(al, 0x60));
    Kit::protected(3).check("OUT", gp(0), |a| a.out(0x60, al));
}

#[test]
fn string_instructions_are_checked_before_memory_is_touched() {
    for bytes in [&[0x6C][..], &[0x6E], &[0xF3, 0x6C], &[0xF3, 0x6E]] {
        let mut k = Kit::protected(3);
        k.cpu.gpr.set(gpr::DX, 0x60u32);
        k.cpu.gpr.set(gpr::CX, 3u32);
        k.cpu.gpr.set(gpr::DI, place::DATA);
        k.put8(place::DATA, 0x55);
        k.check_bytes("INS, OUTS", gp(0), bytes);
        assert_eq!(k.get8(place::DATA), 0x55);
    }
}
