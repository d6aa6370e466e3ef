//! Memory as translated code sees it: code that is overwritten, accesses that cross pages, tables that change. Every
//! case runs in the interpreter and in all ways to translate; all must end alike, and as the manual says.

mod code;
mod coherence;
mod crossing;
mod processes;
mod reaching;
mod spaces;

use crate::engine::{Engine, ways};
use crate::kit::{Kit, Led, place};
use idem86_cpu::run::Stop;
use std::ops::Range;

/// Runs a case everywhere. Gives the machine of the interpreter as it is at the end.
pub fn everywhere(name: &str, build: impl Fn() -> Kit, run: impl Fn(&mut Kit)) -> Kit {
    let on = |engine| {
        let mut k = build();
        k.engine = engine;
        run(&mut k);
        k
    };
    let expected = on(Engine::interpreter());
    for &(way, options) in ways() {
        let k = on(Engine::translator(options));
        let (state, wanted) = (k.cpu.save(), expected.cpu.save());
        assert_eq!(state, wanted, "{name}, {way}");
        for used in USED {
            let wrong = used.clone().find(|n| k.ram[*n] != expected.ram[*n]);
            assert_eq!(wrong, None, "{name}, {way}: memory");
        }
    }
    expected
}

/// What is compared of memory: tables, code, data, and paging structures.
const USED: [Range<usize>; 2] = [0..0x3_0000, 0x10_0000..0x12_0000];

/// Runs until a HLT, which may be a handler's, or a shutdown, and says where that was.
pub fn to_halt(k: &mut Kit) -> Led {
    match k.run(100_000) {
        Stop::Halted => {}
        Stop::Shutdown => return Led::Shutdown,
        stop => panic!("{stop:?} at {:x}", k.here()),
    }
    // A handler is left behind its HLT.
    k.cpu.rip -= 1;
    let led = k.led();
    k.cpu.rip += 1;
    led
}

/// A linear address in the page table that [`Kit::page`] makes, far from everything.
const FAR: u32 = 0x20_0000;
/// A frame that nothing uses.
const FRAME: u32 = place::DATA + 0x8000;
