//! Registers of the local APIC. SDM Vol. 3A, "Local APIC Register Address Map" and the figures of each register.

/// Offsets in the register page.
pub mod offset {
    /// Local APIC ID.
    pub const ID: u64 = 0x020;
    /// Version.
    pub const VERSION: u64 = 0x030;
    /// Task priority.
    pub const TASK_PRIORITY: u64 = 0x080;
    /// Processor priority, read only.
    pub const PROCESSOR_PRIORITY: u64 = 0x0A0;
    /// End of interrupt, write only.
    pub const EOI: u64 = 0x0B0;
    /// Logical destination.
    pub const LOGICAL_DESTINATION: u64 = 0x0D0;
    /// Destination format.
    pub const DESTINATION_FORMAT: u64 = 0x0E0;
    /// Spurious interrupt vector.
    pub const SPURIOUS_VECTOR: u64 = 0x0F0;
    /// In-service, eight registers.
    pub const IN_SERVICE: u64 = 0x100;
    /// Trigger mode, eight registers.
    pub const TRIGGER_MODE: u64 = 0x180;
    /// Interrupt request, eight registers.
    pub const REQUEST: u64 = 0x200;
    /// The register after the last of the interrupt request registers: error status.
    pub const ERROR_STATUS: u64 = 0x280;
    /// Interrupt command, low half.
    pub const COMMAND_LOW: u64 = 0x300;
    /// Interrupt command, high half.
    pub const COMMAND_HIGH: u64 = 0x310;
    /// The first of the local vector table.
    pub const LVT_FIRST: u64 = 0x320;
    /// The last of the local vector table.
    pub const LVT_LAST: u64 = 0x370;
    /// Initial count.
    pub const INITIAL_COUNT: u64 = 0x380;
    /// Current count, read only.
    pub const CURRENT_COUNT: u64 = 0x390;
    /// Divide configuration.
    pub const DIVIDE_CONFIGURATION: u64 = 0x3E0;
}

/// Version 14h of an integrated APIC, whose last local vector is number 5.
pub const VERSION: u32 = 0x0005_0014;

/// Entries of the local vector table, in the order of their registers.
pub mod lvt {
    /// Timer.
    pub const TIMER: usize = 0;
    /// LINT0, and LINT1 after it; the thermal sensor and the performance counters, which never interrupt
    /// here, lie before.
    pub const LINT0: usize = 3;
    /// Error.
    pub const ERROR: usize = 5;
    /// How many there are.
    pub const COUNT: usize = 6;

    /// The bits that software writes: vector and mask everywhere, a timer mode, a delivery mode, and for the
    /// pins polarity and trigger mode.
    pub const WRITABLE: [u32; COUNT] =
        [0x0003_00FF, 0x0001_07FF, 0x0001_07FF, 0x0001_A7FF, 0x0001_A7FF, 0x0001_00FF];

    /// The interrupt is not delivered.
    pub const MASKED: u32 = 1 << 16;
    /// The timer reloads its initial count.
    pub const PERIODIC: u32 = 1 << 17;
    /// Pins: level triggered.
    pub const LEVEL_TRIGGERED: u32 = 1 << 15;
    /// Pins: a level triggered interrupt was accepted and has not ended. Read only.
    pub const REMOTE_IRR: u32 = 1 << 14;
}

/// Spurious interrupt vector register.
pub mod spurious {
    /// The APIC is enabled by software.
    pub const ENABLED: u32 = 1 << 8;
    /// Vector, enable and focus checking.
    pub const WRITABLE: u32 = 0x3FF;
}

/// Error status register.
pub mod error {
    /// Software tried to send a vector below 16.
    pub const SEND_ILLEGAL_VECTOR: u8 = 1 << 5;
    /// A vector below 16 arrived, from a message or a local source.
    pub const RECEIVE_ILLEGAL_VECTOR: u8 = 1 << 6;
    /// Software accessed a register that does not exist.
    pub const ILLEGAL_REGISTER: u8 = 1 << 7;
}

/// Interrupt command register.
pub mod command {
    /// The bits that software writes in the low half.
    pub const WRITABLE: u32 = 0x000C_CFFF;
    /// Logical destination mode.
    pub const LOGICAL: u32 = 1 << 11;
    /// Assert, as opposed to de-assert, for INIT.
    pub const ASSERT: u32 = 1 << 14;
    /// Level trigger mode, which only INIT de-assert uses.
    pub const LEVEL_TRIGGERED: u32 = 1 << 15;
}

/// IA32_APIC_BASE.
pub mod base {
    /// The page of registers after power-on.
    pub const DEFAULT: u64 = 0xFEE0_0000;
    /// This is the bootstrap processor.
    pub const BOOTSTRAP: u64 = 1 << 8;
    /// The APIC is enabled.
    pub const ENABLED: u64 = 1 << 11;
    /// The address field of a processor with 36 physical address bits.
    pub const ADDRESS: u64 = 0x0000_000F_FFFF_F000;
}

/// Vectors below this are exceptions and illegal for interrupts.
pub const FIRST_LEGAL_VECTOR: u8 = 16;

/// What the divide configuration register divides the bus clock by. Bit 2 is reserved.
pub const fn divisor(divide_configuration: u8) -> u64 {
    let code = divide_configuration & 3 | (divide_configuration >> 1 & 4);
    match code {
        7 => 1,
        code => 2 << code,
    }
}
