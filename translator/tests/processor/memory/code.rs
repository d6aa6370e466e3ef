//! Code that is overwritten: by itself, from the next instruction to the next page, at every size and place; through
//! other addresses; by repeated stores; from outside.

use super::{FAR, FRAME, everywhere, to_halt};
use crate::engine::{Engine, ways};
use crate::kit::{Kit, Led, asm, place};
use iced_x86::code_asm::*;
use idem86_cpu::state::gpr;

/// How an immediate is replaced, and which of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Store {
    Byte(u32),
    Word(u32),
    Dword,
    /// The opcode and what is before it too.
    Qword,
}

/// Three times: replaces the immediate of a MOV `gap` instructions ahead, which begins at `at`, and collects it. The
/// store goes to an address `alias` bytes further on.
fn program(at: u32, gap: usize, store: Store, alias: u32) -> (u32, Vec<u8>) {
    let target = at + alias;
    let head = asm(32, |a| {
        a.imul_3(edx, ecx, 0x1122_3344)?;
        match store {
            Store::Byte(n) => a.mov(byte_ptr(target + 1 + n), dl),
            Store::Word(n) => a.mov(word_ptr(target + 1 + n), dx),
            Store::Dword => a.mov(dword_ptr(target + 1), edx),
            Store::Qword => {
                a.mov(dword_ptr(place::DATA + 4), edx)?;
                a.movq(mm0, qword_ptr(place::DATA))?;
                a.movq(qword_ptr(target - 3), mm0)
            }
        }
    });
    let start = at - 3 - gap as u32 - head.len() as u32;
    let mut code = head;
    code.resize(code.len() + gap + 3, 0x90);
    // MOV EAX, imm32; ADD ESI, EAX; ROL ESI, 3; DEC ECX; JNZ start; HLT
    code.extend([0xB8, 0xDD, 0xCC, 0xBB, 0xAA, 0x01, 0xC6, 0xC1, 0xC6, 0x03, 0x49, 0x0F, 0x85]);
    let back = start.wrapping_sub(start + code.len() as u32 + 4);
    code.extend(back.to_le_bytes());
    code.push(0xF4);
    (start, code)
}

/// What ESI is in the end.
fn collected(store: Store) -> u32 {
    let mut immediate = 0xAABB_CCDDu32.to_le_bytes();
    let mut sum = 0u32;
    for n in (1..=3u32).rev() {
        let value = n.wrapping_mul(0x1122_3344).to_le_bytes();
        match store {
            Store::Byte(at) => immediate[at as usize] = value[0],
            Store::Word(at) => immediate[at as usize..][..2].copy_from_slice(&value[..2]),
            Store::Dword | Store::Qword => immediate = value,
        }
        sum = sum.wrapping_add(u32::from_le_bytes(immediate)).rotate_left(3);
    }
    sum
}

fn check(at: u32, gap: usize, store: Store, alias: u32) {
    let build = || {
        let mut k = Kit::protected(0);
        if alias != 0 {
            k.page();
            for page in 0..4 {
                let linear = at + alias + page * 0x1000 - 0x1000;
                k.put32(k.pte(linear), (linear - alias) & !0xFFF | 7);
            }
        }
        let (start, code) = program(at, gap, store, alias);
        k.put(start, &code);
        // NOP NOP NOP MOV EAX
        k.put(place::DATA, &[0x90, 0x90, 0x90, 0xB8]);
        k.cpu.rip = start.into();
        k.cpu.gpr.set(gpr::CX, 3u32);
        k.cpu.gpr.set(gpr::SI, 0u32);
        k.cpu.state_changed();
        k
    };
    let name = format!("{store:?} at {at:x}, {gap} ahead, alias {alias:x}");
    let k = everywhere(&name, build, |k| assert_eq!(to_halt(k), Led::Through));
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::SI), collected(store), "{name}");
}

const STORES: [Store; 6] =
    [Store::Byte(0), Store::Byte(3), Store::Word(1), Store::Word(2), Store::Dword, Store::Qword];

#[test]
fn a_store_to_code_ahead_is_seen_at_every_distance_and_size() {
    for gap in [0, 1, 4, 27, 70] {
        STORES.iter().for_each(|store| check(place::CODE + 0x800, gap, *store, 0));
    }
}

#[test]
fn a_store_to_code_that_spans_a_page_is_seen_at_every_offset() {
    for before in 0..12 {
        for gap in [0, 6] {
            STORES.iter().for_each(|store| check(place::CODE + 0x1000 - before, gap, *store, 0));
        }
    }
}

#[test]
fn a_store_through_another_linear_address_is_seen() {
    for at in [0x800, 0xFFD, 0xFFF, 0x1000] {
        for gap in [0, 6] {
            STORES.iter().for_each(|store| check(place::CODE + at, gap, *store, FAR - place::CODE));
        }
    }
}

/// Repeated stores over the instructions that follow, and over themselves.
#[test]
fn repeated_stores_over_code_are_seen() {
    for (prefix, opcode) in [(0xF3u8, 0xAAu8), (0xF3, 0xAB), (0xF3, 0xA4), (0xF3, 0xA5)] {
        for distance in [-4i32, -1, 0, 2, 9, 0x20] {
            for at in [place::CODE + 0x100, place::CODE + 0xFF8, place::CODE + 0xFFE] {
                let build = || {
                    let mut k = Kit::protected(0);
                    // REP STOS or MOVS, then INC EBX as far as it goes, HLT behind.
                    k.put(at, &[prefix, opcode]);
                    k.put(at + 2, &[0x43; 0x60]);
                    k.put(at + 0x62, &[0xF4]);
                    k.put(place::DATA, &[0x4A; 64]);
                    k.cpu.rip = at.into();
                    for (r, v) in [
                        (gpr::AX, 0x4A4A_4A4A),
                        (gpr::CX, 7),
                        (gpr::BX, 0),
                        (gpr::DX, 0),
                        (gpr::SI, place::DATA),
                        (gpr::DI, at.wrapping_add_signed(2 + distance)),
                    ] {
                        k.cpu.gpr.set(r, v);
                    }
                    k.cpu.state_changed();
                    k
                };
                everywhere(&format!("{opcode:x} {distance} at {at:x}"), build, |k| {
                    to_halt(k);
                });
            }
        }
    }
}

/// Direct memory access and the host write code that runs: it is seen when it is executed next.
#[test]
fn code_that_is_written_from_outside_is_seen() {
    for at in [0x100, 0xFFC, 0xFFE, 0xFFF] {
        let at = place::CODE + at;
        let build = || {
            let mut k = Kit::protected(0);
            // MOV EAX, 0; JMP back
            k.put(at, &[0xB8, 0, 0, 0, 0, 0xEB, 0xF9]);
            k.cpu.rip = at.into();
            k.cpu.state_changed();
            k
        };
        everywhere(&format!("written from outside at {at:x}"), build, |k| {
            for n in 1..20u32 {
                k.put(at + 1 + n % 4, &[n as u8]);
                k.run(2 * u64::from(n) + 3);
                let at_byte = k.cpu.gpr.get::<u32>(gpr::AX).to_le_bytes()[n as usize % 4];
                assert_eq!(at_byte, n as u8);
            }
        });
    }
}

/// A page of code is mapped elsewhere: what is called is what is there now, also by code that was linked to it.
#[test]
fn code_whose_page_is_mapped_elsewhere_is_executed_from_there() {
    for (cpl, reload) in [(0, false), (0, true)] {
        let build = || {
            let mut k = Kit::protected(cpl);
            k.page();
            // Three pages of code that add 1, 10 or 100 to EBX, across the end of the page before.
            for n in 0..3u32 {
                let frame = FRAME + n * 0x2000;
                let add = [&[0x81, 0xC3][..], &10u32.pow(n).to_le_bytes(), &[0xC3]].concat();
                k.put(frame + 0xFFD, &add[..3]);
                k.put(frame + 0x1000, &add[3..]);
                k.put(frame + 0x10, &[0xE9]);
                k.put32(frame + 0x11, 0xFFD - 0x15);
                k.put(frame + 0x20, &add);
            }
            let code = asm(32, |a| {
                let mut again = a.create_label();
                a.set_label(&mut again)?;
                for n in [0, 1, 0, 2, 2, 1] {
                    for page in 0..2 {
                        let frame = FRAME + n * 0x2000 + page * 0x1000;
                        a.mov(dword_ptr(place::PAGING + 0x1000 + (FAR >> 12) * 4 + 4 * page), frame | 7)?;
                        if reload {
                            a.mov(eax, cr3)?;
                            a.mov(cr3, eax)?;
                        } else {
                            a.invlpg(byte_ptr(FAR + 0x1000 * page))?;
                        }
                    }
                    a.mov(eax, FAR + 0x10)?;
                    a.call(eax)?;
                    a.mov(eax, FAR + 0x20)?;
                    a.call(eax)?;
                }
                a.dec(ecx)?;
                a.jnz(again)?;
                a.hlt()
            });
            k.put(place::CODE, &code);
            k.cpu.gpr.set(gpr::CX, 3u32);
            k.cpu.gpr.set(gpr::BX, 0u32);
            k.cpu.state_changed();
            k
        };
        let k = everywhere(&format!("mapped elsewhere, CR3 {reload}"), build, |k| {
            to_halt(k);
        });
        assert_eq!(k.cpu.gpr.get::<u32>(gpr::BX), 3 * 2 * 222);
    }
}

/// Data beside code: it is as if there were no code. And code that patches itself for ever does not fill memory, nor
/// is it translated more than once for each patch.
#[test]
fn constant_patching_costs_no_more_than_translation() {
    const ROUNDS: u32 = 20_000;
    for &(way, options) in ways() {
        let mut k = Kit::protected(0);
        let (start, code) = program(place::CODE + 0x800, 3, Store::Dword, 0);
        k.put(start, &code);
        k.cpu.rip = start.into();
        k.cpu.gpr.set(gpr::CX, ROUNDS);
        k.cpu.state_changed();
        k.engine = Engine::translator(options);
        assert_eq!(k.run(u64::from(ROUNDS) * 20), idem86_cpu::run::Stop::Halted);
        let c = k.engine.counters().expect("it was used");
        println!("{way}: {} units and {} entries for {ROUNDS} patches", c.cache.units, c.entries);
        // Of single instructions there are several on a line.
        assert!(c.cache.units <= 6 * u64::from(ROUNDS), "{way}: {} units", c.cache.units);
    }
}
