//! No exception of the host on a repeated path: an instruction that keeps faulting is translated anew.

use crate::engine::{Engine, ways};
use crate::kit::*;
use iced_x86::code_asm::*;
use idem86_cpu::run::Stop;
use idem86_cpu::state::gpr;
use idem86_translator::Sensitive;

/// The handler of #DE steps over the division, whose two bytes stand in a loop.
#[test]
fn a_division_by_zero_in_a_loop_faults_a_few_times() {
    for &(way, options) in ways().iter().filter(|(_, options)| options.sensitive == Sensitive::Adaptive) {
        let mut k = Kit::protected(0);
        k.engine = Engine::translator(options);
        k.set_gate(0, gate(sel::CODE0, place::DATA, rights::INTERRUPT32, 0));
        let handler = asm(32, |a| {
            a.add(dword_ptr(esp), 2)?;
            a.iretd()
        });
        k.put(place::DATA, &handler);
        k.cpu.gpr.set(gpr::BX, 0u32);
        k.cpu.gpr.set(gpr::CX, 1000u32);
        k.code(|a| {
            let mut again = a.create_label();
            a.set_label(&mut again)?;
            a.div(ebx)?;
            a.dec(ecx)?;
            a.jne(again)?;
            a.hlt()
        });
        assert_eq!(k.run(100_000), Stop::Halted, "{way}");
        // A delivery is a unit of work of its own: division, delivery, handler, end of the loop.
        assert_eq!(k.cpu.work(), 1000 * 5 + 1, "{way}");
        let counters = k.engine.counters().expect("it was used");
        assert!(counters.traps.other < 100, "{way}: {counters}");
    }
}
