//! The built-in firmware at work: what its services see of the machine.
//!
//! A service takes no work of the processor and, unless it waits, no guest time. Its accesses are those that its ROM
//! code would make: memory through the guest's page tables, devices through their ports.

use crate::clock::ClockKind;
use crate::machine::Machine;
use idem86_cpu::bus::{Biu, Bus, PageKind};
use idem86_cpu::cpu::Cpu;
use idem86_cpu::mmu::Access;
use idem86_cpu::mmu::tlb::View;
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::{SegReg, Segment};
use idem86_devices::time::{GuestDuration, GuestTime};
use idem86_firmware::platform::{self, Platform, Registers};
use std::cell::Cell;
use std::time::Duration;

/// Waits shorter than this do not let the host sleep: that would take longer.
const SHORTEST_SLEEP: GuestDuration = GuestDuration::from_micros(50);

impl Machine {
    /// The guest has written to the trap port: serves the call, if it comes from one of our ROMs. Gives whether it
    /// did.
    pub(crate) fn serve_firmware(&mut self) -> bool {
        let registers = read_registers(&self.cpu);
        let mut caller = Caller { machine: self, registers };
        let served = idem86_firmware::bios::serve(&mut caller);
        let after = caller.registers;
        if served {
            write_registers(&mut self.cpu, &registers, &after);
        }
        served
    }
}

/// The machine as a service sees it.
struct Caller<'a> {
    machine: &'a mut Machine,
    registers: Registers,
}

/// An access to memory within a page, after translation.
enum Place {
    /// Plain memory at this offset of the slab, which writes reach.
    Ram(usize),
    /// Plain memory that writes do not reach.
    Rom(usize, u64),
    /// A device at this physical address.
    Device(u64),
    /// Nothing: the page is not mapped.
    Nowhere,
}

impl Caller<'_> {
    /// Lends processor and bus to each other, as a run does.
    fn with_processor<T>(&mut self, act: impl FnOnce(&mut Cpu, &mut Biu) -> T) -> T {
        let Machine { cpu, board, slab, .. } = &mut *self.machine;
        let ram = Cell::from_mut(&mut **slab).as_slice_of_cells();
        act(cpu, &mut Biu::new(ram, board))
    }

    fn translate(&mut self, linear: u32, access: Access) -> Option<u64> {
        self.with_processor(|cpu, biu| {
            let cr2 = cpu.cr2;
            let translated = cpu.translate(biu, linear.into(), access, View::Supervisor);
            // No page fault happens: the service makes do with what is there.
            cpu.cr2 = cr2;
            translated.ok()
        })
    }

    fn place(&mut self, linear: u32, access: Access) -> Place {
        let Some(physical) = self.translate(linear, access) else { return Place::Nowhere };
        let within = physical & 0xFFF;
        match self.machine.board.page(physical & !0xFFF) {
            PageKind::Ram(at) => Place::Ram((at + within) as usize),
            PageKind::Rom(at) => Place::Rom((at + within) as usize, physical),
            PageKind::Device => Place::Device(physical),
        }
    }

    /// The machine's pins may have changed, and with them what is behind an address.
    fn sample_pins(&mut self) {
        self.with_processor(|cpu, biu| cpu.sample_pins(biu));
    }
}

/// Splits `[from, from + len)` at page boundaries into (address, length).
fn pages(from: u32, len: usize) -> impl Iterator<Item = (u32, usize)> {
    let (mut next, mut left) = (from, len);
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let piece = (next, left.min(0x1000 - (next & 0xFFF) as usize));
        next = next.wrapping_add(piece.1 as u32);
        left -= piece.1;
        Some(piece)
    })
}

/// The width of the next access of a device at `address` when `left` bytes are to be moved.
fn width(address: u64, left: usize) -> usize {
    match (address & 3, left) {
        (0, 4..) => 4,
        (0 | 2, 2..) => 2,
        _ => 1,
    }
}

impl Platform for Caller<'_> {
    fn registers(&mut self) -> &mut Registers {
        &mut self.registers
    }

    fn read(&mut self, from: u32, buffer: &mut [u8]) {
        let mut rest = buffer;
        for (linear, len) in pages(from, rest.len()) {
            let (part, tail) = rest.split_at_mut(len);
            match self.place(linear, Access::Read) {
                Place::Ram(at) | Place::Rom(at, _) => part.copy_from_slice(&self.machine.slab[at..at + len]),
                Place::Device(physical) => self.with_processor(|cpu, biu| {
                    let mut done = 0;
                    while done < len {
                        let address = physical + done as u64;
                        let size = width(address, len - done);
                        let value = cpu.read_physical(biu, address, size).to_le_bytes();
                        part[done..done + size].copy_from_slice(&value[..size]);
                        done += size;
                    }
                }),
                Place::Nowhere => part.fill(0xFF),
            }
            rest = tail;
        }
    }

    fn write(&mut self, to: u32, bytes: &[u8]) {
        let mut rest = bytes;
        for (linear, len) in pages(to, bytes.len()) {
            let (part, tail) = rest.split_at(len);
            match self.place(linear, Access::Write) {
                Place::Ram(at) => {
                    self.machine.slab[at..at + len].copy_from_slice(part);
                    self.machine.cpu.ram_written(at as u64, len as u64);
                }
                Place::Rom(_, physical) | Place::Device(physical) => self.with_processor(|cpu, biu| {
                    let mut done = 0;
                    while done < len {
                        let address = physical + done as u64;
                        let size = width(address, len - done);
                        let mut value = [0; 8];
                        value[..size].copy_from_slice(&part[done..done + size]);
                        cpu.write_physical(biu, address, size, u64::from_le_bytes(value));
                        done += size;
                    }
                }),
                Place::Nowhere => {}
            }
            rest = tail;
        }
    }

    fn physical(&mut self, linear: u32) -> Option<u64> {
        self.translate(linear, Access::Read)
    }

    fn port_in(&mut self, port: u16, size: usize) -> u32 {
        let now = self.machine.cpu.work();
        let value = self.machine.board.port_in(port, size, now);
        self.sample_pins();
        value
    }

    fn port_out(&mut self, port: u16, size: usize, value: u32) {
        let now = self.machine.cpu.work();
        self.machine.board.port_out(port, size, value, now);
        self.sample_pins();
    }

    fn port_in_words(&mut self, port: u16, buffer: &mut [u8]) {
        let now = self.machine.cpu.work();
        let mut done = 0;
        while done + 2 <= buffer.len() {
            done += 2 * self.machine.board.port_in_block(port, 2, &mut buffer[done..], now).max(1);
        }
        self.sample_pins();
    }

    fn port_out_words(&mut self, port: u16, bytes: &[u8]) {
        let now = self.machine.cpu.work();
        let mut done = 0;
        while done + 2 <= bytes.len() {
            done += 2 * self.machine.board.port_out_block(port, 2, &bytes[done..], now).max(1);
        }
        self.sample_pins();
    }

    fn now(&mut self) -> u64 {
        self.machine.now().as_nanos()
    }

    fn wait(&mut self, nanoseconds: u64) {
        let machine = &mut *self.machine;
        let end = machine.now() + GuestDuration::from_nanos(nanoseconds);
        loop {
            let next = machine.board.deadline.min(end);
            machine.pass_time(next);
            machine.service(machine.now());
            if machine.now() >= end {
                break;
            }
        }
        self.sample_pins();
    }
}

impl Machine {
    /// Lets guest time pass until `to`, without work.
    fn pass_time(&mut self, to: GuestTime) {
        match self.board.clock.kind() {
            ClockKind::Virtual => self.board.clock.skip_to(self.cpu.work(), to),
            ClockKind::Host => loop {
                let left = to.since(self.now());
                if left == GuestDuration::from_nanos(0) {
                    return;
                }
                if left >= SHORTEST_SLEEP {
                    std::thread::sleep(Duration::from_nanos(left.as_nanos()));
                } else {
                    std::hint::spin_loop();
                }
            },
        }
    }
}

/// The general registers, in the order of their numbers.
fn general(registers: &mut Registers) -> [(u8, &mut u32); 8] {
    [
        (gpr::AX, &mut registers.eax),
        (gpr::CX, &mut registers.ecx),
        (gpr::DX, &mut registers.edx),
        (gpr::BX, &mut registers.ebx),
        (gpr::SP, &mut registers.esp),
        (gpr::BP, &mut registers.ebp),
        (gpr::SI, &mut registers.esi),
        (gpr::DI, &mut registers.edi),
    ]
}

fn segments(registers: &mut Registers) -> [(SegReg, &mut platform::Segment); 6] {
    [
        (SegReg::Cs, &mut registers.cs),
        (SegReg::Ds, &mut registers.ds),
        (SegReg::Es, &mut registers.es),
        (SegReg::Ss, &mut registers.ss),
        (SegReg::Fs, &mut registers.fs),
        (SegReg::Gs, &mut registers.gs),
    ]
}

fn read_registers(cpu: &Cpu) -> Registers {
    let mut registers = Registers { eip: cpu.rip as u32, eflags: cpu.eflags.bits(), ..Registers::default() };
    for (number, value) in general(&mut registers) {
        *value = cpu.gpr.get(number);
    }
    for (segment, value) in segments(&mut registers) {
        let Segment { selector, base, .. } = cpu.seg[segment as usize];
        *value = platform::Segment { selector, base: base as u32 };
    }
    registers
}

/// Loads what a service has changed.
fn write_registers(cpu: &mut Cpu, before: &Registers, after: &Registers) {
    let (mut before, mut after) = (*before, *after);
    for (number, value) in general(&mut after) {
        cpu.gpr.set(number, *value);
    }
    cpu.rip = u64::from(after.eip);
    cpu.eflags.set_arithmetic(after.eflags);
    if cpu.protected() {
        // Selectors mean descriptors there, and no service changes them.
        return;
    }
    let v8086 = cpu.v8086();
    for ((segment, old), (_, new)) in segments(&mut before).into_iter().zip(segments(&mut after)) {
        if old == new {
            continue;
        }
        let register = &mut cpu.seg[segment as usize];
        *register = match segment {
            _ if v8086 => Segment::v86(new.selector),
            // As a far transfer does: the attributes stay.
            SegReg::Cs => Segment::real(new.selector, register.limit, register.access),
            _ => register.reloaded_real(new.selector),
        };
    }
}
