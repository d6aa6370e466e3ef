//! Local APIC and I/O APIC, as operating systems find them. Intel MultiProcessor Specification 1.4, "Virtual Wire
//! Mode"; SDM Vol. 3A, "Local APIC"; Intel 82093AA.

use crate::platform::Platform;
use crate::tables::{IO_APIC, IO_APIC_ID, LOCAL_APIC};

/// The bit of CPUID's features that tells of a local APIC.
pub(crate) const FEATURE: u32 = 1 << 9;

/// Offsets of the local APIC's registers.
const SPURIOUS: u32 = 0xF0;
const LINT_0: u32 = 0x350;
const LINT_1: u32 = 0x360;

/// Numbers the I/O APIC, and lets the 8259A and the non-maskable interrupt through the local APIC.
pub(crate) fn initialise(io: &mut dyn Platform) {
    /// The local APIC is on; spurious interrupts have the vector that the 8259A's have.
    const ON: u32 = 1 << 8 | 0x0F;
    const EXTERNAL: u32 = 7 << 8;
    const NMI: u32 = 4 << 8;
    for (register, value) in [(SPURIOUS, ON), (LINT_0, EXTERNAL), (LINT_1, NMI)] {
        io.put(LOCAL_APIC + register, value);
    }
    // The register is selected by its number, 0, and written through a window.
    io.put(IO_APIC, 0u32);
    io.put(IO_APIC + 0x10, u32::from(IO_APIC_ID) << 24);
}
