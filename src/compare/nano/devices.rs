//! Nanobenchmarks of ports, device memory and interrupts.

use super::Emitted;
use super::address::APIC;
use iced_x86::code_asm::*;

/// Interrupt mask register of the first 8259A.
const PIC_MASK: u32 = 0x21;
/// Where no PC has a device.
const UNASSIGNED: u32 = 0x06F0;
/// Registers of the local APIC. SDM Vol. 3A, "Local APIC Register Address Map".
const APIC_VERSION: u32 = APIC + 0x30;
const APIC_TASK_PRIORITY: u32 = APIC + 0x80;

pub fn port_in(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.in_(al, PIC_MASK)
}

/// Writes what the register holds already: all requests masked.
pub fn port_out(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.mov(al, 0xFF)?;
    a.out(PIC_MASK, al)
}

pub fn unassigned(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.mov(edx, UNASSIGNED)
}

pub fn unassigned_in(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.in_(al, dx)
}

pub fn unassigned_out(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.out(dx, al)
}

pub fn mmio_read(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.mov(ecx, dword_ptr(APIC_VERSION))
}

pub fn zero(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.xor(ecx, ecx)
}

pub fn mmio_write(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.mov(dword_ptr(APIC_TASK_PRIORITY), ecx)
}

/// Lets the 8259A pass IRQ 0 only.
pub fn enable_timer(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.mov(al, 0xFE)?;
    a.out(PIC_MASK, al)
}

/// Counter 0 in mode 0 ("Interrupt on Terminal Count"), 8 ticks from now.
pub fn timer(a: &mut CodeAssembler, _: u32) -> Emitted {
    a.mov(al, 0x30)?;
    a.out(0x43, al)?;
    a.mov(al, 8)?;
    a.out(0x40, al)?;
    a.mov(al, 0)?;
    a.out(0x40, al)?;
    a.sti()?;
    a.hlt()?;
    a.cli()
}
