//! INT 15h AH=53h: power management. Advanced Power Management BIOS Interface Specification 1.2.

use crate::bios::call::Call;
use crate::bios::hardware::pci;
use crate::bios::rom;
use crate::platform::Platform;

/// Answers in AH.
mod error {
    pub const UNRECOGNISED_DEVICE: u8 = 0x09;
    pub const BAD_PARAMETER: u8 = 0x0A;
    pub const NOT_SUPPORTED: u8 = 0x86;
    pub const NO_EVENT: u8 = 0x80;
}

/// Version 1.2.
const VERSION: u16 = 0x0102;
/// The power device "all devices that the BIOS manages".
const ALL_DEVICES: u16 = 0x0001;
/// The APM BIOS itself.
const APM_BIOS: u16 = 0x0000;
/// The power state "off".
const OFF: u16 = 0x0003;

/// By INT 15h.
pub(super) fn service(call: &mut Call) {
    let result = perform(call);
    if let Err(code) = result {
        call.regs.set_ah(code);
    }
    call.return_carry(result.is_err());
}

/// By a far call in protected mode: the flags are the caller's own.
pub(in crate::bios) fn service_protected(call: &mut Call) {
    let result = perform(call);
    if let Err(code) = result {
        call.regs.set_ah(code);
    }
    call.answer(result.is_err());
}

fn perform(call: &mut Call) -> Result<(), u8> {
    let regs = &mut call.regs;
    match regs.al() {
        0x00 => {
            regs.set_ax(VERSION);
            regs.set_bx(u16::from_be_bytes(*b"PM"));
            // 16- and 32-bit protected mode; CPU idle does not slow the clock.
            regs.set_cx(0b0011);
        }
        0x01 | 0x04 => regs.set_ah(0),
        0x02 => {
            regs.set_ax(rom::SEGMENT);
            regs.set_bx(rom::APM_16);
            regs.set_cx(rom::SEGMENT);
            regs.set_si(0xFFFF);
            regs.set_di(0xFFFF);
        }
        0x03 => {
            regs.set_ax(rom::SEGMENT);
            regs.ebx = rom::APM_32.into();
            regs.set_cx(rom::SEGMENT);
            regs.set_dx(rom::SEGMENT);
            regs.esi = 0xFFFF_FFFF;
            regs.set_di(0xFFFF);
        }
        // CPU idle and busy: a program that halts is idle enough.
        0x05 | 0x06 => {}
        0x07 => return set_state(call),
        // Enable, restore defaults, engage: always on.
        0x08 | 0x09 | 0x0D | 0x0F => regs.set_ah(0),
        0x0A => {
            // On line, no battery.
            regs.set_bx(0x01FF);
            regs.set_cx(0x80FF);
            regs.set_dx(0xFFFF);
        }
        0x0B => return Err(error::NO_EVENT),
        // Everything is ready.
        0x0C => regs.set_cx(0),
        0x0E => regs.set_ax(VERSION),
        0x10 => {
            // No batteries, no way to sleep.
            regs.set_bl(0);
            regs.set_cx(0);
        }
        _ => return Err(error::NOT_SUPPORTED),
    }
    Ok(())
}

fn set_state(call: &mut Call) -> Result<(), u8> {
    match (call.regs.bx(), call.regs.cx()) {
        (ALL_DEVICES | APM_BIOS, OFF) => {
            power_off(call.io);
            Ok(())
        }
        // Enabled.
        (ALL_DEVICES, 0x0000) => Ok(()),
        (ALL_DEVICES, _) => Err(error::BAD_PARAMETER),
        _ => Err(error::UNRECOGNISED_DEVICE),
    }
}

/// Switches the machine off, by power management as the PIIX4 has it.
fn power_off(io: &mut dyn Platform) {
    const BASE: u8 = 0x40;
    const CONTROL: u16 = 0x04;
    const SUSPEND_ENABLE: u16 = 1 << 13;
    let base = pci::POWER_MANAGEMENT.read32(io, BASE) as u16 & 0xFFC0;
    io.out16(base + CONTROL, SUSPEND_ENABLE);
}
