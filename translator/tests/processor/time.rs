//! RDTSC in translated code: every instruction counts, whatever way it is executed.

use crate::engine::{Engine, ways};
use crate::kit::{Kit, asm, gp, place};
use crate::memory::{everywhere, to_halt};
use iced_x86::code_asm::*;
use idem86_cpu::run::Stop;
use idem86_cpu::state::control::cr4;
use idem86_cpu::state::gpr;
use idem86_translator::Sensitive;

/// Rounds of loops.
const ROUNDS: u32 = 300;

/// The lower halves of the counter are stored as they are read, at different places in units, before and behind what
/// may leave them.
#[test]
fn the_counter_grows_by_one_with_each_instruction() {
    let code = asm(32, |a| {
        let (mut again, mut next) = (a.create_label(), a.create_label());
        a.mov(edi, place::DATA)?;
        a.mov(ebx, ROUNDS)?;
        a.set_label(&mut again)?;
        a.rdtsc()?;
        a.stosd()?;
        a.rdtsc()?;
        a.stosd()?;
        a.push(eax)?;
        a.rdtsc()?;
        a.stosd()?;
        a.in_(al, dx)?;
        a.rdtsc()?;
        a.stosd()?;
        a.jmp(next)?;
        a.set_label(&mut next)?;
        a.pop(eax)?;
        a.rdtsc()?;
        a.stosd()?;
        a.dec(ebx)?;
        a.jnz(again)?;
        a.hlt()
    });
    let k = everywhere(
        "RDTSC",
        || {
            let mut k = Kit::protected(0);
            k.put(place::CODE, &code);
            k
        },
        |k| assert_eq!(k.run(100_000), Stop::Halted),
    );
    // Two instructions are before the first; what lies between reads is counted here by hand.
    let mut expected = 2;
    for (n, step) in (0..ROUNDS * 5).zip([0, 2, 3, 3, 4].into_iter().cycle()) {
        if n > 0 && n % 5 == 0 {
            expected += 4;
        }
        expected += step;
        assert_eq!(k.get32(place::DATA + n * 4), expected, "read {n}");
    }
}

/// Software sets the counter while code reads it.
#[test]
fn a_counter_that_is_set_goes_on_from_there() {
    let code = asm(32, |a| {
        let mut again = a.create_label();
        a.mov(edi, place::DATA)?;
        a.mov(ebx, ROUNDS)?;
        a.set_label(&mut again)?;
        a.mov(ecx, 0x10)?;
        a.mov(eax, ebx)?;
        a.shl(eax, 24)?;
        a.xor(edx, edx)?;
        a.wrmsr()?;
        a.rdtsc()?;
        a.stosd()?;
        a.mov(eax, edx)?;
        a.stosd()?;
        a.dec(ebx)?;
        a.jnz(again)?;
        a.hlt()
    });
    let k = everywhere(
        "WRMSR",
        || {
            let mut k = Kit::protected(0);
            k.put(place::CODE, &code);
            k
        },
        |k| assert_eq!(k.run(100_000), Stop::Halted),
    );
    for round in 0..ROUNDS {
        let at = place::DATA + round * 8;
        assert_eq!((k.get32(at), k.get32(at + 4)), (((ROUNDS - round) << 24) + 1, 0), "round {round}");
    }
}

/// CR4.TSD is heeded by code that read the counter before.
#[test]
fn a_counter_that_is_forbidden_is_not_read() {
    let k = everywhere(
        "TSD",
        || {
            let mut k = Kit::protected(3);
            // RDTSC; JMP back.
            k.put(place::CODE, &[0x0F, 0x31, 0xEB, 0xFC]);
            k
        },
        |k| {
            assert_eq!(k.run(1000), Stop::Budget);
            k.cpu.cr4 |= cr4::TSD;
            k.cpu.state_changed();
            assert_eq!(to_halt(k), gp(0));
        },
    );
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::AX), 998);
}

/// Where sensitive instructions are translated, RDTSC is, and where they are traps, it is a trap each time.
#[test]
fn the_counter_is_read_without_a_callout_or_by_traps() {
    for &(way, options) in ways() {
        let mut k = Kit::protected(0);
        k.engine = Engine::translator(options);
        // MOV ECX, 1000; RDTSC; LOOP back; HLT.
        k.put(place::CODE, &[0xB9, 0xE8, 3, 0, 0, 0x0F, 0x31, 0xE2, 0xFC, 0xF4]);
        assert_eq!(k.run(100_000), Stop::Halted);
        let counters = k.engine.counters().expect("it was used");
        let (callouts, breakpoints) = (counters.callouts, counters.traps.breakpoint);
        match options.sensitive {
            Sensitive::Trap => assert!(breakpoints == 1000 && callouts < 10, "{way}: {counters}"),
            Sensitive::Callout => assert!(breakpoints == 0 && callouts >= 1000, "{way}: {counters}"),
            _ => assert!(breakpoints == 0 && callouts < 10, "{way}: {counters}"),
        }
    }
}
