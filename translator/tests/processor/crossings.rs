//! System calls, interrupts and returns in translated code: that they are there, and that whatever they depend on is
//! heeded when it changes between two of them.

use crate::engine::{Engine, ways};
use crate::kit::{Kit, Led, asm, gate, gp, np, place, rights, segment, sel, stack_fault};
use crate::memory::{everywhere, to_halt};
use iced_x86::IcedError;
use iced_x86::code_asm::*;
use idem86_cpu::bus::{Bus, PageKind, Pins, Work};
use idem86_cpu::flat::FlatBus;
use idem86_cpu::report::{Event, Reports};
use idem86_cpu::run::Stop;
use idem86_cpu::state::control::{cr0, cr4};
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::gpr;
use idem86_cpu::stops::{Watch, WatchKind};
use idem86_translator::Sensitive;
use std::cell::Cell;

/// Rounds of the programs: INT and SYSENTER once in each.
const ROUNDS: u32 = 60;
/// What the kernel changes is changed in the call of this round, counted from the end.
const CHANGE: u32 = 20;

/// The handlers of INT 80h and SYSENTER, a page each, and where another handler is.
const INTERRUPT: u32 = place::CODE + 0x1000;
const ENTERED: u32 = place::CODE + 0x2000;
const ELSEWHERE: u32 = place::CODE + 0x3000;
/// Other tables.
const OTHER: u32 = place::CODE + 0x4000;
/// Where the gate of INT 80h is.
const GATE: u32 = place::IDT + 0x80 * 8;
/// Where the descriptor of `selector` is.
const fn descriptor(selector: u16) -> u32 {
    place::GDT + (selector & 0xFFF8) as u32
}

type Emit = fn(&mut CodeAssembler) -> Result<(), IcedError>;

fn nothing(_: &mut CodeAssembler) -> Result<(), IcedError> {
    Ok(())
}

/// The loop of a program at level 3: INT 80h and SYSENTER while EBX counts down, then HLT, which is #GP.
fn calls(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let (mut again, mut here) = (a.create_label(), a.create_label());
    a.set_label(&mut again)?;
    a.add(eax, ebx)?;
    a.int(0x80)?;
    a.adc(eax, 0)?;
    a.mov(ecx, esp)?;
    a.call(here)?;
    a.set_label(&mut here)?;
    a.pop(edx)?;
    // POP, ADD and SYSENTER.
    a.add(edx, 6)?;
    a.sysenter()?;
    a.adc(eax, 0)?;
    a.dec(ebx)?;
    a.jnz(again)?;
    a.hlt()
}

/// The same at level 0, with INT 80h alone.
fn calls_at_level_0(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let mut again = a.create_label();
    a.set_label(&mut again)?;
    a.add(eax, ebx)?;
    a.int(0x80)?;
    a.adc(eax, 0)?;
    a.dec(ebx)?;
    a.jnz(again)?;
    a.hlt()
}

/// A program at level `cpl` under paging. In the call of one round the handlers do `interrupted` and `entered` before
/// they return, with EBP pointing at the frame and at what SYSEXIT will find in EDX and ECX.
fn program(cpl: u8, interrupted: Emit, entered: Emit) -> Kit {
    let mut k = Kit::protected(cpl);
    let at_change = |inner: Emit, a: &mut CodeAssembler| -> Result<(), IcedError> {
        let mut usual = a.create_label();
        a.mov(ebp, esp)?;
        a.cmp(ebx, CHANGE as i32)?;
        a.jne(usual)?;
        inner(a)?;
        a.set_label(&mut usual)?;
        a.nop()
    };
    let handler = asm(32, |a| {
        a.mov(dword_ptr(place::DATA), esp)?;
        a.pushfd()?;
        a.pop(ebp)?;
        a.mov(dword_ptr(place::DATA + 4), ebp)?;
        a.push(cs)?;
        a.pop(ebp)?;
        a.mov(dword_ptr(place::DATA + 8), ebp)?;
        a.push(ss)?;
        a.pop(ebp)?;
        a.mov(dword_ptr(place::DATA + 12), ebp)?;
        a.inc(edi)?;
        at_change(interrupted, a)?;
        a.iretd()
    });
    let sysenter = asm(32, |a| {
        a.push(ecx)?;
        a.push(edx)?;
        a.mov(dword_ptr(place::DATA + 16), esp)?;
        a.inc(esi)?;
        at_change(entered, a)?;
        a.pop(edx)?;
        a.pop(ecx)?;
        a.sti()?;
        a.sysexit()
    });
    let elsewhere = asm(32, |a| {
        a.add(edi, 0x1_0000)?;
        a.iretd()
    });
    k.put(place::CODE, &asm(32, if cpl == 3 { calls } else { calls_at_level_0 }));
    k.put(INTERRUPT, &handler);
    k.put(ENTERED, &sysenter);
    k.put(ELSEWHERE, &elsewhere);
    k.put(ELSEWHERE + 0x800, &asm(32, |a| a.sysexit()));
    k.set_gate(0x80, gate(sel::CODE0, INTERRUPT, rights::INTERRUPT32 | rights::DPL3, 0));
    for (free, like) in [(sel::FREE, sel::CODE0), (sel::FREE2, sel::DATA0), (sel::FREE3, sel::CODE3)] {
        let like = k.descriptor(like).0;
        k.set_descriptor(free, like);
    }
    // Another task state and other tables, which differ in the stack and in the gate.
    for n in 0..0x800 {
        k.put8(OTHER + n, k.get8(place::IDT + n));
    }
    k.put64(OTHER + 0x80 * 8, gate(sel::CODE0, ELSEWHERE, rights::INTERRUPT32 | rights::DPL3, 0));
    k.put(OTHER + 0x800, &[0xFF, 7, OTHER as u8, (OTHER >> 8) as u8, (OTHER >> 16) as u8, 0]);
    k.put32(place::TSS32 + 4, place::STACKS[1]);
    k.put32(place::TSS32 + 8, sel::DATA0.into());
    k.cpu.msr.sysenter = [sel::CODE0.into(), u64::from(place::STACKS[0]) - 0x400, ENTERED.into()];
    k.cpu.gpr.set(gpr::BX, ROUNDS);
    k.cpu.cr0 |= cr0::WP;
    k.page();
    k
}

/// Where a program at level 3 ends that is not led astray: at HLT.
const DONE: Led = Led::To(13, Some(0));
/// And one at level 0.
const DONE_AT_0: Led = Led::Through;

/// A change that the kernel makes in one of its handlers, and where that leads.
struct Case(&'static str, Emit, Led);

/// Runs a program everywhere, in which one of the handlers makes the change of each of `cases`.
fn changing(cpl: u8, by_interrupt: bool, cases: &[Case]) {
    for &Case(name, change, expected) in cases {
        let (interrupted, entered): (Emit, Emit) =
            if by_interrupt { (change, nothing) } else { (nothing, change) };
        let led = Cell::new(Led::Through);
        let k = everywhere(name, || program(cpl, interrupted, entered), |k| led.set(to_halt(k)));
        assert_eq!(led.get(), expected, "{name}");
        let calls = k.cpu.gpr.get::<u32>(gpr::DI) % 0x1_0000;
        assert!(calls > ROUNDS - CHANGE, "{name}: {calls} calls");
    }
}

#[test]
fn crossings_take_callouts_only_where_they_are_to() {
    const CALLS: u32 = 1000;
    for &(way, options) in ways() {
        for cpl in [0, 3] {
            let mut k = program(cpl, nothing, nothing);
            k.engine = Engine::translator(options);
            k.cpu.gpr.set(gpr::BX, CALLS);
            assert_eq!(k.run(100_000), Stop::Halted);
            assert_eq!(k.cpu.gpr.get::<u32>(gpr::DI), CALLS);
            let counters = k.engine.counters().expect("it was used");
            // INT and IRET, or these and SYSENTER and SYSEXIT.
            let all = u64::from(if cpl == 3 { 4 * CALLS } else { 2 * CALLS });
            match options.sensitive {
                Sensitive::Trap => assert!(counters.traps.breakpoint >= all, "{way}, {cpl}: {counters}"),
                Sensitive::Callout => assert!(counters.callouts >= all, "{way}, {cpl}: {counters}"),
                // STI by itself is left to the interpreter.
                _ if options.unit < 4 => {}
                _ => assert!(counters.callouts < 100, "{way}, {cpl}: {counters}"),
            }
        }
    }
}

#[test]
fn a_gate_that_changes_is_heeded() {
    const INDEX: u16 = 0x80 * 8 + 2;
    let cases = [
        Case("nothing", nothing, DONE),
        Case("offset", |a| a.mov(word_ptr(GATE), ELSEWHERE & 0xFFFF), DONE),
        Case("offset's upper half", |a| a.mov(word_ptr(GATE + 6), 0x7FFF), Led::To(14, Some(0))),
        Case("trap gate", |a| a.mov(byte_ptr(GATE + 5), 0xEF), DONE),
        Case("DPL", |a| a.mov(byte_ptr(GATE + 5), 0x8E), gp(INDEX)),
        Case("present", |a| a.mov(byte_ptr(GATE + 5), 0x6E), np(INDEX)),
        Case("call gate", |a| a.mov(byte_ptr(GATE + 5), 0xEC), gp(INDEX)),
        Case("selector", |a| a.mov(word_ptr(GATE + 2), u32::from(sel::FREE)), DONE),
        Case("data", |a| a.mov(word_ptr(GATE + 2), u32::from(sel::DATA0)), gp(sel::DATA0)),
        Case("null selector", |a| a.mov(word_ptr(GATE + 2), 0), gp(0)),
        Case("IDTR", |a| a.lidt(fword_ptr(OTHER + 0x800)), DONE),
    ];
    changing(3, true, &cases);
    let at_0 = [
        Case("nothing at level 0", nothing, DONE_AT_0),
        Case("offset at level 0", |a| a.mov(word_ptr(GATE), ELSEWHERE & 0xFFFF), DONE_AT_0),
        Case("trap gate at level 0", |a| a.mov(byte_ptr(GATE + 5), 0xEF), DONE_AT_0),
        Case("DPL at level 0", |a| a.mov(byte_ptr(GATE + 5), 0x8E), DONE_AT_0),
        Case("present at level 0", |a| a.mov(byte_ptr(GATE + 5), 0x6E), np(INDEX)),
        Case("selector at level 0", |a| a.mov(word_ptr(GATE + 2), u32::from(sel::FREE)), DONE_AT_0),
        Case("IDTR at level 0", |a| a.lidt(fword_ptr(OTHER + 0x800)), DONE_AT_0),
    ];
    changing(0, true, &at_0);
}

#[test]
fn descriptors_that_change_are_heeded() {
    const CODE0: u32 = descriptor(sel::CODE0);
    const DATA0: u32 = descriptor(sel::DATA0);
    const CODE3: u32 = descriptor(sel::CODE3);
    const DATA3: u32 = descriptor(sel::DATA3);
    let cases = [
        // Whatever handles what follows has the same code or stack segment.
        Case("code not present", |a| a.mov(byte_ptr(CODE0 + 5), 0x1B), Led::Shutdown),
        Case("conforming code", |a| a.mov(byte_ptr(CODE0 + 5), 0x9F), Led::Shutdown),
        Case("code's limit", |a| a.mov(byte_ptr(CODE0 + 6), 0x40), gp(0)),
        Case("execute-only code", |a| a.mov(byte_ptr(CODE0 + 5), 0x99), DONE),
        Case("stack not present", |a| a.mov(byte_ptr(DATA0 + 5), 0x13), Led::Shutdown),
        Case("read-only stack", |a| a.mov(byte_ptr(DATA0 + 5), 0x91), Led::Shutdown),
        Case("stack's limit", |a| a.mov(byte_ptr(DATA0 + 6), 0x4F), DONE),
        Case("user's code not present", |a| a.mov(byte_ptr(CODE3 + 5), 0x7B), np(sel::CODE3 & !3)),
        Case("user's execute-only code", |a| a.mov(byte_ptr(CODE3 + 5), 0xF9), DONE),
        Case("user's code conforming", |a| a.mov(byte_ptr(CODE3 + 5), 0xFF), DONE),
        Case("user's stack not present", |a| a.mov(byte_ptr(DATA3 + 5), 0x73), stack_fault(sel::DATA3 & !3)),
        Case("user's stack read-only", |a| a.mov(byte_ptr(DATA3 + 5), 0xF1), gp(sel::DATA3 & !3)),
        Case("user's stack 16-bit", |a| a.mov(byte_ptr(DATA3 + 6), 0x8F), DONE),
        Case("GDTR's limit", |a| shrink_gdt(a, sel::CODE3), gp(sel::CODE3 & !3)),
    ];
    changing(3, true, &cases);
}

/// LGDT with the limit before the descriptor of `selector`.
fn shrink_gdt(a: &mut CodeAssembler, selector: u16) -> Result<(), IcedError> {
    a.sub(esp, 8)?;
    a.mov(word_ptr(esp), u32::from(selector & 0xFFF8) - 1)?;
    a.mov(dword_ptr(esp + 2), place::GDT)?;
    a.lgdt(fword_ptr(esp))?;
    a.add(esp, 8)
}

/// Changes the page table entry of the kernel's stack.
fn set_stack_page(a: &mut CodeAssembler, rights: u32) -> Result<(), IcedError> {
    let page = place::STACKS[0] - 0x1000;
    a.mov(dword_ptr(place::PAGING + 0x1000 + (page >> 12) * 4), page | rights)?;
    a.invlpg(byte_ptr(page))
}

#[test]
fn stacks_that_change_are_heeded() {
    const ESP0: u32 = place::TSS + 4;
    const SS0: u32 = place::TSS + 8;
    let cases = [
        Case("ESP0", |a| a.mov(dword_ptr(ESP0), place::STACKS[1]), DONE),
        Case("ESP0 that is not aligned", |a| a.mov(dword_ptr(ESP0), place::STACKS[1] - 3), DONE),
        Case("a frame on two pages", |a| a.mov(dword_ptr(ESP0), place::STACKS[0] - 0xFF8), DONE),
        Case("a frame that wraps", |a| a.mov(dword_ptr(ESP0), 8), Led::Shutdown),
        Case("a frame beside code", |a| a.mov(dword_ptr(ESP0), INTERRUPT + 0x800), DONE),
        Case("a frame on code", |a| a.mov(dword_ptr(ESP0), place::CODE + 0x40), DONE),
        Case("SS0", |a| a.mov(word_ptr(SS0), u32::from(sel::FREE2)), DONE),
        Case("SS0 of another level", |a| a.mov(word_ptr(SS0), u32::from(sel::DATA3)), Led::Shutdown),
        Case("no SS0", |a| a.mov(word_ptr(SS0), 0), Led::Shutdown),
        Case("no page", |a| set_stack_page(a, 0), Led::Shutdown),
        Case("a page that cannot be written", |a| set_stack_page(a, 5), Led::Shutdown),
        Case("the supervisor's page", |a| set_stack_page(a, 3), DONE),
        Case("another task state", load_task, DONE),
    ];
    changing(3, true, &cases[..8]);
    changing(3, true, &cases[8..]);
}

/// LTR.
fn load_task(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.push(eax)?;
    a.mov(eax, u32::from(sel::TSS32))?;
    a.ltr(ax)?;
    a.pop(eax)
}

#[test]
fn what_iret_pops_is_heeded() {
    fn flags(a: &mut CodeAssembler, set: u32) -> Result<(), IcedError> {
        a.or(dword_ptr(ebp + 8), set as i32)
    }
    let cases = [
        Case("IF", |a| flags(a, bit::IF), DONE),
        Case("TF", |a| flags(a, bit::TF), Led::To(1, None)),
        Case("DF", |a| flags(a, bit::DF), DONE),
        Case("IOPL", |a| flags(a, bit::IOPL), DONE),
        Case("NT", |a| flags(a, bit::NT), DONE),
        Case("RF", |a| flags(a, bit::RF), DONE),
        Case("AC", |a| flags(a, bit::AC), DONE),
        Case("ID", |a| flags(a, bit::ID), DONE),
        Case("VIF and VIP", |a| flags(a, bit::VIF | bit::VIP), DONE),
        Case("bits that are not there", |a| flags(a, 0xFFC0_8028), DONE),
        Case("status flags", |a| flags(a, bit::ARITHMETIC), DONE),
        Case("EIP", |a| a.inc(dword_ptr(ebp)), DONE),
        Case("ESP", |a| a.sub(dword_ptr(ebp + 12), 0x100), DONE),
        Case("CS", |a| a.mov(word_ptr(ebp + 4), u32::from(sel::FREE3 | 3)), DONE),
        Case("CS of level 1", |a| a.mov(word_ptr(ebp + 4), u32::from(sel::CODE1)), gp(sel::DATA3 & !3)),
        Case("no CS", |a| a.mov(word_ptr(ebp + 4), 0), gp(0)),
        Case("CS of data", |a| a.mov(word_ptr(ebp + 4), u32::from(sel::DATA3)), gp(sel::DATA3 & !3)),
        Case("no SS", |a| a.mov(word_ptr(ebp + 16), 0), gp(0)),
        Case("SS of level 0", |a| a.mov(word_ptr(ebp + 16), u32::from(sel::DATA0)), gp(sel::DATA0)),
        Case("rubbish above CS", |a| a.mov(word_ptr(ebp + 6), 0x1234), DONE),
        Case("a segment of level 0", |a| a.push(i32::from(sel::DATA0)).and_then(|()| a.pop(ds)), DONE),
        Case("null segments", |a| a.push(0).and_then(|()| a.pop(gs)), DONE),
    ];
    changing(3, true, &cases[..11]);
    changing(3, true, &cases[11..]);
    let nested = |a: &mut CodeAssembler| {
        a.pushfd()?;
        a.or(dword_ptr(esp), bit::NT as i32)?;
        a.popfd()
    };
    changing(3, true, &[Case("NT of the kernel", nested, Led::To(10, Some(0)))]);
    let at_0 = [
        Case("IF at level 0", |a| flags(a, bit::IF), DONE_AT_0),
        Case("DF at level 0", |a| flags(a, bit::DF), DONE_AT_0),
        Case("EIP at level 0", |a| a.inc(dword_ptr(ebp)), DONE_AT_0),
        Case("CS at level 0", |a| a.mov(word_ptr(ebp + 4), u32::from(sel::FREE)), DONE_AT_0),
    ];
    changing(0, true, &at_0);
}

#[test]
fn sysenter_and_sysexit_heed_their_registers() {
    fn set(a: &mut CodeAssembler, register: u32, value: u32) -> Result<(), IcedError> {
        a.mov(ecx, register)?;
        a.mov(eax, value)?;
        a.xor(edx, edx)?;
        a.wrmsr()
    }
    fn flags(a: &mut CodeAssembler, set: u32) -> Result<(), IcedError> {
        a.pushfd()?;
        a.or(dword_ptr(esp), set as i32)?;
        a.popfd()
    }
    let cases = [
        Case("no CS", |a| set(a, 0x174, 0), DONE),
        Case("CS", |a| set(a, 0x174, u32::from(sel::FREE)), gp(sel::CONFORMING0)),
        Case("ESP", |a| set(a, 0x175, place::STACKS[1]), DONE),
        Case("EIP", |a| set(a, 0x176, ELSEWHERE + 0x800), DONE),
        Case("IOPL", |a| flags(a, bit::IOPL), DONE),
        Case("AC", |a| flags(a, bit::AC), DONE),
        Case("NT", |a| flags(a, bit::NT), DONE),
        Case("DF", |a| flags(a, bit::DF), DONE),
        Case("EDX", |a| a.inc(dword_ptr(esp)), DONE),
        Case("ECX", |a| a.sub(dword_ptr(esp + 4), 0x200), DONE),
        Case("DS", |a| a.push(i32::from(sel::DATA0)).and_then(|()| a.pop(ds)), DONE),
    ];
    changing(3, false, &cases);
}

#[test]
fn sysexit_at_level_3_faults() {
    let user = asm(32, |a| a.sysexit());
    let run = |k: &mut Kit| {
        k.cpu.gpr.set(gpr::BX, 1u32);
        assert_eq!(to_halt(k), gp(0));
    };
    let build = || {
        let mut k = program(3, nothing, nothing);
        k.put(place::CODE, &user);
        k
    };
    let k = everywhere("SYSEXIT", build, run);
    assert_eq!(k.stack(1), place::CODE);
}

/// Programs in slices of all lengths: a budget may end at any crossing, and interrupts come in between.
#[test]
fn slices_and_interrupts_end_anywhere() {
    for slice in 1..=24 {
        let run = |k: &mut Kit| {
            // The timer's handler returns at once.
            k.put(place::HANDLERS + 0x20 * 16, &[0xCF]);
            k.cpu.set_eflags(bit::IF);
            let mut n = 0;
            loop {
                n += 1;
                (k.bus.intr, k.bus.vector) = (n % 3 == 0, 0x20);
                match k.run(slice) {
                    Stop::Budget => {}
                    Stop::Halted => break,
                    stop => panic!("{stop:?}"),
                }
            }
        };
        let k = everywhere(&format!("slices of {slice}"), || program(3, nothing, nothing), run);
        assert_eq!((k.cpu.gpr.get::<u32>(gpr::DI), k.cpu.gpr.get::<u32>(gpr::SI)), (ROUNDS, ROUNDS));
    }
}

/// What the host changes between two runs.
#[test]
fn changes_from_outside_are_heeded() {
    type Change = fn(&mut Kit);
    let cases: [(&str, Change, Led); 6] = [
        ("AC with AM", |k| k.cpu.cr0 |= cr0::AM, DONE),
        ("TSD", |k| k.cpu.cr4 |= cr4::TSD, DONE),
        ("TSS limit", |k| k.cpu.tr.limit = 8, Led::Shutdown),
        ("16-bit TSS", |k| k.cpu.tr.access.0 &= !8, Led::Shutdown),
        ("IDTR limit", |k| k.cpu.idtr.limit = 0x3FF, gp(0x402)),
        ("GDT elsewhere", |k| move_gdt(k), DONE),
    ];
    for (name, change, expected) in cases {
        let led = Cell::new(Led::Through);
        let run = |k: &mut Kit| {
            assert_eq!(k.run(700), Stop::Budget);
            change(k);
            k.cpu.state_changed();
            led.set(to_halt(k));
        };
        everywhere(name, || program(3, nothing, nothing), run);
        assert_eq!(led.get(), expected, "{name}");
    }
}

/// The same descriptors at another place, but for the limit of the kernel's stack.
fn move_gdt(k: &mut Kit) {
    for n in 0..0x100 {
        k.put8(OTHER + 0x900 + n, k.get8(place::GDT + n));
    }
    k.put64(OTHER + 0x900 + 0x10, segment(0, 0xE_FFFF, rights::DATA32));
    k.cpu.gdtr.base = u64::from(OTHER) + 0x900;
}

/// Debuggers and hooks see what they asked for although the way was known before.
#[test]
fn stops_watches_and_reports_are_not_passed() {
    for &(way, options) in ways() {
        let fresh = || {
            let mut k = program(3, nothing, nothing);
            k.engine = Engine::translator(options);
            assert_eq!(k.run(700), Stop::Budget);
            k
        };
        for at in [INTERRUPT, ENTERED] {
            let mut k = fresh();
            k.cpu.add_execution_stop(at);
            let arrivals = (0..5).filter(|_| k.run(100_000) == Stop::Breakpoint && k.here() == at).count();
            assert_eq!(arrivals, 5, "{way}: stop at {at:x}");
        }
        for at in [GATE, descriptor(sel::CODE0), place::TSS + 4, place::STACKS[0] - 8] {
            let mut k = fresh();
            k.cpu.add_watch(Watch { start: at, last: at + 3, kind: WatchKind::Access });
            let arrivals = (0..5).filter(|_| matches!(k.run(100_000), Stop::Watchpoint { .. })).count();
            assert_eq!(arrivals, 5, "{way}: watch at {at:x}");
        }
        let mut k = fresh();
        k.cpu.set_reports(Reports { events: true, blocks: false });
        let mut bus = Listening { inner: FlatBus::new(k.ram.len()), events: 0 };
        let calls = k.cpu.gpr.get::<u32>(gpr::DI);
        assert_eq!(k.engine.run(&mut k.cpu, &mut k.ram, &mut bus, 100_000), Stop::Halted);
        // And #GP.
        assert_eq!(bus.events, ROUNDS - calls + 1, "{way}");
    }
}

/// A bus that counts events.
struct Listening {
    inner: FlatBus,
    events: u32,
}

impl Bus for Listening {
    fn page(&mut self, page: u64) -> PageKind {
        self.inner.page(page)
    }
    fn read(&mut self, address: u64, size: usize, now: Work) -> u64 {
        self.inner.read(address, size, now)
    }
    fn write(&mut self, address: u64, size: usize, value: u64, now: Work) {
        self.inner.write(address, size, value, now);
    }
    fn port_in(&mut self, port: u16, size: usize, now: Work) -> u32 {
        self.inner.port_in(port, size, now)
    }
    fn port_out(&mut self, port: u16, size: usize, value: u32, now: Work) {
        self.inner.port_out(port, size, value, now);
    }
    fn acknowledge_interrupt(&mut self, now: Work) -> u8 {
        self.inner.acknowledge_interrupt(now)
    }
    fn pins(&mut self) -> Pins {
        self.inner.pins()
    }
    fn event(&mut self, _: Event, _: Work) {
        self.events += 1;
    }
}
