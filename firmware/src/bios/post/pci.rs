//! PCI: addresses, interrupt lines and decoders. PCI Local Bus Specification 2.1, "Base Addresses"; Intel 82371SB,
//! "PIRQx Route Control Registers" and "IDETIM"; PCI BIOS Specification 2.1, "Get PCI Interrupt Routing Options".

use crate::bios::hardware::pci::{
    self, BUS_MASTER, Function, IDE, IO_SPACE, ISA_BRIDGE, MEMORY_SPACE, POWER_MANAGEMENT, register,
};
use crate::bios::hardware::pic;
use crate::platform::Platform;

/// Where memory for devices begins, above any RAM, and where it ends.
pub(crate) const MEMORY_START: u32 = 0xE000_0000;
pub(crate) const MEMORY_END: u32 = 0xFEC0_0000;
/// Where ports for devices begin.
const IO_START: u32 = 0xC000;
/// Registers of power management, and of its SMBus host.
pub(crate) const PM_BASE: u16 = 0x600;
pub(crate) const SMBUS_BASE: u16 = 0x700;

/// The register that routes PIRQA; the others follow.
pub(crate) const PIRQ_ROUTE: u8 = 0x60;
/// The interrupt lines of PIRQA to PIRQD.
pub(crate) const PIRQ_LINES: [u8; 4] = [10, 11, 10, 11];
/// The lines that PIRQs can be routed to.
pub(crate) const ROUTABLE: u16 = 0xDEF8;
/// Power management's own.
pub(crate) const SCI: u8 = 9;

/// The PIRQ (0 to 3) of pin `pin` (1 is INTA#) of a device. Device 1 has PIRQA on its INTA#.
pub(crate) fn pirq(device: u8, pin: u8) -> u8 {
    pin.wrapping_sub(1).wrapping_add(device).wrapping_sub(1) & 3
}

/// Gives every function of the bus its addresses and its interrupt line.
pub(super) fn assign(io: &mut dyn Platform) {
    for (pirq, line) in (0..).zip(PIRQ_LINES) {
        ISA_BRIDGE.write8(io, PIRQ_ROUTE + pirq, line);
    }
    let shared = PIRQ_LINES.iter().fold(1 << SCI, |lines, line| lines | 1u16 << line);
    pic::set_level_triggered(io, shared);
    let mut space = Space { memory: MEMORY_START, ports: IO_START };
    for function in pci::functions(io) {
        assign_bars(io, function, &mut space);
        let pin = function.read8(io, register::INTERRUPT_PIN);
        if pin != 0 {
            let line = PIRQ_LINES[usize::from(pirq(function.device(), pin))];
            function.write8(io, register::INTERRUPT_LINE, line);
        }
    }
    enable_ide(io);
    enable_power_management(io);
}

/// What is free.
struct Space {
    memory: u32,
    ports: u32,
}

fn assign_bars(io: &mut dyn Platform, function: Function, space: &mut Space) {
    const IS_IO: u32 = 1;
    const BARS: u8 = 6;
    let mut enable = 0;
    for bar in 0..BARS {
        let register = register::BAR_0 + 4 * bar;
        function.write32(io, register, u32::MAX);
        let writable = function.read32(io, register);
        let is_io = writable & IS_IO != 0;
        let mask = writable & if is_io { 0xFFFC } else { 0xFFFF_FFF0 };
        if mask == 0 {
            continue;
        }
        // The lowest address bit that can be set is the size.
        let size = mask & mask.wrapping_neg();
        let next = if is_io { &mut space.ports } else { &mut space.memory };
        let Some(base) = next.checked_next_multiple_of(size) else { continue };
        let limit = if is_io { 0x1_0000 } else { MEMORY_END };
        let end = base.saturating_add(size);
        if end > limit {
            function.write32(io, register, 0);
            continue;
        }
        *next = end;
        function.write32(io, register, base);
        enable |= if is_io { IO_SPACE } else { MEMORY_SPACE };
    }
    let command = function.read16(io, register::COMMAND) | enable;
    function.write16(io, register::COMMAND, command);
}

/// Lets both IDE channels answer at their usual ports, and master the bus.
fn enable_ide(io: &mut dyn Platform) {
    const TIMING: u8 = 0x40;
    const DECODE: u16 = 0x8000;
    for channel in [TIMING, TIMING + 2] {
        IDE.write16(io, channel, DECODE);
    }
    let command = IDE.read16(io, register::COMMAND);
    IDE.write16(io, register::COMMAND, command | IO_SPACE | BUS_MASTER);
}

fn enable_power_management(io: &mut dyn Platform) {
    const BASE: u8 = 0x40;
    const MISCELLANEOUS: u8 = 0x80;
    const SMBUS: u8 = 0x90;
    const SMBUS_CONFIGURATION: u8 = 0xD2;
    POWER_MANAGEMENT.write32(io, BASE, PM_BASE.into());
    POWER_MANAGEMENT.write8(io, MISCELLANEOUS, 1);
    POWER_MANAGEMENT.write32(io, SMBUS, SMBUS_BASE.into());
    POWER_MANAGEMENT.write8(io, SMBUS_CONFIGURATION, 1);
    POWER_MANAGEMENT.write8(io, register::INTERRUPT_LINE, SCI);
}

/// Bytes of a slot in the interrupt routing table.
const SLOT: usize = 16;

/// The interrupt routing table: a slot for each device with the links and possible lines of its four pins.
pub(crate) fn interrupt_routing(io: &mut dyn Platform) -> Vec<u8> {
    let mut devices: Vec<u8> = pci::functions(io).into_iter().map(Function::device).collect();
    devices.dedup();
    // The host bridge has no interrupts.
    devices.into_iter().filter(|device| *device != 0).flat_map(routing_slot).collect()
}

fn routing_slot(device: u8) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    slot[1] = device << 3;
    for (pin, link) in (1u8..=4).zip(slot[2..14].chunks_exact_mut(3)) {
        link[0] = PIRQ_ROUTE + pirq(device, pin);
        link[1..].copy_from_slice(&ROUTABLE.to_le_bytes());
    }
    slot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_rotate_from_device_to_device() {
        assert_eq!(pirq(1, 1), 0);
        assert_eq!(pirq(2, 1), 1);
        assert_eq!(pirq(3, 4), 1);
        assert_eq!(pirq(0, 1), 3);
    }

    #[test]
    fn routing_slots() {
        let slot = routing_slot(3);
        assert_eq!(slot[..5], [0, 3 << 3, 0x62, 0xF8, 0xDE]);
        assert_eq!([slot[5], slot[8], slot[11]], [0x63, 0x60, 0x61]);
    }
}
