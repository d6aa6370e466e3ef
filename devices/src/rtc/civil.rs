//! Civil dates: what sets the clock when the machine is switched on.

/// A date and time of day of the Gregorian calendar, without a time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CivilDateTime {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl CivilDateTime {
    /// The moment named, if it exists: years 0 to 9999, hours 0 to 23, no leap seconds.
    pub const fn new(year: u16, month: u8, day: u8, hour: u8, minute: u8, second: u8) -> Option<Self> {
        let exists = year <= 9999
            && month >= 1
            && month <= 12
            && day >= 1
            && day <= days_in_month(month, is_leap(year))
            && hour < 24
            && minute < 60
            && second < 60;
        if exists { Some(CivilDateTime { year, month, day, hour, minute, second }) } else { None }
    }

    /// The moment `seconds` after 1970-01-01 00:00:00; the last second of 9999 for what lies beyond.
    pub fn from_unix_seconds(seconds: u64) -> Self {
        const LAST: u64 = 253_402_300_799;
        let seconds = seconds.min(LAST);
        let (mut days, time) = (seconds / 86_400, (seconds % 86_400) as u32);
        let mut year = 1970;
        // 400 Gregorian years have 146,097 days.
        year += (days / 146_097 * 400) as u16;
        days %= 146_097;
        while days >= days_in_year(year) {
            days -= days_in_year(year);
            year += 1;
        }
        let (mut month, mut day) = (1, days as u16 + 1);
        while day > u16::from(days_in_month(month, is_leap(year))) {
            day -= u16::from(days_in_month(month, is_leap(year)));
            month += 1;
        }
        let [hour, minute, second] = [time / 3600, time / 60 % 60, time % 60].map(|part| part as u8);
        CivilDateTime { year, month, day: day as u8, hour, minute, second }
    }

    /// 0 to 9999.
    pub const fn year(self) -> u16 {
        self.year
    }
    /// 1 to 12.
    pub const fn month(self) -> u8 {
        self.month
    }
    /// 1 to 31.
    pub const fn day(self) -> u8 {
        self.day
    }
    /// 0 to 23.
    pub const fn hour(self) -> u8 {
        self.hour
    }
    /// 0 to 59.
    pub const fn minute(self) -> u8 {
        self.minute
    }
    /// 0 to 59.
    pub const fn second(self) -> u8 {
        self.second
    }

    /// 0 for Sunday to 6 for Saturday.
    pub fn weekday(self) -> u8 {
        // Year 0 is a leap year that began on a Saturday.
        let year = u32::from(self.year);
        let leap_days_before = year.div_ceil(4) - year.div_ceil(100) + year.div_ceil(400);
        let days_before: u32 =
            (1..self.month).map(|month| u32::from(days_in_month(month, is_leap(self.year)))).sum();
        ((6 + year + leap_days_before + days_before + u32::from(self.day) - 1) % 7) as u8
    }
}

const fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_in_year(year: u16) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

/// Days in `month`, 1 to 12.
pub(super) const fn days_in_month(month: u8, leap: bool) -> u8 {
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dates_that_exist_are_accepted() {
        assert!(CivilDateTime::new(2000, 2, 29, 23, 59, 59).is_some());
        for (year, month, day) in [(1900, 2, 29), (2023, 2, 29), (2024, 4, 31), (2024, 13, 1), (2024, 1, 0)] {
            assert_eq!(CivilDateTime::new(year, month, day, 0, 0, 0), None);
        }
        assert_eq!(CivilDateTime::new(2024, 1, 1, 24, 0, 0), None);
    }

    #[test]
    fn known_unix_times() {
        for (seconds, date, weekday) in [
            (0, (1970, 1, 1, 0, 0, 0), 4),
            (951_782_400, (2000, 2, 29, 0, 0, 0), 2),
            (1_000_000_000, (2001, 9, 9, 1, 46, 40), 0),
            (2_147_483_647, (2038, 1, 19, 3, 14, 7), 2),
            (4_102_444_800, (2100, 1, 1, 0, 0, 0), 5),
            (u64::MAX, (9999, 12, 31, 23, 59, 59), 5),
        ] {
            let (year, month, day, hour, minute, second) = date;
            let moment = CivilDateTime::from_unix_seconds(seconds);
            assert_eq!(Some(moment), CivilDateTime::new(year, month, day, hour, minute, second));
            assert_eq!(moment.weekday(), weekday, "{moment:?}");
        }
    }

    #[test]
    fn weekdays_follow_each_other() {
        for day in 0..146_097 {
            let weekday = CivilDateTime::from_unix_seconds(day * 86_400).weekday();
            assert_eq!(u64::from(weekday), (day + 4) % 7);
        }
    }
}
