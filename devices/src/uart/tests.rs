//! The documented behaviour of the PC16550D, section by section of its data sheet.

use super::*;
use crate::irq::{IrqBank, IrqInputs};
use crate::state::Snapshot;
use crate::time::GuestDuration;

/// 115,200 baud, eight data bits, no parity, one stop bit: ten bits of 8,680.6 ns.
const CHARACTER_NS: u64 = 86_806;

/// A UART on line 4, and the time.
struct Bench {
    uart: Uart,
    lines: IrqInputs,
    now: GuestTime,
}

impl Bench {
    fn with_pace(pace: Pace) -> Self {
        let bank = IrqBank::new();
        let mut bench =
            Bench { uart: Uart::new(bank.line(4), pace), lines: bank.inputs(0), now: GuestTime::ZERO };
        bench.write(LCR, 0x03);
        bench.write(MCR, mcr::OUT2);
        bench
    }

    fn new() -> Self {
        Self::with_pace(Pace::Baud)
    }

    /// With FIFOs enabled, the receiver triggering at 1, 4, 8 or 14 characters for `trigger` 0 to 3.
    fn with_fifos(trigger: u8) -> Self {
        let mut bench = Self::new();
        bench.write(IIR_FCR, fcr::ENABLE | trigger << 6);
        bench
    }

    fn read(&mut self, offset: u16) -> u8 {
        self.uart.read_port(offset, AccessSize::Byte, self.now).unwrap() as u8
    }

    fn write(&mut self, offset: u16, value: u8) {
        self.uart.write_port(offset, AccessSize::Byte, value.into(), self.now).unwrap();
    }

    fn pass(&mut self, ns: u64) {
        self.now = self.now + GuestDuration::from_nanos(ns);
        self.uart.advance(self.now);
    }

    /// Goes from event to event until none is left; returns how many there were.
    fn settle(&mut self) -> usize {
        let mut events = 0;
        while let Some(event) = self.uart.next_event() {
            assert!(event >= self.now, "an event in the past");
            self.now = event;
            self.uart.advance(event);
            events += 1;
            assert!(events < 1000, "events without end");
        }
        events
    }

    /// Sends the guest `bytes`, each as soon as the line is free.
    fn deliver(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            assert!(self.uart.receive(byte, self.now), "no room for {byte:#x}");
            self.pass(CHARACTER_NS);
        }
    }

    fn irq(&self) -> bool {
        self.lines.levels() & 1 << 4 != 0
    }
}

#[test]
fn registers_after_reset_are_those_of_the_reset_table() {
    let mut b = Bench::with_fifos(2);
    b.write(IER_DLM, ier::ALL);
    b.write(SCR, 0x5A);
    b.write(LCR, 0x80);
    b.write(RBR_THR_DLL, 0x34);
    b.write(IER_DLM, 0x12);
    b.uart.reset();
    for (register, value) in [(IER_DLM, 0), (IIR_FCR, IIR_NONE), (LCR, 0), (MCR, 0), (LSR, 0x60), (SCR, 0x5A)]
    {
        assert_eq!(b.read(register), value, "register {register}");
    }
    assert_eq!(b.read(MSR) & 0x0F, 0);
    b.write(LCR, 0x80);
    assert_eq!((b.read(RBR_THR_DLL), b.read(IER_DLM)), (0x34, 0x12), "the divisor latch outlives a reset");
}

#[test]
fn only_bytes_at_eight_registers_are_accessed() {
    let mut b = Bench::new();
    assert_eq!(b.uart.read_port(0, AccessSize::Word, b.now), Err(IoError::WrongSize));
    assert_eq!(b.uart.write_port(0, AccessSize::Dword, 0, b.now), Err(IoError::WrongSize));
    assert_eq!(b.uart.read_port(8, AccessSize::Byte, b.now), Err(IoError::NoSuchRegister));
}

#[test]
fn upper_bits_of_ier_and_mcr_do_not_exist() {
    let mut b = Bench::new();
    b.write(IER_DLM, 0xFF);
    b.write(MCR, 0xFF);
    assert_eq!((b.read(IER_DLM), b.read(MCR)), (0x0F, 0x1F));
}

#[test]
fn a_character_takes_start_data_parity_and_stop_bits() {
    // Line control, divisor, length of a character and of the wait for its start, in bits.
    for (line, divisor, bits) in [
        (0x03, 1, 10.0),
        (0x03, 12, 10.0),
        (0x00, 1, 7.0),
        (0x04, 1, 7.5),
        (0x07, 1, 11.0),
        (0x1B, 3, 11.0),
        (0x1F, 1, 12.0),
    ] {
        let mut b = Bench::new();
        b.write(LCR, line | 0x80);
        b.write(RBR_THR_DLL, divisor);
        b.write(LCR, line);
        b.write(RBR_THR_DLL, 0xFF);
        b.settle();
        let expected = (bits + 1.0) * f64::from(divisor) / 115_200.0 * 1e9;
        assert_eq!(b.now.as_nanos(), expected.ceil() as u64, "LCR {line:#x}, divisor {divisor}");
        let data_bits = 5 + (line & 3);
        assert_eq!(b.uart.take_output(), [(0xFFu16 >> (8 - data_bits)) as u8]);
    }
}

#[test]
fn characters_follow_each_other_without_drift() {
    // 11,520 characters of ten bits take one second exactly, plus one bit until the first starts.
    let mut b = Bench::with_fifos(0);
    let mut sent = 0;
    while sent < 11_520 {
        for _ in 0..16 {
            b.write(RBR_THR_DLL, sent as u8);
            sent += 1;
        }
        b.write(IER_DLM, ier::THR_EMPTY);
        while !b.irq() {
            b.now = b.uart.next_event().unwrap();
            b.uart.advance(b.now);
        }
        assert_eq!(b.read(IIR_FCR) & 0x0F, InterruptSource::ThrEmpty as u8);
        b.uart.take_output();
    }
    b.settle();
    let bit = 1e9_f64 / 115_200.0;
    assert_eq!(b.now.as_nanos(), (1e9 + bit).ceil() as u64);
}

#[test]
fn a_full_fifo_costs_one_event() {
    let mut b = Bench::with_fifos(0);
    b.write(IER_DLM, ier::THR_EMPTY);
    b.read(IIR_FCR);
    for byte in 0..16 {
        b.write(RBR_THR_DLL, byte);
    }
    let event = b.uart.next_event().unwrap();
    b.uart.advance(event);
    assert!(b.irq(), "the first event is already the one that wants a refill");
    assert_eq!(b.uart.take_output().len(), 15);
}

#[test]
fn thr_empty_interrupt_is_cleared_by_reading_iir_or_writing_thr() {
    let mut b = Bench::new();
    b.write(IER_DLM, ier::THR_EMPTY);
    assert!(b.irq(), "enabling it with an empty transmitter raises it at once");
    assert_eq!(b.read(IIR_FCR), InterruptSource::ThrEmpty as u8);
    assert_eq!(b.read(IIR_FCR), IIR_NONE);
    assert!(!b.irq());

    b.write(IER_DLM, ier::THR_EMPTY);
    assert!(!b.irq(), "it is the rising enable bit that raises it");
    b.write(IER_DLM, 0);
    b.write(IER_DLM, ier::THR_EMPTY);
    assert!(b.irq());

    b.write(RBR_THR_DLL, b'x');
    assert!(!b.irq());
    assert_eq!(b.read(LSR) & (lsr::THR_EMPTY | lsr::TRANSMITTER_EMPTY), 0);
    b.settle();
    assert!(b.irq());
}

#[test]
fn reading_iir_clears_thr_empty_only_if_it_shows_it() {
    let mut b = Bench::new();
    b.deliver(b"a");
    b.write(IER_DLM, ier::THR_EMPTY | ier::RECEIVED_DATA);
    assert_eq!(b.read(IIR_FCR), InterruptSource::ReceivedData as u8);
    b.read(RBR_THR_DLL);
    assert_eq!(b.read(IIR_FCR), InterruptSource::ThrEmpty as u8);
    assert_eq!(b.read(IIR_FCR), IIR_NONE);
}

#[test]
fn thr_empty_interrupt_of_a_lone_character_waits_for_its_stop_bit() {
    let mut b = Bench::with_fifos(0);
    b.write(IER_DLM, ier::THR_EMPTY);
    b.read(IIR_FCR);
    // The first after switching the FIFOs is prompt, the second is not, two characters at once are again.
    for (characters, bits) in [(1, 1.0), (1, 1.0 + 9.0), (2, 1.0 + 10.0), (1, 1.0 + 9.0)] {
        b.pass(1_000_000);
        let start = b.uart.state.clock;
        for _ in 0..characters {
            b.write(RBR_THR_DLL, 0);
        }
        while !b.irq() {
            b.now = b.uart.next_event().unwrap();
            b.uart.advance(b.now);
        }
        assert_eq!((b.uart.state.clock - start) as f64 / 16.0, bits, "{characters} characters");
        b.read(IIR_FCR);
    }
}

#[test]
fn interrupts_have_the_documented_priorities() {
    let mut b = Bench::new();
    b.write(IER_DLM, ier::ALL);
    b.uart.set_modem_inputs(ModemInputs { cts: false, dsr: true, ri: false, dcd: true });
    assert!(b.uart.receive_break(b.now));
    b.pass(CHARACTER_NS);
    assert_eq!(b.read(IIR_FCR), InterruptSource::LineStatus as u8);
    assert_eq!(b.read(LSR) & lsr::ERRORS, lsr::BREAK | lsr::FRAMING);
    assert_eq!(b.read(IIR_FCR), InterruptSource::ReceivedData as u8);
    assert_eq!(b.read(RBR_THR_DLL), 0);
    assert_eq!(b.read(IIR_FCR), InterruptSource::ThrEmpty as u8);
    assert_eq!(b.read(IIR_FCR), InterruptSource::ModemStatus as u8);
    assert_eq!(b.read(MSR), msr::DSR | msr::DCD | 0x01);
    assert_eq!(b.read(IIR_FCR), IIR_NONE);
    assert!(!b.irq());
}

#[test]
fn out2_gates_the_interrupt_line_and_loopback_disconnects_it() {
    let mut b = Bench::new();
    b.write(IER_DLM, ier::THR_EMPTY);
    assert!(b.irq());
    b.write(MCR, 0);
    assert!(!b.irq());
    b.write(MCR, mcr::OUT2 | mcr::LOOP);
    assert!(!b.irq());
    b.write(MCR, mcr::OUT2);
    assert!(b.irq(), "the interrupt was pending all along");
}

#[test]
fn receiver_fifo_interrupts_at_its_trigger_level() {
    for (trigger, level) in [(0, 1), (1, 4), (2, 8), (3, 14)] {
        let mut b = Bench::with_fifos(trigger);
        b.write(IER_DLM, ier::RECEIVED_DATA);
        for n in 1..=16 {
            b.deliver(&[n]);
            assert_eq!(b.irq(), n >= level, "{n} of {level}");
        }
        assert_eq!(b.read(IIR_FCR), 0xC0 | InterruptSource::ReceivedData as u8);
        for n in 1..=16 {
            assert_eq!(b.read(RBR_THR_DLL), n);
            assert_eq!(b.irq(), 16 - n >= level);
        }
    }
}

#[test]
fn character_timeout_comes_four_characters_after_the_last() {
    let mut b = Bench::with_fifos(2);
    b.write(IER_DLM, ier::RECEIVED_DATA);
    b.deliver(b"ab");
    let arrival = b.uart.state.arrival;
    assert_eq!(b.read(IIR_FCR), 0xC0 | IIR_NONE);
    b.settle();
    assert_eq!(b.uart.state.clock - arrival, 4 * 160);
    assert_eq!(b.read(IIR_FCR), 0xC0 | InterruptSource::CharacterTimeout as u8);
    assert!(b.irq());
    assert_eq!(b.read(RBR_THR_DLL), b'a');
    assert_eq!(b.read(IIR_FCR), 0xC0 | IIR_NONE, "reading starts the time again");
    assert!(!b.irq());
    b.settle();
    assert_eq!(b.read(IIR_FCR), 0xC0 | InterruptSource::CharacterTimeout as u8);
    b.read(RBR_THR_DLL);
    assert!(!b.irq());
    assert_eq!(b.uart.next_event(), None, "an empty FIFO times nothing out");
}

#[test]
fn a_new_character_puts_the_timeout_off_but_does_not_withdraw_it() {
    let mut b = Bench::with_fifos(3);
    b.write(IER_DLM, ier::RECEIVED_DATA);
    for byte in 0..5 {
        b.deliver(&[byte]);
        b.pass(2 * CHARACTER_NS);
        assert!(!b.irq());
    }
    b.pass(3 * CHARACTER_NS);
    assert!(b.irq());
    b.deliver(&[5]);
    assert!(b.irq());
}

#[test]
fn an_overrun_keeps_the_fifo_but_replaces_the_buffer_register() {
    // The host never overruns the guest; the guest can overrun itself in loopback.
    let mut b = Bench::with_fifos(0);
    b.write(MCR, mcr::LOOP);
    for round in 0..2 {
        for n in 0..10 {
            b.write(RBR_THR_DLL, round * 10 + n);
        }
        b.settle();
    }
    assert_eq!(b.read(LSR), 0x60 | lsr::DATA_READY | lsr::OVERRUN);
    assert_eq!(b.read(LSR) & lsr::OVERRUN, 0, "reading clears it");
    assert_eq!((0..16).map(|_| b.read(RBR_THR_DLL)).collect::<Vec<_>>(), (0..16).collect::<Vec<_>>());

    b.write(IIR_FCR, 0);
    for byte in [1, 2] {
        b.write(RBR_THR_DLL, byte);
        b.settle();
    }
    assert_eq!(b.read(LSR), 0x60 | lsr::DATA_READY | lsr::OVERRUN);
    assert_eq!(b.read(RBR_THR_DLL), 2);
    assert_eq!(b.read(LSR), 0x60);
}

#[test]
fn errors_show_when_their_character_is_at_the_top_of_the_fifo() {
    let mut b = Bench::with_fifos(0);
    b.deliver(b"a");
    assert!(b.uart.receive_break(b.now));
    b.pass(CHARACTER_NS);
    b.deliver(b"z");
    assert_eq!(b.read(LSR), 0x60 | lsr::DATA_READY | lsr::FIFO_ERROR);
    assert_eq!(b.read(LSR), 0x60 | lsr::DATA_READY | lsr::FIFO_ERROR, "still somewhere in the FIFO");
    assert_eq!(b.read(RBR_THR_DLL), b'a');
    assert_eq!(b.read(LSR), 0x60 | lsr::DATA_READY | lsr::FIFO_ERROR | lsr::BREAK | lsr::FRAMING);
    assert_eq!(b.read(LSR), 0x60 | lsr::DATA_READY);
    assert_eq!((b.read(RBR_THR_DLL), b.read(RBR_THR_DLL)), (0, b'z'));
}

#[test]
fn loopback_wraps_modem_outputs_to_modem_inputs() {
    let mut b = Bench::new();
    b.write(MCR, 0);
    b.uart.set_modem_inputs(ModemInputs { cts: false, dsr: false, ri: false, dcd: false });
    b.read(MSR);
    for (output, line, delta) in [
        (mcr::RTS, msr::CTS, 0x01),
        (mcr::DTR, msr::DSR, 0x02),
        (mcr::OUT1, msr::RI, 0x00),
        (mcr::OUT2, msr::DCD, 0x08),
    ] {
        b.write(MCR, mcr::LOOP | output);
        assert_eq!(b.read(MSR), line | delta);
        assert_eq!(b.read(MSR), line, "reading clears the deltas");
        b.write(MCR, mcr::LOOP);
        let trailing = if output == mcr::OUT1 { msr::TRAILING_EDGE_RI } else { delta };
        assert_eq!(b.read(MSR), trailing);
    }
    b.write(MCR, mcr::LOOP | 0x0F);
    let outputs = b.uart.modem_outputs();
    assert!(!outputs.dtr && !outputs.rts && !outputs.out1 && !outputs.out2, "the pins are inactive");
}

#[test]
fn loopback_sends_characters_to_the_receiver_and_not_out() {
    let mut b = Bench::new();
    b.write(MCR, mcr::LOOP);
    assert!(!b.uart.receive(b'h', b.now), "the input is disconnected");
    b.write(RBR_THR_DLL, 0xA5);
    b.settle();
    assert_eq!(b.read(LSR), 0x60 | lsr::DATA_READY);
    assert_eq!(b.read(RBR_THR_DLL), 0xA5);
    assert!(b.uart.take_output().is_empty());
}

#[test]
fn a_break_acts_on_the_line_and_not_on_the_transmitter() {
    let mut b = Bench::new();
    b.write(LCR, 0x43);
    assert!(b.uart.is_sending_break());
    b.write(RBR_THR_DLL, b'x');
    b.settle();
    assert_eq!(b.read(LSR), 0x60);
    b.write(LCR, 0x03);
    assert!(!b.uart.is_sending_break());
    assert!(b.uart.take_output().is_empty(), "nobody could read it on a spacing line");
}

#[test]
fn fifo_control_clears_the_fifos_but_not_the_shift_registers() {
    let mut b = Bench::with_fifos(0);
    b.deliver(b"ab");
    b.write(IIR_FCR, fcr::ENABLE | fcr::CLEAR_RECEIVER);
    assert_eq!(b.read(LSR), 0x60);
    for byte in *b"xyz" {
        b.write(RBR_THR_DLL, byte);
    }
    b.pass(2 * CHARACTER_NS / 10);
    b.write(IIR_FCR, fcr::ENABLE | fcr::CLEAR_TRANSMITTER);
    assert_eq!(b.read(LSR), lsr::THR_EMPTY);
    b.settle();
    assert_eq!(b.uart.take_output(), b"x");
}

#[test]
fn switching_the_fifos_clears_them_and_other_bits_need_the_enable_bit() {
    let mut b = Bench::with_fifos(3);
    assert_eq!(b.read(IIR_FCR), 0xC1);
    b.deliver(b"ab");
    b.write(IIR_FCR, 0x40);
    assert_eq!(b.read(IIR_FCR), 0x01);
    assert_eq!(b.read(LSR), 0x60);
    b.deliver(b"c");
    b.write(IIR_FCR, fcr::CLEAR_RECEIVER);
    assert_eq!(b.read(RBR_THR_DLL), b'c', "ignored without the enable bit");
}

#[test]
fn the_receiver_refuses_what_would_overrun_it() {
    let mut b = Bench::new();
    assert!(b.uart.receive(b'1', b.now));
    assert!(!b.uart.receive(b'2', b.now), "the line is busy");
    b.pass(CHARACTER_NS);
    assert!(!b.uart.receive(b'2', b.now), "the buffer is full");
    assert_eq!(b.read(RBR_THR_DLL), b'1');
    assert!(b.uart.receive(b'2', b.now));
}

#[test]
fn an_immediate_host_costs_no_guest_time_and_still_interrupts() {
    let mut b = Bench::with_pace(Pace::Immediate);
    b.write(IIR_FCR, fcr::ENABLE);
    b.write(IER_DLM, ier::THR_EMPTY | ier::RECEIVED_DATA);
    b.read(IIR_FCR);
    b.lines.take_rising();
    for byte in 0..3 {
        b.write(RBR_THR_DLL, byte);
        assert_eq!(b.read(LSR), 0x60);
        assert_eq!(b.lines.take_rising(), 1 << 4, "an edge for each");
    }
    assert_eq!(b.uart.take_output(), [0, 1, 2]);
    assert!((0..16).all(|byte| b.uart.receive(byte, b.now)));
    assert!(!b.uart.can_receive());
    assert_eq!(b.now, GuestTime::ZERO);
}

#[test]
fn a_host_that_takes_nothing_stops_the_transmitter() {
    let mut b = Bench::with_pace(Pace::Immediate);
    b.write(IIR_FCR, fcr::ENABLE);
    for _ in 0..OUTPUT_CAPACITY + 100 {
        b.write(RBR_THR_DLL, 0);
    }
    assert_eq!(b.read(LSR), 0, "the FIFO is full");
    assert_eq!(b.uart.next_event(), None);
    assert_eq!(b.uart.take_output().len(), OUTPUT_CAPACITY);
    b.settle();
    assert_eq!(b.uart.take_output().len(), 17);
    assert_eq!(b.read(LSR), 0x60);
}

#[test]
fn saved_states_restore_and_impossible_ones_are_refused() {
    let mut b = Bench::with_fifos(2);
    b.deliver(b"abc");
    b.write(IER_DLM, ier::ALL);
    b.write(RBR_THR_DLL, b'x');
    b.write(RBR_THR_DLL, b'y');
    let saved = b.uart.save();
    b.settle();
    b.write(SCR, 1);
    assert_ne!(b.uart.save(), saved);
    b.uart.restore(saved.clone()).unwrap();
    assert_eq!(b.uart.save(), saved);

    type Corruption = fn(&mut UartState);
    let corruptions: [Corruption; 6] = [
        |s| s.interrupt_enable = 0x10,
        |s| s.fifo_control = 0,
        |s| s.modem_deltas = 0x10,
        |s| s.transmit.extend([0; 16]),
        |s| s.output = vec![0; OUTPUT_CAPACITY + 1],
        |s| s.arriving = Some(Received { byte: 0, errors: 0x80 }),
    ];
    for (i, corrupt) in corruptions.into_iter().enumerate() {
        let mut state = saved.clone();
        corrupt(&mut state);
        assert!(b.uart.restore(state).is_err(), "corruption {i}");
        assert_eq!(b.uart.save(), saved);
    }
}

crate::conformance::suite!(
    Subject::new(|bank| Uart::new(bank.line(4), Pace::Baud))
        .ports(8)
        .timed()
        .action(|uart, random, now| u64::from(uart.receive(random.next() as u8, now)))
        .action(|uart, _, now| u64::from(uart.receive_break(now)))
        .action(|uart, _, _| uart.take_output().iter().fold(0, |sum, byte| sum + u64::from(*byte)))
);

/// The same without line times: what a host does is then the only thing that holds characters up.
mod immediate {
    use super::*;

    crate::conformance::suite!(
        Subject::new(|bank| Uart::new(bank.line(4), Pace::Immediate))
            .ports(8)
            .timed()
            .action(|uart, random, now| u64::from(uart.receive(random.next() as u8, now)))
            .action(|uart, _, now| {
                uart.write_port(RBR_THR_DLL, AccessSize::Byte, 0x55, now).map_or(0, |()| 1)
            })
            .action(|uart, _, _| uart.take_output().iter().fold(0, |sum, byte| sum + u64::from(*byte)))
    );
}
