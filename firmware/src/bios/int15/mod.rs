//! INT 15h: system services. IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 15h - System Services".

pub(super) mod apm;
mod memory;
pub(super) mod mouse;
pub(super) mod wait;

use super::bda;
use super::call::Call;
use super::hardware::keyboard_controller as controller;
use super::rom;
use crate::platform::{Platform, Segment};

/// In AH: there is no such function.
const UNSUPPORTED: u8 = 0x86;

/// INT 15h. The carry tells the ROM to go on with [`wait::go_on`].
pub(super) fn service(call: &mut Call) {
    call.answer(false);
    match call.regs.ah() {
        0x24 => a20(call),
        // The keyboard interceptor lets every byte through.
        0x4F => call.return_carry(true),
        0x53 => apm::service(call),
        // Device open, device close, program termination, SysRq, device busy and done: for programs that hook
        // them.
        0x80..=0x82 | 0x85 | 0x90 | 0x91 => succeed(call),
        0x83 => wait::event(call),
        0x86 => wait::begin(call),
        0x87 => memory::move_block(call),
        0x88 => memory::extended_size(call),
        0xC0 => {
            call.regs.es = Segment::real(rom::SEGMENT);
            call.regs.set_bx(rom::offset::CONFIGURATION);
            succeed(call);
        }
        0xC1 => {
            call.regs.es = Segment::real(bda::EBDA_SEGMENT.get(call.io));
            call.return_carry(false);
        }
        0xC2 => mouse::service(call),
        0xE8 => memory::sizes(call),
        _ => unsupported(call),
    }
}

fn succeed(call: &mut Call) {
    call.regs.set_ah(0);
    call.return_carry(false);
}

fn unsupported(call: &mut Call) {
    call.regs.set_ah(UNSUPPORTED);
    call.return_carry(true);
}

/// System control port A.
const PORT_A: u16 = 0x92;
const PORT_A_A20: u8 = 0x02;

/// Lets address line 20 through, or holds it low at both of its gates.
pub(super) fn set_a20(io: &mut dyn Platform, on: bool) {
    // Bit 0 would reset the processor.
    let value = io.in8(PORT_A) & !0x01;
    io.out8(PORT_A, if on { value | PORT_A_A20 } else { value & !PORT_A_A20 });
    controller::set_a20(io, on);
}

/// Whether addresses one MiB apart are different.
fn a20_is_open(io: &mut dyn Platform) -> bool {
    // Vector 20h: a word that can be changed and put back while interrupts are off.
    const LOW: u32 = 0x80;
    const HIGH: u32 = 0x10_0080;
    let before: u16 = io.get(LOW);
    if io.get::<u16>(HIGH) != before {
        return true;
    }
    io.put(LOW, !before);
    let open = io.get::<u16>(HIGH) == before;
    io.put(LOW, before);
    open
}

/// AH=24h.
fn a20(call: &mut Call) {
    match call.regs.al() {
        function @ (0x00 | 0x01) => set_a20(call.io, function == 0x01),
        0x02 => {
            let open = a20_is_open(call.io);
            call.regs.set_al(open.into());
        }
        // The keyboard controller and port 92h.
        0x03 => call.regs.set_bx(0x0003),
        _ => return unsupported(call),
    }
    succeed(call);
}
