//! Building machines: from whatever, on any thread, and what is refused.

use crate::support::{engines, floppy, machine, open_serial, print, stop};
use iced_x86::code_asm::*;
use idem86::machine::config::ConfigError;
use idem86::machine::image::source::Disk;
use idem86::machine::snapshot::Bases;
use idem86::{BootDevice, BuildError, Ended, Feature, Input, Machine, Processor, Register, Snapshot, Until};
use std::io::Cursor;
use std::sync::{Arc, Mutex};

/// Compiles only if machines can go to other threads.
const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Machine>();
    is_send::<idem86::Builder>();
    const fn is_shared<T: Send + Sync + Clone>() {}
    is_shared::<idem86::Control>();
};

fn prints(text: &str) -> Vec<u8> {
    floppy(|a| {
        print(a, text);
        stop(a);
    })
}

#[test]
fn a_machine_boots_from_bytes_streams_and_disks() {
    let disks: [Disk; 3] = [
        Disk::from(prints("hello")),
        Disk::stream(Cursor::new(prints("hello"))).unwrap(),
        Disk::from(prints("hello")).read_only(),
    ];
    for disk in disks {
        let mut machine = Machine::builder().memory(4 << 20).floppy(disk).build().unwrap();
        assert_eq!(machine.run_until(Until::power_off()).unwrap(), Ended::Stuck);
        assert_eq!(machine.serial_output(0), b"hello");
        assert!(machine.serial_output(0).is_empty(), "it was taken");
    }
}

#[test]
fn the_boot_order_decides() {
    for (order, first) in
        [([BootDevice::Floppy, BootDevice::Disk], "floppy"), ([BootDevice::Disk, BootDevice::Floppy], "disk")]
    {
        let machine = Machine::builder().floppy(prints("floppy")).disk(prints("disk")).boot_order(order);
        let mut machine = machine.build().unwrap();
        machine.run_until(Until::power_off()).unwrap();
        assert_eq!(machine.serial_output(0), first.as_bytes());
    }
}

#[test]
fn sinks_take_what_is_printed() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = seen.clone();
    let image = floppy(|a| {
        print(a, "one");
        a.mov(al, i32::from(b'!')).unwrap();
        a.out(0xE9, al).unwrap();
        stop(a);
    });
    let console = seen.clone();
    let mut machine = Machine::builder()
        .floppy(image)
        .serial_with(0, move |bytes| sink.lock().unwrap().extend_from_slice(bytes))
        .debug_console_with(move |bytes| console.lock().unwrap().extend_from_slice(bytes))
        .build()
        .unwrap();
    machine.run_until(Until::power_off()).unwrap();
    // The built-in BIOS may have written to the debug console before.
    let seen = seen.lock().unwrap();
    assert!(
        seen.windows(3).any(|w| w == b"one") && seen.ends_with(b"!"),
        "{:?}",
        seen.escape_ascii().to_string()
    );
}

#[test]
fn machines_run_side_by_side_and_move_between_threads() {
    let threads: Vec<_> = (0..8)
        .map(|n| {
            let engine = engines()[n % engines().len()];
            let text = format!("machine {n}");
            let mut machine = machine(engine, prints(&text)).build().unwrap();
            // Begun here, ended there.
            machine.run_until(Until::millis(1)).unwrap();
            std::thread::spawn(move || {
                assert_eq!(machine.run_until(Until::power_off()).unwrap(), Ended::Stuck);
                assert_eq!(machine.serial_output(0), text.as_bytes());
                machine.counters().work
            })
        })
        .collect();
    let work: Vec<u64> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    assert!(work.iter().all(|w| *w == work[0]), "all did the same: {work:?}");
}

#[test]
fn noise_at_power_on_is_decided_by_the_seed() {
    let ram = |seed: Option<u64>| {
        let builder = machine(engines()[0], prints("x"));
        let mut machine = match seed {
            Some(seed) => builder.power_on_noise(seed),
            None => builder,
        }
        .build()
        .unwrap();
        machine.run_until(Until::power_off()).unwrap();
        assert_eq!(machine.serial_output(0), b"x", "the BIOS does not mind");
        let mut bytes = vec![0; 4096];
        machine.read_physical(0x20_0000, &mut bytes);
        bytes
    };
    assert_eq!(ram(Some(1)), ram(Some(1)));
    assert_ne!(ram(Some(1)), ram(Some(2)));
    assert_eq!(ram(None), vec![0; 4096]);
}

#[test]
fn what_cannot_be_built_is_refused_with_a_reason() {
    let refused = |builder: idem86::Builder| builder.build().err().expect("it is refused");
    let memory = refused(Machine::builder().memory(5000));
    assert!(matches!(memory, BuildError::Config(ConfigError::Memory(5000))));
    let missing = refused(Machine::builder().floppy("/no/such/file"));
    assert!(missing.to_string().starts_with("/no/such/file: "), "{missing}");
    let three = Machine::builder().floppy(prints("")).floppy(prints("")).floppy("c.img");
    assert_eq!(refused(three).to_string(), "c.img: both floppy drives are taken");
    let taken = Machine::builder().disk_at('a', prints("")).disk_at('A', prints(""));
    assert!(matches!(refused(taken), BuildError::Taken(_)));
    assert!(matches!(refused(Machine::builder().disk_at('e', prints(""))), BuildError::NoSuchPlace(_)));
    assert!(matches!(refused(Machine::builder().floppy_in('C', prints(""))), BuildError::NoSuchPlace(_)));
    assert!(matches!(refused(Machine::builder().serial(4, std::io::sink())), BuildError::NoSuchPlace(_)));
    assert!(matches!(refused(Machine::builder().append("quiet")), BuildError::NoKernel));
    assert!(matches!(refused(Machine::builder().kernel(&[0; 4096])), BuildError::Kernel { .. }));
    assert!(matches!(
        refused(Machine::builder().firmware(vec![0; 100])),
        BuildError::Config(ConfigError::BiosSize(100))
    ));
    assert!(matches!(refused(Machine::builder().image(vec![0; 4096])), BuildError::Image(_)));
}

#[test]
fn a_processor_lacks_what_it_was_built_without() {
    let print_al = |a: &mut CodeAssembler| {
        a.push(ax).unwrap();
        open_serial(a);
        a.pop(ax).unwrap();
        a.out(dx, al).unwrap();
        stop(a);
    };
    // CMOVZ, whose result is printed; the handler of #UD, at 7D00h, prints U.
    let image = || {
        let mut image = floppy(|a| {
            a.mov(word_ptr(6 * 4), 0x7D00).unwrap();
            a.mov(word_ptr(6 * 4 + 2), 0).unwrap();
            a.mov(ax, i32::from(b'N')).unwrap();
            a.mov(cx, i32::from(b'M')).unwrap();
            a.xor(dx, dx).unwrap();
            a.cmove(ax, cx).unwrap();
            print_al(a);
        });
        let mut handler = CodeAssembler::new(16).unwrap();
        handler.mov(al, i32::from(b'U')).unwrap();
        print_al(&mut handler);
        let handler = handler.assemble(0x7D00).unwrap();
        image[0x100..0x100 + handler.len()].copy_from_slice(&handler);
        image
    };
    for engine in engines() {
        for (processor, printed) in [("max", b"M"), ("max,-cmov", b"U"), ("pentium", b"U"), ("486", b"U")] {
            let processor: Processor = processor.parse().unwrap();
            let mut machine = machine(engine, image()).cpu(processor).build().unwrap();
            assert_eq!(machine.cpu.processor(), processor);
            let has_apic = processor.has(Feature::Apic);
            assert_eq!(machine.board.lapic.base_address().is_some(), has_apic, "{processor}");
            machine.input(Input::Reset).unwrap();
            assert_eq!(machine.board.lapic.base_address().is_some(), has_apic, "{processor} after a reset");
            assert_eq!(machine.run_until(Until::power_off()).unwrap(), Ended::Stuck);
            assert_eq!(machine.serial_output(0), printed, "{processor}");
        }
    }
}

#[test]
fn a_saved_machine_keeps_its_processor() {
    let built = |processor: Processor| machine(engines()[0], prints("x")).cpu(processor).build().unwrap();
    let processor: Processor = "pentium2,-sep,+nx".parse().unwrap();
    let mut original = built(processor);
    original.run_until(Until::millis(1)).unwrap();
    let mut stream = Vec::new();
    original.snapshot().unwrap().write_to(&mut stream).unwrap();
    let loaded = Snapshot::read_from(stream.as_slice(), Bases::Nowhere).unwrap();
    let restored = loaded.spawn().unwrap();
    assert_eq!(restored.cpu.processor(), processor);
    assert_eq!(restored.register(Register::Eip), original.register(Register::Eip));
    assert_eq!(loaded.power_on(engines()[0]).unwrap().cpu.processor(), processor);
    let mut other = built(Processor::default());
    let before = other.state_hash();
    let error = other.restore_state(&original.save_state()).unwrap_err();
    assert_eq!(error.to_string(), "the saved processor is pentium2,-sep,+nx, this one max");
    assert_eq!(other.state_hash(), before);
}
