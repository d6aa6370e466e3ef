//! CPUID: announces exactly what works.

/// Family 6, model 11, stepping 1: what EDX holds after reset and CPUID leaf 1 gives in EAX.
pub const SIGNATURE: u32 = 0x0000_06B1;
