//! Interrupt messages: what I/O APIC and local APIC say to each other. SDM Vol. 3A, "APIC Bus Message Passing
//! Mechanism" and "Issuing Interprocessor Interrupts".

/// How the receiver treats a message: the delivery mode field of an interrupt command, redirection entry or
/// local vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryMode {
    /// Interrupts with the vector given.
    Fixed,
    /// As fixed, at the one of the addressed processors that runs at the lowest priority.
    LowestPriority,
    /// System management interrupt.
    Smi,
    /// Non-maskable interrupt.
    Nmi,
    /// INIT.
    Init,
    /// Start-up: the vector is the page where a processor begins.
    StartUp,
    /// The vector comes from the 8259A, in an interrupt acknowledge cycle.
    ExtInt,
}

impl DeliveryMode {
    /// The mode encoded in the low three bits of `bits`; `None` for the reserved code 3.
    pub(crate) const fn from_bits(bits: u32) -> Option<Self> {
        match bits & 7 {
            0 => Some(DeliveryMode::Fixed),
            1 => Some(DeliveryMode::LowestPriority),
            2 => Some(DeliveryMode::Smi),
            4 => Some(DeliveryMode::Nmi),
            5 => Some(DeliveryMode::Init),
            6 => Some(DeliveryMode::StartUp),
            7 => Some(DeliveryMode::ExtInt),
            _ => None,
        }
    }
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The local APIC with this ID, or all for FFh.
    Physical(u8),
    /// The local APICs whose logical destination matches this message destination address.
    Logical(u8),
}

/// One interrupt message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterruptMessage {
    /// Whom it is for.
    pub destination: Destination,
    /// What the receiver does.
    pub delivery: DeliveryMode,
    /// The interrupt vector, where the delivery mode has one.
    pub vector: u8,
    /// Level triggered: the end of the interrupt is reported back.
    pub level_triggered: bool,
}
