//! Tests of power management, each named after the behaviour that ACPI or the data sheet documents.

use super::*;
use crate::irq::{IrqBank, IrqInputs};
use crate::time::GuestDuration;
use AccessSize::{Byte, Dword, Word};

struct Host {
    pm: PowerManagement,
    irqs: IrqInputs,
    now: GuestTime,
}

impl Host {
    fn new(width: TimerWidth) -> Self {
        let bank = IrqBank::new();
        Host { pm: PowerManagement::new(bank.line(9), width), irqs: bank.inputs(0), now: GuestTime::ZERO }
    }

    fn enabled() -> Self {
        let mut host = Host::new(TimerWidth::Bits24);
        host.write(APMC, Byte, ACPI_ENABLE.into());
        host
    }

    fn read(&mut self, offset: u16, size: AccessSize) -> u32 {
        self.pm.read_port(offset, size, self.now).unwrap()
    }

    fn write(&mut self, offset: u16, size: AccessSize, value: u32) {
        self.pm.write_port(offset, size, value, self.now).unwrap();
    }

    fn sci(&self) -> bool {
        self.irqs.levels() == 1 << 9
    }
}

#[test]
fn the_timer_counts_at_3_579545_mhz_and_wraps_at_its_width() {
    for (width, mask) in [(TimerWidth::Bits24, 0xFF_FFFFu64), (TimerWidth::Bits32, 0xFFFF_FFFF)] {
        let mut host = Host::new(width);
        // 315/88 MHz: in 88 seconds exactly 315 million ticks.
        for seconds in [0, 88, 880, 88 * 20] {
            host.now = GuestTime::from_nanos(seconds * 1_000_000_000);
            let ticks = seconds / 88 * 315_000_000;
            assert_eq!(u64::from(host.read(8, Dword)), ticks & mask);
        }
        let ticks = host.read(8, Dword);
        assert_eq!(host.read(9, Byte), ticks >> 8 & 0xFF);
        host.write(8, Dword, 0);
        assert_eq!(host.read(8, Dword), ticks, "it is read-only");
    }
}

#[test]
fn the_timer_overflows_whenever_its_highest_bit_changes() {
    let mut host = Host::enabled();
    let half = Frequency::ACPI_PM.time_of(1 << 23);
    let just_before = |time: GuestTime| time - GuestDuration::from_nanos(1);
    assert_eq!(host.pm.next_event(), None, "no one waits for it");
    host.write(2, Word, 1);
    assert_eq!(host.pm.next_event(), Some(half));
    host.now = just_before(half);
    assert_eq!(host.read(0, Word), 0);
    host.now = half;
    host.pm.advance(host.now);
    assert!(host.sci());
    assert_eq!(host.pm.next_event(), None, "nothing more until it is acknowledged");
    assert_eq!(host.read(0, Word), 1);
    host.write(0, Word, 1);
    assert!(!host.sci());
    let full = Frequency::ACPI_PM.time_of(1 << 24);
    assert_eq!(host.pm.next_event(), Some(full));
    host.now = full;
    assert_eq!(host.read(0, Word), 1, "both edges count");
    assert_eq!(host.read(8, Dword), 0);
    assert!(host.sci());
}

#[test]
fn the_smi_command_port_switches_between_legacy_and_acpi() {
    let mut host = Host::new(TimerWidth::Bits24);
    assert!(!host.pm.is_acpi_enabled());
    host.write(2, Word, 0x100);
    host.pm.press_power_button();
    assert!(!host.sci(), "in legacy mode there is no SCI");
    host.write(APMC, Byte, ACPI_ENABLE.into());
    assert!(host.sci());
    assert_eq!(host.read(4, Word) & 1, 1);
    assert_eq!(host.read(APMC, Byte), ACPI_ENABLE.into());
    host.write(APMC, Byte, 0x55);
    assert!(host.pm.is_acpi_enabled(), "other commands are the firmware's own");
    host.write(APMC, Byte, ACPI_DISABLE.into());
    assert!(!host.pm.is_acpi_enabled() && !host.sci());
    host.write(APMC, Word, 0xA5F1);
    assert_eq!((host.read(APMS, Byte), host.pm.is_acpi_enabled()), (0xA5, true));
}

#[test]
fn events_raise_sci_while_enabled_and_are_cleared_by_writing_ones() {
    let mut host = Host::enabled();
    host.pm.press_power_button();
    assert_eq!(host.read(0, Word), 0x100);
    assert!(!host.sci());
    host.write(2, Word, 0xFFFF);
    assert_eq!(host.read(2, Word), 0x0521, "the bits that there are");
    assert!(host.sci());
    host.write(0, Word, 0xFEFF);
    assert!(host.sci(), "zeros leave the event alone");
    host.write(0, Byte, 0xFF);
    assert!(host.sci(), "and so does the other byte");
    host.write(1, Byte, 0x01);
    assert_eq!(host.read(0, Word), 0);
    assert!(!host.sci());
}

#[test]
fn general_purpose_events_have_status_and_enable_of_their_own() {
    let mut host = Host::enabled();
    for number in [0, 8, 9, 10, 11] {
        host.pm.signal_general_event(number);
        assert_eq!(host.read(0x0C, Word), 1 << number);
        assert!(!host.sci());
        // ACPI accesses these registers by bytes.
        host.write(0x0E + u16::from(number / 8), Byte, 1 << (number % 8));
        assert!(host.sci());
        host.write(0x0C + u16::from(number / 8), Byte, 1 << (number % 8));
        assert!(!host.sci());
    }
    for number in [1, 7, 12, 15, 16, 255] {
        host.pm.signal_general_event(number);
        assert_eq!(host.read(0x0C, Word), 0, "there is no event {number}");
    }
}

#[test]
fn soft_off_is_requested_and_other_suspends_end_at_once() {
    let mut host = Host::enabled();
    host.write(4, Word, 5 << 10 | 1);
    assert_eq!(host.pm.take_request(), None, "a type alone does nothing");
    assert_eq!(host.read(4, Word), 5 << 10 | 1);
    host.write(4, Word, 1 << 13 | 1);
    assert_eq!(host.pm.take_request(), Some(PowerRequest::SoftOff));
    assert_eq!(host.pm.take_request(), None);
    assert_eq!(host.read(4, Word), 1, "SUS_EN reads as zero");
    assert_eq!(host.read(0, Word), 0);
    for kind in 1..8u8 {
        host.write(4, Word, u32::from(kind) << 10 | 1 << 13 | 1);
        assert_eq!(host.pm.take_request(), Some(PowerRequest::SuspendRefused { kind }));
        assert_eq!(host.read(0, Word), 0x8000, "the guest waits for this bit");
        host.write(0, Word, 0x8000);
    }
}

#[test]
fn nobody_answers_on_the_smbus() {
    let mut host = Host::new(TimerWidth::Bits24);
    host.write(SMBUS + 4, Byte, 0xA1);
    host.write(SMBUS + 2, Byte, 0x48);
    assert_eq!(host.read(SMBUS, Byte), 0x04, "device error, and not busy");
    assert_eq!(host.read(SMBUS + 2, Byte), 0x08, "START reads as zero");
    assert!(!host.sci());
    host.write(SMBUS + 2, Byte, 0x49);
    assert!(host.sci(), "it shares IRQ 9");
    host.write(SMBUS, Byte, 0x04);
    assert_eq!(host.read(SMBUS, Byte), 0);
    assert!(!host.sci());
    host.write(SMBUS + 2, Byte, 0x02);
    assert_eq!(host.read(SMBUS, Byte), 0x10, "killed");
    assert_eq!(host.read(SMBUS + 4, Byte), 0xA1);
}

#[test]
fn accesses_stay_within_one_block_of_registers() {
    let mut host = Host::new(TimerWidth::Bits24);
    let now = host.now;
    for (offset, size) in [(0x3E, Dword), (0x3F, Word), (0x4F, Word), (0x51, Word), (0x50, Dword)] {
        assert_eq!(host.pm.read_port(offset, size, now), Err(IoError::WrongSize), "{offset:X}");
        assert_eq!(host.pm.write_port(offset, size, 0, now), Err(IoError::WrongSize));
    }
    for offset in [0x52, 0xFFFF] {
        assert_eq!(host.pm.read_port(offset, Dword, now), Err(IoError::NoSuchRegister));
        assert_eq!(host.pm.write_port(offset, Byte, 0, now), Err(IoError::NoSuchRegister));
    }
    // Power states deeper than C1: reading enters them, and there are none.
    assert_eq!(host.read(0x14, Word), 0);
    host.write(0x28, Dword, 0x1234_5678);
    assert_eq!(host.read(0x28, Dword), 0x1234_5678);
    host.write(0x18, Dword, u32::MAX);
    assert_eq!(host.read(0x18, Dword), 0);
}

#[test]
fn reset_returns_to_legacy_mode_and_lowers_sci() {
    let mut host = Host::enabled();
    host.write(2, Word, 0x100);
    host.pm.press_power_button();
    assert!(host.sci());
    host.pm.reset();
    assert!(!host.sci() && !host.pm.is_acpi_enabled());
    assert_eq!(host.read(0, Dword), 0);
}

crate::conformance::suite!(
    Subject::new(|bank| PowerManagement::new(bank.line(9), TimerWidth::Bits24))
        .ports(END)
        .timed()
        .action(|pm, random, now| {
            // Enough enabled for events to be seen.
            let (offset, value) = [(APMC, 0xF1), (2, 0x0521), (0x0E, 0x0F01)][random.below(3) as usize];
            let size = if offset == APMC { Byte } else { Word };
            pm.write_port(offset, size, value, now).map_or(1, |()| 0)
        })
        .action(|pm, random, _| {
            match random.below(3) {
                0 => pm.press_power_button(),
                _ => pm.signal_general_event(random.below(20) as u8),
            }
            u64::from(pm.is_acpi_enabled())
        })
        .action(|pm, _, _| pm.take_request().map_or(0, |request| match request {
            PowerRequest::SoftOff => 8,
            PowerRequest::SuspendRefused { kind } => kind.into(),
        }))
);
