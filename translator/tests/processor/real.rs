//! Code of firmware and DOS: what changes nothing that translation rests on is neither a trap nor a callout.

use crate::engine::{Engine, ways};
use crate::kit::{Kit, Led, place};
use crate::memory::{everywhere, to_halt};
use iced_x86::code_asm::*;
use idem86_cpu::run::Stop;
use idem86_cpu::state::gpr;
use idem86_translator::Counters;

/// Rounds of loops.
const ROUNDS: u32 = 2000;
/// Where in the code segment a RETD is.
const SUBROUTINE: u32 = 0x800;

/// Runs `code` in real mode in all ways that there are, compares them, and gives their counters.
fn rounds(name: &str, code: impl Fn(&mut CodeAssembler) -> Result<(), iced_x86::IcedError>) -> Vec<Way> {
    let build = || {
        let mut k = Kit::real();
        k.put(place::CODE + SUBROUTINE, &[0x66, 0xC3]);
        k.code(|a| {
            let mut again = a.create_label();
            a.mov(ebp, ROUNDS)?;
            a.set_label(&mut again)?;
            code(a)?;
            a.dec(ebp)?;
            a.jne(again)?;
            a.hlt()
        });
        k
    };
    let run = |k: &mut Kit| assert_eq!(k.run(u64::from(ROUNDS) * 100), Stop::Halted, "{name}");
    everywhere(name, build, run);
    let ways = ways().iter().map(|&(way, options)| {
        let mut k = build();
        k.engine = Engine::translator(options);
        run(&mut k);
        let counters = k.engine.counters().expect("it was used");
        Way { name: format!("{name}, {way}: {counters}"), counters }
    });
    ways.collect()
}

/// A way, with what the translator did.
struct Way {
    name: String,
    counters: Counters,
}

/// Without paging linear addresses are physical ones in real and in protected mode: nothing is found anew.
#[test]
fn protected_mode_and_back_leaves_what_is_known_of_memory() {
    let ways = rounds("PE", |a| {
        a.mov(eax, cr0)?;
        a.xor(al, 1)?;
        a.mov(cr0, eax)?;
        a.add(dword_ptr(place::DATA & 0xFFFF), 1)?;
        a.mov(eax, cr0)?;
        a.xor(al, 1)?;
        a.mov(cr0, eax)
    });
    for Way { name, counters } in ways {
        assert!(counters.fills < 100 && counters.changes < 100 && counters.traps.page < 100, "{name}");
    }
}

/// SDM Vol. 3A, "8086 Emulation": segment registers hold what the program put there, so there is nothing to hide.
#[test]
fn segment_registers_of_real_mode_do_not_trap() {
    let ways = rounds("segment registers", |a| {
        a.mov(ax, 0x1234)?;
        a.mov(es, ax)?;
        a.push(es)?;
        a.pop(fs)?;
        a.mov(cx, fs)?;
        a.mov(dx, ss)?;
        a.mov(ss, dx)
    });
    for Way { name, counters } in ways {
        // The HLT at the end is one.
        assert!(counters.traps.protection <= 1 && counters.traps.breakpoint <= 1, "{name}");
    }
}

/// As firmware has it that was compiled for 32 bits and assembled for 16.
#[test]
fn near_branches_with_32_bit_operands_stay_in_translated_code() {
    let ways = rounds("RETD", |a| {
        a.mov(edx, SUBROUTINE)?;
        // CALL EDX
        a.db(&[0x66, 0xFF, 0xD2])
    });
    for Way { name, counters } in ways {
        assert!(counters.callouts < 100, "{name}");
    }
}

/// SDM Vol. 2, "RET", "CALL", "JMP": #GP where the target is beyond the limit of CS, and nothing has changed.
#[test]
fn a_target_beyond_the_limit_faults_before_anything_changes() {
    let branches: [(&str, &[u8]); 5] = [
        ("RETD", &[0x66, 0xC3]),
        ("RETD 4", &[0x66, 0xC2, 0x04, 0x00]),
        ("CALL EAX", &[0x66, 0xFF, 0xD0]),
        ("JMP EAX", &[0x66, 0xFF, 0xE0]),
        ("CALL m32", &[0x66, 0xFF, 0x16, 0x00, 0x40]),
    ];
    for (name, branch) in branches {
        for target in [0x1_0000u32, 0xFFFF_FFFF, 0x8000_0000] {
            let build = || {
                let mut k = Kit::real();
                let top = place::STACKS[0] - 4;
                k.cpu.gpr.set(gpr::SP, top);
                k.put32(top, target);
                k.put32(0x4000, target);
                k.cpu.gpr.set(gpr::AX, target);
                k.bytes(branch);
                k
            };
            let k = everywhere(name, build, |k| {
                assert_eq!(to_halt(k), Led::To(13, None), "{name} to {target:#x}")
            });
            assert_eq!(k.cpu.gpr.get::<u16>(gpr::SP), place::STACKS[0] as u16 - 4 - 6, "{name}: the frame");
        }
    }
}

/// A boot sector's stack grows down to its code: that it is watched there is no business of a monitor's.
#[test]
fn stores_beside_code_trap_a_few_times() {
    let ways = rounds("a stack beside code", |a| {
        a.mov(bx, cs)?;
        a.mov(ss, bx)?;
        a.mov(sp, 0x800)?;
        a.push(eax)?;
        a.pop(ecx)
    });
    for Way { name, counters } in ways {
        assert!(counters.traps.page < 100, "{name}");
    }
}
