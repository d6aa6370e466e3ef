//! The functions of the board: their identities, defaults and writable bits. Intel 82441FX (host bridge),
//! 82371SB (ISA bridge and IDE), 82371AB (power management); the standard VGA as Bochs and its BIOS know it.
//!
//! Registers that steer timings, buffers and decoders which do not exist here hold what is written to them.

use super::function::{Bar, PciFunction, PciIdentity};
use super::spec::{command, host_bridge, ide, isa_bridge, power, status};

const INTEL: u16 = 0x8086;

/// 82441FX: host bridge.
pub(super) fn host_bridge() -> PciFunction {
    let identity = PciIdentity { vendor: INTEL, device: 0x1237, class: 0x06_0000, revision: 0x02 };
    let commands = command::PARITY_ERROR_RESPONSE | command::SERR_ENABLE;
    PciFunction::new(identity)
        .with_command(command::MEMORY_SPACE | command::BUS_MASTER, commands)
        .with_status(status::FAST_BACK_TO_BACK | status::DEVSEL_MEDIUM)
        .with(0x0D, &[0], &[0xF8])
        // PMCCFG, DETURBO, DBC, AXC, DRT, DRAMC, DRAMT.
        .with(0x50, &[0; 9], &[0xFF; 9])
        .with(0x57, &[0x01, 0x10], &[0xFF; 2])
        .with(host_bridge::PAM_0, &[0; 7], &[0x30, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33])
        // DRB 0 to 7, FDHC.
        .with(0x60, &[0x01; 8], &[0xFF; 8])
        .with(0x68, &[0], &[0xC0])
        // MTT, CLT.
        .with(0x70, &[0x20, 0x10], &[0xFF; 2])
        .with(host_bridge::SMRAM, &[0x02], &[0x7F])
        // ERRCMD, and TRC.
        .with(0x90, &[0], &[0xFF])
        .with(host_bridge::TRC, &[0], &[0x0F])
}

/// 82371SB, function 0: ISA bridge.
pub(super) fn isa_bridge() -> PciFunction {
    let identity = PciIdentity { vendor: INTEL, device: 0x7000, class: 0x06_0100, revision: 0x00 };
    let always = command::IO_SPACE | command::MEMORY_SPACE | command::BUS_MASTER;
    PciFunction::new(identity)
        .multifunction()
        .with_command(always, 0x0008)
        .with_status(status::DEVSEL_MEDIUM)
        // IORT, XBCS.
        .with(0x4C, &[0x4D], &[0xFF])
        .with(0x4E, &[0x03, 0x00], &[0xFF, 0x01])
        .with(isa_bridge::PIRQ_ROUTE, &[isa_bridge::ROUTING_DISABLED; 4], &[0x8F; 4])
        // TOM, MSTAT, MBIRQ, MBDMA, PCSC, APICBASE, DLC.
        .with(0x69, &[0x02], &[0xFE])
        .with(0x6A, &[0, 0], &[0x10, 0x80])
        .with(0x70, &[0x80], &[0xAF])
        .with(0x76, &[0x0C, 0x0C], &[0x8F; 2])
        .with(0x78, &[0x02, 0x00], &[0xFF; 2])
        .with(0x80, &[0], &[0x3F])
        .with(0x82, &[0], &[0x0F])
        // SMICNTL, SMIEN, SEE, FTMR, SMIREQ, CTLTMR, CTHTMR.
        .with(0xA0, &[0x08], &[0x1F])
        .with(0xA2, &[0; 2], &[0xFF, 0x01])
        .with(0xA4, &[0; 4], &[0xFF; 4])
        .with(0xA8, &[0x0F], &[0xFF])
        .with(0xAA, &[0; 2], &[0xFF, 0x01])
        .with(0xAC, &[0], &[0xFF])
        .with(0xAE, &[0], &[0xFF])
}

/// 82371SB, function 1: IDE, at the compatible addresses only.
pub(super) fn ide() -> PciFunction {
    let identity = PciIdentity { vendor: INTEL, device: 0x7010, class: 0x01_0180, revision: 0x00 };
    PciFunction::new(identity)
        .with_command(0, command::IO_SPACE | command::BUS_MASTER)
        .with_status(status::FAST_BACK_TO_BACK | status::DEVSEL_MEDIUM)
        .with(0x0D, &[0], &[0xF0])
        .with_bar(4, Bar::Io { size: 16 })
        .with(ide::TIMING, &[0; 4], &[0xFF, 0xF3, 0xFF, 0xF3])
        .with(0x44, &[0], &[0xFF])
}

/// 82371AB, function 3: power management. Its SCI is IRQ 9, whatever its interrupt pin says.
pub(super) fn power_management() -> PciFunction {
    let identity = PciIdentity { vendor: INTEL, device: 0x7113, class: 0x06_8000, revision: 0x03 };
    PciFunction::new(identity)
        .with_command(0, command::IO_SPACE)
        .with_status(status::FAST_BACK_TO_BACK | status::DEVSEL_MEDIUM)
        .with_interrupt_pin(super::Pin::A)
        .with(power::PM_BASE, &[1, 0, 0, 0], &[0xC0, 0xFF, 0, 0])
        // CNTA, CNTB, GPICTL, DEVRESD to DEVRESJ, DEVACTA, DEVACTB: device monitors.
        .with(0x44, &[0; 60], &[0xFF; 60])
        // DEVACTB: APMC_EN is set from the start, as if somebody had set up system management mode already. There is
        // none, and firmware that finds the bit clear would wait for its first interrupt for ever.
        .with(0x5B, &[0x02], &[0xFF])
        .with(power::PM_MISCELLANEOUS, &[0], &[power::PM_IO_ENABLE])
        .with(power::SMBUS_BASE, &[1, 0, 0, 0], &[0xF0, 0xFF, 0, 0])
        .with(power::SMBUS_HOST_CONFIGURATION, &[0; 4], &[0x0F, 0xFF, 0xFF, 0xFF])
}

/// The standard VGA that a Bochs VGA BIOS drives: 1234:1111, its linear frame buffer of `frame_buffer` bytes
/// (a power of two, at least 16) in base address register 0, the registers of `registers` bytes, if any, in
/// register 2, and an expansion ROM of `rom` bytes (a power of two, at least 2048), if any.
pub fn standard_vga(frame_buffer: u32, registers: Option<u32>, rom: Option<u32>) -> PciFunction {
    let identity = PciIdentity { vendor: 0x1234, device: 0x1111, class: 0x03_0000, revision: 0x02 };
    let mut vga = PciFunction::new(identity)
        .with_command(0, command::IO_SPACE | command::MEMORY_SPACE)
        .with_bar(0, Bar::Memory { size: frame_buffer, prefetchable: true });
    if let Some(size) = registers {
        vga = vga.with_bar(2, Bar::Memory { size, prefetchable: false });
    }
    match rom {
        Some(size) => vga.with_rom(size),
        None => vga,
    }
}
