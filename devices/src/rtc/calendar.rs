//! The time registers: how they encode time, and how an update cycle counts them on.
//!
//! Software may write anything into them. A register that holds no valid number counts like one at its end: it
//! starts over and carries.

use super::civil::days_in_month;
use super::spec::{ALARM_DONT_CARE, reg_b, register};

const PM: u8 = 0x80;
const SECONDS_PER_DAY: u64 = 86_400;
/// Four years, one of them a leap year, whatever the year begins with.
const DAYS_PER_LEAP_CYCLE: u64 = 4 * 365 + 1;

/// The registers with the formats of register B.
pub(super) struct Calendar<'a> {
    pub(super) registers: &'a mut [u8; 128],
}

impl Calendar<'_> {
    fn format(&self) -> u8 {
        self.registers[register::B]
    }

    pub(super) fn encode(&self, value: u8) -> u8 {
        if self.format() & reg_b::BINARY != 0 { value } else { value / 10 * 16 + value % 10 }
    }

    fn decode(&self, byte: u8) -> Option<u8> {
        if self.format() & reg_b::BINARY != 0 {
            return (byte <= 99).then_some(byte);
        }
        (byte >> 4 <= 9 && byte & 0xF <= 9).then(|| (byte >> 4) * 10 + (byte & 0xF))
    }

    pub(super) fn encode_hour(&self, hour: u8) -> u8 {
        if self.format() & reg_b::HOURS_24 != 0 {
            return self.encode(hour);
        }
        let pm = if hour >= 12 { PM } else { 0 };
        pm | self.encode((hour + 11) % 12 + 1)
    }

    fn decode_hour(&self, byte: u8) -> Option<u8> {
        if self.format() & reg_b::HOURS_24 != 0 {
            return self.decode(byte).filter(|hour| *hour < 24);
        }
        let hour = self.decode(byte & !PM).filter(|hour| (1..=12).contains(hour))?;
        Some(hour % 12 + if byte & PM != 0 { 12 } else { 0 })
    }

    /// The number in a register, if it is valid there.
    fn number(&self, register: usize, valid: std::ops::RangeInclusive<u8>) -> Option<u8> {
        self.decode(self.registers[register]).filter(|value| valid.contains(value))
    }

    fn set(&mut self, register: usize, value: u8) {
        self.registers[register] = self.encode(value);
    }

    /// The time of day in seconds, if its registers are valid.
    fn second_of_day(&self) -> Option<u32> {
        let hour = self.decode_hour(self.registers[register::HOURS])?;
        let minute = self.number(register::MINUTES, 0..=59)?;
        let second = self.number(register::SECONDS, 0..=59)?;
        Some(u32::from(hour) * 3600 + u32::from(minute) * 60 + u32::from(second))
    }

    fn set_second_of_day(&mut self, time: u32) {
        self.set(register::SECONDS, (time % 60) as u8);
        self.set(register::MINUTES, (time / 60 % 60) as u8);
        self.registers[register::HOURS] = self.encode_hour((time / 3600) as u8);
    }

    /// Performs `seconds` update cycles; true if one of them reached the alarm time.
    pub(super) fn pass_seconds(&mut self, mut seconds: u64) -> bool {
        let mut alarm = false;
        while seconds > 0 {
            let Some(time) = self.second_of_day() else {
                // Valid again at the latest when the hour changes.
                self.pass_one_second();
                alarm |= self.alarm_matches();
                seconds -= 1;
                continue;
            };
            alarm |= self.seconds_to_alarm().is_some_and(|distance| u64::from(distance) <= seconds);
            let time = u64::from(time) + seconds;
            self.set_second_of_day((time % SECONDS_PER_DAY) as u32);
            self.pass_days(time / SECONDS_PER_DAY);
            break;
        }
        alarm
    }

    fn pass_one_second(&mut self) {
        for register in [register::SECONDS, register::MINUTES] {
            match self.number(register, 0..=58) {
                Some(value) => return self.set(register, value + 1),
                None => self.set(register, 0),
            }
        }
        let next = self.decode_hour(self.registers[register::HOURS]).map_or(24, |hour| hour + 1);
        self.registers[register::HOURS] = self.encode_hour(next % 24);
        if next == 24 {
            self.pass_days(1);
        }
    }

    fn pass_days(&mut self, mut days: u64) {
        if days == 0 {
            return;
        }
        let weekday = match self.number(register::DAY_OF_WEEK, 1..=7) {
            Some(weekday) => (u64::from(weekday) - 1 + days) % 7,
            None => (days - 1) % 7,
        };
        self.set(register::DAY_OF_WEEK, weekday as u8 + 1);
        while days > 0 {
            let month = self.number(register::MONTH, 1..=12);
            let day = self.number(register::DAY, 1..=self.days_in(month));
            if let (Some(_), Some(_), DAYS_PER_LEAP_CYCLE..) = (month, day, days)
                && self.number(register::YEAR, 0..=99).is_some()
            {
                days -= DAYS_PER_LEAP_CYCLE;
                (0..4).for_each(|_| self.pass_year());
                continue;
            }
            // To the first day of the next month, or short of it.
            let left = day.map_or(0, |day| u64::from(self.days_in(month) - day));
            match day {
                Some(day) if days <= left => {
                    self.set(register::DAY, day + days as u8);
                    return;
                }
                _ => self.set(register::DAY, 1),
            }
            days -= left + 1;
            match month {
                Some(month @ ..12) => self.set(register::MONTH, month + 1),
                _ => {
                    self.set(register::MONTH, 1);
                    self.pass_year();
                }
            }
        }
    }

    fn pass_year(&mut self) {
        for register in [register::YEAR, register::CENTURY] {
            match self.number(register, 0..=98) {
                Some(value) => return self.set(register, value + 1),
                None => self.set(register, 0),
            }
        }
    }

    /// Days of `month` in the year that the registers hold. The chip knows two digits: every fourth year is a
    /// leap year.
    fn days_in(&self, month: Option<u8>) -> u8 {
        let leap = self.number(register::YEAR, 0..=99).is_some_and(|year| year % 4 == 0);
        month.map_or(31, |month| days_in_month(month, leap))
    }

    /// "Alarm": each time register equals its alarm byte, or that is a don't care code.
    fn alarm_matches(&self) -> bool {
        [
            (register::SECONDS_ALARM, register::SECONDS),
            (register::MINUTES_ALARM, register::MINUTES),
            (register::HOURS_ALARM, register::HOURS),
        ]
        .iter()
        .all(|(alarm, time)| self.matches(*alarm, self.registers[*time]))
    }

    fn matches(&self, alarm: usize, byte: u8) -> bool {
        let alarm = self.registers[alarm];
        alarm >= ALARM_DONT_CARE || alarm == byte
    }

    /// How many seconds on the alarm next matches, 1 to 86,400; `None` if it never does. While the time
    /// registers are invalid, the answer is 1: too early, never too late.
    pub(super) fn seconds_to_alarm(&self) -> Option<u32> {
        let Some(now) = self.second_of_day() else { return Some(1) };
        let mut time = now + 1;
        // Skips whole hours and minutes that do not match: at most 25 + 60 + 60 steps.
        while time <= now + SECONDS_PER_DAY as u32 {
            let hour = (time / 3600 % 24) as u8;
            if !self.matches(register::HOURS_ALARM, self.encode_hour(hour)) {
                time = (time / 3600 + 1) * 3600;
            } else if !self.matches(register::MINUTES_ALARM, self.encode((time / 60 % 60) as u8)) {
                time = (time / 60 + 1) * 60;
            } else if !self.matches(register::SECONDS_ALARM, self.encode((time % 60) as u8)) {
                time += 1;
            } else {
                return Some(time - now);
            }
        }
        None
    }
}
