//! INT 15h AH=C2h: the mouse behind the keyboard controller. IBM PS/2 and PC BIOS Interface Technical Reference,
//! "Pointing device interface".

use super::succeed;
use crate::bios::bda::{self, ebda};
use crate::bios::call::Call;
use crate::bios::hardware::keyboard_controller::{self as controller, command, command_byte};
use crate::bios::hardware::{MILLISECOND, pic};
use crate::platform::{Platform, Segment};

/// Answers in AH.
mod error {
    pub const BAD_FUNCTION: u8 = 1;
    pub const BAD_INPUT: u8 = 2;
    pub const INTERFACE: u8 = 3;
    pub const NO_HANDLER: u8 = 5;
}

/// Commands to the mouse.
mod to_mouse {
    pub const SCALING_1: u8 = 0xE6;
    pub const SCALING_2: u8 = 0xE7;
    pub const RESOLUTION: u8 = 0xE8;
    pub const STATUS: u8 = 0xE9;
    pub const READ_ID: u8 = 0xF2;
    pub const SAMPLE_RATE: u8 = 0xF3;
    pub const ENABLE: u8 = 0xF4;
    pub const DISABLE: u8 = 0xF5;
    pub const RESET: u8 = 0xFF;
}

/// In [`ebda::MOUSE_FLAGS`]: how many bytes of a report are there.
const RECEIVED: u8 = 0x07;
/// In [`ebda::MOUSE_FLAGS_2`]: bytes of a report, less one; there is a handler.
const LENGTH: u8 = 0x07;
const HAS_HANDLER: u8 = 0x80;
/// The first byte of every report has this bit.
const ALWAYS_ONE: u8 = 0x08;

const ANSWER_TIME: u64 = 20 * MILLISECOND;
const SELF_TEST_TIME: u64 = 1000 * MILLISECOND;

/// INT 15h AH=C2h.
pub(super) fn service(call: &mut Call) {
    let parameter = call.regs.bh();
    let result = match call.regs.al() {
        0x00 => enable(call.io, parameter),
        0x01 => reset(call),
        0x02 => match [10, 20, 40, 60, 80, 100, 200].get(usize::from(parameter)) {
            Some(rate) => send(call.io, &[to_mouse::SAMPLE_RATE, *rate]),
            None => Err(error::BAD_INPUT),
        },
        0x03 if parameter <= 3 => send(call.io, &[to_mouse::RESOLUTION, parameter]),
        0x03 => Err(error::BAD_INPUT),
        0x04 => ask(call.io, to_mouse::READ_ID).map(|[id]| call.regs.set_bh(id)),
        0x05 if (1..=8).contains(&parameter) => {
            let flags = ebda::MOUSE_FLAGS_2.get(call.io) & !LENGTH | (parameter - 1);
            ebda::MOUSE_FLAGS_2.set(call.io, flags);
            ebda::MOUSE_FLAGS.set(call.io, 0);
            reset(call)
        }
        0x05 => Err(error::BAD_INPUT),
        0x06 => extended(call, parameter),
        0x07 => {
            let handler = u32::from(call.regs.es.selector) << 16 | u32::from(call.regs.bx());
            let flags = ebda::MOUSE_FLAGS_2.get(call.io) & !HAS_HANDLER;
            ebda::MOUSE_HANDLER.set(call.io, handler);
            ebda::MOUSE_FLAGS_2.set(call.io, if handler == 0 { flags } else { flags | HAS_HANDLER });
            Ok(())
        }
        _ => Err(error::BAD_FUNCTION),
    };
    match result {
        Ok(()) => succeed(call),
        Err(code) => {
            call.regs.set_ah(code);
            call.return_carry(true);
        }
    }
}

/// Speaks with the mouse while neither it nor the keyboard interrupts, and the keyboard is silent.
fn speaking<T>(io: &mut dyn Platform, speak: impl FnOnce(&mut dyn Platform) -> Option<T>) -> Result<T, u8> {
    const DISABLE_KEYBOARD: u8 = 0x10;
    let before = controller::read_command_byte(io);
    let quiet = before & !(command_byte::KEYBOARD_INTERRUPT | command_byte::MOUSE_INTERRUPT);
    controller::write_command_byte(io, quiet & !command_byte::DISABLE_MOUSE | DISABLE_KEYBOARD);
    controller::flush(io);
    let spoken = speak(io);
    controller::write_command_byte(io, before);
    spoken.ok_or(error::INTERFACE)
}

fn send(io: &mut dyn Platform, bytes: &[u8]) -> Result<(), u8> {
    speaking(io, |io| bytes.iter().all(|byte| controller::command_mouse(io, *byte)).then_some(()))
}

/// Sends a command and takes its answer.
fn ask<const N: usize>(io: &mut dyn Platform, command: u8) -> Result<[u8; N], u8> {
    speaking(io, |io| {
        controller::command_mouse(io, command).then_some(())?;
        let mut answer = [0; N];
        for byte in &mut answer {
            *byte = controller::receive(io, ANSWER_TIME)?;
        }
        Some(answer)
    })
}

/// Function 00h: reports begin (1) or end (0).
fn enable(io: &mut dyn Platform, on: u8) -> Result<(), u8> {
    match on {
        0 => {
            send(io, &[to_mouse::DISABLE])?;
            let byte = controller::read_command_byte(io) & !command_byte::MOUSE_INTERRUPT;
            controller::write_command_byte(io, byte | command_byte::DISABLE_MOUSE);
            Ok(())
        }
        1 if ebda::MOUSE_FLAGS_2.get(io) & HAS_HANDLER == 0 => Err(error::NO_HANDLER),
        1 => {
            ebda::MOUSE_FLAGS.set(io, 0);
            controller::send_command(io, command::ENABLE_MOUSE);
            send(io, &[to_mouse::ENABLE])?;
            let byte = controller::read_command_byte(io) & !command_byte::DISABLE_MOUSE;
            controller::write_command_byte(io, byte | command_byte::MOUSE_INTERRUPT);
            pic::unmask(io, 12);
            Ok(())
        }
        _ => Err(error::BAD_INPUT),
    }
}

/// Function 01h: what the mouse says of itself goes to BX.
fn reset(call: &mut Call) -> Result<(), u8> {
    let (tested, id) = speaking(call.io, |io| {
        controller::command_mouse(io, to_mouse::RESET).then_some(())?;
        Some((controller::receive(io, SELF_TEST_TIME)?, controller::receive(io, ANSWER_TIME)?))
    })?;
    ebda::MOUSE_FLAGS.set(call.io, 0);
    call.regs.set_bx(u16::from_be_bytes([id, tested]));
    Ok(())
}

/// Function 06h: status, or scaling.
fn extended(call: &mut Call, parameter: u8) -> Result<(), u8> {
    match parameter {
        0 => {
            let [status, resolution, rate] = ask(call.io, to_mouse::STATUS)?;
            call.regs.set_bl(status);
            call.regs.set_cl(resolution);
            call.regs.set_dl(rate);
            Ok(())
        }
        1 => send(call.io, &[to_mouse::SCALING_1]),
        2 => send(call.io, &[to_mouse::SCALING_2]),
        _ => Err(error::BAD_INPUT),
    }
}

/// INT 74h, IRQ 12: collects a report. With the last byte the handler's parameters are in AX, BX, CX and DX, and
/// DS is the extended BIOS data area, where its address is; until then, carry.
pub(in crate::bios) fn interrupt(call: &mut Call) {
    const FROM_MOUSE: u8 = controller::OUTPUT_FULL | controller::FROM_MOUSE;
    call.answer(true);
    if call.io.in8(controller::STATUS) & FROM_MOUSE != FROM_MOUSE {
        return;
    }
    let byte = call.io.in8(controller::DATA);
    let flags = ebda::MOUSE_FLAGS_2.get(call.io);
    let received = ebda::MOUSE_FLAGS.get(call.io) & RECEIVED;
    if flags & HAS_HANDLER == 0 || received == 0 && byte & ALWAYS_ONE == 0 {
        return;
    }
    let bytes = ebda::MOUSE_BYTES.address(call.io);
    call.put(bytes + u32::from(received), byte);
    if received < flags & LENGTH {
        return ebda::MOUSE_FLAGS.set(call.io, received + 1);
    }
    ebda::MOUSE_FLAGS.set(call.io, 0);
    let [status, x, y, z]: [u8; 4] = call.get::<u32>(bytes).to_le_bytes();
    let wheel = if flags & LENGTH == 3 { z } else { 0 };
    let regs = &mut call.regs;
    for (register, value) in
        [(&mut regs.eax, status), (&mut regs.ebx, x), (&mut regs.ecx, y), (&mut regs.edx, wheel)]
    {
        *register = *register & 0xFFFF_0000 | u32::from(value);
    }
    call.regs.ds = Segment::real(bda::EBDA_SEGMENT.get(call.io));
    call.answer(false);
}

/// Whether there is a mouse.
pub(in crate::bios) fn is_present(io: &mut dyn Platform) -> bool {
    ask::<1>(io, to_mouse::READ_ID).is_ok()
}
