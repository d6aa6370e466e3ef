//! INT 1Ah AH=B1h and its 32-bit entry points: the PCI BIOS. PCI BIOS Specification 2.1; Standard BIOS 32-bit Service
//! Directory Proposal 0.4.

use super::call::Call;
use super::hardware::pci::{self, Function};
use super::post::pci::interrupt_routing;
use super::rom;

/// In AH.
pub(super) const FUNCTION: u8 = 0xB1;

/// Answers in AH.
mod status {
    pub const SUCCESSFUL: u8 = 0x00;
    pub const NOT_SUPPORTED: u8 = 0x81;
    pub const BAD_VENDOR_ID: u8 = 0x83;
    pub const DEVICE_NOT_FOUND: u8 = 0x86;
    pub const BAD_REGISTER: u8 = 0x87;
    pub const BUFFER_TOO_SMALL: u8 = 0x89;
}

/// By INT 1Ah.
pub(super) fn service(call: &mut Call) {
    let status = perform(call);
    call.regs.set_ah(status);
    call.return_carry(status != status::SUCCESSFUL);
}

/// By a far call in 32-bit protected mode: the flags are the caller's own.
pub(super) fn service_32(call: &mut Call) {
    let status = perform(call);
    call.regs.set_ah(status);
    call.answer(status != status::SUCCESSFUL);
}

/// The BIOS32 service directory: where is the service that EAX names?
pub(super) fn directory(call: &mut Call) {
    const PCI: u32 = u32::from_le_bytes(*b"$PCI");
    const NO_SUCH_SERVICE: u8 = 0x80;
    const NO_SUCH_FUNCTION: u8 = 0x81;
    if call.regs.bl() != 0 {
        return call.regs.set_al(NO_SUCH_FUNCTION);
    }
    if call.regs.eax != PCI {
        return call.regs.set_al(NO_SUCH_SERVICE);
    }
    call.regs.set_al(0);
    call.regs.ebx = rom::BASE;
    call.regs.ecx = rom::SIZE as u32;
    call.regs.edx = rom::PCI32_ENTRY.into();
}

fn perform(call: &mut Call) -> u8 {
    let function = Function(call.regs.bx());
    let register = call.regs.di();
    match call.regs.al() {
        0x01 => present(call),
        0x02 => find_device(call),
        0x03 => find_class(call),
        0x08 => read(call, function, register, 1),
        0x09 => read(call, function, register, 2),
        0x0A => read(call, function, register, 4),
        0x0B => write(call, function, register, 1),
        0x0C => write(call, function, register, 2),
        0x0D => write(call, function, register, 4),
        0x0E => routing_options(call),
        _ => status::NOT_SUPPORTED,
    }
}

fn present(call: &mut Call) -> u8 {
    // Configuration mechanism 1; version 2.1; the last bus is 0.
    call.regs.set_al(0x01);
    call.regs.set_bx(0x0210);
    call.regs.set_cl(0);
    call.regs.edx = u32::from_le_bytes(*b"PCI ");
    status::SUCCESSFUL
}

fn find(call: &mut Call, index: u16, mut wanted: impl FnMut(&mut Call, Function) -> bool) -> u8 {
    let mut left = index;
    for function in pci::functions(call.io) {
        if !wanted(call, function) {
            continue;
        }
        if left == 0 {
            call.regs.set_bx(function.0);
            return status::SUCCESSFUL;
        }
        left -= 1;
    }
    status::DEVICE_NOT_FOUND
}

fn find_device(call: &mut Call) -> u8 {
    let (device, vendor, index) = (call.regs.cx(), call.regs.dx(), call.regs.si());
    if vendor == 0xFFFF {
        return status::BAD_VENDOR_ID;
    }
    let id = u32::from(device) << 16 | u32::from(vendor);
    find(call, index, |call, function| function.id(call.io) == id)
}

fn find_class(call: &mut Call) -> u8 {
    let (class, index) = (call.regs.ecx & 0xFF_FFFF, call.regs.si());
    find(call, index, |call, function| function.class(call.io) == class)
}

/// Whether the register number is one, and aligned.
fn register(register: u16, size: u16) -> Option<u8> {
    register.is_multiple_of(size).then(|| u8::try_from(register).ok())?
}

fn read(call: &mut Call, function: Function, at: u16, size: u16) -> u8 {
    let Some(at) = register(at, size) else { return status::BAD_REGISTER };
    match size {
        1 => {
            let value = function.read8(call.io, at);
            call.regs.set_cl(value);
        }
        2 => {
            let value = function.read16(call.io, at);
            call.regs.set_cx(value);
        }
        _ => call.regs.ecx = function.read32(call.io, at),
    }
    status::SUCCESSFUL
}

fn write(call: &mut Call, function: Function, at: u16, size: u16) -> u8 {
    let Some(at) = register(at, size) else { return status::BAD_REGISTER };
    match size {
        1 => function.write8(call.io, at, call.regs.cl()),
        2 => function.write16(call.io, at, call.regs.cx()),
        _ => function.write32(call.io, at, call.regs.ecx),
    }
    status::SUCCESSFUL
}

/// "Get PCI Interrupt Routing Options": the buffer's length and far pointer are at ES:DI.
fn routing_options(call: &mut Call) -> u8 {
    let parameters = call.regs.es.at(if is_16_bit(call) { call.regs.edi & 0xFFFF } else { call.regs.edi });
    let room: u16 = call.get(parameters);
    let offset: u32 = call.get(parameters.wrapping_add(2));
    // In real mode the pointer has 16 bits of offset and a segment; else 32 bits of offset in the caller's DS.
    let buffer = if is_16_bit(call) { super::call::far(offset) } else { call.regs.ds.at(offset) };
    let table = interrupt_routing(call.io);
    call.put(parameters, table.len() as u16);
    if usize::from(room) < table.len() {
        return status::BUFFER_TOO_SMALL;
    }
    call.io.write(buffer, &table);
    // No interrupt line is PCI's alone.
    call.regs.set_bx(0);
    status::SUCCESSFUL
}

/// Whether the caller came by INT 1Ah, and not by the 32-bit entry point.
fn is_16_bit(call: &Call) -> bool {
    call.regs.cs.base == rom::BASE && call.regs.cs.selector == rom::SEGMENT
}
