//! Repetition: counting, stopping and going on. SDM Vol. 2B, "REP/REPE/REPZ/REPNE/REPNZ".

use crate::kit::*;
use idem86_cpu::bus::{Bus, PageKind, Pins, Work};
use idem86_cpu::flat::FlatBus;
use idem86_cpu::run::Stop;
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::gpr;

fn counts(k: &Kit) -> [u32; 3] {
    [gpr::SI, gpr::DI, gpr::CX].map(|r| k.cpu.gpr.get::<u32>(r))
}

fn set(k: &mut Kit, si: u32, di: u32, cx: u32) {
    for (r, v) in [(gpr::SI, si), (gpr::DI, di), (gpr::CX, cx)] {
        k.cpu.gpr.set(r, v);
    }
}

#[test]
fn every_iteration_is_a_unit_of_work_and_so_is_a_count_of_zero() {
    for (cx, work) in [(0, 1), (1, 1), (10_000, 10_000)] {
        let mut k = Kit::protected(0);
        k.bytes(&[0xF3, 0xAA, 0xF4]);
        set(&mut k, 0, 0x20_0000, cx);
        let before = k.cpu.work();
        assert_eq!(k.run(work), Stop::Budget);
        assert_eq!(k.cpu.work() - before, work);
        assert_eq!(k.cpu.rip, place::CODE as u64 + 2);
    }
}

#[test]
fn a_budget_ends_between_iterations() {
    let mut k = Kit::protected(0);
    k.bytes(&[0x90, 0xF3, 0xA5, 0xF4]);
    set(&mut k, 0x20_0000, 0x20_1000, 100);
    assert_eq!(k.run(31), Stop::Budget);
    assert_eq!(counts(&k), [0x20_0000 + 120, 0x20_1000 + 120, 70]);
    assert_eq!(k.cpu.rip, place::CODE as u64 + 1, "at the instruction itself");
    assert_eq!(k.run(1000), Stop::Halted);
    assert_eq!(counts(&k), [0x20_0000 + 400, 0x20_1000 + 400, 0]);
}

#[test]
fn comparisons_with_a_count_of_zero_leave_the_flags_alone() {
    for bytes in [[0xF3, 0xA6], [0xF2, 0xAE]] {
        for flags in [0, bit::ARITHMETIC] {
            let mut k = Kit::protected(0);
            k.bytes(&bytes);
            k.cpu.set_eflags(flags);
            set(&mut k, 0x20_0000, 0x20_1000, 0);
            assert_eq!(k.step(), Led::Through);
            assert_eq!(k.cpu.eflags.arithmetic(), flags);
            assert_eq!(counts(&k), [0x20_0000, 0x20_1000, 0]);
        }
    }
}

/// The registers say how far it came; the handler can map the page and return.
#[test]
fn a_page_fault_finds_whole_iterations_done() {
    for (bytes, size, error) in [(&[0xF3, 0xA4][..], 1, 2), (&[0xF3, 0xA5], 4, 2), (&[0xF3, 0xA7], 4, 0)] {
        let mut k = Kit::protected(0);
        k.page();
        k.put32(k.pte(0x20_1000), 0);
        k.bytes(bytes);
        set(&mut k, 0x20_3000, 0x20_1000 - 10 * size, 20);
        assert_eq!(k.run(11), Stop::Budget);
        let led = k.led();
        assert_eq!(led, Led::To(14, Some(error)));
        assert_eq!(k.cpu.cr2, 0x20_1000);
        assert_eq!(counts(&k), [0x20_3000 + 10 * size, 0x20_1000, 10]);
        assert_eq!(k.frame(led)[0], place::CODE, "EIP is at the instruction");

        k.put32(k.pte(0x20_1000), 0x20_1000 | 7);
        k.cpu.state_changed();
        k.cpu.rip = place::CODE as u64;
        assert_eq!(k.run(10), Stop::Budget);
        assert_eq!(counts(&k), [0x20_3000 + 20 * size, 0x20_1000 + 10 * size, 0]);
    }
}

/// An element that crosses into a page that is not there leaves the other page alone.
#[test]
fn an_element_is_written_whole_or_not_at_all() {
    let mut k = Kit::protected(0);
    k.page();
    k.put32(k.pte(0x20_1000), 0);
    k.bytes(&[0xF3, 0xAB]);
    set(&mut k, 0, 0x20_0FFA, 5);
    k.cpu.gpr.set(gpr::AX, 0x1122_3344u32);
    assert_eq!(k.run(2), Stop::Budget);
    assert_eq!(k.led(), Led::To(14, Some(2)));
    assert_eq!(counts(&k), [0, 0x20_0FFE, 4]);
    assert_eq!(k.get32(0x20_0FFA), 0x1122_3344);
    assert_eq!(k.get16(0x20_0FFE), 0);
}

#[test]
fn a_segment_limit_is_met_where_it_is() {
    let mut k = Kit::real();
    k.bytes(&[0xF3, 0x66, 0xAB]);
    set(&mut k, 0, 0xFFF6, 10);
    assert_eq!(k.run(3), Stop::Budget);
    assert_eq!(k.led(), Led::To(13, None));
    assert_eq!(counts(&k), [0, 0xFFFE, 8]);
}

#[test]
fn code_that_overwrites_what_follows_executes_the_new_bytes() {
    let mut k = Kit::protected(0);
    // rep stosb over the UD2 behind it, with NOPs.
    k.bytes(&[0xF3, 0xAA, 0x0F, 0x0B, 0x0F, 0x0B, 0xF4]);
    set(&mut k, 0, place::CODE + 2, 4);
    k.cpu.gpr.set(gpr::AX, 0x90u32);
    assert_eq!(k.run(100), Stop::Halted);
    assert_eq!(k.here(), place::CODE + 7);
}

/// A port that gives and takes bytes, and requests an interrupt after some of them.
struct Fifo {
    flat: FlatBus,
    next: u8,
    taken: Vec<u8>,
    interrupt_after: usize,
    /// What a block read claims to have read, if it lies.
    claims: Option<usize>,
}

impl Bus for Fifo {
    fn page(&mut self, page: u64) -> PageKind {
        self.flat.page(page)
    }
    fn read(&mut self, _: u64, _: usize, _: Work) -> u64 {
        u64::MAX
    }
    fn write(&mut self, _: u64, _: usize, _: u64, _: Work) {}
    fn port_in(&mut self, _: u16, size: usize, _: Work) -> u32 {
        (0..size).fold(0, |v, n| {
            self.next += 1;
            v | (self.next as u32) << (8 * n)
        })
    }
    fn port_out(&mut self, _: u16, size: usize, value: u32, _: Work) {
        self.taken.extend(&value.to_le_bytes()[..size]);
        self.flat.intr = self.taken.len() == self.interrupt_after;
    }
    fn port_in_block(&mut self, port: u16, size: usize, out: &mut [u8], now: Work) -> usize {
        let mut done = 0;
        for item in out.chunks_exact_mut(size) {
            item.copy_from_slice(&self.port_in(port, size, now).to_le_bytes()[..size]);
            done += 1;
        }
        self.claims.unwrap_or(done)
    }
    fn port_out_block(&mut self, port: u16, size: usize, data: &[u8], now: Work) -> usize {
        let mut done = 0;
        for item in data.chunks_exact(size) {
            self.port_out(port, size, item.iter().rev().fold(0, |v, b| v << 8 | *b as u32), now);
            done += 1;
            if self.flat.intr {
                break;
            }
        }
        done
    }
    fn acknowledge_interrupt(&mut self, now: Work) -> u8 {
        self.flat.acknowledge_interrupt(now)
    }
    fn pins(&mut self) -> Pins {
        self.flat.pins()
    }
}

fn fifo(interrupt_after: usize) -> Fifo {
    Fifo { flat: FlatBus::new(RAM), next: 0, taken: Vec::new(), interrupt_after, claims: None }
}

#[test]
fn ports_are_read_and_written_in_order_across_pages_and_downwards() {
    for down in [false, true] {
        let mut k = Kit::protected(0);
        let mut bus = fifo(0);
        k.bytes(&[0xF3, 0x66, 0x6D, 0xF4]);
        set(&mut k, 0, 0x20_0FFD, 10);
        k.cpu.set_eflags(if down { bit::DF } else { 0 });
        assert_eq!(k.engine.run(&mut k.cpu, &mut k.ram, &mut bus, 100), Stop::Halted);
        let step = |n: u32| if down { 0x20_0FFD - 2 * n } else { 0x20_0FFD + 2 * n };
        for n in 0..10 {
            assert_eq!(
                k.get16(step(n)),
                (2 * n as u16 + 1) | (2 * n as u16 + 2) << 8,
                "item {n}, down {down}"
            );
        }
        assert_eq!(counts(&k), [0, step(10), 0]);

        let mut k = Kit::protected(0);
        k.bytes(&[0xF3, 0x6F, 0xF4]);
        k.put(0x20_0FF0, &std::array::from_fn::<u8, 32, _>(|n| n as u8));
        k.cpu.set_eflags(if down { bit::DF } else { 0 });
        set(&mut k, if down { 0x20_100C } else { 0x20_0FF0 }, 0, 8);
        assert_eq!(k.engine.run(&mut k.cpu, &mut k.ram, &mut bus, 100), Stop::Halted);
        let items = (0..8u8).map(|n| if down { 28 - 4 * n } else { 4 * n });
        let expected: Vec<u8> = items.flat_map(|first| first..first + 4).collect();
        assert_eq!(bus.taken, expected, "down {down}");
    }
}

/// SDM Vol. 2B, "REP": pending interrupts are handled before the next iteration; the instruction is resumed.
#[test]
fn an_interrupt_is_taken_between_iterations() {
    let mut k = Kit::protected(0);
    k.bytes(&[0xF3, 0x6E, 0xF4]);
    k.cpu.set_eflags(bit::IF);
    set(&mut k, 0x20_0000, 0, 10);
    let mut bus = fifo(4);
    // Four iterations, the delivery, and the handler's HLT.
    assert_eq!(k.engine.run(&mut k.cpu, &mut k.ram, &mut bus, 6), Stop::Budget);
    assert_eq!(bus.taken.len(), 4);
    assert_eq!(counts(&k), [0x20_0004, 0, 6]);
    assert_eq!(k.stack(0), place::CODE, "it will be resumed");
}

/// SDM Vol. 2A, "INS": the port is not read where the destination cannot be written.
#[test]
fn a_port_is_not_read_in_vain() {
    for bytes in [&[0x6C][..], &[0xF3, 0x6C]] {
        let mut k = Kit::protected(0);
        k.page();
        k.put32(k.pte(0x20_1000), 0);
        k.bytes(bytes);
        set(&mut k, 0, 0x20_1000, 10);
        let mut bus = fifo(0);
        k.engine.run(&mut k.cpu, &mut k.ram, &mut bus, 1);
        assert_eq!(k.led(), Led::To(14, Some(2)));
        assert_eq!(bus.next, 0);
        assert_eq!(counts(&k), [0, 0x20_1000, 10]);
    }
}

/// Whatever a bus says it has read, no more than the instruction asked for is believed; nothing means that the items
/// must be read one by one.
#[test]
fn the_claims_of_a_bus_are_checked() {
    for claims in [0, 1, 1000, usize::MAX] {
        let mut k = Kit::protected(0);
        let mut bus = Fifo { claims: Some(claims), ..fifo(0) };
        k.bytes(&[0xF3, 0x6C, 0xF4]);
        set(&mut k, 0, 0x20_0000, 10);
        assert_eq!(k.engine.run(&mut k.cpu, &mut k.ram, &mut bus, 100), Stop::Halted);
        assert_eq!(counts(&k), [0, 0x20_000A, 0]);
        assert_eq!(k.get8(0x20_000A), 0);
    }
}
