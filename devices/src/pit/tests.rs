use super::*;
use crate::irq::IrqBank;
use crate::time::GuestDuration;
use AccessSize::Byte;
use spec::CounterControl;

const LSB_ONLY: u8 = 0x10;

/// A counter programmed for one-byte counts in `mode`, with `count` written.
fn counter(mode: u8, count: u8, gate: bool) -> Counter {
    let mut counter = Counter::power_on(gate);
    counter.program(CounterControl(LSB_ONLY | mode << 1));
    counter.write(count);
    counter
}

/// Count and OUT after each of `n` clocks, as the data sheet's timing diagrams print them.
fn trace(counter: &mut Counter, n: usize) -> (Vec<u8>, String) {
    (0..n)
        .map(|_| {
            counter.clock(1);
            (counter.element as u8, if counter.out { '-' } else { '_' })
        })
        .unzip()
}

fn figure(counts: &[u8], out: &str) -> (Vec<u8>, String) {
    (counts.to_vec(), out.to_owned())
}

#[test]
fn mode_0_out_rises_n_plus_1_clocks_after_the_count_is_written() {
    let mut c = counter(0, 4, true);
    assert!(!c.out);
    assert_eq!(trace(&mut c, 7), figure(&[4, 3, 2, 1, 0, 0xFF, 0xFE], "____---"));
}

#[test]
fn mode_0_gate_disables_counting_without_touching_out() {
    let mut c = counter(0, 3, true);
    assert_eq!(trace(&mut c, 2), figure(&[3, 2], "__"));
    c.set_gate(false);
    assert_eq!(trace(&mut c, 2), figure(&[2, 2], "__"));
    c.set_gate(true);
    assert_eq!(trace(&mut c, 3), figure(&[1, 0, 0xFF], "_--"));
}

#[test]
fn mode_0_a_count_written_while_gate_is_low_is_loaded_anyway() {
    let mut c = counter(0, 3, false);
    assert_eq!(trace(&mut c, 2), figure(&[3, 3], "__"));
    c.set_gate(true);
    assert_eq!(trace(&mut c, 3), figure(&[2, 1, 0], "__-"));
}

#[test]
fn mode_0_a_new_count_is_loaded_on_the_next_clock_and_lowers_out() {
    let mut c = counter(0, 3, true);
    trace(&mut c, 3);
    c.write(2);
    assert_eq!(trace(&mut c, 4), figure(&[2, 1, 0, 0xFF], "__--"));
    c.write(1);
    assert!(!c.out);
}

#[test]
fn mode_0_the_first_of_two_bytes_stops_the_count_and_lowers_out() {
    let mut c = Counter::power_on(true);
    c.program(CounterControl(0x30));
    c.write(2);
    c.write(0);
    trace(&mut c, 4);
    assert!(c.out);
    c.write(3);
    assert!(!c.out);
    assert_eq!(trace(&mut c, 2), figure(&[0xFF, 0xFF], "__"));
    c.write(0);
    assert_eq!(trace(&mut c, 4), figure(&[3, 2, 1, 0], "___-"));
}

#[test]
fn mode_1_a_trigger_makes_one_pulse_of_n_clocks() {
    let mut c = counter(1, 3, false);
    assert_eq!(trace(&mut c, 2).1, "--");
    c.set_gate(true);
    assert_eq!(trace(&mut c, 6), figure(&[3, 2, 1, 0, 0xFF, 0xFE], "___---"));
    c.set_gate(false);
    c.set_gate(true);
    assert_eq!(trace(&mut c, 2), figure(&[3, 2], "__"));
}

#[test]
fn mode_1_a_trigger_during_the_pulse_restarts_it() {
    let mut c = counter(1, 3, false);
    c.set_gate(true);
    trace(&mut c, 3);
    c.set_gate(false);
    c.set_gate(true);
    assert_eq!(trace(&mut c, 4), figure(&[3, 2, 1, 0], "___-"));
}

#[test]
fn mode_1_a_new_count_waits_for_the_next_trigger() {
    let mut c = counter(1, 2, false);
    c.set_gate(true);
    trace(&mut c, 1);
    c.write(4);
    assert_eq!(trace(&mut c, 4), figure(&[1, 0, 0xFF, 0xFE], "_---"));
    c.set_gate(false);
    c.set_gate(true);
    assert_eq!(trace(&mut c, 2), figure(&[4, 3], "__"));
}

#[test]
fn mode_2_out_is_low_for_one_clock_in_n() {
    let mut c = counter(2, 3, true);
    assert!(c.out);
    assert_eq!(trace(&mut c, 7), figure(&[3, 2, 1, 3, 2, 1, 3], "--_--_-"));
}

#[test]
fn mode_2_gate_synchronizes_the_counter() {
    let mut c = counter(2, 3, true);
    trace(&mut c, 2);
    c.set_gate(false);
    assert_eq!(trace(&mut c, 2), figure(&[2, 2], "--"));
    c.set_gate(true);
    assert_eq!(trace(&mut c, 4), figure(&[3, 2, 1, 3], "--_-"));
}

#[test]
fn mode_2_gate_low_during_the_pulse_raises_out_at_once() {
    let mut c = counter(2, 3, true);
    trace(&mut c, 3);
    assert!(!c.out);
    c.set_gate(false);
    assert!(c.out);
}

#[test]
fn mode_2_a_new_count_takes_over_at_the_end_of_the_period() {
    let mut c = counter(2, 4, true);
    trace(&mut c, 2);
    c.write(5);
    assert!(c.null_count);
    assert_eq!(trace(&mut c, 5), figure(&[2, 1, 5, 4, 3], "-_---"));
    assert!(!c.null_count);
}

#[test]
fn mode_3_an_even_count_is_a_square_wave_counted_by_twos() {
    let mut c = counter(3, 4, true);
    assert_eq!(trace(&mut c, 8), figure(&[4, 2, 4, 2, 4, 2, 4, 2], "--__--__"));
}

#[test]
fn mode_3_an_odd_count_is_high_for_one_clock_more_than_low() {
    let mut c = counter(3, 5, true);
    assert_eq!(trace(&mut c, 10), figure(&[4, 2, 0, 4, 2, 4, 2, 0, 4, 2], "---__---__"));
}

#[test]
fn mode_3_gate_low_raises_out_at_once_and_its_rise_restarts_the_wave() {
    let mut c = counter(3, 4, true);
    trace(&mut c, 3);
    c.set_gate(false);
    assert!(c.out);
    assert_eq!(trace(&mut c, 2).1, "--");
    c.set_gate(true);
    assert_eq!(trace(&mut c, 5), figure(&[4, 2, 4, 2, 4], "--__-"));
}

#[test]
fn mode_3_a_new_count_takes_over_at_the_end_of_the_half_period() {
    let mut c = counter(3, 6, true);
    trace(&mut c, 1);
    c.write(4);
    assert_eq!(trace(&mut c, 7), figure(&[4, 2, 4, 2, 4, 2, 4], "--__--_"));
}

#[test]
fn mode_4_strobes_once_n_plus_1_clocks_after_the_count_is_written() {
    let mut c = counter(4, 3, true);
    assert!(c.out);
    assert_eq!(trace(&mut c, 6), figure(&[3, 2, 1, 0, 0xFF, 0xFE], "---_--"));
    assert!(!c.clock(0x1_0000), "no second strobe when the counting element wraps");
}

#[test]
fn mode_4_gate_disables_counting() {
    let mut c = counter(4, 3, false);
    assert_eq!(trace(&mut c, 3), figure(&[3, 3, 3], "---"));
    c.set_gate(true);
    assert_eq!(trace(&mut c, 4), figure(&[2, 1, 0, 0xFF], "--_-"));
}

#[test]
fn mode_4_a_new_count_is_loaded_on_the_next_clock() {
    let mut c = counter(4, 3, true);
    trace(&mut c, 3);
    c.write(2);
    assert_eq!(trace(&mut c, 4), figure(&[2, 1, 0, 0xFF], "--_-"));
}

#[test]
fn mode_5_strobes_n_plus_1_clocks_after_each_trigger() {
    let mut c = counter(5, 3, false);
    trace(&mut c, 3);
    c.set_gate(true);
    assert_eq!(trace(&mut c, 2), figure(&[3, 2], "--"));
    c.set_gate(false);
    c.set_gate(true);
    assert_eq!(trace(&mut c, 5), figure(&[3, 2, 1, 0, 0xFF], "---_-"));
}

#[test]
fn a_count_of_0_means_65536_in_binary_and_10000_in_bcd() {
    for (bcd, count) in [(0, 65_536), (1, 10_000)] {
        let mut c = Counter::power_on(true);
        c.program(CounterControl(0x34 | bcd));
        c.write(0);
        c.write(0);
        c.clock(1);
        assert!(!c.clock(count - 1) && !c.out);
        assert!(c.clock(1));
    }
}

#[test]
fn bcd_counts_in_decimal_digits() {
    let mut c = Counter::power_on(true);
    c.program(CounterControl(0x31));
    c.write(0x00);
    c.write(0x10);
    c.clock(2);
    assert_eq!([c.read(), c.read()], [0x99, 0x09]);
    c.clock(1000);
    assert_eq!([c.read(), c.read()], [0x99, 0x99]);
}

#[test]
fn many_clocks_at_once_equal_as_many_single_clocks() {
    let mut random = crate::conformance::Random::new(8254);
    for round in 0..4000 {
        let mut one = Counter::power_on(random.one_in(2));
        one.program(CounterControl(LSB_ONLY | random.below(16) as u8));
        for _ in 0..random.below(12) {
            match random.below(4) {
                0 => one.write(random.below(12) as u8),
                1 => one.set_gate(!one.gate),
                _ => drop(one.clock(random.below(20))),
            }
        }
        let mut many = one.clone();
        let n = random.below(60);
        let rose = (0..n).fold(false, |rose, _| one.clock(1) | rose);
        let before = many.clone();
        assert_eq!(many.clock(n), rose, "round {round}: {n} clocks of {before:?}");
        assert_eq!(many, one, "round {round}: {n} clocks of {before:?}");
    }
}

#[test]
fn out_changes_exactly_when_foretold() {
    let mut random = crate::conformance::Random::new(8253);
    for round in 0..4000 {
        let mut c = counter(random.below(8) as u8, random.below(9) as u8, random.one_in(2));
        c.clock(random.below(30));
        c.set_gate(!c.gate);
        c.clock(1 + random.below(3));
        let before = c.clone();
        let foretold = c.clocks_to_change();
        for _ in 1..foretold.unwrap_or(1 << 12) {
            c.clock(1);
            assert_eq!(c.out, before.out, "round {round}: {before:?}");
        }
        if foretold.is_some() {
            c.clock(1);
            assert_ne!(c.out, before.out, "round {round}: {before:?}");
        }
    }
}

struct Board {
    bank: IrqBank,
    pit: Pit,
    now: GuestTime,
}

impl Board {
    fn new() -> Self {
        let bank = IrqBank::new();
        Board { pit: Pit::new(bank.line(0)), bank, now: GuestTime::ZERO }
    }

    fn write(&mut self, offset: u16, values: &[u8]) {
        for value in values {
            self.pit.write_port(offset, Byte, u32::from(*value), self.now).expect("a PIT register");
        }
    }

    fn read(&mut self, offset: u16) -> u8 {
        self.pit.read_port(offset, Byte, self.now).expect("a PIT register") as u8
    }

    fn wait_clocks(&mut self, n: u64) {
        self.now = Frequency::PIT.time_of(Frequency::PIT.ticks_at(self.now) + n);
        self.pit.advance(self.now);
    }

    fn irq_rose(&self) -> bool {
        self.bank.inputs(0).take_rising() != 0
    }
}

#[test]
fn the_bios_tick_comes_18_2_times_a_second_without_drift() {
    let mut board = Board::new();
    board.write(3, &[0x36]);
    board.write(0, &[0, 0]);
    board.irq_rose();
    // An hour of ticks: 1193181.8 Hz / 65536 for 3600 s, less the one clock that loads the count.
    let end = GuestTime::from_nanos(3_600_000_000_000);
    let mut rises = 0;
    while let Some(event) = board.pit.next_event().filter(|event| *event <= end) {
        board.pit.advance(event);
        rises += u32::from(board.irq_rose());
    }
    assert_eq!(rises, 65_543);
}

#[test]
fn an_edge_is_seen_however_many_periods_a_look_skips() {
    for mode in [0x34, 0x36] {
        let mut board = Board::new();
        board.write(3, &[mode]);
        board.write(0, &[100, 0]);
        board.wait_clocks(1);
        board.irq_rose();
        board.wait_clocks(100 * 1000);
        assert!(board.bank.line(0).is_high() && board.irq_rose());
        board.wait_clocks(10);
        assert!(!board.irq_rose());
    }
}

#[test]
fn the_mode_2_pulse_is_low_for_one_clock_on_the_interrupt_line() {
    let mut board = Board::new();
    board.write(3, &[0x34]);
    board.write(0, &[10, 0]);
    board.wait_clocks(1);
    let levels: Vec<_> = (0..11)
        .map(|_| {
            let high = board.bank.line(0).is_high();
            board.wait_clocks(1);
            high
        })
        .collect();
    assert_eq!(levels, [true, true, true, true, true, true, true, true, true, false, true]);
}

#[test]
fn next_event_is_the_first_nanosecond_of_the_change() {
    let mut board = Board::new();
    board.write(3, &[0x30]);
    board.write(0, &[0xA9, 0x04]);
    board.wait_clocks(1);
    let event = board.pit.next_event().expect("the terminal count");
    assert_eq!(event, Frequency::PIT.time_of(1 + 0x4A9));
    board.pit.advance(event - GuestDuration::from_nanos(1));
    assert!(!board.bank.line(0).is_high());
    board.pit.advance(event);
    assert!(board.bank.line(0).is_high());
    assert_eq!(board.pit.next_event(), None);
}

#[test]
fn a_latched_count_stays_until_both_bytes_are_read() {
    let mut board = Board::new();
    board.write(3, &[0x34]);
    board.write(0, &[0x00, 0x20]);
    board.wait_clocks(1 + 0x10);
    board.write(3, &[0x00]);
    board.wait_clocks(0x100);
    board.write(3, &[0x00]);
    assert_eq!([board.read(0), board.read(0)], [0xF0, 0x1F]);
    assert_eq!([board.read(0), board.read(0)], [0xF0, 0x1E], "unlatched reads follow the count");
}

#[test]
fn access_modes_select_the_bytes() {
    let mut board = Board::new();
    board.write(3, &[0x94, 0x64]);
    board.write(2, &[0x55]);
    board.write(1, &[0x55]);
    board.wait_clocks(1);
    assert_eq!(
        (board.pit.counters[2].initial_count(), board.pit.counters[1].initial_count()),
        (0x55, 0x5500)
    );
    assert_eq!([board.read(2), board.read(2), board.read(1), board.read(1)], [0x55, 0x55, 0x55, 0x55]);
}

#[test]
fn read_back_gives_the_status_before_the_count() {
    let mut board = Board::new();
    board.write(3, &[0x3C]);
    board.write(3, &[0xE2]);
    assert_eq!(board.read(0), 0x80 | 0x40 | 0x3C, "OUT high, null count, control as programmed");
    board.write(0, &[0x34, 0x12]);
    board.wait_clocks(1);
    board.write(3, &[0xC2]);
    board.wait_clocks(5);
    assert_eq!([board.read(0), board.read(0), board.read(0)], [0x80 | 0x3C, 0x34, 0x12]);
}

#[test]
fn read_back_addresses_several_counters() {
    let mut board = Board::new();
    board.write(3, &[0x14, 0x54, 0x94]);
    for counter in 0..3 {
        board.write(counter, &[50]);
    }
    board.write(4, &[1]);
    board.wait_clocks(11);
    board.write(3, &[0xDC]);
    board.wait_clocks(4);
    assert_eq!([board.read(0), board.read(1), board.read(2)], [36, 40, 40]);
}

#[test]
fn a_second_status_latch_is_ignored_until_the_first_is_read() {
    let mut board = Board::new();
    board.write(3, &[0x34, 0xE2]);
    board.write(0, &[0x34, 0x12]);
    board.wait_clocks(1);
    board.write(3, &[0xE2]);
    assert_eq!(board.read(0) & 0x40, 0x40);
}

#[test]
fn the_control_word_register_cannot_be_read() {
    let mut board = Board::new();
    assert_eq!(board.pit.read_port(3, Byte, board.now), Err(IoError::NoSuchRegister));
}

#[test]
fn port_61h_gates_counter_2_and_shows_its_out() {
    let mut board = Board::new();
    board.write(3, &[0xB0]);
    board.write(2, &[100, 0]);
    board.wait_clocks(1000);
    assert_eq!(board.read(4) & 0x20, 0, "gate 2 is low");
    board.write(4, &[0x01]);
    board.wait_clocks(99);
    assert_eq!(board.read(4) & 0x21, 0x01);
    board.wait_clocks(1);
    assert_eq!(board.read(4) & 0x21, 0x21);
}

#[test]
fn port_61h_keeps_four_bits_and_toggles_with_refresh_every_15_microseconds() {
    let mut board = Board::new();
    board.write(4, &[0xFE]);
    assert_eq!(board.read(4) & !0x30, 0x0E);
    let mut toggles = 0;
    let mut last = board.read(4) & 0x10;
    for microsecond in 1..=1000 {
        board.now = GuestTime::from_nanos(microsecond * 1000);
        let bit = board.read(4) & 0x10;
        toggles += u32::from(bit != last);
        last = bit;
    }
    assert_eq!(toggles, 66, "1 ms / 15.0857 us");
}

#[test]
fn the_loudspeaker_needs_gate_and_data() {
    let mut board = Board::new();
    board.write(3, &[0xB6]);
    board.write(2, &[0xA9, 0x04]);
    for (port_b, period) in [(0, None), (1, None), (2, None), (3, Some(1193))] {
        board.write(4, &[port_b]);
        assert_eq!(board.pit.speaker_period(), period);
    }
    board.wait_clocks(1);
    assert!(board.pit.speaker_level());
    board.wait_clocks(597);
    assert!(!board.pit.speaker_level());
}

#[test]
fn reset_closes_the_loudspeaker_and_lets_the_counters_run() {
    let mut board = Board::new();
    board.write(3, &[0x34]);
    board.write(0, &[100, 0]);
    board.write(4, &[0x03]);
    board.pit.reset();
    assert_eq!(board.read(4) & 0x0F, 0);
    board.wait_clocks(100);
    board.irq_rose();
    board.wait_clocks(100);
    assert!(board.irq_rose());
}

#[test]
fn restore_refuses_what_cannot_be() {
    use crate::state::Snapshot;
    let mut board = Board::new();
    let sound = board.pit.save();
    let corruptions: [fn(&mut PitState); 5] = [
        |state| state.counters[0].element = 0x1_0000,
        |state| (state.counters[1].control, state.counters[1].element) = (CounterControl(0x31), 10_000),
        |state| state.counters[2].control = CounterControl(0x04),
        |state| state.counters[0].gate = false,
        |state| state.port_b = 0x01,
    ];
    for corrupt in corruptions {
        let mut state = sound.clone();
        corrupt(&mut state);
        assert!(board.pit.restore(state).is_err());
    }
    assert!(board.pit.restore(sound).is_ok());
}

crate::conformance::suite!(Subject::new(|bank| Pit::new(bank.line(0))).ports(5).timed());
