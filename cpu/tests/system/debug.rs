//! Debug registers and single-stepping. SDM Vol. 3B, "Debug, Branch Profile, TSC ...": "Debug Registers", "Debug
//! Exceptions".

use crate::kit::*;
use iced_x86::code_asm::*;
use idem86_cpu::state::control::{cr4, dr6, dr7};
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::gpr;

const DB: Led = Led::To(1, None);

/// Arms breakpoint `n` with R/W and LEN.
fn arm(k: &mut Kit, n: u32, at: u32, rw: u32, len: u32) {
    k.cpu.dr[n as usize] = at as u64;
    k.cpu.dr7 |= 1 << (2 * n) | (rw | len << 2) << (16 + 4 * n);
    k.cpu.state_changed();
}

#[test]
fn an_instruction_breakpoint_is_a_fault_before_the_instruction() {
    let mut k = Kit::protected(0);
    arm(&mut k, 2, place::CODE + 1, 0, 0);
    k.code(|a| {
        a.nop()?;
        a.inc(eax)
    });
    assert_eq!(k.step(), Led::Through);
    assert_eq!(k.step(), DB);
    assert_eq!((k.stack(0), k.stack(2) & bit::RF), (place::CODE + 1, 0), "the handler sets RF");
    assert_eq!((k.cpu.gpr.get::<u32>(gpr::AX), k.cpu.dr6), (0, dr6::FIXED | 4));
    // IRET with RF set lets the instruction run.
    let top = k.cpu.gpr.get::<u32>(gpr::SP);
    k.put32(top + 8, bit::RF | 2);
    assert_eq!(k.one(|a| a.iretd()), Led::Through);
    assert!(k.cpu.eflags.has(bit::RF));
    assert_eq!(k.step(), Led::Through);
    assert_eq!((k.cpu.gpr.get::<u32>(gpr::AX), k.cpu.eflags.has(bit::RF)), (1, false));
}

#[test]
fn an_instruction_breakpoint_must_match_the_first_byte() {
    let mut k = Kit::protected(0);
    arm(&mut k, 0, place::CODE + 1, 0, 0);
    assert_eq!(k.one(|a| a.mov(eax, 0x1234)), Led::Through);
}

#[test]
fn breakpoints_are_linear_addresses() {
    let mut k = Kit::real();
    arm(&mut k, 0, place::CODE, 0, 0);
    assert_eq!(k.one(|a| a.nop()), DB);
}

#[test]
fn disabled_breakpoints_are_not_met() {
    let mut k = Kit::protected(0);
    k.cpu.dr[0] = place::CODE as u64;
    k.cpu.state_changed();
    assert_eq!(k.one(|a| a.nop()), Led::Through);
}

#[test]
fn the_instruction_after_a_stack_load_is_not_met() {
    let mut k = Kit::protected(0);
    arm(&mut k, 0, place::CODE + 2, 0, 0);
    k.cpu.gpr.set(gpr::AX, sel::DATA0 as u32);
    k.code(|a| {
        a.mov(ss, eax)?;
        a.nop()
    });
    assert_eq!((k.step(), k.step()), (Led::Through, Led::Through));
}

/// Runs an instruction that accesses DATA, with breakpoint 1 there; gives whether the trap came.
fn data(
    rw: u32,
    len: u32,
    at: u32,
    write: impl FnOnce(&mut CodeAssembler) -> Result<(), iced_x86::IcedError>,
) -> bool {
    let mut k = Kit::protected(0);
    arm(&mut k, 1, at, rw, len);
    assert_eq!(k.one(write), Led::Through, "the instruction is done first");
    let next = k.here();
    let led = k.step();
    if led == DB {
        assert_eq!((k.stack(0), k.cpu.dr6), (next, dr6::FIXED | 2));
    }
    led == DB
}

#[test]
fn data_breakpoints_by_kind_of_access() {
    let d = place::DATA;
    for (rw, reads, writes) in [(1, false, true), (3, true, true), (2, false, false)] {
        assert_eq!(data(rw, 0, d, |a| a.mov(al, byte_ptr(d))), reads, "read, R/W {rw}");
        assert_eq!(data(rw, 0, d, |a| a.mov(byte_ptr(d), al)), writes, "write, R/W {rw}");
        assert_eq!(data(rw, 0, d, |a| a.inc(byte_ptr(d))), writes, "read-modify-write, R/W {rw}");
        assert!(!data(rw, 0, d, |a| a.lea(eax, ptr(d))), "no access, R/W {rw}");
    }
}

#[test]
fn data_breakpoints_by_length() {
    let d = place::DATA;
    for (len, bytes) in [(0, 1), (1, 2), (3, 4)] {
        for offset in 0..8u32 {
            let expected = offset < bytes;
            assert_eq!(
                data(3, len, d, |a| a.mov(al, byte_ptr(d + offset))),
                expected,
                "LEN {len}, byte {offset}"
            );
        }
        assert!(
            data(1, len, d + bytes, |a| a.mov(dword_ptr(d + bytes - 3), eax)),
            "an access that reaches into it"
        );
        assert!(!data(1, len, d + 4, |a| a.mov(dword_ptr(d), eax)), "an access that ends before it");
        // The low bits of the address are ignored as LEN says.
        assert_eq!(data(1, len, d + 1, |a| a.mov(byte_ptr(d), al)), bytes > 1);
    }
}

#[test]
fn data_breakpoints_across_pages_and_on_stacks() {
    let edge = place::DATA + 0x1000;
    assert!(data(1, 0, edge, |a| a.mov(dword_ptr(edge - 2), eax)));
    assert!(data(1, 0, edge - 1, |a| a.mov(dword_ptr(edge - 2), eax)));
    assert!(!data(1, 0, edge + 2, |a| a.mov(dword_ptr(edge - 2), eax)));
    assert!(data(1, 3, place::STACKS[0] - 4, |a| a.push(eax)));
    assert!(data(3, 3, place::STACKS[0], |a| a.pop(eax)));
}

#[test]
fn instruction_fetches_meet_no_data_breakpoint() {
    assert!(!data(3, 3, place::CODE, |a| a.mov(eax, ebx)));
}

#[test]
fn a_data_breakpoint_of_a_faulting_instruction_is_forgotten() {
    // PUSH of memory: the operand is read, then the stack faults.
    let mut k = Kit::protected(3);
    arm(&mut k, 0, place::DATA, 3, 3);
    k.set_descriptor(sel::FREE, segment(0, 0xFFF, 0x40F3));
    k.cpu.seg[2] = k.descriptor(sel::FREE).segment(sel::FREE | 3);
    k.cpu.gpr.set(gpr::SP, 2u32);
    k.check("push", stack_fault(0), |a| a.push(dword_ptr(place::DATA)));
    assert_eq!(k.one(|a| a.nop()), Led::Through);
    assert_eq!(k.cpu.dr6, dr6::FIXED);
}

#[test]
fn a_data_breakpoint_of_a_stack_load_waits_for_the_next_instruction() {
    let mut k = Kit::protected(0);
    arm(&mut k, 0, place::DATA, 3, 1);
    k.put16(place::DATA, sel::DATA0);
    k.code(|a| {
        a.mov(ss, word_ptr(place::DATA))?;
        a.int(0x80)
    });
    assert_eq!(k.step(), Led::Through);
    assert_eq!(k.step(), Led::To(0x80, None));
    let led = k.step();
    assert_eq!(led, DB, "in the handler");
    assert_eq!(k.frame(led)[0], place::HANDLERS + 0x800);
}

#[test]
fn every_iteration_traps() {
    let mut k = Kit::protected(0);
    arm(&mut k, 0, place::DATA + 1, 1, 0);
    k.cpu.gpr.set(gpr::CX, 4u32);
    k.cpu.gpr.set(gpr::DI, place::DATA);
    k.code(|a| a.rep().stosb());
    assert_eq!((k.step(), k.step()), (Led::Through, Led::Through));
    let led = k.step();
    assert_eq!((led, k.cpu.gpr.get::<u32>(gpr::CX)), (DB, 2));
    assert_eq!(k.frame(led)[0], place::CODE, "the instruction goes on");
    assert_ne!(k.frame(led)[2] & bit::RF, 0, "without meeting its own breakpoint again");
}

#[test]
fn a_repeated_instruction_meets_its_breakpoint_once() {
    let mut k = Kit::protected(0);
    arm(&mut k, 0, place::CODE, 0, 0);
    k.cpu.gpr.set(gpr::CX, 3u32);
    k.cpu.gpr.set(gpr::DI, place::DATA);
    k.cpu.set_eflags(bit::RF);
    k.code(|a| {
        a.rep().stosb()?;
        a.nop()
    });
    for _ in 0..3 {
        assert_eq!(k.step(), Led::Through);
    }
    assert_eq!((k.cpu.gpr.get::<u32>(gpr::CX), k.here()), (0, place::CODE + 2));
}

#[test]
fn io_breakpoints_need_debugging_extensions() {
    for (de, port, expected) in
        [(true, 0x60, true), (true, 0x61, true), (true, 0x62, false), (false, 0x60, false)]
    {
        let mut k = Kit::protected(0);
        k.cpu.cr4 = if de { cr4::DE } else { 0 };
        arm(&mut k, 3, 0x60, 2, 1);
        k.cpu.gpr.set(gpr::DX, port as u32);
        assert_eq!(k.one(|a| a.out(dx, al)), Led::Through);
        assert_eq!(k.one(|a| a.nop()) == DB, expected, "DE {de}, port {port:x}");
        if expected {
            assert_eq!(k.cpu.dr6, dr6::FIXED | 8);
        }
    }
}

#[test]
fn single_step_traps_after_each_instruction() {
    let mut k = Kit::protected(3);
    k.cpu.set_eflags(bit::TF);
    k.code(|a| {
        a.nop()?;
        a.nop()
    });
    assert_eq!(k.step(), Led::Through);
    let led = k.step();
    assert_eq!(led, DB);
    assert_eq!(k.frame(led)[..3], [place::CODE + 1, 0x1B, bit::TF | 2]);
    assert_eq!(k.cpu.dr6, dr6::FIXED | dr6::BS);
    assert!(!k.cpu.eflags.has(bit::TF));
}

#[test]
fn popf_that_sets_tf_traps_after_the_next_instruction() {
    let mut k = Kit::protected(0);
    k.put32(place::STACKS[0], bit::TF | 2);
    k.code(|a| {
        a.popfd()?;
        a.nop()?;
        a.nop()
    });
    assert_eq!((k.step(), k.step()), (Led::Through, Led::Through));
    let led = k.step();
    assert_eq!((led, k.frame(led)[0]), (DB, place::CODE + 2));
}

#[test]
fn popf_that_clears_tf_still_traps() {
    let mut k = Kit::protected(0);
    k.put32(place::STACKS[0], 2);
    k.cpu.set_eflags(bit::TF);
    assert_eq!(k.one(|a| a.popfd()), Led::Through);
    assert_eq!(k.step(), DB);
}

#[test]
fn software_interrupts_are_not_stepped_into() {
    let mut k = Kit::protected(0);
    k.cpu.set_eflags(bit::TF);
    assert_eq!(k.one(|a| a.int(0x80)), Led::To(0x80, None));
    assert_ne!(k.stack(2) & bit::TF, 0);
    assert_eq!(k.one(|a| a.nop()), Led::Through, "the handler runs");
}

#[test]
fn faults_are_not_stepped_over() {
    let mut k = Kit::protected(0);
    k.cpu.set_eflags(bit::TF);
    assert_eq!(k.one(|a| a.ud2()), UD);
    assert_eq!(k.one(|a| a.nop()), Led::Through);
}

#[test]
fn stack_loads_are_stepped_over_together_with_the_next_instruction() {
    let mut k = Kit::protected(0);
    k.cpu.set_eflags(bit::TF);
    k.cpu.gpr.set(gpr::AX, sel::DATA0 as u32);
    k.code(|a| {
        a.mov(ss, eax)?;
        a.nop()?;
        a.nop()
    });
    assert_eq!((k.step(), k.step()), (Led::Through, Led::Through));
    let led = k.step();
    assert_eq!((led, k.frame(led)[0]), (DB, place::CODE + 3));
}

#[test]
fn repeated_instructions_are_stepped_by_iteration() {
    let mut k = Kit::protected(0);
    k.cpu.set_eflags(bit::TF);
    k.cpu.gpr.set(gpr::CX, 2u32);
    k.cpu.gpr.set(gpr::DI, place::DATA);
    k.code(|a| a.rep().stosb());
    assert_eq!(k.step(), Led::Through);
    let led = k.step();
    assert_eq!((led, k.frame(led)[0], k.cpu.gpr.get::<u32>(gpr::CX)), (DB, place::CODE, 1));
}

#[test]
fn general_detect_faults_before_the_access() {
    for bytes in [[0x0F, 0x23, 0xC0], [0x0F, 0x21, 0xF0]] {
        let mut k = Kit::protected(0);
        k.cpu.dr7 |= dr7::GD;
        k.check_bytes("MOV DR", DB, &bytes);
        assert_eq!(k.cpu.dr6, dr6::FIXED | dr6::BD);
        assert_eq!(k.cpu.dr7 & dr7::GD, 0, "the handler may access them");
    }
}

#[test]
fn reserved_bits_of_debug_registers() {
    let mut k = Kit::protected(0);
    k.cpu.cr4 = 0;
    for (register, ones, zeros) in [
        (dr0, 0xFFFF_FFFF, 0),
        (iced_x86::code_asm::dr6, 0xFFFF_EFFF, 0xFFFF_0FF0),
        (iced_x86::code_asm::dr7, 0xFFFF_27FF, 0x400),
        (dr4, 0xFFFF_EFFF, 0xFFFF_0FF0),
        (dr5, 0xFFFF_27FF, 0x400),
    ] {
        for (value, expected) in [(!(1u32 << 13), ones & !(1 << 13)), (0, zeros)] {
            k.cpu.gpr.set(gpr::AX, value);
            assert_eq!(k.one(|a| a.mov(register, eax)), Led::Through);
            k.cpu.dr7 &= !0xFF;
            assert_eq!(k.one(|a| a.mov(ecx, register)), Led::Through);
            let read = k.cpu.gpr.get::<u32>(gpr::CX);
            let enables = if matches!(expected, 0xFFFF_07FF) { 0xFF } else { 0 };
            assert_eq!(read, expected & !enables, "{value:x}");
        }
    }
}

#[test]
fn debug_registers_4_and_5_exist_only_without_debugging_extensions() {
    for bytes in [[0x0F, 0x23, 0xE0], [0x0F, 0x23, 0xE8], [0x0F, 0x21, 0xE0], [0x0F, 0x21, 0xE8]] {
        let mut k = Kit::protected(0);
        k.check_bytes("alias", Led::Through, &bytes);
        let mut k = Kit::protected(0);
        k.cpu.cr4 = cr4::DE;
        k.check_bytes("undefined", UD, &bytes);
    }
}

#[test]
fn enabling_a_breakpoint_takes_effect_on_pages_already_used() {
    let mut k = Kit::protected(0);
    assert_eq!(k.one(|a| a.mov(al, byte_ptr(place::DATA))), Led::Through);
    k.cpu.gpr.set(gpr::AX, place::DATA);
    assert_eq!(k.one(|a| a.mov(dr0, eax)), Led::Through);
    k.cpu.gpr.set(gpr::AX, 0x3_0001u32);
    assert_eq!(k.one(|a| a.mov(iced_x86::code_asm::dr7, eax)), Led::Through);
    assert_eq!(k.one(|a| a.mov(al, byte_ptr(place::DATA))), Led::Through);
    assert_eq!(k.step(), DB);
}
