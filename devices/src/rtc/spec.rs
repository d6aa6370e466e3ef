//! MC146818A registers. Motorola MC146818A data sheet, "Address Map", "Registers" and "Update Cycle"; IBM PC/AT
//! Technical Reference, "Real-Time Clock/CMOS RAM Information".

/// Addresses of time, alarm and control registers.
pub mod register {
    /// Seconds.
    pub const SECONDS: usize = 0x00;
    /// Seconds alarm.
    pub const SECONDS_ALARM: usize = 0x01;
    /// Minutes.
    pub const MINUTES: usize = 0x02;
    /// Minutes alarm.
    pub const MINUTES_ALARM: usize = 0x03;
    /// Hours; in 12-hour mode bit 7 is PM.
    pub const HOURS: usize = 0x04;
    /// Hours alarm.
    pub const HOURS_ALARM: usize = 0x05;
    /// Day of the week, Sunday = 1.
    pub const DAY_OF_WEEK: usize = 0x06;
    /// Day of the month.
    pub const DAY: usize = 0x07;
    /// Month.
    pub const MONTH: usize = 0x08;
    /// Year of the century.
    pub const YEAR: usize = 0x09;
    /// Register A: update in progress, divider, rate.
    pub const A: usize = 0x0A;
    /// Register B: enables and formats.
    pub const B: usize = 0x0B;
    /// Register C: interrupt flags, cleared by reading.
    pub const C: usize = 0x0C;
    /// Register D: valid RAM and time.
    pub const D: usize = 0x0D;
    /// The first byte of memory that is nothing else.
    pub const FIRST_MEMORY: usize = 0x0E;
    /// The first byte that the configuration checksum covers.
    pub const FIRST_CHECKED: usize = 0x10;
    /// Checksum of the configuration bytes before it: high byte, then low byte.
    pub const CHECKSUM: usize = 0x2E;
    /// Century, by PC convention; counted with the year as in the DS12C887.
    pub const CENTURY: usize = 0x32;
}

/// Register A.
pub mod reg_a {
    /// An update cycle is in progress or begins within 244 us. Read only.
    pub const UPDATE_IN_PROGRESS: u8 = 0x80;
    /// Divider select.
    pub const DIVIDER: u8 = 0x70;
    /// Divider for the 32.768 kHz crystal that a PC has.
    pub const DIVIDER_32_KHZ: u8 = 0x20;
    /// Rate select of the periodic interrupt.
    pub const RATE: u8 = 0x0F;
}

/// Register B.
pub mod reg_b {
    /// Stops updates, so that the time can be set.
    pub const SET: u8 = 0x80;
    /// Square wave output, which a PC leaves unconnected.
    pub const SQUARE_WAVE_ENABLE: u8 = 0x08;
    /// Binary data mode instead of BCD.
    pub const BINARY: u8 = 0x04;
    /// 24-hour mode instead of 12-hour mode.
    pub const HOURS_24: u8 = 0x02;
}

/// Interrupts: enable bits in register B, flags at the same places in register C.
pub mod interrupt {
    /// Periodic.
    pub const PERIODIC: u8 = 0x40;
    /// Alarm.
    pub const ALARM: u8 = 0x20;
    /// Update ended.
    pub const UPDATE_ENDED: u8 = 0x10;
    /// All three.
    pub const ALL: u8 = PERIODIC | ALARM | UPDATE_ENDED;
    /// Register C: an enabled flag is set, and the interrupt output is active.
    pub const REQUEST: u8 = 0x80;
}

/// Register D: the backup battery is good.
pub const VALID_RAM_AND_TIME: u8 = 0x80;

/// An alarm byte with both upper bits set matches always.
pub const ALARM_DONT_CARE: u8 = 0xC0;

/// Crystal ticks from UIP to the start of the update cycle: t_BUC = 244 us.
pub const TICKS_BEFORE_UPDATE: u64 = 8;

/// Crystal ticks that the update cycle lasts: t_UC = 1984 us with this crystal.
pub const UPDATE_TICKS: u64 = 65;

/// Crystal ticks in a second.
pub const TICKS_PER_SECOND: u64 = 32_768;

/// The period of the periodic interrupt in crystal ticks: Table "Periodic Interrupt Rate and Square-Wave
/// Output Frequency", column 32.768 kHz.
pub const fn periodic_ticks(rate: u8) -> Option<u64> {
    match rate & reg_a::RATE {
        0 => None,
        1 => Some(128),
        2 => Some(256),
        rate => Some(1 << (rate - 1)),
    }
}
