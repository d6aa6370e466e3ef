//! Numbers of configuration space: PCI Local Bus Specification 2.1; Intel 82441FX, 82371SB and 82371AB.

/// Offsets in a header of type 0.
pub(super) mod header {
    pub const VENDOR_ID: usize = 0x00;
    pub const DEVICE_ID: usize = 0x02;
    pub const COMMAND: usize = 0x04;
    pub const STATUS: usize = 0x06;
    pub const REVISION_ID: usize = 0x08;
    pub const HEADER_TYPE: usize = 0x0E;
    pub const BAR_0: usize = 0x10;
    pub const ROM_BASE: usize = 0x30;
    pub const INTERRUPT_LINE: usize = 0x3C;
    pub const INTERRUPT_PIN: usize = 0x3D;
}

/// Bits of the Command register.
pub(super) mod command {
    pub const IO_SPACE: u16 = 0x0001;
    pub const MEMORY_SPACE: u16 = 0x0002;
    pub const BUS_MASTER: u16 = 0x0004;
    pub const PARITY_ERROR_RESPONSE: u16 = 0x0040;
    pub const SERR_ENABLE: u16 = 0x0100;
}

/// Bits of the Status register.
pub(super) mod status {
    pub const FAST_BACK_TO_BACK: u16 = 0x0080;
    pub const DEVSEL_MEDIUM: u16 = 0x0200;
}

/// CONFIG_ADDRESS, "Configuration Mechanism #1".
pub(super) mod config_address {
    pub const ENABLE: u32 = 1 << 31;
    /// The bits that are there: enable, bus, device, function, register.
    pub const WRITABLE: u32 = 0x80FF_FFFC;
}

/// Registers of the 82441FX.
pub(super) mod host_bridge {
    /// Programmable Attribute Map 0 to 6.
    pub const PAM_0: usize = 0x59;
    /// Turbo Reset Control.
    pub const TRC: usize = 0x93;
    pub const SMRAM: usize = 0x72;
    /// SMM space open: it is visible outside SMM.
    pub const DOPEN: u8 = 0x40;
    /// SMM space closed: data accesses do not see it.
    pub const DCLS: u8 = 0x20;
    /// SMM space locked: no more changes until a reset.
    pub const DLCK: u8 = 0x10;
    /// Global SMRAM enable.
    pub const SMRAME: u8 = 0x08;
}

/// Bits of the reset control registers of both bridges.
pub(super) mod reset_control {
    /// The reset is that of the system, not of the processor.
    pub const SYSTEM: u8 = 0x02;
    /// A reset happens when this bit is set.
    pub const RESET: u8 = 0x04;
}

/// Registers of the 82371SB, function 0.
pub(super) mod isa_bridge {
    /// PIRQA# to PIRQD# route control.
    pub const PIRQ_ROUTE: usize = 0x60;
    pub const ROUTING_DISABLED: u8 = 0x80;
    pub const IRQ: u8 = 0x0F;
    /// The IRQs that a PIRQ can be routed to.
    pub const ROUTABLE: u16 = 0b1101_1110_1111_1000;
}

/// Registers of the 82371SB, function 1.
pub(super) mod ide {
    /// IDE timing, primary and secondary.
    pub const TIMING: usize = 0x40;
    /// The channel's ports are decoded; in the upper byte.
    pub const DECODE_ENABLE: u8 = 0x80;
}

/// Registers of the 82371AB, function 3.
pub(super) mod power {
    pub const PM_BASE: usize = 0x40;
    pub const PM_MISCELLANEOUS: usize = 0x80;
    pub const PM_IO_ENABLE: u8 = 0x01;
    pub const SMBUS_BASE: usize = 0x90;
    pub const SMBUS_HOST_CONFIGURATION: usize = 0xD2;
    pub const SMBUS_HOST_ENABLE: u8 = 0x01;
}
