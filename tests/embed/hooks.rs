//! Hooks.

use crate::support::{engines, floppy, machine, stop};
use iced_x86::code_asm::*;
use idem86::cpu::report::Cause;
use idem86::cpu::state::gpr;
use idem86::cpu::stops::WatchKind;
use idem86::devices::access::AccessSize;
use idem86::machine::registers::{Register, RegisterError};
use idem86::{Ended, EngineKind, Machine, Until};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// The address of the loop in [`counting`].
const LOOP: u32 = 0x7D00;

/// A machine that adds BX to memory word 8000h for ever, and has done it for long enough to be translated.
fn counting(engine: EngineKind) -> Machine {
    let mut image = floppy(|a| {
        a.xor(cx, cx).unwrap();
        a.mov(bx, 1).unwrap();
        a.mov(word_ptr(0x8000), 0).unwrap();
        a.db(&[0xEA, 0x00, 0x7D, 0x00, 0x00]).unwrap();
    });
    // inc cx; add [8000h], bx; jmp
    image[0x100..0x107].copy_from_slice(&[0x41, 0x01, 0x1E, 0x00, 0x80, 0xEB, 0xF9]);
    let mut machine = machine(engine, image).build().unwrap();
    assert_eq!(machine.run_until(Until::breakpoint(LOOP)).unwrap(), Ended::Breakpoint);
    machine.run_until(Until::work(300_000)).unwrap();
    assert_eq!(machine.register(Register::Eip), u64::from(LOOP));
    machine
}

/// Word 8000h.
fn total(machine: &mut Machine) -> u16 {
    let mut word = [0; 2];
    machine.read_linear(0x8000, &mut word).unwrap();
    u16::from_le_bytes(word)
}

#[test]
fn execution_hooks_see_and_change_the_machine() {
    for engine in engines() {
        let mut machine = counting(engine);
        let before = total(&mut machine);
        let calls = Arc::new(AtomicU64::new(0));
        let count = calls.clone();
        let hook = machine.hook_execution(LOOP, move |machine| {
            count.fetch_add(1, Relaxed);
            assert_eq!(machine.register(Register::Eip), u64::from(LOOP));
            machine.set_register(Register::Ebx, 3).unwrap();
            ControlFlow::Continue(())
        });
        assert_eq!(machine.run_until(Until::work(300)).unwrap(), Ended::Work);
        assert_eq!(calls.load(Relaxed), 100);
        assert_eq!(total(&mut machine), before.wrapping_add(300));
        // Conditions and hooks at the same place.
        assert_eq!(machine.run_until(Until::breakpoint(LOOP)).unwrap(), Ended::Breakpoint);
        let seen = calls.load(Relaxed);
        assert!(machine.unhook(hook) && !machine.unhook(hook));
        machine.run_until(Until::work(300)).unwrap();
        assert_eq!(calls.load(Relaxed), seen);
        // One that breaks, and one that removes others.
        machine.hook_execution(LOOP, |_| ControlFlow::Break(()));
        machine.run_until(Until::work(1)).unwrap();
        assert_eq!(machine.run_until(Until::millis(1)).unwrap(), Ended::Hook);
        assert_eq!(machine.register(Register::Eip), u64::from(LOOP));
    }
}

#[test]
fn memory_hooks_are_called_behind_the_access() {
    for engine in engines() {
        let mut machine = counting(engine);
        let log = Arc::new(Mutex::new(Vec::new()));
        let writes = log.clone();
        let hook = machine.hook_memory(0x8001..=0x8001, WatchKind::Write, move |machine, access| {
            writes.lock().unwrap().push((access.linear, access.is_write, total(machine)));
            ControlFlow::Continue(())
        });
        let before = total(&mut machine);
        assert_eq!(machine.run_until(Until::work(9)).unwrap(), Ended::Work);
        let expected: Vec<_> = (1..4).map(|n| (0x8001, true, before.wrapping_add(n))).collect();
        assert_eq!(*log.lock().unwrap(), expected);
        assert!(machine.unhook(hook));
        machine.run_until(Until::work(900)).unwrap();
        assert_eq!(log.lock().unwrap().len(), 3);
        machine.hook_memory(0x8000..=0x8000, WatchKind::Read, |_, _| ControlFlow::Break(()));
        assert_eq!(machine.run_until(Until::millis(1)).unwrap(), Ended::Hook);
        assert_eq!(machine.register(Register::Eip), u64::from(LOOP) + 5, "behind the instruction");
    }
}

#[test]
fn event_hooks_see_exceptions_and_interrupts() {
    for engine in engines() {
        let image = floppy(|a| {
            // A handler for #DE that skips the division, one for vector 60h.
            let (mut divide, mut call) = (a.create_label(), a.create_label());
            a.cli().unwrap();
            a.mov(ax, 0x7D00).unwrap();
            a.mov(word_ptr(0), ax).unwrap();
            a.mov(word_ptr(2), 0).unwrap();
            a.mov(word_ptr(0x180), 0x7D10).unwrap();
            a.mov(word_ptr(0x182), 0).unwrap();
            a.set_label(&mut divide).unwrap();
            a.xor(bl, bl).unwrap();
            a.div(bl).unwrap();
            a.set_label(&mut call).unwrap();
            a.int(0x60).unwrap();
            stop(a);
        });
        let mut image = image;
        // push bp; mov bp, sp; add word [bp+2], 2; pop bp; iret
        image[0x100..0x10A].copy_from_slice(&[0x55, 0x89, 0xE5, 0x83, 0x46, 0x02, 0x02, 0x5D, 0xCF, 0x90]);
        image[0x110] = 0xCF;
        let mut machine = machine(engine, image).build().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let events = log.clone();
        machine.hook_events(move |event| {
            events.lock().unwrap().push((event.vector, event.cause));
            ControlFlow::Continue(())
        });
        assert_eq!(machine.run_until(Until::millis(5000)).unwrap(), Ended::Stuck);
        let log = log.lock().unwrap();
        assert!(log.ends_with(&[(0, Cause::Fault), (0x60, Cause::SoftwareInterrupt)]), "{log:?}");
        assert!(log.contains(&(0x19, Cause::SoftwareInterrupt)), "the BIOS boots by INT 19h: {log:?}");
    }
}

#[test]
fn an_event_hook_that_breaks_leaves_the_processor_in_the_handler() {
    for engine in engines() {
        let mut machine = counting(engine);
        machine.set_register(Register::Eflags, 0x202).unwrap();
        machine.hook_events(|event| match event.cause {
            Cause::Interrupt => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        assert_eq!(machine.run_until(Until::millis(200)).unwrap(), Ended::Hook, "the timer ticks");
        assert_eq!(machine.register(Register::Eflags) & 0x200, 0);
    }
}

#[test]
fn block_hooks_follow_the_program() {
    for engine in engines() {
        let mut machine = counting(engine);
        let log = Arc::new(Mutex::new(Vec::new()));
        let blocks = log.clone();
        let hook = machine.hook_blocks(move |linear| {
            blocks.lock().unwrap().push(linear);
            ControlFlow::Continue(())
        });
        let work = machine.counters().work;
        machine.run_until(Until::work(30)).unwrap();
        assert_eq!(*log.lock().unwrap(), [LOOP; 10]);
        assert!(machine.unhook(hook));
        machine.run_until(Until::work(30_000)).unwrap();
        assert_eq!((log.lock().unwrap().len(), machine.counters().work), (10, work + 30_030));
    }
}

#[test]
fn registers_have_names_and_limits() {
    let mut machine = Machine::builder().build().unwrap();
    for register in Register::ALL {
        assert_eq!(register.name().parse(), Ok(*register));
    }
    assert_eq!(machine.register("CS".parse().unwrap()), 0xF000);
    assert_eq!(machine.segment(idem86::cpu::state::segment::SegReg::Cs).base, 0xFFFF_0000);
    machine.set_register(Register::Ds, 0x1234).unwrap();
    assert_eq!(machine.segment(idem86::cpu::state::segment::SegReg::Ds).base, 0x1_2340);
    assert!(matches!(machine.set_register(Register::Ds, 0x1_0000), Err(RegisterError::TooWide(..))));
    assert!(matches!(machine.set_register(Register::Cr0, 1 << 31), Err(RegisterError::Impossible(_))));
    machine.set_register(Register::Cr0, 0x11).unwrap();
    assert_eq!(machine.set_register(Register::Es, 8), Err(RegisterError::Instruction(Register::Es)));
    // SDM Vol. 3A, "IA-32 Processor States Following Power-up": zeros, not empty.
    assert_eq!((machine.st(0), machine.xmm(7)), (Some([0; 10]), [0; 16]));
}

#[test]
fn port_hooks_answer_observe_and_go_away() {
    for engine in engines() {
        let image = floppy(|a| {
            let mut again = a.create_label();
            a.set_label(&mut again).unwrap();
            a.mov(dx, 0x300).unwrap();
            a.in_(ax, dx).unwrap();
            a.out(dx, al).unwrap();
            a.inc(cx).unwrap();
            a.jmp(again).unwrap();
        });
        let mut machine = machine(engine, image).build().unwrap();
        let read = |machine: &mut idem86::Machine| {
            let wait = Until::port_write(0x300).or(Until::millis(5000));
            let Ended::PortWrite { value, .. } = machine.run_until(wait).unwrap() else { panic!("it loops") };
            machine.run_until(Until::work(1)).unwrap();
            (value, machine.cpu.gpr.get::<u16>(gpr::AX))
        };
        assert_eq!(read(&mut machine), (0xFF, 0xFFFF), "nobody is there");
        // The loop is translated by now: hooks apply all the same.
        machine.run_until(Until::work(200_000)).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let observer = machine.observe_ports(0x301..=0x301, move |access| {
            log.lock().unwrap().push((access.port, access.size, access.is_write, access.value));
        });
        let hook = machine.hook_ports(0x300..=0x301, |access| {
            if !access.is_write {
                access.answer(0xABCD_1234);
            }
        });
        read(&mut machine);
        assert_eq!(read(&mut machine), (0x34, 0x1234), "as wide as the access");
        let log = std::mem::take(&mut *seen.lock().unwrap());
        assert!(log.contains(&(0x300, AccessSize::Word, false, Some(0x1234))), "{log:?}");
        assert!(log.iter().all(|(.., is_write, _)| !is_write), "byte writes to 300h do not touch 301h");
        assert!(machine.unhook(hook) && !machine.unhook(hook));
        read(&mut machine);
        assert_eq!(read(&mut machine), (0xFF, 0xFFFF));
        assert!(machine.unhook(observer));
        seen.lock().unwrap().clear();
        read(&mut machine);
        assert!(seen.lock().unwrap().is_empty());
        machine.hook_ports(0x300..=0x300, |access| access.stop());
        assert_eq!(machine.run_until(Until::millis(10)).unwrap(), Ended::Hook);
    }
}

#[test]
fn block_transfers_of_hooked_ports_are_seen_one_by_one() {
    for engine in engines() {
        let image = floppy(|a| {
            a.mov(dx, 0x1F0).unwrap();
            a.mov(di, 0x8000).unwrap();
            a.mov(cx, 5).unwrap();
            a.cld().unwrap();
            a.rep().insw().unwrap();
            a.mov(si, 0x8000).unwrap();
            a.mov(cx, 5).unwrap();
            a.rep().outsw().unwrap();
            stop(a);
        });
        let mut machine = machine(engine, image).build().unwrap();
        let (mut next, written) = (0, Arc::new(Mutex::new(Vec::new())));
        let log = written.clone();
        machine.hook_ports(0x1F0..=0x1F0, move |access| match access.value {
            None => {
                next += 3;
                access.answer(next);
            }
            Some(value) => log.lock().unwrap().push(value),
        });
        assert_eq!(machine.run_until(Until::millis(5000)).unwrap(), Ended::Stuck);
        assert_eq!(*written.lock().unwrap(), [3, 6, 9, 12, 15]);
    }
}

#[test]
fn hooks_on_physical_memory_answer_change_and_swallow() {
    for engine in engines() {
        let mut machine = counting(engine);
        let before = total(&mut machine);
        // What memory holds is told; what is answered is read instead, and what is written then is written.
        let told = Arc::new(AtomicU64::new(0));
        let seen = told.clone();
        let reads = machine.hook_physical(0x8000..=0x8000, move |access| {
            if !access.is_write {
                assert_eq!((access.address, access.size), (0x8000, 2));
                seen.store(access.value.unwrap(), Relaxed);
                access.answer(0xFF_1000);
            }
        });
        machine.run_until(Until::work(3)).unwrap();
        assert_eq!((told.load(Relaxed), total(&mut machine)), (u64::from(before), 0x1001));
        machine.run_until(Until::work(300)).unwrap();
        assert_eq!(total(&mut machine), 0x1001, "always the same is read");
        // One that came later is asked of what the first leaves: here writes.
        let writes = machine.hook_physical(0x8001..=0x8001, |access| {
            assert!(access.is_write && access.value == Some(0x1001));
            access.replace(0xABCD_7777);
        });
        machine.run_until(Until::work(3)).unwrap();
        assert_eq!(total(&mut machine), 0x7777, "as wide as the access");
        assert!(machine.unhook(writes) && machine.unhook(reads) && !machine.unhook(reads));
        machine.run_until(Until::work(3)).unwrap();
        assert_eq!(total(&mut machine), 0x7778);
        let swallow = machine.hook_physical(0..=u64::MAX, |access| {
            if access.is_write {
                access.answer(0);
            }
        });
        machine.run_until(Until::work(3000)).unwrap();
        assert_eq!(total(&mut machine), 0x7778);
        assert!(machine.unhook(swallow));
        machine.hook_physical(0x8000..=0x8001, |access| access.stop());
        assert_eq!(machine.run_until(Until::millis(10)).unwrap(), Ended::Hook);
        assert_eq!(total(&mut machine), 0x7779, "behind the instruction");
        assert_eq!(machine.register(Register::Eip), u64::from(LOOP) + 5);
    }
}

#[test]
fn hooks_on_physical_memory_see_all_widths_and_what_the_processor_does_itself() {
    for engine in engines() {
        let image = floppy(|a| {
            a.cli().unwrap();
            a.cld().unwrap();
            a.mov(cx, 3).unwrap();
            a.mov(si, 0x9000).unwrap();
            a.mov(di, 0x9100).unwrap();
            a.rep().movsb().unwrap();
            a.mov(eax, dword_ptr(0x9FFE)).unwrap();
            a.movq(mm0, qword_ptr(0x9200)).unwrap();
            a.push(ax).unwrap();
            a.inc(byte_ptr(0x9300)).unwrap();
            a.mov(word_ptr(0x81 * 4), 0x7D00).unwrap();
            a.mov(word_ptr(0x81 * 4 + 2), 0).unwrap();
            a.int(0x81).unwrap();
        });
        let mut image = image;
        image[0x100] = 0xF4;
        let mut machine = machine(engine, image).build().unwrap();
        assert_eq!(machine.run_until(Until::breakpoint(0x7C00)).unwrap(), Ended::Breakpoint);
        let log = Arc::new(Mutex::new(Vec::new()));
        for range in [0x9000..=0xA000, 0x7BF0..=0x7BFF, 0x204..=0x207, 0x7D00..=0x7D00] {
            let log = log.clone();
            machine.hook_physical(range, move |access| {
                log.lock().unwrap().push((access.address, access.size, access.is_write));
            });
        }
        assert_eq!(machine.run_until(Until::millis(100)).unwrap(), Ended::Stuck);
        let (read, write) = (false, true);
        // The string, byte by byte; across the page, byte by byte; the quadword; the stack; a read-modify-write; the
        // vector, written and read; and the frame of the interrupt. The HLT at 7D00h is fetched, not read.
        let expected = [
            (0x9000, 1, read),
            (0x9100, 1, write),
            (0x9001, 1, read),
            (0x9101, 1, write),
            (0x9002, 1, read),
            (0x9102, 1, write),
            (0x9FFE, 1, read),
            (0x9FFF, 1, read),
            (0xA000, 1, read),
            (0x9200, 8, read),
            (0x7BFE, 2, write),
            (0x9300, 1, read),
            (0x9300, 1, write),
            (0x204, 2, write),
            (0x206, 2, write),
            (0x204, 4, read),
            (0x7BFC, 2, write),
            (0x7BFA, 2, write),
            (0x7BF8, 2, write),
        ];
        assert_eq!(*log.lock().unwrap(), expected);
    }
}

#[test]
fn a_hook_on_physical_memory_stands_for_a_device() {
    for engine in engines() {
        // Paging, in flat 32-bit mode, with a page of the hook's where nothing is: F0000000h, mapped at 400000h.
        let image = floppy(|a| {
            a.cli().unwrap();
            a.mov(word_ptr(0x7E00), 23).unwrap();
            a.mov(dword_ptr(0x7E02), 0x7E08).unwrap();
            let rows = [(0x7E10, 0x0000_FFFF), (0x7E14, 0x00CF_9200)];
            for (at, value) in rows {
                a.mov(dword_ptr(at), value).unwrap();
            }
            a.mov(dword_ptr(0xA000), 0x83).unwrap();
            a.mov(dword_ptr(0xA004), 0xF000_0083u32).unwrap();
            a.mov(eax, 0xA000).unwrap();
            a.mov(cr3, eax).unwrap();
            a.mov(eax, 0x10).unwrap();
            a.mov(cr4, eax).unwrap();
            a.lgdt(fword_ptr(0x7E00)).unwrap();
            a.mov(eax, cr0).unwrap();
            a.or(eax, 0x8000_0001u32 as i32).unwrap();
            a.mov(cr0, eax).unwrap();
            a.mov(bx, 8).unwrap();
            a.mov(ds, bx).unwrap();
            a.mov(esi, 0x40_0010).unwrap();
            a.mov(ebx, dword_ptr(esi)).unwrap();
            a.mov(dword_ptr(esi + 4), ebx).unwrap();
            a.mov(ecx, dword_ptr(esi + 0x20)).unwrap();
            stop(a);
        });
        let mut machine = machine(engine, image).build().unwrap();
        let written = Arc::new(AtomicU64::new(0));
        let log = written.clone();
        machine.hook_physical(0xF000_0010..=0xF000_0017, move |access| {
            let offset = access.address - 0xF000_0010;
            match access.is_write {
                true => {
                    log.store(offset << 32 | access.value.unwrap(), Relaxed);
                    access.answer(0);
                }
                false => {
                    assert_eq!(access.value, None, "no memory is there");
                    access.answer(0xFEED_0000 + offset);
                }
            }
        });
        assert_eq!(machine.run_until(Until::millis(5000)).unwrap(), Ended::Stuck);
        assert_eq!(machine.register(Register::Ebx), 0xFEED_0000);
        assert_eq!(written.load(Relaxed), 4 << 32 | 0xFEED_0000);
        assert_eq!(machine.register(Register::Ecx), 0xFFFF_FFFF, "the rest of the page is as before");
    }
}
