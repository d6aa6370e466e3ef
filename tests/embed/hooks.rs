//! Hooks.

use crate::support::{engines, floppy, machine, stop};
use iced_x86::code_asm::*;
use idem86::cpu::state::gpr;
use idem86::devices::access::AccessSize;
use idem86::{Ended, Until};
use std::sync::{Arc, Mutex};

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
