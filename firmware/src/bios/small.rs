//! Services of a few lines: equipment, memory size, printer, texts, interrupts that nobody serves.

use super::bda::{self, ebda};
use super::call::Call;
use super::hardware::pic;
use crate::platform::Platform;

/// INT 11h: the equipment word in AX.
pub(super) fn equipment(call: &mut Call) {
    let equipment = bda::EQUIPMENT.get(call.io);
    call.regs.set_ax(equipment);
}

/// INT 12h: KiB of conventional memory in AX.
pub(super) fn memory_size(call: &mut Call) {
    let size = bda::MEMORY_SIZE.get(call.io);
    call.regs.set_ax(size);
}

/// INT 17h: there is no printer, so every function times out.
pub(super) fn printer(call: &mut Call) {
    const TIMEOUT: u8 = 0x01;
    if call.regs.ah() <= 2 {
        call.regs.set_ah(TIMEOUT);
    }
}

/// Lets the ROM print `text` behind what it has not printed yet, as much as there is room for.
pub(super) fn say(io: &mut dyn Platform, text: &str) {
    let start = ebda::MESSAGE.address(io);
    let mut bytes = io.bytes(start, ebda::MESSAGE_SIZE);
    let next = ebda::TEXT.get(io);
    let waiting = next.checked_sub(start).map(|at| at as usize).filter(|at| *at < bytes.len());
    let (next, end) = match waiting {
        Some(at) => (next, at + bytes[at..].iter().take_while(|byte| **byte != 0).count()),
        None => (start, 0),
    };
    let room = (bytes.len() - 1).saturating_sub(end);
    let text = &text.as_bytes()[..text.len().min(room)];
    let end = end.min(bytes.len() - 1);
    bytes[end..end + text.len()].copy_from_slice(text);
    bytes[end + text.len()] = 0;
    io.write(start, &bytes);
    ebda::TEXT.set(io, next);
}

/// The next character of a text, as registers for INT 10h AH=0Eh; carry at its end.
pub(super) fn next_character(call: &mut Call) {
    let at = ebda::TEXT.get(call.io);
    let character: u8 = if at == 0 { 0 } else { call.get(at) };
    call.answer(character == 0);
    if character == 0 {
        ebda::TEXT.set(call.io, 0);
        return;
    }
    ebda::TEXT.set(call.io, at.wrapping_add(1));
    call.regs.set_ax(0x0E00 | u16::from(character));
    call.regs.set_bx(0x0007);
}

/// An interrupt on a line without a device.
pub(super) fn unexpected_interrupt(call: &mut Call) {
    let line = pic::dismiss(call.io);
    bda::LAST_IRQ.set(call.io, line);
}
