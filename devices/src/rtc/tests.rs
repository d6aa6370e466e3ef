use super::*;
use crate::irq::IrqBank;
use crate::time::GuestDuration;
use AccessSize::Byte;
use register::*;

const SECOND: u64 = 1_000_000_000;
const UPDATE_ENDS: u64 = 1_984_000;

struct Board {
    bank: IrqBank,
    rtc: Rtc,
    now: GuestTime,
}

impl Board {
    fn at(year: u16, month: u8, day: u8, hour: u8, minute: u8, second: u8) -> Self {
        let bank = IrqBank::new();
        let start = CivilDateTime::new(year, month, day, hour, minute, second).expect("a date");
        Board { rtc: Rtc::new(bank.line(8), start), bank, now: GuestTime::ZERO }
    }

    fn new() -> Self {
        Self::at(2024, 2, 28, 23, 59, 58)
    }

    fn write(&mut self, index: usize, value: u8) {
        for (offset, value) in [(0, index as u8), (1, value)] {
            self.rtc.write_port(offset, Byte, u32::from(value), self.now).expect("an RTC port");
        }
    }

    fn read(&mut self, index: usize) -> u8 {
        self.rtc.write_port(0, Byte, index as u32, self.now).expect("port 70h");
        self.rtc.read_port(1, Byte, self.now).expect("port 71h") as u8
    }

    /// Lets time pass up to `seconds` after power-on and a little more than an update cycle.
    fn pass(&mut self, seconds: u64) {
        self.go_to(seconds * SECOND + 2 * UPDATE_ENDS);
    }

    fn go_to(&mut self, nanos: u64) {
        self.now = GuestTime::from_nanos(nanos);
        self.rtc.advance(self.now);
    }

    fn time(&mut self) -> [u8; 3] {
        [HOURS, MINUTES, SECONDS].map(|index| self.read(index))
    }

    fn date(&mut self) -> [u8; 5] {
        [CENTURY, YEAR, MONTH, DAY, DAY_OF_WEEK].map(|index| self.read(index))
    }

    fn irq(&self) -> bool {
        self.bank.line(8).is_high()
    }
}

#[test]
fn the_clock_starts_with_the_given_date_in_bcd_and_24_hours() {
    let mut board = Board::at(1999, 12, 31, 17, 45, 9);
    assert_eq!((board.time(), board.date()), ([0x17, 0x45, 0x09], [0x19, 0x99, 0x12, 0x31, 6]));
    assert_eq!((board.read(B), board.read(D)), (0x02, 0x80));
}

#[test]
fn leap_years_have_a_29th_of_february() {
    let mut board = Board::new();
    board.pass(2);
    assert_eq!((board.time(), board.date()), ([0, 0, 0], [0x20, 0x24, 0x02, 0x29, 5]));
    board.pass(2 + 86_400);
    assert_eq!(board.date(), [0x20, 0x24, 0x03, 0x01, 6]);
    let mut board = Board::at(1995, 12, 31, 23, 59, 59);
    board.pass(1 + 59 * 86_400);
    assert_eq!(board.date(), [0x19, 0x96, 0x02, 0x29, 5]);
    let mut board = Board::at(2023, 2, 28, 23, 59, 59);
    board.pass(1);
    assert_eq!(board.date(), [0x20, 0x23, 0x03, 0x01, 4]);
}

#[test]
fn the_century_counts_with_the_year() {
    let mut board = Board::at(1999, 12, 31, 23, 59, 59);
    board.pass(1);
    assert_eq!((board.time(), board.date()), ([0, 0, 0], [0x20, 0x00, 0x01, 0x01, 7]));
}

#[test]
fn a_jump_of_any_length_leads_where_single_seconds_lead() {
    let mut random = crate::conformance::Random::new(146_818);
    for _ in 0..200 {
        // Every fourth year is a leap year from 1901 to 2099, on the chip and in the Gregorian calendar.
        let seconds = random.below(75 * 365 * 86_400);
        let start = CivilDateTime::from_unix_seconds(951_782_400);
        let mut rtc = Rtc::new(IrqLine::unconnected(), start);
        rtc.advance(GuestTime::from_nanos(seconds * SECOND + 2 * UPDATE_ENDS));
        let end = CivilDateTime::from_unix_seconds(951_782_400 + seconds);
        let expected = Rtc::new(IrqLine::unconnected(), end);
        assert_eq!(rtc.registers, expected.registers, "{seconds} s after 2000-02-29");
    }
}

#[test]
fn binary_mode_counts_in_binary() {
    let mut board = Board::new();
    board.write(B, 0x86);
    for (index, value) in [(SECONDS, 59), (MINUTES, 59), (HOURS, 22), (DAY, 30), (MONTH, 11), (YEAR, 99)] {
        board.write(index, value);
    }
    board.write(B, 0x06);
    board.pass(1);
    assert_eq!(board.time(), [23, 0, 0]);
    board.pass(3601);
    assert_eq!((board.time(), board.date()[1..4].to_vec()), ([0, 0, 0], vec![99, 12, 1]));
}

#[test]
fn twelve_hour_mode_has_a_pm_bit_and_no_hour_zero() {
    for (before, after) in [(0x11, 0x92), (0x92, 0x81), (0x91, 0x12), (0x12, 0x01), (0x09, 0x10)] {
        let mut board = Board::new();
        board.write(B, 0x80);
        for (index, value) in [(SECONDS, 0x59), (MINUTES, 0x59), (HOURS, before)] {
            board.write(index, value);
        }
        board.write(B, 0x00);
        let day = board.read(DAY);
        board.pass(1);
        assert_eq!(board.time(), [after, 0, 0]);
        assert_eq!(board.read(DAY) != day, before == 0x91, "the day changes at midnight only");
    }
}

#[test]
fn uip_rises_244_microseconds_before_the_update_and_falls_when_the_time_has_changed() {
    let mut board = Board::new();
    let mut transitions = Vec::new();
    let mut last = (false, 0x58);
    for microsecond in 990_000..1_010_000 {
        board.go_to(microsecond * 1000);
        let seen = (board.read(A) & 0x80 != 0, board.read(SECONDS));
        if seen != last {
            transitions.push((microsecond, seen));
            last = seen;
        }
    }
    assert_eq!(transitions, [(999_756, (true, 0x58)), (1_001_984, (false, 0x59))]);
}

#[test]
fn set_stops_updates_aborts_one_in_progress_and_clears_the_update_ended_enable() {
    let mut board = Board::new();
    board.write(B, 0x12);
    board.go_to(SECOND + 1_000_000);
    assert_eq!(board.read(A) & 0x80, 0x80);
    board.write(B, 0x92);
    assert_eq!((board.read(A) & 0x80, board.read(B)), (0, 0x82));
    board.pass(5);
    assert_eq!((board.read(SECONDS), board.read(C)), (0x58, 0x40));
    board.write(B, 0x02);
    board.pass(6);
    assert_eq!(board.read(SECONDS), 0x59);
}

#[test]
fn the_first_update_comes_half_a_second_after_the_divider_leaves_reset() {
    let mut board = Board::new();
    board.go_to(300_000_000);
    board.write(A, 0x76);
    board.go_to(5 * SECOND + 300_000_000);
    assert_eq!(board.read(SECONDS), 0x58, "the clock is stopped");
    board.write(A, 0x26);
    board.go_to(5 * SECOND + 800_000_000 + UPDATE_ENDS - 100_000);
    assert_eq!((board.read(A), board.read(SECONDS)), (0xA6, 0x58));
    board.go_to(5 * SECOND + 800_000_000 + UPDATE_ENDS + 100_000);
    assert_eq!((board.read(A), board.read(SECONDS)), (0x26, 0x59));
}

#[test]
fn periodic_interrupt_rates_follow_the_rate_select() {
    // Data sheet table, 32.768 kHz column, in hertz.
    let rates = [256, 128, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2];
    for (rate, hertz) in (1..).zip(rates) {
        let mut board = Board::new();
        board.write(A, 0x20 | rate);
        board.write(B, 0x42);
        let mut interrupts = 0;
        while let Some(event) = board.rtc.next_event().filter(|event| event.as_nanos() <= 2 * SECOND) {
            board.go_to(event.as_nanos() - 1);
            assert!(!board.irq());
            board.go_to(event.as_nanos());
            assert!(board.irq());
            interrupts += 1;
            assert_eq!(board.read(C) & 0xC0, 0xC0);
            assert!(!board.irq());
        }
        assert_eq!(interrupts, 2 * hertz, "rate select {rate}");
    }
}

#[test]
fn rate_select_0_means_no_periodic_interrupt() {
    let mut board = Board::new();
    board.write(A, 0x20);
    board.write(B, 0x42);
    board.pass(3);
    assert_eq!((board.read(C) & 0x40, board.rtc.next_event()), (0, None));
}

#[test]
fn reading_register_c_clears_the_flags_and_the_interrupt() {
    let mut board = Board::new();
    board.write(B, 0x12);
    board.pass(1);
    assert!(board.irq());
    assert_eq!([board.read(C), board.read(C)], [0x80 | 0x40 | 0x10, 0]);
    assert!(!board.irq());
}

#[test]
fn flags_are_set_without_enables_and_enabling_one_later_interrupts_at_once() {
    let mut board = Board::new();
    board.pass(1);
    assert!(!board.irq());
    board.write(B, 0x12);
    assert!(board.irq());
    board.write(B, 0x02);
    assert!(!board.irq());
}

#[test]
fn the_update_ended_interrupt_comes_when_the_new_time_can_be_read() {
    let mut board = Board::new();
    board.write(B, 0x12);
    let event = board.rtc.next_event().expect("the end of the update");
    board.go_to(event.as_nanos());
    assert!(board.irq());
    assert_eq!((board.read(SECONDS), board.read(A) & 0x80), (0x59, 0));
}

#[test]
fn the_alarm_interrupts_at_its_time_and_never_before() {
    let mut board = Board::new();
    for (index, value) in [(HOURS_ALARM, 0x06), (MINUTES_ALARM, 0x30), (SECONDS_ALARM, 0x15)] {
        board.write(index, value);
    }
    board.write(B, 0x22);
    let event = board.rtc.next_event().expect("the alarm");
    board.go_to(event.as_nanos() - 1);
    assert!(!board.irq());
    board.go_to(event.as_nanos());
    assert!(board.irq());
    assert_eq!(board.time(), [0x06, 0x30, 0x15]);
    assert_eq!(board.read(C) & 0xA0, 0xA0);
}

#[test]
fn dont_care_alarm_bytes_match_every_second_minute_or_hour() {
    for (alarm, first_match) in [
        ([0xFF, 0xFF, 0xFF], [0x23, 0x59, 0x59]),
        ([0xC0, 0xC0, 0x30], [0x00, 0x00, 0x30]),
        ([0xC0, 0x10, 0x00], [0x00, 0x10, 0x00]),
        ([0x05, 0xFF, 0xFF], [0x05, 0x00, 0x00]),
    ] {
        let mut board = Board::new();
        for (index, value) in [HOURS_ALARM, MINUTES_ALARM, SECONDS_ALARM].into_iter().zip(alarm) {
            board.write(index, value);
        }
        board.write(B, 0x22);
        let event = board.rtc.next_event().expect("the alarm");
        board.go_to(event.as_nanos());
        assert_eq!((board.irq(), board.time()), (true, first_match));
    }
}

#[test]
fn an_alarm_that_no_time_equals_never_comes() {
    let mut board = Board::new();
    board.write(HOURS_ALARM, 0x24);
    board.write(B, 0x22);
    assert_eq!(board.rtc.next_event(), None);
    board.pass(200_000);
    assert_eq!(board.read(C) & 0x20, 0);
}

#[test]
fn invalid_time_registers_start_over_and_carry() {
    let mut board = Board::new();
    board.write(SECONDS, 0xFF);
    board.write(MINUTES, 0x7A);
    board.pass(1);
    assert_eq!((board.time(), board.read(DAY)), ([0x00, 0x00, 0x00], 0x29), "23 h 7A min FF s");
    board.write(MINUTES, 0x7A);
    board.pass(61);
    assert_eq!(board.time(), [0x01, 0x00, 0x00]);
}

#[test]
fn an_invalid_hour_lets_minutes_and_seconds_count() {
    let mut board = Board::new();
    for (index, value) in [(HOURS, 0xFF), (MINUTES, 0x58), (SECONDS, 0x58)] {
        board.write(index, value);
    }
    board.pass(1);
    assert_eq!(board.time(), [0xFF, 0x58, 0x59]);
    board.pass(2);
    assert_eq!(board.time(), [0xFF, 0x59, 0x00]);
    board.pass(62);
    assert_eq!(board.time(), [0x00, 0x00, 0x00]);
}

#[test]
fn restore_refuses_what_cannot_be() {
    use crate::state::Snapshot;
    let mut board = Board::new();
    let sound = board.rtc.save();
    let corruptions: [fn(&mut RtcState); 6] = [
        |state| state.registers.push(0),
        |state| state.registers[register::A] |= 0x80,
        |state| state.flags = 0x80,
        |state| state.phase = TICKS_PER_SECOND,
        |state| state.tick = u64::MAX,
        |state| (state.registers[register::B], state.updating) = (0x82, true),
    ];
    for corrupt in corruptions {
        let mut state = sound.clone();
        corrupt(&mut state);
        assert!(board.rtc.restore(state).is_err());
    }
    assert!(board.rtc.restore(sound).is_ok());
}

#[test]
fn memory_keeps_its_bytes_and_reset_spares_them() {
    let mut board = Board::new();
    for index in FIRST_MEMORY..128 {
        board.write(index, index as u8 ^ 0xA5);
    }
    board.rtc.reset();
    for index in FIRST_MEMORY..128 {
        assert_eq!(board.read(index), index as u8 ^ 0xA5);
    }
}

#[test]
fn reset_clears_enables_and_flags_and_keeps_time_and_formats() {
    let mut board = Board::new();
    board.write(B, 0x7E);
    board.pass(1);
    assert!(board.irq());
    board.rtc.reset();
    assert!(!board.irq());
    assert_eq!((board.read(B), board.read(C)), (0x06, 0));
}

#[test]
fn port_70h_bit_7_masks_nmi_and_does_not_address() {
    let mut board = Board::new();
    board.rtc.write_port(0, Byte, 0x80 | SECONDS as u32, board.now).expect("port 70h");
    assert!(board.rtc.nmi_masked());
    assert_eq!(board.rtc.read_port(1, Byte, board.now), Ok(0x58));
    board.rtc.write_port(0, Byte, 0, board.now).expect("port 70h");
    assert!(!board.rtc.nmi_masked());
}

#[test]
fn the_checksum_covers_10h_to_2dh() {
    let mut board = Board::new();
    for index in 0x0E..0x80 {
        board.rtc.set_memory(index, 0xFF);
    }
    board.rtc.update_checksum();
    assert_eq!(u16::from_be_bytes([board.rtc.memory(0x2E), board.rtc.memory(0x2F)]), 0x1E * 0xFF);
}

#[test]
fn registers_c_and_d_and_uip_cannot_be_written() {
    let mut board = Board::new();
    board.write(A, 0xAF);
    board.write(C, 0xFF);
    board.write(D, 0x00);
    assert_eq!((board.read(A), board.read(C), board.read(D)), (0x2F, 0, 0x80));
}

#[test]
fn now_and_then_a_look_costs_no_seconds() {
    let mut board = Board::new();
    for _ in 0..1001 {
        board.now = board.now + GuestDuration::from_millis(7);
        board.rtc.advance(board.now);
    }
    assert_eq!(board.time(), [0x00, 0x00, 0x05]);
}

crate::conformance::suite!(
    Subject::new(|bank| {
        let start = CivilDateTime::new(1999, 12, 31, 23, 59, 58).expect("a date");
        Rtc::new(bank.line(8), start)
    })
    .ports(2)
    .timed()
    .action(|rtc, random, now| {
        // Registers, rather than the memory that most random addresses hit.
        rtc.write_port(0, Byte, random.below(14) as u32, now).expect("port 70h");
        u64::from(rtc.read_port(1, Byte, now).expect("port 71h"))
    })
    .action(|rtc, random, now| {
        let (index, value) = (random.below(14) as u32, random.value() & 0xFF);
        rtc.write_port(0, Byte, index, now).expect("port 70h");
        rtc.write_port(1, Byte, value, now).expect("port 71h");
        0
    })
    .action(|rtc, random, now| {
        for (index, value) in [(0x0A, 0x20 | random.below(16)), (0x0B, random.next() & 0x7E)] {
            rtc.write_port(0, Byte, index, now).expect("port 70h");
            rtc.write_port(1, Byte, value as u32, now).expect("port 71h");
        }
        0
    })
);
