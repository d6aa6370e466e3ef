//! Stops and watches: where a run ends, and that the guest sees nothing of it.

use crate::kit::*;
use iced_x86::code_asm::*;
use idem86_cpu::run::Stop;
use idem86_cpu::state::control::dr7;
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::gpr;
use idem86_cpu::stops::{Watch, WatchKind};

const HERE: u32 = place::CODE;

fn register(k: &Kit, r: u8) -> u32 {
    k.cpu.gpr.get(r)
}

/// INC EAX, INC EBX, INC ECX, DEC EDX, a branch back while EDX is not zero, HLT. The first four are a byte long.
fn counting(rounds: u32) -> Kit {
    let mut k = Kit::protected(0);
    k.code(|a| {
        let mut again = a.create_label();
        a.set_label(&mut again)?;
        a.inc(eax)?;
        a.inc(ebx)?;
        a.inc(ecx)?;
        a.dec(edx)?;
        a.jnz(again)?;
        a.hlt()
    });
    k.cpu.gpr.set(gpr::DX, rounds);
    k
}

#[test]
fn a_run_ends_before_the_instruction_at_a_stop() {
    for at in 0..4 {
        let mut k = counting(1);
        k.cpu.add_execution_stop(HERE + at);
        assert_eq!(k.run(100), Stop::Breakpoint);
        assert_eq!((k.here(), k.cpu.work()), (HERE + at, at.into()));
        let counts = [gpr::AX, gpr::BX, gpr::CX].map(|r| register(&k, r));
        assert_eq!(counts, [1, 2, 3].map(|n| u32::from(at >= n)));
        assert_eq!(k.run(100), Stop::Halted, "the run that follows executes it");
        assert_eq!(k.cpu.work(), 6);
    }
}

#[test]
fn each_arrival_is_reported_and_the_guest_ends_as_without() {
    let mut free = counting(500);
    assert_eq!(free.run(10_000), Stop::Halted);
    for at in 0..4 {
        let mut k = counting(500);
        k.cpu.add_execution_stop(HERE + at);
        for round in 0..500 {
            assert_eq!(k.run(10_000), Stop::Breakpoint);
            assert_eq!((k.here(), register(&k, gpr::DX)), (HERE + at, 500 - round));
        }
        assert_eq!(k.run(10_000), Stop::Halted);
        assert_eq!(k.cpu.save(), free.cpu.save());
    }
}

#[test]
fn a_stop_holds_at_once_for_code_that_ran_before() {
    for at in 0..4 {
        let mut k = counting(1000);
        assert_eq!(k.run(2501), Stop::Budget);
        assert_eq!(k.here(), HERE + 1);
        k.cpu.add_execution_stop(HERE + at);
        assert_eq!(k.run(10_000), Stop::Breakpoint);
        assert_eq!(k.here(), HERE + at);
        let passed = k.cpu.work() - 2501;
        assert_eq!(passed, [4, 0, 1, 2][at as usize]);
        assert!(k.cpu.remove_execution_stop(HERE + at));
        assert_eq!(k.run(10_000), Stop::Halted, "without it the code runs on");
        assert_eq!(k.cpu.work(), 5001);
    }
}

#[test]
fn a_stop_that_was_asked_for_twice_is_removed_twice() {
    let mut k = counting(10);
    k.cpu.add_execution_stop(HERE + 1);
    k.cpu.add_execution_stop(HERE + 1);
    assert!(k.cpu.remove_execution_stop(HERE + 1));
    assert_eq!(k.run(100), Stop::Breakpoint);
    assert!(k.cpu.remove_execution_stop(HERE + 1));
    assert!(!k.cpu.remove_execution_stop(HERE + 1));
    assert_eq!(k.run(100), Stop::Halted);
}

#[test]
fn a_stop_that_comes_and_goes_is_exact_and_leaves_nothing_behind() {
    let mut k = counting(2_000_000);
    for round in 0..200 {
        k.cpu.add_execution_stop(HERE + 1);
        assert_eq!((k.run(10_000), k.here(), k.cpu.work()), (Stop::Breakpoint, HERE + 1, round * 50 + 1));
        assert!(k.cpu.remove_execution_stop(HERE + 1));
        assert_eq!(k.run(49), Stop::Budget);
    }
    assert!(k.cpu.splits_code(u64::from(HERE + 1)), "it may come back");
    assert_eq!(k.run(2_000_000), Stop::Budget);
    assert_eq!(k.run(2_000_000), Stop::Budget);
    assert!(!k.cpu.splits_code(u64::from(HERE + 1)));
    k.cpu.add_execution_stop(HERE + 1);
    assert_eq!((k.run(10_000), k.here()), (Stop::Breakpoint, HERE + 1));
}

#[test]
fn the_end_of_the_budget_does_not_pass_a_stop() {
    let mut k = counting(10);
    k.cpu.add_execution_stop(HERE + 2);
    assert_eq!(k.run(2), Stop::Budget);
    assert_eq!(k.run(1), Stop::Breakpoint);
    assert_eq!((k.run(1), k.here()), (Stop::Budget, HERE + 3));
}

#[test]
fn a_stop_can_be_passed() {
    let mut k = counting(10);
    k.cpu.add_execution_stop(HERE);
    k.cpu.pass_stop();
    assert_eq!(k.run(1), Stop::Budget);
    assert_eq!(k.here(), HERE + 1);
    assert_eq!(k.run(100), Stop::Breakpoint, "on the next arrival it holds again");
    assert_eq!(k.here(), HERE);
}

#[test]
fn a_jump_to_itself_arrives_again_and_again() {
    let mut k = Kit::protected(0);
    k.bytes(&[0xEB, 0xFE]);
    assert_eq!(k.run(1000), Stop::Budget);
    k.cpu.add_execution_stop(HERE);
    for n in 0..10 {
        assert_eq!((k.run(1000), k.cpu.work()), (Stop::Breakpoint, 1000 + n));
    }
}

#[test]
fn an_address_inside_an_instruction_is_no_stop() {
    let mut k = Kit::protected(0);
    k.code(|a| {
        a.mov(eax, 0x1234_5678)?;
        a.hlt()
    });
    k.cpu.add_execution_stop(HERE + 1);
    assert_eq!(k.run(100), Stop::Halted);
}

#[test]
fn stops_are_linear_addresses_in_real_mode() {
    let mut k = Kit::real();
    k.code(|a| {
        a.nop()?;
        a.call(8)?;
        a.hlt()
    });
    k.put(HERE + 8, &[0x40, 0xC3]);
    k.cpu.add_execution_stop(HERE + 8);
    assert_eq!(k.run(100), Stop::Breakpoint);
    assert_eq!((k.cpu.rip, k.here()), (8, HERE + 8));
    assert_eq!(k.run(100), Stop::Halted);
}

/// Far from everything that the kit maps.
const ALIAS: u32 = 0x20_0000;

#[test]
fn code_that_is_mapped_twice_stops_where_it_was_asked_for() {
    let mut k = Kit::protected(0);
    k.page();
    k.put32(k.pte(ALIAS), HERE | 7);
    k.code(|a| {
        a.inc(eax)?;
        a.inc(ebx)?;
        a.ret()
    });
    let caller = HERE + 0x1000;
    let calls = asm(32, |a| {
        let mut again = a.create_label();
        a.set_label(&mut again)?;
        a.mov(ecx, HERE)?;
        a.call(ecx)?;
        a.mov(ecx, ALIAS)?;
        a.call(ecx)?;
        a.jmp(again)
    });
    k.put(caller, &calls);
    k.cpu.rip = caller.into();
    assert_eq!(k.run(1000), Stop::Budget);
    k.cpu.add_execution_stop(ALIAS + 1);
    for _ in 0..20 {
        assert_eq!(k.run(1000), Stop::Breakpoint);
        assert_eq!(k.here(), ALIAS + 1);
        assert_eq!(register(&k, gpr::AX), register(&k, gpr::BX) + 1);
    }
}

#[test]
fn an_instruction_on_two_pages_stops_too() {
    let mut k = counting(5);
    let at = HERE + 0xFFE;
    let code = asm(32, |a| {
        a.mov(eax, 0x1234_5678)?;
        a.mov(ecx, HERE)?;
        a.jmp(ecx)
    });
    k.put(at, &code);
    k.cpu.rip = at.into();
    k.cpu.add_execution_stop(at);
    assert_eq!((k.run(1000), k.here()), (Stop::Breakpoint, at));
    assert_eq!(k.run(1000), Stop::Halted);
}

#[test]
fn a_page_fault_of_the_fetch_comes_first() {
    let mut k = counting(5);
    k.page();
    k.put32(k.pte(ALIAS), 0);
    k.cpu.rip = ALIAS.into();
    k.cpu.add_execution_stop(ALIAS);
    assert_eq!(k.run(1000), Stop::Halted);
    k.cpu.rip -= 1;
    assert_eq!(k.led(), Led::To(14, Some(0)));
    // The handler maps the page and returns.
    k.cpu.halted = false;
    k.put32(k.pte(ALIAS), HERE | 7);
    let top = register(&k, gpr::SP);
    k.cpu.gpr.set(gpr::SP, top + 4);
    k.code(|a| a.iretd());
    assert_eq!((k.run(1000), k.here()), (Stop::Breakpoint, ALIAS));
}

/// A handler that counts in memory and returns.
fn counting_handler(k: &mut Kit, vector: u8) {
    let at = HERE + 0x800;
    let code = asm(32, |a| {
        a.inc(dword_ptr(place::DATA))?;
        a.iretd()
    });
    k.put(at, &code);
    k.set_gate(vector, gate(sel::CODE0, at, rights::INTERRUPT32, 0));
}

#[test]
fn interrupts_come_before_the_stop() {
    let mut k = counting(5);
    counting_handler(&mut k, 0x20);
    k.cpu.set_eflags(bit::IF);
    k.bus.intr = true;
    k.cpu.add_execution_stop(HERE);
    assert_eq!((k.run(1000), k.here()), (Stop::Breakpoint, HERE));
    assert_eq!(k.get32(place::DATA), 1);
    // One that comes before the instruction after all brings the processor there a second time.
    k.bus.intr = true;
    assert_eq!((k.run(1000), k.here()), (Stop::Breakpoint, HERE));
    assert_eq!((k.get32(place::DATA), register(&k, gpr::AX)), (2, 0));
    assert_eq!((k.run(1000), register(&k, gpr::AX)), (Stop::Breakpoint, 1));
}

#[test]
fn a_stop_in_an_interrupt_shadow_keeps_the_shadow() {
    let mut k = Kit::protected(0);
    counting_handler(&mut k, 0x20);
    k.code(|a| {
        a.sti()?;
        a.inc(eax)?;
        a.inc(ebx)?;
        a.hlt()
    });
    k.bus.intr = true;
    k.cpu.add_execution_stop(HERE + 1);
    k.cpu.add_execution_stop(HERE + 2);
    assert_eq!((k.run(100), k.here()), (Stop::Breakpoint, HERE + 1));
    assert_eq!((k.run(100), k.here()), (Stop::Breakpoint, HERE + 2));
    assert_eq!(
        (register(&k, gpr::AX), k.get32(place::DATA)),
        (1, 1),
        "the interrupt came after one instruction"
    );
}

#[test]
fn a_stop_comes_before_the_guests_own_breakpoint() {
    let mut k = counting(5);
    k.cpu.dr[0] = u64::from(HERE + 1);
    k.cpu.dr7 = dr7::FIXED | 1;
    k.cpu.state_changed();
    k.cpu.add_execution_stop(HERE + 1);
    assert_eq!((k.run(100), k.here()), (Stop::Breakpoint, HERE + 1));
    assert_eq!(k.step(), Led::To(1, None));
}

#[test]
fn a_repeated_instruction_is_reported_when_it_begins() {
    let mut k = Kit::protected(0);
    k.code(|a| {
        a.nop()?;
        a.rep().stosb()?;
        a.hlt()
    });
    k.cpu.gpr.set(gpr::CX, 100u32);
    k.cpu.gpr.set(gpr::DI, place::DATA);
    k.cpu.add_execution_stop(HERE + 1);
    assert_eq!((k.run(50), register(&k, gpr::CX)), (Stop::Breakpoint, 100));
    assert_eq!((k.run(30), register(&k, gpr::CX)), (Stop::Budget, 70));
    assert_eq!((k.run(30), register(&k, gpr::CX)), (Stop::Budget, 40));
    assert_eq!(k.run(100), Stop::Halted);
}

#[test]
fn a_restored_processor_forgets_what_was_reported() {
    let mut k = counting(5);
    k.cpu.add_execution_stop(HERE + 1);
    assert_eq!(k.run(100), Stop::Breakpoint);
    let state = k.cpu.save();
    k.cpu.restore(&state).expect("its own state");
    assert_eq!((k.run(100), register(&k, gpr::BX)), (Stop::Breakpoint, 0));
    assert_eq!((k.run(100), register(&k, gpr::BX)), (Stop::Breakpoint, 1));
}

/// The watched bytes of these tests.
const WATCHED: u32 = place::DATA + 0x104;

fn watch(k: &mut Kit, kind: WatchKind) {
    k.cpu.add_watch(Watch { start: WATCHED, last: WATCHED + 3, kind });
}

/// What an instruction that accesses memory through EDI (and ESI, ESP) meets: whether it reads and writes the
/// watched bytes.
type Accesses = (&'static str, fn(&mut CodeAssembler) -> Result<(), iced_x86::IcedError>, bool, bool);

const ACCESSES: [Accesses; 16] = [
    ("mov from", |a| a.mov(eax, dword_ptr(edi)), true, false),
    ("mov to", |a| a.mov(dword_ptr(edi), eax), false, true),
    ("byte before", |a| a.mov(byte_ptr(edi - 1), al), false, false),
    ("byte behind", |a| a.mov(byte_ptr(edi + 4), al), false, false),
    ("reaching into it", |a| a.mov(dword_ptr(edi - 3), eax), false, true),
    ("read-modify-write", |a| a.add(dword_ptr(edi), eax), true, true),
    ("locked", |a| a.lock().xadd(dword_ptr(edi), eax), true, true),
    ("push", |a| a.push(eax), false, true),
    ("pop to", |a| a.pop(dword_ptr(edi)), false, true),
    ("call", |a| a.call(0), false, true),
    ("movs to", |a| a.movsd(), false, true),
    ("cmps", |a| a.cmpsb(), true, false),
    ("fld", |a| a.fld(dword_ptr(edi)), true, false),
    ("fnsave", |a| a.fnsave(ptr(edi - 100)), false, true),
    ("movups", |a| a.movups(xmm1, ptr(edi - 12)), true, false),
    ("lea", |a| a.lea(eax, ptr(edi)), false, false),
];

#[test]
fn watches_by_kind_of_access() {
    use idem86_cpu::state::control::cr4;
    for (name, write, reads, writes) in ACCESSES {
        for kind in [WatchKind::Read, WatchKind::Write, WatchKind::Access] {
            let mut k = Kit::protected(0);
            k.cpu.cr4 |= cr4::OSFXSR;
            for (r, v) in [(gpr::DI, WATCHED), (gpr::SI, place::DATA + 0x800), (gpr::SP, WATCHED + 4)] {
                k.cpu.gpr.set(r, v);
            }
            k.cpu.state_changed();
            k.code(write);
            // The second time the code is known, and so is the page.
            for round in 0..2 {
                let before = k.cpu.save();
                if round == 1 {
                    watch(&mut k, kind);
                }
                let stop = k.run(1);
                let met = match kind {
                    WatchKind::Read => reads,
                    WatchKind::Write => writes,
                    WatchKind::Access => reads || writes,
                };
                if round == 1 && met {
                    let Stop::Watchpoint { linear, write } = stop else {
                        panic!("{name}, {kind:?}: {stop:?}")
                    };
                    assert_eq!(linear, WATCHED, "{name}");
                    assert_eq!(write, !(reads && kind != WatchKind::Write), "{name}, {kind:?}");
                } else {
                    assert_eq!(stop, Stop::Budget, "{name}, {kind:?}");
                }
                assert_eq!(k.cpu.work(), before.retired + 1, "{name}: the instruction is done");
                k.cpu.restore(&before).expect("its own state");
            }
        }
    }
}

/// MOV [EDI], ECX in a loop of ECX rounds; the address is the same each time.
fn storing() -> Kit {
    let mut k = Kit::protected(0);
    k.code(|a| {
        let mut again = a.create_label();
        a.set_label(&mut again)?;
        a.mov(dword_ptr(edi), ecx)?;
        a.mov(eax, dword_ptr(edi + 0x10))?;
        a.dec(ecx)?;
        a.jnz(again)?;
        a.hlt()
    });
    k.cpu.gpr.set(gpr::CX, 1000u32);
    k.cpu.gpr.set(gpr::DI, WATCHED);
    k
}

#[test]
fn a_watch_holds_at_once_and_ends_the_run_behind_the_instruction() {
    let mut free = storing();
    assert_eq!(free.run(10_000), Stop::Halted);
    let mut k = storing();
    assert_eq!(k.run(1200), Stop::Budget);
    watch(&mut k, WatchKind::Write);
    for round in 0..10 {
        assert_eq!(k.run(10_000), Stop::Watchpoint { linear: WATCHED, write: true });
        assert_eq!((k.here(), register(&k, gpr::CX)), (HERE + 2, 700 - round));
    }
    assert!(k.cpu.remove_watch(Watch { start: WATCHED, last: WATCHED + 3, kind: WatchKind::Write }));
    assert_eq!(k.run(10_000), Stop::Halted);
    assert_eq!(k.cpu.save(), free.cpu.save());
}

#[test]
fn a_watch_ends_a_repeated_instruction_behind_the_iteration() {
    let mut k = Kit::protected(0);
    k.code(|a| {
        a.rep().stosd()?;
        a.hlt()
    });
    k.cpu.gpr.set(gpr::CX, 100u32);
    k.cpu.gpr.set(gpr::DI, WATCHED - 40);
    watch(&mut k, WatchKind::Write);
    assert_eq!(k.run(1000), Stop::Watchpoint { linear: WATCHED, write: true });
    assert_eq!((register(&k, gpr::CX), register(&k, gpr::DI), k.here()), (89, WATCHED + 4, HERE));
    assert_eq!((k.run(1000), k.cpu.work()), (Stop::Halted, 101));
}

#[test]
fn a_watch_is_reported_before_an_interrupt_that_waits() {
    let mut k = storing();
    counting_handler(&mut k, 0x20);
    k.cpu.set_eflags(bit::IF);
    watch(&mut k, WatchKind::Write);
    assert!(matches!(k.run(1), Stop::Watchpoint { .. }));
    k.bus.intr = true;
    assert_eq!(k.run(1), Stop::Budget);
    assert_eq!(k.here(), HERE + 0x800);
}

#[test]
fn an_access_across_pages_meets_a_watch_on_the_second() {
    let mut k = Kit::protected(0);
    k.page();
    let second = place::DATA + 0x1000;
    k.cpu.add_watch(Watch { start: second, last: second, kind: WatchKind::Read });
    k.code(|a| {
        a.mov(eax, dword_ptr(second - 4))?;
        a.mov(eax, dword_ptr(second - 2))
    });
    assert_eq!(k.run(1), Stop::Budget);
    assert_eq!(k.run(1), Stop::Watchpoint { linear: second, write: false });
}

#[test]
fn what_the_processor_writes_by_itself_is_watched_too() {
    let mut k = Kit::protected(0);
    counting_handler(&mut k, 0x80);
    let top = register(&k, gpr::SP);
    k.cpu.add_watch(Watch { start: top - 4, last: top - 1, kind: WatchKind::Write });
    k.code(|a| a.int(0x80));
    assert_eq!(k.run(100), Stop::Watchpoint { linear: top - 4, write: true });
    assert_eq!(k.here(), HERE + 0x800);
}
