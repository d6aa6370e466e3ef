//! Devices of the embedding program's own.

use crate::support::{engines, floppy, machine, open_serial, stop};
use iced_x86::code_asm::*;
use idem86::devices::access::{AccessSize, DmaMemory};
use idem86::devices::irq::IrqLine;
use idem86::devices::pci::{Bar, PciIdentity};
use idem86::machine::attached::AttachError;
use idem86::machine::registers::Register;
use idem86::machine::snapshot::Bases;
use idem86::{Attachment, Device, Ended, GuestDuration, GuestTime, Machine, Snapshot, Until};

/// A timer: writing n to its register has it interrupt n microseconds later; reading gives how often it did, and lowers
/// the line. At offset 4 of any region it copies the doubleword at physical address 8000h to 9000h.
struct Timer {
    line: IrqLine,
    due: Option<GuestTime>,
    fired: u32,
    copies: bool,
}

impl Timer {
    fn new(line: IrqLine) -> Self {
        Timer { line, due: None, fired: 0, copies: false }
    }
}

impl Device for Timer {
    fn read(&mut self, _: usize, offset: u64, _: AccessSize, _: GuestTime) -> u32 {
        if offset == 0 {
            self.line.set(false);
            self.fired
        } else {
            0x1234_5678
        }
    }

    fn write(&mut self, _: usize, offset: u64, _: AccessSize, value: u32, now: GuestTime) {
        match offset {
            0 => self.due = Some(now + GuestDuration::from_micros(value.into())),
            _ => self.copies = true,
        }
    }

    fn next_event(&self) -> Option<GuestTime> {
        self.due
    }

    fn advance(&mut self, _: GuestTime) {
        self.due = None;
        self.fired += 1;
        self.line.set(true);
    }

    fn wants_bus(&self) -> bool {
        self.copies
    }

    fn master_bus(&mut self, memory: &mut dyn DmaMemory, _: GuestTime) {
        let mut bytes = [0; 4];
        memory.read(0x8000, &mut bytes);
        memory.write(0x9000, &bytes);
        self.copies = false;
    }

    fn reset(&mut self) {
        (self.due, self.fired, self.copies) = (None, 0, false);
        self.line.set(false);
    }

    fn save(&self) -> Vec<u8> {
        let due = self.due.map_or(u64::MAX, GuestTime::as_nanos);
        [due.to_le_bytes().as_slice(), &self.fired.to_le_bytes(), &[self.copies.into()]].concat()
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), String> {
        let (due, rest) = saved.split_first_chunk().ok_or("too short")?;
        let (fired, copies) = rest.split_first_chunk().ok_or("too short")?;
        let due = u64::from_le_bytes(*due);
        self.due = (due != u64::MAX).then_some(GuestTime::from_nanos(due));
        self.fired = u32::from_le_bytes(*fired);
        self.copies = copies == [1];
        Ok(())
    }
}

/// Handles IRQ 5 (vector 0Dh): reads the timer, prints how often it fired, and ends the interrupt.
fn handler(a: &mut CodeAssembler, read: impl FnOnce(&mut CodeAssembler)) {
    a.cli().unwrap();
    a.mov(word_ptr(0x0D * 4), 0x7D00).unwrap();
    a.mov(word_ptr(0x0D * 4 + 2), 0).unwrap();
    // Unmask IRQ 5.
    a.in_(al, 0x21).unwrap();
    a.and(al, 0xDF).unwrap();
    a.out(0x21, al).unwrap();
    open_serial(a);
    read(a);
    a.sti().unwrap();
    let mut again = a.create_label();
    a.set_label(&mut again).unwrap();
    a.hlt().unwrap();
    a.jmp(again).unwrap();
}

/// Puts a handler at 7D00h that reads `port`.
fn with_handler(mut image: Vec<u8>, port: u16) -> Vec<u8> {
    let mut a = CodeAssembler::new(16).unwrap();
    a.mov(dx, i32::from(port)).unwrap();
    a.in_(eax, dx).unwrap();
    a.add(al, i32::from(b'0')).unwrap();
    a.mov(dx, 0x3F8).unwrap();
    a.out(dx, al).unwrap();
    a.mov(dx, i32::from(port)).unwrap();
    a.mov(eax, 100).unwrap();
    a.out(dx, eax).unwrap();
    a.mov(al, 0x20).unwrap();
    a.out(0x20, al).unwrap();
    a.iret().unwrap();
    let code = a.assemble(0x7D00).unwrap();
    image[0x100..0x100 + code.len()].copy_from_slice(&code);
    image
}

fn timer(engine: idem86::EngineKind) -> Machine {
    let image = floppy(|a| {
        handler(a, |a| {
            a.mov(dx, 0x300).unwrap();
            a.mov(eax, 100).unwrap();
            a.out(dx, eax).unwrap();
        });
    });
    let mut machine = machine(engine, with_handler(image, 0x300)).build().unwrap();
    machine.attach(Attachment::fixed("timer").ports(0x300..=0x307).irq(5), Timer::new).unwrap();
    machine
}

#[test]
fn a_device_on_ports_interrupts_in_guest_time() {
    for engine in engines() {
        let mut machine = timer(engine);
        let ended = machine.run_until(Until::serial("1").or(Until::millis(5000))).unwrap();
        assert!(matches!(ended, Ended::Serial { .. }), "{ended:?}");
        let begin = machine.now();
        let ended = machine.run_until(Until::serial("23456").or(Until::millis(100))).unwrap();
        assert!(matches!(ended, Ended::Serial { .. }), "{ended:?}");
        let took = machine.now().since(begin).as_nanos();
        assert!((400_000..2_000_000).contains(&took), "five times 100 us, seen at the next ms: {took}");
    }
}

#[test]
fn a_devices_state_is_the_machines() {
    let mut machine = timer(engines()[0]);
    machine.run_until(Until::serial("3").or(Until::millis(5000))).unwrap();
    let (state, hash) = (machine.save_state(), machine.state_hash());
    let go_on = |machine: &mut Machine| {
        machine.run_until(Until::serial("6").or(Until::millis(100))).unwrap();
        machine.state_hash()
    };
    let later = go_on(&mut machine);
    assert_ne!(later, hash);
    machine.restore_state(&state).unwrap();
    assert_eq!(machine.state_hash(), hash);
    assert_eq!(go_on(&mut machine), later);
    let mut other = Machine::builder().memory(4 << 20).floppy(vec![0; 1_474_560]).build().unwrap();
    assert!(other.restore_state(&state).is_err(), "it has no timer");
}

#[test]
fn a_fork_has_a_device_of_its_own() {
    let mut machine = timer(engines()[0]);
    machine.run_until(Until::serial("3").or(Until::millis(5000))).unwrap();
    let snapshot = machine.snapshot().unwrap();
    let start = machine.state_hash();
    let mut forks = [snapshot.spawn().unwrap(), machine.fork().unwrap()];
    let [one, other] = &mut forks;
    one.run_until(Until::millis(1)).unwrap();
    assert_eq!(other.state_hash(), start, "nothing of one reaches the other");
    other.run_until(Until::millis(1)).unwrap();
    assert_eq!(one.state_hash(), other.state_hash());
    assert!(one.serial_output(0).len() > 5, "it goes off in the fork too");
    machine.run_until(Until::millis(1)).unwrap();
    assert_eq!(machine.state_hash(), one.state_hash());
    machine.restore(&snapshot).unwrap();
    assert_eq!(machine.state_hash(), start);
}

/// A timer that a later program has: it saves one byte more, and takes what the first one saved.
struct Later(Timer);

impl Device for Later {
    fn read(&mut self, region: usize, offset: u64, size: AccessSize, now: GuestTime) -> u32 {
        self.0.read(region, offset, size, now)
    }

    fn write(&mut self, region: usize, offset: u64, size: AccessSize, value: u32, now: GuestTime) {
        self.0.write(region, offset, size, value, now);
    }

    fn next_event(&self) -> Option<GuestTime> {
        self.0.next_event()
    }

    fn advance(&mut self, now: GuestTime) {
        self.0.advance(now);
    }

    fn version(&self) -> u32 {
        1
    }

    fn save(&self) -> Vec<u8> {
        [self.0.save().as_slice(), &[0]].concat()
    }

    fn restore_version(&mut self, version: u32, saved: &[u8]) -> Result<(), String> {
        match (version, saved) {
            (0, old) => self.0.restore(old),
            (1, [old @ .., 0]) => self.0.restore(old),
            _ => Err(format!("no timer saves this in version {version}")),
        }
    }
}

#[test]
fn a_devices_state_is_saved_to_disk_by_name_and_version() {
    let attachment = |name: &str| Attachment::fixed(name).ports(0x300..=0x307).irq(5);
    let mut machine = timer(engines()[0]);
    machine.run_until(Until::serial("3").or(Until::millis(5000))).unwrap();
    let hash = machine.state_hash();
    let mut stream = Vec::new();
    machine.snapshot().unwrap().write_to(&mut stream).unwrap();
    let folder = tempfile::tempdir().unwrap();
    machine.save(folder.path(), &mut |_, _| {}).unwrap();
    machine.run_until(Until::millis(1)).unwrap();
    let load = || {
        let streamed = Snapshot::read_from(stream.as_slice(), Bases::Nowhere).unwrap();
        [streamed, Snapshot::load(folder.path()).unwrap()]
    };
    for snapshot in load() {
        let mut again = snapshot.spawn_with(|m| m.attach(attachment("timer"), Timer::new).unwrap()).unwrap();
        assert_eq!(again.state_hash(), hash);
        again.run_until(Until::millis(1)).unwrap();
        assert_eq!(again.state_hash(), machine.state_hash());
        // A fork of it has the device too.
        assert_eq!(again.fork().unwrap().state_hash(), machine.state_hash());
        // A later version takes it, and what that one saves is nothing for the first.
        let later = |line| Later(Timer::new(line));
        let mut later = snapshot.spawn_with(|m| m.attach(attachment("timer"), later).unwrap()).unwrap();
        later.run_until(Until::millis(1)).unwrap();
        assert!(later.serial_output(0).len() > 5, "it goes on");
        let mut newer = Vec::new();
        later.snapshot().unwrap().write_to(&mut newer).unwrap();
        let newer = Snapshot::read_from(newer.as_slice(), Bases::Nowhere).unwrap();
        let refused = newer.spawn_with(|m| m.attach(attachment("timer"), Timer::new).unwrap()).err().unwrap();
        let line = "timer: saved in version 1, the device has version 0";
        assert!(refused.to_string().ends_with(line), "{refused}");
        // Without it, or with another.
        let none = snapshot.spawn().err().unwrap().to_string();
        assert!(none.ends_with("[\"timer\"] were saved, [] are attached"), "{none}");
        let other =
            snapshot.spawn_with(|m| m.attach(attachment("clock"), Timer::new).unwrap()).err().unwrap();
        assert!(other.to_string().ends_with("[\"timer\"] were saved, [\"clock\"] are attached"), "{other}");
    }
}

#[test]
fn a_device_in_memory_space_answers_and_masters_the_bus() {
    for engine in engines() {
        let image = floppy(|a| {
            // Unreal mode: DS gets a limit of 4 GiB.
            a.cli().unwrap();
            a.mov(word_ptr(0x7E00), 23).unwrap();
            a.mov(dword_ptr(0x7E02), 0x7E08).unwrap();
            for (at, value) in [(0x7E08, 0), (0x7E0C, 0), (0x7E10, 0x0000_FFFF), (0x7E14, 0x008F_9200)] {
                a.mov(dword_ptr(at), value).unwrap();
            }
            a.lgdt(fword_ptr(0x7E00)).unwrap();
            a.mov(eax, cr0).unwrap();
            a.or(al, 1).unwrap();
            a.mov(cr0, eax).unwrap();
            a.mov(bx, 8).unwrap();
            a.mov(ds, bx).unwrap();
            a.and(al, 0xFE).unwrap();
            a.mov(cr0, eax).unwrap();
            a.mov(esi, 0xE000_0004u32).unwrap();
            a.mov(ebx, dword_ptr(esi)).unwrap();
            a.mov(dword_ptr(0x8000), 0x5555_AAAAu32).unwrap();
            a.mov(dword_ptr(esi), eax).unwrap();
            a.mov(ecx, dword_ptr(0x9000)).unwrap();
            stop(a);
        });
        let mut machine = machine(engine, image).build().unwrap();
        machine.attach(Attachment::fixed("timer").memory(0xE000_0000, 8), Timer::new).unwrap();
        assert_eq!(machine.run_until(Until::millis(5000)).unwrap(), Ended::Stuck);
        assert_eq!(machine.register(Register::Ebx), 0x1234_5678);
        assert_eq!(machine.register(Register::Ecx), 0x5555_AAAA, "it has copied by then");
    }
}

#[test]
fn a_device_on_pci_is_found_and_moved() {
    let at = |register: i32| i32::MIN | 8 << 11 | register;
    let image = floppy(|a| {
        let mut config = |register: i32, value: Option<i32>| {
            a.mov(dx, 0xCF8).unwrap();
            a.mov(eax, at(register)).unwrap();
            a.out(dx, eax).unwrap();
            a.mov(dx, 0xCFC).unwrap();
            match value {
                None => a.in_(eax, dx).unwrap(),
                Some(value) => {
                    a.mov(eax, value).unwrap();
                    a.out(dx, eax).unwrap();
                }
            }
        };
        config(0x14, Some(0xD800));
        config(0x04, Some(1));
        config(0x00, None);
        a.mov(ebx, eax).unwrap();
        a.mov(dx, 0xD804).unwrap();
        a.in_(eax, dx).unwrap();
        a.mov(ecx, eax).unwrap();
        stop(a);
    });
    let mut machine = machine(engines()[0], image).build().unwrap();
    let identity = PciIdentity { vendor: 0xBEEF, device: 0xCAFE, class: 0xFF_0000, revision: 1 };
    let attachment = Attachment::pci("timer", identity).bar(1, Bar::Io { size: 16 }).interrupt();
    machine.attach(attachment, Timer::new).unwrap();
    assert_eq!(machine.run_until(Until::millis(5000)).unwrap(), Ended::Stuck);
    assert_eq!(machine.register(Register::Ebx), 0xCAFE_BEEF);
    assert_eq!(machine.register(Register::Ecx), 0x1234_5678);
}

#[test]
fn what_is_taken_is_refused() {
    let mut machine = Machine::builder().build().unwrap();
    let mut attach = |attachment| machine.attach(attachment, Timer::new);
    let fixed = || Attachment::fixed("timer");
    assert!(matches!(attach(fixed().ports(0x3F0..=0x3F8)), Err(AttachError::PortTaken { .. })));
    assert!(matches!(attach(fixed().memory(0x10_0000, 16)), Err(AttachError::NoRoom { .. })));
    assert!(matches!(attach(fixed().memory(0xFEE0_0000, 16)), Err(AttachError::NoRoom { .. })));
    assert!(matches!(attach(fixed().memory(0xFFFF_F000, 1 << 40)), Err(AttachError::NoRoom { .. })));
    assert!(matches!(attach(fixed().irq(4)), Err(AttachError::Irq { irq: 4, .. })));
    assert!(matches!(attach(fixed().bar(0, Bar::Io { size: 16 })), Err(AttachError::Bar { number: 0, .. })));
    attach(fixed().ports(0x300..=0x300).irq(5)).unwrap();
    assert!(matches!(attach(fixed()), Err(AttachError::Name { .. })));
    for n in 1..16 {
        attach(Attachment::fixed(format!("timer {n}")).irq(5)).unwrap();
    }
    assert!(matches!(attach(Attachment::fixed("one more")), Err(AttachError::Full { .. })));
}
