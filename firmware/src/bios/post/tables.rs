//! Where the tables for operating systems lie.

use super::pci;
use crate::bios::hardware::cmos;
use crate::bios::hardware::pci::{functions, register};
use crate::bios::memory_map::{self, NVS};
use crate::bios::rom;
use crate::platform::Platform;
use crate::tables::{self, Facts, PciPin};

/// Puts the tables into memory: in the ROM's segment, which still can be written, and at the end of RAM.
pub(super) fn install(io: &mut dyn Platform, signature: u32, features: u32) {
    let memory = cmos::memory_size(io);
    let facts = Facts { signature, features, memory, pins: pins(io), routing: pci::interrupt_routing(io) };
    let high = memory_map::table_space(io).map(|start| (start, memory - NVS));
    for (at, bytes) in tables::all(&facts, rom::BASE, rom::CODE.into(), high) {
        io.write(at, &bytes);
    }
}

/// The interrupt pins that functions use.
fn pins(io: &mut dyn Platform) -> Vec<PciPin> {
    let mut pins = Vec::new();
    for function in functions(io) {
        // 1 is INTA#.
        let Some(pin) = function.read8(io, register::INTERRUPT_PIN).checked_sub(1).filter(|pin| *pin < 4)
        else {
            continue;
        };
        let line = function.read8(io, register::INTERRUPT_LINE);
        let pin = PciPin { device: function.device(), pin, line };
        if line < 16 && !pins.contains(&pin) {
            pins.push(pin);
        }
    }
    pins
}
