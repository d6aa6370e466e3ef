//! Numbers of the power management registers: Intel 82371AB, "Power Management I/O Space Registers".

/// Offsets in the power management block.
pub(super) mod register {
    /// Power Management Status (PM1 status).
    pub const STATUS: u8 = 0x00;
    /// Power Management Resume Enable (PM1 enable).
    pub const ENABLE: u8 = 0x02;
    /// Power Management Control (PM1 control).
    pub const CONTROL: u8 = 0x04;
    pub const TIMER: u8 = 0x08;
    /// General Purpose Status (GPE0 status).
    pub const GENERAL_STATUS: u8 = 0x0C;
    /// General Purpose Enable (GPE0 enable).
    pub const GENERAL_ENABLE: u8 = 0x0E;
    /// Where the registers begin that steer and tell nothing here.
    pub const OTHERS: u8 = 0x10;
    /// How many ports there are.
    pub const COUNT: u8 = 0x40;
}

/// Bits of the status and enable registers.
pub(super) mod event {
    pub const TIMER_OVERFLOW: u16 = 1 << 0;
    pub const BUS_MASTER: u16 = 1 << 4;
    pub const GLOBAL: u16 = 1 << 5;
    pub const POWER_BUTTON: u16 = 1 << 8;
    pub const RTC_ALARM: u16 = 1 << 10;
    pub const POWER_BUTTON_OVERRIDE: u16 = 1 << 11;
    pub const RESUME: u16 = 1 << 15;

    /// The bits that the status register has.
    pub const STATUS: u16 =
        TIMER_OVERFLOW | BUS_MASTER | GLOBAL | POWER_BUTTON | RTC_ALARM | POWER_BUTTON_OVERRIDE | RESUME;
    /// The bits that the enable register has.
    pub const ENABLE: u16 = TIMER_OVERFLOW | GLOBAL | POWER_BUTTON | RTC_ALARM;
    /// Bits of the general purpose registers: thermal, USB, GPI, ring indicator, lid.
    pub const GENERAL: u16 = 0x0F01;
}

/// Bits of the control register.
pub(super) mod control {
    /// Events raise SCI, not SMI#.
    pub const SCI_ENABLE: u16 = 1 << 0;
    pub const BUS_MASTER_RELOAD: u16 = 1 << 1;
    pub const SUSPEND_TYPE: u16 = 7 << 10;
    /// Suspends when written; reads as zero, as GBL_RLS does.
    pub const SUSPEND_ENABLE: u16 = 1 << 13;
    /// The bits that keep what is written.
    pub const WRITABLE: u16 = SCI_ENABLE | BUS_MASTER_RELOAD | SUSPEND_TYPE;

    /// The suspend type of a control register value.
    pub const fn suspend_type(value: u16) -> u8 {
        (value >> 10) as u8 & 7
    }
    /// The suspend type of soft off.
    pub const SOFT_OFF: u8 = 0;
}

/// The registers at [`register::OTHERS`] that hold what is written: PCNTRL, GLBEN, GLBCTL, DEVCTL, GPOREG.
/// PLVL2, PLVL3, GLBSTS, DEVSTS and GPIREG read as zero: the processor stays at C0, and nothing is monitored.
pub(super) const fn holds_what_is_written(offset: u8) -> bool {
    matches!(offset, 0x10..=0x13 | 0x20..=0x21 | 0x28..=0x2F | 0x34..=0x37)
}

/// The SMBus host: Intel 82371AB, "SMBus I/O Space Registers".
pub(super) mod smbus {
    pub const HOST_STATUS: u8 = 0x00;
    pub const HOST_CONTROL: u8 = 0x02;
    pub const COUNT: u8 = 0x10;

    /// Status: a transaction was killed.
    pub const FAILED: u8 = 0x10;
    /// Status: the device did not answer.
    pub const DEVICE_ERROR: u8 = 0x04;
    /// The status bits that software clears by writing ones.
    pub const CLEARABLE: u8 = 0x1E;

    /// Control: begin the transaction. Reads as zero.
    pub const START: u8 = 0x40;
    /// Control: stop the transaction.
    pub const KILL: u8 = 0x02;
    pub const INTERRUPT_ENABLE: u8 = 0x01;
}
