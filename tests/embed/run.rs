//! Running until something happens.

use crate::support::{engines, floppy, machine, open_serial, print, stop};
use iced_x86::code_asm::*;
use idem86::cpu::state::gpr;
use idem86::devices::access::AccessSize;
use idem86::devices::uart::Pace;
use idem86::devices::vga::Look;
use idem86::{ClockKind, Ended, GuestDuration, Machine, Register, RunError, Until};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Runs through the BIOS, until the boot sector writes to port 80h for the first time with this value.
const BOOTED: u32 = 0x5A;

fn mark(a: &mut CodeAssembler) {
    a.mov(al, BOOTED as i32).unwrap();
    a.out(0x80, al).unwrap();
}

fn booted(engine: idem86::EngineKind, write: impl FnOnce(&mut CodeAssembler)) -> Machine {
    let image = floppy(|a| {
        mark(a);
        write(a);
    });
    let mut machine = machine(engine, image).build().unwrap();
    let ended = machine.run_until(Until::port_value(0x80, BOOTED)).unwrap();
    assert_eq!(ended, Ended::PortWrite { port: 0x80, size: AccessSize::Byte, value: BOOTED });
    machine
}

#[test]
fn a_port_write_ends_the_run_behind_its_instruction() {
    for engine in engines() {
        let mut machine = booted(engine, |a| {
            a.mov(bx, 0x1234).unwrap();
            a.mov(dx, 0x300).unwrap();
            a.mov(eax, 0xCAFE_F00Du32 as i32).unwrap();
            a.out(dx, eax).unwrap();
            a.mov(bx, 0x5678).unwrap();
            stop(a);
        });
        // The access touches the port although it begins below.
        let ended = machine.run_until(Until::port_write(0x303)).unwrap();
        assert_eq!(ended, Ended::PortWrite { port: 0x300, size: AccessSize::Dword, value: 0xCAFE_F00D });
        assert_eq!(machine.cpu.gpr.get::<u16>(gpr::BX), 0x1234);
        assert_eq!(machine.run_until(Until::port_write(0x303)).unwrap(), Ended::Stuck);
        assert_eq!(machine.cpu.gpr.get::<u16>(gpr::BX), 0x5678);
    }
}

#[test]
fn work_is_counted_exactly_and_a_step_is_one_instruction() {
    for engine in engines() {
        let mut machine = booted(engine, |a| {
            a.xor(ecx, ecx).unwrap();
            let mut again = a.create_label();
            a.set_label(&mut again).unwrap();
            a.inc(ecx).unwrap();
            a.jmp(again).unwrap();
        });
        assert_eq!(machine.run_until(Until::work(1)).unwrap(), Ended::Work);
        for (units, count) in [(1, 1), (1, 1), (1, 2), (1, 2), (100_000, 50_002), (7, 50_006)] {
            let before = machine.counters().work;
            assert_eq!(machine.run_until(Until::work(units)).unwrap(), Ended::Work);
            assert_eq!(machine.counters().work, before + units);
            assert_eq!(machine.cpu.gpr.get::<u32>(gpr::CX), count, "{units} more");
        }
        let before = machine.counters().work;
        assert_eq!(machine.step().unwrap(), Ended::Work);
        assert_eq!(machine.counters().work, before + 1);
        let before = machine.now();
        assert_eq!(machine.run_until(Until::time(GuestDuration::from_micros(10))).unwrap(), Ended::Time);
        assert_eq!(machine.now().since(before), GuestDuration::from_micros(10));
    }
}

#[test]
fn text_is_found_once_and_in_order() {
    let mut machine = booted(engines()[0], |a| {
        print(a, "first\r\nsecond\r\nfirst again\r\n");
        stop(a);
    });
    let serial = |pattern: &str| Until::serial(pattern).or(Until::millis(50));
    let Ended::Serial { port: 0, pattern, matched } = machine.run_until(serial("fi..t")).unwrap() else {
        panic!("it is printed")
    };
    assert_eq!((pattern.as_str(), matched.as_slice()), ("fi..t", b"first".as_slice()));
    assert!(matches!(machine.run_until(serial("^first")).unwrap(), Ended::Serial { .. }), "the second one");
    assert_eq!(machine.run_until(serial("second")).unwrap(), Ended::Stuck, "what lies before was passed");
    assert_eq!(machine.peek_serial(0), b"first\r\nsecond\r\nfirst again\r\n");
    assert!(matches!(machine.run_until(Until::serial("(")), Err(RunError::Pattern(_))));
}

#[test]
fn text_ends_the_run_behind_the_instruction_that_printed_it() {
    for pace in [Pace::Immediate, Pace::Baud] {
        let mut seen = Vec::new();
        for engine in engines() {
            for before in [0, 1, 77_777, 250_000] {
                // Prints the alphabet, counting all the time between two letters.
                let image = floppy(|a| {
                    open_serial(a);
                    a.mov(al, i32::from(b'A')).unwrap();
                    let (mut again, mut wait) = (a.create_label(), a.create_label());
                    a.set_label(&mut again).unwrap();
                    a.mov(dx, 0x3F8).unwrap();
                    a.out(dx, al).unwrap();
                    a.mov(bp, 40_000).unwrap();
                    a.set_label(&mut wait).unwrap();
                    a.inc(ebx).unwrap();
                    a.dec(bp).unwrap();
                    a.jnz(wait).unwrap();
                    a.inc(al).unwrap();
                    a.jmp(again).unwrap();
                });
                let mut machine = machine(engine, image).serial_pace(pace).build().unwrap();
                let begun = machine.run_until(Until::serial("A").or(Until::millis(5000))).unwrap();
                assert!(matches!(begun, Ended::Serial { .. }), "{begun:?}");
                if before > 0 {
                    machine.run_until(Until::work(before)).unwrap();
                }
                let ended = machine.run_until(Until::serial("DE").or(Until::millis(5000))).unwrap();
                assert!(matches!(ended, Ended::Serial { .. }), "{ended:?}");
                if pace == Pace::Immediate {
                    assert_eq!(machine.register(Register::Eax) as u8, b'E');
                    assert_eq!(machine.register(Register::Ebp) as u16, 0, "the loop has not begun again");
                }
                seen.push((machine.counters().work, machine.now(), machine.state_hash()));
            }
        }
        assert!(seen.iter().all(|s| *s == seen[0]), "{pace:?}: {seen:?}");
    }
}

#[test]
fn the_screen_is_looked_at_at_moments_that_no_run_decides() {
    let mut seen = Vec::new();
    for engine in engines() {
        for slice in [1_000_000_000, 900_001, 77_773] {
            let mut machine = booted(engine, |a| {
                // Some time later: a letter on the screen.
                a.mov(ecx, 5_000_000).unwrap();
                let mut wait = a.create_label();
                a.set_label(&mut wait).unwrap();
                a.dec(ecx).unwrap();
                a.jnz(wait).unwrap();
                a.mov(bx, 0xB800).unwrap();
                a.mov(es, bx).unwrap();
                a.mov(byte_ptr(0).es(), i32::from(b'@')).unwrap();
                let mut again = a.create_label();
                a.set_label(&mut again).unwrap();
                a.inc(ecx).unwrap();
                a.jmp(again).unwrap();
            });
            // Divided by other conditions, which are looked at with the screen.
            let wait = Until::screen("@").or(Until::port_write(0x9999)).or(Until::millis(5000));
            machine.run_until(Until::work(slice / 1000)).unwrap();
            let ended = machine.run_until(&wait).unwrap();
            assert!(matches!(ended, Ended::Screen { .. }), "{ended:?}");
            assert_eq!(machine.now().as_nanos() % 10_000_000, 0);
            seen.push((machine.counters().work, machine.now(), machine.state_hash()));
        }
    }
    assert!(seen.iter().all(|s| *s == seen[0]), "{seen:?}");
}

#[test]
fn the_screen_is_read_and_pictures_repeat() {
    let mut machine = booted(engines()[0], |a| {
        // INT 10h: 80 columns of text; then a character in blinking red, and time for some frames.
        a.mov(ax, 3).unwrap();
        a.int(0x10).unwrap();
        a.mov(ax, 0xB800).unwrap();
        a.mov(ds, ax).unwrap();
        a.mov(word_ptr(0), 0x8400 | i32::from(b'#')).unwrap();
        a.sti().unwrap();
        let mut again = a.create_label();
        a.set_label(&mut again).unwrap();
        a.hlt().unwrap();
        a.jmp(again).unwrap();
    });
    let Ended::Screen { matched, .. } =
        machine.run_until(Until::screen("^#$").or(Until::millis(2000))).unwrap()
    else {
        panic!("it is shown")
    };
    assert_eq!(matched, "#");
    let mut pictures = Vec::new();
    for _ in 0..40 {
        machine.run_until(Until::millis(30)).unwrap();
        let look = [Look::STEADY, Look { attribute: Some(0x07), ..Look::STEADY }];
        pictures.push((machine.screenshot(), look.map(|look| machine.screenshot_with(look))));
    }
    assert!(pictures.iter().any(|p| p.0 != pictures[0].0), "cursor and character blink");
    assert!(pictures.iter().all(|p| p.1 == pictures[0].1), "nothing blinks in a steady look");
    let [colours, plain] = &pictures[0].1;
    let of = |shot: &idem86::Screenshot, wanted: [u8; 3]| {
        shot.rgb().chunks(3).filter(|pel| **pel == wanted).count()
    };
    assert!(of(colours, [170, 0, 0]) > 0 && of(plain, [170, 0, 0]) == 0 && of(plain, [170, 170, 170]) > 0);
    assert_eq!(colours.pixel(colours.width(), 0), None);
    let mut png = Vec::new();
    plain.write_png(&mut png).unwrap();
    assert!(png.starts_with(b"\x89PNG"));
}

#[test]
fn halts_and_resets_end_runs() {
    for engine in engines() {
        let mut machine = booted(engine, |a| {
            a.sti().unwrap();
            a.hlt().unwrap();
            // The keyboard controller pulses the reset line.
            a.mov(al, 0xFE).unwrap();
            a.out(0x64, al).unwrap();
            let mut again = a.create_label();
            a.set_label(&mut again).unwrap();
            a.jmp(again).unwrap();
        });
        assert_eq!(machine.run_until(Until::halt()).unwrap(), Ended::Halted);
        assert_eq!(machine.run_until(Until::reset()).unwrap(), Ended::Reset { triple_fault: false });
        let at = machine.cpu.rip;
        assert_eq!(at, 0xFFF0, "it stands at the reset vector");
        assert_eq!(
            machine.run_until(Until::port_value(0x80, BOOTED).or(Until::millis(5000))).unwrap(),
            Ended::PortWrite { port: 0x80, size: AccessSize::Byte, value: BOOTED }
        );
    }
}

#[test]
fn what_is_typed_arrives() {
    let image = floppy(|a| {
        open_serial(a);
        let mut again = a.create_label();
        a.set_label(&mut again).unwrap();
        a.xor(ah, ah).unwrap();
        a.int(0x16).unwrap();
        a.mov(dx, 0x3F8).unwrap();
        a.out(dx, al).unwrap();
        a.jmp(again).unwrap();
    });
    let mut machine = machine(engines()[0], image).build().unwrap();
    let text = "Hello, World! (100% of it) ~`\\|";
    machine.type_text(text).unwrap();
    machine.press("shift-x").unwrap();
    let ended = machine.run_until(Until::serial("X").or(Until::millis(20_000))).unwrap();
    assert!(matches!(ended, Ended::Serial { .. }), "{ended:?}");
    assert_eq!(machine.serial_output(0), [text.as_bytes(), b"X"].concat());
    assert!(machine.type_text("\u{4E2D}").is_err() && machine.press("hyper-x").is_err());
}

#[test]
fn other_threads_pause_and_end_a_run() {
    for clock in [ClockKind::Virtual, ClockKind::Host] {
        let image = floppy(|a| {
            let mut again = a.create_label();
            a.set_label(&mut again).unwrap();
            a.out(0x80, al).unwrap();
            a.jmp(again).unwrap();
        });
        let mut machine = machine(engines()[0], image).clock(clock).build().unwrap();
        let writes = Arc::new(AtomicU64::new(0));
        let count = writes.clone();
        machine.observe_ports(0x80..=0x80, move |_| _ = count.fetch_add(1, Relaxed));
        let control = machine.control();
        // One run is paused before it begins, and while it is under way.
        control.pause();
        let runner = std::thread::spawn(move || {
            // Ends by itself only if nobody can end it.
            let ended = machine.run_until(Until::host_time(Duration::from_secs(600))).unwrap();
            (ended, machine)
        });
        for _ in 0..3 {
            control.wait_until_paused();
            assert!(control.is_paused());
            let before = writes.load(Relaxed);
            std::thread::sleep(Duration::from_millis(1));
            assert_eq!(writes.load(Relaxed), before, "it stands still");
            control.resume();
            while writes.load(Relaxed) == before {
                assert!(!runner.is_finished(), "it goes on");
                std::thread::sleep(Duration::from_millis(1));
            }
            control.pause();
        }
        control.interrupt();
        let (ended, mut machine) = runner.join().unwrap();
        assert_eq!(ended, Ended::Interrupted);
        let ended = machine.run_until(Until::host_time(Duration::from_millis(5))).unwrap();
        assert_eq!(ended, Ended::HostTime, "an interrupt ends one run");
    }
}

#[test]
fn output_does_not_depend_on_how_often_it_is_taken() {
    // More than the transmitter holds, in a row.
    let image = || {
        floppy(|a| {
            open_serial(a);
            a.mov(ecx, 20_000).unwrap();
            let mut again = a.create_label();
            a.set_label(&mut again).unwrap();
            a.mov(al, cl).unwrap();
            a.out(dx, al).unwrap();
            a.dec(ecx).unwrap();
            a.jnz(again).unwrap();
            stop(a);
        })
    };
    let run = |slice: u64| {
        let mut machine = machine(engines()[0], image()).build().unwrap();
        while machine.run_until(Until::work(slice)).unwrap() != Ended::Stuck {}
        (machine.counters().work, machine.now(), machine.serial_output(0))
    };
    let (rare, often) = (run(u64::MAX), run(997));
    assert_eq!(rare.2.len(), 20_000);
    assert_eq!(rare, often);
}

#[test]
fn a_breakpoint_ends_the_run_before_its_instruction_each_time() {
    for engine in engines() {
        let mut at = 0;
        let image = floppy(|a| {
            mark(a);
            a.xor(ecx, ecx).unwrap();
            // Behind a long jump there is a known address.
            a.db(&[0xEA, 0x00, 0x7D, 0x00, 0x00]).unwrap();
        });
        let mut image = image;
        // 7D00: inc cx; jmp 7D00
        image[0x100..0x103].copy_from_slice(&[0x41, 0xEB, 0xFD]);
        let mut machine = machine(engine, image).build().unwrap();
        for count in 0..5u16 {
            assert_eq!(machine.run_until(Until::breakpoint(0x7D00)).unwrap(), Ended::Breakpoint);
            assert_eq!(machine.cpu.gpr.get::<u16>(gpr::CX), count);
            at = machine.cpu.rip;
        }
        assert_eq!(at, 0x7D00);
        assert_eq!(machine.run_until(Until::work(10_000)).unwrap(), Ended::Work, "it is gone");
    }
}
